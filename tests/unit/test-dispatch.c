/*
 * test-dispatch.c - who is visited when, and that each slot comes back.
 *
 * The worker.h of this program is the test's: a worker here is a child that
 * does nothing until it is told how to end, or gets SIGTERM. Deadlines are
 * not waited for but moved into the past.
 */
#include "dispatch.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "log.h"
#include "logged.h"
#include "report.h"
#include "worker.h"

#define STARTS_MAX 32

/* How a worker is to end. */
struct order {
	unsigned n_lines; /* before the report */
	bool is_bad;      /* sends what no worker sends, and lives on */
	struct report report;
};

static struct {
	char name[16];
	pid_t pid;
	int leash; /* takes the order */
	bool is_asked_for;
} starts[STARTS_MAX];
static size_t n_starts;
static const char *cannot_start; /* this account's worker */
static bool are_deaf;            /* to SIGTERM */

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

static void send_up(int fd, const struct message *message)
{
	uint8_t packet[REPORT_PACKET_MAX];
	size_t len = report_encode(message, packet, sizeof(packet));

	(void)send(fd, packet, len, MSG_NOSIGNAL); /* the test will miss it */
}

static void obey(int fd, const struct order *order)
{
	struct message message = { .type = MESSAGE_LOG };

	if (order->is_bad) {
		(void)send(fd, "bad", 3, MSG_NOSIGNAL);
		return;
	}
	message.log.priority = LOG_INFO;
	(void)strcpy(message.log.text, "line");
	for (unsigned i = 0; i < order->n_lines; i++)
		send_up(fd, &message);
	message.type = MESSAGE_REPORT;
	message.report = order->report;
	send_up(fd, &message);
	_exit(EXIT_SUCCESS);
}

/* SIGTERM in place of an order: the worker ends early, and says so. */
static int job_fd = -1;

static void on_term(int signal)
{
	const struct order order = { .report.stopped = true };

	(void)signal;
	obey(job_fd, &order);
}

static _noreturn_ void live(int leash, int fd)
{
	struct order order;
	sigset_t set;

	job_fd = fd;
	(void)signal(SIGTERM, are_deaf ? SIG_IGN : on_term);
	(void)sigemptyset(&set);
	(void)sigprocmask(SIG_SETMASK, &set, NULL);
	while (recv(leash, &order, sizeof(order), 0) == sizeof(order))
		obey(fd, &order);
	_exit(EXIT_FAILURE);
}

int worker_start(const struct worker_job *job, struct worker *ret,
		 struct error *err)
{
	const char *name = job->account->name;
	int up[2], down[2];
	pid_t pid;

	ck_assert_ptr_nonnull(job->resources);
	ck_assert_str_eq(job->state_root, "/state");
	if (cannot_start && strcmp(cannot_start, name) == 0)
		return error_set(err, ERROR_LOCAL, "cannot fork");

	ck_assert_uint_lt(n_starts, STARTS_MAX);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, up), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, down), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		(void)close(up[0]); /* or its end would not be seen */
		(void)close(down[1]);
		live(down[0], up[1]);
	}
	(void)close(up[1]);
	(void)close(down[0]);

	(void)snprintf(starts[n_starts].name, sizeof(starts->name), "%s", name);
	starts[n_starts].pid = pid;
	starts[n_starts].leash = down[1];
	starts[n_starts].is_asked_for = job->is_asked_for;
	n_starts++;
	*ret = (struct worker){ .pid = pid, .fd = up[0] };
	return 0;
}

/* "a b c": whose workers were started, in order. */
static const char *list_starts(void)
{
	static char list[sizeof(starts)];
	size_t len = 0;

	list[0] = '\0';
	for (size_t i = 0; i < n_starts; i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s",
					i > 0 ? " " : "", starts[i].name);
	return list;
}

struct scene {
	sd_event *event;
	struct status status; /* tells nobody */
	struct dispatch dispatch;
};

/* Each line "NAME HOST". Ownership of a config goes to dispatch_adopt. */
static struct config *make_config(const char *const *lines, size_t n_lines)
{
	struct config *config = calloc(1, sizeof(*config));
	char name[16], host[16];

	ck_assert_ptr_nonnull(config);
	config->n_refs = 1;
	config->log_level = LOG_INFO;
	config->max_workers = 100;
	config->max_per_host = 100;
	config->accounts = calloc(n_lines + 1, sizeof(*config->accounts));
	ck_assert_ptr_nonnull(config->accounts);
	config->n_accounts = n_lines;
	for (size_t i = 0; i < n_lines; i++) {
		struct account *account = &config->accounts[i];

		ck_assert_int_eq(sscanf(lines[i], "%15s %15s", name, host), 2);
		account->name = strdup(name);
		account->host = strdup(host);
		account->username = strdup(name);
		account->maildir = strdup("/mail");
		account->user = strdup("mrose");
		account->state_dir = strdup(name);
		account->interval_usec = USEC_PER_HOUR;
		account->visit_timeout_usec = USEC_PER_HOUR;
		account->reply_timeout_usec = USEC_PER_SEC;
		account->stop_timeout_usec = USEC_PER_MINUTE;
	}
	return config;
}

static void block_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigaddset(&set, SIGTERM); /* a worker wants its handler first */
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, &set, NULL), 0);
}

static void adopt(struct scene *scene, struct config *config)
{
	struct error err = { 0 };

	ck_assert_int_eq(dispatch_adopt(&scene->dispatch, config, &err), 0);
}

/* Takes the config. */
static void scene_make(struct scene *scene, struct config *config, bool is_once)
{
	const struct dispatch_options options = {
		.state_root = "/state",
		.once = is_once,
	};
	struct error err = { 0 };

	block_signals();
	logged_begin(LOG_INFO);
	*scene = (struct scene){ 0 };
	ck_assert_int_ge(sd_event_new(&scene->event), 0);
	ck_assert_int_eq(dispatch_init(&scene->dispatch, &options, scene->event,
				       &scene->status, &err),
			 0);
	adopt(scene, config);
}

static void scene_done(struct scene *scene)
{
	for (size_t i = 0; i < n_starts; i++)
		(void)kill(starts[i].pid, SIGKILL);
	dispatch_done(&scene->dispatch);
	(void)sd_event_unref(scene->event);
}

static void turn(struct scene *scene)
{
	ck_assert_int_ge(sd_event_run(scene->event, UINT64_MAX), 0);
}

static struct visit *find_visit(const struct scene *scene, pid_t pid)
{
	struct visit *visit;

	TAILQ_FOREACH(visit, &scene->dispatch.visits, link)
	{
		if (visit->worker.pid == pid)
			return visit;
	}
	return NULL;
}

/* The index of the account's last worker. */
static size_t last_start(const char *name)
{
	for (size_t i = n_starts; i > 0; i--)
		if (strcmp(starts[i - 1].name, name) == 0)
			return i - 1;
	ck_abort_msg("'%s' was not started", name);
}

static struct visit *visit_of(const struct scene *scene, const char *name)
{
	return find_visit(scene, starts[last_start(name)].pid);
}

static void await_end(struct scene *scene, const char *name)
{
	pid_t pid = starts[last_start(name)].pid;

	while (find_visit(scene, pid))
		turn(scene);
}

static void give_order(const char *name, const struct order *order)
{
	ck_assert_int_eq(
		send(starts[last_start(name)].leash, order, sizeof(*order), 0),
		sizeof(*order));
}

static void end_visit(struct scene *scene, const char *name,
		      const struct report *report)
{
	struct order order = { 0 };

	order.report = *report;
	give_order(name, &order);
	await_end(scene, name);
}

static void end_well(struct scene *scene, const char *name)
{
	end_visit(scene, name, &(struct report){ .step = STEP_QUIT });
}

static struct roster_entry *entry_of(const struct scene *scene,
				     const char *name)
{
	const struct roster *roster = &scene->dispatch.roster;

	for (size_t i = 0; i < roster->n_entries; i++)
		if (strcmp(roster->entries[i]->account->name, name) == 0)
			return roster->entries[i];
	ck_abort_msg("no account '%s'", name);
}

/* How long from now the account's timer lasts; UINT64_MAX: it is off. */
static uint64_t wait_of(const struct scene *scene, const char *name)
{
	struct sd_event_source *timer = entry_of(scene, name)->timer;
	int enabled = SD_EVENT_OFF;
	uint64_t due;

	if (!timer)
		return UINT64_MAX;
	ck_assert_int_ge(sd_event_source_get_enabled(timer, &enabled), 0);
	ck_assert_int_ge(sd_event_source_get_time(timer, &due), 0);
	return enabled == SD_EVENT_OFF ? UINT64_MAX
				       : due - now_usec(CLOCK_BOOTTIME);
}

static bool has_left(const struct scene *scene)
{
	int code;

	return sd_event_get_exit_code(scene->event, &code) >= 0;
}

static void make_due(struct sd_event_source *timer)
{
	ck_assert_int_ge(sd_event_source_set_time(timer, 1), 0);
}

START_TEST(hosts_take_turns_under_both_bounds)
{
	static const char *const lines[] = { "a1 A", "a2 A", "a3 A", "b1 B",
					     "b2 B" };
	struct config *config = make_config(lines, ARRAY_SIZE(lines));
	struct scene scene;

	config->max_workers = 3;
	config->max_per_host = 2;
	scene_make(&scene, config, false);
	dispatch_all_now(&scene.dispatch, false);
	ck_assert_str_eq(list_starts(), "a1 b1 a2");
	end_well(&scene, "b1");
	ck_assert_str_eq(list_starts(), "a1 b1 a2 b2");
	end_well(&scene, "b2");
	ck_assert_str_eq(list_starts(), "a1 b1 a2 b2");
	end_well(&scene, "a1");
	ck_assert_str_eq(list_starts(), "a1 b1 a2 b2 a3");
	end_well(&scene, "a2");
	end_well(&scene, "a3");
	ck_assert_uint_eq(scene.dispatch.roster.n_running, 0);
	ck_assert(!has_left(&scene));
	scene_done(&scene);
}
END_TEST

START_TEST(raised_bounds_count_at_the_next_fill)
{
	static const char *const lines[] = { "a A", "b B", "c C" };
	struct config *narrow = make_config(lines, ARRAY_SIZE(lines));
	struct scene scene;

	narrow->max_workers = 1;
	scene_make(&scene, narrow, false);
	dispatch_all_now(&scene.dispatch, false);
	ck_assert_str_eq(list_starts(), "a");
	adopt(&scene, make_config(lines, ARRAY_SIZE(lines)));
	dispatch_fill(&scene.dispatch);
	ck_assert_str_eq(list_starts(), "a b c");
	scene_done(&scene);
}
END_TEST

START_TEST(again_is_granted_once)
{
	static const char *const lines[] = { "a A" };
	const struct report again = { .kind = ERROR_PROTOCOL,
				      .step = STEP_FETCH,
				      .again = true,
				      .text = "cut" };
	struct scene scene;

	scene_make(&scene, make_config(lines, ARRAY_SIZE(lines)), false);
	dispatch_all_now(&scene.dispatch, true);
	end_visit(&scene, "a", &again);
	ck_assert_str_eq(list_starts(), "a a");
	ck_assert(starts[1].is_asked_for);
	ck_assert_int_eq(scene.dispatch.worst, ERROR_NONE);
	ck_assert_str_eq(logged_take(), "a: fetch failed (protocol): cut; "
					"one more visit follows at once\n");
	ck_assert_uint_eq(wait_of(&scene, "a"), UINT64_MAX);

	end_visit(&scene, "a", &again);
	ck_assert_str_eq(list_starts(), "a a");
	ck_assert_int_eq(scene.dispatch.worst, ERROR_PROTOCOL);
	ck_assert_ptr_nonnull(strstr(logged_take(), "cut; next visit in "));
	ck_assert_uint_ne(wait_of(&scene, "a"), UINT64_MAX);

	/* The next one has its own "again". */
	dispatch_all_now(&scene.dispatch, false);
	ck_assert(!starts[2].is_asked_for);
	end_visit(&scene, "a", &again);
	ck_assert_str_eq(list_starts(), "a a a a");
	scene_done(&scene);
}
END_TEST

START_TEST(a_visit_wanted_while_one_is_under_way_follows_it)
{
	static const char *const lines[] = { "a A" };
	struct scene scene;

	scene_make(&scene, make_config(lines, ARRAY_SIZE(lines)), false);
	dispatch_all_now(&scene.dispatch, false);
	dispatch_all_now(&scene.dispatch, true);
	dispatch_all_now(&scene.dispatch, true);
	ck_assert_str_eq(list_starts(), "a");
	end_well(&scene, "a");
	ck_assert_str_eq(list_starts(), "a a");
	ck_assert(!starts[0].is_asked_for);
	ck_assert(starts[1].is_asked_for);
	end_well(&scene, "a");
	ck_assert_str_eq(list_starts(), "a a");
	scene_done(&scene);
}
END_TEST

static const struct {
	const char *name;
	struct report report;
	uint64_t least_sec; /* 0: never */
	uint64_t most_sec;
	const char *next;
} wait_cases[] = {
	{ "a success waits for the interval",
	  { .fetched = 1 },
	  3200,
	  3961,
	  "1 message" },
	{ "a busy server is asked for its time",
	  { .kind = ERROR_BUSY, .retry_sec = 500, .text = "x" },
	  480,
	  626,
	  "; next visit in " },
	{ "the network is given a minute",
	  { .kind = ERROR_NETWORK, .text = "x" },
	  40,
	  76,
	  "; next visit in " },
	{ "a refused login waits long",
	  { .kind = ERROR_AUTH, .text = "x" },
	  640,
	  1126,
	  "; next visit in " },
	{ "a broken configuration waits for another",
	  { .kind = ERROR_CONFIG, .text = "x" },
	  0,
	  0,
	  "; next visit when the configuration is reloaded" },
};

/* Some seconds below the least: that much time may pass in the test. */
START_TEST(how_a_visit_ends_decides_when_the_next_one_is_due)
{
	static const char *const lines[] = { "a A" };
	const char *name = wait_cases[_i].name;
	struct scene scene;
	uint64_t wait;
	const char *log;

	scene_make(&scene, make_config(lines, ARRAY_SIZE(lines)), false);
	dispatch_all_now(&scene.dispatch, false);
	end_visit(&scene, "a", &wait_cases[_i].report);
	wait = wait_of(&scene, "a");
	if (wait_cases[_i].least_sec == 0)
		ck_assert_msg(wait == UINT64_MAX, "%s", name);
	else
		ck_assert_msg(wait > wait_cases[_i].least_sec * USEC_PER_SEC &&
				      wait < wait_cases[_i].most_sec *
						      USEC_PER_SEC,
			      "%s: %ju us", name, (uintmax_t)wait);
	log = logged_take();
	ck_assert_msg(strstr(log, wait_cases[_i].next), "%s: %s", name, log);
	ck_assert_int_eq(scene.dispatch.worst, wait_cases[_i].report.kind);
	scene_done(&scene);
}
END_TEST

START_TEST(first_visits_are_spread_and_start_by_their_timers)
{
	static const char *const lines[] = { "a A", "b B" };
	struct scene scene;

	scene_make(&scene, make_config(lines, ARRAY_SIZE(lines)), false);
	dispatch_arm(&scene.dispatch);
	ck_assert_str_eq(list_starts(), "");
	/* Both armed, or just due. */
	ck_assert_ptr_nonnull(entry_of(&scene, "a")->timer);
	ck_assert((int64_t)wait_of(&scene, "b") <= (int64_t)USEC_PER_MINUTE);

	make_due(entry_of(&scene, "b")->timer);
	while (n_starts == 0 || strcmp(starts[n_starts - 1].name, "b") != 0)
		turn(&scene);
	ck_assert(!starts[n_starts - 1].is_asked_for);
	end_well(&scene, "b");
	/* The second one comes at its beat, anywhere in the hour. */
	ck_assert_uint_gt(wait_of(&scene, "b"), 5 * USEC_PER_MINUTE);
	ck_assert_uint_lt(wait_of(&scene, "b"), 73 * USEC_PER_MINUTE);
	scene_done(&scene);
}
END_TEST

START_TEST(a_reload_gives_accounts_without_hope_a_new_start)
{
	static const char *const lines[] = { "a A", "b B" };
	struct scene scene;
	uint64_t wait;

	scene_make(&scene, make_config(lines, ARRAY_SIZE(lines)), false);
	dispatch_all_now(&scene.dispatch, false);
	end_visit(&scene, "a",
		  &(struct report){ .kind = ERROR_CONFIG, .text = "x" });
	end_well(&scene, "b");
	wait = wait_of(&scene, "b");
	adopt(&scene, make_config(lines, ARRAY_SIZE(lines)));
	dispatch_arm(&scene.dispatch);
	ck_assert((int64_t)wait_of(&scene, "a") <= (int64_t)USEC_PER_MINUTE);
	ck_assert(!entry_of(&scene, "a")->has_result);
	/* The other one goes on as it was. */
	ck_assert_uint_le(wait_of(&scene, "b"), wait);
	ck_assert_uint_gt(wait_of(&scene, "b"), 50 * USEC_PER_MINUTE);
	ck_assert(entry_of(&scene, "b")->has_result);
	scene_done(&scene);
}
END_TEST

START_TEST(what_the_old_configuration_led_to_does_not_bind_the_new_one)
{
	static const char *const lines[] = { "a A" };
	struct config *changed = make_config(lines, ARRAY_SIZE(lines));
	struct scene scene;

	scene_make(&scene, make_config(lines, ARRAY_SIZE(lines)), false);
	dispatch_all_now(&scene.dispatch, false);
	changed->accounts[0].port = 1110;
	adopt(&scene, changed);
	dispatch_arm(&scene.dispatch);
	ck_assert_int_eq(visit_of(&scene, "a")->stage, VISIT_RUNNING);
	ck_assert_uint_eq(visit_of(&scene, "a")->account->port, 0);
	end_visit(&scene, "a",
		  &(struct report){ .kind = ERROR_AUTH, .text = "x" });
	ck_assert((int64_t)wait_of(&scene, "a") <= (int64_t)USEC_PER_MINUTE);
	ck_assert(!entry_of(&scene, "a")->has_result);
	scene_done(&scene);
}
END_TEST

START_TEST(a_removed_account_is_told_to_stop_and_not_visited)
{
	static const char *const lines[] = { "a A", "b B", "c C" };
	struct config *one_slot = make_config(lines, ARRAY_SIZE(lines));
	struct scene scene;

	one_slot->max_workers = 1;
	scene_make(&scene, one_slot, false);
	dispatch_all_now(&scene.dispatch, false);
	/* a is under way, b waits for the slot; both go. */
	adopt(&scene, make_config(lines + 2, 1));
	ck_assert_int_eq(visit_of(&scene, "a")->stage, VISIT_TOLD);
	await_end(&scene, "a");
	ck_assert_str_eq(logged_take(), "a: no new mail, stopped early\n");
	ck_assert_str_eq(list_starts(), "a c");
	end_well(&scene, "c");
	ck_assert_uint_eq(scene.dispatch.roster.n_entries, 1);
	ck_assert_uint_eq(scene.dispatch.roster.n_running, 0);
	scene_done(&scene);
}
END_TEST

START_TEST(a_removed_account_gets_no_second_visit)
{
	static const char *const lines[] = { "a A" };
	struct scene scene;

	are_deaf = true;
	scene_make(&scene, make_config(lines, ARRAY_SIZE(lines)), false);
	dispatch_all_now(&scene.dispatch, false);
	dispatch_all_now(&scene.dispatch, true);
	adopt(&scene, make_config(lines, 0));
	end_visit(&scene, "a",
		  &(struct report){ .kind = ERROR_NETWORK,
				    .again = true,
				    .text = "cut" });
	ck_assert_str_eq(list_starts(), "a");
	ck_assert_str_eq(logged_take(), "a: start failed (network): cut; "
					"the account is configured no more\n");
	scene_done(&scene);
}
END_TEST

START_TEST(a_stop_tells_those_under_way_and_starts_no_other)
{
	static const char *const lines[] = { "a A", "b B", "c C" };
	struct config *config = make_config(lines, ARRAY_SIZE(lines));
	struct scene scene;

	config->max_workers = 2;
	config->accounts[1].stop_timeout_usec = 2 * USEC_PER_MINUTE;
	scene_make(&scene, config, false);
	dispatch_all_now(&scene.dispatch, true);
	dispatch_all_now(&scene.dispatch, true);
	ck_assert_uint_eq(dispatch_stop(&scene.dispatch),
			  2 * USEC_PER_MINUTE + VISIT_KILL_GRACE_USEC +
				  VISIT_STUCK_USEC);
	ck_assert_int_eq(visit_of(&scene, "a")->stage, VISIT_TOLD);
	ck_assert_int_eq(visit_of(&scene, "b")->stage, VISIT_TOLD);
	ck_assert(!has_left(&scene));
	await_end(&scene, "a");
	await_end(&scene, "b");
	ck_assert(has_left(&scene));
	ck_assert_str_eq(list_starts(), "a b");
	scene_done(&scene);
}
END_TEST

START_TEST(a_stop_with_nothing_under_way_leaves_at_once)
{
	static const char *const lines[] = { "a A" };
	struct scene scene;

	scene_make(&scene, make_config(lines, ARRAY_SIZE(lines)), false);
	dispatch_arm(&scene.dispatch);
	(void)dispatch_stop(&scene.dispatch);
	ck_assert(has_left(&scene));
	scene_done(&scene);
}
END_TEST

START_TEST(a_failure_while_stopping_says_so)
{
	static const char *const lines[] = { "a A" };
	struct scene scene;

	are_deaf = true;
	scene_make(&scene, make_config(lines, ARRAY_SIZE(lines)), false);
	dispatch_all_now(&scene.dispatch, false);
	(void)dispatch_stop(&scene.dispatch);
	end_visit(&scene, "a",
		  &(struct report){ .kind = ERROR_NETWORK, .text = "cut" });
	ck_assert_str_eq(logged_take(), "a: start failed (network): cut; "
					"mailhaul is stopping\n");
	ck_assert(has_left(&scene));
	scene_done(&scene);
}
END_TEST

START_TEST(a_deaf_worker_is_killed)
{
	static const char *const lines[] = { "a A" };
	struct scene scene;

	are_deaf = true;
	scene_make(&scene, make_config(lines, ARRAY_SIZE(lines)), false);
	dispatch_all_now(&scene.dispatch, false);
	(void)dispatch_stop(&scene.dispatch);
	make_due(visit_of(&scene, "a")->deadline);
	await_end(&scene, "a");
	ck_assert_str_eq(logged_take(),
			 "a: visit failed (local): worker did not stop in time "
			 "and was killed; mailhaul is stopping\n");
	ck_assert_int_eq(scene.dispatch.worst, ERROR_LOCAL);
	ck_assert(has_left(&scene));
	scene_done(&scene);
}
END_TEST

START_TEST(a_silent_worker_is_told_to_stop_and_the_next_one_starts)
{
	static const char *const lines[] = { "a A", "b B" };
	struct config *config = make_config(lines, ARRAY_SIZE(lines));
	struct scene scene;
	struct visit *visit;

	config->max_workers = 1;
	config->accounts[0].stop_timeout_usec = 0;
	scene_make(&scene, config, false);
	dispatch_all_now(&scene.dispatch, false);
	visit = visit_of(&scene, "a");
	visit->last_sign_usec = now_usec(CLOCK_MONOTONIC) - USEC_PER_SEC;
	make_due(visit->deadline);
	await_end(&scene, "a");
	ck_assert_ptr_nonnull(strstr(logged_take(), "past its deadline"));
	ck_assert_str_eq(list_starts(), "a b");
	scene_done(&scene);
}
END_TEST

/* Nothing hangs in the kernel here: the visit only believes that it does. */
START_TEST(a_stuck_worker_lends_its_slot_but_not_its_account)
{
	static const char *const lines[] = { "a A", "b A" };
	struct config *config = make_config(lines, ARRAY_SIZE(lines));
	struct scene scene;

	config->max_workers = 1;
	config->max_per_host = 1;
	scene_make(&scene, config, false);
	dispatch_all_now(&scene.dispatch, false);
	visit_of(&scene, "a")->stage = VISIT_KILLED;
	make_due(visit_of(&scene, "a")->deadline);
	while (n_starts < 2)
		turn(&scene);
	ck_assert_str_eq(list_starts(), "a b");
	ck_assert_ptr_nonnull(strstr(logged_take(), "cannot be killed"));
	ck_assert_int_eq(scene.dispatch.worst, ERROR_LOCAL);

	end_well(&scene, "b");
	dispatch_all_now(&scene.dispatch, false);
	ck_assert_str_eq(list_starts(), "a b b");
	end_well(&scene, "a");
	ck_assert_uint_eq(scene.dispatch.roster.n_running, 1);
	scene_done(&scene);
}
END_TEST

START_TEST(nobody_waits_for_a_stuck_worker)
{
	static const char *const lines[] = { "a A" };
	struct scene scene;

	scene_make(&scene, make_config(lines, ARRAY_SIZE(lines)), true);
	dispatch_all_now(&scene.dispatch, false);
	visit_of(&scene, "a")->stage = VISIT_KILLED;
	make_due(visit_of(&scene, "a")->deadline);
	while (!has_left(&scene))
		turn(&scene);
	scene_done(&scene);
}
END_TEST

START_TEST(a_worker_that_cannot_be_started_holds_nobody_up)
{
	static const char *const lines[] = { "a A", "b A" };
	struct config *config = make_config(lines, ARRAY_SIZE(lines));
	struct scene scene;

	config->max_workers = 1;
	cannot_start = "a";
	scene_make(&scene, config, false);
	dispatch_all_now(&scene.dispatch, false);
	ck_assert_str_eq(list_starts(), "b");
	ck_assert_ptr_nonnull(
		strstr(logged_take(),
		       "a: start failed (local): cannot fork; next visit in "));
	ck_assert_uint_ne(wait_of(&scene, "a"), UINT64_MAX);
	ck_assert_uint_eq(scene.dispatch.roster.n_running, 1);
	scene_done(&scene);
}
END_TEST

START_TEST(a_worker_that_sends_what_none_sends_is_told_to_stop)
{
	static const char *const lines[] = { "a A" };
	const struct order bad = { .is_bad = true };
	struct scene scene;

	scene_make(&scene, make_config(lines, ARRAY_SIZE(lines)), false);
	dispatch_all_now(&scene.dispatch, false);
	give_order("a", &bad);
	await_end(&scene, "a");
	ck_assert_ptr_nonnull(strstr(logged_take(),
				     "a: visit failed (local): "
				     "worker sent what no worker sends; "));
	scene_done(&scene);
}
END_TEST

/* More than is read at a wake: the rest is read at the exit. */
START_TEST(nothing_of_a_chatty_worker_is_lost)
{
	static const char *const lines[] = { "a A" };
	const struct order order = { .n_lines = 100,
				     .report = { .fetched = 3 } };
	struct scene scene;
	const char *log;
	unsigned n_lines = 0;

	scene_make(&scene, make_config(lines, ARRAY_SIZE(lines)), false);
	dispatch_all_now(&scene.dispatch, false);
	give_order("a", &order);
	await_end(&scene, "a");
	log = logged_take();
	while (strncmp(log, "a: line\n", 8) == 0) {
		log += 8;
		n_lines++;
	}
	ck_assert_uint_eq(n_lines, 100);
	ck_assert_ptr_nonnull(strstr(log, "a: 3 messages"));
	scene_done(&scene);
}
END_TEST

START_TEST(once_leaves_when_all_are_done_and_keeps_the_worst)
{
	static const char *const lines[] = { "a A", "b B", "c C" };
	struct config *config = make_config(lines, ARRAY_SIZE(lines));
	struct scene scene;

	config->max_workers = 2;
	scene_make(&scene, config, true);
	dispatch_all_now(&scene.dispatch, false);
	end_visit(&scene, "a",
		  &(struct report){ .kind = ERROR_AUTH, .text = "x" });
	ck_assert_str_eq(logged_take(), "a: start failed (auth): x; "
					"run mailhaul again to retry\n");
	end_visit(&scene, "b",
		  &(struct report){ .kind = ERROR_NETWORK, .text = "x" });
	ck_assert(!has_left(&scene));
	ck_assert_str_eq(list_starts(), "a b c");
	end_well(&scene, "c");
	ck_assert(has_left(&scene));
	ck_assert_int_eq(scene.dispatch.worst, ERROR_AUTH);
	scene_done(&scene);
}
END_TEST

START_TEST(once_without_an_account_leaves_at_once)
{
	struct scene scene;

	scene_make(&scene, make_config(NULL, 0), true);
	dispatch_all_now(&scene.dispatch, false);
	ck_assert(has_left(&scene));
	scene_done(&scene);
}
END_TEST

static void add_visits(TCase *tcase)
{
	tcase_add_test(tcase, hosts_take_turns_under_both_bounds);
	tcase_add_test(tcase, raised_bounds_count_at_the_next_fill);
	tcase_add_test(tcase, again_is_granted_once);
	tcase_add_test(tcase, a_visit_wanted_while_one_is_under_way_follows_it);
	tcase_add_loop_test(tcase,
			    how_a_visit_ends_decides_when_the_next_one_is_due,
			    0, (int)ARRAY_SIZE(wait_cases));
	tcase_add_test(tcase,
		       first_visits_are_spread_and_start_by_their_timers);
	tcase_add_test(tcase, a_worker_that_cannot_be_started_holds_nobody_up);
	tcase_add_test(tcase,
		       a_worker_that_sends_what_none_sends_is_told_to_stop);
	tcase_add_test(tcase, nothing_of_a_chatty_worker_is_lost);
	tcase_add_test(tcase,
		       once_leaves_when_all_are_done_and_keeps_the_worst);
	tcase_add_test(tcase, once_without_an_account_leaves_at_once);
}

static void add_reload_and_stop(TCase *tcase)
{
	tcase_add_test(tcase, a_reload_gives_accounts_without_hope_a_new_start);
	tcase_add_test(
		tcase,
		what_the_old_configuration_led_to_does_not_bind_the_new_one);
	tcase_add_test(tcase,
		       a_removed_account_is_told_to_stop_and_not_visited);
	tcase_add_test(tcase, a_removed_account_gets_no_second_visit);
	tcase_add_test(tcase, a_stop_tells_those_under_way_and_starts_no_other);
	tcase_add_test(tcase, a_stop_with_nothing_under_way_leaves_at_once);
	tcase_add_test(tcase, a_failure_while_stopping_says_so);
	tcase_add_test(tcase, a_deaf_worker_is_killed);
	tcase_add_test(tcase,
		       a_silent_worker_is_told_to_stop_and_the_next_one_starts);
	tcase_add_test(tcase,
		       a_stuck_worker_lends_its_slot_but_not_its_account);
	tcase_add_test(tcase, nobody_waits_for_a_stuck_worker);
}

int main(void)
{
	Suite *suite = suite_create("dispatch");
	TCase *visits = tcase_create("visits");
	TCase *ends = tcase_create("reload and stop");
	SRunner *runner;
	int n_failed;

	tcase_set_timeout(visits, 60);
	tcase_set_timeout(ends, 60);
	add_visits(visits);
	add_reload_and_stop(ends);
	suite_add_tcase(suite, visits);
	suite_add_tcase(suite, ends);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
