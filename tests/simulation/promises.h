/*
 * promises.h - what must hold of the server, the Maildir and its readers.
 *
 * Nothing lost: what our DELE took from the server is in the Maildir, or was
 * until a reader removed it. Nothing twice: no message is there under two
 * names. Nothing touched: every file in new/, cur/ or a subfolder is a message,
 * byte for byte. (That no lock is left behind is checked in stream.c.)
 */
#pragma once

#include "base.h"
#include "server.h"

void promises_begin(void);

/* At a DELE: its message must be on the platter, now. */
void promises_check_dele(const struct letter *letter);

/*
 * At a RETR: a message that mailhaul recorded as delivered is not fetched
 * again from a server that gives no reason for it.
 */
void promises_check_retr(const struct letter *letter);

/* A visit ended well: what is in the Maildir is recorded. */
void promises_note_recorded(void);

/*
 * A reader removes a file from the Maildir. early: between a visit that failed
 * and the recovery, the one window that the README admits.
 */
void promises_note_removed(const char *file_name, const char *bytes, size_t len,
			   bool is_early);

/* At any time between visits. */
void promises_check(void);

/* After visits that nothing disturbed. */
void promises_check_end(bool keeps_mail);
