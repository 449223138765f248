/*
 * box.h - the mailbox that a session sees: messages of a script or a Maildir.
 *
 * A session opens the box, numbers what is there, marks, and either updates
 * (RFC 1939 section 6: only then is anything removed) or leaves it as it was.
 */
#pragma once

#include <stdio.h>

#include "note.h"

struct mail {
	struct text wire; /* of a script: as it travels, before dot-stuffing */
	char *path;       /* of a Maildir: where it lies; else NULL */
	struct text uid;
	uint64_t size_bytes; /* what LIST says */
	bool is_marked;      /* DELE was accepted in this session */
	bool is_gone;        /* removed by an update */
};

struct box {
	const char *maildir; /* borrowed; NULL: the messages of a script */
	int lock_fd;
	struct mail *mails;
	size_t n_mails;
	size_t *numbered; /* index of message 1, 2, ... of this session */
	size_t n_numbered;
};

void box_init(struct box *box, const char *maildir);
void box_done(struct box *box);

/* A new message at the end, with a UID of its own; takes the text. */
struct mail *box_add(struct box *box, struct text *wire);

/* Numbers the messages. False: another session has the Maildir open. */
bool box_open(struct box *box);

/* NULL when there is no such message, or it is marked. From 1. */
struct mail *box_mail(const struct box *box, size_t number);

void box_delete(
	struct mail *mail);       /* at once, whatever becomes of the session */
void box_reset(struct box *box);  /* takes all marks away */
void box_update(struct box *box); /* removes what is marked */
void box_close(struct box *box);

/* Not yet removed, marked or not. */
size_t box_count(const struct box *box);
