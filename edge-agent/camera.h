/* camera: the thread of one source: capture, pace, cap, scale, encode. What it encodes goes to the
 * loop through a bounded queue; nothing else crosses. */
#ifndef RUNESPOOR_EDGE_CAMERA_H
#define RUNESPOOR_EDGE_CAMERA_H

#include "agent_config.h"
#include "credit.h"
#include "net/metrics.h"

/* One encoded frame on its way from the thread to the loop. */
struct encoded_frame {
    struct packet *packet; /* owned */
    uint64_t number;       /* of the frame; gaps are frames dropped before encoding */
    uint64_t capture_ns, capture_unix_us;
    uint32_t encode_us;
    uint32_t epoch; /* of the session whose credit it uses */
    uint32_t width, height;
    bool keyframe;
};

struct camera;

/* Opens the source (its errors are the caller's to report) without starting the thread. config is
 * borrowed until camera_close; wake(arg) is called from the thread when something waits to be taken
 * and when the thread has ended. */
int camera_open(struct camera **camera, const struct camera_config *config, struct credit *credit,
                struct metrics *metrics, void (*wake)(void *arg), void *arg, struct error *err);
const struct source_info *camera_source_info(const struct camera *camera);
int camera_start(struct camera *camera, struct error *err);

/* Loop: the next encoded frame, or NULL. Give it back with camera_return when it is sent. When a
 * session ends, what waits has to be taken and returned before the next one starts. */
struct encoded_frame *camera_take(struct camera *camera);
void camera_return(struct camera *camera, struct encoded_frame *frame);
size_t camera_waiting(struct camera *camera);

/* Loop: the next frame has to be an IDR. */
void camera_ask_keyframe(struct camera *camera);
/* Loop: another rung from the next frame on. A new size, rate cap, mode or preset makes a new
 * encoder, which begins with an IDR; bitrate and quality change inside the running one. */
void camera_set_rung(struct camera *camera, const struct rung *rung);

/* True when the thread has ended; then *err holds why (code NONE: regular end of the source). */
bool camera_ended(struct camera *camera, struct error *err);
/* Asks the thread to end; camera_close waits for it. credit_close must have been called. */
void camera_stop(struct camera *camera);
void camera_close(struct camera **camera);

/* Counts a frame of this stream as dropped for a reason (a bounded set of literals). */
void camera_count_drop(struct metrics *metrics, const char *stream, const char *reason);

#endif
