/* cameras: both daemons with cameras that are up and down, and what is seen of them: the agent's metrics, its
 * answers, its log. */
#ifndef RUNESPOOR_TESTS_CAMERAS_H
#define RUNESPOOR_TESTS_CAMERAS_H

#include "harness.h"

#define WAIT_MS 60000u /* for what has no time of its own */
/* What these tests give each live camera, by LIVE. */
#define FIRST_FRAME_MS 3000u
#define STALL_MS 1500u
#define RETRY_CAP_MS 1000u

#define LIVE(n, kind)                                                                      \
    "cameras." #n ".source.kind=" kind, "cameras." #n ".source.first_frame_ms=3000",       \
        "cameras." #n ".source.stall_ms=1500", "cameras." #n ".source.retry_first_ms=100", \
        "cameras." #n ".source.retry_cap_ms=1000"
/* A small test picture beside them, from which nothing is to be lost; to be called "beside". */
#define BESIDE(n)                                                              \
    "cameras." #n ".name=beside", "cameras." #n ".source.kind=test",           \
        "cameras." #n ".source.width=160", "cameras." #n ".source.height=120", \
        "cameras." #n ".source.fps=5"

struct cameras {
    struct scratch scratch;
    struct process server, agent;
    uint16_t http;
};

/* The scratch folder, and the port of the agent's pages. */
void cameras_begin(struct cameras *cameras);
/* Server and agent, with these settings, ended by NULL; until the stream "beside" runs. */
void cameras_start(struct cameras *cameras, const char *const *settings);
/* The daemons; the caller's tools are to be stopped before cameras_end. */
void cameras_stop(struct cameras *cameras);
void cameras_end(struct cameras *cameras);

uint64_t cameras_now_ms(void);
/* edge_camera_NAME of a stream, by cause unless NULL. */
double cameras_metric(const struct cameras *cameras, const char *name, const char *stream,
                      const char *cause);
/* Waits until it is as large as that. */
void cameras_expect_metric(const struct cameras *cameras, const char *name, const char *stream,
                           const char *cause, double least);
/* Waits for one more loss than before by that cause, which is to be found within_ms of begin_ms. */
void cameras_expect_found(const struct cameras *cameras, const char *stream, const char *cause,
                          double before, uint64_t begin_ms, unsigned within_ms);
/* Waits until the camera is up and answers to its pictures come; by itself, once what was wrong is over. A try
 * that began while it was goes on to its own deadline. */
void cameras_expect_back(const struct cameras *cameras, const char *stream, uint64_t begin_ms);
/* Waits for a line of the answers to that stream with that text in it. */
void cameras_expect_answer(const struct cameras *cameras, const char *stream, const char *part);
/* Stops both daemons well: the test picture has lost nothing, and each frame has had its one fate. */
void cameras_expect_beside_untouched(struct cameras *cameras);

#endif
