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
	const struct journal_row *rows;
	size_t n_rows;
};

void plan_done(struct plan *plan)
{
	free(plan->items);
	free(plan->retrieve);
	free(plan->loose);
	*plan = (struct plan){ 0 };
}

static int compare_bytes(struct bytes a, struct bytes b)
{
	size_t len = MIN(a.len, b.len);
	int r = len > 0 ? memcmp(a.data, b.data, len) : 0;

	return r != 0 ? r : (a.len > b.len) - (a.len < b.len);
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

static void note_loose(struct plan *plan, const struct group *group,
		       bool tells_gone)
{
	for (size_t i = 0; i < group->n_rows; i++) {
		const struct journal_row *row = &group->rows[i];

		if (!is_loose(group, row))
			continue;
		plan->loose[plan->n_loose++] = (struct plan_loose){
			.row = row,
			.is_absent = tells_gone && group->n_items == 0 &&
				     may_be_gone(plan, row),
		};
	}
}

static size_t run_of_items(struct plan_item **items, size_t n)
{
	size_t len = 1;

	while (len < n && compare_bytes(items[len]->uid, items[0]->uid) == 0)
		len++;
	return len;
}

static size_t run_of_rows(const struct journal_row *rows, size_t n)
{
	size_t len = 1;

	while (len < n && compare_bytes(rows[len].uid, rows[0].uid) == 0)
		len++;
	return len;
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
static struct group next_group(struct plan_item **items, size_t n_items,
			       const struct journal_row *rows, size_t n_rows)
{
	struct group group = { .items = items, .rows = rows };
	int order;

	if (n_items == 0)
		order = 1;
	else if (n_rows == 0)
		order = -1;
	else
		order = compare_bytes(items[0]->uid, rows[0].uid);

	if (order <= 0)
		group.n_items = run_of_items(items, n_items);
	if (order >= 0)
		group.n_rows = run_of_rows(rows, n_rows);
	return group;
}

static void decide_all(struct plan *plan, struct plan_item **sorted,
		       const struct plan_input *input)
{
	const struct journal_rows *rows = input->rows;
	size_t item = 0, row = 0;

	while (item < plan->n_items || row < rows->n_rows) {
		struct group group =
			next_group(sorted + item, plan->n_items - item,
				   rows->rows + row, rows->n_rows - row);

		decide_group(&group, input->keeps_mail);
		note_loose(plan, &group, tells_gone(input->listing));
		item += group.n_items;
		row += group.n_rows;
	}
}

static void list_retrieve(struct plan *plan)
{
	for (size_t i = 0; i < plan->n_items; i++)
		if (plan->items[i].action == PLAN_FETCH)
			plan->retrieve[plan->n_retrieve++] = i;
	plan->n_untroubled = plan->n_retrieve;
}

static int plan_allocate(struct plan *plan, const struct plan_input *input)
{
	size_t n = input->listing->n_items;

	/* One more than needed: calloc of nothing may return NULL. */
	plan->items = calloc(n + 1, sizeof(*plan->items));
	plan->retrieve = calloc(n + 1, sizeof(*plan->retrieve));
	plan->loose = calloc(input->rows->n_rows + 1, sizeof(*plan->loose));
	return plan->items && plan->retrieve && plan->loose ? 0 : -1;
}

int plan_make(const struct plan_input *input, struct plan *ret,
	      struct error *err)
{
	_cleanup_(plan_done) struct plan plan = { 0 };
	struct plan_item **sorted;

	sorted = calloc(input->listing->n_items + 1, sizeof(*sorted));
	if (!sorted || plan_allocate(&plan, input) < 0) {
		free(sorted);
		return error_set_memory(err);
	}

	plan.n_items = input->listing->n_items;
	for (size_t i = 0; i < plan.n_items; i++) {
		const struct listing_item *item = &input->listing->items[i];

		plan.items[i] = (struct plan_item){
			.number = item->number,
			.list_size = item->size_bytes,
			.uid = item->uid,
		};
		sorted[i] = &plan.items[i];
	}
	qsort(sorted, plan.n_items, sizeof(struct plan_item *), by_uid);
	decide_all(&plan, sorted, input);
	list_retrieve(&plan);
	free(sorted);

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
