/*
 * listing.c - UIDL and LIST, read and merged into one listing.
 */
#include "listing.h"

#include <string.h>

#include "digest.h"

/* RFC 1939 says 70; servers exceed it. */
#define UID_MAX 1024

/* While the text still grows, a uid is an offset into it. */
struct entry {
	uint32_t number;
	int64_t size_bytes;
	size_t uid_offset;
	size_t uid_len;
};

struct list {
	struct entry *entries;
	size_t n_entries;
	size_t cap_entries;
	char *text;
	size_t text_len;
	size_t text_cap;
	bool is_cut;
};

static void list_done(struct list *list)
{
	free(list->entries);
	free(list->text);
}

void listing_done(struct listing *listing)
{
	free(listing->items);
	free(listing->text);
	*listing = (struct listing){ 0 };
}

static int list_add(struct list *list, const struct entry *entry,
		    struct error *err)
{
	struct entry *entries;
	size_t cap;

	if (list->n_entries == list->cap_entries) {
		cap = MAX(list->cap_entries * 2, (size_t)64);
		entries = reallocarray(list->entries, cap, sizeof(*entries));
		if (!entries)
			return error_set_memory(err);
		list->entries = entries;
		list->cap_entries = cap;
	}
	list->entries[list->n_entries++] = *entry;
	return 0;
}

static int list_add_text(struct list *list, struct bytes text, size_t *ret,
			 struct error *err)
{
	char *grown;
	size_t cap;

	if (list->text_len + text.len > list->text_cap) {
		cap = MAX(list->text_cap * 2, (size_t)4096);
		grown = realloc(list->text, cap);
		if (!grown)
			return error_set_memory(err);
		list->text = grown;
		list->text_cap = cap;
	}
	if (text.len > 0)
		memcpy(list->text + list->text_len, text.data, text.len);
	*ret = list->text_len;
	list->text_len += text.len;
	return 0;
}

static bool list_is_full(const struct list *list)
{
	return list->n_entries * sizeof(struct listing_item) + list->text_len >
	       LISTING_MAX_BYTES;
}

/* A UID beyond UID_MAX goes by its SHA-256: cut, two could become one. */
static int add_unique(struct list *list, const struct pop3_unique *unique,
		      struct error *err)
{
	struct entry entry = { .number = unique->number, .size_bytes = -1 };
	uint8_t digest[DIGEST_SIZE];
	struct bytes uid = unique->uid;

	if (uid.len > UID_MAX) {
		if (digest_bytes(uid, digest, err) < 0)
			return -1;
		uid = (struct bytes){ .data = (const char *)digest,
				      .len = sizeof(digest) };
	}
	entry.uid_len = uid.len;
	if (list_add_text(list, uid, &entry.uid_offset, err) < 0)
		return -1;
	return list_add(list, &entry, err);
}

static int take_unique(struct list *list, struct bytes line, struct error *err)
{
	struct pop3_unique unique;
	struct error ignored;

	if (list_is_full(list) ||
	    pop3_parse_unique(line, &unique, &ignored) < 0) {
		list->is_cut = true; /* this message stays unknown for now */
		return 0;
	}
	return add_unique(list, &unique, err);
}

static int take_scan(struct list *list, struct bytes line, struct error *err)
{
	struct entry entry = { 0 };
	struct pop3_scan scan;
	struct error ignored;

	if (list_is_full(list) || pop3_parse_scan(line, &scan, &ignored) < 0) {
		list->is_cut = true;
		return 0;
	}
	entry.number = scan.number;
	entry.size_bytes = (int64_t)MIN(scan.size_bytes, (uint64_t)INT64_MAX);
	return list_add(list, &entry, err);
}

static int by_number(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static void list_sort(struct list *list)
{
	for (size_t i = 1; i < list->n_entries; i++) {
		if (list->entries[i - 1].number < list->entries[i].number)
			continue;
		qsort(list->entries, list->n_entries, sizeof(struct entry),
		      by_number);
		return;
	}
}

static int read_lines(struct pop3 *pop3, struct list *list, bool is_uidl,
		      struct error *err)
{
	_cleanup_string_ char *text = malloc(STREAM_LINE_LIMIT);
	struct bytes line = { .data = text };
	int r;

	if (!text)
		return error_set_memory(err);
	for (;;) {
		if (pop3_read_list_line(pop3, text, STREAM_LINE_LIMIT,
					&line.len, err) < 0)
			return -1;
		if (line.len == 1 && text[0] == '.')
			break;
		r = is_uidl ? take_unique(list, line, err)
			    : take_scan(list, line, err);
		if (r < 0)
			return -1;
	}
	list_sort(list);
	return 0;
}

/* The size that LIST gave for a number; both lists are walked in step. */
static int64_t size_of(const struct list *sizes, size_t *at, uint32_t number)
{
	while (*at < sizes->n_entries && sizes->entries[*at].number < number)
		(*at)++;
	if (*at < sizes->n_entries && sizes->entries[*at].number == number)
		return sizes->entries[*at].size_bytes;
	return -1;
}

static size_t run_of_number(const struct list *list, size_t first)
{
	size_t len = 1;

	while (first + len < list->n_entries &&
	       list->entries[first + len].number == list->entries[first].number)
		len++;
	return len;
}

/* The same UID, or the same size where there are no UIDs, all along the run. */
static bool is_one_message(const struct entry *run, size_t len,
			   const char *text)
{
	for (size_t i = 1; i < len; i++)
		if (run[i].uid_len != run[0].uid_len ||
		    run[i].size_bytes != run[0].size_bytes ||
		    (run[0].uid_len > 0 &&
		     memcmp(text + run[i].uid_offset, text + run[0].uid_offset,
			    run[0].uid_len) != 0))
			return false;
	return true;
}

static struct listing_item item_of(const struct entry *entry, const char *text)
{
	return (struct listing_item){
		.number = entry->number,
		.size_bytes = entry->size_bytes,
		.uid.data = entry->uid_len > 0 ? text + entry->uid_offset : "",
		.uid.len = entry->uid_len,
	};
}

/*
 * With UIDs, what LIST alone names is left for another visit; without them,
 * LIST is all there is. A number with two UIDs could mean either message, and
 * so means none.
 */
static int merge(struct list *uids, const struct list *sizes, bool has_uids,
		 struct listing *ret, struct error *err)
{
	const struct list *from = has_uids ? uids : sizes;
	struct listing listing = { .has_uids = has_uids };
	size_t at = 0, run;

	listing.items = calloc(from->n_entries + 1, sizeof(*listing.items));
	if (!listing.items)
		return error_set_memory(err);

	listing.is_complete =
		!uids->is_cut && !sizes->is_cut &&
		(!has_uids || uids->n_entries >= sizes->n_entries);
	listing.text = TAKE_PTR(uids->text);
	for (size_t i = 0; i < from->n_entries; i += run) {
		struct listing_item item =
			item_of(&from->entries[i], listing.text);

		run = run_of_number(from, i);
		listing.is_complete = listing.is_complete && run == 1;
		if (!is_one_message(&from->entries[i], run, listing.text))
			continue;
		if (has_uids)
			item.size_bytes = size_of(sizes, &at, item.number);
		listing.items[listing.n_items++] = item;
	}
	*ret = listing;
	return 0;
}

static int ask(struct pop3 *pop3, const char *word, struct error *err)
{
	if (pop3_queue_word(pop3, word, err) < 0)
		return -1;
	return pop3_flush(pop3, err);
}

/* UIDL is tried even where CAPA does not name it: some have it all the same. */
static int read_uids(struct pop3 *pop3, struct list *uids, bool *ret_has_uids,
		     struct error *err)
{
	int r = pop3_read_reply(pop3, err);

	if (r < 0 || (r == 0 && read_lines(pop3, uids, true, err) < 0))
		return -1;
	*ret_has_uids = r == 0;
	return 0;
}

static int read_sizes(struct pop3 *pop3, struct list *sizes, struct error *err)
{
	if (pop3_read_reply(pop3, err) != 0)
		return error_prefix(err, "LIST");
	return read_lines(pop3, sizes, false, err);
}

/*
 * What is queued here leaves with LIST. Capabilities that were remembered are
 * checked on the way, where that costs no round trip.
 */
static int queue_first(struct pop3 *pop3, struct error *err)
{
	const struct pop3_capa *capa = pop3_capa(pop3);

	if (!capa->pipelining)
		return 0;
	if (capa->is_assumed && pop3_queue_word(pop3, "CAPA", err) < 0)
		return -1;
	return pop3_queue_word(pop3, "UIDL", err);
}

static int read_both(struct pop3 *pop3, struct list *uids, struct list *sizes,
		     bool *ret_has_uids, struct error *err)
{
	bool is_pipelined = pop3_capa(pop3)->pipelining;
	bool is_checked = is_pipelined && pop3_capa(pop3)->is_assumed;
	struct error refusal = { 0 };

	if (queue_first(pop3, err) < 0 ||
	    ask(pop3, is_pipelined ? "LIST" : "UIDL", err) < 0 ||
	    (is_checked && pop3_check_capa(pop3, err) < 0))
		return -1;
	if (read_uids(pop3, uids, ret_has_uids, &refusal) < 0) {
		if (refusal.kind != ERROR_NONE)
			*err = refusal;
		return -1;
	}
	if (!is_pipelined && ask(pop3, "LIST", err) < 0)
		return -1;
	if (read_sizes(pop3, sizes, err) < 0)
		return -1;

	/* It has UIDL and would not use it now: that passes. */
	if (!*ret_has_uids &&
	    (pop3_capa(pop3)->uidl || refusal.kind == ERROR_BUSY)) {
		*err = refusal;
		return error_prefix(err, "UIDL");
	}
	return 0;
}

int listing_read(struct pop3 *pop3, struct listing *ret, struct error *err)
{
	_cleanup_(list_done) struct list uids = { 0 };
	_cleanup_(list_done) struct list sizes = { 0 };
	bool has_uids = false;

	if (read_both(pop3, &uids, &sizes, &has_uids, err) < 0)
		return -1;
	return merge(&uids, &sizes, has_uids, ret, err);
}
