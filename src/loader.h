/*
 * loader.h - from parsed files to one configuration: what config_load holds
 * while it goes from file to file.
 */
#pragma once

#include "account.h"
#include "base.h"
#include "config.h"
#include "error.h"
#include "source.h"

struct loader {
	const struct config_paths *paths; /* borrowed */
	struct config *config;
	size_t cap_accounts;
	struct account defaults;
	uint64_t given_in_defaults; /* a bit for each row of the table */
	struct account_user user;   /* the last one that was looked up */
};

/* Gives every setting its default. loader_done is due on failure too. */
int loader_init(struct loader *loader, const struct config_paths *paths,
		struct error *err) _must_check_;
void loader_done(struct loader *loader);

/*
 * Takes in what an open source says; what is wrong goes to its errors. The
 * main file comes first: the others' accounts need its defaults.
 */
void loader_take(struct loader *loader, struct source *source);

/* Complains of two accounts with one name, or for one mailbox. */
void loader_check_duplicates(const struct loader *loader,
			     struct config_errors *errors);
