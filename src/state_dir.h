/*
 * state_dir.h - the directories that hold the journals.
 *
 * The state root is the supervisor's: 0711 for root, whose workers are other
 * users, 0700 otherwise. In it each account has a directory of its own, 0700,
 * owned by the account's user.
 */
#pragma once

#include "base.h"
#include "config.h"
#include "error.h"

/*
 * Makes what is missing, durably, and hands a new directory to the account's
 * user. ERROR_CONFIG when it belongs to somebody else; ERROR_LOCAL otherwise.
 */
int state_dir_make(const char *state_root, const struct account *account,
		   struct error *err) _must_check_;
