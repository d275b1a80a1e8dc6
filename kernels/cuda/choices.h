/* choices: which of a library's ways was the fastest for a task on a GPU, kept in a file from one process
 * to the next, as finding out takes seconds. The file is a help only: one that is missing, unreadable or
 * damaged means that ways are tried again.
 *
 * A line is "key TAB value TAB hash": the hash tells lines that were written to the end from others,
 * which are skipped. Of several lines for a key the last one holds. Processes that append take turns by a
 * lock on the file.
 *
 * What a key needs beside its value and is too large for a line (kernels that were compiled for it) lies in
 * a file of its own in the folder of the file's name with "-kept" behind it.
 *
 * One thread uses a struct choices at a time. */
#ifndef RUNESPOOR_CUDA_CHOICES_H
#define RUNESPOOR_CUDA_CHOICES_H

#include "base/error.h"
#include "base/text.h"

#define CHOICES_KEY_BYTES 1024u       /* of a key, its end included */
#define CHOICES_VALUE_BYTES 512u      /* of a value */
#define CHOICES_FILE_BYTES (4u << 20) /* a larger file is begun anew */
#define CHOICES_KEPT_FILES 1024u      /* that are kept beside it, */
#define CHOICES_KEPT_BYTES (1u << 20) /* each with as much, at most */

struct choices;

/* Reads the file whole. path NULL: runespoor/cuda-choices in $XDG_CACHE_HOME, or in ~/.cache; where there
 * is neither, choices are kept in memory. An error is one of memory only. */
int choices_open(struct choices **choices, const char *path, struct error *err);
void choices_close(struct choices **choices);

/* The value, which lives until another is added; NULL where none is known. */
const char *choices_find(const struct choices *choices, const char *key);
/* Keeps it, and appends it to the file if that can be done. Keys and values are printable text without
 * tabs; one that is too long is not kept. An error is one of memory only. */
int choices_add(struct choices *choices, const char *key, const char *value, struct error *err);

/* What was kept for the key, into content, which is empty. False, and content stays empty, where there is
 * nothing, or nothing whole. */
bool choices_load(const struct choices *choices, const char *key, struct text *content);
/* Keeps it if that can be done: it replaces what was kept before, and what another key may have had in the
 * same of the CHOICES_KEPT_FILES. */
void choices_store(const struct choices *choices, const char *key, const char *content, size_t bytes);

#endif
