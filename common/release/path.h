/* Private to common/release: one path, judged in one pass. Pure. */
#pragma once

#include <stddef.h>

/* NULL when the path keeps the rules of manifest_path_check, else the rule it breaks, as the
 * end of a sentence that began with the path. Static text. */
const char *path_fault(const char *path, size_t len);
