/* Starting programs: fork and exec with exactly the fds, user, limits and session that are named,
 * and a parent that learns why it did not work.
 *
 * Invariant: a started program has default signal handling, no blocked signals, and no fd of the
 * caller's but stdio and those in its map (stdin is /dev/null unless mapped). The parent gets a
 * pidfd, to poll in whatever loop it has; no SIGCHLD handler is needed and none is touched (libuv
 * reaps only what uv_spawn started). spawn_run may block for as long as an exec takes, about a
 * millisecond. The caller may have threads for spawn_run; spawn_fork wants a single-threaded one.
 */
#pragma once

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Whom to become: numbers looked up beforehand, for nothing may be looked up after fork. */
struct spawn_user {
	char *name;
	char *home;
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	int group_count;
};
/* By name from the user database (may block on it); NULL: who we are. ERR_CONFIG: no such user. */
int spawn_user_find(const char *name, struct spawn_user *ret, struct err *err);
void spawn_user_release(struct spawn_user *user);

struct spawn_fd {
	int from; /* stays the caller's */
	int to;
};
enum { SPAWN_FDS_MAX = 24 };

enum { SPAWN_PID_DIGITS = 10 };

enum spawn_place {
	SPAWN_CHILD,    /* in our session and process group */
	SPAWN_SESSION,  /* our child, leader of a session and group of its own */
	SPAWN_DETACHED, /* the same but not our child: it outlives us, nobody here reaps it */
};
enum spawn_privileges {
	SPAWN_MAY_GAIN_PRIVILEGES,
	SPAWN_NO_NEW_PRIVILEGES, /* PR_SET_NO_NEW_PRIVS */
};

struct spawn {
	const char *program; /* a path; not searched (spawn_find) */
	const char *const *argv;
	const char *const *env; /* NULL: ours */
	const char *cwd;        /* NULL: ours */
	/* Where in `env` the program's own pid belongs, for SPAWN_PID_DIGITS digits; NULL: nowhere.
	 * Written in the child only. */
	char *pid_slot;
	const struct spawn_fd *fds; /* `to` below 64, each once */
	size_t fd_count;
	const struct spawn_user *user; /* NULL: stay who we are */
	enum spawn_place place;
	enum spawn_privileges privileges;
	uint64_t memory_bytes; /* RLIMIT_AS; 0: inherited */
	uint64_t open_files;   /* RLIMIT_NOFILE; 0: inherited */
	uint64_t processes;    /* RLIMIT_NPROC; 0: inherited */
	const int *join;       /* cgroup.procs files, open for writing: the groups it joins */
	size_t join_count;
};

struct spawned {
	pid_t pid; /* 0: none, or detached */
	int pidfd; /* readable when it has ended; -1: none */
};
#define SPAWNED_INIT ((struct spawned){.pidfd = -1})

/* 0 when the program runs. ERR_FAILED when it could not be executed, or became no process with
 * these properties; errno is in err->errnum, and nothing is left running. */
int spawn_run(const struct spawn *spawn, struct spawned *ret, struct err *err);
/* A forked worker without exec: run(user) is its exit status. Only stdio and the `keep` fds
 * (at most SPAWN_FDS_MAX) stay open in it, so that it holds nobody's connection. */
int spawn_fork(int (*run)(void *user), void *user, const int *keep, size_t keep_count,
	struct spawned *ret, struct err *err);

struct spawn_end {
	int status; /* of exit, when signal is 0 */
	int signal; /* that killed it */
};
enum spawn_reap { SPAWN_ENDED = 0, SPAWN_RUNNING = 1 };
/* Collect it if it has ended; closes the pidfd then. Does not block. */
int spawn_reap(struct spawned *spawned, struct spawn_end *ret, struct err *err);
/* Send a signal to the process and no other; one that has ended, or none, is fine. */
void spawn_kill(const struct spawned *spawned, int signal);
/* Close the pidfd; the process goes on. */
void spawned_release(struct spawned *spawned);

/* "exited with status 3", "killed by signal 9 (Killed)". Returns out. */
enum { SPAWN_END_SIZE = 64 };
char *spawn_end_text(const struct spawn_end *end, char out[static SPAWN_END_SIZE]);

/* The first executable file `name` in the directories of a PATH; NULL if there is none. A name
 * with a slash is taken as it is, relative to `base`. The caller's to free. */
char *spawn_find(const char *path, const char *base, const char *name);
