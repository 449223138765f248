/*
 * mailstore.c - the Maildir as others see it: its layout, and its readers.
 *
 * Readers do not sync, except sometimes.
 */
#include "mailstore.h"

#include <stdio.h>
#include <string.h>

#include "promises.h"
#include "world.h"

void mailstore_make(bool has_maildir)
{
	struct disk_node *sim = disk_make(disk_root(), "sim", true);
	struct disk_node *home = disk_make(sim, "home", true);

	(void)disk_make(sim, "state", true);
	if (has_maildir) {
		struct disk_node *maildir = disk_make(home, "Maildir", true);

		(void)disk_make(maildir, "tmp", true);
		(void)disk_make(maildir, "new", true);
		(void)disk_make(maildir, "cur", true);
	}
	disk_sync_all();
}

static struct disk_node *maildir_node(bool is_platter)
{
	struct disk_node *home = disk_find(disk_root(), "/sim/home");

	if (!is_platter)
		return disk_child(home, "Maildir");
	return home->names_kept.n > 0 ? home->names_kept.names[0].node : NULL;
}

static const struct disk_names *names_of(const struct disk_node *dir,
					 bool is_platter)
{
	return is_platter ? &dir->names_kept : &dir->names_now;
}

static void walk_folder(const char *folder, const struct disk_node *dir,
			bool is_platter, mailstore_visitor *visitor,
			void *userdata)
{
	const struct disk_names *names = names_of(dir, is_platter);

	for (size_t i = 0; i < names->n; i++)
		if (!names->names[i].node->is_dir)
			visitor(folder, &names->names[i], userdata);
}

static void walk_parts(const struct disk_node *dir, bool is_platter,
		       mailstore_visitor *visitor, void *userdata)
{
	const struct disk_names *names = names_of(dir, is_platter);

	for (size_t i = 0; i < names->n; i++) {
		const struct disk_name *name = &names->names[i];

		if (name->text[0] == '.')
			walk_parts(name->node, is_platter, visitor, userdata);
		else if (name->node->is_dir && strcmp(name->text, "tmp") != 0)
			walk_folder(name->text, name->node, is_platter, visitor,
				    userdata);
	}
}

void mailstore_walk(bool is_platter, mailstore_visitor *visitor, void *userdata)
{
	const struct disk_node *maildir = maildir_node(is_platter);

	if (maildir)
		walk_parts(maildir, is_platter, visitor, userdata);
}

unsigned mailstore_count_tmp(void)
{
	const struct disk_node *tmp =
		disk_find(disk_root(), MAILSTORE_PATH "/tmp");

	return tmp ? (unsigned)tmp->names_now.n : 0;
}

/* ---- readers ---- */

/* Made durably: what is moved there is lost with it otherwise. */
static struct disk_node *subfolder(void)
{
	struct disk_node *maildir = maildir_node(false);
	struct disk_node *folder = disk_child(maildir, ".Archive");

	if (!folder) {
		folder = disk_make(maildir, ".Archive", true);
		(void)disk_make(folder, "cur", true);
		disk_sync(maildir);
		disk_sync(folder);
	}
	return disk_child(folder, "cur");
}

static void move_with_flags(struct disk_node *from_dir, const char *name,
			    struct disk_node *to_dir)
{
	static const char *const flags[] = { "", "S", "RS", "FS" };
	char from[DISK_NAME_MAX], to[DISK_NAME_MAX];

	(void)snprintf(from, sizeof(from), "%s", name);
	(void)snprintf(to, sizeof(to), "%.*s:2,%s",
		       (int)MIN(strcspn(from, ":"), (size_t)90), from,
		       flags[dice_below(ARRAY_SIZE(flags))]);
	if (disk_child(to_dir, to))
		return;
	trace("reader: %s goes to %s", from, to);
	disk_move(from_dir, from, to_dir, to);
}

static void remove_mail(struct disk_node *dir, const struct disk_name *name,
			bool is_early)
{
	char text[DISK_NAME_MAX];

	trace("reader: %s is removed", name->text);
	promises_note_removed(name->text, name->node->now.bytes,
			      name->node->now.len, is_early);
	(void)snprintf(text, sizeof(text), "%s", name->text);
	disk_remove(dir, text);
}

static void read_mail(struct disk_node *dir, const struct disk_name *name,
		      bool may_remove, bool is_early)
{
	struct disk_node *cur = disk_child(maildir_node(false), "cur");

	if (may_remove && dice_percent(30))
		remove_mail(dir, name, is_early);
	else if (dice_percent(20))
		move_with_flags(dir, name->text, subfolder());
	else
		move_with_flags(dir, name->text, cur);
}

static void read_folder(struct disk_node *dir, bool may_remove, bool is_early)
{
	if (!dir)
		return;
	/* From the end: what is moved or removed makes no other jump ahead. */
	for (size_t i = dir->names_now.n; i > 0; i--)
		if (i <= dir->names_now.n && dice_percent(40))
			read_mail(dir, &dir->names_now.names[i - 1], may_remove,
				  is_early);
	if (dice_percent(30))
		disk_sync(dir);
}

void mailstore_read(bool may_remove, bool is_early)
{
	struct disk_node *maildir = maildir_node(false);

	if (!maildir)
		return;
	read_folder(disk_child(maildir, "new"), may_remove, is_early);
	read_folder(disk_child(maildir, "cur"), may_remove, is_early);
}

void mailstore_clean_tmp(void)
{
	struct disk_node *tmp = disk_find(disk_root(), MAILSTORE_PATH "/tmp");
	char name[DISK_NAME_MAX];

	while (tmp && tmp->names_now.n > 0) {
		(void)snprintf(name, sizeof(name), "%s",
			       tmp->names_now.names[0].text);
		trace("cleaner: %s is removed from tmp/", name);
		disk_remove(tmp, name);
	}
}
