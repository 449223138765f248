/*
 * account.h - whose account it is, and where its things lie.
 *
 * What config.c needs beside the settings themselves: users, home
 * directories, the name of the journal's directory.
 */
#pragma once

#include <sys/types.h>

#include "base.h"
#include "config.h"
#include "error.h"

/* Who gets the mail. Kept for the next account, which is often the same user's. */
struct account_user {
	char *name;
	char *home; /* NULL: none is known */
	uid_t uid;
	gid_t gid;
};

void account_user_done(struct account_user *user);

/*
 * Looks the name up, or ourselves with NULL, unless user holds the answer
 * already. ERROR_CONFIG when there is none of that name, or when it is
 * somebody else and we are not root; user is untouched then.
 */
int account_user_find(struct account_user *user, const char *name,
		      struct error *err) _must_check_;

/* Our own home: $HOME, else the user database's. NULL: none that is absolute. */
const char *account_own_home(void);

/* "dir/name"; NULL when out of memory. */
char *account_join_path(const char *dir, const char *name);

/* Puts home in the place of a leading "~"; *path may be NULL. */
int account_expand_home(char **path, const char *home, struct error *err)
	_must_check_;

/*
 * The directory of the account's journal: root/USERNAME@host, escaped, the
 * host in lower case. The same for the same mailbox, whatever the account is
 * called. NULL when out of memory.
 */
char *account_make_state_dir(const char *root, const struct account *account);
