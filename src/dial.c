/*
 * dial.c - resolve a name and connect to it, over IPv6 or IPv4.
 *
 * Every wait for a connection is bounded and ends at once when we are told to
 * stop. The resolver is the exception: getaddrinfo cannot be interrupted, so
 * its time is bounded by resolv.conf alone; what it took is taken off the
 * time that the addresses share. It refuses nothing: whether the peer may be
 * talked to in clear is decided above.
 */
#include "dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct attempts {
	const struct dial_target *target;
	uint64_t deadline;
	char failures
		[ERROR_TEXT_MAX]; /* "127.0.0.1: Connection refused; ..." */
};

static void addresses_free(struct addrinfo **addresses)
{
	if (*addresses != NULL)
		freeaddrinfo(*addresses);
	*addresses = NULL;
}

#define _cleanup_addresses_ _cleanup_(addresses_free)

/* Without AI_ADDRCONFIG: a machine that has loopback alone may name it too. */
static int resolve(const struct dial_target *target, struct addrinfo **ret,
		   struct error *err)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC,
					.ai_socktype = SOCK_STREAM,
					.ai_flags = AI_NUMERICSERV };
	char port[8];
	int r;

	(void)snprintf(port, sizeof(port), "%u", target->port);
	r = getaddrinfo(target->host, port, &hints, ret);
	if (r == EAI_MEMORY)
		return error_set_memory(err);
	if (r == EAI_SYSTEM)
		return error_set_errno(err, ERROR_NETWORK, errno,
				       "cannot resolve host '%s'",
				       target->host);
	if (r != 0)
		return error_set(err, ERROR_NETWORK,
				 "cannot resolve host '%s': %s", target->host,
				 gai_strerror(r));
	return 0;
}

static uint64_t time_left(uint64_t deadline)
{
	uint64_t now = now_usec(CLOCK_MONOTONIC);

	return deadline > now ? deadline - now : 0;
}

/* Rounded up: a wait must not end before its time. */
static int poll_msec(uint64_t usec)
{
	uint64_t msec = usec / USEC_PER_MSEC + (usec % USEC_PER_MSEC != 0);

	return (int)MIN(msec, (uint64_t)INT_MAX);
}

static int socket_error(int fd)
{
	socklen_t len = sizeof(int);
	int errnum = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0)
		return errno;
	return errnum;
}

/* 0, or an errno value: ETIMEDOUT at the deadline, ECANCELED for a stop. */
static int wait_connected(int fd, int stop_fd, uint64_t deadline)
{
	for (;;) {
		struct pollfd fds[] = {
			{ .fd = fd, .events = POLLOUT },
			{ .fd = stop_fd, .events = POLLIN },
		};
		uint64_t left = time_left(deadline);

		if (poll(fds, ARRAY_SIZE(fds), poll_msec(left)) < 0) {
			if (errno == EINTR)
				continue;
			return errno;
		}
		if (fds[1].revents != 0)
			return ECANCELED;
		if (fds[0].revents != 0)
			return socket_error(fd);
		if (left == 0)
			return ETIMEDOUT;
	}
}

/* A socket that cannot do these is as good for us without. */
static void set_socket_options(int fd)
{
	const int on = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* 0, or an errno value. */
static int connect_address(const struct addrinfo *address, int stop_fd,
			   uint64_t deadline, int *ret_fd)
{
	_cleanup_fd_ int fd = -1;
	int errnum;

	fd = socket(address->ai_family,
		    address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
		    address->ai_protocol);
	if (fd < 0)
		return errno;
	set_socket_options(fd);

	/* A signal does not end a connect that has begun: wait for it too. */
	if (connect(fd, address->ai_addr, address->ai_addrlen) < 0 &&
	    errno != EINPROGRESS && errno != EINTR)
		return errno;
	errnum = wait_connected(fd, stop_fd, deadline);
	if (errnum != 0)
		return errnum;

	*ret_fd = TAKE_FD(fd);
	return 0;
}

static void note_failure(struct attempts *a, const struct addrinfo *address,
			 int errnum)
{
	size_t len = strlen(a->failures);
	char name[INET6_ADDRSTRLEN + IF_NAMESIZE]; /* "fe80::1%eth0" */

	if (getnameinfo(address->ai_addr, address->ai_addrlen, name,
			sizeof(name), NULL, 0, NI_NUMERICHOST) != 0)
		(void)snprintf(name, sizeof(name), "?");
	(void)snprintf(a->failures + len, sizeof(a->failures) - len, "%s%s: %s",
		       len > 0 ? "; " : "", name, strerrordesc_np(errnum));
}

static uint64_t count_addresses(const struct addrinfo *addresses)
{
	uint64_t count = 0;

	for (; addresses != NULL; addresses = addresses->ai_next)
		count++;
	return count;
}

/* It would be the same with every address. */
static bool is_our_lack(int errnum)
{
	return errnum == EMFILE || errnum == ENFILE || errnum == ENOBUFS ||
	       errnum == ENOMEM;
}

static int connect_any(struct attempts *a, const struct addrinfo *addresses,
		       int *ret_fd, struct error *err)
{
	int stop_fd = a->target->stop_fd;

	for (; addresses != NULL; addresses = addresses->ai_next) {
		uint64_t share =
			time_left(a->deadline) / count_addresses(addresses);
		uint64_t until = now_usec(CLOCK_MONOTONIC) + share;
		int errnum = connect_address(addresses, stop_fd, until, ret_fd);

		if (errnum == 0)
			return 0;
		if (errnum == ECANCELED)
			return error_set(err, ERROR_NETWORK,
					 "stopped while connecting");
		if (is_our_lack(errnum))
			return error_set_errno(err, ERROR_LOCAL, errnum,
					       "cannot connect");
		note_failure(a, addresses, errnum);
	}
	return error_set(err, ERROR_NETWORK, "connect: %s", a->failures);
}

int dial_connect(const struct dial_target *target, int *ret_fd,
		 struct error *err)
{
	_cleanup_addresses_ struct addrinfo *addresses = NULL;
	struct attempts attempts = {
		.target = target,
		.deadline = now_usec(CLOCK_MONOTONIC) + target->timeout_usec,
	};

	if (resolve(target, &addresses, err) < 0)
		return -1;
	return connect_any(&attempts, addresses, ret_fd, err);
}
