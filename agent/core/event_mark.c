#include "agent/core/event_mark.h"

#include "common/base/buf.h"
#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/os/file.h"

#include <sodium.h>

enum { BOOT_SIZE = 16, CHECK_SIZE = 8, CHECKED = 8 + 1 + BOOT_SIZE, SIZE = CHECKED + CHECK_SIZE };

/* Zero when the kernel does not say: then no mark is of this boot. */
static void read_boot(uint8_t ret[static BOOT_SIZE])
{
	AUTO(buf) struct buf text = {0};
	memset(ret, 0, BOOT_SIZE);
	if (file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &text, NULL) == 0)
		crypto_generichash(ret, BOOT_SIZE, text.data, text.len, NULL, 0);
}

static void check_of(const uint8_t *data, uint8_t ret[static CHECK_SIZE])
{
	struct digest digest = digest_of(data, CHECKED);
	memcpy(ret, digest.bytes, CHECK_SIZE);
}

enum event_mark_found event_mark_read(int dirfd, struct event_mark *ret)
{
	AUTO(buf) struct buf file = {0};
	struct err err = ERR_INIT;
	uint8_t boot[BOOT_SIZE], check[CHECK_SIZE];
	if (file_read(dirfd, "events.mark", SIZE, &file, &err) < 0)
		return err.code == ERR_NOT_FOUND ? EVENT_MARK_NONE : EVENT_MARK_LOST;
	if (file.len != SIZE)
		return EVENT_MARK_LOST;
	check_of(file.data, check);
	if (memcmp(check, file.data + CHECKED, CHECK_SIZE) != 0)
		return EVENT_MARK_LOST;
	read_boot(boot);
	*ret = (struct event_mark){
		.reserved = get_u64(file.data),
		.whole = file.data[8] != 0,
		.same_boot = !sodium_is_zero(boot, BOOT_SIZE) &&
			     memcmp(file.data + 9, boot, BOOT_SIZE) == 0,
	};
	return EVENT_MARK_FOUND;
}

int event_mark_write(int dirfd, const struct event_mark *mark, struct err *err)
{
	uint8_t data[SIZE];
	put_u64(data, mark->reserved);
	data[8] = mark->whole;
	read_boot(data + 9);
	check_of(data, data + CHECKED);
	return file_write_atomic(dirfd, "events.mark", BYTES(data, SIZE), 0600, err);
}
