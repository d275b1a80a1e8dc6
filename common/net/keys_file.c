/* keys_file: a file is written beside its place under a name of its own (O_EXCL, 0600) and then
 * linked or renamed, so that nobody ever reads half of one or one with a wrong mode. */
#include "net/keys_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_ABOVE_MODE 0755

static int write_all(int file, const char *text);
static int sync_folder_of(const char *path);

int keys_file_make_folder(const char *path, mode_t mode, struct error *err)
{
    char part[PATH_MAX];
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof part)
        return error_set(err, ERROR_CONFIG, "folder", "the path has %zu characters", size);
    memcpy(part, path, size + 1);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, FOLDER_ABOVE_MODE) != 0 && errno != EEXIST)
            return error_set_errno(err, errno, part, "cannot make this folder");
        *slash = '/';
    }
    if (mkdir(path, mode) == 0)
        return 0;
    struct stat info;
    if (errno != EEXIST || stat(path, &info) != 0)
        return error_set_errno(err, errno, path, "cannot make this folder");
    if (!S_ISDIR(info.st_mode))
        return error_set(err, ERROR_IO, path, "is not a folder");
    return 0;
}

int keys_file_write(const char *path, const char *text, mode_t mode, bool replace, struct error *err)
{
    char fresh[PATH_MAX];
    int size = snprintf(fresh, sizeof fresh, "%s.XXXXXX", path);
    if (size < 0 || (size_t)size >= sizeof fresh)
        return error_set(err, ERROR_CONFIG, "file", "the path is longer than %d bytes", PATH_MAX);
    int file = mkostemp(fresh, O_CLOEXEC);
    if (file < 0)
        return error_set_errno(err, errno, path, "cannot write here");
    int result = 0;
    if (fchmod(file, mode) != 0 || write_all(file, text) != 0 || fsync(file) != 0)
        result = error_set_errno(err, errno, path, "cannot write");
    if (close(file) != 0 && result == 0)
        result = error_set_errno(err, errno, path, "cannot write");
    if (result == 0 && (replace ? rename(fresh, path) : link(fresh, path)) != 0)
        result = errno == EEXIST
                     ? error_set(err, ERROR_IO, path,
                                 "exists already and is not overwritten; move it away first, or "
                                 "choose another name")
                     : error_set_errno(err, errno, path, "cannot give the file its name");
    if (result < 0 || !replace)
        unlink(fresh);
    if (result == 0 && sync_folder_of(path) != 0)
        result = error_set_errno(err, errno, path, "cannot make it last");
    return result;
}

int keys_file_path(char *path, size_t path_bytes, const char *folder, const char *name,
                   const char *suffix, struct error *err)
{
    int size = snprintf(path, path_bytes, "%s/%s%s", folder, name, suffix);
    if (size < 0 || (size_t)size >= path_bytes)
        return error_set(err, ERROR_CONFIG, "folder", "the path is longer than %zu bytes",
                         path_bytes - 1);
    return 0;
}

static int write_all(int file, const char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        ssize_t count = write(file, text, left);
        if (count < 0 && errno != EINTR)
            return -1;
        if (count > 0) {
            text += count;
            left -= (size_t)count;
        }
    }
    return 0;
}

/* A name is safe only when its folder is. */
static int sync_folder_of(const char *path)
{
    char folder[PATH_MAX];
    size_t size = strlen(path);
    assert(size < sizeof folder);
    memcpy(folder, path, size + 1);
    char *slash = strrchr(folder, '/');
    assert(slash);
    *slash = '\0';
    int handle = open(folder[0] ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (handle < 0)
        return -1;
    int result = fsync(handle);
    int saved = errno;
    close(handle);
    errno = saved;
    return result;
}
