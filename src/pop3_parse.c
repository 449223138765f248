/*
 * pop3_parse.c - the grammar of POP3 replies, without any I/O.
 *
 * Every byte here was chosen by a server that may be hostile, so each rule is
 * a chain of small takers over a counted span: nothing looks past the end,
 * NUL is a byte like any other, and every number has a bound. Outputs are
 * assigned in one piece, at the end.
 *
 * The dot-decoder keeps all it must remember in its state, so that the bytes
 * may come split anywhere. Runs inside a line are found and copied whole.
 */
#include "pop3_parse.h"

#include <string.h>
#include <strings.h>

#define QUOTE_MAX           120 /* bytes of a bad line that an error repeats */
#define LOGIN_DELAY_SEC_MAX 86400 /* no server may send us away for longer */

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

static void skip(struct bytes *rest, size_t len)
{
	rest->data += len;
	rest->len -= len;
}

static bool take_byte(struct bytes *rest, char byte)
{
	if (rest->len == 0 || rest->data[0] != byte)
		return false;

	skip(rest, 1);
	return true;
}

/* Returns how many there were. */
static size_t take_blanks(struct bytes *rest)
{
	size_t len = 0;

	while (len < rest->len && is_blank(rest->data[len]))
		len++;
	skip(rest, len);
	return len;
}

static bool take_digit(struct bytes *rest, uint64_t *ret)
{
	if (rest->len == 0 || rest->data[0] < '0' || rest->data[0] > '9')
		return false;

	*ret = (uint64_t)(rest->data[0] - '0');
	skip(rest, 1);
	return true;
}

static bool take_number(struct bytes *rest, uint64_t max, uint64_t *ret)
{
	uint64_t number;
	uint64_t digit;

	if (!take_digit(rest, &number))
		return false;
	while (take_digit(rest, &digit)) {
		if (number > (max - digit) / 10)
			return false;
		number = number * 10 + digit;
	}

	*ret = number;
	return true;
}

static bool take_message_number(struct bytes *rest, uint32_t *ret)
{
	uint64_t number;

	if (!take_number(rest, POP3_NUMBER_MAX, &number) || number == 0)
		return false;

	*ret = (uint32_t)number;
	return true;
}

/* Case-blind, and only as a whole word: a blank or the end must follow. */
static bool take_word(struct bytes *rest, const char *word)
{
	size_t len = strlen(word);

	if (rest->len < len || strncasecmp(rest->data, word, len) != 0)
		return false;
	if (rest->len > len && !is_blank(rest->data[len]))
		return false;

	skip(rest, len);
	return true;
}

static int refuse(struct error *err, const char *what, struct bytes line)
{
	return error_set(err, ERROR_PROTOCOL, "%s: '%.*s'", what,
			 (int)MIN(line.len, (size_t)QUOTE_MAX), line.data);
}

/* RFC 2449 section 8: a level that we do not know counts as the one above. */
static bool code_is(struct bytes code, const char *name)
{
	size_t len = strlen(name);

	return code.len >= len && strncasecmp(code.data, name, len) == 0 &&
	       (code.len == len || code.data[len] == '/');
}

static enum pop3_code parse_code(struct bytes text)
{
	static const struct {
		const char *name;
		enum pop3_code code;
	} codes[] = {
		{ "IN-USE", POP3_CODE_IN_USE },
		{ "LOGIN-DELAY", POP3_CODE_LOGIN_DELAY },
		{ "SYS/TEMP", POP3_CODE_SYS_TEMP },
		{ "SYS/PERM", POP3_CODE_SYS_PERM },
		{ "AUTH", POP3_CODE_AUTH },
	};
	const char *end;

	if (!take_byte(&text, '[') || text.len == 0)
		return POP3_CODE_NONE;
	end = memchr(text.data, ']', text.len);
	if (end == NULL)
		return POP3_CODE_NONE;

	text.len = (size_t)(end - text.data);
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (code_is(text, codes[i].name))
			return codes[i].code;
	return POP3_CODE_OTHER;
}

/* RFC 5034 wants "+ "; servers send "+" alone and "+=" too. */
static bool take_continue(struct bytes *rest)
{
	if (rest->len == 0 || rest->data[0] != '+')
		return false;
	if (rest->len > 1 && !is_blank(rest->data[1]) && rest->data[1] != '=')
		return false;

	skip(rest, 1);
	return true;
}

int pop3_parse_reply(struct bytes line, struct pop3_reply *ret,
		     struct error *err)
{
	struct pop3_reply reply = { .code = POP3_CODE_NONE };
	struct bytes rest = line;

	if (take_word(&rest, "+OK"))
		reply.status = POP3_OK;
	else if (take_word(&rest, "-ERR"))
		reply.status = POP3_ERR;
	else if (take_continue(&rest))
		reply.status = POP3_CONTINUE;
	else
		return refuse(err, "not a status line", line);

	(void)take_blanks(&rest); /* none is fine */
	if (reply.status == POP3_ERR)
		reply.code = parse_code(rest);
	reply.text = rest;
	*ret = reply;
	return 0;
}

int pop3_parse_scan(struct bytes line, struct pop3_scan *ret, struct error *err)
{
	struct bytes rest = line;
	uint32_t number;
	uint64_t size_bytes;

	if (!take_message_number(&rest, &number) || take_blanks(&rest) == 0)
		return refuse(err, "bad LIST line", line);
	if (!take_number(&rest, INT64_MAX, &size_bytes))
		return refuse(err, "bad size in a LIST line", line);

	*ret = (struct pop3_scan){ .number = number, .size_bytes = size_bytes };
	return 0; /* what follows the size is the server's own business */
}

/* The journal and the commands carry a UID as bytes, but never these. */
static bool has_control(struct bytes uid)
{
	for (size_t i = 0; i < uid.len; i++)
		if (uid.data[i] == '\0' || uid.data[i] == '\r' ||
		    uid.data[i] == '\n')
			return true;
	return false;
}

int pop3_parse_unique(struct bytes line, struct pop3_unique *ret,
		      struct error *err)
{
	struct bytes rest = line;
	uint32_t number;

	if (!take_message_number(&rest, &number))
		return refuse(err, "bad UIDL line", line);
	if (take_blanks(&rest) == 0 && rest.len > 0)
		return refuse(err, "bad UIDL line", line);
	if (has_control(rest))
		return refuse(err, "control bytes in a UIDL line", line);

	*ret = (struct pop3_unique){ .number = number, .uid = rest };
	return 0;
}

static void parse_sasl(struct bytes rest, struct pop3_capa *capa)
{
	while (rest.len > 0) {
		(void)take_blanks(&rest); /* none at the start is fine */
		if (take_word(&rest, "PLAIN"))
			capa->sasl_plain = true;
		while (rest.len > 0 && !is_blank(rest.data[0]))
			skip(&rest, 1);
	}
}

/* "LOGIN-DELAY 900", or "900 USER" where it differs by user: RFC 2449 6.5. */
static void parse_login_delay(struct bytes rest, struct pop3_capa *capa)
{
	uint64_t delay_sec;

	(void)take_blanks(&rest); /* without a number nothing is taken */
	if (take_number(&rest, UINT32_MAX, &delay_sec))
		capa->login_delay_sec =
			(uint32_t)MIN(delay_sec, (uint64_t)LOGIN_DELAY_SEC_MAX);
}

void pop3_parse_capability(struct bytes line, struct pop3_capa *capa)
{
	struct bytes rest = line;

	if (take_word(&rest, "STLS"))
		capa->stls = true;
	else if (take_word(&rest, "USER"))
		capa->user = true;
	else if (take_word(&rest, "UIDL"))
		capa->uidl = true;
	else if (take_word(&rest, "PIPELINING"))
		capa->pipelining = true;
	else if (take_word(&rest, "RESP-CODES"))
		capa->resp_codes = true;
	else if (take_word(&rest, "SASL"))
		parse_sasl(rest, capa);
	else if (take_word(&rest, "LOGIN-DELAY"))
		parse_login_delay(rest, capa);
}

/* RFC 5322 section 3.2.3, without the 8-bit of RFC 6532. */
static bool is_atext(char byte)
{
	if ((byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
	    (byte >= 'a' && byte <= 'z'))
		return true;
	return byte != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", byte) != NULL;
}

static bool take_atom(struct bytes *rest)
{
	size_t len = 0;

	while (len < rest->len && is_atext(rest->data[len]))
		len++;
	skip(rest, len);
	return len > 0;
}

static bool take_dot_atom(struct bytes *rest)
{
	do {
		if (!take_atom(rest))
			return false;
	} while (take_byte(rest, '.'));
	return true;
}

static size_t count_byte(struct bytes bytes, char byte)
{
	size_t count = 0;

	for (size_t i = 0; i < bytes.len; i++)
		count += bytes.data[i] == byte;
	return count;
}

bool pop3_parse_timestamp(struct bytes greeting, char *ret, size_t cap)
{
	struct bytes id = greeting;
	struct bytes rest;
	size_t len;

	if (count_byte(id, '<') != 1 || count_byte(id, '>') != 1)
		return false;
	while (id.data[0] != '<')
		skip(&id, 1);

	rest = id;
	if (!take_byte(&rest, '<') || !take_dot_atom(&rest) ||
	    !take_byte(&rest, '@') || !take_dot_atom(&rest) ||
	    !take_byte(&rest, '>'))
		return false;

	len = id.len - rest.len;
	if (len >= MIN(cap, (size_t)POP3_TIMESTAMP_MAX))
		return false;

	memcpy(ret, id.data, len);
	ret[len] = '\0';
	return true;
}

void pop3_dot_init(struct pop3_dot *dot, bool bare_lf)
{
	*dot = (struct pop3_dot){ .state = POP3_DOT_LINE_START,
				  .bare_lf = bare_lf };
}

struct decoding {
	struct bytes in;
	char *out;
	size_t room;
};

static void copy_out(struct decoding *d, const char *data, size_t len)
{
	memcpy(d->out, data, len);
	d->out += len;
	d->room -= len;
}

/* The bytes up to what may end the line; if it does, the next step sees. */
static void decode_run(struct pop3_dot *dot, struct decoding *d)
{
	size_t len = MIN(d->in.len, d->room);
	const char *stop = memchr(d->in.data, dot->bare_lf ? '\n' : '\r', len);
	bool ends_in_cr;

	if (stop == d->in.data && dot->bare_lf) {
		copy_out(d, "\n", 1);
		skip(&d->in, 1);
		dot->wire_bytes++;
		dot->state = POP3_DOT_LINE_START;
		return;
	}

	if (stop != NULL)
		len = (size_t)(stop - d->in.data) + !dot->bare_lf;
	ends_in_cr = d->in.data[len - 1] == '\r';
	dot->state = ends_in_cr ? POP3_DOT_CR : POP3_DOT_TEXT;
	copy_out(d, d->in.data, len - ends_in_cr);
	dot->wire_bytes += len - ends_in_cr;
	skip(&d->in, len);
}

/* A CR is held back until the byte behind it has shown what it is. */
static void decode_after_cr(struct pop3_dot *dot, struct decoding *d)
{
	if (!take_byte(&d->in, '\n')) {
		copy_out(d, "\r", 1);
		dot->wire_bytes++;
		dot->state = POP3_DOT_TEXT;
		return;
	}
	copy_out(d, "\n", 1);
	dot->wire_bytes += 2;
	dot->state = POP3_DOT_LINE_START;
}

/* RFC 1939 section 3: a dot and a line's end end all; else the dot goes. */
static void decode_after_dot(struct pop3_dot *dot, struct decoding *d)
{
	if (take_byte(&d->in, '\r'))
		dot->state = POP3_DOT_DOT_CR;
	else if (dot->bare_lf && take_byte(&d->in, '\n'))
		dot->state = POP3_DOT_END;
	else
		dot->state = POP3_DOT_TEXT;
}

static void decode_step(struct pop3_dot *dot, struct decoding *d)
{
	switch (dot->state) {
	case POP3_DOT_LINE_START:
		dot->state = take_byte(&d->in, '.') ? POP3_DOT_DOT
						    : POP3_DOT_TEXT;
		return;
	case POP3_DOT_TEXT:
		decode_run(dot, d);
		return;
	case POP3_DOT_CR:
		decode_after_cr(dot, d);
		return;
	case POP3_DOT_DOT:
		decode_after_dot(dot, d);
		return;
	case POP3_DOT_DOT_CR:
		if (take_byte(&d->in, '\n'))
			dot->state = POP3_DOT_END;
		else
			decode_after_cr(dot, d);
		return;
	case POP3_DOT_END:
		return;
	}
}

size_t pop3_dot_decode(struct pop3_dot *dot, struct bytes in,
		       size_t *ret_consumed, char *out, size_t cap)
{
	struct decoding d = { .in = in, .out = out, .room = cap };

	while (dot->state != POP3_DOT_END && d.in.len > 0 && d.room > 0)
		decode_step(dot, &d);

	*ret_consumed = in.len - d.in.len;
	return cap - d.room;
}
