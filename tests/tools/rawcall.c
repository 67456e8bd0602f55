/* rawcall: what `fairlead` never does, for tests: commands with any content, bytes that were kept
 * or altered, and keys that are not meant for it, through a real link.
 *
 *   rawcall sign KEY_FILE HOST_KEY ACTION DEPLOYMENT SEQUENCE NOT_BEFORE_MS EXPIRES_MS
 *           RELEASE > COMMAND
 *   rawcall send KEY_FILE HOST_KEY ADDRESS METHOD < COMMAND
 *
 * `sign` writes a packed SignedCommand on hello in production; ACTION is a number of the proto,
 * DEPLOYMENT 32 hex digits or "", RELEASE what a rollback wants. `send` prints how the call ended:
 * "ok STATE" or "CODE: message".
 */
#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/link/link.h"
#include "common/os/clock.h"
#include "common/os/file.h"
#include "common/trust/envelope.h"
#include "fairlead/v1/agent.pb-c.h"

#include <stdio.h>

enum { PATIENCE_MS = 20000 };

/* ---- sign ---- */

static int sign(char **args, struct err *err)
{
	AUTO_SIGNING_KEY struct signing_key *key = NULL;
	struct public_key host;
	if (signing_key_load(args[0], &key, err) < 0 || public_key_parse(args[1], &host, err) < 0)
		return -1;
	uint8_t id[16], release[DIGEST_SIZE];
	size_t id_len = 0, release_len = 0;
	sodium_hex2bin(id, sizeof(id), args[3], strlen(args[3]), NULL, &id_len, NULL);
	sodium_hex2bin(
		release, sizeof(release), args[7], strlen(args[7]), NULL, &release_len, NULL);

	Fairlead__V1__Command command = FAIRLEAD__V1__COMMAND__INIT;
	Fairlead__V1__Rollback rollback = FAIRLEAD__V1__ROLLBACK__INIT;
	Fairlead__V1__Abort abort = FAIRLEAD__V1__ABORT__INIT;
	abort.reason = pb_str("rawcall");
	rollback.actor = pb_str("rawcall");
	rollback.target_manifest = pb_borrow(release, release_len);
	rollback.lease_ms = rollback.activate_timeout_ms = rollback.confirm_timeout_ms =
		PATIENCE_MS;
	command.action = (Fairlead__V1__Action)strtol(args[2], NULL, 10);
	command.host_key = pb_borrow(host.bytes, sizeof(host.bytes));
	command.app = pb_str("hello");
	command.environment = pb_str("production");
	command.deployment_id = pb_borrow(id, id_len);
	command.sequence = strtoull(args[4], NULL, 10);
	command.not_before_unix_ms = strtoull(args[5], NULL, 10);
	command.expires_unix_ms = strtoull(args[6], NULL, 10);
	if (command.action == FAIRLEAD__V1__ACTION__ACTION_ROLLBACK)
		command.rollback = &rollback;
	if (command.action == FAIRLEAD__V1__ACTION__ACTION_ABORT)
		command.abort = &abort;
	AUTO(buf) struct buf packed = {0};
	envelope_sign(key, &command, clock_unix_ms(), &packed);
	return fd_write_all(STDOUT_FILENO, packed.data, packed.len, err);
}

/* ---- send ---- */

struct send {
	const char *method;
	struct bytes command;
	struct link_loop *loop;
	int done;
};

static void on_message(struct link_call *call, struct bytes message, void *user)
{
	(void)call, (void)user;
	Fairlead__V1__DeploymentStatus *status = NULL;
	struct err err = ERR_INIT;
	if (PB_UNPACK(fairlead__v1__deployment_status, message, &status, &err) < 0)
		return;
	const ProtobufCEnumValue *state = protobuf_c_enum_descriptor_get_value(
		&fairlead__v1__state__descriptor, (int)status->state);
	printf("ok %s\n", state ? state->name : "");
	pb_free(&status->base);
}

static void finish(struct send *send, const struct err *err)
{
	if (!send->done && err->code != ERR_NONE)
		printf("%s: %s\n", err_code_name(err->code), err->message);
	send->done = 1;
}

static void on_ended(struct link_call *call, const struct err *err, void *user)
{
	(void)call;
	finish(user, err);
}

static void on_opened(struct link *link, void *user)
{
	static const struct link_call_ops ops = {.message = on_message, .ended = on_ended};
	struct send *send = user;
	struct err err = ERR_INIT;
	struct link_call *call = link_call_start(link, send->method, PATIENCE_MS, &ops, send);
	if (link_call_send(call, send->command, &err) < 0)
		finish(send, &err);
	else
		link_call_half_close(call);
}

static void on_closed(struct link *link, const struct err *err, void *user)
{
	(void)link;
	finish(user, err);
}

static int send_command(char **args, struct err *err)
{
	static const struct link_ops ops = {.opened = on_opened, .closed = on_closed};
	AUTO_SIGNING_KEY struct signing_key *key = NULL;
	struct public_key host;
	if (signing_key_load(args[0], &key, err) < 0 || public_key_parse(args[1], &host, err) < 0)
		return -1;
	static uint8_t bytes[PB_WIRE_MAX];
	size_t len = fread(bytes, 1, sizeof(bytes), stdin);
	struct send send = {.method = args[3], .command = BYTES(bytes, len)};
	if (link_loop_new(&send.loop, err) < 0)
		return -1;
	link_dial(send.loop, args[2], key, &host, PATIENCE_MS, &ops, &send);
	while (!send.done)
		link_loop_wait(send.loop, PATIENCE_MS);
	link_loop_free(send.loop);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int args;
		int (*run)(char **args, struct err *err);
	} verbs[] = {{"sign", 8, sign}, {"send", 4, send_command}};
	struct err err = ERR_INIT;
	if (sodium_init() < 0)
		return 1;
	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) != 0 || argc - 2 != verbs[i].args)
			continue;
		if (verbs[i].run(argv + 2, &err) == 0)
			return 0;
		fprintf(stderr, "rawcall: %s\n", err.message);
		return 1;
	}
	fputs("rawcall: wrong arguments, see rawcall.c\n", stderr);
	return 2;
}
