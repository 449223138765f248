/*
 * mailstore.h - the Maildir as others see it: its layout, and its readers.
 */
#pragma once

#include "base.h"
#include "disk.h"

#define MAILSTORE_STATE "/sim/state"
#define MAILSTORE_PATH  "/sim/home/Maildir"

/* The directories that are there before mailhaul is; with the Maildir or not. */
void mailstore_make(bool has_maildir);

typedef void mailstore_visitor(const char *folder, const struct disk_name *name,
			       void *userdata);

/* Every file in new/, cur/ and those of subfolders; as seen, or on the platter. */
void mailstore_walk(bool is_platter, mailstore_visitor *visitor,
		    void *userdata);
unsigned mailstore_count_tmp(void);

/*
 * Readers do what readers do. may_remove: they also remove what they have read;
 * early: although the last visit left something to recover.
 */
void mailstore_read(bool may_remove, bool is_early);

/* A cleaner takes what lies in tmp/, as some do after 24 hours. */
void mailstore_clean_tmp(void);
