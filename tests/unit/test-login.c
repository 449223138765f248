/*
 * test-login.c - which credentials are sent, in which order, and what is
 * remembered of a refusal.
 *
 * Every case shows the whole of what the server got: that a password does not
 * cross a link is said by what is not in it.
 */
#include "login.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "peer.h"
#include "scratch.h"

/* RFC 1939 section 7's example. */
#define TIMESTAMP "<1896.697170952@dbc.mtview.ca.us>"
#define APOP	  "APOP mrose c4c9334bac560ecc979e58001b3e22fb"
#define PLAIN	  "AUTH PLAIN AG1yb3NlAHRhbnN0YWFm"
#define USER	  "USER mrose"
#define PASS	  "PASS tanstaaf"

#define WITH_APOP    "+OK ready " TIMESTAMP "\r\n"
#define WITHOUT_APOP "+OK ready\r\n"
#define CAPA_PLAIN   "+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n"
#define CAPA_USER    "+OK\r\nUSER\r\n.\r\n"
#define OK	     "+OK\r\n"
#define NO	     "-ERR [AUTH] no\r\n"

/* A login, and what one server says to it. */
struct scene {
	struct store store;
	struct account account;
	struct secret secret;
	struct login login;
	char text[64];
};

static void set_secret(struct scene *scene, const char *text)
{
	(void)snprintf(scene->text, sizeof(scene->text), "%s", text);
	scene->secret = (struct secret){ scene->text, strlen(scene->text) };
}

static void scene_make(struct scene *scene)
{
	static char host[] = "pop.example.org", username[] = "mrose";

	*scene = (struct scene){ 0 };
	store_make(&scene->store);
	scene->account = (struct account){
		.host = host,
		.port = 995,
		.username = username,
		.tls = TLS_NONE,
	};
	set_secret(scene, "tanstaaf");
	scene->login = (struct login){ .account = &scene->account,
				       .secret = &scene->secret,
				       .journal = scene->store.journal };
}

struct outcome {
	int result;
	enum error_kind kind;
	uint32_t retry_sec;
	char text[ERROR_TEXT_MAX];
	char transcript[1024]; /* behind CAPA */
	bool was_in_step;
	bool is_far; /* false: this machine has no address but loopback */
};

static struct pop3 *open_greeted(int fd)
{
	const struct stream_options options = { .stop_fd = -1 };
	const struct pop3_timeouts timeouts = { .reply_usec = USEC_PER_MINUTE,
						.login_usec = USEC_PER_MINUTE };
	struct stream *stream;
	struct pop3 *pop3;
	struct error err = { 0 };

	ck_assert_int_eq(stream_new(fd, &options, &stream, &err), 0);
	ck_assert_int_eq(pop3_new(stream, &timeouts, &pop3, &err), 0);
	ck_assert_int_eq(pop3_read_greeting(pop3, &err), 0);
	return pop3;
}

static struct pop3 *open_pop3(int fd)
{
	struct pop3 *pop3 = open_greeted(fd);
	struct error err = { 0 };

	ck_assert_int_eq(pop3_ask_capa(pop3, &err), 0);
	return pop3;
}

/* The first two rows are greeting and CAPA. */
static struct outcome log_in(struct scene *scene, const struct peer_row *rows,
			     size_t n_rows, bool is_far)
{
	_cleanup_peer_ struct peer *peer = NULL;
	_cleanup_pop3_ struct pop3 *pop3 = NULL;
	struct outcome outcome = { .retry_sec = 9999, .is_far = is_far };
	struct error err = { 0 };
	int fd;

	peer = is_far ? peer_new_far(rows, n_rows, &fd) :
			peer_new(rows, n_rows, &fd);
	outcome.is_far = is_far && peer;
	if (!peer)
		return outcome;
	pop3 = open_pop3(fd);
	ck_assert_int_eq(stream_is_loopback(pop3_stream(pop3)), !is_far);
	outcome.result = login_run(&scene->login, pop3, &outcome.retry_sec,
				   &err);
	outcome.kind = err.kind;
	outcome.was_in_step = pop3_is_in_step(pop3);
	memcpy(outcome.text, err.text, sizeof(outcome.text));
	pop3_free(&pop3);
	(void)snprintf(outcome.transcript, sizeof(outcome.transcript), "%s",
		       peer_finish(peer) + strlen("CAPA\n"));
	return outcome;
}

static int64_t fact(const struct scene *scene, enum journal_fact which)
{
	int64_t value = -1;
	struct error err = { 0 };

	ck_assert_int_eq(journal_get_fact(scene->store.journal, which, &value,
					  &err),
			 0);
	return value;
}

static void set_fact(const struct scene *scene, enum journal_fact which,
		     int64_t value)
{
	struct error err = { 0 };

	ck_assert_int_eq(journal_begin(scene->store.journal, &err), 0);
	ck_assert_int_eq(journal_set_fact(scene->store.journal, which, value,
					  &err),
			 0);
	ck_assert_int_eq(journal_commit(scene->store.journal, &err), 0);
}

#define ROWS_MAX 4

static const struct {
	const char *name;
	enum auth_choice auth;
	bool allow_cleartext;
	bool is_far; /* a clear link to another machine */
	const char *greeting;
	const char *capa;
	struct peer_row rows[ROWS_MAX];

	enum error_kind kind;
	int refusals;	   /* remembered afterwards */
	bool is_apop_out;  /* remembered that APOP is refused */
	const char *words; /* NULL, or what the error must say */
} login_cases[] = {
	{ .name = "auto takes APOP where the greeting has it",
	  .greeting = WITH_APOP, .capa = CAPA_PLAIN,
	  .rows = { PEER_ROW(APOP, OK) } },
	{ .name = "auto takes AUTH PLAIN where CAPA names it",
	  .greeting = WITHOUT_APOP, .capa = CAPA_PLAIN,
	  .rows = { PEER_ROW(PLAIN, OK) } },
	{ .name = "auto takes USER and PASS else", .greeting = WITHOUT_APOP,
	  .capa = CAPA_USER,
	  .rows = { PEER_ROW(USER, OK), PEER_ROW(PASS, OK) } },
	{ .name = "USER and PASS need no CAPA", .greeting = WITHOUT_APOP,
	  .capa = "-ERR\r\n",
	  .rows = { PEER_ROW(USER, OK), PEER_ROW(PASS, OK) } },
	{ .name = "APOP refused, then AUTH PLAIN in the same session",
	  .greeting = WITH_APOP, .capa = CAPA_PLAIN,
	  .rows = { PEER_ROW(APOP, NO), PEER_ROW(PLAIN, OK) },
	  .is_apop_out = true },
	{ .name = "APOP refused, then USER and PASS", .greeting = WITH_APOP,
	  .capa = CAPA_USER,
	  .rows = { PEER_ROW(APOP, "-ERR what?\r\n"), PEER_ROW(USER, OK),
		    PEER_ROW(PASS, OK) },
	  .is_apop_out = true },
	{ .name = "both refused are one refusal, and there is no third attempt",
	  .greeting = WITH_APOP, .capa = CAPA_PLAIN,
	  .rows = { PEER_ROW(APOP, NO), PEER_ROW(PLAIN, NO) },
	  .kind = ERROR_AUTH, .refusals = 1, .words = "APOP, then AUTH PLAIN" },
	{ .name = "AUTH PLAIN refused is not followed by USER",
	  .greeting = WITHOUT_APOP, .capa = CAPA_PLAIN,
	  .rows = { PEER_ROW(PLAIN, NO) }, .kind = ERROR_AUTH, .refusals = 1,
	  .words = "AUTH PLAIN refused" },
	{ .name = "USER refused keeps the password back",
	  .greeting = WITHOUT_APOP, .capa = CAPA_USER,
	  .rows = { PEER_ROW(USER, NO) }, .kind = ERROR_AUTH, .refusals = 1 },
	{ .name = "a refusal without a code is one too",
	  .greeting = WITHOUT_APOP, .capa = CAPA_PLAIN,
	  .rows = { PEER_ROW(PLAIN, "-ERR invalid password\r\n") },
	  .kind = ERROR_AUTH, .refusals = 1, .words = "invalid password" },
	{ .name = "busy is no refusal, and nothing else is tried",
	  .greeting = WITH_APOP, .capa = CAPA_PLAIN,
	  .rows = { PEER_ROW(APOP, "-ERR [IN-USE] locked\r\n") },
	  .kind = ERROR_BUSY },
	{ .name = "busy in the second attempt is none either",
	  .greeting = WITH_APOP, .capa = CAPA_PLAIN,
	  .rows = { PEER_ROW(APOP, NO),
		    PEER_ROW(PLAIN, "-ERR [LOGIN-DELAY] wait\r\n") },
	  .kind = ERROR_BUSY },
	{ .name = "a passing fault is none", .greeting = WITHOUT_APOP,
	  .capa = CAPA_PLAIN,
	  .rows = { PEER_ROW(PLAIN, "-ERR [SYS/TEMP] db\r\n") },
	  .kind = ERROR_BUSY },
	{ .name = "a cut is none", .greeting = WITHOUT_APOP, .capa = CAPA_PLAIN,
	  .rows = { { .expect = PLAIN, .send = "", .closes = true } },
	  .kind = ERROR_NETWORK },
	{ .name = "a cut in the second attempt leaves the first one's refusal",
	  .greeting = WITH_APOP, .capa = CAPA_PLAIN,
	  .rows = { PEER_ROW(APOP, NO),
		    { .expect = PLAIN, .send = "", .closes = true } },
	  .kind = ERROR_AUTH, .refusals = 1, .is_apop_out = true,
	  .words = "no second attempt" },

	{ .name = "auth = apop sends nothing else", .auth = AUTH_APOP,
	  .greeting = WITH_APOP, .capa = CAPA_PLAIN,
	  .rows = { PEER_ROW(APOP, NO) }, .kind = ERROR_AUTH, .refusals = 1 },
	{ .name = "auth = apop without a timestamp sends nothing",
	  .auth = AUTH_APOP, .greeting = WITHOUT_APOP, .capa = CAPA_PLAIN,
	  .kind = ERROR_AUTH, .words = "no APOP" },
	{ .name = "a timestamp that is no msg-id offers no APOP",
	  .greeting = "+OK <1896@a b>\r\n", .capa = CAPA_PLAIN,
	  .rows = { PEER_ROW(PLAIN, OK) } },
	{ .name = "auth = plain tries nothing else", .auth = AUTH_PLAIN,
	  .greeting = WITH_APOP, .capa = CAPA_USER,
	  .rows = { PEER_ROW(PLAIN, NO) }, .kind = ERROR_AUTH, .refusals = 1 },
	{ .name = "auth = user is not made better", .auth = AUTH_USER,
	  .greeting = WITH_APOP, .capa = CAPA_PLAIN,
	  .rows = { PEER_ROW(USER, OK), PEER_ROW(PASS, OK) } },

	{ .name = "far and clear: APOP may be sent", .is_far = true,
	  .greeting = WITH_APOP, .capa = CAPA_PLAIN,
	  .rows = { PEER_ROW(APOP, OK) } },
	{ .name = "far and clear: nothing follows a refused APOP",
	  .is_far = true, .greeting = WITH_APOP, .capa = CAPA_PLAIN,
	  .rows = { PEER_ROW(APOP, NO) }, .kind = ERROR_AUTH, .refusals = 1,
	  .words = "allow_cleartext = true" },
	{ .name = "far and clear: no AUTH PLAIN", .is_far = true,
	  .greeting = WITHOUT_APOP, .capa = CAPA_PLAIN, .kind = ERROR_AUTH,
	  .words = "allow_cleartext = true" },
	{ .name = "far and clear: no USER", .is_far = true,
	  .greeting = WITHOUT_APOP, .capa = CAPA_USER, .kind = ERROR_AUTH,
	  .words = "allow_cleartext = true" },
	{ .name = "far and clear: not when it was chosen either",
	  .is_far = true, .auth = AUTH_USER, .greeting = WITH_APOP,
	  .capa = CAPA_USER, .kind = ERROR_AUTH,
	  .words = "allow_cleartext = true" },
	{ .name = "far, clear and allowed: USER and PASS", .is_far = true,
	  .allow_cleartext = true, .greeting = WITHOUT_APOP, .capa = CAPA_USER,
	  .rows = { PEER_ROW(USER, OK), PEER_ROW(PASS, OK) } },
	{ .name = "far, clear and allowed: AUTH PLAIN behind APOP",
	  .is_far = true, .allow_cleartext = true, .greeting = WITH_APOP,
	  .capa = CAPA_PLAIN,
	  .rows = { PEER_ROW(APOP, NO), PEER_ROW(PLAIN, OK) },
	  .is_apop_out = true },
};

/* What the client must have sent: the lines awaited, and no more. */
static void check_sent(const struct outcome *outcome,
		       const struct peer_row *rows, const char *name)
{
	char expected[1024];
	size_t len = 0;

	expected[0] = '\0';
	for (size_t i = 0; i < ROWS_MAX && rows[i].expect; i++)
		len += (size_t)snprintf(expected + len, sizeof(expected) - len,
					"%s\n", rows[i].expect);
	ck_assert_msg(strcmp(outcome->transcript, expected) == 0,
		      "%s: sent '%s', not '%s'", name, outcome->transcript,
		      expected);
}

START_TEST(logs_in)
{
	const char *name = login_cases[_i].name;
	struct peer_row rows[2 + ROWS_MAX] = {
		{ .send = login_cases[_i].greeting },
		PEER_ROW("CAPA", login_cases[_i].capa),
	};
	struct scene scene;
	struct outcome outcome;
	size_t n = 0;

	for (; n < ROWS_MAX && login_cases[_i].rows[n].expect; n++)
		rows[2 + n] = login_cases[_i].rows[n];
	scene_make(&scene);
	scene.account.auth = login_cases[_i].auth;
	scene.account.allow_cleartext = login_cases[_i].allow_cleartext;
	outcome = log_in(&scene, rows, 2 + n, login_cases[_i].is_far);
	if (login_cases[_i].is_far && !outcome.is_far) {
		store_close(&scene.store);
		/* The system test clear-link has machines of its own. */
		(void)printf("# SKIP %s: no other machine here\n", name);
		return;
	}

	check_sent(&outcome, login_cases[_i].rows, name);
	ck_assert_msg((outcome.result == 0) ==
			      (login_cases[_i].kind == ERROR_NONE),
		      "%s: %s", name, outcome.text);
	ck_assert_msg(outcome.result == 0 ||
			      outcome.kind == login_cases[_i].kind,
		      "%s: %s", name, outcome.text);
	ck_assert_msg(!login_cases[_i].words ||
			      strstr(outcome.text, login_cases[_i].words),
		      "%s: %s", name, outcome.text);
	ck_assert_msg(!strstr(outcome.text, "tanstaaf"), "%s: told", name);
	ck_assert_msg(fact(&scene, JOURNAL_REFUSED_TIMES) ==
			      login_cases[_i].refusals,
		      "%s: refusals", name);
	ck_assert_msg((fact(&scene, JOURNAL_APOP_REFUSED) != 0) ==
			      login_cases[_i].is_apop_out,
		      "%s: APOP", name);
	ck_assert_msg(outcome.was_in_step != rows[1 + n].closes, "%s: step",
		      name);
	store_close(&scene.store);
}
END_TEST

static struct outcome log_in_plain(struct scene *scene, const char *answer)
{
	const struct peer_row rows[] = {
		{ .send = WITHOUT_APOP },
		PEER_ROW("CAPA", CAPA_PLAIN),
		PEER_ROW("AUTH PLAIN *", answer),
	};

	return log_in(scene, rows, ARRAY_SIZE(rows), false);
}

START_TEST(refusals_in_a_row_double_the_pause)
{
	static const uint32_t pauses[] = { 900,	  1800,	 3600, 7200,
					   14400, 21600, 21600 };
	struct scene scene;

	scene_make(&scene);
	for (size_t i = 0; i < ARRAY_SIZE(pauses); i++) {
		struct outcome outcome = log_in_plain(&scene, NO);

		ck_assert_int_eq(outcome.kind, ERROR_AUTH);
		ck_assert_uint_eq(outcome.retry_sec, pauses[i]);
		ck_assert_int_eq(fact(&scene, JOURNAL_REFUSED_TIMES),
				 (int64_t)i + 1);
	}
	store_close(&scene.store);
}
END_TEST

START_TEST(a_refusal_of_another_secret_begins_anew)
{
	struct scene scene;

	scene_make(&scene);
	(void)log_in_plain(&scene, NO);
	(void)log_in_plain(&scene, NO);
	set_secret(&scene, "another");
	ck_assert_uint_eq(log_in_plain(&scene, NO).retry_sec, 900);
	ck_assert_int_eq(fact(&scene, JOURNAL_REFUSED_TIMES), 1);
	store_close(&scene.store);
}
END_TEST

/* By a mistake of ours, or by the kernel in a child. */
START_TEST(a_secret_that_was_wiped_is_never_sent)
{
	static const size_t lengths[] = { 0, 8 };
	static const char *const capas[] = { CAPA_PLAIN, CAPA_USER };
	struct scene scene;

	scene_make(&scene);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(capas); j++) {
			const struct peer_row rows[] = {
				{ .send = WITH_APOP },
				PEER_ROW("CAPA", capas[j]),
			};
			struct outcome outcome;

			memset(scene.text, 0, sizeof(scene.text));
			scene.secret.len = lengths[i];
			outcome = log_in(&scene, rows, 2, false);
			ck_assert_int_eq(outcome.result, -1);
			ck_assert_int_eq(outcome.kind, ERROR_LOCAL);
			ck_assert_str_eq(outcome.transcript, "");
		}
	}
	ck_assert_int_eq(fact(&scene, JOURNAL_REFUSED_TIMES), 0);
	store_close(&scene.store);
}
END_TEST

START_TEST(a_success_forgets_the_refusals)
{
	struct scene scene;

	scene_make(&scene);
	(void)log_in_plain(&scene, NO);
	ck_assert_int_eq(log_in_plain(&scene, OK).result, 0);
	ck_assert_int_eq(fact(&scene, JOURNAL_REFUSED_TIMES), 0);
	ck_assert_int_eq(fact(&scene, JOURNAL_REFUSED_AT), 0);
	ck_assert_int_eq(fact(&scene, JOURNAL_REFUSED_FINGERPRINT), 0);
	ck_assert_uint_eq(log_in_plain(&scene, NO).retry_sec, 900);
	store_close(&scene.store);
}
END_TEST

START_TEST(busy_tells_the_delay_that_the_server_named)
{
	const struct peer_row rows[] = {
		{ .send = WITHOUT_APOP },
		PEER_ROW("CAPA",
			 "+OK\r\nSASL PLAIN\r\nLOGIN-DELAY 300\r\n.\r\n"),
		PEER_ROW(PLAIN, "-ERR [LOGIN-DELAY] too soon\r\n"),
	};
	struct scene scene;
	struct outcome outcome;

	scene_make(&scene);
	outcome = log_in(&scene, rows, ARRAY_SIZE(rows), false);
	ck_assert_int_eq(outcome.kind, ERROR_BUSY);
	ck_assert_uint_eq(outcome.retry_sec, 300);
	store_close(&scene.store);
}
END_TEST

enum change {
	NOTHING = 0,
	SECRET,
	HOST,
	PORT,
	USERNAME,
	AUTH,
	TLS,
	CLEARTEXT,
	ASKED_FOR,
	MAILDIR, /* no part of a login */
};

static const struct {
	const char *name;
	enum change change;
	int64_t refused_before_sec; /* so long ago */
	bool is_bound;
	uint32_t retry_sec; /* about that */
} memory_cases[] = {
	{ "a refusal binds at once", NOTHING, 0, true, 900 },
	{ "and for the rest of its time", NOTHING, 600, true, 300 },
	{ "not beyond it", NOTHING, 901, false, 0 },
	{ "not when the clock was set back", NOTHING, -3600, false, 0 },
	{ "another password is tried at once", SECRET, 0, false, 0 },
	{ "another host too", HOST, 0, false, 0 },
	{ "another port too", PORT, 0, false, 0 },
	{ "another user name too", USERNAME, 0, false, 0 },
	{ "another auth too", AUTH, 0, false, 0 },
	{ "another tls too", TLS, 0, false, 0 },
	{ "allow_cleartext too", CLEARTEXT, 0, false, 0 },
	{ "a person may always ask", ASKED_FOR, 0, false, 0 },
	{ "what is no part of the login changes nothing", MAILDIR, 0, true,
	  900 },
};

static void change(struct scene *scene, enum change what)
{
	static char other[] = "other";

	if (what == SECRET)
		set_secret(scene, "tanstaaF");
	if (what == HOST)
		scene->account.host = other;
	if (what == PORT)
		scene->account.port = 110;
	if (what == USERNAME)
		scene->account.username = other;
	if (what == AUTH)
		scene->account.auth = AUTH_USER;
	if (what == TLS)
		scene->account.tls = TLS_STARTTLS;
	if (what == CLEARTEXT)
		scene->account.allow_cleartext = true;
	scene->login.is_asked_for = what == ASKED_FOR;
	if (what == MAILDIR)
		scene->account.maildir = other;
}

START_TEST(a_refusal_binds_the_same_login_for_its_time)
{
	const char *name = memory_cases[_i].name;
	struct scene scene;
	struct error err = { 0 };
	uint32_t retry_sec = 9999;
	int r;

	scene_make(&scene);
	ck_assert_int_eq(log_in_plain(&scene, NO).kind, ERROR_AUTH);
	set_fact(&scene, JOURNAL_REFUSED_AT,
		 fact(&scene, JOURNAL_REFUSED_AT) -
			 memory_cases[_i].refused_before_sec);
	change(&scene, memory_cases[_i].change);

	r = login_check_refusal(&scene.login, &retry_sec, &err);
	ck_assert_msg((r < 0) == memory_cases[_i].is_bound, "%s: %s", name,
		      err.text);
	if (!memory_cases[_i].is_bound) {
		ck_assert_msg(retry_sec == 9999, "%s: output", name);
		store_close(&scene.store);
		return;
	}
	ck_assert_msg(err.kind == ERROR_AUTH, "%s: %s", name, err.text);
	ck_assert_msg(strstr(err.text, "--account"), "%s: %s", name, err.text);
	ck_assert_msg(retry_sec <= memory_cases[_i].retry_sec &&
			      retry_sec + 60 > memory_cases[_i].retry_sec,
		      "%s: %u s", name, retry_sec);
	store_close(&scene.store);
}
END_TEST

START_TEST(nothing_binds_an_account_that_was_never_refused)
{
	struct scene scene;
	struct error err = { 0 };
	uint32_t retry_sec = 9999;

	scene_make(&scene);
	ck_assert_int_eq(login_check_refusal(&scene.login, &retry_sec, &err),
			 0);
	ck_assert_uint_eq(retry_sec, 9999);
	store_close(&scene.store);
}
END_TEST

/* APOP was refused and USER and PASS made it good. */
static void learn_that_apop_fails(struct scene *scene)
{
	const struct peer_row rows[] = {
		{ .send = WITH_APOP },
		PEER_ROW("CAPA", CAPA_USER),
		PEER_ROW(APOP, NO),
		PEER_ROW(USER, OK),
		PEER_ROW("PASS *", OK),
	};

	scene_make(scene);
	ck_assert_int_eq(log_in(scene, rows, ARRAY_SIZE(rows), false).result,
			 0);
}

static const struct {
	const char *name;
	const char *greeting;
	const char *capa;
	const char *secret;
	const char *first; /* command */
} apop_cases[] = {
	{ "a server that refused APOP is not asked again", WITH_APOP, CAPA_USER,
	  "tanstaaf", USER },
	{ "another timestamp is the same greeting",
	  "+OK ready <1.2@dbc.mtview.ca.us>\r\n", CAPA_USER, "tanstaaf", USER },
	{ "another greeting is another server", "+OK new " TIMESTAMP "\r\n",
	  CAPA_USER, "tanstaaf", "APOP *" },
	{ "other capabilities are another server", WITH_APOP, CAPA_PLAIN,
	  "tanstaaf", "APOP *" },
	{ "another secret is another login", WITH_APOP, CAPA_USER, "another",
	  "APOP *" },
};

START_TEST(a_refused_apop_is_remembered_while_nothing_changes)
{
	const struct peer_row rows[] = {
		{ .send = apop_cases[_i].greeting },
		PEER_ROW("CAPA", apop_cases[_i].capa),
		PEER_ROW(apop_cases[_i].first, OK),
		PEER_ROW("PASS *", OK),
	};
	bool is_apop = apop_cases[_i].first[0] == 'A';
	struct scene scene;
	struct outcome outcome;

	learn_that_apop_fails(&scene);
	set_secret(&scene, apop_cases[_i].secret);
	outcome = log_in(&scene, rows, is_apop ? 3 : 4, false);
	ck_assert_msg(outcome.result == 0, "%s: %s, sent %s",
		      apop_cases[_i].name, outcome.text, outcome.transcript);
	store_close(&scene.store);
}
END_TEST

/* One attempt is left then, not a second way round. */
START_TEST(behind_a_remembered_apop_there_is_one_attempt)
{
	const struct peer_row rows[] = {
		{ .send = WITH_APOP },
		PEER_ROW("CAPA", CAPA_USER),
		PEER_ROW(USER, OK),
		PEER_ROW(PASS, NO),
	};
	struct scene scene;
	struct outcome outcome;

	learn_that_apop_fails(&scene);
	outcome = log_in(&scene, rows, ARRAY_SIZE(rows), false);
	ck_assert_int_eq(outcome.kind, ERROR_AUTH);
	ck_assert_str_eq(outcome.transcript, USER "\n" PASS "\n");
	store_close(&scene.store);
}
END_TEST

/* clang-format off */
static const struct {
	const char *name;
	const char *greeting;
	bool has_plain; /* as an earlier visit was told */
	struct peer_row rows[6];
	const char *expected;
	enum error_kind kind;
	int64_t refusals; /* remembered */
} assumed_cases[] = {
	{ .name = "a way that is there needs no question",
	  .greeting = WITHOUT_APOP, .has_plain = true,
	  .rows = { PEER_ROW(PLAIN, OK) },
	  .expected = PLAIN "\n" },
	{ .name = "AUTH that is there no longer is followed by USER and PASS",
	  .greeting = WITHOUT_APOP, .has_plain = true,
	  .rows = { PEER_ROW(PLAIN, "-ERR unknown command\r\n"),
		    PEER_ROW("CAPA", CAPA_USER), PEER_ROW(USER, OK),
		    PEER_ROW(PASS, OK) },
	  .expected = PLAIN "\nCAPA\n" USER "\n" PASS "\n" },
	{ .name = "USER that is there no longer is followed by AUTH PLAIN",
	  .greeting = WITHOUT_APOP,
	  .rows = { PEER_ROW(USER, NO), PEER_ROW("CAPA", CAPA_PLAIN),
		    PEER_ROW(PLAIN, OK) },
	  .expected = USER "\nCAPA\n" PLAIN "\n" },
	{ .name = "a refusal that CAPA does not explain stands",
	  .greeting = WITHOUT_APOP, .has_plain = true,
	  .rows = { PEER_ROW(PLAIN, NO), PEER_ROW("CAPA", CAPA_PLAIN) },
	  .expected = PLAIN "\nCAPA\n", .kind = ERROR_AUTH, .refusals = 1 },
	{ .name = "a second refusal stands",
	  .greeting = WITHOUT_APOP, .has_plain = true,
	  .rows = { PEER_ROW(PLAIN, NO), PEER_ROW("CAPA", CAPA_USER),
		    PEER_ROW(USER, OK), PEER_ROW(PASS, NO) },
	  .expected = PLAIN "\nCAPA\n" USER "\n" PASS "\n",
	  .kind = ERROR_AUTH, .refusals = 1 },
	{ .name = "a refusal with an end behind it is not yet remembered",
	  .greeting = WITHOUT_APOP, .has_plain = true,
	  .rows = { PEER_ROW(PLAIN, NO), { .expect = "CAPA", .closes = true } },
	  .expected = PLAIN "\nCAPA\n", .kind = ERROR_NETWORK },
	{ .name = "a busy server is not asked",
	  .greeting = WITHOUT_APOP, .has_plain = true,
	  .rows = { PEER_ROW(PLAIN, "-ERR [IN-USE] later\r\n") },
	  .expected = PLAIN "\n", .kind = ERROR_BUSY },
	{ .name = "behind a refused APOP comes what the server has now",
	  .greeting = WITH_APOP, .has_plain = true,
	  .rows = { PEER_ROW("APOP *", NO), PEER_ROW("CAPA", CAPA_USER),
		    PEER_ROW(USER, OK), PEER_ROW(PASS, OK) },
	  .expected = APOP "\nCAPA\n" USER "\n" PASS "\n" },
};
/* clang-format on */

START_TEST(what_was_assumed_is_asked_for_before_a_refusal_is_believed)
{
	const struct pop3_capa capa = {
		.known = true,
		.user = true,
		.sasl_plain = assumed_cases[_i].has_plain,
	};
	const char *name = assumed_cases[_i].name;
	struct peer_row rows[7] = { { .send = assumed_cases[_i].greeting } };
	_cleanup_peer_ struct peer *peer = NULL;
	_cleanup_pop3_ struct pop3 *pop3 = NULL;
	struct error err = { 0 };
	struct scene scene;
	uint32_t retry_sec;
	size_t n = 0;
	int fd;

	scene_make(&scene);
	for (; assumed_cases[_i].rows[n].expect; n++)
		rows[n + 1] = assumed_cases[_i].rows[n];
	peer = peer_new(rows, n + 1, &fd);
	pop3 = open_greeted(fd);
	pop3_assume_capa(pop3, &capa);
	ck_assert_msg(login_run(&scene.login, pop3, &retry_sec, &err) ==
			      (assumed_cases[_i].kind == ERROR_NONE ? 0 : -1),
		      "%s: %s", name, err.text);
	ck_assert_msg(assumed_cases[_i].kind == ERROR_NONE ||
			      err.kind == assumed_cases[_i].kind,
		      "%s: %s", name, err.text);
	pop3_free(&pop3);
	ck_assert_msg(strcmp(peer_finish(peer), assumed_cases[_i].expected) ==
			      0,
		      "%s: %s", name, peer_finish(peer));
	ck_assert_int_eq(fact(&scene, JOURNAL_REFUSED_TIMES),
			 assumed_cases[_i].refusals);
	store_close(&scene.store);
}
END_TEST

static void add_memory(TCase *tcase)
{
	tcase_add_loop_test(
		tcase,
		what_was_assumed_is_asked_for_before_a_refusal_is_believed, 0,
		(int)ARRAY_SIZE(assumed_cases));
	tcase_add_test(tcase, refusals_in_a_row_double_the_pause);
	tcase_add_test(tcase, a_refusal_of_another_secret_begins_anew);
	tcase_add_test(tcase, a_secret_that_was_wiped_is_never_sent);
	tcase_add_test(tcase, a_success_forgets_the_refusals);
	tcase_add_test(tcase, busy_tells_the_delay_that_the_server_named);
	tcase_add_loop_test(tcase, a_refusal_binds_the_same_login_for_its_time,
			    0, (int)ARRAY_SIZE(memory_cases));
	tcase_add_test(tcase, nothing_binds_an_account_that_was_never_refused);
	tcase_add_loop_test(tcase,
			    a_refused_apop_is_remembered_while_nothing_changes,
			    0, (int)ARRAY_SIZE(apop_cases));
	tcase_add_test(tcase, behind_a_remembered_apop_there_is_one_attempt);
}

int main(void)
{
	Suite *suite = suite_create("login");
	TCase *tcase = tcase_create("login");
	SRunner *runner;
	int n_failed;

	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, logs_in, 0, (int)ARRAY_SIZE(login_cases));
	add_memory(tcase);
	suite_add_tcase(suite, tcase);

	scratch_begin();
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	scratch_end();
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
