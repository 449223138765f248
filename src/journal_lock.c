/*
 * journal_lock.c - the account's state directory, and the lock in it.
 */
#include "journal_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LOCK_TRIES 3 /* it may be let go while we ask for its holder */

#define MADE_LINE \
	"The journal was made; without it, mail kept on the server comes again.\n"
#define OPEN_LINE "A visit is writing to it.\n"

static int open_directory(struct journal *journal, struct error *err)
{
	struct stat st;

	journal->dir_fd = open(journal->dir,
			       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (journal->dir_fd < 0 || fstat(journal->dir_fd, &st) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot open the state directory %s",
				       journal->dir);
	if (st.st_uid != geteuid() || (st.st_mode & 022) != 0)
		return error_set(
			err, ERROR_LOCAL,
			"the state directory %s must belong to uid %u, "
			"and no one else may write there",
			journal->dir, (unsigned)geteuid());
	return 0;
}

static int lock_error(const struct journal *journal, struct error *err)
{
	return error_set_errno(err, ERROR_LOCAL, errno, "cannot lock %s/lock",
			       journal->dir);
}

/* Returns 0 when it is ours now, 1 when it was *ret_holder's, or -1. */
static int try_lock(struct journal *journal, pid_t *ret_holder,
		    struct error *err)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	*ret_holder = 0;
	if (fcntl(journal->lock_fd, F_SETLK, &whole) == 0)
		return 0;
	if (errno != EACCES && errno != EAGAIN)
		return lock_error(journal, err);
	if (fcntl(journal->lock_fd, F_GETLK, &whole) < 0)
		return lock_error(journal, err);
	if (whole.l_type != F_UNLCK)
		*ret_holder = whole.l_pid;
	return 1;
}

static int take_lock(struct journal *journal, struct error *err)
{
	pid_t holder = 0;
	int r = 1;

	journal->lock_fd = openat(
		journal->dir_fd, "lock",
		O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (journal->lock_fd < 0)
		return lock_error(journal, err);
	for (unsigned tries = 0; tries < LOCK_TRIES && r > 0 && holder == 0;
	     tries++) {
		r = try_lock(journal, &holder, err);
		if (r < 0)
			return -1;
	}
	if (r == 0)
		return 0;
	if (holder <= 0) /* of another pid namespace */
		return error_set(err, ERROR_BUSY,
				 "another mailhaul is visiting this account");
	return error_set(err, ERROR_BUSY,
			 "another mailhaul (pid %d) is visiting this account",
			 (int)holder);
}

static int read_lock(struct journal *journal, struct error *err)
{
	struct stat st;

	if (fstat(journal->lock_fd, &st) < 0)
		return lock_error(journal, err);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERROR_LOCAL,
				 "%s/lock is not a regular file", journal->dir);

	/* Whatever it says: in doubt a journal is not made anew. */
	journal->was_made = st.st_size > 0;
	journal->was_killed = journal->was_made &&
			      st.st_size != (off_t)strlen(MADE_LINE);
	return 0;
}

static int write_lock(struct journal *journal, const char *line, off_t offset,
		      struct error *err)
{
	ssize_t n = pwrite(journal->lock_fd, line, strlen(line), offset);

	if (n == (ssize_t)strlen(line))
		return 0;
	if (n >= 0)
		errno = ENOSPC;
	return error_set_errno(err, ERROR_LOCAL, errno, "cannot write %s/lock",
			       journal->dir);
}

int journal_lock_enter(struct journal *journal, struct error *err)
{
	if (open_directory(journal, err) < 0 || take_lock(journal, err) < 0)
		return -1;
	return read_lock(journal, err);
}

int journal_lock_write_made(struct journal *journal, struct error *err)
{
	if (write_lock(journal, MADE_LINE, 0, err) < 0)
		return -1;
	if (fsync(journal->lock_fd) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot sync %s/lock", journal->dir);
	return 0;
}

int journal_lock_write_doubt(struct journal *journal, struct error *err)
{
	if (write_lock(journal, MADE_LINE OPEN_LINE, 0, err) < 0)
		return -1;
	journal->has_marked = true;
	return 0;
}

int journal_lock_mark(struct journal *journal, struct error *err)
{
	if (journal->has_marked)
		return 0;
	if (write_lock(journal, OPEN_LINE, (off_t)strlen(MADE_LINE), err) < 0)
		return -1;
	journal->has_marked = true;
	return 0;
}

void journal_lock_unmark(struct journal *journal)
{
	if (!journal->has_marked)
		return;
	if (ftruncate(journal->lock_fd, (off_t)strlen(MADE_LINE)) < 0)
		return; /* it stays: the next visit checks once more */
	journal->has_marked = false;
}
