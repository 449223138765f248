/*
 * simulate.c - histories of worker, journal and recovery against a model
 * server and a model disk, each from one seed.
 *
 * simulate [--histories N] [--from SEED] [--jobs N] [--gaps N] [--until-found]
 *	runs so many and counts those that break a promise
 * simulate --seed SEED [--trace]
 *	runs one, and tells it
 *
 * Ends with 0 when there was no violation; with --until-found, when there was
 * one.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "history.h"
#include "vfs.h"
#include "world.h"

#define JOBS_MAX  64
#define SHOWN_MAX 10

struct options {
	uint64_t n_histories;
	uint64_t from;
	unsigned jobs;
	unsigned gaps;
	bool is_one;
	bool is_traced;
	bool until_found;
};

struct finding {
	uint64_t seed; /* 0 with an empty text: this job is done */
	char text[TROUBLE_MAX];
};

static int parse(int argc, char **argv, struct options *options)
{
	static const struct option names[] = {
		{ "histories", required_argument, NULL, 'n' },
		{ "from", required_argument, NULL, 'f' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "gaps", required_argument, NULL, 'g' },
		{ "seed", required_argument, NULL, 's' },
		{ "trace", no_argument, NULL, 't' },
		{ "until-found", no_argument, NULL, 'u' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		uint64_t number = optarg ? strtoull(optarg, NULL, 10) : 0;

		switch (c) {
		case 'n':
			options->n_histories = number;
			break;
		case 'f':
			options->from = number;
			break;
		case 'j':
			options->jobs = (unsigned)MIN(MAX(number, 1U),
						      (uint64_t)JOBS_MAX);
			break;
		case 'g':
			options->gaps = (unsigned)number;
			break;
		case 's':
			options->from = number;
			options->is_one = true;
			break;
		case 't':
			options->is_traced = true;
			break;
		case 'u':
			options->until_found = true;
			break;
		default:
			return -1;
		}
	}
	return optind == argc ? 0 : -1;
}

static int run_one(const struct options *options)
{
	history_run(options->from, options->gaps, options->is_traced);
	if (!world.has_violation) {
		(void)printf("seed %llu keeps every promise\n",
			     (unsigned long long)options->from);
		return EXIT_SUCCESS;
	}
	(void)printf("seed %llu: %s\n", (unsigned long long)options->from,
		     world.violation);
	return EXIT_FAILURE;
}

static void tell(int fd, const struct finding *finding)
{
	/* Short enough for a pipe to take as one. */
	if (write(fd, finding, sizeof(*finding)) != sizeof(*finding))
		_exit(EXIT_FAILURE);
}

static void run_share(const struct options *options, unsigned job, int fd)
{
	struct finding finding = { 0 };

	for (uint64_t i = job; i < options->n_histories; i += options->jobs) {
		history_run(options->from + i, options->gaps, false);
		if (!world.has_violation)
			continue;
		finding.seed = options->from + i;
		memcpy(finding.text, world.violation, sizeof(finding.text));
		tell(fd, &finding);
		if (options->until_found)
			break;
	}
	finding = (struct finding){ 0 };
	tell(fd, &finding);
}

/* Returns how many were found. */
static unsigned gather(const struct options *options, int fd,
		       unsigned *ret_done)
{
	struct finding finding;
	unsigned n_found = 0;

	*ret_done = 0;
	while (read(fd, &finding, sizeof(finding)) == sizeof(finding)) {
		if (finding.text[0] == '\0') {
			(*ret_done)++;
			continue;
		}
		if (n_found++ < SHOWN_MAX)
			(void)printf("seed %llu: %s\n",
				     (unsigned long long)finding.seed,
				     finding.text);
		(void)fflush(stdout);
	}
	if (n_found > 0 && !options->until_found)
		(void)printf("to see one: %s --seed N --trace\n",
			     "tests/simulation/simulate");
	return n_found;
}

static int run_many(const struct options *options)
{
	unsigned n_found, n_done;
	int fds[2];

	if (pipe(fds) < 0)
		return EXIT_FAILURE;
	for (unsigned job = 0; job < options->jobs; job++) {
		if (fork() != 0)
			continue;
		(void)close(fds[0]);
		run_share(options, job, fds[1]);
		exit(EXIT_SUCCESS); /* not _exit: leaks are looked for */
	}
	(void)close(fds[1]);
	n_found = gather(options, fds[0], &n_done);
	(void)close(fds[0]);
	for (int status; wait(&status) > 0;)
		if (status != 0)
			n_done = 0;

	(void)printf("%llu histories, %u violations\n",
		     (unsigned long long)options->n_histories, n_found);
	if (n_done != options->jobs) {
		(void)printf("a job died\n");
		return EXIT_FAILURE;
	}
	return (n_found > 0) == options->until_found ? EXIT_SUCCESS
						     : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct options options = { .n_histories = 1000, .from = 1, .jobs = 1 };

	if (parse(argc, argv, &options) < 0)
		return 2;
	vfs_install();
	return options.is_one ? run_one(&options) : run_many(&options);
}
