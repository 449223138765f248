/*
 * roster.c - accounts across reloads, queues by host, slots.
 *
 * Invariant: a host stands in the ring when it has room and a queue; one that
 * lost its room is taken out when it is met, not before.
 */
#include "roster.h"

#include <search.h>
#include <string.h>
#include <strings.h>

void roster_init(struct roster *roster)
{
	*roster = (struct roster){ 0 };
	TAILQ_INIT(&roster->ring);
}

static int compare_hosts(const void *a, const void *b)
{
	return strcasecmp(((const struct roster_host *)a)->name,
			  ((const struct roster_host *)b)->name);
}

/* Finds or makes the host; the caller holds one reference more. */
static struct roster_host *host_get(struct roster *roster, const char *name)
{
	const struct roster_host key = { .name = (char *)(uintptr_t)name };
	struct roster_host **found = tfind(&key, &roster->hosts, compare_hosts);
	struct roster_host *host;

	if (found != NULL) {
		(*found)->n_refs++;
		return *found;
	}

	host = calloc(1, sizeof(*host));
	if (host == NULL)
		return NULL;
	host->n_refs = 1;
	TAILQ_INIT(&host->queue);
	host->name = strdup(name);
	if (host->name == NULL ||
	    tsearch(host, &roster->hosts, compare_hosts) == NULL) {
		free(host->name);
		free(host);
		return NULL;
	}
	return host;
}

static void host_put(struct roster *roster, struct roster_host *host)
{
	if (host == NULL || --host->n_refs > 0)
		return;
	if (host->is_ready)
		TAILQ_REMOVE(&roster->ring, host, ring_link);
	(void)tdelete(host, &roster->hosts, compare_hosts); /* it is there */
	free(host->name);
	free(host);
}

/* At the ring's end: a host that just had its turn waits for the others. */
static void host_make_ready(struct roster *roster, struct roster_host *host)
{
	if (host->is_ready || TAILQ_EMPTY(&host->queue) ||
	    host->n_running >= roster->max_per_host)
		return;
	host->is_ready = true;
	TAILQ_INSERT_TAIL(&roster->ring, host, ring_link);
}

void roster_queue(struct roster *roster, struct roster_entry *entry)
{
	if (entry->state != ROSTER_IDLE)
		return;
	entry->state = ROSTER_QUEUED;
	TAILQ_INSERT_TAIL(&entry->host->queue, entry, queue_link);
	roster->n_queued++;
	host_make_ready(roster, entry->host);
}

static void dequeue(struct roster *roster, struct roster_entry *entry)
{
	TAILQ_REMOVE(&entry->host->queue, entry, queue_link);
	entry->state = ROSTER_IDLE;
	roster->n_queued--;
}

static struct roster_entry *host_pick(struct roster *roster,
				      struct roster_host *host)
{
	struct roster_entry *entry = TAILQ_FIRST(&host->queue);

	/* The queue may have been emptied, or the bound lowered, meanwhile. */
	if (entry == NULL || host->n_running >= roster->max_per_host)
		return NULL;
	dequeue(roster, entry);
	entry->state = ROSTER_RUNNING;
	host->n_running++;
	host->n_refs++;
	roster->n_running++;
	return entry;
}

struct roster_entry *roster_pick(struct roster *roster)
{
	if (roster->n_running >= roster->max_workers)
		return NULL;

	while (!TAILQ_EMPTY(&roster->ring)) {
		struct roster_host *host = TAILQ_FIRST(&roster->ring);
		struct roster_entry *entry;

		TAILQ_REMOVE(&roster->ring, host, ring_link);
		host->is_ready = false;
		entry = host_pick(roster, host);
		host_make_ready(roster, host);
		if (entry != NULL)
			return entry;
	}
	return NULL;
}

void roster_release(struct roster *roster, struct roster_host *host)
{
	host->n_running--;
	roster->n_running--;
	host_make_ready(roster, host);
	host_put(roster, host);
}

void roster_unlock(struct roster_entry *entry)
{
	entry->state = ROSTER_IDLE;
}

void roster_drop(struct roster *roster, struct roster_entry *entry)
{
	if (entry->state == ROSTER_QUEUED)
		dequeue(roster, entry);
	host_put(roster, entry->host);
	free(entry);
}

void roster_done(struct roster *roster)
{
	for (size_t i = 0; i < roster->n_entries; i++)
		roster_drop(roster, roster->entries[i]);
	free(roster->entries);
	roster_init(roster);
}

/* One account of the coming roster, while it may still be called off. */
struct row {
	const struct account *account;
	struct roster_entry *entry;
	struct roster_host *host; /* the account's, referenced */
	bool is_new;
};

struct update {
	struct row *rows;
	size_t n_rows;
	struct roster_entry **next;    /* the coming roster's array */
	struct roster_entry **sorted;  /* the present one's, by a key */
	struct roster_entry **removed; /* as long as the present roster */
};

static void update_done(struct roster *roster, struct update *update)
{
	for (size_t i = 0; i < update->n_rows; i++) {
		struct row *row = &update->rows[i];

		host_put(roster, row->host);
		if (row->is_new)
			free(row->entry);
	}
	free(update->rows);
	free(update->next);
	free(update->sorted);
	free(update->removed);
}

static bool is_selected(const struct roster_source *source,
			const struct account *account)
{
	for (size_t i = 0; i < source->n_only; i++) {
		if (strcmp(source->only[i], account->name) == 0)
			return true;
	}
	return source->n_only == 0;
}

static int update_begin(struct update *update, const struct roster *roster,
			const struct roster_source *source)
{
	const struct config *config = source->config;

	/* One more each, so that no array is empty and NULL means no memory. */
	update->rows = calloc(config->n_accounts + 1, sizeof(*update->rows));
	update->next =
		calloc(config->n_accounts + 1, sizeof(struct roster_entry *));
	update->sorted =
		calloc(roster->n_entries + 1, sizeof(struct roster_entry *));
	update->removed =
		calloc(roster->n_entries + 1, sizeof(struct roster_entry *));
	if (update->rows == NULL || update->next == NULL ||
	    update->sorted == NULL || update->removed == NULL)
		return -1;

	for (size_t i = 0; i < config->n_accounts; i++) {
		if (is_selected(source, &config->accounts[i]))
			update->rows[update->n_rows++].account =
				&config->accounts[i];
	}
	return 0;
}

static int compare_state_dirs(const void *a, const void *b)
{
	return strcmp((*(struct roster_entry *const *)a)->account->state_dir,
		      (*(struct roster_entry *const *)b)->account->state_dir);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp((*(struct roster_entry *const *)a)->account->name,
		      (*(struct roster_entry *const *)b)->account->name);
}

/* ROSTER_NEW marks, until the commit, an entry that no row has claimed yet. */
static void match(struct update *update, size_t n_sorted,
		  int (*compare)(const void *, const void *))
{
	qsort(update->sorted, n_sorted, sizeof(struct roster_entry *), compare);
	for (size_t i = 0; i < update->n_rows; i++) {
		struct row *row = &update->rows[i];
		struct roster_entry key = { .account = row->account };
		struct roster_entry *wanted = &key;
		struct roster_entry **found;

		if (row->entry != NULL)
			continue;
		found = bsearch(&wanted, update->sorted, n_sorted,
				sizeof(struct roster_entry *), compare);
		if (found == NULL || (*found)->change != ROSTER_NEW)
			continue;
		row->entry = *found;
		row->entry->change = ROSTER_SAME;
	}
}

static int update_prepare(struct update *update, struct roster *roster,
			  const struct roster_source *source)
{
	if (update_begin(update, roster, source) < 0)
		return -1;

	for (size_t i = 0; i < roster->n_entries; i++) {
		update->sorted[i] = roster->entries[i];
		update->sorted[i]->change = ROSTER_NEW;
	}
	match(update, roster->n_entries, compare_state_dirs);
	match(update, roster->n_entries, compare_names);

	for (size_t i = 0; i < update->n_rows; i++) {
		struct row *row = &update->rows[i];

		if (row->entry == NULL) {
			row->entry = calloc(1, sizeof(*row->entry));
			row->is_new = true;
		}
		row->host = host_get(roster, row->account->host);
		if (row->entry == NULL || row->host == NULL)
			return -1;
	}
	return 0;
}

/* Nothing from here on can fail. */
static void commit_row(struct roster *roster, struct row *row)
{
	struct roster_entry *entry = row->entry;
	bool was_queued = entry->state == ROSTER_QUEUED;

	if (row->is_new)
		entry->change = ROSTER_NEW;
	else if (account_differs(entry->account, row->account))
		entry->change = ROSTER_CHANGED;
	else
		entry->change = ROSTER_SAME;
	if (entry->change == ROSTER_CHANGED) {
		entry->schedule = (struct schedule){ 0 };
		entry->has_result = false;
	}

	if (was_queued)
		dequeue(roster, entry);
	host_put(roster, entry->host);
	entry->host = TAKE_PTR(row->host);
	entry->account = row->account;
	row->is_new = false; /* the roster's now */
	if (was_queued)
		roster_queue(roster, entry);
}

static size_t commit_removed(struct roster *roster, struct update *update)
{
	size_t n_removed = 0;

	for (size_t i = 0; i < roster->n_entries; i++) {
		struct roster_entry *entry = roster->entries[i];

		if (entry->change != ROSTER_NEW)
			continue;
		if (entry->state == ROSTER_QUEUED)
			dequeue(roster, entry);
		entry->is_removed = true;
		update->removed[n_removed++] = entry;
	}
	return n_removed;
}

static void update_commit(struct roster *roster, struct update *update,
			  const struct config *config,
			  struct roster_removed *ret_removed)
{
	ret_removed->n_entries = commit_removed(roster, update);
	ret_removed->entries = TAKE_PTR(update->removed);

	roster->max_workers = config->max_workers;
	roster->max_per_host = config->max_per_host;
	for (size_t i = 0; i < update->n_rows; i++) {
		commit_row(roster, &update->rows[i]);
		update->next[i] = update->rows[i].entry;
	}
	free(roster->entries);
	roster->entries = TAKE_PTR(update->next);
	roster->n_entries = update->n_rows;

	/* The bound per host may have risen. */
	for (size_t i = 0; i < roster->n_entries; i++)
		host_make_ready(roster, roster->entries[i]->host);
}

int roster_update(struct roster *roster, const struct roster_source *source,
		  struct roster_removed *ret_removed, struct error *err)
{
	struct update update = { 0 };

	if (update_prepare(&update, roster, source) < 0) {
		update_done(roster, &update);
		return error_set_memory(err);
	}
	update_commit(roster, &update, source->config, ret_removed);
	update_done(roster, &update);
	return 0;
}
