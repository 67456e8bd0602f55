/* The methods of the Agent service: one row each with its call kind and the action it needs.
 *
 * protoc-c drops the word `stream`, so the kinds stand here; test_methods.c compares them with
 * protoc's own descriptor set. Names come from the generated service descriptor. Constant. */
#pragma once

#include "fairlead/v1/agent.pb-c.h"

enum method_kind { METHOD_UNARY, METHOD_CLIENT_STREAM, METHOD_SERVER_STREAM, METHOD_KIND_COUNT };

struct method {
	const char *name; /* "Prepare" */
	enum method_kind kind;
	Fairlead__V1__Action action;
};

/* "/fairlead.v1.Agent/Prepare"; NULL for a method this version does not have. */
const struct method *method_find(const char *path);
/* The row of an action; NULL when no method needs it. */
const struct method *method_of_action(Fairlead__V1__Action action);
/* Its path, written into `path`; returns that. */
enum { METHOD_PATH_SIZE = 64 };
char *method_path(const struct method *method, char path[static METHOD_PATH_SIZE]);
/* Its messages. */
const ProtobufCMessageDescriptor *method_request(const struct method *method);
const ProtobufCMessageDescriptor *method_reply(const struct method *method);
/* All rows, ended by one whose name is NULL. */
extern const struct method methods[];
