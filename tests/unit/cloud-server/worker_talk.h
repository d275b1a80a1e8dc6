/* worker_talk: a worker process and the server's end of its socket, from which a test speaks to it. */
#ifndef RUNESPOOR_TESTS_WORKER_TALK_H
#define RUNESPOOR_TESTS_WORKER_TALK_H

#include "devices/runner.h"
#include "devices/worker.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define ANSWER_TIMEOUT_S 20 /* a sanitized model load is slow */

struct talk {
    int fd; /* our end */
    pid_t pid;
    int results_fd;
    struct analysis *results;
    struct picture_pool *pictures;
    struct picture *picture;
};

#define TALK_BATCH 4u /* pictures that may come together */

static union order got;

static inline int open_talk(void **state)
{
    struct talk *talk = calloc(1, sizeof *talk);
    int ends[2];
    assert_non_null(talk);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    struct timeval timeout = { .tv_sec = ANSWER_TIMEOUT_S };
    assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
    talk->results_fd = memfd_create("results", MFD_CLOEXEC);
    size_t bytes = WORKER_PICTURES_MAX * sizeof(struct analysis);
    assert_int_equal(ftruncate(talk->results_fd, (off_t)bytes), 0);
    talk->results = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, talk->results_fd, 0);
    assert_true(talk->results != MAP_FAILED);
    assert_int_equal(picture_pool_create(&talk->pictures, 33, 17, 4, NULL), 0);
    assert_int_equal(picture_pool_take(talk->pictures, &talk->picture, NULL), 0);
    struct picture_view view;
    picture_get_view(talk->picture, &view);
    for (uint32_t y = 0; y < view.height; y++)
        for (uint32_t x = 0; x < view.width; x++)
            view.plane[0][y * view.stride[0] + x] = (uint8_t)(7 * x + 3 * y);
    talk->pid = fork();
    assert_true(talk->pid >= 0);
    if (talk->pid == 0) {
        close(ends[0]);
        _exit(worker_main(ends[1]));
    }
    close(ends[1]);
    talk->fd = ends[0];
    *state = talk;
    return 0;
}

static inline int close_talk(void **state)
{
    struct talk *talk = *state;
    if (talk->fd >= 0)
        close(talk->fd);
    if (talk->pid > 0) {
        kill(talk->pid, SIGKILL);
        waitpid(talk->pid, NULL, 0);
    }
    picture_unref(&talk->picture);
    picture_pool_release(&talk->pictures);
    munmap(talk->results, WORKER_PICTURES_MAX * sizeof(struct analysis));
    close(talk->results_fd);
    free(talk);
    return 0;
}

static inline void tell(struct talk *talk, enum order_kind kind, void *order, int passed)
{
    assert_int_equal(orders_send(talk->fd, kind, order, passed, NULL), 0);
}

static inline void expect(struct talk *talk, enum order_kind kind)
{
    struct error err;
    int passed;
    int result = orders_receive(talk->fd, &got, &passed, &err);
    if (result)
        fail_msg("no answer: %s", err.text);
    assert_int_equal(passed, -1);
    assert_int_equal(got.head.kind, kind);
}

/* Nothing more is said, and the process ends with this status. */
static inline void expect_end(struct talk *talk, int status)
{
    int passed, real;
    if (talk->fd >= 0)
        assert_int_equal(orders_receive(talk->fd, &got, &passed, NULL), -ERROR_END);
    assert_int_equal(waitpid(talk->pid, &real, 0), talk->pid);
    talk->pid = 0;
    assert_true(WIFEXITED(real));
    assert_int_equal(WEXITSTATUS(real), status);
}

static inline void tell_setup(struct talk *talk, enum device_kind kind, uint32_t service_ms,
                              uint32_t models)
{
    struct order_setup setup = { .device_kind = kind,
                                 .threads = 1,
                                 .service_ms = service_ms,
                                 .batch = TALK_BATCH,
                                 .model_count = models,
                                 .name = "tested" };
    tell(talk, ORDER_SETUP, &setup, talk->results_fd);
}

static inline void tell_model(struct talk *talk, uint32_t index, const char *folder)
{
    struct order_model model = { .index = index };
    snprintf(model.folder, sizeof model.folder, "%s", folder);
    tell(talk, ORDER_MODEL, &model, -1);
}

static inline struct order_pool pool_order(const struct talk *talk, uint32_t slot)
{
    return (struct order_pool){ .slot = slot,
                                .id = picture_pool_id(talk->pictures),
                                .bytes = picture_pool_bytes(talk->pictures) };
}

static inline void tell_pool(struct talk *talk, uint32_t slot)
{
    struct order_pool order = pool_order(talk, slot);
    tell(talk, ORDER_POOL, &order, picture_pool_fd(talk->pictures));
}

static inline struct order_job job_order(uint32_t slot, const struct picture *picture)
{
    struct picture_view view;
    struct picture_place place;
    picture_get_view(picture, &view);
    picture_get_place(picture, &place);
    struct order_job job = { .job = 1,
                             .result = 1,
                             .pool_slot = slot,
                             .pool_id = place.pool_id,
                             .format = view.format,
                             .width = view.width,
                             .height = view.height,
                             .camera_width = view.width,
                             .camera_height = view.height };
    memcpy(job.stride, view.stride, sizeof job.stride);
    memcpy(job.offset, place.offset, sizeof job.offset);
    return job;
}

#endif
