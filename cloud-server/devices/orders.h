/* orders: what server and worker process say to each other over their socket pair, as flat structs
 * with a version word. Each side checks every field of what it receives: a worker may have been
 * started from a newer binary, and one whose memory is corrupt must not take the server along. */
#ifndef RUNESPOOR_DEVICES_ORDERS_H
#define RUNESPOOR_DEVICES_ORDERS_H

#include "analyse/analysis.h"
#include "analyse/card.h"
#include "analyse/restore.h"
#include "base/error.h"
#include "devices/pool.h"
#include "media/picture.h"
#include "net/wire.h"

#define ORDER_VERSION 0x52530007u /* changes with any struct below */
#define ORDER_NAME_BYTES 64u
#define ORDER_PATH_BYTES 4096u
#define ORDER_NETWORK_BYTES (WIRE_NAME_BYTES_MAX + 1)
#define ORDER_CLASSES_BYTES (CARD_CLASSES_MAX * CARD_NAME_BYTES_MAX)
#define ORDER_MODEL_NONE UINT32_MAX
#define ORDER_STRIDE_MAX ((uint64_t)4 * PICTURE_SIDE_MAX)

/* Jobs that one worker holds: those at work, and one that waits so that the device need not. A GPU's has
 * two at work: while one computes, the next is prepared. Pictures that go together count as one here. Each
 * picture has its place for an analysis in the worker's results memory: struct analysis[WORKER_PICTURES_MAX]. */
#define WORKER_JOBS 2u
#define WORKER_JOBS_OVERLAPPING 3u
#define WORKER_JOBS_MAX WORKER_JOBS_OVERLAPPING
#define WORKER_PICTURES_MAX 48u
_Static_assert(WORKER_PICTURES_MAX == WORKER_JOBS_MAX * POOL_BATCH_MAX, "as many in each job");

/* Picture pools that a worker has mapped at once. A stream has one, and a second one for a moment
 * when its picture size changes. */
#define WORKER_POOLS_MAX 2048u
_Static_assert(WORKER_POOLS_MAX == 2 * POOL_STREAMS_MAX, "two for each stream");

enum order_kind {
    ORDER_SETUP,     /* to the worker, once; carries the results memory */
    ORDER_MODEL,     /* model_count times; the worker opens and checks it */
    ORDER_POOL,      /* a picture pool to map; carries its memory */
    ORDER_FORGET,    /* a picture pool to unmap */
    ORDER_JOB,       /* a picture to analyse */
    REPLY_CLASSES,   /* from the worker: a model is open and right */
    REPLY_READY,     /* all models are; jobs may come */
    REPLY_PREPARING, /* the job at work needs a plan first, which takes as long as a start */
    REPLY_DONE,      /* a job has ended */
    REPLY_REFUSED,   /* device or model cannot be used, or not any more; the worker ends */
    ORDER_KIND_COUNT
};

struct order_head {
    uint32_t version;
    uint32_t kind; /* enum order_kind */
};

struct order_setup {
    struct order_head head;
    uint32_t device_kind; /* enum device_kind */
    uint32_t threads, gpu, service_ms;
    uint32_t batch; /* pictures that it may get together: 1 to POOL_BATCH_MAX */
    uint32_t model_count;
    char name[ORDER_NAME_BYTES]; /* of the worker */
};

struct order_model {
    struct order_head head;
    uint32_t index;
    uint32_t fallback; /* enum restore_fallback */
    uint32_t network_count;
    char folder[ORDER_PATH_BYTES];
    char networks[POOL_NETWORKS_MAX][ORDER_PATH_BYTES]; /* as in struct pool_model */
};

struct order_pool {
    struct order_head head;
    uint32_t slot; /* below WORKER_POOLS_MAX */
    uint64_t id, bytes;
};

struct order_forget {
    struct order_head head;
    uint32_t slot;
    uint64_t id;
};

struct order_job {
    struct order_head head;
    uint64_t job;
    uint32_t model;
    uint32_t more;   /* jobs that follow to be done together with this one, of the same model */
    uint32_t result; /* which struct analysis of the results memory to fill */
    uint32_t pool_slot;
    uint32_t format, matrix, full_range; /* as in struct picture_view */
    uint32_t width, height;
    uint32_t camera_width, camera_height; /* what the picture was before the sender scaled it */
    uint32_t plain;                       /* 1: nothing restores it */
    uint32_t stride[3];
    uint64_t pool_id;
    uint64_t offset[3];
};

struct reply_classes {
    struct order_head head;
    uint32_t model, count;
    uint32_t masks; /* 1: areas are answered with their masks */
    /* That the sample picture takes, in runs of 1, 2, 4, … pictures; 0: not known, or there is no such run. */
    uint32_t run_us[POOL_BATCH_STEPS];
    char names[ORDER_CLASSES_BYTES]; /* count NUL-ended names, one after the other */
};

struct reply_ready {
    struct order_head head;
};

struct reply_preparing {
    struct order_head head;
    uint64_t job;
};

struct reply_done {
    struct order_head head;
    uint64_t job;
    uint32_t failed;   /* 1: the model refused this picture, or one of those together with it */
    uint32_t restored; /* enum restore_kind, what was done to the picture */
    char network[ORDER_NETWORK_BYTES]; /* its name, for RESTORE_NETWORK, else "" */
    char reason[ERROR_TEXT_BYTES];     /* "" unless failed */
    char fallback[ERROR_TEXT_BYTES];   /* why no network served where one should have, else "" */
};

struct reply_refused {
    struct order_head head;
    uint32_t model; /* ORDER_MODEL_NONE: the device itself */
    uint32_t code;  /* enum error_code */
    char text[ERROR_TEXT_BYTES];
};

union order {
    struct order_head head;
    struct order_setup setup;
    struct order_model model;
    struct order_pool pool;
    struct order_forget forget;
    struct order_job job;
    struct reply_classes classes;
    struct reply_ready ready;
    struct reply_preparing preparing;
    struct reply_done done;
    struct reply_refused refused;
};

/* Sends one order (any struct above; its head is filled in here) with descriptor passed (borrowed),
 * or -1. -ERROR_AGAIN when a non-blocking socket is full, -ERROR_NETWORK when the other side has
 * gone. */
int orders_send(int fd, enum order_kind kind, void *order, int passed, struct error *err);

/* Receives one order. *passed is a descriptor that the caller now owns, or -1; it is there exactly
 * for SETUP and POOL. Size, version, kind, ends of strings and ranges that need no context are
 * checked: -ERROR_FORMAT. -ERROR_END when the other side has gone, -ERROR_AGAIN when a non-blocking
 * socket is empty. */
int orders_receive(int fd, union order *order, int *passed, struct error *err);

/* The word of a kind that orders_receive gave ("job"), for messages. */
const char *orders_word(uint32_t kind);

/* The picture of a job inside a mapped pool: -ERROR_FORMAT unless every pixel lies within bytes. */
int orders_view_picture(const struct order_job *job, uint8_t *base, uint64_t bytes,
                        struct picture_view *view, struct error *err);

/* Copies an analysis out of memory that a worker can write, so that what was checked is what is
 * used; only the parts in use are copied. -ERROR_FORMAT when a count, an index or a number in it is
 * impossible; *to is then without objects and areas. */
int orders_copy_analysis(const struct analysis *from, uint32_t class_count, struct analysis *to,
                         struct error *err);

#endif
