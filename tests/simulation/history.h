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
	GAP_REUSE = 1,    /* a UID is reused at once, for a message as long */
	GAP_NO_UIDL = 2,  /* a server without UIDL */
	GAP_RENUMBER = 4, /* all UIDs change between two visits */
};

/* Runs the history of this seed. world.has_violation tells how it went. */
void history_run(uint64_t seed, unsigned gaps, bool is_traced);
