/* config: the loaded file as a whole; its parts do the work (yaml, sets, bind, value, print). */
#include "config/parts.h"

#include "base/log.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct config *create(const struct option_spec *root, void *target, const char *name);
static void read_file(struct config *config, const char *path);
static void read_text(struct config *config, const char *bytes, size_t size);
static int finish(struct config *config, struct config **out, struct error *err);
static void problem_add_args(struct config *config, const struct node *where, const char *key,
                             const char *format, va_list args) __attribute__((format(printf, 4, 0)));

int config_load(struct config **out, const struct option_spec *root, void *target, const char *path,
                const char *const *sets, size_t set_count, struct error *err)
{
    *out = NULL;
    struct config *config = create(root, target, path ? path : "defaults");
    if (!config)
        return error_set(err, ERROR_MEMORY, "config", "no room to read it");
    if (path)
        read_file(config, path);
    for (size_t i = 0; i < set_count; i++)
        set_apply(config, sets[i]);
    bind_all(config);
    return finish(config, out, err);
}

int config_load_text(struct config **out, const struct option_spec *root, void *target,
                     const char *name, const char *bytes, size_t size, struct error *err)
{
    *out = NULL;
    struct config *config = create(root, target, name);
    if (!config)
        return error_set(err, ERROR_MEMORY, "config", "no room to read it");
    read_text(config, bytes, size);
    bind_all(config);
    return finish(config, out, err);
}

size_t config_problem_count(const struct config *config)
{
    return config->problem_count;
}

const char *config_problem(const struct config *config, size_t index)
{
    assert(index < config->problem_count);
    return config->problems[index].text;
}

/* The node of "a.b.0.c", or the nearest around it that is written anywhere. */
static const struct node *find_place(const struct config *config, const char *key)
{
    const struct node *node = config->tree;
    for (;;) {
        char word[64];
        size_t size = strcspn(key, ".");
        if (size == 0 || size >= sizeof word)
            return node;
        memcpy(word, key, size);
        word[size] = '\0';
        char *end;
        unsigned long index = strtoul(word, &end, 10);
        const struct node *child = node->kind == NODE_LIST && *end == '\0'
                                       ? node_element(node, index)
                                       : node_child(node, word);
        if (!child)
            return node;
        node = child;
        if (!key[size])
            return node;
        key += size + 1;
    }
}

void config_add_problem(struct config *config, const char *key, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    problem_add_args(config, find_place(config, key), key, format, args);
    va_end(args);
}

void problem_add(struct config *config, const struct node *where, const char *key,
                 const char *format, ...)
{
    va_list args;
    va_start(args, format);
    problem_add_args(config, where, key, format, args);
    va_end(args);
}

void config_free(struct config **config)
{
    if (!*config)
        return;
    arena_free(&(*config)->arena);
    free(*config);
    *config = NULL;
}

static struct config *create(const struct option_spec *root, void *target, const char *name)
{
    assert(root && target && name);
    struct config *config = calloc(1, sizeof *config);
    if (!config)
        return NULL;
    config->root = root;
    config->target = target;
    config->name = arena_copy(&config->arena, name, strlen(name));
    config->tree = arena_alloc(&config->arena, sizeof *config->tree);
    if (config->arena.failed)
        config_free(&config);
    return config;
}

/* Out of memory beats everything; otherwise the first problem is the error. */
static int finish(struct config *config, struct config **out, struct error *err)
{
    if (config->arena.failed) {
        config_free(&config);
        return error_set(err, ERROR_MEMORY, "config", "no room for what the file says");
    }
    *out = config;
    if (config->problem_count == 0)
        return 0;
    if (err) {
        err->code = ERROR_CONFIG; /* the problem names its place itself */
        snprintf(err->text, sizeof err->text, "%.*s", (int)sizeof err->text - 1,
                 config->problems[0].text);
    }
    return -ERROR_CONFIG;
}

static void read_text(struct config *config, const char *bytes, size_t size)
{
    if (size <= CONFIG_FILE_BYTES_MAX) {
        yaml_read(config, bytes, size);
        return;
    }
    config->partial = true;
    problem_add(config, config->tree, "", "is larger than %u bytes", CONFIG_FILE_BYTES_MAX);
}

/* Reads one byte more than is allowed, to know a file that is too large. */
static void read_file(struct config *config, const char *path)
{
    size_t size = 0;
    ssize_t got = 0;
    int file = -1;
    char *bytes = malloc(CONFIG_FILE_BYTES_MAX + 1);
    if (!bytes) {
        config->arena.failed = true;
        return;
    }
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        goto unreadable;
    do {
        got = read(file, bytes + size, CONFIG_FILE_BYTES_MAX + 1 - size);
        if (got < 0 && errno != EINTR)
            goto unreadable;
        size += got > 0 ? (size_t)got : 0;
    } while (got != 0 && size <= CONFIG_FILE_BYTES_MAX);
    read_text(config, bytes, size);
    goto out;

unreadable:
    config->partial = true;
    if (errno == ENOENT)
        problem_add(config, config->tree, "",
                    "there is no such file; `%s example` prints a configuration to start from",
                    program_invocation_short_name);
    else
        problem_add(config, config->tree, "", "cannot be read: %s", strerror(errno));
out:
    if (file >= 0)
        close(file);
    free(bytes);
}

/* What comes from a file may hold anything: controls must not reach a terminal. */
static void make_printable(char *text)
{
    size_t size = strlen(text);
    for (size_t at = 0; at < size;) {
        unsigned char c = (unsigned char)text[at];
        size_t length = text_utf8_bytes(text + at, size - at);
        bool c1 = length == 2 && c == 0xc2 && (unsigned char)text[at + 1] < 0xa0;
        if (length == 0 || c < 0x20 || c == 0x7f || c1)
            text[at] = '?';
        if (c1)
            text[at + 1] = '?';
        at += length ? length : 1;
    }
}

/* Kept in the order of lines, --set last: a reader goes through the file once. */
static void insert(struct config *config, unsigned line, const char *text)
{
    size_t at = config->problem_count++;
    for (; at > 0 && config->problems[at - 1].line > line; at--)
        config->problems[at] = config->problems[at - 1];
    config->problems[at] = (struct problem){ .line = line, .text = text };
}

static void problem_add_args(struct config *config, const struct node *where, const char *key,
                             const char *format, va_list args)
{
    char what[CONFIG_PROBLEM_BYTES], place[32] = "";
    char plain[2 * CONFIG_PROBLEM_BYTES], shown[2 * CONFIG_PROBLEM_BYTES];
    if (config->problem_count == CONFIG_PROBLEMS_MAX)
        return;
    bool last = config->problem_count == CONFIG_PROBLEMS_MAX - 1;
    if (where->line > 0 && !last)
        snprintf(place, sizeof place, ":%u", where->line);
    vsnprintf(what, sizeof what, format, args);
    if (last)
        snprintf(what, sizeof what, "has more mistakes; repair these first");
    bool named = *key && !last;
    snprintf(plain, sizeof plain, "%s%s: %s%s%s", where->from_set && !last ? "--set" : config->name,
             place, named ? key : "", named ? ": " : "", what);
    log_redact(plain, shown, sizeof shown);
    make_printable(shown);
    const char *kept = arena_copy(&config->arena, shown, strlen(shown));
    if (kept)
        insert(config, last || where->from_set ? UINT_MAX : where->line, kept);
}
