/*
 * recover.h - finish what a visit left behind that died.
 */
#pragma once

#include "base.h"
#include "error.h"
#include "journal.h"
#include "maildir.h"

struct recovered {
	unsigned finished;  /* were staged, or lay in tmp/ under a row; now delivered */
	unsigned forgotten; /* were staged and are nowhere: will be fetched again */
	unsigned strays;    /* incomplete files of ours, removed from tmp/ */
};

/*
 * At the start of every visit, under the journal's lock, before login. Flushes
 * nothing when there is nothing to do. ERROR_LOCAL: a doubt never ends in
 * loss, so a directory that cannot be read stops the visit.
 */
int recover_run(struct maildir *maildir, struct journal *journal,
		struct recovered *ret, struct error *err) _must_check_;
