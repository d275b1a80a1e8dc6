/* lines: see the header. */
#include "lines.h"

#include "base/log.h"
#include "net/answer_json.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES_PER_MB (1u << 20)

struct lines {
    const struct sink_config *config;
    int file;
    bool regular; /* a FIFO cannot be rotated, nor cut */
    uint64_t inode, bytes;
};

static int open_file(struct lines *lines, struct error *err);
static int find_marked(const struct lines *lines, const struct lines_mark *mark, struct error *err);
static int rotated_name(char *name, const struct sink_config *config, uint32_t number,
                        struct error *err);
static int sync_folder(const char *path, struct error *err);

int lines_open(struct lines **out, const struct sink_config *config, const struct lines_mark *mark,
               struct error *err)
{
    struct lines *lines = calloc(1, sizeof *lines);
    if (!lines)
        return error_set(err, ERROR_MEMORY, "answers", "no memory");
    *lines = (struct lines){ .config = config, .file = -1 };
    int result = mark && mark->inode != 0 ? find_marked(lines, mark, err) : 0;
    if (result == 0)
        result = answer_lines_repair(config->path, err);
    if (result == 0)
        result = open_file(lines, err);
    if (result == 0 && mark && !lines->regular)
        result = error_set(err, ERROR_CONFIG, config->path,
                           "answers of lossless streams need a regular file");
    if (result == 0 && mark)
        result = sync_folder(config->path, err);
    if (result != 0) {
        if (lines->file >= 0)
            close(lines->file);
        free(lines);
        return error_wrap(err, "answers.path");
    }
    *out = lines;
    return 0;
}

int lines_write(struct lines *lines, const char *bytes, size_t size, size_t *written,
                struct error *err)
{
    *written = 0;
    while (*written < size) {
        ssize_t count = write(lines->file, bytes + *written, size - *written);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return error_set_errno(err, errno, lines->config->path, "cannot write answers");
        *written += (size_t)count;
        lines->bytes += (uint64_t)count;
    }
    return 0;
}

int lines_sync(struct lines *lines, struct error *err)
{
    if (fdatasync(lines->file) == 0)
        return 0;
    return error_set_errno(err, errno, lines->config->path, "cannot bring answers to the disk");
}

int lines_cut(struct lines *lines, const struct lines_mark *mark, struct error *err)
{
    assert(mark->inode == lines->inode && mark->bytes <= lines->bytes);
    if (mark->bytes == lines->bytes)
        return 0;
    if (ftruncate(lines->file, (off_t)mark->bytes) != 0)
        return error_set_errno(err, errno, lines->config->path, "cannot cut off a torn line");
    lines->bytes = mark->bytes;
    return 0;
}

bool lines_are_full(const struct lines *lines)
{
    uint64_t limit = (uint64_t)lines->config->rotate_mb * BYTES_PER_MB;
    return lines->regular && limit > 0 && lines->bytes >= limit;
}

/* The oldest goes first, so that a kill at any moment leaves no two with one name and none without. */
int lines_rotate(struct lines *lines, struct error *err)
{
    const struct sink_config *config = lines->config;
    char from[PATH_MAX], to[PATH_MAX];
    for (uint32_t number = config->keep; number > 0; number--) {
        int result = rotated_name(to, config, number, err);
        if (result == 0)
            result = rotated_name(from, config, number - 1, err);
        if (result != 0)
            return result;
        if (rename(from, to) != 0 && errno != ENOENT)
            return error_set_errno(err, errno, from, "cannot be renamed to %s", to);
    }
    int old = lines->file;
    int result = open_file(lines, err);
    if (result != 0) {
        lines->file = old;
        return result;
    }
    close(old);
    return sync_folder(config->path, err);
}

void lines_get_mark(const struct lines *lines, struct lines_mark *mark)
{
    *mark = (struct lines_mark){ lines->inode, lines->bytes };
}

int lines_close(struct lines **lines_ptr, struct error *err)
{
    struct lines *lines = *lines_ptr;
    if (!lines)
        return 0;
    *lines_ptr = NULL;
    int result = 0;
    if (close(lines->file) != 0)
        result = error_set_errno(err, errno, lines->config->path, "cannot close it");
    free(lines);
    return result;
}

static int open_file(struct lines *lines, struct error *err)
{
    const char *path = lines->config->path;
    struct stat status;
    /* Without waiting: a FIFO without a reader would hold up the start for ever. */
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0644);
    if (file < 0)
        return error_set_errno(err, errno, path, "cannot be opened for writing");
    fcntl(file, F_SETFL, fcntl(file, F_GETFL) & ~O_NONBLOCK); /* the disk's threads may wait */
    if (fstat(file, &status) != 0) {
        close(file);
        return error_set_errno(err, errno, path, "cannot look at it");
    }
    lines->file = file;
    lines->regular = S_ISREG(status.st_mode);
    lines->inode = status.st_ino;
    lines->bytes = lines->regular ? (uint64_t)status.st_size : 0;
    return 0;
}

/* Cuts a file to the mark where it is the mark's: the same inode, and a line ends there. */
static int cut_marked(const char *path, const struct lines_mark *mark, bool *found, struct error *err)
{
    struct stat status;
    char last = '\n';
    *found = false;
    int file = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return errno == ENOENT ? 0 : error_set_errno(err, errno, path, "cannot read and write it");
    int result = 0;
    if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_ino == mark->inode &&
        (uint64_t)status.st_size >= mark->bytes &&
        (mark->bytes == 0 || pread(file, &last, 1, (off_t)mark->bytes - 1) == 1) && last == '\n') {
        *found = true;
        if ((uint64_t)status.st_size > mark->bytes &&
            (ftruncate(file, (off_t)mark->bytes) != 0 || fsync(file) != 0))
            result = error_set_errno(err, errno, path, "cannot cut off lines that do not count");
    }
    close(file);
    return result;
}

/* The mark's file is PATH, or PATH.1 when a kill came between rotation and the next commit. */
static int find_marked(const struct lines *lines, const struct lines_mark *mark, struct error *err)
{
    for (uint32_t number = 0; number <= 1; number++) {
        char name[PATH_MAX];
        bool found = false;
        int result = rotated_name(name, lines->config, number, err);
        if (result == 0)
            result = cut_marked(name, mark, &found, err);
        if (result != 0 || found)
            return result;
    }
    log_warn("sink", "the file of answers is not the one that was written last",
             LOG_STR("path", lines->config->path));
    return 0;
}

static int rotated_name(char *name, const struct sink_config *config, uint32_t number,
                        struct error *err)
{
    int size = number == 0 ? snprintf(name, PATH_MAX, "%s", config->path)
                           : snprintf(name, PATH_MAX, "%s.%u", config->path, number);
    if (size < PATH_MAX)
        return 0;
    return error_set(err, ERROR_CONFIG, "answers.path", "is longer than %d bytes", PATH_MAX);
}

/* So that a file's name is as lasting as its lines. */
static int sync_folder(const char *path, struct error *err)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t size = slash ? (size_t)(slash - path) + 1 : 0;
    if (size == 0)
        snprintf(folder, sizeof folder, ".");
    else
        snprintf(folder, sizeof folder, "%.*s", (int)size, path);
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = 0;
    if (file < 0 || fsync(file) != 0)
        result = error_set_errno(err, errno, folder, "cannot bring it to the disk");
    if (file >= 0)
        close(file);
    return result;
}
