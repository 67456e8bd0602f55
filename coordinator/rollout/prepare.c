#include "coordinator/rollout/prepare.h"

#include "common/base/mem.h"
#include "common/base/pb.h"

static void fill_services(struct prepare *prepare, const struct plan_host *host)
{
	size_t count = host->service_count;
	prepare->services = xcalloc(count + 1, sizeof(*prepare->services));
	prepare->service_pointers = xcalloc(count + 1, sizeof(*prepare->service_pointers));
	for (size_t i = 0; i < count; i++) {
		prepare->services[i] = *host->services[i]->plan; /* shallow: only action differs */
		prepare->services[i].action = host->actions[i];
		prepare->service_pointers[i] = &prepare->services[i];
	}
	prepare->message.services = prepare->service_pointers;
	prepare->message.n_services = count;
}

static ProtobufCBinaryData *borrow_paths(char **paths, size_t *ret_count)
{
	size_t count = 0;
	while (paths && paths[count])
		count++;
	ProtobufCBinaryData *list = xcalloc(count + 1, sizeof(*list));
	for (size_t i = 0; i < count; i++)
		list[i] = pb_borrow(paths[i], strlen(paths[i]));
	*ret_count = count;
	return list;
}

static void fill_bundle(Fairlead__V1__Prepare *message, const struct bundle_file *bundle)
{
	message->bundle_digest = pb_borrow(bundle->info.digest.bytes, DIGEST_SIZE);
	message->bundle_bytes = bundle->info.bytes;
	message->files_changed = bundle->info.files_changed;
	if (!digest_is_zero(&bundle->base))
		message->bundle_base = pb_borrow(bundle->base.bytes, DIGEST_SIZE);
}

void prepare_init(struct prepare *prepare, const struct plan *plan, const struct plan_host *host,
	const struct bundle_file *bundle, const char *actor)
{
	const struct app_config *config = plan->config;
	*prepare = (struct prepare){.message = FAIRLEAD__V1__PREPARE__INIT};
	Fairlead__V1__Prepare *message = &prepare->message;
	if (!digest_is_zero(&host->from))
		message->base_manifest = pb_borrow(host->from.bytes, DIGEST_SIZE);
	message->target_manifest = pb_borrow(host->to.bytes, DIGEST_SIZE);
	if (bundle)
		fill_bundle(message, bundle);
	message->commit_from = host->commit_from;
	message->commit_to = host->commit_to;
	message->class_ = host->change->class;
	message->class_forced = plan->forced;
	message->actor = pb_str(actor);
	fill_services(prepare, host);
	prepare->shared_dirs = borrow_paths(config->shared_dirs, &message->n_shared_dirs);
	prepare->shared_files = borrow_paths(config->shared_files, &message->n_shared_files);
	message->shared_dirs = prepare->shared_dirs;
	message->shared_files = prepare->shared_files;
	message->hooks = config->hooks;
	message->n_hooks = config->hook_count;
	message->keep_releases = config->keep_releases;
	message->keep_failed = config->keep_failed;
	message->lease_ms = config->lease_ms;
	message->activate_timeout_ms = config->activate_timeout_ms;
}

void prepare_release(struct prepare *prepare)
{
	free(prepare->services);
	free(prepare->service_pointers);
	free(prepare->shared_dirs);
	free(prepare->shared_files);
}
