/* pages: what the server tells over HTTP: /metrics, /livez, /readyz, /api/streams, /api/workers. Loop
 * thread. */
#ifndef RUNESPOOR_REPORT_PAGES_H
#define RUNESPOOR_REPORT_PAGES_H

#include "ingest/gate.h"

struct pages;

/* Where the pages read; all of it is borrowed. */
struct pages_source {
    struct metrics *metrics;
    const struct gate *gate;
    struct pool *const *pool; /* where it stands; NULL there before the workers are started */
    /* True when streams are welcome; the reason why not, or why only in part. */
    bool (*is_ready)(void *arg, char *reason, size_t reason_bytes);
    void *arg;
};

int pages_open(struct pages **pages, uv_loop_t *loop, const char *address,
               const struct pages_source *source, struct error *err);
uint16_t pages_port(const struct pages *pages);
/* Takes NULL. */
void pages_close(struct pages **pages);

#endif
