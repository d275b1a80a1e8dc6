/* config: YAML into structs by option tables. A key that is in no table does not exist.
 *
 * Each module owns one table (array of struct option_spec ended by OPTION_END). A daemon's root
 * table nests them as sections. From the same tables come parsing, defaults, range errors with line
 * and nearest name, --help, docs/configure.md, the commented example file and --print-config. */
#ifndef RUNESPOOR_CONFIG_CONFIG_H
#define RUNESPOOR_CONFIG_CONFIG_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_STRING_BYTES_MAX 4096 /* where a table names no other bound */

enum option_kind {
    OPTION_KIND_END,
    OPTION_KIND_BOOL,    /* bool */
    OPTION_KIND_U32,     /* uint32_t */
    OPTION_KIND_F64,     /* double */
    OPTION_KIND_STRING,  /* char *, owned by the struct config; "" when not set, never NULL */
    OPTION_KIND_ENUM,    /* int, index into words */
    OPTION_KIND_STRINGS, /* struct option_strings */
    OPTION_KIND_SECTION, /* a struct inside, described by section */
    OPTION_KIND_LIST,    /* struct option_list of element_bytes structs described by section */
};

/* What it takes that a changed value holds in a daemon that runs, when SIGHUP reads the file again. */
enum option_reload {
    RELOAD_AS_AROUND, /* as of the section or list around it; where none says anything: RESTART */
    RELOAD_LIVE,      /* nothing: it holds at once */
    RELOAD_PART,      /* what it belongs to (a camera, a page) starts again, the rest goes on */
    RELOAD_RESTART,   /* the daemon has to be started again, and says so */
};

struct option_strings {
    char **items;
    size_t count;
};

struct option_list {
    void *items; /* count structs of element_bytes */
    size_t count;
};

struct option_spec {
    const char *name;
    enum option_kind kind;
    size_t offset;
    const char *fallback;     /* default as text, parsed like a value; NULL: the key is required;
                                 for STRINGS the items with commas between, as in --set */
    double min, max;          /* numbers; for strings the length in bytes, for lists the count;
                                 both 0: any */
    const char *unit;         /* "ms", "bit/s", … or "" */
    const char *const *words; /* ENUM: NULL-ended words */
    const struct option_spec *section;
    size_t element_bytes;
    const char *example; /* for the example file, where a key is required; NULL: made up */
    bool secret;         /* shown as *** in printouts and never repeated in messages */
    enum option_reload reload;
    const char *help; /* one sentence, without a full stop */
};

/* The last argument of each is the help, which more fields may follow: "log level", .reload = RELOAD_LIVE. */

#define OPTION_BOOL(type, field, def, ...)                                                \
    {                                                                                     \
        .name = #field, .kind = OPTION_KIND_BOOL, .offset = offsetof(struct type, field), \
        .fallback = (def), .help = __VA_ARGS__                                            \
    }
#define OPTION_U32(type, field, def, lo, hi, unit_, ...)                                  \
    {                                                                                     \
        .name = #field, .kind = OPTION_KIND_U32, .offset = offsetof(struct type, field),  \
        .fallback = (def), .min = (lo), .max = (hi), .unit = (unit_), .help = __VA_ARGS__ \
    }
#define OPTION_F64(type, field, def, lo, hi, unit_, ...)                                  \
    {                                                                                     \
        .name = #field, .kind = OPTION_KIND_F64, .offset = offsetof(struct type, field),  \
        .fallback = (def), .min = (lo), .max = (hi), .unit = (unit_), .help = __VA_ARGS__ \
    }
#define OPTION_STRING(type, field, def, ...)                                                \
    {                                                                                       \
        .name = #field, .kind = OPTION_KIND_STRING, .offset = offsetof(struct type, field), \
        .fallback = (def), .max = CONFIG_STRING_BYTES_MAX, .help = __VA_ARGS__              \
    }
/* A string that must be given; example is what the example file shows. */
#define OPTION_STRING_REQUIRED(type, field, example_, ...)                                   \
    {                                                                                        \
        .name = #field, .kind = OPTION_KIND_STRING, .offset = offsetof(struct type, field),  \
        .min = 1, .max = CONFIG_STRING_BYTES_MAX, .example = (example_), .help = __VA_ARGS__ \
    }
#define OPTION_ENUM(type, field, def, words_, ...)                                        \
    {                                                                                     \
        .name = #field, .kind = OPTION_KIND_ENUM, .offset = offsetof(struct type, field), \
        .fallback = (def), .words = (words_), .help = __VA_ARGS__                         \
    }
#define OPTION_STRINGS(type, field, lo, hi, ...)                                             \
    {                                                                                        \
        .name = #field, .kind = OPTION_KIND_STRINGS, .offset = offsetof(struct type, field), \
        .fallback = "", .min = (lo), .max = (hi), .help = __VA_ARGS__                        \
    }
#define OPTION_SECTION(type, field, table, ...)                                              \
    {                                                                                        \
        .name = #field, .kind = OPTION_KIND_SECTION, .offset = offsetof(struct type, field), \
        .fallback = "", .section = (table), .help = __VA_ARGS__                              \
    }
#define OPTION_LIST(type, field, element, table, lo, hi, ...)                                     \
    {                                                                                             \
        .name = #field, .kind = OPTION_KIND_LIST, .offset = offsetof(struct type, field),         \
        .fallback = "", .section = (table), .element_bytes = sizeof(struct element), .min = (lo), \
        .max = (hi), .help = __VA_ARGS__                                                          \
    }
#define OPTION_END              \
    {                           \
        .kind = OPTION_KIND_END \
    }

/* One loaded file with its values, their origin and all mistakes found. */
struct config;

/* Reads path (NULL: defaults only), applies `sets` ("cameras.0.rung.fps=5"; later ones win, the
 * next free number adds an element, "names=a,b" sets a list of strings), and fills target, which is
 * described by root and must be zeroed. Strings and lists inside target live until config_free. On
 * mistakes returns -ERROR_CONFIG: *err is the first, and all of them, in the order of lines, are
 * given by config_problem(*out, …) as "file:line: key: what is wrong, allowed range, nearest name";
 * target then has defaults where the file is wrong. *out is always set and must be freed, except
 * when memory ran out. Limits: CONFIG_FILE_BYTES_MAX, CONFIG_DEPTH_MAX. Anchors, aliases and tags
 * are refused. */
int config_load(struct config **out, const struct option_spec *root, void *target, const char *path,
                const char *const *sets, size_t set_count, struct error *err);

/* The same from memory; name stands for the file in messages. For tests and fuzzing. */
int config_load_text(struct config **out, const struct option_spec *root, void *target,
                     const char *name, const char *bytes, size_t size, struct error *err);

#define CONFIG_FILE_BYTES_MAX (1u << 20)
#define CONFIG_DEPTH_MAX 16u

size_t config_problem_count(const struct config *config);
const char *config_problem(const struct config *config, size_t index);

/* Adds a mistake that only the module can see (two keys that contradict); key as "a.b.0.c". The
 * line is looked up from the file. Used by modules' own checks after a good config_load. */
void config_add_problem(struct config *config, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Every effective value with "# file:line", "# default" or "# --set" behind it; secrets and logins
 * in URLs as ***. Only after a load without mistakes. */
void config_print(const struct config *config, FILE *out);

void config_free(struct config **config);

/* Calls differs for each value that is not the same in a and b, two structs that table describes: key as
 * "a.b", a list as one value. around: what holds for options of the table that say nothing. Gives the
 * most that any of them takes, RELOAD_AS_AROUND when a and b are the same. */
typedef void config_difference_fn(void *arg, const char *key, enum option_reload reload);
enum option_reload config_compare(const struct option_spec *table, enum option_reload around,
                                  const void *a, const void *b, config_difference_fn *differs,
                                  void *arg);
/* Whether two structs that a table describes have the same values. */
bool options_equal(const struct option_spec *table, const void *a, const void *b);

/* The manual, from the table alone: a commented YAML example, and Markdown for docs/configure.md, whose
 * told_by is the command that names mistakes in such a file. reloads: a daemon reads such a file again
 * on SIGHUP, so each key says what a change takes. */
void config_write_example(const struct option_spec *root, FILE *out);
void config_write_markdown(const struct option_spec *root, const char *title, const char *told_by,
                           bool reloads, FILE *out);

#endif
