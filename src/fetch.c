/*
 * fetch.c - carry out a plan: RETR, batches, DELE, through one pipeline.
 *
 * Commands on their way stand in a window, in order, and each reply belongs to
 * the oldest. The window holds at most what the line carries in WINDOW_USEC,
 * at least one message, and so few bytes of commands that neither side can
 * block on the other. A server without PIPELINING gets a window of one.
 *
 * A body with an unstuffed dot can end early and shift every later reply by
 * one. Such a body is shorter than LIST said. So when a size differs, nothing
 * more is sent, what is due is read, and the server must answer a challenge
 * before the batch is staged; else all from the first message that differed
 * is void. One NOOP would not do: who wrote the message can have written its
 * "+OK" too. So it is a random row of commands that get +OK or -ERR.
 *
 * QUIT leaves with the last DELEs, which nothing can follow: all messages are
 * in the Maildir then, and what the server answers to a DELE changes nothing
 * in what QUIT may do. Replies to earlier DELEs may still be due by then.
 */
#include "fetch.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define WINDOW_USEC        (2 * USEC_PER_SEC)
#define WINDOW_TEXT        4096 /* bytes of commands */
#define COMMAND_TEXT_MIN   8    /* "DELE 1", CR, LF */
#define COMMAND_TEXT_MAX   15   /* of POP3_NUMBER_MAX */
#define WINDOW_COMMANDS    (WINDOW_TEXT / COMMAND_TEXT_MIN)
#define WINDOW_FIRST_BYTES (UINT64_C(4) << 20) /* of a line not yet measured */
#define RATE_SAMPLE_USEC   (20 * USEC_PER_MSEC)
#define BODY_BUFFER        65536
#define BODY_ROOM_MIN      1024 /* less room is not worth another read */
#define SIZE_UNKNOWN_MAX   (UINT64_C(1) << 30) /* past the deadline */
#define CHALLENGE_BITS     16
#define NO_NUMBER          (POP3_NUMBER_MAX + 1) /* no listing has it */

enum command {
	COMMAND_RETR = 1,
	COMMAND_DELE,
};

struct slot {
	enum command command;
	size_t item;
	int64_t row_id; /* DELE: whose message it is */
};

/* How fast the line is, from what it brought lately. */
struct rate {
	uint64_t sample_start_usec;
	uint64_t sample_bytes;
	uint64_t bytes_per_window; /* what WINDOW_USEC carry */
};

struct fetch {
	const struct fetch_job *job;
	struct report *report;
	char *buffer; /* BODY_BUFFER bytes, of a message on its way to its file */
	size_t buffer_len;

	struct slot window[WINDOW_COMMANDS]; /* a ring */
	size_t window_head;
	size_t window_len;
	size_t refill_at;      /* when so few are left in it, more are sent */
	size_t window_text;    /* bytes of its commands */
	uint64_t window_bytes; /* of message still to come, by LIST */
	struct rate rate;

	size_t next_retrieve; /* in plan->retrieve */
	size_t next_delete;   /* in plan->items: those vouched for */

	bool is_recorded;    /* every batch: DELEs alone are left */
	bool is_last_window; /* and QUIT may go with them */
	bool has_sent_quit;

	bool is_doubtful; /* a size differed from LIST's */
	size_t doubtful_rank; /* the first such message: its place in plan->retrieve */
	size_t receiving_rank;
	bool is_leaving;      /* stopped or failed: nothing more is sent */
	struct error failure; /* kind ERROR_NONE: none */
	enum step failure_step;
};

static const struct plan_item *item_at(const struct fetch *f, size_t i)
{
	return &f->job->plan->items[i];
}

/* The first failure is the one to report; after it only replies are read. */
static void fail(struct fetch *f, enum step step, const struct error *err)
{
	if (f->failure.kind == ERROR_NONE) {
		f->failure = *err;
		f->failure_step = step;
	}
	if (!f->is_leaving)
		stream_set_deadline(pop3_stream(f->job->pop3),
				    f->job->account->stop_timeout_usec);
	f->is_leaving = true;
}

static uint64_t expected_bytes(const struct plan_item *item)
{
	return item->list_size > 0 ? (uint64_t)item->list_size : 0;
}

static void rate_note(struct rate *rate, size_t bytes)
{
	uint64_t now = now_usec(CLOCK_MONOTONIC);
	uint64_t elapsed = now - rate->sample_start_usec;

	rate->sample_bytes += bytes;
	if (elapsed < RATE_SAMPLE_USEC)
		return;
	rate->bytes_per_window = (rate->bytes_per_window +
				  rate->sample_bytes * WINDOW_USEC / elapsed) /
				 2;
	rate->sample_start_usec = now;
	rate->sample_bytes = 0;
}

/* Time spent on our own disk says nothing about the line. */
static void rate_restart(struct rate *rate)
{
	rate->sample_start_usec = now_usec(CLOCK_MONOTONIC);
	rate->sample_bytes = 0;
}

/* "RETR " or "DELE ", the number, CR LF. */
static size_t text_len(const struct plan_item *item)
{
	size_t len = COMMAND_TEXT_MIN;

	for (uint32_t left = item->number; left >= 10; left /= 10)
		len++;
	return len;
}

static bool window_has_room(const struct fetch *f, uint64_t bytes)
{
	if (f->window_len == 0)
		return true;
	return pop3_capa(f->job->pop3)->pipelining &&
	       f->window_text + COMMAND_TEXT_MAX <= WINDOW_TEXT &&
	       f->window_bytes + bytes <= f->rate.bytes_per_window;
}

static void window_push(struct fetch *f, const struct slot *slot)
{
	size_t at = (f->window_head + f->window_len) % WINDOW_COMMANDS;

	f->window[at] = *slot;
	f->window_len++;
	f->window_text += text_len(item_at(f, slot->item));
	if (slot->command == COMMAND_RETR)
		f->window_bytes += expected_bytes(item_at(f, slot->item));
}

static struct slot window_pop(struct fetch *f)
{
	struct slot slot = f->window[f->window_head];

	f->window_head = (f->window_head + 1) % WINDOW_COMMANDS;
	f->window_len--;
	f->window_text -= text_len(item_at(f, slot.item));
	if (slot.command == COMMAND_RETR)
		f->window_bytes -= expected_bytes(item_at(f, slot.item));
	return slot;
}

/* What the journal vouches for from before, then what this visit recorded. */
static bool next_deletable(struct fetch *f, struct slot *ret)
{
	const struct plan *plan = f->job->plan;

	ret->command = COMMAND_DELE;
	while (f->next_delete < plan->n_items) {
		const struct plan_item *item = &plan->items[f->next_delete];

		ret->item = f->next_delete++;
		ret->row_id = item->row_id;
		if (item->action == PLAN_DELETE)
			return true;
	}
	while (delivery_next_deletable(f->job->delivery, &ret->item,
				       &ret->row_id))
		if (f->job->account->keep == KEEP_DELETE)
			return true;
	return false;
}

static int send_deletes(struct fetch *f, struct error *err)
{
	struct slot slot;

	while (window_has_room(f, 0) && next_deletable(f, &slot)) {
		if (pop3_queue_dele(f->job->pop3, item_at(f, slot.item)->number,
				    err) < 0)
			return -1;
		window_push(f, &slot);
	}
	return 0;
}

static int send_retrieves(struct fetch *f, struct error *err)
{
	const struct plan *plan = f->job->plan;

	while (f->next_retrieve < plan->n_retrieve) {
		const struct slot slot = {
			.command = COMMAND_RETR,
			.item = plan->retrieve[f->next_retrieve],
		};
		const struct plan_item *item = item_at(f, slot.item);

		if (!window_has_room(f, expected_bytes(item)))
			return 0;
		if (pop3_queue_retr(f->job->pop3, item->number, err) < 0)
			return -1;
		window_push(f, &slot);
		f->next_retrieve++;
	}
	return 0;
}

/* Room is left: all DELEs are on their way. */
static int send_quit(struct fetch *f, struct error *err)
{
	if (!f->is_last_window || f->has_sent_quit || f->window_len == 0 ||
	    !window_has_room(f, 0))
		return 0;
	f->has_sent_quit = true;
	return pop3_queue_quit(f->job->pop3, err);
}

/*
 * One command at a time, a challenge costs CHALLENGE_BITS round trips: one for
 * each batch then, since nothing of a batch in doubt is staged before it.
 */
static bool may_ask_later(const struct fetch *f)
{
	return !pop3_capa(f->job->pop3)->pipelining &&
	       !delivery_is_due(f->job->delivery, now_usec(CLOCK_MONOTONIC));
}

/*
 * Commands leave together once a quarter of those on their way is answered: a
 * packet for each would cost both sides more than its few bytes.
 */
static int fill_window(struct fetch *f, struct error *err)
{
	if (f->window_len > f->refill_at)
		return 0;
	if (f->is_doubtful && !may_ask_later(f))
		return 0;
	if ((!f->is_doubtful && send_deletes(f, err) < 0) ||
	    send_retrieves(f, err) < 0 || send_quit(f, err) < 0)
		return -1;
	f->refill_at = f->window_len - f->window_len / 4;
	return pop3_flush(f->job->pop3, err);
}

/*
 * Closes the open batch unless it is in doubt; that waits until no reply is
 * due. A failure here is our disk's: it ends the sending, not the reading.
 */
static void close_batch(struct fetch *f)
{
	struct error err = { 0 };

	if (f->is_doubtful)
		return;
	if (delivery_close_batch(f->job->delivery, &err) < 0)
		fail(f, STEP_DELIVER, &err);
	rate_restart(&f->rate);
}

static void close_batch_if_due(struct fetch *f)
{
	if (delivery_is_due(f->job->delivery, now_usec(CLOCK_MONOTONIC)))
		close_batch(f);
}

static void tell_progress(struct fetch *f)
{
	uplink_progress(f->job->uplink, (uint32_t)f->receiving_rank,
			(uint32_t)f->job->plan->n_retrieve,
			delivery_bytes(f->job->delivery));
}

/*
 * Past the deadline a body may go on, if it is slow; but one that is far longer
 * than LIST said has no end.
 */
static int check_length(struct fetch *f, const struct plan_item *item,
			struct error *err)
{
	uint64_t wire = pop3_body_wire_bytes(f->job->pop3);
	uint64_t most = SIZE_UNKNOWN_MAX;

	if (item->list_size > 0)
		most = 2 * MIN((uint64_t)item->list_size, UINT64_MAX / 4) +
		       BODY_BUFFER;
	if (wire <= most || now_usec(CLOCK_MONOTONIC) < f->job->deadline_usec)
		return 0;
	return error_set(err, ERROR_NETWORK,
			 "goes on far beyond the size that LIST gave");
}

/* What came is written in few large pieces. A disk that fails ends the storing. */
static void store_buffer(struct fetch *f, bool *is_stored)
{
	struct error err = { 0 };

	if (*is_stored && delivery_write(f->job->delivery, f->buffer,
					 f->buffer_len, &err) < 0) {
		fail(f, STEP_DELIVER, &err);
		delivery_abandon(f->job->delivery);
		*is_stored = false;
	}
	f->buffer_len = 0;
}

/* Reads the body to its end. Returns -1 only when the stream broke. */
static int receive_pieces(struct fetch *f, const struct plan_item *item,
			  bool *is_stored, struct error *err)
{
	size_t len;

	for (;;) {
		if (pop3_read_body(f->job->pop3, f->buffer + f->buffer_len,
				   BODY_BUFFER - f->buffer_len, &len, err) < 0)
			return -1;
		if (len == 0)
			return 0;
		f->buffer_len += len;
		if (check_length(f, item, err) < 0)
			return -1;
		rate_note(&f->rate, len);
		tell_progress(f);
		if (BODY_BUFFER - f->buffer_len < BODY_ROOM_MIN)
			store_buffer(f, is_stored);
		close_batch_if_due(f);
	}
}

/*
 * The body, into the Maildir as long as that takes it. *ret_is_stored tells
 * whether all that came is in the file, also when the stream broke.
 */
static int receive_body(struct fetch *f, const struct plan_item *item,
			bool *ret_is_stored, struct error *err)
{
	struct error local = { 0 };
	int r;

	*ret_is_stored = f->failure.kind == ERROR_NONE;
	if (*ret_is_stored && delivery_begin(f->job->delivery, &local) < 0) {
		fail(f, STEP_DELIVER, &local);
		*ret_is_stored = false;
	}
	r = receive_pieces(f, item, ret_is_stored, err);
	store_buffer(f, ret_is_stored);
	return r;
}

/*
 * The server waits behind ".CR": its LF is lost. No server that stuffs dots
 * says this within a message, and the size agrees, so the message is whole.
 */
static bool lacks_only_lf(const struct fetch *f, const struct plan_item *item)
{
	return pop3_body_lacks_only_lf(f->job->pop3) && item->list_size > 0 &&
	       (uint64_t)item->list_size == pop3_body_wire_bytes(f->job->pop3);
}

static void note_size(struct fetch *f, const struct plan_item *item)
{
	uint64_t wire = pop3_body_wire_bytes(f->job->pop3);

	if (item->list_size >= 0 && (uint64_t)item->list_size == wire)
		return;
	if (!f->is_doubtful) {
		f->is_doubtful = true;
		f->doubtful_rank = f->receiving_rank;
	}
}

/* A message has come whole: it joins the batch. */
static void take_message(struct fetch *f, const struct plan_item *item)
{
	const struct delivery_message message = {
		.item = (size_t)(item - f->job->plan->items),
		.uid = item->uid,
		.list_size = item->list_size,
	};
	struct error err = { 0 };

	note_size(f, item);
	if (delivery_end(f->job->delivery, &message, &err) < 0)
		fail(f, STEP_DELIVER, &err);
	close_batch_if_due(f);
}

static void note_refused(struct fetch *f, const char *command,
			 const struct plan_item *item, const struct error *err)
{
	f->report->refused++;
	notes_add(f->job->notes, LOG_WARNING, "%s %u refused: %s", command,
		  item->number, err->text);
}

static void note_trouble(struct fetch *f, const struct plan_item *item)
{
	delivery_note_trouble(f->job->delivery, item->uid, item->list_size);
}

static int receive_message(struct fetch *f, const struct plan_item *item,
			   struct error *err)
{
	bool was_well = f->failure.kind == ERROR_NONE;
	bool is_stored = false;
	int r;

	/* What made trouble may make it again: nothing shall hang on it. */
	if (f->receiving_rank >= f->job->plan->n_untroubled)
		close_batch(f);
	r = pop3_read_reply(f->job->pop3, err);
	if (r > 0) {
		note_trouble(f, item);
		note_refused(f, "RETR", item, err);
		return 0;
	}
	if (r == 0)
		r = receive_body(f, item, &is_stored, err);
	if (r < 0 && is_stored && lacks_only_lf(f, item)) {
		take_message(f, item);
		return error_prefix(err, "message %u, but for its last LF",
				    item->number);
	}
	if (r < 0) {
		delivery_abandon(f->job->delivery);
		if (!f->is_doubtful &&
		    !stream_is_stopping(pop3_stream(f->job->pop3)))
			note_trouble(f, item);
		return error_prefix(err, "message %u", item->number);
	}
	if (is_stored)
		take_message(f, item);
	else if (was_well) /* too big for the disk? others may fit */
		note_trouble(f, item);
	return 0;
}

static int receive_deleted(struct fetch *f, const struct slot *slot,
			   struct error *err)
{
	const struct plan_item *item = item_at(f, slot->item);
	int r = pop3_read_reply(f->job->pop3, err);

	if (r < 0)
		return error_prefix(err, "DELE %u", item->number);
	if (r > 0) {
		note_refused(f, "DELE", item, err);
		return 0;
	}
	f->report->deleted++;
	return delivery_note_deleted(f->job->delivery, slot->row_id, err);
}

/* The reply to the oldest command on its way. */
static int receive_one(struct fetch *f, struct error *err)
{
	struct slot slot = window_pop(f);
	const struct plan_item *item = item_at(f, slot.item);
	int r;

	if (slot.command == COMMAND_DELE) {
		f->report->step = STEP_DELETE;
		return receive_deleted(f, &slot, err);
	}
	f->report->step = STEP_FETCH;
	r = receive_message(f, item, err);
	f->receiving_rank++;
	return r;
}

/* While the server pauses, the disk can work. */
static int use_pause(struct fetch *f, struct error *err)
{
	int r;

	if (f->is_doubtful || delivery_open_count(f->job->delivery) == 0)
		return 0;
	r = stream_wait(pop3_stream(f->job->pop3),
			f->job->account->batch_pause_usec, err);
	if (r == 0)
		close_batch(f);
	return r < 0 ? -1 : 0;
}

static int ask(struct fetch *f, bool is_yes, struct error *err)
{
	if (is_yes)
		return pop3_queue_word(f->job->pop3, "NOOP", err);
	return pop3_queue_scan(f->job->pop3, NO_NUMBER, err);
}

static int check_answer(struct fetch *f, bool is_yes, struct error *err)
{
	int r = pop3_read_reply(f->job->pop3, err);

	if (r < 0 || (r == 0) == is_yes)
		return r < 0 ? -1 : 0;
	return error_set(err, ERROR_PROTOCOL, "replies do not match commands");
}

/* Questions whose right answers, yes or no, nobody can know beforehand. */
static int challenge(struct fetch *f, uint16_t answers, struct error *err)
{
	bool is_pipelined = pop3_capa(f->job->pop3)->pipelining;

	for (unsigned i = 0; is_pipelined && i < CHALLENGE_BITS; i++)
		if (ask(f, answers >> i & 1, err) < 0)
			return -1;
	for (unsigned i = 0; i < CHALLENGE_BITS; i++) {
		bool is_yes = answers >> i & 1;

		if ((!is_pipelined && ask(f, is_yes, err) < 0) ||
		    pop3_flush(f->job->pop3, err) < 0 ||
		    check_answer(f, is_yes, err) < 0)
			return -1;
	}
	return 0;
}

/* No reply is due. Are replies still the answers to our commands? */
static int prove_in_step(struct fetch *f, struct error *err)
{
	const struct plan *plan = f->job->plan;
	uint16_t answers;

	if (getrandom(&answers, sizeof(answers), 0) != sizeof(answers))
		return error_set_errno(err, ERROR_LOCAL, errno, "getrandom");
	if (challenge(f, answers, err) < 0)
		return error_prefix(
			err,
			"message %u is not as long as LIST says, and "
			"the server then went out of step (an "
			"unstuffed dot?)",
			item_at(f, plan->retrieve[f->doubtful_rank])->number);
	return 0;
}

/* Whose fault it is that replies and commands no longer match. */
static void blame_doubtful(struct fetch *f)
{
	note_trouble(f, item_at(f, f->job->plan->retrieve[f->doubtful_rank]));
}

/* The window is empty. Returns -1 when nothing that follows can be trusted. */
static int settle_doubt(struct fetch *f, struct error *err)
{
	if (prove_in_step(f, err) < 0) {
		blame_doubtful(f);
		delivery_void_batch(f->job->delivery);
		f->is_doubtful = false;
		return -1;
	}
	f->is_doubtful = false;
	return 0;
}

static void look_at_the_clock(struct fetch *f)
{
	struct stream *stream = pop3_stream(f->job->pop3);

	if (f->is_leaving)
		return;
	if (!stream_is_stopping(stream) &&
	    now_usec(CLOCK_MONOTONIC) < f->job->deadline_usec)
		return;
	f->report->stopped = true;
	f->is_leaving = true;
	stream_set_deadline(stream, f->job->account->stop_timeout_usec);
}

static void finish(struct fetch *f)
{
	struct error err = { 0 };

	if (delivery_finish(f->job->delivery, &err) < 0)
		fail(f, STEP_DELIVER, &err);
}

/* Then the disk need not wait for the replies to DELEs that are still due. */
static bool has_retrieved_all(const struct fetch *f)
{
	return !f->is_recorded && !f->is_doubtful && !f->is_leaving &&
	       f->receiving_rank == f->job->plan->n_retrieve;
}

/*
 * Sends and receives until nothing is on its way and nothing may be sent, or
 * until all messages are there and the last batch can be closed.
 */
static int run_window(struct fetch *f, struct error *err)
{
	for (;;) {
		look_at_the_clock(f);
		if (has_retrieved_all(f))
			return 0;
		if (!f->is_leaving && fill_window(f, err) < 0)
			return -1;
		if (f->is_last_window)
			delivery_rest(f->job->delivery);
		if (f->window_len == 0 && f->is_doubtful) {
			if (settle_doubt(f, err) < 0)
				return -1;
			close_batch_if_due(f);
			continue;
		}
		if (f->window_len == 0)
			return 0;
		if (use_pause(f, err) < 0 || receive_one(f, err) < 0)
			return -1;
	}
}

/*
 * The stream broke, or can no longer be trusted. What is complete and beyond
 * doubt is kept.
 */
static void salvage(struct fetch *f, const struct error *err)
{
	fail(f, f->report->step, err);
	if (f->is_doubtful) {
		blame_doubtful(f);
		delivery_void_batch(f->job->delivery);
	}
	f->is_doubtful = false;
}

/* More lines than DELEs that wait for one. */
static bool has_come_unasked(const struct fetch *f)
{
	struct bytes come = stream_peek(pop3_stream(f->job->pop3));
	size_t n_lines = 0;

	for (size_t i = 0; i < come.len; i++)
		n_lines += i == 0 || come.data[i - 1] == '\n';
	return n_lines > f->window_len;
}

static void fetch_everything(struct fetch *f)
{
	struct error err = { 0 };
	int r = run_window(f, &err);

	if (r < 0)
		salvage(f, &err);
	close_batch(f);
	/* The commit that lets the last batch's DELEs leave. */
	finish(f);
	if (r < 0)
		return;

	f->is_recorded = true;
	/* What nobody asked for: let the DELEs find that out before QUIT. */
	f->is_last_window = !f->is_leaving && !has_come_unasked(f);
	f->refill_at = f->window_len;
	if (run_window(f, &err) < 0)
		salvage(f, &err);
}

int fetch_run(const struct fetch_job *job, struct report *report,
	      struct error *err)
{
	struct fetch f = { .job = job, .report = report };

	f.buffer = malloc(BODY_BUFFER);
	if (!f.buffer)
		return error_set_memory(err);
	f.rate.bytes_per_window = WINDOW_FIRST_BYTES;
	rate_restart(&f.rate);
	report->step = STEP_FETCH;

	fetch_everything(&f);

	report->fetched = delivery_count(job->delivery);
	report->bytes = delivery_bytes(job->delivery);
	free(f.buffer);
	if (f.failure.kind == ERROR_NONE)
		return 0;
	report->step = f.failure_step;
	*err = f.failure;
	return -1;
}
