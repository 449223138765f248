/*
 * pop3_parse.h - the grammar of POP3 replies, without any I/O.
 *
 * Lines come without their end and with their length, since hostile ones hold
 * NUL. Functions return 0 or -1; on failure outputs are left untouched and
 * the error is ERROR_PROTOCOL unless said otherwise.
 */
#pragma once

#include "base.h"
#include "error.h"

#define POP3_NUMBER_MAX	 10000000 /* our bound on mailbox size */
#define POP3_TIMESTAMP_MAX 256

enum pop3_status {
	POP3_OK = 1,   /* "+OK", in any case, then a blank or the end */
	POP3_ERR,      /* "-ERR", likewise */
	POP3_CONTINUE, /* "+" alone, "+ " or "+=": SASL */
};

/* RFC 2449 section 8 and RFC 3206: the code in brackets after -ERR. */
enum pop3_code {
	POP3_CODE_NONE = 0,
	POP3_CODE_IN_USE,
	POP3_CODE_LOGIN_DELAY,
	POP3_CODE_SYS_TEMP,
	POP3_CODE_SYS_PERM,
	POP3_CODE_AUTH,
	POP3_CODE_OTHER,
};

struct pop3_reply {
	enum pop3_status status;
	enum pop3_code code;
	struct bytes text; /* what follows, blanks skipped; borrowed */
};

/* "+ERR ..." is neither, and refused: only +OK is success. */
int pop3_parse_reply(struct bytes line, struct pop3_reply *ret,
		     struct error *err) _must_check_;

struct pop3_scan {
	uint32_t number;     /* 1..POP3_NUMBER_MAX */
	uint64_t size_bytes; /* as the server claims it: a hint, often wrong */
};

/* A LIST line: "number size", any blanks between, anything behind. */
int pop3_parse_scan(struct bytes line, struct pop3_scan *ret,
		    struct error *err) _must_check_;

struct pop3_unique {
	uint32_t number;
	struct bytes uid; /* opaque, borrowed; empty when the server gave none */
};

/*
 * A UIDL line: blanks before the UID are skipped, those within belong to it.
 * A UID may hold any byte but NUL, CR and LF.
 */
int pop3_parse_unique(struct bytes line, struct pop3_unique *ret,
		      struct error *err) _must_check_;

struct pop3_capa {
	bool known; /* the server answered CAPA */
	bool stls;
	bool user;
	bool uidl;
	bool pipelining;
	bool sasl_plain;
	bool resp_codes;
	uint32_t login_delay_sec;
	bool is_assumed; /* of an earlier visit, not asked for in this one */
};

/* One line of the CAPA list, case-blind; unknown ones are skipped. RFC 2449. */
void pop3_parse_capability(struct bytes line, struct pop3_capa *capa);

/*
 * The msg-id of an APOP greeting, brackets included: dot-atom, one '@',
 * dot-atom, no 8-bit, exactly one pair of brackets (CVE-2007-1558).
 * False: the greeting offers no APOP that we dare use, or it does not fit.
 */
bool pop3_parse_timestamp(struct bytes greeting, char *ret, size_t cap);

/*
 * The dot-decoder: from the bytes of a multi-line reply to the bytes of the
 * message. CRLF becomes LF, the stuffed dot goes, nothing else changes. With
 * bare_lf (the status line ended so) LF ends a line, with a CR before it or
 * without; otherwise a bare LF is an ordinary byte and ends no line.
 */
enum pop3_dot_state {
	POP3_DOT_LINE_START = 0,
	POP3_DOT_TEXT,
	POP3_DOT_CR,		/* CR seen in a line */
	POP3_DOT_DOT,		/* dot seen at a line's start */
	POP3_DOT_DOT_CR,	/* dot, CR at a line's start */
	POP3_DOT_END,		/* the terminator was read */
};

struct pop3_dot {
	enum pop3_dot_state state;
	bool bare_lf;
	/*
	 * Unstuffed, line ends as they came, without the terminator: what LIST
	 * should have said.
	 */
	uint64_t wire_bytes;
};

void pop3_dot_init(struct pop3_dot *dot, bool bare_lf);

/*
 * Decodes from in to out until one of them is used up or the terminator is
 * read. Consumes nothing behind the terminator. Returns the bytes written to
 * out (cap >= 2). Stop when dot->state is POP3_DOT_END.
 */
size_t pop3_dot_decode(struct pop3_dot *dot, struct bytes in,
		       size_t *ret_consumed, char *out, size_t cap);
