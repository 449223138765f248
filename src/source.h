/*
 * source.h - one configuration file: opened, trusted, parsed, wiped.
 *
 * And the lines about what is wrong in it, or with it.
 */
#pragma once

#include <libconfig.h>
#include <sys/stat.h>

#include "base.h"
#include "config.h"

struct source {
	const char *path;	      /* absolute; borrowed */
	const char *include_dir;      /* absolute; borrowed */
	struct config_errors *errors; /* borrowed */
	bool is_main;		      /* the main file, not one of conf.d */
	mode_t mode;
	config_t tree;
	char *exposed_file; /* said already: it holds a password and others can read it */
};

/*
 * path, include_dir, errors and is_main are set; the rest is zero. On success
 * the caller ends it with source_close, on failure there is nothing to end
 * and the reason is among the errors.
 */
int source_open(struct source *source) _must_check_;

/* Overwrites what the tree held before it is freed. */
void source_close(struct source *source);

/* True when nobody but its owner, who is root or ourselves, can rule it. */
bool source_is_trusted(struct config_errors *errors, const char *path,
		       const struct stat *st);

/*
 * The file that a setting comes from: the source's own, or one that it
 * includes. Returns dst.
 */
const char *source_file_of(const struct source *source,
			   const config_setting_t *setting, char *dst, size_t cap);

/* "FILE:LINE: text"; line 0: "FILE: text". */
void source_complain(struct config_errors *errors, const char *file,
		     unsigned line, const char *fmt, ...) _printf_(4, 5);

/*
 * "FILE:LINE: accounts.NAME.SETTING: text". name: the setting in the group
 * "at" that is meant; NULL: "at" itself.
 */
void source_complain_at(struct source *source, const config_setting_t *at,
			const char *name, const char *fmt, ...) _printf_(4, 5);

/* A literal password stands here: complains, once a file, when others can read it. */
void source_check_exposure(struct source *source,
			   const config_setting_t *setting);
