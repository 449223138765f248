/*
 * plan.c - pure: what to do with each message of a listing.
 *
 * Messages and rows are walked in step, in the order of their UIDs, one group
 * of equal UIDs at a time. A group is nearly always one message or one row.
 */
#include "plan.h"

#include <string.h>

/* A hostile server could make us match 100,000 copies with each other. */
#define GROUP_MAX 64

#define RETRY_SEC UINT64_C(86400)

/* What a file takes beyond its size. */
#define BLOCK_BYTES 4096

/* Items and rows that share one UID. */
struct group {
	struct plan_item **items;
	size_t n_items;
	const struct journal_row *rows; /* whose uid may be gone */
	size_t n_rows;
	struct bytes uid;
};

/* Rows of one group, and the first of the next. */
struct reader {
	const struct plan_input *input;
	struct journal_row *rows; /* of the group, with its uid in uid */
	size_t n_rows;
	size_t cap_rows;
	char *uid;
	size_t uid_len;
	size_t uid_cap;
	struct journal_row next;
	bool has_next;
};

void plan_done(struct plan *plan)
{
	for (size_t i = 0; i < plan->n_loose; i++)
		free((char *)plan->loose[i].uid.data);
	free(plan->retrieve);
	free(plan->loose);
	*plan = (struct plan){ 0 };
}

static void reader_done(struct reader *reader)
{
	free(reader->rows);
	free(reader->uid);
}

static int compare_bytes(struct bytes a, struct bytes b)
{
	size_t len = MIN(a.len, b.len);
	int r = len > 0 ? memcmp(a.data, b.data, len) : 0;

	return r != 0 ? r : (a.len > b.len) - (a.len < b.len);
}

/* Never NULL for want of bytes. */
static char *memdup(struct bytes bytes)
{
	char *copy = malloc(bytes.len + 1);

	if (copy && bytes.len > 0)
		memcpy(copy, bytes.data, bytes.len);
	return copy;
}

static int by_uid(const void *a, const void *b)
{
	const struct plan_item *x = *(struct plan_item *const *)a;
	const struct plan_item *y = *(struct plan_item *const *)b;
	int r = compare_bytes(x->uid, y->uid);

	return r != 0 ? r : (x->number > y->number) - (x->number < y->number);
}

static bool is_vouched(const struct group *group)
{
	const struct journal_row *row = group->rows;

	return group->n_items == 1 && group->n_rows == 1 &&
	       group->items[0]->uid.len > 0 &&
	       row->state == JOURNAL_DELIVERED && row->list_size >= 0 &&
	       row->list_size == group->items[0]->list_size;
}

/* True when an item of the group has taken this row already. */
static bool is_taken(const struct group *group, const struct journal_row *row)
{
	if (group->n_items > GROUP_MAX)
		return false; /* of so many, none takes a row */
	for (size_t i = 0; i < group->n_items; i++)
		if (group->items[i]->row_id == row->id)
			return true;
	return false;
}

/* What was not received is never deleted, whatever the policy. */
static bool is_to_keep(const struct journal_row *row, bool keeps_mail)
{
	return row->state == JOURNAL_SEEN ||
	       (keeps_mail && row->state == JOURNAL_DELIVERED);
}

/* A row of the same size that keeps this item, each row at most once. */
static const struct journal_row *take_row(const struct group *group,
					  const struct plan_item *item,
					  bool keeps_mail)
{
	for (size_t i = 0; i < group->n_rows; i++) {
		const struct journal_row *row = &group->rows[i];

		if (is_to_keep(row, keeps_mail) &&
		    row->list_size == item->list_size && !is_taken(group, row))
			return row;
	}
	return NULL;
}

/* Keeping asks less than deleting: to leave a known message loses nothing. */
static void decide_doubtful(const struct group *group, struct plan_item *item,
			    bool keeps_mail)
{
	const struct journal_row *row = NULL;

	if (item->uid.len > 0 && group->n_items <= GROUP_MAX &&
	    group->n_rows <= GROUP_MAX)
		row = take_row(group, item, keeps_mail);
	if (row) {
		item->action = PLAN_KEEP;
		item->row_id = row->id;
		return;
	}
	item->action = PLAN_FETCH;
}

static void decide_group(const struct group *group, bool keeps_mail)
{
	for (size_t i = 0; i < group->n_items; i++) {
		struct plan_item *item = group->items[i];

		if (!keeps_mail && is_vouched(group)) {
			item->action = PLAN_DELETE;
			item->row_id = group->rows[0].id;
		} else {
			decide_doubtful(group, item, keeps_mail);
		}
	}
}

/*
 * DELETED rows are no match for another UID: their message is gone, and one
 * that is just like it is another.
 */
static bool is_loose(const struct group *group, const struct journal_row *row)
{
	switch (row->state) {
	case JOURNAL_DELIVERED:
	case JOURNAL_GONE:
		return !is_taken(group, row);
	case JOURNAL_DELETED:
		return group->n_items > 0;
	case JOURNAL_SEEN: /* matches nothing, but it may be gone */
		return group->n_items == 0;
	case JOURNAL_STAGED: /* recovery has left none */
	default:
		return false;
	}
}

/*
 * An empty listing may be a hiccup. A row SEEN that was called gone for one
 * could not be told again when its message is back: its contents are unknown.
 */
static bool may_be_gone(const struct plan *plan, const struct journal_row *row)
{
	return row->state == JOURNAL_DELIVERED ||
	       (row->state == JOURNAL_SEEN && plan->n_items > 0);
}

static int plan_add_loose(struct plan *plan, const struct plan_loose *loose,
			  struct error *err)
{
	struct plan_loose *grown;
	size_t cap;

	if (plan->n_loose == plan->cap_loose) {
		cap = MAX(plan->cap_loose * 2, (size_t)64);
		grown = reallocarray(plan->loose, cap, sizeof(*grown));
		if (!grown)
			return error_set_memory(err);
		plan->loose = grown;
		plan->cap_loose = cap;
	}
	plan->loose[plan->n_loose++] = *loose;
	return 0;
}

static int note_loose(struct plan *plan, const struct group *group,
		      bool tells_gone, struct error *err)
{
	for (size_t i = 0; i < group->n_rows; i++) {
		const struct journal_row *row = &group->rows[i];
		struct plan_loose loose = {
			.row_id = row->id,
			.state = row->state,
			.is_absent = tells_gone && group->n_items == 0 &&
				     may_be_gone(plan, row),
		};

		if (!is_loose(group, row))
			continue;
		loose.uid =
			(struct bytes){ memdup(group->uid), group->uid.len };
		if (!loose.uid.data)
			return error_set_memory(err);
		if (plan_add_loose(plan, &loose, err) < 0) {
			free((char *)loose.uid.data);
			return -1;
		}
	}
	return 0;
}

static size_t run_of_items(struct plan_item **items, size_t n)
{
	size_t len = 1;

	while (len < n && compare_bytes(items[len]->uid, items[0]->uid) == 0)
		len++;
	return len;
}

static int reader_next(struct reader *reader, struct error *err)
{
	const struct plan_input *input = reader->input;
	int r = 0;

	if (input->next_row)
		r = input->next_row(input->source, &reader->next, err);
	reader->has_next = r > 0;
	return r < 0 ? -1 : 0;
}

static int reader_keep_uid(struct reader *reader, struct bytes uid,
			   struct error *err)
{
	char *grown;

	if (uid.len >= reader->uid_cap) {
		grown = realloc(reader->uid, uid.len + 1);
		if (!grown)
			return error_set_memory(err);
		reader->uid = grown;
		reader->uid_cap = uid.len + 1;
	}
	if (uid.len > 0)
		memcpy(reader->uid, uid.data, uid.len);
	reader->uid_len = uid.len;
	return 0;
}

static int reader_add(struct reader *reader, struct error *err)
{
	struct journal_row *rows;
	size_t cap;

	if (reader->n_rows == reader->cap_rows) {
		cap = MAX(reader->cap_rows * 2, (size_t)8);
		rows = reallocarray(reader->rows, cap, sizeof(*rows));
		if (!rows)
			return error_set_memory(err);
		reader->rows = rows;
		reader->cap_rows = cap;
	}
	reader->rows[reader->n_rows++] = reader->next;
	return 0;
}

static struct bytes reader_uid(const struct reader *reader)
{
	return (struct bytes){ reader->uid, reader->uid_len };
}

/* All rows that have the UID of the next one. */
static int reader_take_group(struct reader *reader, struct error *err)
{
	int order;

	reader->n_rows = 0;
	if (reader_keep_uid(reader, reader->next.uid, err) < 0)
		return -1;
	do {
		if (reader_add(reader, err) < 0 || reader_next(reader, err) < 0)
			return -1;
		order = reader->has_next ? compare_bytes(reader->next.uid,
							 reader_uid(reader))
					 : 1;
	} while (order == 0);

	if (order > 0)
		return 0;
	return error_set(err, ERROR_LOCAL,
			 "the journal's rows are out of order");
}

/*
 * An empty listing of a server without UIDs still says that all is gone; a
 * longer one says nothing about rows, which then have no UID either.
 */
static bool tells_gone(const struct listing *listing)
{
	return listing->is_complete &&
	       (listing->n_items == 0 || listing->has_uids);
}

/* The next group in UID order: items, rows or both. */
static int next_group(struct reader *reader, struct plan_item **items,
		      size_t n_items, struct group *ret, struct error *err)
{
	struct group group = { .items = items };
	int order;

	if (n_items == 0)
		order = 1;
	else if (!reader->has_next)
		order = -1;
	else
		order = compare_bytes(items[0]->uid, reader->next.uid);

	if (order <= 0) {
		group.n_items = run_of_items(items, n_items);
		group.uid = items[0]->uid;
	}
	if (order >= 0) {
		if (reader_take_group(reader, err) < 0)
			return -1;
		group.rows = reader->rows;
		group.n_rows = reader->n_rows;
		group.uid = reader_uid(reader);
	}
	*ret = group;
	return 0;
}

static int decide_all(struct plan *plan, struct plan_item **sorted,
		      const struct plan_input *input, struct error *err)
{
	_cleanup_(reader_done) struct reader reader = { .input = input };
	struct group group;

	if (reader_next(&reader, err) < 0)
		return -1;
	for (size_t i = 0; i < plan->n_items || reader.has_next;
	     i += group.n_items) {
		if (next_group(&reader, sorted + i, plan->n_items - i, &group,
			       err) < 0)
			return -1;
		decide_group(&group, input->keeps_mail);
		if (note_loose(plan, &group, tells_gone(input->listing), err) <
		    0)
			return -1;
	}
	return 0;
}

static void list_retrieve(struct plan *plan)
{
	for (size_t i = 0; i < plan->n_items; i++)
		if (plan->items[i].action == PLAN_FETCH)
			plan->retrieve[plan->n_retrieve++] = i;
	plan->n_untroubled = plan->n_retrieve;
}

/* Servers mostly list in the order of their UIDs: then there is nothing to do. */
static void sort_by_uid(struct plan_item **sorted, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		if (by_uid(&sorted[i - 1], &sorted[i]) < 0)
			continue;
		qsort(sorted, n, sizeof(struct plan_item *), by_uid);
		return;
	}
}

int plan_make(const struct plan_input *input, struct plan *ret,
	      struct error *err)
{
	size_t n = input->listing->n_items;
	_cleanup_(plan_done) struct plan plan = {
		.items = input->listing->items,
		.n_items = n,
	};
	struct plan_item **sorted;
	int r;

	/* One more than needed: calloc of nothing may return NULL. */
	plan.retrieve = calloc(n + 1, sizeof(*plan.retrieve));
	sorted = calloc(n + 1, sizeof(*sorted));
	if (!plan.retrieve || !sorted) {
		free(sorted);
		return error_set_memory(err);
	}

	for (size_t i = 0; i < n; i++)
		sorted[i] = &plan.items[i];
	sort_by_uid(sorted, n);
	r = decide_all(&plan, sorted, input, err);
	free(sorted);
	if (r < 0)
		return -1;

	list_retrieve(&plan);
	*ret = plan;
	plan = (struct plan){ 0 };
	return 0;
}

/* A noted time from the future was told by a clock that was wrong. */
static bool is_put_off(const struct journal_trouble *trouble, uint64_t now_sec)
{
	return trouble->times >= PLAN_TROUBLES_MAX &&
	       trouble->noted_sec <= now_sec &&
	       now_sec - trouble->noted_sec < RETRY_SEC;
}

struct suspect {
	size_t item;
	size_t rank; /* its place before */
	uint32_t times;
};

static int by_times(const void *a, const void *b)
{
	const struct suspect *one = a;
	const struct suspect *two = b;

	if (one->times != two->times)
		return one->times < two->times ? -1 : 1;
	return (one->rank > two->rank) - (one->rank < two->rank);
}

int plan_put_last(struct plan *plan, const struct journal_trouble *troubles,
		  uint64_t now_sec, struct error *err)
{
	struct suspect *last = calloc(plan->n_retrieve + 1, sizeof(*last));
	size_t n_first = 0, n_last = 0;

	if (!last)
		return error_set_memory(err);
	for (size_t i = 0; i < plan->n_retrieve; i++) {
		if (is_put_off(&troubles[i], now_sec))
			plan->n_put_off++;
		else if (troubles[i].times > 0)
			last[n_last++] = (struct suspect){
				.item = plan->retrieve[i],
				.rank = i,
				.times = troubles[i].times,
			};
		else
			plan->retrieve[n_first++] = plan->retrieve[i];
	}
	qsort(last, n_last, sizeof(*last), by_times);
	for (size_t i = 0; i < n_last; i++)
		plan->retrieve[n_first + i] = last[i].item;
	plan->n_untroubled = n_first;
	plan->n_retrieve = n_first + n_last;
	free(last);
	return 0;
}

void plan_fit(struct plan *plan, uint64_t free_bytes)
{
	size_t n_untroubled = plan->n_untroubled;
	size_t n_left = 0;

	for (size_t i = 0; i < plan->n_retrieve; i++) {
		const struct plan_item *item = &plan->items[plan->retrieve[i]];
		uint64_t size_bytes = (uint64_t)MAX(item->list_size, 0);
		uint64_t disk_bytes = size_bytes + BLOCK_BYTES;

		if (disk_bytes > free_bytes) {
			plan->n_unfit++;
			plan->unfit_bytes += size_bytes;
			plan->n_untroubled -= i < n_untroubled;
			continue;
		}
		free_bytes -= disk_bytes;
		plan->retrieve[n_left++] = plan->retrieve[i];
	}
	plan->n_retrieve = n_left;
}
