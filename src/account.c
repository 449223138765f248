/*
 * account.c - whose account it is, and where its things lie.
 *
 * Refuses, unless we are root, every user but ourselves. Nothing here looks
 * at the file system, and no name is made of bytes that a server chose.
 */
#include "account.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "option.h"

#define STATE_NAME_MAX  200
#define STATE_NAME_KEPT 150 /* of a longer one, before its hash */

void account_user_done(struct account_user *user)
{
	string_free(&user->name);
	string_free(&user->home);
}

char *account_join_path(const char *dir, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return NULL;
	return path;
}

const char *account_own_home(void)
{
	const char *home = getenv("HOME");
	const struct passwd *pw;

	if (home != NULL && home[0] == '/')
		return home;
	pw = getpwuid(geteuid());
	return pw != NULL && pw->pw_dir[0] == '/' ? pw->pw_dir : NULL;
}

static int keep_user(struct account_user *user, const struct passwd *pw,
		     struct error *err)
{
	struct account_user found = { .uid = pw->pw_uid, .gid = pw->pw_gid };
	const char *home = pw->pw_dir;

	found.name = strdup(pw->pw_name);
	if (geteuid() != 0)
		home = account_own_home(); /* the same as where the configuration lies */
	if (home != NULL)
		found.home = strdup(home);
	if (found.name == NULL || (home != NULL && found.home == NULL)) {
		account_user_done(&found);
		return error_set_memory(err);
	}
	account_user_done(user);
	*user = found;
	return 0;
}

static int find_user(struct account_user *user, const char *name,
		     struct error *err)
{
	const struct passwd *pw;

	if (user->name != NULL && strcmp(user->name, name) == 0)
		return 0;
	errno = 0;
	pw = getpwnam(name);
	/* getpwnam(3) lists what "not found" may look like. */
	if (pw == NULL && errno != 0 && errno != ENOENT && errno != ESRCH &&
	    errno != EBADF && errno != EPERM)
		return error_set_errno(err, ERROR_CONFIG, errno,
				       "cannot look up user '%s'", name);
	if (pw == NULL)
		return error_set(err, ERROR_CONFIG,
				 "there is no user '%s' on this system", name);
	if (geteuid() != 0 && pw->pw_uid != geteuid())
		return error_set(
			err, ERROR_CONFIG,
			"must be the user that runs mailhaul (uid %u): "
			"only root can deliver to others",
			geteuid());
	return keep_user(user, pw, err);
}

/* For those who are not root and need not say who they are. */
static int find_self(struct account_user *user, struct error *err)
{
	const struct passwd *pw;
	struct passwd unlisted = { .pw_uid = geteuid(), .pw_gid = getegid() };
	char number[16];

	if (user->name != NULL)
		return 0;
	pw = getpwuid(geteuid());
	if (pw != NULL)
		return keep_user(user, pw, err);
	(void)snprintf(number, sizeof(number), "%u", geteuid());
	unlisted.pw_name = number;
	return keep_user(user, &unlisted, err);
}

int account_user_find(struct account_user *user, const char *name,
		      struct error *err)
{
	return name != NULL ? find_user(user, name, err) : find_self(user, err);
}

int account_expand_home(char **path, const char *home, struct error *err)
{
	char *expanded;

	if (*path == NULL || strncmp(*path, "~/", 2) != 0)
		return 0;
	if (home == NULL || home[0] != '/')
		return error_set(err, ERROR_CONFIG,
				 "'%s': the user has no home directory", *path);
	expanded = account_join_path(home, *path + 2);
	if (expanded == NULL)
		return error_set_memory(err);
	free(*path);
	*path = expanded;
	return 0;
}

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("._+-@", c) != NULL);
}

/* FNV-1a: names that are cut must differ, nobody gains by making them equal. */
static uint64_t hash_text(const char *text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *text != '\0'; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return hash;
}

/* One byte as it is, or as %XX. Returns the new length. */
static size_t add_byte(char *name, size_t len, char c, bool is_kept)
{
	static const char digits[] = "0123456789ABCDEF";

	if (is_kept) {
		name[len++] = c;
		return len;
	}
	name[len++] = '%';
	name[len++] = digits[(unsigned char)c >> 4];
	name[len++] = digits[(unsigned char)c & 15];
	return len;
}

char *account_make_state_dir(const char *root, const struct account *account)
{
	char name[3 * (OPTION_USERNAME_MAX + OPTION_HOST_MAX) + 2];
	size_t len = 0;

	for (const char *p = account->username; *p != '\0'; p++)
		len = add_byte(name, len, *p,
			       is_plain(*p) && (len > 0 || *p != '.'));
	/* A host has no '@': no two mailboxes get the same name. */
	name[len++] = '@';
	for (const char *p = account->host; *p != '\0'; p++) {
		char c = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;

		len = add_byte(name, len, c, is_plain(c));
	}
	name[len] = '\0';

	if (len > STATE_NAME_MAX)
		(void)snprintf(name + STATE_NAME_KEPT,
			       sizeof(name) - STATE_NAME_KEPT, "~%016llx",
			       (unsigned long long)hash_text(name));
	return account_join_path(root, name);
}
