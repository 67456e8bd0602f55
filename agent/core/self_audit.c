#include "agent/core/self_audit.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/evidence/audit.h"
#include "common/os/file.h"

#include <dirent.h>
#include <errno.h>

enum { FILE_MAX = 256 * 1024 * 1024, TRIES = 100 };

struct app_name {
	char *app, *environment;
};

/* From state/app: "<app>\n<environment>\n". False: no store of ours. */
static bool read_name(int rootfd, const char *directory, struct app_name *ret)
{
	AUTO_FREE char *path = xasprintf("%s/state/app", directory);
	AUTO(buf) struct buf content = {0};
	if (file_read(rootfd, path, 256, &content, NULL) < 0)
		return false;
	AUTO_FREE char *text = xstrdup(buf_str(&content));
	char *environment = strchr(text, '\n');
	if (!environment)
		return false;
	*environment++ = '\0';
	environment[strcspn(environment, "\n")] = '\0';
	if (!text_is_name(text) || !text_is_name(environment))
		return false;
	*ret = (struct app_name){xstrdup(text), xstrdup(environment)};
	return true;
}

static int audit_files(
	struct audit *audit, int dirfd, char *const *files, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		AUTO(buf) struct buf content = {0};
		if (file_read(dirfd, files[i], FILE_MAX, &content, err) < 0)
			return -1;
		bool newest = i + 1 == count;
		audit_file(audit, files[i], buf_bytes(&content),
			newest ? AUDIT_END_MAY_BE_TORN : AUDIT_END_WHOLE);
	}
	return 0;
}

static bool same_names(char *const *a, size_t a_count, char *const *b, size_t b_count)
{
	for (size_t i = 0; i < a_count && i < b_count; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return a_count == b_count;
}

/* 1: the agent has turned a page meanwhile, so that what was read is not of one moment. */
static int try_audit(
	const struct audit_setup *setup, int dirfd, struct audit *audit, struct err *err)
{
	char **files = NULL, **after = NULL;
	size_t count = 0, after_count = 0;
	audit_init(audit, setup);
	if (journal_files(dirfd, "journal", &files, &count, err) < 0)
		return -1;
	int rc = audit_files(audit, dirfd, files, count, err);
	if (journal_files(dirfd, "journal", &after, &after_count, NULL) == 0) {
		if (!same_names(files, count, after, after_count))
			rc = 1;
		journal_files_free(after, after_count);
	}
	journal_files_free(files, count);
	return rc;
}

static int audit_app(const struct core *core, int rootfd, const char *directory,
	const struct app_name *name, FILE *out, bool *ret_bad, struct err *err)
{
	struct audit audit;
	const struct audit_setup setup = {
		.host = signing_key_public(core->host_key),
		.app = name->app,
		.environment = name->environment,
	};
	AUTO_FREE char *path = xasprintf("%s/state", directory);
	AUTO_CLOSE int dirfd = open_beneath(rootfd, path, O_RDONLY | O_DIRECTORY, 0, err);
	if (dirfd < 0)
		return -1;
	int rc = 1;
	for (int i = 0; rc == 1 && i < TRIES; i++)
		rc = try_audit(&setup, dirfd, &audit, err);
	if (rc < 0)
		return err_wrap(err, "%s/%s", name->app, name->environment);
	AUTO_FREE char *what = text_escaped(audit.finding.what);
	if (audit.finding.record)
		fprintf(out, "%s/%s: DOES NOT VERIFY at record %llu of '%s': %s\n", name->app,
			name->environment, (unsigned long long)audit.finding.record,
			audit.finding.file, what);
	else
		fprintf(out, "%s/%s: verified, records %llu to %llu, %llu receipts\n", name->app,
			name->environment, (unsigned long long)audit.first,
			(unsigned long long)audit.chain.number, (unsigned long long)audit.receipts);
	*ret_bad = *ret_bad || audit.finding.record;
	return 0;
}

static int audit_all(const struct core *core, DIR *dir, FILE *out, bool *ret_bad, struct err *err)
{
	errno = 0;
	for (struct dirent *entry; (entry = readdir(dir)); errno = 0) {
		struct app_name name;
		if (entry->d_name[0] == '.' || !read_name(dirfd(dir), entry->d_name, &name))
			continue;
		int rc = audit_app(core, dirfd(dir), entry->d_name, &name, out, ret_bad, err);
		free(name.app);
		free(name.environment);
		if (rc < 0)
			return -1;
	}
	return errno ? err_errno(err, ERR_IO, errno, "cannot list '%s'", core->config.root) : 0;
}

int self_audit(const struct core *core, FILE *out, struct err *err)
{
	bool bad = false;
	DIR *dir = opendir(core->config.root);
	if (!dir && errno == ENOENT)
		return 0;
	if (!dir)
		return err_errno(err, ERR_IO, errno, "cannot list '%s'", core->config.root);
	int rc = audit_all(core, dir, out, &bad, err);
	closedir(dir);
	if (rc == 0 && bad) {
		err_set(err, ERR_CORRUPT, "the evidence of this host does not verify");
		return err_hint(err, "docs/journal.md says what to do.");
	}
	return rc;
}
