#include "coordinator/cli/release_choice.h"

#include "common/base/digest.h"

#include <string.h>

/* The hex digits of a digest or commit, or a folder's label, as far as it is written. */
static bool can_be_release(const char *wanted)
{
	static const char folder[] = "dir-"; /* tree.h */
	size_t prefix = strncmp(wanted, folder, sizeof(folder) - 1) == 0 ? sizeof(folder) - 1 : 0;
	size_t digits = strspn(wanted + prefix, "0123456789abcdef");
	return wanted[0] && !wanted[prefix + digits] && digits < DIGEST_HEX_SIZE;
}

int release_check_name(const char *wanted, struct err *err)
{
	if (!wanted || can_be_release(wanted))
		return 0;
	err_set(err, ERR_USAGE, "'%.80s' is not the name of a release", wanted);
	return err_hint(err, "A release is named by the first hex digits, 0-9 and a-f, of its "
			     "commit or digest, or by dir-… of a folder; `fairlead releases` "
			     "shows them.");
}

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
