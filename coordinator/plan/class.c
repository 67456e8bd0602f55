#include "coordinator/plan/plan.h"

#include "common/base/mem.h"

static const struct {
	const char *name;   /* in plans, logs and fairlead.yaml */
	const char *option; /* after --type */
} classes[] = {
	[FAIRLEAD__V1__ACTION_CLASS__ACTION_CLASS_UNSPECIFIED] = {"AUTO", "auto"},
	[FAIRLEAD__V1__ACTION_CLASS__NO_RESTART] = {"NO_RESTART", "no-restart"},
	[FAIRLEAD__V1__ACTION_CLASS__APP_ONLY] = {"APP_ONLY", "app-only"},
	[FAIRLEAD__V1__ACTION_CLASS__FULL_RESTART] = {"FULL_RESTART", "full"},
};

const char *plan_class_name(Fairlead__V1__ActionClass class)
{
	return (size_t) class < ARRAY_LEN(classes) ? classes[class].name : "UNKNOWN";
}

const char *plan_type_name(Fairlead__V1__ActionClass class)
{
	return (size_t) class < ARRAY_LEN(classes) ? classes[class].option : "unknown";
}

int plan_parse_type(const char *text, Fairlead__V1__ActionClass *ret, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
		if (strcmp(text, classes[i].option) == 0) {
			*ret = (Fairlead__V1__ActionClass)i;
			return 0;
		}
	}
	err_set(err, ERR_USAGE, "--type: \"%s\" is not a type of deployment", text);
	return err_hint(err, "Use one of auto, full, app-only and no-restart.");
}
