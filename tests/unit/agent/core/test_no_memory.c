/* The n-th allocation fails, for every n, in everything that reads what somebody else wrote: an
 * error comes back that says so, nothing crashes, and (under asan) nothing is lost.
 *
 * The linker puts the functions below in the place of malloc and its kin. What common/base/mem.h
 * allocates cannot fail, by decision: those are small sizes of our own. zstd is given the same
 * memory. */
#define ZSTD_STATIC_LINKING_ONLY
#include "agent/core/journal.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/config/yaml.h"
#include "common/os/file.h"
#include "common/release/bundle.h"
#include "common/trust/envelope.h"
#include "tests/messages.h"

#include <assert.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <zstd.h>

#include <cmocka.h>

/* ---- allocations ---- */

static unsigned countdown; /* the so many-th from now fails; 0: none */
static enum failing { FAILS_ONCE, FAILS_FROM_THEN_ON } failing;
static bool failed;
static unsigned trusted; /* inside of what cannot fail */
static unsigned long failures;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_xmalloc(size_t size);
void *__real_xcalloc(size_t count, size_t size);
void *__real_xrealloc(void *p, size_t size);
void *__real_xmemdup(const void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_xmalloc(size_t size);
void *__wrap_xcalloc(size_t count, size_t size);
void *__wrap_xrealloc(void *p, size_t size);
void *__wrap_xmemdup(const void *p, size_t size);
ZSTD_DCtx *__wrap_ZSTD_createDCtx(void);

static bool fails(void)
{
	if (trusted || countdown == 0 || --countdown > 0)
		return false;
	failed = true;
	countdown = failing == FAILS_FROM_THEN_ON;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

/* Calls real, within which nothing fails. */
#define TRUSTED(call)                                                                              \
	trusted++;                                                                                 \
	void *result = call;                                                                       \
	trusted--;                                                                                 \
	return result

void *__wrap_xmalloc(size_t size)
{
	TRUSTED(__real_xmalloc(size));
}

void *__wrap_xcalloc(size_t count, size_t size)
{
	TRUSTED(__real_xcalloc(count, size));
}

void *__wrap_xrealloc(void *p, size_t size)
{
	TRUSTED(__real_xrealloc(p, size));
}

void *__wrap_xmemdup(const void *p, size_t size)
{
	TRUSTED(__real_xmemdup(p, size));
}

static void *zstd_alloc(void *user, size_t size)
{
	(void)user;
	return malloc(size);
}

static void zstd_free(void *user, void *p)
{
	(void)user;
	free(p);
}

ZSTD_DCtx *__wrap_ZSTD_createDCtx(void)
{
	return ZSTD_createDCtx_advanced((ZSTD_customMem){zstd_alloc, zstd_free, NULL});
}

/* True when the n-th was met. */
static bool fail_at(
	unsigned n, int (*run)(void *user, struct err *err), void *user, unsigned *errors)
{
	struct err err = ERR_INIT;
	failed = false;
	countdown = n;
	int rc = run(user, &err);
	countdown = 0;
	if (rc < 0 && (!failed || err.code != ERR_LIMIT))
		fail_msg("allocation %u: %s %s", n, err_code_name(err.code), err.message);
	*errors += rc < 0;
	return failed;
}

/* Run it with one failure after the other, until there is none left to meet: each alone, and each
 * with all that follow. Returns how many runs failed; without some memory one can do, as when a
 * file is read in smaller pieces. */
static unsigned fail_each(int (*run)(void *user, struct err *err), void *user)
{
	static const enum failing kinds[] = {FAILS_ONCE, FAILS_FROM_THEN_ON};
	unsigned errors = 0;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		failing = kinds[i];
		for (unsigned n = 1; fail_at(n, run, user, &errors);)
			n++;
	}
	failures += errors;
	return errors;
}

/* ---- messages ---- */

struct packed {
	const ProtobufCMessageDescriptor *desc;
	struct buf bytes;
};

static int unpack(void *user, struct err *err)
{
	struct packed *packed = user;
	ProtobufCMessage *message = NULL;
	if (pb_unpack_canonical(packed->desc, buf_bytes(&packed->bytes), &message, err) < 0)
		return -1;
	pb_free(message);
	return 0;
}

static void every_message(void **state)
{
	static const ProtobufCMessageDescriptor *const descriptors[] = {MESSAGES};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(descriptors); i++) {
		struct packed packed = {.desc = descriptors[i]};
		ProtobufCMessage *message = NULL;
		AUTO(buf) struct buf raw = {0};
		message_fill(descriptors[i], &raw, 2);
		struct err err = ERR_INIT;
		if (pb_unpack(descriptors[i], buf_bytes(&raw), &message, &err) < 0)
			fail_msg("%s", err.message);
		pb_pack(message, &packed.bytes);
		pb_free(message);
		assert_true(fail_each(unpack, &packed) > 0);
		buf_release(&packed.bytes);
	}
}

/* ---- releases ---- */

enum { FILES = 300 };

static struct digest digest_of_text(const char *text)
{
	return digest_of(text, strlen(text));
}

/* Paths long enough for several chunks of memory; `version` changes every third file. */
static void make_manifest(struct manifest *m, char version)
{
	char path[600], content[sizeof(path) + 2];
	for (int i = 0; i < FILES; i++) {
		memset(path, 'x', sizeof(path));
		snprintf(path + 500, 20, "%04d", i);
		path[200] = path[400] = '/';
		snprintf(content, sizeof(content), "%s%c", path, i % 3 ? 'a' : version);
		struct digest digest = digest_of_text(content);
		assert_int_equal(manifest_add(m, path, strlen(path), MANIFEST_FILE, strlen(content),
					 &digest, NULL),
			0);
	}
	assert_int_equal(manifest_finish(m, NULL), 0);
}

static int decode(void *user, struct err *err)
{
	AUTO(manifest) struct manifest m = {0};
	return manifest_decode(buf_bytes(user), &m, err);
}

static void a_manifest(void **state)
{
	(void)state;
	AUTO(manifest) struct manifest m = {0};
	AUTO(buf) struct buf wire = {0};
	make_manifest(&m, 'a');
	manifest_encode(&m, &wire);
	assert_true(fail_each(decode, &wire) >= 10);
}

/* A content is its path and the version: found again by its digest. */
static int fetch(void *user, const struct manifest_entry *entry, struct buf *ret, struct err *err)
{
	const char *versions = user;
	if (buf_reserve_max(ret, entry->size, entry->size, err) < 0)
		return -1;
	for (; *versions; versions++) {
		buf_clear(ret);
		buf_append(ret, entry->path, entry->path_len);
		buf_append(ret, versions, 1);
		struct digest digest = digest_of(ret->data, ret->len);
		if (digest_equal(&digest, &entry->digest))
			return 0;
	}
	return err_set(err, ERR_NOT_FOUND, "no such content");
}

static int accept_entry(void *user, const struct manifest_entry *entry, struct err *err)
{
	(void)user, (void)entry, (void)err;
	return 0;
}

static int accept_data(void *user, const void *data, size_t len, struct err *err)
{
	(void)user, (void)data, (void)len, (void)err;
	return 0;
}

static int fetch_old(
	void *user, const struct manifest_entry *entry, struct buf *ret, struct err *err)
{
	return fetch(user, entry, ret, err);
}

struct delivery {
	int fd;
	struct manifest base, target;
};

static char versions[] = "ab";

static int extract(void *user, struct err *err)
{
	struct delivery *delivery = user;
	static const struct bundle_sink sink = {
		accept_entry, accept_data, accept_entry, fetch_old, versions};
	struct bundle *bundle = NULL;
	int rc = bundle_open(delivery->fd, &delivery->base, &delivery->target.digest, &bundle, err);
	if (rc == 0)
		rc = bundle_extract(bundle, &sink, err);
	bundle_free(bundle);
	return rc;
}

static void a_bundle(void **state)
{
	(void)state;
	struct delivery delivery = {.fd = memfd_create("bundle", MFD_CLOEXEC)};
	const struct bundle_source source = {fetch, versions};
	struct bundle_info info;
	make_manifest(&delivery.base, 'a');
	make_manifest(&delivery.target, 'b');
	assert_int_equal(bundle_write(&delivery.base, &delivery.target, &source, &source,
				 delivery.fd, &info, NULL),
		0);
	assert_true(fail_each(extract, &delivery) > FILES / 3);
	close(delivery.fd);
	manifest_release(&delivery.base);
	manifest_release(&delivery.target);
}

/* ---- commands ---- */

struct post {
	struct signing_key *signer, *host;
	struct policy policy;
	struct buf packed;
};

static const uint64_t now_ms = UINT64_C(1736346615000);

static int verify(void *user, struct err *err)
{
	struct post *post = user;
	AUTO(envelope) struct envelope envelope = {0};
	return envelope_verify(&post->policy, signing_key_public(post->host),
		FAIRLEAD__V1__ACTION__ACTION_DESCRIBE, buf_bytes(&post->packed), now_ms, &envelope,
		err);
}

static void a_command(void **state)
{
	(void)state;
	struct post post = {.signer = signing_key_new(), .host = signing_key_new()};
	char *names[] = {pb_str("shop"), NULL};
	struct policy_signer signer = {
		.name = pb_str("ci"),
		.key = *signing_key_public(post.signer),
		.roles = POLICY_ROLE_OBSERVE,
		.apps = names,
		.environments = names,
	};
	post.policy = (struct policy){&signer, 1};
	Fairlead__V1__Command command = FAIRLEAD__V1__COMMAND__INIT;
	command.action = FAIRLEAD__V1__ACTION__ACTION_DESCRIBE;
	command.host_key = pb_borrow(signing_key_public(post.host)->bytes, KEY_PUBLIC_SIZE);
	command.app = command.environment = pb_str("shop");
	envelope_sign(post.signer, &command, now_ms, &post.packed);
	assert_true(fail_each(verify, &post) >= 10);
	buf_release(&post.packed);
	signing_key_free(post.signer);
	signing_key_free(post.host);
}

/* ---- files ---- */

struct folder {
	char path[64];
	int fd;
};

static int open_folder(void **state)
{
	struct folder *folder = xcalloc(1, sizeof(*folder));
	snprintf(folder->path, sizeof(folder->path), "/tmp/fairlead-memory-XXXXXX");
	if (!mkdtemp(folder->path))
		return -1;
	folder->fd = open_dir(folder->path, NULL);
	*state = folder;
	return 0;
}

static int close_folder(void **state)
{
	struct folder *folder = *state;
	close(folder->fd);
	tree_remove(AT_FDCWD, folder->path, NULL);
	free(folder);
	return 0;
}

static int take_record(
	void *user, uint64_t number, const Fairlead__V1__JournalRecord *record, struct err *err)
{
	(void)user, (void)number, (void)record, (void)err;
	return 0;
}

static int replay(void *user, struct err *err)
{
	struct folder *folder = user;
	struct journal *journal = NULL;
	int rc = journal_open(folder->fd, "journal", take_record, NULL, &journal, err);
	journal_close(journal);
	return rc;
}

/* Also: a journal that could not be read for want of memory is as it was. */
static void a_journal(void **state)
{
	struct folder *folder = *state;
	struct journal *journal = NULL;
	AUTO(buf) struct buf before = {0}, after = {0};
	assert_int_equal(journal_open(folder->fd, "journal", take_record, NULL, &journal, NULL), 0);
	for (uint64_t i = 1; i <= 50; i++) { /* more than is read at once */
		Fairlead__V1__JournalRecord record = FAIRLEAD__V1__JOURNAL_RECORD__INIT;
		Fairlead__V1__ErrorDetail detail = FAIRLEAD__V1__ERROR_DETAIL__INIT;
		record.sequence = i;
		record.state = FAIRLEAD__V1__STATE__STATE_PREPARED;
		detail.message = pb_str("why");
		record.error = &detail;
		assert_int_equal(journal_append(journal, &record, NULL), 0);
	}
	journal_close(journal);
	assert_int_equal(file_read(folder->fd, "journal", 1 << 20, &before, NULL), 0);
	assert_true(fail_each(replay, folder) >= 5);
	assert_int_equal(file_read(folder->fd, "journal", 1 << 20, &after, NULL), 0);
	assert_int_equal(before.len, after.len);
	assert_memory_equal(before.data, after.data, before.len);
}

static int load_yaml(void *user, struct err *err)
{
	const struct folder *folder = user;
	AUTO_FREE char *path = xasprintf("%s/app.yaml", folder->path);
	struct yaml *yaml = NULL;
	int rc = yaml_load_file(path, &yaml, err);
	yaml_free(yaml);
	if (rc < 0 && strstr(err->message, "no memory"))
		err->code =
			ERR_LIMIT; /* of a file that cannot be read all is said that it is bad */
	return rc;
}

/* The file's bytes; its values are small things of our own, and libfyaml has its own memory. */
static void a_yaml_file(void **state)
{
	struct folder *folder = *state;
	AUTO(buf) struct buf text = {0};
	for (int i = 0; i < 1000; i++)
		buf_printf(&text, "key%d: [a, b, { c: d }]\n", i);
	assert_int_equal(
		file_write_atomic(folder->fd, "app.yaml", buf_bytes(&text), 0644, NULL), 0);
	assert_true(fail_each(load_yaml, folder) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message),
		cmocka_unit_test(a_manifest),
		cmocka_unit_test(a_bundle),
		cmocka_unit_test(a_command),
		cmocka_unit_test_setup_teardown(a_journal, open_folder, close_folder),
		cmocka_unit_test_setup_teardown(a_yaml_file, open_folder, close_folder),
	};
	assert(sodium_init() >= 0);
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	printf("tally allocations that failed: %lu\n", failures);
	return rc;
}
