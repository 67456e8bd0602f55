#include "common/evidence/audit_feed.h"

#include "common/base/mem.h"

enum { FILE_BYTES_MAX = 128 * 1024 * 1024 }; /* an agent turns a page far earlier */

/* The host sends from one moment, so no file is torn. */
void audit_feed_end(struct audit_feed *feed)
{
	if (!feed->file)
		return;
	audit_file(&feed->audit, feed->file, buf_bytes(&feed->content), AUDIT_END_WHOLE);
	buf_clear(&feed->content);
	free(TAKE(feed->file));
}

void audit_feed_take(struct audit_feed *feed, const Fairlead__V1__AuditChunk *chunk)
{
	if (feed->audit.finding.record)
		return;
	if (!feed->file || strcmp(feed->file, chunk->file) != 0) {
		audit_feed_end(feed);
		feed->file = xstrdup(chunk->file);
	}
	if (feed->content.len + chunk->data.len > FILE_BYTES_MAX) {
		audit_finding(&feed->audit, feed->audit.chain.number + 1, feed->file,
			"the file is larger than any agent writes");
		return;
	}
	buf_append(&feed->content, chunk->data.data, chunk->data.len);
}

void audit_feed_release(struct audit_feed *feed)
{
	free(feed->file);
	buf_release(&feed->content);
	*feed = (struct audit_feed){0};
}
