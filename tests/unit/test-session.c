/*
 * test-session.c - whole visits against a scripted server on loopback.
 *
 * Each failure tells its step, and QUIT is said wherever the server would
 * take it for a command. What a login, a listing or a fetch does in detail
 * stands in the tests of those modules.
 */
#include "session.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "capa_memory.h"
#include "peer.h"
#include "scratch.h"

/* clang-format off */
#define GREETING { .send = "+OK ready\r\n" }
#define CAPA	 PEER_ROW("CAPA", "+OK\r\nUIDL\r\n.\r\n")
#define LOGIN                        \
	PEER_ROW("USER mrose", "+OK\r\n"), \
	PEER_ROW("PASS tanstaaf", "+OK\r\n")
#define UIDL	     PEER_ROW("UIDL", "+OK\r\n1 A\r\n2 B\r\n.\r\n")
#define LIST	     PEER_ROW("LIST", "+OK\r\n1 20\r\n2 20\r\n.\r\n")
#define EMPTY_UIDL   PEER_ROW("UIDL", "+OK\r\n.\r\n")
#define EMPTY_LIST   PEER_ROW("LIST", "+OK\r\n.\r\n")
#define MESSAGE	     "+OK\r\nSubject: 1\r\n\r\nbody\r\n.\r\n"
#define QUIT	     PEER_ROW("QUIT", "+OK\r\n")

#define SAID_LOGIN   "CAPA\nUSER mrose\nPASS tanstaaf\n"
#define SAID_LISTS   SAID_LOGIN "UIDL\nLIST\n"
#define ROWS_MAX     16
/* clang-format on */

/* To be trusted, and that is all: nobody has its key. */
static const char some_ca[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBhzCCAS2gAwIBAgIUOy9qdqNLFySBQm0k8/F3AThGvFswCgYIKoZIzj0EAwIw\n"
	"GDEWMBQGA1UEAwwNbWFpbGhhdWwtdGVzdDAgFw0yNjExMjEwOTIyNTFaGA8yMTI2\n"
	"MTAyODA5MjI1MVowGDEWMBQGA1UEAwwNbWFpbGhhdWwtdGVzdDBZMBMGByqGSM49\n"
	"AgEGCCqGSM49AwEHA0IABD5zNfPgc7sBKVna3rQ8obXCa1eyHXWhB42bNWv8VGGG\n"
	"CpbHhClNj/p+XVfkajW0K2GL6m/ARekJ6IW0y2HxuROjUzBRMB0GA1UdDgQWBBQb\n"
	"oPf6Wzqr0ZJ+9+CqCmiIZDiN1TAfBgNVHSMEGDAWgBQboPf6Wzqr0ZJ+9+CqCmiI\n"
	"ZDiN1TAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIGheOcYfRrsU\n"
	"RNOroRGsIENCPxKvqHC5JuMRd1FVxcNJAiEAgOuCFOAvpRYGFwDVCT3D48jKnUv9\n"
	"ZTi6MZEQEp+zbyk=\n"
	"-----END CERTIFICATE-----\n";

/* Told to stop when the first file of a message is synced: in mid-visit. */
static int stop_at_sync = -1;

int fsync(int fd)
{
	struct stat st;
	const uint64_t one = 1;

	if (stop_at_sync >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		(void)!write(stop_at_sync, &one, sizeof(one));
	return (int)syscall(SYS_fsync, fd);
}

/* All that a visit needs, and what came of it. */
struct scene {
	struct store store;
	struct account account;
	struct tls_trust *trust;
	struct peer *peer;
	struct notes notes;
	struct report report;
	struct error err;
	int stop_fd;
	enum purpose purpose;
	bool is_asked_for;
	bool is_again;
	struct capa_memory
		memory; /* of the server that is next; state 0: none */
	int result;
};

static void scene_make(struct scene *scene)
{
	static char host[] = "127.0.0.1", username[] = "mrose";

	*scene = (struct scene){ .stop_fd = eventfd(0, EFD_CLOEXEC) };
	ck_assert_int_ge(scene->stop_fd, 0);
	store_make(&scene->store);
	scene->account = (struct account){
		.host = host,
		.tls = TLS_NONE,
		.username = username,
		.auth = AUTH_USER,
		.connect_timeout_usec = USEC_PER_MINUTE,
		.reply_timeout_usec = USEC_PER_MINUTE,
		.login_timeout_usec = USEC_PER_MINUTE,
		.visit_timeout_usec = USEC_PER_HOUR,
		.stop_timeout_usec = USEC_PER_MINUTE,
		.batch_messages = 64,
		.batch_bytes = 8 << 20,
		.batch_time_usec = USEC_PER_HOUR,
		.batch_pause_usec = USEC_PER_HOUR,
	};
}

static void scene_done(struct scene *scene)
{
	peer_free(&scene->peer);
	tls_trust_free(&scene->trust);
	store_close(&scene->store);
	fd_close(&scene->stop_fd);
}

/* Whatever went before is forgotten, but for Maildir and journal. */
static void visit(struct scene *scene)
{
	static const char wiped[sizeof("tanstaaf")];
	char password[] = "tanstaaf";
	struct secret secret = { .text = password, .len = strlen(password) };
	struct uplink uplink = { .fd = -1 };
	const struct session_job job = {
		.account = &scene->account,
		.secret = &secret,
		.trust = scene->trust,
		.maildir = &scene->store.maildir,
		.journal = scene->store.journal,
		.uplink = &uplink,
		.notes = &scene->notes,
		.stop_fd = scene->stop_fd,
		.purpose = scene->purpose,
		.is_asked_for = scene->is_asked_for,
		.is_again = scene->is_again,
	};

	scene->report = (struct report){ 0 };
	scene->notes = (struct notes){ 0 };
	scene->err = (struct error){ 0 };
	scene->result = session_run(&job, &scene->report, &scene->err);
	if (scene->report.step > STEP_LOGIN)
		ck_assert_msg(secret.len == 0 && memcmp(password, wiped,
							sizeof(wiped)) == 0,
			      "the secret outlived the login");
}

/* A peer's port is new each time, and what is remembered belongs to a port. */
static void remember(struct scene *scene)
{
	const struct capa_memory none = { 0 };

	ck_assert_int_eq(capa_memory_update(scene->store.journal,
					    &scene->account, &none,
					    &scene->memory, &scene->err),
			 0);
}

static void play(struct scene *scene, const struct peer_row *rows,
		 size_t n_rows)
{
	peer_free(&scene->peer);
	scene->peer = peer_new_listening(rows, n_rows, &scene->account.port);
	remember(scene);
	visit(scene);
}

static void expect_success(const struct scene *scene)
{
	ck_assert_msg(scene->result == 0, "%s: %s",
		      step_name(scene->report.step), scene->err.text);
	ck_assert_int_eq(scene->err.kind, ERROR_NONE);
}

static void expect_failure(const struct scene *scene, enum step step,
			   enum error_kind kind)
{
	ck_assert_int_lt(scene->result, 0);
	ck_assert_msg(scene->report.step == step && scene->err.kind == kind,
		      "%s: %s: %s", step_name(scene->report.step),
		      error_kind_name(scene->err.kind), scene->err.text);
}

static void expect_note(const struct scene *scene, int priority,
			const char *words)
{
	ck_assert_uint_eq(scene->notes.n_notes, 1);
	ck_assert_int_eq(scene->notes.notes[0].priority, priority);
	ck_assert_msg(strstr(scene->notes.notes[0].text, words), "%s",
		      scene->notes.notes[0].text);
}

START_TEST(a_visit_in_order)
{
	const struct peer_row first[] = {
		GREETING,
		CAPA,
		LOGIN,
		UIDL,
		LIST,
		PEER_ROW("RETR 1", MESSAGE),
		PEER_ROW("RETR 2", MESSAGE),
		PEER_ROW("DELE 1", "+OK\r\n"),
		PEER_ROW("DELE 2", "+OK\r\n"),
		QUIT,
	};
	const struct peer_row second[] = { GREETING,   CAPA,       LOGIN,
					   EMPTY_UIDL, EMPTY_LIST, QUIT };
	struct scene scene;

	scene_make(&scene);
	play(&scene, first, ARRAY_SIZE(first));
	expect_success(&scene);
	ck_assert_str_eq(peer_finish(scene.peer),
			 SAID_LISTS "RETR 1\nRETR 2\nDELE 1\nDELE 2\nQUIT\n");
	ck_assert_uint_eq(scene.report.fetched, 2);
	ck_assert_uint_eq(scene.report.deleted, 2);
	ck_assert_uint_eq(scene.report.kept, 0);
	ck_assert_uint_eq(scene.notes.n_notes, 0);
	ck_assert_uint_eq(scratch_count(scene.store.mail, "new"), 2);

	play(&scene, second, ARRAY_SIZE(second));
	expect_success(&scene);
	ck_assert_str_eq(peer_finish(scene.peer), SAID_LISTS "QUIT\n");
	ck_assert_uint_eq(scene.report.fetched, 0);
	ck_assert_uint_eq(scratch_count(scene.store.mail, "new"), 2);
	scene_done(&scene);
}
END_TEST

START_TEST(kept_mail_is_counted_and_not_fetched_again)
{
	const struct peer_row first[] = {
		GREETING,
		CAPA,
		LOGIN,
		UIDL,
		LIST,
		PEER_ROW("RETR 1", MESSAGE),
		PEER_ROW("RETR 2", MESSAGE),
		QUIT,
	};
	const struct peer_row second[] = {
		GREETING, CAPA, LOGIN, UIDL, LIST, QUIT,
	};
	struct scene scene;

	scene_make(&scene);
	scene.account.keep = KEEP_FOREVER;
	play(&scene, first, ARRAY_SIZE(first));
	expect_success(&scene);
	ck_assert_uint_eq(scene.report.fetched, 2);
	ck_assert_uint_eq(scene.report.kept, 0);

	play(&scene, second, ARRAY_SIZE(second));
	expect_success(&scene);
	ck_assert_str_eq(peer_finish(scene.peer), SAID_LISTS "QUIT\n");
	ck_assert_uint_eq(scene.report.fetched, 0);
	ck_assert_uint_eq(scene.report.kept, 2);
	ck_assert_uint_eq(scratch_count(scene.store.mail, "new"), 2);
	scene_done(&scene);
}
END_TEST

/* clang-format off */
static const struct {
	const char *name;
	struct peer_row rows[ROWS_MAX]; /* the first without any ends them */
	const char *said;
	enum step step;
	enum error_kind kind;
	const char *words;
	enum tls_mode tls;
	enum keep_mode keep;
} failure_cases[] = {
	{ .name = "a greeting that refuses is still answered with QUIT",
	  .rows = { { .send = "-ERR too many\r\n" }, QUIT },
	  .said = "QUIT\n",
	  .step = STEP_GREETING, .kind = ERROR_NETWORK, .words = "too many",
	  .tls = TLS_NONE },
	{ .name = "a greeting that never comes",
	  .rows = { { .closes = true } },
	  .said = "",
	  .step = STEP_GREETING, .kind = ERROR_NETWORK, .words = "closed",
	  .tls = TLS_NONE },
	{ .name = "a greeting of another protocol gets no command",
	  .rows = { { .send = "220 smtp ready\r\n" } },
	  .said = "",
	  .step = STEP_GREETING, .kind = ERROR_PROTOCOL, .words = "220 smtp",
	  .tls = TLS_NONE },
	{ .name = "implicit TLS, and the server speaks in clear",
	  .rows = { { .send = "+OK ready\r\n", .closes = true } },
	  .step = STEP_TLS, .kind = ERROR_NETWORK, .words = "TLS",
	  .tls = TLS_IMPLICIT },
	{ .name = "the server goes at CAPA",
	  .rows = { GREETING, { .expect = "CAPA", .closes = true } },
	  .said = "CAPA\n",
	  .step = STEP_CAPA, .kind = ERROR_NETWORK, .words = "closed",
	  .tls = TLS_NONE },
	{ .name = "without STLS no credential leaves",
	  .rows = { GREETING, CAPA, QUIT },
	  .said = "CAPA\nQUIT\n",
	  .step = STEP_STARTTLS, .kind = ERROR_PROTOCOL, .words = "STLS",
	  .tls = TLS_STARTTLS },
	{ .name = "nor when STLS is refused",
	  .rows = { GREETING, PEER_ROW("CAPA", "+OK\r\nSTLS\r\n.\r\n"),
		    PEER_ROW("STLS", "-ERR not now\r\n"), QUIT },
	  .said = "CAPA\nSTLS\nQUIT\n",
	  .step = STEP_STARTTLS, .kind = ERROR_PROTOCOL, .words = "not now",
	  .tls = TLS_STARTTLS },
	{ .name = "a refused login",
	  .rows = { GREETING, CAPA, PEER_ROW("USER mrose", "+OK\r\n"),
		    PEER_ROW("PASS tanstaaf", "-ERR wrong\r\n"), QUIT },
	  .said = SAID_LOGIN "QUIT\n",
	  .step = STEP_LOGIN, .kind = ERROR_AUTH, .words = "wrong",
	  .tls = TLS_NONE },
	{ .name = "a locked mailbox",
	  .rows = { GREETING, CAPA, PEER_ROW("USER mrose", "+OK\r\n"),
		    PEER_ROW("PASS tanstaaf", "-ERR [IN-USE] locked\r\n"),
		    QUIT },
	  .said = SAID_LOGIN "QUIT\n",
	  .step = STEP_LOGIN, .kind = ERROR_BUSY, .words = "locked",
	  .tls = TLS_NONE },
	{ .name = "a refused LIST",
	  .rows = { GREETING, CAPA, LOGIN, UIDL,
		    PEER_ROW("LIST", "-ERR no list\r\n"), QUIT },
	  .said = SAID_LISTS "QUIT\n",
	  .step = STEP_LIST, .kind = ERROR_PROTOCOL, .words = "no list",
	  .tls = TLS_NONE },
	{ .name = "no UIDL, and mail is to be kept",
	  .rows = { GREETING, PEER_ROW("CAPA", "-ERR\r\n"), LOGIN,
		    PEER_ROW("UIDL", "-ERR\r\n"), LIST, QUIT },
	  .said = SAID_LISTS "QUIT\n",
	  .step = STEP_LIST, .kind = ERROR_CONFIG,
	  .words = "keep = \"forever\" is not possible",
	  .tls = TLS_NONE, .keep = KEEP_FOREVER },
	{ .name = "cut in a message",
	  .rows = { GREETING, CAPA, LOGIN, UIDL, LIST,
		    { .expect = "RETR 1", .send = "+OK\r\nSubj",
		      .closes = true } },
	  .said = SAID_LISTS "RETR 1\n",
	  .step = STEP_FETCH, .kind = ERROR_NETWORK, .words = "closed",
	  .tls = TLS_NONE },
	{ .name = "cut at DELE",
	  .rows = { GREETING, CAPA, LOGIN, UIDL, LIST,
		    PEER_ROW("RETR 1", MESSAGE), PEER_ROW("RETR 2", MESSAGE),
		    { .expect = "DELE 1", .closes = true } },
	  .said = SAID_LISTS "RETR 1\nRETR 2\nDELE 1\n",
	  .step = STEP_DELETE, .kind = ERROR_NETWORK, .words = "closed",
	  .tls = TLS_NONE },
};
/* clang-format on */

static size_t count_rows(const struct peer_row rows[ROWS_MAX])
{
	size_t n = 0;

	while (n < ROWS_MAX &&
	       (rows[n].expect || rows[n].send || rows[n].closes))
		n++;
	return n;
}

static void load_trust(struct scene *scene)
{
	char path[SCRATCH_PATH_MAX + 16];

	(void)snprintf(path, sizeof(path), "%s/ca.pem", scene->store.dir);
	scratch_write(path, some_ca, strlen(some_ca));
	ck_assert_msg(tls_trust_load(path, &scene->trust, &scene->err) == 0,
		      "%s", scene->err.text);
}

START_TEST(a_failure_tells_its_step_and_the_server_is_left_properly)
{
	const char *said = failure_cases[_i].said;
	struct scene scene;

	scene_make(&scene);
	load_trust(&scene);
	scene.account.tls = failure_cases[_i].tls;
	scene.account.keep = failure_cases[_i].keep;
	play(&scene, failure_cases[_i].rows,
	     count_rows(failure_cases[_i].rows));
	expect_failure(&scene, failure_cases[_i].step, failure_cases[_i].kind);
	ck_assert_msg(strstr(scene.err.text, failure_cases[_i].words), "%s: %s",
		      failure_cases[_i].name, scene.err.text);
	ck_assert_msg(!strstr(scene.err.text, "tanstaaf"), "%s: told",
		      failure_cases[_i].name);
	if (said)
		ck_assert_str_eq(peer_finish(scene.peer), said);
	ck_assert_uint_eq(scratch_count(scene.store.mail, "new"),
			  scene.report.fetched);
	scene_done(&scene);
}
END_TEST

/* A port where nobody listens: it was ours a moment ago. */
static uint16_t refused_port(void)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(address);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	return ntohs(address.sin_port);
}

/* clang-format off */
#define PIPELINING     { .known = true, .uidl = true, .pipelining = true }
#define ONE_AT_A_TIME  { .known = true, .uidl = true }
#define EMPTY	       "+OK\r\n.\r\n"
#define LISTS_AFTER(r) \
	PEER_ROW("CAPA", NULL), PEER_ROW("UIDL", NULL), PEER_ROW("LIST", r)
#define SAID_WARM      "USER mrose\nPASS tanstaaf\n"

static const struct {
	const char *name;
	enum capa_memory_state state;
	struct pop3_capa capa;
	bool is_again;
	enum tls_mode tls;
	struct peer_row rows[ROWS_MAX];
	const char *said;
	enum error_kind kind;
	enum step step;
	bool asks_again;
	enum capa_memory_state state_after;
	bool pipelining_after;
} memory_cases[] = {
	{ .name = "what was remembered is checked on the way",
	  .state = CAPA_REMEMBERED, .capa = PIPELINING, .tls = TLS_NONE,
	  .rows = { GREETING, LOGIN,
		    LISTS_AFTER("+OK\r\nUIDL\r\nPIPELINING\r\n.\r\n" EMPTY EMPTY),
		    QUIT },
	  .said = SAID_WARM "CAPA\nUIDL\nLIST\nQUIT\n",
	  .state_after = CAPA_REMEMBERED, .pipelining_after = true },
	{ .name = "PIPELINING that is there no longer is not used the next time",
	  .state = CAPA_REMEMBERED, .capa = PIPELINING, .tls = TLS_NONE,
	  .rows = { GREETING, LOGIN,
		    LISTS_AFTER("+OK\r\nUIDL\r\n.\r\n" EMPTY EMPTY), QUIT },
	  .said = SAID_WARM "CAPA\nUIDL\nLIST\nQUIT\n",
	  .state_after = CAPA_REMEMBERED },
	{ .name = "a server that knows CAPA before the login alone is believed",
	  .state = CAPA_REMEMBERED, .capa = PIPELINING, .tls = TLS_NONE,
	  .rows = { GREETING, LOGIN,
		    LISTS_AFTER("-ERR not now\r\n" EMPTY EMPTY), QUIT },
	  .said = SAID_WARM "CAPA\nUIDL\nLIST\nQUIT\n",
	  .state_after = CAPA_REMEMBERED, .pipelining_after = true },
	{ .name = "without PIPELINING nothing is asked",
	  .state = CAPA_REMEMBERED, .capa = ONE_AT_A_TIME, .tls = TLS_NONE,
	  .rows = { GREETING, LOGIN, EMPTY_UIDL, EMPTY_LIST, QUIT },
	  .said = SAID_WARM "UIDL\nLIST\nQUIT\n",
	  .state_after = CAPA_REMEMBERED },
	{ .name = "a server that had no CAPA is not asked",
	  .state = CAPA_REMEMBERED, .tls = TLS_NONE,
	  .rows = { GREETING, LOGIN, EMPTY_UIDL, EMPTY_LIST, QUIT },
	  .said = SAID_WARM "UIDL\nLIST\nQUIT\n",
	  .state_after = CAPA_REMEMBERED },

	{ .name = "a server that goes at the login is asked again",
	  .state = CAPA_REMEMBERED, .capa = PIPELINING, .tls = TLS_NONE,
	  .rows = { GREETING, { .expect = "USER mrose", .closes = true } },
	  .said = "USER mrose\n", .kind = ERROR_NETWORK, .step = STEP_LOGIN,
	  .asks_again = true },
	{ .name = "one that goes at what was sent together, too",
	  .state = CAPA_REMEMBERED, .capa = PIPELINING, .tls = TLS_NONE,
	  .rows = { GREETING, LOGIN,
		    PEER_ROW("CAPA", NULL), PEER_ROW("UIDL", NULL),
		    { .expect = "LIST", .send = "-ERR\r\n", .closes = true } },
	  .said = SAID_WARM "CAPA\nUIDL\nLIST\n", .kind = ERROR_NETWORK,
	  .step = STEP_LIST, .asks_again = true },
	{ .name = "but not when CAPA may be why it went",
	  .state = CAPA_REMEMBERED, .capa = PIPELINING, .tls = TLS_NONE,
	  .rows = { GREETING, LOGIN,
		    PEER_ROW("CAPA", NULL), PEER_ROW("UIDL", NULL),
		    { .expect = "LIST", .closes = true } },
	  .said = SAID_WARM "CAPA\nUIDL\nLIST\n", .kind = ERROR_NETWORK,
	  .step = STEP_LIST, .asks_again = true,
	  .state_after = CAPA_BROKE_OFF },
	{ .name = "one that has no PIPELINING and answers out of turn, too",
	  .state = CAPA_REMEMBERED, .capa = PIPELINING, .tls = TLS_NONE,
	  .rows = { GREETING, LOGIN,
		    LISTS_AFTER("+OK\r\nUIDL\r\n.\r\n" EMPTY "1 2\r\n") },
	  .said = SAID_WARM "CAPA\nUIDL\nLIST\n", .kind = ERROR_PROTOCOL,
	  .step = STEP_LIST, .asks_again = true },
	{ .name = "what CAPA has confirmed is not to blame",
	  .state = CAPA_REMEMBERED, .capa = PIPELINING, .tls = TLS_NONE,
	  .rows = { GREETING, LOGIN,
		    LISTS_AFTER("+OK\r\nUIDL\r\nPIPELINING\r\n.\r\n" "1 2\r\n") },
	  .said = SAID_WARM "CAPA\nUIDL\nLIST\n", .kind = ERROR_PROTOCOL,
	  .step = STEP_LIST },
	{ .name = "a refused login that CAPA does not explain is a refusal",
	  .state = CAPA_REMEMBERED, .capa = PIPELINING, .tls = TLS_NONE,
	  .rows = { GREETING, PEER_ROW("USER mrose", "+OK\r\n"),
		    PEER_ROW("PASS tanstaaf", "-ERR no\r\n"), CAPA, QUIT },
	  .said = SAID_WARM "CAPA\nQUIT\n", .kind = ERROR_AUTH,
	  .step = STEP_LOGIN },
	{ .name = "a refusal with an end behind it is looked into once more",
	  .state = CAPA_REMEMBERED, .capa = PIPELINING, .tls = TLS_NONE,
	  .rows = { GREETING, PEER_ROW("USER mrose", "+OK\r\n"),
		    PEER_ROW("PASS tanstaaf", "-ERR no\r\n"),
		    { .expect = "CAPA", .closes = true } },
	  .said = SAID_WARM "CAPA\n", .kind = ERROR_NETWORK,
	  .step = STEP_LOGIN, .asks_again = true,
	  .state_after = CAPA_BROKE_OFF },
	{ .name = "STLS refused is asked for again, with CAPA before it",
	  .state = CAPA_REMEMBERED, .capa = PIPELINING, .tls = TLS_STARTTLS,
	  .rows = { GREETING, PEER_ROW("STLS", "-ERR no\r\n"), QUIT },
	  .said = "STLS\nQUIT\n", .kind = ERROR_PROTOCOL,
	  .step = STEP_STARTTLS, .asks_again = true },
	{ .name = "a busy server says nothing against it",
	  .state = CAPA_REMEMBERED, .capa = PIPELINING, .tls = TLS_NONE,
	  .rows = { GREETING, PEER_ROW("USER mrose", "+OK\r\n"),
		    PEER_ROW("PASS tanstaaf", "-ERR [IN-USE] no\r\n"), QUIT },
	  .said = SAID_WARM "QUIT\n", .kind = ERROR_BUSY, .step = STEP_LOGIN,
	  .state_after = CAPA_REMEMBERED, .pipelining_after = true },
	{ .name = "nor does a server that does not greet",
	  .state = CAPA_REMEMBERED, .capa = PIPELINING, .tls = TLS_NONE,
	  .rows = { { .send = "+O", .closes = true } },
	  .said = "", .kind = ERROR_NETWORK, .step = STEP_GREETING,
	  .state_after = CAPA_REMEMBERED, .pipelining_after = true },
	{ .name = "nor does an end behind the listing",
	  .state = CAPA_REMEMBERED, .capa = ONE_AT_A_TIME, .tls = TLS_NONE,
	  .rows = { GREETING, LOGIN, UIDL, LIST,
		    { .expect = "RETR 1", .closes = true } },
	  .said = SAID_WARM "UIDL\nLIST\nRETR 1\n", .kind = ERROR_NETWORK,
	  .step = STEP_FETCH, .state_after = CAPA_REMEMBERED },

	{ .name = "a server that goes at CAPA is visited again",
	  .tls = TLS_NONE,
	  .rows = { GREETING, { .expect = "CAPA", .closes = true } },
	  .said = "CAPA\n", .kind = ERROR_NETWORK, .step = STEP_CAPA,
	  .asks_again = true, .state_after = CAPA_BROKE_OFF },
	{ .name = "without CAPA, once",
	  .state = CAPA_BROKE_OFF, .is_again = true, .tls = TLS_NONE,
	  .rows = { GREETING, LOGIN, EMPTY_UIDL, EMPTY_LIST, QUIT },
	  .said = SAID_WARM "UIDL\nLIST\nQUIT\n",
	  .state_after = CAPA_BROKE_OFF },
	{ .name = "when it goes a second time",
	  .state = CAPA_BROKE_OFF, .tls = TLS_NONE,
	  .rows = { GREETING, { .expect = "CAPA", .closes = true } },
	  .said = "CAPA\n", .kind = ERROR_NETWORK, .step = STEP_CAPA,
	  .asks_again = true, .state_after = CAPA_BROKE_OFF_TWICE },
	{ .name = "and all goes well without CAPA, it stays so",
	  .state = CAPA_BROKE_OFF_TWICE, .is_again = true, .tls = TLS_NONE,
	  .rows = { GREETING, LOGIN, EMPTY_UIDL, EMPTY_LIST, QUIT },
	  .said = SAID_WARM "UIDL\nLIST\nQUIT\n",
	  .state_after = CAPA_UNASKED },
	{ .name = "a refusal in a visit without CAPA is looked into by CAPA",
	  .state = CAPA_BROKE_OFF, .is_again = true, .tls = TLS_NONE,
	  .rows = { GREETING, PEER_ROW("USER mrose", "+OK\r\n"),
		    PEER_ROW("PASS tanstaaf", "-ERR no\r\n"),
		    { .expect = "CAPA", .closes = true } },
	  .said = SAID_WARM "CAPA\n", .kind = ERROR_AUTH,
	  .step = STEP_LOGIN, .state_after = CAPA_BROKE_OFF },
	{ .name = "later it is not asked either",
	  .state = CAPA_UNASKED, .tls = TLS_NONE,
	  .rows = { GREETING, LOGIN, EMPTY_UIDL, EMPTY_LIST, QUIT },
	  .said = SAID_WARM "UIDL\nLIST\nQUIT\n",
	  .state_after = CAPA_UNASKED },
	{ .name = "when it went but the visit without CAPA did not go well, it is",
	  .state = CAPA_BROKE_OFF, .tls = TLS_NONE,
	  .rows = { GREETING, CAPA, LOGIN, EMPTY_UIDL, EMPTY_LIST, QUIT },
	  .said = SAID_LISTS "QUIT\n",
	  .state_after = CAPA_REMEMBERED },
	{ .name = "a visit that follows for another reason asks",
	  .is_again = true, .tls = TLS_NONE,
	  .rows = { GREETING, CAPA, LOGIN, EMPTY_UIDL, EMPTY_LIST, QUIT },
	  .said = SAID_LISTS "QUIT\n",
	  .state_after = CAPA_REMEMBERED },
};
/* clang-format on */

START_TEST(a_memory_saves_a_question_and_is_dropped_at_the_first_surprise)
{
	const char *name = memory_cases[_i].name;
	struct capa_memory after;
	struct scene scene;
	size_t n = 0;

	while (memory_cases[_i].rows[n].expect || memory_cases[_i].rows[n].send)
		n++;
	scene_make(&scene);
	scene.account.tls = memory_cases[_i].tls;
	scene.memory.state = memory_cases[_i].state;
	scene.memory.capa = memory_cases[_i].capa;
	scene.is_again = memory_cases[_i].is_again;
	play(&scene, memory_cases[_i].rows, n);
	ck_assert_msg(scene.err.kind == memory_cases[_i].kind, "%s: %s", name,
		      scene.err.text);
	ck_assert_msg(scene.err.kind == ERROR_NONE ||
			      scene.report.step == memory_cases[_i].step,
		      "%s: %s", name, step_name(scene.report.step));
	ck_assert_msg(strcmp(peer_finish(scene.peer), memory_cases[_i].said) ==
			      0,
		      "%s: %s", name, peer_finish(scene.peer));
	ck_assert_msg(scene.report.again == memory_cases[_i].asks_again, "%s",
		      name);
	ck_assert_int_eq(capa_memory_load(scene.store.journal, &scene.account,
					  &after, &scene.err),
			 0);
	ck_assert_msg(after.state == memory_cases[_i].state_after &&
			      after.capa.pipelining ==
				      memory_cases[_i].pipelining_after,
		      "%s: %d, %d", name, (int)after.state,
		      after.capa.pipelining);
	scene_done(&scene);
}
END_TEST

START_TEST(a_refused_connection)
{
	struct scene scene;

	scene_make(&scene);
	scene.account.port = refused_port();
	visit(&scene);
	expect_failure(&scene, STEP_CONNECT, ERROR_NETWORK);
	scene_done(&scene);
}
END_TEST

START_TEST(a_maildir_that_takes_nothing_ends_with_quit_and_no_dele)
{
	const struct peer_row rows[] = {
		GREETING,
		CAPA,
		LOGIN,
		UIDL,
		LIST,
		PEER_ROW("RETR 1", MESSAGE),
		PEER_ROW("RETR 2", MESSAGE),
		QUIT,
	};
	struct scene scene;
	char path[SCRATCH_PATH_MAX + 16];

	scene_make(&scene);
	(void)snprintf(path, sizeof(path), "%s/new", scene.store.mail);
	ck_assert_int_eq(rmdir(path), 0);
	play(&scene, rows, ARRAY_SIZE(rows));
	expect_failure(&scene, STEP_DELIVER, ERROR_LOCAL);
	ck_assert_str_eq(peer_finish(scene.peer),
			 SAID_LISTS "RETR 1\nRETR 2\nQUIT\n");
	ck_assert_uint_eq(scene.report.fetched, 0);
	ck_assert_uint_eq(scene.report.deleted, 0);
	scene_done(&scene);
}
END_TEST

/* What a visit leaves that died with a message in tmp/, when tmp/ is lost. */
static void stage_row(struct scene *scene)
{
	static const uint8_t digest[DIGEST_SIZE];
	const struct journal_entry entry = {
		.uid = { "A", 1 },
		.list_size = 20,
		.base = "1.M2P3Q4Rtag.host",
		.size_bytes = 17,
		.digest = digest,
	};
	struct journal *journal = scene->store.journal;
	int64_t id;

	ck_assert_int_eq(journal_begin(journal, &scene->err), 0);
	ck_assert_int_eq(journal_stage(journal, &entry, &id, &scene->err), 0);
	ck_assert_int_eq(journal_commit(journal, &scene->err), 0);
}

START_TEST(recovery_comes_before_the_connection_and_is_noted)
{
	const struct peer_row rows[] = { GREETING,   CAPA,       LOGIN,
					 EMPTY_UIDL, EMPTY_LIST, QUIT };
	struct scene scene;

	scene_make(&scene);
	stage_row(&scene);
	scene.account.port = refused_port();
	visit(&scene);
	expect_failure(&scene, STEP_CONNECT, ERROR_NETWORK);
	expect_note(&scene, LOG_WARNING, "and are fetched again: 1");

	play(&scene, rows, ARRAY_SIZE(rows));
	expect_success(&scene);
	ck_assert_uint_eq(scene.notes.n_notes, 0);
	scene_done(&scene);
}
END_TEST

/* A part of it is a link to itself: root cannot read that either. */
static void make_bad_folder(const struct scene *scene)
{
	char path[SCRATCH_PATH_MAX + 32];

	(void)snprintf(path, sizeof(path), "%s/.Sub", scene->store.mail);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/.Sub/cur", scene->store.mail);
	ck_assert_int_eq(symlink(path, path), 0);
}

START_TEST(a_recovery_that_fails_keeps_the_visit_from_the_server)
{
	struct scene scene;

	scene_make(&scene);
	stage_row(&scene);
	make_bad_folder(&scene);
	scene.account.port = refused_port();
	visit(&scene);
	expect_failure(&scene, STEP_RECOVER, ERROR_LOCAL);
	scene_done(&scene);
}
END_TEST

START_TEST(a_remembered_refusal_keeps_the_visit_from_the_server)
{
	const struct peer_row refused[] = {
		GREETING,
		CAPA,
		PEER_ROW("USER mrose", "+OK\r\n"),
		PEER_ROW("PASS tanstaaf", "-ERR wrong\r\n"),
		QUIT,
	};
	struct scene scene;

	scene_make(&scene);
	play(&scene, refused, ARRAY_SIZE(refused));
	expect_failure(&scene, STEP_LOGIN, ERROR_AUTH);
	ck_assert_uint_eq(scene.report.retry_sec, 900);

	/* Nobody listens any more, and nobody is asked. */
	visit(&scene);
	expect_failure(&scene, STEP_LOGIN, ERROR_AUTH);
	ck_assert_uint_gt(scene.report.retry_sec, 0);
	ck_assert_uint_le(scene.report.retry_sec, 900);

	scene.is_asked_for = true;
	play(&scene, refused, ARRAY_SIZE(refused));
	expect_failure(&scene, STEP_LOGIN, ERROR_AUTH);
	ck_assert_str_eq(peer_finish(scene.peer), SAID_LOGIN "QUIT\n");
	scene_done(&scene);
}
END_TEST

START_TEST(uidl_that_was_there_before_is_not_done_without)
{
	const struct peer_row first[] = {
		GREETING,
		CAPA,
		LOGIN,
		UIDL,
		LIST,
		PEER_ROW("RETR 1", MESSAGE),
		PEER_ROW("RETR 2", MESSAGE),
		PEER_ROW("DELE 1", "+OK\r\n"),
		PEER_ROW("DELE 2", "+OK\r\n"),
		QUIT,
	};
	const struct peer_row second[] = {
		GREETING, PEER_ROW("CAPA", "-ERR\r\n"),
		LOGIN,    PEER_ROW("UIDL", "-ERR\r\n"),
		LIST,     QUIT,
	};
	struct scene scene;

	scene_make(&scene);
	play(&scene, first, ARRAY_SIZE(first));
	expect_success(&scene);
	play(&scene, second, ARRAY_SIZE(second));
	expect_failure(&scene, STEP_LIST, ERROR_PROTOCOL);
	ck_assert_ptr_nonnull(strstr(scene.err.text, "which it had before"));
	ck_assert_str_eq(peer_finish(scene.peer), SAID_LISTS "QUIT\n");
	scene_done(&scene);
}
END_TEST

START_TEST(a_listing_that_is_malformed_is_noted)
{
	const struct peer_row rows[] = {
		GREETING,
		CAPA,
		LOGIN,
		PEER_ROW("UIDL", "+OK\r\n1 A\r\nnonsense\r\n.\r\n"),
		PEER_ROW("LIST", "+OK\r\n1 20\r\n.\r\n"),
		PEER_ROW("RETR 1", MESSAGE),
		PEER_ROW("DELE 1", "+OK\r\n"),
		QUIT,
	};
	struct scene scene;

	scene_make(&scene);
	play(&scene, rows, ARRAY_SIZE(rows));
	expect_success(&scene);
	expect_note(&scene, LOG_WARNING, "incomplete or malformed");
	scene_done(&scene);
}
END_TEST

START_TEST(what_has_made_trouble_goes_last)
{
	const struct peer_row rows[] = {
		GREETING,
		CAPA,
		LOGIN,
		UIDL,
		LIST,
		PEER_ROW("RETR 2", MESSAGE),
		PEER_ROW("RETR 1", MESSAGE),
		PEER_ROW("DELE 2", "+OK\r\n"),
		PEER_ROW("DELE 1", "+OK\r\n"),
		QUIT,
	};
	const struct peer_row cut[] = {
		GREETING,
		CAPA,
		LOGIN,
		UIDL,
		LIST,
		{ .expect = "RETR 1", .send = "+OK\r\nSubj", .closes = true },
	};
	struct scene scene;

	scene_make(&scene);
	play(&scene, cut, ARRAY_SIZE(cut));
	expect_failure(&scene, STEP_FETCH, ERROR_NETWORK);
	play(&scene, rows, ARRAY_SIZE(rows));
	expect_success(&scene);
	ck_assert_uint_eq(scene.report.fetched, 2);
	scene_done(&scene);
}
END_TEST

/* Marked mail stays on the server, whatever is configured, until a refetch. */
START_TEST(marked_mail_is_neither_fetched_nor_deleted_until_a_refetch)
{
	const struct peer_row listing[] = {
		GREETING, CAPA, LOGIN, UIDL, LIST, QUIT,
	};
	const struct peer_row one_more[] = {
		GREETING,
		CAPA,
		LOGIN,
		PEER_ROW("UIDL", "+OK\r\n1 A\r\n2 C\r\n.\r\n"),
		LIST,
		PEER_ROW("RETR 2", MESSAGE),
		PEER_ROW("DELE 2", "+OK\r\n"),
		QUIT,
	};
	const struct peer_row all[] = {
		GREETING,
		CAPA,
		LOGIN,
		UIDL,
		LIST,
		PEER_ROW("RETR 1", MESSAGE),
		PEER_ROW("RETR 2", MESSAGE),
		PEER_ROW("DELE 1", "+OK\r\n"),
		PEER_ROW("DELE 2", "+OK\r\n"),
		QUIT,
	};
	struct scene scene;

	scene_make(&scene);
	scene.purpose = PURPOSE_MARK_SEEN;
	play(&scene, listing, ARRAY_SIZE(listing));
	expect_success(&scene);
	ck_assert_uint_eq(scene.report.marked, 2);
	ck_assert_uint_eq(scene.report.kept, 0);
	play(&scene, listing, ARRAY_SIZE(listing));
	expect_success(&scene);
	ck_assert_uint_eq(scene.report.marked, 0);
	ck_assert_uint_eq(scene.report.kept, 2);

	scene.purpose = PURPOSE_FETCH;
	play(&scene, one_more, ARRAY_SIZE(one_more));
	expect_success(&scene);
	(void)peer_finish(scene.peer);
	ck_assert(peer_has_played_all(scene.peer));
	ck_assert_uint_eq(scene.report.fetched, 1);
	ck_assert_uint_eq(scene.report.kept, 1);

	scene.purpose = PURPOSE_REFETCH;
	play(&scene, all, ARRAY_SIZE(all));
	expect_success(&scene);
	ck_assert_uint_eq(scene.report.fetched, 2);
	ck_assert_uint_eq(scene.report.deleted, 2);
	expect_note(&scene, LOG_NOTICE, "known messages forgotten: 3;");
	ck_assert_uint_eq(scratch_count(scene.store.mail, "new"), 3);
	scene_done(&scene);
}
END_TEST

/* What was delivered here may be deleted there: a mark takes nothing back. */
START_TEST(a_mark_does_not_unsay_that_mail_was_delivered)
{
	const struct peer_row kept[] = {
		GREETING,
		CAPA,
		LOGIN,
		UIDL,
		LIST,
		PEER_ROW("RETR 1", MESSAGE),
		PEER_ROW("RETR 2", MESSAGE),
		QUIT,
	};
	const struct peer_row listing[] = {
		GREETING, CAPA, LOGIN, UIDL, LIST, QUIT,
	};
	const struct peer_row deleting[] = {
		GREETING,
		CAPA,
		LOGIN,
		UIDL,
		LIST,
		PEER_ROW("DELE 1", "+OK\r\n"),
		PEER_ROW("DELE 2", "+OK\r\n"),
		QUIT,
	};
	struct scene scene;

	scene_make(&scene);
	scene.account.keep = KEEP_FOREVER;
	play(&scene, kept, ARRAY_SIZE(kept));
	expect_success(&scene);
	scene.purpose = PURPOSE_MARK_SEEN;
	play(&scene, listing, ARRAY_SIZE(listing));
	expect_success(&scene);
	ck_assert_uint_eq(scene.report.marked, 0);
	scene.purpose = PURPOSE_FETCH;
	scene.account.keep = KEEP_DELETE;
	play(&scene, deleting, ARRAY_SIZE(deleting));
	expect_success(&scene);
	ck_assert_uint_eq(scene.report.deleted, 2);
	scene_done(&scene);
}
END_TEST

START_TEST(without_uids_nothing_can_be_marked)
{
	const struct peer_row rows[] = {
		GREETING, PEER_ROW("CAPA", "-ERR\r\n"), LOGIN, PEER_ROW("UIDL", "-ERR what?\r\n"),
		LIST,     QUIT,
	};
	struct scene scene;

	scene_make(&scene);
	scene.purpose = PURPOSE_MARK_SEEN;
	play(&scene, rows, ARRAY_SIZE(rows));
	expect_failure(&scene, STEP_LIST, ERROR_CONFIG);
	ck_assert_ptr_nonnull(strstr(scene.err.text, "no UIDL"));
	ck_assert_str_eq(peer_finish(scene.peer), SAID_LISTS "QUIT\n");
	scene_done(&scene);
}
END_TEST

START_TEST(what_a_listing_leaves_out_is_not_marked_and_noted)
{
	const struct peer_row rows[] = {
		GREETING, CAPA,
		LOGIN,    PEER_ROW("UIDL", "+OK\r\n1 A\r\nnonsense\r\n.\r\n"),
		LIST,     QUIT,
	};
	struct scene scene;

	scene_make(&scene);
	scene.purpose = PURPOSE_MARK_SEEN;
	play(&scene, rows, ARRAY_SIZE(rows));
	expect_success(&scene);
	ck_assert_uint_eq(scene.report.marked, 1);
	expect_note(&scene, LOG_WARNING, "what it leaves out is not marked");
	scene_done(&scene);
}
END_TEST

/* A server that cannot be listed is no reason to forget anything. */
START_TEST(a_refetch_that_fails_before_the_listing_forgets_nothing)
{
	const struct peer_row kept[] = {
		GREETING,
		CAPA,
		LOGIN,
		UIDL,
		LIST,
		PEER_ROW("RETR 1", MESSAGE),
		PEER_ROW("RETR 2", MESSAGE),
		QUIT,
	};
	const struct peer_row cut[] = {
		GREETING,
		CAPA,
		LOGIN,
		UIDL,
		{ .expect = "LIST", .send = "+OK\r\n1 20\r\n", .closes = true },
	};
	const struct peer_row listing[] = {
		GREETING, CAPA, LOGIN, UIDL, LIST, QUIT,
	};
	struct scene scene;

	scene_make(&scene);
	scene.account.keep = KEEP_FOREVER;
	play(&scene, kept, ARRAY_SIZE(kept));
	expect_success(&scene);
	scene.purpose = PURPOSE_REFETCH;
	play(&scene, cut, ARRAY_SIZE(cut));
	expect_failure(&scene, STEP_LIST, ERROR_NETWORK);
	scene.purpose = PURPOSE_FETCH;
	play(&scene, listing, ARRAY_SIZE(listing));
	expect_success(&scene);
	ck_assert_uint_eq(scene.report.kept, 2);
	scene_done(&scene);
}
END_TEST

static const struct {
	const char *name;
	struct peer_row quit;
	const char *words;
} quit_cases[] = {
	{ "refused", PEER_ROW("QUIT", "-ERR some were not removed\r\n"),
	  "some were not removed" },
	{ "unanswered", { .expect = "QUIT", .closes = true }, "closed" },
};

START_TEST(a_bad_end_of_a_good_visit_is_a_note)
{
	const struct peer_row deleting[] = {
		GREETING,
		CAPA,
		LOGIN,
		UIDL,
		LIST,
		PEER_ROW("RETR 1", MESSAGE),
		PEER_ROW("RETR 2", MESSAGE),
		PEER_ROW("DELE 1", "+OK\r\n"),
		PEER_ROW("DELE 2", "+OK\r\n"),
		quit_cases[_i].quit,
	};
	const struct peer_row idle[] = { GREETING,   CAPA,
					 LOGIN,      EMPTY_UIDL,
					 EMPTY_LIST, quit_cases[_i].quit };
	struct scene scene;

	scene_make(&scene);
	play(&scene, deleting, ARRAY_SIZE(deleting));
	expect_success(&scene);
	expect_note(&scene, LOG_WARNING, quit_cases[_i].words);
	/* With nothing deleted it is of no consequence. */
	play(&scene, idle, ARRAY_SIZE(idle));
	expect_success(&scene);
	expect_note(&scene, LOG_INFO, quit_cases[_i].words);
	scene_done(&scene);
}
END_TEST

/* What is complete is in new/, and deleted at the next visit without RETR. */
START_TEST(a_stop_in_mid_visit_ends_with_quit)
{
	const struct peer_row first[] = {
		GREETING, CAPA, LOGIN, UIDL, LIST, PEER_ROW("RETR 1", MESSAGE),
		QUIT,
	};
	const struct peer_row second[] = {
		GREETING,
		CAPA,
		LOGIN,
		UIDL,
		LIST,
		PEER_ROW("DELE 1", "+OK\r\n"),
		PEER_ROW("RETR 2", MESSAGE),
		PEER_ROW("DELE 2", "+OK\r\n"),
		QUIT,
	};
	struct scene scene;
	uint64_t n;

	scene_make(&scene);
	scene.account.batch_messages = 1;
	stop_at_sync = scene.stop_fd;
	play(&scene, first, ARRAY_SIZE(first));
	stop_at_sync = -1;
	expect_success(&scene);
	ck_assert(scene.report.stopped);
	ck_assert_uint_eq(scene.report.fetched, 1);
	ck_assert_uint_eq(scene.report.deleted, 0);
	ck_assert_str_eq(peer_finish(scene.peer), SAID_LISTS "RETR 1\nQUIT\n");

	ck_assert_int_eq(read(scene.stop_fd, &n, sizeof(n)), sizeof(n));
	play(&scene, second, ARRAY_SIZE(second));
	expect_success(&scene);
	ck_assert(!scene.report.stopped);
	ck_assert_uint_eq(scene.report.fetched, 1);
	ck_assert_uint_eq(scene.report.deleted, 2);
	ck_assert_uint_eq(scratch_count(scene.store.mail, "new"), 2);
	scene_done(&scene);
}
END_TEST

START_TEST(a_stop_before_the_visit_keeps_it_from_the_server)
{
	const uint64_t one = 1;
	struct scene scene;

	scene_make(&scene);
	scene.account.port = refused_port();
	ck_assert_int_eq(write(scene.stop_fd, &one, sizeof(one)), sizeof(one));
	visit(&scene);
	expect_failure(&scene, STEP_CONNECT, ERROR_NETWORK);
	scene_done(&scene);
}
END_TEST

START_TEST(a_visit_past_its_deadline_ends_with_quit)
{
	const struct peer_row rows[] = {
		GREETING, CAPA, LOGIN, UIDL, LIST, QUIT
	};
	struct scene scene;

	scene_make(&scene);
	scene.account.visit_timeout_usec = 0;
	play(&scene, rows, ARRAY_SIZE(rows));
	expect_success(&scene);
	ck_assert(scene.report.stopped);
	ck_assert_str_eq(peer_finish(scene.peer), SAID_LISTS "QUIT\n");
	scene_done(&scene);
}
END_TEST

static Suite *session_suite(void)
{
	Suite *suite = suite_create("session");
	TCase *tcase = tcase_create("session");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, a_visit_in_order);
	tcase_add_test(tcase, kept_mail_is_counted_and_not_fetched_again);
	tcase_add_loop_test(
		tcase, a_failure_tells_its_step_and_the_server_is_left_properly,
		0, (int)ARRAY_SIZE(failure_cases));
	tcase_add_loop_test(
		tcase,
		a_memory_saves_a_question_and_is_dropped_at_the_first_surprise,
		0, (int)ARRAY_SIZE(memory_cases));
	tcase_add_test(tcase, a_refused_connection);
	tcase_add_test(tcase,
		       a_maildir_that_takes_nothing_ends_with_quit_and_no_dele);
	tcase_add_test(tcase,
		       recovery_comes_before_the_connection_and_is_noted);
	tcase_add_test(tcase,
		       a_recovery_that_fails_keeps_the_visit_from_the_server);
	tcase_add_test(tcase,
		       a_remembered_refusal_keeps_the_visit_from_the_server);
	tcase_add_test(tcase, uidl_that_was_there_before_is_not_done_without);
	tcase_add_test(tcase, a_listing_that_is_malformed_is_noted);
	tcase_add_test(tcase, what_has_made_trouble_goes_last);
	tcase_add_test(
		tcase,
		marked_mail_is_neither_fetched_nor_deleted_until_a_refetch);
	tcase_add_test(tcase, a_mark_does_not_unsay_that_mail_was_delivered);
	tcase_add_test(tcase, without_uids_nothing_can_be_marked);
	tcase_add_test(tcase,
		       what_a_listing_leaves_out_is_not_marked_and_noted);
	tcase_add_test(tcase,
		       a_refetch_that_fails_before_the_listing_forgets_nothing);
	tcase_add_loop_test(tcase, a_bad_end_of_a_good_visit_is_a_note, 0,
			    (int)ARRAY_SIZE(quit_cases));
	tcase_add_test(tcase, a_stop_in_mid_visit_ends_with_quit);
	tcase_add_test(tcase, a_stop_before_the_visit_keeps_it_from_the_server);
	tcase_add_test(tcase, a_visit_past_its_deadline_ends_with_quit);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(session_suite());
	int n_failed;

	scratch_begin();
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	scratch_end();
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
