/*
 * session.h - one visit to one POP3 server, told in order.
 */
#pragma once

#include "base.h"
#include "config.h"
#include "error.h"
#include "journal.h"
#include "maildir.h"
#include "notes.h"
#include "report.h"
#include "sandbox.h"
#include "secret.h"
#include "tls.h"
#include "uplink.h"

struct session_job {
	const struct account *account; /* all borrowed */
	struct secret *secret;         /* wiped when the login is over */
	const struct tls_trust *trust; /* NULL without TLS */
	struct maildir *maildir;
	struct journal *journal;
	struct uplink *uplink;
	struct notes *notes;
	struct sandbox_scope scope; /* the first stage is entered */
	int stop_fd;	   /* readable once the worker is told to stop */
	enum purpose purpose;
	bool is_asked_for; /* by a person */
	bool is_again;	   /* the last visit asked for this one, at once */
};

/*
 * Makes the visit, for whatever purpose: what is on the server becomes known
 * all at once or not at all, and nothing is forgotten before the server has
 * listed what there is. Every visit that got a greeting ends with QUIT, or, where
 * the stream is out of step or too slow to finish, with a shutdown. Fills in
 * the report, also on failure, but for its kind and text, which are the
 * error's.
 */
int session_run(const struct session_job *job, struct report *report,
		struct error *err) _must_check_;
