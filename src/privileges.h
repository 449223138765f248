/*
 * privileges.h - the capabilities of the supervisor and of its workers.
 *
 * The supervisor of a system needs four: to become the account's user (SETUID,
 * SETGID), to end that user's worker (KILL), and to hand over the account's state
 * directory (CHOWN). Without the others root reads no file of another user that
 * its mode does not let it read, wherever mailhaul was started from.
 */
#pragma once

#include "base.h"
#include "error.h"

/*
 * Gives up all capabilities but those, for good: first of all, before a file is
 * opened. Nothing to do for a user other than root. ERROR_LOCAL.
 */
int privileges_keep_needed(struct error *err) _must_check_;

/* Gives up all capabilities, for good. -1 and errno. */
int privileges_drop(void) _must_check_;
