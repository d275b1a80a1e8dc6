/* bind: the tree into the caller's struct, by the tables. Every field has its default before the
 * first value is read, so a struct is whole whatever the file says. */
#include "config/parts.h"

#include "base/text.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct binder {
    struct config *config;
    struct key_path path;
};

static void set_defaults(struct config *config, const struct option_spec *table, void *base);
static void bind_section(struct binder *binder, const struct option_spec *table, void *base,
                         const struct node *node, const struct node *place);
static void bind_option(struct binder *binder, const struct option_spec *spec, void *field,
                        const struct node *node);
static void bind_list(struct binder *binder, const struct option_spec *spec,
                      struct option_list *list, const struct node *node);
static void bind_strings(struct binder *binder, const struct option_spec *spec,
                         struct option_strings *strings, const struct node *node);
static void bind_absent(struct binder *binder, const struct option_spec *spec, void *field,
                        const struct node *place);
static void check_count(struct binder *binder, const struct option_spec *spec, size_t count,
                        const struct node *node);
static void tell_unknown(struct binder *binder, const struct option_spec *table,
                         const struct node *node);

void bind_all(struct config *config)
{
    struct binder binder = { .config = config };
    set_defaults(config, config->root, config->target);
    if (config->tree->kind == NODE_SCALAR || config->tree->kind == NODE_LIST)
        problem_add(config, config->tree, "", "must hold keys with values, like \"%s: …\"",
                    config->root->name);
    else
        bind_section(&binder, config->root, config->target, config->tree, config->tree);
}

static void *field_of(void *base, const struct option_spec *spec)
{
    return (char *)base + spec->offset;
}

static void set_defaults(struct config *config, const struct option_spec *table, void *base)
{
    char why[CONFIG_PROBLEM_BYTES];
    for (const struct option_spec *spec = table; spec->kind != OPTION_KIND_END; spec++) {
        void *field = field_of(base, spec);
        if (spec->kind == OPTION_KIND_SECTION) {
            set_defaults(config, spec->section, field);
        } else if (spec->kind == OPTION_KIND_LIST) {
            *(struct option_list *)field = (struct option_list){ 0 };
        } else if (spec->kind == OPTION_KIND_STRING && !spec->fallback) {
            *(char **)field = arena_copy(&config->arena, "", 0);
        } else if (spec->fallback) {
            bool good = value_parse(spec, spec->fallback, field, &config->arena, why);
            if (!good && !config->arena.failed) {
                fprintf(stderr, "option table: default of %s: %s\n", spec->name, why);
                abort(); /* our own mistake: the table contradicts itself */
            }
        }
    }
}

/* place is where a missing key is missed: node, or the nearest section round it that is written. */
static void bind_section(struct binder *binder, const struct option_spec *table, void *base,
                         const struct node *node, const struct node *place)
{
    if (node && node->kind != NODE_MAP && node->kind != NODE_EMPTY) {
        problem_add(binder->config, node, binder->path.text,
                    "is a section and needs keys below it, like \"%s: …\"", table->name);
        return;
    }
    for (const struct node *child = node ? node->first : NULL; child; child = child->next) {
        const struct option_spec *spec = table;
        while (spec->kind != OPTION_KIND_END && strcmp(spec->name, child->key) != 0)
            spec++;
        size_t before = path_push(&binder->path, child->key);
        if (spec->kind == OPTION_KIND_END)
            tell_unknown(binder, table, child);
        else
            bind_option(binder, spec, field_of(base, spec), child);
        path_pop(&binder->path, before);
    }
    for (const struct option_spec *spec = table; spec->kind != OPTION_KIND_END; spec++) {
        if (node_child(node, spec->name))
            continue;
        size_t before = path_push(&binder->path, spec->name);
        bind_absent(binder, spec, field_of(base, spec), place);
        path_pop(&binder->path, before);
    }
}

/* Sections that are missing may hold keys that must not be. */
static void bind_absent(struct binder *binder, const struct option_spec *spec, void *field,
                        const struct node *place)
{
    if (binder->config->partial)
        return;
    if (spec->kind == OPTION_KIND_SECTION) {
        bind_section(binder, spec->section, field, NULL, place);
        return;
    }
    if (option_is_required(spec))
        problem_add(binder->config, place, binder->path.text, "is required: %s", spec->help);
}

static void bind_option(struct binder *binder, const struct option_spec *spec, void *field,
                        const struct node *node)
{
    char text[CONFIG_ALLOWED_BYTES];
    if (node->kind == NODE_REFUSED)
        return;
    if (spec->kind == OPTION_KIND_SECTION) {
        bind_section(binder, spec->section, field, node, node);
    } else if (spec->kind == OPTION_KIND_LIST) {
        bind_list(binder, spec, field, node);
    } else if (spec->kind == OPTION_KIND_STRINGS) {
        bind_strings(binder, spec, field, node);
    } else if (node->kind == NODE_SCALAR) {
        char why[CONFIG_PROBLEM_BYTES];
        if (!value_parse(spec, node->text, field, &binder->config->arena, why) &&
            !binder->config->arena.failed)
            problem_add(binder->config, node, binder->path.text, "%s", why);
    } else if (!binder->config->partial) {
        value_allowed(spec, text);
        problem_add(binder->config, node, binder->path.text, "%s%s%s",
                    node->kind == NODE_EMPTY ? "has no value; give one or remove the line"
                                             : "needs one value, not keys or elements",
                    *text ? ", allowed " : "", text);
    }
}

static void bind_list(struct binder *binder, const struct option_spec *spec,
                      struct option_list *list, const struct node *node)
{
    if (node->kind != NODE_LIST && node->kind != NODE_EMPTY) {
        if (node->from_set)
            problem_add(binder->config, node, binder->path.text,
                        "is a list; name one of its elements, as in %s.0.%s=VALUE",
                        binder->path.text, spec->section->name);
        else
            problem_add(binder->config, node, binder->path.text,
                        "is a list: start each element below it with \"- \"");
        return;
    }
    check_count(binder, spec, node->count, node);
    size_t count = node->count;
    if (spec->max > 0 && (double)count > spec->max)
        count = (size_t)spec->max;
    list->items = arena_alloc(&binder->config->arena, count * spec->element_bytes);
    if (!list->items)
        return;
    const struct node *child = node->first;
    for (; list->count < count; list->count++, child = child->next) {
        void *element = (char *)list->items + list->count * spec->element_bytes;
        size_t before = path_push_index(&binder->path, list->count);
        set_defaults(binder->config, spec->section, element);
        if (child->kind != NODE_REFUSED)
            bind_section(binder, spec->section, element, child, child);
        path_pop(&binder->path, before);
    }
}

static void bind_strings(struct binder *binder, const struct option_spec *spec,
                         struct option_strings *strings, const struct node *node)
{
    struct arena *arena = &binder->config->arena;
    char why[CONFIG_PROBLEM_BYTES];
    if (node->kind == NODE_SCALAR && node->from_set) {
        if (strlen(node->text) > CONFIG_STRING_BYTES_MAX)
            problem_add(binder->config, node, binder->path.text, "is too long");
        else if (value_parse(spec, node->text, strings, arena, why))
            check_count(binder, spec, strings->count, node);
        return;
    }
    if (node->kind != NODE_LIST && node->kind != NODE_EMPTY) {
        problem_add(binder->config, node, binder->path.text,
                    "is a list: write [one, two], or each element below it after \"- \"");
        return;
    }
    check_count(binder, spec, node->count, node);
    char **items = arena_alloc(arena, node->count * sizeof *items);
    if (!items)
        return;
    size_t count = 0;
    for (const struct node *child = node->first; child; child = child->next) {
        size_t before = path_push_index(&binder->path, count);
        const char *text = child->kind == NODE_SCALAR ? child->text : "";
        if (child->kind != NODE_SCALAR && child->kind != NODE_REFUSED)
            problem_add(binder->config, child, binder->path.text, "needs one value");
        if (strlen(text) > CONFIG_STRING_BYTES_MAX)
            problem_add(binder->config, child, binder->path.text, "has more than %d bytes",
                        CONFIG_STRING_BYTES_MAX);
        path_pop(&binder->path, before);
        items[count] = arena_copy(arena, text, strlen(text));
        if (!items[count])
            return;
        count++;
    }
    *strings = (struct option_strings){ .items = items, .count = count };
}

static void check_count(struct binder *binder, const struct option_spec *spec, size_t count,
                        const struct node *node)
{
    bool any = spec->min == 0 && spec->max == 0;
    bool good = any || ((double)count >= spec->min && (double)count <= spec->max);
    if (!good && !binder->config->partial)
        problem_add(binder->config, node, binder->path.text,
                    "has %zu elements, allowed %.15g to %.15g", count, spec->min, spec->max);
}

/* The path of the first option of this name anywhere in the tables, for keys in the wrong place. */
static bool find_elsewhere(const struct option_spec *table, const char *name, struct key_path *path)
{
    for (const struct option_spec *spec = table; spec->kind != OPTION_KIND_END; spec++) {
        size_t before = path_push(path, spec->name);
        if (strcmp(spec->name, name) == 0)
            return true;
        if (spec->kind == OPTION_KIND_LIST)
            path_push(path, "0");
        if (option_nests(spec) && find_elsewhere(spec->section, name, path))
            return true;
        path_pop(path, before);
    }
    return false;
}

static void tell_unknown(struct binder *binder, const struct option_spec *table,
                         const struct node *node)
{
    const char *nearest = NULL;
    unsigned best = UINT_MAX;
    char known[CONFIG_ALLOWED_BYTES] = "";
    for (const struct option_spec *spec = table; spec->kind != OPTION_KIND_END; spec++) {
        if (text_is_nearer(node->key, spec->name, &best))
            nearest = spec->name;
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", spec->name);
    }
    struct key_path elsewhere = { 0 };
    if (!nearest && find_elsewhere(binder->config->root, node->key, &elsewhere))
        nearest = elsewhere.text;
    if (nearest)
        problem_add(binder->config, node, binder->path.text, "no such key, did you mean \"%s\"?",
                    nearest);
    else
        problem_add(binder->config, node, binder->path.text, "no such key, allowed %s", known);
}
