/*
 * worker.h - a child that makes one visit: started here, and its whole life.
 *
 * The parent's half makes the account's state directory, forks and hands over
 * the job. The child's half drops to the Maildir's owner, reads its secret,
 * recovers, makes the visit (session.h), reports and exits.
 */
#pragma once

#include <sys/types.h>

#include "base.h"
#include "config.h"
#include "error.h"
#include "report.h"

/* What all workers share copy-on-write: the CAs, the sandbox's filters. */
struct worker_resources;

/* ERROR_LOCAL. */
int worker_resources_new(struct worker_resources **ret, struct error *err)
	_must_check_;
void worker_resources_free(struct worker_resources **resources);

/* What workers can be locked in by, and whether that is all there should be. Borrowed. */
const char *worker_sandbox(const struct worker_resources *resources,
			   bool *ret_is_complete);

struct worker_job {
	const struct account *account;		   /* borrowed */
	struct worker_resources *resources;        /* borrowed */
	const char *state_root;			   /* the directory that holds all state_dirs */
	enum sandbox_mode sandbox;
	enum purpose purpose;
	bool is_asked_for; /* by a person: a remembered refusal does not hold it back */
	bool is_again;	   /* the report before asked for one more visit */
};

/* The supervisor's end of a started worker. */
struct worker {
	pid_t pid;
	int fd; /* job socket, SOCK_SEQPACKET, non-blocking: read report.h's messages */
};

/* ERROR_LOCAL or ERROR_CONFIG; nothing is left running on failure. */
int worker_start(const struct worker_job *job, struct worker *ret,
		 struct error *err) _must_check_;
