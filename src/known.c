/*
 * known.c - messages that came before, told apart by their contents.
 */
#include "known.h"

#include <string.h>

struct entry {
	struct known_row row;
	bool is_taken;
};

struct known {
	struct entry *entries; /* by digest, once is_sorted */
	size_t n_entries;
	size_t cap_entries;
	bool is_sorted;
	unsigned n_renamed;
};

int known_new(struct known **ret, struct error *err)
{
	struct known *known = calloc(1, sizeof(*known));

	if (!known)
		return error_set_memory(err);
	*ret = known;
	return 0;
}

void known_free(struct known **known)
{
	if (!*known)
		return;
	free((*known)->entries);
	free(*known);
	*known = NULL;
}

int known_add(struct known *known, const struct known_row *row,
	      struct error *err)
{
	struct entry *entries;
	size_t cap;

	if (known->n_entries == known->cap_entries) {
		cap = MAX(known->cap_entries * 2, (size_t)16);
		entries = reallocarray(known->entries, cap, sizeof(*entries));
		if (!entries)
			return error_set_memory(err);
		known->entries = entries;
		known->cap_entries = cap;
	}
	known->entries[known->n_entries++] = (struct entry){ .row = *row };
	known->is_sorted = false;
	return 0;
}

/* Rows of equal contents in the order they came to the journal. */
static int by_digest(const void *a, const void *b)
{
	const struct known_row *x = &((const struct entry *)a)->row;
	const struct known_row *y = &((const struct entry *)b)->row;
	int r = memcmp(x->digest, y->digest, DIGEST_SIZE);

	return r != 0 ? r : (x->id > y->id) - (x->id < y->id);
}

/* The first entry that is not before this digest. */
static size_t lower_bound(const struct known *known,
			  const uint8_t digest[DIGEST_SIZE])
{
	size_t low = 0, high = known->n_entries;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(known->entries[middle].row.digest, digest,
			   DIGEST_SIZE) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool has_uid(const struct known_row *row, struct bytes uid)
{
	return row->uid.len == uid.len &&
	       (uid.len == 0 || memcmp(row->uid.data, uid.data, uid.len) == 0);
}

static struct entry *find(struct known *known, struct bytes uid,
			  const uint8_t digest[DIGEST_SIZE])
{
	struct entry *found = NULL;
	size_t i = lower_bound(known, digest);

	for (; i < known->n_entries; i++) {
		struct entry *entry = &known->entries[i];

		if (memcmp(entry->row.digest, digest, DIGEST_SIZE) != 0)
			break;
		if (entry->is_taken)
			continue;
		if (has_uid(&entry->row, uid))
			return entry;
		if (!found && !entry->row.has_own_uid_only)
			found = entry;
	}
	return found;
}

bool known_take(struct known *known, struct bytes uid,
		const uint8_t digest[DIGEST_SIZE], int64_t *ret_id)
{
	struct entry *entry;

	if (!known->is_sorted && known->n_entries > 0)
		qsort(known->entries, known->n_entries, sizeof(struct entry),
		      by_digest);
	known->is_sorted = true;

	entry = find(known, uid, digest);
	if (!entry)
		return false;
	entry->is_taken = true;
	known->n_renamed += !has_uid(&entry->row, uid);
	*ret_id = entry->row.id;
	return true;
}

unsigned known_count_renamed(const struct known *known)
{
	return known->n_renamed;
}

bool known_next_absent(const struct known *known, size_t *at, int64_t *ret_id)
{
	while (*at < known->n_entries) {
		const struct entry *entry = &known->entries[(*at)++];

		if (!entry->row.is_absent || entry->is_taken)
			continue;
		*ret_id = entry->row.id;
		return true;
	}
	return false;
}
