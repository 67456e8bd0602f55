/* fairlead-agent: the program. `run` is the agent; the other verbs are for its operator. */
#include "agent/core/core.h"
#include "agent/core/deadman.h"
#include "agent/core/self_audit.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#include <getopt.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* Static, for what is under way when the agent stops (a service's last step) stays with its loop.
 */
static struct core core;

static int run(const char *config, struct err *err)
{
	int rc = core_init(&core, config, CORE_SERVE, err);
	if (rc == 0)
		rc = core_run(&core, err);
	core_release(&core);
	return rc;
}

static int show_key(const char *config, struct err *err)
{
	char text[KEY_TEXT_SIZE];
	int rc = core_load(&core, config, err);
	if (rc == 0)
		printf("%s\n", public_key_text(signing_key_public(core.host_key), text));
	core_release(&core);
	return rc;
}

static int stop_services(const char *config, struct err *err)
{
	unsigned count = 0;
	int rc = core_init(&core, config, CORE_TEND, err);
	if (rc == 0)
		rc = core_stop_services(&core, &count, err);
	core_release(&core);
	if (rc == 0)
		printf("stopped %u service%s\n", count, count == 1 ? "" : "s");
	return rc;
}

static int recover(const char *config, struct err *err)
{
	int rc = core_init(&core, config, CORE_RECOVER, err);
	if (rc == 0)
		rc = deadman_run(&core, err);
	core_release(&core);
	return rc;
}

static int audit(const char *config, struct err *err)
{
	int rc = core_load(&core, config, err);
	if (rc == 0)
		rc = self_audit(&core, stdout, err);
	core_release(&core);
	return rc;
}

static const struct verb {
	const char *name, *summary;
	int (*run)(const char *config, struct err *err);
} verbs[] = {
	{"run", "serve deployments until SIGTERM; services outlive it", run},
	{"key", "print this host's public key for fleet.yaml, making it first if needed", show_key},
	{"recover", "end what is overdue or undecided, without the network; the agent must not run",
		recover},
	{"audit", "verify this host's journals and receipts, offline", audit},
	{"stop-services", "stop every service of this host; the agent must not run", stop_services},
};

static void usage(FILE *out)
{
	fprintf(out, "usage: fairlead-agent VERB [--config FILE]\n\nverbs:\n");
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		fprintf(out, "  %-14s %s\n", verbs[i].name, verbs[i].summary);
	fprintf(out,
		"\noptions:\n"
		"  -c, --config FILE  agent.yaml (default /etc/fairlead/agent.yaml)\n"
		"  -h, --help         this text\n"
		"      --version      %s\n",
		FAIRLEAD_VERSION);
}

static int complain(const char *what, const char *name)
{
	fprintf(stderr, "fairlead-agent: %s '%s'\n", what, name);
	usage(stderr);
	return err_code_exit_status(ERR_USAGE);
}

/* Keys are in this process: no core dumps, no reading it by others of the same user. */
static void harden(void)
{
	prctl(PR_SET_DUMPABLE, 0);
	struct rlimit none = {0, 0};
	setrlimit(RLIMIT_CORE, &none);
}

static int run_verb(const struct verb *verb, const char *config)
{
	struct err err = ERR_INIT;
	if (verb->run(config, &err) == 0)
		return 0;
	AUTO_FREE char *message = text_escaped(err.message);
	AUTO_FREE char *hint = text_escaped(err.hint);
	fprintf(stderr, "fairlead-agent: error: %s\n", message);
	if (hint[0])
		fprintf(stderr, "fairlead-agent: hint: %s\n", hint);
	return err_code_exit_status(err.code);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	const char *config = "/etc/fairlead/agent.yaml";
	for (int c; (c = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
		switch (c) {
		case 'c':
			config = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			printf("fairlead-agent %s\n", FAIRLEAD_VERSION);
			return 0;
		default:
			usage(stderr);
			return err_code_exit_status(ERR_USAGE);
		}
	}
	if (optind + 1 != argc)
		return complain(
			optind == argc ? "say what to do: no verb after" : "too many words:",
			argv[optind == argc ? argc - 1 : optind + 1]);
	harden();
	if (sodium_init() < 0)
		return err_code_exit_status(ERR_INTERNAL);
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(verbs[i].name, argv[optind]) == 0)
			return run_verb(&verbs[i], config);
	return complain("no verb", argv[optind]);
}
