/* file: a name is given by link or rename, which happen at once or not at all. */
#include "base/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER_ABOVE_MODE 0755
#define LOCK_MODE 0644
#define READ_BYTES 65536u

static int fill(int file, const char *path, const void *bytes, size_t size, mode_t mode,
                struct error *err);
static int write_all(int file, const char *bytes, size_t size);
static int sync_folder_of(const char *path);
static int read_open(int file, const char *path, size_t bytes_max, struct text *text,
                     struct error *err);

int file_write(const char *path, const void *bytes, size_t size, mode_t mode, bool replace,
               struct error *err)
{
    char fresh[PATH_MAX];
    int length = snprintf(fresh, sizeof fresh, "%s.XXXXXX", path);
    if (length < 0 || (size_t)length >= sizeof fresh)
        return error_set(err, ERROR_CONFIG, "file", "the path is longer than %d bytes", PATH_MAX);
    int file = mkostemp(fresh, O_CLOEXEC);
    if (file < 0)
        return error_set_errno(err, errno, path, "cannot write here");
    int rc = fill(file, path, bytes, size, mode, err);
    if (!rc && (replace ? rename(fresh, path) : link(fresh, path)) != 0)
        rc = errno == EEXIST ? error_set(err, ERROR_IO, path,
                                         "exists already and is not overwritten; move it away "
                                         "first, or choose another name")
                             : error_set_errno(err, errno, path, "cannot give the file its name");
    if (rc || !replace)
        unlink(fresh);
    if (!rc && sync_folder_of(path) != 0)
        rc = error_set_errno(err, errno, path, "cannot make it last");
    return rc;
}

int file_write_text(const char *path, const struct text *text, struct error *err)
{
    if (text->failed)
        return error_set(err, ERROR_MEMORY, path, "no room for its text");
    return file_write(path, text->data, text->size, FILE_MODE_PUBLIC, true, err);
}

int file_read_text(const char *path, size_t bytes_max, struct text *text, struct error *err)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return error_set_errno(err, errno, path, "cannot open it");
    int rc = read_open(file, path, bytes_max, text, err);
    close(file);
    return rc;
}

int file_make_folder(const char *path, mode_t mode, struct error *err)
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

/* The file is never taken away: another process could hold it open, and then two would have a lock. */
int file_lock_folder(const char *folder, int *lock, struct error *err)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof path, "%s/" FILE_LOCK_NAME, folder);
    if (length < 0 || (size_t)length >= sizeof path)
        return error_set(err, ERROR_CONFIG, "folder", "the path is longer than %d bytes", PATH_MAX);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, LOCK_MODE);
    if (file < 0)
        return error_set_errno(err, errno, path, "cannot open it");
    if (flock(file, LOCK_EX | LOCK_NB) == 0) {
        *lock = file;
        return 0;
    }
    int rc = errno == EWOULDBLOCK
                 ? error_set(err, ERROR_IO, folder,
                             "another process is at work in this folder; wait for its end, or name "
                             "another folder")
                 : error_set_errno(err, errno, path, "cannot lock it");
    close(file);
    return rc;
}

void file_unlock(int *lock)
{
    if (*lock >= 0)
        close(*lock);
    *lock = -1;
}

/* Closes the file, too. */
static int fill(int file, const char *path, const void *bytes, size_t size, mode_t mode,
                struct error *err)
{
    int rc = 0;
    if (fchmod(file, mode) != 0 || write_all(file, bytes, size) != 0 || fsync(file) != 0)
        rc = error_set_errno(err, errno, path, "cannot write %zu bytes", size);
    if (close(file) != 0 && !rc)
        rc = error_set_errno(err, errno, path, "cannot write %zu bytes", size);
    return rc;
}

static int write_all(int file, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t count = write(file, bytes, size);
        if (count < 0 && errno != EINTR)
            return -1;
        if (count > 0) {
            bytes += count;
            size -= (size_t)count;
        }
    }
    return 0;
}

/* A name is safe only when its folder is. */
static int sync_folder_of(const char *path)
{
    char folder[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    if (slash) {
        size_t size = (size_t)(slash - path);
        assert(size < sizeof folder); /* file_write has refused longer ones */
        memcpy(folder, path, size);
        folder[size] = '\0';
    }
    int handle = open(folder[0] ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (handle < 0)
        return -1;
    int rc = fsync(handle);
    int saved = errno;
    close(handle);
    errno = saved;
    return rc;
}

static int read_open(int file, const char *path, size_t bytes_max, struct text *text,
                     struct error *err)
{
    char *buffer = malloc(READ_BYTES);
    int rc = 0;
    if (!buffer)
        return error_set(err, ERROR_MEMORY, path, "no room to read it");
    for (;;) {
        ssize_t count = read(file, buffer, READ_BYTES);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            rc = error_set_errno(err, errno, path, "cannot read it");
        if (count <= 0)
            break;
        text_add(text, buffer, (size_t)count);
        if (text->size > bytes_max) {
            rc = error_set(err, ERROR_LIMIT, path, "is larger than %zu bytes", bytes_max);
            break;
        }
    }
    free(buffer);
    if (!rc && text->failed)
        rc = error_set(err, ERROR_MEMORY, path, "no room for its text");
    return rc;
}
