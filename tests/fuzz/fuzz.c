#include "tests/fuzz/fuzz.h"

#include "common/os/file.h"

#include <sodium.h>
#include <stdio.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *seeds_directory;

_Noreturn void fuzz_fail(const char *file, int line, const char *condition)
{
	fprintf(stderr, "%s:%d: it must hold that %s\n", file, line, condition);
	abort();
}

/* ---- random bytes that are not ---- */

/* The input's digest, so that what one input was sealed with is worth nothing to another. */
static uint8_t random_seed[randombytes_SEEDBYTES];
static uint64_t drawn;

static const char *random_name(void)
{
	return "fuzz";
}

static void random_buf(void *const p, const size_t len)
{
	uint8_t seed[randombytes_SEEDBYTES];
	memcpy(seed, random_seed, sizeof(seed));
	put_u64(seed, get_u64(seed) + drawn++);
	randombytes_buf_deterministic(p, len, seed);
}

static uint32_t random_u32(void)
{
	uint8_t p[4];
	random_buf(p, sizeof(p));
	return get_u32(p);
}

static struct randombytes_implementation no_random = {
	.implementation_name = random_name,
	.random = random_u32,
	.buf = random_buf,
};

/* ---- libFuzzer's two functions ---- */

/* libfyaml 0.7.12 forgets 2 KiB when a quoted value has dozens of escapes; each file is read once.
 */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libfyaml.so\n";
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	randombytes_set_implementation(&no_random);
	MUST(sodium_init() >= 0);
	if (*argc == 3 && strcmp((*argv)[1], "--seeds") == 0) {
		seeds_directory = (*argv)[2];
		fuzz_seeds();
		exit(0);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	drawn = 0;
	crypto_generichash(random_seed, sizeof(random_seed), data, size, NULL, 0);
	fuzz_one(BYTES(data, size));
	return 0;
}

void fuzz_seed(const char *name, struct bytes bytes)
{
	struct err err = ERR_INIT;
	AUTO_CLOSE int dir = open_dir(seeds_directory, &err);
	if (dir < 0 || file_write_atomic(dir, name, bytes, 0644, &err) < 0) {
		fprintf(stderr, "%s: %s\n", name, err.message);
		exit(1);
	}
}

/* ---- reading the input ---- */

struct bytes fuzz_take(struct bytes *in, size_t len)
{
	struct bytes taken = {in->data, len < in->len ? len : in->len};
	in->data = taken.len ? in->data + taken.len : in->data;
	in->len -= taken.len;
	return taken;
}

uint8_t fuzz_u8(struct bytes *in)
{
	struct bytes taken = fuzz_take(in, 1);
	return taken.len ? taken.data[0] : 0;
}

uint16_t fuzz_u16(struct bytes *in)
{
	uint16_t low = fuzz_u8(in);
	return (uint16_t)(low | fuzz_u8(in) << 8);
}

bool fuzz_change(struct bytes *in, struct bytes original, struct buf *ret)
{
	enum { KEEP, FLIP, CUT, EXTEND, REPLACE, KINDS } kind = fuzz_u8(in) % KINDS;
	buf_clear(ret);
	if (kind != REPLACE)
		buf_append(ret, original.data, original.len);
	if (kind == FLIP && ret->len) {
		size_t at = fuzz_u16(in) % ret->len;
		ret->data[at] ^= fuzz_u8(in);
	} else if (kind == CUT && ret->len) {
		ret->len -= fuzz_u16(in) % ret->len;
	} else if (kind == EXTEND || kind == REPLACE) {
		struct bytes more = fuzz_take(in, fuzz_u8(in));
		buf_append(ret, more.data, more.len);
	}
	if (ret->len == 0)
		buf_append(ret, "", 1);
	return !fuzz_same(buf_bytes(ret), original);
}

/* ---- files ---- */

static char scratch[] = "/dev/shm/fairlead-fuzz-XXXXXX";

static void scratch_remove(void)
{
	tree_remove(AT_FDCWD, scratch, NULL);
}

int fuzz_scratch(void)
{
	static int fd = -1;
	if (fd >= 0)
		return fd;
	MUST(mkdtemp(scratch));
	atexit(scratch_remove);
	fd = open_dir(scratch, NULL);
	MUST(fd >= 0);
	return fd;
}

const char *fuzz_scratch_path(void)
{
	fuzz_scratch();
	return scratch;
}

void fuzz_scratch_write(const char *name, struct bytes content)
{
	AUTO_CLOSE int fd =
		openat(fuzz_scratch(), name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	MUST(fd >= 0 && fd_write_all(fd, content.data, content.len, NULL) == 0);
}
