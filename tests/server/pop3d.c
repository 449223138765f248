/*
 * pop3d.c - a plain, correct POP3 server's side of one session.
 *
 * It knows nothing of failures: scripts play those.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>

#include "pop3d.h"
#include "stuff.h"

#define CREDENTIALS_MAX 1024

enum command {
	COMMAND_UNKNOWN = 0,
	COMMAND_CAPA,
	COMMAND_STLS,
	COMMAND_USER,
	COMMAND_PASS,
	COMMAND_APOP,
	COMMAND_AUTH,
	COMMAND_QUIT,
	COMMAND_NOOP,
	COMMAND_STAT,
	COMMAND_LIST,
	COMMAND_UIDL,
	COMMAND_RETR,
	COMMAND_TOP,
	COMMAND_DELE,
	COMMAND_RSET,
};

static const char *const command_names[] = {
	[COMMAND_CAPA] = "CAPA", [COMMAND_STLS] = "STLS",
	[COMMAND_USER] = "USER", [COMMAND_PASS] = "PASS",
	[COMMAND_APOP] = "APOP", [COMMAND_AUTH] = "AUTH",
	[COMMAND_QUIT] = "QUIT", [COMMAND_NOOP] = "NOOP",
	[COMMAND_STAT] = "STAT", [COMMAND_LIST] = "LIST",
	[COMMAND_UIDL] = "UIDL", [COMMAND_RETR] = "RETR",
	[COMMAND_TOP] = "TOP",   [COMMAND_DELE] = "DELE",
	[COMMAND_RSET] = "RSET",
};

void pop3d_init(struct pop3d *server, const struct pop3d_options *options,
		struct wire *wire, struct box *box)
{
	*server = (struct pop3d){
		.options = options,
		.wire = wire,
		.box = box,
	};
}

void pop3d_done(struct pop3d *server)
{
	if (server->is_open)
		box_close(server->box);
	server->is_open = false;
}

void pop3d_reply(struct pop3d *server, const char *fmt, ...)
{
	char line[2048];
	va_list args;
	size_t len;

	va_start(args, fmt);
	(void)vsnprintf(line, sizeof(line) - 2, fmt, args);
	va_end(args);
	len = strlen(line);
	transcript_say(server->wire->transcript, "S:", line, len);
	memcpy(line + len, "\r\n", 2);
	wire_queue(server->wire, line, len + 2);
}

void pop3d_greet(struct pop3d *server)
{
	pop3d_reply(server, "%s", server->options->greeting);
}

/* The lines of a list behind its status line, with the terminator. */
static void send_lines(struct pop3d *server, const struct text *lines)
{
	char note[32];
	int len = snprintf(note, sizeof(note), "<%zu bytes>", lines->len);

	wire_queue(server->wire, lines->data, lines->len);
	wire_queue(server->wire, ".\r\n", 3);
	transcript_say(server->wire->transcript, "S:", note, (size_t)len);
}

static void add_capabilities(const char *list, bool hide_stls,
			     struct text *lines)
{
	const char *p = list;

	while (*p != '\0') {
		size_t len = strcspn(p, ",");

		if (!hide_stls || len != 4 || strncasecmp(p, "STLS", 4) != 0) {
			text_append(lines, p, len);
			text_append(lines, "\r\n", 2);
		}
		p += len;
		p += strspn(p, ", ");
	}
}

static void answer_capa(struct pop3d *server)
{
	const struct pop3d_options *options = server->options;
	bool is_tls = server->wire->ssl != NULL;
	struct text lines = { 0 };

	if (!options->capa) {
		pop3d_reply(server, "-ERR unknown command");
		return;
	}
	text_append(&lines, "", 0);
	if (is_tls && options->tls_capa)
		add_capabilities(options->tls_capa, false, &lines);
	else
		add_capabilities(options->capa, is_tls, &lines);
	pop3d_reply(server, "+OK capabilities follow");
	send_lines(server, &lines);
	text_done(&lines);
}

static int answer_stls(struct pop3d *server, struct failure *failure)
{
	if (!server->options->has_stls || server->wire->ssl) {
		pop3d_reply(server, "-ERR no TLS here");
		return 0;
	}
	pop3d_reply(server, "+OK begin TLS");
	/* RFC 2595 section 4: nothing learnt before counts. */
	server->user[0] = '\0';
	return wire_start_tls(server->wire, server->options->tls_dir,
			      server->options->certificate, failure);
}

static void log_in(struct pop3d *server, bool is_right)
{
	if (!is_right) {
		pop3d_reply(server, "-ERR [AUTH] wrong user name or password");
		return;
	}
	if (!box_open(server->box)) {
		pop3d_reply(server,
			    "-ERR [IN-USE] another session has it open");
		return;
	}
	server->is_open = true;
	server->is_logged_in = true;
	pop3d_reply(server, "+OK %zu messages", server->box->n_numbered);
}

static bool are_credentials(const struct pop3d *server, const char *user,
			    const char *password)
{
	return strcmp(user, server->options->username) == 0 &&
	       strcmp(password, server->options->password) == 0;
}

static void answer_user(struct pop3d *server, const char *name)
{
	(void)snprintf(server->user, sizeof(server->user), "%s", name);
	pop3d_reply(server, "+OK password, please");
}

static void answer_pass(struct pop3d *server, const char *password)
{
	if (server->user[0] == '\0') {
		pop3d_reply(server, "-ERR USER first");
		return;
	}
	log_in(server, are_credentials(server, server->user, password));
	server->user[0] = '\0';
}

/* RFC 1939 section 7: MD5 of the timestamp and the secret, in hex. */
static bool apop_digest(const struct pop3d_options *options, char ret[33])
{
	const char *start = strchr(options->greeting, '<');
	const char *end = start ? strchr(start, '>') : NULL;
	unsigned char digest[EVP_MAX_MD_SIZE];
	struct text text = { 0 };
	bool is_made;

	if (!end)
		return false;
	text_append(&text, start, (size_t)(end - start) + 1);
	text_append(&text, options->password, strlen(options->password));
	is_made = EVP_Digest(text.data, text.len, digest, NULL, EVP_md5(),
			     NULL) == 1;
	text_done(&text);
	for (size_t i = 0; i < 16; i++)
		(void)snprintf(ret + 2 * i, 3, "%02x", digest[i]);
	return is_made;
}

static void answer_apop(struct pop3d *server, const char *args)
{
	size_t user_len = strlen(server->options->username);
	char digest[33];

	if (!apop_digest(server->options, digest)) {
		pop3d_reply(server, "-ERR no APOP here");
		return;
	}
	log_in(server,
	       strncmp(args, server->options->username, user_len) == 0 &&
		       args[user_len] == ' ' &&
		       strcmp(args + user_len + 1, digest) == 0);
}

/* RFC 4616: NUL, user, NUL, password; an authorization identity is refused. */
static bool is_plain_right(const struct pop3d *server, const char *base64)
{
	unsigned char decoded[CREDENTIALS_MAX + 4] = { 0 };
	const char *user = (const char *)decoded + 1;
	size_t len = strlen(base64);

	if (len > CREDENTIALS_MAX ||
	    EVP_DecodeBlock(decoded, (const unsigned char *)base64, (int)len) <
		    0 ||
	    decoded[0] != '\0')
		return false;
	return are_credentials(server, user, user + strlen(user) + 1);
}

static int answer_auth(struct pop3d *server, const char *args,
		       struct failure *failure)
{
	char line[WIRE_LINE_MAX];
	size_t len;
	int r;

	if (strncasecmp(args, "PLAIN", 5) != 0 ||
	    (args[5] != '\0' && args[5] != ' ')) {
		pop3d_reply(server, "-ERR mechanism unknown");
		return 0;
	}
	if (args[5] == ' ') {
		log_in(server, is_plain_right(server, args + 6));
		return 0;
	}
	pop3d_reply(server, "+ ");
	r = wire_read_line(server->wire, line, &len, failure);
	if (r > 0)
		log_in(server, is_plain_right(server, line));
	return r < 0 ? -1 : 0;
}

static void answer_stat(struct pop3d *server)
{
	const struct box *box = server->box;
	uint64_t size_bytes = 0;
	size_t count = 0;

	for (size_t i = 1; i <= box->n_numbered; i++) {
		const struct mail *mail = box_mail(box, i);

		if (!mail)
			continue;
		count++;
		size_bytes += mail->size_bytes;
	}
	pop3d_reply(server, "+OK %zu %llu", count,
		    (unsigned long long)size_bytes);
}

static size_t number_of(const char *args)
{
	return strtoul(args, NULL, 10);
}

static void add_list_line(const struct mail *mail, size_t number, bool is_uidl,
			  struct text *lines)
{
	char line[64];
	int len;

	if (is_uidl)
		len = snprintf(line, sizeof(line), "%zu ", number);
	else
		len = snprintf(line, sizeof(line), "%zu %llu", number,
			       (unsigned long long)mail->size_bytes);
	text_append(lines, line, (size_t)len);
	if (is_uidl)
		text_append(lines, mail->uid.data, mail->uid.len);
	text_append(lines, "\r\n", 2);
}

static void list_one(struct pop3d *server, const char *args, bool is_uidl)
{
	const struct mail *mail = box_mail(server->box, number_of(args));
	struct text line = { 0 };

	if (!mail) {
		pop3d_reply(server, "-ERR no such message");
		return;
	}
	add_list_line(mail, number_of(args), is_uidl, &line);
	line.data[line.len - 2] = '\0';
	pop3d_reply(server, "+OK %s", line.data);
	text_done(&line);
}

static void answer_list(struct pop3d *server, const char *args, bool is_uidl)
{
	struct text lines = { 0 };

	if (is_uidl && server->options->no_uidl) {
		pop3d_reply(server, "-ERR unknown command");
		return;
	}
	if (args[0] != '\0') {
		list_one(server, args, is_uidl);
		return;
	}
	text_append(&lines, "", 0);
	for (size_t i = 1; i <= server->box->n_numbered; i++) {
		const struct mail *mail = box_mail(server->box, i);

		if (mail)
			add_list_line(mail, i, is_uidl, &lines);
	}
	pop3d_reply(server, "+OK the list follows");
	send_lines(server, &lines);
	text_done(&lines);
}

static void answer_retr(struct pop3d *server, const char *args, bool is_top)
{
	const struct mail *mail = box_mail(server->box, number_of(args));
	const char *blank = strchr(args, ' ');
	char note[48];
	int len;

	if (!mail || (is_top && !blank)) {
		pop3d_reply(server, "-ERR no such message");
		return;
	}
	pop3d_reply(server, "+OK the message follows");
	stuff_mail(server->wire, mail,
		   is_top ? number_of(blank + 1) : STUFF_WHOLE);
	len = snprintf(note, sizeof(note), "<%llu bytes>",
		       (unsigned long long)mail->size_bytes);
	transcript_say(server->wire->transcript, "S:", note, (size_t)len);
}

static void answer_dele(struct pop3d *server, const char *args)
{
	struct mail *mail = box_mail(server->box, number_of(args));

	if (!mail) {
		pop3d_reply(server, "-ERR no such message");
		return;
	}
	mail->is_marked = true;
	if (server->options->deletes_at_once)
		box_delete(mail);
	pop3d_reply(server, "+OK marked");
}

static void answer_quit(struct pop3d *server)
{
	if (server->is_logged_in)
		box_update(server->box);
	/* Freed before the answer: the client may come back at once. */
	pop3d_done(server);
	server->is_over = true;
	pop3d_reply(server, "+OK bye");
}

/*
 * "DELE uid", "RETR uid" or "QUIT", in one write and before the answer: whoever
 * takes the marks knows what had been asked for by then.
 */
static void mark(const struct pop3d *server, enum command command,
		 const char *args)
{
	const struct mail *mail = box_mail(server->box, number_of(args));
	char line[512];
	int len;

	if (server->options->mark_fd < 0 || !server->is_logged_in)
		return;
	if (command == COMMAND_QUIT)
		len = snprintf(line, sizeof(line), "QUIT\n");
	else if (mail && (command == COMMAND_RETR || command == COMMAND_DELE))
		len = snprintf(line, sizeof(line), "%s %.*s\n",
			       command_names[command], (int)mail->uid.len,
			       mail->uid.data);
	else
		return;
	if (write(server->options->mark_fd, line, (size_t)len) != len)
		transcript_note(server->wire->transcript, "no mark: %s",
				strerror(errno));
}

/* RFC 1939 section 4, less what may be said at any time. */
static int authorize(struct pop3d *server, enum command command,
		     const char *args, struct failure *failure)
{
	switch (command) {
	case COMMAND_STLS:
		return answer_stls(server, failure);
	case COMMAND_USER:
		answer_user(server, args);
		return 0;
	case COMMAND_PASS:
		answer_pass(server, args);
		return 0;
	case COMMAND_APOP:
		answer_apop(server, args);
		return 0;
	case COMMAND_AUTH:
		return answer_auth(server, args, failure);
	default:
		pop3d_reply(server, "-ERR log in first");
		return 0;
	}
}

/* RFC 1939 section 5. */
static void transact(struct pop3d *server, enum command command,
		     const char *args)
{
	switch (command) {
	case COMMAND_NOOP:
		pop3d_reply(server, "+OK");
		return;
	case COMMAND_STAT:
		answer_stat(server);
		return;
	case COMMAND_LIST:
	case COMMAND_UIDL:
		answer_list(server, args, command == COMMAND_UIDL);
		return;
	case COMMAND_RETR:
	case COMMAND_TOP:
		answer_retr(server, args, command == COMMAND_TOP);
		return;
	case COMMAND_DELE:
		answer_dele(server, args);
		return;
	case COMMAND_RSET:
		box_reset(server->box);
		pop3d_reply(server, "+OK");
		return;
	default:
		pop3d_reply(server, "-ERR not now");
	}
}

static enum command command_of(const char *line, const char **ret_args)
{
	size_t len = strcspn(line, " ");

	*ret_args = line + len + (line[len] == ' ');
	for (size_t i = 1; i < ARRAY_SIZE(command_names); i++) {
		if (strlen(command_names[i]) == len &&
		    strncasecmp(command_names[i], line, len) == 0)
			return (enum command)i;
	}
	return COMMAND_UNKNOWN;
}

int pop3d_answer(struct pop3d *server, const char *line,
		 struct failure *failure)
{
	const char *args;
	enum command command = command_of(line, &args);

	mark(server, command, args);
	if (command == COMMAND_UNKNOWN) {
		pop3d_reply(server, "-ERR unknown command");
	} else if (command == COMMAND_CAPA) {
		answer_capa(server);
	} else if (command == COMMAND_QUIT) {
		answer_quit(server);
	} else if (server->is_logged_in) {
		transact(server, command, args);
	} else {
		return authorize(server, command, args, failure);
	}
	return 0;
}
