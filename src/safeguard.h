/*
 * safeguard.h - what the promises stand on.
 *
 * A test that finds nothing proves little until it finds something where there
 * is something to find. So a build for tests (-DWEAKENED) can leave out each
 * of these, named in the environment, and the same test must then fail. In
 * every other build they are there, and the question costs nothing.
 */
#pragma once

#include "base.h"

enum safeguard {
	SAFEGUARD_FILE_SYNC = 1, /* a file is fsynced before its row is STAGED */
	SAFEGUARD_NEW_SYNC,	 /* new/ is, before its rows are DELIVERED */
	SAFEGUARD_RECOVERY_SYNC, /* recovery fsyncs what it finds and publishes */
	SAFEGUARD_JOURNAL_SYNC,	 /* a commit is durable: synchronous=FULL */
	SAFEGUARD_DELE_LAST,	 /* no DELE before the commit */
};

#ifdef WEAKENED
bool is_left_out(enum safeguard safeguard);
#else
static inline bool is_left_out(enum safeguard safeguard)
{
	(void)safeguard;
	return false;
}
#endif
