/* camera: the thread of one source: capture, pace, cap, scale, encode. What it encodes goes to the
 * loop through a bounded queue; nothing else crosses. A live camera may be away, at the start and later
 * (camera_link), and come back with other pictures; a new encoder sends those, beginning with an IDR. */
#ifndef RUNESPOOR_EDGE_CAMERA_H
#define RUNESPOOR_EDGE_CAMERA_H

#include "agent_config.h"
#include "credit.h"
#include "figures.h"

/* One encoded frame on its way from the thread to the loop. */
struct encoded_frame {
    struct packet *packet; /* owned */
    uint64_t number;       /* of the frame; gaps are frames dropped before encoding */
    uint64_t capture_ns, capture_unix_us;
    uint32_t encode_us;
    uint32_t epoch; /* of the session whose credit it uses */
    struct rung rung; /* as it was sent, resolved, with the frames a second that are */
    uint32_t camera_width, camera_height; /* of the picture before it was scaled */
    bool keyframe;
    struct picture *picture; /* before it was scaled; NULL unless camera_keep_pictures; owned */
};

struct camera;

/* Opens a file or test picture (its errors are the caller's to report) without starting the thread; a
 * live camera is opened by the thread, which does not end because there is none. config,
 * credit and figures are borrowed until camera_close; wake(arg) is called from the thread when
 * something waits to be taken and when the thread has ended. */
int camera_open(struct camera **camera, const struct camera_config *config, struct credit *credit,
                struct figures *figures, void (*wake)(void *arg), void *arg, struct error *err);
/* Any thread: of the pictures that come now, or came last; all 0 while there was none. */
void camera_get_info(struct camera *camera, struct source_info *info);
/* Loop: false when a live camera gives no pictures now; reason says which and why. */
bool camera_is_up(struct camera *camera, char *reason, size_t reason_bytes);
/* Before camera_start: the number of the first frame. A source with an end, which comes from its start
 * again, leaves out the frames before it. */
void camera_resume(struct camera *camera, uint64_t number);
int camera_start(struct camera *camera, struct error *err);

/* Loop: the next encoded frame, or NULL. Give it back with camera_return when it is sent. When a
 * session ends, what waits has to be taken and returned before the next one starts. */
struct encoded_frame *camera_take(struct camera *camera);
void camera_return(struct camera *camera, struct encoded_frame *frame);
size_t camera_waiting(struct camera *camera);

/* Loop: the next frame has to be an IDR. */
void camera_ask_keyframe(struct camera *camera);
/* Loop: another rung from the next frame on; false when it is the same as before. Bitrate, VBV and
 * quality change inside the running encoder where it can do that; anything else makes a new one, which
 * begins with an IDR. */
bool camera_set_rung(struct camera *camera, const struct rung *rung);

/* Loop: from about now on frames come with their pictures, or no longer do. */
void camera_keep_pictures(struct camera *camera, bool keep);

/* True when the thread has ended; then *err holds why (code NONE: regular end of the source). */
bool camera_ended(struct camera *camera, struct error *err);
/* Asks the thread to end; credit_close has to follow. */
void camera_stop(struct camera *camera);
/* Waits for the thread, which must have been asked to end, and drops what was not taken. Sets NULL;
 * takes NULL. */
void camera_close(struct camera **camera);

#endif
