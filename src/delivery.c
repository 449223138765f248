/*
 * delivery.c - the life of a message, from its first byte to its DELE.
 *
 *   state         tmp/       new/       journal     a crash here
 *   M1 arriving   written    -          -           the stray is removed
 *   M2 staged     fsynced    -          STAGED      recovery renames it
 *   M3 delivered  -          fsynced    STAGED      recovery finds it
 *   M4 recorded   -          there      DELIVERED   DELE without RETR
 *
 * One batch k, in order, each step durable before the next begins:
 *   1. the files of k are written to tmp/
 *   2. synced together: every file of k, tmp/, and new/ for k-1
 *   3. one transaction: STAGED for k, DELIVERED for k-1
 *   4. the DELEs of k-1 may leave, never before
 *   5. the files of k are renamed into new/
 *
 * So a batch waits for the disk twice. Behind the last one new/ is synced, and
 * one more transaction makes it DELIVERED.
 *
 * Before step 3 a failure voids the batch: its files are unlinked. From step
 * 3 on nothing is unlinked, since the rows may be durable and readers may have
 * the files: recovery decides. A failed fsync is never tried again.
 */
#include "delivery.h"

#include <string.h>

#include "safeguard.h"

/* Of one visit; the rest is remembered when it makes trouble again. */
#define TROUBLES_MAX 64

enum entry_state {
	ENTRY_NEW = 0, /* a file of ours in tmp/ */
	ENTRY_KNOWN,   /* a row that exists: no file */
};

struct entry {
	enum entry_state state;
	struct maildir_file file;
	uint8_t digest[DIGEST_SIZE];
	struct bytes uid;
	int64_t list_size;
	size_t item;
	int64_t row_id;
};

struct trouble {
	struct bytes uid;
	int64_t list_size;
};

struct batch {
	struct entry *entries; /* batch_messages of them, or more in flight */
	size_t n_entries;
	size_t cap_entries;
	uint64_t bytes;
	uint64_t opened_usec; /* when its first message was complete */
};

struct id_list {
	int64_t *ids;
	size_t n_ids;
	size_t cap_ids;
};

struct delivery {
	struct maildir *maildir;
	struct journal *journal;
	struct digest *digest;
	struct delivery_limits limits;

	struct maildir_file arriving;
	struct batch open; /* k, being filled */
	struct batch
		published;     /* k-1, durable in new/, STAGED in the journal */
	struct batch recorded; /* DELIVERED: their DELEs may leave */
	size_t n_deletable_taken;

	struct known *known;    /* borrowed; NULL: nothing is */
	struct id_list deleted; /* rows whose DELE the server took */
	struct trouble troubles[TROUBLES_MAX];
	unsigned n_troubles;
	bool has_listing;

	uint32_t n_delivered;
	uint64_t bytes_delivered;
};

static int id_list_add(struct id_list *list, int64_t id, struct error *err)
{
	int64_t *ids;
	size_t cap;

	if (list->n_ids == list->cap_ids) {
		cap = MAX(list->cap_ids * 2, (size_t)64);
		ids = reallocarray(list->ids, cap, sizeof(*ids));
		if (!ids)
			return error_set_memory(err);
		list->ids = ids;
		list->cap_ids = cap;
	}
	list->ids[list->n_ids++] = id;
	return 0;
}

static int batch_reserve(struct batch *batch, size_t n, struct error *err)
{
	struct entry *entries;
	size_t cap;

	if (batch->n_entries + n <= batch->cap_entries)
		return 0;
	cap = MAX(batch->cap_entries * 2, batch->n_entries + n);
	cap = MAX(cap, (size_t)64);
	entries = reallocarray(batch->entries, cap, sizeof(*entries));
	if (!entries)
		return error_set_memory(err);
	batch->entries = entries;
	batch->cap_entries = cap;
	return 0;
}

int delivery_new(struct maildir *maildir, struct journal *journal,
		 const struct delivery_limits *limits, struct delivery **ret,
		 struct error *err)
{
	_cleanup_(delivery_free) struct delivery *delivery = NULL;

	delivery = calloc(1, sizeof(*delivery));
	if (!delivery)
		return error_set_memory(err);
	delivery->maildir = maildir;
	delivery->journal = journal;
	delivery->limits = *limits;
	maildir_file_init(&delivery->arriving);
	if (digest_new(&delivery->digest, err) < 0)
		return -1;

	*ret = TAKE_PTR(delivery);
	return 0;
}

void delivery_free(struct delivery **delivery)
{
	struct delivery *d = *delivery;

	if (!d)
		return;
	delivery_abandon(d);
	delivery_void_batch(d);
	free(d->open.entries);
	free(d->published.entries);
	free(d->recorded.entries);
	free(d->deleted.ids);
	digest_free(&d->digest);
	free(d);
	*delivery = NULL;
}

size_t delivery_open_count(const struct delivery *delivery)
{
	return delivery->open.n_entries;
}

uint32_t delivery_count(const struct delivery *delivery)
{
	return delivery->n_delivered;
}

uint64_t delivery_bytes(const struct delivery *delivery)
{
	return delivery->bytes_delivered;
}

bool delivery_is_due(const struct delivery *delivery, uint64_t now)
{
	const struct batch *open = &delivery->open;

	return open->n_entries > 0 &&
	       (open->n_entries >= delivery->limits.batch_messages ||
		open->bytes >= delivery->limits.batch_bytes ||
		now >= open->opened_usec + delivery->limits.batch_time_usec);
}

int delivery_begin(struct delivery *delivery, struct error *err)
{
	digest_begin(delivery->digest);
	return maildir_file_begin(delivery->maildir, &delivery->arriving, err);
}

int delivery_write(struct delivery *delivery, const char *data, size_t len,
		   struct error *err)
{
	digest_add(delivery->digest, data, len);
	return maildir_file_write(&delivery->arriving, data, len, err);
}

void delivery_abandon(struct delivery *delivery)
{
	maildir_file_discard(delivery->maildir, &delivery->arriving);
}

/* What never may be: its DELE may leave though nothing is durable. */
static int release_early(struct delivery *delivery, const struct entry *entry,
			 struct error *err)
{
	struct batch *recorded = &delivery->recorded;

	if (batch_reserve(recorded, 1, err) < 0)
		return -1;
	recorded->entries[recorded->n_entries++] = *entry;
	return 0;
}

static int add_entry(struct delivery *delivery, struct entry *entry,
		     struct error *err)
{
	struct batch *open = &delivery->open;

	if (delivery->known && known_take(delivery->known, entry->uid,
					  entry->digest, &entry->row_id)) {
		entry->state = ENTRY_KNOWN;
		delivery_abandon(delivery);
	} else {
		entry->file = delivery->arriving;
		maildir_file_init(&delivery->arriving); /* handed over */
	}
	if (is_left_out(SAFEGUARD_DELE_LAST) &&
	    release_early(delivery, entry, err) < 0)
		return -1;
	if (open->n_entries == 0)
		open->opened_usec = now_usec(CLOCK_MONOTONIC);
	open->bytes += entry->file.size_bytes;
	open->entries[open->n_entries++] = *entry;
	return 0;
}

int delivery_end(struct delivery *delivery,
		 const struct delivery_message *message, struct error *err)
{
	struct entry entry = {
		.uid = message->uid,
		.list_size = message->list_size,
		.item = message->item,
	};

	maildir_file_init(&entry.file);
	if (digest_end(delivery->digest, entry.digest, err) < 0 ||
	    batch_reserve(&delivery->open, 1, err) < 0 ||
	    add_entry(delivery, &entry, err) < 0) {
		delivery_abandon(delivery);
		return -1;
	}
	return 0;
}

static void forget_open(struct delivery *delivery)
{
	delivery->open.n_entries = 0;
	delivery->open.bytes = 0;
}

/* It may not be on the disk: recovery will look. */
static void forget_published(struct delivery *delivery)
{
	delivery->published.n_entries = 0;
}

void delivery_void_batch(struct delivery *delivery)
{
	struct batch *open = &delivery->open;

	for (size_t i = 0; i < open->n_entries; i++)
		if (open->entries[i].state == ENTRY_NEW)
			maildir_file_discard(delivery->maildir,
					     &open->entries[i].file);
	forget_open(delivery);
}

/* Step 2 for k, and the sync of step 5 for k-1. */
static int sync_batch(struct delivery *delivery, struct error *err)
{
	struct batch *open = &delivery->open;
	struct maildir_file **files;
	size_t n = 0;
	int r;

	files = calloc(open->n_entries + 1, sizeof(*files));
	if (!files)
		return error_set_memory(err);
	for (size_t i = 0; i < open->n_entries; i++)
		if (open->entries[i].state == ENTRY_NEW)
			files[n++] = &open->entries[i].file;

	r = maildir_sync(delivery->maildir, files, n, err);
	free(files);
	return r;
}

static int record_entry(struct delivery *delivery, struct entry *entry,
			struct error *err)
{
	const struct journal_entry row = {
		.uid = entry->uid,
		.list_size = entry->list_size,
		.base = entry->file.base,
		.size_bytes = entry->file.size_bytes,
		.digest = entry->digest,
	};

	if (entry->state == ENTRY_KNOWN)
		return journal_confirm(delivery->journal, entry->row_id,
				       entry->uid, entry->list_size, err);
	return journal_stage(delivery->journal, &row, &entry->row_id, err);
}

static int record_published(struct delivery *delivery, struct error *err)
{
	const struct batch *published = &delivery->published;

	for (size_t i = 0; i < published->n_entries; i++) {
		const struct entry *entry = &published->entries[i];

		if (journal_clear_trouble(delivery->journal, entry->uid,
					  entry->list_size, err) < 0)
			return -1;
		if (entry->state == ENTRY_NEW &&
		    journal_set_state(delivery->journal, entry->row_id,
				      JOURNAL_DELIVERED, err) < 0)
			return -1;
	}
	return 0;
}

static int record_staged(struct delivery *delivery, struct error *err)
{
	struct batch *open = &delivery->open;

	for (size_t i = 0; i < open->n_entries; i++)
		if (record_entry(delivery, &open->entries[i], err) < 0)
			return -1;
	return 0;
}

/* After the commit that calls them DELIVERED: their DELEs may leave. */
static void release_published(struct delivery *delivery)
{
	struct batch *from = &delivery->published;
	struct batch *to = &delivery->recorded;

	if (from->n_entries > 0)
		memcpy(to->entries + to->n_entries, from->entries,
		       from->n_entries * sizeof(struct entry));
	to->n_entries += from->n_entries;
	from->n_entries = 0;
}

/* Room is made before the commit: behind it nothing may fail that could. */
static int reserve_recorded(struct delivery *delivery, struct error *err)
{
	struct batch *recorded = &delivery->recorded;

	if (delivery->n_deletable_taken == recorded->n_entries) {
		recorded->n_entries = 0;
		delivery->n_deletable_taken = 0;
	}
	return batch_reserve(recorded, delivery->published.n_entries, err);
}

/* Step 3. */
static int commit_staged(struct delivery *delivery, struct error *err)
{
	if (reserve_recorded(delivery, err) < 0 ||
	    journal_begin(delivery->journal, err) < 0)
		return -1;
	if (record_staged(delivery, err) < 0 ||
	    record_published(delivery, err) < 0) {
		journal_rollback(delivery->journal);
		return -1;
	}
	return journal_commit(delivery->journal, err);
}

/* Once in a blue moon the name exists: the journal must know the new one first. */
static int publish_renamed(struct maildir *maildir, struct journal *journal,
			   const struct journal_row *row, struct error *err)
{
	char base[MAILDIR_NAME_MAX];
	int r;

	for (unsigned tries = 0; tries < 3; tries++) {
		maildir_make_base(maildir, base);
		if (journal_begin(journal, err) < 0)
			return -1;
		if (journal_set_base(journal, row->id, base, err) < 0) {
			journal_rollback(journal);
			return -1;
		}
		if (journal_commit(journal, err) < 0)
			return -1;
		r = maildir_publish(maildir, row->base, base, row->size_bytes,
				    err);
		if (r <= 0)
			return r;
	}
	return error_set(err, ERROR_LOCAL, "no free name in %s", maildir->path);
}

int delivery_publish(struct maildir *maildir, struct journal *journal,
		     const struct journal_row *row, struct error *err)
{
	int r = maildir_publish(maildir, row->base, row->base, row->size_bytes,
				err);

	if (r <= 0)
		return r;
	return publish_renamed(maildir, journal, row, err);
}

/* Step 5. */
static int publish_batch(struct delivery *delivery, struct error *err)
{
	struct batch *open = &delivery->open;
	uint32_t n = 0;
	uint64_t bytes = 0;

	for (size_t i = 0; i < open->n_entries; i++) {
		const struct entry *entry = &open->entries[i];
		const struct journal_row row = {
			.id = entry->row_id,
			.base = entry->file.base,
			.size_bytes = entry->file.size_bytes,
		};

		if (entry->state != ENTRY_NEW)
			continue;
		if (delivery_publish(delivery->maildir, delivery->journal, &row,
				     err) < 0)
			return -1;
		n++;
		bytes += entry->file.size_bytes;
	}
	delivery->n_delivered += n;
	delivery->bytes_delivered += bytes;
	return 0;
}

int delivery_close_batch(struct delivery *delivery, struct error *err)
{
	struct batch swapped;

	if (delivery->open.n_entries == 0)
		return 0;
	if (sync_batch(delivery, err) < 0) {
		delivery_void_batch(delivery);
		if (delivery->maildir->is_new_dirty)
			forget_published(delivery);
		return -1;
	}
	if (commit_staged(delivery, err) < 0) {
		/* Perhaps it is durable all the same: recovery will look. */
		forget_open(delivery);
		return -1;
	}
	release_published(delivery);
	if (publish_batch(delivery, err) < 0) {
		forget_open(delivery);
		return -1;
	}

	swapped = delivery->published;
	delivery->published = delivery->open;
	delivery->open = swapped;
	forget_open(delivery);
	return 0;
}

void delivery_compare_with(struct delivery *delivery, struct known *known)
{
	delivery->known = known;
}

void delivery_note_trouble(struct delivery *delivery, struct bytes uid,
			   int64_t list_size)
{
	if (delivery->n_troubles < TROUBLES_MAX)
		delivery->troubles[delivery->n_troubles++] =
			(struct trouble){ .uid = uid, .list_size = list_size };
}

void delivery_note_listing(struct delivery *delivery)
{
	delivery->has_listing = true;
}

static int record_gone(struct delivery *delivery, struct error *err)
{
	size_t at = 0;
	int64_t id;

	while (delivery->known && known_next_absent(delivery->known, &at, &id))
		if (journal_set_state(delivery->journal, id, JOURNAL_GONE,
				      err) < 0)
			return -1;
	return 0;
}

static int record_notes(struct delivery *delivery, struct error *err)
{
	uint64_t now_sec = now_usec(CLOCK_REALTIME) / USEC_PER_SEC;

	if (record_gone(delivery, err) < 0)
		return -1;
	for (unsigned i = 0; i < delivery->n_troubles; i++)
		if (journal_note_trouble(
			    delivery->journal, delivery->troubles[i].uid,
			    delivery->troubles[i].list_size, err) < 0)
			return -1;
	if (delivery->has_listing &&
	    journal_count_listing(delivery->journal, now_sec, err) < 0)
		return -1;
	return 0;
}

int delivery_finish(struct delivery *delivery, struct error *err)
{
	if (delivery->published.n_entries > 0 &&
	    maildir_sync(delivery->maildir, NULL, 0, err) < 0) {
		forget_published(delivery);
		return -1;
	}
	if (reserve_recorded(delivery, err) < 0 ||
	    journal_begin(delivery->journal, err) < 0)
		return -1;
	if (record_published(delivery, err) < 0 ||
	    record_notes(delivery, err) < 0) {
		journal_rollback(delivery->journal);
		return -1;
	}
	if (journal_commit(delivery->journal, err) < 0)
		return -1;

	release_published(delivery);
	delivery->n_troubles = 0;
	delivery->has_listing = false;
	return 0;
}

void delivery_rest(struct delivery *delivery)
{
	flush_done(&delivery->maildir->flush);
}

bool delivery_next_deletable(struct delivery *delivery, size_t *ret_item,
			     int64_t *ret_row_id)
{
	const struct entry *entry;

	if (delivery->n_deletable_taken == delivery->recorded.n_entries)
		return false;
	entry = &delivery->recorded.entries[delivery->n_deletable_taken++];
	*ret_item = entry->item;
	*ret_row_id = entry->row_id;
	return true;
}

int delivery_note_deleted(struct delivery *delivery, int64_t row_id,
			  struct error *err)
{
	return id_list_add(&delivery->deleted, row_id, err);
}

int delivery_record_deleted(struct delivery *delivery, struct error *err)
{
	return journal_record_deleted(delivery->journal, delivery->deleted.ids,
				      delivery->deleted.n_ids, err);
}
