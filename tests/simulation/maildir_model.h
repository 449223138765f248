/*
 * maildir_model.h - the Maildir as others see it: its layout, and its readers.
 */
#pragma once

#include "base.h"
#include "disk.h"

#define MAILDIR_MODEL_STATE "/sim/state"
#define MAILDIR_MODEL_PATH  "/sim/home/Maildir"

/* The directories that are there before mailhaul is; with the Maildir or not. */
void maildir_model_make(bool has_maildir);

typedef void maildir_model_visitor(const char *folder,
				   const struct disk_name *name,
				   void *userdata);

/* Every file in new/, cur/ and those of subfolders; as seen, or on the platter. */
void maildir_model_walk(bool is_platter, maildir_model_visitor *visitor,
			void *userdata);
unsigned maildir_model_count_tmp(void);

/*
 * Readers do what readers do. may_remove: they also remove what they have read;
 * early: although the last visit left something to recover.
 */
void maildir_model_read(bool may_remove, bool is_early);
