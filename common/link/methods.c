#include "common/link/methods.h"

#include <stdio.h>
#include <string.h>

#define SERVICE fairlead__v1__agent__descriptor

const struct method methods[] = {
	{"Describe", METHOD_UNARY, FAIRLEAD__V1__ACTION__ACTION_DESCRIBE},
	{"Prepare", METHOD_CLIENT_STREAM, FAIRLEAD__V1__ACTION__ACTION_PREPARE},
	{"Activate", METHOD_UNARY, FAIRLEAD__V1__ACTION__ACTION_ACTIVATE},
	{"Confirm", METHOD_UNARY, FAIRLEAD__V1__ACTION__ACTION_CONFIRM},
	{"Abort", METHOD_UNARY, FAIRLEAD__V1__ACTION__ACTION_ABORT},
	{"Rollback", METHOD_UNARY, FAIRLEAD__V1__ACTION__ACTION_ROLLBACK},
	{"Status", METHOD_UNARY, FAIRLEAD__V1__ACTION__ACTION_STATUS},
	{"Releases", METHOD_UNARY, FAIRLEAD__V1__ACTION__ACTION_RELEASES},
	{"Watch", METHOD_SERVER_STREAM, FAIRLEAD__V1__ACTION__ACTION_WATCH},
	{"Logs", METHOD_SERVER_STREAM, FAIRLEAD__V1__ACTION__ACTION_LOGS},
	{"Manifest", METHOD_SERVER_STREAM, FAIRLEAD__V1__ACTION__ACTION_MANIFEST},
	{"Pin", METHOD_UNARY, FAIRLEAD__V1__ACTION__ACTION_PIN},
	{"Audit", METHOD_SERVER_STREAM, FAIRLEAD__V1__ACTION__ACTION_AUDIT},
	{"Drift", METHOD_UNARY, FAIRLEAD__V1__ACTION__ACTION_DRIFT},
	{"Resolve", METHOD_UNARY, FAIRLEAD__V1__ACTION__ACTION_RESOLVE},
	{NULL, METHOD_UNARY, FAIRLEAD__V1__ACTION__ACTION_UNSPECIFIED},
};

const struct method *method_find(const char *path)
{
	size_t service = strlen(SERVICE.name);
	if (path[0] != '/' || strncmp(path + 1, SERVICE.name, service) != 0 ||
		path[1 + service] != '/')
		return NULL;
	for (const struct method *method = methods; method->name; method++)
		if (strcmp(method->name, path + service + 2) == 0)
			return method;
	return NULL;
}

const struct method *method_of_action(Fairlead__V1__Action action)
{
	for (const struct method *method = methods; method->name; method++)
		if (method->action == action)
			return method;
	return NULL;
}

char *method_path(const struct method *method, char path[static METHOD_PATH_SIZE])
{
	snprintf(path, METHOD_PATH_SIZE, "/%s/%s", SERVICE.name, method->name);
	return path;
}

const ProtobufCMessageDescriptor *method_request(const struct method *method)
{
	return protobuf_c_service_descriptor_get_method_by_name(&SERVICE, method->name)->input;
}

const ProtobufCMessageDescriptor *method_reply(const struct method *method)
{
	return protobuf_c_service_descriptor_get_method_by_name(&SERVICE, method->name)->output;
}
