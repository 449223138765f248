/*
 * privileges.c - gives up capabilities, by the system calls.
 *
 * It never adds one. What is not there, in a container or under a service
 * manager that bounds us, is not missed here but where it is used.
 */
#include "privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define BIT(capability) (UINT64_C(1) << (capability))
#define NEEDED \
	(BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_KILL) | BIT(CAP_CHOWN))

/* What no program that is executed from here can get again, root's or not. */
static int bound(uint64_t kept)
{
	for (unsigned i = 0; i < 64; i++) {
		if ((kept & BIT(i)) != 0 || prctl(PR_CAPBSET_READ, i) != 1)
			continue;
		/* Without SETPCAP the bound stays as wide as it was found. */
		if (prctl(PR_CAPBSET_DROP, i) < 0 && errno != EPERM)
			return -1;
	}
	return 0;
}

static int reduce(uint64_t kept)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(data); i++) {
		uint32_t mask = (uint32_t)(kept >> (32 * i));

		data[i].permitted &= mask;
		data[i].effective &= mask;
		data[i].inheritable = 0; /* and so no ambient one either */
	}
	return (int)syscall(SYS_capset, &header, data);
}

int privileges_keep_needed(struct error *err)
{
	if (geteuid() != 0)
		return 0;
	if (bound(NEEDED) < 0 || reduce(NEEDED) < 0)
		return error_set_errno(err, ERROR_LOCAL, errno,
				       "cannot give up root's capabilities");
	return 0;
}

int privileges_drop(void)
{
	return reduce(0);
}
