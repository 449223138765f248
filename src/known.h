/*
 * known.h - messages that came before, told apart by their contents.
 *
 * Holds the journal's rows that a listing does not account for: their UID is
 * not listed, or listed with another size, or twice. A message that is fetched
 * may be one of them: the server lost its UIDs and gave all messages new ones,
 * or it gave an old UID to another message. Each row is one message: it
 * is taken once, however alike messages are. Errors are ERROR_LOCAL.
 */
#pragma once

#include "base.h"
#include "digest.h"
#include "error.h"

struct known;

struct known_row {
	int64_t id;
	struct bytes uid; /* borrowed until known_free */
	uint8_t digest[DIGEST_SIZE];
	bool has_own_uid_only; /* no match for a message of another UID */
	bool is_absent;	       /* gone, unless it is taken */
};

int known_new(struct known **ret, struct error *err) _must_check_;
void known_free(struct known **known);

/* All rows are added before the first is taken. */
int known_add(struct known *known, const struct known_row *row,
	      struct error *err) _must_check_;

/*
 * The row of a message with these contents that is not yet taken, preferably
 * of this UID (which may be empty); takes it. False: there is none.
 */
bool known_take(struct known *known, struct bytes uid,
		const uint8_t digest[DIGEST_SIZE], int64_t *ret_id);

/* How many were taken under another UID than theirs. */
unsigned known_count_renamed(const struct known *known);

/*
 * Walks the rows that are absent and were not taken; *at begins as 0. False:
 * no more.
 */
bool known_next_absent(const struct known *known, size_t *at, int64_t *ret_id);
