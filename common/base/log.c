/* log: a line is put together on the stack and written with one write(2), so lines of two threads
 * never mix (up to PIPE_BUF bytes on a pipe, which is our limit too). */
#include "base/log.h"

#include "base/clock.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 4096u
#define CUT_MARK " cut=true\n" /* ends a line some of whose fields found no room */
#define VALUE_BYTES 1024u
#define MODULES_MAX 32u
#define MODULE_BYTES 32u

static const char *const level_words[] = { "error", "warn", "info", "debug" };
static const char name_letters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
#define LEVEL_COUNT (sizeof level_words / sizeof *level_words)

/* Set by log_configure, read by every thread. */
struct level_spec {
    enum log_level level;
    size_t module_count;
    struct {
        char name[MODULE_BYTES];
        enum log_level level;
    } modules[MODULES_MAX];
};
static struct level_spec levels = { .level = LOG_INFO };
static pthread_rwlock_t levels_lock = PTHREAD_RWLOCK_INITIALIZER;

struct line {
    size_t size;
    bool cut; /* a byte found no room: the field it belongs to is taken back */
    char data[LINE_BYTES];
};

static void add_bytes(struct line *line, const char *bytes, size_t count);
static void add_pair(struct line *line, const char *key, const char *value);
static void add_field(struct line *line, const struct log_field *field);
static void write_line(const struct line *line);
static int parse_item(struct level_spec *spec, const char *item, size_t size, struct error *err);

_Static_assert(LINE_BYTES <= PIPE_BUF, "longer lines may be torn on a pipe");

void log_emit(enum log_level level, const char *module, const char *message, ...)
{
    if (!log_enabled(level, module))
        return;
    int saved_errno = errno;
    struct line line;
    line.size = 0;
    line.cut = false;
    char now[CLOCK_RFC3339_BYTES];
    clock_format_rfc3339(clock_wall_us(), now);
    add_pair(&line, "ts", now);
    add_pair(&line, "level", level_words[level]);
    add_pair(&line, "module", module);
    add_pair(&line, "msg", message);

    va_list fields;
    va_start(fields, message);
    for (;;) {
        struct log_field field = va_arg(fields, struct log_field);
        if (!field.key)
            break;
        size_t before = line.size;
        add_field(&line, &field);
        if (line.cut) {
            line.size = before;
            break;
        }
    }
    va_end(fields);

    const char *end = line.cut ? CUT_MARK : "\n";
    memcpy(line.data + line.size, end, strlen(end)); /* add_bytes left room for it */
    line.size += strlen(end);
    write_line(&line);
    errno = saved_errno;
}

bool log_enabled(enum log_level level, const char *module)
{
    pthread_rwlock_rdlock(&levels_lock);
    enum log_level most = levels.level;
    for (size_t i = levels.module_count; i-- > 0;)
        if (strcmp(levels.modules[i].name, module) == 0)
            most = levels.modules[i].level;
    pthread_rwlock_unlock(&levels_lock);
    return level <= most;
}

static int parse(struct level_spec *fresh, const char *spec, struct error *err)
{
    *fresh = (struct level_spec){ .level = LOG_INFO };
    for (const char *item = spec;; item++) {
        size_t size = strcspn(item, ",");
        int failed = parse_item(fresh, item, size, err);
        if (failed)
            return failed;
        item += size;
        if (!*item)
            return 0;
    }
}

int log_configure(const char *spec, struct error *err)
{
    struct level_spec fresh;
    int failed = parse(&fresh, spec, err);
    if (failed)
        return failed;
    pthread_rwlock_wrlock(&levels_lock);
    levels = fresh;
    pthread_rwlock_unlock(&levels_lock);
    return 0;
}

int log_check(const char *spec, struct error *err)
{
    struct level_spec ignored;
    return parse(&ignored, spec, err);
}

static int parse_item(struct level_spec *spec, const char *item, size_t size, struct error *err)
{
    int shown = size > 64 ? 64 : (int)size;
    const char *equals = memchr(item, '=', size);
    const char *word = equals ? equals + 1 : item;
    size_t word_size = size - (size_t)(word - item);
    size_t level = 0;
    while (level < LEVEL_COUNT && (strlen(level_words[level]) != word_size ||
                                   memcmp(level_words[level], word, word_size) != 0))
        level++;
    if (level == LEVEL_COUNT)
        return error_set(err, ERROR_CONFIG, "log level",
                         "\"%.*s\" is not a level; write error, warn, info or debug, or "
                         "module=level, with commas between",
                         shown, item);
    if (!equals) {
        spec->level = (enum log_level)level;
        return 0;
    }
    size_t name_size = (size_t)(equals - item);
    if (name_size == 0 || name_size >= MODULE_BYTES || strspn(item, name_letters) != name_size)
        return error_set(err, ERROR_CONFIG, "log level",
                         "\"%.*s\": a module's name has 1 to %u letters, digits, - or _", shown,
                         item, MODULE_BYTES - 1);
    if (spec->module_count == MODULES_MAX)
        return error_set(err, ERROR_LIMIT, "log level", "more than %u modules", MODULES_MAX);
    memcpy(spec->modules[spec->module_count].name, item, name_size);
    spec->modules[spec->module_count].name[name_size] = '\0';
    spec->modules[spec->module_count].level = (enum log_level)level;
    spec->module_count++;
    return 0;
}

static void add_field(struct line *line, const struct log_field *field)
{
    char value[VALUE_BYTES];
    switch (field->kind) {
    case LOG_FIELD_STR:
        log_redact(field->as.str ? field->as.str : "", value, sizeof value);
        break;
    case LOG_FIELD_I64:
        snprintf(value, sizeof value, "%" PRId64, field->as.i64);
        break;
    case LOG_FIELD_U64:
        snprintf(value, sizeof value, "%" PRIu64, field->as.u64);
        break;
    case LOG_FIELD_F64:
        snprintf(value, sizeof value, "%.6g", field->as.f64);
        break;
    }
    add_pair(line, field->key, value);
}

static void add_bytes(struct line *line, const char *bytes, size_t count)
{
    if (line->cut || count > LINE_BYTES - strlen(CUT_MARK) - line->size) {
        line->cut = true;
        return;
    }
    memcpy(line->data + line->size, bytes, count);
    line->size += count;
}

/* What may stand in a value as it is: printable, and no byte that a terminal could obey. C1
 * controls (U+0080 to U+009F) are c2 80 to c2 9f. */
static size_t plain_bytes(const char *value, size_t size)
{
    const unsigned char *b = (const unsigned char *)value;
    size_t bytes = text_utf8_bytes(value, size);
    if (bytes == 1 && (b[0] < 0x20 || b[0] == 0x7f || b[0] == '"' || b[0] == '\\'))
        return 0;
    if (bytes == 2 && b[0] == 0xc2 && b[1] < 0xa0)
        return 0;
    return bytes;
}

static void add_pair(struct line *line, const char *key, const char *value)
{
    size_t size = strlen(value);
    bool quoted = size == 0;
    for (size_t at = 0; at < size && !quoted;) {
        size_t bytes = plain_bytes(value + at, size - at);
        quoted = bytes == 0 || value[at] == ' ' || value[at] == '=';
        at += bytes;
    }
    if (line->size > 0)
        add_bytes(line, " ", 1);
    add_bytes(line, key, strlen(key));
    add_bytes(line, "=", 1);
    if (!quoted) {
        add_bytes(line, value, size);
        return;
    }
    add_bytes(line, "\"", 1);
    for (size_t at = 0; at < size;) {
        size_t bytes = plain_bytes(value + at, size - at);
        char escape[8];
        if (bytes > 0) {
            add_bytes(line, value + at, bytes);
            at += bytes;
            continue;
        }
        if (value[at] == '"' || value[at] == '\\')
            snprintf(escape, sizeof escape, "\\%c", value[at]);
        else if (value[at] == '\n')
            snprintf(escape, sizeof escape, "\\n");
        else if (value[at] == '\t')
            snprintf(escape, sizeof escape, "\\t");
        else
            snprintf(escape, sizeof escape, "\\x%02x", (unsigned char)value[at]);
        add_bytes(line, escape, strlen(escape));
        at++;
    }
    add_bytes(line, "\"", 1);
}

/* When nobody reads standard error there is nobody to tell; the line is lost. */
static void write_line(const struct line *line)
{
    ssize_t written;
    do
        written = write(STDERR_FILENO, line->data, line->size);
    while (written < 0 && errno == EINTR);
}
