/*
 * test-pop3.c - commands, replies, and whether the two are in step.
 */
#include "pop3.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "peer.h"

#define LIT(text) (struct bytes){ (text), sizeof(text) - 1 }

/* RFC 1939 section 7's own example. */
#define GREETING  "+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\r\n"
#define TIMESTAMP "<1896.697170952@dbc.mtview.ca.us>"
#define APOP_LINE "APOP mrose c4c9334bac560ecc979e58001b3e22fb"

static struct pop3 *open_pop3(int fd)
{
	const struct stream_options options = { .stop_fd = -1 };
	const struct pop3_timeouts timeouts = { .reply_usec = USEC_PER_MINUTE,
						.login_usec = USEC_PER_MINUTE };
	struct stream *stream;
	struct pop3 *pop3;
	struct error err = { 0 };

	ck_assert_int_eq(stream_new(fd, &options, &stream, &err), 0);
	ck_assert_int_eq(pop3_new(stream, &timeouts, &pop3, &err), 0);
	return pop3;
}

/* A conversation that has had its greeting. */
static struct pop3 *open_greeted(int fd)
{
	struct pop3 *pop3 = open_pop3(fd);
	struct error err = { 0 };

	ck_assert_msg(pop3_read_greeting(pop3, &err) == 0, "%s", err.text);
	return pop3;
}

static const struct {
	const char *name;
	const char *line;
	enum error_kind kind; /* ERROR_NONE: welcome */
	const char *greeting;
	const char *timestamp;
	bool is_in_step;
} greeting_cases[] = {
	{ "a plain greeting", "+OK ready\r\n", 0, "+OK ready", "", true },
	{ "a greeting for APOP", GREETING, 0, "+OK POP3 server ready ",
	  TIMESTAMP, true },
	{ "the words around a timestamp stay, it changes at each visit",
	  "+OK <1@a> ready\r\n", 0, "+OK  ready", "<1@a>", true },
	{ "a timestamp that is no msg-id is none", "+OK <1 2@a> x\r\n", 0,
	  "+OK  x", "", true },
	{ "two timestamps are none", "+OK <1@a> <2@a>\r\n", 0, "+OK  <2@a>", "",
	  true },
	{ "8-bit in a timestamp is refused (CVE-2007-1558)",
	  "+OK <\xff@a>\r\n", 0, "+OK ", "", true },
	{ "a refusal", "-ERR go away\r\n", ERROR_NETWORK, "", "", true },
	{ "a refusal for a while", "-ERR [SYS/TEMP] later\r\n", ERROR_BUSY, "",
	  "", true },
	{ "the mailbox is in use", "-ERR [IN-USE] x\r\n", ERROR_BUSY, "", "",
	  true },
	{ "no status line", "220 smtp.example.org ESMTP\r\n", ERROR_PROTOCOL,
	  "", "", false },
	{ "an HTTP server", "HTTP/1.1 400 Bad Request\r\n", ERROR_PROTOCOL, "",
	  "", false },
	{ "a challenge", "+ \r\n", ERROR_PROTOCOL, "", "", false },
	{ "a line without an end", "+OK", ERROR_NETWORK, "", "", false },
	{ "nothing at all", "", ERROR_NETWORK, "", "", false },
};

START_TEST(takes_greetings)
{
	_cleanup_peer_ struct peer *peer = NULL;
	_cleanup_pop3_ struct pop3 *pop3 = NULL;
	const struct peer_row rows[] = { { .send = greeting_cases[_i].line } };
	const struct peer_row cut[] = { { .send = greeting_cases[_i].line,
					  .closes = true } };
	bool has_line = strchr(greeting_cases[_i].line, '\n') != NULL;
	const char *name = greeting_cases[_i].name;
	struct error err = { 0 };
	int r, fd;

	peer = peer_new(has_line ? rows : cut, 1, &fd);
	pop3 = open_pop3(fd);
	ck_assert_msg(!pop3_is_in_step(pop3), "%s: before it came", name);
	r = pop3_read_greeting(pop3, &err);

	ck_assert_msg((r == 0) == (greeting_cases[_i].kind == ERROR_NONE) &&
			      r <= 0,
		      "%s: %s", name, err.text);
	ck_assert_msg(err.kind == greeting_cases[_i].kind, "%s: %s", name,
		      err.text);
	ck_assert_msg(strcmp(pop3_greeting(pop3),
			     greeting_cases[_i].greeting) == 0,
		      "%s: '%s'", name, pop3_greeting(pop3));
	ck_assert_msg(strcmp(pop3_timestamp(pop3),
			     greeting_cases[_i].timestamp) == 0,
		      "%s: '%s'", name, pop3_timestamp(pop3));
	ck_assert_msg(pop3_is_in_step(pop3) == greeting_cases[_i].is_in_step,
		      "%s: step", name);
	pop3_free(&pop3);
}
END_TEST

static const struct {
	const char *name;
	const char *reply;
	int result;
	enum error_kind kind;
	bool is_in_step;
} reply_cases[] = {
	{ "success", "+OK\r\n", 0, 0, true },
	{ "success with words", "+OK done\r\n", 0, 0, true },
	{ "a refusal", "-ERR no such message\r\n", 1, ERROR_PROTOCOL, true },
	{ "in use", "-ERR [IN-USE] x\r\n", 1, ERROR_BUSY, true },
	{ "too soon", "-ERR [LOGIN-DELAY] x\r\n", 1, ERROR_BUSY, true },
	{ "a passing fault", "-ERR [SYS/TEMP] x\r\n", 1, ERROR_BUSY, true },
	{ "a lasting fault", "-ERR [SYS/PERM] x\r\n", 1, ERROR_PROTOCOL, true },
	{ "credentials", "-ERR [AUTH] x\r\n", 1, ERROR_AUTH, true },
	{ "a code we do not know", "-ERR [EXPIRED] x\r\n", 1, ERROR_PROTOCOL,
	  true },
	{ "in use, said in words", "-ERR Mailbox is locked by 12\r\n", 1,
	  ERROR_BUSY, true },
	{ "qpopper's words", "-ERR [x maildrop lock busy\r\n", 1, ERROR_BUSY,
	  true },
	{ "Gmail's words", "-ERR already locked\r\n", 1, ERROR_BUSY, true },
	{ "a locked account is no locked mailbox", "-ERR account locked\r\n", 1,
	  ERROR_PROTOCOL, true },
	{ "only +OK is success", "+OKAY\r\n", -1, ERROR_PROTOCOL, false },
	{ "+ERR is neither", "+ERR\r\n", -1, ERROR_PROTOCOL, false },
	{ "a line of a message is none", "Subject: x\r\n", -1, ERROR_PROTOCOL,
	  false },
	{ "a challenge where none is due", "+ eHg=\r\n", -1, ERROR_PROTOCOL,
	  false },
	{ "an empty line", "\r\n", -1, ERROR_PROTOCOL, false },
	{ "the connection is cut", "", -1, ERROR_NETWORK, false },
	{ "the connection is cut in the line", "+OK", -1, ERROR_NETWORK,
	  false },
};

START_TEST(judges_replies)
{
	_cleanup_peer_ struct peer *peer = NULL;
	_cleanup_pop3_ struct pop3 *pop3 = NULL;
	const char *reply = reply_cases[_i].reply;
	const struct peer_row rows[] = {
		{ .send = "+OK\r\n" },
		{ "NOOP", reply, .closes = strchr(reply, '\n') == NULL },
	};
	const char *name = reply_cases[_i].name;
	struct error err = { 0 };
	int r, fd;

	peer = peer_new(rows, 2, &fd);
	pop3 = open_greeted(fd);
	ck_assert_int_eq(pop3_queue_word(pop3, "NOOP", &err), 0);
	ck_assert_msg(!pop3_is_in_step(pop3), "%s: a reply is due", name);
	ck_assert_int_eq(pop3_flush(pop3, &err), 0);
	r = pop3_read_reply(pop3, &err);

	ck_assert_msg(r == reply_cases[_i].result, "%s: %d %s", name, r,
		      err.text);
	ck_assert_msg(err.kind == reply_cases[_i].kind, "%s: %s", name,
		      err.text);
	ck_assert_msg(pop3_is_in_step(pop3) == reply_cases[_i].is_in_step,
		      "%s: step", name);
	pop3_free(&pop3);
}
END_TEST

START_TEST(the_words_of_a_server_are_made_printable)
{
	_cleanup_peer_ struct peer *peer = NULL;
	_cleanup_pop3_ struct pop3 *pop3 = NULL;
	const struct peer_row rows[] = {
		{ .send = "+OK\r\n" },
		PEER_ROW("NOOP", "-ERR \x1b[2J%n%s \xff\r\n"),
	};
	struct error err = { 0 };
	int fd;

	peer = peer_new(rows, 2, &fd);
	pop3 = open_greeted(fd);
	ck_assert_int_eq(pop3_queue_word(pop3, "NOOP", &err), 0);
	ck_assert_int_eq(pop3_flush(pop3, &err), 0);
	ck_assert_int_eq(pop3_read_reply(pop3, &err), 1);
	ck_assert_str_eq(err.text,
			 "server said \"-ERR \\x1b[2J%n%s \\xff\"");
	pop3_free(&pop3);
}
END_TEST

static const struct {
	const char *name;
	const char *reply;
	int result;
	struct pop3_capa capa;
} capa_cases[] = {
	{ "a server without CAPA", "-ERR unknown\r\n", 0, { 0 } },
	{ "an empty list", "+OK\r\n.\r\n", 0, { .known = true } },
	{ "what we use",
	  "+OK\r\nUSER\r\nUIDL\r\nPIPELINING\r\nSTLS\r\n"
	  "SASL LOGIN PLAIN\r\nRESP-CODES\r\nLOGIN-DELAY 60\r\nX-Y\r\n.\r\n",
	  0,
	  { true, true, true, true, true, true, true, 60, false } },
	{ "a list that is cut", "+OK\r\nUSER\r\n", -1, { 0 } },
};

START_TEST(asks_for_capabilities)
{
	_cleanup_peer_ struct peer *peer = NULL;
	_cleanup_pop3_ struct pop3 *pop3 = NULL;
	const struct pop3_capa *want = &capa_cases[_i].capa;
	const struct peer_row rows[] = {
		{ .send = "+OK\r\n" },
		{ "CAPA", capa_cases[_i].reply,
		  .closes = capa_cases[_i].result < 0 },
	};
	const char *name = capa_cases[_i].name;
	const struct pop3_capa *got;
	struct error err = { 0 };
	int fd;

	peer = peer_new(rows, 2, &fd);
	pop3 = open_greeted(fd);
	ck_assert_msg(pop3_ask_capa(pop3, &err) == capa_cases[_i].result,
		      "%s: %s", name, err.text);
	got = pop3_capa(pop3);
	ck_assert_msg(got->known == want->known && got->stls == want->stls &&
			      got->user == want->user &&
			      got->uidl == want->uidl &&
			      got->pipelining == want->pipelining &&
			      got->sasl_plain == want->sasl_plain &&
			      got->resp_codes == want->resp_codes &&
			      got->login_delay_sec == want->login_delay_sec,
		      "%s", name);
	ck_assert_int_eq(pop3_is_in_step(pop3), capa_cases[_i].result == 0);
	pop3_free(&pop3);
}
END_TEST

START_TEST(a_list_of_capabilities_that_does_not_end_is_refused)
{
	_cleanup_peer_ struct peer *peer = NULL;
	_cleanup_pop3_ struct pop3 *pop3 = NULL;
	static char reply[5 + 1000 * 3 + 1] = "+OK\r\n";
	const struct peer_row rows[] = { { .send = "+OK\r\n" },
					 PEER_ROW("CAPA", reply) };
	struct error err = { 0 };
	int fd;

	for (unsigned i = 0; i < 1000; i++)
		memcpy(reply + 5 + i * 3, "X\r\n", 3);
	peer = peer_new(rows, 2, &fd);
	pop3 = open_greeted(fd);
	ck_assert_int_eq(pop3_ask_capa(pop3, &err), -1);
	ck_assert_int_eq(err.kind, ERROR_PROTOCOL);
	ck_assert(!pop3_is_in_step(pop3));
	ck_assert(!pop3_capa(pop3)->known);
	pop3_free(&pop3);
}
END_TEST

enum way {
	APOP,
	PLAIN,
	USER,
};

static const struct {
	const char *name;
	enum way way;
	struct peer_row rows[3]; /* behind the greeting */
	int result;
	enum error_kind kind;
	const char *transcript;
} login_cases[] = {
	{ "APOP", APOP, { PEER_ROW(APOP_LINE, "+OK\r\n") }, 0, 0,
	  APOP_LINE "\n" },
	{ "APOP refused", APOP, { PEER_ROW(APOP_LINE, "-ERR no\r\n") }, 1,
	  ERROR_AUTH,
	  APOP_LINE "\n" },
	{ "AUTH PLAIN in one line", PLAIN,
	  { PEER_ROW("AUTH PLAIN AG1yb3NlAHRhbnN0YWFm", "+OK\r\n") }, 0, 0,
	  "AUTH PLAIN AG1yb3NlAHRhbnN0YWFm\n" },
	{ "AUTH PLAIN refused", PLAIN,
	  { PEER_ROW("AUTH PLAIN AG1yb3NlAHRhbnN0YWFm",
		     "-ERR [AUTH] no\r\n") }, 1,
	  ERROR_AUTH, "AUTH PLAIN AG1yb3NlAHRhbnN0YWFm\n" },
	{ "a second challenge is out of step", PLAIN,
	  { PEER_ROW("AUTH PLAIN *", "+ \r\n") }, -1, ERROR_PROTOCOL,
	  "AUTH PLAIN AG1yb3NlAHRhbnN0YWFm\n" },
	{ "USER and PASS", USER,
	  { PEER_ROW("USER mrose", "+OK\r\n"),
	    PEER_ROW("PASS tanstaaf", "+OK\r\n") }, 0, 0,
	  "USER mrose\nPASS tanstaaf\n" },
	{ "USER refused keeps the password back", USER,
	  { PEER_ROW("USER mrose", "-ERR no such user\r\n") }, 1, ERROR_AUTH,
	  "USER mrose\n" },
	{ "PASS refused", USER,
	  { PEER_ROW("USER mrose", "+OK\r\n"),
	    PEER_ROW("PASS tanstaaf", "-ERR no\r\n") },
	  1, ERROR_AUTH, "USER mrose\nPASS tanstaaf\n" },
	{ "PASS while another session has the mailbox", USER,
	  { PEER_ROW("USER mrose", "+OK\r\n"),
	    PEER_ROW("PASS tanstaaf", "-ERR [IN-USE] x\r\n") },
	  1, ERROR_BUSY, "USER mrose\nPASS tanstaaf\n" },
	{ "cut behind USER", USER,
	  { { "USER mrose", "", .closes = true } }, -1, ERROR_NETWORK,
	  "USER mrose\n" },
};

START_TEST(logs_in)
{
	_cleanup_peer_ struct peer *peer = NULL;
	_cleanup_pop3_ struct pop3 *pop3 = NULL;
	struct peer_row rows[4] = { { .send = GREETING } };
	const struct bytes user = LIT("mrose"), secret = LIT("tanstaaf");
	const char *name = login_cases[_i].name;
	struct error err = { 0 };
	size_t n = 1;
	int r = -2, fd;

	for (; n < 4 && login_cases[_i].rows[n - 1].expect; n++)
		rows[n] = login_cases[_i].rows[n - 1];
	peer = peer_new(rows, n, &fd);
	pop3 = open_greeted(fd);
	if (login_cases[_i].way == APOP)
		r = pop3_login_apop(pop3, user, secret, &err);
	else if (login_cases[_i].way == PLAIN)
		r = pop3_login_plain(pop3, user, secret, &err);
	else
		r = pop3_login_user(pop3, user, secret, &err);

	ck_assert_msg(r == login_cases[_i].result, "%s: %d %s", name, r,
		      err.text);
	ck_assert_msg(err.kind == login_cases[_i].kind, "%s: %s", name,
		      err.text);
	ck_assert_msg(strstr(err.text, "tanstaaf") == NULL, "%s: told", name);
	ck_assert_msg(pop3_is_in_step(pop3) == (r >= 0), "%s: step", name);
	pop3_free(&pop3);
	ck_assert_msg(strcmp(peer_finish(peer),
			     login_cases[_i].transcript) == 0,
		      "%s: sent %s", name, peer_finish(peer));
	ck_assert_msg(peer_count_early(peer) == 0, "%s: pipelined", name);
}
END_TEST

/* A secret of n bytes, 'x' all of them; base64 of "\0u\0" and it. */
static int log_in_with(size_t n, const struct peer_row *rows, size_t n_rows,
		       char transcript[8192])
{
	_cleanup_peer_ struct peer *peer = NULL;
	_cleanup_pop3_ struct pop3 *pop3 = NULL;
	static char secret[4096];
	struct error err = { 0 };
	int r, fd;

	memset(secret, 'x', sizeof(secret));
	peer = peer_new(rows, n_rows, &fd);
	pop3 = open_greeted(fd);
	r = pop3_login_plain(pop3, LIT("u"), (struct bytes){ secret, n }, &err);
	ck_assert(pop3_is_in_step(pop3));
	pop3_free(&pop3);
	(void)snprintf(transcript, 8192, "%s", peer_finish(peer));
	return r;
}

/* RFC 5034 section 4: 255 octets with the CRLF; 180 bytes are 240 in base64. */
START_TEST(the_longest_response_for_one_line_goes_in_one)
{
	const struct peer_row rows[] = { { .send = "+OK\r\n" },
					 PEER_ROW("AUTH PLAIN A*", "+OK\r\n") };
	char transcript[8192];

	ck_assert_int_eq(log_in_with(177, rows, 2, transcript), 0);
	ck_assert_uint_eq(strlen(transcript), 11 + 240 + 1);
}
END_TEST

START_TEST(a_longer_response_goes_in_a_line_of_its_own)
{
	const struct peer_row rows[] = { { .send = "+OK\r\n" },
					 PEER_ROW("AUTH PLAIN", "+ \r\n"),
					 PEER_ROW("A*", "+OK\r\n") };
	char transcript[8192];

	ck_assert_int_eq(log_in_with(178, rows, 3, transcript), 0);
	ck_assert_int_eq(strncmp(transcript, "AUTH PLAIN\nAHUAeHh4", 19), 0);
	ck_assert_int_eq(log_in_with(4096, rows, 3, transcript), 0);
	ck_assert_uint_eq(strlen(transcript), 11 + 5468 + 1);
}
END_TEST

START_TEST(a_long_response_is_kept_back_when_the_mechanism_is_refused)
{
	const struct peer_row rows[] = { { .send = "+OK\r\n" },
					 PEER_ROW("AUTH PLAIN", "-ERR no\r\n") };
	char transcript[8192];

	ck_assert_int_eq(log_in_with(178, rows, 2, transcript), 1);
	ck_assert_str_eq(transcript, "AUTH PLAIN\n");
}
END_TEST

START_TEST(a_long_response_is_kept_back_from_a_yes_unasked)
{
	const struct peer_row rows[] = { { .send = "+OK\r\n" },
					 PEER_ROW("AUTH PLAIN", "+OK\r\n") };
	char transcript[8192];

	ck_assert_int_eq(log_in_with(178, rows, 2, transcript), -1);
	ck_assert_str_eq(transcript, "AUTH PLAIN\n");
}
END_TEST

static int read_whole_body(struct pop3 *pop3, size_t cap, char *body,
			   size_t *ret_len, struct error *err)
{
	size_t len;

	*ret_len = 0;
	for (;;) {
		if (pop3_read_body(pop3, body + *ret_len, cap, &len, err) < 0)
			return -1;
		if (len == 0)
			return 0;
		ck_assert(!pop3_is_in_step(pop3));
		*ret_len += len;
	}
}

static const struct {
	const char *name;
	struct bytes wire;
	struct bytes body;
	uint64_t wire_bytes;
} body_cases[] = {
	{ "two lines", LIT("+OK\r\na\r\nb\r\n.\r\n"), LIT("a\nb\n"), 6 },
	{ "an empty message", LIT("+OK\r\n.\r\n"), LIT(""), 0 },
	{ "a stuffed dot", LIT("+OK\r\n..\r\n..a\r\n.\r\n"), LIT(".\n.a\n"), 7 },
	{ "NUL and 8-bit", LIT("+OK\r\n\0\xff\r\n.\r\n"), LIT("\0\xff\n"), 4 },
	{ "a bare LF in a CRLF reply", LIT("+OK\r\na\n.\nb\r\n.\r\n"),
	  LIT("a\n.\nb\n"), 7 },
	{ "a server that ends lines in LF", LIT("+OK\na\n..b\n.\n"),
	  LIT("a\n.b\n"), 5 },
	{ "a lone CR", LIT("+OK\r\na\rb\r\n.\r\n"), LIT("a\rb\n"), 5 },
};

/* In any pieces, with a reply to the next command right behind it. */
START_TEST(a_body_ends_where_the_next_reply_begins)
{
	const char *name = body_cases[_i].name;
	const struct bytes *body = &body_cases[_i].body;

	for (size_t cap = 2; cap < 16; cap++) {
		_cleanup_peer_ struct peer *peer = NULL;
		_cleanup_pop3_ struct pop3 *pop3 = NULL;
		const struct peer_row rows[] = {
			{ .send = "+OK\r\n" },
			PEER_ROW("RETR 1", NULL),
			{ .expect = "DELE 2",
			  .send = body_cases[_i].wire.data,
			  .send_len = body_cases[_i].wire.len },
			{ .send = "-ERR no\r\n" },
			PEER_ROW("QUIT", "+OK\r\n"),
		};
		struct error err = { 0 };
		char got[256];
		size_t len;
		int fd;

		peer = peer_new(rows, ARRAY_SIZE(rows), &fd);
		pop3 = open_greeted(fd);
		ck_assert_int_eq(pop3_queue_retr(pop3, 1, &err), 0);
		ck_assert_int_eq(pop3_queue_dele(pop3, 2, &err), 0);
		ck_assert_int_eq(pop3_flush(pop3, &err), 0);
		ck_assert_int_eq(pop3_read_reply(pop3, &err), 0);
		ck_assert_int_eq(read_whole_body(pop3, cap, got, &len, &err),
				 0);
		ck_assert_msg(len == body->len &&
				      memcmp(got, body->data, len) == 0,
			      "%s, by %zu", name, cap);
		ck_assert_msg(pop3_body_wire_bytes(pop3) ==
				      body_cases[_i].wire_bytes,
			      "%s, by %zu: %d on the wire", name, cap,
			      (int)pop3_body_wire_bytes(pop3));
		ck_assert_msg(!pop3_is_in_step(pop3), "%s: DELE is due", name);
		ck_assert_int_eq(pop3_read_reply(pop3, &err), 1);
		ck_assert_msg(pop3_is_in_step(pop3), "%s", name);
		ck_assert_int_eq(pop3_quit(pop3, &err), 0);
		pop3_free(&pop3);
		ck_assert_str_eq(peer_finish(peer), "RETR 1\nDELE 2\nQUIT\n");
	}
}
END_TEST

START_TEST(a_body_that_is_cut_is_out_of_step)
{
	_cleanup_peer_ struct peer *peer = NULL;
	_cleanup_pop3_ struct pop3 *pop3 = NULL;
	const struct peer_row rows[] = {
		{ .send = "+OK\r\n" },
		{ "RETR 1", "+OK\r\nall but the dot\r\n", .closes = true },
	};
	struct error err = { 0 };
	char got[256];
	size_t len;
	int fd;

	peer = peer_new(rows, 2, &fd);
	pop3 = open_greeted(fd);
	ck_assert_int_eq(pop3_queue_retr(pop3, 1, &err), 0);
	ck_assert_int_eq(pop3_flush(pop3, &err), 0);
	ck_assert_int_eq(pop3_read_reply(pop3, &err), 0);
	ck_assert_int_eq(read_whole_body(pop3, 128, got, &len, &err), -1);
	ck_assert_int_eq(err.kind, ERROR_NETWORK);
	ck_assert(!pop3_is_in_step(pop3));
	pop3_free(&pop3);
}
END_TEST

START_TEST(a_body_read_in_part_is_out_of_step)
{
	_cleanup_peer_ struct peer *peer = NULL;
	_cleanup_pop3_ struct pop3 *pop3 = NULL;
	const struct peer_row rows[] = {
		{ .send = "+OK\r\n" },
		PEER_ROW("RETR 1", "+OK\r\nlong enough\r\n.\r\n"),
	};
	struct error err = { 0 };
	char got[256];
	size_t len;
	int fd;

	peer = peer_new(rows, 2, &fd);
	pop3 = open_greeted(fd);
	ck_assert_int_eq(pop3_queue_retr(pop3, 1, &err), 0);
	ck_assert_int_eq(pop3_flush(pop3, &err), 0);
	ck_assert_int_eq(pop3_read_reply(pop3, &err), 0);
	ck_assert_int_eq(pop3_read_body(pop3, got, 4, &len, &err), 0);
	ck_assert_uint_eq(len, 4);
	ck_assert(!pop3_is_in_step(pop3));
	ck_assert_int_eq(read_whole_body(pop3, 128, got, &len, &err), 0);
	ck_assert(pop3_is_in_step(pop3));
	pop3_free(&pop3);
}
END_TEST

static const struct {
	const char *name;
	const char *reply;
	int result;
} quit_cases[] = {
	{ "goodbye", "+OK bye\r\n", 0 },
	{ "some messages were not removed", "-ERR some not removed\r\n", 1 },
	{ "the server just closes", "", -1 },
	{ "the server sends what is no reply", "bye\r\n", -1 },
};

START_TEST(says_quit)
{
	_cleanup_peer_ struct peer *peer = NULL;
	_cleanup_pop3_ struct pop3 *pop3 = NULL;
	const struct peer_row rows[] = {
		{ .send = "+OK\r\n" },
		{ "QUIT", quit_cases[_i].reply, .closes = true },
	};
	struct error err = { 0 };
	int fd;

	peer = peer_new(rows, 2, &fd);
	pop3 = open_greeted(fd);
	ck_assert_msg(pop3_quit(pop3, &err) == quit_cases[_i].result, "%s: %s",
		      quit_cases[_i].name, err.text);
	pop3_free(&pop3);
	ck_assert_str_eq(peer_finish(peer), "QUIT\n");
}
END_TEST

START_TEST(stls_refused_leaves_a_conversation_that_can_quit)
{
	_cleanup_peer_ struct peer *peer = NULL;
	_cleanup_pop3_ struct pop3 *pop3 = NULL;
	const struct peer_row rows[] = {
		{ .send = "+OK\r\n" },
		PEER_ROW("STLS", "-ERR no\r\n"),
		PEER_ROW("QUIT", "+OK\r\n"),
	};
	struct error err = { 0 };
	int fd;

	peer = peer_new(rows, 3, &fd);
	pop3 = open_greeted(fd);
	ck_assert_int_eq(pop3_start_tls(pop3, NULL, "localhost", &err), -1);
	ck_assert_int_eq(err.kind, ERROR_PROTOCOL);
	ck_assert(pop3_is_in_step(pop3));
	ck_assert_int_eq(pop3_quit(pop3, &err), 0);
	pop3_free(&pop3);
	ck_assert_str_eq(peer_finish(peer), "STLS\nQUIT\n");
}
END_TEST

START_TEST(a_reply_slipped_in_behind_stls_ends_the_visit)
{
	_cleanup_peer_ struct peer *peer = NULL;
	_cleanup_pop3_ struct pop3 *pop3 = NULL;
	const struct peer_row rows[] = {
		{ .send = "+OK\r\n" },
		PEER_ROW("STLS", "+OK go ahead\r\n+OK injected\r\n"),
	};
	struct error err = { 0 };
	int fd;

	peer = peer_new(rows, 2, &fd);
	pop3 = open_greeted(fd);
	ck_assert_int_eq(pop3_start_tls(pop3, NULL, "localhost", &err), -1);
	ck_assert_int_eq(err.kind, ERROR_PROTOCOL);
	ck_assert(!pop3_is_in_step(pop3));
	pop3_free(&pop3);
	ck_assert_str_eq(peer_finish(peer), "STLS\n");
}
END_TEST

static void add_dialogue(TCase *tcase)
{
	tcase_add_loop_test(tcase, takes_greetings, 0,
			    (int)ARRAY_SIZE(greeting_cases));
	tcase_add_loop_test(tcase, judges_replies, 0,
			    (int)ARRAY_SIZE(reply_cases));
	tcase_add_test(tcase, the_words_of_a_server_are_made_printable);
	tcase_add_loop_test(tcase, asks_for_capabilities, 0,
			    (int)ARRAY_SIZE(capa_cases));
	tcase_add_test(tcase,
		       a_list_of_capabilities_that_does_not_end_is_refused);
	tcase_add_test(tcase,
		       stls_refused_leaves_a_conversation_that_can_quit);
	tcase_add_test(tcase, a_reply_slipped_in_behind_stls_ends_the_visit);
	tcase_add_loop_test(tcase, says_quit, 0, (int)ARRAY_SIZE(quit_cases));
}

static void add_login(TCase *tcase)
{
	tcase_add_loop_test(tcase, logs_in, 0, (int)ARRAY_SIZE(login_cases));
	tcase_add_test(tcase, the_longest_response_for_one_line_goes_in_one);
	tcase_add_test(tcase, a_longer_response_goes_in_a_line_of_its_own);
	tcase_add_test(
		tcase,
		a_long_response_is_kept_back_when_the_mechanism_is_refused);
	tcase_add_test(
		tcase,
		a_long_response_is_kept_back_from_a_yes_unasked);
}

int main(void)
{
	Suite *suite = suite_create("pop3");
	TCase *tcase = tcase_create("pop3");
	SRunner *runner;
	int n_failed;

	add_dialogue(tcase);
	add_login(tcase);
	tcase_add_loop_test(tcase, a_body_ends_where_the_next_reply_begins, 0,
			    (int)ARRAY_SIZE(body_cases));
	tcase_add_test(tcase, a_body_that_is_cut_is_out_of_step);
	tcase_add_test(tcase, a_body_read_in_part_is_out_of_step);
	suite_add_tcase(suite, tcase);

	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
