/*
 * server.h - a POP3 server in memory, of many minds.
 *
 * It knows every message that it ever held and how each one left. What it does
 * well or badly is its nature, for the whole history, or its mood, for one
 * visit.
 */
#pragma once

#include "base.h"

#define LETTERS_MAX  64
#define CONTENTS_MAX 64

/* What a message says, as stored and as sent. */
struct content {
	unsigned id;
	char *wire; /* CRLF, dots not stuffed */
	size_t wire_len;
	char *file; /* what must be in the Maildir */
	size_t file_len;
	bool is_unstuffed; /* while the server is ill: a lone dot stays as it is */
};

enum leave {
	LEAVE_NOT = 0, /* it is on the server */
	LEAVE_DELETED, /* by our DELE */
	LEAVE_TAKEN,   /* by the user, elsewhere */
};

/* What mailhaul can know of a message that left. */
enum departure {
	DEPARTURE_UNKNOWN = 0,
	DEPARTURE_TOLD, /* +OK to QUIT; a power cut may take this away */
	DEPARTURE_SEEN, /* it was not in a later listing */
};

struct letter {
	const struct content *content;
	char uid[80];
	unsigned list_size;
	enum leave leave;
	enum departure departure;
	bool is_recorded;  /* delivered, and mailhaul knows it */
	bool is_marked;    /* in this session */
	bool is_listed;    /* in this session */
	bool is_told_gone; /* by +OK to QUIT */
	bool is_twin;      /* another one has its UID and contents */
};

enum dele_when {
	DELE_AT_QUIT = 0, /* RFC 1939 */
	DELE_AT_ONCE,
	DELE_AT_END, /* also when the connection just ends */
};

struct nature {
	bool has_capa;
	bool hangs_up_on_capa;
	bool has_pipelining;
	bool drops_behind; /* without PIPELINING: what comes behind a command */
	bool has_plain;
	bool has_uidl;
	bool has_unique_uids;
	bool has_wrong_sizes;
	bool has_equal_sizes;
	bool has_copies;   /* some messages are byte for byte the same */
	bool has_lied;     /* its +OK to QUIT was false before */
	bool has_confused; /* it gave a reason to look at a message again */
	bool shuffles;     /* numbers are new in each session */
	enum dele_when dele_when;
};

enum quit_mood {
	QUIT_WELL = 0,
	QUIT_LIES,        /* +OK, and nothing is deleted */
	QUIT_PARTLY,      /* -ERR, some are deleted */
	QUIT_REFUSED,     /* -ERR, none is */
	QUIT_SILENT_DONE, /* deletes, and hangs up */
	QUIT_SILENT,      /* hangs up */
	QUIT_MOODS,
};

struct mood {
	enum quit_mood quit;
	bool is_in_use;
	bool is_refusing_uidl;
	bool lists_nothing;
	bool lists_less;          /* some UIDs are missing */
	unsigned refuses_percent; /* of RETR and DELE */
	bool is_ill;              /* dots are not stuffed */
	uint64_t cut_out_after;   /* bytes from us that arrive */
	uint64_t cut_in_after;    /* bytes from it that arrive */
	bool is_choppy;           /* its bytes come in small pieces */
};

struct server {
	struct nature nature;
	struct mood mood;
	struct letter letters[LETTERS_MAX];
	unsigned n_letters;
	struct content contents[CONTENTS_MAX];
	unsigned n_contents;
	unsigned next_uid;

	/* The session. */
	bool is_to_keep; /* a DELE would be wrong */
	bool is_connected;
	bool is_logged_in;
	bool has_listed; /* all it has, and completely */
	bool has_quit_well;
	unsigned order[LETTERS_MAX]; /* number - 1 to letter */
	unsigned n_listed;
	char in[256];
	size_t in_len;
	char *out;
	size_t out_len;
	size_t out_cap;
	uint64_t n_in;
	uint64_t n_shown; /* bytes of out that the client got */
};

extern struct server server;

void server_begin(void);
void server_end(void); /* frees */

/* A new message, by its nature; NULL when it holds enough. */
struct letter *server_receive(void);
void server_give_new_uids(void);

/* By its dice: what it can do. Other software may take its place. */
void server_draw_abilities(void);

/*
 * A visit that nothing disturbed is over: mailhaul knows now what left.
 * heard: the reply to QUIT has reached it.
 */
void server_note_departures(bool heard);
void server_forget_departures(void); /* a power cut */
/* A UID stands for another message now, and mailhaul was only told. */
bool server_has_doubtful_uid(void);

void server_connect(void);
void server_take(const char *data, size_t len);
void server_hang_up(void); /* the connection is gone */

unsigned server_count(enum leave leave);
