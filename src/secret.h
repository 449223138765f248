/*
 * secret.h - obtain a secret, keep it out of dumps and other workers, wipe it.
 *
 * Literal passwords of the configuration live in an arena that the kernel
 * wipes in every forked child (MADV_WIPEONFORK) and leaves out of core dumps
 * (MADV_DONTDUMP). The supervisor hands a worker its own through the job
 * socket. A password_file is read by the worker, as the account's user.
 */
#pragma once

#include "base.h"
#include "error.h"

#define SECRET_MAX 65536 /* bytes: a password, or a long token */

struct secret {
	char *text; /* owned, terminated, wiped by secret_done */
	size_t len;
};

void secret_wipe(struct secret *secret); /* what is left is empty */
void secret_done(struct secret *secret);
#define _cleanup_secret_ _cleanup_(secret_done)

/* For a string that holds a secret: wipes, frees and sets it to NULL. Accepts NULL in it. */
void secret_wipe_string(char **string);

/*
 * Copies text after checking it: not empty, not all zero, no CR, LF or NUL
 * (each would end or split a POP3 command), at most SECRET_MAX bytes.
 * ERROR_CONFIG otherwise; the text of the error never quotes the secret.
 */
int secret_set(struct secret *ret, const char *text, size_t len,
	       struct error *err) _must_check_;

/*
 * Reads a password_file as the current user: a regular file, not readable by
 * group or others, owned by the current user or root; one trailing newline
 * (LF or CRLF) is removed. ERROR_CONFIG when that does not hold.
 */
int secret_read_file(struct secret *ret, const char *path, struct error *err)
	_must_check_;

struct secret_arena;

/* NULL when out of memory, or when the kernel will not wipe it on fork. */
struct secret_arena *secret_arena_new(void);
void secret_arena_free(struct secret_arena **arena); /* wipes and unmaps */

/*
 * Copies text into the arena; the result is terminated and lives as long as
 * the arena. NULL when it is full.
 */
const char *secret_arena_add(struct secret_arena *arena, const char *text,
			     size_t len);
