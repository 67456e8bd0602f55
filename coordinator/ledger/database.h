/* Inside the ledger room: the SQLite handle, its schema and its errors. */
#pragma once

#include "coordinator/ledger/ledger.h"

#include <sqlite3.h>

struct ledger {
	sqlite3 *db;
	char *path; /* for messages */
};

/* Open or create, set WAL and the busy timeout, bring the schema up to date. */
int database_open(struct ledger *ledger, struct err *err);
/* ERR_* by SQLite's result code, with the path, what was being done, and a hint. */
int database_error(const struct ledger *ledger, int rc, const char *doing, struct err *err);

/* Statements that give no rows. `doing` is for the message. */
int database_exec(struct ledger *ledger, const char *sql, const char *doing, struct err *err);
sqlite3_stmt *database_prepare(struct ledger *ledger, const char *sql, struct err *err);
/* Run to the end, finalize. Returns SQLite's result code, SQLITE_DONE when all went well. */
int database_finish(sqlite3_stmt *statement);

void cleanup_statement(sqlite3_stmt **statement);
#define AUTO_STATEMENT __attribute__((cleanup(cleanup_statement)))
