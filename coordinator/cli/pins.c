#include "coordinator/cli/pins.h"

#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "coordinator/cli/actor.h"
#include "coordinator/cli/release_choice.h"
#include "coordinator/fleet/hosts_call.h"

enum { PIN_DEADLINE_MS = 30000, ID_SIZE = 16 };

/* One host's. */
struct pin {
	Fairlead__V1__Pin message;
	uint8_t manifest[DIGEST_SIZE], id[ID_SIZE];
	bool chosen;
};

struct pins {
	struct hosts *hosts;
	const char *wanted, *actor;
	enum pin_wish wish;
	struct pin *list;
	struct err err; /* the first that went wrong */
};

static void failed(struct pins *pins, const struct err *err)
{
	if (err->code != ERR_NONE && pins->err.code == ERR_NONE)
		pins->err = *err;
}

static void on_releases(
	void *user, struct member *member, const ProtobufCMessage *reply, const struct err *err)
{
	struct pins *pins = user;
	struct pin *pin = &pins->list[member_index(pins->hosts, member)];
	const Fairlead__V1__Release *release = NULL;
	struct err failure = *err;
	if (failure.code == ERR_NONE &&
		release_choose((const void *)reply, pins->wanted, member->host->name, &release,
			&failure) == 0 &&
		release->manifest.len == DIGEST_SIZE) {
		memcpy(pin->manifest, release->manifest.data, DIGEST_SIZE);
		pin->chosen = true;
	}
	failed(pins, &failure);
}

static bool fill(void *user, struct member *member, Fairlead__V1__Command *command)
{
	struct pins *pins = user;
	struct pin *pin = &pins->list[member_index(pins->hosts, member)];
	if (!pin->chosen)
		return false;
	fairlead__v1__pin__init(&pin->message);
	randombytes_buf(pin->id, sizeof(pin->id));
	pin->message.manifest = pb_borrow(pin->manifest, DIGEST_SIZE);
	pin->message.pinned = pins->wish == PIN_ON;
	pin->message.actor = pb_str(pins->actor);
	command->deployment_id = pb_borrow(pin->id, sizeof(pin->id));
	command->pin = &pin->message;
	return true;
}

static void on_pinned(void *user, struct member *member, const ProtobufCMessage *message)
{
	(void)user;
	(void)member;
	(void)message; /* the list, which is asked for once more for all */
}

static void on_ended(void *user, struct member *member, const struct err *err)
{
	(void)member;
	failed(user, err);
}

static const struct hosts_call_ops pin_ops = {
	.fill = fill,
	.message = on_pinned,
	.ended = on_ended,
};

int pins_set(struct context *context, const struct options *options, enum pin_wish wish,
	const char *wanted, struct err *err)
{
	if (context_check_hosts(context, context_missing_of(context), err) < 0)
		return -1;
	size_t count = hosts_count(context->hosts);
	AUTO_FREE char *actor = actor_name(options->actor);
	AUTO_FREE struct pin *list = xcalloc(count + 1, sizeof(*list));
	struct pins pins = {.hosts = context->hosts,
		.wanted = wanted,
		.actor = actor,
		.wish = wish,
		.list = list};
	hosts_ask_all(context->hosts, FAIRLEAD__V1__ACTION__ACTION_RELEASES, on_releases, &pins);
	if (pins.err.code == ERR_NONE)
		hosts_call_all(context->hosts, FAIRLEAD__V1__ACTION__ACTION_PIN, PIN_DEADLINE_MS,
			&pin_ops, &pins);
	if (pins.err.code == ERR_NONE)
		return 0;
	*err = pins.err;
	return -1;
}
