/*
 * maildir.h - a Maildir through directory descriptors: names, files, renames.
 *
 * Server bytes never reach a file name. In tmp/ a message is called by its
 * base name, sec.MusecPpidQnRtag.host; in new/ by the base name with ",S=" and
 * its size behind it. The tag is the journal's: whose tag a file in tmp/
 * bears is whose stray it may be. When things are made durable is decided
 * above (delivery.c); here each call does one thing. Errors are ERROR_LOCAL
 * unless said, and name the path and the system's words.
 */
#pragma once

#include "base.h"
#include "error.h"
#include "flush.h"

#define MAILDIR_TAG_SIZE  13 /* 12 characters of [0-9a-f] and the terminator */
#define MAILDIR_NAME_MAX  192

struct maildir {
	int dir_fd;
	int tmp_fd;
	int new_fd;
	int cur_fd;
	char *path;
	char tag[MAILDIR_TAG_SIZE];
	char host[65]; /* sanitised: no '/', ':', ',' or control bytes */
	unsigned counter; /* the n of Qn */
	bool is_tmp_dirty; /* a name was made there and not yet synced */
	bool is_new_dirty;
	struct flush flush;
};

struct maildir_options {
	const char *path; /* absolute */
	const char *tag;  /* the journal's */
	bool create;	  /* make the last directory, and tmp, new and cur in it */
};

/*
 * Opens with O_DIRECTORY | O_NOFOLLOW (the last component, tmp, new, cur). With create the
 * missing ones are made 0700, synced with their parents; parents are never
 * made. ERROR_LOCAL when it is missing or not ours to write, with the advice.
 */
int maildir_open(struct maildir *maildir, const struct maildir_options *options,
		 struct error *err) _must_check_;
void maildir_done(struct maildir *maildir);
#define _cleanup_maildir_ _cleanup_(maildir_done)

/* What the disk has room for; UINT64_MAX when it does not say. */
uint64_t maildir_free_bytes(const struct maildir *maildir);

/* A message on its way into tmp/. The descriptor stays open until it is synced. */
struct maildir_file {
	int fd; /* -1: none */
	char base[MAILDIR_NAME_MAX];
	uint64_t size_bytes;
	uint64_t writeback_bytes; /* of them the disk was told to begin with */
	const char *maildir_path; /* borrowed, for messages */
};

void maildir_file_init(struct maildir_file *file); /* fd = -1, no name */

/* Creates tmp/BASE, 0600, O_EXCL. */
int maildir_file_begin(struct maildir *maildir, struct maildir_file *ret,
		       struct error *err) _must_check_;
int maildir_file_write(struct maildir_file *file, const char *data, size_t len,
		       struct error *err) _must_check_;
/*
 * Syncs and closes all of the files (none: NULL) and syncs, together with
 * them, tmp/ for their names and new/ for what was published. Never retried:
 * after a failure all of the files must be discarded, and where is_new_dirty
 * is still set what was published must be left to recovery.
 */
int maildir_sync(struct maildir *maildir, struct maildir_file *const *files,
		 size_t n, struct error *err) _must_check_;
/* Closes and unlinks tmp/BASE. Accepts a file that was never begun. */
void maildir_file_discard(struct maildir *maildir, struct maildir_file *file);

/* A base name that was not used before by this process. */
void maildir_make_base(struct maildir *maildir, char ret[MAILDIR_NAME_MAX]);

/*
 * tmp/OLD_BASE becomes new/NEW_BASE,S=size, never over an existing file
 * (renameat2 RENAME_NOREPLACE, where that is unknown link and unlink).
 * Returns 0, 1 when the name exists in new/, or -1. old_base and new_base
 * are mostly the same.
 */
int maildir_publish(struct maildir *maildir, const char *old_base,
		    const char *new_base, uint64_t size_bytes,
		    struct error *err) _must_check_;

enum maildir_place {
	MAILDIR_NOWHERE = 0,
	MAILDIR_IN_TMP,
	MAILDIR_IN_NEW, /* new/, cur/ or those of a Maildir++ subfolder (.NAME) */
};

/*
 * Where the bases are now; readers may have renamed behind the first ',' or
 * ':' and moved the file to cur/ or a subfolder. Each directory is read once
 * for all of them. A twin in both places counts as IN_NEW. A file found
 * outside tmp/ is fsynced, and its directory too, before this returns. A
 * directory that cannot be read is an error, not an absence.
 */
struct maildir_wanted {
	const char *base; /* borrowed */
	enum maildir_place place; /* out */
	bool has_twin_in_tmp;	  /* out */
	uint64_t tmp_size_bytes;  /* out, when in tmp/ */
};
int maildir_find(struct maildir *maildir, struct maildir_wanted *wanted,
		 size_t n_wanted, struct error *err) _must_check_;

/* The base names in tmp/ that bear our tag. The caller frees with maildir_names_free. */
int maildir_list_tmp(struct maildir *maildir, char ***ret_names, size_t *ret_n,
		     struct error *err) _must_check_;
void maildir_names_free(char **names, size_t n);

/* Removes tmp/BASE; one that is gone already is fine. */
int maildir_unlink_tmp(struct maildir *maildir, const char *base,
		       struct error *err) _must_check_;
