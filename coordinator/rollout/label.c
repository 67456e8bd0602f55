#include "coordinator/rollout/label.h"

#include "common/base/mem.h"

enum { COMMIT_DIGITS = 40, SHORT_DIGITS = 7 };

char *label_short(const char *label)
{
	if (!label[0])
		return xstrdup("none");
	if (strlen(label) == COMMIT_DIGITS && strspn(label, "0123456789abcdef") == COMMIT_DIGITS)
		return xstrndup(label, SHORT_DIGITS);
	return xstrdup(label);
}

static bool is_asked(const struct deployment_host *target)
{
	return target->plan || target->rollback || (target->taken && target->taken->status);
}

const struct deployment_host *label_first(const struct deployment_host *targets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is_asked(&targets[i]))
			return &targets[i];
	return NULL;
}

char *label_of_all(const struct deployment_host *targets, size_t count)
{
	const struct deployment_host *first = label_first(targets, count);
	for (size_t i = 0; i < count; i++)
		if (is_asked(&targets[i]) &&
			strcmp(targets[i].commit_from, first->commit_from) != 0)
			return xstrdup("several releases");
	return label_short(first ? first->commit_from : "");
}
