/*
 * listing.c - UIDL and LIST, read and merged into one listing.
 */
#include "listing.h"

#include <string.h>

#include "digest.h"

/* RFC 1939 says 70; servers exceed it. */
#define UID_MAX   1024

#define TEXT_SIZE 65536

/* Many uids, which stay where they are while more come. */
struct uid_text {
	struct uid_text *next;
	size_t len;
	char bytes[TEXT_SIZE];
};

/* What UIDL told and then LIST of the same messages, or LIST alone. */
struct list {
	struct plan_item *items;
	size_t n_items;
	size_t cap_items;
	struct uid_text *text;
	size_t text_len;
	size_t n_sizes; /* lines of LIST */
	size_t at;      /* the item whose line of LIST should be next */
	bool is_cut;
};

static void text_free(struct uid_text *text)
{
	while (text) {
		struct uid_text *next = text->next;

		free(text);
		text = next;
	}
}

static void list_done(struct list *list)
{
	free(list->items);
	text_free(list->text);
}

void listing_done(struct listing *listing)
{
	free(listing->items);
	text_free(listing->text);
	*listing = (struct listing){ 0 };
}

static int list_add(struct list *list, const struct plan_item *item,
		    struct error *err)
{
	struct plan_item *items;
	size_t cap;

	if (list->n_items == list->cap_items) {
		cap = MAX(list->cap_items * 2, (size_t)64);
		items = reallocarray(list->items, cap, sizeof(*items));
		if (!items)
			return error_set_memory(err);
		list->items = items;
		list->cap_items = cap;
	}
	list->items[list->n_items++] = *item;
	return 0;
}

/* Keeps a copy of a uid of at most UID_MAX bytes. */
static int list_keep(struct list *list, struct bytes *uid, struct error *err)
{
	struct uid_text *text = list->text;

	if (!text || uid->len > TEXT_SIZE - text->len) {
		text = malloc(sizeof(*text));
		if (!text)
			return error_set_memory(err);
		text->next = list->text;
		text->len = 0;
		list->text = text;
	}
	if (uid->len > 0)
		memcpy(text->bytes + text->len, uid->data, uid->len);
	uid->data = text->bytes + text->len;
	text->len += uid->len;
	list->text_len += uid->len;
	return 0;
}

static bool list_is_full(const struct list *list)
{
	return list->n_items * sizeof(struct plan_item) + list->text_len >
	       LISTING_MAX_BYTES;
}

/* A UID beyond UID_MAX goes by its SHA-256: cut, two could become one. */
static int add_unique(struct list *list, const struct pop3_unique *unique,
		      struct error *err)
{
	struct plan_item item = {
		.number = unique->number,
		.list_size = -1,
		.uid = unique->uid,
	};
	uint8_t digest[DIGEST_SIZE];

	if (item.uid.len > UID_MAX) {
		if (digest_bytes(item.uid, digest, err) < 0)
			return -1;
		item.uid = (struct bytes){ .data = (const char *)digest,
					   .len = sizeof(digest) };
	}
	if (list_keep(list, &item.uid, err) < 0)
		return -1;
	return list_add(list, &item, err);
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

/* The first item whose number is not below this one. */
static size_t lower_bound(const struct list *list, uint32_t number)
{
	size_t low = 0, high = list->n_items;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (list->items[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* For all items of this number, unless an earlier line told theirs. */
static void note_size(struct list *list, const struct pop3_scan *scan)
{
	int64_t size = (int64_t)MIN(scan->size_bytes, (uint64_t)INT64_MAX);
	size_t i = list->at;

	if (i >= list->n_items || list->items[i].number != scan->number)
		i = lower_bound(list, scan->number);
	for (; i < list->n_items && list->items[i].number == scan->number; i++)
		if (list->items[i].list_size < 0)
			list->items[i].list_size = size;
	list->at = i;
}

static int add_scan(struct list *list, const struct pop3_scan *scan,
		    struct error *err)
{
	const struct plan_item item = {
		.number = scan->number,
		.list_size =
			(int64_t)MIN(scan->size_bytes, (uint64_t)INT64_MAX),
		.uid.data = "",
	};

	if (!list_is_full(list))
		return list_add(list, &item, err);
	list->is_cut = true;
	return 0;
}

static int take_scan(struct list *list, struct bytes line, bool has_uids,
		     struct error *err)
{
	struct pop3_scan scan;
	struct error ignored;

	if (pop3_parse_scan(line, &scan, &ignored) < 0) {
		list->is_cut = true;
		return 0;
	}
	list->n_sizes++;
	if (!has_uids)
		return add_scan(list, &scan, err);
	note_size(list, &scan);
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const struct plan_item *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static void list_sort(struct list *list)
{
	for (size_t i = 1; i < list->n_items; i++) {
		if (list->items[i - 1].number < list->items[i].number)
			continue;
		qsort(list->items, list->n_items, sizeof(struct plan_item),
		      by_number);
		return;
	}
}

enum lines {
	LINES_UIDL = 1,
	LINES_LIST,       /* of what UIDL has named */
	LINES_LIST_ALONE, /* there is no UIDL */
};

static int read_lines(struct pop3 *pop3, struct list *list, enum lines lines,
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
		r = lines == LINES_UIDL
			    ? take_unique(list, line, err)
			    : take_scan(list, line, lines == LINES_LIST, err);
		if (r < 0)
			return -1;
	}
	list_sort(list);
	return 0;
}

static size_t run_of_number(const struct list *list, size_t first)
{
	size_t len = 1;

	while (first + len < list->n_items &&
	       list->items[first + len].number == list->items[first].number)
		len++;
	return len;
}

/* The same UID, or the same size where there are no UIDs, all along the run. */
static bool is_one_message(const struct plan_item *run, size_t len)
{
	for (size_t i = 1; i < len; i++)
		if (run[i].uid.len != run[0].uid.len ||
		    run[i].list_size != run[0].list_size ||
		    (run[0].uid.len > 0 &&
		     memcmp(run[i].uid.data, run[0].uid.data, run[0].uid.len) !=
			     0))
			return false;
	return true;
}

/*
 * With UIDs, what LIST alone names is left for another visit; without them,
 * LIST is all there is. A number with two UIDs could mean either message, and
 * so means none.
 */
static int merge(struct list *list, bool has_uids, struct listing *ret,
		 struct error *err)
{
	struct listing listing = { .has_uids = has_uids };
	size_t run;

	/* An empty listing has a list, too. */
	if (!list->items &&
	    !(list->items = calloc(1, sizeof(struct plan_item))))
		return error_set_memory(err);

	listing.is_complete = !list->is_cut &&
			      (!has_uids || list->n_items >= list->n_sizes);
	listing.items = list->items;
	for (size_t i = 0; i < list->n_items; i += run) {
		run = run_of_number(list, i);
		listing.is_complete = listing.is_complete && run == 1;
		if (is_one_message(&list->items[i], run))
			listing.items[listing.n_items++] = list->items[i];
	}
	listing.text = TAKE_PTR(list->text);
	list->items = NULL; /* handed over */
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
static int read_uids(struct pop3 *pop3, struct list *list, bool *ret_has_uids,
		     struct error *err)
{
	int r = pop3_read_reply(pop3, err);

	if (r < 0 || (r == 0 && read_lines(pop3, list, LINES_UIDL, err) < 0))
		return -1;
	*ret_has_uids = r == 0;
	return 0;
}

static int read_sizes(struct pop3 *pop3, struct list *list, bool has_uids,
		      struct error *err)
{
	if (pop3_read_reply(pop3, err) != 0)
		return error_prefix(err, "LIST");
	return read_lines(pop3, list, has_uids ? LINES_LIST : LINES_LIST_ALONE,
			  err);
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
	if (capa->is_assumed && pop3_queue_capa(pop3, err) < 0)
		return -1;
	return pop3_queue_word(pop3, "UIDL", err);
}

static int read_both(struct pop3 *pop3, struct list *list, bool *ret_has_uids,
		     struct error *err)
{
	bool is_pipelined = pop3_capa(pop3)->pipelining;
	bool is_checked = is_pipelined && pop3_capa(pop3)->is_assumed;
	struct error refusal = { 0 };

	if (queue_first(pop3, err) < 0 ||
	    ask(pop3, is_pipelined ? "LIST" : "UIDL", err) < 0 ||
	    (is_checked && pop3_check_capa(pop3, err) < 0))
		return -1;
	if (read_uids(pop3, list, ret_has_uids, &refusal) < 0) {
		if (refusal.kind != ERROR_NONE)
			*err = refusal;
		return -1;
	}
	if (!is_pipelined && ask(pop3, "LIST", err) < 0)
		return -1;
	if (read_sizes(pop3, list, *ret_has_uids, err) < 0)
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
	_cleanup_(list_done) struct list list = { 0 };
	bool has_uids = false;

	if (read_both(pop3, &list, &has_uids, err) < 0)
		return -1;
	return merge(&list, has_uids, ret, err);
}
