#include "common/trust/key.h"

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/os/file.h"

#include <assert.h>
#include <errno.h>
#include <sys/stat.h>

#define SEED_PREFIX "fairlead-ed25519-seed:"
#define PUBLIC_PREFIX "ed25519:"

enum {
	BASE64_32 = 44, /* characters for 32 bytes, padded */
	FILE_MAX_SIZE = 1024,
};
static_assert(KEY_PUBLIC_SIZE == 32 && crypto_sign_SEEDBYTES == 32, "BASE64_32 is for both");
static_assert(sizeof(PUBLIC_PREFIX) + BASE64_32 <= KEY_TEXT_SIZE, "a public key fits its text");

/* Also in docs/protocol.md. The NUL that ends each is part of what is signed. */
static const char *const contexts[] = {
	[KEY_CONTEXT_LINK_INITIATOR] = "fairlead/link/initiator/v1",
	[KEY_CONTEXT_LINK_RESPONDER] = "fairlead/link/responder/v1",
	[KEY_CONTEXT_COMMAND] = "fairlead/command/v1",
	[KEY_CONTEXT_RECEIPT] = "fairlead/receipt/v1",
};
static_assert(ARRAY_LEN(contexts) == KEY_CONTEXT_COUNT, "a context without a string");

struct signing_key {
	struct public_key public;
	uint8_t secret[crypto_sign_SECRETKEYBYTES];
};

/* Memory that is locked, guarded and left out of core dumps. */
static void *secret_alloc(size_t size)
{
	void *p = sodium_malloc(size);
	if (!p)
		abort();
	return p;
}

static void cleanup_secret(char **p)
{
	sodium_free(*p);
}
#define AUTO_SECRET __attribute__((cleanup(cleanup_secret)))

/* -- making ------------------------------------------------------------------------------- */

struct signing_key *signing_key_new(void)
{
	struct signing_key *key = secret_alloc(sizeof(*key));
	crypto_sign_keypair(key->public.bytes, key->secret);
	sodium_mprotect_readonly(key);
	return key;
}

struct signing_key *signing_key_from_seed(const uint8_t seed[static crypto_sign_SEEDBYTES])
{
	struct signing_key *key = secret_alloc(sizeof(*key));
	crypto_sign_seed_keypair(key->public.bytes, key->secret, seed);
	sodium_mprotect_readonly(key);
	return key;
}

void signing_key_free(struct signing_key *key)
{
	sodium_free(key); /* zeroes first; NULL is fine */
}

void cleanup_signing_key(struct signing_key **key)
{
	signing_key_free(*key);
}

/* -- files -------------------------------------------------------------------------------- */

static int not_a_key_file(const char *path, struct err *err)
{
	err_set(err, ERR_CONFIG, "'%s' is not a key file", path);
	return err_hint(err,
		"Expected one line '" SEED_PREFIX
		"…' as written by `fairlead key new`; use that file or make a new key.");
}

/* Exactly 32 bytes from exactly 44 characters. */
static bool base64_to_32(const char *text, size_t len, uint8_t out[static 32])
{
	size_t n = 0;
	return len == BASE64_32 &&
	       sodium_base642bin(
		       out, 32, text, len, NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) == 0 &&
	       n == 32;
}

/* Only comments and empty lines may follow the seed. */
static bool only_comments(const char *text)
{
	for (; *text; text += strcspn(text, "\n"), text += *text == '\n')
		if (*text != '#' && *text != '\n')
			return false;
	return true;
}

static int parse_seed(const char *text, const char *path, struct signing_key **ret, struct err *err)
{
	size_t prefix = strlen(SEED_PREFIX), line = strcspn(text, "\n");
	if (line < prefix || memcmp(text, SEED_PREFIX, prefix) != 0)
		return not_a_key_file(path, err);
	char *seed AUTO_SECRET = secret_alloc(crypto_sign_SEEDBYTES);
	if (!base64_to_32(text + prefix, line - prefix, (uint8_t *)seed) ||
		!only_comments(text + line))
		return not_a_key_file(path, err);
	*ret = signing_key_from_seed((const uint8_t *)seed);
	return 0;
}

static int open_secret(const char *path, struct err *err)
{
	/* O_NONBLOCK: a FIFO in place of the key must not hang us before fstat sees it. */
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	if (errno == ENOENT) {
		err_errno(err, ERR_NOT_FOUND, errno, "cannot open the key '%s'", path);
		return err_hint(err, "Make one with `fairlead key new`, or name another file.");
	}
	if (errno == ELOOP) {
		err_set(err, ERR_DENIED, "the key '%s' is a symbolic link", path);
		return err_hint(err, "Name the file itself.");
	}
	return err_errno(err, errno == EACCES ? ERR_DENIED : ERR_IO, errno,
		"cannot open the key '%s'", path);
}

/* On the open file, so that what was checked is what is read. */
static int check_secret_file(int fd, const char *path, struct err *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_errno(err, ERR_IO, errno, "cannot stat the key '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_DENIED, "the key '%s' is not a plain file", path);
	if (st.st_mode & (S_IRWXG | S_IRWXO)) {
		err_set(err, ERR_DENIED, "the key '%s' is open to others (mode %04o)", path,
			(unsigned)st.st_mode & 07777);
		return err_hint(
			err, "Run `chmod 600 %s`; if others could read it, make a new key.", path);
	}
	return 0;
}

int signing_key_load(const char *path, struct signing_key **ret, struct err *err)
{
	AUTO_CLOSE int fd = open_secret(path, err);
	if (fd < 0 || check_secret_file(fd, path, err) < 0)
		return -1;
	char *text AUTO_SECRET = secret_alloc(FILE_MAX_SIZE);
	size_t len = 0;
	for (;;) {
		ssize_t n = read(fd, text + len, FILE_MAX_SIZE - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, ERR_IO, errno, "cannot read the key '%s'", path);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	/* A full buffer is a file that may go on; a NUL would end the text early. */
	if (len == FILE_MAX_SIZE || memchr(text, '\0', len))
		return not_a_key_file(path, err);
	text[len] = '\0';
	return parse_seed(text, path, ret, err);
}

static int write_secret(int fd, const struct signing_key *key, struct err *err)
{
	char *text AUTO_SECRET = secret_alloc(FILE_MAX_SIZE);
	char base64[BASE64_32 + 1], public[KEY_TEXT_SIZE];
	/* The first half of libsodium's secret key is the seed (RFC 8032). */
	sodium_bin2base64(base64, sizeof(base64), key->secret, crypto_sign_SEEDBYTES,
		sodium_base64_VARIANT_ORIGINAL);
	int n = snprintf(text, FILE_MAX_SIZE, SEED_PREFIX "%s\n# public key %s\n", base64,
		public_key_text(&key->public, public));
	sodium_memzero(base64, sizeof(base64));
	/* The mode again: a umask may have taken the owner's bits. */
	if (fchmod(fd, S_IRUSR | S_IWUSR) < 0)
		return err_errno(err, ERR_IO, errno, "cannot set the mode");
	if (fd_write_all(fd, text, (size_t)n, err) < 0)
		return -1;
	if (fsync(fd) < 0)
		return err_errno(err, ERR_IO, errno, "cannot sync");
	return 0;
}

static int sync_parent(const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *parent = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
	AUTO_CLOSE int fd = open_dir(parent, err);
	return fd < 0 ? -1 : dir_sync(fd, err);
}

int signing_key_save(const struct signing_key *key, const char *path, struct err *err)
{
	AUTO_CLOSE int fd =
		open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
	if (fd < 0 && errno == EEXIST) {
		err_set(err, ERR_EXISTS, "'%s' exists already", path);
		return err_hint(
			err, "A key is never overwritten: name another file, or move it away.");
	}
	if (fd < 0)
		return err_errno(err, errno == EACCES ? ERR_DENIED : ERR_IO, errno,
			"cannot create the key '%s'", path);
	if (write_secret(fd, key, err) < 0 || sync_parent(path, err) < 0) {
		unlink(path); /* ours: O_EXCL made it */
		return err_wrap(err, "the key '%s'", path);
	}
	return 0;
}

/* -- signatures --------------------------------------------------------------------------- */

static void with_context(struct buf *out, enum key_context context, struct bytes data)
{
	assert((unsigned)context < KEY_CONTEXT_COUNT);
	buf_append(out, contexts[context], strlen(contexts[context]) + 1);
	buf_append(out, data.data, data.len);
}

const struct public_key *signing_key_public(const struct signing_key *key)
{
	return &key->public;
}

struct signature signing_key_sign(
	const struct signing_key *key, enum key_context context, struct bytes data)
{
	AUTO(buf) struct buf message = {0};
	struct signature signature;
	with_context(&message, context, data);
	crypto_sign_detached(signature.bytes, NULL, message.data, message.len, key->secret);
	return signature;
}

bool public_key_verify(const struct public_key *key, enum key_context context, struct bytes data,
	const struct signature *signature)
{
	AUTO(buf) struct buf message = {0};
	with_context(&message, context, data);
	return crypto_sign_verify_detached(
		       signature->bytes, message.data, message.len, key->bytes) == 0;
}

/* -- public keys -------------------------------------------------------------------------- */

struct key_id public_key_id(const struct public_key *key)
{
	struct digest digest = digest_of(key->bytes, sizeof(key->bytes));
	struct key_id id;
	memcpy(id.bytes, digest.bytes, sizeof(id.bytes));
	return id;
}

bool public_key_equal(const struct public_key *a, const struct public_key *b)
{
	return sodium_memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

char *public_key_text(const struct public_key *key, char text[static KEY_TEXT_SIZE])
{
	char base64[BASE64_32 + 1];
	sodium_bin2base64(base64, sizeof(base64), key->bytes, sizeof(key->bytes),
		sodium_base64_VARIANT_ORIGINAL);
	snprintf(text, KEY_TEXT_SIZE, PUBLIC_PREFIX "%s", base64);
	return text;
}

int public_key_parse(const char *text, struct public_key *ret, struct err *err)
{
	size_t prefix = strlen(PUBLIC_PREFIX);
	struct public_key key;
	if (strncmp(text, PUBLIC_PREFIX, prefix) != 0) {
		err_set(err, ERR_CONFIG, "'%.80s' is not a public key: it does not begin with '%s'",
			text, PUBLIC_PREFIX);
		return err_hint(err, "Write the key as `fairlead key show` prints it.");
	}
	if (!base64_to_32(text + prefix, strlen(text) - prefix, key.bytes)) {
		err_set(err, ERR_CONFIG,
			"'%.80s' is not a public key: no 32 bytes in base64 after '%s'", text,
			PUBLIC_PREFIX);
		return err_hint(err, "Write the key as `fairlead key show` prints it.");
	}
	*ret = key;
	return 0;
}
