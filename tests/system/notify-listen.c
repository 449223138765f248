/*
 * notify-listen.c - stands in for systemd or the journal: notify-listen PATH
 *
 * Binds a datagram socket there and prints each datagram, one line per line
 * of it, until it is killed. Control bytes become '.', so that the binary
 * fields of journal entries do no harm.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base.h"

static int bind_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path));

	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(path, 0666) < 0) {
		fd_close(&fd);
		return -1;
	}
	return fd;
}

static void print_datagram(const char *data, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		(void)putchar(data[i] == '\n' || data[i] >= ' ' ? data[i] : '.');
	(void)putchar('\n');
	(void)fflush(stdout);
}

int main(int argc, char **argv)
{
	_cleanup_fd_ int fd = -1;
	char data[65536];
	ssize_t len;

	if (argc != 2) {
		(void)fputs("usage: notify-listen PATH\n", stderr);
		return 64;
	}
	fd = bind_socket(argv[1]);
	if (fd < 0) {
		(void)fprintf(stderr, "notify-listen: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}

	(void)puts("listening");
	(void)fflush(stdout);
	while ((len = recv(fd, data, sizeof(data), 0)) >= 0)
		print_datagram(data, (size_t)len);
	return 1;
}
