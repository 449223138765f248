/*
 * history.h - one history: visits, disasters between and in them, and an end
 * in peace.
 */
#pragma once

#include "base.h"

/*
 * Gaps that are known and not yet closed: natures and events that break a
 * promise today. Off unless asked for; when one is closed it moves to where
 * the others are drawn, in history.c.
 */
enum gap {
	/*
	 * +OK to QUIT is recorded, but not synced: a power cut takes it away,
	 * and a UID that was reused at once, for a message as long, gets DELE
	 * without RETR.
	 */
	GAP_REUSE = 1,
	/*
	 * +OK to QUIT was false, and then all UIDs change: what was called
	 * deleted comes again.
	 */
	GAP_LIES_AND_RENUMBERS = 2,
	/*
	 * An fsync fails while the journal is made, and is said to be well at
	 * the next visit, which a power cut ends: the journal, of which nothing
	 * was used yet, is damaged, and the account waits for a person.
	 */
	GAP_NEW_JOURNAL = 4,
};

/* Runs the history of this seed. world.has_violation tells how it went. */
void history_run(uint64_t seed, unsigned gaps, bool is_traced);
