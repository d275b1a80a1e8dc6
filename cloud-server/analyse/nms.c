/* nms: the candidates lie in a heap with the worst on top, which gives the bound (a better one
 * replaces the top) and the order (taken apart, it is sorted by falling score) without memory. */
#include "analyse/nms.h"
#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

struct nms {
    size_t count;
    uint32_t added;
    bool selected; /* boxes are sorted and thinned, no heap any more */
    struct nms_box boxes[NMS_CANDIDATES_MAX];
};

static void sift_down(struct nms_box *boxes, size_t count, size_t at);
static void sift_up(struct nms_box *boxes, size_t at);
static bool is_worse(const struct nms_box *a, const struct nms_box *b);
static float overlap(const struct nms_box *a, const struct nms_box *b);

int nms_create(struct nms **nms, struct error *err)
{
    struct nms *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "nms", "no room for %zu bytes", sizeof *fresh);
    *nms = fresh;
    return 0;
}

void nms_clear(struct nms *nms)
{
    nms->count = 0;
    nms->added = 0;
    nms->selected = false;
}

void nms_add(struct nms *nms, uint32_t class_id, float score, float x1, float y1, float x2, float y2)
{
    assert(!nms->selected);
    if (!isfinite(score) || !isfinite(x1) || !isfinite(y1) || !isfinite(x2) || !isfinite(y2))
        return;
    if (!(x2 > x1) || !(y2 > y1))
        return;
    struct nms_box box = {
        .x1 = x1, .y1 = y1, .x2 = x2, .y2 = y2, .score = score, .class_id = class_id, .order = nms->added++
    };
    if (nms->count < NMS_CANDIDATES_MAX) {
        nms->boxes[nms->count] = box;
        sift_up(nms->boxes, nms->count++);
    } else if (is_worse(&nms->boxes[0], &box)) {
        nms->boxes[0] = box;
        sift_down(nms->boxes, nms->count, 0);
    }
}

const struct nms_box *nms_select(struct nms *nms, float iou, size_t boxes_max, size_t *count)
{
    assert(!nms->selected);
    struct nms_box *boxes = nms->boxes;
    for (size_t left = nms->count; left > 1; left--) {
        struct nms_box worst = boxes[0];
        boxes[0] = boxes[left - 1];
        boxes[left - 1] = worst;
        sift_down(boxes, left - 1, 0);
    }
    size_t kept = 0;
    for (size_t i = 0; i < nms->count && kept < boxes_max; i++) {
        bool covered = false;
        for (size_t k = 0; k < kept && !covered; k++)
            covered = boxes[k].class_id == boxes[i].class_id && overlap(&boxes[k], &boxes[i]) > iou;
        if (!covered)
            boxes[kept++] = boxes[i];
    }
    nms->count = kept;
    nms->selected = true;
    *count = kept;
    return boxes;
}

void nms_destroy(struct nms **nms)
{
    free(*nms);
    *nms = NULL;
}

static void sift_down(struct nms_box *boxes, size_t count, size_t at)
{
    struct nms_box box = boxes[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count)
            break;
        if (child + 1 < count && is_worse(&boxes[child + 1], &boxes[child]))
            child++;
        if (!is_worse(&boxes[child], &box))
            break;
        boxes[at] = boxes[child];
        at = child;
    }
    boxes[at] = box;
}

static void sift_up(struct nms_box *boxes, size_t at)
{
    struct nms_box box = boxes[at];
    while (at > 0 && is_worse(&box, &boxes[(at - 1) / 2])) {
        boxes[at] = boxes[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    boxes[at] = box;
}

static bool is_worse(const struct nms_box *a, const struct nms_box *b)
{
    return a->score != b->score ? a->score < b->score : a->order > b->order;
}

/* Intersection over union. In double: the product of two large floats must not overflow. */
static float overlap(const struct nms_box *a, const struct nms_box *b)
{
    double width = (double)(a->x2 < b->x2 ? a->x2 : b->x2) - (a->x1 > b->x1 ? a->x1 : b->x1);
    double height = (double)(a->y2 < b->y2 ? a->y2 : b->y2) - (a->y1 > b->y1 ? a->y1 : b->y1);
    if (width <= 0 || height <= 0)
        return 0;
    double area_a = ((double)a->x2 - a->x1) * ((double)a->y2 - a->y1);
    double area_b = ((double)b->x2 - b->x1) * ((double)b->y2 - b->y1);
    double common = width * height;
    return (float)(common / (area_a + area_b - common));
}
