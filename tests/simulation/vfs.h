/*
 * vfs.h - SQLite on the model's disk.
 */
#pragma once

/* From now on SQLite opens files there, and nowhere else. */
void vfs_install(void);
