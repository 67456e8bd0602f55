/* A watch over a service whose driver takes its time to say how it is. */
#include "agent/service/prober.h"
#include "tests/unit/agent/service/driver_bench.h"

struct verdict {
	int told;
	struct err err;
};

static void on_verdict(void *user, const struct err *err)
{
	struct verdict *verdict = user;
	verdict->told++;
	verdict->err = *err;
}

static struct bench *slow_service(void)
{
	struct bench *b = bench_new("command");
	bench_scripts(b, "sleep 1000 & echo $! > pid");
	bench_script(
		b, "bin/status", "test -f pid || exit 3; read pid < pid; sleep 0.2; echo pid=$pid");
	b->plan.driver = pb_str("command");
	bench_start_well(b);
	return b;
}

/* Longer than the pause from one look at the process to the next. */
static void a_slow_status_is_waited_for(void **state)
{
	(void)state;
	struct bench *b = slow_service();
	struct verdict verdict = {0};
	struct prober *prober;
	assert_int_equal(prober_new(&b->loop, BIN_DIR "/fairlead-probe", NULL, &prober, NULL), 0);
	Fairlead__V1__RunningProbe running = FAIRLEAD__V1__RUNNING_PROBE__INIT;
	Fairlead__V1__Probe probe = FAIRLEAD__V1__PROBE__INIT, *probes = &probe;
	probe.running = &running;
	probe.start_period_ms = probe.timeout_ms = 40000;
	probe.interval_ms = 100;
	b->plan.probes = &probes;
	b->plan.n_probes = 1;
	const struct health_subject subject = {
		.context = &b->context, .plan = &b->plan, .release = &b->release, .commit = ""};
	assert_non_null(health_watch_start(prober, &subject, on_verdict, &verdict));
	WAIT_UNTIL(uv_run(&b->loop, UV_RUN_NOWAIT), verdict.told);
	if (verdict.err.code != ERR_NONE)
		fail_msg("%s", verdict.err.message);
	prober_free(prober);
	bench_stop(b);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slow_status_is_waited_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
