/* pages: /metrics, /livez and /readyz of the agent, where a link state can be watched. */
#ifndef RUNESPOOR_EDGE_PAGES_H
#define RUNESPOOR_EDGE_PAGES_H

#include "base/error.h"
#include "net/metrics.h"
#include <uv.h>

struct pages;

/* What /readyz says: true when the link is up and every stream has its session; otherwise why not. */
typedef bool pages_ready_fn(void *arg, char *reason, size_t reason_bytes);

/* address as http.h takes it. Loop thread. */
int pages_open(struct pages **pages, uv_loop_t *loop, const char *address, struct metrics *metrics,
               pages_ready_fn *ready, void *arg, struct error *err);
/* Sets NULL; takes NULL. */
void pages_close(struct pages **pages);

#endif
