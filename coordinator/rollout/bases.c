#include "coordinator/rollout/bases.h"

#include "common/base/mem.h"
#include "common/base/pb.h"
#include "coordinator/plan/base.h"

enum { MANIFEST_DEADLINE_MS = 60000 };

struct digest member_current(const struct member *member)
{
	const Fairlead__V1__AppStatus *app = member_app(member);
	struct digest digest = {0};
	if (app && app->current)
		digest_from_bytes(app->current->manifest.data, app->current->manifest.len, &digest);
	return digest;
}

/* ---- from the host ---- */

struct fetch {
	struct buf wire;
	struct err err;
	bool ended;
};

static void on_chunk(void *user, const ProtobufCMessage *message)
{
	struct fetch *fetch = user;
	const Fairlead__V1__ManifestChunk *chunk = (const void *)message;
	if (fetch->err.code != ERR_NONE ||
		buf_reserve_max(&fetch->wire, chunk->data.len, MANIFEST_WIRE_MAX, &fetch->err) < 0)
		return;
	buf_append(&fetch->wire, chunk->data.data, chunk->data.len);
}

static void on_end(void *user, const struct err *err)
{
	struct fetch *fetch = user;
	if (fetch->err.code == ERR_NONE)
		fetch->err = *err;
	fetch->ended = true;
}

static const struct agent_call_ops fetch_ops = {.message = on_chunk, .ended = on_end};

static int fetch_manifest(struct hosts *hosts, struct member *member, const struct digest *digest,
	struct manifest *ret, struct err *err)
{
	struct fetch fetch = {0};
	if (member->state != MEMBER_READY) {
		*err = member->err;
		return -1;
	}
	Fairlead__V1__ManifestRequest request = FAIRLEAD__V1__MANIFEST_REQUEST__INIT;
	Fairlead__V1__Command command = FAIRLEAD__V1__COMMAND__INIT;
	request.manifest = pb_borrow(digest->bytes, DIGEST_SIZE);
	command.action = FAIRLEAD__V1__ACTION__ACTION_MANIFEST;
	command.manifest = &request;
	agent_client_call(member->client, &command, MANIFEST_DEADLINE_MS, &fetch_ops, &fetch);
	while (!fetch.ended)
		link_loop_wait(hosts_loop(hosts), -1);
	struct manifest manifest = {0};
	int r = -1;
	if (fetch.err.code != ERR_NONE)
		*err = fetch.err;
	else
		r = manifest_decode(buf_bytes(&fetch.wire), &manifest, err);
	buf_release(&fetch.wire);
	if (r < 0)
		return -1;
	if (!digest_equal(&manifest.digest, digest)) {
		manifest_release(&manifest);
		return err_set(err, ERR_CORRUPT, "host '%s' sent another manifest than it runs",
			member->host->name);
	}
	*ret = manifest;
	return 0;
}

/* ---- where to look ---- */

/* A base that is no commit of a repository is known by the host's manifest alone. */
static bool is_commit(const char *label)
{
	return strncmp(label, "dir-", 4) != 0;
}

static void learn(
	struct hosts *hosts, struct member *member, const struct source *source, struct base *base)
{
	const char *label = member_app(member)->current->commit;
	if (digest_equal(&base->digest, &source->tree.manifest.digest)) {
		base->known = PLAN_BASE_KNOWN;
		return;
	}
	bool in_git = source->repo && is_commit(label);
	base->known = PLAN_BASE_UNKNOWN;
	if (in_git)
		base->known =
			base_find(source->repo, label, &base->digest, &base->tree, &base->why);
	if (base->known == PLAN_BASE_KNOWN)
		return;
	/* Even where the plan must not rest on it, the transfer may: only what differs is sent. */
	struct err err = ERR_INIT;
	int r = fetch_manifest(hosts, member, &base->digest, &base->told, &err);
	if (r == 0 && !in_git)
		base->known = PLAN_BASE_KNOWN;
	if (r < 0 && !base->why)
		base->why = xasprintf("the host could not tell its manifest: %s", err.message);
}

void bases_find(struct hosts *hosts, const struct source *source, struct bases *ret)
{
	struct bases bases = {0};
	bases.items = xcalloc(hosts_count(hosts) + 1, sizeof(*bases.items));
	for (size_t i = 0; i < hosts_count(hosts); i++) {
		struct member *member = hosts_member(hosts, i);
		if (member->state != MEMBER_READY)
			continue;
		struct digest current = member_current(member);
		if (digest_is_zero(&current) || bases_get(&bases, &current))
			continue;
		struct base *base = &bases.items[bases.count++];
		base->digest = current;
		learn(hosts, member, source, base);
	}
	*ret = bases;
}

void bases_release(struct bases *bases)
{
	for (size_t i = 0; i < bases->count; i++) {
		free(bases->items[i].why);
		if (bases->items[i].tree.impl)
			tree_release(&bases->items[i].tree);
		manifest_release(&bases->items[i].told);
	}
	free(bases->items);
	*bases = (struct bases){0};
}

const struct base *bases_get(const struct bases *bases, const struct digest *digest)
{
	for (size_t i = 0; i < bases->count; i++)
		if (digest_equal(&bases->items[i].digest, digest))
			return &bases->items[i];
	return NULL;
}

const struct manifest *base_manifest(const struct base *base)
{
	if (base->tree.impl)
		return &base->tree.manifest;
	return digest_is_zero(&base->told.digest) ? NULL : &base->told;
}

/* Only the host has the contents: what changed is then sent whole. */
static int fetch_nothing(
	void *user, const struct manifest_entry *entry, struct buf *ret, struct err *err)
{
	(void)user;
	(void)ret;
	return err_set(
		err, ERR_NOT_FOUND, "the old content of '%s' is only on the host", entry->path);
}

const struct bundle_source *base_source(const struct base *base)
{
	static const struct bundle_source none = {.fetch = fetch_nothing};
	return base->tree.impl ? &base->tree.source : &none;
}
