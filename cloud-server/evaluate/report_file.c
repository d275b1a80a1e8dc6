/* report_file: see the header. */
#include "evaluate/report_file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE 0644
#define READ_BYTES 65536u

static int write_all(int file, const char *bytes, size_t size);
static int sync_folder_of(const char *path);

int report_file_write(const char *path, const struct text *text, struct error *err)
{
    char fresh[PATH_MAX];
    if (text->failed)
        return error_set(err, ERROR_MEMORY, path, "no room for its text");
    int length = snprintf(fresh, sizeof fresh, "%s.XXXXXX", path);
    if (length < 0 || (size_t)length >= sizeof fresh)
        return error_set(err, ERROR_CONFIG, "file", "the path is longer than %d bytes", PATH_MAX);
    int file = mkostemp(fresh, O_CLOEXEC);
    if (file < 0)
        return error_set_errno(err, errno, path, "cannot write here");
    int rc = 0;
    if (fchmod(file, FILE_MODE) != 0 || write_all(file, text->data, text->size) != 0 ||
        fsync(file) != 0)
        rc = error_set_errno(err, errno, path, "cannot write %zu bytes", text->size);
    if (close(file) != 0 && rc == 0)
        rc = error_set_errno(err, errno, path, "cannot write %zu bytes", text->size);
    if (rc == 0 && rename(fresh, path) != 0)
        rc = error_set_errno(err, errno, path, "cannot give the file its name");
    if (rc < 0)
        unlink(fresh);
    else if (sync_folder_of(path) != 0)
        rc = error_set_errno(err, errno, path, "cannot make it last");
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
    if (rc == 0 && text->failed)
        rc = error_set(err, ERROR_MEMORY, path, "no room for its text");
    return rc;
}

int report_file_read(const char *path, size_t bytes_max, struct text *text, struct error *err)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return error_set_errno(err, errno, path, "cannot open it");
    int rc = read_open(file, path, bytes_max, text, err);
    close(file);
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
        memcpy(folder, path, size); /* a path this long was refused above */
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
