/* Hosts named as words of a verb: `fairlead drift web1 web2`. */
#pragma once

#include "coordinator/cli/command.h"

/* The selector that they make; options->limit when none is named (NULL: all). ERR_USAGE when both
 * are given. Free *ret_text, which it may borrow from. */
int named_hosts(
	const struct options *options, const char **ret_limit, char **ret_text, struct err *err);
