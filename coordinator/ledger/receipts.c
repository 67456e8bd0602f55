#include "coordinator/ledger/database.h"
#include <stdbool.h>

#include <string.h>

/* The columns that name a receipt's place, in the order of the primary key. */
static void bind_place(
	sqlite3_stmt *statement, struct bytes host_key, const char *app, const char *environment)
{
	sqlite3_bind_blob(statement, 1, host_key.data, (int)host_key.len, SQLITE_STATIC);
	sqlite3_bind_text(statement, 2, app, -1, SQLITE_STATIC);
	sqlite3_bind_text(statement, 3, environment, -1, SQLITE_STATIC);
}

static int insert(struct ledger *ledger, const struct ledger_receipt *receipt, struct err *err)
{
	sqlite3_stmt *statement = database_prepare(ledger,
		"INSERT OR IGNORE INTO receipts (host_key, app, environment, journal_number, host,"
		" payload, signature) VALUES (?, ?, ?, ?, ?, ?, ?)",
		err);
	if (!statement)
		return -1;
	bind_place(statement, receipt->host_key, receipt->app, receipt->environment);
	sqlite3_bind_int64(statement, 4, (sqlite3_int64)receipt->journal_number);
	sqlite3_bind_text(statement, 5, receipt->host, -1, SQLITE_STATIC);
	sqlite3_bind_blob(
		statement, 6, receipt->payload.data, (int)receipt->payload.len, SQLITE_STATIC);
	sqlite3_bind_blob(
		statement, 7, receipt->signature.data, (int)receipt->signature.len, SQLITE_STATIC);
	int rc = database_finish(statement);
	return rc == SQLITE_DONE ? 0 : database_error(ledger, rc, "cannot store a receipt", err);
}

static struct bytes column_bytes(sqlite3_stmt *row, int column)
{
	const void *data = sqlite3_column_blob(row, column);
	return BYTES(data, (size_t)sqlite3_column_bytes(row, column));
}

static int same(struct ledger *ledger, const struct ledger_receipt *receipt, struct err *err)
{
	sqlite3_stmt *row AUTO_STATEMENT = database_prepare(ledger,
		"SELECT payload FROM receipts WHERE host_key = ? AND app = ? AND environment = ?"
		" AND journal_number = ?",
		err);
	if (!row)
		return -1;
	bind_place(row, receipt->host_key, receipt->app, receipt->environment);
	sqlite3_bind_int64(row, 4, (sqlite3_int64)receipt->journal_number);
	int rc = sqlite3_step(row);
	if (rc != SQLITE_ROW)
		return database_error(ledger, rc, "cannot read a receipt", err);
	struct bytes stored = column_bytes(row, 0);
	bool is_same = stored.len == receipt->payload.len &&
		       memcmp(stored.data, receipt->payload.data, stored.len) == 0;
	return is_same ? LEDGER_RECEIPT_STORED : LEDGER_RECEIPT_CONFLICT;
}

int ledger_receipt_store(
	struct ledger *ledger, const struct ledger_receipt *receipt, struct err *err)
{
	return insert(ledger, receipt, err) < 0 ? -1 : same(ledger, receipt, err);
}

int ledger_receipts(struct ledger *ledger, struct bytes host_key, const char *app,
	const char *environment, ledger_receipt_fn *fn, void *user, struct err *err)
{
	sqlite3_stmt *row AUTO_STATEMENT = database_prepare(ledger,
		"SELECT journal_number, host, payload, signature FROM receipts WHERE host_key = ?"
		" AND app = ? AND environment = ? ORDER BY journal_number",
		err);
	if (!row)
		return -1;
	bind_place(row, host_key, app, environment);
	int rc;
	while ((rc = sqlite3_step(row)) == SQLITE_ROW) {
		const struct ledger_receipt receipt = {
			.host = (const char *)sqlite3_column_text(row, 1),
			.host_key = host_key,
			.app = app,
			.environment = environment,
			.journal_number = (uint64_t)sqlite3_column_int64(row, 0),
			.payload = column_bytes(row, 2),
			.signature = column_bytes(row, 3),
		};
		if (fn(user, &receipt) != 0)
			return 0;
	}
	return rc == SQLITE_DONE ? 0 : database_error(ledger, rc, "cannot read it", err);
}
