/*
 * base.h - what every file may use: attributes, ownership, time.
 *
 * Locals that own something carry _cleanup_(destructor) and are handed over
 * with TAKE_PTR or TAKE_FD, so that every early return is a correct one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define _cleanup_(destructor)	__attribute__((cleanup(destructor)))
#define _must_check_		__attribute__((warn_unused_result))
#define _printf_(fmt, args)	__attribute__((format(printf, fmt, args)))
#define _noreturn_		__attribute__((noreturn))

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#define MIN(a, b)		((a) < (b) ? (a) : (b))
#define MAX(a, b)		((a) > (b) ? (a) : (b))

#define TAKE_PTR(pointer)                                \
	({                                               \
		__typeof__(pointer) *from_ = &(pointer); \
		__typeof__(pointer) taken_ = *from_;     \
		*from_ = NULL;                           \
		taken_;                                  \
	})

#define TAKE_FD(fd)                  \
	({                           \
		int *from_ = &(fd);  \
		int taken_ = *from_; \
		*from_ = -1;         \
		taken_;              \
	})

#define USEC_PER_MSEC	UINT64_C(1000)
#define USEC_PER_SEC	UINT64_C(1000000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR	(60 * USEC_PER_MINUTE)
#define USEC_PER_DAY	(24 * USEC_PER_HOUR)

/* Bytes that somebody else owns. They may hold NUL and need not end in one. */
struct bytes {
	const char *data;
	size_t len;
};

static inline uint64_t now_usec(clockid_t clock)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts); /* cannot fail for the clocks we use */
	return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

static inline void fd_close(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* nothing was written, or it is synced */
	*fd = -1;
}

static inline void string_free(char **string)
{
	free(*string);
	*string = NULL;
}

#define _cleanup_fd_	 _cleanup_(fd_close)
#define _cleanup_string_ _cleanup_(string_free)
