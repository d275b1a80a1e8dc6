/* nms: non-maximum suppression per class over a bounded number of candidates, the best by score.
 * All memory is taken at creation. */
#ifndef RUNESPOOR_ANALYSE_NMS_H
#define RUNESPOOR_ANALYSE_NMS_H

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

/* Beyond the thousand best, candidates of a detector are noise; this bounds the time of a frame. */
#define NMS_CANDIDATES_MAX 1024u

struct nms_box {
    float x1, y1, x2, y2;
    float score;
    uint32_t class_id;
    uint32_t order; /* of adding: the earlier of two equal scores wins */
};

struct nms;

int nms_create(struct nms **nms, struct error *err);
void nms_clear(struct nms *nms);
/* Not taken: a score or box that is not finite, and a box without an area. */
void nms_add(struct nms *nms, uint32_t class_id, float score, float x1, float y1, float x2, float y2);
/* Gives at most boxes_max boxes by falling score, of which no two of one class overlap by more than
 * iou. Borrowed until nms_clear, which must come before the next nms_add. */
const struct nms_box *nms_select(struct nms *nms, float iou, size_t boxes_max, size_t *count);
void nms_destroy(struct nms **nms); /* takes NULL */

#endif
