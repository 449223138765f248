/*
 * framing.c - a property: whatever bytes a message has, however the server
 * frames it and wherever the network splits it, what is read is the message.
 *
 * A case is drawn from a number: up to three messages in a pipeline, lines
 * that end in CRLF or in LF, bytes stuffed as RFC 1939 wants or raw, the
 * sizes of the pieces that come, and perhaps a cut. It is read by stream.c and
 * pop3.c, which get their input from this program's own recv: each call hands
 * out one piece. What they read is held against a reader that knows no states
 * but cuts the whole into lines, and, where the bytes were stuffed, against
 * the message itself.
 *
 * A case that fails is made smaller as long as it fails, and printed in the
 * format of tests/scripts. "framing --script N" prints case N.
 *
 * FRAMING_CASES and FRAMING_SEED say how many, and from which number on.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "pop3.h"

#define MESSAGES_MAX  3
#define DATA_MAX      48
#define WIRE_MAX      (MESSAGES_MAX * (2 * DATA_MAX + 16))
#define PIECES_MAX    64
#define PIECE_MAX     9  /* bytes, as drawn */
#define ROOM_MAX      64 /* more than pop3.c is ever given here */
#define CASES_DEFAULT 100000
#define NO_CUT        SIZE_MAX

struct message {
	bool is_raw; /* not stuffed: a terminator may stand anywhere */
	char data[DATA_MAX];
	size_t len;
};

struct example {
	bool is_lf;         /* the server's lines end in LF alone */
	bool is_unstuffing; /* a control: the server is broken */
	struct message messages[MESSAGES_MAX];
	size_t n_messages;
	size_t pieces
		[PIECES_MAX]; /* in turn, over and over; none: all at once */
	size_t n_pieces;
	size_t cut;  /* so many bytes, and the connection ends */
	size_t room; /* in the buffer that bodies are read into */
};

/* What a server sends, and where each reply ends in it. */
struct wire {
	char data[WIRE_MAX];
	size_t len;
	size_t ends[MESSAGES_MAX];
};

enum verdict {
	VERDICT_CUT = 0, /* the end of the line or of the body is missing */
	VERDICT_GARBAGE, /* no status line */
	VERDICT_MESSAGE,
	VERDICT_REFUSED,
};

struct reading {
	enum verdict verdict;
	char data[WIRE_MAX];
	size_t len;
	uint64_t wire_bytes; /* what LIST should say */
};

struct readings {
	struct reading replies[MESSAGES_MAX];
	size_t n_replies;
	size_t consumed; /* of the wire */
};

/* --- drawing a case ------------------------------------------------------- */

/* splitmix64: neighbouring seeds give unlike rows. */
static uint64_t draw(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static size_t draw_below(uint64_t *state, size_t bound)
{
	return (size_t)(draw(state) % bound);
}

static void add(struct message *message, const char *data, size_t len)
{
	if (message->len + len > DATA_MAX)
		return;
	memcpy(message->data + message->len, data, len);
	message->len += len;
}

static void draw_message(uint64_t *state, struct message *ret)
{
	static const struct {
		const char *data;
		size_t len;
	} words[] = {
		{ "\r\n", 2 },      { "\r\n", 2 },  { "\r\n", 2 },
		{ "\r", 1 },        { "\r", 1 },    { "\n", 1 },
		{ "\n", 1 },        { ".", 1 },     { ".", 1 },
		{ ".", 1 },         { "\0", 1 },    { "\xff", 1 },
		{ " ", 1 },         { "a", 1 },     { "b", 1 },
		{ "\n.\n", 3 },     { "\r.\r", 3 }, { "\r\n.\r", 4 },
		{ "\r\n.\r\n", 5 }, { "+OK", 3 },   { "-ERR ", 5 },
	};
	size_t n_words = draw_below(state, 20);

	*ret = (struct message){ .is_raw = draw_below(state, 4) == 0 };
	for (size_t i = 0; i < n_words; i++) {
		size_t word = draw_below(state, ARRAY_SIZE(words));

		add(ret, words[word].data, words[word].len);
	}
}

static void draw_pieces(uint64_t *state, struct example *e)
{
	size_t longest = 1 + draw_below(state, PIECE_MAX);

	e->n_pieces = draw_below(state, PIECES_MAX + 1);
	for (size_t i = 0; i < e->n_pieces; i++)
		e->pieces[i] = 1 + draw_below(state, longest);
}

static struct example draw_example(uint64_t number)
{
	uint64_t state = number;
	struct example e = { .cut = NO_CUT };

	e.is_lf = draw_below(&state, 3) == 0;
	e.n_messages = 1 + draw_below(&state, MESSAGES_MAX);
	for (size_t i = 0; i < e.n_messages; i++)
		draw_message(&state, &e.messages[i]);
	draw_pieces(&state, &e);
	if (draw_below(&state, 8) == 0)
		e.cut = draw_below(&state, 64);
	e.room = 2 + draw_below(&state, ROOM_MAX - 1);
	return e;
}

/* --- the server ----------------------------------------------------------- */

static void put(struct wire *wire, const char *data, size_t len)
{
	memcpy(wire->data + wire->len, data, len);
	wire->len += len;
}

static void put_line_end(struct wire *wire, bool is_lf)
{
	put(wire, is_lf ? "\n" : "\r\n", is_lf ? 1 : 2);
}

static bool is_line_start(const struct wire *wire, size_t from, bool is_lf)
{
	if (wire->len == from)
		return true;
	if (wire->data[wire->len - 1] != '\n')
		return false;
	return is_lf ||
	       (wire->len - from > 1 && wire->data[wire->len - 2] == '\r');
}

static void put_stuffed(struct wire *wire, const struct message *message,
			bool is_lf, bool is_unstuffing)
{
	size_t from = wire->len;

	for (size_t i = 0; i < message->len; i++) {
		if (message->data[i] == '.' && !is_unstuffing &&
		    is_line_start(wire, from, is_lf))
			put(wire, ".", 1);
		put(wire, &message->data[i], 1);
	}
	if (!is_line_start(wire, from, is_lf))
		put_line_end(wire, is_lf);
}

static void make_wire(const struct example *e, struct wire *ret)
{
	ret->len = 0;
	for (size_t i = 0; i < e->n_messages; i++) {
		const struct message *message = &e->messages[i];

		put(ret, "+OK", 3);
		put_line_end(ret, e->is_lf);
		if (message->is_raw)
			put(ret, message->data, message->len);
		else
			put_stuffed(ret, message, e->is_lf, e->is_unstuffing);
		put(ret, ".", 1);
		put_line_end(ret, e->is_lf);
		ret->ends[i] = ret->len;
	}
	ret->len = MIN(ret->len, e->cut);
}

/* --- the reader under test ------------------------------------------------ */

static struct {
	const struct example *example;
	const struct wire *wire;
	size_t at;
	size_t n_calls;
} feed;

/* Where piece number so and so ends, which begins here. */
static size_t piece_end(const struct example *e, size_t at, size_t number,
			size_t end)
{
	return number < e->n_pieces ? MIN(end, at + e->pieces[number]) : end;
}

/* In the place of libc's. Behind the last piece the peer is gone. */
ssize_t recv(int fd, void *data, size_t cap, int flags)
{
	size_t end = piece_end(feed.example, feed.at, feed.n_calls++,
			       feed.wire->len);
	size_t len = MIN(cap, end - feed.at);

	(void)fd;
	(void)flags;
	memcpy(data, feed.wire->data + feed.at, len);
	feed.at += len;
	return (ssize_t)len;
}

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* A conversation that reads what we feed it; what it says goes nowhere. */
static struct pop3 *open_pop3(int *ret_peer)
{
	const struct stream_options options = { .stop_fd = -1 };
	const struct pop3_timeouts timeouts = { .reply_usec = USEC_PER_MINUTE,
						.login_usec = USEC_PER_MINUTE };
	struct stream *stream;
	struct pop3 *pop3;
	struct error err;
	int fds[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	must(stream_new(fds[0], &options, &stream, &err) == 0);
	must(pop3_new(stream, &timeouts, &pop3, &err) == 0);
	*ret_peer = fds[1];
	return pop3;
}

static enum verdict verdict_of(int r, const struct error *err)
{
	if (r > 0)
		return VERDICT_REFUSED;
	return err->kind == ERROR_PROTOCOL ? VERDICT_GARBAGE : VERDICT_CUT;
}

/* Nothing that follows can be read. */
static bool is_end(const struct reading *reply)
{
	return reply->verdict == VERDICT_CUT ||
	       reply->verdict == VERDICT_GARBAGE;
}

static void read_reply(struct pop3 *pop3, size_t room, struct reading *ret)
{
	struct error err;
	size_t len;
	int r = pop3_read_reply(pop3, &err);

	ret->len = 0;
	ret->verdict = VERDICT_CUT;
	if (r != 0) {
		ret->verdict = verdict_of(r, &err);
		return;
	}
	do {
		if (pop3_read_body(pop3, ret->data + ret->len, room, &len,
				   &err) < 0)
			return;
		ret->len += len;
	} while (len > 0 && ret->len < WIRE_MAX - ROOM_MAX);
	ret->verdict = VERDICT_MESSAGE;
	ret->wire_bytes = pop3_body_wire_bytes(pop3);
}

static void read_as_mailhaul(const struct example *e, const struct wire *wire,
			     struct readings *ret)
{
	struct error err;
	int peer;
	_cleanup_(pop3_free) struct pop3 *pop3 = open_pop3(&peer);

	feed.example = e;
	feed.wire = wire;
	feed.at = feed.n_calls = 0;
	ret->n_replies = 0;
	for (size_t i = 0; i < e->n_messages; i++)
		must(pop3_queue_retr(pop3, (uint32_t)i + 1, &err) == 0);
	must(pop3_flush(pop3, &err) == 0);
	while (ret->n_replies < e->n_messages) {
		struct reading *reply = &ret->replies[ret->n_replies++];

		read_reply(pop3, e->room, reply);
		if (is_end(reply))
			break;
	}
	ret->consumed = feed.at - stream_peek(pop3_stream(pop3)).len;
	(void)close(peer);
}

/* --- the reader to compare with ------------------------------------------- */

/* Takes a line off the rest, less its end. False: there is no whole one. */
static bool take_line(struct bytes *rest, bool is_lf, struct bytes *ret)
{
	const char *end = is_lf ? memchr(rest->data, '\n', rest->len)
				: memmem(rest->data, rest->len, "\r\n", 2);
	size_t end_len = is_lf ? 1 : 2;

	if (!end)
		return false;
	*ret = (struct bytes){ rest->data, (size_t)(end - rest->data) };
	rest->data = end + end_len;
	rest->len -= ret->len + end_len;
	return true;
}

static bool drop_cr(struct bytes *line)
{
	if (line->len == 0 || line->data[line->len - 1] != '\r')
		return false;
	line->len--;
	return true;
}

static bool begins(struct bytes line, const char *word)
{
	size_t len = strlen(word);

	return line.len >= len && strncasecmp(line.data, word, len) == 0 &&
	       (line.len == len || line.data[len] == ' ');
}

static bool is_dot(struct bytes line)
{
	return line.len == 1 && line.data[0] == '.';
}

/* False: the end of the body is missing. */
static bool take_body(struct bytes *rest, bool is_lf, struct reading *ret)
{
	struct bytes line;

	while (take_line(rest, is_lf, &line)) {
		size_t end_len = is_lf ? 1 : 2;

		if (is_lf && drop_cr(&line))
			end_len++;
		if (is_dot(line))
			return true;
		if (line.len > 0 && line.data[0] == '.') {
			line.data++;
			line.len--;
		}
		memcpy(ret->data + ret->len, line.data, line.len);
		ret->len += line.len;
		ret->data[ret->len++] = '\n';
		ret->wire_bytes += line.len + end_len;
	}
	return false;
}

static void take_reply(struct bytes *rest, struct reading *ret)
{
	struct bytes line;
	bool is_lf;

	*ret = (struct reading){ .verdict = VERDICT_CUT };
	if (!take_line(rest, true, &line))
		return;
	is_lf = !drop_cr(&line);
	if (begins(line, "-ERR"))
		ret->verdict = VERDICT_REFUSED;
	else if (!begins(line, "+OK"))
		ret->verdict = VERDICT_GARBAGE;
	else if (take_body(rest, is_lf, ret))
		ret->verdict = VERDICT_MESSAGE;
}

static void read_plainly(const struct example *e, const struct wire *wire,
			 struct readings *ret)
{
	struct bytes rest = { wire->data, wire->len };

	ret->n_replies = 0;
	while (ret->n_replies < e->n_messages) {
		struct reading *reply = &ret->replies[ret->n_replies++];

		take_reply(&rest, reply);
		if (is_end(reply))
			break;
	}
	ret->consumed = wire->len - rest.len;
}

/* --- the property --------------------------------------------------------- */

/* The message itself, as a Maildir should hold it. */
static void make_wanted(const struct message *message, bool is_lf,
			struct reading *ret)
{
	struct wire whole = { .len = 0 };
	size_t at = 0;

	put_stuffed(&whole, message, is_lf, true);
	ret->len = 0;
	ret->wire_bytes = whole.len;
	while (at < whole.len) {
		at += whole.data[at] == '\r' && at + 1 < whole.len &&
		      whole.data[at + 1] == '\n';
		ret->data[ret->len++] = whole.data[at++];
	}
}

static bool is_same(const struct reading *a, const struct reading *b)
{
	return a->len == b->len && a->wire_bytes == b->wire_bytes &&
	       memcmp(a->data, b->data, a->len) == 0;
}

/* All that was sent before the first raw message must be what it was. */
static bool are_messages(const struct example *e, const struct wire *wire,
			 const struct readings *readings)
{
	struct reading wanted;

	for (size_t i = 0; i < e->n_messages; i++) {
		if (e->messages[i].is_raw || wire->ends[i] > wire->len)
			return true;
		make_wanted(&e->messages[i], e->is_lf, &wanted);
		if (i >= readings->n_replies ||
		    readings->replies[i].verdict != VERDICT_MESSAGE ||
		    !is_same(&readings->replies[i], &wanted))
			return false;
	}
	return true;
}

static bool are_same(const struct readings *a, const struct readings *b)
{
	if (a->n_replies != b->n_replies)
		return false;
	for (size_t i = 0; i < a->n_replies; i++) {
		const struct reading *x = &a->replies[i], *y = &b->replies[i];

		if (x->verdict != y->verdict)
			return false;
		if (x->verdict == VERDICT_MESSAGE && !is_same(x, y))
			return false;
		/* How much was read of what broke is nobody's business. */
		if (is_end(x))
			return true;
	}
	return a->consumed == b->consumed;
}

static bool holds(const struct example *e)
{
	static struct wire wire;
	static struct readings ours, plain;

	make_wire(e, &wire);
	read_as_mailhaul(e, &wire, &ours);
	read_plainly(e, &wire, &plain);
	return are_same(&ours, &plain) && are_messages(e, &wire, &ours);
}

/* --- making it smaller ---------------------------------------------------- */

static void remove_message(struct example *e, size_t at)
{
	e->n_messages--;
	memmove(&e->messages[at], &e->messages[at + 1],
		(e->n_messages - at) * sizeof(e->messages[0]));
}

/* With the next one it becomes one. */
static void join_piece(struct example *e, size_t at)
{
	e->n_pieces--;
	if (at < e->n_pieces)
		e->pieces[at + 1] += e->pieces[at];
	memmove(&e->pieces[at], &e->pieces[at + 1],
		(e->n_pieces - at) * sizeof(e->pieces[0]));
}

static void remove_bytes(struct message *message, size_t at, size_t len)
{
	message->len -= len;
	memmove(message->data + at, message->data + at + len,
		message->len - at);
}

/* Keeps the smaller one if it fails as well. */
static bool take_if_fails(struct example *e, const struct example *smaller)
{
	if (holds(smaller))
		return false;
	*e = *smaller;
	return true;
}

static bool shrink_settings(struct example *e)
{
	struct example smaller = *e;

	smaller.cut = NO_CUT;
	if (e->cut != NO_CUT && take_if_fails(e, &smaller))
		return true;
	smaller.cut = e->cut - 1;
	if (e->cut != NO_CUT && e->cut > 0 && take_if_fails(e, &smaller))
		return true;
	smaller = *e;
	smaller.is_lf = false;
	if (e->is_lf && take_if_fails(e, &smaller))
		return true;
	smaller = *e;
	smaller.room = ROOM_MAX;
	return e->room != ROOM_MAX && take_if_fails(e, &smaller);
}

static bool shrink_pieces(struct example *e)
{
	struct example smaller;

	for (size_t i = 0; i < e->n_pieces; i++) {
		smaller = *e;
		join_piece(&smaller, i);
		if (take_if_fails(e, &smaller))
			return true;
	}
	return false;
}

static bool shrink_messages(struct example *e)
{
	struct example smaller;

	for (size_t i = 0; i < e->n_messages; i++) {
		smaller = *e;
		remove_message(&smaller, i);
		if (e->n_messages > 1 && take_if_fails(e, &smaller))
			return true;
		smaller = *e;
		smaller.messages[i].is_raw = false;
		if (e->messages[i].is_raw && take_if_fails(e, &smaller))
			return true;
	}
	return false;
}

/* Without a run of bytes; a piece gets shorter with it, or none does. */
static bool shrink_run(struct example *e, size_t which, size_t at, size_t run)
{
	struct example smaller;

	for (size_t piece = 0; piece <= e->n_pieces; piece++) {
		smaller = *e;
		remove_bytes(&smaller.messages[which], at, run);
		if (piece < e->n_pieces && e->pieces[piece] <= run)
			continue;
		if (piece < e->n_pieces)
			smaller.pieces[piece] -= run;
		if (take_if_fails(e, &smaller))
			return true;
	}
	return false;
}

/* Runs of bytes, long ones first; then what is left becomes letters. */
static bool shrink_data(struct example *e, size_t which)
{
	size_t len = e->messages[which].len;
	struct example smaller;

	for (size_t run = len; run > 0; run /= 2)
		for (size_t at = 0; at + run <= len; at++)
			if (shrink_run(e, which, at, run))
				return true;
	for (size_t at = 0; at < len; at++) {
		smaller = *e;
		smaller.messages[which].data[at] = 'a';
		if (e->messages[which].data[at] != 'a' &&
		    take_if_fails(e, &smaller))
			return true;
	}
	return false;
}

static bool shrink_once(struct example *e)
{
	if (shrink_messages(e) || shrink_settings(e) || shrink_pieces(e))
		return true;
	for (size_t i = 0; i < e->n_messages; i++)
		if (shrink_data(e, i))
			return true;
	return false;
}

/* --- as a script ---------------------------------------------------------- */

static void print_bytes(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = data[i];

		if (c == '\r' && i + 1 < len && data[i + 1] == '\n') {
			(void)printf("\\n");
			i++;
		} else if (c > ' ' && c < '\x7f' && c != '\\') {
			(void)putchar(c);
		} else {
			(void)printf("\\x%02x", (unsigned char)c);
		}
	}
}

/* For "expect message", where \n is LF. */
static void print_expected(const struct reading *reading)
{
	(void)printf("expect message ");
	for (size_t i = 0; i < reading->len; i++) {
		char c = reading->data[i];

		if (c == '\n')
			(void)printf("\\n");
		else if (c > ' ' && c < '\x7f' && c != '\\')
			(void)putchar(c);
		else
			(void)printf("\\x%02x", (unsigned char)c);
	}
	(void)printf("%s\n", reading->len == 0 ? "\\c" : "");
}

/*
 * The pieces that bring this reply, each in a write of its own. All commands
 * come in one packet, so that the last piece may bring the next reply as well.
 */
static void print_pieces(const struct example *e, const struct wire *wire,
			 size_t number, size_t *at, size_t *n_pieces)
{
	size_t end = MIN(wire->ends[number], wire->len);

	while (*at < end) {
		size_t to = piece_end(e, *at, (*n_pieces)++, wire->len);

		if (e->n_pieces == 0)
			to = end;
		(void)printf("on RETR %zu: S ", number + 1);
		print_bytes(wire->data + *at, to - *at);
		(void)printf("\\c\n");
		(void)printf("on RETR %zu: delay 5\n", number + 1);
		*at = to;
	}
	(void)printf("on RETR %zu: delay 0\n", number + 1);
	if (wire->ends[number] > wire->len)
		(void)printf("on RETR %zu: cut\n", number + 1);
}

static const char *outcome_of(const struct readings *plain,
			      const struct wire *wire)
{
	const struct reading *last = &plain->replies[plain->n_replies - 1];

	if (last->verdict == VERDICT_CUT)
		return "network";
	/* What is left over will be taken for the answer to DELE: as a rule
	   it is none. */
	return is_end(last) || plain->consumed < wire->len ? "protocol" : "ok";
}

static void print_script(const struct example *e, uint64_t number)
{
	static struct wire wire;
	static struct readings plain;
	size_t at = 0, n_pieces = 0;

	make_wire(e, &wire);
	read_plainly(e, &wire, &plain);
	(void)printf("# Framing: what case %llu of the property test became.\n"
		     "config reply_timeout = \"1s\";\n",
		     (unsigned long long)number);
	for (size_t i = 0; i < e->n_messages; i++) {
		bool is_read = i < plain.n_replies &&
			       plain.replies[i].verdict == VERDICT_MESSAGE;

		(void)printf("message ");
		print_bytes(e->messages[i].data, e->messages[i].len);
		(void)printf("\\c\nsize %llu\n",
			     (unsigned long long)(is_read ? plain.replies[i]
								    .wire_bytes
							  : 99));
		print_pieces(e, &wire, i, &at, &n_pieces);
	}
	(void)printf("serve\nexpect outcome %s\n", outcome_of(&plain, &wire));
	for (size_t i = 0; i < plain.n_replies; i++)
		if (plain.replies[i].verdict == VERDICT_MESSAGE)
			print_expected(&plain.replies[i]);
}

/* --- all of them ---------------------------------------------------------- */

static uint64_t number_of(const char *text, uint64_t otherwise)
{
	return text && text[0] != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

/* Returns how many cases held before one that did not; that one is in ret. */
static uint64_t find_failure(uint64_t first, uint64_t n_cases,
			     bool is_unstuffing, struct example *ret)
{
	for (uint64_t i = 0; i < n_cases; i++) {
		*ret = draw_example(first + i);
		ret->is_unstuffing = is_unstuffing;
		if (!holds(ret))
			return i;
	}
	return n_cases;
}

static bool check_property(uint64_t first, uint64_t n_cases)
{
	struct example e;
	uint64_t n_held = find_failure(first, n_cases, false, &e);

	(void)printf("%sok 1 - what is read is the message: %llu cases, from "
		     "number %llu\n",
		     n_held < n_cases ? "not " : "", (unsigned long long)n_held,
		     (unsigned long long)first);
	if (n_held == n_cases)
		return true;
	while (shrink_once(&e))
		;
	(void)printf("# case %llu fails; as small as it gets, to be saved as a "
		     "file and played by tests/system/scenarios:\n",
		     (unsigned long long)(first + n_held));
	print_script(&e, first + n_held);
	return false;
}

/* The control: a server that does not stuff must be found out, at one dot. */
static bool check_control(uint64_t first)
{
	struct example e;
	uint64_t n_held = find_failure(first, 1000, true, &e);
	bool is_found = n_held < 1000;

	while (is_found && shrink_once(&e))
		;
	is_found = is_found && e.n_messages == 1 && e.n_pieces == 0 &&
		   !e.is_lf && e.messages[0].len == 1 &&
		   e.messages[0].data[0] == '.';
	(void)printf("%sok 2 - a server that does not stuff dots is found out, "
		     "and what is left of the case is one dot\n",
		     is_found ? "" : "not ");
	return is_found;
}

int main(int argc, char **argv)
{
	uint64_t first = number_of(getenv("FRAMING_SEED"), 1);
	uint64_t n_cases = number_of(getenv("FRAMING_CASES"), CASES_DEFAULT);
	bool is_well;

	if (argc == 3 && strcmp(argv[1], "--script") == 0) {
		struct example e = draw_example(number_of(argv[2], 1));

		print_script(&e, number_of(argv[2], 1));
		return 0;
	}
	(void)printf("1..2\n");
	is_well = check_property(first, n_cases);
	return check_control(first) && is_well ? 0 : 1;
}
