/*
 * session.c - one visit, told in order.
 *
 * The life of a message on this way (what is durable where, and what a crash
 * there leaves to the next visit):
 *
 *   state         server  tmp/     new/     journal    a crash here
 *   M0 untouched  +       -        -        -          nothing happened
 *   M1 arriving   +       +        -        -          the stray is removed
 *   M2 staged     +       fsynced  -        STAGED     recovery renames it
 *   M3 delivered  +       -        fsynced  STAGED     recovery finds it
 *   M4 recorded   +       -        +        DELIVERED  DELE without RETR
 *   M5 marked     marked  -        +        DELIVERED  DELE again if listed
 *   M6 deleted    -       -        +        DELETED    the row goes in time
 *
 * DELETED is what "+OK" to QUIT says. It proves nothing: a message that is
 * listed again is compared by its contents, as is one GONE, absent from a
 * complete UIDL without our doing. A lost reply disproves nothing: then a
 * message that is listed again with its size needs no second RETR.
 */
#include "session.h"

#include "capa_memory.h"
#include "delivery.h"
#include "dial.h"
#include "fetch.h"
#include "known.h"
#include "listing.h"
#include "login.h"
#include "plan.h"
#include "pop3.h"
#include "recover.h"
#include "text.h"

/* Beside the mail, the journal grows too. */
#define FREE_KEPT_BYTES (UINT64_C(256) << 10)
#define SIZE_TEXT_MAX   16

struct session {
	const struct session_job *job;
	struct report *report;
	struct pop3 *pop3;
	struct delivery *delivery;
	struct capa_memory memory; /* as earlier visits left it */
	struct listing listing; /* the plan borrows from it */
	bool has_listed;
	struct plan plan;
	struct known *known;
	uint64_t deadline_usec; /* CLOCK_MONOTONIC */
};

static void session_done(struct session *s)
{
	delivery_free(&s->delivery);
	known_free(&s->known);
	plan_done(&s->plan);
	listing_done(&s->listing);
	pop3_free(&s->pop3);
}

static int recover(struct session *s, struct error *err)
{
	struct recovered recovered;

	s->report->step = STEP_RECOVER;
	if (recover_run(s->job->maildir, s->job->journal, &recovered, err) < 0)
		return -1;

	if (recovered.finished > 0)
		notes_add(s->job->notes, LOG_NOTICE,
			  "an earlier visit was cut short; messages of it that "
			  "are delivered now: %u",
			  recovered.finished);
	if (recovered.forgotten > 0)
		notes_add(s->job->notes, LOG_WARNING,
			  "an earlier visit was cut short; messages of it that "
			  "left the Maildir and are fetched again: %u",
			  recovered.forgotten);
	if (recovered.strays > 0)
		notes_add(s->job->notes, LOG_INFO,
			  "incomplete files of an earlier visit removed: %u",
			  recovered.strays);
	return 0;
}

static int connect_to_server(struct session *s, struct error *err)
{
	const struct account *account = s->job->account;
	const struct dial_target target = {
		.host = account->host,
		.port = account->port,
		.timeout_usec = account->connect_timeout_usec,
		.stop_fd = s->job->stop_fd,
	};
	const struct stream_options options = {
		.stop_fd = s->job->stop_fd,
		.stop_timeout_usec = account->stop_timeout_usec,
		.min_rate_bytes = account->min_rate_bytes,
	};
	const struct pop3_timeouts timeouts = {
		.reply_usec = account->reply_timeout_usec,
		.login_usec = account->login_timeout_usec,
	};
	_cleanup_stream_ struct stream *stream = NULL;
	int fd;

	s->report->step = STEP_CONNECT;
	if (dial_connect(&target, &fd, err) < 0 ||
	    stream_new(fd, &options, &stream, err) < 0 ||
	    sandbox_enter(&s->job->scope, SANDBOX_SESSION, err) < 0)
		return -1;

	if (account->tls == TLS_IMPLICIT) {
		s->report->step = STEP_TLS;
		stream_set_timeout(stream, account->connect_timeout_usec);
		if (stream_start_tls(stream, s->job->trust, account->host,
				     err) < 0)
			return -1;
	}
	return pop3_new(TAKE_PTR(stream), &timeouts, &s->pop3, err);
}

static int greet(struct session *s, struct error *err)
{
	s->report->step = STEP_GREETING;
	return pop3_read_greeting(s->pop3, err);
}

static bool has_broken_off(const struct capa_memory *memory)
{
	return memory->state == CAPA_BROKE_OFF ||
	       memory->state == CAPA_BROKE_OFF_TWICE;
}

/*
 * Some servers hang up on CAPA. One more visit at once does without it, unless
 * it takes CAPA to know whether STLS is there.
 */
static bool leaves_out_capa(const struct session *s)
{
	return s->job->is_again && has_broken_off(&s->memory);
}

/* What the server can do: as remembered, or asked. */
static int learn_capa(struct session *s, struct error *err)
{
	if (capa_memory_is_usable(&s->memory) || leaves_out_capa(s)) {
		pop3_assume_capa(s->pop3, &s->memory.capa);
		return 0;
	}
	s->report->step = STEP_CAPA;
	return pop3_ask_capa(s->pop3, err);
}

/*
 * Required, never tried: without TLS no credential leaves. What is remembered
 * was said inside TLS, and so says nothing of STLS but that it was there.
 */
static int secure(struct session *s, struct error *err)
{
	const struct account *account = s->job->account;
	const struct pop3_capa *capa = pop3_capa(s->pop3);

	if (account->tls != TLS_STARTTLS)
		return 0;

	s->report->step = STEP_STARTTLS;
	if (capa->known && !capa->is_assumed && !capa->stls)
		return error_set(
			err, ERROR_PROTOCOL,
			"server does not offer STLS; nothing was sent");
	if (pop3_start_tls(s->pop3, s->job->trust, account->host, err) < 0)
		return -1;
	return learn_capa(s, err);
}

static struct login login_of(const struct session *s)
{
	return (struct login){
		.account = s->job->account,
		.secret = s->job->secret,
		.journal = s->job->journal,
		.is_asked_for = s->job->is_asked_for,
	};
}

static int log_in(struct session *s, struct error *err)
{
	struct login login = login_of(s);
	int r;

	s->report->step = STEP_LOGIN;
	r = login_run(&login, s->pop3, &s->report->retry_sec, err);
	/* All that the server says from here on is parsed without it. */
	pop3_forget_secret(s->pop3);
	secret_wipe(s->job->secret);
	return r;
}

/* An end to the account's visits is not to rest on what was remembered. */
static int check_without_uidl(struct session *s, struct error *err)
{
	const struct pop3_capa *capa = pop3_capa(s->pop3);
	struct error lost = { 0 };

	if (capa->is_assumed && pop3_ask_capa(s->pop3, &lost) < 0 &&
	    capa->known) {
		*err = lost;
		return -1;
	}
	if (capa->uidl)
		return error_set(err, ERROR_PROTOCOL,
				 "server refused UIDL, which CAPA names");
	return error_set(err, ERROR_CONFIG,
			 "server has no UIDL, so that what is new cannot "
			 "be told: keep = \"forever\" is not possible");
}

/* Once a server had UIDs, a listing without them is no base to work on. */
static int check_uids(struct session *s, struct error *err)
{
	bool had_uids;

	if (s->listing.has_uids)
		return 0;
	if (journal_has_uids(s->job->journal, &had_uids, err) < 0)
		return -1;
	if (had_uids && s->job->purpose != PURPOSE_REFETCH)
		return error_set(err, ERROR_PROTOCOL,
				 "server refused UIDL, which it had before");
	if (s->job->account->keep == KEEP_FOREVER)
		return check_without_uidl(s, err);
	return 0;
}

/* What has made trouble goes last, so that the others get through. */
static int put_troubles_last(struct session *s, struct error *err)
{
	uint64_t now_sec = now_usec(CLOCK_REALTIME) / USEC_PER_SEC;
	struct plan *plan = &s->plan;
	struct journal_trouble *troubles;
	bool has_any;
	int r = 0;

	if (journal_has_troubles(s->job->journal, &has_any, err) < 0)
		return -1;
	if (!has_any)
		return 0;
	troubles = calloc(plan->n_retrieve + 1, sizeof(*troubles));
	if (!troubles)
		return error_set_memory(err);
	for (size_t i = 0; i < plan->n_retrieve && r == 0; i++) {
		const struct plan_item *item = &plan->items[plan->retrieve[i]];

		r = journal_get_trouble(s->job->journal, item->uid,
					item->list_size, &troubles[i], err);
	}
	if (r == 0)
		r = plan_put_last(plan, troubles, now_sec, err);
	free(troubles);
	return r;
}

/* A disk that is full stays quiet: what does not fit is not asked for. */
static void leave_out_unfit(struct session *s)
{
	uint64_t free_bytes = maildir_free_bytes(s->job->maildir);

	plan_fit(&s->plan,
		 free_bytes - MIN(free_bytes, (uint64_t)FREE_KEPT_BYTES));
}

/* A digest is read only where there is something to compare it with. */
static int add_known(struct session *s, const struct plan_loose *loose,
		     struct error *err)
{
	struct known_row row = {
		.id = loose->row_id,
		.uid = loose->uid,
		.has_own_uid_only = loose->state == JOURNAL_DELETED,
		.is_absent = loose->is_absent,
	};

	if (s->plan.n_retrieve > 0 &&
	    journal_get_digest(s->job->journal, row.id, row.digest, err) < 0)
		return -1;
	return known_add(s->known, &row, err);
}

/* What the fetched messages are compared with, and what may be gone. */
static int load_known(struct session *s, struct error *err)
{
	if (known_new(&s->known, err) < 0)
		return -1;
	for (size_t i = 0; i < s->plan.n_loose; i++) {
		const struct plan_loose *loose = &s->plan.loose[i];

		if ((s->plan.n_retrieve > 0 || loose->is_absent) &&
		    add_known(s, loose, err) < 0)
			return -1;
	}
	delivery_compare_with(s->delivery, s->known);
	return 0;
}

/* What the plan settles at once. */
static void note_plan(struct session *s)
{
	for (size_t i = 0; i < s->plan.n_items; i++)
		s->report->kept += s->plan.items[i].action == PLAN_KEEP;
	if (s->plan.n_put_off > 0)
		notes_add(s->job->notes, LOG_INFO,
			  "messages left for another day, since they failed "
			  "in %u visits: %zu",
			  PLAN_TROUBLES_MAX, s->plan.n_put_off);
	if (s->listing.is_complete)
		delivery_note_listing(s->delivery);
	else
		notes_add(s->job->notes, LOG_WARNING,
			  "the server's listing is incomplete or malformed: "
			  "what it leaves out is left alone");
}

static int next_row(void *source, struct journal_row *ret, struct error *err)
{
	return journal_walk(source, ret, err);
}

/* Reads the journal row by row: all of them are more than the plan needs. */
static int make_plan(struct session *s, bool keeps_mail, struct error *err)
{
	bool knows_any = s->job->purpose != PURPOSE_REFETCH;
	const struct plan_input input = {
		.listing = &s->listing,
		.next_row = knows_any ? next_row : NULL,
		.source = s->job->journal,
		.keeps_mail = keeps_mail,
	};

	journal_begin_walk(s->job->journal);
	return plan_make(&input, &s->plan, err);
}

/* Durable before the first RETR: what a crash leaves is fetched all the same. */
static int forget_known(struct session *s, struct error *err)
{
	struct journal *journal = s->job->journal;
	uint32_t n;

	if (s->job->purpose != PURPOSE_REFETCH)
		return 0;
	if (journal_begin(journal, err) < 0)
		return -1;
	if (journal_forget_all(journal, &n, err) < 0) {
		journal_rollback(journal);
		return -1;
	}
	if (journal_commit(journal, err) < 0)
		return -1;
	notes_add(s->job->notes, LOG_NOTICE,
		  "known messages forgotten: %u; all that is on the server is "
		  "fetched",
		  n);
	return 0;
}

static int read_listing(struct session *s, struct error *err)
{
	if (listing_read(s->pop3, &s->listing, err) < 0)
		return -1;
	s->has_listed = true;
	return 0;
}

static int list_and_plan(struct session *s, struct error *err)
{
	bool keeps_mail = s->job->account->keep == KEEP_FOREVER;

	s->report->step = STEP_LIST;
	if (read_listing(s, err) < 0 || check_uids(s, err) < 0 ||
	    forget_known(s, err) < 0 || make_plan(s, keeps_mail, err) < 0 ||
	    put_troubles_last(s, err) < 0 || load_known(s, err) < 0)
		return -1;
	leave_out_unfit(s);
	note_plan(s);
	return 0;
}

/* Whatever the plan would fetch. What has no UID cannot be told again. */
static int mark_planned(struct session *s, struct error *err)
{
	const struct plan *plan = &s->plan;

	for (size_t i = 0; i < plan->n_retrieve; i++) {
		const struct plan_item *item = &plan->items[plan->retrieve[i]];

		if (item->uid.len == 0)
			continue;
		if (journal_mark_seen(s->job->journal, item->uid,
				      item->list_size, err) < 0)
			return -1;
		s->report->marked++;
	}
	s->report->kept = (uint32_t)(plan->n_items - plan->n_retrieve);
	return journal_end_marking(s->job->journal, err);
}

static int commit_marks(struct session *s, struct error *err)
{
	if (journal_begin(s->job->journal, err) < 0)
		return -1;
	if (mark_planned(s, err) < 0) {
		journal_rollback(s->job->journal);
		return -1;
	}
	return journal_commit(s->job->journal, err);
}

/* In place of a plan and its fetch: all that is listed becomes known. */
static int mark_seen(struct session *s, struct error *err)
{
	s->report->step = STEP_LIST;
	if (read_listing(s, err) < 0)
		return -1;
	if (!s->listing.has_uids)
		return error_set(
			err, ERROR_CONFIG,
			"server has no UIDL, so that what is marked cannot be "
			"told from what comes later: --mark-seen is not "
			"possible, --refetch is");
	if (!s->listing.is_complete)
		notes_add(s->job->notes, LOG_WARNING,
			  "the server's listing is incomplete or malformed: "
			  "what it leaves out is not marked");
	if (make_plan(s, true, err) < 0)
		return -1;
	return commit_marks(s, err);
}

static int fetch(struct session *s, struct error *err)
{
	const struct fetch_job job = {
		.account = s->job->account,
		.plan = &s->plan,
		.pop3 = s->pop3,
		.delivery = s->delivery,
		.uplink = s->job->uplink,
		.notes = s->job->notes,
		.deadline_usec = s->deadline_usec,
	};

	return fetch_run(&job, s->report, err);
}

static void note_renamed(struct session *s)
{
	unsigned n_renamed = known_count_renamed(s->known);

	if (n_renamed > 0)
		notes_add(s->job->notes, LOG_WARNING,
			  "the server gave new UIDs to messages that it had "
			  "before; known by their contents: %u",
			  n_renamed);
}

/* What fits has been fetched. */
static int check_room(struct session *s, struct error *err)
{
	char unfit[SIZE_TEXT_MAX], room[SIZE_TEXT_MAX];

	if (s->plan.n_unfit == 0)
		return 0;
	s->report->step = STEP_DELIVER;
	return error_set(
		err, ERROR_LOCAL,
		"no room in %s (%s free) for %zu messages of %s, which stay "
		"on the server",
		s->job->maildir->path,
		text_format_size(room, sizeof(room),
				 maildir_free_bytes(s->job->maildir)),
		s->plan.n_unfit,
		text_format_size(unfit, sizeof(unfit), s->plan.unfit_bytes));
}

static int visit(struct session *s, struct error *err)
{
	if (greet(s, err) < 0 || learn_capa(s, err) < 0 || secure(s, err) < 0 ||
	    log_in(s, err) < 0)
		return -1;
	if (s->job->purpose == PURPOSE_MARK_SEEN)
		return mark_seen(s, err);
	if (list_and_plan(s, err) < 0 || fetch(s, err) < 0)
		return -1;
	note_renamed(s);
	return check_room(s, err);
}

/*
 * After a failure. QUIT when the server would take it for a command, else an
 * end that it sees at once. What it answers changes nothing any more.
 */
static void leave(struct session *s)
{
	struct stream *stream = pop3_stream(s->pop3);
	struct error ignored = { 0 };

	stream_set_deadline(stream, s->job->account->stop_timeout_usec);
	if (pop3_is_in_step(s->pop3) && pop3_quit(s->pop3, &ignored) >= 0)
		return;
	stream_shutdown(stream);
}

/* What is not recorded is deleted without a RETR when it is listed again. */
static void record_deleted(struct session *s)
{
	struct error err = { 0 };

	if (delivery_record_deleted(s->delivery, &err) < 0)
		notes_add(s->job->notes, LOG_WARNING, "%s", err.text);
}

/* A reply that is lost or bad costs nothing: the next UIDL tells. */
static void quit(struct session *s)
{
	struct error err = { 0 };

	stream_set_deadline(pop3_stream(s->pop3),
			    s->job->account->stop_timeout_usec);
	if (pop3_quit(s->pop3, &err) == 0) {
		record_deleted(s);
		return;
	}
	notes_add(s->job->notes,
		  s->report->deleted > 0 ? LOG_WARNING : LOG_INFO,
		  "QUIT: %s; what is still on the server then is deleted at "
		  "the next visit",
		  err.text);
}

static int update_memory(struct session *s, const struct capa_memory *memory,
			 struct error *err)
{
	return capa_memory_update(s->job->journal, s->job->account, &s->memory,
				  memory, err);
}

/* After a good visit. */
static void remember_capa(struct session *s)
{
	struct capa_memory memory = { .state = CAPA_REMEMBERED,
				      .capa = *pop3_capa(s->pop3) };
	struct error err = { 0 };

	if (memory.capa.is_assumed)
		memory.state = s->memory.state;
	/* Once it may have been the line. */
	if (memory.state == CAPA_BROKE_OFF_TWICE)
		memory.state = CAPA_UNASKED;
	if (update_memory(s, &memory, &err) < 0)
		notes_add(s->job->notes, LOG_WARNING, "%s", err.text);
}

/* Where a visit without it makes sense. */
static bool has_broken_at_capa(const struct session *s, const struct error *err)
{
	return pop3_awaits_capa(s->pop3) && err->kind == ERROR_NETWORK &&
	       s->job->account->tls != TLS_STARTTLS;
}

/*
 * Until it has listed what there is: with that the server has shown that it is
 * as remembered. A server that is busy, and a fault of ours, speak not against
 * a memory.
 */
static bool speaks_against_memory(const struct session *s,
				  const struct error *err)
{
	return capa_memory_is_usable(&s->memory) &&
	       s->report->step > STEP_GREETING && !s->has_listed &&
	       (err->kind == ERROR_NETWORK || err->kind == ERROR_PROTOCOL ||
		err->kind == ERROR_AUTH);
}

/*
 * After a failure: what has led to it, or may have, is not believed any longer,
 * and where it was not asked for in this visit one more is due at once. A
 * refused login was looked into: that stands.
 */
static void revise_memory(struct session *s, const struct error *failure)
{
	struct capa_memory memory = { .state = CAPA_FORGOTTEN };
	bool is_assumed = pop3_capa(s->pop3)->is_assumed;
	bool is_broken = has_broken_at_capa(s, failure);
	struct error ignored = { 0 };

	if (stream_is_stopping(pop3_stream(s->pop3)))
		return;
	if (is_broken)
		memory.state = has_broken_off(&s->memory) ? CAPA_BROKE_OFF_TWICE
							  : CAPA_BROKE_OFF;
	else if (!speaks_against_memory(s, failure))
		return;
	/* What cannot be written down would be the same again. */
	if (update_memory(s, &memory, &ignored) < 0)
		return;
	s->report->again = is_broken ||
			   (is_assumed && failure->kind != ERROR_AUTH);
}

static int prepare(struct session *s, struct error *err)
{
	const struct account *account = s->job->account;
	const struct delivery_limits limits = {
		.batch_messages = account->batch_messages,
		.batch_bytes = account->batch_bytes,
		.batch_time_usec = account->batch_time_usec,
	};
	struct login login = login_of(s);

	s->deadline_usec =
		now_usec(CLOCK_MONOTONIC) + account->visit_timeout_usec;
	if (recover(s, err) < 0)
		return -1;
	s->report->step = STEP_LOGIN;
	if (login_check_refusal(&login, &s->report->retry_sec, err) < 0 ||
	    capa_memory_load(s->job->journal, s->job->account, &s->memory,
			     err) < 0)
		return -1;
	return delivery_new(s->job->maildir, s->job->journal, &limits,
			    &s->delivery, err);
}

int session_run(const struct session_job *job, struct report *report,
		struct error *err)
{
	_cleanup_(session_done) struct session s = { .job = job,
						     .report = report };

	if (prepare(&s, err) < 0 || connect_to_server(&s, err) < 0)
		return -1;

	/* From here on the server may hold a lock for us. */
	if (visit(&s, err) < 0) {
		leave(&s);
		revise_memory(&s, err);
		return -1;
	}
	quit(&s);
	remember_capa(&s);
	return 0;
}
