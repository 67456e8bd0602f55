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

char *label_of_all(const struct deployment_host *targets, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (strcmp(targets[i].commit_from, targets[0].commit_from) != 0)
			return xstrdup("several releases");
	return label_short(count ? targets[0].commit_from : "");
}
