#include "agent/gateway/spool.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/file.h"
#include "fairlead/v1/agent.pb-c.h"

void spool_begin(struct spool *spool, int fd, uint64_t granted_bytes)
{
	*spool = (struct spool){.fd = fd, .granted_bytes = granted_bytes};
}

static int write_bundle(
	struct spool *spool, const Fairlead__V1__PrepareChunk *chunk, struct err *err)
{
	if (chunk->command)
		return err_set(err, ERR_INVALID, "a second command within one Prepare");
	if (chunk->bundle.len > spool->granted_bytes - spool->written_bytes)
		return err_set(err, ERR_LIMIT, "the bundle has more than the %llu bytes announced",
			(unsigned long long)spool->granted_bytes);
	if (fd_write_all(spool->fd, chunk->bundle.data, chunk->bundle.len, err) < 0)
		return err_wrap(err, "the bundle");
	spool->written_bytes += chunk->bundle.len;
	return 0;
}

int spool_write(struct spool *spool, struct bytes chunk, struct err *err)
{
	Fairlead__V1__PrepareChunk *unpacked = NULL;
	if (PB_UNPACK(fairlead__v1__prepare_chunk, chunk, &unpacked, err) < 0)
		return -1;
	int rc = write_bundle(spool, unpacked, err);
	pb_free(&unpacked->base);
	return rc;
}

void spool_release(struct spool *spool)
{
	if (spool->fd >= 0)
		close(TAKE_FD(spool->fd));
}
