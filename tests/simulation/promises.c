/*
 * promises.c - what must hold of the server, the Maildir and its readers.
 *
 * Files are told apart by their base names, up to the first ',' or ':', since a
 * power cut may leave both names of a move.
 */
#include "promises.h"

#include <stdio.h>
#include <string.h>

#include "disk.h"
#include "mailstore.h"
#include "world.h"

#define BASES_MAX 512

struct copy {
	char base[DISK_NAME_MAX];
	unsigned content;
	bool is_early;
};

struct copies {
	struct copy copies[BASES_MAX];
	unsigned n;
};

static struct copies removed; /* by readers */

void promises_begin(void)
{
	removed.n = 0;
}

static void make_base(char base[DISK_NAME_MAX], const char *file_name)
{
	(void)snprintf(base, DISK_NAME_MAX, "%.*s",
		       (int)strcspn(file_name, ",:"), file_name);
}

static const struct copy *find_base(const struct copies *copies,
				    const char *base)
{
	for (unsigned i = 0; i < copies->n; i++)
		if (strcmp(copies->copies[i].base, base) == 0)
			return &copies->copies[i];
	return NULL;
}

static void add_copy(struct copies *copies, const char *file_name,
		     unsigned content, bool is_early)
{
	struct copy copy = { .content = content, .is_early = is_early };

	make_base(copy.base, file_name);
	if (find_base(copies, copy.base))
		return;
	if (copies->n == BASES_MAX)
		abort();
	copies->copies[copies->n++] = copy;
}

/* The number of the message that these bytes are, or 0. */
static unsigned content_of(const char *bytes, size_t len)
{
	char head[24];
	unsigned id;

	(void)snprintf(head, sizeof(head), "%.*s",
		       (int)MIN(len, sizeof(head) - 1), len > 0 ? bytes : "");
	if (sscanf(head, "Subject: %u", &id) != 1 || id == 0 ||
	    id > server.n_contents)
		return 0;
	if (server.contents[id - 1].file_len != len ||
	    memcmp(server.contents[id - 1].file, bytes, len) != 0)
		return 0;
	return id;
}

struct look {
	struct copies *copies;
	bool is_platter;
	bool is_strict; /* what is no message breaks a promise */
};

static void look_at(const char *folder, const struct disk_name *name,
		    void *userdata)
{
	const struct look *look = userdata;
	const struct disk_image *image = look->is_platter ? &name->node->kept
							  : &name->node->now;
	unsigned content = content_of(image->bytes, image->len);

	if (content != 0)
		add_copy(look->copies, name->text, content, false);
	else if (look->is_strict)
		violation("%s/%s is no message as the server sent it (%zu "
			  "bytes)",
			  folder, name->text, image->len);
}

static void collect(struct copies *copies, bool is_platter, bool is_strict)
{
	struct look look = { .copies = copies,
			     .is_platter = is_platter,
			     .is_strict = is_strict };

	copies->n = 0;
	mailstore_walk(is_platter, look_at, &look);
}

/* In the Maildir, or once there and then removed by a reader. */
static unsigned count_copies(const struct copies *there, unsigned content)
{
	unsigned n = 0;

	for (unsigned i = 0; i < there->n; i++)
		n += there->copies[i].content == content;
	for (unsigned i = 0; i < removed.n; i++)
		n += removed.copies[i].content == content &&
		     !find_base(there, removed.copies[i].base);
	return n;
}

static unsigned count_early(unsigned content)
{
	unsigned n = 0;

	for (unsigned i = 0; i < removed.n; i++)
		n += removed.copies[i].content == content &&
		     removed.copies[i].is_early;
	return n;
}

struct tally {
	unsigned letters; /* that ever were on the server */
	unsigned gone;    /* by our DELE */
	unsigned here;
	bool is_inexact; /* copies that nobody could tell apart */
};

static struct tally tally_of(unsigned content)
{
	struct tally tally = { 0 };

	for (unsigned i = 0; i < server.n_letters; i++) {
		const struct letter *letter = &server.letters[i];

		if (letter->content->id != content)
			continue;
		tally.letters++;
		tally.gone += letter->leave == LEAVE_DELETED;
		tally.here += letter->leave == LEAVE_NOT;
		tally.is_inexact = tally.is_inexact || letter->is_twin;
	}
	return tally;
}

void promises_check_dele(const struct letter *letter)
{
	static struct copies there;
	struct tally tally = tally_of(letter->content->id);
	unsigned needed = 1 + tally.gone;

	if (server.is_to_keep)
		violation("DELE of message %u, which was to be kept",
			  letter->content->id);
	for (unsigned i = 0; i < server.n_letters; i++)
		needed += server.letters[i].content == letter->content &&
			  server.letters[i].leave == LEAVE_NOT &&
			  server.letters[i].is_marked;
	if (tally.is_inexact)
		needed = 1;
	collect(&there, true, false);
	if (count_copies(&there, letter->content->id) < needed)
		violation("DELE of message %u, which is not durable in the "
			  "Maildir",
			  letter->content->id);
}

void promises_check_retr(const struct letter *letter)
{
	const struct nature *nature = &server.nature;

	if (letter->is_recorded && !letter->is_twin && !nature->has_confused &&
	    nature->has_unique_uids && nature->has_uidl)
		violation("message %u is fetched again", letter->content->id);
}

void promises_note_recorded(void)
{
	static struct copies there;

	collect(&there, false, false);
	for (unsigned i = 0; i < server.n_letters; i++) {
		struct letter *letter = &server.letters[i];

		letter->is_recorded =
			letter->is_recorded ||
			count_copies(&there, letter->content->id) > 0;
	}
}

void promises_note_removed(const char *file_name, const char *bytes, size_t len,
			   bool is_early)
{
	add_copy(&removed, file_name, content_of(bytes, len), is_early);
}

static void check_content(const struct copies *there, unsigned content)
{
	struct tally tally = tally_of(content);
	unsigned n = count_copies(there, content);
	unsigned needed = tally.gone;

	if (tally.is_inexact)
		needed = MIN(needed, 1U);
	if (n < needed)
		violation("message %u is lost: deleted on the server, and not "
			  "in the Maildir",
			  content);
	if (n > tally.letters + count_early(content))
		violation("message %u is there %u times", content, n);
}

void promises_check(void)
{
	static struct copies there;

	collect(&there, false, true);
	for (unsigned i = 1; i <= server.n_contents; i++)
		check_content(&there, i);
}

void promises_check_end(bool keeps_mail)
{
	static struct copies there;

	promises_check();
	if (mailstore_count_tmp() > 0)
		violation("%u files are left in tmp/", mailstore_count_tmp());
	collect(&there, false, true);
	for (unsigned i = 1; i <= server.n_contents; i++) {
		struct tally tally = tally_of(i);

		if (tally.here > 0 && !keeps_mail)
			violation("message %u is left on the server", i);
		if (tally.here > 0 && count_copies(&there, i) == 0)
			violation("message %u was never delivered", i);
	}
}
