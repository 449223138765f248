/*
 * state_dir.c - the directories that hold the journals.
 *
 * Needs no privilege but CAP_CHOWN: a directory that belongs to another user
 * already is looked at, never opened.
 *
 * Who finds one of ours there, with a mode, may take it for durable: it is made
 * without a mode and gets it last, when all that stands above it was synced.
 * So a start that was killed is done over, and no other has anything to flush.
 */
#include "state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static bool is_finished(const struct stat *st)
{
	return (st->st_mode & 07777) != 0;
}

/* Where we may not write we have made nothing. */
static int sync_one(const char *path)
{
	_cleanup_fd_ int fd = -1;

	if (access(path, W_OK) < 0)
		return 0;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -1 : fsync(fd);
}

/* The directories on the way, which may be those of other programs too. */
static int make_one(const char *path)
{
	const mode_t mode = geteuid() == 0 ? 0755 : 0700;

	if (mkdir(path, mode) < 0)
		return errno == EEXIST ? 0 : -1;
	return chmod(path, mode);
}

/* Every missing directory on the way, as the XDG specification asks. */
static int make_way(char *path)
{
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (make_one(path) < 0)
			return -1;
		*p = '/';
	}
	return 0;
}

static int sync_way(char *path)
{
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (sync_one(path) < 0)
			return -1;
		*p = '/';
	}
	return sync_one("/");
}

static int make_root(const char *path, struct error *err)
{
	const mode_t mode = geteuid() == 0 ? 0711 : 0700;
	_cleanup_string_ char *way = strdup(path);
	struct stat st;

	if (!way)
		return error_set_memory(err);
	if (stat(path, &st) == 0 && is_finished(&st))
		return 0;
	if (make_way(way) < 0 || (mkdir(path, 0) < 0 && errno != EEXIST) ||
	    sync_way(way) < 0 || chmod(path, mode) < 0)
		return error_set_errno(
			err, ERROR_LOCAL, errno,
			"cannot make the state directory %s (at %s)", path,
			way);
	return 0;
}

/* umask is the caller's business, the mode of this directory ours. */
static int give_away(int root_fd, const char *name,
		     const struct account *account, struct error *err)
{
	if (fsync(root_fd) < 0 || fchmodat(root_fd, name, 0700, 0) < 0 ||
	    fchownat(root_fd, name, account->uid, account->gid,
		     AT_SYMLINK_NOFOLLOW) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot make %s", account->state_dir);
	return 0;
}

static int check_owner(int root_fd, const char *name,
		       const struct account *account, struct error *err)
{
	struct stat st;

	if (fstatat(root_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot look at %s", account->state_dir);
	if (!S_ISDIR(st.st_mode))
		return error_set(err, ERROR_CONFIG, "%s is no directory",
				 account->state_dir);
	if (st.st_uid == account->uid &&
	    (is_finished(&st) || st.st_uid != geteuid()))
		return 0;
	/* Made by us, and we died before it was finished or handed over. */
	if (st.st_uid == geteuid())
		return give_away(root_fd, name, account, err);
	return error_set(err, ERROR_CONFIG,
			 "%s belongs to user id %u, the account's user is %s; "
			 "chown -R it when the change is meant",
			 account->state_dir, st.st_uid, account->user);
}

int state_dir_make(const char *state_root, const struct account *account,
		   struct error *err)
{
	const char *name = strrchr(account->state_dir, '/') + 1;
	_cleanup_fd_ int root_fd = -1;

	if (make_root(state_root, err) < 0)
		return -1;
	root_fd = open(state_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot open %s", state_root);

	if (mkdirat(root_fd, name, 0) == 0)
		return give_away(root_fd, name, account, err);
	if (errno != EEXIST)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot make %s", account->state_dir);
	return check_owner(root_fd, name, account, err);
}
