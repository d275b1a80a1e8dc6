/* tail_truth: what the golden model says of every frame of a video, at the source and on the probe that an
 * agent would send of it at several qualities. For make bench-tail. One thread, beside the probe encoder's.
 */
#ifndef RUNESPOOR_TESTS_TAIL_TRUTH_H
#define RUNESPOOR_TESTS_TAIL_TRUTH_H

#include "analyse/model.h"
#include "evaluate/scores.h"
#include "learn/data.h"

/* Of probes: CRF. */
#define TAIL_QUALITIES 4u
#define TAIL_QUALITY_AGENT 1u /* unless it is configured */
extern const double tail_qualities[TAIL_QUALITIES];

/* What the agent sends a picture of a probe in, and the headers around it (edge-agent/probes.c). */
#define TAIL_SLICE_BYTES 1100u
#define TAIL_SLICE_HEADER_BYTES 22u
#define TAIL_START_BYTES 57u

/* What a model said of a frame, in the camera's pixels: boxes, or a label for each pixel. */
struct tail_answer {
    struct score_box *boxes;
    size_t box_count;
    uint8_t *labels;
};

struct tail_truth {
    struct data *data;
    const char *model; /* its folder, borrowed */
    size_t count;      /* frames */
    double fps;
    uint32_t width, height; /* the camera's */
    enum score_kind kind;
    uint32_t class_count;
    int *classes;                /* each stands for itself, as eval_answer_boxes wants it */
    struct tail_answer *sources; /* of the source, by frame */
    struct tail_answer *probes[TAIL_QUALITIES];
    uint32_t *probe_bytes[TAIL_QUALITIES]; /* pictures, without headers */
    struct scores *agreement[TAIL_QUALITIES]; /* golden answers on probes against those at the source */
};

/* pictures: a folder (then of fps frames a second) or a video. model: the folder of one that is its own
 * golden model. Strings and device are borrowed until tail_truth_close. */
int tail_truth_open(struct tail_truth *truth, const char *pictures, double fps, const char *model,
                    struct device *device, struct error *err);
void tail_truth_close(struct tail_truth *truth); /* all-zero is harmless */

/* What the last run of model on a picture of width x height found; the caller finishes it. */
int tail_answer_take(struct tail_answer *answer, const struct tail_truth *truth,
                     struct model *model, const struct analysis *analysis,
                     const struct picture_view *picture, struct error *err);
/* Adds a frame: found held against wanted. */
int tail_answer_score(struct scores *scores, const struct tail_truth *truth,
                      const struct tail_answer *found, const struct tail_answer *wanted,
                      struct error *err);
void tail_answer_finish(struct tail_answer *answer); /* all-zero is harmless */

#endif
