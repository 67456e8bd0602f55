/* The core of the agent: keys, policy, apps, and the loop they live on. No network, no nng.
 * One thread. Everything below borrows it. */
#pragma once

#include "agent/config/agent_config.h"
#include "agent/core/app.h"
#include "agent/core/deadline.h"
#include "agent/service/prober.h"
#include "common/trust/policy.h"
#include "common/trust/replay.h"

struct gateway_process;
struct call;
struct watch;

enum core_purpose {
	CORE_SERVE,   /* the agent: key, policy, and what a crash interrupted is taken up */
	CORE_RECOVER, /* only to end what is overdue or undecided: no network, nobody is waited for
		       */
	CORE_TEND,    /* a tool beside it, for the services alone: nothing is taken up */
};

struct core {
	uv_loop_t loop;
	struct agent_config config;
	enum core_purpose purpose;
	struct signing_key *host_key;
	struct policy policy;
	struct replay replay;
	struct prober *prober;
	struct gateway_process *gateway;
	struct app *apps;
	struct call *calls; /* open calls, calls.c */
	unsigned call_count;
	char *shim_path;
	char *boot;          /* this boot's id, of one line */
	int may_change_user; /* 0: not root */
	int has_loop;
	int lock_fd;      /* one core a state directory; -1: not held */
	struct err fatal; /* set by core_die */
	int stopping;     /* it was told to */
};

/* Only the configuration and the host key, which is made when it is missing. */
int core_load(struct core *core, const char *config_path, struct err *err);
/* Opens every app on the disk. ERR_LOCKED when another core is at work on this state. */
int core_init(
	struct core *core, const char *config_path, enum core_purpose purpose, struct err *err);
void core_release(struct core *core); /* also after a core_init or core_load that failed */
/* The clocks, for deadlines. */
struct deadline_now core_now(const struct core *core);
/* Runs until SIGTERM or SIGINT, or a fatal error (<0). */
int core_run(struct core *core, struct err *err);
/* A durable fact could not be written: stop now, recover from the disk at the next start. */
void core_die(struct core *core, const struct err *err);

/* The app by name; opened when it is on the disk. */
int core_app(struct core *core, const char *name, const char *environment, enum app_open how,
	struct app **ret, struct err *err);
/* Stop every service of every app on this host; *ret_count says how many ran. */
int core_stop_services(struct core *core, unsigned *ret_count, struct err *err);

/* An app (user) has a new event: wake who watches it. */
void core_events_added(void *user);

/* One line to the agent's own log (stderr, for journald), escaped. */
void core_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same for what strangers and the gateway can cause as often as they like: a few lines every
 * few seconds; of the others only the number is told. */
void core_log_foreign(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
