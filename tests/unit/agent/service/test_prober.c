/* Watches over real services (fairlead-shim) with the real fairlead-probe. */
#include "agent/service/health.h"
#include "agent/service/prober.h"
#include "common/base/mem.h"
#include "common/base/pb.h"
#include "common/os/clock.h"
#include "common/os/file.h"
#include "common/os/process.h"

#include <limits.h>
#include <setjmp.h>
#include <signal.h>

#include <cmocka.h>

#include "tests/unit/agent/service/http_server.h"

enum { PROBES_MAX = 2, PATIENCE_MS = 45000 };

struct bench {
	char root[64];
	struct store store;
	uv_loop_t loop;
	struct service_context context;
	struct digest release;
	struct prober *prober;
	struct http_server server; /* somebody else's */
	unsigned own_port;         /* kept free for the service */
	int own_fd;
	char *url;
	Fairlead__V1__ServicePlan plan;
	Fairlead__V1__ProcessSpec process;
	Fairlead__V1__RestartPolicy restart;
	ProtobufCBinaryData command[3];
	Fairlead__V1__Probe probes[PROBES_MAX];
	Fairlead__V1__Probe *probe_list[PROBES_MAX];
	Fairlead__V1__HttpProbe http;
	Fairlead__V1__RunningProbe running;
	pid_t pid;
	int answered; /* of driver operations */
	int verdicts;
	struct err verdict;
	uint64_t began_ms;
};

/* Two processes of one user may bind it; connections go to those who listen. 0: any port. */
static int bind_shared(unsigned *port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)*port)};
	socklen_t len = sizeof(at);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

/* This program as a service: "serve <port>". */
static void serve(const char *port_text)
{
	unsigned port = (unsigned)strtoul(port_text, NULL, 10);
	int fd = bind_shared(&port);
	assert_int_equal(listen(fd, 16), 0);
	http_server_serve(fd);
}

static char *own_path(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path));
	assert_true(n > 0);
	return xstrndup(path, (size_t)n);
}

static int setup(void **state)
{
	struct bench *b = xcalloc(1, sizeof(*b));
	snprintf(b->root, sizeof(b->root), "/tmp/fairlead-prober-XXXXXX");
	assert_non_null(mkdtemp(b->root));
	b->store.path = xasprintf("%s/shop-test", b->root);
	AUTO_FREE char *release_path = store_release_path(&b->store, &b->release);
	assert_int_equal(make_dirs(release_path, 0755, NULL), 0);
	b->store.dirfd = open_dir(b->store.path, NULL);
	uv_loop_init(&b->loop);
	b->context = (struct service_context){
		.loop = &b->loop,
		.store = &b->store,
		.shim_path = BIN_DIR "/fairlead-shim",
	};
	struct err err = ERR_INIT;
	if (prober_new(&b->loop, BIN_DIR "/fairlead-probe", NULL, &b->prober, &err) < 0)
		fail_msg("%s", err.message);
	http_server_start(&b->server);
	b->own_fd = bind_shared(&b->own_port);
	fairlead__v1__service_plan__init(&b->plan);
	fairlead__v1__process_spec__init(&b->process);
	fairlead__v1__restart_policy__init(&b->restart);
	fairlead__v1__http_probe__init(&b->http);
	fairlead__v1__running_probe__init(&b->running);
	for (size_t i = 0; i < PROBES_MAX; i++) {
		fairlead__v1__probe__init(&b->probes[i]);
		b->probes[i].interval_ms = 10000;
		b->probes[i].timeout_ms = 10000;
		b->probes[i].start_period_ms = 40000;
		b->probes[i].retries = 3;
		b->probe_list[i] = &b->probes[i];
	}
	b->restart.policy = pb_str("no");
	b->process.restart = &b->restart;
	b->plan.name = pb_str("web");
	b->plan.driver = pb_str("process");
	b->plan.process = &b->process;
	b->plan.probes = b->probe_list;
	b->plan.stop_timeout_ms = 10000;
	*state = b;
	return 0;
}

static void on_done(void *user, const Fairlead__V1__ServiceStatus *status, const struct err *err)
{
	struct bench *b = user;
	if (err->code != ERR_NONE)
		fail_msg("%s", err->message);
	b->pid = (pid_t)status->pid;
	b->answered = 1;
}

static void run_until(struct bench *b, const int *flag)
{
	uint64_t give_up = clock_mono_ms() + PATIENCE_MS;
	while (!*flag) {
		uv_run(&b->loop, UV_RUN_NOWAIT);
		if (clock_mono_ms() > give_up)
			fail_msg("no answer");
		poll(NULL, 0, 1);
	}
}

static void start(struct bench *b, const char *script)
{
	const char *const argv[] = {"sh", "-c", script};
	for (size_t i = 0; i < ARRAY_LEN(argv); i++)
		b->command[i] = pb_borrow(argv[i], strlen(argv[i]));
	b->process.command = b->command;
	b->process.n_command = ARRAY_LEN(argv);
	b->answered = 0;
	const struct service_ops *ops = service_ops_find("process");
	assert_int_equal(ops->start(&b->context, &b->plan, &b->release, on_done, b, NULL), 0);
	run_until(b, &b->answered);
}

static void stop(struct bench *b)
{
	b->answered = 0;
	const struct service_ops *ops = service_ops_find("process");
	assert_int_equal(ops->stop(&b->context, &b->plan, SERVICE_ENDS, on_done, b, NULL), 0);
	run_until(b, &b->answered);
}

static int teardown(void **state)
{
	struct bench *b = *state;
	stop(b);
	prober_free(b->prober);
	uv_run(&b->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&b->loop), 0);
	http_server_stop(&b->server);
	close(b->own_fd);
	close(b->store.dirfd);
	assert_int_equal(tree_remove(AT_FDCWD, b->root, NULL), 0);
	free(b->store.path);
	free(b->url);
	free(b);
	return 0;
}

static Fairlead__V1__Probe *add_http_at(struct bench *b, unsigned port, const char *path)
{
	Fairlead__V1__Probe *probe = &b->probes[b->plan.n_probes++];
	b->url = xasprintf("http://127.0.0.1:%u%s", port, path);
	b->http.url = b->url;
	probe->http = &b->http;
	return probe;
}

static Fairlead__V1__Probe *add_http(struct bench *b, const char *path)
{
	return add_http_at(b, b->server.port, path);
}

static Fairlead__V1__Probe *add_running(struct bench *b, uint64_t min_ms, unsigned max_restarts)
{
	Fairlead__V1__Probe *probe = &b->probes[b->plan.n_probes++];
	b->running.min_ms = min_ms;
	b->running.max_restarts = max_restarts;
	probe->running = &b->running;
	return probe;
}

static void on_verdict(void *user, const struct err *err)
{
	struct bench *b = user;
	b->verdict = *err;
	b->verdicts++;
}

static struct health_watch *watch(struct bench *b)
{
	b->verdicts = 0;
	b->began_ms = clock_mono_ms();
	const struct health_subject subject = {
		.context = &b->context, .plan = &b->plan, .release = &b->release, .commit = ""};
	struct health_watch *started = health_watch_start(b->prober, &subject, on_verdict, b);
	assert_int_equal(b->verdicts, 0);
	return started;
}

static uint64_t wait_verdict(struct bench *b)
{
	run_until(b, &b->verdicts);
	uint64_t took = clock_mono_ms() - b->began_ms;
	assert_int_equal(b->verdicts, 1);
	return took;
}

static void assert_healthy(const struct bench *b)
{
	if (b->verdict.code != ERR_NONE)
		fail_msg("%s", b->verdict.message);
}

static void assert_failed(const struct bench *b, const char *why)
{
	assert_int_equal(b->verdict.code, ERR_FAILED);
	if (!strstr(b->verdict.message, why))
		fail_msg("'%s' is not in '%s'", why, b->verdict.message);
}

static void http_is_healthy_as_soon_as_it_answers(void **state)
{
	struct bench *b = *state;
	add_http_at(b, b->own_port, "/health");
	AUTO_FREE char *own = own_path();
	AUTO_FREE char *itself = xasprintf("exec %s serve %u", own, b->own_port);
	AUTO_FREE char *below = xasprintf("%s serve %u & wait", own, b->own_port);
	const char *const scripts[] = {itself, below};
	for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
		uint64_t best = UINT64_MAX;
		/* A busy machine may be late, but not each time. */
		for (int turn = 0; turn < 5 && best >= HEALTH_SETTLE_MS; turn++) {
			start(b, scripts[i]);
			watch(b);
			uint64_t took = wait_verdict(b);
			assert_healthy(b);
			best = took < best ? took : best;
			stop(b);
		}
		assert_true(best < HEALTH_SETTLE_MS); /* the interval is 10 s */
	}
}

static void one_behind_a_proxy_has_to_stay_a_second(void **state)
{
	struct bench *b = *state;
	add_http(b, "/health");
	start(b, "exec sleep 1000");
	watch(b);
	uint64_t took = wait_verdict(b);
	assert_healthy(b);
	assert_in_range(took, HEALTH_SETTLE_MS, 10000); /* the interval is 10 s */
}

static void whoever_holds_its_port_cannot_answer_for_it(void **state)
{
	struct bench *b = *state;
	static const char *const lives[] = {
		"sleep 0.3; exit 1", "sleep 0.3; exit 1", "sleep 0.05; exit 1", "exit 1"};
	add_http(b, "/health");
	AUTO_FREE char *held = xasprintf(
		"port %u is held by pid %d (test_agent_serv)", b->server.port, b->server.pid);
	for (size_t i = 0; i < ARRAY_LEN(lives); i++) {
		start(b, lives[i]);
		watch(b);
		wait_verdict(b);
		assert_failed(b, "it is failed: exited with status 1");
		/* Also when it ended while the first answer was under way. */
		if (!strstr(b->verdict.hint, held))
			fail_msg("'%s' is not in '%s'", held, b->verdict.hint);
		stop(b);
	}
}

static void a_restart_has_to_settle_again(void **state)
{
	struct bench *b = *state;
	/* Each life is too short, all together are not. */
	add_http(b, "/health");
	b->restart.policy = pb_str("on-failure");
	b->restart.max_retries = 4;
	b->restart.backoff_ms = 1;
	start(b, "sleep 0.4; exit 5");
	watch(b);
	assert_true(wait_verdict(b) > HEALTH_SETTLE_MS);
	assert_failed(b, "it is failed: ");
}

static void http_that_stays_bad_fails_with_its_answer(void **state)
{
	struct bench *b = *state;
	Fairlead__V1__Probe *probe = add_http(b, "/broken");
	probe->start_period_ms = 100;
	probe->interval_ms = 50;
	start(b, "exec sleep 1000");
	watch(b);
	assert_true(wait_verdict(b) >= 200);
	assert_failed(b, "http probe of http://127.0.0.1:");
	assert_failed(b, "/broken failed: HTTP 503 in ");
	assert_failed(b, "no db :(");
	assert_failed(b, "; port ");
	assert_failed(b, " is held by pid ");
}

static void one_that_never_answers_times_out(void **state)
{
	struct bench *b = *state;
	Fairlead__V1__Probe *probe = add_http(b, "/silent");
	probe->start_period_ms = 0;
	probe->timeout_ms = 100;
	probe->retries = 1;
	start(b, "exec sleep 1000");
	watch(b);
	assert_true(wait_verdict(b) >= 100);
	assert_failed(b, "Timeout was reached");
}

static void without_probes_it_runs_for_a_second(void **state)
{
	struct bench *b = *state;
	start(b, "exec sleep 1000");
	watch(b);
	assert_true(wait_verdict(b) >= 1000);
	assert_healthy(b);
}

static void the_end_of_the_service_is_the_verdict(void **state)
{
	struct bench *b = *state;
	/* Whatever start_period says, and although something answers at that port. */
	Fairlead__V1__Probe *probe = add_http(b, "/health");
	probe->min_healthy_ms = 60000;
	start(b, "sleep 0.2; exit 3");
	watch(b);
	assert_true(wait_verdict(b) < 30000);
	assert_failed(b, "it is failed: exited with status 3");
}

static void a_restart_is_not_running(void **state)
{
	struct bench *b = *state;
	add_running(b, 60000, 0);
	b->restart.policy = pb_str("on-failure");
	b->restart.max_retries = 3;
	b->restart.backoff_ms = 50;
	start(b, "sleep 0.2; exit 4");
	watch(b);
	assert_true(wait_verdict(b) < 30000);
	assert_failed(b, "running failed: it is ");
}

static void restarts_may_be_allowed(void **state)
{
	struct bench *b = *state;
	add_running(b, 400, 1);
	b->restart.policy = pb_str("on-failure");
	b->restart.max_retries = 3;
	b->restart.backoff_ms = 50;
	b->probes[0].interval_ms = 50;
	start(b, "test -f again && exec sleep 1000; touch again; sleep 0.2; exit 4");
	watch(b);
	wait_verdict(b);
	assert_healthy(b);
}

static void all_probes_must_pass(void **state)
{
	struct bench *b = *state;
	add_http(b, "/health");
	add_running(b, 300, 0);
	start(b, "exec sleep 1000");
	watch(b);
	assert_true(wait_verdict(b) >= 300);
	assert_healthy(b);
}

static pid_t probe_worker(void)
{
	struct process *list;
	size_t count;
	pid_t found = 0;
	assert_int_equal(process_list(&list, &count, NULL), 0);
	for (size_t i = 0; i < count; i++) {
		AUTO_FREE char *path = xasprintf("/proc/%d/comm", list[i].pid);
		AUTO(buf) struct buf name = {0};
		if (list[i].parent == getpid() && file_read(AT_FDCWD, path, 64, &name, NULL) == 0 &&
			strcmp(buf_str(&name), "fairlead-probe\n") == 0)
			found = list[i].pid;
	}
	free(list);
	return found;
}

static void a_dead_worker_is_an_answer_and_is_replaced(void **state)
{
	struct bench *b = *state;
	Fairlead__V1__Probe *probe = add_http(b, "/silent");
	probe->start_period_ms = 0;
	probe->retries = 1;
	start(b, "exec sleep 1000");
	watch(b);
	while (!probe_worker())
		uv_run(&b->loop, UV_RUN_NOWAIT);
	pid_t before = probe_worker();
	kill(before, SIGKILL);
	wait_verdict(b);
	assert_failed(b, "probe worker died");
	memcpy(strstr(b->url, "/silent"), "/health", 7);
	watch(b);
	wait_verdict(b);
	assert_healthy(b);
	assert_int_not_equal(probe_worker(), before);
	assert_int_not_equal(probe_worker(), 0);
}

static void a_missing_worker_is_an_answer(void **state)
{
	struct bench *b = *state;
	prober_free(b->prober);
	assert_int_equal(prober_new(&b->loop, "/no/such/probe", NULL, &b->prober, NULL), 0);
	Fairlead__V1__Probe *probe = add_http(b, "/health");
	probe->start_period_ms = 0;
	probe->retries = 1;
	start(b, "exec sleep 1000");
	watch(b);
	wait_verdict(b);
	assert_failed(b, "probe worker: cannot execute");
}

static void nothing_follows_a_cancel(void **state)
{
	struct bench *b = *state;
	add_http(b, "/health");
	start(b, "exec sleep 1000");
	struct health_watch *watches[4];
	for (size_t i = 0; i < ARRAY_LEN(watches); i++) {
		watches[i] = watch(b);
		/* At each stage of asking. */
		for (size_t turns = 0; turns < i; turns++)
			uv_run(&b->loop, UV_RUN_NOWAIT);
		assert_int_equal(b->verdicts, 0);
		health_watch_cancel(watches[i]);
	}
	health_watch_cancel(NULL);
	watch(b);
	wait_verdict(b);
	assert_healthy(b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		serve(argv[2]);
	const struct CMUnitTest tests[] = {
		TEST(http_is_healthy_as_soon_as_it_answers),
		TEST(one_behind_a_proxy_has_to_stay_a_second),
		TEST(whoever_holds_its_port_cannot_answer_for_it),
		TEST(a_restart_has_to_settle_again),
		TEST(http_that_stays_bad_fails_with_its_answer),
		TEST(one_that_never_answers_times_out),
		TEST(without_probes_it_runs_for_a_second),
		TEST(the_end_of_the_service_is_the_verdict),
		TEST(a_restart_is_not_running),
		TEST(restarts_may_be_allowed),
		TEST(all_probes_must_pass),
		TEST(a_dead_worker_is_an_answer_and_is_replaced),
		TEST(a_missing_worker_is_an_answer),
		TEST(nothing_follows_a_cancel),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
