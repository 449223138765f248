/*
 * flush.h - many files to the disk at once.
 */
#pragma once

#include "base.h"

#define FLUSH_MAX 130 /* files in one call: a batch, and two directories */

/* All zero: nothing was asked of the kernel yet. */
struct flush {
	unsigned long context; /* the kernel's, 0: none */
	bool is_refused;       /* it gives none */
	size_t together_min;   /* so many files are worth it; 0: the default */
};

void flush_done(struct flush *flush);

/*
 * Syncs each of at most FLUSH_MAX files, exactly once and as fsync does, in no
 * order. results[i] is 0 or the errno of fds[i]. Returns 0 when all are on the
 * disk, or the errno of one that failed.
 */
int flush_files(struct flush *flush, const int *fds, size_t n, int *results)
	_must_check_;
