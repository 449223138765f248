/*
 * test-pop3-parse.c - the grammar of replies, and the dot-decoder.
 *
 * The decoder is held to two properties beside its table: however the bytes
 * are split, and however little room there is, the result is the same; and
 * what a server stuffs, the decoder restores.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "pop3_parse.h"

#define BYTES(literal)                         \
	{                                      \
		(literal), sizeof(literal) - 1 \
	}
#define POISON 0x5a

static bool equals(struct bytes a, struct bytes b)
{
	return a.len == b.len &&
	       (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static bool is_poison(const void *object, size_t len)
{
	const unsigned char *byte = object;

	for (size_t i = 0; i < len; i++)
		if (byte[i] != POISON)
			return false;
	return true;
}

static const struct {
	const char *name;
	struct bytes line;
	enum pop3_status status; /* 0: the line must be refused */
	enum pop3_code code;
	struct bytes text;
} reply_cases[] = {
	{ "a plain success", BYTES("+OK"), POP3_OK, 0, BYTES("") },
	{ "a success with words", BYTES("+OK 2 messages"), POP3_OK, 0,
	  BYTES("2 messages") },
	{ "blanks and tabs before the words are skipped", BYTES("+OK \t  hi "),
	  POP3_OK, 0, BYTES("hi ") },
	{ "a success in lower case", BYTES("+ok ready"), POP3_OK, 0,
	  BYTES("ready") },
	{ "a NUL in the words is kept", BYTES("+OK a\0b"), POP3_OK, 0,
	  BYTES("a\0b") },
	{ "a success that runs on is none", BYTES("+OKAY"), 0, 0, BYTES("") },
	{ "a NUL is no blank", BYTES("+OK\0"), 0, 0, BYTES("") },
	{ "+ERR is no status line", BYTES("+ERR Server error"), 0, 0,
	  BYTES("") },
	{ "-OK is no status line", BYTES("-OK"), 0, 0, BYTES("") },
	{ "a blank before the status is refused", BYTES(" +OK"), 0, 0,
	  BYTES("") },
	{ "an empty line is refused", BYTES(""), 0, 0, BYTES("") },
	{ "half a status is refused", BYTES("+O"), 0, 0, BYTES("") },
	{ "a message line is refused", BYTES("Subject: hi"), 0, 0, BYTES("") },
	{ "an error", BYTES("-ERR no such message"), POP3_ERR, 0,
	  BYTES("no such message") },
	{ "an error in mixed case", BYTES("-eRr"), POP3_ERR, 0, BYTES("") },
	{ "an error that runs on is none", BYTES("-ERROR"), 0, 0, BYTES("") },
	{ "another session holds the mailbox", BYTES("-ERR [IN-USE] locked"),
	  POP3_ERR, POP3_CODE_IN_USE, BYTES("[IN-USE] locked") },
	{ "codes are case-blind", BYTES("-ERR [in-Use]"), POP3_ERR,
	  POP3_CODE_IN_USE, BYTES("[in-Use]") },
	{ "too soon", BYTES("-ERR [LOGIN-DELAY] wait"), POP3_ERR,
	  POP3_CODE_LOGIN_DELAY, BYTES("[LOGIN-DELAY] wait") },
	{ "a passing fault", BYTES("-ERR [SYS/TEMP]"), POP3_ERR,
	  POP3_CODE_SYS_TEMP, BYTES("[SYS/TEMP]") },
	{ "a lasting fault", BYTES("-ERR [SYS/PERM] x"), POP3_ERR,
	  POP3_CODE_SYS_PERM, BYTES("[SYS/PERM] x") },
	{ "credentials", BYTES("-ERR [AUTH] no"), POP3_ERR, POP3_CODE_AUTH,
	  BYTES("[AUTH] no") },
	{ "a finer level counts as the one above",
	  BYTES("-ERR [SYS/TEMP/DISK]"), POP3_ERR, POP3_CODE_SYS_TEMP,
	  BYTES("[SYS/TEMP/DISK]") },
	{ "a longer word is another code", BYTES("-ERR [AUTHX]"), POP3_ERR,
	  POP3_CODE_OTHER, BYTES("[AUTHX]") },
	{ "a coarser level is another code", BYTES("-ERR [SYS] x"), POP3_ERR,
	  POP3_CODE_OTHER, BYTES("[SYS] x") },
	{ "empty brackets are another code", BYTES("-ERR []"), POP3_ERR,
	  POP3_CODE_OTHER, BYTES("[]") },
	{ "an open bracket is no code", BYTES("-ERR [AUTH"), POP3_ERR, 0,
	  BYTES("[AUTH") },
	{ "a lone bracket is no code", BYTES("-ERR ["), POP3_ERR, 0,
	  BYTES("[") },
	{ "a code behind words is none", BYTES("-ERR no [AUTH]"), POP3_ERR, 0,
	  BYTES("no [AUTH]") },
	{ "a code behind +OK is none", BYTES("+OK [AUTH]"), POP3_OK, 0,
	  BYTES("[AUTH]") },
	{ "a challenge", BYTES("+ cmVhZHk="), POP3_CONTINUE, 0,
	  BYTES("cmVhZHk=") },
	{ "an empty challenge", BYTES("+ "), POP3_CONTINUE, 0, BYTES("") },
	{ "a bare plus", BYTES("+"), POP3_CONTINUE, 0, BYTES("") },
	{ "a plus with its padding", BYTES("+="), POP3_CONTINUE, 0,
	  BYTES("=") },
};

START_TEST(test_reply)
{
	const char *name = reply_cases[_i].name;
	struct pop3_reply reply;
	struct error err = { 0 };
	int r;

	memset(&reply, POISON, sizeof(reply));
	r = pop3_parse_reply(reply_cases[_i].line, &reply, &err);
	if (reply_cases[_i].status == 0) {
		ck_assert_msg(r < 0, "%s: was taken", name);
		ck_assert_msg(err.kind == ERROR_PROTOCOL, "%s: kind", name);
		ck_assert_msg(is_poison(&reply, sizeof(reply)),
			      "%s: the output was written", name);
		return;
	}

	ck_assert_msg(r == 0, "%s: %s", name, err.text);
	ck_assert_msg(reply.status == reply_cases[_i].status, "%s: status %d",
		      name, (int)reply.status);
	ck_assert_msg(reply.code == reply_cases[_i].code, "%s: code %d", name,
		      (int)reply.code);
	ck_assert_msg(equals(reply.text, reply_cases[_i].text), "%s: '%.*s'",
		      name, (int)reply.text.len, reply.text.data);
}
END_TEST

static const struct {
	const char *name;
	struct bytes line;
	uint32_t number; /* 0: the line must be refused */
	uint64_t size_bytes;
} scan_cases[] = {
	{ "an ordinary line", BYTES("1 120"), 1, 120 },
	{ "several blanks are one", BYTES("7 \t 120"), 7, 120 },
	{ "what follows is the server's business", BYTES("7 120 octets"), 7,
	  120 },
	{ "leading zeros are harmless", BYTES("007 0120"), 7, 120 },
	{ "a size of zero", BYTES("3 0"), 3, 0 },
	{ "the largest number", BYTES("10000000 1"), POP3_NUMBER_MAX, 1 },
	{ "the largest size", BYTES("1 9223372036854775807"), 1, INT64_MAX },
	{ "one more is refused", BYTES("1 9223372036854775808"), 0, 0 },
	{ "a size that would wrap is refused",
	  BYTES("1 99999999999999999999999"), 0, 0 },
	{ "the number is beyond any mailbox", BYTES("10000001 1"), 0, 0 },
	{ "a number that would wrap is refused",
	  BYTES("18446744073709551617 1"), 0, 0 },
	{ "message 0 is refused", BYTES("0 120"), 0, 0 },
	{ "the size is missing", BYTES("1"), 0, 0 },
	{ "the size is missing behind a blank", BYTES("1 "), 0, 0 },
	{ "a negative size is refused", BYTES("1 -1"), 0, 0 },
	{ "a negative number is refused", BYTES("-1 120"), 0, 0 },
	{ "no blank between is refused", BYTES("1x120"), 0, 0 },
	{ "a NUL is no blank",
	  BYTES("1\0"
		"120"),
	  0, 0 },
	{ "a blank before the number is refused", BYTES(" 1 120"), 0, 0 },
	{ "an empty line is refused", BYTES(""), 0, 0 },
};

START_TEST(test_scan)
{
	const char *name = scan_cases[_i].name;
	struct pop3_scan scan;
	struct error err = { 0 };
	int r;

	memset(&scan, POISON, sizeof(scan));
	r = pop3_parse_scan(scan_cases[_i].line, &scan, &err);
	if (scan_cases[_i].number == 0) {
		ck_assert_msg(r < 0, "%s: was taken", name);
		ck_assert_msg(err.kind == ERROR_PROTOCOL, "%s: kind", name);
		ck_assert_msg(is_poison(&scan, sizeof(scan)),
			      "%s: the output was written", name);
		return;
	}

	ck_assert_msg(r == 0, "%s: %s", name, err.text);
	ck_assert_msg(scan.number == scan_cases[_i].number, "%s: number", name);
	ck_assert_msg(scan.size_bytes == scan_cases[_i].size_bytes, "%s: size",
		      name);
}
END_TEST

static const struct {
	const char *name;
	struct bytes line;
	uint32_t number; /* 0: the line must be refused */
	struct bytes uid;
} unique_cases[] = {
	{ "an ordinary line", BYTES("1 whqtswO00WBw418f9t5JxYwZ"), 1,
	  BYTES("whqtswO00WBw418f9t5JxYwZ") },
	{ "blanks before the UID are skipped", BYTES("2   \tabc"), 2,
	  BYTES("abc") },
	{ "blanks within belong to it", BYTES("2 a b"), 2, BYTES("a b") },
	{ "8-bit bytes belong to it", BYTES("2 \xc3\xa4"), 2,
	  BYTES("\xc3\xa4") },
	{ "slashes and dots belong to it", BYTES("2 ../../x"), 2,
	  BYTES("../../x") },
	{ "the server gave none", BYTES("3"), 3, BYTES("") },
	{ "the server gave none behind a blank", BYTES("3  "), 3, BYTES("") },
	{ "message 0 is refused", BYTES("0 abc"), 0, BYTES("") },
	{ "the number is beyond any mailbox", BYTES("10000001 a"), 0,
	  BYTES("") },
	{ "no blank between is refused", BYTES("1abc"), 0, BYTES("") },
	{ "a NUL in the UID is refused", BYTES("1 a\0b"), 0, BYTES("") },
	{ "a CR in the UID is refused", BYTES("1 a\rb"), 0, BYTES("") },
	{ "an LF in the UID is refused", BYTES("1 a\nb"), 0, BYTES("") },
	{ "an empty line is refused", BYTES(""), 0, BYTES("") },
};

START_TEST(test_unique)
{
	const char *name = unique_cases[_i].name;
	struct pop3_unique unique;
	struct error err = { 0 };
	int r;

	memset(&unique, POISON, sizeof(unique));
	r = pop3_parse_unique(unique_cases[_i].line, &unique, &err);
	if (unique_cases[_i].number == 0) {
		ck_assert_msg(r < 0, "%s: was taken", name);
		ck_assert_msg(err.kind == ERROR_PROTOCOL, "%s: kind", name);
		ck_assert_msg(is_poison(&unique, sizeof(unique)),
			      "%s: the output was written", name);
		return;
	}

	ck_assert_msg(r == 0, "%s: %s", name, err.text);
	ck_assert_msg(unique.number == unique_cases[_i].number, "%s: number",
		      name);
	ck_assert_msg(equals(unique.uid, unique_cases[_i].uid), "%s: uid",
		      name);
}
END_TEST

START_TEST(a_uid_may_be_as_long_as_its_line)
{
	char line[4096];
	struct pop3_unique unique;
	struct error err = { 0 };

	memset(line, 'x', sizeof(line));
	memcpy(line, "1 ", 2);
	ck_assert_int_eq(pop3_parse_unique((struct bytes){ line, sizeof(line) },
					   &unique, &err),
			 0);
	ck_assert_uint_eq(unique.uid.len, sizeof(line) - 2);
}
END_TEST

static const struct {
	const char *name;
	struct bytes line;
	struct pop3_capa capa; /* what the line adds to nothing */
} capa_cases[] = {
	{ "STLS", BYTES("STLS"), { .stls = true } },
	{ "lower case counts", BYTES("stls"), { .stls = true } },
	{ "USER", BYTES("USER"), { .user = true } },
	{ "UIDL with something behind it", BYTES("UIDL x"), { .uidl = true } },
	{ "PIPELINING", BYTES("Pipelining"), { .pipelining = true } },
	{ "RESP-CODES", BYTES("RESP-CODES"), { .resp_codes = true } },
	{ "PLAIN alone", BYTES("SASL PLAIN"), { .sasl_plain = true } },
	{ "PLAIN last",
	  BYTES("SASL CRAM-MD5\tLOGIN  plain "),
	  { .sasl_plain = true } },
	{ "SASL without mechanisms", BYTES("SASL"), { 0 } },
	{ "SASL and a blank end", BYTES("SASL "), { 0 } },
	{ "a mechanism that only begins with PLAIN",
	  BYTES("SASL PLAINER"),
	  { 0 } },
	{ "a mechanism that only ends in PLAIN", BYTES("SASL X-PLAIN"), { 0 } },
	{ "a delay", BYTES("LOGIN-DELAY 900"), { .login_delay_sec = 900 } },
	{ "a delay that differs by user",
	  BYTES("LOGIN-DELAY 900 USER"),
	  { .login_delay_sec = 900 } },
	{ "a delay without a number", BYTES("LOGIN-DELAY"), { 0 } },
	{ "a delay that is no number", BYTES("LOGIN-DELAY soon"), { 0 } },
	{ "a negative delay", BYTES("LOGIN-DELAY -1"), { 0 } },
	{ "nobody sends us away for more than a day",
	  BYTES("LOGIN-DELAY 4000000000"),
	  { .login_delay_sec = 86400 } },
	{ "a delay beyond 32 bits", BYTES("LOGIN-DELAY 5000000000"), { 0 } },
	{ "an unknown word", BYTES("X-FROBNICATE 1"), { 0 } },
	{ "a known word that runs on", BYTES("STLSX"), { 0 } },
	{ "mailutils' EXPIRE without its blank", BYTES("EXPIRENEVER"), { 0 } },
	{ "an empty line", BYTES(""), { 0 } },
	{ "a NUL", BYTES("STLS\0"), { 0 } },
};

START_TEST(test_capability)
{
	const struct pop3_capa *want = &capa_cases[_i].capa;
	const char *name = capa_cases[_i].name;
	struct pop3_capa capa = { 0 };

	pop3_parse_capability(capa_cases[_i].line, &capa);
	ck_assert_msg(!capa.known, "%s: known is the caller's to say", name);
	ck_assert_msg(capa.stls == want->stls, "%s: stls", name);
	ck_assert_msg(capa.user == want->user, "%s: user", name);
	ck_assert_msg(capa.uidl == want->uidl, "%s: uidl", name);
	ck_assert_msg(capa.pipelining == want->pipelining, "%s: pipelining",
		      name);
	ck_assert_msg(capa.sasl_plain == want->sasl_plain, "%s: plain", name);
	ck_assert_msg(capa.resp_codes == want->resp_codes, "%s: codes", name);
	ck_assert_msg(capa.login_delay_sec == want->login_delay_sec,
		      "%s: delay %u", name, capa.login_delay_sec);
}
END_TEST

START_TEST(one_capability_does_not_undo_another)
{
	struct pop3_capa capa = { .known = true,
				  .stls = true,
				  .login_delay_sec = 7 };

	pop3_parse_capability((struct bytes)BYTES("SASL LOGIN"), &capa);
	pop3_parse_capability((struct bytes)BYTES("UIDL"), &capa);
	ck_assert(capa.known && capa.stls && capa.uidl && !capa.sasl_plain);
	ck_assert_uint_eq(capa.login_delay_sec, 7);
}
END_TEST

static const struct {
	const char *name;
	struct bytes greeting;
	const char *timestamp; /* NULL: no APOP */
} timestamp_cases[] = {
	{ "the example of RFC 1939",
	  BYTES("+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>"),
	  "<1896.697170952@dbc.mtview.ca.us>" },
	{ "Dovecot's", BYTES("Dovecot ready. <1a2b.3.65f0.q/+w==@mail>"),
	  "<1a2b.3.65f0.q/+w==@mail>" },
	{ "words behind it", BYTES("hi <a@b> there"), "<a@b>" },
	{ "nothing else", BYTES("<a@b>"), "<a@b>" },
	{ "an ordinary greeting", BYTES("+OK ready"), NULL },
	{ "an empty greeting", BYTES(""), NULL },
	{ "no at sign", BYTES("<ab>"), NULL },
	{ "two at signs", BYTES("<a@b@c>"), NULL },
	{ "nothing before the at sign", BYTES("<@b>"), NULL },
	{ "nothing behind the at sign", BYTES("<a@>"), NULL },
	{ "a dot at the start", BYTES("<.a@b>"), NULL },
	{ "a dot at the end", BYTES("<a@b.>"), NULL },
	{ "two dots in a row", BYTES("<a..b@c>"), NULL },
	{ "a blank inside", BYTES("<a b@c>"), NULL },
	{ "a NUL inside", BYTES("<a\0b@c>"), NULL },
	{ "8-bit inside", BYTES("<a\xff@b>"), NULL },
	{ "a bracket inside", BYTES("<a<b@c>"), NULL },
	{ "two pairs", BYTES("<a@b> <c@d>"), NULL },
	{ "a second closing bracket", BYTES("<a@b>>"), NULL },
	{ "brackets the wrong way round", BYTES(">a@b<"), NULL },
	{ "no closing bracket", BYTES("<a@b"), NULL },
	{ "quotes and parentheses", BYTES("<\"a\"@(b)>"), NULL },
};

START_TEST(test_timestamp)
{
	const char *name = timestamp_cases[_i].name;
	const char *want = timestamp_cases[_i].timestamp;
	char timestamp[POP3_TIMESTAMP_MAX];
	bool found;

	memset(timestamp, POISON, sizeof(timestamp));
	found = pop3_parse_timestamp(timestamp_cases[_i].greeting, timestamp,
				     sizeof(timestamp));
	ck_assert_msg(found == (want != NULL), "%s: found %d", name, found);
	if (found)
		ck_assert_msg(strcmp(timestamp, want) == 0, "%s: '%s'", name,
			      timestamp);
	else
		ck_assert_msg(is_poison(timestamp, sizeof(timestamp)),
			      "%s: the output was written", name);
}
END_TEST

START_TEST(a_timestamp_that_does_not_fit_is_none)
{
	char greeting[POP3_TIMESTAMP_MAX + 1];
	char timestamp[POP3_TIMESTAMP_MAX];
	struct bytes bytes = { greeting, POP3_TIMESTAMP_MAX };

	memset(greeting, 'a', sizeof(greeting));
	greeting[0] = '<';
	greeting[5] = '@';
	greeting[bytes.len - 1] = '>';
	ck_assert(!pop3_parse_timestamp(bytes, timestamp, sizeof(timestamp)));
	bytes.len--;
	greeting[bytes.len - 1] = '>';
	ck_assert(pop3_parse_timestamp(bytes, timestamp, sizeof(timestamp)));
	ck_assert_uint_eq(strlen(timestamp), bytes.len);
}
END_TEST

static const struct {
	const char *name;
	bool bare_lf;
	struct bytes wire;
	struct bytes message;
	bool ends; /* the terminator is there */
	uint64_t wire_bytes;
	size_t behind; /* bytes that must be left unread */
} dot_cases[] = {
	{ "an empty message", false, BYTES(".\r\n"), BYTES(""), true, 0, 0 },
	{ "two lines", false, BYTES("a\r\nb\r\n.\r\n"), BYTES("a\nb\n"), true,
	  6, 0 },
	{ "only line ends", false, BYTES("\r\n\r\n.\r\n"), BYTES("\n\n"), true,
	  4, 0 },
	{ "the next reply is left alone", false, BYTES("a\r\n.\r\n+OK\r\n"),
	  BYTES("a\n"), true, 3, 5 },
	{ "a stuffed dot goes", false, BYTES("..\r\n.\r\n"), BYTES(".\n"), true,
	  3, 0 },
	{ "of three dots two stay", false, BYTES("...a\r\n.\r\n"),
	  BYTES("..a\n"), true, 5, 0 },
	{ "a dot that was not stuffed goes as well", false,
	  BYTES(".a\r\n.\r\n"), BYTES("a\n"), true, 3, 0 },
	{ "dots inside a line stay", false, BYTES("a..b.\r\n.\r\n"),
	  BYTES("a..b.\n"), true, 7, 0 },
	{ "a bare CR stays", false, BYTES("a\rb\r\n.\r\n"), BYTES("a\rb\n"),
	  true, 5, 0 },
	{ "a CR before CRLF stays", false, BYTES("a\r\r\n.\r\n"),
	  BYTES("a\r\n"), true, 4, 0 },
	{ "many CRs in a row", false, BYTES("\r\r\r\n.\r\n"), BYTES("\r\r\n"),
	  true, 4, 0 },
	{ "a bare LF stays and ends no line", false, BYTES("a\n.\r\n.\r\n"),
	  BYTES("a\n.\n"), true, 5, 0 },
	{ "a dot and a bare LF are no end", false, BYTES(".\nb\r\n.\r\n"),
	  BYTES("\nb\n"), true, 4, 0 },
	{ "a dot and a bare CR are no end", false, BYTES(".\rx\r\n.\r\n"),
	  BYTES("\rx\n"), true, 4, 0 },
	{ "a dot, CR and CRLF are no end", false, BYTES(".\r\r\n.\r\n"),
	  BYTES("\r\n"), true, 3, 0 },
	{ "a dot, CR and dot are no end", false, BYTES(".\r.\r\n.\r\n"),
	  BYTES("\r.\n"), true, 4, 0 },
	{ "NUL and 8-bit stay", false, BYTES("\0\xff\0\r\n.\r\n"),
	  BYTES("\0\xff\0\n"), true, 5, 0 },
	{ "a line that is cut", false, BYTES("a\r\nb"), BYTES("a\nb"), false, 4,
	  0 },
	{ "a terminator that is cut is not delivered", false, BYTES("a\r\n.\r"),
	  BYTES("a\n"), false, 3, 0 },
	{ "a last line without its end", false, BYTES("a.\r\n"), BYTES("a.\n"),
	  false, 4, 0 },
	{ "bare LF: two lines", true, BYTES("a\nb\n.\n"), BYTES("a\nb\n"), true,
	  4, 0 },
	{ "bare LF: an empty message", true, BYTES(".\n+OK\n"), BYTES(""), true,
	  0, 4 },
	{ "bare LF: a stuffed dot goes", true, BYTES("..a\n\n.\n"),
	  BYTES(".a\n\n"), true, 4, 0 },
	{ "bare LF: CRLF becomes LF too", true, BYTES("a\r\nb\n.\n"),
	  BYTES("a\nb\n"), true, 5, 0 },
	{ "bare LF: the end may come with CR", true, BYTES("a\n.\r\n"),
	  BYTES("a\n"), true, 2, 0 },
	{ "bare LF: a bare CR stays", true, BYTES("\ra\r\r\n\rb\n.\n"),
	  BYTES("\ra\r\n\rb\n"), true, 8, 0 },
	{ "bare LF: a dot and a bare CR are no end", true, BYTES(".\rx\n.\n"),
	  BYTES("\rx\n"), true, 3, 0 },
};

struct decoded {
	char data[256];
	size_t len;
	size_t consumed;
};

/* As a caller does: goes on with what is left until the input is used up. */
static void feed(struct pop3_dot *dot, struct bytes in, size_t cap,
		 struct decoded *to)
{
	while (in.len > 0 && dot->state != POP3_DOT_END) {
		size_t consumed = SIZE_MAX;
		size_t len;

		ck_assert_uint_le(to->len + cap, sizeof(to->data));
		len = pop3_dot_decode(dot, in, &consumed, to->data + to->len,
				      cap);
		ck_assert_uint_le(len, cap);
		ck_assert_uint_le(consumed, in.len);
		ck_assert(len > 0 || consumed > 0);
		to->len += len;
		to->consumed += consumed;
		in.data += consumed;
		in.len -= consumed;
	}
}

static void check_decoded(int i, const struct pop3_dot *dot,
			  const struct decoded *got, const char *how)
{
	struct bytes message = { got->data, got->len };
	const char *name = dot_cases[i].name;

	ck_assert_msg(equals(message, dot_cases[i].message), "%s, %s: message",
		      name, how);
	ck_assert_msg((dot->state == POP3_DOT_END) == dot_cases[i].ends,
		      "%s, %s: state %d", name, how, (int)dot->state);
	ck_assert_msg(dot->wire_bytes == dot_cases[i].wire_bytes,
		      "%s, %s: wire bytes %llu", name, how,
		      (unsigned long long)dot->wire_bytes);
	ck_assert_msg(dot_cases[i].wire.len - got->consumed ==
			      dot_cases[i].behind,
		      "%s, %s: consumed %zu", name, how, got->consumed);
}

START_TEST(test_dot_in_one_piece)
{
	struct decoded got = { .len = 0 };
	struct pop3_dot dot;

	memset(&dot, POISON, sizeof(dot));
	pop3_dot_init(&dot, dot_cases[_i].bare_lf);
	feed(&dot, dot_cases[_i].wire, 128, &got);
	check_decoded(_i, &dot, &got, "in one piece");
}
END_TEST

START_TEST(test_dot_split_anywhere)
{
	struct bytes wire = dot_cases[_i].wire;

	for (size_t split = 0; split <= wire.len; split++) {
		struct decoded got = { .len = 0 };
		struct pop3_dot dot;
		char how[32];

		(void)snprintf(how, sizeof(how), "split at %zu", split);
		pop3_dot_init(&dot, dot_cases[_i].bare_lf);
		feed(&dot, (struct bytes){ wire.data, split }, 64, &got);
		feed(&dot,
		     (struct bytes){ wire.data + split, wire.len - split }, 64,
		     &got);
		check_decoded(_i, &dot, &got, how);
	}
}
END_TEST

START_TEST(test_dot_byte_by_byte)
{
	struct bytes wire = dot_cases[_i].wire;
	struct decoded got = { .len = 0 };
	struct pop3_dot dot;

	pop3_dot_init(&dot, dot_cases[_i].bare_lf);
	for (size_t i = 0; i < wire.len; i++)
		feed(&dot, (struct bytes){ wire.data + i, 1 }, 2, &got);
	check_decoded(_i, &dot, &got, "byte by byte");
}
END_TEST

START_TEST(test_dot_with_little_room)
{
	for (size_t cap = 2; cap < 6; cap++) {
		struct decoded got = { .len = 0 };
		struct pop3_dot dot;

		pop3_dot_init(&dot, dot_cases[_i].bare_lf);
		feed(&dot, dot_cases[_i].wire, cap, &got);
		check_decoded(_i, &dot, &got, "with little room");
	}
}
END_TEST

/* xorshift: the same messages in every run, on every machine. */
static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Mostly the bytes that a decoder could trip over. LF is a line's end. */
static size_t make_message(char *message, size_t cap, uint32_t *random)
{
	static const char bytes[] = "...\r\r\n\n\nab\0\xff";
	size_t len = next_random(random) % cap;

	for (size_t i = 0; i < len; i++)
		message[i] = bytes[next_random(random) % (sizeof(bytes) - 1)];
	if (len > 0)
		message[len - 1] = '\n';
	return len;
}

/* What a correct server makes of it; the terminator behind it. */
static size_t stuff(char *wire, const char *message, size_t len, bool bare_lf)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		bool at_start = i == 0 || message[i - 1] == '\n';

		if (at_start && message[i] == '.')
			wire[n++] = '.';
		if (message[i] == '\n' && !bare_lf)
			wire[n++] = '\r';
		wire[n++] = message[i];
	}
	wire[n++] = '.';
	if (!bare_lf)
		wire[n++] = '\r';
	wire[n++] = '\n';
	return n;
}

static size_t drop_cr_before_lf(char *message, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		if (message[i] != '\r' || message[i + 1] != '\n')
			message[n++] = message[i];
	return n;
}

START_TEST(what_a_server_stuffs_is_restored)
{
	bool bare_lf = _i == 1;
	uint32_t random = 0x9e3779b9;

	for (unsigned round = 0; round < 20000; round++) {
		char message[64];
		char wire[3 * sizeof(message)];
		struct decoded got = { .len = 0 };
		size_t len = make_message(message, sizeof(message), &random);
		size_t wire_len, split;
		struct pop3_dot dot;

		/* With bare LF a CR before LF is part of the line's end. */
		while (bare_lf && len != drop_cr_before_lf(message, len))
			len = drop_cr_before_lf(message, len);
		wire_len = stuff(wire, message, len, bare_lf);
		split = next_random(&random) % (wire_len + 1);
		pop3_dot_init(&dot, bare_lf);
		feed(&dot, (struct bytes){ wire, split }, 61, &got);
		feed(&dot, (struct bytes){ wire + split, wire_len - split }, 61,
		     &got);
		ck_assert_msg(dot.state == POP3_DOT_END &&
				      got.consumed == wire_len,
			      "round %u: not at its end", round);
		ck_assert_msg(equals((struct bytes){ got.data, got.len },
				     (struct bytes){ message, len }),
			      "round %u: another message", round);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("pop3_parse");
	TCase *lines = tcase_create("lines");
	TCase *dots = tcase_create("dots");
	int n_dots = ARRAY_SIZE(dot_cases);

	tcase_add_loop_test(lines, test_reply, 0, ARRAY_SIZE(reply_cases));
	tcase_add_loop_test(lines, test_scan, 0, ARRAY_SIZE(scan_cases));
	tcase_add_loop_test(lines, test_unique, 0, ARRAY_SIZE(unique_cases));
	tcase_add_test(lines, a_uid_may_be_as_long_as_its_line);
	tcase_add_loop_test(lines, test_capability, 0, ARRAY_SIZE(capa_cases));
	tcase_add_test(lines, one_capability_does_not_undo_another);
	tcase_add_loop_test(lines, test_timestamp, 0,
			    ARRAY_SIZE(timestamp_cases));
	tcase_add_test(lines, a_timestamp_that_does_not_fit_is_none);
	suite_add_tcase(suite, lines);

	tcase_add_loop_test(dots, test_dot_in_one_piece, 0, n_dots);
	tcase_add_loop_test(dots, test_dot_split_anywhere, 0, n_dots);
	tcase_add_loop_test(dots, test_dot_byte_by_byte, 0, n_dots);
	tcase_add_loop_test(dots, test_dot_with_little_room, 0, n_dots);
	tcase_add_loop_test(dots, what_a_server_stuffs_is_restored, 0, 2);
	suite_add_tcase(suite, dots);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(make_suite());
	int n_failed;

	srunner_run_all(runner, CK_ENV);
	n_failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
