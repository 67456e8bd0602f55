#include "common/release/path.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/release/manifest.h"

/* Code points that HFS+ ignores when it compares names, as git's utf8.c lists them. */
static bool hfs_ignores(uint32_t cp)
{
	return (cp >= 0x200c && cp <= 0x200f) || (cp >= 0x202a && cp <= 0x202e) ||
	       (cp >= 0x206a && cp <= 0x206f) || cp == 0xfeff;
}

/* The bytes to skip at p when they are an ignored code point (all of them take three), else 0. */
static size_t ignored(const uint8_t *p, size_t left)
{
	if (left < 3 || (p[0] & 0xf0) != 0xe0)
		return 0;
	uint32_t cp = (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
	return hfs_ignores(cp) ? 3 : 0;
}

/* Take `want` (lower case) from the name, skipping what HFS+ ignores; false if it is not there. */
static bool take(const uint8_t **p, const uint8_t *end, const char *want)
{
	while (*want) {
		size_t skip = ignored(*p, (size_t)(end - *p));
		if (skip) {
			*p += skip;
			continue;
		}
		if (*p == end)
			return false;
		uint8_t c = **p;
		if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != *want)
			return false;
		want++;
		(*p)++;
	}
	return true;
}

/* Does some file system open ".git" when asked for this name? Case and ignorable code points
 * (HFS+); "git~1", trailing dots and spaces, and ":stream" (NTFS). */
static bool folds_to_dotgit(const char *name, size_t len)
{
	const uint8_t *start = (const uint8_t *)name, *end = start + len;
	const uint8_t *p = start;
	if (!take(&p, end, ".git")) {
		p = start;
		if (!take(&p, end, "git~1"))
			return false;
	}
	while (p < end) {
		size_t skip = ignored(p, (size_t)(end - p));
		if (!skip && (*p == ':' || *p == '\\'))
			return true;
		if (!skip && *p != '.' && *p != ' ')
			return false;
		p += skip ? skip : 1;
	}
	return true;
}

static const char *component_fault(const char *name, size_t len)
{
	if (len == 0)
		return "has an empty component";
	if (len > MANIFEST_NAME_MAX)
		return "has a name of more than 255 bytes";
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return "has a '.' or '..' component";
	/* A backslash starts a component on NTFS. */
	for (size_t i = 0; i < len; i++)
		if ((i == 0 || name[i - 1] == '\\') && folds_to_dotgit(name + i, len - i))
			return "has a component that some file systems take for '.git'";
	return NULL;
}

const char *path_fault(const char *path, size_t len)
{
	if (len == 0)
		return "is empty";
	if (len > MANIFEST_PATH_MAX)
		return "is longer than 4095 bytes";
	if (memchr(path, '\0', len))
		return "has a NUL byte";
	if (path[0] == '/')
		return "is absolute";
	size_t depth = 0;
	for (size_t i = 0; i <= len; i++) {
		const char *slash = memchr(path + i, '/', len - i);
		size_t name_len = slash ? (size_t)(slash - path) - i : len - i;
		const char *fault = component_fault(path + i, name_len);
		if (fault)
			return fault;
		if (++depth > MANIFEST_DEPTH_MAX)
			return "is deeper than 128 components";
		i += name_len;
	}
	return NULL;
}

int manifest_path_check(const char *path, size_t len, struct err *err)
{
	const char *fault = path_fault(path, len);
	if (!fault)
		return 0;
	AUTO(buf) struct buf shown = {0};
	text_escape(&shown, BYTES(path, len < 256 ? len : 256));
	err_set(err, ERR_INVALID, "the path '%s'%s %s", buf_str(&shown), len < 256 ? "" : "…",
		fault);
	return err_hint(err, "Rename or remove it: such a path cannot be part of a release.");
}

static int link_fault(
	const char *path, const char *target, size_t target_len, const char *fault, struct err *err)
{
	AUTO_FREE char *shown = text_escaped(path);
	AUTO(buf) struct buf shown_target = {0};
	text_escape(&shown_target, BYTES(target, target_len < 256 ? target_len : 256));
	err_set(err, ERR_INVALID, "the symbolic link '%s' -> '%s' %s", shown,
		buf_str(&shown_target), fault);
	return err_hint(err, "Point the link at a path inside the release; for data that lives "
			     "outside of it, use `shared:`.");
}

/* One local rule makes chains of links harmless too: ".." may stand only at the front. The
 * directory of a link is a real one (no link is a directory of another path), so leading
 * ".." climb as many real levels as they seem to; after the first name nothing climbs any more,
 * and a name that is itself a link leads, by the same rule, to a place inside. What this
 * forbids is `b -> .` with `a -> b/..`, where each link alone looks harmless. */
int manifest_link_check(const char *path, const char *target, size_t target_len, struct err *err)
{
	if (target_len == 0 || target_len > MANIFEST_PATH_MAX || memchr(target, '\0', target_len))
		return link_fault(path, target, target_len, "has no usable target", err);
	if (target[0] == '/')
		return link_fault(path, target, target_len, "is absolute", err);
	size_t depth = 0;
	for (const char *p = path; (p = strchr(p, '/')); p++)
		depth++;
	bool named = false;
	for (size_t i = 0; i <= target_len; i++) {
		const char *slash = memchr(target + i, '/', target_len - i);
		size_t len = slash ? (size_t)(slash - target) - i : target_len - i;
		bool up = len == 2 && memcmp(target + i, "..", 2) == 0;
		if (up && named)
			return link_fault(path, target, target_len, "has '..' behind a name", err);
		if (up && depth-- == 0)
			return link_fault(path, target, target_len, "leaves the release", err);
		named = named || (!up && len > 0 && !(len == 1 && target[i] == '.'));
		i += len;
	}
	return 0;
}
