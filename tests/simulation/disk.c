/*
 * disk.c - a file system in memory that forgets what was not synced.
 *
 * Nodes live until the history ends, so that pointers to what was removed stay
 * good. Running out of memory ends the program: it is a test.
 */
#include "disk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "world.h"

#define SECTOR 512

enum change_kind {
	CHANGE_WRITE = 0,
	CHANGE_TRUNCATE,
};

struct disk_change {
	enum change_kind kind;
	size_t offset; /* or the new length */
	size_t len;
	char *bytes;
};

enum deed_kind {
	DEED_MADE = 0,
	DEED_REMOVED,
};

/* Two deeds that are one: the name may not be gone before the other is there. */
struct disk_move {
	struct disk_node *to_dir;
	bool is_kept; /* the new name is on the platter */
	struct disk_move *next;
};

struct disk_deed {
	enum deed_kind kind;
	char name[DISK_NAME_MAX];
	struct disk_node *node;
	struct disk_move *move; /* or NULL */
};

static struct disk_node *all_nodes;
static struct disk_move *all_moves;
static struct disk_node *root;
static unsigned n_nodes;

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static struct disk_node *node_new(bool is_dir)
{
	struct disk_node *node = must(calloc(1, sizeof(*node)));

	node->is_dir = is_dir;
	node->serial = ++n_nodes;
	node->mode_now = is_dir ? 0700 : 0600;
	node->mode_kept = node->mode_now;
	node->next = all_nodes;
	all_nodes = node;
	return node;
}

static void forget_changes(struct disk_node *node)
{
	for (size_t i = 0; i < node->n_changes; i++)
		free(node->changes[i].bytes);
	node->n_changes = 0;
}

static void node_free(struct disk_node *node)
{
	forget_changes(node);
	free(node->changes);
	free(node->deeds);
	free(node->now.bytes);
	free(node->kept.bytes);
	free(node->names_now.names);
	free(node->names_kept.names);
	free(node);
}

void disk_begin(void)
{
	n_nodes = 0;
	root = node_new(true);
}

void disk_end(void)
{
	while (all_nodes) {
		struct disk_node *node = all_nodes;

		all_nodes = node->next;
		node_free(node);
	}
	while (all_moves) {
		struct disk_move *move = all_moves;

		all_moves = move->next;
		free(move);
	}
	root = NULL;
}

struct disk_node *disk_root(void)
{
	return root;
}

/* ---- names ---- */

static struct disk_name *names_find(const struct disk_names *names,
				    const char *text)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->names[i].text, text) == 0)
			return &names->names[i];
	return NULL;
}

static void names_set(struct disk_names *names, const char *text,
		      struct disk_node *node)
{
	struct disk_name *name = names_find(names, text);

	if (!name) {
		if (names->n == names->cap) {
			names->cap = MAX(names->cap * 2, (size_t)8);
			names->names =
				must(reallocarray(names->names, names->cap,
						  sizeof(*names->names)));
		}
		name = &names->names[names->n++];
		(void)snprintf(name->text, sizeof(name->text), "%s", text);
	}
	name->node = node;
}

static void names_drop(struct disk_names *names, const char *text)
{
	struct disk_name *name = names_find(names, text);

	if (name)
		*name = names->names[--names->n];
}

static void names_copy(struct disk_names *to, const struct disk_names *from)
{
	to->n = 0;
	for (size_t i = 0; i < from->n; i++)
		names_set(to, from->names[i].text, from->names[i].node);
}

struct disk_node *disk_child(const struct disk_node *dir, const char *name)
{
	const struct disk_name *found;

	if (strcmp(name, ".") == 0)
		return (struct disk_node *)dir;
	found = names_find(&dir->names_now, name);
	return found ? found->node : NULL;
}

struct disk_node *disk_find(struct disk_node *dir, const char *path)
{
	struct disk_node *node = path[0] == '/' ? root : dir;
	char name[DISK_NAME_MAX];

	while (node) {
		size_t len;

		path += strspn(path, "/");
		if (*path == '\0')
			return node;
		if (!node->is_dir) {
			errno = ENOTDIR;
			return NULL;
		}
		len = strcspn(path, "/");
		if (len >= sizeof(name))
			break;
		memcpy(name, path, len);
		name[len] = '\0';
		path += len;
		node = disk_child(node, name);
	}
	errno = ENOENT;
	return NULL;
}

/* ---- names made and removed ---- */

static void add_deed(struct disk_node *dir, enum deed_kind kind,
		     const char *name, struct disk_node *node,
		     struct disk_move *move)
{
	struct disk_deed *deed;

	if (strlen(name) >= DISK_NAME_MAX)
		abort();
	if (dir->n_deeds == dir->cap_deeds) {
		dir->cap_deeds = MAX(dir->cap_deeds * 2, (size_t)8);
		dir->deeds = must(reallocarray(dir->deeds, dir->cap_deeds,
					       sizeof(*dir->deeds)));
	}
	deed = &dir->deeds[dir->n_deeds++];
	*deed = (struct disk_deed){ .kind = kind, .node = node, .move = move };
	(void)snprintf(deed->name, sizeof(deed->name), "%s", name);

	if (kind == DEED_MADE)
		names_set(&dir->names_now, name, node);
	else
		names_drop(&dir->names_now, name);
}

struct disk_node *disk_make(struct disk_node *dir, const char *name,
			    bool is_dir)
{
	struct disk_node *node = node_new(is_dir);

	add_deed(dir, DEED_MADE, name, node, NULL);
	return node;
}

void disk_link(struct disk_node *dir, const char *name, struct disk_node *node)
{
	add_deed(dir, DEED_MADE, name, node, NULL);
}

void disk_remove(struct disk_node *dir, const char *name)
{
	add_deed(dir, DEED_REMOVED, name, NULL, NULL);
}

void disk_move(struct disk_node *from_dir, const char *from,
	       struct disk_node *to_dir, const char *to)
{
	struct disk_move *move = must(calloc(1, sizeof(*move)));

	move->to_dir = to_dir;
	move->next = all_moves;
	all_moves = move;
	add_deed(to_dir, DEED_MADE, to, disk_child(from_dir, from), move);
	add_deed(from_dir, DEED_REMOVED, from, NULL, move);
}

static void keep_made(struct disk_node *dir, const struct disk_deed *deed)
{
	names_set(&dir->names_kept, deed->name, deed->node);
	if (deed->move)
		deed->move->is_kept = true;
}

/* Keeps the first deed that made something: of this move, or of this node. */
static bool force_made(struct disk_node *dir, const struct disk_move *move,
		       const struct disk_node *node)
{
	for (size_t i = 0; i < dir->n_deeds; i++) {
		struct disk_deed *deed = &dir->deeds[i];

		if (deed->kind != DEED_MADE ||
		    (move ? deed->move != move : deed->node != node))
			continue;
		keep_made(dir, deed);
		dir->n_deeds--;
		memmove(deed, deed + 1,
			(dir->n_deeds - i) * sizeof(*dir->deeds));
		return true;
	}
	return false;
}

static void force_dir(struct disk_node *dir)
{
	for (struct disk_node *node = all_nodes; node; node = node->next)
		if (node->is_dir && force_made(node, NULL, dir))
			force_dir(node);
}

/*
 * The old name goes to the platter: so must the new one, wherever it is, with
 * the directories that it is in.
 */
static void force_move(struct disk_move *move)
{
	if (!move->is_kept)
		(void)force_made(move->to_dir, move, NULL);
	force_dir(move->to_dir);
}

static void sync_names(struct disk_node *dir)
{
	while (dir->n_deeds > 0) {
		struct disk_deed deed = dir->deeds[0];

		dir->n_deeds--;
		memmove(dir->deeds, dir->deeds + 1,
			dir->n_deeds * sizeof(*dir->deeds));
		if (deed.kind == DEED_MADE) {
			keep_made(dir, &deed);
			continue;
		}
		if (deed.move && !deed.move->is_kept)
			force_move(deed.move);
		names_drop(&dir->names_kept, deed.name);
	}
}

/* ---- bytes ---- */

static void image_resize(struct disk_image *image, size_t len)
{
	if (len > image->cap) {
		image->cap = MAX(image->cap * 2, MAX(len, (size_t)256));
		image->bytes = must(realloc(image->bytes, image->cap));
	}
	if (len > image->len)
		memset(image->bytes + image->len, 0, len - image->len);
	image->len = len;
}

static void image_write(struct disk_image *image, size_t offset,
			const char *bytes, size_t len)
{
	if (len == 0)
		return;
	if (offset + len > image->len)
		image_resize(image, offset + len);
	memcpy(image->bytes + offset, bytes, len);
}

static void image_copy(struct disk_image *to, const struct disk_image *from)
{
	image_resize(to, from->len);
	if (from->len > 0)
		memcpy(to->bytes, from->bytes, from->len);
}

static struct disk_change *add_change(struct disk_node *file)
{
	if (file->n_changes == file->cap_changes) {
		file->cap_changes = MAX(file->cap_changes * 2, (size_t)8);
		file->changes =
			must(reallocarray(file->changes, file->cap_changes,
					  sizeof(*file->changes)));
	}
	return &file->changes[file->n_changes++];
}

void disk_write(struct disk_node *file, size_t offset, const char *bytes,
		size_t len)
{
	char *copy = must(malloc(len + 1));

	memcpy(copy, bytes, len);
	*add_change(file) = (struct disk_change){
		.kind = CHANGE_WRITE,
		.offset = offset,
		.len = len,
		.bytes = copy,
	};
	image_write(&file->now, offset, bytes, len);
}

void disk_truncate(struct disk_node *file, size_t len)
{
	*add_change(file) = (struct disk_change){
		.kind = CHANGE_TRUNCATE,
		.offset = len,
	};
	image_resize(&file->now, len);
}

static void keep_change(struct disk_node *file,
			const struct disk_change *change)
{
	if (change->kind == CHANGE_TRUNCATE)
		image_resize(&file->kept, change->offset);
	else
		image_write(&file->kept, change->offset, change->bytes,
			    change->len);
}

static void sync_bytes(struct disk_node *file)
{
	for (size_t i = 0; i < file->n_changes; i++)
		keep_change(file, &file->changes[i]);
	forget_changes(file);
}

void disk_set_mode(struct disk_node *node, mode_t mode)
{
	node->mode_now = mode;
}

void disk_sync(struct disk_node *node)
{
	node->mode_kept = node->mode_now;
	if (node->is_dir)
		sync_names(node);
	else
		sync_bytes(node);
}

void disk_sync_all(void)
{
	for (struct disk_node *node = all_nodes; node; node = node->next)
		disk_sync(node);
}

/* ---- what the platter keeps ---- */

/* Each sector by itself; a lost one before a kept one reads as zeroes. */
static void keep_some_sectors(struct disk_node *file,
			      const struct disk_change *change,
			      unsigned percent)
{
	size_t done = 0;

	while (done < change->len) {
		size_t at = change->offset + done;
		size_t len = MIN(SECTOR - at % SECTOR, change->len - done);

		if (dice_percent(percent))
			image_write(&file->kept, at, change->bytes + done, len);
		done += len;
	}
}

static void keep_some_changes(struct disk_node *file, unsigned percent)
{
	for (size_t i = 0; i < file->n_changes; i++) {
		const struct disk_change *change = &file->changes[i];

		if (change->kind == CHANGE_WRITE)
			keep_some_sectors(file, change, percent);
		else if (dice_percent(percent))
			keep_change(file, change);
	}
	forget_changes(file);
}

/* The length came to the platter before the bytes did. */
static void keep_length(struct disk_node *file)
{
	if (file->now.len > file->kept.len)
		image_resize(&file->kept, file->now.len);
}

void disk_sync_fails(struct disk_node *node)
{
	if (node->is_dir)
		return; /* what is known of names is tried again */
	keep_some_changes(node, dice_percent(50) ? 0 : 50);
}

static void decide_moves(struct disk_node *dir, unsigned percent)
{
	for (size_t i = 0; i < dir->n_deeds; i++) {
		struct disk_deed *deed = &dir->deeds[i];

		if (deed->kind == DEED_MADE && deed->move)
			deed->move->is_kept = dice_percent(percent);
	}
}

static void keep_some_deeds(struct disk_node *dir, unsigned percent)
{
	for (size_t i = 0; i < dir->n_deeds; i++) {
		struct disk_deed *deed = &dir->deeds[i];
		bool is_kept = deed->move ? deed->move->is_kept
					  : dice_percent(percent);

		if (!is_kept)
			continue;
		if (deed->kind == DEED_MADE)
			names_set(&dir->names_kept, deed->name, deed->node);
		else if (!deed->move || dice_percent(percent))
			names_drop(&dir->names_kept, deed->name);
	}
	dir->n_deeds = 0;
}

static unsigned some_percent(void)
{
	static const unsigned char often[] = { 0, 0, 25, 50, 75, 100, 100 };

	return often[dice_below(ARRAY_SIZE(often))];
}

void disk_power_cut(void)
{
	unsigned names_percent = some_percent();
	unsigned bytes_percent = some_percent();
	bool keeps_lengths = dice_percent(30);

	trace("  --- power cut: of what was not synced, %u%% of the names and "
	      "%u%% of the sectors stay%s",
	      names_percent, bytes_percent,
	      keeps_lengths ? ", and all lengths" : "");
	for (struct disk_node *node = all_nodes; node; node = node->next)
		if (node->is_dir)
			decide_moves(node, names_percent);
	for (struct disk_node *node = all_nodes; node; node = node->next) {
		if (dice_percent(names_percent))
			node->mode_kept = node->mode_now;
		node->mode_now = node->mode_kept;
		if (node->is_dir) {
			keep_some_deeds(node, names_percent);
			names_copy(&node->names_now, &node->names_kept);
			continue;
		}
		if (keeps_lengths)
			keep_length(node);
		keep_some_changes(node, bytes_percent);
		image_copy(&node->now, &node->kept);
	}
}
