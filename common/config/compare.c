/* compare: what differs between two structs of one table, and what it takes that the new one holds. */
#include "config/parts.h"

#include <string.h>

struct comparer {
    struct key_path path;
    config_difference_fn *differs; /* NULL: only the result counts */
    void *arg;
};

static enum option_reload compare_section(struct comparer *comparer, const struct option_spec *table,
                                          enum option_reload around, const char *a, const char *b);

enum option_reload config_compare(const struct option_spec *table, enum option_reload around,
                                  const void *a, const void *b, config_difference_fn *differs,
                                  void *arg)
{
    struct comparer comparer = { .differs = differs, .arg = arg };
    return compare_section(&comparer, table, around, a, b);
}

bool options_equal(const struct option_spec *table, const void *a, const void *b)
{
    return config_compare(table, RELOAD_RESTART, a, b, NULL, NULL) == RELOAD_AS_AROUND;
}

static bool strings_equal(const struct option_strings *a, const struct option_strings *b)
{
    size_t same = 0;
    while (same < a->count && same < b->count && strcmp(a->items[same], b->items[same]) == 0)
        same++;
    return same == a->count && same == b->count;
}

static bool lists_equal(const struct option_spec *spec, const struct option_list *a,
                        const struct option_list *b)
{
    size_t same = 0, bytes = spec->element_bytes;
    while (same < a->count && same < b->count &&
           options_equal(spec->section, (const char *)a->items + same * bytes,
                         (const char *)b->items + same * bytes))
        same++;
    return same == a->count && same == b->count;
}

static bool values_equal(const struct option_spec *spec, const void *a, const void *b)
{
    switch (spec->kind) {
    case OPTION_KIND_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case OPTION_KIND_U32:
        return *(const uint32_t *)a == *(const uint32_t *)b;
    case OPTION_KIND_F64:
        return *(const double *)a == *(const double *)b;
    case OPTION_KIND_ENUM:
        return *(const int *)a == *(const int *)b;
    case OPTION_KIND_STRING:
        return strcmp(*(char *const *)a, *(char *const *)b) == 0;
    case OPTION_KIND_STRINGS:
        return strings_equal(a, b);
    case OPTION_KIND_LIST:
        return lists_equal(spec, a, b);
    case OPTION_KIND_SECTION: /* compare_section goes into it */
    case OPTION_KIND_END:
        break;
    }
    return true;
}

static enum option_reload compare_section(struct comparer *comparer, const struct option_spec *table,
                                          enum option_reload around, const char *a, const char *b)
{
    enum option_reload most = RELOAD_AS_AROUND;
    for (const struct option_spec *spec = table; spec->kind != OPTION_KIND_END; spec++) {
        enum option_reload reload = option_reload_in(spec, around);
        size_t before = path_push(&comparer->path, spec->name);
        if (spec->kind == OPTION_KIND_SECTION) {
            reload =
                compare_section(comparer, spec->section, reload, a + spec->offset, b + spec->offset);
        } else if (values_equal(spec, a + spec->offset, b + spec->offset)) {
            reload = RELOAD_AS_AROUND;
        } else if (comparer->differs) {
            comparer->differs(comparer->arg, comparer->path.text, reload);
        }
        most = reload > most ? reload : most;
        path_pop(&comparer->path, before);
    }
    return most;
}
