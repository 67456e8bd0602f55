#include "coordinator/ledger/ledger.h"

#include "common/base/mem.h"
#include "common/os/file.h"
#include "coordinator/ledger/database.h"

static char *default_path(struct err *err)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	AUTO_FREE char *dir = NULL;
	if (state && state[0] == '/')
		dir = xasprintf("%s/fairlead", state);
	else if (home && *home)
		dir = xasprintf("%s/.local/state/fairlead", home);
	if (!dir) {
		err_set(err, ERR_CONFIG, "no place for the ledger: HOME is not set");
		err_hint(err, "Name a file with --ledger.");
		return NULL;
	}
	if (make_dirs(dir, 0700, err) < 0)
		return NULL;
	return xasprintf("%s/ledger.db", dir);
}

int ledger_open(const char *path, struct ledger **ret, struct err *err)
{
	struct ledger *ledger = xcalloc(1, sizeof(*ledger));
	ledger->path = path ? xstrdup(path) : default_path(err);
	if (!ledger->path || database_open(ledger, err) < 0) {
		ledger_free(ledger);
		return -1;
	}
	*ret = ledger;
	return 0;
}

void ledger_free(struct ledger *ledger)
{
	if (!ledger)
		return;
	sqlite3_close(ledger->db); /* also of a failed open; NULL is fine */
	free(ledger->path);
	free(ledger);
}

/* -- writing ------------------------------------------------------------------------------ */

static void bind_text(sqlite3_stmt *statement, int *at, const char *text)
{
	sqlite3_bind_text(statement, (*at)++, text ? text : "", -1, SQLITE_STATIC);
}

/* SQLite's integers are signed; what does not fit is as good as infinite. */
static void bind_number(sqlite3_stmt *statement, int *at, uint64_t number)
{
	sqlite3_bind_int64(
		statement, (*at)++, number > INT64_MAX ? INT64_MAX : (sqlite3_int64)number);
}

static int insert_deployment(
	struct ledger *ledger, const struct ledger_deployment *d, struct err *err)
{
	sqlite3_stmt *statement = database_prepare(ledger,
		"INSERT INTO deployments (id, kind, app, environment, class, commit_from, "
		"commit_to,"
		" actor, started_unix_ms, ended_unix_ms, outcome, exit_status, files_changed, "
		"folder, forced, bytes,"
		" retry_bad, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 'running', 0, ?, ?, ?, "
		"?, ?, "
		"'')",
		err);
	if (!statement)
		return -1;
	const char *const texts[] = {d->id, d->kind, d->app, d->environment, d->class_name,
		d->commit_from, d->commit_to, d->actor};
	int at = 1;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		bind_text(statement, &at, texts[i]);
	bind_number(statement, &at, d->started_unix_ms);
	bind_number(statement, &at, d->files_changed);
	bind_text(statement, &at, d->folder);
	bind_text(statement, &at, d->forced);
	bind_number(statement, &at, d->bytes);
	bind_number(statement, &at, (uint64_t)d->retry_bad);
	int rc = database_finish(statement);
	if (rc == SQLITE_DONE)
		return 0;
	if ((rc & 0xff) == SQLITE_CONSTRAINT)
		return err_set(err, ERR_EXISTS, "ledger '%s': it has deployment %s already",
			ledger->path, d->id);
	return database_error(ledger, rc, "cannot record a deployment", err);
}

int ledger_begin(struct ledger *ledger, const struct ledger_deployment *deployment,
	const struct ledger_progress *progress, size_t count, struct err *err)
{
	if (database_exec(ledger, "BEGIN IMMEDIATE", "cannot lock it", err) < 0)
		return -1;
	int rc = insert_deployment(ledger, deployment, err);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = database_set_progress(ledger, deployment->id, &progress[i], err);
	if (rc == 0)
		rc = database_exec(ledger, "COMMIT", "cannot record a deployment", err);
	if (rc < 0)
		sqlite3_exec(ledger->db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

static int update_deployment(
	struct ledger *ledger, const struct ledger_deployment *d, struct err *err)
{
	sqlite3_stmt *statement = database_prepare(ledger,
		"UPDATE deployments SET class = ?, commit_from = ?, commit_to = ?, outcome = ?,"
		" error = ?, ended_unix_ms = ?, exit_status = ?, files_changed = ?, bytes = ?"
		" WHERE id = ?",
		err);
	if (!statement)
		return -1;
	const char *const texts[] = {
		d->class_name, d->commit_from, d->commit_to, d->outcome, d->error};
	int at = 1;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		bind_text(statement, &at, texts[i]);
	bind_number(statement, &at, d->ended_unix_ms);
	sqlite3_bind_int(statement, at++, d->exit_status);
	bind_number(statement, &at, d->files_changed);
	bind_number(statement, &at, d->bytes);
	bind_text(statement, &at, d->id);
	int rc = database_finish(statement);
	if (rc != SQLITE_DONE)
		return database_error(ledger, rc, "cannot record the end of a deployment", err);
	if (sqlite3_changes(ledger->db) == 0)
		return err_set(err, ERR_NOT_FOUND, "ledger '%s': it has no deployment %s",
			ledger->path, d->id);
	return 0;
}

static int insert_host(struct ledger *ledger, const char *id, size_t position,
	const struct ledger_host *host, struct err *err)
{
	sqlite3_stmt *statement = database_prepare(ledger,
		"INSERT OR REPLACE INTO deployment_hosts (deployment, host, state, commit_from,"
		" commit_to, error, position, duration_ms, bytes) VALUES"
		" ((SELECT number FROM deployments WHERE id = ?), ?, ?, ?, ?, ?, ?, ?, ?)",
		err);
	if (!statement)
		return -1;
	const char *const texts[] = {
		id, host->host, host->state, host->commit_from, host->commit_to, host->error};
	int at = 1;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		bind_text(statement, &at, texts[i]);
	bind_number(statement, &at, position);
	bind_number(statement, &at, host->duration_ms);
	bind_number(statement, &at, host->bytes);
	int rc = database_finish(statement);
	return rc == SQLITE_DONE ? 0 : database_error(ledger, rc, "cannot record a host", err);
}

int ledger_end(struct ledger *ledger, const struct ledger_deployment *deployment,
	const struct ledger_host *hosts, size_t host_count, struct err *err)
{
	if (database_exec(ledger, "BEGIN IMMEDIATE", "cannot lock it", err) < 0)
		return -1;
	int rc = update_deployment(ledger, deployment, err);
	for (size_t i = 0; rc == 0 && i < host_count; i++)
		rc = insert_host(ledger, deployment->id, i, &hosts[i], err);
	if (rc == 0)
		rc = database_exec(ledger, "COMMIT", "cannot record a deployment", err);
	if (rc < 0)
		sqlite3_exec(ledger->db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

/* -- reading ------------------------------------------------------------------------------ */

/* The hosts of one deployment are many rows, so their strings are kept until all are read. */
struct host_list {
	struct ledger_host *hosts; /* strings borrowed from below */
	size_t count;
	char **strings;
	size_t string_count;
};

static void host_list_release(struct host_list *list)
{
	for (size_t i = 0; i < list->string_count; i++)
		free(list->strings[i]);
	free(list->strings);
	free(list->hosts);
}

static const char *keep_text(struct host_list *list, sqlite3_stmt *row, int column)
{
	list->strings =
		xrealloc(list->strings, (list->string_count + 1) * sizeof(list->strings[0]));
	return list->strings[list->string_count++] = xstrdup(database_text(row, column));
}

static int read_hosts(
	struct ledger *ledger, sqlite3_int64 number, struct host_list *ret, struct err *err)
{
	sqlite3_stmt *row AUTO_STATEMENT = database_prepare(ledger,
		"SELECT host, state, commit_from, commit_to, error, duration_ms, bytes"
		" FROM deployment_hosts WHERE deployment = ? ORDER BY position",
		err);
	if (!row)
		return -1;
	sqlite3_bind_int64(row, 1, number);
	int rc;
	while ((rc = sqlite3_step(row)) == SQLITE_ROW) {
		ret->hosts = xrealloc(ret->hosts, (ret->count + 1) * sizeof(ret->hosts[0]));
		ret->hosts[ret->count++] = (struct ledger_host){
			.host = keep_text(ret, row, 0),
			.state = keep_text(ret, row, 1),
			.commit_from = keep_text(ret, row, 2),
			.commit_to = keep_text(ret, row, 3),
			.error = keep_text(ret, row, 4),
			.duration_ms = database_number(row, 5),
			.bytes = database_number(row, 6),
		};
	}
	return rc == SQLITE_DONE ? 0 : database_error(ledger, rc, "cannot read hosts", err);
}

static sqlite3_stmt *select_deployments(struct ledger *ledger, const char *app,
	const char *environment, unsigned limit, struct err *err)
{
	sqlite3_stmt *row = database_prepare(ledger,
		"SELECT " DATABASE_DEPLOYMENT " FROM deployments WHERE (?1 IS NULL OR app = ?1)"
		" AND (?2 IS NULL OR environment = ?2)"
		" ORDER BY started_unix_ms DESC, number DESC LIMIT ?3",
		err);
	if (!row)
		return NULL;
	sqlite3_bind_text(row, 1, app, -1, SQLITE_STATIC); /* NULL binds NULL */
	sqlite3_bind_text(row, 2, environment, -1, SQLITE_STATIC);
	sqlite3_bind_int64(row, 3, limit);
	return row;
}

int ledger_history(struct ledger *ledger, const char *app, const char *environment, unsigned limit,
	ledger_fn *fn, void *user, struct err *err)
{
	sqlite3_stmt *row AUTO_STATEMENT = select_deployments(ledger, app, environment, limit, err);
	if (!row)
		return -1;
	int rc;
	while ((rc = sqlite3_step(row)) == SQLITE_ROW) {
		AUTO(host_list) struct host_list hosts = {0};
		struct ledger_deployment deployment = database_deployment(row);
		if (read_hosts(ledger, sqlite3_column_int64(row, 0), &hosts, err) < 0)
			return -1;
		if (fn(user, &deployment, hosts.hosts, hosts.count) != 0)
			return 0;
	}
	return rc == SQLITE_DONE ? 0 : database_error(ledger, rc, "cannot read it", err);
}
