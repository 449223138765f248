/*
 * corpus.c - makes test mail: corpus DIR COUNT MEDIAN_BYTES SEED [nul]
 *
 * Writes DIR/SEED-NUMBER for each message, the same bytes for the same
 * arguments on every machine. Sizes are log-normal: the median times twelve
 * random factors. Lines that begin with dots, long lines, empty lines and
 * 8-bit bytes are frequent, NUL bytes on demand. Lines end in LF, the last
 * one too, so that what POP3 carries is exactly what stands in the file.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base.h"

#define LONG_LINE_MAX 20000

struct corpus {
	uint64_t state; /* of the random numbers */
	bool nul;
};

/* splitmix64: small, and the same everywhere, which rand() is not. */
static uint64_t next(struct corpus *corpus)
{
	uint64_t z = corpus->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t below(struct corpus *corpus, uint64_t bound)
{
	return next(corpus) % bound;
}

/* Each factor lies in 0.61 .. 1.64, as often above 1 as below. */
static uint64_t log_normal(struct corpus *corpus, uint64_t median)
{
	uint64_t size = median;
	int i;

	for (i = 0; i < 12; i++) {
		uint64_t factor = 1000 + below(corpus, 640);

		if (below(corpus, 2))
			size = size * factor / 1000;
		else
			size = size * 1000 / factor;
	}
	return size;
}

static int random_byte(struct corpus *corpus)
{
	uint64_t kind = below(corpus, 40);

	if (kind == 0)
		return (int)(0x80 + below(corpus, 0x80));
	if (kind == 1 && corpus->nul)
		return '\0';
	return (int)(' ' + below(corpus, 95));
}

static uint64_t put_line(struct corpus *corpus, FILE *file)
{
	uint64_t kind = below(corpus, 200);
	uint64_t len = below(corpus, 77);
	uint64_t i;

	if (kind == 0)
		len = below(corpus, LONG_LINE_MAX);
	for (i = 0; i < len; i++) {
		bool dot = kind >= 1 && kind <= 12 && i <= kind % 3;

		(void)putc(dot ? '.' : random_byte(corpus), file);
	}
	(void)putc('\n', file);
	return len + 1;
}

static void put_message(struct corpus *corpus, FILE *file, const char *seed,
			unsigned number, uint64_t size)
{
	uint64_t written = 0;

	(void)fprintf(file,
		      "From: sender@example.org\n"
		      "To: reader@example.org\n"
		      "Subject: message %u of corpus %s\n"
		      "Message-ID: <%s.%u@example.org>\n"
		      "\n",
		      number, seed, seed, number);
	while (written < size)
		written += put_line(corpus, file);
	if (below(corpus, 8) == 0)
		(void)fputs(".\n", file);
}

static int write_message(struct corpus *corpus, char **argv, unsigned number)
{
	uint64_t median = strtoull(argv[3], NULL, 10);
	char path[4096];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s-%06u", argv[1], argv[4], number);
	file = fopen(path, "we");
	if (!file) {
		(void)fprintf(stderr, "corpus: %s: %s\n", path, strerror(errno));
		return -1;
	}

	put_message(corpus, file, argv[4], number, log_normal(corpus, median));
	if (ferror(file) | fclose(file)) {
		(void)fprintf(stderr, "corpus: %s: cannot write\n", path);
		return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct corpus corpus = { 0 };
	unsigned count, i;

	if (argc != 5 && !(argc == 6 && strcmp(argv[5], "nul") == 0)) {
		(void)fputs("usage: corpus DIR COUNT MEDIAN_BYTES SEED [nul]\n", stderr);
		return 64;
	}
	count = (unsigned)strtoul(argv[2], NULL, 10);
	corpus.state = strtoull(argv[4], NULL, 10);
	corpus.nul = argc == 6;

	for (i = 1; i <= count; i++)
		if (write_message(&corpus, argv, i) < 0)
			return 1;
	return 0;
}
