/* allow_list: a folder is looked at often and changes rarely, so names and times are compared first
 * and only what changed is read. Files are kept by name, and a second order by key serves lookups. */
#include "net/keys.h"

#include "base/log.h"
#include "net/allow_file.h"
#include "net/wire.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SUFFIX ALLOW_FILE_SUFFIX
#define KEYS_PER_AGENT 2u

/* What one good file says. */
struct agent {
    char name[WIRE_NAME_BYTES_MAX + 1];
    char keys[KEYS_PER_AGENT][KEY_TEXT_BYTES]; /* the second: "" where there is none */
    bool shadowed[KEYS_PER_AGENT]; /* an earlier file has this key, and that was reported */
    bool reads;
    size_t pattern_count;
    char patterns[]; /* one after the other, each with its NUL */
};

/* One file of the folder, good or not. */
struct allow_file {
    char name[NAME_MAX + 1];
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
    struct agent *agent; /* NULL: left out, and that was reported */
};

struct folder {
    struct allow_file *files; /* by name */
    size_t count;
    bool overflow;
};

/* One key of one agent. */
struct key_entry {
    struct agent *agent;
    const char *key; /* in agent */
};

struct allow_list {
    char *path;
    struct folder folder;
    struct key_entry *by_key; /* those that count, for the lookup */
    size_t key_count;
    int reported_errno; /* of the folder itself */
};

static int scan(const char *path, struct folder *folder);
static int scan_entry(DIR *handle, const char *name, struct folder *folder, size_t *capacity);
static bool folder_is_same(const struct folder *a, const struct folder *b);
static void take_over(struct allow_list *list, struct folder *fresh);
static struct agent *read_agent(const char *folder, struct allow_file *file);
static struct agent *make_agent(const char *name, const struct allow_text *text, struct error *err);
static void make_order(struct allow_list *list, struct key_entry *order);
static int compare_files(const void *a, const void *b);
static int compare_keys(const void *a, const void *b);
static bool file_is_same(const struct allow_file *a, const struct allow_file *b);
static const struct agent *find(const struct allow_list *list, const char *public_text);
static void folder_free(struct folder *folder);

int allow_list_open(struct allow_list **list, const char *folder, struct error *err)
{
    assert(list && folder);
    struct allow_list *fresh = calloc(1, sizeof *fresh);
    if (!fresh || !(fresh->path = strdup(folder))) {
        free(fresh);
        return error_set(err, ERROR_MEMORY, "allow list", "no room");
    }
    struct folder found = { 0 };
    int code = scan(folder, &found);
    folder_free(&found);
    if (code != 0) {
        allow_list_close(&fresh);
        return error_set_errno(err, code, folder,
                               "cannot read this folder of allowed keys; make it, or name another");
    }
    allow_list_refresh(fresh);
    *list = fresh;
    return 0;
}

bool allow_list_refresh(struct allow_list *list)
{
    struct folder fresh = { 0 };
    int code = scan(list->path, &fresh);
    if (code != 0) {
        if (code != list->reported_errno)
            log_error("keys", "cannot read the folder of allowed keys, the list stays as it was",
                      LOG_STR("folder", list->path), LOG_STR("cause", strerror(code)));
        list->reported_errno = code;
        folder_free(&fresh);
        return false;
    }
    list->reported_errno = 0;
    if (folder_is_same(&list->folder, &fresh)) {
        folder_free(&fresh);
        return false;
    }
    struct key_entry *order = calloc(KEYS_PER_AGENT * fresh.count + 1, sizeof *order);
    if (!order) {
        log_error("keys", "no memory to read the allowed keys again");
        folder_free(&fresh);
        return false;
    }
    if (fresh.overflow && !list->folder.overflow)
        log_warn("keys", "too many files of allowed keys, the rest is left out",
                 LOG_STR("folder", list->path), LOG_U64("limit", KEYS_ALLOWED_MAX));
    take_over(list, &fresh);
    make_order(list, order);
    return true;
}

const char *allow_list_find(const struct allow_list *list, const char *public_text)
{
    const struct agent *agent = find(list, public_text);
    return agent ? agent->name : NULL;
}

bool allow_list_permits(const struct allow_list *list, const char *public_text, const char *stream)
{
    const struct agent *agent = find(list, public_text);
    const char *pattern = agent ? agent->patterns : NULL;
    for (size_t i = 0; agent && i < agent->pattern_count; i++) {
        if (wire_pattern_matches(pattern, stream))
            return true;
        pattern += strlen(pattern) + 1;
    }
    return false;
}

bool allow_list_reads(const struct allow_list *list, const char *public_text)
{
    const struct agent *agent = find(list, public_text);
    return agent && agent->reads;
}

size_t allow_list_count(const struct allow_list *list)
{
    return list->key_count;
}

void allow_list_close(struct allow_list **list)
{
    assert(list);
    if (!*list)
        return;
    folder_free(&(*list)->folder);
    free((*list)->by_key);
    free((*list)->path);
    free(*list);
    *list = NULL;
}

/* Names and stamps of the folder's files, by name. 0 or the errno; folder is to be freed anyway. */
static int scan(const char *path, struct folder *folder)
{
    DIR *handle = opendir(path);
    if (!handle)
        return errno;
    size_t capacity = 0;
    int code = 0;
    while (code == 0) {
        errno = 0;
        const struct dirent *entry = readdir(handle);
        if (!entry) {
            code = errno;
            break;
        }
        code = scan_entry(handle, entry->d_name, folder, &capacity);
    }
    closedir(handle);
    if (folder->count > 0)
        qsort(folder->files, folder->count, sizeof folder->files[0], compare_files);
    return code;
}

static int scan_entry(DIR *handle, const char *name, struct folder *folder, size_t *capacity)
{
    size_t size = strlen(name);
    struct stat info;
    if (name[0] == '.' || size < strlen(SUFFIX) || strcmp(name + size - strlen(SUFFIX), SUFFIX) != 0)
        return 0;
    if (fstatat(dirfd(handle), name, &info, 0) != 0 || !S_ISREG(info.st_mode))
        return 0; /* gone meanwhile, or nothing to read */
    if (folder->count == KEYS_ALLOWED_MAX) {
        folder->overflow = true;
        return 0;
    }
    if (folder->count == *capacity) {
        size_t wanted = *capacity ? 2 * *capacity : 16;
        struct allow_file *grown = realloc(folder->files, wanted * sizeof *grown);
        if (!grown)
            return ENOMEM;
        folder->files = grown;
        *capacity = wanted;
    }
    struct allow_file *file = &folder->files[folder->count++];
    *file = (struct allow_file){
        .inode = info.st_ino, .size = info.st_size, .modified = info.st_mtim, .changed = info.st_ctim
    };
    memcpy(file->name, name, size + 1);
    return 0;
}

static bool folder_is_same(const struct folder *a, const struct folder *b)
{
    if (a->count != b->count || a->overflow != b->overflow)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!file_is_same(&a->files[i], &b->files[i]))
            return false;
    return true;
}

/* fresh becomes the list's folder; agents of files that did not change move, the others are read. */
static void take_over(struct allow_list *list, struct folder *fresh)
{
    struct folder *old = &list->folder;
    for (size_t i = 0, o = 0; i < fresh->count; i++) {
        struct allow_file *file = &fresh->files[i];
        while (o < old->count && strcmp(old->files[o].name, file->name) < 0)
            o++;
        if (o < old->count && file_is_same(&old->files[o], file)) {
            *file = old->files[o];
            old->files[o].agent = NULL;
        } else {
            file->agent = read_agent(list->path, file);
        }
    }
    folder_free(old);
    *old = *fresh;
}

/* NULL, with the reason in the log, for a file that is wrong. */
static struct agent *read_agent(const char *folder, struct allow_file *file)
{
    char name[NAME_MAX + 1];
    size_t size = strlen(file->name) - strlen(SUFFIX);
    memcpy(name, file->name, size);
    name[size] = '\0';
    struct agent *agent = NULL;
    struct config *config;
    struct allow_text text;
    struct error err;
    if (allow_file_read(&config, &text, folder, name, &err) == 0)
        agent = make_agent(name, &text, &err);
    if (!agent) {
        log_error("keys", "a file of allowed keys is left out", LOG_STR("file", file->name),
                  LOG_CAUSE(&err));
        if (err.code == ERROR_MEMORY)
            file->inode = 0; /* not the file's fault: the next look takes it for another one */
    }
    config_free(&config);
    return agent;
}

static struct agent *make_agent(const char *name, const struct allow_text *text, struct error *err)
{
    size_t bytes = 0;
    for (size_t i = 0; i < text->streams.count; i++)
        bytes += strlen(text->streams.items[i]) + 1;
    struct agent *agent = calloc(1, sizeof *agent + bytes);
    if (!agent) {
        error_set(err, ERROR_MEMORY, "key", "no room for %zu bytes", sizeof *agent + bytes);
        return NULL;
    }
    memcpy(agent->name, name, strlen(name));
    memcpy(agent->keys[0], text->key, strlen(text->key));
    memcpy(agent->keys[1], text->next_key, strlen(text->next_key));
    agent->reads = text->reads;
    agent->pattern_count = text->streams.count;
    char *at = agent->patterns;
    for (size_t i = 0; i < text->streams.count; i++)
        at = stpcpy(at, text->streams.items[i]) + 1;
    return agent;
}

/* Sorts the keys of good files into order, which becomes the list's; reports keys that came twice. */
static void make_order(struct allow_list *list, struct key_entry *order)
{
    struct folder *folder = &list->folder;
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < folder->count; i++)
        for (size_t k = 0; folder->files[i].agent && k < KEYS_PER_AGENT; k++)
            if (folder->files[i].agent->keys[k][0])
                order[count++] =
                    (struct key_entry){ folder->files[i].agent, folder->files[i].agent->keys[k] };
    qsort(order, count, sizeof order[0], compare_keys);
    for (size_t i = 0; i < count; i++) {
        struct key_entry *entry = &order[i], *first = kept > 0 ? &order[kept - 1] : NULL;
        bool shadowed = first && strcmp(first->key, entry->key) == 0;
        bool *reported = &entry->agent->shadowed[entry->key != entry->agent->keys[0]];
        if (shadowed && !*reported)
            log_error("keys", "a key is left out, another file has the same",
                      LOG_STR("agent", entry->agent->name), LOG_STR("other", first->agent->name));
        *reported = shadowed;
        if (!shadowed)
            order[kept++] = *entry;
    }
    free(list->by_key);
    list->by_key = order;
    list->key_count = kept;
}

static int compare_files(const void *a, const void *b)
{
    const struct allow_file *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int compare_keys(const void *a, const void *b)
{
    const struct key_entry *x = a, *y = b;
    int order = strcmp(x->key, y->key);
    return order ? order : strcmp(x->agent->name, y->agent->name);
}

static bool file_is_same(const struct allow_file *a, const struct allow_file *b)
{
    return strcmp(a->name, b->name) == 0 && a->inode == b->inode && a->size == b->size &&
           a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static const struct agent *find(const struct allow_list *list, const char *public_text)
{
    size_t low = 0, high = list->key_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(public_text, list->by_key[middle].key);
        if (order == 0)
            return list->by_key[middle].agent;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static void folder_free(struct folder *folder)
{
    for (size_t i = 0; i < folder->count; i++)
        free(folder->files[i].agent);
    free(folder->files);
    *folder = (struct folder){ 0 };
}
