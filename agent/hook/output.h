/* What a hook prints: lines for watchers, and the end of it all for the diagnosis. Inside
 * agent/hook. Bounded: so many lines, each cut, and so many bytes of the end. Pure. */
#pragma once

#include "common/base/buf.h"

struct output {
	struct buf line; /* the one that is not ended yet, at most OUTPUT_LINE_BYTES */
	struct buf tail; /* the last OUTPUT_TAIL_BYTES */
	unsigned lines;  /* told so far */
	enum {
		OUTPUT_KEEPS,
		OUTPUT_CUTS
	} rest; /* CUTS: the line was too long, its end is left out */
};

enum { OUTPUT_LINE_BYTES = 400, OUTPUT_LINES_MAX = 200, OUTPUT_TAIL_BYTES = 8192 };

typedef void output_line_fn(void *user, const char *text);
/* More of it; tells each line that ends, escaped. */
void output_add(struct output *output, struct bytes bytes, output_line_fn *line, void *user);
/* No more comes: the last line may have no end. */
void output_end(struct output *output, output_line_fn *line, void *user);
/* The last lines, each escaped, each with a newline. */
void output_tail(const struct output *output, struct buf *ret);
void output_release(struct output *output);
