/*
 * test-plan.c - what is fetched, deleted and kept.
 *
 * The table tells each rule of "what a DELE needs"; the oracle behind it says
 * the rule once more in another way and is held against random mailboxes.
 */
#include "plan.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#define N_MAX 5
#define D     JOURNAL_DELIVERED
#define S     JOURNAL_STAGED
#define G     JOURNAL_GONE
#define X     JOURNAL_DELETED
#define M     JOURNAL_SEEN /* marked */

struct item {
	const char *uid; /* NULL: no more items. Numbers are 1, 2, 3.. */
	int64_t size;
};

struct row {
	enum journal_state state; /* 0: no more rows. Ids are 11, 12, 13.. */
	const char *uid;
	int64_t size;
};

#define ITEMS(...) .items = { __VA_ARGS__ }
#define ROWS(...)  .rows = { __VA_ARGS__ }

static const struct {
	const char *name;
	bool keeps_mail;
	bool is_cut;   /* the listing is not complete */
	bool has_none; /* the server has no UIDL */
	struct item items[N_MAX];
	struct row rows[N_MAX]; /* in the journal's order */
	const char *expected;
} plan_cases[] = {
	{ .name = "an unknown message is fetched",
	  ITEMS({ "A", 100 }),
	  .expected = "fetch" },
	{ .name = "a delivered one of the same size is deleted",
	  ITEMS({ "A", 100 }),
	  ROWS({ D, "A", 100 }),
	  .expected = "delete:11" },
	{ .name = "an empty message is no exception",
	  ITEMS({ "A", 0 }),
	  ROWS({ D, "A", 0 }),
	  .expected = "delete:11" },
	{ .name = "another size is compared",
	  ITEMS({ "A", 101 }),
	  ROWS({ D, "A", 100 }),
	  .expected = "fetch" },
	{ .name = "a size that LIST does not tell now is compared",
	  ITEMS({ "A", -1 }),
	  ROWS({ D, "A", 100 }),
	  .expected = "fetch" },
	{ .name = "a size that LIST did not tell then is compared",
	  ITEMS({ "A", 100 }),
	  ROWS({ D, "A", -1 }),
	  .expected = "fetch" },
	{ .name = "two unknown sizes are not the same size",
	  ITEMS({ "A", -1 }),
	  ROWS({ D, "A", -1 }),
	  .expected = "fetch" },
	{ .name = "a UID that was gone and came back is fetched",
	  ITEMS({ "A", 100 }),
	  ROWS({ G, "A", 100 }),
	  .expected = "fetch" },
	{ .name = "a UID whose message the server deleted is another message",
	  ITEMS({ "A", 100 }),
	  ROWS({ X, "A", 100 }),
	  .expected = "fetch" },
	{ .name = "what we deleted is not gone",
	  ROWS({ X, "A", 1 }),
	  .expected = "" },
	{ .name = "a row that is only staged is compared",
	  ITEMS({ "A", 100 }),
	  ROWS({ S, "A", 100 }),
	  .expected = "fetch" },
	{ .name = "a UID that occurs twice in the listing is compared",
	  ITEMS({ "A", 100 }, { "A", 100 }),
	  ROWS({ D, "A", 100 }),
	  .expected = "fetch fetch" },
	{ .name = "a UID that occurs twice in the journal is compared",
	  ITEMS({ "A", 100 }),
	  ROWS({ D, "A", 100 }, { D, "A", 100 }),
	  .expected = "fetch" },
	{ .name = "a gone row beside a delivered one is a second row",
	  ITEMS({ "A", 100 }),
	  ROWS({ D, "A", 100 }, { G, "A", 100 }),
	  .expected = "fetch" },
	{ .name = "as many copies as rows are compared all the same",
	  ITEMS({ "A", 100 }, { "A", 200 }),
	  ROWS({ D, "A", 100 }, { D, "A", 200 }),
	  .expected = "fetch fetch" },
	{ .name = "two unknown copies of one UID are both fetched",
	  ITEMS({ "A", 100 }, { "A", 100 }),
	  .expected = "fetch fetch" },
	{ .name = "without a UID a message is compared, never deleted",
	  .has_none = true,
	  ITEMS({ "", 100 }),
	  ROWS({ D, "", 100 }),
	  .expected = "fetch" },
	{ .name = "one UID left empty by the server is compared",
	  ITEMS({ "A", 100 }, { "", 100 }),
	  ROWS({ D, "", 100 }, { D, "A", 100 }),
	  .expected = "delete:12 fetch" },
	{ .name = "without UIDs and without rows all is fetched",
	  .has_none = true,
	  ITEMS({ "", 1 }, { "", 1 }),
	  .expected = "fetch fetch" },
	{ .name = "a UID is not the one it begins with",
	  ITEMS({ "AB", 100 }, { "A", 100 }),
	  ROWS({ D, "A", 100 }),
	  .expected = "fetch delete:11" },
	{ .name = "case in a UID counts",
	  ITEMS({ "a", 100 }),
	  ROWS({ D, "A", 100 }),
	  .expected = "fetch gone:11" },
	{ .name = "bytes above 127 sort as the journal sorts them",
	  ITEMS({ "\xff", 1 }, { "z", 1 }, { "\x80", 1 }),
	  ROWS({ D, "z", 1 }, { D, "\x80", 1 }, { D, "\xff", 1 }),
	  .expected = "delete:13 delete:11 delete:12" },
	{ .name = "the listing's order stays whatever the UIDs' order is",
	  ITEMS({ "C", 1 }, { "A", 1 }, { "B", 1 }),
	  ROWS({ D, "B", 1 }),
	  .expected = "fetch fetch delete:11" },
	{ .name = "what a complete listing lacks is gone",
	  ITEMS({ "B", 1 }),
	  ROWS({ D, "A", 1 }, { D, "B", 1 }, { D, "C", 1 }),
	  .expected = "delete:12 gone:11 gone:13" },
	{ .name = "what an incomplete listing lacks is not",
	  .is_cut = true,
	  ITEMS({ "B", 1 }),
	  ROWS({ D, "A", 1 }, { D, "B", 1 }, { D, "C", 1 }),
	  .expected = "delete:12" },
	{ .name = "an empty listing makes all gone",
	  ROWS({ D, "A", 1 }, { D, "B", 1 }),
	  .expected = "gone:11 gone:12" },
	{ .name = "an empty listing without UIDs too",
	  .has_none = true,
	  ROWS({ D, "", 1 }, { D, "A", 1 }),
	  .expected = "gone:11 gone:12" },
	{ .name = "an empty listing that was cut makes nothing gone",
	  .is_cut = true,
	  ROWS({ D, "A", 1 }),
	  .expected = "" },
	{ .name = "a listing without UIDs makes no UID gone",
	  .has_none = true,
	  ITEMS({ "", 1 }),
	  ROWS({ D, "A", 1 }),
	  .expected = "fetch" },
	{ .name = "a listing with UIDs makes a row without one gone",
	  ITEMS({ "A", 1 }),
	  ROWS({ D, "", 1 }),
	  .expected = "fetch gone:11" },
	{ .name = "what is staged or gone is not gone again",
	  ROWS({ S, "A", 1 }, { G, "B", 1 }, { D, "C", 1 }),
	  .expected = "gone:13" },
	{ .name = "all rows of a UID are gone together",
	  ROWS({ D, "A", 1 }, { D, "A", 2 }),
	  .expected = "gone:11 gone:12" },
	{ .name = "nothing on either side", .expected = "" },
	{ .name = "a marked message is kept though mail is to be deleted",
	  ITEMS({ "A", 100 }),
	  ROWS({ M, "A", 100 }),
	  .expected = "keep:11" },
	{ .name = "an unknown size is kept as it was marked",
	  ITEMS({ "A", -1 }),
	  ROWS({ M, "A", -1 }),
	  .expected = "keep:11" },
	{ .name = "a marked UID of another size is fetched",
	  ITEMS({ "A", 101 }),
	  ROWS({ M, "A", 100 }),
	  .expected = "fetch" },
	{ .name = "a marked row keeps one copy, the other is fetched",
	  ITEMS({ "A", 100 }, { "A", 100 }),
	  ROWS({ M, "A", 100 }),
	  .expected = "keep:11 fetch" },
	{ .name = "a marked copy beside a delivered one vouches for nothing",
	  ITEMS({ "A", 100 }),
	  ROWS({ D, "A", 100 }, { M, "A", 100 }),
	  .expected = "keep:12" },
	{ .name = "copies delivered and marked are told apart by size",
	  ITEMS({ "A", 100 }, { "A", 200 }),
	  ROWS({ D, "A", 100 }, { M, "A", 200 }),
	  .expected = "fetch keep:12" },
	{ .name = "a marked message is gone when others are there",
	  ITEMS({ "B", 1 }),
	  ROWS({ M, "A", 1 }, { M, "B", 1 }),
	  .expected = "keep:12 gone:11" },
	{ .name = "an empty listing makes no marked message gone",
	  ROWS({ M, "A", 1 }, { D, "B", 1 }),
	  .expected = "gone:12" },
	{ .name = "an incomplete listing does not either",
	  .is_cut = true,
	  ITEMS({ "B", 1 }),
	  ROWS({ M, "A", 1 }),
	  .expected = "fetch" },
	{ .name = "without UIDs a marked row means nothing",
	  .has_none = true,
	  ITEMS({ "", 1 }),
	  ROWS({ M, "A", 1 }),
	  .expected = "fetch" },
	{ .name = "kept: a marked message stays too",
	  .keeps_mail = true,
	  ITEMS({ "A", 100 }),
	  ROWS({ M, "A", 100 }),
	  .expected = "keep:11" },
	{ .name = "kept: a delivered and a marked row keep two copies",
	  .keeps_mail = true,
	  ITEMS({ "A", 1 }, { "A", 1 }),
	  ROWS({ D, "A", 1 }, { M, "A", 1 }),
	  .expected = "keep:11 keep:12" },

	{ .name = "kept: an unknown message is fetched",
	  .keeps_mail = true,
	  ITEMS({ "A", 100 }),
	  .expected = "fetch" },
	{ .name = "kept: a known one stays",
	  .keeps_mail = true,
	  ITEMS({ "A", 100 }),
	  ROWS({ D, "A", 100 }),
	  .expected = "keep:11" },
	{ .name = "kept: another size is compared",
	  .keeps_mail = true,
	  ITEMS({ "A", 101 }),
	  ROWS({ D, "A", 100 }),
	  .expected = "fetch" },
	{ .name = "kept: a gone row is compared",
	  .keeps_mail = true,
	  ITEMS({ "A", 100 }),
	  ROWS({ G, "A", 100 }),
	  .expected = "fetch" },
	{ .name = "kept: a staged row is compared",
	  .keeps_mail = true,
	  ITEMS({ "A", 100 }),
	  ROWS({ S, "A", 100 }),
	  .expected = "fetch" },
	{ .name = "kept: copies are told apart by size, each row once",
	  .keeps_mail = true,
	  ITEMS({ "A", 2 }, { "A", 1 }, { "A", 2 }),
	  ROWS({ D, "A", 1 }, { D, "A", 2 }),
	  .expected = "keep:12 keep:11 fetch" },
	{ .name = "kept: two rows of one size keep two copies",
	  .keeps_mail = true,
	  ITEMS({ "A", 1 }, { "A", 1 }),
	  ROWS({ D, "A", 1 }, { D, "A", 1 }),
	  .expected = "keep:11 keep:12" },
	{ .name = "kept: a message without a UID is compared",
	  .keeps_mail = true,
	  ITEMS({ "", 1 }),
	  ROWS({ D, "", 1 }),
	  .expected = "fetch" },
	{ .name = "kept: what is absent is gone too",
	  .keeps_mail = true,
	  ITEMS({ "B", 1 }),
	  ROWS({ D, "A", 1 }, { D, "B", 1 }),
	  .expected = "keep:12 gone:11" },
};

static const char *const action_names[] = {
	[PLAN_KEEP] = "keep",
	[PLAN_DELETE] = "delete",
	[PLAN_FETCH] = "fetch",
};

static struct bytes as_bytes(const char *text)
{
	return (struct bytes){ text, strlen(text) };
}

/* Rows, in the journal's order. */
struct known {
	const struct journal_row *rows;
	size_t n_rows;
	size_t next;
};

static int next_row(void *source, struct journal_row *ret, struct error *err)
{
	struct known *known = source;

	(void)err; /* nothing can fail */
	if (known->next == known->n_rows)
		return 0;
	*ret = known->rows[known->next++];
	return 1;
}

/* One mailbox and one journal, small. */
struct world {
	struct plan_item items[N_MAX];
	struct journal_row rows[N_MAX];
	struct listing listing;
	struct known known;
};

static void world_make(struct world *world, const struct item *items,
		       const struct row *rows)
{
	*world = (struct world){ .listing.items = world->items,
				 .listing.has_uids = true,
				 .listing.is_complete = true,
				 .known.rows = world->rows };
	for (size_t i = 0; i < N_MAX && items[i].uid; i++) {
		world->items[i] = (struct plan_item){
			.number = (uint32_t)i + 1,
			.list_size = items[i].size,
			.uid = as_bytes(items[i].uid),
		};
		world->listing.n_items++;
	}
	for (size_t i = 0; i < N_MAX && rows[i].state; i++) {
		world->rows[i] = (struct journal_row){
			.id = (int64_t)i + 11,
			.uid = as_bytes(rows[i].uid),
			.state = rows[i].state,
			.list_size = rows[i].size,
			.base = "",
		};
		world->known.n_rows++;
	}
}

/* "fetch delete:11 gone:12": each message in order, then what is gone. */
static char *describe(const struct plan *plan)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	const char *blank = "";

	ck_assert_ptr_nonnull(file);
	for (size_t i = 0; i < plan->n_items; i++) {
		const struct plan_item *item = &plan->items[i];

		(void)fprintf(file, "%s%s", blank, action_names[item->action]);
		if (item->row_id != 0)
			(void)fprintf(file, ":%d", (int)item->row_id);
		blank = " ";
	}
	for (size_t i = 0; i < plan->n_loose; i++) {
		if (!plan->loose[i].is_absent)
			continue;
		(void)fprintf(file, "%sgone:%d", blank,
			      (int)plan->loose[i].row_id);
		blank = " ";
	}
	ck_assert_int_eq(fclose(file), 0);
	return text;
}

static void check_retrieve(const struct plan *plan, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < plan->n_items; i++) {
		enum plan_action action = plan->items[i].action;

		if (action != PLAN_FETCH)
			continue;
		ck_assert_msg(n < plan->n_retrieve && plan->retrieve[n] == i,
			      "%s: message %zu is not retrieved", name, i + 1);
		n++;
	}
	ck_assert_msg(n == plan->n_retrieve, "%s: too many retrieved", name);
}

START_TEST(decides)
{
	_cleanup_(plan_done) struct plan plan = { 0 };
	_cleanup_string_ char *got = NULL;
	const char *name = plan_cases[_i].name;
	struct world world;
	struct plan_input input = { .listing = &world.listing,
				    .next_row = next_row,
				    .source = &world.known };
	struct error err = { 0 };

	world_make(&world, plan_cases[_i].items, plan_cases[_i].rows);
	world.listing.is_complete = !plan_cases[_i].is_cut;
	world.listing.has_uids = !plan_cases[_i].has_none;
	input.keeps_mail = plan_cases[_i].keeps_mail;

	ck_assert_msg(plan_make(&input, &plan, &err) == 0, "%s: %s", name,
		      err.text);
	got = describe(&plan);
	ck_assert_msg(strcmp(got, plan_cases[_i].expected) == 0,
		      "%s: got '%s', not '%s'", name, got,
		      plan_cases[_i].expected);
	for (size_t i = 0; i < plan.n_items; i++)
		ck_assert_msg(plan.items[i].number == i + 1 &&
				      plan.items[i].list_size ==
					      plan_cases[_i].items[i].size,
			      "%s: message %zu is another", name, i + 1);
	check_retrieve(&plan, name);
}
END_TEST

static uint32_t random_seed = 1;

static uint32_t random_below(uint32_t n)
{
	random_seed = random_seed * 1664525u + 1013904223u;
	return (random_seed >> 8) % n;
}

static void make_random(struct item *items, struct row *rows)
{
	static const char *const uids[] = { "", "A", "B", "C" };
	size_t n_items = random_below(N_MAX), n_rows = random_below(N_MAX);
	uint32_t least = 0;

	for (size_t i = 0; i < n_items; i++)
		items[i] = (struct item){ uids[random_below(4)],
					  (int64_t)random_below(3) - 1 };
	for (size_t i = 0; i < n_rows; i++) {
		least += random_below(4 - least); /* the journal is sorted */
		rows[i] = (struct row){ JOURNAL_STAGED + random_below(5),
					uids[least],
					(int64_t)random_below(3) - 1 };
	}
}

/* The rule, said the slow way. */
static bool may_delete(const struct item *items, const struct row *rows,
		       size_t at)
{
	const struct row *found = NULL;
	unsigned n_items = 0, n_rows = 0;

	for (size_t i = 0; i < N_MAX && items[i].uid; i++)
		n_items += strcmp(items[i].uid, items[at].uid) == 0;
	for (size_t i = 0; i < N_MAX && rows[i].state; i++) {
		if (strcmp(rows[i].uid, items[at].uid) != 0)
			continue;
		n_rows++;
		found = &rows[i];
	}
	return items[at].uid[0] != '\0' && n_items == 1 && n_rows == 1 &&
	       found->state == JOURNAL_DELIVERED && found->size >= 0 &&
	       found->size == items[at].size;
}

START_TEST(deletes_exactly_what_the_journal_vouches_for)
{
	for (unsigned run = 0; run < 50000; run++) {
		struct item items[N_MAX] = { 0 };
		struct row rows[N_MAX] = { 0 };
		struct plan plan = { 0 };
		struct world world;
		const struct plan_input input = { .listing = &world.listing,
						  .next_row = next_row,
						  .source = &world.known };
		struct error err = { 0 };

		make_random(items, rows);
		world_make(&world, items, rows);
		ck_assert_int_eq(plan_make(&input, &plan, &err), 0);
		for (size_t i = 0; i < plan.n_items; i++)
			ck_assert_msg((plan.items[i].action == PLAN_DELETE) ==
					      may_delete(items, rows, i),
				      "run %u, message %zu", run, i + 1);
		plan_done(&plan);
	}
}
END_TEST

static void check_kept(const struct plan *plan, const struct world *world,
		       size_t at)
{
	const struct plan_item *item = &plan->items[at];
	const struct journal_row *row = &world->rows[item->row_id - 11];

	ck_assert(row->state == JOURNAL_DELIVERED ||
		  row->state == JOURNAL_SEEN);
	ck_assert(row->list_size == item->list_size);
	ck_assert(row->uid.len == item->uid.len && item->uid.len > 0 &&
		  memcmp(row->uid.data, item->uid.data, item->uid.len) == 0);
	for (size_t i = 0; i < at; i++)
		ck_assert(plan->items[i].row_id != item->row_id);
}

START_TEST(keeps_each_row_once_and_deletes_nothing)
{
	for (unsigned run = 0; run < 50000; run++) {
		struct item items[N_MAX] = { 0 };
		struct row rows[N_MAX] = { 0 };
		struct plan plan = { 0 };
		struct world world;
		const struct plan_input input = { .listing = &world.listing,
						  .next_row = next_row,
						  .source = &world.known,
						  .keeps_mail = true };
		struct error err = { 0 };

		make_random(items, rows);
		world_make(&world, items, rows);
		ck_assert_int_eq(plan_make(&input, &plan, &err), 0);
		for (size_t i = 0; i < plan.n_items; i++) {
			ck_assert(plan.items[i].action != PLAN_DELETE);
			if (plan.items[i].action == PLAN_KEEP)
				check_kept(&plan, &world, i);
		}
		plan_done(&plan);
	}
}
END_TEST

static const struct journal_row *row_of(const struct world *world, int64_t id)
{
	return &world->rows[id - 11];
}

/* Whatever else there is: the other policy takes only rows of its own kind. */
START_TEST(nothing_but_a_marked_row_keeps_mail_that_is_to_be_deleted)
{
	for (unsigned run = 0; run < 50000; run++) {
		struct item items[N_MAX] = { 0 };
		struct row rows[N_MAX] = { 0 };
		struct plan plan = { 0 };
		struct world world;
		const struct plan_input input = { .listing = &world.listing,
						  .next_row = next_row,
						  .source = &world.known };
		struct error err = { 0 };

		make_random(items, rows);
		world_make(&world, items, rows);
		ck_assert_int_eq(plan_make(&input, &plan, &err), 0);
		for (size_t i = 0; i < plan.n_items; i++) {
			const struct plan_item *item = &plan.items[i];

			if (item->action != PLAN_KEEP)
				continue;
			ck_assert(row_of(&world, item->row_id)->state ==
				  JOURNAL_SEEN);
			check_kept(&plan, &world, i);
		}
		plan_done(&plan);
	}
}
END_TEST

/*
 * Loose is every row DELIVERED or GONE that no item has, DELETED by its UID,
 * SEEN without it.
 */
static bool is_loose(const struct plan *plan, const struct journal_row *row)
{
	bool is_listed = false, is_taken = false;

	for (size_t i = 0; i < plan->n_items; i++) {
		const struct plan_item *item = &plan->items[i];

		is_taken = is_taken || item->row_id == row->id;
		is_listed = is_listed || (item->uid.len == row->uid.len &&
					  memcmp(item->uid.data, row->uid.data,
						 row->uid.len) == 0);
	}
	if (row->state == JOURNAL_DELETED)
		return is_listed;
	if (row->state == JOURNAL_SEEN)
		return !is_listed;
	return row->state != JOURNAL_STAGED && !is_taken;
}

START_TEST(every_row_that_nobody_took_is_loose)
{
	for (unsigned run = 0; run < 50000; run++) {
		struct item items[N_MAX] = { 0 };
		struct row rows[N_MAX] = { 0 };
		struct plan plan = { 0 };
		struct world world;
		const struct plan_input input = { .listing = &world.listing,
						  .next_row = next_row,
						  .source = &world.known,
						  .keeps_mail = run % 2 };
		struct error err = { 0 };
		size_t n = 0;

		make_random(items, rows);
		world_make(&world, items, rows);
		ck_assert_int_eq(plan_make(&input, &plan, &err), 0);
		for (size_t i = 0; i < world.known.n_rows; i++) {
			if (!is_loose(&plan, &world.rows[i]))
				continue;
			ck_assert_uint_lt(n, plan.n_loose);
			ck_assert_int_eq(plan.loose[n].row_id,
					 world.rows[i].id);
			ck_assert_uint_eq(plan.loose[n].uid.len,
					  world.rows[i].uid.len);
			ck_assert_int_eq(plan.loose[n++].state,
					 world.rows[i].state);
		}
		ck_assert_uint_eq(n, plan.n_loose);
		plan_done(&plan);
	}
}
END_TEST

#define FILES(n) (UINT64_C(4096) * (n))
#define NOW      UINT64_C(1000000)
#define LONG_AGO (NOW - 86400)

static const struct {
	const char *name;
	struct journal_trouble troubles[N_MAX];
	size_t expected[N_MAX];
	size_t n_retrieve;
	size_t n_untroubled;
} trouble_cases[] = {
	{ "none has made trouble", { { 0 } }, { 0, 1, 2, 3 }, 4, 4 },
	{ "the first goes last", { { 1, NOW } }, { 1, 2, 3, 0 }, 4, 3 },
	{ "the one that has made it more often goes behind the other",
	  { { 9, NOW }, { 0 }, { 1, NOW } },
	  { 1, 3, 2, 0 },
	  4,
	  2 },
	{ "two that have made it as often keep their order",
	  { { 2, NOW }, { 0 }, { 2, NOW } },
	  { 1, 3, 0, 2 },
	  4,
	  2 },
	{ "all have",
	  { { 1, NOW }, { 2, NOW }, { 3, NOW }, { 4, NOW } },
	  { 0, 1, 2, 3 },
	  4,
	  0 },
	{ "ten times is too often",
	  { { 0 }, { 10, NOW }, { 0 }, { 2, NOW } },
	  { 0, 2, 3 },
	  3,
	  2 },
	{ "but a day later it is tried again",
	  { { 0 }, { 10, LONG_AGO } },
	  { 0, 2, 3, 1 },
	  4,
	  3 },
	{ "and so it is when the clock was wrong",
	  { { 0 }, { 99, NOW + 1 } },
	  { 0, 2, 3, 1 },
	  4,
	  3 },
};

START_TEST(puts_troubles_last)
{
	_cleanup_(plan_done) struct plan plan = { 0 };
	const struct item items[N_MAX] = {
		{ "A", 1 }, { "B", 1 }, { "C", 1 }, { "D", 1 }
	};
	const struct row rows[N_MAX] = { 0 };
	struct world world;
	const struct plan_input input = { .listing = &world.listing,
					  .next_row = next_row,
					  .source = &world.known };
	struct error err = { 0 };

	world_make(&world, items, rows);
	ck_assert_int_eq(plan_make(&input, &plan, &err), 0);
	ck_assert_int_eq(
		plan_put_last(&plan, trouble_cases[_i].troubles, NOW, &err), 0);
	ck_assert_uint_eq(plan.n_retrieve, trouble_cases[_i].n_retrieve);
	ck_assert_uint_eq(plan.n_untroubled, trouble_cases[_i].n_untroubled);
	ck_assert_uint_eq(plan.n_put_off, 4 - plan.n_retrieve);
	for (size_t i = 0; i < plan.n_retrieve; i++)
		ck_assert_msg(plan.retrieve[i] == trouble_cases[_i].expected[i],
			      "%s: place %zu", trouble_cases[_i].name, i);
}
END_TEST

static const struct {
	const char *name;
	int64_t sizes[N_MAX];
	uint64_t free_bytes;
	size_t expected[N_MAX];
	size_t n_retrieve;
	uint64_t unfit_bytes;
} fit_cases[] = {
	{ "all fit to the last block",
	  { 1, 2, 3, 4 },
	  FILES(4) + 10,
	  { 0, 1, 2, 3 },
	  4,
	  0 },
	{ "one is too large, those behind it are not",
	  { 1, 9999, 3, 4 },
	  FILES(3) + 10,
	  { 0, 2, 3 },
	  3,
	  9999 },
	{ "what went before takes room",
	  { 5, 5, 2, 0 },
	  FILES(3) + 11,
	  { 0, 1, 3 },
	  3,
	  2 },
	{ "an unknown size may try",
	  { -1, 9, -1, 9 },
	  FILES(3) + 10,
	  { 0, 1, 2 },
	  3,
	  9 },
	{ "an empty message takes a file",
	  { 0, 0, 0, 0 },
	  FILES(1),
	  { 0 },
	  1,
	  0 },
	{ "nothing fits", { 1, 2, 3, 4 }, 0, { 0 }, 0, 10 },
};

START_TEST(fits_the_disk)
{
	_cleanup_(plan_done) struct plan plan = { 0 };
	const struct row rows[N_MAX] = { 0 };
	struct item items[N_MAX] = {
		{ "A", 1 }, { "B", 1 }, { "C", 1 }, { "D", 1 }
	};
	struct world world;
	const struct plan_input input = { .listing = &world.listing,
					  .next_row = next_row,
					  .source = &world.known };
	struct error err = { 0 };

	for (size_t i = 0; i < 4; i++)
		items[i].size = fit_cases[_i].sizes[i];
	world_make(&world, items, rows);
	ck_assert_int_eq(plan_make(&input, &plan, &err), 0);
	plan_fit(&plan, fit_cases[_i].free_bytes);
	ck_assert_msg(plan.n_retrieve == fit_cases[_i].n_retrieve &&
			      plan.n_unfit == 4 - plan.n_retrieve &&
			      plan.unfit_bytes == fit_cases[_i].unfit_bytes,
		      "%s: %zu fit", fit_cases[_i].name, plan.n_retrieve);
	ck_assert_uint_eq(plan.n_untroubled, plan.n_retrieve);
	for (size_t i = 0; i < plan.n_retrieve; i++)
		ck_assert_msg(plan.retrieve[i] == fit_cases[_i].expected[i],
			      "%s: place %zu", fit_cases[_i].name, i);
}
END_TEST

START_TEST(an_empty_plan_has_no_last)
{
	_cleanup_(plan_done) struct plan plan = { 0 };
	struct listing listing = { 0 };
	const struct plan_input input = { .listing = &listing };
	struct error err = { 0 };
	const struct journal_trouble none = { 0 };

	ck_assert_int_eq(plan_make(&input, &plan, &err), 0);
	ck_assert_uint_eq(plan.n_items, 0);
	ck_assert_int_eq(plan_put_last(&plan, &none, NOW, &err), 0);
}
END_TEST

static int fail_to_read(void *source, struct journal_row *ret,
			struct error *err)
{
	unsigned *n_left = source;

	if (*n_left == 0)
		return error_set(err, ERROR_LOCAL, "cannot read");
	*ret = (struct journal_row){
		.id = 11,
		.uid = as_bytes("A"),
		.state = JOURNAL_DELIVERED,
		.list_size = 1,
	};
	(*n_left)--;
	return 1;
}

START_TEST(a_journal_that_cannot_be_read_makes_no_plan)
{
	struct plan_item items[] = { { .number = 1, .uid = as_bytes("A") } };
	struct listing listing = { .items = items, .n_items = 1 };
	unsigned n_left = (unsigned)_i;
	const struct plan_input input = { .listing = &listing,
					  .next_row = fail_to_read,
					  .source = &n_left };
	struct plan plan = { .n_items = 99 };
	struct error err = { 0 };

	ck_assert_int_eq(plan_make(&input, &plan, &err), -1);
	ck_assert_str_eq(err.text, "cannot read");
	ck_assert_uint_eq(plan.n_items, 99);
}
END_TEST

/* Two rows of one UID, apart: each alone would vouch for its DELETE. */
START_TEST(rows_out_of_order_make_no_plan)
{
	const struct item items[N_MAX] = { { "A", 1 } };
	const struct row rows[N_MAX] = { { JOURNAL_DELIVERED, "A", 1 },
					 { JOURNAL_DELIVERED, "B", 1 },
					 { JOURNAL_DELIVERED, "A", 1 } };
	struct world world;
	const struct plan_input input = { .listing = &world.listing,
					  .next_row = next_row,
					  .source = &world.known };
	struct plan plan = { 0 };
	struct error err = { 0 };

	world_make(&world, items, rows);
	ck_assert_int_eq(plan_make(&input, &plan, &err), -1);
	ck_assert_int_eq(err.kind, ERROR_LOCAL);
}
END_TEST

#define N_LARGE 100000

/* UIDs run against the numbers; every other one is known. */
START_TEST(a_hundred_thousand_messages_are_planned)
{
	_cleanup_(plan_done) struct plan plan = { 0 };
	struct listing listing = { .has_uids = true, .is_complete = true };
	struct known known = { 0 };
	struct journal_row *rows = calloc(N_LARGE, sizeof(*rows));
	const struct plan_input input = { .listing = &listing,
					  .next_row = next_row,
					  .source = &known };
	char(*text)[8] = calloc(N_LARGE, sizeof(*text));
	struct error err = { 0 };

	listing.items = calloc(N_LARGE, sizeof(*listing.items));
	known.rows = rows;
	for (unsigned i = 0; i < N_LARGE; i++) {
		(void)snprintf(text[i], sizeof(text[i]), "%06u", i);
		listing.items[N_LARGE - 1 - i] = (struct plan_item){
			.number = N_LARGE - i,
			.list_size = i,
			.uid = { text[i], 6 },
		};
		if (i % 2 == 0)
			rows[known.n_rows++] = (struct journal_row){
				.id = i + 1,
				.uid = { text[i], 6 },
				.state = JOURNAL_DELIVERED,
				.list_size = i,
			};
	}
	listing.n_items = N_LARGE;

	ck_assert_int_eq(plan_make(&input, &plan, &err), 0);
	ck_assert_uint_eq(plan.n_retrieve, N_LARGE / 2);
	for (unsigned i = 0; i < N_LARGE; i += 2)
		ck_assert_int_eq(plan.items[N_LARGE - 1 - i].row_id, i + 1);
	free(listing.items);
	free(rows);
	free(text);
}
END_TEST

/* Quadratic work here would not end within Check's time. */
START_TEST(a_hundred_thousand_copies_of_one_uid_are_compared)
{
	_cleanup_(plan_done) struct plan plan = { 0 };
	struct listing listing = { .has_uids = true, .is_complete = true };
	struct known known = { 0 };
	struct journal_row *rows = calloc(N_LARGE, sizeof(*rows));
	const struct plan_input input = { .listing = &listing,
					  .next_row = next_row,
					  .source = &known,
					  .keeps_mail = true };
	struct error err = { 0 };

	listing.items = calloc(N_LARGE, sizeof(*listing.items));
	known.rows = rows;
	listing.n_items = known.n_rows = N_LARGE;
	for (unsigned i = 0; i < N_LARGE; i++) {
		listing.items[i] = (struct plan_item){ .number = i + 1,
						       .uid = { "A", 1 } };
		rows[i] = (struct journal_row){
			.id = i + 1,
			.uid = { "A", 1 },
			.list_size = 1,
			.state = JOURNAL_DELIVERED,
		};
	}

	ck_assert_int_eq(plan_make(&input, &plan, &err), 0);
	ck_assert_uint_eq(plan.n_retrieve, N_LARGE);
	for (size_t i = 0; i < N_LARGE; i++)
		ck_assert(plan.items[i].action == PLAN_FETCH);
	free(listing.items);
	free(rows);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("plan");
	TCase *tcase = tcase_create("plan");
	SRunner *runner;
	int n_failed;

	tcase_add_loop_test(tcase, decides, 0, (int)ARRAY_SIZE(plan_cases));
	tcase_add_test(tcase, deletes_exactly_what_the_journal_vouches_for);
	tcase_add_test(tcase, keeps_each_row_once_and_deletes_nothing);
	tcase_add_test(
		tcase,
		nothing_but_a_marked_row_keeps_mail_that_is_to_be_deleted);
	tcase_add_test(tcase, every_row_that_nobody_took_is_loose);
	tcase_add_loop_test(tcase, fits_the_disk, 0,
			    (int)ARRAY_SIZE(fit_cases));
	tcase_add_loop_test(tcase, puts_troubles_last, 0,
			    (int)ARRAY_SIZE(trouble_cases));
	tcase_add_test(tcase, an_empty_plan_has_no_last);
	tcase_add_loop_test(tcase, a_journal_that_cannot_be_read_makes_no_plan,
			    0, 3);
	tcase_add_test(tcase, rows_out_of_order_make_no_plan);
	tcase_add_test(tcase, a_hundred_thousand_messages_are_planned);
	tcase_add_test(tcase,
		       a_hundred_thousand_copies_of_one_uid_are_compared);
	suite_add_tcase(suite, tcase);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
