/* server_parts: what the files of the server share: server.c opens and closes its rooms, server_reload.c
 * changes them while they work. Nobody else includes this. */
#ifndef RUNESPOOR_SERVER_PARTS_H
#define RUNESPOOR_SERVER_PARTS_H

#include "ingest/gate.h"
#include "report/pages.h"
#include "server.h"

struct server {
    uv_timer_t timer;             /* first, so that its close callback can free the server */
    struct server_config *config; /* rooms see it as constant; server_reload alone changes values in it */
    struct server_config latest; /* that server_reload was given, or as config was at the begin */
    struct server_events events;
    void *zmq_context;
    struct guard *guard;
    struct session_rooms rooms;
    struct gate *gate;
    struct pages *pages;
    uint64_t farewell_until_ns; /* stopping: agents may take so long to leave */
    bool was_ready; /* events.ready has been called */
    size_t workers_given_up;
    bool told_none;          /* that no worker can serve, since one last could */
    void (*done)(void *arg); /* NULL: opening has failed */
    void *done_arg;
};

/* server.c: the pages at another address. */
int server_open_pages(struct server *server, const char *address, struct pages **pages,
                      struct error *err);

#endif
