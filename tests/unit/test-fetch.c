/*
 * test-fetch.c - a plan carried out against a scripted server.
 *
 * This program has its own fsync and fdatasync: each of the journal and of
 * new/ is noted in the server's transcript, between the commands, so that a
 * case shows what was durable when a command left. Its getrandom is none, so
 * that each run asks the server the same.
 */
#include "fetch.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include "peer.h"
#include "scratch.h"

#define GREETING { .send = "+OK ready\r\n" }
#define PIPELINING PEER_ROW("CAPA", "+OK\r\nPIPELINING\r\n.\r\n")
#define NO_CAPA	   PEER_ROW("CAPA", "-ERR what?\r\n")

/* A message of 20 bytes on the wire, 17 in the Maildir. */
#define MESSAGE(n) "+OK 20 octets\r\nSubject: " #n "\r\n\r\nbody\r\n.\r\n"
#define MESSAGE_SIZE 20

static struct peer *noting;	  /* NULL: nothing is noted */
static const char *last_note = "";
static bool journal_fails;

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* False: the sync is to fail. Several in a row of one thing are one. */
static bool note_sync(int fd)
{
	char link[64], path[512] = "";
	const char *note = "";

	if (!noting)
		return true;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, path, sizeof(path) - 1) < 0)
		return true;
	if (ends_with(path, "/new"))
		note = "(new)";
	else if (strstr(path, "/state"))
		note = "(journal)";
	if (strcmp(note, "(journal)") == 0 && journal_fails) {
		errno = EIO;
		return false;
	}
	if (note[0] != '\0' && strcmp(note, last_note) != 0)
		peer_note(noting, note);
	last_note = note;
	return true;
}

int fsync(int fd)
{
	return note_sync(fd) ? (int)syscall(SYS_fsync, fd) : -1;
}

int fdatasync(int fd)
{
	return note_sync(fd) ? (int)syscall(SYS_fdatasync, fd) : -1;
}

/* The same questions at each run: no answer is right by chance. */
ssize_t getrandom(void *data, size_t len, unsigned flags)
{
	if (!noting)
		return syscall(SYS_getrandom, data, len, flags);
	memset(data, 0x35, len);
	return (ssize_t)len;
}

#define N_MAX 600

/* All that a fetch needs, with what it told. */
struct scene {
	struct store store;
	struct account account;
	struct plan_item items[N_MAX];
	size_t retrieve[N_MAX];
	char uids[N_MAX][24];
	struct plan plan;
	struct peer *peer;
	struct pop3 *pop3;
	struct delivery *delivery;
	struct uplink uplink;
	struct notes notes;
	uint64_t deadline_usec;
	struct report report;
	struct error err;
	bool was_in_step;
	int result;
};

/* A plan to fetch n messages, none of them known. */
static struct scene *scene_new(size_t n)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	ck_assert_ptr_nonnull(scene);
	store_make(&scene->store);
	scene->account = (struct account){
		.stop_timeout_usec = 10 * USEC_PER_SEC,
		.batch_messages = 64,
		.batch_bytes = 8 << 20,
		.batch_time_usec = USEC_PER_HOUR,
		.batch_pause_usec = USEC_PER_HOUR,
	};
	scene->plan = (struct plan){ .items = scene->items,
				     .n_items = n,
				     .retrieve = scene->retrieve,
				     .n_retrieve = n,
				     .n_untroubled = n };
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(scene->uids[i], sizeof(scene->uids[i]), "U%zu",
			       i + 1);
		scene->items[i] = (struct plan_item){
			.action = PLAN_FETCH,
			.number = (uint32_t)i + 1,
			.list_size = MESSAGE_SIZE,
			.uid = { scene->uids[i], strlen(scene->uids[i]) },
		};
		scene->retrieve[i] = i;
	}
	scene->uplink.fd = -1; /* what is told goes nowhere */
	scene->deadline_usec = UINT64_MAX;
	return scene;
}

static void open_pop3(struct scene *scene, int fd)
{
	const struct stream_options options = { .stop_fd = -1 };
	const struct pop3_timeouts timeouts = {
		.reply_usec = USEC_PER_MINUTE,
		.login_usec = USEC_PER_MINUTE,
	};
	struct stream *stream;
	struct error err = { 0 };

	ck_assert_int_eq(stream_new(fd, &options, &stream, &err), 0);
	ck_assert_int_eq(pop3_new(stream, &timeouts, &scene->pop3, &err), 0);
	ck_assert_int_eq(pop3_read_greeting(scene->pop3, &err), 0);
	ck_assert_int_eq(pop3_ask_capa(scene->pop3, &err), 0);
}

static void open_delivery(struct scene *scene)
{
	const struct delivery_limits limits = {
		.batch_messages = scene->account.batch_messages,
		.batch_bytes = scene->account.batch_bytes,
		.batch_time_usec = scene->account.batch_time_usec,
	};

	ck_assert_int_eq(delivery_new(&scene->store.maildir,
				      scene->store.journal, &limits,
				      &scene->delivery, &scene->err),
			 0);
	delivery_compare_with(scene->delivery, scene->store.known);
}

/* Plays rows, the first two of which are greeting and CAPA. */
static void scene_run(struct scene *scene, const struct peer_row *rows,
		      size_t n_rows)
{
	const struct fetch_job job = {
		.account = &scene->account,
		.plan = &scene->plan,
		.delivery = scene->delivery,
		.uplink = &scene->uplink,
		.notes = &scene->notes,
		.deadline_usec = scene->deadline_usec,
	};
	struct fetch_job ready = job;
	int fd;

	scene->peer = peer_new(rows, n_rows, &fd);
	open_pop3(scene, fd);
	open_delivery(scene);
	ready.pop3 = scene->pop3;
	ready.delivery = scene->delivery;
	noting = scene->peer;
	scene->result = fetch_run(&ready, &scene->report, &scene->err);
	noting = NULL;
	scene->was_in_step = pop3_is_in_step(scene->pop3);
	pop3_free(&scene->pop3);
	delivery_free(&scene->delivery);
}

/* What the server saw behind CAPA. */
static const char *transcript(struct scene *scene)
{
	return peer_finish(scene->peer) + strlen("CAPA\n");
}

static void scene_free(struct scene *scene)
{
	peer_free(&scene->peer);
	store_close(&scene->store);
	free(scene);
}

/* "U1:2 U2:1 ": UID and state of each row. */
static const char *describe_rows(struct scene *scene)
{
	_cleanup_(journal_rows_done) struct journal_rows rows = { 0 };
	static char text[1024];
	size_t len = 0;

	text[0] = '\0';
	ck_assert_int_eq(journal_load(scene->store.journal, &rows, &scene->err),
			 0);
	for (size_t i = 0; i < rows.n_rows; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"%.*s:%d ", (int)rows.rows[i].uid.len,
					rows.rows[i].uid.data,
					(int)rows.rows[i].state);
	return text;
}

static void check_mail(struct scene *scene, size_t in_tmp, size_t in_new)
{
	ck_assert_uint_eq(scratch_count(scene->store.mail, "tmp"), in_tmp);
	ck_assert_uint_eq(scratch_count(scene->store.mail, "new"), in_new);
}

static uint32_t count_trouble(struct scene *scene, size_t i)
{
	struct journal_trouble trouble = { .times = 99 };

	ck_assert_int_eq(journal_get_trouble(scene->store.journal,
					     scene->items[i].uid,
					     scene->items[i].list_size,
					     &trouble, &scene->err),
			 0);
	return trouble.times;
}

START_TEST(commands_are_pipelined_and_deles_follow_the_commit)
{
	struct scene *scene = scene_new(3);
	const struct peer_row rows[] = {
		GREETING,
		PIPELINING,
		PEER_ROW("RETR 1", NULL),
		PEER_ROW("RETR 2", NULL),
		PEER_ROW("RETR 3", MESSAGE(1) MESSAGE(2) MESSAGE(3)),
		PEER_ROW("DELE 1", NULL),
		PEER_ROW("DELE 2", NULL),
		PEER_ROW("DELE 3", NULL),
		PEER_ROW("QUIT", "+OK\r\n+OK\r\n+OK\r\n+OK\r\n"),
	};

	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_msg(scene->result == 0, "%s", scene->err.text);
	ck_assert_str_eq(transcript(scene),
			 "RETR 1\nRETR 2\nRETR 3\n(journal)\n(new)\n(journal)\n"
			 "DELE 1\nDELE 2\nDELE 3\nQUIT\n");
	ck_assert(scene->was_in_step);
	ck_assert_uint_eq(scene->report.fetched, 3);
	ck_assert_uint_eq(scene->report.deleted, 3);
	ck_assert_uint_eq(scene->report.bytes, 3 * 17);
	ck_assert_uint_eq(scene->report.refused, 0);
	ck_assert(!scene->report.stopped);
	ck_assert_str_eq(describe_rows(scene), "U1:2 U2:2 U3:2 ");
	check_mail(scene, 0, 3);
	scene_free(scene);
}
END_TEST

START_TEST(without_pipelining_each_command_waits_for_its_reply)
{
	struct scene *scene = scene_new(2);
	const struct peer_row rows[] = {
		GREETING,
		NO_CAPA,
		PEER_ROW("RETR 1", MESSAGE(1)),
		PEER_ROW("RETR 2", MESSAGE(2)),
		PEER_ROW("DELE 1", "+OK\r\n"),
		PEER_ROW("DELE 2", "+OK\r\n"),
	};

	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_msg(scene->result == 0, "%s", scene->err.text);
	ck_assert_str_eq(transcript(scene),
			 "RETR 1\nRETR 2\n(journal)\n(new)\n(journal)\n"
			 "DELE 1\nDELE 2\n");
	ck_assert_uint_eq(peer_count_early(scene->peer), 0);
	check_mail(scene, 0, 2);
	scene_free(scene);
}
END_TEST

/* Of a batch of one, the commit of the next one lets the DELE leave. */
START_TEST(the_dele_of_a_batch_leaves_behind_the_next_commit)
{
	struct scene *scene = scene_new(3);
	const struct peer_row rows[] = {
		GREETING,
		NO_CAPA,
		PEER_ROW("RETR 1", MESSAGE(1)),
		PEER_ROW("RETR 2", MESSAGE(2)),
		PEER_ROW("DELE 1", "+OK\r\n"),
		PEER_ROW("RETR 3", MESSAGE(3)),
		PEER_ROW("DELE 2", "+OK\r\n"),
		PEER_ROW("DELE 3", "+OK\r\n"),
	};

	scene->account.batch_messages = 1;
	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_msg(scene->result == 0, "%s", scene->err.text);
	ck_assert_str_eq(transcript(scene),
			 "RETR 1\n(journal)\nRETR 2\n(new)\n(journal)\n"
			 "DELE 1\nRETR 3\n(new)\n(journal)\n"
			 "(new)\n(journal)\nDELE 2\nDELE 3\n");
	check_mail(scene, 0, 3);
	scene_free(scene);
}
END_TEST

/* That would cost a round trip. */
START_TEST(the_last_batch_waits_for_no_reply_to_a_dele)
{
	struct scene *scene = scene_new(3);
	const struct peer_row rows[] = {
		GREETING,
		PIPELINING,
		PEER_ROW("RETR 1", NULL),
		PEER_ROW("RETR 2", NULL),
		PEER_ROW("RETR 3", MESSAGE(1) MESSAGE(2)),
		PEER_ROW("DELE 1", MESSAGE(3) "+OK"),
		PEER_ROW("DELE 2", NULL),
		PEER_ROW("DELE 3", NULL),
		PEER_ROW("QUIT", "\r\n+OK\r\n+OK\r\n"),
	};

	scene->account.batch_messages = 1;
	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_msg(scene->result == 0, "%s", scene->err.text);
	ck_assert_uint_eq(scene->report.deleted, 3);
	check_mail(scene, 0, 3);
	scene_free(scene);
}
END_TEST

START_TEST(a_server_that_pauses_lets_the_batch_be_closed)
{
	struct scene *scene = scene_new(2);
	const struct peer_row rows[] = {
		GREETING,
		PIPELINING,
		PEER_ROW("RETR 1", NULL),
		PEER_ROW("RETR 2", MESSAGE(1)),
		{ .send = MESSAGE(2), .patience_msec = 200 },
		PEER_ROW("DELE 1", NULL),
		PEER_ROW("DELE 2", "+OK\r\n+OK\r\n"),
	};

	scene->account.batch_pause_usec = 1;
	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_msg(scene->result == 0, "%s", scene->err.text);
	check_mail(scene, 0, 2);
	ck_assert_uint_eq(scene->report.deleted, 2);
	scene_free(scene);
}
END_TEST

START_TEST(kept_mail_is_not_deleted)
{
	struct scene *scene = scene_new(1);
	const struct peer_row rows[] = {
		GREETING,
		NO_CAPA,
		PEER_ROW("RETR 1", MESSAGE(1)),
	};

	scene->account.keep = KEEP_FOREVER;
	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_int_eq(scene->result, 0);
	ck_assert_str_eq(transcript(scene),
			 "RETR 1\n(journal)\n(new)\n(journal)\n");
	ck_assert_uint_eq(scene->report.deleted, 0);
	ck_assert_str_eq(describe_rows(scene), "U1:2 ");
	scene_free(scene);
}
END_TEST

START_TEST(what_the_journal_vouches_for_is_deleted_without_retr)
{
	struct scene *scene = scene_new(3);
	const struct peer_row rows[] = {
		GREETING,
		NO_CAPA,
		PEER_ROW("DELE 1", "+OK\r\n"),
		PEER_ROW("DELE 3", "+OK\r\n"),
		PEER_ROW("RETR 2", MESSAGE(2)),
		PEER_ROW("DELE 2", "+OK\r\n"),
	};

	scene->items[0].action = PLAN_DELETE;
	scene->items[2].action = PLAN_DELETE;
	scene->retrieve[0] = 1;
	scene->plan.n_retrieve = 1;
	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_msg(scene->result == 0, "%s", scene->err.text);
	ck_assert_uint_eq(scene->report.deleted, 3);
	ck_assert_uint_eq(scene->report.fetched, 1);
	ck_assert_str_eq(transcript(scene),
			 "DELE 1\nDELE 3\nRETR 2\n(journal)\n(new)\n(journal)\n"
			 "DELE 2\n");
	scene_free(scene);
}
END_TEST

START_TEST(where_what_nobody_asked_for_has_come_quit_waits_for_the_deles)
{
	struct scene *scene = scene_new(2);
	const struct peer_row rows[] = {
		GREETING,
		PIPELINING,
		PEER_ROW("RETR 1", NULL),
		PEER_ROW("RETR 2", MESSAGE(1) MESSAGE(2) "Hello\r\n"),
		PEER_ROW("DELE 1", NULL),
		PEER_ROW("DELE 2", "+OK\r\n+OK\r\n"),
	};

	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_int_eq(scene->err.kind, ERROR_PROTOCOL);
	ck_assert(!scene->was_in_step);
	ck_assert_uint_eq(scene->report.deleted, 0);
	ck_assert_ptr_null(strstr(transcript(scene), "QUIT"));
	check_mail(scene, 0, 2);
	scene_free(scene);
}
END_TEST

START_TEST(what_comes_behind_the_replies_that_are_due_was_asked_by_nobody)
{
	struct scene *scene = scene_new(3);
	const struct peer_row rows[] = {
		GREETING,
		PIPELINING,
		PEER_ROW("RETR 1", NULL),
		PEER_ROW("RETR 2", NULL),
		PEER_ROW("RETR 3", MESSAGE(1) MESSAGE(2)),
		PEER_ROW("DELE 1", MESSAGE(3) "+OK\r\nHello"),
		PEER_ROW("DELE 2", NULL),
		PEER_ROW("DELE 3", "\r\n+OK\r\n+OK\r\n"),
	};

	scene->account.batch_messages = 1;
	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_int_eq(scene->err.kind, ERROR_PROTOCOL);
	ck_assert(!scene->was_in_step);
	ck_assert_ptr_null(strstr(transcript(scene), "QUIT"));
	check_mail(scene, 0, 3);
	scene_free(scene);
}
END_TEST

START_TEST(a_dele_refused_with_quit_behind_it_is_noted_all_the_same)
{
	struct scene *scene = scene_new(2);
	const struct peer_row rows[] = {
		GREETING,
		PIPELINING,
		PEER_ROW("RETR 1", NULL),
		PEER_ROW("RETR 2", MESSAGE(1) MESSAGE(2)),
		PEER_ROW("DELE 1", NULL),
		PEER_ROW("DELE 2", NULL),
		PEER_ROW("QUIT", "+OK\r\n-ERR no\r\n+OK\r\n"),
	};

	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_msg(scene->result == 0, "%s", scene->err.text);
	ck_assert(scene->was_in_step);
	ck_assert_uint_eq(scene->report.deleted, 1);
	ck_assert_uint_eq(scene->report.refused, 1);
	ck_assert_ptr_nonnull(strstr(scene->notes.notes[0].text, "DELE 2"));
	scene_free(scene);
}
END_TEST

START_TEST(an_empty_plan_says_and_flushes_nothing)
{
	struct scene *scene = scene_new(0);
	const struct peer_row rows[] = { GREETING, PIPELINING };

	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_int_eq(scene->result, 0);
	ck_assert(scene->was_in_step);
	ck_assert_str_eq(transcript(scene), "");
	scene_free(scene);
}
END_TEST

static void make_rows(struct peer_row *rows, char (*texts)[32], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(texts[i], sizeof(texts[i]), "RETR %zu", i + 1);
		rows[2 + i] = (struct peer_row){ .expect = texts[i],
						 .send = MESSAGE(0) };
	}
}

/*
 * 4 KiB of commands may be on their way, all but the room for a longest one:
 * 9 of 8 bytes, 90 of 9, 320 of 10. The first answer comes behind them.
 */
START_TEST(a_window_holds_as_many_commands_as_no_side_can_block_on)
{
	enum { N = N_MAX, WINDOW = 9 + 90 + 320 };
	static char answers[WINDOW * sizeof(MESSAGE(0))];
	static char texts[N][32];
	static struct peer_row rows[N + 2] = { GREETING, PIPELINING };
	struct scene *scene = scene_new(N);

	make_rows(rows, texts, N);
	for (size_t i = 0; i < WINDOW; i++) {
		(void)strcat(answers, MESSAGE(0));
		rows[2 + i].send = i + 1 < WINDOW ? NULL : answers;
	}
	scene->account.keep = KEEP_FOREVER;
	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_msg(scene->result == 0, "%s", scene->err.text);
	ck_assert_uint_eq(scene->report.fetched, N);
	(void)transcript(scene);
	ck_assert(peer_has_played_all(scene->peer));
	check_mail(scene, 0, N);
	scene_free(scene);
}
END_TEST

/* Two of 3 MB are more than an unmeasured line is trusted with. */
START_TEST(a_window_holds_at_most_what_the_line_carries)
{
	enum { BODY = 3000000 };
	static char answer[BODY + 32];
	struct scene *scene = scene_new(2);
	const struct peer_row rows[] = {
		GREETING,
		PIPELINING,
		PEER_ROW("RETR 1", answer),
		PEER_ROW("RETR 2", answer),
	};

	(void)strcpy(answer, "+OK\r\n");
	memset(answer + 5, 'x', BODY - 2);
	(void)strcpy(answer + 5 + BODY - 2, "\r\n.\r\n");
	scene->items[0].list_size = scene->items[1].list_size = BODY;
	scene->account.keep = KEEP_FOREVER;
	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_msg(scene->result == 0, "%s", scene->err.text);
	(void)transcript(scene);
	ck_assert_uint_eq(peer_count_early(scene->peer), 0);
	check_mail(scene, 0, 2);
	scene_free(scene);
}
END_TEST

START_TEST(a_refused_retr_is_noted_and_the_others_go_on)
{
	struct scene *scene = scene_new(3);
	const struct peer_row rows[] = {
		GREETING,
		PIPELINING,
		PEER_ROW("RETR 1", NULL),
		PEER_ROW("RETR 2", NULL),
		PEER_ROW("RETR 3",
			 MESSAGE(1) "-ERR virus \xff found\r\n" MESSAGE(3)),
		PEER_ROW("DELE 1", NULL),
		PEER_ROW("DELE 3", "+OK\r\n+OK\r\n"),
	};

	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_msg(scene->result == 0, "%s", scene->err.text);
	ck_assert(scene->was_in_step);
	ck_assert_uint_eq(scene->report.fetched, 2);
	ck_assert_uint_eq(scene->report.deleted, 2);
	ck_assert_uint_eq(scene->report.refused, 1);
	ck_assert_uint_eq(scene->notes.n_notes, 1);
	ck_assert_ptr_nonnull(strstr(scene->notes.notes[0].text, "RETR 2"));
	ck_assert_uint_eq(count_trouble(scene, 1), 1);
	ck_assert_uint_eq(count_trouble(scene, 0), 0);
	ck_assert_str_eq(describe_rows(scene), "U1:2 U3:2 ");
	check_mail(scene, 0, 2);
	scene_free(scene);
}
END_TEST

START_TEST(a_refused_dele_is_noted_and_the_row_stays)
{
	struct scene *scene = scene_new(2);
	const struct peer_row rows[] = {
		GREETING,
		NO_CAPA,
		PEER_ROW("RETR 1", MESSAGE(1)),
		PEER_ROW("RETR 2", MESSAGE(2)),
		PEER_ROW("DELE 1", "-ERR no\r\n"),
		PEER_ROW("DELE 2", "+OK\r\n"),
	};

	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_msg(scene->result == 0, "%s", scene->err.text);
	ck_assert_uint_eq(scene->report.deleted, 1);
	ck_assert_uint_eq(scene->report.refused, 1);
	ck_assert_str_eq(describe_rows(scene), "U1:2 U2:2 ");
	scene_free(scene);
}
END_TEST

START_TEST(a_message_that_is_known_is_deleted_and_not_delivered)
{
	struct scene *scene = scene_new(1);
	const struct peer_row rows[] = {
		GREETING,
		NO_CAPA,
		PEER_ROW("RETR 1", MESSAGE(1)),
		PEER_ROW("DELE 1", "+OK\r\n"),
	};

	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_int_eq(scene->result, 0);
	peer_free(&scene->peer);
	(void)store_know(&scene->store, false);
	scene->report = (struct report){ 0 };
	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_int_eq(scene->result, 0);
	ck_assert_uint_eq(scene->report.fetched, 0);
	ck_assert_uint_eq(scene->report.deleted, 1);
	check_mail(scene, 0, 1);
	scene_free(scene);
}
END_TEST

#define PROOF(how) { .proof = (how) }
#define IN_STEP                                                       \
	"RETR 1\nRETR 2\nRETR 3\n(proof)\n(journal)\n(new)\n"         \
	"(journal)\nDELE 1\nDELE 2\nDELE 3\nQUIT\n"

/* LIST's size is a hint, often wrong: then the server must prove itself. */
static const struct {
	const char *name;
	int64_t sizes[3];
	const char *extra; /* behind the last message */
	struct peer_row proof;
	const char *expected; /* the transcript; NULL: nothing is deleted */
	const char *rows;     /* where each message was a batch */
} doubt_cases[] = {
	{ "all sizes differ", { 19, 21, -1 }, "", PROOF(PEER_IN_STEP), IN_STEP,
	  "U1:2 U2:2 U3:2 " },
	{ "one size is unknown", { 20, -1, 20 }, "", PROOF(PEER_IN_STEP),
	  IN_STEP, "U1:2 U2:2 U3:2 " },
	{ "the last differs and all is refused", { 20, 20, 21 }, "",
	  PROOF(PEER_SAYS_ERR), NULL, "U1:2 U2:2 " },
	{ "the second differs and all is refused", { 20, 21, 20 }, "",
	  PROOF(PEER_SAYS_ERR), NULL, "U1:2 " },
	{ "the first differs and all is refused", { 21, 20, 20 }, "",
	  PROOF(PEER_SAYS_ERR), NULL, "" },
	{ "all is accepted, as a forger would", { 20, 21, 20 }, "",
	  PROOF(PEER_SAYS_OK), NULL, "U1:2 " },
	{ "one reply too many came before", { 20, 21, 20 }, "+OK\r\n",
	  PROOF(PEER_IN_STEP), NULL, "U1:2 " },
	{ "a body that goes on came before", { 20, 21, 20 }, "body\r\n.\r\n",
	  PROOF(PEER_IN_STEP), NULL, "U1:2 " },
	{ "the connection is cut instead", { 20, 21, 20 }, "",
	  { .send = "", .patience_msec = 1000, .closes = true }, NULL,
	  "U1:2 " },
};

START_TEST(sizes_that_differ_are_settled_by_a_proof)
{
	const char *name = doubt_cases[_i].name;
	/* All three are one batch, and in doubt together. */
	const char *kept = doubt_cases[_i].expected ? doubt_cases[_i].rows : "";
	struct scene *scene = scene_new(3);
	char answers[256];
	struct peer_row rows[] = {
		GREETING,
		PIPELINING,
		PEER_ROW("RETR 1", NULL),
		PEER_ROW("RETR 2", NULL),
		PEER_ROW("RETR 3", answers),
		doubt_cases[_i].proof,
		PEER_ROW("DELE 1", NULL),
		PEER_ROW("DELE 2", NULL),
		PEER_ROW("DELE 3", "+OK\r\n+OK\r\n+OK\r\n"),
	};

	(void)snprintf(answers, sizeof(answers), "%s%s",
		       MESSAGE(1) MESSAGE(2) MESSAGE(3), doubt_cases[_i].extra);
	for (size_t i = 0; i < 3; i++)
		scene->items[i].list_size = doubt_cases[_i].sizes[i];
	scene_run(scene, rows, ARRAY_SIZE(rows) - (rows[5].closes ? 3 : 0));
	ck_assert_msg(strcmp(describe_rows(scene), kept) == 0, "%s: %s", name,
		      describe_rows(scene));
	check_mail(scene, 0, strlen(kept) / strlen("U1:2 "));
	if (doubt_cases[_i].expected) {
		ck_assert_msg(scene->result == 0, "%s: %s", name,
			      scene->err.text);
		ck_assert_msg(strcmp(transcript(scene),
				     doubt_cases[_i].expected) == 0,
			      "%s: %s", name, transcript(scene));
	} else {
		ck_assert_msg(scene->result < 0, "%s: went well", name);
		ck_assert_msg(!strstr(transcript(scene), "DELE 2") &&
				      !strstr(transcript(scene), "DELE 3"),
			      "%s: %s", name, transcript(scene));
	}
	scene_free(scene);
}
END_TEST

/* The same with batches that are due at each message: doubt holds them open. */
START_TEST(doubt_holds_a_batch_open_that_is_due)
{
	const char *name = doubt_cases[_i].name;
	struct scene *scene = scene_new(3);
	char answers[256];
	struct peer_row rows[] = {
		GREETING,
		PIPELINING,
		PEER_ROW("RETR 1", NULL),
		PEER_ROW("RETR 2", NULL),
		PEER_ROW("RETR 3", answers),
		doubt_cases[_i].proof,
	};

	if (doubt_cases[_i].expected) {
		scene_free(scene);
		return;
	}
	(void)snprintf(answers, sizeof(answers), "%s%s",
		       MESSAGE(1) MESSAGE(2) MESSAGE(3), doubt_cases[_i].extra);
	for (size_t i = 0; i < 3; i++)
		scene->items[i].list_size = doubt_cases[_i].sizes[i];
	scene->account.batch_messages = 1;
	scene->account.keep = KEEP_FOREVER; /* the DELEs are another case's */
	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_msg(scene->result < 0, "%s: went well", name);
	ck_assert_msg(strcmp(describe_rows(scene), doubt_cases[_i].rows) == 0,
		      "%s: %s", name, describe_rows(scene));
	check_mail(scene, 0, strlen(doubt_cases[_i].rows) / strlen("U1:2 "));
	scene_free(scene);
}
END_TEST

/*
 * A server that does not stuff dots, and a message 1 made for it: its body
 * ends early, and its rest is taken for the answer to RETR 2, so that the
 * true message 2 would be deleted and never delivered.
 */
#define FORGED                                                        \
	"+OK 60 octets\r\nSubject: 1\r\n\r\n.\r\n+OK 20 octets\r\n"   \
	"Subject: X\r\n\r\nbody\r\n.\r\n"

static const struct {
	const char *name;
	const char *at_once; /* in answer to both RETRs */
	const char *alone;   /* in answer to the first question */
	const char *then;    /* a little later */
} forged_cases[] = {
	{ "the true message 2 stands behind", FORGED MESSAGE(2), "", "" },
	{ "it comes with the first answer", FORGED, MESSAGE(2), "" },
	{ "its status line comes alone", FORGED, "+OK 20 octets\r\n",
	  "Subject: 2\r\n\r\nbody\r\n.\r\n" },
	{ "the forger wrote an answer more", FORGED "+OK\r\n", MESSAGE(2), "" },
	{ "the forger wrote answers without end",
	  FORGED "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n"
		 "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n",
	  MESSAGE(2), "" },
};

START_TEST(a_forged_reply_voids_the_batch)
{
	const char *name = forged_cases[_i].name;
	struct scene *scene = scene_new(2);
	const struct peer_row rows[] = {
		GREETING,
		PIPELINING,
		PEER_ROW("RETR 1", NULL),
		PEER_ROW("RETR 2", forged_cases[_i].at_once),
		PEER_ROW("*", forged_cases[_i].alone),
		{ .send = forged_cases[_i].then, .patience_msec = 100 },
		PROOF(PEER_IN_STEP),
	};

	scene->items[0].list_size = 60;
	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_msg(!strstr(transcript(scene), "DELE"), "%s: %s", name,
		      transcript(scene));
	ck_assert_msg(strcmp(describe_rows(scene), "") == 0, "%s: recorded %s",
		      name, describe_rows(scene));
	ck_assert_msg(scene->result < 0, "%s: went well", name);
	ck_assert_msg(scene->err.kind == ERROR_PROTOCOL, "%s: %s", name,
		      scene->err.text);
	check_mail(scene, 0, 0);
	scene_free(scene);
}
END_TEST

static const struct {
	const char *name;
	const char *answers;
	const char *rows;
	int trouble; /* the message that made it; -1: none of them */
} cut_cases[] = {
	{ "in the middle of message 2",
	  MESSAGE(1) "+OK\r\nSubject: 2\r\n\r\nbo", "U1:2 ", 1 },
	{ "at the end of a line of message 2",
	  MESSAGE(1) "+OK\r\nSubject: 2\r\n", "U1:2 ", 1 },
	{ "before the last line's dot",
	  MESSAGE(1) "+OK\r\nSubject: 2\r\n\r\nbody\r\n",
	  "U1:2 ", 1 },
	{ "behind the dot without its end",
	  MESSAGE(1) "+OK\r\nSubject: 2\r\n\r\nbody\r\n.", "U1:2 ", 1 },
	{ "behind a status line", MESSAGE(1) "+OK\r\n", "U1:2 ", 1 },
	{ "between messages", MESSAGE(1) MESSAGE(2), "U1:2 U2:2 ", 2 },
	{ "before the first", "", "", 0 },
};

START_TEST(a_cut_connection_keeps_what_is_complete)
{
	const char *name = cut_cases[_i].name;
	struct scene *scene = scene_new(3);
	const struct peer_row rows[] = {
		GREETING,
		PIPELINING,
		PEER_ROW("RETR 1", NULL),
		PEER_ROW("RETR 2", NULL),
		{ .expect = "RETR 3", .send = cut_cases[_i].answers,
		  .closes = true },
	};

	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_msg(scene->result < 0 && scene->err.kind == ERROR_NETWORK,
		      "%s: %s", name, scene->err.text);
	ck_assert_msg(!scene->was_in_step, "%s: in step", name);
	ck_assert_int_eq(scene->report.step, STEP_FETCH);
	ck_assert_msg(strcmp(describe_rows(scene), cut_cases[_i].rows) == 0,
		      "%s: %s", name, describe_rows(scene));
	ck_assert_msg(!strstr(transcript(scene), "DELE"), "%s", name);
	check_mail(scene, 0, strlen(cut_cases[_i].rows) / strlen("U1:2 "));
	for (int i = 0; i < 3; i++)
		ck_assert_msg(count_trouble(scene, (size_t)i) ==
				      (i == cut_cases[_i].trouble ? 1 : 0),
			      "%s: trouble of message %d", name, i + 1);
	scene_free(scene);
}
END_TEST

START_TEST(a_cut_among_deles_loses_no_row)
{
	struct scene *scene = scene_new(2);
	const struct peer_row rows[] = {
		GREETING,
		NO_CAPA,
		PEER_ROW("RETR 1", MESSAGE(1)),
		PEER_ROW("RETR 2", MESSAGE(2)),
		{ .expect = "DELE 1", .send = "+OK\r\n", .closes = true },
	};

	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_int_lt(scene->result, 0);
	ck_assert_int_eq(scene->report.step, STEP_DELETE);
	ck_assert_uint_eq(scene->report.deleted, 1);
	ck_assert_uint_eq(scene->report.fetched, 2);
	ck_assert_str_eq(describe_rows(scene), "U1:2 U2:2 ");
	scene_free(scene);
}
END_TEST

/* What is on its way is read to its end, so that QUIT can follow. */
START_TEST(a_maildir_that_fails_ends_the_sending_not_the_reading)
{
	struct scene *scene = scene_new(3);
	const struct peer_row rows[] = {
		GREETING,
		PIPELINING,
		PEER_ROW("RETR 1", NULL),
		PEER_ROW("RETR 2", NULL),
		PEER_ROW("RETR 3", MESSAGE(1) MESSAGE(2) MESSAGE(3)),
	};
	char path[sizeof(scene->store.mail) + 8];

	(void)snprintf(path, sizeof(path), "%s/tmp", scene->store.mail);
	ck_assert_int_eq(rmdir(path), 0);
	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_int_lt(scene->result, 0);
	ck_assert_int_eq(scene->err.kind, ERROR_LOCAL);
	ck_assert_int_eq(scene->report.step, STEP_DELIVER);
	ck_assert(scene->was_in_step);
	/* The commit: message 1 goes last in the next visit. */
	ck_assert_str_eq(transcript(scene),
			 "RETR 1\nRETR 2\nRETR 3\n(journal)\n");
	ck_assert_uint_eq(scene->report.fetched, 0);
	scene_free(scene);
}
END_TEST

START_TEST(a_journal_that_fails_lets_no_dele_leave)
{
	struct scene *scene = scene_new(3);
	const struct peer_row rows[] = {
		GREETING,
		PIPELINING,
		PEER_ROW("RETR 1", NULL),
		PEER_ROW("RETR 2", NULL),
		PEER_ROW("RETR 3", MESSAGE(1) MESSAGE(2) MESSAGE(3)),
	};

	scene->account.batch_messages = 1;
	journal_fails = true;
	scene_run(scene, rows, ARRAY_SIZE(rows));
	journal_fails = false;
	ck_assert_int_lt(scene->result, 0);
	ck_assert_int_eq(scene->err.kind, ERROR_LOCAL);
	ck_assert(scene->was_in_step);
	ck_assert(!strstr(transcript(scene), "DELE"));
	check_mail(scene, 1, 0); /* the first, for recovery to decide */
	scene_free(scene);
}
END_TEST

START_TEST(a_deadline_that_has_passed_sends_nothing_more)
{
	struct scene *scene = scene_new(3);
	const struct peer_row rows[] = { GREETING, PIPELINING };

	scene->deadline_usec = 0;
	scene_run(scene, rows, ARRAY_SIZE(rows));
	ck_assert_int_eq(scene->result, 0);
	ck_assert(scene->report.stopped);
	ck_assert(scene->was_in_step);
	ck_assert_str_eq(transcript(scene), "");
	scene_free(scene);
}
END_TEST

static void add_order(TCase *tcase)
{
	tcase_add_test(tcase,
		       commands_are_pipelined_and_deles_follow_the_commit);
	tcase_add_test(tcase,
		       without_pipelining_each_command_waits_for_its_reply);
	tcase_add_test(tcase,
		       the_dele_of_a_batch_leaves_behind_the_next_commit);
	tcase_add_test(tcase, the_last_batch_waits_for_no_reply_to_a_dele);
	tcase_add_test(tcase, a_server_that_pauses_lets_the_batch_be_closed);
	tcase_add_test(tcase, kept_mail_is_not_deleted);
	tcase_add_test(tcase,
		       what_the_journal_vouches_for_is_deleted_without_retr);
	tcase_add_test(
		tcase,
		where_what_nobody_asked_for_has_come_quit_waits_for_the_deles);
	tcase_add_test(
		tcase,
		what_comes_behind_the_replies_that_are_due_was_asked_by_nobody);
	tcase_add_test(tcase,
		       a_dele_refused_with_quit_behind_it_is_noted_all_the_same);
	tcase_add_test(tcase, an_empty_plan_says_and_flushes_nothing);
	tcase_add_test(tcase,
		       a_window_holds_as_many_commands_as_no_side_can_block_on);
	tcase_add_test(tcase, a_window_holds_at_most_what_the_line_carries);
}

static void add_oddities(TCase *tcase)
{
	tcase_add_test(tcase, a_refused_retr_is_noted_and_the_others_go_on);
	tcase_add_test(tcase, a_refused_dele_is_noted_and_the_row_stays);
	tcase_add_test(
		tcase,
		a_message_that_is_known_is_deleted_and_not_delivered);
	tcase_add_loop_test(tcase, sizes_that_differ_are_settled_by_a_proof, 0,
			    (int)ARRAY_SIZE(doubt_cases));
	tcase_add_loop_test(tcase, doubt_holds_a_batch_open_that_is_due, 0,
			    (int)ARRAY_SIZE(doubt_cases));
	tcase_add_loop_test(tcase, a_forged_reply_voids_the_batch, 0,
			    (int)ARRAY_SIZE(forged_cases));
	tcase_add_loop_test(tcase, a_cut_connection_keeps_what_is_complete, 0,
			    (int)ARRAY_SIZE(cut_cases));
	tcase_add_test(tcase, a_cut_among_deles_loses_no_row);
	tcase_add_test(tcase,
		       a_maildir_that_fails_ends_the_sending_not_the_reading);
	tcase_add_test(tcase, a_journal_that_fails_lets_no_dele_leave);
	tcase_add_test(tcase, a_deadline_that_has_passed_sends_nothing_more);
}

int main(void)
{
	Suite *suite = suite_create("fetch");
	TCase *order = tcase_create("order");
	TCase *oddities = tcase_create("oddities");
	SRunner *runner;
	int n_failed;

	tcase_set_timeout(order, 30);
	tcase_set_timeout(oddities, 30);
	add_order(order);
	add_oddities(oddities);
	suite_add_tcase(suite, order);
	suite_add_tcase(suite, oddities);

	scratch_begin();
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	scratch_end();
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
