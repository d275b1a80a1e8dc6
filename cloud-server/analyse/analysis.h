/* analysis: what a model found in one picture, as one flat struct without pointers, so that a
 * worker process writes it straight into shared memory. Coordinates are pixels of the decoded
 * picture. */
#ifndef RUNESPOOR_ANALYSE_ANALYSIS_H
#define RUNESPOOR_ANALYSE_ANALYSIS_H

#include <stdint.h>

#define ANALYSIS_OBJECTS_MAX 300u
#define ANALYSIS_AREAS_MAX 64u
#define ANALYSIS_RUNS_BYTES_MAX (128u * 1024u)

struct analysis_object {
    uint32_t class_id;
    float confidence;
    float x, y, width, height; /* left, top; clipped to the picture */
};

struct analysis_area {
    uint32_t class_id;
    float share;          /* of the picture, 0..1 */
    uint32_t runs_offset; /* into runs */
    uint32_t runs_bytes;  /* 0: no room left */
};

struct analysis {
    uint32_t object_count, area_count, runs_bytes;
    uint32_t mask_width, mask_height;
    uint32_t prepare_us, infer_us, head_us;
    float uncertainty; /* 0..1: how much of the answer may well be wrong; head.h says how it is worked out */
    struct analysis_object objects[ANALYSIS_OBJECTS_MAX]; /* by falling confidence */
    struct analysis_area areas[ANALYSIS_AREAS_MAX];
    uint8_t runs[ANALYSIS_RUNS_BYTES_MAX];
};

/* Copies what the counts cover. */
void analysis_copy(struct analysis *to, const struct analysis *from);

#endif
