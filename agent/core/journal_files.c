#include "agent/core/journal_files.h"

#include "common/base/mem.h"
#include "common/os/file.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

char *journal_new_name(const char *name)
{
	return xasprintf("%s.new", name);
}

char *journal_old_name(const char *name, uint64_t number)
{
	return xasprintf("%s.%06" PRIu64, name, number);
}

uint64_t journal_old_number(const char *name, const char *file)
{
	size_t len = strlen(name);
	if (strncmp(file, name, len) != 0 || file[len] != '.')
		return 0;
	const char *digits = file + len + 1;
	size_t count = strspn(digits, "0123456789");
	if (count < 6 || count > 18 || digits[count])
		return 0;
	return strtoull(digits, NULL, 10);
}

struct numbers {
	uint64_t *list;
	size_t count;
};

static int ascending(const void *a, const void *b)
{
	uint64_t x, y;
	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

static int list_old(int dirfd, const char *name, struct numbers *ret, struct err *err)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		int errnum = errno;
		if (fd >= 0)
			close(fd);
		return err_errno(err, ERR_IO, errnum, "cannot list the journal's directory");
	}
	errno = 0;
	for (struct dirent *entry; (entry = readdir(dir)); errno = 0) {
		uint64_t number = journal_old_number(name, entry->d_name);
		if (!number)
			continue;
		ret->list = xrealloc(ret->list, (ret->count + 1) * sizeof(*ret->list));
		ret->list[ret->count++] = number;
	}
	int errnum = errno; /* an error is not the end of the list */
	closedir(dir);
	if (errnum)
		return err_errno(err, ERR_IO, errnum, "cannot list the journal's directory");
	if (ret->count)
		qsort(ret->list, ret->count, sizeof(*ret->list), ascending);
	return 0;
}

bool journal_has_old(int dirfd, const char *name)
{
	struct numbers numbers = {0};
	bool has = list_old(dirfd, name, &numbers, NULL) < 0 || numbers.count > 0;
	free(numbers.list);
	return has;
}

int journal_files(int dirfd, const char *name, char ***ret, size_t *ret_count, struct err *err)
{
	struct numbers numbers = {0};
	if (list_old(dirfd, name, &numbers, err) < 0) {
		free(numbers.list);
		return -1;
	}
	char **files = xcalloc(numbers.count + 1, sizeof(*files));
	for (size_t i = 0; i < numbers.count; i++)
		files[i] = journal_old_name(name, numbers.list[i]);
	files[numbers.count] = xstrdup(name);
	*ret = files;
	*ret_count = numbers.count + 1;
	free(numbers.list);
	return 0;
}

void journal_files_free(char **files, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(files[i]);
	free(files);
}

static bool same_file(int dirfd, const char *a, const char *b)
{
	struct stat x, y;
	return fstatat(dirfd, a, &x, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(dirfd, b, &y, AT_SYMLINK_NOFOLLOW) == 0 && x.st_ino == y.st_ino &&
	       x.st_dev == y.st_dev;
}

static int remove_file(int dirfd, const char *file, struct err *err)
{
	if (unlinkat(dirfd, file, 0) < 0 && errno != ENOENT)
		return err_errno(err, ERR_IO, errno, "cannot remove '%s'", file);
	return 0;
}

int journal_undo_turn(int dirfd, const char *name, struct err *err)
{
	struct numbers numbers = {0};
	AUTO_FREE char *new = journal_new_name(name);
	int rc = list_old(dirfd, name, &numbers, err);
	if (rc == 0 && numbers.count > 0) {
		AUTO_FREE char *old = journal_old_name(name, numbers.list[numbers.count - 1]);
		if (same_file(dirfd, name, old))
			rc = remove_file(dirfd, old, err);
	}
	free(numbers.list);
	return rc == 0 ? remove_file(dirfd, new, err) : -1;
}

void journal_files_prune(int dirfd, const char *name, unsigned keep)
{
	struct numbers numbers = {0};
	if (list_old(dirfd, name, &numbers, NULL) == 0)
		for (size_t i = 0; i + keep < numbers.count; i++) {
			AUTO_FREE char *file = journal_old_name(name, numbers.list[i]);
			/* Never a gap, whatever a power loss forgets: one is gone for good before
			 * the next. */
			if (remove_file(dirfd, file, NULL) < 0 ||
				(i + 1 + keep < numbers.count && dir_sync(dirfd, NULL) < 0))
				break;
		}
	free(numbers.list);
}
