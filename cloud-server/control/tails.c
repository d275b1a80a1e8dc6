/* tails: see the header. A plain table: it is looked at once a second and stream. */
#include "control/tails.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    char stream[WIRE_NAME_BYTES_MAX + 1];
    struct tail_series *series; /* NULL: free */
    uint64_t used;              /* when, in calls */
};

struct tails {
    struct tail_window_config window;
    struct entry *entries;
    size_t count;
    uint64_t calls;
};

int tails_open(struct tails **out, size_t streams_max, const struct tail_window_config *window,
               struct error *err)
{
    struct tails *tails = calloc(1, sizeof *tails);
    struct entry *entries = calloc(streams_max, sizeof *entries);
    if (!tails || !entries) {
        free(tails);
        free(entries);
        return error_set(err, ERROR_MEMORY, "tails", "no room for %zu streams", streams_max);
    }
    *tails = (struct tails){ .window = *window, .entries = entries, .count = streams_max };
    *out = tails;
    return 0;
}

void tails_close(struct tails **closed)
{
    struct tails *tails = *closed;
    if (!tails)
        return;
    *closed = NULL;
    for (size_t i = 0; i < tails->count; i++)
        tail_series_close(&tails->entries[i].series);
    free(tails->entries);
    free(tails);
}

static struct entry *find(struct tails *tails, const char *stream)
{
    for (size_t i = 0; i < tails->count; i++) {
        struct entry *entry = &tails->entries[i];
        if (entry->series && strcmp(entry->stream, stream) == 0) {
            entry->used = ++tails->calls;
            return entry;
        }
    }
    return NULL;
}

struct tail_series *tails_find(struct tails *tails, const char *stream)
{
    struct entry *entry = find(tails, stream);
    return entry ? entry->series : NULL;
}

int tails_of(struct tails *tails, const char *stream, struct tail_series **series, struct error *err)
{
    struct entry *entry = find(tails, stream);
    if (!entry) {
        struct tail_series *fresh;
        int rc = tail_series_open(&fresh, &tails->window, err);
        if (rc < 0)
            return rc;
        entry = &tails->entries[0];
        for (size_t i = 1; i < tails->count; i++) /* a free one was never used */
            if (tails->entries[i].used < entry->used)
                entry = &tails->entries[i];
        tail_series_close(&entry->series);
        *entry = (struct entry){ .series = fresh, .used = ++tails->calls };
        snprintf(entry->stream, sizeof entry->stream, "%s",
                 stream); /* names fit, wire_check_name says */
    }
    *series = entry->series;
    return 0;
}
