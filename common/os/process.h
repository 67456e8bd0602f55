/* What /proc says of processes (proc(5)): who they are, whose they are, when they began.
 *
 * A pid alone names nothing for long: it is used again. A process is (boot, pid, start_ticks),
 * and whoever signals one that is not his child compares all three first. A zombie counts as
 * gone everywhere here. Reads only; any thread; may block as reading /proc does. */
#pragma once

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
	pid_t pid;
	pid_t parent;
	pid_t group;
	pid_t session;
	char state;           /* 'R', 'S', 'Z' … */
	uint64_t start_ticks; /* clock ticks after boot */
};

/* One line of /proc/<pid>/stat; the name in it may hold blanks and parentheses. -1 if it does
 * not parse, *ret untouched. Pure. */
int process_parse(const char *line, struct process *ret);
/* ERR_NOT_FOUND when there is no such process, or only its zombie. */
int process_read(pid_t pid, struct process *ret, struct err *err);
/* All that can be seen, zombies left out; free(*ret). */
int process_list(struct process **ret, size_t *ret_count, struct err *err);

/* Of a list: those that descend from `ancestor`, itself left out, moved to its front; returns how
 * many. Pure. */
size_t process_descendants(struct process *list, size_t count, pid_t ancestor);
/* Send a signal to this very process: one that has its number by now gets none. One that has ended
 * is fine. */
void process_signal(const struct process *process, int signal);

/* 1 when the process was started with `entry` ("NAME=value") in its environment and lets us see
 * it, else 0. */
int process_has_env(pid_t pid, const char *entry);

/* Start ticks on the clock of people. */
uint64_t process_unix_ms(uint64_t start_ticks);
/* This boot's random id (36 characters); ticks of another boot mean nothing. */
enum { PROCESS_BOOT_SIZE = 37 };
int process_boot(char ret[static PROCESS_BOOT_SIZE], struct err *err);
