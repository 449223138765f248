/*
 * vfs.c - SQLite on the model's disk.
 *
 * Does what SQLite's own "unix" VFS does where it matters after a power cut:
 * sectors of 4096 bytes that are overwritten safely, and a directory that is
 * synced with the first sync of a journal or WAL that was made. No -shm file:
 * the journal is opened exclusively.
 */
#include "vfs.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "calls.h"
#include "disk.h"
#include "world.h"

struct file {
	sqlite3_file base;
	struct disk_node *node;
	struct disk_node *new_in; /* synced with the file's first sync */
	char name;                /* for the trace */
};

static struct disk_node *node_of(sqlite3_file *file)
{
	return ((struct file *)file)->node;
}

static int on_close(sqlite3_file *file)
{
	(void)file; /* the node is the disk's */
	return SQLITE_OK;
}

static int on_read(sqlite3_file *file, void *buf, int len, sqlite3_int64 at)
{
	const struct disk_image *image = &node_of(file)->now;
	size_t offset = (size_t)at, wanted = (size_t)len, there = 0;

	if (world_step(ACT_LOOK) != 0)
		return SQLITE_IOERR_READ;
	if (offset < image->len)
		there = MIN(wanted, image->len - offset);
	if (there > 0)
		memcpy(buf, image->bytes + offset, there);
	if (there == wanted)
		return SQLITE_OK;
	memset((char *)buf + there, 0, wanted - there);
	return SQLITE_IOERR_SHORT_READ;
}

static int on_write(sqlite3_file *file, const void *data, int len,
		    sqlite3_int64 at)
{
	bool was_dead = world.is_dead;
	int errnum = world_step(ACT_WRITE);

	if (errnum == 0) {
		disk_write(node_of(file), (size_t)at, data, (size_t)len);
		return SQLITE_OK;
	}
	if (!was_dead && len > 0 && dice_percent(50))
		disk_write(node_of(file), (size_t)at, data,
			   dice_below((unsigned)len));
	return errnum == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int on_truncate(sqlite3_file *file, sqlite3_int64 len)
{
	if (world_step(ACT_WRITE) != 0)
		return SQLITE_IOERR_TRUNCATE;
	disk_truncate(node_of(file), (size_t)len);
	return SQLITE_OK;
}

static int on_sync(sqlite3_file *file, int flags)
{
	struct file *f = (struct file *)file;

	(void)flags;
	if (world_step(ACT_SYNC) != 0) {
		if (!world.is_dead)
			disk_sync_fails(f->node);
		return SQLITE_IOERR_FSYNC;
	}
	trace("  disk: fsync %s #%u", f->name == 'w' ? "WAL" : "journal",
	      f->node->serial);
	disk_sync(f->node);
	if (f->new_in)
		disk_sync(f->new_in);
	f->new_in = NULL;
	return SQLITE_OK;
}

static int on_size(sqlite3_file *file, sqlite3_int64 *ret)
{
	if (world_step(ACT_LOOK) != 0)
		return SQLITE_IOERR_FSTAT;
	*ret = (sqlite3_int64)node_of(file)->now.len;
	return SQLITE_OK;
}

static int on_lock(sqlite3_file *file, int level)
{
	(void)file; /* mailhaul's own lock keeps others out */
	(void)level;
	return SQLITE_OK;
}

static int on_check_lock(sqlite3_file *file, int *ret)
{
	(void)file;
	*ret = 0;
	return SQLITE_OK;
}

static int on_control(sqlite3_file *file, int op, void *arg)
{
	(void)file;
	(void)op;
	(void)arg;
	return SQLITE_NOTFOUND;
}

static int on_sector_size(sqlite3_file *file)
{
	(void)file;
	return 4096;
}

static int on_characteristics(sqlite3_file *file)
{
	(void)file;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods methods = {
	.iVersion = 1,
	.xClose = on_close,
	.xRead = on_read,
	.xWrite = on_write,
	.xTruncate = on_truncate,
	.xSync = on_sync,
	.xFileSize = on_size,
	.xLock = on_lock,
	.xUnlock = on_lock,
	.xCheckReservedLock = on_check_lock,
	.xFileControl = on_control,
	.xSectorSize = on_sector_size,
	.xDeviceCharacteristics = on_characteristics,
};

static struct disk_node *parent_of(const char *path, const char **ret_name)
{
	char parent[512];
	const char *slash = strrchr(path, '/');

	*ret_name = slash + 1;
	(void)snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path),
		       path);
	return disk_find(disk_root(), parent);
}

static int on_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file,
		   int flags, int *ret_flags)
{
	struct file *f = (struct file *)file;
	struct disk_node *node, *parent;
	const char *name;

	(void)vfs;
	f->base.pMethods = NULL;
	if (!path) /* a temporary file: the journal needs none */
		return SQLITE_CANTOPEN;
	node = disk_find(disk_root(), path);
	if (world_step(node ? ACT_LOOK : ACT_MAKE) != 0)
		return SQLITE_CANTOPEN;
	f->new_in = NULL;
	if (!node) {
		if (!(flags & SQLITE_OPEN_CREATE))
			return SQLITE_CANTOPEN;
		parent = parent_of(path, &name);
		trace("  disk: make %s", path);
		node = disk_make(parent, name, false);
		f->new_in = parent;
	}
	f->node = node;
	f->name = flags & SQLITE_OPEN_WAL ? 'w' : 'd';
	f->base.pMethods = &methods;
	if (ret_flags)
		*ret_flags = flags;
	return SQLITE_OK;
}

static int on_delete(sqlite3_vfs *vfs, const char *path, int syncs_dir)
{
	const char *name;
	struct disk_node *parent = parent_of(path, &name);

	(void)vfs;
	if (world_step(ACT_REMOVE) != 0)
		return SQLITE_IOERR_DELETE;
	if (!disk_child(parent, name))
		return SQLITE_IOERR_DELETE_NOENT;
	trace("  disk: unlink %s", path);
	disk_remove(parent, name);
	if (syncs_dir)
		disk_sync(parent);
	return SQLITE_OK;
}

static int on_access(sqlite3_vfs *vfs, const char *path, int flags, int *ret)
{
	const struct disk_node *node = disk_find(disk_root(), path);

	(void)vfs;
	if (world_step(ACT_LOOK) != 0)
		return SQLITE_IOERR_ACCESS;
	/* As "unix" has it: an empty file counts as none. */
	*ret = node && (flags != SQLITE_ACCESS_EXISTS || node->now.len > 0);
	return SQLITE_OK;
}

static int on_full_path(sqlite3_vfs *vfs, const char *path, int cap, char *ret)
{
	(void)vfs;
	(void)snprintf(ret, (size_t)cap, "%s", path);
	return SQLITE_OK;
}

static int on_randomness(sqlite3_vfs *vfs, int len, char *ret)
{
	(void)vfs;
	for (int i = 0; i < len; i++)
		ret[i] = (char)dice_below(256);
	return len;
}

static int on_sleep(sqlite3_vfs *vfs, int usec)
{
	(void)vfs;
	world_wait((uint64_t)usec);
	return usec;
}

static int on_time(sqlite3_vfs *vfs, double *ret)
{
	(void)vfs;
	*ret = 2440587.5 + (double)(world.realtime_usec / USEC_PER_SEC) / 86400;
	return SQLITE_OK;
}

void vfs_install(void)
{
	static sqlite3_vfs vfs = {
		.iVersion = 1,
		.szOsFile = sizeof(struct file),
		.mxPathname = 512,
		.zName = "model",
		.xOpen = on_open,
		.xDelete = on_delete,
		.xAccess = on_access,
		.xFullPathname = on_full_path,
		.xRandomness = on_randomness,
		.xSleep = on_sleep,
		.xCurrentTime = on_time,
	};

	/* One thread, and nobody asks for statistics. */
	(void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	(void)sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 1200, 400);
	if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK)
		abort();
}
