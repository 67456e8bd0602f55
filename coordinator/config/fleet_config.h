/* fleet.yaml: the inventory, and the label selector of --limit and `hosts:`. Immutable. */
#pragma once

#include "common/base/err.h"
#include "common/trust/key.h"

#include <stdbool.h>

struct fleet_label {
	char *name, *value;
};

struct fleet_host {
	char *name;
	char *address; /* host:port */
	struct public_key key;
	struct fleet_label *labels;
	size_t label_count;
	unsigned line;
};

struct fleet_config {
	char *path;
	struct fleet_host *hosts; /* in the order of the file */
	size_t count;
};

int fleet_config_load(const char *path, struct fleet_config *ret, struct err *err);
void fleet_config_release(struct fleet_config *config);

/* "role=web & zone=a", "web1,web2" (host names), "!role=db", "" (all). The grammar is in
 * selector.c. ERR_USAGE when it does not parse. */
struct selector;
int selector_parse(const char *text, struct selector **ret, struct err *err);
bool selector_matches(const struct selector *selector, const struct fleet_host *host);
void selector_free(struct selector *selector);
