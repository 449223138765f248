/*
 * maildir.c - a Maildir through directory descriptors.
 *
 * Refuses to follow a symbolic link into tmp, new or cur, to overwrite a file,
 * and to retry a failed fsync: after one the kernel calls the pages clean
 * although they never reached the disk, so that the second would lie. A
 * descriptor stays open from the first write to its fsync, since only that
 * descriptor is sure to be told of a failed writeback.
 */
#include "maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "safeguard.h"

#define WRITEBACK_BYTES (UINT64_C(8) << 20)

#define FILES_MAX       (FLUSH_MAX - 2) /* in one sync, beside tmp/ and new/ */
#define BEGIN_TRIES     8 /* names that exist: something is wrong */
#define FIND_ROUNDS     5 /* readers that rename under our eyes */
#define NAME_IN_NEW     (MAILDIR_NAME_MAX + sizeof(",S=18446744073709551615"))
#define DIR_FLAGS       (O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC)

static void dir_close(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir); /* only read */
}

#define _cleanup_dir_ _cleanup_(dir_close)

/* What the disk said, with the advice that belongs to it. what: "write to". */
static int disk_error(struct error *err, int errnum, const char *what,
		      const char *path)
{
	switch (errnum) {
	case ENOSPC:
		return error_set(
			err, ERROR_LOCAL,
			"no space left on the disk of %s (cannot %s it)", path,
			what);
	case EDQUOT:
		return error_set(
			err, ERROR_LOCAL,
			"the disk quota for %s is used up (cannot %s it)", path,
			what);
	case EROFS:
		return error_set(
			err, ERROR_LOCAL,
			"%s is read-only; under systemd, name it in ReadWritePaths=",
			path);
	case EACCES:
	case EPERM:
		return error_set_errno(err, ERROR_LOCAL, errnum,
				       "cannot %s %s as uid %u: "
				       "it must belong to the account's user",
				       what, path, (unsigned)geteuid());
	default:
		return error_set_errno(err, ERROR_LOCAL, errnum, "cannot %s %s",
				       what, path);
	}
}

/* The Maildir itself, or a part of it, cannot be opened or made. */
static int open_error(struct error *err, int errnum, const char *what,
		      const char *path)
{
	if (errnum == ENOTDIR || errnum == ELOOP)
		return error_set(
			err, ERROR_LOCAL,
			"cannot %s %s: not a directory (symbolic links are not followed)",
			what, path);
	return disk_error(err, errnum, what, path);
}

static int sync_dir(int fd, const char *path, struct error *err)
{
	if (fsync(fd) < 0)
		return disk_error(err, errno, "sync", path);
	return 0;
}

static int sync_parent(const struct maildir *maildir, struct error *err)
{
	const char *slash = strrchr(maildir->path, '/');
	_cleanup_string_ char *parent = NULL;
	_cleanup_fd_ int fd = -1;
	size_t len = (size_t)(slash - maildir->path);

	/* "/Maildir": the slash is the parent */
	parent = len == 0 ? strdup("/") : strndup(maildir->path, len);
	if (!parent)
		return error_set_memory(err);
	fd = open(parent, DIR_FLAGS);
	if (fd < 0)
		return disk_error(err, errno, "open", parent);
	return sync_dir(fd, parent, err);
}

static int make_root(const struct maildir *maildir, struct error *err)
{
	if (mkdir(maildir->path, 0700) == 0)
		return 0;
	if (errno == ENOENT)
		return error_set(
			err, ERROR_LOCAL,
			"cannot make %s: its parent directory does not exist, "
			"and is never made",
			maildir->path);
	return disk_error(err, errno, "make", maildir->path);
}

static int open_root(struct maildir *maildir, bool create, struct error *err)
{
	maildir->dir_fd = open(maildir->path, DIR_FLAGS | O_NOFOLLOW);
	if (maildir->dir_fd < 0 && errno == ENOENT) {
		if (!create)
			return error_set(
				err, ERROR_LOCAL,
				"%s does not exist: create it, or set create = true",
				maildir->path);
		if (make_root(maildir, err) < 0)
			return -1;
		maildir->dir_fd = open(maildir->path, DIR_FLAGS | O_NOFOLLOW);
	}
	if (maildir->dir_fd < 0)
		return open_error(err, errno, "open", maildir->path);
	return 0;
}

/* Returns 1 when it was made, 0 when it was there, or -1. */
static int make_part(const struct maildir *maildir, const char *name,
		     mode_t mode, struct error *err)
{
	if (mkdirat(maildir->dir_fd, name, mode) == 0)
		return 1;
	if (errno == EEXIST)
		return 0;
	return open_error(err, errno, "make tmp, new and cur in",
			  maildir->path);
}

static bool has_no_mode(const struct maildir *maildir, const char *name)
{
	struct stat st;

	return fstatat(maildir->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode) && (st.st_mode & 07777) == 0;
}

/*
 * Makes what is missing, and makes it durable with what stands above it. Who
 * finds new/ there, with a mode, knows that this was done: it is made without
 * one and gets it last. So a start that was killed is done over in full, and
 * no other visit has anything to flush. tmp/ and new/ themselves are synced
 * with what is put into them.
 */
static int make_parts(const struct maildir *maildir, struct error *err)
{
	int tmp = make_part(maildir, "tmp", 0700, err);
	int cur = tmp < 0 ? -1 : make_part(maildir, "cur", 0700, err);
	int new = cur < 0 ? -1 : make_part(maildir, "new", 0, err);

	if (new < 0)
		return -1;
	if (tmp + cur + new == 0 && !has_no_mode(maildir, "new"))
		return 0;

	if (sync_dir(maildir->dir_fd, maildir->path, err) < 0 ||
	    sync_parent(maildir, err) < 0)
		return -1;
	if (has_no_mode(maildir, "new") &&
	    fchmodat(maildir->dir_fd, "new", 0700, 0) < 0)
		return open_error(err, errno, "open what was made in",
				  maildir->path);
	return 0;
}

/* access: what we must be allowed to do there, known before mail is fetched. */
static int open_part(const struct maildir *maildir, const char *name,
		     int access, int *ret_fd, struct error *err)
{
	_cleanup_string_ char *path = NULL;
	_cleanup_fd_ int fd = -1;

	if (asprintf(&path, "%s/%s", maildir->path, name) < 0) {
		path = NULL;
		return error_set_memory(err);
	}
	fd = openat(maildir->dir_fd, name, DIR_FLAGS | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return error_set(err, ERROR_LOCAL,
				 "%s is not a Maildir, it has no %s/: "
				 "make it, or set create = true",
				 maildir->path, name);
	if (fd < 0)
		return open_error(err, errno, "open", path);
	if (faccessat(fd, ".", access, AT_EACCESS) < 0)
		return disk_error(err, errno, "use", path);

	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Leaves in dst only what a Maildir name and its readers can bear. */
static void sanitise_host(char *dst, size_t cap, const char *src)
{
	size_t n = 0;

	for (; *src != '\0' && n + 1 < cap; src++, n++) {
		bool is_plain = (*src >= '0' && *src <= '9') ||
				(*src >= 'A' && *src <= 'Z') ||
				(*src >= 'a' && *src <= 'z') || *src == '-' ||
				*src == '.' || *src == '_';

		dst[n] = *src;
		if (!is_plain)
			dst[n] = '_';
	}
	dst[n] = '\0';
}

static void find_host(struct maildir *maildir)
{
	char name[256] = "";

	if (gethostname(name, sizeof(name) - 1) < 0 || name[0] == '\0')
		(void)strcpy(name, "localhost");
	sanitise_host(maildir->host, sizeof(maildir->host), name);
}

static int set_names(struct maildir *maildir,
		     const struct maildir_options *options, struct error *err)
{
	size_t len = strlen(options->path);

	if (options->path[0] != '/')
		return error_set(err, ERROR_CONFIG,
				 "the Maildir's path %s is not absolute",
				 options->path);
	if (strlen(options->tag) != sizeof(maildir->tag) - 1)
		return error_set(err, ERROR_LOCAL,
				 "the journal's tag is not 12 characters");

	/* Behind a slash O_NOFOLLOW would follow all the same. */
	while (len > 1 && options->path[len - 1] == '/')
		len--;
	maildir->path = strndup(options->path, len);
	if (!maildir->path)
		return error_set_memory(err);
	memcpy(maildir->tag, options->tag, sizeof(maildir->tag));
	find_host(maildir);
	return 0;
}

int maildir_open(struct maildir *maildir, const struct maildir_options *options,
		 struct error *err)
{
	_cleanup_maildir_ struct maildir made = {
		.dir_fd = -1,
		.tmp_fd = -1,
		.new_fd = -1,
		.cur_fd = -1,
	};

	if (set_names(&made, options, err) < 0 ||
	    open_root(&made, options->create, err) < 0)
		return -1;
	if (options->create && make_parts(&made, err) < 0)
		return -1;
	if (open_part(&made, "tmp", R_OK | W_OK | X_OK, &made.tmp_fd, err) <
		    0 ||
	    open_part(&made, "new", R_OK | W_OK | X_OK, &made.new_fd, err) <
		    0 ||
	    open_part(&made, "cur", R_OK | X_OK, &made.cur_fd, err) < 0)
		return -1;

	*maildir = made;
	made.path = NULL; /* handed over, with the descriptors */
	return 0;
}

void maildir_done(struct maildir *maildir)
{
	if (!maildir->path)
		return; /* never opened: its descriptors may read 0 */
	flush_done(&maildir->flush);
	fd_close(&maildir->dir_fd);
	fd_close(&maildir->tmp_fd);
	fd_close(&maildir->new_fd);
	fd_close(&maildir->cur_fd);
	string_free(&maildir->path);
}

void maildir_make_base(struct maildir *maildir, char ret[MAILDIR_NAME_MAX])
{
	uint64_t now = now_usec(CLOCK_REALTIME);

	(void)snprintf(ret, MAILDIR_NAME_MAX, "%" PRIu64 ".M%06uP%uQ%uR%s.%s",
		       now / USEC_PER_SEC, (unsigned)(now % USEC_PER_SEC),
		       (unsigned)getpid(), ++maildir->counter, maildir->tag,
		       maildir->host);
}

/* Without inodes there is room for nothing; some file systems count none. */
uint64_t maildir_free_bytes(const struct maildir *maildir)
{
	struct statvfs fs;

	if (fstatvfs(maildir->dir_fd, &fs) < 0)
		return UINT64_MAX;
	if (fs.f_files > 0 && fs.f_favail == 0)
		return 0;
	return (uint64_t)fs.f_bavail * fs.f_frsize;
}

void maildir_file_init(struct maildir_file *file)
{
	file->fd = -1;
	file->base[0] = '\0';
	file->size_bytes = 0;
	file->writeback_bytes = 0;
	file->maildir_path = "";
}

int maildir_file_begin(struct maildir *maildir, struct maildir_file *ret,
		       struct error *err)
{
	struct maildir_file file;

	maildir_file_init(&file);
	file.maildir_path = maildir->path;
	for (unsigned tries = 0; tries < BEGIN_TRIES && file.fd < 0; tries++) {
		maildir_make_base(maildir, file.base);
		file.fd = openat(maildir->tmp_fd, file.base,
				 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
					 O_CLOEXEC,
				 0600);
		if (file.fd < 0 && errno != EEXIST)
			break;
	}
	if (file.fd < 0)
		return disk_error(err, errno, "make a file in tmp/ of",
				  maildir->path);

	maildir->is_tmp_dirty = true;
	*ret = file;
	return 0;
}

/*
 * A hint: a large message is written back while the rest of it arrives. What
 * it cannot do, the sync does and reports.
 */
static void start_writeback(struct maildir_file *file)
{
	if (file->size_bytes - file->writeback_bytes < WRITEBACK_BYTES)
		return;
	(void)sync_file_range(file->fd, (off64_t)file->writeback_bytes, 0,
			      SYNC_FILE_RANGE_WRITE);
	file->writeback_bytes = file->size_bytes;
}

int maildir_file_write(struct maildir_file *file, const char *data, size_t len,
		       struct error *err)
{
	while (len > 0) {
		ssize_t n = write(file->fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return disk_error(err, errno, "write to",
					  file->maildir_path);
		data += n;
		len -= (size_t)n;
		file->size_bytes += (uint64_t)n;
	}
	start_writeback(file);
	return 0;
}

/* Closes the files. Network file systems may tell of a quota only here. */
static int close_all(struct maildir_file *const *files, size_t n)
{
	int errnum = 0;

	for (size_t i = 0; i < n; i++)
		if (close(TAKE_FD(files[i]->fd)) < 0)
			errnum = errno;
	return errnum;
}

/* With the last files go the directories where their names, or others, were made. */
static int sync_some(struct maildir *maildir, struct maildir_file *const *files,
		     size_t n, bool is_last, struct error *err)
{
	int fds[FLUSH_MAX], results[FLUSH_MAX];
	size_t n_synced = 0, new_at;
	int errnum, close_errnum;

	for (size_t i = 0; i < n && !is_left_out(SAFEGUARD_FILE_SYNC); i++)
		fds[n_synced++] = files[i]->fd;
	if (is_last && n > 0 && maildir->is_tmp_dirty)
		fds[n_synced++] = maildir->tmp_fd;
	new_at = n_synced;
	if (is_last && maildir->is_new_dirty &&
	    !is_left_out(SAFEGUARD_NEW_SYNC))
		fds[n_synced++] = maildir->new_fd;

	errnum = 0;
	if (n_synced > 0)
		errnum = flush_files(&maildir->flush, fds, n_synced, results);
	close_errnum = close_all(files, n);
	if (is_last)
		maildir->is_new_dirty = n_synced > new_at &&
					results[new_at] != 0;
	if (errnum != 0)
		return disk_error(err, errnum, "sync the mail in",
				  maildir->path);
	if (close_errnum != 0)
		return disk_error(err, close_errnum, "close a file of",
				  maildir->path);
	if (is_last && n > 0)
		maildir->is_tmp_dirty = false;
	return 0;
}

int maildir_sync(struct maildir *maildir, struct maildir_file *const *files,
		 size_t n, struct error *err)
{
	for (; n > FILES_MAX; n -= FILES_MAX, files += FILES_MAX)
		if (sync_some(maildir, files, FILES_MAX, false, err) < 0)
			return -1;
	return sync_some(maildir, files, n, true, err);
}

void maildir_file_discard(struct maildir *maildir, struct maildir_file *file)
{
	fd_close(&file->fd);
	/* What cannot be removed is a stray, for the next visit. */
	if (file->base[0] != '\0')
		(void)unlinkat(maildir->tmp_fd, file->base, 0);
	maildir_file_init(file);
}

/* A LINK that was sent twice (NFS) says EEXIST of its own success. */
static bool is_linked_already(const struct maildir *maildir, const char *base,
			      const char *name)
{
	const int flags = AT_SYMLINK_NOFOLLOW;
	struct stat from;
	struct stat to;

	return fstatat(maildir->tmp_fd, base, &from, flags) == 0 &&
	       fstatat(maildir->new_fd, name, &to, flags) == 0 &&
	       from.st_dev == to.st_dev && from.st_ino == to.st_ino;
}

/* For file systems that cannot rename without overwriting. */
static int publish_by_link(struct maildir *maildir, const char *base,
			   const char *name, struct error *err)
{
	if (linkat(maildir->tmp_fd, base, maildir->new_fd, name, 0) < 0) {
		if (errno != EEXIST)
			return disk_error(err, errno, "link into new/ of",
					  maildir->path);
		if (!is_linked_already(maildir, base, name))
			return 1;
	}
	return maildir_unlink_tmp(maildir, base, err);
}

int maildir_publish(struct maildir *maildir, const char *old_base,
		    const char *new_base, uint64_t size_bytes,
		    struct error *err)
{
	char name[NAME_IN_NEW];

	(void)snprintf(name, sizeof(name), "%s,S=%" PRIu64, new_base,
		       size_bytes);
	maildir->is_new_dirty = true;
	if (renameat2(maildir->tmp_fd, old_base, maildir->new_fd, name,
		      RENAME_NOREPLACE) == 0)
		return 0;

	switch (errno) {
	case EEXIST:
		return 1;
	case EINVAL:
	case ENOSYS:
	case EOPNOTSUPP:
		return publish_by_link(maildir, old_base, name, err);
	default:
		return disk_error(err, errno, "move mail from tmp/ to new/ in",
				  maildir->path);
	}
}

int maildir_unlink_tmp(struct maildir *maildir, const char *base,
		       struct error *err)
{
	if (unlinkat(maildir->tmp_fd, base, 0) < 0 && errno != ENOENT)
		return disk_error(err, errno, "remove a file from tmp/ of",
				  maildir->path);
	return 0;
}

/* One look through the Maildir for many names. */
struct search {
	const struct maildir *maildir;
	struct maildir_wanted **sorted; /* by base */
	size_t n_wanted;
	size_t n_missing; /* not found outside tmp/ */
	bool has_moved;   /* a file went away while we looked at it */
};

static void search_done(struct search *search)
{
	free(search->sorted);
}

static int compare_wanted(const void *a, const void *b)
{
	const struct maildir_wanted *const *one = a;
	const struct maildir_wanted *const *two = b;

	return strcmp((*one)->base, (*two)->base);
}

static int compare_name(const void *key, const void *member)
{
	const struct bytes *name = key;
	const struct maildir_wanted *const *wanted = member;
	const char *base = (*wanted)->base;
	int order = strncmp(name->data, base, name->len);

	/* Equal so far: a base that goes on is the greater one. */
	return order != 0 || base[name->len] == '\0' ? order : -1;
}

static struct maildir_wanted *match(const struct search *search,
				    const char *file_name)
{
	const struct bytes name = { file_name, strcspn(file_name, ",:") };
	struct maildir_wanted **found;

	found = bsearch(&name, search->sorted, search->n_wanted,
			sizeof(*search->sorted), compare_name);
	return found ? *found : NULL;
}

/* Opens what is a directory. Returns 1, 0 when there is none, or -1. */
static int open_folder(int at_fd, const char *name, DIR **ret)
{
	_cleanup_fd_ int fd = openat(at_fd, name, DIR_FLAGS);

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	*ret = fdopendir(fd);
	if (!*ret)
		return -1;
	(void)TAKE_FD(fd);
	return 1;
}

/* Returns 1, 0 when it is not a file or a reader has moved it, or -1. */
static int sync_found(struct search *search, int dir_fd, const char *name,
		      struct error *err)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;

	fd = openat(dir_fd, name,
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		search->has_moved = true;
	if (fd < 0 && (errno == ENOENT || errno == ELOOP))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return disk_error(err, errno, "open delivered mail in",
				  search->maildir->path);
	if (!S_ISREG(st.st_mode))
		return 0;
	if (!is_left_out(SAFEGUARD_RECOVERY_SYNC) && fsync(fd) < 0)
		return disk_error(err, errno, "sync delivered mail in",
				  search->maildir->path);
	return 1;
}

static int look_at(struct search *search, int dir_fd, const char *name,
		   struct error *err)
{
	struct maildir_wanted *wanted = match(search, name);
	int r;

	if (!wanted || wanted->place == MAILDIR_IN_NEW)
		return 0;
	r = sync_found(search, dir_fd, name, err);
	if (r <= 0)
		return r;
	wanted->place = MAILDIR_IN_NEW;
	search->n_missing--;
	return 1;
}

/* may_be_missing: new or cur of a subfolder, which some programs make late. */
static int search_folder(struct search *search, int at_fd, const char *name,
			 bool may_be_missing, struct error *err)
{
	_cleanup_dir_ DIR *dir = NULL;
	const struct dirent *entry;
	bool has_found = false;
	int r = open_folder(at_fd, name, &dir);

	if (r == 0 && may_be_missing)
		return 0;
	if (r <= 0)
		return disk_error(err, r < 0 ? errno : ENOENT,
				  "read a folder of", search->maildir->path);

	while (errno = 0, (entry = readdir(dir)) != NULL) {
		r = look_at(search, dirfd(dir), entry->d_name, err);
		if (r < 0)
			return -1;
		has_found = has_found || r > 0;
	}
	if (errno != 0)
		return disk_error(err, errno, "read a folder of",
				  search->maildir->path);
	if (!has_found || is_left_out(SAFEGUARD_RECOVERY_SYNC))
		return 0;
	return sync_dir(dirfd(dir), search->maildir->path, err);
}

static int search_subfolder(struct search *search, const char *name,
			    struct error *err)
{
	_cleanup_fd_ int fd = -1;

	fd = openat(search->maildir->dir_fd, name,
		    O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && (errno == ENOTDIR || errno == ENOENT))
		return 0; /* a file such as .mailboxlist, or just removed */
	if (fd < 0)
		return disk_error(err, errno, "read a folder of",
				  search->maildir->path);
	if (search_folder(search, fd, "new", true, err) < 0)
		return -1;
	return search_folder(search, fd, "cur", true, err);
}

static bool is_subfolder_name(const char *name)
{
	return name[0] == '.' && name[1] != '\0' && strcmp(name, "..") != 0;
}

static int search_subfolders(struct search *search, struct error *err)
{
	_cleanup_dir_ DIR *dir = NULL;
	const struct dirent *entry;

	if (open_folder(search->maildir->dir_fd, ".", &dir) <= 0)
		return disk_error(err, errno, "read", search->maildir->path);

	while (errno = 0, (entry = readdir(dir)) != NULL)
		if (is_subfolder_name(entry->d_name) &&
		    search_subfolder(search, entry->d_name, err) < 0)
			return -1;
	if (errno != 0)
		return disk_error(err, errno, "read", search->maildir->path);
	return 0;
}

/*
 * Mail wanders from new/ to cur/ to a subfolder, so they are read in that
 * order. A name that changes while its directory is read may be missed: what
 * was not found is looked for once more before it counts as absent.
 */
static int search_all(struct search *search, struct error *err)
{
	const struct maildir *maildir = search->maildir;

	for (unsigned round = 0; round < FIND_ROUNDS; round++) {
		search->has_moved = false;
		if (search_folder(search, maildir->new_fd, ".", false, err) <
			    0 ||
		    search_folder(search, maildir->cur_fd, ".", false, err) <
			    0 ||
		    search_subfolders(search, err) < 0)
			return -1;
		if (search->n_missing == 0 || (round > 0 && !search->has_moved))
			return 0;
	}
	return error_set(err, ERROR_LOCAL,
			 "mail in %s is moved about while we look for it",
			 maildir->path);
}

static int look_in_tmp(const struct maildir *maildir,
		       struct maildir_wanted *wanted, struct error *err)
{
	struct stat st;
	int r = fstatat(maildir->tmp_fd, wanted->base, &st,
			AT_SYMLINK_NOFOLLOW);

	if (r < 0 && errno == ENOENT)
		return 0;
	if (r < 0)
		return disk_error(err, errno, "read tmp/ of", maildir->path);
	if (!S_ISREG(st.st_mode))
		return 0;

	wanted->tmp_size_bytes = (uint64_t)st.st_size;
	wanted->has_twin_in_tmp = wanted->place == MAILDIR_IN_NEW;
	if (!wanted->has_twin_in_tmp)
		wanted->place = MAILDIR_IN_TMP;
	return 0;
}

int maildir_find(struct maildir *maildir, struct maildir_wanted *wanted,
		 size_t n_wanted, struct error *err)
{
	_cleanup_(search_done) struct search search = {
		.maildir = maildir,
		.n_wanted = n_wanted,
		.n_missing = n_wanted,
	};

	if (n_wanted == 0)
		return 0;
	search.sorted = calloc(n_wanted, sizeof(*search.sorted));
	if (!search.sorted)
		return error_set_memory(err);
	for (size_t i = 0; i < n_wanted; i++) {
		wanted[i].place = MAILDIR_NOWHERE;
		wanted[i].has_twin_in_tmp = false;
		wanted[i].tmp_size_bytes = 0;
		search.sorted[i] = &wanted[i];
	}
	qsort(search.sorted, n_wanted, sizeof(*search.sorted), compare_wanted);

	if (search_all(&search, err) < 0)
		return -1;
	for (size_t i = 0; i < n_wanted; i++)
		if (look_in_tmp(maildir, &wanted[i], err) < 0)
			return -1;
	return 0;
}

static bool take_char(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

static bool take_digits(const char **p)
{
	size_t len = strspn(*p, "0123456789");

	*p += len;
	return len > 0;
}

static bool is_our_base(const struct maildir *maildir, const char *name)
{
	const char *p = name;
	size_t tag_len = strlen(maildir->tag);

	if (!take_digits(&p) || !take_char(&p, '.') || !take_char(&p, 'M') ||
	    !take_digits(&p) || !take_char(&p, 'P') || !take_digits(&p) ||
	    !take_char(&p, 'Q') || !take_digits(&p) || !take_char(&p, 'R'))
		return false;
	if (strncmp(p, maildir->tag, tag_len) != 0)
		return false;
	p += tag_len;
	return take_char(&p, '.') && *p != '\0' &&
	       strlen(name) < MAILDIR_NAME_MAX;
}

struct name_list {
	char **names;
	size_t n;
	size_t cap;
};

static void name_list_done(struct name_list *list)
{
	maildir_names_free(list->names, list->n);
}

static int name_list_add(struct name_list *list, const char *name,
			 struct error *err)
{
	if (list->n == list->cap) {
		size_t cap = MAX(list->cap * 2, (size_t)64);
		char **names = reallocarray(list->names, cap, sizeof(*names));

		if (!names)
			return error_set_memory(err);
		list->names = names;
		list->cap = cap;
	}
	list->names[list->n] = strdup(name);
	if (!list->names[list->n])
		return error_set_memory(err);
	list->n++;
	return 0;
}

int maildir_list_tmp(struct maildir *maildir, char ***ret_names, size_t *ret_n,
		     struct error *err)
{
	_cleanup_(name_list_done) struct name_list list = { 0 };
	_cleanup_dir_ DIR *dir = NULL;
	const struct dirent *entry;

	if (open_folder(maildir->tmp_fd, ".", &dir) <= 0)
		return disk_error(err, errno, "read tmp/ of", maildir->path);
	while (errno = 0, (entry = readdir(dir)) != NULL)
		if (entry->d_type != DT_DIR &&
		    is_our_base(maildir, entry->d_name) &&
		    name_list_add(&list, entry->d_name, err) < 0)
			return -1;
	if (errno != 0)
		return disk_error(err, errno, "read tmp/ of", maildir->path);

	*ret_names = TAKE_PTR(list.names);
	*ret_n = list.n;
	list.n = 0;
	return 0;
}

void maildir_names_free(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}
