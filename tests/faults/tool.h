/* tool: the peers of these tests (rtsp_server.c, bad_proxy.c, ts_sender.c) as processes that are told by lines what
 * to do. */
#ifndef RUNESPOOR_TESTS_TOOL_H
#define RUNESPOOR_TESTS_TOOL_H

#include "harness.h"

struct tool {
    struct process process;
    int input; /* its standard input; it ends with it */
    uint16_t port;
};

/* arguments without the program's path, ended by NULL. Waits until it is ready. */
void tool_start(struct tool *tool, const struct scratch *scratch, const char *program,
                const char *name, const char *const *arguments);
/* Waits until it is done. */
void tool_do(struct tool *tool, const char *line);
void tool_stop(struct tool *tool);

#endif
