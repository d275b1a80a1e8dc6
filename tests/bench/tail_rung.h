/* tail_rung: every frame of a video sent at a rung and answered, as agent and server do it, and how accurate
 * the answers are. A short video is sent several times over, by one encoder, which does not treat it the same
 * twice: a stream's worst frames are not two or three. For make bench-tail. One thread. */
#ifndef RUNESPOOR_TESTS_TAIL_RUNG_H
#define RUNESPOOR_TESTS_TAIL_RUNG_H

#include "net/wire.h"
#include "tail_truth.h"

#define TAIL_PACKET_HEADER_BYTES 54u /* of a packet's message */
#define TAIL_FRAMES_MIN 400u

struct tail_rung {
    const struct tail_truth *truth; /* borrowed */
    uint32_t width, height, bitrate_kbps;
    size_t count; /* frames, of the whole video or several times that; below, all is by frame */
    char restored[WIRE_NAME_BYTES_MAX + 1]; /* by which network, "bicubic" or "nothing" */
    double *wire_bytes;
    double *uncertainty;                 /* of the answer */
    struct scores *exact;                /* against the golden model at the source */
    struct scores *seen[TAIL_QUALITIES]; /* against the golden model on probes of each quality */
    double run_ms, head_ms, elapsed_s; /* a frame: all of the model; its head alone; of all frames */
};

int tail_rung_open(struct tail_rung *rung, const struct tail_truth *truth, uint32_t width,
                   uint32_t height, uint32_t bitrate_kbps, struct device *device, struct error *err);
void tail_rung_close(struct tail_rung *rung); /* all-zero is harmless */

#endif
