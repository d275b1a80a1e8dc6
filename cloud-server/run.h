/* run: the daemon around a server: loop, signals, systemd, the first and the last line. */
#ifndef RUNESPOOR_SERVER_RUN_H
#define RUNESPOOR_SERVER_RUN_H

#include "config.h"

/* Serves until SIGTERM or SIGINT, then stops within 5 s; a second signal ends at once. */
int server_run(const struct server_config *config, struct error *err);

#endif
