/*
 * world.h - what a history has beside its disk and its server: chance, time,
 * and the step at which all ends.
 *
 * All chance comes from one seed, and all time from here, so that a history
 * is a function of its seed alone. Each call that reaches the disk or the line
 * is one step. At a step that the seed chose the visit dies: from then on every
 * call fails and changes nothing, so that the code under test runs to its end
 * and frees what it holds, as no real death would let it.
 */
#pragma once

#include "base.h"

enum disaster {
	DISASTER_NONE = 0,
	DISASTER_KILL,      /* nothing that was written is forgotten */
	DISASTER_POWER_CUT, /* what was not synced may be */
};

/* Kinds of step; a fault hits those that can fail in its way. */
enum act {
	ACT_LOOK = 1, /* open, read, stat */
	ACT_MAKE,     /* a file, a directory, a name */
	ACT_WRITE,
	ACT_SYNC,
	ACT_MOVE, /* rename, link */
	ACT_REMOVE,
	ACT_CLOSE,
	ACT_LINE, /* to or from the server */
};

struct fault {
	uint64_t
		at_step; /* from this step on, at the first act that fits; 0: never */
	enum act act;
	int errnum;
	bool lasts; /* until the visit ends */
};

#define FAULTS_MAX  2
#define TROUBLE_MAX 512

struct world {
	uint64_t dice;
	uint64_t realtime_usec;
	uint64_t monotonic_usec;
	unsigned pid;

	uint64_t n_steps;
	uint64_t dies_at_step;  /* 0: never */
	uint64_t stops_at_step; /* told to stop; 0: never */
	bool is_dead;
	bool has_readers; /* that are busy while a visit runs */
	bool is_calm;     /* no fault, no pause that matters */
	struct fault faults[FAULTS_MAX];
	bool has_failed;     /* the disk, in this visit */
	uint64_t free_bytes; /* as the disk tells it */

	bool is_traced;
	bool has_violation;
	char violation[TROUBLE_MAX]; /* the first one */
};

extern struct world world;

void world_begin(uint64_t seed, bool is_traced);

/* Chance. */
uint64_t dice(void);
unsigned dice_below(unsigned n);                   /* 0..n-1; n > 0 */
unsigned dice_between(unsigned from, unsigned to); /* both included */
bool dice_percent(unsigned percent);
bool dice_once_in(unsigned n);

/*
 * Another step of the visit: 0 to go on, else the errno to fail with. After
 * death that is always EIO.
 */
int world_step(enum act act);
void world_wait(uint64_t usec); /* time passes */

/* One line of the story, when it is wanted. */
void trace(const char *fmt, ...) _printf_(1, 2);

/* A promise was broken. The first one is kept. */
void violation(const char *fmt, ...) _printf_(1, 2);
