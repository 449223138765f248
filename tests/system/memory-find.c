/*
 * memory-find.c - looks for words in what another process can write to:
 * memory-find PID
 *
 * Reads lines "LABEL WORD" and prints "LABEL: COUNT bytes at ADDRESS in MAP" for each place
 * where at least eight bytes in a row of that word stand: memory that was freed
 * and used again may hold its end only. Words are best random throughout, or
 * their common parts are found everywhere. Exit status: 0 when it looked, at
 * whatever there was; 1 when it could not.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base.h"

#define WORD_MAX  512
#define WORDS_MAX 1024
#define PIECE     8          /* bytes that give a word away */
#define CHUNK     (1U << 20) /* read at a time */
#define FILTER    (1U << 16)

struct word {
	char label[64];
	char text[WORD_MAX];
	size_t len;
};

struct piece {
	uint64_t bytes;
	const struct word *word;
	size_t offset;
};

struct search {
	struct word words[WORDS_MAX];
	size_t n_words;
	struct piece *pieces; /* sorted by their bytes */
	size_t n_pieces;
	bool may_be[FILTER]; /* some piece has this hash */
};

static uint64_t bytes_at(const char *p)
{
	uint64_t bytes;

	memcpy(&bytes, p, sizeof(bytes));
	return bytes;
}

static size_t hash(uint64_t bytes)
{
	return (bytes * UINT64_C(0x9e3779b97f4a7c15)) >> 48;
}

static int compare_pieces(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int read_words(struct search *search)
{
	struct word *word = search->words;

	while (search->n_words < WORDS_MAX &&
	       scanf("%63s %511s", word->label, word->text) == 2) {
		word->len = strlen(word->text);
		if (word->len < PIECE)
			return -1;
		search->n_pieces += word->len - PIECE + 1;
		search->n_words++;
		word++;
	}
	return search->n_words > 0 && feof(stdin) ? 0 : -1;
}

static int cut_into_pieces(struct search *search)
{
	struct piece *piece = calloc(search->n_pieces, sizeof(*piece));

	if (piece == NULL)
		return -1;
	search->pieces = piece;
	for (size_t i = 0; i < search->n_words; i++) {
		const struct word *word = &search->words[i];

		for (size_t at = 0; at + PIECE <= word->len; at++) {
			*piece = (struct piece){ bytes_at(word->text + at),
						 word, at };
			search->may_be[hash(piece->bytes)] = true;
			piece++;
		}
	}
	qsort(search->pieces, search->n_pieces, sizeof(*piece), compare_pieces);
	return 0;
}

/* How many bytes of the word stand here, from the piece on. */
static size_t extent(const struct piece *piece, const char *data, size_t len)
{
	const char *text = piece->word->text + piece->offset;
	size_t n = MIN(piece->word->len - piece->offset, len);
	size_t same = 0;

	while (same < n && data[same] == text[same])
		same++;
	return same;
}

static void look_at(const struct search *search, const char *data, size_t len,
		    unsigned long address, const char *map)
{
	for (size_t at = 0; at + PIECE <= len; at++) {
		const struct piece wanted = { .bytes = bytes_at(data + at) };
		const struct piece *piece;
		size_t n;

		if (!search->may_be[hash(wanted.bytes)])
			continue;
		piece = bsearch(&wanted, search->pieces, search->n_pieces,
				sizeof(wanted), compare_pieces);
		if (piece == NULL)
			continue;
		n = extent(piece, data + at, len - at);
		printf("%s: %zu bytes at %lx in %s\n", piece->word->label, n,
		       address + at, map);
		at += n - PIECE;
	}
}

/* Parts of a map that cannot be read are left out, as the kernel's own are. */
static void look_through(const struct search *search, int memory,
			 unsigned long from, unsigned long to, const char *map)
{
	static char data[CHUNK + WORD_MAX];

	for (unsigned long at = from; at < to; at += CHUNK) {
		size_t wanted = MIN(to - at, sizeof(data));
		ssize_t len = pread(memory, data, wanted, (off_t)at);

		if (len > 0)
			look_at(search, data, (size_t)len, at, map);
	}
}

static int look_through_all(const struct search *search, const char *pid)
{
	char path[64], line[512];
	_cleanup_fd_ int memory = -1;
	FILE *maps;
	unsigned n_maps = 0;

	(void)snprintf(path, sizeof(path), "/proc/%s/mem", pid);
	memory = open(path, O_RDONLY | O_CLOEXEC);
	(void)snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	maps = fopen(path, "re");
	if (memory < 0 || maps == NULL)
		return -1;
	while (fgets(line, sizeof(line), maps) != NULL) {
		unsigned long from, to;
		char mode[5], name[256] = "anonymous";

		if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %255[^\n]", &from,
			   &to, mode, name) < 3 ||
		    strncmp(mode, "rw", 2) != 0)
			continue;
		look_through(search, memory, from, to, name);
		n_maps++;
	}
	(void)fclose(maps);
	return n_maps > 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
	static struct search search;

	if (argc != 2) {
		(void)fputs("usage: memory-find PID\n", stderr);
		return 64;
	}
	if (read_words(&search) < 0 || cut_into_pieces(&search) < 0) {
		(void)fputs("memory-find: no words, or bad ones\n", stderr);
		return 1;
	}
	if (look_through_all(&search, argv[1]) < 0) {
		(void)fprintf(stderr, "memory-find: process %s: %s\n", argv[1],
			      strerror(errno));
		return 1;
	}
	free(search.pieces);
	return 0;
}
