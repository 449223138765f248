/*
 * test-supervisor.c - the daemon and --once, from the first visit to the
 * exit status.
 *
 * The worker.h of this program is the test's: each worker ends as the script
 * says, and signals are sent while one is started, so that the loop finds
 * them when it comes back.
 */
#include "supervisor.h"

#include <check.h>
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <systemd/sd-event.h>

#include "logged.h"
#include "report.h"
#include "scratch.h"
#include "worker.h"

#define ACTS_MAX 8

/* What happens at one start of a worker, and what becomes of it. */
struct act {
	bool cannot_start;
	int signals[3];       /* to ourselves; 0: none */
	const char *conf;     /* the file is overwritten by this first */
	bool waits_for_stop;  /* ends when told, else at once */
	struct report report; /* when it ends at once */
};

static struct act acts[ACTS_MAX];
static size_t n_started;
static char started[256]; /* "a b ": in order; '!': asked for by a person */
static enum purpose wanted_purpose;
static char conf_path[SCRATCH_PATH_MAX + 32];

struct worker_resources {
	int nothing;
};

int worker_resources_new(struct worker_resources **ret, struct error *err)
{
	(void)err;
	*ret = calloc(1, sizeof(struct worker_resources));
	return 0;
}

const char *worker_sandbox(const struct worker_resources *resources,
			   bool *ret_is_complete)
{
	(void)resources;
	*ret_is_complete = true;
	return "a box";
}

void worker_resources_free(struct worker_resources **resources)
{
	free(*resources);
	*resources = NULL;
}

static _noreturn_ void live(const struct act *act, int fd)
{
	struct message message = { .type = MESSAGE_REPORT };
	uint8_t packet[REPORT_PACKET_MAX];
	sigset_t set;
	size_t len;
	int signal;

	message.report = act->report;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM); /* blocked by the supervisor */
	if (act->waits_for_stop && sigwait(&set, &signal) == 0)
		message.report.stopped = true;
	len = report_encode(&message, packet, sizeof(packet));
	(void)send(fd, packet, len, MSG_NOSIGNAL);
	_exit(EXIT_SUCCESS);
}

static void write_conf(const char *text)
{
	const char *user = geteuid() == 0 ? "user = \"nobody\"; " : "";
	_cleanup_string_ char *whole = NULL;
	int len = asprintf(&whole,
			   "defaults: { host = \"127.0.0.1\"; %s"
			   "password_file = \"/secret\"; "
			   "maildir = \"/mail\"; };\n"
			   "%s",
			   user, text);

	ck_assert_int_gt(len, 0);
	scratch_write(conf_path, whole, (size_t)len);
}

static void play(const struct act *act)
{
	if (act->conf)
		write_conf(act->conf);
	for (size_t i = 0; i < ARRAY_SIZE(act->signals); i++)
		if (act->signals[i] != 0)
			ck_assert_int_eq(kill(getpid(), act->signals[i]), 0);
}

int worker_start(const struct worker_job *job, struct worker *ret,
		 struct error *err)
{
	const struct act *act = &acts[n_started];
	size_t len = strlen(started);
	int pair[2];
	pid_t pid;

	ck_assert_uint_lt(++n_started, ACTS_MAX);
	ck_assert_int_eq(job->purpose, wanted_purpose);
	(void)snprintf(started + len, sizeof(started) - len, "%s%s ",
		       job->account->name, job->is_asked_for ? "!" : "");
	play(act);
	if (act->cannot_start)
		return error_set(err, ERROR_LOCAL, "cannot fork");

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		live(act, pair[1]);
	(void)close(pair[1]);
	*ret = (struct worker){ .pid = pid, .fd = pair[0] };
	return 0;
}

/* Accounts of one line each, all alike but for their names. */
#define ACCOUNT(name) #name ": { username = \"" #name "\"; }; "
#define ONE           "accounts: { " ACCOUNT(a) "};\n"
#define TWO           "accounts: { " ACCOUNT(a) ACCOUNT(b) "};\n"
#define THREE         "accounts: { " ACCOUNT(a) ACCOUNT(b) ACCOUNT(c) "};\n"
#define ONE_SLOT      "daemon: { max_workers = 1; };\n"

struct scene {
	char dir[SCRATCH_PATH_MAX];
	char state[SCRATCH_PATH_MAX + 8];
	struct config_paths paths;
	struct supervisor_options options;
	int notify_fd;
};

/* A service manager of our own. */
static int listen_for_notes(const char *dir)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int len = snprintf(address.sun_path, sizeof(address.sun_path),
			   "%s/notify", dir);

	ck_assert_int_lt(len, (int)sizeof(address.sun_path));
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)),
			 0);
	ck_assert_int_eq(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
	return fd;
}

static void scene_make(struct scene *scene, const char *conf)
{
	*scene = (struct scene){ 0 };
	scratch_make(scene->dir);
	(void)snprintf(scene->state, sizeof(scene->state), "%s/state",
		       scene->dir);
	(void)snprintf(conf_path, sizeof(conf_path), "%s/mailhaul.conf",
		       scene->dir);
	scene->paths = (struct config_paths){ .config_file = conf_path,
					      .state_dir = scene->state };
	scene->options.paths = &scene->paths;
	write_conf(conf);
	scene->notify_fd = listen_for_notes(scene->dir);
	logged_begin(LOG_DEBUG);
}

static int run(struct scene *scene)
{
	struct config_errors errors = { 0 };
	struct config *config = NULL;
	int r = config_load(&scene->paths, &config, &errors);

	ck_assert_msg(r == 0, "%s", r < 0 ? errors.lines[0] : "");
	return supervisor_run(&scene->options, config);
}

/* In the daemon all are visited at once when this waits for the loop. */
static int run_from_a_signal(struct scene *scene)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	ck_assert_int_eq(kill(getpid(), SIGUSR1), 0);
	return run(scene);
}

/* The next thing that the service manager was told; "" at the end. */
static const char *next_note(const struct scene *scene)
{
	static char note[512];
	ssize_t len = recv(scene->notify_fd, note, sizeof(note) - 1, 0);

	note[len > 0 ? len : 0] = '\0';
	return note;
}

static void expect_note(const struct scene *scene, const char *begin)
{
	const char *note = next_note(scene);

	ck_assert_msg(strncmp(note, begin, strlen(begin)) == 0, "%s", note);
}

static const struct {
	const char *name;
	enum error_kind kinds[3]; /* of the accounts' visits */
	int status;
} once_cases[] = {
	{ "all went well", { ERROR_NONE }, EX_OK },
	{ "one is busy", { ERROR_NONE, ERROR_BUSY }, EX_TEMPFAIL },
	{ "no network", { ERROR_BUSY, ERROR_NETWORK }, EX_UNAVAILABLE },
	{ "a broken server", { ERROR_PROTOCOL, ERROR_NETWORK }, EX_PROTOCOL },
	{ "a refused login",
	  { ERROR_AUTH, ERROR_PROTOCOL, ERROR_BUSY },
	  EX_NOPERM },
	{ "a full disk", { ERROR_AUTH, ERROR_LOCAL, ERROR_NONE }, EX_IOERR },
	{ "a bad configuration",
	  { ERROR_CONFIG, ERROR_LOCAL, ERROR_NONE },
	  EX_CONFIG },
};

START_TEST(the_status_of_once_is_that_of_the_worst_visit)
{
	struct scene scene;
	int status;

	scene_make(&scene, THREE);
	for (size_t i = 0; i < 3; i++)
		acts[i].report.kind = once_cases[_i].kinds[i];
	scene.options.once = true;
	status = run(&scene);
	ck_assert_msg(status == once_cases[_i].status, "%s: %d",
		      once_cases[_i].name, status);
	ck_assert_str_eq(started, "a b c ");
	/* It is no service. */
	ck_assert_str_eq(next_note(&scene), "");
}
END_TEST

START_TEST(once_counts_what_could_not_be_started)
{
	struct scene scene;

	scene_make(&scene, TWO);
	acts[0].cannot_start = true;
	scene.options.once = true;
	ck_assert_int_eq(run(&scene), EX_IOERR);
	ck_assert_str_eq(started, "a b ");
}
END_TEST

START_TEST(once_visits_the_named_accounts_alone)
{
	static char name[] = "b";
	char *only[] = { name };
	struct scene scene;

	scene_make(&scene, THREE);
	scene.options.once = true;
	scene.options.only = only;
	scene.options.n_only = 1;
	ck_assert_int_eq(run(&scene), EX_OK);
	ck_assert_str_eq(started, "b! ");
	ck_assert_ptr_nonnull(strstr(logged_take(), "b: no new mail\n"));
}
END_TEST

/* Also the visit that follows one at once. */
START_TEST(a_purpose_is_that_of_every_visit_and_of_its_line)
{
	static char name[] = "b";
	char *only[] = { name };
	struct scene scene;

	wanted_purpose = PURPOSE_MARK_SEEN;
	acts[0].report =
		(struct report){ .kind = ERROR_NETWORK, .again = true };
	acts[1].report = (struct report){ .marked = 3 };
	scene_make(&scene, THREE);
	scene.options.once = true;
	scene.options.purpose = wanted_purpose;
	scene.options.only = only;
	scene.options.n_only = 1;
	ck_assert_int_eq(run(&scene), EX_OK);
	ck_assert_str_eq(started, "b! b! ");
	ck_assert_ptr_nonnull(
		strstr(logged_take(),
		       "b: 3 messages on the server taken as known"));
}
END_TEST

START_TEST(quiet_leaves_failures)
{
	struct scene scene;

	scene_make(&scene, TWO);
	acts[0].report = (struct report){ .fetched = 3 };
	acts[1].report = (struct report){ .kind = ERROR_AUTH, .text = "no" };
	scene.options.once = true;
	scene.options.quiet = true;
	ck_assert_int_eq(run(&scene), EX_NOPERM);
	ck_assert_str_eq(logged_take(), "b: start failed (auth): no; "
					"run mailhaul again to retry\n");
}
END_TEST

static const int once_stops[] = { SIGTERM, SIGINT, SIGHUP };

START_TEST(a_signal_ends_once_when_its_workers_have_ended)
{
	struct scene scene;

	scene_make(&scene, ONE_SLOT TWO);
	acts[0].signals[0] = once_stops[_i];
	acts[0].waits_for_stop = true;
	scene.options.once = true;
	(void)run(&scene);
	ck_assert_str_eq(started, "a ");
	ck_assert_ptr_nonnull(
		strstr(logged_take(), "a: no new mail, stopped early\n"));
}
END_TEST

START_TEST(sigterm_ends_the_daemon_with_0_after_its_workers_were_told)
{
	struct scene scene;
	const char *log;

	scene_make(&scene, ONE_SLOT TWO);
	acts[0].waits_for_stop = true;
	acts[0].signals[0] = SIGTERM;
	acts[0].report =
		(struct report){ .kind = ERROR_NETWORK, .text = "told" };
	ck_assert_int_eq(run_from_a_signal(&scene), EX_OK);
	ck_assert_str_eq(started, "a! ");
	log = logged_take();
	ck_assert_ptr_nonnull(strstr(log, "stopping; visits under way: 1\n"));
	ck_assert_ptr_nonnull(strstr(log, "told; mailhaul is stopping\n"));

	expect_note(&scene, "READY=1\nSTATUS=accounts: 2, ok: 0, failing: 0; "
			    "visits under way: 0");
	expect_note(&scene, "STOPPING=1\nEXTEND_TIMEOUT_USEC=");
}
END_TEST

START_TEST(a_broken_file_leaves_the_old_configuration_in_force)
{
	struct scene scene;
	char where[sizeof(conf_path) + 64];
	const char *log;

	scene_make(&scene, ONE);
	/* The reload comes before the visit that was asked for. */
	acts[0].conf = "accounts: {\n b: { pasword = 1; };\n};\n";
	acts[0].signals[0] = SIGHUP;
	acts[0].signals[1] = SIGUSR1;
	acts[1].signals[0] = SIGTERM;
	acts[1].waits_for_stop = true;
	ck_assert_int_eq(run_from_a_signal(&scene), EX_OK);
	ck_assert_str_eq(started, "a! a! ");

	log = logged_take();
	(void)snprintf(where, sizeof(where),
		       "%s:3: accounts.b.pasword: ", conf_path);
	ck_assert_msg(strstr(log, where), "%s", log);
	ck_assert_ptr_nonnull(strstr(log, "configuration not reloaded, "
					  "the old one stays in force\n"));
	expect_note(&scene, "READY=1\n");
	expect_note(&scene, "RELOADING=1\nMONOTONIC_USEC=");
	ck_assert_ptr_nonnull(strstr(next_note(&scene),
				     "; the configuration file has errors"));
}
END_TEST

START_TEST(a_good_file_is_put_in_force)
{
	struct scene scene;
	const char *log;

	scene_make(&scene, ONE_SLOT TWO);
	acts[0].conf = "accounts: { " ACCOUNT(c) ACCOUNT(d) "};\n";
	acts[0].signals[0] = SIGHUP;
	acts[0].signals[1] = SIGUSR1;
	acts[0].waits_for_stop = true; /* its account is gone */
	acts[2].signals[0] = SIGTERM;
	acts[1].waits_for_stop = true;
	acts[2].waits_for_stop = true;
	ck_assert_int_eq(run_from_a_signal(&scene), EX_OK);
	ck_assert_str_eq(started, "a! c! d! ");

	log = logged_take();
	ck_assert_ptr_nonnull(
		strstr(log, "configuration reloaded, accounts: 2\n"));
	ck_assert_ptr_nonnull(strstr(log, "a: no new mail, stopped early\n"));
	expect_note(&scene, "READY=1\n");
	expect_note(&scene, "RELOADING=1\n");
	expect_note(&scene, "READY=1\nSTATUS=accounts: 2");
}
END_TEST

START_TEST(a_reload_sets_the_log_level)
{
	struct scene scene;

	scene_make(&scene, ONE);
	acts[0].conf = "daemon: { log_level = \"error\"; };\n" ONE;
	acts[0].signals[0] = SIGHUP;
	acts[0].signals[1] = SIGTERM;
	acts[0].waits_for_stop = true;
	ck_assert_int_eq(run_from_a_signal(&scene), EX_OK);
	/* Neither of the reload itself nor of what comes behind it. */
	ck_assert_ptr_null(strstr(logged_take(), "reloaded"));
	ck_assert_ptr_null(strstr(logged_take(), "stopp"));
}
END_TEST

START_TEST(the_watchdog_is_fed)
{
	struct scene scene;
	char pid[32];

	scene_make(&scene, ONE);
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	ck_assert_int_eq(setenv("WATCHDOG_PID", pid, 1), 0);
	ck_assert_int_eq(setenv("WATCHDOG_USEC", "60000000", 1), 0);
	acts[0].signals[0] = SIGTERM;
	acts[0].waits_for_stop = true;
	ck_assert_int_eq(run_from_a_signal(&scene), EX_OK);
	ck_assert_str_eq(next_note(&scene), "WATCHDOG=1");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("supervisor");
	TCase *once = tcase_create("once");
	TCase *daemon_case = tcase_create("daemon");
	SRunner *runner;
	int n_failed;

	tcase_set_timeout(once, 60);
	tcase_add_loop_test(once, the_status_of_once_is_that_of_the_worst_visit,
			    0, (int)ARRAY_SIZE(once_cases));
	tcase_add_test(once, once_counts_what_could_not_be_started);
	tcase_add_test(once, once_visits_the_named_accounts_alone);
	tcase_add_test(once,
		       a_purpose_is_that_of_every_visit_and_of_its_line);
	tcase_add_test(once, quiet_leaves_failures);
	tcase_add_loop_test(once,
			    a_signal_ends_once_when_its_workers_have_ended, 0,
			    (int)ARRAY_SIZE(once_stops));
	suite_add_tcase(suite, once);

	tcase_set_timeout(daemon_case, 60);
	tcase_add_test(
		daemon_case,
		sigterm_ends_the_daemon_with_0_after_its_workers_were_told);
	tcase_add_test(daemon_case,
		       a_broken_file_leaves_the_old_configuration_in_force);
	tcase_add_test(daemon_case, a_good_file_is_put_in_force);
	tcase_add_test(daemon_case, a_reload_sets_the_log_level);
	tcase_add_test(daemon_case, the_watchdog_is_fed);
	suite_add_tcase(suite, daemon_case);

	scratch_begin();
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	scratch_end();
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
