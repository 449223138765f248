/*
 * text.h - pure helpers for text that people read or write.
 */
#pragma once

#include "base.h"
#include "error.h"

/*
 * Writes bytes as printable ASCII: a backslash and everything outside
 * 0x20..0x7e become \xNN (tab \t, CR \r, LF \n). Never fails; what does not
 * fit is cut and ends in "...". Returns dst, always terminated. cap >= 8.
 */
char *text_escape(char *dst, size_t cap, const char *src, size_t len);

/*
 * As text_escape, but a backslash stays as it is: for text that may hold
 * escaped bytes already. Clean text goes through unchanged. dst must not
 * overlap src.
 */
char *text_clean(char *dst, size_t cap, const char *src, size_t len);

/*
 * "90", "90s", "5m", "2h", "1d", "250ms", and sums without blanks ("1h30m").
 * A bare number is seconds. False: not a duration, or beyond 10 years.
 */
bool text_parse_duration(const char *text, uint64_t *ret_usec);

/* "512", "64K", "8M", "2G": powers of 1024. False: not a size, or too large. */
bool text_parse_size(const char *text, uint64_t *ret_bytes);

/* "45 s", "5 min", "1 h 30 min": the two largest units. Returns dst. */
char *text_format_duration(char *dst, size_t cap, uint64_t usec);

/* "512 B", "1.4 MB": powers of 1000, as disks and networks count. Returns dst. */
char *text_format_size(char *dst, size_t cap, uint64_t bytes);

/* Edit distance (insert, delete, replace, swap of neighbours), case-blind. */
unsigned text_distance(const char *a, const char *b);

/*
 * The candidate nearest to word, or NULL when none is within a third of the
 * word's length (at least 1, at most 3 edits). Borrowed from candidates.
 */
const char *text_nearest(const char *word, const char *const *candidates,
			 size_t n_candidates);
