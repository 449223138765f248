/*
 * journal_lock.h - the account's state directory, and the lock in it.
 *
 * The lock file is held for the whole visit. Empty until the journal was made
 * durably; from then on its first line says so, and a journal that is missing
 * or empty beside it is an error. It is longer than that line from the first
 * commit of a visit to its clean end: if that mark is found, a worker was
 * killed while it wrote. Errors are ERROR_LOCAL unless said.
 */
#pragma once

#include "journal_db.h"

/*
 * Opens the directory and takes the lock; sets was_made and was_killed.
 * ERROR_BUSY with the other's pid when it is locked.
 */
int journal_lock_enter(struct journal *journal, struct error *err)
	_must_check_;

/* There is a journal now, durably: synced. */
int journal_lock_write_made(struct journal *journal, struct error *err)
	_must_check_;
/*
 * There was a journal, and it is being made anew: after a power cut it is
 * missing or damaged, after a kill it is checked and synced, and in neither
 * case taken for one that never was.
 */
int journal_lock_write_doubt(struct journal *journal, struct error *err)
	_must_check_;

/* Not synced: the mark is for the next process, not for the next boot. */
int journal_lock_mark(struct journal *journal, struct error *err)
	_must_check_;
void journal_lock_unmark(struct journal *journal);
