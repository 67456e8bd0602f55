/* What the `command` driver remembers of a service it has started: <store>/state/services/
 * <name>.command, one line, written whole by rename.
 *
 * "<release> <restarts> <pid> <start ticks> <boot id>". It is there from before the start script
 * runs until the service has stopped: whose scripts stop it, and who it was when last seen. */
#pragma once

#include "agent/store/store.h"
#include "common/os/process.h"

struct command_record {
	struct digest release;
	unsigned restarts;    /* another identity than the one before, seen since the start */
	pid_t pid;            /* its identity: 0 when none was told */
	uint64_t start_ticks; /* of that process, which is another one if they differ */
	char boot[PROCESS_BOOT_SIZE];
};

enum command_record_found { COMMAND_RECORD_FOUND = 0, COMMAND_RECORD_NONE = 1 };
/* A line that cannot be read counts as none: the file is not synced, a power loss may tear it. */
int command_record_read(const struct store *store, const char *service, struct command_record *ret,
	struct err *err);
int command_record_write(const struct store *store, const char *service,
	const struct command_record *record, struct err *err);
void command_record_remove(const struct store *store, const char *service);
/* The process `pid` is the service now. 1 when it is another one than the one recorded. */
int command_record_see(struct command_record *record, pid_t pid);
/* Pure; -1 if it does not parse. */
int command_record_parse(const char *line, struct command_record *ret);
