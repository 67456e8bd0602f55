/* fairlead-gateway: started by fairlead-agent with the socketpair on fd 3, as an unprivileged
 * user when there is one. Ends when the core closes that socket. */
#include "agent/gateway/gateway.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { CORE_FD = 3 };

struct arguments {
	const char *listen;
	const char *host_key;
	struct link_server_limits limits;
};

/* It faces the network: no new privileges, no dumps for others to read, no fds but its own. */
static int harden(struct err *err)
{
	const struct rlimit none = {0, 0};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
		setrlimit(RLIMIT_CORE, &none) < 0 || fcntl(CORE_FD, F_SETFD, FD_CLOEXEC) < 0 ||
		close_range(CORE_FD + 1, ~0U, 0) < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot give up what is not needed");
	return 0;
}

/* Room for what the limits allow, so that accepting never fails for want of descriptors; where the
 * system gives less, fewer are let in. */
static int make_room(struct link_server_limits *limits, struct err *err)
{
	enum { OWN_FDS = 256 }; /* the core's socket, and spool files of uploads */
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot read the limit of open files");
	rlim_t wanted = link_server_fds(limits) + OWN_FDS;
	if (wanted > files.rlim_max) {
		rlim_t missing = wanted - files.rlim_max;
		if (missing >= limits->connections)
			return err_set(err, ERR_LIMIT,
				"%u handshakes need more than the %llu open files of the system",
				limits->handshakes, (unsigned long long)files.rlim_max);
		limits->connections -= (unsigned)missing;
		fprintf(stderr,
			"fairlead-gateway: only %u connections are possible with %llu open files\n",
			limits->connections, (unsigned long long)files.rlim_max);
		wanted = files.rlim_max;
	}
	if (wanted > files.rlim_cur)
		files.rlim_cur = wanted;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot raise the limit of open files");
	return 0;
}

/* What the core writes, from a checked configuration. */
static unsigned number(const char *text)
{
	return (unsigned)strtoul(text, NULL, 10);
}

static int parse(int argc, char **argv, struct arguments *ret, struct err *err)
{
	static const struct option options[] = {
		{"listen", required_argument, NULL, 'l'},
		{"host-key", required_argument, NULL, 'k'},
		{"connections", required_argument, NULL, 'c'},
		{"connections-per-address", required_argument, NULL, 'a'},
		{"handshakes", required_argument, NULL, 's'},
		{"handshakes-per-address", required_argument, NULL, 'p'},
		{NULL, 0, NULL, 0},
	};
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (option) {
		case 'l':
			ret->listen = optarg;
			break;
		case 'k':
			ret->host_key = optarg;
			break;
		case 'c':
			ret->limits.connections = number(optarg);
			break;
		case 'a':
			ret->limits.connections_per_address = number(optarg);
			break;
		case 's':
			ret->limits.handshakes = number(optarg);
			break;
		case 'p':
			ret->limits.handshakes_per_address = number(optarg);
			break;
		default:
			return err_set(err, ERR_USAGE, "unknown option");
		}
	}
	if (ret->listen && ret->host_key && optind == argc)
		return 0;
	err_set(err, ERR_USAGE, "--listen ADDRESS and --host-key KEY are needed");
	return err_hint(err, "This program is started by fairlead-agent, not by hand.");
}

static int run(int argc, char **argv, struct err *err)
{
	/* The configuration's presets; unit tests start it without. */
	struct arguments arguments = {.limits = {1024, 64, 256, 64, 0}};
	struct public_key identity;
	if (parse(argc, argv, &arguments, err) < 0 ||
		public_key_parse(arguments.host_key, &identity, err) < 0 || harden(err) < 0 ||
		make_room(&arguments.limits, err) < 0)
		return -1;
	if (sodium_init() < 0)
		return err_set(err, ERR_INTERNAL, "libsodium cannot be used");
	return gateway_run(CORE_FD, arguments.listen, &identity, &arguments.limits, err);
}

int main(int argc, char **argv)
{
	struct err err = ERR_INIT;
	if (run(argc, argv, &err) == 0)
		return 0;
	AUTO_FREE char *message = text_escaped(err.message);
	fprintf(stderr, "fairlead-gateway: %s\n", message);
	if (err.hint[0])
		fprintf(stderr, "%s\n", err.hint);
	return err_code_exit_status(err.code);
}
