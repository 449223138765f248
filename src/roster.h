/*
 * roster.h - the accounts of the supervisor, and which of them may start next.
 *
 * Knows nothing of time, processes or sd-event. Accounts that are due wait in
 * their host's queue, in order; hosts that may take another visit stand in a
 * ring and take turns. So picking the next visit costs the same with three
 * accounts and with ten thousand, and a host with a thousand accounts cannot
 * crowd out the others.
 */
#pragma once

#include <sys/queue.h>

#include "base.h"
#include "config.h"
#include "error.h"
#include "schedule.h"

struct sd_event_source;
struct dispatch;

enum roster_state {
	ROSTER_IDLE = 0, /* waits for its timer */
	ROSTER_QUEUED,	/* due, waits for a slot */
	ROSTER_RUNNING,	/* locked by a visit */
};

/* What the last roster_update meant for an entry. */
enum roster_change {
	ROSTER_SAME = 0,
	ROSTER_NEW,
	ROSTER_CHANGED,
};

struct roster_host {
	char *name;
	unsigned n_refs;    /* entries and slots */
	unsigned n_running; /* slots taken */
	bool is_ready;	    /* stands in the ring */
	TAILQ_HEAD(roster_queue, roster_entry) queue;
	TAILQ_ENTRY(roster_host) ring_link;
};

struct roster_entry {
	const struct account *account; /* borrowed; see roster_source */
	struct roster_host *host;
	enum roster_state state;
	enum roster_change change;
	struct schedule schedule;
	struct dispatch *dispatch; /* for the timer's callback; borrowed */
	struct sd_event_source *timer; /* dispatch.c's */
	bool has_result;   /* schedule.last_kind is that of a visit */
	bool is_asked_for; /* the next visit is by a person's wish */
	bool is_again;	   /* the next visit follows a report that said again */
	bool is_wanted;	   /* a person asked for a visit while one was under way */
	bool is_removed;   /* no longer in the roster: dropped with its visit */
	TAILQ_ENTRY(roster_entry) queue_link;
};

struct roster {
	struct roster_entry **entries;
	size_t n_entries;
	void *hosts; /* a tree of tsearch(3), by name, case-blind */
	TAILQ_HEAD(roster_ring, roster_host) ring;
	unsigned max_workers;
	unsigned max_per_host;
	unsigned n_running; /* slots taken, over all hosts */
	size_t n_queued;
};

/*
 * Which accounts of a configuration: n_only 0 means all. The configuration
 * must live until the next update has succeeded, or the roster is done.
 */
struct roster_source {
	const struct config *config;
	char *const *only;
	size_t n_only;
};

/* Entries of the roster that an update took out of it. */
struct roster_removed {
	struct roster_entry **entries;
	size_t n_entries;
};

void roster_init(struct roster *roster);
/* Drops the entries too; their timers must be gone by then. */
void roster_done(struct roster *roster);

/*
 * Makes the roster that of source. An account is the one it was before when
 * its state directory is the same, or else its name. Changed ones lose their
 * schedule. Those no longer there are handed out in ret_removed, dequeued:
 * the caller drops each when no visit needs it any more, and frees the array.
 * On failure nothing has changed.
 */
int roster_update(struct roster *roster, const struct roster_source *source,
		  struct roster_removed *ret_removed, struct error *err)
	_must_check_;
void roster_drop(struct roster *roster, struct roster_entry *entry);

/* Queues an idle entry; without effect on others. */
void roster_queue(struct roster *roster, struct roster_entry *entry);

/*
 * The next entry that may start under both bounds, or NULL. It is RUNNING
 * from here on and holds a slot of entry->host, which the caller remembers
 * and gives back once with roster_release: the entry's host may change.
 */
struct roster_entry *roster_pick(struct roster *roster);
void roster_release(struct roster *roster, struct roster_host *host);

/* The entry's visit has ended. Its slot is another matter. */
void roster_unlock(struct roster_entry *entry);
