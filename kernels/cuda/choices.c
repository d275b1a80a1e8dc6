/* choices: lines in memory as they are in the file. They are some hundreds, looked up some hundred times
 * while a plan is made, so they are gone through from the last to the first. */
#include "cuda/choices.h"
#include "base/file.h"
#include "base/hash.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH_DIGITS 16
#define LINE_BYTES (CHOICES_KEY_BYTES + CHOICES_VALUE_BYTES + HASH_DIGITS + 3)
#define PATH_BYTES 4096
#define FOLDER_MODE 0700
#define FILE_MODE 0600

struct line {
    char *key, *value; /* one piece of memory, the key's */
};

struct choices {
    char path[PATH_BYTES]; /* "": none */
    struct line *lines;
    size_t count, capacity;
};

static void find_path(char *path);
static int read_lines(struct choices *choices, struct error *err);
static int keep_line(struct choices *choices, const char *line, size_t bytes, struct error *err);
static int keep(struct choices *choices, const char *key, size_t key_bytes, const char *value,
                size_t value_bytes, struct error *err);
static int no_memory(struct error *err);
static bool fits(const char *text, size_t bytes_max);
static void append(const char *path, const char *key, const char *value);
static void append_to(int file, const char *line, size_t bytes);
static uint64_t hash_line(const char *line, size_t bytes);
static bool find_kept(const struct choices *choices, const char *key, char *path, bool make);
static void write_head(struct text *text, const char *key, const char *content, size_t bytes);

int choices_open(struct choices **choices, const char *path, struct error *err)
{
    struct choices *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return no_memory(err);
    if (!path)
        find_path(fresh->path);
    else if (strlen(path) < sizeof fresh->path)
        memcpy(fresh->path, path, strlen(path) + 1);
    int rc = fresh->path[0] ? read_lines(fresh, err) : 0;
    if (rc) {
        choices_close(&fresh);
        return rc;
    }
    *choices = fresh;
    return 0;
}

void choices_close(struct choices **choices)
{
    if (!*choices)
        return;
    for (size_t i = 0; i < (*choices)->count; i++)
        free((*choices)->lines[i].key);
    free((*choices)->lines);
    free(*choices);
    *choices = NULL;
}

const char *choices_find(const struct choices *choices, const char *key)
{
    for (size_t i = choices->count; i > 0; i--)
        if (strcmp(choices->lines[i - 1].key, key) == 0)
            return choices->lines[i - 1].value;
    return NULL;
}

int choices_add(struct choices *choices, const char *key, const char *value, struct error *err)
{
    if (!fits(key, CHOICES_KEY_BYTES) || !fits(value, CHOICES_VALUE_BYTES))
        return 0;
    int rc = keep(choices, key, strlen(key), value, strlen(value), err);
    if (!rc && choices->path[0])
        append(choices->path, key, value);
    return rc;
}

/* As the XDG base directory specification says; a relative path counts as none. */
static void find_path(char *path)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int bytes = -1;
    if (cache && cache[0] == '/')
        bytes = snprintf(path, PATH_BYTES, "%s/runespoor/cuda-choices", cache);
    else if (home && home[0] == '/')
        bytes = snprintf(path, PATH_BYTES, "%s/.cache/runespoor/cuda-choices", home);
    if (bytes < 0 || bytes >= PATH_BYTES)
        path[0] = '\0';
}

/* ---- reading ---- */

static int read_lines(struct choices *choices, struct error *err)
{
    struct text text = { 0 };
    struct error why;
    int rc = file_read_text(choices->path, CHOICES_FILE_BYTES, &text, &why);
    if (rc == -ERROR_MEMORY)
        rc = no_memory(err);
    else if (rc) /* there is none, or none that can be read */
        text_clear(&text), rc = 0;
    for (size_t at = 0; !rc && at < text.size;) {
        const char *end = memchr(text.data + at, '\n', text.size - at);
        size_t bytes = end ? (size_t)(end - text.data) - at : text.size - at;
        rc = keep_line(choices, text.data + at, bytes, err);
        at += bytes + 1;
    }
    text_finish(&text);
    return rc;
}

/* Lines that are not as they should be are left out. */
static int keep_line(struct choices *choices, const char *line, size_t bytes, struct error *err)
{
    const char *value = memchr(line, '\t', bytes);
    const char *hash = value ? memchr(value + 1, '\t', bytes - (size_t)(value + 1 - line)) : NULL;
    char expected[HASH_DIGITS + 1];
    if (!hash || (size_t)(hash + 1 - line) + HASH_DIGITS != bytes || memchr(line, '\0', bytes))
        return 0;
    snprintf(expected, sizeof expected, "%016" PRIx64, hash_line(line, (size_t)(hash - line)));
    if (memcmp(hash + 1, expected, HASH_DIGITS) != 0)
        return 0;
    return keep(choices, line, (size_t)(value - line), value + 1, (size_t)(hash - value - 1), err);
}

static int keep(struct choices *choices, const char *key, size_t key_bytes, const char *value,
                size_t value_bytes, struct error *err)
{
    if (choices->count == choices->capacity) {
        size_t wanted = choices->capacity ? choices->capacity * 2 : 64;
        struct line *more = realloc(choices->lines, wanted * sizeof *more);
        if (!more)
            return no_memory(err);
        choices->lines = more;
        choices->capacity = wanted;
    }
    char *both = calloc(1, key_bytes + value_bytes + 2);
    if (!both)
        return no_memory(err);
    memcpy(both, key, key_bytes);
    memcpy(both + key_bytes + 1, value, value_bytes);
    choices->lines[choices->count++] = (struct line){ both, both + key_bytes + 1 };
    return 0;
}

static int no_memory(struct error *err)
{
    return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
}

/* ---- writing ---- */

static bool fits(const char *text, size_t bytes_max)
{
    size_t bytes = 0;
    for (; text[bytes]; bytes++)
        if (text[bytes] < ' ' || text[bytes] > '~')
            return false;
    return bytes < bytes_max;
}

/* What fails here is found out again by the next process. */
static void append(const char *path, const char *key, const char *value)
{
    char folder[PATH_BYTES], line[LINE_BYTES];
    const char *slash = strrchr(path, '/');
    if (slash && slash > path) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
        if (file_make_folder(folder, FOLDER_MODE, NULL))
            return;
    }
    int bytes = snprintf(line, sizeof line, "%s\t%s", key, value);
    uint64_t hash = hash_line(line, (size_t)bytes);
    bytes += snprintf(line + bytes, sizeof line - (size_t)bytes, "\t%016" PRIx64 "\n", hash);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (file < 0)
        return;
    if (flock(file, LOCK_EX) == 0)
        append_to(file, line, (size_t)bytes);
    close(file); /* and the lock is gone */
}

/* Begins a line of its own where a process was killed amid one. */
static void append_to(int file, const char *line, size_t bytes)
{
    struct stat info;
    char last = '\n';
    if (fstat(file, &info))
        return;
    if (info.st_size + (off_t)bytes > (off_t)CHOICES_FILE_BYTES) {
        if (ftruncate(file, 0))
            return;
        info.st_size = 0;
    }
    if (info.st_size > 0 && pread(file, &last, 1, info.st_size - 1) != 1)
        return;
    if (last != '\n' && pwrite(file, "\n", 1, info.st_size++) != 1)
        return;
    if (pwrite(file, line, bytes, info.st_size) != (ssize_t)bytes)
        return; /* the half line has no hash of its own, and is skipped */
}

static uint64_t hash_line(const char *line, size_t bytes)
{
    return hash_bytes(HASH_START, line, bytes);
}

/* ---- what is kept beside it ---- */

/* A file is a line, "key TAB hash" of key and content, and the content. */
bool choices_load(const struct choices *choices, const char *key, struct text *content)
{
    char path[PATH_BYTES];
    struct text whole = { 0 }, head = { 0 };
    struct error why;
    bool good = false;
    if (!find_kept(choices, key, path, false) ||
        file_read_text(path, CHOICES_KEPT_BYTES + LINE_BYTES, &whole, &why))
        goto done;
    const char *end = memchr(whole.data, '\n', whole.size);
    size_t bytes = end ? whole.size - (size_t)(end + 1 - whole.data) : 0;
    if (!end)
        goto done;
    write_head(&head, key, end + 1, bytes);
    good = !head.failed && head.size + bytes == whole.size &&
           memcmp(whole.data, head.data, head.size) == 0;
    if (good)
        text_add(content, end + 1, bytes);
    good = good && !content->failed;
done:
    text_finish(&whole);
    text_finish(&head);
    return good;
}

void choices_store(const struct choices *choices, const char *key, const char *content, size_t bytes)
{
    char path[PATH_BYTES];
    struct text text = { 0 };
    struct error why;
    if (bytes > CHOICES_KEPT_BYTES || !fits(key, CHOICES_KEY_BYTES) ||
        !find_kept(choices, key, path, true))
        return;
    write_head(&text, key, content, bytes);
    text_add(&text, content, bytes);
    if (!text.failed)
        (void)file_write(path, text.data, text.size, FILE_MODE, true, &why);
    text_finish(&text);
}

static bool find_kept(const struct choices *choices, const char *key, char *path, bool make)
{
    char folder[PATH_BYTES];
    unsigned file = (unsigned)(hash_line(key, strlen(key)) % CHOICES_KEPT_FILES);
    int bytes = snprintf(folder, sizeof folder, "%s-kept", choices->path);
    if (!choices->path[0] || bytes >= PATH_BYTES ||
        (make && file_make_folder(folder, FOLDER_MODE, NULL)))
        return false;
    return (size_t)snprintf(path, PATH_BYTES, "%s/%03x", folder, file) < PATH_BYTES;
}

static void write_head(struct text *text, const char *key, const char *content, size_t bytes)
{
    uint64_t hash = hash_bytes(hash_line(key, strlen(key)), content, bytes);
    text_printf(text, "%s\t%016" PRIx64 "\n", key, hash);
}
