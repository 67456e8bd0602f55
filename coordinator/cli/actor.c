#include "coordinator/cli/actor.h"

#include "common/base/mem.h"

#include <limits.h>
#include <pwd.h>

/* Who really runs this, whatever $USER says. */
static const char *user_name(void)
{
	const struct passwd *entry = getpwuid(geteuid());
	return entry ? entry->pw_name : "unknown";
}

char *actor_name(const char *given)
{
	const char *github = getenv("GITHUB_ACTOR");
	char host[HOST_NAME_MAX + 1] = "";
	if (given && *given)
		return xstrdup(given);
	if (github && *github)
		return xstrdup(github);
	if (gethostname(host, sizeof(host) - 1) < 0 || !host[0])
		return xstrdup(user_name());
	return xasprintf("%s@%s", user_name(), host);
}
