/*
 * disk.h - a file system in memory that forgets what was not synced.
 *
 * Each file has the bytes that processes see and those on the platter, and
 * between them the writes that were not synced; each directory has names in
 * the same three ways. A power cut keeps of what was not synced what the dice
 * say: any sectors of any write, any name made or removed. It promises as much
 * as facts/durability.md 2b and no more:
 *
 *   fsync of a file       its bytes and mode; not its name
 *   fsync of a directory  its names and mode
 *   a rename              never loses both names; an old one may stay behind
 *   a failed fsync        what was written before may be gone for good, and
 *                         the next fsync says nothing of it
 */
#pragma once

#include <sys/types.h>

#include "base.h"

#define DISK_NAME_MAX 112

struct disk_image {
	char *bytes;
	size_t len;
	size_t cap;
};

struct disk_change; /* a write or a truncation, not synced */
struct disk_deed;   /* a name made or removed, not synced */

struct disk_name {
	char text[DISK_NAME_MAX];
	struct disk_node *node;
};

struct disk_names {
	struct disk_name *names;
	size_t n;
	size_t cap;
};

struct disk_node {
	bool is_dir;
	unsigned serial;
	mode_t mode_now;
	mode_t mode_kept;

	struct disk_image now;
	struct disk_image kept;
	struct disk_change *changes;
	size_t n_changes;
	size_t cap_changes;

	struct disk_names names_now;
	struct disk_names names_kept;
	struct disk_deed *deeds;
	size_t n_deeds;
	size_t cap_deeds;

	struct disk_node *next; /* of all */
};

void disk_begin(void); /* an empty root */
void disk_end(void);

struct disk_node *disk_root(void);

/* NULL and errno when there is none. */
struct disk_node *disk_find(struct disk_node *dir, const char *path);
struct disk_node *disk_child(const struct disk_node *dir, const char *name);

/* Nothing here counts a step or fails: that is calls.c and vfs.c's business. */
struct disk_node *disk_make(struct disk_node *dir, const char *name,
			    bool is_dir);
void disk_remove(struct disk_node *dir, const char *name);
void disk_move(struct disk_node *from_dir, const char *from,
	       struct disk_node *to_dir, const char *to);
void disk_link(struct disk_node *dir, const char *name, struct disk_node *node);
void disk_write(struct disk_node *file, size_t offset, const char *bytes,
		size_t len);
void disk_set_mode(struct disk_node *node, mode_t mode);
void disk_truncate(struct disk_node *file, size_t len);

void disk_sync(struct disk_node *node);
void disk_sync_fails(struct disk_node *node);
void disk_sync_all(void); /* as if all had been there for long */

void disk_power_cut(void);
