#include "common/base/mem.h"
#include "common/os/file.h"
#include "common/trust/key.h"

#include <setjmp.h>
#include <sys/stat.h>

#include <cmocka.h>

struct place {
	char dir[64];
	char path[96];
};

static int make_place(void **state)
{
	struct place *place = xcalloc(1, sizeof(*place));
	snprintf(place->dir, sizeof(place->dir), "/tmp/fairlead-key-XXXXXX");
	if (!mkdtemp(place->dir))
		return -1;
	snprintf(place->path, sizeof(place->path), "%s/key", place->dir);
	*state = place;
	return 0;
}

static int remove_place(void **state)
{
	struct place *place = *state;
	tree_remove(AT_FDCWD, place->dir, NULL);
	free(place);
	return 0;
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	unlink(path);
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text), NULL), 0);
	assert_int_equal(fchmod(fd, mode), 0);
}

static enum err_code load_error(const char *path)
{
	struct err err = ERR_INIT;
	AUTO_SIGNING_KEY struct signing_key *key = NULL;
	if (signing_key_load(path, &key, &err) == 0)
		return ERR_NONE;
	assert_null(key);
	assert_true(err.message[0] != '\0');
	return err.code;
}

static void a_saved_key_is_loaded(void **state)
{
	struct place *place = *state;
	AUTO_SIGNING_KEY struct signing_key *key = signing_key_new(), *again = NULL;
	struct err err = ERR_INIT;
	mode_t old = umask(0777);
	int rc = signing_key_save(key, place->path, &err);
	umask(old);
	assert_int_equal(rc, 0);
	struct stat st;
	assert_int_equal(stat(place->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(signing_key_load(place->path, &again, &err), 0);
	assert_true(public_key_equal(signing_key_public(key), signing_key_public(again)));
	struct signature a = signing_key_sign(key, KEY_CONTEXT_COMMAND, BYTES_STR("x"));
	struct signature b = signing_key_sign(again, KEY_CONTEXT_COMMAND, BYTES_STR("x"));
	assert_memory_equal(a.bytes, b.bytes, sizeof(a.bytes));
}

static void a_key_is_never_overwritten(void **state)
{
	struct place *place = *state;
	AUTO_SIGNING_KEY struct signing_key *key = signing_key_new();
	struct err err = ERR_INIT;
	write_file(place->path, "precious", 0600);
	assert_int_equal(signing_key_save(key, place->path, &err), -1);
	assert_int_equal(err.code, ERR_EXISTS);
	AUTO(buf) struct buf content = {0};
	assert_int_equal(file_read(AT_FDCWD, place->path, 100, &content, &err), 0);
	assert_string_equal(buf_str(&content), "precious");
}

static void only_private_plain_files_are_read(void **state)
{
	struct place *place = *state;
	static const mode_t refused[] = {0640, 0604, 0610, 0601, 0660, 0606, 0644, 0620, 0602};
	AUTO_SIGNING_KEY struct signing_key *key = signing_key_new();
	assert_int_equal(signing_key_save(key, place->path, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		assert_int_equal(chmod(place->path, refused[i]), 0);
		assert_int_equal(load_error(place->path), ERR_DENIED);
	}
	assert_int_equal(chmod(place->path, 0400), 0);
	assert_int_equal(load_error(place->path), ERR_NONE);

	char other[128];
	snprintf(other, sizeof(other), "%s/link", place->dir);
	assert_int_equal(symlink(place->path, other), 0);
	assert_int_equal(load_error(other), ERR_DENIED);
	snprintf(other, sizeof(other), "%s/fifo", place->dir);
	assert_int_equal(mkfifo(other, 0600), 0);
	assert_int_equal(load_error(other), ERR_DENIED);
	assert_int_equal(load_error(place->dir), ERR_DENIED);
	snprintf(other, sizeof(other), "%s/none", place->dir);
	assert_int_equal(load_error(other), ERR_NOT_FOUND);
}

#define SEED "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="

static void only_a_key_file_is_a_key(void **state)
{
	struct place *place = *state;
	static const char *const refused[] = {
		"",
		"\n",
		"fairlead-ed25519-seed:",
		"ed25519:" SEED "\n",
		"fairlead-ed25519-seed: " SEED "\n",
		"fairlead-ed25519-seed:" SEED " \n",
		"fairlead-ed25519-seed:" SEED "\nmore\n",
		"# first\nfairlead-ed25519-seed:" SEED "\n",
		"fairlead-ed25519-seed:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHy==\n",
		"fairlead-ed25519-seed:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAA\n",
		"fairlead-ed25519-seed:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHy-=\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		write_file(place->path, refused[i], 0600);
		assert_int_equal(load_error(place->path), ERR_CONFIG);
	}
	write_file(place->path, "fairlead-ed25519-seed:" SEED "\n# a comment\n\n# another", 0600);
	assert_int_equal(load_error(place->path), ERR_NONE);
	AUTO_FREE char *large = xasprintf("fairlead-ed25519-seed:" SEED "\n#%01000d\n", 0);
	write_file(place->path, large, 0600);
	assert_int_equal(load_error(place->path), ERR_CONFIG);
}

/* RFC 8032 7.1 test 1, for the public key of a seed. */
static void keys_are_those_of_rfc_8032(void **state)
{
	(void)state;
	uint8_t seed[crypto_sign_SEEDBYTES];
	struct public_key expected;
	sodium_hex2bin(seed, sizeof(seed),
		"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", 64, NULL, NULL,
		NULL);
	sodium_hex2bin(expected.bytes, sizeof(expected.bytes),
		"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", 64, NULL, NULL,
		NULL);
	AUTO_SIGNING_KEY struct signing_key *key = signing_key_from_seed(seed);
	assert_true(public_key_equal(signing_key_public(key), &expected));
}

static void a_signature_serves_one_purpose(void **state)
{
	(void)state;
	AUTO_SIGNING_KEY struct signing_key *key = signing_key_new(), *other = signing_key_new();
	const struct public_key *public = signing_key_public(key);
	for (int made = 0; made < KEY_CONTEXT_COUNT; made++) {
		struct signature signature =
			signing_key_sign(key, (enum key_context)made, BYTES_STR("data"));
		for (int used = 0; used < KEY_CONTEXT_COUNT; used++)
			assert_int_equal(public_key_verify(public, (enum key_context)used,
						 BYTES_STR("data"), &signature),
				made == used);
		assert_false(public_key_verify(
			public, (enum key_context)made, BYTES_STR("Data"), &signature));
		assert_false(public_key_verify(signing_key_public(other), (enum key_context)made,
			BYTES_STR("data"), &signature));
	}
	struct signature empty = signing_key_sign(key, KEY_CONTEXT_COMMAND, BYTES(NULL, 0));
	assert_true(public_key_verify(public, KEY_CONTEXT_COMMAND, BYTES(NULL, 0), &empty));
}

static void public_keys_are_written_and_read(void **state)
{
	(void)state;
	AUTO_SIGNING_KEY struct signing_key *key = signing_key_new();
	char text[KEY_TEXT_SIZE];
	struct public_key again;
	public_key_text(signing_key_public(key), text);
	assert_int_equal(strlen(text), strlen("ed25519:") + 44);
	assert_int_equal(public_key_parse(text, &again, NULL), 0);
	assert_true(public_key_equal(signing_key_public(key), &again));

	static const char *const refused[] = {"", "ed25519:", SEED, "ed25519:" SEED "=",
		"ed25519:" SEED "\n", " ed25519:" SEED, "ED25519:" SEED, "ed25519:…",
		"ed25519:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyB="};
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct err err = ERR_INIT;
		assert_int_equal(public_key_parse(refused[i], &again, &err), -1);
		assert_int_equal(err.code, ERR_CONFIG);
		assert_true(err.hint[0] != '\0');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_saved_key_is_loaded, make_place, remove_place),
		cmocka_unit_test_setup_teardown(
			a_key_is_never_overwritten, make_place, remove_place),
		cmocka_unit_test_setup_teardown(
			only_private_plain_files_are_read, make_place, remove_place),
		cmocka_unit_test_setup_teardown(only_a_key_file_is_a_key, make_place, remove_place),
		cmocka_unit_test(keys_are_those_of_rfc_8032),
		cmocka_unit_test(a_signature_serves_one_purpose),
		cmocka_unit_test(public_keys_are_written_and_read),
	};
	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
