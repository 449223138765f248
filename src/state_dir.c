/*
 * state_dir.c - the directories that hold the journals.
 *
 * Needs no privilege but CAP_CHOWN: a directory that belongs to another user
 * already is looked at, never opened.
 */
#include "state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static int sync_parent(const char *path)
{
	_cleanup_string_ char *parent = strdup(path);
	_cleanup_fd_ int fd = -1;
	char *slash;

	if (!parent)
		return -1;
	slash = strrchr(parent, '/');
	slash[slash == parent ? 1 : 0] = '\0';
	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -1 : fsync(fd);
}

static int make_one(const char *path, mode_t mode)
{
	if (mkdir(path, mode) < 0)
		return errno == EEXIST ? 0 : -1;
	return chmod(path, mode) < 0 ? -1 : sync_parent(path);
}

/* Every missing directory on the way, as the XDG specification asks. */
static int make_root(const char *path, struct error *err)
{
	const mode_t mode = geteuid() == 0 ? 0711 : 0700;
	_cleanup_string_ char *copy = strdup(path);

	if (!copy)
		return error_set_memory(err);
	if (access(path, F_OK) == 0)
		return 0;
	for (char *p = strchr(copy + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (make_one(copy, geteuid() == 0 ? 0755 : 0700) < 0)
			return error_set_errno(err, ERROR_LOCAL, errno,
					       "cannot make %s", copy);
		*p = '/';
	}
	if (make_one(path, mode) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot make the state directory %s",
				       path);
	return 0;
}

/* umask is the caller's business, the mode of this directory ours. */
static int give_away(int root_fd, const char *name,
		     const struct account *account, struct error *err)
{
	if (fchmodat(root_fd, name, 0700, 0) < 0 ||
	    fchownat(root_fd, name, account->uid, account->gid,
		     AT_SYMLINK_NOFOLLOW) < 0 ||
	    fsync(root_fd) < 0)
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
	if (st.st_uid == account->uid)
		return 0;
	/* Made by us, and we died before it was handed over. */
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

	if (mkdirat(root_fd, name, 0700) == 0)
		return give_away(root_fd, name, account, err);
	if (errno != EEXIST)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot make %s", account->state_dir);
	return check_owner(root_fd, name, account, err);
}
