/* eval_hash: see the header. */
#include "evaluate/eval_hash.h"
#include "base/hash.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define READ_BYTES 65536u

static int hash_folder(uint64_t *hash, const char *path, struct error *err);

static int hash_file(uint64_t *hash, const char *path, struct error *err)
{
    FILE *file = fopen(path, "rbe");
    char *buffer = malloc(READ_BYTES);
    int failed = 0;
    if (!file || !buffer)
        failed = file ? error_set(err, ERROR_MEMORY, path, "no room to read it")
                      : error_set_errno(err, errno, path, "cannot open it");
    for (size_t count = 1; !failed && count > 0;) {
        count = fread(buffer, 1, READ_BYTES, file);
        *hash = hash_bytes(*hash, buffer, count);
        if (count == 0 && ferror(file))
            failed = error_set_errno(err, errno, path, "cannot read it");
    }
    free(buffer);
    if (file)
        fclose(file);
    return failed;
}

int eval_hash_path(uint64_t *hash, const char *path, struct error *err)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return error_set_errno(err, errno, path, "cannot open it");
    return S_ISDIR(status.st_mode) ? hash_folder(hash, path, err) : hash_file(hash, path, err);
}

static int is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Bytes alone, whatever the locale says. */
static int by_name(const struct dirent **left, const struct dirent **right)
{
    return strcmp((*left)->d_name, (*right)->d_name);
}

static int hash_entry(uint64_t *hash, const char *folder, const char *name, struct error *err)
{
    char path[PATH_MAX];
    struct stat status;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return error_set(err, ERROR_LIMIT, folder, "the path of %.100s is too long", name);
    if (stat(path, &status) != 0)
        return error_set_errno(err, errno, path, "cannot open it");
    if (!S_ISREG(status.st_mode))
        return 0;
    *hash = hash_bytes(*hash, name, strlen(name) + 1);
    return hash_file(hash, path, err);
}

static int hash_folder(uint64_t *hash, const char *path, struct error *err)
{
    struct dirent **entries;
    int count = scandir(path, &entries, is_shown, by_name), failed = 0;
    if (count < 0)
        return error_set_errno(err, errno, path, "cannot read the folder");
    for (int i = 0; i < count; i++) {
        if (!failed)
            failed = hash_entry(hash, path, entries[i]->d_name, err);
        free(entries[i]);
    }
    free(entries);
    return failed;
}
