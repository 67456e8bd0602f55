#include "agent/service/listener.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/os/file.h"
#include "common/os/process.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>

enum {
	SOCKETS_MAX = 256, /* at one address: SO_REUSEPORT, often one a CPU */
	SERVICE_FILES_MAX = 16384,
	HOST_FILES_MAX = 131072,
	COMM_MAX = 64, /* the kernel's names have 15 bytes, its threads' a few more */
};

/* The sockets that a connection may have gone to, and whether their holder was met. */
struct sockets {
	struct in6_addr address;
	enum listener_fit fit; /* of all of them */
	size_t count;
	int overflow;
	uint64_t inodes[SOCKETS_MAX];
	int held[SOCKETS_MAX];
	size_t held_count;
};

/* ---- the sockets ---- */

enum listener_fit listener_fit(const struct tcp_socket *socket, const struct in6_addr *address)
{
	static const struct in6_addr any4 = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
	int is_v4 = IN6_IS_ADDR_V4MAPPED(address);
	if (!socket->listens || (is_v4 && socket->v6_only))
		return LISTENER_FIT_NONE;
	if (memcmp(&socket->address, address, sizeof(*address)) == 0)
		return is_v4 && socket->family == AF_INET6 ? LISTENER_FIT_MAPPED
							   : LISTENER_FIT_EXACT;
	if (IN6_IS_ADDR_UNSPECIFIED(&socket->address))
		return LISTENER_FIT_ANY6;
	if (!is_v4 || memcmp(&socket->address, &any4, sizeof(any4)) != 0)
		return LISTENER_FIT_NONE;
	return socket->family == AF_INET ? LISTENER_FIT_ANY4 : LISTENER_FIT_ANY6;
}

static void add_socket(void *user, const struct tcp_socket *socket)
{
	struct sockets *sockets = user;
	enum listener_fit fit = listener_fit(socket, &sockets->address);
	if (fit == LISTENER_FIT_NONE || fit < sockets->fit)
		return;
	if (fit > sockets->fit)
		sockets->count = 0;
	sockets->fit = fit;
	for (size_t i = 0; i < sockets->count; i++)
		if (sockets->inodes[i] == socket->inode)
			return; /* from the other kind of table */
	sockets->overflow = sockets->count == SOCKETS_MAX;
	if (!sockets->overflow)
		sockets->inodes[sockets->count++] = socket->inode;
}

/* ---- addresses ---- */

static int parse_address(const char *text, struct in6_addr *ret)
{
	struct in_addr v4;
	if (inet_pton(AF_INET, text, &v4) == 1) {
		/* Connecting to no address means this host. */
		if (v4.s_addr == htonl(INADDR_ANY))
			v4.s_addr = htonl(INADDR_LOOPBACK);
		*ret = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
		memcpy(&ret->s6_addr[12], &v4, sizeof(v4));
		return 0;
	}
	if (inet_pton(AF_INET6, text, ret) != 1)
		return -1;
	if (IN6_IS_ADDR_UNSPECIFIED(ret))
		*ret = in6addr_loopback;
	return 0;
}

static int is_interface_address(const struct ifaddrs *at, const struct in6_addr *address)
{
	if (!at->ifa_addr)
		return 0;
	if (at->ifa_addr->sa_family == AF_INET6)
		return memcmp(&((const struct sockaddr_in6 *)(const void *)at->ifa_addr)->sin6_addr,
			       address, sizeof(*address)) == 0;
	return at->ifa_addr->sa_family == AF_INET && IN6_IS_ADDR_V4MAPPED(address) &&
	       memcmp(&((const struct sockaddr_in *)(const void *)at->ifa_addr)->sin_addr,
		       &address->s6_addr[12], 4) == 0;
}

/* A socket of ours at 0.0.0.0:80 says nothing of port 80 of another host. */
static int is_local(const struct in6_addr *address)
{
	if (IN6_IS_ADDR_LOOPBACK(address) ||
		(IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == IN_LOOPBACKNET))
		return 1;
	struct ifaddrs *list = NULL;
	if (getifaddrs(&list) < 0)
		return 0;
	const struct ifaddrs *at = list;
	while (at && !is_interface_address(at, address))
		at = at->ifa_next;
	freeifaddrs(list);
	return at != NULL;
}

/* -1 when nothing can be said of that address. */
static int find_sockets(const char *text, unsigned port, struct sockets *ret)
{
	*ret = (struct sockets){0};
	if (parse_address(text, &ret->address) < 0 || !is_local(&ret->address) ||
		tcp_table_walk(port, add_socket, ret) < 0)
		return -1;
	return ret->count && !ret->overflow ? 0 : -1;
}

/* ---- who holds them ---- */

enum look { LOOK_NONE, LOOK_HOLDS, LOOK_BLIND };

/* Mark what the process holds, and take what was read from the budget; BLIND: not all was seen. */
static enum look look_at_process(pid_t pid, struct sockets *sockets, size_t *budget)
{
	char path[32];
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	DIR *dir = opendir(path);
	if (!dir)
		return errno == ENOENT || errno == ESRCH ? LOOK_NONE : LOOK_BLIND;
	enum look look = LOOK_NONE;
	struct dirent *entry;
	while (sockets->held_count < sockets->count && (entry = readdir(dir))) {
		if (*budget == 0) {
			look = LOOK_BLIND;
			break;
		}
		--*budget;
		char target[64];
		uint64_t inode;
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		if (sscanf(target, "socket:[%" SCNu64 "]", &inode) != 1)
			continue;
		for (size_t i = 0; i < sockets->count; i++)
			if (sockets->inodes[i] == inode && !sockets->held[i]) {
				sockets->held[i] = 1;
				sockets->held_count++;
				look = LOOK_HOLDS;
			}
	}
	closedir(dir);
	return look;
}

/* Move the service's processes to the front of the list; how many. */
static size_t gather_service(struct process *list, size_t count, pid_t service)
{
	size_t found = 0;
	for (size_t grown = 1; grown;) {
		grown = 0;
		for (size_t i = found; i < count; i++) {
			int is_ours = list[i].pid == service || list[i].session == service;
			for (size_t j = 0; j < found && !is_ours; j++)
				is_ours = list[i].parent == list[j].pid;
			if (!is_ours)
				continue;
			struct process one = list[i];
			list[i] = list[found];
			list[found++] = one;
			grown = 1;
		}
	}
	return found;
}

static enum listener look_at_service(pid_t service, struct sockets *sockets)
{
	size_t budget = SERVICE_FILES_MAX, count = 0;
	/* Most often it is the first process, and all others need not be listed. */
	int is_blind = look_at_process(service, sockets, &budget) == LOOK_BLIND;
	AUTO_FREE struct process *list = NULL;
	if (sockets->held_count < sockets->count && process_list(&list, &count, NULL) < 0)
		return LISTENER_UNKNOWN;
	count = gather_service(list, count, service);
	for (size_t i = 0; i < count && sockets->held_count < sockets->count; i++)
		if (list[i].pid != service)
			is_blind |= look_at_process(list[i].pid, sockets, &budget) == LOOK_BLIND;
	if (sockets->held_count == sockets->count)
		return LISTENER_OURS;
	return is_blind ? LISTENER_UNKNOWN : LISTENER_FOREIGN;
}

enum listener listener_find(pid_t service, const char *address, unsigned port)
{
	struct sockets sockets;
	if (service <= 0 || find_sockets(address, port, &sockets) < 0)
		return LISTENER_UNKNOWN;
	return look_at_service(service, &sockets);
}

static void append_holder(pid_t pid, struct buf *ret)
{
	char path[32];
	AUTO(buf) struct buf comm = {0};
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	buf_printf(ret, "pid %d", pid);
	if (file_read(AT_FDCWD, path, COMM_MAX, &comm, NULL) < 0 || comm.len < 2)
		return;
	buf_append_str(ret, " (");
	text_escape(ret, BYTES(comm.data, comm.len - 1));
	buf_append_str(ret, ")");
}

void listener_describe(pid_t service, const char *address, unsigned port, struct buf *ret)
{
	struct sockets sockets;
	if (find_sockets(address, port, &sockets) < 0)
		return;
	enum listener whose = service > 0 ? look_at_service(service, &sockets) : LISTENER_FOREIGN;
	if (whose == LISTENER_OURS)
		return;
	AUTO_FREE struct process *list = NULL;
	size_t count = 0, budget = HOST_FILES_MAX;
	process_list(&list, &count, NULL);
	size_t i = service > 0 ? gather_service(list, count, service) : 0;
	while (i < count && look_at_process(list[i].pid, &sockets, &budget) != LOOK_HOLDS)
		i++;
	if (i < count) {
		buf_printf(ret, "port %u is held by ", port);
		append_holder(list[i].pid, ret);
	} else if (whose == LISTENER_FOREIGN) {
		buf_printf(ret, "port %u is held by another process", port);
	}
}
