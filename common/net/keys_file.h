/* keys_file: small files written whole or not at all. Private to keys.c. */
#ifndef RUNESPOOR_NET_KEYS_FILE_H
#define RUNESPOOR_NET_KEYS_FILE_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Makes a folder and those above it; mode is for the last one, an existing one is left alone. */
int keys_file_make_folder(const char *path, mode_t mode, struct error *err);

/* Writes text into a new file beside path, makes it last (fsync), gives it exactly mode and then its
 * name. Without replace, an existing path is an error and stays as it is. */
int keys_file_write(const char *path, const char *text, mode_t mode, bool replace, struct error *err);

/* FOLDER/NAME + suffix; the limit is PATH_MAX. */
int keys_file_path(char *path, size_t path_bytes, const char *folder, const char *name,
                   const char *suffix, struct error *err);

#endif
