/*
 * test-visit.c - what a worker may say, how it may end, and in which words
 * its end is told.
 */
#include "visit.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <systemd/sd-event.h>

#include "log.h"
#include "logged.h"

#define LINES_MAX 200 /* as visit.c has it */

/* A visit whose worker is the test. */
struct scene {
	struct account account;
	struct config config;
	struct roster_entry entry;
	struct roster_host host;
	struct visit *visit;
	sd_event *event;
	int far_fd; /* the worker's end */
};

static void scene_make(struct scene *scene)
{
	static char name[] = "test", maildir[] = "/home/mrose/Maildir";
	int pair[2];

	*scene = (struct scene){
		.account = { .name = name,
			     .maildir = maildir,
			     .reply_timeout_usec = USEC_PER_SEC,
			     .stop_timeout_usec = 2 * USEC_PER_SEC },
		.config = { .n_refs = 1 },
	};
	scene->entry.account = &scene->account;
	scene->entry.host = &scene->host;
	scene->visit = visit_new(&scene->config, &scene->entry);
	ck_assert_ptr_nonnull(scene->visit);
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	scene->visit->worker.fd = pair[0];
	scene->visit->worker.pid = 4711; /* for words alone */
	scene->far_fd = pair[1];
	logged_begin(LOG_DEBUG);
}

static void scene_done(struct scene *scene)
{
	visit_free(&scene->visit);
	ck_assert_uint_eq(scene->config.n_refs, 1);
	fd_close(&scene->far_fd);
	(void)sd_event_unref(scene->event);
}

static void send_message(const struct scene *scene,
			 const struct message *message)
{
	uint8_t packet[REPORT_PACKET_MAX];
	size_t len = report_encode(message, packet, sizeof(packet));

	/* Whatever waits to be read is bounded by the socket's buffer. */
	ck_assert_int_eq(send(scene->far_fd, packet, len, MSG_DONTWAIT),
			 (ssize_t)len);
}

static void send_line(const struct scene *scene, int priority, const char *text)
{
	struct message message = { .type = MESSAGE_LOG };

	message.log.priority = priority;
	(void)snprintf(message.log.text, sizeof(message.log.text), "%s", text);
	send_message(scene, &message);
}

static void send_report(const struct scene *scene, uint32_t fetched)
{
	struct message message = { .type = MESSAGE_REPORT };

	message.report.step = STEP_QUIT;
	message.report.fetched = fetched;
	send_message(scene, &message);
}

START_TEST(a_line_of_the_worker_is_passed_on_with_its_priority)
{
	struct scene scene;

	scene_make(&scene);
	send_line(&scene, LOG_WARNING, "DELE 1: -ERR");
	send_line(&scene, LOG_DEBUG, "too much for most");
	log_set_max_level(LOG_WARNING);
	ck_assert_int_eq(visit_read(scene.visit, 8), VISIT_INPUT_LATER);
	ck_assert_str_eq(logged_take(), "test: DELE 1: -ERR\n");
	scene_done(&scene);
}
END_TEST

START_TEST(progress_is_a_sign_of_life_and_no_more)
{
	const struct message progress = { .type = MESSAGE_PROGRESS };
	struct scene scene;

	scene_make(&scene);
	scene.visit->last_sign_usec = 1;
	send_message(&scene, &progress);
	ck_assert_int_eq(visit_read(scene.visit, 8), VISIT_INPUT_LATER);
	ck_assert_uint_gt(scene.visit->last_sign_usec, 1);
	ck_assert(!scene.visit->has_report);
	ck_assert_str_eq(logged_take(), "");
	scene_done(&scene);
}
END_TEST

START_TEST(no_more_packets_are_read_than_asked_for)
{
	struct scene scene;

	scene_make(&scene);
	for (int i = 0; i < 3; i++)
		send_line(&scene, LOG_INFO, "line");
	ck_assert_int_eq(visit_read(scene.visit, 2), VISIT_INPUT_MORE);
	ck_assert_str_eq(logged_take(), "test: line\ntest: line\n");
	ck_assert_int_eq(visit_read(scene.visit, 2), VISIT_INPUT_LATER);
	ck_assert_str_eq(logged_take(), "test: line\n");
	scene_done(&scene);
}
END_TEST

START_TEST(lines_beyond_the_bound_are_dropped_but_no_report)
{
	struct scene scene;

	scene_make(&scene);
	for (unsigned i = 0; i < LINES_MAX; i++) {
		send_line(&scene, LOG_DEBUG, "line");
		ck_assert_int_eq(visit_read(scene.visit, 1), VISIT_INPUT_MORE);
		ck_assert_str_eq(logged_take(), "test: line\n");
	}
	send_line(&scene, LOG_ERR, "one more");
	send_line(&scene, LOG_ERR, "and one more");
	send_report(&scene, 3);
	ck_assert_int_eq(visit_read(scene.visit, 8), VISIT_INPUT_LATER);
	ck_assert_str_eq(logged_take(),
			 "test: further lines of this visit are dropped\n");
	ck_assert(scene.visit->has_report);
	ck_assert_uint_eq(scene.visit->report.fetched, 3);
	scene_done(&scene);
}
END_TEST

START_TEST(nothing_counts_behind_the_report)
{
	struct scene scene;

	scene_make(&scene);
	send_report(&scene, 3);
	send_line(&scene, LOG_ERR, "late");
	send_report(&scene, 4);
	fd_close(&scene.far_fd);
	ck_assert_int_eq(visit_read(scene.visit, 8), VISIT_INPUT_CLOSED);
	ck_assert_uint_eq(scene.visit->report.fetched, 3);
	ck_assert_str_eq(logged_take(), "");

	visit_take_exit(scene.visit, CLD_EXITED, 0);
	ck_assert_int_eq(scene.visit->report.kind, ERROR_NONE);
	ck_assert_uint_eq(scene.visit->report.fetched, 3);
	scene_done(&scene);
}
END_TEST

/* Or a worker could hold its slot for ever, with its work behind it. */
START_TEST(nothing_behind_the_report_is_a_sign_of_life)
{
	const struct message progress = { .type = MESSAGE_PROGRESS };
	struct scene scene;

	scene_make(&scene);
	send_report(&scene, 3);
	ck_assert_int_eq(visit_read(scene.visit, 8), VISIT_INPUT_LATER);
	scene.visit->last_sign_usec = 1;
	send_message(&scene, &progress);
	send_line(&scene, LOG_INFO, "still here");
	ck_assert_int_eq(visit_read(scene.visit, 8), VISIT_INPUT_LATER);
	ck_assert_uint_eq(scene.visit->last_sign_usec, 1);
	scene_done(&scene);
}
END_TEST

static const struct {
	const char *name;
	size_t len; /* of a packet of nothing but 'x' */
	const char *line;
} bad_cases[] = {
	{ "another format", 20,
	  "test: worker 4711: not a message of a worker; "
	  "nothing more of it is read\n" },
	{ "a longer packet than any message", REPORT_PACKET_MAX + 1,
	  "test: worker 4711: message of 1025 bytes; "
	  "nothing more of it is read\n" },
};

START_TEST(a_bad_packet_is_told_once_and_ends_the_reading)
{
	const char *name = bad_cases[_i].name;
	char packet[REPORT_PACKET_MAX + 1];
	struct scene scene;

	scene_make(&scene);
	memset(packet, 'x', sizeof(packet));
	ck_assert_int_gt(send(scene.far_fd, packet, bad_cases[_i].len, 0), 0);
	send_report(&scene, 3);
	ck_assert_msg(visit_read(scene.visit, 8) == VISIT_INPUT_BAD, "%s",
		      name);
	ck_assert_str_eq(logged_take(), bad_cases[_i].line);
	ck_assert_msg(visit_read(scene.visit, 8) == VISIT_INPUT_CLOSED, "%s",
		      name);
	ck_assert_str_eq(logged_take(), "");
	ck_assert_msg(!scene.visit->has_report, "%s: read on", name);
	scene_done(&scene);
}
END_TEST

static const struct {
	const char *name;
	bool has_report;
	bool is_bad;
	enum visit_stage stage;
	int code;
	int status;
	const char *text; /* NULL: the report stands */
} exit_cases[] = {
	{ "as it should be", true, false, VISIT_RUNNING, CLD_EXITED, 0, NULL },
	{ "told, and reported", true, false, VISIT_TOLD, CLD_EXITED, 0, NULL },
	{ "about to be killed, and reported", true, false, VISIT_KILLED,
	  CLD_EXITED, 0, NULL },
	{ "no report", false, false, VISIT_RUNNING, CLD_EXITED, 3,
	  "worker exited with status 3 and no report" },
	{ "killed", false, false, VISIT_RUNNING, CLD_KILLED, SIGSEGV,
	  "worker killed by signal 11" },
	{ "killed behind its report", true, false, VISIT_RUNNING, CLD_DUMPED,
	  SIGABRT, "worker killed by signal 6" },
	{ "killed by us", false, false, VISIT_KILLED, CLD_KILLED, SIGKILL,
	  "worker did not stop in time and was killed" },
	{ "killed at last while it was stuck", false, false, VISIT_STUCK,
	  CLD_KILLED, SIGKILL, "worker did not stop in time and was killed" },
	{ "killed by somebody else", false, false, VISIT_TOLD, CLD_KILLED,
	  SIGKILL, "worker killed by signal 9" },
	{ "a bad packet behind the report", true, true, VISIT_TOLD, CLD_EXITED,
	  0, "worker sent what no worker sends" },
};

START_TEST(every_end_of_a_worker_is_an_outcome)
{
	const char *name = exit_cases[_i].name;
	const char *text = exit_cases[_i].text;
	struct scene scene;
	struct report *report;

	scene_make(&scene);
	report = &scene.visit->report;
	*report = (struct report){
		.kind = ERROR_NETWORK,
		.step = STEP_FETCH,
		.fetched = 3,
		.retry_sec = 60,
		.again = true,
		.text = "cut",
	};
	scene.visit->has_report = exit_cases[_i].has_report;
	scene.visit->is_bad = exit_cases[_i].is_bad;
	scene.visit->stage = exit_cases[_i].stage;
	visit_take_exit(scene.visit, exit_cases[_i].code,
			exit_cases[_i].status);

	ck_assert_str_eq(report->text, text ? text : "cut");
	ck_assert_msg(report->kind == (text ? ERROR_LOCAL : ERROR_NETWORK),
		      "%s: %s", name, error_kind_name(report->kind));
	ck_assert_msg(report->again == !text, "%s: again", name);
	ck_assert_msg(report->retry_sec == (text ? 0 : 60), "%s: %u s", name,
		      report->retry_sec);
	ck_assert_msg(report->fetched == 3, "%s: what was counted", name);
	scene_done(&scene);
}
END_TEST

/* A child that does nothing, and a loop that knows it. */
static void start_child(struct scene *scene)
{
	struct visit *visit = scene->visit;
	sigset_t set;
	pid_t pid;

	(void)signal(SIGTERM, SIG_DFL); /* Check has a handler */
	pid = fork();
	ck_assert_int_ge(pid, 0);
	while (pid == 0)
		(void)pause();
	visit->worker.pid = pid;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	ck_assert_int_ge(sd_event_new(&scene->event), 0);
	ck_assert_int_ge(sd_event_add_child(scene->event, &visit->exit, pid,
					    WEXITED, NULL, NULL),
			 0);
	ck_assert_int_ge(sd_event_add_time(scene->event, &visit->deadline,
					   CLOCK_MONOTONIC, UINT64_MAX, 0, NULL,
					   NULL),
			 0);
	ck_assert_int_ge(
		sd_event_source_set_enabled(visit->deadline, SD_EVENT_OFF), 0);
}

/* The signal that ends the child; it is left to the loop to be reaped. */
static int await_child(const struct scene *scene)
{
	siginfo_t info;

	ck_assert_int_eq(waitid(P_PID, (id_t)scene->visit->worker.pid, &info,
				WEXITED | WNOWAIT),
			 0);
	return info.si_status;
}

static bool is_child_alive(const struct scene *scene)
{
	siginfo_t info = { 0 };

	ck_assert_int_eq(waitid(P_PID, (id_t)scene->visit->worker.pid, &info,
				WEXITED | WNOHANG | WNOWAIT),
			 0);
	return info.si_pid == 0;
}

static void end_child(const struct scene *scene)
{
	ck_assert_int_eq(kill(scene->visit->worker.pid, SIGKILL), 0);
	(void)await_child(scene);
}

/* 0: it is off. */
static uint64_t deadline_of(const struct scene *scene)
{
	uint64_t usec;
	int enabled;

	ck_assert_int_ge(
		sd_event_source_get_enabled(scene->visit->deadline, &enabled),
		0);
	ck_assert_int_ge(
		sd_event_source_get_time(scene->visit->deadline, &usec), 0);
	return enabled == SD_EVENT_OFF ? 0 : usec;
}

START_TEST(a_worker_is_told_once_and_has_time_to_end)
{
	struct scene scene;
	uint64_t time, before, patience;

	scene_make(&scene);
	start_child(&scene);
	patience = scene.account.stop_timeout_usec + VISIT_KILL_GRACE_USEC;
	before = now_usec(CLOCK_MONOTONIC);
	visit_tell_to_stop(scene.visit);
	ck_assert_int_eq(scene.visit->stage, VISIT_TOLD);
	ck_assert_int_eq(await_child(&scene), SIGTERM);
	time = deadline_of(&scene);
	ck_assert_uint_ge(time, before + patience);
	ck_assert_uint_le(time, now_usec(CLOCK_MONOTONIC) + patience);

	visit_tell_to_stop(scene.visit);
	ck_assert_uint_eq(deadline_of(&scene), time);
	ck_assert_str_eq(logged_take(), "");
	scene_done(&scene);
}
END_TEST

START_TEST(a_kill_gives_a_last_deadline)
{
	struct scene scene;
	uint64_t before;

	scene_make(&scene);
	start_child(&scene);
	before = now_usec(CLOCK_MONOTONIC);
	visit_kill(scene.visit);
	ck_assert_int_eq(scene.visit->stage, VISIT_KILLED);
	ck_assert_int_eq(await_child(&scene), SIGKILL);
	ck_assert_uint_ge(deadline_of(&scene), before + VISIT_STUCK_USEC);
	scene_done(&scene);
}
END_TEST

START_TEST(a_worker_that_lives_gets_a_new_deadline)
{
	struct scene scene;

	scene_make(&scene);
	start_child(&scene);
	/* So many hours ahead that no slow machine gets there. */
	scene.visit->last_sign_usec = now_usec(CLOCK_MONOTONIC) + USEC_PER_HOUR;
	visit_check_signs_of_life(scene.visit);
	ck_assert_uint_eq(deadline_of(&scene),
			  scene.visit->last_sign_usec + 3 * USEC_PER_SEC);
	ck_assert_int_eq(scene.visit->stage, VISIT_RUNNING);
	ck_assert(is_child_alive(&scene));
	ck_assert_str_eq(logged_take(), "");
	end_child(&scene);
	scene_done(&scene);
}
END_TEST

START_TEST(a_worker_silent_past_its_deadline_is_told_to_stop)
{
	static const char begin[] = "test: past its deadline and silent for ";
	struct scene scene;
	const char *line;

	scene_make(&scene);
	start_child(&scene);
	/* Silent for as long as a reply and a stop may take, and no longer. */
	scene.visit->last_sign_usec =
		now_usec(CLOCK_MONOTONIC) - 3 * USEC_PER_SEC;
	visit_check_signs_of_life(scene.visit);
	ck_assert_int_eq(scene.visit->stage, VISIT_TOLD);
	ck_assert_int_eq(await_child(&scene), SIGTERM);
	line = logged_take();
	ck_assert_msg(strncmp(line, begin, strlen(begin)) == 0, "%s", line);
	ck_assert_ptr_nonnull(strstr(line, " s: told to stop\n"));
	scene_done(&scene);
}
END_TEST

#define NEXT "next visit in 5 min"

/* clang-format off */
static const struct {
	const char *name;
	struct report report;
	uint64_t duration_usec;
	int priority; /* of the line */
	const char *line;
	enum purpose purpose;
} success_cases[] = {
	{ "no mail", { .kept = 0 }, 0, LOG_DEBUG, "no new mail", PURPOSE_FETCH },
	{ "no new mail", { .kept = 7 }, 0, LOG_DEBUG, "no new mail, 7 kept", PURPOSE_FETCH },
	{ "one message",
	  { .fetched = 1, .deleted = 1, .bytes = 512 },
	  49 * USEC_PER_MSEC,
	  LOG_INFO,
	  "1 message, 512 B to /home/mrose/Maildir in 0.0 s, 1 deleted", PURPOSE_FETCH },
	{ "several messages",
	  { .fetched = 2000, .deleted = 1999, .refused = 1, .bytes = 1400000 },
	  59949 * USEC_PER_MSEC,
	  LOG_INFO,
	  "2000 messages, 1.4 MB to /home/mrose/Maildir in 59.9 s, "
	  "1999 deleted, 1 refused", PURPOSE_FETCH },
	{ "a minute and more",
	  { .fetched = 2, .kept = 3, .bytes = 0 },
	  90 * USEC_PER_SEC,
	  LOG_INFO,
	  "2 messages, 0 B to /home/mrose/Maildir in 1 min 30 s, 3 kept", PURPOSE_FETCH },
	{ "deleted only", { .deleted = 5 }, 0, LOG_INFO,
	  "no new mail, 5 deleted", PURPOSE_FETCH },
	{ "refused only", { .refused = 1 }, 0, LOG_INFO,
	  "no new mail, 1 refused", PURPOSE_FETCH },
	{ "stopped with nothing done", { .stopped = true }, 0, LOG_INFO,
	  "no new mail, stopped early", PURPOSE_FETCH },
	{ "everything at once",
	  { .fetched = 1, .deleted = 2, .kept = 3, .refused = 4, .bytes = 1,
	    .stopped = true },
	  250 * USEC_PER_MSEC,
	  LOG_INFO,
	  "1 message, 1 B to /home/mrose/Maildir in 0.3 s, 2 deleted, 3 kept, "
	  "4 refused, stopped early", PURPOSE_FETCH },
	{ "all again is told as any fetch",
	  { .fetched = 1, .deleted = 1, .bytes = 512 }, 0, LOG_INFO,
	  "1 message, 512 B to /home/mrose/Maildir in 0.0 s, 1 deleted",
	  PURPOSE_REFETCH },
	{ "marked", { .marked = 12, .kept = 3 }, 0, LOG_INFO,
	  "12 messages on the server taken as known, 3 known before, "
	  "nothing fetched", PURPOSE_MARK_SEEN },
	{ "one marked", { .marked = 1 }, 0, LOG_INFO,
	  "1 message on the server taken as known, nothing fetched",
	  PURPOSE_MARK_SEEN },
	{ "nothing to mark", { .kept = 0 }, 0, LOG_INFO,
	  "0 messages on the server taken as known, nothing fetched",
	  PURPOSE_MARK_SEEN },
};
/* clang-format on */

/* What is logged at most when lines above the level are dropped. */
static void check_line(const struct scene *scene,
		       const struct visit_words *words, int priority,
		       const char *line)
{
	char whole[1024];

	log_set_max_level(priority - 1);
	visit_log_end(scene->visit, words);
	ck_assert_str_eq(logged_take(), "");

	log_set_max_level(priority);
	visit_log_end(scene->visit, words);
	(void)snprintf(whole, sizeof(whole), "test: %s\n", line);
	ck_assert_str_eq(logged_take(), whole);
}

START_TEST(a_success_is_one_line)
{
	struct visit_words words = {
		.duration_usec = success_cases[_i].duration_usec,
		.next = NEXT,
		.purpose = success_cases[_i].purpose,
	};
	struct scene scene;

	scene_make(&scene);
	scene.visit->report = success_cases[_i].report;
	check_line(&scene, &words, success_cases[_i].priority,
		   success_cases[_i].line);
	/* With --once somebody waits, also for no news. */
	words.is_once = true;
	check_line(&scene, &words, LOG_INFO, success_cases[_i].line);
	scene_done(&scene);
}
END_TEST

/* clang-format off */
static const struct {
	const char *name;
	struct report report;
	bool has_report;
	pid_t pid;
	int priority;
	const char *line;
} failure_cases[] = {
	{ "busy passes",
	  { .kind = ERROR_BUSY, .step = STEP_LOGIN, .text = "in use" },
	  true, 1, LOG_WARNING,
	  "login failed (busy): in use; " NEXT },
	{ "so does the network",
	  { .kind = ERROR_NETWORK, .step = STEP_CONNECT, .text = "refused" },
	  true, 1, LOG_WARNING,
	  "connect failed (network): refused; " NEXT },
	{ "a refused login does not",
	  { .kind = ERROR_AUTH, .step = STEP_LOGIN, .text = "-ERR \\x1b" },
	  true, 1, LOG_ERR,
	  "login failed (auth): -ERR \\x1b; " NEXT },
	{ "nor does a broken server",
	  { .kind = ERROR_PROTOCOL, .step = STEP_LIST, .text = "LIST" },
	  true, 1, LOG_ERR, "list failed (protocol): LIST; " NEXT },
	{ "one message came through",
	  { .kind = ERROR_NETWORK, .step = STEP_FETCH, .fetched = 1,
	    .text = "cut" },
	  true, 1, LOG_WARNING,
	  "fetch failed (network): cut; 1 message was delivered before that; "
	  NEXT },
	{ "several messages came through",
	  { .kind = ERROR_LOCAL, .step = STEP_DELIVER, .fetched = 12,
	    .text = "disk full" },
	  true, 1, LOG_ERR,
	  "delivery failed (local): disk full; "
	  "12 messages were delivered before that; " NEXT },
	{ "a failure without words",
	  { .kind = ERROR_CONFIG, .step = STEP_START },
	  true, 1, LOG_ERR,
	  "start failed (config): no reason was given; " NEXT },
	{ "a worker that told nothing",
	  { .kind = ERROR_LOCAL, .text = "worker killed by signal 11" },
	  false, 1, LOG_ERR,
	  "visit failed (local): worker killed by signal 11; " NEXT },
	{ "a worker that could not be started",
	  { .kind = ERROR_LOCAL, .text = "cannot fork" },
	  false, -1, LOG_ERR, "start failed (local): cannot fork; " NEXT },
	{ "nobody is spared a percent sign",
	  { .kind = ERROR_NETWORK, .step = STEP_GREETING, .text = "%s%n" },
	  true, 1, LOG_WARNING, "greeting failed (network): %s%n; " NEXT },
};
/* clang-format on */

START_TEST(a_failure_is_one_line_that_says_what_happens_next)
{
	const struct visit_words words = { .next = NEXT };
	struct scene scene;

	scene_make(&scene);
	scene.visit->report = failure_cases[_i].report;
	scene.visit->has_report = failure_cases[_i].has_report;
	scene.visit->worker.pid = failure_cases[_i].pid;
	check_line(&scene, &words, failure_cases[_i].priority,
		   failure_cases[_i].line);
	scene_done(&scene);
}
END_TEST

START_TEST(every_next_stands_at_the_end)
{
	static const char *const nexts[] = {
		"next visit in 45 s",
		"next visit when the configuration is reloaded",
		"run mailhaul again to retry",
		"one more visit follows at once",
		"mailhaul is stopping",
		"the account is configured no more",
	};
	struct visit_words words = { .next = nexts[_i] };
	struct scene scene;
	char line[256];

	scene_make(&scene);
	scene.visit->report.kind = ERROR_NETWORK;
	scene.visit->has_report = true;
	(void)snprintf(line, sizeof(line),
		       "start failed (network): no reason was given; %s",
		       nexts[_i]);
	check_line(&scene, &words, LOG_WARNING, line);
	scene_done(&scene);
}
END_TEST

/* No room is left for it by a text of the greatest length. */
START_TEST(the_longest_text_does_not_hide_what_happens_next)
{
	const struct visit_words words = { .next = NEXT };
	struct scene scene;
	struct report *report;
	const char *line;

	scene_make(&scene);
	report = &scene.visit->report;
	report->kind = ERROR_NETWORK;
	report->fetched = UINT32_MAX;
	memset(report->text, 'x', sizeof(report->text) - 1);
	visit_log_end(scene.visit, &words);
	line = logged_take();
	ck_assert_str_eq(line + strlen(line) - strlen("; " NEXT "\n"),
			 "; " NEXT "\n");
	scene_done(&scene);
}
END_TEST

static Suite *visit_suite(void)
{
	Suite *suite = suite_create("visit");
	TCase *input = tcase_create("input");
	TCase *stop = tcase_create("stop");
	TCase *words = tcase_create("words");

	tcase_add_test(input,
		       a_line_of_the_worker_is_passed_on_with_its_priority);
	tcase_add_test(input, progress_is_a_sign_of_life_and_no_more);
	tcase_add_test(input, no_more_packets_are_read_than_asked_for);
	tcase_add_test(input, lines_beyond_the_bound_are_dropped_but_no_report);
	tcase_add_test(input, nothing_counts_behind_the_report);
	tcase_add_test(input, nothing_behind_the_report_is_a_sign_of_life);
	tcase_add_loop_test(input,
			    a_bad_packet_is_told_once_and_ends_the_reading, 0,
			    (int)ARRAY_SIZE(bad_cases));
	tcase_add_loop_test(input, every_end_of_a_worker_is_an_outcome, 0,
			    (int)ARRAY_SIZE(exit_cases));
	suite_add_tcase(suite, input);

	tcase_set_timeout(stop, 60);
	tcase_add_test(stop, a_worker_is_told_once_and_has_time_to_end);
	tcase_add_test(stop, a_kill_gives_a_last_deadline);
	tcase_add_test(stop, a_worker_that_lives_gets_a_new_deadline);
	tcase_add_test(stop, a_worker_silent_past_its_deadline_is_told_to_stop);
	suite_add_tcase(suite, stop);

	tcase_add_loop_test(words, a_success_is_one_line, 0,
			    (int)ARRAY_SIZE(success_cases));
	tcase_add_loop_test(words,
			    a_failure_is_one_line_that_says_what_happens_next,
			    0, (int)ARRAY_SIZE(failure_cases));
	tcase_add_loop_test(words, every_next_stands_at_the_end, 0, 6);
	tcase_add_test(words, the_longest_text_does_not_hide_what_happens_next);
	suite_add_tcase(suite, words);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(visit_suite());
	int n_failed;

	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
