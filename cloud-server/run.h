/* run: the daemon around a server: loop, signals, systemd, the first and the last line. */
#ifndef RUNESPOOR_SERVER_RUN_H
#define RUNESPOOR_SERVER_RUN_H

#include "config.h"

struct server_run_options {
    const char *config_path; /* for SIGHUP; NULL: none */
    const char *const *sets;
    size_t set_count;
};

/* Serves until SIGTERM or SIGINT, then stops within 5 s; a second signal ends at once. SIGHUP reads the
 * configuration again (server_reload); with a mistake in it nothing changes. config is borrowed. */
int server_run(struct server_config *config, const struct server_run_options *options,
               struct error *err);

#endif
