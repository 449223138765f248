/*
 * box.c - the mailbox that a session sees.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "box.h"

void box_init(struct box *box, const char *maildir)
{
	*box = (struct box){ .maildir = maildir, .lock_fd = -1 };
}

static void forget_mails(struct box *box)
{
	for (size_t i = 0; i < box->n_mails; i++) {
		text_done(&box->mails[i].wire);
		text_done(&box->mails[i].uid);
		free(box->mails[i].path);
	}
	free(box->mails);
	box->mails = NULL;
	box->n_mails = 0;
}

void box_done(struct box *box)
{
	box_close(box);
	forget_mails(box);
	free(box->numbered);
	box->numbered = NULL;
}

static struct mail *add_mail(struct box *box)
{
	struct mail *mail;

	box->mails = must_realloc(box->mails,
				  (box->n_mails + 1) * sizeof(*box->mails));
	mail = &box->mails[box->n_mails++];
	*mail = (struct mail){ 0 };
	return mail;
}

struct mail *box_add(struct box *box, struct text *wire)
{
	struct mail *mail = add_mail(box);
	char uid[32];
	int len = snprintf(uid, sizeof(uid), "uid-%zu", box->n_mails);

	text_append(&mail->uid, uid, (size_t)len);
	mail->wire = *wire;
	mail->size_bytes = wire->len;
	*wire = (struct text){ 0 };
	return mail;
}

/* The size on the wire: each LF that no CR precedes will leave as CRLF. */
static uint64_t wire_size(FILE *file)
{
	uint64_t size_bytes = 0;
	int before = '\n';
	int c;

	while ((c = getc_unlocked(file)) != EOF) {
		size_bytes += c == '\n' && before != '\r' ? 2 : 1;
		before = c;
	}
	/* The terminator needs a line's end before it. */
	return before == '\n' ? size_bytes : size_bytes + 2;
}

static void add_file(struct box *box, const char *folder, const char *name)
{
	char path[8192];
	struct mail *mail;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s/%s", box->maildir, folder,
		       name);
	file = fopen(path, "re");
	if (!file)
		return; /* a reader moved it meanwhile */
	mail = add_mail(box);
	mail->path = must_strdup(path);
	mail->size_bytes = wire_size(file);
	/* What a reader changes stands behind the colon. */
	text_append(&mail->uid, name, strcspn(name, ":"));
	(void)fclose(file);
}

static void add_folder(struct box *box, const char *folder)
{
	char path[4096];
	struct dirent **entries;
	int n;

	(void)snprintf(path, sizeof(path), "%s/%s", box->maildir, folder);
	n = scandir(path, &entries, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		if (entries[i]->d_name[0] != '.')
			add_file(box, folder, entries[i]->d_name);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

static bool open_maildir(struct box *box)
{
	box->lock_fd = open(box->maildir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (box->lock_fd < 0)
		return false;
	if (flock(box->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		fd_close(&box->lock_fd);
		return false;
	}
	forget_mails(box);
	add_folder(box, "cur");
	add_folder(box, "new");
	return true;
}

bool box_open(struct box *box)
{
	if (box->maildir && !open_maildir(box))
		return false;
	box->numbered = must_realloc(box->numbered,
				     box->n_mails * sizeof(*box->numbered));
	box->n_numbered = 0;
	for (size_t i = 0; i < box->n_mails; i++) {
		box->mails[i].is_marked = false;
		if (!box->mails[i].is_gone)
			box->numbered[box->n_numbered++] = i;
	}
	return true;
}

struct mail *box_mail(const struct box *box, size_t number)
{
	struct mail *mail;

	if (number < 1 || number > box->n_numbered)
		return NULL;
	mail = &box->mails[box->numbered[number - 1]];
	return mail->is_marked || mail->is_gone ? NULL : mail;
}

void box_reset(struct box *box)
{
	for (size_t i = 0; i < box->n_mails; i++)
		box->mails[i].is_marked = false;
}

void box_delete(struct mail *mail)
{
	if (mail->path)
		(void)unlink(mail->path); /* a test sees what stays */
	mail->is_gone = true;
}

void box_update(struct box *box)
{
	for (size_t i = 0; i < box->n_mails; i++) {
		struct mail *mail = &box->mails[i];

		if (mail->is_marked && !mail->is_gone)
			box_delete(mail);
		mail->is_marked = false;
	}
}

void box_close(struct box *box)
{
	fd_close(&box->lock_fd);
	box->n_numbered = 0;
}

size_t box_count(const struct box *box)
{
	size_t count = 0;

	for (size_t i = 0; i < box->n_mails; i++)
		count += !box->mails[i].is_gone;
	return count;
}
