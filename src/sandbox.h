/*
 * sandbox.h - what a worker may still do, in two stages, each for good.
 *
 * A worker enters the first one when it has opened all that a visit needs, and
 * the second one when it is connected. What parses the server's bytes runs
 * in the second.
 *
 *                     connect                    session
 *   files             read any; make, write and  only below those three
 *                     remove below the Maildir's
 *                     tmp/ and new/ and the
 *                     state directory
 *   sockets           resolve and connect        those that are open
 *   processes         threads; no exec           none
 *   anything else     no ptrace, io_uring, bpf,  the same; nothing executable is
 *                     mount, ...                 mapped, and 256 MB at most
 *
 * Landlock holds the files, a seccomp filter the calls. A call that the filter
 * does not know gets ENOSYS, so that a newer libc falls back to an older call.
 */
#pragma once

#include "base.h"
#include "error.h"

#define SANDBOX_DIRECTORIES 3

enum sandbox_stage {
	SANDBOX_CONNECT = 0,
	SANDBOX_SESSION,
};

struct sandbox;

/*
 * What this kernel and this build can do, and the filters: once, in the
 * supervisor, for all its workers. A part that is missing is no error here.
 */
int sandbox_new(struct sandbox **ret, struct error *err) _must_check_;
void sandbox_free(struct sandbox **sandbox);
#define _cleanup_sandbox_ _cleanup_(sandbox_free)

/*
 * What is there, or what is missing and why: "Landlock (ABI 7), seccomp".
 * Borrowed.
 */
const char *sandbox_description(const struct sandbox *sandbox);
bool sandbox_is_complete(const struct sandbox *sandbox);

/* Of one worker. All borrowed. */
struct sandbox_scope {
	const struct sandbox *sandbox; /* NULL: none */
	/* Directories below which files may be read, made and removed. */
	int dir_fds[SANDBOX_DIRECTORIES];
};

/*
 * Enters the stage, as far as this kernel can. Needs no_new_privs. ERROR_LOCAL
 * when a part that is there failed: then the process must do nothing but end.
 */
int sandbox_enter(const struct sandbox_scope *scope, enum sandbox_stage stage,
		  struct error *err) _must_check_;
