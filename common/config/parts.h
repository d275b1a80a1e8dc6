/* parts: what the files of config share among themselves. Reading gives a tree of nodes, --set
 * edits the tree, binding carries it into the caller's struct by the tables; printouts walk table,
 * struct and tree side by side. */
#ifndef RUNESPOOR_CONFIG_PARTS_H
#define RUNESPOOR_CONFIG_PARTS_H

#include "config/config.h"

#define CONFIG_NODES_MAX 50000u    /* in one file; bounds memory and time on hostile input */
#define CONFIG_KEYS_MAX 500u       /* in one section: duplicates are found by comparing pairs */
#define CONFIG_PROBLEMS_MAX 100u   /* nobody reads more */
#define CONFIG_PROBLEM_BYTES 1024u /* one of them; cut when longer */
#define CONFIG_SHOWN_BYTES 80      /* of a wrong value or key repeated in a message */
#define CONFIG_ALLOWED_BYTES 512u

/* Memory that is freed all at once. A failed allocation gives NULL and sets failed. */
struct arena_chunk;
struct arena {
    struct arena_chunk *chunks;
    bool failed;
};
void *arena_alloc(struct arena *arena, size_t bytes); /* zeroed, aligned for anything */
char *arena_copy(struct arena *arena, const char *bytes, size_t size); /* NUL-terminated */
void arena_free(struct arena *arena);

enum node_kind {
    NODE_EMPTY,
    NODE_SCALAR,
    NODE_MAP,
    NODE_LIST,
    NODE_REFUSED, /* what is wrong with it was told when it was read */
};

struct node {
    enum node_kind kind;
    bool from_set;     /* written by --set; line is 0 then */
    unsigned line;     /* where the key, or the list element, starts; 0 when not in the file */
    const char *key;   /* inside a map */
    const char *text;  /* of a NODE_SCALAR */
    struct node *next; /* brother */
    struct node *first, *last;
    size_t count; /* children */
};

struct node *node_child(const struct node *map, const char *key); /* NULL when there is none */
struct node *node_element(const struct node *list, size_t index); /* NULL when there is none */
struct node *node_add(struct arena *arena, struct node *parent, const char *key, size_t key_size);

/* "cameras.0.rung" while walking down; cut when too long, which only shortens messages. */
struct key_path {
    char text[256];
    size_t size;
};
size_t path_push(struct key_path *path, const char *name); /* gives what path_pop wants */
size_t path_push_index(struct key_path *path, size_t index);
void path_pop(struct key_path *path, size_t before);

struct config {
    struct arena arena; /* nodes, names, problems, and the strings and lists inside the target */
    const char *name;   /* of the file, for messages */
    const struct option_spec *root;
    void *target;
    struct node *tree;
    bool partial; /* reading broke off: what is missing may have been written further down */
    size_t problem_count; /* sorted by line */
    struct problem {
        unsigned line;
        const char *text;
    } problems[CONFIG_PROBLEMS_MAX];
};

/* Adds "file:line: key: …"; where gives the place, key "" means the file as a whole. */
void problem_add(struct config *config, const struct node *where, const char *key,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Reads YAML into config->tree; mistakes become problems, and set partial where reading had to
 * stop. */
void yaml_read(struct config *config, const char *bytes, size_t size);

/* Applies one "a.b.0.c=value" to config->tree. */
void set_apply(struct config *config, const char *set);

/* Fills the target: defaults first, then what the tree says. */
void bind_all(struct config *config);

/* Reads text into field. On a mistake gives false and says in why what is wrong and what is
 * allowed; field is then unchanged. STRINGS are read from words with commas between. */
bool value_parse(const struct option_spec *spec, const char *text, void *field, struct arena *arena,
                 char why[CONFIG_PROBLEM_BYTES]);

/* The value as YAML, secrets and logins hidden. For kinds that are no section or list of
 * sections. */
void value_print(const struct option_spec *spec, const void *field, FILE *out);

/* text as a YAML scalar, quoted where it must be. */
void value_print_string(const char *text, FILE *out);

/* What may be written: "1 to 240 fps", "true or false", "h264, mjpeg"; "" when anything may. */
void value_allowed(const struct option_spec *spec, char allowed[CONFIG_ALLOWED_BYTES]);

/* True for kinds that hold other options. */
static inline bool option_nests(const struct option_spec *spec)
{
    return spec->kind == OPTION_KIND_SECTION || spec->kind == OPTION_KIND_LIST;
}

/* What a change of an option takes, where around holds for those that say nothing. */
static inline enum option_reload option_reload_in(const struct option_spec *spec,
                                                  enum option_reload around)
{
    return spec->reload != RELOAD_AS_AROUND ? spec->reload : around;
}

/* True when it is a mistake to leave the key out. */
static inline bool option_is_required(const struct option_spec *spec)
{
    if (spec->kind == OPTION_KIND_SECTION)
        return false;
    if (spec->kind == OPTION_KIND_LIST)
        return spec->min > 0;
    if (spec->kind == OPTION_KIND_STRINGS)
        return spec->min > 0 && (!spec->fallback || !*spec->fallback);
    return !spec->fallback;
}

#endif
