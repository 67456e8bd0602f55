#include "coordinator/rollout/bundles.h"

#include "common/base/mem.h"

#include <errno.h>
#include <fcntl.h>

void bundles_init(struct bundles *bundles, const struct bases *bases, const struct source *source)
{
	*bundles = (struct bundles){
		.bases = bases,
		.source = source,
		.files = xcalloc(bases->count + 1, sizeof(*bundles->files)),
	};
}

void bundles_release(struct bundles *bundles)
{
	for (size_t i = 0; i < bundles->count; i++)
		close(bundles->files[i].fd);
	free(bundles->files);
	*bundles = (struct bundles){0};
}

/* Where a file system knows no files without a name: a name for a moment. */
static int open_unlinked(const char *dir)
{
	AUTO_FREE char *path = xasprintf("%s/fairlead-bundle.XXXXXX", dir);
	int fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

/* Without a name, so that nothing stays whenever this process is killed. */
static int open_temporary(struct err *err)
{
	const char *dir = getenv("TMPDIR");
	if (!dir || dir[0] != '/')
		dir = "/tmp";
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	/* EISDIR: of a kernel, ENOENT: of some network file systems. */
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT))
		fd = open_unlinked(dir);
	if (fd < 0)
		return err_errno(err, ERR_IO, errno, "cannot make a temporary file in '%s'", dir);
	return fd;
}

int bundles_get(struct bundles *bundles, const struct digest *current,
	const struct bundle_file **ret, struct err *err)
{
	const struct base *base = bases_get(bundles->bases, current);
	const struct manifest *manifest = base ? base_manifest(base) : NULL;
	struct bundle_file file = {.fd = -1};
	if (manifest)
		file.base = *current;
	for (size_t i = 0; i < bundles->count; i++) {
		if (digest_equal(&bundles->files[i].base, &file.base)) {
			*ret = &bundles->files[i];
			return 0;
		}
	}
	file.fd = open_temporary(err);
	if (file.fd < 0)
		return -1;
	if (bundle_write(manifest, &bundles->source->tree.manifest,
		    manifest ? base_source(base) : NULL, &bundles->source->tree.source, file.fd,
		    &file.info, err) < 0) {
		close(file.fd);
		return err_wrap(err, "making the bundle");
	}
	bundles->files[bundles->count] = file;
	*ret = &bundles->files[bundles->count++];
	return 0;
}
