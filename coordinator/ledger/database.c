#include "coordinator/ledger/database.h"

#include "common/base/mem.h"

enum {
	BUSY_TIMEOUT_MS = 5000,
	APPLICATION_ID = 0x464c4c47, /* "FLLG": tells our file from another program's */
};

/* Step i brings the schema from version i to i + 1. Only ever append. */
static const char *const migrations[] = {
	"CREATE TABLE deployments ("
	" number INTEGER PRIMARY KEY,"
	" id TEXT NOT NULL UNIQUE,"
	" kind TEXT NOT NULL,"
	" app TEXT NOT NULL,"
	" environment TEXT NOT NULL,"
	" class TEXT NOT NULL,"
	" commit_from TEXT NOT NULL,"
	" commit_to TEXT NOT NULL,"
	" actor TEXT NOT NULL,"
	" started_unix_ms INTEGER NOT NULL,"
	" ended_unix_ms INTEGER NOT NULL,"
	" outcome TEXT NOT NULL,"
	" exit_status INTEGER NOT NULL,"
	" files_changed INTEGER NOT NULL,"
	" bytes INTEGER NOT NULL,"
	" error TEXT NOT NULL) STRICT;"
	"CREATE INDEX deployments_by_time ON deployments (started_unix_ms, number);"
	"CREATE TABLE deployment_hosts ("
	" deployment INTEGER NOT NULL REFERENCES deployments (number) ON DELETE CASCADE,"
	" position INTEGER NOT NULL,"
	" host TEXT NOT NULL,"
	" state TEXT NOT NULL,"
	" commit_from TEXT NOT NULL,"
	" commit_to TEXT NOT NULL,"
	" duration_ms INTEGER NOT NULL,"
	" bytes INTEGER NOT NULL,"
	" error TEXT NOT NULL,"
	" PRIMARY KEY (deployment, position)) STRICT, WITHOUT ROWID;",
	"CREATE TABLE receipts ("
	" host_key BLOB NOT NULL,"
	" app TEXT NOT NULL,"
	" environment TEXT NOT NULL,"
	" journal_number INTEGER NOT NULL,"
	" host TEXT NOT NULL,"
	" payload BLOB NOT NULL,"
	" signature BLOB NOT NULL,"
	" PRIMARY KEY (host_key, app, environment, journal_number)) STRICT, WITHOUT ROWID;",
	/* What another coordinator needs to take a deployment up. */
	"ALTER TABLE deployments ADD COLUMN folder TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE deployments ADD COLUMN forced TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE deployments ADD COLUMN retry_bad INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE deployment_progress ("
	" deployment INTEGER NOT NULL REFERENCES deployments (number) ON DELETE CASCADE,"
	" host TEXT NOT NULL,"
	" showing INTEGER NOT NULL,"
	" shown INTEGER NOT NULL,"
	" PRIMARY KEY (deployment, host)) STRICT, WITHOUT ROWID;",
};
enum { SCHEMA_VERSION = ARRAY_LEN(migrations) };

#define HINT_NEW "Move the file away; a new one is made, and the hosts keep the truth."
#define HINT_PLACE "Check the directory and its permissions, or name another file with --ledger."

static const struct {
	int rc;
	enum err_code code;
	const char *what, *hint;
} failures[] = {
	{SQLITE_NOTADB, ERR_CORRUPT, "the file is not a database", HINT_NEW},
	{SQLITE_CORRUPT, ERR_CORRUPT, "the database is damaged", HINT_NEW},
	{SQLITE_FULL, ERR_NOSPACE, "the disk is full", "Make room and try again."},
	{SQLITE_BUSY, ERR_IO, "another coordinator kept it locked for 5 seconds",
		"Find out what holds it, then try again."},
	{SQLITE_CANTOPEN, ERR_IO, "cannot open it", HINT_PLACE},
	{SQLITE_PERM, ERR_IO, "permission denied", HINT_PLACE},
	{SQLITE_READONLY, ERR_IO, "it is read-only", HINT_PLACE},
};

int database_error(const struct ledger *ledger, int rc, const char *doing, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
		if (failures[i].rc != (rc & 0xff)) /* without the extended part */
			continue;
		err_set(err, failures[i].code, "ledger '%s': %s: %s", ledger->path, doing,
			failures[i].what);
		return err_hint(err, "%s", failures[i].hint);
	}
	return err_set(err, ERR_IO, "ledger '%s': %s: %s", ledger->path, doing,
		ledger->db ? sqlite3_errmsg(ledger->db) : sqlite3_errstr(rc));
}

int database_exec(struct ledger *ledger, const char *sql, const char *doing, struct err *err)
{
	int rc = sqlite3_exec(ledger->db, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? 0 : database_error(ledger, rc, doing, err);
}

sqlite3_stmt *database_prepare(struct ledger *ledger, const char *sql, struct err *err)
{
	sqlite3_stmt *statement = NULL;
	int rc = sqlite3_prepare_v2(ledger->db, sql, -1, &statement, NULL);
	if (rc != SQLITE_OK)
		database_error(ledger, rc, "cannot prepare a statement", err);
	return statement;
}

int database_finish(sqlite3_stmt *statement)
{
	int rc;
	do {
		rc = sqlite3_step(statement);
	} while (rc == SQLITE_ROW);
	sqlite3_finalize(statement);
	return rc;
}

const char *database_text(sqlite3_stmt *row, int column)
{
	const unsigned char *text = sqlite3_column_text(row, column);
	return text ? (const char *)text : "";
}

uint64_t database_number(sqlite3_stmt *row, int column)
{
	sqlite3_int64 number = sqlite3_column_int64(row, column);
	return number < 0 ? 0 : (uint64_t)number;
}

struct ledger_deployment database_deployment(sqlite3_stmt *row)
{
	return (struct ledger_deployment){
		.id = database_text(row, 1),
		.kind = database_text(row, 2),
		.app = database_text(row, 3),
		.environment = database_text(row, 4),
		.class_name = database_text(row, 5),
		.commit_from = database_text(row, 6),
		.commit_to = database_text(row, 7),
		.actor = database_text(row, 8),
		.started_unix_ms = database_number(row, 9),
		.ended_unix_ms = database_number(row, 10),
		.outcome = database_text(row, 11),
		.exit_status = sqlite3_column_int(row, 12),
		.files_changed = (uint32_t)database_number(row, 13),
		.bytes = database_number(row, 14),
		.error = database_text(row, 15),
		.folder = database_text(row, 16),
		.forced = database_text(row, 17),
		.retry_bad = sqlite3_column_int(row, 18),
	};
}

void cleanup_statement(sqlite3_stmt **statement)
{
	sqlite3_finalize(*statement); /* NULL is fine */
}

/* The first column of the first row of a query that always has one. */
static int query_number(struct ledger *ledger, const char *sql, sqlite3_int64 *ret, struct err *err)
{
	sqlite3_stmt *statement AUTO_STATEMENT = database_prepare(ledger, sql, err);
	if (!statement)
		return -1;
	int rc = sqlite3_step(statement);
	if (rc != SQLITE_ROW)
		return database_error(ledger, rc, "cannot read it", err);
	*ret = sqlite3_column_int64(statement, 0);
	return 0;
}

static int not_ours(const struct ledger *ledger, struct err *err)
{
	err_set(err, ERR_CONFIG, "ledger '%s': it is a database of another program", ledger->path);
	return err_hint(err, "Name another file with --ledger.");
}

/* Within a write transaction, so that two coordinators cannot both migrate. */
static int migrate_locked(struct ledger *ledger, struct err *err)
{
	sqlite3_int64 version = 0, application = 0, tables = 0;
	if (query_number(ledger, "PRAGMA user_version", &version, err) < 0 ||
		query_number(ledger, "PRAGMA application_id", &application, err) < 0 ||
		query_number(ledger, "SELECT count(*) FROM sqlite_master", &tables, err) < 0)
		return -1;
	if (application != APPLICATION_ID && (application || version || tables))
		return not_ours(ledger, err);
	for (; version < SCHEMA_VERSION; version++) {
		if (database_exec(ledger, migrations[version], "cannot bring it up to date", err) <
			0)
			return -1;
	}
	char pragmas[96];
	snprintf(pragmas, sizeof(pragmas), "PRAGMA application_id = %d; PRAGMA user_version = %d;",
		APPLICATION_ID, SCHEMA_VERSION);
	return database_exec(ledger, pragmas, "cannot mark its version", err);
}

static int migrate(struct ledger *ledger, struct err *err)
{
	sqlite3_int64 version = 0, application = 0;
	if (query_number(ledger, "PRAGMA user_version", &version, err) < 0 ||
		query_number(ledger, "PRAGMA application_id", &application, err) < 0)
		return -1;
	if (version == SCHEMA_VERSION && application == APPLICATION_ID)
		return 0;
	if (version > SCHEMA_VERSION && application == APPLICATION_ID) {
		err_set(err, ERR_CONFIG, "ledger '%s': it was written by a newer fairlead",
			ledger->path);
		return err_hint(err, "Use that version, or name another file with --ledger.");
	}
	if (database_exec(ledger, "BEGIN IMMEDIATE", "cannot lock it", err) < 0)
		return -1;
	if (migrate_locked(ledger, err) < 0 ||
		database_exec(ledger, "COMMIT", "cannot bring it up to date", err) < 0) {
		sqlite3_exec(ledger->db, "ROLLBACK", NULL, NULL, NULL);
		return -1;
	}
	return 0;
}

int database_open(struct ledger *ledger, struct err *err)
{
	int rc = sqlite3_open_v2(
		ledger->path, &ledger->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
	if (rc != SQLITE_OK)
		return database_error(ledger, rc, "cannot open it", err);
	sqlite3_busy_timeout(ledger->db, BUSY_TIMEOUT_MS);
	/* The schema first: a file that is not ours must not be turned into WAL mode. */
	if (migrate(ledger, err) < 0)
		return -1;
	/* BUSY: another handle is doing the very same, and the mode stays with the file. */
	rc = sqlite3_exec(ledger->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
	if (rc != SQLITE_OK && rc != SQLITE_BUSY)
		return database_error(ledger, rc, "cannot set WAL mode", err);
	/* With WAL this loses at most the last rows at a power loss, never the file; the hosts keep
	 * the truth, and a deployment does not wait for a disk here. */
	return database_exec(ledger, "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;",
		"cannot set it up", err);
}
