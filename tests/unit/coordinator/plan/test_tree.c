/* Trees of real repositories, made with libgit2 below a temporary directory. */
#include "common/base/mem.h"
#include "common/os/file.h"
#include "coordinator/plan/base.h"
#include "coordinator/plan/tree.h"

#include <git2.h>
#include <setjmp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cmocka.h>

struct sandbox {
	char dir[32];
	git_repository *git;
};

static int setup(void **state)
{
	struct sandbox *sandbox = xcalloc(1, sizeof(*sandbox));
	snprintf(sandbox->dir, sizeof(sandbox->dir), "/tmp/fairlead-tree-XXXXXX");
	assert_non_null(mkdtemp(sandbox->dir));
	git_libgit2_init();
	git_libgit2_opts(GIT_OPT_ENABLE_STRICT_OBJECT_CREATION, 0);
	assert_int_equal(git_repository_init(&sandbox->git, sandbox->dir, 0), 0);
	*state = sandbox;
	return 0;
}

static int teardown(void **state)
{
	struct sandbox *sandbox = *state;
	git_repository_free(sandbox->git);
	git_libgit2_shutdown();
	tree_remove(AT_FDCWD, sandbox->dir, NULL);
	free(sandbox);
	return 0;
}

struct file {
	const char *path, *content;
	unsigned mode;
};

static char *in(const struct sandbox *sandbox, const char *path)
{
	return xasprintf("%s/%s", sandbox->dir, path);
}

static git_oid write_tree(git_repository *git, const struct file *files, size_t count)
{
	git_index *index = NULL;
	git_oid id;
	assert_int_equal(git_index_new(&index), 0);
	for (size_t i = 0; i < count; i++) {
		git_index_entry entry = {.mode = files[i].mode, .path = files[i].path};
		if (files[i].mode == GIT_FILEMODE_COMMIT)
			git_oid_fromstr(&entry.id, "1111111111111111111111111111111111111111");
		else
			assert_int_equal(git_blob_create_from_buffer(&entry.id, git,
						 files[i].content, strlen(files[i].content)),
				0);
		assert_int_equal(git_index_add(index, &entry), 0);
	}
	assert_int_equal(git_index_write_tree_to(&id, index, git), 0);
	git_index_free(index);
	return id;
}

/* A commit on HEAD; the working tree is left alone. */
static git_oid commit_tree_id(git_repository *git, const git_oid *tree_id)
{
	git_oid id, parent_id;
	git_tree *tree = NULL;
	git_commit *parent = NULL;
	git_signature *who = NULL;
	assert_int_equal(git_signature_new(&who, "T", "t@example.org", 1700000000, 0), 0);
	assert_int_equal(git_tree_lookup(&tree, git, tree_id), 0);
	if (git_reference_name_to_id(&parent_id, git, "HEAD") == 0)
		assert_int_equal(git_commit_lookup(&parent, git, &parent_id), 0);
	const git_commit *parents[] = {parent};
	assert_int_equal(git_commit_create(&id, git, "HEAD", who, who, NULL, "m", tree,
				 parent ? 1 : 0, parents),
		0);
	git_commit_free(parent);
	git_tree_free(tree);
	git_signature_free(who);
	return id;
}

static char *commit(git_repository *git, const struct file *files, size_t count)
{
	git_oid tree = write_tree(git, files, count);
	git_oid id = commit_tree_id(git, &tree);
	char *hex = xcalloc(1, COMMIT_HEX_SIZE);
	git_oid_tostr(hex, COMMIT_HEX_SIZE, &id);
	return hex;
}

#define COMMIT(git, ...)                                                                           \
	commit((git), (const struct file[]){__VA_ARGS__},                                          \
		sizeof((const struct file[]){__VA_ARGS__}) / sizeof(struct file))

static struct repo *open_repo(const char *dir)
{
	struct repo *repo = NULL;
	struct err err = ERR_INIT;
	if (repo_open(dir, &repo, &err) < 0)
		fail_msg("%s", err.message);
	return repo;
}

static struct tree read_commit(struct repo *repo, const char *hex)
{
	struct tree tree = {0};
	struct err err = ERR_INIT;
	if (tree_from_commit(repo, hex, &tree, &err) < 0)
		fail_msg("%s", err.message);
	return tree;
}

static void assert_content(
	const struct tree *tree, const char *path, unsigned mode, const char *content)
{
	const struct manifest_entry *entry = manifest_find(&tree->manifest, path);
	if (!entry)
		fail_msg("'%s' is not there", path);
	struct digest digest = digest_of(content, strlen(content));
	assert_int_equal(entry->mode, mode);
	assert_int_equal(entry->size, strlen(content));
	assert_true(digest_equal(&entry->digest, &digest));
	AUTO(buf) struct buf got = {0};
	assert_int_equal(tree->source.fetch(tree->source.user, entry, &got, NULL), 0);
	assert_int_equal(got.len, strlen(content));
	assert_memory_equal(got.data, content, got.len);
}

static void a_commit_is_read_byte_for_byte(void **state)
{
	struct sandbox *s = *state;
	AUTO_FREE char *hex = COMMIT(s->git,
		{"bin/run", "#!/bin/sh\n", GIT_FILEMODE_BLOB_EXECUTABLE},
		{"crlf.txt", "a\r\nb\r\n", GIT_FILEMODE_BLOB},
		{".gitattributes", "* text=auto eol=lf\n*.txt export-ignore\n", GIT_FILEMODE_BLOB},
		{"empty", "", GIT_FILEMODE_BLOB}, {"bad\xff name\n", "x", GIT_FILEMODE_BLOB},
		{"bin/link", "../empty", GIT_FILEMODE_LINK}, {"a.b", "1", GIT_FILEMODE_BLOB},
		{"a/b", "2", GIT_FILEMODE_BLOB}, {"a0", "3", GIT_FILEMODE_BLOB});
	struct repo *repo = open_repo(s->dir);
	/* Cold, then from the cache, then by a new process. */
	for (int round = 0; round < 3; round++) {
		struct tree tree = read_commit(repo, hex);
		assert_int_equal(tree.manifest.count, 9);
		assert_string_equal(tree.label, hex);
		assert_content(&tree, "bin/run", MANIFEST_EXEC, "#!/bin/sh\n");
		assert_content(&tree, "crlf.txt", MANIFEST_FILE, "a\r\nb\r\n");
		assert_content(&tree, "empty", MANIFEST_FILE, "");
		assert_content(&tree, "bad\xff name\n", MANIFEST_FILE, "x");
		assert_content(&tree, "bin/link", MANIFEST_LINK, "../empty");
		assert_content(&tree, "a/b", MANIFEST_FILE, "2");
		const struct manifest_entry absent = {.path = "nowhere"};
		AUTO(buf) struct buf got = {0};
		struct err err = ERR_INIT;
		assert_int_equal(tree.source.fetch(tree.source.user, &absent, &got, &err), -1);
		assert_int_equal(err.code, ERR_NOT_FOUND);
		tree_release(&tree);
		if (round == 1) {
			repo_free(repo);
			repo = open_repo(s->dir);
		}
	}
	repo_free(repo);
}

static void a_damaged_cache_is_replaced(void **state)
{
	struct sandbox *s = *state;
	AUTO_FREE char *hex =
		COMMIT(s->git, {"a", "1", GIT_FILEMODE_BLOB}, {"b", "2", GIT_FILEMODE_BLOB});
	AUTO_FREE char *path = in(s, ".git/fairlead/blobs");
	struct repo *repo = open_repo(s->dir);
	struct tree tree = read_commit(repo, hex);
	tree_release(&tree);
	repo_free(repo);
	AUTO(buf) struct buf good = {0};
	assert_int_equal(file_read(AT_FDCWD, path, 1 << 20, &good, NULL), 0);

	for (size_t i = 0; i < good.len + 2; i++) {
		/* Each byte altered in turn, then cut, then longer. */
		AUTO(buf) struct buf bad = {0};
		buf_append(&bad, good.data, good.len);
		if (i < good.len)
			bad.data[i] ^= 1;
		else if (i == good.len)
			bad.len = 20;
		else
			buf_append(&bad, "x", 1);
		assert_int_equal(file_write_atomic(AT_FDCWD, path, buf_bytes(&bad), 0644, NULL), 0);
		repo = open_repo(s->dir);
		tree = read_commit(repo, hex);
		assert_content(&tree, "a", MANIFEST_FILE, "1");
		assert_content(&tree, "b", MANIFEST_FILE, "2");
		tree_release(&tree);
		repo_free(repo);
		AUTO(buf) struct buf now = {0};
		assert_int_equal(file_read(AT_FDCWD, path, 1 << 20, &now, NULL), 0);
		assert_int_equal(now.len, good.len);
		assert_memory_equal(now.data, good.data, good.len);
	}
}

static void the_cache_grows_by_what_is_new(void **state)
{
	struct sandbox *s = *state;
	AUTO_FREE char *one =
		COMMIT(s->git, {"a", "1", GIT_FILEMODE_BLOB}, {"a2", "1", GIT_FILEMODE_BLOB});
	AUTO_FREE char *two = COMMIT(s->git, {"a", "1", GIT_FILEMODE_BLOB},
		{"b", "2", GIT_FILEMODE_BLOB}, {"c", "3", GIT_FILEMODE_BLOB});
	AUTO_FREE char *path = in(s, ".git/fairlead/blobs");
	struct repo *repo = open_repo(s->dir);
	const char *const order[] = {one, two, one};
	const size_t records[] = {1, 3, 3};
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		struct tree tree = read_commit(repo, order[i]);
		assert_content(&tree, "a", MANIFEST_FILE, "1");
		tree_release(&tree);
		struct stat st;
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_size, 16 + records[i] * 60 + 32);
	}
	repo_free(repo);
}

static void assert_refused(struct sandbox *s, const char *hex, enum err_code code, const char *part)
{
	struct repo *repo = open_repo(s->dir);
	struct tree tree = {0};
	struct err err = ERR_INIT;
	assert_int_equal(tree_from_commit(repo, hex, &tree, &err), -1);
	if (err.code != code || !strstr(err.message, part))
		fail_msg("%s: %s", err_code_name(err.code), err.message);
	repo_free(repo);
}

static void what_cannot_be_deployed_is_named(void **state)
{
	struct sandbox *s = *state;
	AUTO_FREE char *submodule = COMMIT(
		s->git, {"a", "1", GIT_FILEMODE_BLOB}, {"vendor/lib", "", GIT_FILEMODE_COMMIT});
	assert_refused(s, submodule, ERR_CONFIG, "'vendor/lib' is a submodule");
	AUTO_FREE char *lfs = COMMIT(s->git,
		{"model.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
			GIT_FILEMODE_BLOB});
	assert_refused(s, lfs, ERR_CONFIG, "'model.bin' is a Git LFS pointer");
	assert_refused(s, lfs, ERR_CONFIG, "'model.bin' is a Git LFS pointer"); /* still */

	static const char *const targets[] = {"/etc/passwd", "../x", "a/../../x"};
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		AUTO_FREE char *link = COMMIT(s->git, {"evil", targets[i], GIT_FILEMODE_LINK});
		struct repo *repo = open_repo(s->dir);
		struct tree tree = {0};
		struct err err = ERR_INIT;
		assert_int_equal(tree_from_commit(repo, link, &tree, &err), -1);
		assert_non_null(strstr(err.message, "evil"));
		repo_free(repo);
	}
	assert_refused(s, "2222222222222222222222222222222222222222", ERR_NOT_FOUND, "2222222");
}

static void a_missing_blob_is_named(void **state)
{
	struct sandbox *s = *state;
	AUTO_FREE char *hex = COMMIT(s->git, {"dir/lost", "precious", GIT_FILEMODE_BLOB});
	git_oid id;
	char blob[GIT_OID_HEXSZ + 1];
	assert_int_equal(git_odb_hash(&id, "precious", 8, GIT_OBJECT_BLOB), 0);
	git_oid_tostr(blob, sizeof(blob), &id);
	AUTO_FREE char *path = xasprintf("%s/.git/objects/%.2s/%s", s->dir, blob, blob + 2);
	assert_int_equal(unlink(path), 0);
	assert_refused(s, hex, ERR_CORRUPT, "'dir/lost'");
}

static void repositories_that_are_none(void **state)
{
	struct sandbox *s = *state;
	char outside[] = "/tmp/fairlead-none-XXXXXX";
	assert_non_null(mkdtemp(outside));
	struct repo *repo = NULL;
	struct err err = ERR_INIT;
	assert_int_equal(repo_open(outside, &repo, &err), -1);
	assert_int_equal(err.code, ERR_CONFIG);
	assert_non_null(strstr(err.message, "not in a git repository"));
	assert_int_equal(rmdir(outside), 0);

	char hex[COMMIT_HEX_SIZE];
	repo = open_repo(s->dir);
	assert_int_equal(repo_resolve(repo, NULL, hex, &err), -1);
	assert_int_equal(err.code, ERR_CONFIG);
	assert_non_null(strstr(err.message, "no commit yet"));
	assert_int_equal(repo_dirty(repo, NULL, &err), 0);
	repo_free(repo);
}

static void revisions_resolve(void **state)
{
	struct sandbox *s = *state;
	AUTO_FREE char *one = COMMIT(s->git, {"a", "1", GIT_FILEMODE_BLOB});
	AUTO_FREE char *two = COMMIT(s->git, {"a", "2", GIT_FILEMODE_BLOB});
	AUTO_FREE char *sub = in(s, "sub");
	assert_int_equal(mkdir(sub, 0755), 0);
	struct repo *repo = open_repo(sub); /* discovers upwards */
	char hex[COMMIT_HEX_SIZE];
	struct err err = ERR_INIT;
	const char *const revisions[][2] = {
		{NULL, two}, {"HEAD", two}, {"HEAD~1", one}, {one, one}};
	for (size_t i = 0; i < ARRAY_LEN(revisions); i++) {
		assert_int_equal(repo_resolve(repo, revisions[i][0], hex, &err), 0);
		assert_string_equal(hex, revisions[i][1]);
	}
	assert_int_equal(repo_resolve(repo, "nowhere", hex, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_true(err.hint[0]);
	assert_int_equal(repo_resolve(repo, "HEAD~7", hex, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_int_equal(repo_resolve(repo, "a..b~^{", hex, &err), -1);
	assert_int_equal(repo_resolve(repo, "HEAD:a", hex, &err), -1); /* a blob */
	assert_true(repo_has_commit(repo, one));
	assert_false(repo_has_commit(repo, "dir-0123456789ab"));
	assert_false(repo_has_commit(repo, ""));
	assert_false(repo_has_commit(repo, "3333333333333333333333333333333333333333"));
	assert_false(repo_is_shallow(repo));
	repo_free(repo);
}

/* What `git clone --depth 1` leaves: the parent is not there, and .git/shallow says so. */
static void make_shallow(struct sandbox *s, const char *edge, const char *lost)
{
	AUTO_FREE char *shallow = in(s, ".git/shallow");
	AUTO_FREE char *line = xasprintf("%s\n", edge);
	AUTO_FREE char *object = xasprintf("%s/.git/objects/%.2s/%s", s->dir, lost, lost + 2);
	assert_int_equal(file_write_atomic(AT_FDCWD, shallow, BYTES_STR(line), 0644, NULL), 0);
	assert_int_equal(unlink(object), 0);
}

static void the_base_is_found_or_said_to_be_unknown(void **state)
{
	struct sandbox *s = *state;
	AUTO_FREE char *one = COMMIT(s->git, {"a", "1", GIT_FILEMODE_BLOB});
	AUTO_FREE char *two = COMMIT(s->git, {"a", "2", GIT_FILEMODE_BLOB});
	struct repo *repo = open_repo(s->dir);
	struct tree tree = read_commit(repo, one), base = {0};
	struct digest digest = tree.manifest.digest, other = digest_of("x", 1), none = {{0}};
	tree_release(&tree);

	char *why = NULL;
	assert_int_equal(base_find(repo, one, &digest, &base, &why), PLAN_BASE_KNOWN);
	assert_true(digest_equal(&base.manifest.digest, &digest));
	tree_release(&base);
	assert_int_equal(base_find(repo, "", &none, &base, &why), PLAN_BASE_FIRST);
	assert_null(why);

	assert_int_equal(base_find(repo, one, &other, &base, &why), PLAN_BASE_UNKNOWN);
	assert_non_null(strstr(why, "is not the tree of that commit"));
	free(TAKE(why));
	assert_int_equal(base_find(repo, "dir-0123", &digest, &base, &why), PLAN_BASE_UNKNOWN);
	assert_non_null(strstr(why, "from a folder"));
	free(TAKE(why));
	assert_int_equal(base_find(NULL, one, &digest, &base, &why), PLAN_BASE_UNKNOWN);
	free(TAKE(why));
	const char *gone = "4444444444444444444444444444444444444444";
	assert_int_equal(base_find(repo, gone, &digest, &base, &why), PLAN_BASE_UNKNOWN);
	assert_non_null(strstr(why, "force-push"));
	assert_non_null(strstr(why, "444444444444"));
	free(TAKE(why));
	repo_free(repo);

	make_shallow(s, two, one);
	repo = open_repo(s->dir);
	assert_true(repo_is_shallow(repo));
	assert_int_equal(base_find(repo, one, &digest, &base, &why), PLAN_BASE_UNKNOWN);
	assert_non_null(strstr(why, "git fetch --unshallow"));
	free(TAKE(why));
	struct err err = ERR_INIT;
	char hex[COMMIT_HEX_SIZE];
	assert_int_equal(repo_resolve(repo, "HEAD~1", hex, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_non_null(strstr(err.hint, "unshallow"));
	repo_free(repo);
}

static void write_file(const struct sandbox *s, const char *path, const char *content, mode_t mode)
{
	AUTO_FREE char *full = in(s, path);
	assert_int_equal(file_write_atomic(AT_FDCWD, full, BYTES_STR(content), mode, NULL), 0);
}

static void dirty_means_tracked_files(void **state)
{
	struct sandbox *s = *state;
	free(COMMIT(s->git, {"a", "1\n", GIT_FILEMODE_BLOB}));
	git_checkout_options options;
	git_checkout_options_init(&options, GIT_CHECKOUT_OPTIONS_VERSION);
	options.checkout_strategy = GIT_CHECKOUT_FORCE;
	assert_int_equal(git_checkout_head(s->git, &options), 0);
	struct repo *repo = open_repo(s->dir);
	struct err err = ERR_INIT;
	char *example = NULL;
	assert_int_equal(repo_dirty(repo, &example, &err), 0);
	write_file(s, "untracked", "x", 0644);
	assert_int_equal(repo_dirty(repo, &example, &err), 0);
	assert_null(example);
	write_file(s, "a", "2\n", 0644);
	assert_true(repo_dirty(repo, &example, &err) > 0);
	assert_string_equal(example, "a");
	free(TAKE(example));
	assert_true(repo_dirty(repo, NULL, &err) > 0);
	write_file(s, "a", "1\n", 0644);
	assert_int_equal(repo_dirty(repo, NULL, &err), 0);

	/* Staged, and not committed. */
	git_index *index = NULL;
	assert_int_equal(git_repository_index(&index, s->git), 0);
	assert_int_equal(git_index_add_bypath(index, "untracked"), 0);
	assert_int_equal(git_index_write(index), 0);
	git_index_free(index);
	repo_free(repo);
	repo = open_repo(s->dir);
	assert_true(repo_dirty(repo, &example, &err) > 0);
	assert_string_equal(example, "untracked");
	free(example);
	repo_free(repo);
}

static void a_bare_repository_will_do(void **state)
{
	struct sandbox *s = *state;
	AUTO_FREE char *dir = in(s, "bare");
	git_repository *git = NULL;
	assert_int_equal(git_repository_init(&git, dir, 1), 0);
	AUTO_FREE char *hex = COMMIT(git, {"a", "1", GIT_FILEMODE_BLOB});
	git_repository_free(git);
	struct repo *repo = open_repo(dir);
	struct tree tree = read_commit(repo, hex);
	assert_content(&tree, "a", MANIFEST_FILE, "1");
	assert_int_equal(repo_dirty(repo, NULL, NULL), 0);
	tree_release(&tree);
	repo_free(repo);
}

static void a_folder_is_the_same_tree_as_its_commit(void **state)
{
	struct sandbox *s = *state;
	AUTO_FREE char *hex =
		COMMIT(s->git, {"bin/run", "#!/bin/sh\n", GIT_FILEMODE_BLOB_EXECUTABLE},
			{"bin/link", "run", GIT_FILEMODE_LINK}, {"empty", "", GIT_FILEMODE_BLOB},
			{"z\xfe", "x", GIT_FILEMODE_BLOB});
	AUTO_FREE char *bin = in(s, "bin"), *link = in(s, "bin/link"), *hollow = in(s, "hollow");
	assert_int_equal(mkdir(bin, 0755), 0);
	assert_int_equal(mkdir(hollow, 0755), 0); /* empty: not part of a tree */
	write_file(s, "bin/run", "#!/bin/sh\n", 0750);
	assert_int_equal(symlink("run", link), 0);
	write_file(s, "empty", "", 0600);
	write_file(s, "z\xfe", "x", 0644);

	struct repo *repo = open_repo(s->dir);
	struct tree git = read_commit(repo, hex), folder = {0};
	struct err err = ERR_INIT;
	if (tree_from_folder(s->dir, &folder, &err) < 0)
		fail_msg("%s", err.message);
	assert_true(digest_equal(&git.manifest.digest, &folder.manifest.digest));
	assert_int_equal(strncmp(folder.label, "dir-", 4), 0);
	assert_int_equal(strlen(folder.label), 16);
	assert_content(&folder, "bin/run", MANIFEST_EXEC, "#!/bin/sh\n");
	assert_content(&folder, "bin/link", MANIFEST_LINK, "run");

	/* A file that changes after it was hashed is not sent. */
	AUTO(buf) struct buf got = {0};
	write_file(s, "z\xfe", "y", 0644);
	assert_int_equal(folder.source.fetch(folder.source.user,
				 manifest_find(&folder.manifest, "z\xfe"), &got, &err),
		-1);
	assert_int_equal(err.code, ERR_CORRUPT);
	tree_release(&folder);
	tree_release(&git);
	repo_free(repo);
}

static void assert_folder_refused(const struct sandbox *s, const char *part)
{
	struct tree tree = {0};
	struct err err = ERR_INIT;
	assert_int_equal(tree_from_folder(s->dir, &tree, &err), -1);
	if (!strstr(err.message, part))
		fail_msg("%s", err.message);
}

static void folders_with_special_files_are_refused(void **state)
{
	struct sandbox *s = *state;
	AUTO_FREE char *sub = in(s, "sub"), *path = in(s, "sub/odd");
	assert_int_equal(mkdir(sub, 0755), 0);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_folder_refused(s, "sub/odd' is a pipe");
	unlink(path);

	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_folder_refused(s, "sub/odd' is a socket");
	unlink(path);

	assert_int_equal(symlink("../../outside", path), 0);
	assert_folder_refused(s, "sub/odd");
	unlink(path);

	struct tree tree = {0};
	struct err err = ERR_INIT;
	assert_int_equal(tree_from_folder(path, &tree, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	if (geteuid() == 0) /* root reads everything */
		return;
	write_file(s, "sub/odd", "secret", 0);
	assert_folder_refused(s, "sub/odd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(a_commit_is_read_byte_for_byte),
		TEST(a_damaged_cache_is_replaced),
		TEST(the_cache_grows_by_what_is_new),
		TEST(what_cannot_be_deployed_is_named),
		TEST(a_missing_blob_is_named),
		TEST(repositories_that_are_none),
		TEST(revisions_resolve),
		TEST(the_base_is_found_or_said_to_be_unknown),
		TEST(dirty_means_tracked_files),
		TEST(a_bare_repository_will_do),
		TEST(a_folder_is_the_same_tree_as_its_commit),
		TEST(folders_with_special_files_are_refused),
	};
	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
