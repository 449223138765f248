/*
 * secret.c - checks, reads, keeps and wipes secrets.
 *
 * Refuses what would end or split a POP3 command, and a file that others can
 * read. No message quotes a secret, or any part of one. Memory that held one
 * is overwritten before it is given back.
 */
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/*
 * Address space, not memory: pages come into being as they are written. It
 * holds a thousand secrets of the largest size, or a million ordinary ones.
 */
#define ARENA_SIZE ((size_t)64 * 1024 * 1024)

struct secret_arena {
	char *base;
	size_t used;
};

/* One byte more than the longest secret with CRLF, so that excess is seen. */
#define FILE_BUFFER_SIZE (SECRET_MAX + 3)

struct file_buffer {
	char data[FILE_BUFFER_SIZE];
	size_t len;
};

static void file_buffer_wipe(struct file_buffer *buffer)
{
	explicit_bzero(buffer->data, buffer->len);
}

void secret_wipe_string(char **string)
{
	if (*string != NULL)
		explicit_bzero(*string, strlen(*string));
	string_free(string);
}

void secret_wipe(struct secret *secret)
{
	if (secret->text != NULL)
		explicit_bzero(secret->text, secret->len);
	secret->len = 0;
}

void secret_done(struct secret *secret)
{
	secret_wipe(secret);
	free(secret->text);
	*secret = (struct secret){ 0 };
}

static bool is_all_zero(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] != '\0')
			return false;
	return true;
}

static int check_text(const char *text, size_t len, struct error *err)
{
	if (len == 0)
		return error_set(err, ERROR_CONFIG, "the secret is empty");
	if (len > SECRET_MAX)
		return error_set(err, ERROR_CONFIG,
				 "the secret is longer than %d bytes",
				 SECRET_MAX);
	if (is_all_zero(text, len))
		return error_set(err, ERROR_CONFIG,
				 "the secret holds nothing but NUL bytes");
	if (memchr(text, '\0', len) != NULL)
		return error_set(err, ERROR_CONFIG,
				 "the secret holds a NUL byte");
	if (memchr(text, '\r', len) != NULL || memchr(text, '\n', len) != NULL)
		return error_set(err, ERROR_CONFIG,
				 "the secret holds a line break");
	return 0;
}

int secret_set(struct secret *ret, const char *text, size_t len,
	       struct error *err)
{
	char *copy;

	if (check_text(text, len, err) < 0)
		return -1;
	copy = malloc(len + 1);
	if (copy == NULL)
		return error_set_memory(err);
	memcpy(copy, text, len);
	copy[len] = '\0';

	*ret = (struct secret){ .text = copy, .len = len };
	return 0;
}

static int check_file(int fd, const char *path, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERROR_CONFIG, "%s is not a regular file",
				 path);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return error_set(
			err, ERROR_CONFIG,
			"%s belongs to user %u, not to us (user %u) or root",
			path, st.st_uid, geteuid());
	if ((st.st_mode & 077) != 0)
		return error_set(
			err, ERROR_CONFIG,
			"%s has mode %04o: others could use the secret in it; "
			"run: chmod 600 %s",
			path, st.st_mode & 07777, path);
	return 0;
}

static int read_all(int fd, struct file_buffer *buffer)
{
	while (buffer->len < sizeof(buffer->data)) {
		ssize_t n = read(fd, buffer->data + buffer->len,
				 sizeof(buffer->data) - buffer->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		buffer->len += (size_t)n;
	}
	return 0;
}

static size_t len_without_newline(const char *data, size_t len)
{
	if (len > 0 && data[len - 1] == '\n')
		len--;
	else
		return len;
	if (len > 0 && data[len - 1] == '\r')
		len--;
	return len;
}

/* Want of memory or descriptors passes; a wrong path waits for an editor. */
static enum error_kind open_error_kind(int errnum)
{
	if (errnum == ENOMEM || errnum == EMFILE || errnum == ENFILE ||
	    errnum == EIO)
		return ERROR_LOCAL;
	return ERROR_CONFIG;
}

int secret_read_file(struct secret *ret, const char *path, struct error *err)
{
	_cleanup_(file_buffer_wipe) struct file_buffer buffer;
	_cleanup_fd_ int fd = -1;
	size_t len;

	buffer.len = 0; /* the rest is written by reading alone */
	/* O_NONBLOCK: a FIFO in the file's place must not hold the visit up. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return error_set_errno(err, open_error_kind(errno), errno,
				       "cannot open %s", path);
	if (check_file(fd, path, err) < 0)
		return -1;
	if (read_all(fd, &buffer) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot read %s", path);

	len = len_without_newline(buffer.data, buffer.len);
	if (secret_set(ret, buffer.data, len, err) < 0)
		return error_prefix(err, "%s", path);
	return 0;
}

struct secret_arena *secret_arena_new(void)
{
	struct secret_arena *arena = calloc(1, sizeof(*arena));
	void *base;

	if (arena == NULL)
		return NULL;
	base = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED) {
		free(arena);
		return NULL;
	}
	arena->base = base;

	/* Without both promises of the kernel there is no arena. */
	if (madvise(base, ARENA_SIZE, MADV_WIPEONFORK) < 0 ||
	    madvise(base, ARENA_SIZE, MADV_DONTDUMP) < 0)
		secret_arena_free(&arena);
	return arena;
}

void secret_arena_free(struct secret_arena **arena)
{
	if (*arena == NULL)
		return;
	explicit_bzero((*arena)->base, (*arena)->used);
	(void)munmap((*arena)->base, ARENA_SIZE); /* our own mapping, whole */
	free(*arena);
	*arena = NULL;
}

const char *secret_arena_add(struct secret_arena *arena, const char *text,
			     size_t len)
{
	char *copy = arena->base + arena->used;

	if (len >= ARENA_SIZE - arena->used)
		return NULL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	arena->used += len + 1;
	return copy;
}
