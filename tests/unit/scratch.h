/*
 * scratch.h - directories of a test's own, and a Maildir with its journal.
 */
#pragma once

#include "base.h"
#include "journal.h"
#include "known.h"
#include "maildir.h"

#define SCRATCH_PATH_MAX 256

/* In main, around all tests: what was made in between is removed at the end. */
void scratch_begin(void);
void scratch_end(void);

/* A new empty directory, 0700. */
void scratch_make(char ret[SCRATCH_PATH_MAX]);

void scratch_write(const char *path, const char *data, size_t len);

/* The file's bytes, terminated, and their number. The caller frees. */
char *scratch_read(const char *path, size_t *ret_len);

/* The names in dir/part, sorted, each with a LF behind it. The caller frees. */
char *scratch_names(const char *dir, const char *part);
size_t scratch_count(const char *dir, const char *part);

/* What a worker has open before it connects. */
struct store {
	char dir[SCRATCH_PATH_MAX];	/* both are made in it */
	char mail[SCRATCH_PATH_MAX + 8];
	char state[SCRATCH_PATH_MAX + 8];
	struct journal *journal;
	struct maildir maildir;
	struct journal_rows rows; /* since store_know */
	struct known *known;
};

void store_make(struct store *ret);   /* new and empty, and opened */
void store_close(struct store *store);
void store_reopen(struct store *store);
/* As a visit does whose listing accounts for no row, or lacks them all. */
struct known *store_know(struct store *store, bool are_absent);
