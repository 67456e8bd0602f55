#include "common/base/mem.h"
#include "common/os/file.h"
#include "coordinator/ledger/ledger.h"

#include <pthread.h>
#include <setjmp.h>
#include <sqlite3.h>

#include <cmocka.h>

struct place {
	char dir[64];
	char path[96];
};

static int make_place(void **state)
{
	struct place *place = xcalloc(1, sizeof(*place));
	snprintf(place->dir, sizeof(place->dir), "/tmp/fairlead-ledger-XXXXXX");
	if (!mkdtemp(place->dir))
		return -1;
	snprintf(place->path, sizeof(place->path), "%s/ledger.db", place->dir);
	*state = place;
	return 0;
}

static int remove_place(void **state)
{
	struct place *place = *state;
	tree_remove(AT_FDCWD, place->dir, NULL);
	free(place);
	return 0;
}

static struct ledger *opened(const char *path)
{
	struct ledger *ledger = NULL;
	struct err err = ERR_INIT;
	if (ledger_open(path, &ledger, &err) < 0)
		fail_msg("%s", err.message);
	return ledger;
}

static enum err_code open_error(const char *path)
{
	struct ledger *ledger = NULL;
	struct err err = ERR_INIT;
	assert_int_equal(ledger_open(path, &ledger, &err), -1);
	assert_null(ledger);
	assert_non_null(strstr(err.message, path));
	assert_true(err.hint[0] != '\0');
	return err.code;
}

static struct ledger_deployment sample(const char *id, const char *app, uint64_t started_unix_ms)
{
	return (struct ledger_deployment){
		.id = id,
		.kind = "deploy",
		.app = app,
		.environment = "production",
		.class_name = "APP_ONLY",
		.commit_from = "abc1234",
		.commit_to = "def5678",
		.actor = "o'neil; DROP TABLE deployments",
		.started_unix_ms = started_unix_ms,
		.files_changed = 3,
	};
}

/* What history gave, as one line per deployment: "id app outcome status hosts;". */
struct told {
	struct buf text;
	size_t stop_after;
};

static int tell(void *user, const struct ledger_deployment *d, const struct ledger_host *hosts,
	size_t host_count)
{
	struct told *told = user;
	buf_printf(&told->text, "%s %s %s %d", d->id, d->app, d->outcome, d->exit_status);
	for (size_t i = 0; i < host_count; i++)
		buf_printf(&told->text, " %s=%s", hosts[i].host, hosts[i].state);
	buf_append_str(&told->text, ";");
	return told->stop_after && --told->stop_after == 0;
}

static int count_rows(void *user, const struct ledger_deployment *d,
	const struct ledger_host *hosts, size_t host_count)
{
	(void)d;
	(void)hosts;
	(void)host_count;
	++*(size_t *)user;
	return 0;
}

static void assert_history(struct ledger *ledger, const char *app, const char *environment,
	unsigned limit, const char *expected)
{
	struct told told = {0};
	assert_int_equal(ledger_history(ledger, app, environment, limit, tell, &told, NULL), 0);
	assert_string_equal(buf_str(&told.text), expected);
	buf_release(&told.text);
}

static int check_fields(void *user, const struct ledger_deployment *d,
	const struct ledger_host *hosts, size_t host_count)
{
	*(int *)user = 1;
	assert_string_equal(d->kind, "deploy");
	assert_string_equal(d->environment, "production");
	assert_string_equal(d->class_name, "FULL_RESTART");
	assert_string_equal(d->commit_from, "abc1234");
	assert_string_equal(d->commit_to, "def5678");
	assert_string_equal(d->actor, "o'neil; DROP TABLE deployments");
	assert_int_equal(d->started_unix_ms, 1000);
	assert_int_equal(d->ended_unix_ms, 2500);
	assert_int_equal(d->files_changed, 3);
	assert_int_equal(d->bytes, INT64_MAX);
	assert_string_equal(d->error, "web2: no answer");
	assert_int_equal(host_count, 2);
	assert_string_equal(hosts[1].host, "web2");
	assert_string_equal(hosts[1].state, "rolled_back");
	assert_string_equal(hosts[1].commit_from, "abc");
	assert_string_equal(hosts[1].commit_to, "");
	assert_int_equal(hosts[1].duration_ms, 1234);
	assert_int_equal(hosts[1].bytes, 77);
	assert_string_equal(hosts[1].error, "no answer");
	return 0;
}

static void a_deployment_is_kept_whole(void **state)
{
	struct place *place = *state;
	struct ledger *ledger = opened(place->path);
	struct ledger_deployment d = sample("1", "shop", 1000);
	assert_int_equal(ledger_begin(ledger, &d, NULL, 0, NULL), 0);
	assert_history(ledger, NULL, NULL, 9, "1 shop running 0;");

	d.class_name = "FULL_RESTART";
	d.ended_unix_ms = 2500;
	d.outcome = "failed";
	d.exit_status = 5;
	d.bytes = UINT64_MAX;
	d.error = "web2: no answer";
	const struct ledger_host hosts[] = {
		{"web1", "committed", "abc", "def", 1000, 5, NULL},
		{"web2", "rolled_back", "abc", NULL, 1234, 77, "no answer"},
	};
	assert_int_equal(ledger_end(ledger, &d, hosts, 2, NULL), 0);
	ledger_free(ledger);

	ledger = opened(place->path);
	int seen = 0;
	assert_int_equal(ledger_history(ledger, NULL, NULL, 9, check_fields, &seen, NULL), 0);
	assert_int_equal(seen, 1);
	/* Said again, it is the same. */
	assert_int_equal(ledger_end(ledger, &d, hosts, 2, NULL), 0);
	assert_history(ledger, NULL, NULL, 9, "1 shop failed 5 web1=committed web2=rolled_back;");
	ledger_free(ledger);
}

static void history_is_newest_first(void **state)
{
	struct place *place = *state;
	struct ledger *ledger = opened(place->path);
	static const struct {
		const char *id, *app;
		uint64_t started_unix_ms;
	} rows[] = {{"b", "shop", 20}, {"a", "blog", 10}, {"d", "shop", 30}, {"e", "shop", 30}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ledger_deployment d =
			sample(rows[i].id, rows[i].app, rows[i].started_unix_ms);
		assert_int_equal(ledger_begin(ledger, &d, NULL, 0, NULL), 0);
	}
	assert_history(ledger, NULL, NULL, 9,
		"e shop running 0;d shop running 0;b shop running 0;a blog running 0;");
	assert_history(ledger, "shop", NULL, 2, "e shop running 0;d shop running 0;");
	assert_history(ledger, "blog", "production", 2, "a blog running 0;");
	assert_history(ledger, "blog", "staging", 2, "");
	assert_history(ledger, NULL, NULL, 0, "");
	struct told told = {.stop_after = 1};
	assert_int_equal(ledger_history(ledger, NULL, NULL, 9, tell, &told, NULL), 0);
	assert_string_equal(buf_str(&told.text), "e shop running 0;");
	buf_release(&told.text);
	ledger_free(ledger);
}

static void two_handles_work_at_once(void **state)
{
	struct place *place = *state;
	struct ledger *a = opened(place->path), *b = opened(place->path);
	for (unsigned i = 0; i < 20; i++) {
		char id[16];
		snprintf(id, sizeof(id), "%u", i);
		struct ledger_deployment d = sample(id, "shop", i);
		assert_int_equal(ledger_begin(i % 2 ? a : b, &d, NULL, 0, NULL), 0);
		d.outcome = "committed";
		assert_int_equal(ledger_end(i % 2 ? b : a, &d, NULL, 0, NULL), 0);
	}
	assert_history(a, NULL, NULL, 1, "19 shop committed 0;");
	assert_history(b, NULL, NULL, 1, "19 shop committed 0;");
	ledger_free(a);
	ledger_free(b);
}

enum { OPENERS = 8 };

struct opener {
	const char *path;
	char id[16];
	struct err err;
};

static void *open_and_write(void *user)
{
	struct opener *opener = user;
	struct ledger *ledger = NULL;
	struct ledger_deployment d = sample(opener->id, "shop", 1);
	if (ledger_open(opener->path, &ledger, &opener->err) == 0)
		ledger_begin(ledger, &d, NULL, 0, &opener->err);
	ledger_free(ledger);
	return NULL;
}

/* On a new file: one of them makes the schema, the others wait for it. */
static void many_may_open_a_new_ledger(void **state)
{
	struct place *place = *state;
	struct opener openers[OPENERS] = {0};
	pthread_t threads[OPENERS];
	for (unsigned i = 0; i < OPENERS; i++) {
		openers[i].path = place->path;
		snprintf(openers[i].id, sizeof(openers[i].id), "%u", i);
		assert_int_equal(pthread_create(&threads[i], NULL, open_and_write, &openers[i]), 0);
	}
	for (unsigned i = 0; i < OPENERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (unsigned i = 0; i < OPENERS; i++)
		assert_string_equal(openers[i].err.message, "");
	struct ledger *ledger = opened(place->path);
	size_t count = 0;
	assert_int_equal(ledger_history(ledger, NULL, NULL, 99, count_rows, &count, NULL), 0);
	assert_int_equal(count, OPENERS);
	ledger_free(ledger);
}

static void the_same_id_twice_is_an_error(void **state)
{
	struct place *place = *state;
	struct ledger *ledger = opened(place->path);
	struct ledger_deployment d = sample("1", "shop", 1);
	struct err err = ERR_INIT;
	assert_int_equal(ledger_begin(ledger, &d, NULL, 0, NULL), 0);
	assert_int_equal(ledger_begin(ledger, &d, NULL, 0, &err), -1);
	assert_int_equal(err.code, ERR_EXISTS);
	d.id = "2";
	assert_int_equal(ledger_end(ledger, &d, NULL, 0, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	/* The failed transaction is over. */
	assert_int_equal(ledger_begin(ledger, &d, NULL, 0, NULL), 0);
	assert_int_equal(ledger_end(ledger, &d, NULL, 0, NULL), 0);
	ledger_free(ledger);
}

static void write_file(const char *path, const char *text)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text), NULL), 0);
}

static void exec_sql(const char *path, const char *sql)
{
	sqlite3 *db = NULL;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void what_is_not_a_ledger_is_said(void **state)
{
	struct place *place = *state;
	static const char text[] = "this is a letter to a friend, and not a database at all\n";
	write_file(place->path, text);
	assert_int_equal(open_error(place->path), ERR_CORRUPT);
	AUTO(buf) struct buf content = {0};
	assert_int_equal(file_read(AT_FDCWD, place->path, 1000, &content, NULL), 0);
	assert_string_equal(buf_str(&content), text);

	assert_int_equal(open_error(place->dir), ERR_IO);
	char other[128];
	snprintf(other, sizeof(other), "%s/none/ledger.db", place->dir);
	assert_int_equal(open_error(other), ERR_IO);
	snprintf(other, sizeof(other), "%s/other.db", place->dir);
	exec_sql(other, "CREATE TABLE music (title TEXT)");
	assert_int_equal(open_error(other), ERR_CONFIG);
	snprintf(other, sizeof(other), "%s/newer.db", place->dir);
	ledger_free(opened(other));
	exec_sql(other, "PRAGMA user_version = 99");
	assert_int_equal(open_error(other), ERR_CONFIG);
}

static void the_default_place_is_made(void **state)
{
	struct place *place = *state;
	setenv("XDG_STATE_HOME", place->dir, 1);
	ledger_free(opened(NULL));
	char path[128];
	snprintf(path, sizeof(path), "%s/fairlead/ledger.db", place->dir);
	assert_int_equal(access(path, R_OK), 0);

	unsetenv("XDG_STATE_HOME");
	setenv("HOME", place->dir, 1);
	ledger_free(opened(NULL));
	snprintf(path, sizeof(path), "%s/.local/state/fairlead/ledger.db", place->dir);
	assert_int_equal(access(path, R_OK), 0);

	unsetenv("HOME");
	struct ledger *ledger = NULL;
	struct err err = ERR_INIT;
	assert_int_equal(ledger_open(NULL, &ledger, &err), -1);
	assert_int_equal(err.code, ERR_CONFIG);
}

/* As the first version of the schema made it, with a deployment in it. */
static void an_old_ledger_is_brought_up_to_date(void **state)
{
	struct place *place = *state;
	struct ledger *ledger = opened(place->path);
	struct err err = ERR_INIT;
	struct ledger_deployment row = sample("0123456789abcdef0123456789abcdef", "shop", 1000);
	assert_int_equal(ledger_begin(ledger, &row, NULL, 0, &err), 0);
	ledger_free(ledger);
	exec_sql(place->path,
		"DROP TABLE receipts; DROP TABLE deployment_progress;"
		"ALTER TABLE deployments DROP COLUMN folder;"
		"ALTER TABLE deployments DROP COLUMN forced;"
		"ALTER TABLE deployments DROP COLUMN retry_bad; PRAGMA user_version = 1");
	ledger = opened(place->path);
	struct ledger_receipt receipt = {.host = "web1",
		.host_key = BYTES("k", 1),
		.app = "shop",
		.environment = "production",
		.journal_number = 7,
		.payload = BYTES("p", 1),
		.signature = BYTES("s", 1)};
	assert_int_equal(ledger_receipt_store(ledger, &receipt, &err), LEDGER_RECEIPT_STORED);
	size_t count = 0;
	assert_int_equal(ledger_history(ledger, NULL, NULL, 10, count_rows, &count, &err), 0);
	assert_int_equal(count, 1);
	ledger_free(ledger);
}

struct received {
	uint64_t numbers[8];
	size_t count;
	char payload[8];
};

static int receive(void *user, const struct ledger_receipt *receipt)
{
	struct received *received = user;
	received->numbers[received->count++] = receipt->journal_number;
	snprintf(received->payload, sizeof(received->payload), "%.*s", (int)receipt->payload.len,
		(const char *)receipt->payload.data);
	assert_string_equal(receipt->host, "web1");
	return received->count == 3;
}

static void receipts_are_kept_by_host_and_place(void **state)
{
	struct place *place = *state;
	struct ledger *ledger = opened(place->path);
	struct err err = ERR_INIT;
	static const struct {
		const char *key, *app, *payload;
		uint64_t number;
		int outcome;
	} rows[] = {
		{"kkk", "shop", "nine", 9, LEDGER_RECEIPT_STORED},
		{"kkk", "shop", "two", 2, LEDGER_RECEIPT_STORED},
		{"kkk", "shop", "nine", 9, LEDGER_RECEIPT_STORED}, /* again: the same */
		{"kkk", "shop", "other", 2, LEDGER_RECEIPT_CONFLICT},
		{"xxx", "shop", "other", 2, LEDGER_RECEIPT_STORED},
		{"kkk", "mail", "other", 2, LEDGER_RECEIPT_STORED},
		{"kkk", "shop", "ten", 10, LEDGER_RECEIPT_STORED},
		{"kkk", "shop", "more", 11, LEDGER_RECEIPT_STORED},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct ledger_receipt receipt = {.host = "web1",
			.host_key = BYTES_STR(rows[i].key),
			.app = rows[i].app,
			.environment = "production",
			.journal_number = rows[i].number,
			.payload = BYTES_STR(rows[i].payload),
			.signature = BYTES_STR("s")};
		assert_int_equal(ledger_receipt_store(ledger, &receipt, &err), rows[i].outcome);
	}
	struct received received = {0};
	assert_int_equal(ledger_receipts(ledger, BYTES_STR("kkk"), "shop", "production", receive,
				 &received, &err),
		0);
	assert_int_equal(received.count, 3); /* it stopped when it was told to */
	assert_int_equal(received.numbers[0], 2);
	assert_int_equal(received.numbers[1], 9);
	assert_string_equal(received.payload, "ten");
	ledger_free(ledger);
}

#define IN_A_PLACE(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

/* ---- what another coordinator finds ---- */

static int list_recalled(void *user, const struct ledger_deployment *d,
	const struct ledger_progress *progress, size_t count)
{
	struct buf *text = user;
	buf_printf(text, "%s %s %s %d", d->id, d->folder, d->forced, d->retry_bad);
	for (size_t i = 0; i < count; i++)
		buf_printf(text, " %s=%d/%d", progress[i].host, (int)progress[i].showing,
			(int)progress[i].shown);
	buf_append_str(text, ";");
	return 0;
}

static void assert_recalls(struct ledger *ledger, const char *prefix, const char *expected)
{
	AUTO(buf) struct buf text = {0};
	assert_int_equal(
		ledger_recall(ledger, "shop", "production", prefix, list_recalled, &text, NULL), 0);
	assert_string_equal(text.len ? buf_str(&text) : "", expected);
}

static void what_runs_is_recalled_with_what_was_shown(void **state)
{
	const struct place *place = *state;
	struct ledger *ledger = opened(place->path);
	struct ledger_deployment first = sample("aa11", "shop", 1000);
	struct ledger_deployment second = sample("aa22", "shop", 2000);
	const struct ledger_progress begun[] = {{"web1", 7, 7}, {"web2", 0, 0}};
	const struct ledger_progress later[] = {{"web1", 9, 8}};
	first.folder = "/srv/site";
	first.forced = "full";
	first.retry_bad = 1;
	assert_int_equal(ledger_begin(ledger, &first, begun, 2, NULL), 0);
	assert_int_equal(ledger_begin(ledger, &second, NULL, 0, NULL), 0);
	assert_int_equal(ledger_set_progress(ledger, "aa11", later, 1, NULL), 0);
	ledger_free(ledger); /* killed */

	ledger = opened(place->path);
	assert_recalls(ledger, NULL, "aa22   0;aa11 /srv/site full 1 web1=9/8 web2=0/0;");
	assert_recalls(ledger, "aa1", "aa11 /srv/site full 1 web1=9/8 web2=0/0;");
	assert_recalls(ledger, "11", "");
	first.outcome = "committed";
	first.ended_unix_ms = 3000;
	assert_int_equal(ledger_end(ledger, &first, NULL, 0, NULL), 0);
	assert_recalls(ledger, NULL, "aa22   0;");
	assert_recalls(ledger, "aa11", "aa11 /srv/site full 1 web1=9/8 web2=0/0;");
	assert_int_equal(ledger_supersede(ledger, "shop", "production", 2000, NULL), 0);
	assert_recalls(ledger, NULL, "aa22   0;");
	assert_int_equal(ledger_supersede(ledger, "shop", "production", 2001, NULL), 0);
	assert_recalls(ledger, NULL, "");
	ledger_free(ledger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_PLACE(a_deployment_is_kept_whole),
		IN_A_PLACE(history_is_newest_first),
		IN_A_PLACE(two_handles_work_at_once),
		IN_A_PLACE(many_may_open_a_new_ledger),
		IN_A_PLACE(the_same_id_twice_is_an_error),
		IN_A_PLACE(what_is_not_a_ledger_is_said),
		IN_A_PLACE(the_default_place_is_made),
		IN_A_PLACE(an_old_ledger_is_brought_up_to_date),
		IN_A_PLACE(receipts_are_kept_by_host_and_place),
		IN_A_PLACE(what_runs_is_recalled_with_what_was_shown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
