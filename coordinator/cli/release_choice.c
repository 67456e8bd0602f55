#include "coordinator/cli/release_choice.h"

#include "common/base/digest.h"

#include <string.h>

static bool matches(const Fairlead__V1__Release *release, const char *wanted)
{
	struct digest digest;
	char hex[DIGEST_HEX_SIZE] = "";
	if (digest_from_bytes(release->manifest.data, release->manifest.len, &digest))
		digest_hex(&digest, hex);
	return strncmp(hex, wanted, strlen(wanted)) == 0 ||
	       strncmp(release->commit, wanted, strlen(wanted)) == 0;
}

int release_choose(const Fairlead__V1__ReleaseList *list, const char *wanted, const char *host,
	const Fairlead__V1__Release **ret, struct err *err)
{
	const Fairlead__V1__Release *found = NULL;
	for (size_t i = 0; i < list->n_releases; i++) {
		if (!matches(list->releases[i], wanted))
			continue;
		if (found) {
			err_set(err, ERR_USAGE, "'%s' is more than one release on host '%s'",
				wanted, host);
			return err_hint(err, "Write more digits; `fairlead releases` shows them.");
		}
		found = list->releases[i];
	}
	if (!found) {
		err_set(err, ERR_NOT_FOUND, "host '%s' has not kept a release '%s'", host, wanted);
		return err_hint(err,
			"`fairlead releases` shows those it has; `fairlead deploy --to "
			"REV` brings back any commit.");
	}
	*ret = found;
	return 0;
}
