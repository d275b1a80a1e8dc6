/* agent: the whole of edge-agent put together on one libuv loop: uplink, streams, sink, table, pages. */
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
 * summary line to standard output. On SIGHUP it reads the configuration again: with a mistake nothing
 * changes; otherwise what is different holds from then on, and the rest is not touched (the option tables
 * tell what takes a restart, which is then logged by name). A camera that cannot be opened, or fails
 * later, is an error at the end only, unless it is the only one. settings is kept with a use of its own.
 * Where something hangs after a signal to end, the process is ended from here. */
int agent_run(struct agent_settings *settings, const struct agent_run_options *options,
              struct error *err);

#endif
