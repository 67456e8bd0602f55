#include "agent/core/deployment_log.h"

#include "agent/core/machine.h"
#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/file.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>

static const char *const tags[] = {
	[DEPLOYMENT_LOG_DEPLOY] = "DEPLOY",
	[DEPLOYMENT_LOG_FAILED] = "DEPLOY-FAILED",
	[DEPLOYMENT_LOG_ROLLBACK] = "ROLLBACK",
};

static const char *class_name(Fairlead__V1__ActionClass class)
{
	const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(
		&fairlead__v1__action_class__descriptor, (int)class);
	return value ? value->name : "UNKNOWN";
}

/* A commit as people say it; a label that is not one is kept short too. */
static void shorten(const char *commit, char out[static 24])
{
	int digits = strncmp(commit, "dir-", 4) == 0 ? 16 : 7;
	snprintf(out, 24, "%.*s", digits, commit[0] ? commit : "none");
}

char *deployment_log_line(const struct deployment_log_entry *entry)
{
	const Fairlead__V1__DeploymentStatus *status = entry->status;
	char when[TEXT_TIME_SIZE], from[24], to[24];
	/* A rollback reads from the release that is left to the one that is back. */
	bool undone = entry->kind == DEPLOYMENT_LOG_ROLLBACK &&
		      status->state == FAIRLEAD__V1__STATE__STATE_ROLLED_BACK;
	shorten(undone ? status->commit_to : status->commit_from, from);
	shorten(undone ? status->commit_from : status->commit_to, to);
	uint64_t ms = status->ended_unix_ms - status->started_unix_ms;
	AUTO_FREE char *line = xasprintf("%s [%s] %s: %s → %s (%llus)",
		text_time(status->ended_unix_ms, when), tags[entry->kind],
		class_name(status->class_), from, to, (unsigned long long)((ms + 500) / 1000));
	return text_escaped(line);
}

static void add_hex(cJSON *object, const char *key, ProtobufCBinaryData data)
{
	char hex[DIGEST_HEX_SIZE] = "";
	if (data.len <= DIGEST_SIZE)
		sodium_bin2hex(hex, sizeof(hex), data.data, data.len);
	cJSON_AddStringToObject(object, key, hex);
}

static char *record(const struct deployment_log_entry *entry)
{
	const Fairlead__V1__DeploymentStatus *status = entry->status;
	char when[TEXT_TIME_SIZE];
	cJSON *object = cJSON_CreateObject();
	cJSON_AddStringToObject(object, "time", text_time(status->ended_unix_ms, when));
	cJSON_AddStringToObject(object, "event", tags[entry->kind]);
	cJSON_AddStringToObject(object, "type", class_name(status->class_));
	add_hex(object, "deployment", status->deployment_id);
	cJSON_AddStringToObject(object, "from", status->commit_from);
	cJSON_AddStringToObject(object, "to", status->commit_to);
	add_hex(object, "from_manifest", status->from_manifest);
	add_hex(object, "to_manifest", status->to_manifest);
	cJSON_AddNumberToObject(object, "files_changed", entry->files_changed);
	cJSON_AddNumberToObject(object, "bytes", (double)status->bytes_received);
	cJSON_AddNumberToObject(
		object, "duration_ms", (double)(status->ended_unix_ms - status->started_unix_ms));
	cJSON_AddStringToObject(object, "outcome", machine_state_name(status->state));
	cJSON_AddStringToObject(object, "who", status->actor);
	if (status->error)
		cJSON_AddStringToObject(object, "error", status->error->message);
	char *text = cJSON_PrintUnformatted(object);
	cJSON_Delete(object);
	return text;
}

static const char *const files[] = {"deployment.log", "deployment.log.json"};

enum { TAIL_MAX = 64 * 1024 };

/* Cuts a line that a crash has torn; *ret_there when the end of the file has the whole one. */
static int look_at_end(int fd, const char *line, bool *ret_there, struct err *err)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_errno(err, ERR_IO, errno, "cannot stat it");
	AUTO(buf) struct buf tail = {0};
	size_t len = st.st_size < TAIL_MAX ? (size_t)st.st_size : TAIL_MAX;
	off_t at = st.st_size - (off_t)len;
	if (fd_pread_exact(fd, buf_reserve(&tail, len), len, at, err) < 0)
		return -1;
	tail.len = len;
	/* Of a line that a power loss has torn there may be nothing but its length, and whole ones
	 * behind it: those are written again. */
	const uint8_t *hole = len ? memchr(tail.data, '\0', len) : NULL;
	size_t text = hole ? (size_t)(hole - tail.data) : len;
	const uint8_t *newline = text ? memrchr(tail.data, '\n', text) : NULL;
	size_t whole = newline ? (size_t)(newline - tail.data) + 1 : 0;
	if (whole < len && ftruncate(fd, at + (off_t)whole) < 0)
		return err_errno(err, ERR_IO, errno, "cannot cut its torn end");
	*ret_there = whole && memmem(tail.data, whole, line, strlen(line));
	return 0;
}

static int append(
	int dirfd, const char *name, const char *text, enum deployment_log_how how, struct err *err)
{
	bool there = false;
	AUTO_CLOSE int fd = open_beneath(dirfd, name, O_RDWR | O_APPEND | O_CREAT, 0644, err);
	if (fd < 0)
		return -1;
	AUTO_FREE char *line = xasprintf("%s\n", text);
	if (how == DEPLOYMENT_LOG_COMPLETE && look_at_end(fd, line, &there, err) < 0)
		return err_wrap(err, "'%s'", name);
	if (!there && fd_write_all(fd, line, strlen(line), err) < 0)
		return err_wrap(err, "'%s'", name);
	return 0;
}

int deployment_log_write(int dirfd, const struct deployment_log_entry *entry,
	enum deployment_log_how how, struct err *err)
{
	AUTO_FREE char *line = deployment_log_line(entry);
	AUTO_FREE char *json = record(entry);
	const char *const texts[] = {line, json};
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (append(dirfd, files[i], texts[i], how, err) < 0)
			return -1;
	return 0;
}

int deployment_log_sync(int dirfd, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		AUTO_CLOSE int fd = open_beneath(dirfd, files[i], O_RDONLY, 0, err);
		if (fd < 0)
			return -1;
		if (fdatasync(fd) < 0)
			return err_errno(err, ERR_IO, errno, "cannot sync '%s'", files[i]);
	}
	return dir_sync(dirfd, err);
}

int deployment_log_rotate(int dirfd, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct stat st;
		if (fstatat(dirfd, files[i], &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			st.st_size < DEPLOYMENT_LOG_MAX_BYTES)
			continue;
		AUTO_FREE char *before = xasprintf("%s.1", files[i]);
		if (renameat(dirfd, files[i], dirfd, before) < 0)
			return err_errno(err, ERR_IO, errno, "cannot rename '%s'", files[i]);
	}
	return 0;
}
