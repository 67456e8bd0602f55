/* What is remembered of a deployment while it runs, for whoever takes it up. */
#include "common/base/mem.h"
#include "coordinator/ledger/database.h"

int database_set_progress(struct ledger *ledger, const char *id,
	const struct ledger_progress *progress, struct err *err)
{
	sqlite3_stmt *statement = database_prepare(ledger,
		"INSERT OR REPLACE INTO deployment_progress (deployment, host, showing, shown)"
		" VALUES ((SELECT number FROM deployments WHERE id = ?), ?, ?, ?)",
		err);
	if (!statement)
		return -1;
	sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 2, progress->host, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 3, (sqlite3_int64)progress->showing);
	sqlite3_bind_int64(statement, 4, (sqlite3_int64)progress->shown);
	int rc = database_finish(statement);
	return rc == SQLITE_DONE ? 0
				 : database_error(ledger, rc, "cannot record what was shown", err);
}

int ledger_set_progress(struct ledger *ledger, const char *id,
	const struct ledger_progress *progress, size_t count, struct err *err)
{
	if (database_exec(ledger, "BEGIN IMMEDIATE", "cannot lock it", err) < 0)
		return -1;
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = database_set_progress(ledger, id, &progress[i], err);
	if (rc == 0)
		rc = database_exec(ledger, "COMMIT", "cannot record what was shown", err);
	if (rc < 0)
		sqlite3_exec(ledger->db, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

int ledger_supersede(struct ledger *ledger, const char *app, const char *environment,
	uint64_t started_unix_ms, struct err *err)
{
	sqlite3_stmt *statement = database_prepare(ledger,
		"UPDATE deployments SET outcome = 'superseded', ended_unix_ms = ?3"
		" WHERE app = ?1 AND environment = ?2 AND ended_unix_ms = 0"
		" AND started_unix_ms < ?3",
		err);
	if (!statement)
		return -1;
	sqlite3_bind_text(statement, 1, app, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 2, environment, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 3, (sqlite3_int64)started_unix_ms);
	int rc = database_finish(statement);
	return rc == SQLITE_DONE ? 0 : database_error(ledger, rc, "cannot end the old ones", err);
}

/* ---- recalling ---- */

struct progress_list {
	struct ledger_progress *rows;
	char **hosts; /* their names */
	size_t count;
};

static void progress_list_release(struct progress_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->hosts[i]);
	free(list->hosts);
	free(list->rows);
}

static void add_row(struct progress_list *list, sqlite3_stmt *row)
{
	size_t i = list->count++;
	list->rows = xrealloc(list->rows, list->count * sizeof(list->rows[0]));
	list->hosts = xrealloc(list->hosts, list->count * sizeof(list->hosts[0]));
	list->hosts[i] = xstrdup(database_text(row, 0));
	list->rows[i] = (struct ledger_progress){
		.host = list->hosts[i],
		.showing = database_number(row, 1),
		.shown = database_number(row, 2),
	};
}

static int read_progress(
	struct ledger *ledger, sqlite3_int64 number, struct progress_list *ret, struct err *err)
{
	sqlite3_stmt *row AUTO_STATEMENT = database_prepare(ledger,
		"SELECT host, showing, shown FROM deployment_progress WHERE deployment = ?"
		" ORDER BY host",
		err);
	if (!row)
		return -1;
	sqlite3_bind_int64(row, 1, number);
	int rc;
	while ((rc = sqlite3_step(row)) == SQLITE_ROW)
		add_row(ret, row);
	return rc == SQLITE_DONE ? 0 : database_error(ledger, rc, "cannot read it", err);
}

int ledger_recall(struct ledger *ledger, const char *app, const char *environment,
	const char *id_prefix, ledger_recall_fn *fn, void *user, struct err *err)
{
	sqlite3_stmt *row AUTO_STATEMENT = database_prepare(ledger,
		"SELECT " DATABASE_DEPLOYMENT " FROM deployments"
		" WHERE app = ?1 AND environment = ?2"
		" AND CASE WHEN ?3 IS NULL THEN ended_unix_ms = 0"
		" ELSE substr(id, 1, length(?3)) = ?3 END"
		" ORDER BY started_unix_ms DESC, number DESC",
		err);
	if (!row)
		return -1;
	sqlite3_bind_text(row, 1, app, -1, SQLITE_STATIC);
	sqlite3_bind_text(row, 2, environment, -1, SQLITE_STATIC);
	sqlite3_bind_text(row, 3, id_prefix, -1, SQLITE_STATIC); /* NULL binds NULL */
	int rc;
	while ((rc = sqlite3_step(row)) == SQLITE_ROW) {
		AUTO(progress_list) struct progress_list list = {0};
		struct ledger_deployment deployment = database_deployment(row);
		if (read_progress(ledger, sqlite3_column_int64(row, 0), &list, err) < 0)
			return -1;
		if (fn(user, &deployment, list.rows, list.count) != 0)
			return 0;
	}
	return rc == SQLITE_DONE ? 0 : database_error(ledger, rc, "cannot read it", err);
}
