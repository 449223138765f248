/*
 * flush.c - many files to the disk at once.
 *
 * Every fsync makes the disk empty its cache, which takes it about as long for
 * many files as for one. So all files are handed to the kernel together
 * (Linux AIO's fsync, 4.18): their waits overlap, and the block layer makes
 * few flushes of many. No thread of ours is needed. Each file still has a sync
 * and a result of its own. What the kernel does not take in this way is synced
 * one after the other.
 *
 * A process with an AIO context takes some 30 ms longer to end, since the
 * kernel waits until nobody can look at it any more: few files are not worth
 * it.
 */
#include "flush.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/syscall.h>

#define TOGETHER_MIN_DEFAULT 8
#define UNTOLD               (-1)

void flush_done(struct flush *flush)
{
	if (flush->context != 0)
		(void)syscall(SYS_io_destroy, flush->context); /* it is ours */
	flush->context = 0;
}

static bool has_context(struct flush *flush)
{
	if (flush->context == 0 && !flush->is_refused)
		flush->is_refused =
			syscall(SYS_io_setup, FLUSH_MAX, &flush->context) != 0;
	return flush->context != 0;
}

/* Returns how many of them, from the first on, the kernel has taken. */
static size_t submit(struct flush *flush, const int *fds, size_t n,
		     struct iocb *blocks)
{
	struct iocb *list[FLUSH_MAX];
	long n_taken;

	if (n < (flush->together_min > 0 ? flush->together_min
					 : TOGETHER_MIN_DEFAULT) ||
	    !has_context(flush))
		return 0;
	for (size_t i = 0; i < n; i++) {
		blocks[i] = (struct iocb){
			.aio_lio_opcode = IOCB_CMD_FSYNC,
			.aio_fildes = (uint32_t)fds[i],
		};
		list[i] = &blocks[i];
	}
	n_taken = syscall(SYS_io_submit, flush->context, (long)n, list);
	return n_taken > 0 ? (size_t)n_taken : 0;
}

/* The kernel tells no more: what it has not told of counts as failed. */
static void give_up(struct flush *flush, int *results, size_t n, int errnum)
{
	flush_done(flush); /* with what is on its way */
	flush->is_refused = true;
	for (size_t i = 0; i < n; i++)
		if (results[i] == UNTOLD)
			results[i] = errnum;
}

/* Waits for the results of the first n. */
static void collect(struct flush *flush, size_t n, const struct iocb *blocks,
		    int *results)
{
	struct io_event events[FLUSH_MAX];
	const struct iocb *block;
	size_t n_left = n;

	for (size_t i = 0; i < n; i++)
		results[i] = UNTOLD;
	while (n_left > 0) {
		long n_done = syscall(SYS_io_getevents, flush->context,
				      (long)n_left, (long)n_left, events, NULL);

		if (n_done < 0 && errno == EINTR)
			continue;
		if (n_done <= 0) {
			give_up(flush, results, n, n_done < 0 ? errno : EIO);
			return;
		}
		for (long i = 0; i < n_done; i++) {
			block = (const struct iocb *)(uintptr_t)events[i].obj;
			results[block - blocks] = (int)-events[i].res;
		}
		n_left -= (size_t)n_done;
	}
}

/* The disk begins with all of them before the first is waited for: a hint. */
static void sync_each(const int *fds, size_t n, int *results)
{
	for (size_t i = 0; n > 1 && i < n; i++)
		(void)sync_file_range(fds[i], 0, 0, SYNC_FILE_RANGE_WRITE);
	for (size_t i = 0; i < n; i++)
		results[i] = fsync(fds[i]) < 0 ? errno : 0;
}

int flush_files(struct flush *flush, const int *fds, size_t n, int *results)
{
	struct iocb blocks[FLUSH_MAX];
	size_t n_taken = submit(flush, fds, n, blocks);

	sync_each(fds + n_taken, n - n_taken, results + n_taken);
	collect(flush, n_taken, blocks, results);
	for (size_t i = 0; i < n; i++)
		if (results[i] != 0)
			return results[i];
	return 0;
}
