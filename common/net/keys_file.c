/* keys_file: see the header. */
#include "net/keys_file.h"

#include <stdio.h>

int keys_file_path(char *path, size_t path_bytes, const char *folder, const char *name,
                   const char *suffix, struct error *err)
{
    int size = snprintf(path, path_bytes, "%s/%s%s", folder, name, suffix);
    if (size < 0 || (size_t)size >= path_bytes)
        return error_set(err, ERROR_CONFIG, "folder", "the path is longer than %zu bytes",
                         path_bytes - 1);
    return 0;
}
