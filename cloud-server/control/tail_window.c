/* tail_window: samples lie in time order in a stretch of a table twice as long as needed, which moves up
 * as samples come and go; at the end of the table it is moved back to the start, once in probes_max
 * additions. */
#include "control/tail_window.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define US_PER_S 1000000u

struct tail_window {
    enum score_kind kind;
    uint32_t class_count;
    struct tail_window_config config;
    struct tail_sample *table; /* 2 * probes_max; those of the stretch own their classes */
    size_t first, count;       /* the stretch: count <= probes_max */
    struct tail_rank *scratch; /* probes_max */
    struct tail_figures made;  /* of the stretch, unless changed */
    bool changed;
};

static void drop_oldest(struct tail_window *window);

int tail_window_open(struct tail_window **window, enum score_kind kind, uint32_t class_count,
                     const struct tail_window_config *config, struct error *err)
{
    assert(class_count >= 1 && class_count <= SCORE_CLASSES_MAX);
    assert(config->probes_max >= 1 && config->probes_max <= TAIL_WINDOW_PROBES_MAX);
    assert(config->seconds >= 1);
    struct tail_window *fresh = calloc(1, sizeof *fresh);
    if (fresh) {
        *fresh = (struct tail_window){
            .kind = kind, .class_count = class_count, .config = *config, .changed = true
        };
        fresh->table = calloc(2 * (size_t)config->probes_max, sizeof *fresh->table);
        fresh->scratch = calloc(config->probes_max, sizeof *fresh->scratch);
    }
    if (!fresh || !fresh->table || !fresh->scratch) {
        tail_window_close(&fresh);
        return error_set(err, ERROR_MEMORY, "tail", "no room for %u probes", config->probes_max);
    }
    *window = fresh;
    return 0;
}

void tail_window_close(struct tail_window **window)
{
    struct tail_window *closed = *window;
    if (!closed)
        return;
    *window = NULL;
    while (closed->count > 0)
        drop_oldest(closed);
    free(closed->table);
    free(closed->scratch);
    free(closed);
}

static void drop_oldest(struct tail_window *window)
{
    free((void *)(uintptr_t)window->table[window->first].classes); /* ours, const for readers */
    window->first++;
    window->count--;
    window->changed = true;
}

static void make_room(struct tail_window *window)
{
    if (window->count == window->config.probes_max)
        drop_oldest(window);
    if (window->first + window->count < 2 * (size_t)window->config.probes_max)
        return;
    memcpy(window->table, window->table + window->first, window->count * sizeof *window->table);
    window->first = 0;
}

int tail_window_add(struct tail_window *window, const struct tail_sample *sample, struct error *err)
{
    struct tail_sample copy = *sample;
    int failed = tail_sample_check(sample, window->class_count, err);
    if (failed)
        return failed;
    if (sample->class_count > 0) {
        size_t bytes = sample->class_count * sizeof *sample->classes;
        struct tail_class *classes = malloc(bytes);
        if (!classes)
            return error_set(err, ERROR_MEMORY, "tail", "no room for %zu classes",
                             sample->class_count);
        memcpy(classes, sample->classes, bytes);
        copy.classes = classes;
    } else {
        copy.classes = NULL;
    }
    make_room(window);
    struct tail_sample *stretch = window->table + window->first;
    size_t at = window->count++;
    for (; at > 0 && stretch[at - 1].capture_unix_us > copy.capture_unix_us; at--)
        stretch[at] = stretch[at - 1];
    stretch[at] = copy;
    window->changed = true;
    return 0;
}

void tail_window_expire(struct tail_window *window, uint64_t now_unix_us)
{
    uint64_t reach_us = (uint64_t)window->config.seconds * US_PER_S;
    uint64_t oldest_us = now_unix_us > reach_us ? now_unix_us - reach_us : 0;
    while (window->count > 0 && window->table[window->first].capture_unix_us < oldest_us)
        drop_oldest(window);
}

const struct tail_figures *tail_window_figures(struct tail_window *window, uint64_t now_unix_us)
{
    tail_window_expire(window, now_unix_us);
    if (window->changed) {
        int failed = tail_figures_make(&window->made, window->kind, window->table + window->first,
                                       window->count, window->scratch, NULL);
        assert(!failed); /* tail_window_add has refused what it refuses */
        (void)failed;
        window->changed = false;
    }
    return &window->made;
}

/* Series */

struct tail_series {
    struct tail_window_config config;
    struct entry {
        struct tail_setting setting;
        struct tail_window *window;
    } entries[TAIL_SERIES_MAX]; /* the one asked for last first */
    size_t count;
};

bool tail_setting_equal(const struct tail_setting *a, const struct tail_setting *b)
{
    return strcmp(a->rung, b->rung) == 0 && strcmp(a->restored, b->restored) == 0 &&
           strcmp(a->model, b->model) == 0 && strcmp(a->golden, b->golden) == 0 &&
           a->kind == b->kind && a->class_count == b->class_count;
}

int tail_series_open(struct tail_series **series, const struct tail_window_config *config,
                     struct error *err)
{
    struct tail_series *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "tail", "no room for %zu bytes", sizeof *fresh);
    fresh->config = *config;
    *series = fresh;
    return 0;
}

void tail_series_close(struct tail_series **series)
{
    struct tail_series *closed = *series;
    if (!closed)
        return;
    *series = NULL;
    for (size_t i = 0; i < closed->count; i++)
        tail_window_close(&closed->entries[i].window);
    free(closed);
}

/* Puts a new one at the end, in the place of the one that was there when all are taken. */
static int add_entry(struct tail_series *series, const struct tail_setting *setting, struct error *err)
{
    struct tail_window *window = NULL;
    int failed = tail_window_open(&window, setting->kind, setting->class_count, &series->config, err);
    if (failed)
        return failed;
    if (series->count == TAIL_SERIES_MAX)
        tail_window_close(&series->entries[--series->count].window);
    series->entries[series->count++] = (struct entry){ *setting, window };
    return 0;
}

int tail_series_at(struct tail_series *series, const struct tail_setting *setting,
                   struct tail_window **window, struct error *err)
{
    size_t at = 0;
    while (at < series->count && !tail_setting_equal(&series->entries[at].setting, setting))
        at++;
    if (at == series->count) {
        int failed = add_entry(series, setting, err);
        if (failed)
            return failed;
        at = series->count - 1;
    }
    struct entry found = series->entries[at];
    memmove(&series->entries[1], &series->entries[0], at * sizeof found);
    series->entries[0] = found;
    *window = found.window;
    return 0;
}

size_t tail_series_count(const struct tail_series *series)
{
    return series->count;
}

const struct tail_setting *tail_series_setting(const struct tail_series *series, size_t index)
{
    assert(index < series->count);
    return &series->entries[index].setting;
}

struct tail_window *tail_series_window(const struct tail_series *series, size_t index)
{
    assert(index < series->count);
    return series->entries[index].window;
}
