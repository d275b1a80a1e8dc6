/* file: files that are there whole or not at all, and the folders they lie in. Any thread. */
#ifndef RUNESPOOR_BASE_FILE_H
#define RUNESPOOR_BASE_FILE_H

#include "base/error.h"
#include "base/text.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define FILE_MODE_PUBLIC 0644

/* Writes bytes into a new file beside path (O_EXCL, 0600), makes it last (fsync), gives it exactly mode
 * and then its name; so nobody ever reads half of it, or one with a wrong mode, and after an error
 * what was there before is untouched. Without replace, an existing path is an error. */
int file_write(const char *path, const void *bytes, size_t size, mode_t mode, bool replace,
               struct error *err);
/* Text that could not be had whole is refused; FILE_MODE_PUBLIC, replaces what was there. */
int file_write_text(const char *path, const struct text *text, struct error *err);

/* Appends a whole file of at most bytes_max to text, which is empty. */
int file_read_text(const char *path, size_t bytes_max, struct text *text, struct error *err);

/* Makes a folder and those above it; mode is for the last one, an existing one is left alone. */
int file_make_folder(const char *path, mode_t mode, struct error *err);

/* Keeps a folder that is there for one process alone: locks a file in it, FILE_LOCK_NAME, which stays
 * there. The lock goes with file_unlock or with the process, however that ends; while another has it,
 * this is ERROR_IO. *lock is written only on success. */
#define FILE_LOCK_NAME ".lock"
int file_lock_folder(const char *folder, int *lock, struct error *err);
/* Does nothing to one that is -1. */
void file_unlock(int *lock);

#endif
