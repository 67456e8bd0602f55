// Patterns of classification rules: globs over paths, in the manner of .gitignore.
//
// A path is relative, its components separated by '/', any bytes, case-sensitive.
//
//   *           any run of bytes but '/', also none
//   ?           one byte but '/'
//   [a-c] [!x]  one byte of a set, or not of it; never '/'
//   {a,b}       one of the alternatives; may be nested
//   \x          the byte x itself
//   **/         at the start or behind '/': any directories, also none
//   /**         at the end: everything below
//
// A pattern without '/' matches the last component at any depth: "*.md", "Dockerfile*".
// "dir/" matches everything below a directory of that name at any depth.
// Any other pattern with '/' is matched against the whole path from the root: "api/**",
// "db/*.sql", "/fairlead.yaml" (the leading '/' only anchors). "**" anywhere else is "*".
//
// Matching follows all alternatives side by side (Thompson 1968), so that it takes at most
// O(pattern x path) steps whatever the pattern. Immutable once made, any thread.
#pragma once

#include "common/base/err.h"

#include <stdbool.h>

enum { PATTERN_MAX = 1024 }; // bytes of a pattern's text

struct pattern;
// ERR_INVALID when it does not parse or can never match a path; the message names no place, so
// wrap it.
int pattern_new(const char *text, struct pattern **ret, struct err *err);
void pattern_free(struct pattern *pattern);
bool pattern_matches(const struct pattern *pattern, const char *path);
