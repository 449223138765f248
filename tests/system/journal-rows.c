/*
 * journal-rows.c - what a journal vouches for: journal-rows COPY.
 *
 * Prints the UIDs of the rows STAGED, DELIVERED and DELETED, one per line. It reads
 * what it is given as SQLite does, so it must be a copy: reading changes it.
 */
#include <sqlite3.h>
#include <stdio.h>

static int print_rows(sqlite3 *db)
{
	sqlite3_stmt *stmt;
	int r;

	if (sqlite3_prepare_v2(
		    db, "SELECT uid FROM message WHERE state IN (1, 2, 4)", -1,
		    &stmt, NULL) != SQLITE_OK)
		return -1;
	while ((r = sqlite3_step(stmt)) == SQLITE_ROW)
		(void)printf("%.*s\n", sqlite3_column_bytes(stmt, 0),
			     (const char *)sqlite3_column_blob(stmt, 0));
	(void)sqlite3_finalize(stmt);
	return r == SQLITE_DONE ? 0 : -1;
}

int main(int argc, char **argv)
{
	sqlite3 *db;
	int r = -1;

	if (argc == 2 && sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READWRITE,
					 NULL) == SQLITE_OK) {
		r = print_rows(db);
		if (r < 0)
			(void)fprintf(stderr, "journal-rows: %s\n",
				      sqlite3_errmsg(db));
		(void)sqlite3_close(db);
	}
	return r < 0;
}
