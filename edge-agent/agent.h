/* agent: the whole of edge-agent put together on one libuv loop: uplink, streams, sink, table. */
#ifndef RUNESPOOR_EDGE_AGENT_H
#define RUNESPOOR_EDGE_AGENT_H

#include "agent_config.h"

struct agent_run_options {
    const char *config_path; /* for SIGHUP; NULL: none */
    const char *const *sets;
    size_t set_count;
    bool live;                /* table on standard output */
    const char *summary_path; /* for the summary line; NULL: standard output */
    uint32_t seconds;         /* stop the sources after this time of streaming; 0: at their end */
};

/* Runs until all sources have ended and every frame is answered, or a signal asks to end; prints the
 * summary line to standard output. SIGHUP reads the config again and applies changed rungs. A camera
 * that cannot be opened, or fails later, is an error at the end only, unless it is the only one.
 * Where something hangs after a signal to end, the process is ended from here. */
int agent_run(struct agent_config *config, const struct agent_run_options *options,
              struct error *err);

#endif
