/*
 * trusts.h - the CAs to trust, loaded once for all workers to come.
 */
#pragma once

#include "base.h"
#include "tls.h"

struct trusts;

struct trusts *trusts_new(void); /* NULL: out of memory */
void trusts_free(struct trusts **trusts);

/*
 * The certificates of ca_file (NULL: the system's), loaded now unless they are
 * and the file is what it was. NULL when they cannot be had here: whoever needs
 * them loads them for itself, and tells why not. Borrowed, until the next call.
 */
const struct tls_trust *trusts_get(struct trusts *trusts, const char *ca_file);
