#include "agent/hook/output.h"

#include "common/base/mem.h"
#include "common/base/text.h"

static void tell(struct output *output, output_line_fn *line, void *user)
{
	AUTO(buf) struct buf text = {0};
	text_escape(&text, buf_bytes(&output->line));
	if (output->rest == OUTPUT_CUTS)
		buf_append_str(&text, " ...");
	output->lines++;
	if (output->lines <= OUTPUT_LINES_MAX)
		line(user, buf_str(&text));
	else if (output->lines == OUTPUT_LINES_MAX + 1)
		line(user, "(more output is not shown)");
	buf_clear(&output->line);
	output->rest = OUTPUT_KEEPS;
}

static void keep_tail(struct output *output, struct bytes bytes)
{
	if (bytes.len > OUTPUT_TAIL_BYTES)
		bytes = BYTES(
			bytes.data + (bytes.len - OUTPUT_TAIL_BYTES), (size_t)OUTPUT_TAIL_BYTES);
	if (output->tail.len + bytes.len > OUTPUT_TAIL_BYTES)
		buf_consume(&output->tail, output->tail.len + bytes.len - OUTPUT_TAIL_BYTES);
	buf_append(&output->tail, bytes.data, bytes.len);
}

void output_add(struct output *output, struct bytes bytes, output_line_fn *line, void *user)
{
	keep_tail(output, bytes);
	while (bytes.len > 0) {
		const uint8_t *end = memchr(bytes.data, '\n', bytes.len);
		size_t len = end ? (size_t)(end - bytes.data) : bytes.len;
		size_t room = OUTPUT_LINE_BYTES - output->line.len;
		if (len > room)
			output->rest = OUTPUT_CUTS;
		buf_append(&output->line, bytes.data, len < room ? len : room);
		if (end)
			tell(output, line, user);
		len += end != NULL;
		bytes = BYTES(bytes.data + len, bytes.len - len);
	}
}

void output_end(struct output *output, output_line_fn *line, void *user)
{
	if (output->line.len > 0)
		tell(output, line, user);
}

void output_tail(const struct output *output, struct buf *ret)
{
	struct bytes text = buf_bytes(&output->tail);
	while (text.len > 0) {
		const uint8_t *end = memchr(text.data, '\n', text.len);
		size_t len = end ? (size_t)(end - text.data) : text.len;
		text_escape(ret, BYTES(text.data, len));
		buf_append_str(ret, "\n");
		len += end != NULL;
		text = BYTES(text.data + len, text.len - len);
	}
}

void output_release(struct output *output)
{
	buf_release(&output->line);
	buf_release(&output->tail);
}
