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

static int parse(int argc, char **argv, struct arguments *ret, struct err *err)
{
	static const struct option options[] = {
		{"listen", required_argument, NULL, 'l'},
		{"host-key", required_argument, NULL, 'k'},
		{"connections", required_argument, NULL, 'c'},
		{"connections-per-address", required_argument, NULL, 'a'},
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
		case 'c': /* written by the core, from a checked configuration */
			ret->limits.connections = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'a':
			ret->limits.connections_per_address = (unsigned)strtoul(optarg, NULL, 10);
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
	struct arguments arguments = {0};
	struct public_key identity;
	if (parse(argc, argv, &arguments, err) < 0 ||
		public_key_parse(arguments.host_key, &identity, err) < 0 || harden(err) < 0)
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
