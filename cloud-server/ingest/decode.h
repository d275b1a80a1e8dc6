/* decode: the decode pool. A few threads serve all streams; the packets of one lane (one stream)
 * are decoded in order and never two at once; results come back on the loop thread.
 *
 * Jobs belong to the caller (a session's frame record) and are linked, not copied, so submitting
 * allocates nothing. All functions are for the loop thread. */
#ifndef RUNESPOOR_INGEST_DECODE_H
#define RUNESPOOR_INGEST_DECODE_H

#include "base/error.h"
#include "media/decode.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>
#include <zmq.h>

#define DECODE_THREADS_AUTO_MAX 16u

struct decode_pool;
struct decode_lane;

struct decode_job {
    /* by the caller; must stay untouched until done */
    zmq_msg_t payload; /* the packet, moved in; empty again when done is called */
    enum video_codec codec;
    bool keyframe;
    /* by the pool */
    int result;              /* decoder_decode's, or -ERROR_END: the lane was closed before */
    struct picture *picture; /* the caller's from done on; NULL unless result is 0 */
    uint64_t started_ns, ended_ns;
    struct error error;
    enum decoder_kind left; /* hardware that software took the place of after this packet; else software */
    struct decode_lane *lane;
    struct decode_job *next;
};

struct decode_lane_config {
    uint32_t width_max, height_max;
    uint32_t pictures; /* that may be in use after decoding */
};

typedef void decode_done_fn(void *arg, struct decode_job *job);

struct decode_pool_config {
    uint32_t threads; /* 0: one per processor, at most DECODE_THREADS_AUTO_MAX */
    enum decoder_kind kinds[VIDEO_CODEC_COUNT]; /* what decodes a codec: ingest/decoders.h */
};

int decode_pool_open(struct decode_pool **pool, uv_loop_t *loop,
                     const struct decode_pool_config *config, struct error *err);
/* All lanes must have been closed before. Waits for the threads, which are then idle; the memory is
 * freed by the loop later. */
void decode_pool_close(struct decode_pool **pool);

/* The decoder is opened by the first packet, and again when the codec changes. */
int decode_lane_open(struct decode_pool *pool, struct decode_lane **lane,
                     const struct decode_lane_config *config, decode_done_fn *done, void *arg,
                     struct error *err);
void decode_lane_submit(struct decode_lane *lane, struct decode_job *job);
/* Packets that wait, the one being decoded not counted. */
size_t decode_lane_depth(const struct decode_lane *lane);
/* done is called at once for the jobs that wait (-ERROR_END), from the loop for the one that is
 * being decoded; after that, and never from inside this call, closed(arg). */
void decode_lane_close(struct decode_lane **lane, void (*closed)(void *arg), void *arg);

#endif
