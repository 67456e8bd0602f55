/* The files of a journal by their names: private to journal*.c.
 *
 * `<name>` is the newest, `<name>.000001` and so on are those before it, and `<name>.new` is what
 * a turn to a new file has begun. */
#pragma once

#include "agent/core/journal.h"

/* A journal turns long before; more in one file is not read. */
enum { JOURNAL_FILE_MAX = 256 * 1024 * 1024 };

char *journal_new_name(const char *name);
char *journal_old_name(const char *name, uint64_t number);
/* 0: it is none of this journal's old files. */
uint64_t journal_old_number(const char *name, const char *file);
bool journal_has_old(int dirfd, const char *name);
/* Take back what an interrupted turn did: the new file, and the second name of the newest one. */
int journal_undo_turn(int dirfd, const char *name, struct err *err);
/* Remove the oldest, so that `keep` old files stay. One that cannot be removed stays for the next
 * time. */
void journal_files_prune(int dirfd, const char *name, unsigned keep);
