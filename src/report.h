/*
 * report.h - what travels over the job socket, encoded and validated.
 *
 * The socket is SOCK_SEQPACKET: one message, one packet. Down goes a literal
 * password, if there is one; up go log lines and progress, then one report,
 * which is the last. The supervisor treats all of it as hostile input: a
 * worker may have been taken over. Pure: no system call here.
 */
#pragma once

#include "base.h"
#include "error.h"

#define REPORT_PACKET_MAX 1024

/* A wish for a longer pause is cut to this: no server may end an account. */
#define REPORT_RETRY_MAX_SEC 86400

/* What a visit is made for. The last two only when a person says so. */
enum purpose {
	PURPOSE_FETCH = 0, /* what is new, as configured */
	PURPOSE_MARK_SEEN, /* nothing: what is on the server becomes known */
	PURPOSE_REFETCH,   /* everything: what is known is forgotten first */
};

/* Where in a visit something happened, in the order of a visit. */
enum step {
	STEP_START = 0, /* privileges, secret, lock, Maildir opened */
	STEP_RECOVER,
	STEP_CONNECT,
	STEP_TLS,
	STEP_GREETING,
	STEP_CAPA,
	STEP_STARTTLS,
	STEP_LOGIN,
	STEP_LIST,
	STEP_FETCH,
	STEP_DELIVER,
	STEP_DELETE,
	STEP_QUIT,
};
#define STEP_MAX STEP_QUIT

struct report {
	enum error_kind kind; /* ERROR_NONE: the visit did what it came for */
	enum step step;	      /* where it ended */
	uint32_t fetched;     /* messages newly in the Maildir */
	uint32_t deleted;     /* DELEs that the server accepted */
	uint32_t kept;	      /* known messages left on the server */
	uint32_t marked;      /* messages that became known without a RETR */
	uint32_t refused;     /* messages not handed over, or not deleted */
	uint64_t bytes;	      /* of the fetched messages, as stored */
	uint32_t retry_sec;   /* not before that; 0: the scheduler decides */
	bool again;	      /* one more visit at once makes sense */
	bool stopped;	      /* told to end early, or past its deadline */
	char text[ERROR_TEXT_MAX]; /* empty when kind is ERROR_NONE */
};

enum message_type {
	MESSAGE_LOG = 1,
	MESSAGE_PROGRESS,
	MESSAGE_REPORT,
};

struct message {
	enum message_type type;
	union {
		struct {
			int priority; /* LOG_ERR..LOG_DEBUG of syslog.h */
			char text[ERROR_TEXT_MAX];
		} log;
		struct {
			uint32_t messages_done;
			uint32_t messages_planned;
			uint64_t bytes_done;
		} progress;
		struct report report;
	};
};

/* Returns the packet's length; cap must be at least REPORT_PACKET_MAX. */
size_t report_encode(const struct message *message, uint8_t *packet,
		     size_t cap);

/*
 * Checks length, type, every enum and number, and escapes the texts anew.
 * ERROR_LOCAL when the packet is not one that report_encode can make.
 */
int report_decode(const uint8_t *packet, size_t len, struct message *ret,
		  struct error *err) _must_check_;

/* "connect", "login", ...: one word for messages and tests. */
const char *step_name(enum step step);
