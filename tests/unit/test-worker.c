/*
 * test-worker.c - a worker from its start to its report.
 *
 * Its privileges, descriptors and environment are looked at from outside, by
 * the system tests. Here: each early end makes one report with the kind and
 * the step that the scheduler and the user need.
 */
#include "worker.h"

#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "peer.h"
#include "report.h"
#include "scratch.h"

#define MESSAGE "+OK\r\nSubject: 1\r\n\r\nbody\r\n.\r\n"

struct scene {
	char dir[SCRATCH_PATH_MAX];
	char root[SCRATCH_PATH_MAX + 8];
	char state_dir[SCRATCH_PATH_MAX + 16];
	char mail[SCRATCH_PATH_MAX + 8];
	char password_file[SCRATCH_PATH_MAX + 16];
	struct account account;
	struct worker_job job;
	struct worker_resources *resources;
};

/* An account of the user who runs the test, whose server refuses. */
static void scene_make(struct scene *scene)
{
	struct error err = { 0 };
	static char host[] = "127.0.0.1", name[] = "test", username[] = "mrose";
	const struct passwd *self = getpwuid(geteuid());
	static char user[64];

	(void)snprintf(user, sizeof(user), "%s", self ? self->pw_name : "root");
	*scene = (struct scene){ 0 };
	scratch_make(scene->dir);
	(void)snprintf(scene->root, sizeof(scene->root), "%s/state",
		       scene->dir);
	(void)snprintf(scene->state_dir, sizeof(scene->state_dir), "%s/account",
		       scene->root);
	(void)snprintf(scene->mail, sizeof(scene->mail), "%s/mail", scene->dir);
	(void)snprintf(scene->password_file, sizeof(scene->password_file),
		       "%s/password", scene->dir);
	scene->account = (struct account){
		.name = name,
		.host = host,
		.tls = TLS_NONE,
		.username = username,
		.password = "tanstaaf",
		.auth = AUTH_USER,
		.maildir = scene->mail,
		.user = user,
		.uid = geteuid(),
		.gid = getegid(),
		.create = true,
		.state_dir = scene->state_dir,
		.connect_timeout_usec = 10 * USEC_PER_SEC,
		.reply_timeout_usec = 10 * USEC_PER_SEC,
		.login_timeout_usec = 10 * USEC_PER_SEC,
		.visit_timeout_usec = USEC_PER_MINUTE,
		.stop_timeout_usec = USEC_PER_SEC,
		.batch_messages = 64,
		.batch_bytes = 8 << 20,
		.batch_time_usec = USEC_PER_SEC,
		.batch_pause_usec = 50 * USEC_PER_MSEC,
	};
	ck_assert_int_eq(worker_resources_new(&scene->resources, &err),
			 0);
	scene->job = (struct worker_job){ .account = &scene->account,
					  .resources = scene->resources,
					  .state_root = scene->root };
}

/* A port where nobody listens: it was ours a moment ago. */
static uint16_t refused_port(void)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(address);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	return ntohs(address.sin_port);
}

/* Reads until the worker closes; true when the last message is its report. */
static bool read_report(int fd, struct report *ret)
{
	uint8_t packet[REPORT_PACKET_MAX];
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	struct message message = { 0 };
	struct error err = { 0 };
	ssize_t len;

	for (;;) {
		ck_assert_int_gt(poll(&pollfd, 1, -1), 0);
		len = recv(fd, packet, sizeof(packet), 0);
		if (len <= 0)
			break;
		ck_assert_msg(
			report_decode(packet, (size_t)len, &message, &err) == 0,
			"%s", err.text);
	}
	*ret = message.report;
	return message.type == MESSAGE_REPORT;
}

static void finish(const struct worker *worker, struct report *ret)
{
	int status;

	ck_assert(read_report(worker->fd, ret));
	ck_assert_int_eq(waitpid(worker->pid, &status, 0), worker->pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert_int_eq(close(worker->fd), 0);
}

static void run(struct scene *scene, struct report *ret)
{
	struct worker worker;
	struct error err = { 0 };

	ck_assert_msg(worker_start(&scene->job, &worker, &err) == 0, "%s",
		      err.text);
	finish(&worker, ret);
	worker_resources_free(&scene->resources);
}

enum fault {
	REFUSED_PORT = 0,
	NO_SUCH_HOST,
	PASSWORD_FILE_MISSING,
	PASSWORD_FILE_OPEN_TO_ALL,
	PASSWORD_FILE_EMPTY,
	NO_PASSWORD_FROM_PARENT,
	MAILDIR_MISSING,
	JOURNAL_DAMAGED,
	NO_TRUST,
};

static const struct {
	const char *name;
	enum fault fault;
	enum error_kind kind;
	enum step step;
	const char *words;
} fault_cases[] = {
	{ "nobody listens", REFUSED_PORT, ERROR_NETWORK, STEP_CONNECT,
	  "127.0.0.1" },
	{ "there is no such host", NO_SUCH_HOST, ERROR_NETWORK, STEP_CONNECT,
	  "no-such-host.invalid" },
	{ "the password file is missing", PASSWORD_FILE_MISSING, ERROR_CONFIG,
	  STEP_START, "/password" },
	{ "others may read the password file", PASSWORD_FILE_OPEN_TO_ALL,
	  ERROR_CONFIG, STEP_START, "/password" },
	{ "the password file is empty", PASSWORD_FILE_EMPTY, ERROR_CONFIG,
	  STEP_START, "/password" },
	{ "no password arrives", NO_PASSWORD_FROM_PARENT, ERROR_CONFIG,
	  STEP_START, "" },
	{ "the Maildir is missing", MAILDIR_MISSING, ERROR_LOCAL, STEP_START,
	  "/mail" },
	{ "the journal is damaged", JOURNAL_DAMAGED, ERROR_CONFIG, STEP_START,
	  "journal.sqlite" },
	{ "the CA file is missing", NO_TRUST, ERROR_CONFIG, STEP_START,
	  "/no-such-ca.pem" },
};

static void use_password_file(struct scene *scene, const char *text,
			      mode_t mode)
{
	scene->account.password = NULL;
	scene->account.password_file = scene->password_file;
	if (!text)
		return;
	scratch_write(scene->password_file, text, strlen(text));
	ck_assert_int_eq(chmod(scene->password_file, mode), 0);
}

static void damage_journal(const struct scene *scene)
{
	char path[SCRATCH_PATH_MAX + 64];

	ck_assert_int_eq(mkdir(scene->root, 0700), 0);
	ck_assert_int_eq(mkdir(scene->state_dir, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/lock", scene->state_dir);
	scratch_write(path, "made\n", 5);
	(void)snprintf(path, sizeof(path), "%s/journal.sqlite",
		       scene->state_dir);
	scratch_write(path, "no database at all, but long enough", 35);
}

static void make_fault(struct scene *scene, enum fault fault)
{
	static char no_host[] = "no-such-host.invalid";
	static char no_ca[] = "/no-such-ca.pem";

	scene->account.port = refused_port();
	if (fault == NO_SUCH_HOST)
		scene->account.host = no_host;
	if (fault == PASSWORD_FILE_MISSING)
		use_password_file(scene, NULL, 0);
	if (fault == PASSWORD_FILE_OPEN_TO_ALL)
		use_password_file(scene, "tanstaaf\n", 0644);
	if (fault == PASSWORD_FILE_EMPTY)
		use_password_file(scene, "\n", 0600);
	if (fault == NO_PASSWORD_FROM_PARENT)
		scene->account.password = ""; /* as a wiped one reads */
	if (fault == MAILDIR_MISSING)
		scene->account.create = false;
	if (fault == JOURNAL_DAMAGED)
		damage_journal(scene);
	if (fault == NO_TRUST) {
		scene->account.tls = TLS_IMPLICIT;
		scene->account.ca_file = no_ca;
	}
}

START_TEST(an_early_end_makes_one_report)
{
	const char *name = fault_cases[_i].name;
	struct scene scene;
	struct report report;

	scene_make(&scene);
	make_fault(&scene, fault_cases[_i].fault);
	run(&scene, &report);
	ck_assert_msg(report.kind == fault_cases[_i].kind, "%s: %s, %s", name,
		      error_kind_name(report.kind), report.text);
	ck_assert_msg(report.step == fault_cases[_i].step, "%s: step %s", name,
		      step_name(report.step));
	ck_assert_msg(strstr(report.text, fault_cases[_i].words), "%s: %s",
		      name, report.text);
	ck_assert_msg(!strstr(report.text, "tanstaaf"), "%s: told", name);
	ck_assert_uint_eq(report.fetched, 0);
}
END_TEST

static const struct {
	const char *name;
	enum purpose purpose;
	uint32_t fetched, marked;
} purpose_cases[] = {
	{ "--mark-seen", PURPOSE_MARK_SEEN, 0, 1 },
	{ "--refetch", PURPOSE_REFETCH, 1, 0 },
};

START_TEST(a_person_goes_on_with_a_journal_that_is_damaged)
{
	_cleanup_peer_ struct peer *peer = NULL;
	const struct peer_row rows[] = {
		{ .send = "+OK ready\r\n" },
		PEER_ROW("CAPA", "+OK\r\nUIDL\r\n.\r\n"),
		PEER_ROW("USER mrose", "+OK\r\n"),
		PEER_ROW("PASS tanstaaf", "+OK\r\n"),
		PEER_ROW("UIDL", "+OK\r\n1 A\r\n.\r\n"),
		PEER_ROW("LIST", "+OK\r\n1 20\r\n.\r\n"),
		PEER_ROW("RETR 1", MESSAGE),
		PEER_ROW("QUIT", "+OK\r\n"),
	};
	const struct peer_row marking[] = { rows[0], rows[1], rows[2], rows[3],
					    rows[4], rows[5], rows[7] };
	const char *name = purpose_cases[_i].name;
	bool is_marking = purpose_cases[_i].marked > 0;
	struct scene scene;
	struct report report;

	scene_make(&scene);
	damage_journal(&scene);
	scene.account.keep = KEEP_FOREVER;
	scene.job.purpose = purpose_cases[_i].purpose;
	peer = peer_new_listening(is_marking ? marking : rows,
				  is_marking ? ARRAY_SIZE(marking)
					     : ARRAY_SIZE(rows),
				  &scene.account.port);
	run(&scene, &report);
	(void)peer_finish(peer);
	ck_assert_msg(report.kind == ERROR_NONE, "%s: %s", name, report.text);
	ck_assert_msg(report.fetched == purpose_cases[_i].fetched &&
			      report.marked == purpose_cases[_i].marked,
		      "%s: %u fetched, %u marked", name, report.fetched,
		      report.marked);
	ck_assert(peer_has_played_all(peer));
	ck_assert_msg(scratch_count(scene.state_dir, ".") == 4,
		      "the old journal lies beside the new one and its WAL");
}
END_TEST

START_TEST(a_whole_visit_delivers_and_deletes)
{
	_cleanup_peer_ struct peer *peer = NULL;
	const struct peer_row rows[] = {
		{ .send = "+OK ready\r\n" },
		PEER_ROW("CAPA", "+OK\r\nUIDL\r\n.\r\n"),
		PEER_ROW("USER mrose", "+OK\r\n"),
		PEER_ROW("PASS tanstaaf", "+OK\r\n"),
		PEER_ROW("UIDL", "+OK\r\n1 A\r\n.\r\n"),
		PEER_ROW("LIST", "+OK\r\n1 20\r\n.\r\n"),
		PEER_ROW("RETR 1", MESSAGE),
		PEER_ROW("DELE 1", "+OK\r\n"),
		PEER_ROW("QUIT", "+OK\r\n"),
	};
	struct scene scene;
	struct report report;

	scene_make(&scene);
	use_password_file(&scene, "tanstaaf\n", 0600);
	peer = peer_new_listening(rows, ARRAY_SIZE(rows), &scene.account.port);
	run(&scene, &report);
	(void)peer_finish(peer);
	ck_assert_msg(report.kind == ERROR_NONE, "%s", report.text);
	ck_assert_str_eq(report.text, "");
	ck_assert_uint_eq(report.fetched, 1);
	ck_assert_uint_eq(report.deleted, 1);
	ck_assert_uint_eq(report.bytes, 17);
	ck_assert(peer_has_played_all(peer));
	ck_assert_uint_eq(scratch_count(scene.mail, "new"), 1);
	ck_assert_uint_eq(scratch_count(scene.mail, "tmp"), 0);
}
END_TEST

START_TEST(a_refused_login_is_quit_and_names_the_server_and_its_words)
{
	_cleanup_peer_ struct peer *peer = NULL;
	const struct peer_row rows[] = {
		{ .send = "+OK ready\r\n" },
		PEER_ROW("CAPA", "-ERR\r\n"),
		PEER_ROW("USER mrose", "+OK\r\n"),
		PEER_ROW("PASS tanstaaf", "-ERR wrong password\r\n"),
		PEER_ROW("QUIT", "+OK\r\n"),
	};
	struct scene scene;
	struct report report;

	scene_make(&scene);
	peer = peer_new_listening(rows, ARRAY_SIZE(rows), &scene.account.port);
	run(&scene, &report);
	(void)peer_finish(peer);
	ck_assert(peer_has_played_all(peer));
	ck_assert_int_eq(report.kind, ERROR_AUTH);
	ck_assert_int_eq(report.step, STEP_LOGIN);
	ck_assert_uint_eq(report.retry_sec, 900);
	ck_assert_ptr_nonnull(strstr(report.text, "127.0.0.1"));
	ck_assert_ptr_nonnull(strstr(report.text, "wrong password"));
}
END_TEST

/* It says QUIT and reports, and does not just die. */
START_TEST(a_worker_that_is_told_to_stop_reports)
{
	_cleanup_peer_ struct peer *peer = NULL;
	const struct peer_row rows[] = {
		{ .send = "+OK ready\r\n" },
		PEER_ROW("CAPA", NULL), /* and never an answer */
	};
	struct scene scene;
	struct worker worker;
	struct report report;
	struct error err = { 0 };

	scene_make(&scene);
	peer = peer_new_listening(rows, ARRAY_SIZE(rows), &scene.account.port);
	ck_assert_int_eq(worker_start(&scene.job, &worker, &err), 0);
	while (!peer_has_played_all(peer))
		(void)poll(NULL, 0, 1);
	ck_assert_int_eq(kill(worker.pid, SIGTERM), 0);
	finish(&worker, &report);
	ck_assert_int_eq(report.kind, ERROR_NETWORK);
	ck_assert_int_eq(report.step, STEP_CAPA);
	worker_resources_free(&scene.resources);
}
END_TEST

START_TEST(the_second_worker_of_an_account_is_busy_and_names_the_first)
{
	_cleanup_peer_ struct peer *peer = NULL;
	const struct peer_row rows[] = {
		{ .send = "+OK ready\r\n" },
		PEER_ROW("CAPA", NULL),
	};
	struct scene scene;
	struct worker first, second;
	struct report report;
	struct error err = { 0 };
	char pid[32];

	scene_make(&scene);
	peer = peer_new_listening(rows, ARRAY_SIZE(rows), &scene.account.port);
	ck_assert_int_eq(worker_start(&scene.job, &first, &err), 0);
	while (!peer_has_played_all(peer))
		(void)poll(NULL, 0, 1);
	ck_assert_int_eq(worker_start(&scene.job, &second, &err), 0);
	finish(&second, &report);
	(void)snprintf(pid, sizeof(pid), "pid %d", (int)first.pid);
	ck_assert_int_eq(report.kind, ERROR_BUSY);
	ck_assert_int_eq(report.step, STEP_START);
	ck_assert_msg(strstr(report.text, pid) != NULL, "%s", report.text);

	ck_assert_int_eq(kill(first.pid, SIGTERM), 0);
	finish(&first, &report);
	worker_resources_free(&scene.resources);
}
END_TEST

START_TEST(a_state_directory_that_cannot_be_made_starts_no_worker)
{
	struct scene scene;
	struct worker worker;
	struct error err = { 0 };

	scene_make(&scene);
	memset(&worker, 0x5a, sizeof(worker));
	scratch_write(scene.root, "", 0);
	ck_assert_int_eq(worker_start(&scene.job, &worker, &err), -1);
	ck_assert_int_eq(err.kind, ERROR_LOCAL);
	ck_assert_int_eq(worker.fd, 0x5a5a5a5a);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no child */
	worker_resources_free(&scene.resources);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("worker");
	TCase *tcase = tcase_create("worker");
	SRunner *runner;
	int n_failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, an_early_end_makes_one_report, 0,
			    (int)ARRAY_SIZE(fault_cases));
	tcase_add_loop_test(tcase,
			    a_person_goes_on_with_a_journal_that_is_damaged, 0,
			    (int)ARRAY_SIZE(purpose_cases));
	tcase_add_test(tcase, a_whole_visit_delivers_and_deletes);
	tcase_add_test(
		tcase,
		a_refused_login_is_quit_and_names_the_server_and_its_words);
	tcase_add_test(tcase, a_worker_that_is_told_to_stop_reports);
	tcase_add_test(
		tcase,
		the_second_worker_of_an_account_is_busy_and_names_the_first);
	tcase_add_test(tcase,
		       a_state_directory_that_cannot_be_made_starts_no_worker);
	suite_add_tcase(suite, tcase);

	scratch_begin();
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	scratch_end();
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
