/*
 * capa_memory.h - what a server can do, remembered from visit to visit.
 *
 * Saves the round trip of CAPA before the login. It belongs to the account
 * (its host and user, as the journal does), its port and its kind of TLS, and
 * not to the greeting: large providers write a host or a session into that,
 * new at each visit. It is asked for anew each week. Whoever rests on it looks
 * for what speaks against it, and drops it then.
 */
#pragma once

#include "base.h"
#include "config.h"
#include "error.h"
#include "journal.h"
#include "pop3_parse.h"

enum capa_memory_state {
	CAPA_FORGOTTEN = 0, /* nothing is known: it is to be asked */
	CAPA_REMEMBERED,    /* its answer, which may be that it has no CAPA */
	CAPA_BROKE_OFF,	    /* the last connection ended behind CAPA */
	CAPA_BROKE_OFF_TWICE, /* and the one that asked before it */
	CAPA_UNASKED,	    /* and a visit without CAPA went well: so be it */
};

struct capa_memory {
	enum capa_memory_state state;
	struct pop3_capa capa;
};

/* What is too old, or of another port or kind of TLS, is forgotten. */
int capa_memory_load(struct journal *journal, const struct account *account,
		     struct capa_memory *ret, struct error *err) _must_check_;

/*
 * Writes what differs from old. Not synced: a memory that is lost, or one
 * that comes back, costs a round trip and nothing else.
 */
int capa_memory_update(struct journal *journal, const struct account *account,
		       const struct capa_memory *old,
		       const struct capa_memory *memory, struct error *err)
	_must_check_;

/* True when CAPA need not be asked. */
bool capa_memory_is_usable(const struct capa_memory *memory);
