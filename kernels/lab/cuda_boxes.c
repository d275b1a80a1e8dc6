/* cuda_boxes: a YOLOX detector's output becomes a short list of boxes: all cells' scores, the list of
 * those above the threshold, and what of it is not covered by better boxes.
 *
 *   plain   behind the scores a thread does an image's list
 *   blocks  prefix sums make the list, all pairs are compared at once: production */
#include "lab/cuda_lab.h"
#include "lab/cuda_plain_pictures.h"
#include "ops/boxes.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STRIDES 3       /* 8, 16, 32 */
#define NUMBERS 5       /* of a cell, before its classes */
#define OVERLAP_FLOP 15 /* of a pair of boxes */

struct shape_of {
    int32_t images, size[2], classes;
    int32_t given, limit; /* boxes of the list, and at the end */
    float threshold, iou;
    enum tensor_type type;
};

/* A list of a shape's `limit` or `given` boxes is boxes, scores, classes, count, of all images each. */
#define LIST_NUMBERS(images, limit) ((int64_t)(images) * ((limit) * (BOX_CORNERS + 2) + 1))

static void run_plain(const struct cuda_problem *problem, void *stream);
static void run_blocks(const struct cuda_problem *problem, void *stream);
static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content);
static void expect(const struct shape_of *s, const void *output, float *expected);

static const struct cuda_lab_step steps[] = {
    { "plain", run_plain, 1e-6, NULL },
    { "blocks", run_blocks, 1e-6, NULL },
};

static const struct cuda_problem problems[] = {
    CUDA_PROBLEM("1 of 32x64, 3 classes", 1, { 32, 64 }, 3, 20, 9, 0.1f, 0.05f, TENSOR_F32),
    CUDA_PROBLEM("3 of 160x96, 2 classes, f16", 3, { 160, 96 }, 2, 60, 40, 0.2f, 0.1f, TENSOR_F16),
    CUDA_PROBLEM("2 of 256x256, 5 classes", 2, { 256, 256 }, 5, 300, 100, 0.3f, 0.1f, TENSOR_F32),
    CUDA_PROBLEM("1 of 32x32, nothing there", 1, { 32, 32 }, 1, 4, 4, 2, 0.5f, TENSOR_F32),
    CUDA_REAL_PROBLEM("1 of 416x416, 80 classes, f16", 1, { 416, 416 }, 80, 1000, 100, 0.8f, 0.45f,
                      TENSOR_F16),
    CUDA_REAL_PROBLEM("8 of 640x640, 80 classes, f16", 8, { 640, 640 }, 80, 1000, 100, 0.8f, 0.45f,
                      TENSOR_F16),
};

const struct cuda_ladder cuda_boxes_ladder = {
    "boxes", steps, sizeof steps / sizeof *steps, problems, sizeof problems / sizeof *problems,
    fill,
};

static int32_t count_cells(const struct shape_of *s)
{
    int32_t cells = 0;
    for (int k = 0, stride = BOX_STRIDE_FIRST; k < STRIDES; k++, stride *= 2)
        cells += s->size[0] / stride * (s->size[1] / stride);
    return cells;
}

static int32_t count_words(const struct shape_of *s)
{
    return (s->given + BOX_WORD_BITS - 1) / BOX_WORD_BITS;
}

/* Scratch: scores and classes of cells, the list, key, order, covered. */
static int64_t scratch_numbers(const struct shape_of *s)
{
    return (int64_t)s->images * (2 * count_cells(s) + (2 + count_words(s)) * s->given) +
           LIST_NUMBERS(s->images, s->given);
}

static struct box_lists see_list(const struct shape_of *s, float *numbers, int32_t limit)
{
    int64_t boxes = (int64_t)s->images * limit;
    struct box_lists lists = { .boxes = numbers, .limit = limit };
    lists.scores = lists.boxes + boxes * BOX_CORNERS;
    lists.classes = (int32_t *)lists.scores + boxes;
    lists.count = lists.classes + boxes;
    return lists;
}

static struct box_decode describe_decode(const struct cuda_problem *problem)
{
    const struct shape_of *s = problem->shape;
    int32_t cells = count_cells(s), numbers = NUMBERS + s->classes;
    int64_t all = (int64_t)s->images * cells;
    float *scratch = problem->scratch;
    return (struct box_decode){
        .kind = BOX_YOLOX,
        .data = problem->in[0],
        .type = (int32_t)s->type,
        .image = (int64_t)cells * numbers,
        .number = 1,
        .column = numbers,
        .cells = cells,
        .columns = cells,
        .classes = s->classes,
        .size = { s->size[0], s->size[1] },
        .threshold = s->threshold,
        .score = scratch,
        .class_id = (int32_t *)scratch + all,
        .to = see_list(s, scratch + 2 * all, s->given),
    };
}

static struct box_nms describe_nms(const struct cuda_problem *problem)
{
    const struct shape_of *s = problem->shape;
    struct box_lists from = describe_decode(problem).to;
    int64_t boxes = (int64_t)s->images * s->given;
    float *key = from.boxes + LIST_NUMBERS(s->images, s->given);
    return (struct box_nms){
        .boxes = from.boxes,
        .scores = from.scores,
        .classes = from.classes,
        .count = from.count,
        .given = s->given,
        .candidates = s->given,
        .iou = s->iou,
        .key = key,
        .order = (int32_t *)key + boxes,
        .covered = (uint32_t *)key + 2 * boxes,
        .words = count_words(s),
        .to = see_list(s, problem->out, s->limit),
    };
}

/* Classes and counts of the result become floats, as all of it is compared. */
static void end(const struct shape_of *s, const struct box_lists *lists, void *stream)
{
    struct plain_numbers whole = { lists->classes };
    plain_float_each(&whole, (int64_t)s->images * (s->limit + 1), stream);
}

static void run_plain(const struct cuda_problem *problem, void *stream)
{
    const struct shape_of *s = problem->shape;
    struct box_decode decode = describe_decode(problem);
    struct box_nms nms = describe_nms(problem);
    box_score_each(&decode, (int64_t)s->images * decode.cells, stream);
    plain_box_gather_each(&decode, s->images, stream);
    plain_box_nms_each(&nms, s->images, stream);
    end(s, &nms.to, stream);
}

static void run_blocks(const struct cuda_problem *problem, void *stream)
{
    const struct shape_of *s = problem->shape;
    struct box_decode decode = describe_decode(problem);
    struct box_nms nms = describe_nms(problem);
    struct plain_numbers order = { nms.order };
    int64_t boxes = (int64_t)s->images * s->given;
    box_score_each(&decode, (int64_t)s->images * decode.cells, stream);
    box_gather(&decode, s->images, stream);
    plain_clear_each(&order, boxes, stream);
    box_key_each(&nms, boxes, stream);
    box_rank_each(&nms, boxes, stream);
    box_cover_each(&nms, boxes * nms.words, stream);
    box_choose(&nms, s->images, stream);
    end(s, &nms.to, stream);
}

static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content)
{
    const struct shape_of *s = problem->shape;
    int64_t count = (int64_t)s->images * count_cells(s) * (NUMBERS + s->classes);
    content->in[0] = cuda_lab_numbers(random, s->type, count);
    content->in_bytes[0] = cuda_lab_bytes(s->type, count);
    content->scratch_bytes = cuda_lab_bytes(TENSOR_F32, scratch_numbers(s));
    content->out_type = TENSOR_F32;
    content->out_count = LIST_NUMBERS(s->images, s->limit);
    content->moved_bytes = content->in_bytes[0] + cuda_lab_bytes(TENSOR_F32, content->out_count);
    content->flop = (uint64_t)s->images * (uint64_t)s->given * (uint64_t)s->given / 2 * OVERLAP_FLOP;
    if (!check)
        return;
    content->expected = calloc((size_t)content->out_count, sizeof *content->expected);
    assert(content->expected);
    expect(s, content->in[0], content->expected);
}

/* ---- what is expected ---- */

struct box {
    float corner[BOX_CORNERS], score;
    int32_t class_id;
    bool gone;
};

/* False where it is below the threshold. */
static bool read_score(const struct shape_of *s, const void *output, int64_t at, struct box *box)
{
    float objectness = cuda_lab_number(output, s->type, at + NUMBERS - 1), best = -INFINITY;
    for (int32_t c = 0; c < s->classes; c++) {
        float score = cuda_lab_number(output, s->type, at + NUMBERS + c);
        if (score > best) {
            best = score;
            box->class_id = c;
        }
    }
    box->score = objectness * best;
    return objectness >= s->threshold && box->score >= s->threshold;
}

static void read_corners(const struct shape_of *s, const void *output, int64_t at, int32_t column,
                         int32_t row, int32_t stride, struct box *box)
{
    for (int k = 0; k < 2; k++) {
        float centre = cuda_lab_number(output, s->type, at + k) + (float)(k == 0 ? column : row);
        float side = expf(cuda_lab_number(output, s->type, at + 2 + k));
        box->corner[k] = (centre - side / 2) * (float)stride;
        box->corner[k + 2] = (centre + side / 2) * (float)stride;
    }
}

/* Gives how many. */
static int32_t list_boxes(const struct shape_of *s, const void *output, int32_t image,
                          struct box *boxes)
{
    int64_t at = (int64_t)image * count_cells(s) * (NUMBERS + s->classes);
    int32_t count = 0;
    for (int k = 0, stride = BOX_STRIDE_FIRST; k < STRIDES; k++, stride *= 2)
        for (int32_t row = 0; row < s->size[0] / stride; row++)
            for (int32_t column = 0; column < s->size[1] / stride; column++) {
                struct box box = { .gone = false };
                if (count < s->given && read_score(s, output, at, &box)) {
                    read_corners(s, output, at, column, row, stride, &box);
                    boxes[count++] = box;
                }
                at += NUMBERS + s->classes;
            }
    return count;
}

static bool covers(const struct box *a, const struct box *b, float iou)
{
    double common = 1, areas[2] = { 1, 1 };
    for (int k = 0; k < 2; k++) {
        double side = (double)fminf(a->corner[k + 2], b->corner[k + 2]) -
                      (double)fmaxf(a->corner[k], b->corner[k]);
        common *= side > 0 ? side : 0;
        areas[0] *= (double)a->corner[k + 2] - (double)a->corner[k];
        areas[1] *= (double)b->corner[k + 2] - (double)b->corner[k];
    }
    return a->class_id == b->class_id && (float)(common / (areas[0] + areas[1] - common)) > iou;
}

static struct box *take_best(struct box *boxes, int32_t count)
{
    struct box *best = NULL;
    for (int32_t i = 0; i < count; i++)
        if (!boxes[i].gone && (!best || boxes[i].score > best->score))
            best = &boxes[i];
    if (best)
        best->gone = true;
    return best;
}

static void expect(const struct shape_of *s, const void *output, float *expected)
{
    struct box *boxes = calloc((size_t)s->given, sizeof *boxes);
    int64_t all = (int64_t)s->images * s->limit;
    float *scores = expected + all * BOX_CORNERS, *classes = scores + all, *counts = classes + all;
    assert(boxes);
    for (int32_t n = 0; n < s->images; n++) {
        int32_t given = list_boxes(s, output, n, boxes), taken = 0;
        while (taken < s->limit) {
            struct box *best = take_best(boxes, given);
            if (!best)
                break;
            for (int32_t i = 0; i < given; i++)
                boxes[i].gone = boxes[i].gone || covers(best, &boxes[i], s->iou);
            int64_t at = (int64_t)n * s->limit + taken++;
            memcpy(expected + at * BOX_CORNERS, best->corner, sizeof best->corner);
            scores[at] = best->score;
            classes[at] = (float)best->class_id;
        }
        counts[n] = (float)taken;
    }
    free(boxes);
}
