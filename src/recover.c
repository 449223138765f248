/*
 * recover.c - the rules of DESIGN section 3, "Recovery".
 *
 * Looked at: every row STAGED, and every file in tmp/ that bears our tag.
 *
 *   a row, found in new/, cur/ or a subfolder	-> DELIVERED, a twin in tmp/ goes
 *   a row, found in tmp/ with its size		-> renamed, then DELIVERED
 *   a row STAGED, found nowhere		-> forgotten, fetched again
 *   no row, in tmp/				-> a stray, removed
 *
 * A file that any row names, in whatever state, is never thrown away.
 */
#include "recover.h"

#include <string.h>

#include "delivery.h"
#include "safeguard.h"

/* What one recovery knows. */
struct recovery {
	struct maildir *maildir;
	struct journal *journal;
	struct journal_rows staged;
	char **files; /* base names in tmp/ that bear our tag */
	size_t n_files;

	/* Rows STAGED, then those that a file in tmp/ named. */
	struct journal_row *rows;
	struct maildir_wanted *wanted; /* wanted[i] is where rows[i] is */
	size_t n_rows;

	struct recovered result;
};

static void recovery_done(struct recovery *r)
{
	journal_rows_done(&r->staged);
	maildir_names_free(r->files, r->n_files);
	free(r->rows);
	free(r->wanted);
}

static bool is_suspected(const struct recovery *r, int64_t id)
{
	for (size_t i = 0; i < r->n_rows; i++)
		if (r->rows[i].id == id)
			return true;
	return false;
}

static void suspect(struct recovery *r, const struct journal_row *row)
{
	r->rows[r->n_rows] = *row;
	r->wanted[r->n_rows] = (struct maildir_wanted){ .base = row->base };
	r->n_rows++;
}

/* A file of ours in tmp/: a stray, or a row's. */
static int sort_file(struct recovery *r, const char *base, struct error *err)
{
	struct journal_row row = { .base = base, .state = JOURNAL_DELIVERED };
	bool has_row;

	if (journal_has_base(r->journal, base, &has_row, &row.id,
			     &row.size_bytes, err) < 0)
		return -1;
	if (has_row) {
		if (!is_suspected(r, row.id))
			suspect(r, &row);
		return 0;
	}
	r->result.strays++;
	return maildir_unlink_tmp(r->maildir, base, err);
}

static int find_suspects(struct recovery *r, struct error *err)
{
	size_t cap = r->staged.n_rows + r->n_files + 1;

	r->rows = calloc(cap, sizeof(*r->rows));
	r->wanted = calloc(cap, sizeof(*r->wanted));
	if (!r->rows || !r->wanted)
		return error_set_memory(err);

	for (size_t i = 0; i < r->staged.n_rows; i++)
		suspect(r, &r->staged.rows[i]);
	for (size_t i = 0; i < r->n_files; i++)
		if (sort_file(r, r->files[i], err) < 0)
			return -1;
	if (r->n_rows == 0)
		return 0;
	return maildir_find(r->maildir, r->wanted, r->n_rows, err);
}

static bool is_whole_in_tmp(const struct recovery *r, size_t i)
{
	return r->wanted[i].place == MAILDIR_IN_TMP &&
	       r->wanted[i].tmp_size_bytes == r->rows[i].size_bytes;
}

static int publish_found(struct recovery *r, struct error *err)
{
	bool has_published = false;

	for (size_t i = 0; i < r->n_rows; i++) {
		if (!is_whole_in_tmp(r, i))
			continue;
		if (delivery_publish(r->maildir, r->journal, &r->rows[i], err) <
		    0)
			return -1;
		has_published = true;
	}
	if (is_left_out(SAFEGUARD_RECOVERY_SYNC))
		r->maildir->is_new_dirty = false; /* as if it were done */
	if (!has_published)
		return 0;
	return maildir_sync(r->maildir, NULL, 0, err);
}

static int record_row(struct recovery *r, size_t i, struct error *err)
{
	const struct journal_row *row = &r->rows[i];

	if (row->state != JOURNAL_STAGED) {
		/* DELIVERED already: its file was all that was missing. */
		r->result.finished += is_whole_in_tmp(r, i);
		return 0;
	}
	if (r->wanted[i].place == MAILDIR_IN_NEW || is_whole_in_tmp(r, i)) {
		r->result.finished++;
		return journal_set_state(r->journal, row->id, JOURNAL_DELIVERED,
					 err);
	}
	r->result.forgotten++;
	return journal_forget(r->journal, row->id, err);
}

static int record(struct recovery *r, struct error *err)
{
	if (journal_begin(r->journal, err) < 0)
		return -1;
	for (size_t i = 0; i < r->n_rows; i++) {
		if (record_row(r, i, err) < 0) {
			journal_rollback(r->journal);
			return -1;
		}
	}
	return journal_commit(r->journal, err);
}

/*
 * After the rows are settled: the twin of a delivered file, and the torn file
 * of a row that was just forgotten.
 */
static int clear_tmp(struct recovery *r, struct error *err)
{
	for (size_t i = 0; i < r->n_rows; i++) {
		const struct maildir_wanted *wanted = &r->wanted[i];
		bool is_torn = wanted->place == MAILDIR_IN_TMP &&
			       !is_whole_in_tmp(r, i) &&
			       r->rows[i].state == JOURNAL_STAGED;

		if ((wanted->has_twin_in_tmp || is_torn) &&
		    maildir_unlink_tmp(r->maildir, wanted->base, err) < 0)
			return -1;
	}
	return 0;
}

int recover_run(struct maildir *maildir, struct journal *journal,
		struct recovered *ret, struct error *err)
{
	_cleanup_(recovery_done) struct recovery r = { .maildir = maildir,
						       .journal = journal };

	if (journal_load_staged(journal, &r.staged, err) < 0 ||
	    maildir_list_tmp(maildir, &r.files, &r.n_files, err) < 0 ||
	    find_suspects(&r, err) < 0)
		return -1;
	if (r.n_rows > 0 && (publish_found(&r, err) < 0 ||
			     record(&r, err) < 0 || clear_tmp(&r, err) < 0))
		return -1;

	*ret = r.result;
	return 0;
}
