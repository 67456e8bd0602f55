#include "common/base/digest.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/trust/replay.h"

#include <setjmp.h>

#include <cmocka.h>

#define ACTION(name) FAIRLEAD__V1__ACTION__ACTION_##name

/* A command as envelope_verify would have given it. */
struct sample {
	Fairlead__V1__Command command;
	struct policy_signer signer;
	struct envelope envelope;
	uint8_t id[16];
};

static struct envelope *sample(struct sample *s, Fairlead__V1__Action action, unsigned id,
	uint64_t sequence, uint8_t digest)
{
	*s = (struct sample){.command = FAIRLEAD__V1__COMMAND__INIT};
	put_u32(s->id, id);
	s->signer.name = pb_str("ci");
	s->command.action = action;
	s->command.app = pb_str("shop");
	s->command.environment = pb_str("production");
	s->command.deployment_id = pb_borrow(s->id, sizeof(s->id));
	s->command.sequence = sequence;
	s->envelope.command = &s->command;
	s->envelope.signer = &s->signer;
	memset(s->envelope.command_digest, digest, sizeof(s->envelope.command_digest));
	return &s->envelope;
}

static void record(struct replay *replay, const struct envelope *e)
{
	replay_record(replay, e->command->app, e->command->environment, e->command->sequence,
		PB_BYTES(e->command->deployment_id), e->command_digest);
}

static void each_verdict(void **state)
{
	(void)state;
	AUTO(replay) struct replay replay = {0};
	struct sample s;
	assert_int_equal(
		replay_check(&replay, sample(&s, ACTION(PREPARE), 1, 5, 1), NULL), REPLAY_NEW);
	record(&replay, &s.envelope);
	assert_int_equal(replay_last_sequence(&replay, "shop", "production"), 5);

	static const struct {
		Fairlead__V1__Action action;
		unsigned id;
		uint64_t sequence;
		uint8_t digest;
		enum replay_verdict verdict;
		enum err_code code;
	} cases[] = {
		{ACTION(PREPARE), 1, 5, 1, REPLAY_REPEAT, ERR_NONE},
		{ACTION(PREPARE), 1, 5, 2, REPLAY_CONFLICT, ERR_DENIED},
		{ACTION(PREPARE), 1, 6, 2, REPLAY_CONFLICT, ERR_DENIED},
		{ACTION(ROLLBACK), 1, 6, 2, REPLAY_CONFLICT, ERR_DENIED},
		{ACTION(PREPARE), 2, 5, 3, REPLAY_STALE, ERR_AUTH},
		{ACTION(PREPARE), 2, 4, 3, REPLAY_STALE, ERR_AUTH},
		{ACTION(PREPARE), 2, 6, 3, REPLAY_NEW, ERR_NONE},
		{ACTION(ROLLBACK), 2, 6, 3, REPLAY_NEW, ERR_NONE},
		{ACTION(ACTIVATE), 1, 5, 4, REPLAY_STALE, ERR_AUTH},
		{ACTION(ACTIVATE), 1, 6, 4, REPLAY_NEW, ERR_NONE},
		{ACTION(ABORT), 1, UINT64_MAX, 4, REPLAY_NEW, ERR_NONE},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err err = ERR_INIT;
		sample(&s, cases[i].action, cases[i].id, cases[i].sequence, cases[i].digest);
		assert_int_equal(replay_check(&replay, &s.envelope, &err), cases[i].verdict);
		assert_int_equal(err.code, cases[i].code);
	}
}

static void apps_and_environments_are_apart(void **state)
{
	(void)state;
	AUTO(replay) struct replay replay = {0};
	struct sample s;
	sample(&s, ACTION(PREPARE), 1, 9, 1);
	record(&replay, &s.envelope);
	s.command.environment = pb_str("staging");
	assert_int_equal(replay_check(&replay, &s.envelope, NULL), REPLAY_NEW);
	assert_int_equal(replay_last_sequence(&replay, "shop", "staging"), 0);
	s.command.environment = pb_str("production");
	s.command.app = pb_str("blog");
	assert_int_equal(replay_check(&replay, &s.envelope, NULL), REPLAY_NEW);
}

static void facts_come_in_any_order_and_twice(void **state)
{
	(void)state;
	AUTO(replay) struct replay replay = {0};
	struct sample s;
	const uint64_t sequences[] = {7, 3, 7, 5};
	for (size_t i = 0; i < ARRAY_LEN(sequences); i++) {
		sample(&s, ACTION(PREPARE), (unsigned)sequences[i], sequences[i], 1);
		record(&replay, &s.envelope);
	}
	/* One that goes on with a deployment raises the sequence and begins nothing. */
	replay_record(&replay, "shop", "production", 8, BYTES(s.id, sizeof(s.id)), NULL);
	assert_int_equal(replay_last_sequence(&replay, "shop", "production"), 8);
	sample(&s, ACTION(PREPARE), 3, 3, 1);
	assert_int_equal(replay_check(&replay, &s.envelope, NULL), REPLAY_REPEAT);
}

static void what_is_forgotten_is_stale(void **state)
{
	(void)state;
	AUTO(replay) struct replay replay = {0};
	struct sample s;
	for (unsigned i = 1; i <= REPLAY_KNOWN_MAX + 10; i++) {
		sample(&s, ACTION(PREPARE), i, i, 1);
		assert_int_equal(replay_check(&replay, &s.envelope, NULL), REPLAY_NEW);
		record(&replay, &s.envelope);
	}
	for (unsigned i = 1; i <= REPLAY_KNOWN_MAX + 10; i++) {
		sample(&s, ACTION(PREPARE), i, i, 1);
		assert_int_equal(replay_check(&replay, &s.envelope, NULL),
			i <= 10 ? REPLAY_STALE : REPLAY_REPEAT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_verdict),
		cmocka_unit_test(apps_and_environments_are_apart),
		cmocka_unit_test(facts_come_in_any_order_and_twice),
		cmocka_unit_test(what_is_forgotten_is_stale),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
