/*
 * trusts.c - the CAs to trust, loaded once for all workers to come.
 *
 * Loading costs 45 ms for a system's bundle and 1 ms for a file of one
 * certificate, each visit less than that. So the supervisor does it, and what it
 * forks shares the memory.
 *
 * Refuses, as root, a file that anybody else could have put there: a user must
 * not choose what root reads. The worker loads it with its user's rights.
 */
#include "trusts.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Each takes 40 KiB and more. What is beyond is left to the workers. */
#define FILES_MAX 16

/* A file that does not load is not tried at every visit. */
#define PAUSE_USEC USEC_PER_MINUTE

struct trusted_file {
	bool is_used;
	char *ca_file;           /* NULL: the system's */
	struct tls_trust *trust; /* NULL: never loaded */
	uint64_t failed_usec;    /* when loading failed; 0: it did not */
};

struct trusts {
	struct trusted_file files[FILES_MAX];
};

struct trusts *trusts_new(void)
{
	return calloc(1, sizeof(struct trusts));
}

void trusts_free(struct trusts **trusts)
{
	if (*trusts == NULL)
		return;
	for (size_t i = 0; i < FILES_MAX; i++) {
		tls_trust_free(&(*trusts)->files[i].trust);
		free((*trusts)->files[i].ca_file);
	}
	free(*trusts);
	*trusts = NULL;
}

static bool is_roots_alone(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_uid == 0 &&
	       (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* The file behind all links, and every directory on the way to it. */
static bool may_open(const char *path)
{
	char real[PATH_MAX];
	char *slash;

	if (geteuid() != 0)
		return true;
	if (realpath(path, real) == NULL)
		return false;
	while (is_roots_alone(real)) {
		slash = strrchr(real, '/');
		if (slash == real)
			return is_roots_alone("/");
		*slash = '\0';
	}
	return false;
}

static bool is_same_file(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a, b) == 0;
}

/* Its place, or a new one; NULL when there is none, or no memory. */
static struct trusted_file *find(struct trusts *trusts, const char *ca_file)
{
	for (size_t i = 0; i < FILES_MAX; i++) {
		struct trusted_file *file = &trusts->files[i];

		if (file->is_used && is_same_file(file->ca_file, ca_file))
			return file;
		if (file->is_used)
			continue;
		if (ca_file != NULL &&
		    (file->ca_file = strdup(ca_file)) == NULL)
			return NULL;
		file->is_used = true;
		return file;
	}
	return NULL;
}

/* What cannot be loaded leaves the old certificates in force. */
static void load(struct trusted_file *file)
{
	uint64_t now = now_usec(CLOCK_BOOTTIME);
	struct tls_trust *trust = NULL;
	struct error ignored = { 0 };

	tls_prepare(); /* for workers too that load their file themselves */
	if (file->failed_usec != 0 && now - file->failed_usec < PAUSE_USEC)
		return;
	if ((file->ca_file != NULL && !may_open(file->ca_file)) ||
	    tls_trust_load(file->ca_file, &trust, &ignored) < 0) {
		file->failed_usec = now;
		return;
	}
	tls_trust_free(&file->trust);
	file->trust = trust;
	file->failed_usec = 0;
}

const struct tls_trust *trusts_get(struct trusts *trusts, const char *ca_file)
{
	struct trusted_file *file = find(trusts, ca_file);

	if (file == NULL)
		return NULL;
	if (file->trust == NULL || tls_trust_is_stale(file->trust))
		load(file);
	return file->trust;
}
