/*
 * server.c - a POP3 server in memory, of many minds.
 */
#include "server.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "promises.h"
#include "world.h"

struct server server;

void server_begin(void)
{
	server = (struct server){ .next_uid = 1 };
}

void server_end(void)
{
	for (unsigned i = 0; i < server.n_contents; i++) {
		free(server.contents[i].wire);
		free(server.contents[i].file);
	}
	free(server.out);
}

void server_draw_abilities(void)
{
	struct nature *nature = &server.nature;

	nature->has_capa = dice_percent(90);
	nature->hangs_up_on_capa = dice_percent(5);
	nature->has_pipelining = nature->has_capa && dice_percent(75);
	nature->drops_behind = !nature->has_pipelining && dice_percent(50);
	nature->has_plain = nature->has_capa && dice_percent(50);
	trace("server: CAPA %s, PIPELINING %s, AUTH PLAIN %s",
	      nature->hangs_up_on_capa ? "makes it hang up"
	      : nature->has_capa       ? "yes"
				       : "no",
	      nature->has_pipelining ? "yes"
	      : nature->drops_behind ? "no, what comes behind is lost"
				     : "no",
	      nature->has_plain ? "yes" : "no");
}

unsigned server_count(enum leave leave)
{
	unsigned n = 0;

	for (unsigned i = 0; i < server.n_letters; i++)
		n += server.letters[i].leave == leave;
	return n;
}

/* ---- messages ---- */

#define WIRE_MAX 4096

struct text {
	char bytes[WIRE_MAX];
	size_t len;
};

_printf_(2, 3) static void text_add(struct text *text, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	text->len += (size_t)vsnprintf(text->bytes + text->len,
				       sizeof(text->bytes) - text->len, fmt,
				       args);
	va_end(args);
}

static void add_line(struct text *text)
{
	unsigned len = dice_below(dice_once_in(8) ? 300 : 40);

	if (dice_once_in(6))
		text_add(text, "%.*s", (int)dice_between(1, 3), "...");
	for (unsigned i = 0; i < len; i++) {
		unsigned c = dice_once_in(20) ? dice_below(256)
					      : dice_between(32, 126);

		text->bytes[text->len++] =
			(char)(c == '\n' || c == '\r' ? 0 : c);
	}
	if (dice_once_in(30))
		text_add(text, "\rx");
	text_add(text, "\r\n");
}

/* Less the CR of each line's end. */
static void make_file(struct content *content)
{
	content->file = malloc(content->wire_len + 1);
	if (!content->file)
		abort();
	for (size_t i = 0; i < content->wire_len; i++)
		if (content->wire[i] != '\r' || content->wire[i + 1] != '\n')
			content->file[content->file_len++] = content->wire[i];
}

/* All the same length, but not the same. */
static void add_padding(struct text *text)
{
	while (text->len < 98)
		text_add(text, "%c", (char)dice_between('a', 'z'));
	text_add(text, "\r\n");
}

static void add_body(struct text *text, struct content *content)
{
	if (server.nature.has_equal_sizes) {
		add_padding(text);
		return;
	}
	for (unsigned n = dice_below(6); n > 0; n--)
		add_line(text);
	if (!dice_once_in(16))
		return;
	content->is_unstuffed = true;
	text_add(text, ".\r\n");
	for (unsigned n = dice_below(24); n > 0; n--)
		text_add(text, "+OK 1 message\r\n");
	add_line(text);
}

static struct content *content_new(void)
{
	struct content *content = &server.contents[server.n_contents];
	struct text text = { .len = 0 };

	content->id = ++server.n_contents;
	text_add(&text, "Subject: %u\r\n\r\n", content->id);
	add_body(&text, content);
	content->wire = malloc(text.len + 1);
	if (!content->wire)
		abort();
	memcpy(content->wire, text.bytes, text.len);
	content->wire[text.len] = '\0';
	content->wire_len = text.len;
	make_file(content);
	return content;
}

static unsigned size_for_list(const struct content *content)
{
	unsigned size = (unsigned)content->wire_len;

	if (!server.nature.has_wrong_sizes)
		return size;
	switch (dice_below(4)) {
	case 0:
		return (size / 1024 + 1) * 1024;
	case 1:
		return 0;
	case 2:
		return size + dice_below(9);
	default:
		return size;
	}
}

static void give_uid(struct letter *letter)
{
	(void)snprintf(letter->uid, sizeof(letter->uid), "uid-%u",
		       server.next_uid++);
}

/* No message that this one could be taken for: same UID, same size. */
static bool is_free(const char *uid, const struct letter *letter)
{
	for (unsigned i = 0; i < server.n_letters; i++) {
		const struct letter *other = &server.letters[i];

		if (strcmp(other->uid, uid) == 0 &&
		    other->list_size == letter->list_size &&
		    (other->leave == LEAVE_NOT ||
		     other->departure == DEPARTURE_UNKNOWN))
			return false;
	}
	return true;
}

/*
 * A UID that another message has or had. Where nothing that mailhaul could see
 * tells them apart, it is not given: no client could do better.
 */
static bool share_uid(struct letter *letter)
{
	const struct letter *other;

	if (server.n_letters == 0)
		return false;
	other = &server.letters[dice_below(server.n_letters)];
	if (!is_free(other->uid, letter))
		return false;
	(void)memcpy(letter->uid, other->uid, sizeof(letter->uid));
	return true;
}

static const struct content *choose_content(void)
{
	if (server.nature.has_copies && server.n_contents > 0 &&
	    dice_percent(40))
		return &server.contents[dice_below(server.n_contents)];
	return content_new();
}

static void note_twins(const struct letter *letter)
{
	bool is_twin = false;

	for (unsigned i = 0; i <= server.n_letters; i++) {
		struct letter *other = &server.letters[i];

		if (other == letter || other->content != letter->content)
			continue;
		other->is_twin = true;
		is_twin = true;
	}
	server.letters[letter - server.letters].is_twin = is_twin;
}

struct letter *server_receive(void)
{
	struct letter *letter = &server.letters[server.n_letters];

	if (server.n_letters == LETTERS_MAX ||
	    server.n_contents == CONTENTS_MAX)
		return NULL;
	*letter = (struct letter){ .content = choose_content() };
	letter->list_size = size_for_list(letter->content);
	if (server.nature.has_unique_uids || !dice_percent(40) ||
	    !share_uid(letter))
		give_uid(letter);
	note_twins(letter);
	server.n_letters++;
	trace("server: message %u arrives, uid %s, size %u%s%s",
	      letter->content->id, letter->uid, letter->list_size,
	      letter->content->is_unstuffed ? ", with a lone dot" : "",
	      letter->is_twin ? ", a copy" : "");
	return letter;
}

/*
 * What +OK to QUIT told stays as unsure as it is, however often the message is
 * absent from then on: mailhaul does not write that down a second time.
 */
void server_note_departures(bool heard)
{
	bool is_told = heard && server.has_quit_well && !server.nature.has_lied;

	for (unsigned i = 0; i < server.n_letters; i++) {
		struct letter *letter = &server.letters[i];

		if (letter->leave == LEAVE_NOT ||
		    letter->departure != DEPARTURE_UNKNOWN)
			continue;
		if (is_told && letter->is_marked)
			letter->departure = DEPARTURE_TOLD;
		else if (server.has_listed && !letter->is_listed &&
			 !letter->is_told_gone)
			letter->departure = DEPARTURE_SEEN;
	}
}

bool server_has_doubtful_uid(void)
{
	for (unsigned i = 0; i < server.n_letters; i++) {
		const struct letter *old = &server.letters[i];

		if (old->leave == LEAVE_NOT || old->departure != DEPARTURE_TOLD)
			continue;
		for (unsigned j = 0; j < server.n_letters; j++)
			if (server.letters[j].leave == LEAVE_NOT &&
			    strcmp(server.letters[j].uid, old->uid) == 0 &&
			    server.letters[j].list_size == old->list_size)
				return true;
	}
	return false;
}

void server_forget_departures(void)
{
	for (unsigned i = 0; i < server.n_letters; i++)
		if (server.letters[i].departure == DEPARTURE_TOLD)
			server.letters[i].departure = DEPARTURE_UNKNOWN;
}

void server_give_new_uids(void)
{
	trace("server: all messages get new uids");
	server.nature.has_confused = true;
	for (unsigned i = 0; i < server.n_letters; i++)
		if (server.letters[i].leave == LEAVE_NOT)
			give_uid(&server.letters[i]);
}

/* ---- output ---- */

static void out_add(const char *data, size_t len)
{
	if (server.out_len + len > server.out_cap) {
		server.out_cap = MAX(server.out_cap * 2, len + 4096);
		server.out = realloc(server.out, server.out_cap);
		if (!server.out)
			abort();
	}
	memcpy(server.out + server.out_len, data, len);
	server.out_len += len;
}

_printf_(1, 2) static void say(const char *fmt, ...)
{
	char line[256];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	out_add(line, strlen(line));
	out_add("\r\n", 2);
	trace("  S: %s", line);
}

static void say_body(const struct content *content)
{
	bool is_stuffed = !server.mood.is_ill || !content->is_unstuffed;
	const char *line = content->wire;
	const char *end = content->wire + content->wire_len;

	while (line < end) {
		/* A line of the message may hold NUL and a bare CR. */
		const char *lf = memchr(line, '\n', (size_t)(end - line));
		bool is_lone = line[0] == '.' && line[1] == '\r';

		if (line[0] == '.' && (is_stuffed || !is_lone))
			out_add(".", 1);
		out_add(line, (size_t)(lf + 1 - line));
		line = lf + 1;
	}
	out_add(".\r\n", 3);
	trace("  S: (message %u, %zu bytes%s)", content->id, content->wire_len,
	      is_stuffed ? "" : ", lone dot not stuffed");
}

/* ---- the mailbox ---- */

static void open_mailbox(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < server.n_letters; i++) {
		server.letters[i].is_marked = false;
		server.letters[i].is_listed = false;
		if (server.letters[i].leave == LEAVE_NOT)
			server.order[n++] = i;
	}
	server.n_listed = n;
	server.nature.has_confused = server.nature.has_confused ||
				     server.mood.lists_nothing ||
				     server.mood.lists_less;
	for (unsigned i = n; server.nature.shuffles && i > 1; i--) {
		unsigned j = dice_below(i);
		unsigned swapped = server.order[i - 1];

		server.order[i - 1] = server.order[j];
		server.order[j] = swapped;
	}
	if (server.mood.lists_nothing)
		server.n_listed = 0;
	for (unsigned i = 0; i < server.n_listed; i++)
		server.letters[server.order[i]].is_listed = true;
}

static struct letter *letter_of(unsigned number)
{
	struct letter *letter;

	if (number == 0 || number > server.n_listed)
		return NULL;
	letter = &server.letters[server.order[number - 1]];
	return letter->is_marked ? NULL : letter;
}

static void drop(struct letter *letter)
{
	letter->leave = LEAVE_DELETED;
	trace("server: message %u is gone", letter->content->id);
}

static void drop_marked(unsigned percent)
{
	for (unsigned i = 0; i < server.n_letters; i++) {
		struct letter *letter = &server.letters[i];

		if (letter->is_marked && letter->leave == LEAVE_NOT &&
		    dice_percent(percent))
			drop(letter);
	}
}

/* ---- commands ---- */

static void on_capa(void)
{
	if (server.nature.hangs_up_on_capa) {
		server_hang_up();
		return;
	}
	if (!server.nature.has_capa) {
		say("-ERR what?");
		return;
	}
	say("+OK");
	say("USER");
	if (server.nature.has_uidl)
		say("UIDL");
	if (server.nature.has_pipelining)
		say("PIPELINING");
	if (server.nature.has_plain)
		say("SASL PLAIN");
	say(".");
}

static void on_pass(void)
{
	if (server.mood.is_in_use) {
		say("-ERR [IN-USE] another session has it");
		return;
	}
	server.is_logged_in = true;
	open_mailbox();
	say("+OK");
}

static void on_auth(void)
{
	if (server.nature.has_plain)
		on_pass();
	else
		say("-ERR what?");
}

static void on_uidl(void)
{
	if (!server.nature.has_uidl || server.mood.is_refusing_uidl) {
		say("-ERR no UIDL");
		return;
	}
	say("+OK");
	server.has_listed = !server.mood.lists_less;
	for (unsigned n = 1; n <= server.n_listed; n++)
		if (letter_of(n) &&
		    !(server.mood.lists_less && dice_percent(30)))
			say("%u %s", n, letter_of(n)->uid);
	say(".");
}

static void on_list(const char *argument)
{
	unsigned number = (unsigned)strtoul(argument, NULL, 10);

	if (number > 0) {
		if (letter_of(number))
			say("+OK %u %u", number, letter_of(number)->list_size);
		else
			say("-ERR no such message");
		return;
	}
	say("+OK");
	for (unsigned n = 1; n <= server.n_listed; n++)
		if (letter_of(n))
			say("%u %u", n, letter_of(n)->list_size);
	say(".");
}

static void on_retr(const char *argument)
{
	const struct letter *letter =
		letter_of((unsigned)strtoul(argument, NULL, 10));

	if (!letter || dice_percent(server.mood.refuses_percent)) {
		say("-ERR not now");
		return;
	}
	promises_check_retr(letter);
	say("+OK");
	say_body(letter->content);
}

static void on_dele(const char *argument)
{
	struct letter *letter =
		letter_of((unsigned)strtoul(argument, NULL, 10));

	if (!letter || dice_percent(server.mood.refuses_percent)) {
		say("-ERR not that one");
		return;
	}
	promises_check_dele(letter);
	letter->is_marked = true;
	if (server.nature.dele_when == DELE_AT_ONCE)
		drop(letter);
	say("+OK");
}

/* Truly or not. */
static void tell_gone(void)
{
	for (unsigned i = 0; i < server.n_letters; i++)
		if (server.letters[i].is_marked)
			server.letters[i].is_told_gone = true;
}

static void on_quit(void)
{
	if (server.mood.quit == QUIT_WELL || server.mood.quit == QUIT_LIES)
		tell_gone();
	switch (server.mood.quit) {
	case QUIT_LIES:
		server.nature.has_lied = true;
		server.nature.has_confused = true;
		say("+OK");
		break;
	case QUIT_PARTLY:
		drop_marked(50);
		say("-ERR some deleted messages not removed");
		break;
	case QUIT_REFUSED:
		say("-ERR nothing removed");
		break;
	case QUIT_SILENT_DONE:
		drop_marked(100);
		break;
	case QUIT_SILENT:
		break;
	default:
		drop_marked(100);
		server.has_quit_well = true;
		say("+OK bye");
		break;
	}
	server.is_connected = false;
}

static void on_command(const char *line)
{
	const char *blank = strchr(line, ' ');
	const char *argument = blank ? blank + 1 : "";

	trace("  C: %s", line);
	if (strcasecmp(line, "CAPA") == 0)
		on_capa();
	else if (strcasecmp(line, "QUIT") == 0)
		on_quit();
	else if (strncasecmp(line, "USER ", 5) == 0)
		say("+OK");
	else if (strncasecmp(line, "PASS ", 5) == 0)
		on_pass();
	else if (strncasecmp(line, "AUTH PLAIN ", 11) == 0)
		on_auth();
	else if (!server.is_logged_in)
		say("-ERR log in first");
	else if (strcasecmp(line, "UIDL") == 0)
		on_uidl();
	else if (strncasecmp(line, "LIST", 4) == 0)
		on_list(argument);
	else if (strncasecmp(line, "RETR ", 5) == 0)
		on_retr(argument);
	else if (strncasecmp(line, "DELE ", 5) == 0)
		on_dele(argument);
	else if (strcasecmp(line, "NOOP") == 0)
		say("+OK");
	else
		say("-ERR what?");
}

/* ---- the connection ---- */

void server_connect(void)
{
	server.is_connected = true;
	server.is_logged_in = false;
	server.has_listed = false;
	server.has_quit_well = false;
	server.in_len = 0;
	server.out_len = 0;
	server.n_in = 0;
	server.n_shown = 0;
	trace("  connected");
	say("+OK ready");
}

void server_hang_up(void)
{
	if (!server.is_connected)
		return;
	trace("  the connection ends without QUIT");
	server.is_connected = false;
	if (server.is_logged_in && server.nature.dele_when == DELE_AT_END)
		drop_marked(100);
}

/* True at the end of a command. */
static bool take_byte(char byte)
{
	if (byte != '\n') {
		if (server.in_len + 1 < sizeof(server.in))
			server.in[server.in_len++] = byte;
		return false;
	}
	if (server.in_len > 0 && server.in[server.in_len - 1] == '\r')
		server.in_len--;
	server.in[server.in_len] = '\0';
	server.in_len = 0;
	on_command(server.in);
	return true;
}

void server_take(const char *data, size_t len)
{
	for (size_t i = 0; i < len && server.is_connected; i++) {
		if (server.n_in++ >= server.mood.cut_out_after) {
			server_hang_up();
			return;
		}
		if (take_byte(data[i]) && server.nature.drops_behind)
			return;
	}
}
