/* finish: the end of a writer's thread, which a disk that hangs must not make the server's. */
#ifndef RUNESPOOR_REPORT_FINISH_H
#define RUNESPOOR_REPORT_FINISH_H

#include <pthread.h>
#include <stdbool.h>
#include <uv.h>

/* How long a writer may take for what it has left; two of them are part of the server's 5 s. */
#define WRITER_FINISH_MS 600u

/* Joins the thread. False when it does not end in time: it is left alone then, and so must be
 * everything it uses; the process is about to end anyway. */
bool writer_finish(pthread_t thread, const char *module);

/* Calls close(writer), which may wait for the disk, from a thread of libuv's pool; the loop lives until then. */
void writer_close_later(uv_loop_t *loop, void (*close)(void *writer), void *writer);

#endif
