#include "agent/service/shim_start.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/base/text.h"
#include "common/os/file.h"
#include "common/os/spawn.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { LOG_BYTES = 10 * 1000 * 1000, LOG_KEEP = 3 }; /* of a plan that does not say */

const char shim_service_dir[] = "state/services";
const char shim_log_dir[] = "state/logs";

void shim_spec_init(Fairlead__V1__ShimSpec *spec, const struct service_context *context,
	const Fairlead__V1__ServicePlan *plan, const struct digest *release,
	const char *socket_suffix, struct shim_spec_text *text)
{
	const char *root = context->store->path;
	*text = (struct shim_spec_text){
		.release_dir = store_release_path(context->store, release),
		.log_path = xasprintf("%s/%s/%s.log", root, shim_log_dir, plan->name),
		.socket_path =
			xasprintf("%s/%s/%s.%s", root, shim_service_dir, plan->name, socket_suffix),
	};
	fairlead__v1__shim_spec__init(spec);
	spec->service = plan->name;
	spec->manifest = pb_borrow(release->bytes, DIGEST_SIZE);
	spec->release_dir = pb_borrow(text->release_dir, strlen(text->release_dir));
	spec->log_path = pb_borrow(text->log_path, strlen(text->log_path));
	spec->socket_path = pb_borrow(text->socket_path, strlen(text->socket_path));
	const Fairlead__V1__ProcessSpec *process = plan->process;
	spec->log_max_bytes =
		process && process->log_max_bytes ? process->log_max_bytes : LOG_BYTES;
	spec->log_keep = process && process->log_keep ? process->log_keep : LOG_KEEP;
}

void shim_spec_text_release(struct shim_spec_text *text)
{
	free(text->release_dir);
	free(text->log_path);
	free(text->socket_path);
	*text = (struct shim_spec_text){0};
}

static int make_dir(int dirfd, const char *path, struct err *err)
{
	if (mkdirat(dirfd, path, 0700) < 0 && errno != EEXIST)
		return err_errno(err, ERR_IO, errno, "cannot make the directory '%s'", path);
	return 0;
}

/* The spec goes through a memory file: it may be larger than a pipe takes without a reader. */
static int pack(const Fairlead__V1__ShimSpec *spec, struct err *err)
{
	AUTO(buf) struct buf packed = {0};
	PB_PACK(spec, &packed);
	AUTO_CLOSE int fd = memfd_create("shim-spec", MFD_CLOEXEC);
	if (fd < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot make a memory file");
	if (fd_pwrite_all(fd, packed.data, packed.len, 0, err) < 0)
		return -1;
	return TAKE_FD(fd);
}

static int spawn_shim(const struct service_context *context, const char *service, int spec_fd,
	int ready_fd, struct err *err)
{
	const char *slash = strrchr(context->store->path, '/');
	AUTO_FREE char *title = xasprintf("%s/%s", slash ? slash + 1 : "", service);
	const char *argv[] = {"fairlead-shim", title, NULL};
	AUTO_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot open '/dev/null'");
	/* None of the agent's own output: it may be a pipe that waits for all its writers. */
	const struct spawn_fd fds[] = {
		{null, STDIN_FILENO},
		{null, STDOUT_FILENO},
		{null, STDERR_FILENO},
		{spec_fd, 3},
		{ready_fd, 4},
	};
	const struct spawn spawn = {
		.program = context->shim_path,
		.argv = argv,
		.fds = fds,
		.fd_count = ARRAY_LEN(fds),
		.place = SPAWN_DETACHED,
	};
	struct spawned spawned = SPAWNED_INIT;
	if (spawn_run(&spawn, &spawned, err) < 0)
		return err_wrap(err, "its supervisor");
	return 0;
}

static void readable(uv_poll_t *poll, int status, int events)
{
	(void)status, (void)events;
	struct operation *op = poll->data;
	ssize_t n;
	do
		n = read(op->fd, buf_reserve(&op->received, 4096), 4096);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		op->received.len += (size_t)n;
	else if (n == 0 || errno != EAGAIN)
		op->complete(op);
}

int shim_start(struct operation *op, const Fairlead__V1__ShimSpec *spec,
	void (*complete)(struct operation *op), struct err *err)
{
	int dirfd = op->context->store->dirfd;
	if (make_dir(dirfd, "state", err) < 0 || make_dir(dirfd, shim_service_dir, err) < 0 ||
		make_dir(dirfd, shim_log_dir, err) < 0)
		return -1;
	AUTO_CLOSE int spec_fd = pack(spec, err);
	int ready[2];
	if (spec_fd < 0)
		return -1;
	if (pipe2(ready, O_CLOEXEC) < 0)
		return err_errno(err, ERR_INTERNAL, errno, "cannot make a pipe");
	int rc = spawn_shim(op->context, op->service, spec_fd, ready[1], err);
	close(ready[1]);
	if (rc < 0) {
		close(ready[0]);
		return -1;
	}
	op->complete = complete;
	return operation_wait(op, ready[0], readable, err);
}

int shim_open_log(const struct service_context *context, const char *service, unsigned age,
	int *ret_fd, struct err *err)
{
	if (!text_is_name(service))
		return err_set(err, ERR_NOT_FOUND, "'%s' is no name of a service", service);
	AUTO_FREE char *path = age ? xasprintf("%s/%s.log.%u", shim_log_dir, service, age)
				   : xasprintf("%s/%s.log", shim_log_dir, service);
	struct err why = ERR_INIT;
	int fd = open_beneath(context->store->dirfd, path, O_RDONLY, 0, &why);
	if (fd >= 0) {
		*ret_fd = fd;
		return 0;
	}
	if (why.code == ERR_NOT_FOUND) {
		err_set(&why, ERR_NOT_FOUND, "service '%s' has no log on this host", service);
		err_hint(&why, "It was never started here; see `fairlead status`.");
	}
	if (err)
		*err = why;
	return -1;
}
