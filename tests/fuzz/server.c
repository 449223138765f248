/*
 * server.c - a server that says what it has to say, whatever it is told.
 *
 * No process and no thread: what it says waits in a socket, and what it hears
 * is read at the end.
 */
#include "server.h"

#include <sys/socket.h>

#include "fuzz.h"

#define HEARD_SIZE (1 << 20)

static int server_fd = -1;

/* Small packets take much of it: as root it may be larger than usual. */
static void set_room(int fd)
{
	const int size = HEARD_SIZE;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size,
				 sizeof(size));
}

int server_begin(struct bytes says, bool hangs)
{
	int fds[2];

	check(says.len <= SERVER_SAYS_MAX);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	set_room(fds[0]);
	server_fd = fds[1];
	if (says.len > 0 && send(server_fd, says.data, says.len,
				 MSG_DONTWAIT) != (ssize_t)says.len)
		abort();
	if (!hangs)
		(void)shutdown(server_fd, SHUT_WR);
	return fds[0];
}

const char *server_end(void)
{
	static char heard[HEARD_SIZE + 1];
	size_t len = 0;
	ssize_t n;

	do {
		n = recv(server_fd, heard + len, HEARD_SIZE - len,
			 MSG_DONTWAIT);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	heard[len] = '\0';
	fd_close(&server_fd);
	return heard;
}
