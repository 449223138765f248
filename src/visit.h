/*
 * visit.h - one visit as the supervisor sees it: a worker, what it says, how
 * it ended, and the line that tells people.
 *
 * What comes up the job socket is hostile input: decoded by report.h, bounded
 * in number, never a reason to fail.
 */
#pragma once

#include <sys/queue.h>

#include "base.h"
#include "config.h"
#include "report.h"
#include "roster.h"
#include "worker.h"

struct sd_event_source;
struct dispatch;

/* On top of stop_timeout, for what comes after QUIT: commits, a slow disk. */
#define VISIT_KILL_GRACE_USEC (10 * USEC_PER_SEC)

/* After SIGKILL a process is gone in no time, or it hangs in the kernel. */
#define VISIT_STUCK_USEC (10 * USEC_PER_SEC)

enum visit_stage {
	VISIT_RUNNING = 0,
	VISIT_TOLD,   /* SIGTERM was sent */
	VISIT_KILLED, /* SIGKILL was sent */
	VISIT_STUCK,  /* and did not help: its slot is lent on */
};

struct visit {
	struct dispatch *dispatch;     /* borrowed; for the callbacks */
	struct config *config;	       /* referenced: as it was at the start */
	const struct account *account; /* in config */
	struct roster_entry *entry;    /* locked */
	struct roster_host *host;      /* whose slot it holds; NULL: none */
	struct worker worker;
	struct sd_event_source *input;
	struct sd_event_source *exit;
	struct sd_event_source *deadline;
	enum visit_stage stage;
	uint64_t started_usec;	 /* CLOCK_MONOTONIC, as all times here */
	uint64_t last_sign_usec; /* of life: the last message up to the report */
	unsigned n_lines;
	bool is_bad; /* it sent what no worker sends; nothing more is read */
	bool has_report;
	struct report report; /* at the end always filled in */
	TAILQ_ENTRY(visit) link;
};

/* NULL when out of memory. Takes a reference to config. */
struct visit *visit_new(struct config *config, struct roster_entry *entry);

/* The sources too; the process and the slot are the caller's affair. */
void visit_free(struct visit **visit);

enum visit_input {
	VISIT_INPUT_LATER = 0, /* nothing more right now */
	VISIT_INPUT_MORE,      /* max_packets were read, there may be more */
	VISIT_INPUT_CLOSED,
	VISIT_INPUT_BAD, /* told once; afterwards VISIT_INPUT_CLOSED */
};

/* Reads messages, passes log lines on, keeps the report. */
enum visit_input visit_read(struct visit *visit, unsigned max_packets);

/* The report becomes a failure of kind; what was counted stays. */
void visit_fail(struct visit *visit, const struct error *err);

/* Takes the wait status into the report: si_code and si_status of siginfo_t. */
void visit_take_exit(struct visit *visit, int code, int status);

/* SIGTERM, once, and a deadline after which SIGKILL is due. */
void visit_tell_to_stop(struct visit *visit);

/* SIGKILL, and a deadline after which the worker counts as stuck. */
void visit_kill(struct visit *visit);

/*
 * At the visit's deadline: tells it to stop, or, while the worker gives signs
 * of life (a large message on a slow line is no hang), sets a new deadline.
 */
void visit_check_signs_of_life(struct visit *visit);

struct visit_words {
	uint64_t duration_usec;
	const char *next; /* "next visit in 5 min": said after a failure */
	enum purpose purpose;
	bool is_once;	  /* somebody waits to be told, even of nothing */
};

void visit_log_end(const struct visit *visit, const struct visit_words *words);
