/*
 * history.c - one history: visits, disasters between and in them, and an end
 * in peace.
 */
#include "history.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "calls.h"
#include "disk.h"
#include "journal.h"
#include "maildir.h"
#include "mailstore.h"
#include "promises.h"
#include "server.h"
#include "session.h"
#include "world.h"

#define STORMY_VISITS_MAX 4
#define CALM_VISITS       2

struct history {
	unsigned gaps;
	struct account account;
	bool had_power_cut;
	bool has_faults; /* in this visit */
	bool is_over;    /* a gap was met: what follows proves nothing */
	bool is_settled; /* the last visit recorded all: nothing to recover */
};

/* ---- who takes part ---- */

static void draw_nature(void)
{
	struct nature *nature = &server.nature;

	server_draw_abilities();
	nature->has_uidl = dice_percent(80);
	nature->has_unique_uids = dice_percent(75);
	nature->has_wrong_sizes = dice_percent(15);
	nature->has_equal_sizes = dice_percent(20);
	nature->has_copies = dice_percent(10);
	nature->shuffles = dice_percent(15);
	if (dice_percent(15))
		nature->dele_when = dice_percent(50) ? DELE_AT_ONCE
						     : DELE_AT_END;
}

static void draw_account(struct account *account)
{
	static char host[] = "pop.example", username[] = "mrose";
	static char maildir[] = MAILSTORE_PATH;
	static char state_dir[] = MAILSTORE_STATE;

	*account = (struct account){
		.host = host,
		.port = 110,
		.tls = TLS_NONE,
		.username = username,
		.auth = dice_percent(70) ? AUTH_AUTO : AUTH_USER,
		.maildir = maildir,
		.state_dir = state_dir,
		.keep = dice_percent(20) ? KEEP_FOREVER : KEEP_DELETE,
		.connect_timeout_usec = USEC_PER_MINUTE,
		.reply_timeout_usec = USEC_PER_MINUTE,
		.login_timeout_usec = USEC_PER_MINUTE,
		.visit_timeout_usec = USEC_PER_HOUR,
		.stop_timeout_usec = 20 * USEC_PER_SEC,
		.batch_messages = dice_between(1, 5),
		.batch_bytes = dice_percent(80) ? 1 << 20 : 200,
		.batch_time_usec = USEC_PER_SEC,
		.batch_pause_usec = 200 * USEC_PER_MSEC,
	};
}

static void begin(struct history *h)
{
	bool has_maildir = dice_percent(85);

	draw_nature();
	draw_account(&h->account);
	h->account.create = !has_maildir;
	if (!server.nature.has_uidl)
		h->account.keep = KEEP_DELETE; /* the other is refused */
	calls_set_plain_rename(dice_percent(10));
	mailstore_make(has_maildir);
	trace("the account %s, batches of %u",
	      h->account.keep == KEEP_FOREVER ? "keeps" : "deletes",
	      h->account.batch_messages);
}

/* ---- one visit ---- */

static int open_store(const struct account *account, struct journal **journal,
		      struct maildir *maildir, struct error *err)
{
	const struct journal_identity identity = {
		.host = account->host,
		.port = account->port,
		.username = account->username,
	};
	struct maildir_options options = {
		.path = account->maildir,
		.create = account->create,
	};

	if (journal_open(account->state_dir, &identity, journal, err) < 0)
		return -1;
	options.tag = journal_tag(*journal);
	if (maildir_open(maildir, &options, err) < 0)
		return -1;
	maildir->flush.together_min = world.pid % 2 == 0 ? 1 : 0;
	return 0;
}

/* As worker.c does it. */
static int make_visit(const struct account *account, bool is_again,
		      struct report *report, struct error *err)
{
	_cleanup_journal_ struct journal *journal = NULL;
	_cleanup_(maildir_done) struct maildir maildir = {
		.dir_fd = -1, .tmp_fd = -1, .new_fd = -1, .cur_fd = -1
	};
	char password[] = "tanstaaf";
	struct secret secret = { .text = password, .len = 8 };
	struct uplink uplink = { .fd = -1,
				 .last_progress_usec = UINT64_MAX / 2 };
	struct notes notes = { 0 };

	if (open_store(account, &journal, &maildir, err) < 0)
		return -1;

	const struct session_job job = {
		.account = account,
		.secret = &secret,
		.maildir = &maildir,
		.journal = journal,
		.uplink = &uplink,
		.notes = &notes,
		.stop_fd = -1,
		.is_again = is_again,
	};
	return session_run(&job, report, err);
}

/* A journal that was never finished has an empty lock file beside it. */
static void note_stuck(struct history *h, const struct error *err)
{
	const struct disk_node *lock =
		disk_find(disk_root(), MAILSTORE_STATE "/lock");

	h->is_over = !(h->gaps & GAP_NEW_JOURNAL) && lock && lock->now.len == 0;
	if (!h->is_over)
		violation("the account is stuck: %s", err->text);
}

/*
 * A visit that failed has yet recovered and recorded all, unless it did not get
 * as far, or the disk failed; the error that is told may hide that one.
 */
static bool has_recorded(const struct error *err)
{
	return err->kind != ERROR_LOCAL && err->kind != ERROR_CONFIG &&
	       !world.has_failed;
}

/* Returns 0 when it did what it came for, 1 when it asks for another one. */
static int visit_once(struct history *h, bool is_again)
{
	struct report report = { 0 };
	struct error err = { 0 };
	int r;

	server.is_to_keep = h->account.keep == KEEP_FOREVER;
	world.has_failed = false;
	r = make_visit(&h->account, is_again, &report, &err);
	if (r < 0 && !world.is_dead)
		trace("  the visit fails: %s", err.text);
	if (calls_count_open() > 0)
		violation("%u descriptors are left open", calls_count_open());
	calls_close_all();
	h->is_settled = !world.is_dead && (r == 0 || has_recorded(&err));
	if (r < 0 && err.kind == ERROR_CONFIG && !world.is_dead)
		note_stuck(h, &err);
	if (r == 0 && !world.is_dead && !h->has_faults)
		server_note_departures(server.mood.cut_in_after == UINT64_MAX &&
				       server.mood.cut_out_after == UINT64_MAX);
	return r < 0 && report.again && !world.is_dead ? 1 : r;
}

/* True when it did what it came for. As the supervisor does it: again once. */
static bool visit(struct history *h)
{
	int r = visit_once(h, false);

	if (r > 0) {
		trace("another visit at once");
		world.pid++;
		r = visit_once(h, true);
	}
	return r == 0;
}

/* ---- what goes wrong ---- */

static uint64_t some_step(void)
{
	return world.n_steps + 1 + dice_below(1U << dice_between(2, 9));
}

/*
 * A name that exists is a fault for histories without a power cut: after one a
 * stale name in tmp/ may bring back, under its own name, what a reader removed
 * (recover.c throws nothing away that a row names), and under another name that
 * would count as a second delivery.
 */
static void draw_fault(const struct history *h, struct fault *fault)
{
	static const struct fault name_exists = { .act = ACT_MOVE,
						  .errnum = EEXIST };

	static const struct fault kinds[] = {
		{ .act = ACT_LOOK, .errnum = EIO },
		{ .act = ACT_LOOK, .errnum = EMFILE },
		{ .act = ACT_MAKE, .errnum = ENOSPC },
		{ .act = ACT_WRITE, .errnum = EIO },
		{ .act = ACT_WRITE, .errnum = ENOSPC },
		{ .act = ACT_WRITE, .errnum = ENOSPC, .lasts = true },
		{ .act = ACT_WRITE, .errnum = EDQUOT },
		{ .act = ACT_SYNC, .errnum = EIO },
		{ .act = ACT_SYNC, .errnum = EIO },
		{ .act = ACT_MOVE, .errnum = EIO },
		{ .act = ACT_REMOVE, .errnum = EIO },
		{ .act = ACT_CLOSE, .errnum = EDQUOT },
		{ .act = ACT_LINE, .errnum = ECONNRESET },
	};

	*fault = kinds[dice_below(ARRAY_SIZE(kinds))];
	if (!h->had_power_cut && dice_once_in(10))
		*fault = name_exists;
	fault->at_step = some_step();
}

static void draw_mood(struct mood *mood)
{
	*mood = (struct mood){ .cut_in_after = UINT64_MAX,
			       .cut_out_after = UINT64_MAX };
	if (dice_percent(40))
		mood->quit = (enum quit_mood)dice_below(QUIT_MOODS);
	mood->is_in_use = dice_percent(3);
	mood->is_refusing_uidl = server.nature.has_capa &&
				 !server.nature.hangs_up_on_capa &&
				 dice_percent(3);
	mood->lists_nothing = dice_percent(5);
	mood->lists_less = dice_percent(5);
	mood->refuses_percent = dice_percent(15) ? dice_below(60) : 0;
	mood->is_ill = dice_percent(30);
	mood->is_choppy = dice_percent(20);
	if (dice_percent(5))
		world.stops_at_step = some_step();
	if (dice_percent(15))
		mood->cut_in_after = dice_below(1U << dice_between(3, 12));
	if (dice_percent(15))
		mood->cut_out_after = dice_below(1U << dice_between(3, 9));
}

static enum disaster draw_disaster(struct history *h)
{
	enum disaster disaster = DISASTER_NONE;

	world.dies_at_step = 0;
	world.stops_at_step = 0;
	if (dice_percent(70))
		disaster = dice_percent(50) ? DISASTER_KILL
					    : DISASTER_POWER_CUT;
	if (disaster != DISASTER_NONE)
		world.dies_at_step = some_step();
	h->has_faults = false;
	for (unsigned i = 0; i < FAULTS_MAX; i++) {
		world.faults[i].at_step = 0;
		if (!dice_percent(15))
			continue;
		draw_fault(h, &world.faults[i]);
		h->has_faults = true;
	}
	world.has_readers = dice_percent(15);
	world.free_bytes = dice_percent(5) ? (1 << 18) + dice_below(20000)
					   : UINT32_MAX;
	return disaster;
}

static void cut_power(struct history *h)
{
	if (server_has_doubtful_uid() && !(h->gaps & GAP_REUSE))
		return;
	h->had_power_cut = true;
	disk_power_cut();
	server_forget_departures();
}

static void stormy_visit(struct history *h)
{
	enum disaster disaster = draw_disaster(h);

	draw_mood(&server.mood);
	world.pid++;
	trace("a visit");
	(void)visit(h);
	world.is_dead = false;
	world.has_readers = false;
	if (disaster == DISASTER_POWER_CUT)
		cut_power(h);
	promises_check();
}

/* ---- between visits ---- */

static void others_take_mail(void)
{
	for (unsigned i = 0; i < server.n_letters; i++) {
		struct letter *letter = &server.letters[i];

		if (letter->leave != LEAVE_NOT || !dice_percent(30))
			continue;
		trace("server: message %u is deleted by the user",
		      letter->content->id);
		letter->leave = LEAVE_TAKEN;
	}
}

static void time_passes(void)
{
	static const uint64_t some[] = { USEC_PER_SEC, USEC_PER_MINUTE,
					 USEC_PER_HOUR, USEC_PER_DAY,
					 40 * USEC_PER_DAY };

	world_wait(some[dice_below(ARRAY_SIZE(some))]);
	if (dice_once_in(20)) {
		trace("the clock is set back");
		world.realtime_usec -= dice_below(100) * USEC_PER_DAY;
	}
}

static void edit_account(struct account *account)
{
	account->keep = account->keep == KEEP_DELETE ? KEEP_FOREVER
						     : KEEP_DELETE;
	trace("the account now %s",
	      account->keep == KEEP_FOREVER ? "keeps" : "deletes");
}

static void meanwhile(struct history *h)
{
	for (unsigned n = dice_below(4); n > 0; n--)
		(void)server_receive();
	if (dice_percent(40))
		mailstore_read(h->is_settled || dice_percent(25),
			       !h->is_settled);
	if (dice_percent(5))
		mailstore_clean_tmp();
	if (dice_percent(5))
		others_take_mail();
	if (server.nature.has_uidl && dice_percent(5) &&
	    (!server.nature.has_lied || (h->gaps & GAP_LIES_AND_RENUMBERS)))
		server_give_new_uids();
	if (server.nature.has_uidl && dice_percent(3))
		edit_account(&h->account);
	if (dice_percent(10))
		server_draw_abilities();
	time_passes();
}

/* ---- the end ---- */

static void calm_down(struct history *h)
{
	world.is_calm = true;
	world.dies_at_step = 0;
	world.stops_at_step = 0;
	memset(world.faults, 0, sizeof(world.faults));
	world.free_bytes = UINT32_MAX;
	h->has_faults = false;
	server.mood = (struct mood){ .cut_in_after = UINT64_MAX,
				     .cut_out_after = UINT64_MAX };
}

static void end_in_peace(struct history *h)
{
	calm_down(h);
	for (unsigned i = 0;
	     i < CALM_VISITS && !world.has_violation && !h->is_over; i++) {
		trace("a visit in peace");
		world.pid++;
		time_passes();
		if (!visit(h) && !h->is_over)
			violation("a visit fails that nothing disturbs");
		promises_check();
	}
	if (!h->is_over)
		promises_check_end(h->account.keep == KEEP_FOREVER);
}

void history_run(uint64_t seed, unsigned gaps, bool is_traced)
{
	struct history h = { .gaps = gaps, .is_settled = true };

	world_begin(seed, is_traced);
	sqlite3_randomness(0, NULL); /* asks the world's dice anew */
	disk_begin();
	server_begin();
	promises_begin();
	begin(&h);
	for (unsigned n = dice_between(1, STORMY_VISITS_MAX);
	     n > 0 && !world.has_violation && !h.is_over; n--) {
		meanwhile(&h);
		stormy_visit(&h);
	}
	if (!world.has_violation)
		end_in_peace(&h);
	server_end();
	disk_end();
}
