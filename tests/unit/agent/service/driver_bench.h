/* A store, a loop and one service, for tests that drive a driver through its operations. */
#pragma once

#include "agent/service/service.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"
#include "common/os/file.h"
#include "common/os/process.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { PATIENCE_MS = 60000 };

struct bench {
	char root[64];
	struct store store;
	uv_loop_t loop;
	struct service_context context;
	struct digest release;
	char *release_path;
	const struct service_ops *ops;
	Fairlead__V1__ServicePlan plan;
	Fairlead__V1__ProcessSpec process;
	Fairlead__V1__CommandSpec command;
	Fairlead__V1__RestartPolicy restart;
	Fairlead__V1__Limits limits; /* of no plan until it is put there */
	ProtobufCBinaryData words[8];
	ProtobufCBinaryData scripts[3];
	char *sockets[4];
	/* The last answer. */
	int answered;
	struct err err;
	char state[32], message[256], held[256];
	pid_t pid;
	unsigned restarts;
};

/* Until cond, evaluated again and again; fails after PATIENCE_MS. */
#define WAIT_UNTIL(step, cond)                                                                     \
	do {                                                                                       \
		uint64_t give_up_ = clock_mono_ms() + PATIENCE_MS;                                 \
		for (step; !(cond); step) {                                                        \
			if (clock_mono_ms() > give_up_)                                            \
				fail_msg("still not: %s", #cond);                                  \
			poll(NULL, 0, 5);                                                          \
		}                                                                                  \
	} while (0)

static inline struct bench *bench_new(const char *driver)
{
	struct bench *b = xcalloc(1, sizeof(*b));
	snprintf(b->root, sizeof(b->root), "/tmp/fairlead-driver-XXXXXX");
	assert_non_null(mkdtemp(b->root));
	/* Longer than sun_path, as a store may be. */
	b->store.path = xasprintf("%s/%0120d", b->root, 7);
	memset(b->release.bytes, 0xab, DIGEST_SIZE);
	b->release_path = store_release_path(&b->store, &b->release);
	AUTO_FREE char *bin = xasprintf("%s/bin", b->release_path);
	assert_int_equal(make_dirs(bin, 0755, NULL), 0);
	b->store.dirfd = open_dir(b->store.path, NULL);
	uv_loop_init(&b->loop);
	b->context = (struct service_context){
		.loop = &b->loop,
		.store = &b->store,
		.shim_path = BIN_DIR "/fairlead-shim",
	};
	b->ops = service_ops_find(driver);
	assert_non_null(b->ops);
	fairlead__v1__service_plan__init(&b->plan);
	fairlead__v1__process_spec__init(&b->process);
	fairlead__v1__command_spec__init(&b->command);
	fairlead__v1__restart_policy__init(&b->restart);
	fairlead__v1__limits__init(&b->limits);
	b->restart.policy = pb_str("no");
	b->process.restart = &b->restart;
	b->plan.name = pb_str("web");
	b->plan.process = &b->process;
	b->plan.stop_timeout_ms = 30000;
	return b;
}

static inline void bench_command(struct bench *b, const char *const *argv)
{
	b->process.n_command = 0;
	b->process.command = b->words;
	for (; *argv; argv++)
		b->words[b->process.n_command++] = pb_borrow(*argv, strlen(*argv));
}

/* A script of the release: its text, and its name for the plan. */
static inline void bench_script(struct bench *b, const char *name, const char *text)
{
	AUTO_FREE char *path = xasprintf("%s/%s", b->release_path, name);
	AUTO_FREE char *whole = xasprintf("#!/bin/sh\n%s\n", text);
	assert_int_equal(file_write_atomic(AT_FDCWD, path, BYTES_STR(whole), 0755, NULL), 0);
}

/* The service of driver `command` that runs what bin/start starts; its pid stands in ./pid. */
static inline void bench_scripts(struct bench *b, const char *start)
{
	static const char *const names[] = {"bin/start", "bin/stop", "bin/status"};
	bench_script(b, names[0], start);
	bench_script(b, names[1], "kill -KILL $(cat pid); rm pid");
	bench_script(b, names[2], "test -f pid || exit 3; read pid < pid; echo pid=$pid");
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		b->scripts[i] = pb_borrow(names[i], strlen(names[i]));
	b->command.start = &b->scripts[0];
	b->command.stop = &b->scripts[1];
	b->command.status = &b->scripts[2];
	b->command.n_start = b->command.n_stop = b->command.n_status = 1;
	b->plan.command = &b->command;
}

static inline void bench_on_done(
	void *user, const Fairlead__V1__ServiceStatus *status, const struct err *err)
{
	struct bench *b = user;
	b->answered++;
	b->err = *err;
	b->state[0] = '\0';
	if (!status)
		return;
	snprintf(b->state, sizeof(b->state), "%s", status->state);
	snprintf(b->message, sizeof(b->message), "%s", status->message);
	snprintf(b->held, sizeof(b->held), "%s", status->limits);
	b->pid = (pid_t)status->pid;
	b->restarts = status->restarts;
}

static inline void bench_wait(struct bench *b)
{
	uint64_t give_up = clock_mono_ms() + PATIENCE_MS;
	assert_int_equal(b->answered, 0);
	while (!b->answered) {
		uv_run(&b->loop, UV_RUN_NOWAIT);
		if (clock_mono_ms() > give_up)
			fail_msg("no answer");
		poll(NULL, 0, 1);
	}
	assert_int_equal(b->answered, 1);
	uv_run(&b->loop, UV_RUN_NOWAIT); /* the handles close */
	b->answered = 0;
}

static inline void bench_start(struct bench *b)
{
	struct err err = ERR_INIT;
	if (b->ops->start(&b->context, &b->plan, &b->release, bench_on_done, b, &err) < 0)
		fail_msg("%s", err.message);
	bench_wait(b);
}

static inline void bench_start_well(struct bench *b)
{
	bench_start(b);
	if (b->err.code != ERR_NONE)
		fail_msg("%s", b->err.message);
	assert_string_equal(b->state, "running");
	assert_true(b->pid > 1);
}

static inline void bench_ask(struct bench *b)
{
	assert_int_equal(b->ops->status(&b->context, &b->plan, bench_on_done, b, NULL), 0);
	bench_wait(b);
}

static inline void bench_stop_for(struct bench *b, enum service_after_stop after)
{
	assert_int_equal(b->ops->stop(&b->context, &b->plan, after, bench_on_done, b, NULL), 0);
	bench_wait(b);
	if (b->err.code != ERR_NONE)
		fail_msg("%s", b->err.message);
	assert_string_equal(b->state, "stopped");
}

static inline void bench_stop(struct bench *b)
{
	bench_stop_for(b, SERVICE_ENDS);
}

static inline int bench_exists(pid_t pid)
{
	struct process process;
	return process_read(pid, &process, NULL) == 0;
}

static inline void bench_log(const struct bench *b, struct buf *text)
{
	int fd;
	buf_clear(text);
	assert_int_equal(b->ops->open_log(&b->context, &b->plan, 0, &fd, NULL), 0);
	assert_int_equal(service_log_tail(fd, 100, text, NULL), 0);
	close(fd);
}

static inline void bench_free(struct bench *b)
{
	uv_run(&b->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&b->loop), 0);
	close(b->store.dirfd);
	assert_int_equal(tree_remove(AT_FDCWD, b->root, NULL), 0);
	free(b->store.path);
	free(b->release_path);
	free(b);
}
