/* choices: which of a library's ways was the fastest for a task on a GPU, kept in a file from one process
 * to the next, as finding out takes seconds. The file is a help only: one that is missing, unreadable or
 * damaged means that ways are tried again.
 *
 * A line is "key TAB value TAB hash": the hash tells lines that were written to the end from others,
 * which are skipped. Of several lines for a key the last one holds. Processes that append take turns by a
 * lock on the file.
 *
 * One thread uses a struct choices at a time. */
#ifndef RUNESPOOR_CUDA_CHOICES_H
#define RUNESPOOR_CUDA_CHOICES_H

#include "base/error.h"

#define CHOICES_KEY_BYTES 1024u       /* of a key, its end included */
#define CHOICES_VALUE_BYTES 512u      /* of a value */
#define CHOICES_FILE_BYTES (4u << 20) /* a larger file is begun anew */

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

#endif
