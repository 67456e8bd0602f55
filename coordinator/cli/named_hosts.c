#include "coordinator/cli/named_hosts.h"

#include "common/base/buf.h"
#include "common/base/mem.h"

int named_hosts(
	const struct options *options, const char **ret_limit, char **ret_text, struct err *err)
{
	AUTO(buf) struct buf names = {0};
	*ret_limit = options->limit;
	*ret_text = NULL;
	if (options->arg_count == 0)
		return 0;
	if (options->limit || options->all) {
		err_set(err, ERR_USAGE, "hosts are named, and chosen by '%s' too",
			options->all ? "--all" : "--limit");
		return err_hint(err, "Do one or the other.");
	}
	for (int i = 0; i < options->arg_count; i++)
		buf_printf(&names, "%s%s", i ? "," : "", options->args[i]);
	*ret_text = xstrdup(buf_str(&names));
	*ret_limit = *ret_text;
	return 0;
}
