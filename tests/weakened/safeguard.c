/*
 * safeguard.c - which safeguards are left out: MAILHAUL_WITHOUT, a list of the
 * names below. Only test builds have this file.
 */
#include "safeguard.h"

#include <string.h>

static const char *const names[] = {
	[SAFEGUARD_FILE_SYNC] = "file-sync",
	[SAFEGUARD_NEW_SYNC] = "new-sync",
	[SAFEGUARD_RECOVERY_SYNC] = "recovery-sync",
	[SAFEGUARD_JOURNAL_SYNC] = "journal-sync",
	[SAFEGUARD_DELE_LAST] = "dele-last",
};

bool is_left_out(enum safeguard safeguard)
{
	const char *without = getenv("MAILHAUL_WITHOUT");

	return without && strstr(without, names[safeguard]);
}
