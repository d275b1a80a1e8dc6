/* keys_file: where the files of keys and of the allow list lie. Private to them. */
#ifndef RUNESPOOR_NET_KEYS_FILE_H
#define RUNESPOOR_NET_KEYS_FILE_H

#include "base/error.h"
#include <stddef.h>

/* FOLDER/NAME + suffix; the limit is PATH_MAX. */
int keys_file_path(char *path, size_t path_bytes, const char *folder, const char *name,
                   const char *suffix, struct error *err);

#endif
