/* boxes: what is much (all cells, all pairs) is done by a thread each, what has an order by a block for an
 * image. */
#include "cuda/boxes.h"

/* As in ops/boxes.h, which is for the host. */
enum { BOX_OF_YOLOX, BOX_OF_YOLOV8, BOX_OF_FASTESTDET };
#define BOX_FIRST_STRIDE 8

CUDA_FN void box_put(const struct box_lists *to, int64_t image, int32_t place, const float *box,
                     float score, int32_t class_id)
{
    int64_t at = image * to->limit + place;
    for (int k = 0; to->boxes && k < BOX_CORNERS; k++)
        to->boxes[at * BOX_CORNERS + k] = box[k];
    if (to->scores)
        to->scores[at] = score;
    if (to->classes)
        to->classes[at] = class_id;
}

/* What all threads of a block do when count boxes are in the list. */
CUDA_FN void box_end_list(const struct box_lists *to, int64_t image, int32_t count, int thread)
{
    const float none[BOX_CORNERS] = { 0, 0, 0, 0 };
    for (int32_t place = count + thread; place < to->limit; place += LAUNCH_THREADS)
        box_put(to, image, place, none, 0, 0);
    if (thread == 0 && to->count)
        to->count[image] = count;
}

/* ---- box_decode: scores of all cells ---- */

CUDA_FN int64_t box_cell_at(const struct box_decode *args, int64_t image, int32_t cell)
{
    return image * args->image + cell / args->columns * args->row +
           cell % args->columns * args->column;
}

CUDA_FN float box_number(const struct box_decode *args, int64_t at, int32_t k)
{
    return element_load(args->data, args->type, at + k * args->number);
}

CUDA_FN void box_score_at(const struct box_decode *args, int64_t i)
{
    int64_t at = box_cell_at(args, i / args->cells, (int32_t)(i % args->cells));
    int32_t first = args->kind == BOX_OF_YOLOV8 ? 4 : 5, best = 0;
    float score = box_number(args, at, first);
    float objectness = args->kind == BOX_OF_YOLOV8 ? 1 : box_number(args, at, 4);
    if (args->kind == BOX_OF_FASTESTDET)
        objectness = box_number(args, at, 0);
    for (int32_t c = 1; c < args->classes; c++) {
        float of_class = box_number(args, at, first + c);
        if (of_class > score) {
            score = of_class;
            best = c;
        }
    }
    if (args->kind == BOX_OF_FASTESTDET)
        score = powf(objectness, 0.6f) * powf(score, 0.4f);
    else if (args->kind == BOX_OF_YOLOX)
        score = objectness >= args->threshold ? objectness * score : objectness;
    args->score[i] = score;
    args->class_id[i] = score >= args->threshold ? best : -1;
}

EACH_KERNEL(box_score_each, struct box_decode, box_score_at)

/* ---- box_decode: boxes of those above the threshold ---- */

CUDA_FN void box_around(float x, float y, float half_width, float half_height, float *box)
{
    box[0] = x - half_width;
    box[1] = y - half_height;
    box[2] = x + half_width;
    box[3] = y + half_height;
}

CUDA_FN void box_yolox(const struct box_decode *args, int64_t at, int32_t cell, float *box)
{
    int32_t stride = BOX_FIRST_STRIDE, columns, cells;
    for (;; stride *= 2) {
        columns = (args->size[1] + stride - 1) / stride;
        cells = (args->size[0] + stride - 1) / stride * columns;
        if (cell < cells)
            break;
        cell -= cells;
    }
    float scale = (float)stride;
    box_around((box_number(args, at, 0) + (float)(cell % columns)) * scale,
               (box_number(args, at, 1) + (float)(cell / columns)) * scale,
               expf(box_number(args, at, 2)) * scale / 2, expf(box_number(args, at, 3)) * scale / 2,
               box);
}

CUDA_FN void box_fastestdet(const struct box_decode *args, int64_t at, int32_t cell, float *box)
{
    int32_t columns = args->columns, rows = args->cells / columns;
    float height = (float)args->size[0], width = (float)args->size[1];
    box_around(((float)(cell % columns) + tanhf(box_number(args, at, 1))) * (width / (float)columns),
               ((float)(cell / columns) + tanhf(box_number(args, at, 2))) * (height / (float)rows),
               width / (1 + expf(-box_number(args, at, 3))) / 2,
               height / (1 + expf(-box_number(args, at, 4))) / 2, box);
}

CUDA_FN void box_of_cell(const struct box_decode *args, int64_t image, int32_t cell, float *box)
{
    int64_t at = box_cell_at(args, image, cell);
    if (args->kind == BOX_OF_YOLOX)
        box_yolox(args, at, cell, box);
    else if (args->kind == BOX_OF_FASTESTDET)
        box_fastestdet(args, at, cell, box);
    else
        box_around(box_number(args, at, 0), box_number(args, at, 1), box_number(args, at, 2) / 2,
                   box_number(args, at, 3) / 2, box);
}

/* Each thread has cells that lie behind each other: as many as all before it have found stand before its
 * own. Sums are doubled in turn from one half of the memory into the other. */
#define BOX_SUM_STAGES 8 /* 2^8 threads */
enum { BOX_FIND, BOX_SUM, BOX_WRITE = BOX_SUM + BOX_SUM_STAGES, BOX_STAGES };

struct box_sums {
    int32_t sum[2][LAUNCH_THREADS];
};

struct box_own {
    int32_t found;
};

CUDA_FN int box_gather_stages(const struct box_decode *args)
{
    (void)args;
    return BOX_STAGES;
}

CUDA_FN void box_find(const struct box_decode *args, int64_t image, int32_t first, int32_t end,
                      struct box_own *own)
{
    own->found = 0;
    for (int32_t cell = first; cell < end; cell++)
        own->found += args->class_id[image * args->cells + cell] >= 0;
}

CUDA_FN void box_write(const struct box_decode *args, int64_t image, int32_t first, int32_t end,
                       int32_t place)
{
    for (int32_t cell = first; cell < end && place < args->to.limit; cell++) {
        int64_t i = image * args->cells + cell;
        float box[BOX_CORNERS];
        if (args->class_id[i] < 0)
            continue;
        box_of_cell(args, image, cell, box);
        box_put(&args->to, image, place++, box, args->score[i], args->class_id[i]);
    }
}

CUDA_FN void box_gather_stage(const struct box_decode *args, int64_t image, int thread, int stage,
                              struct box_sums *sums, struct box_own *own)
{
    int32_t each = (args->cells + LAUNCH_THREADS - 1) / LAUNCH_THREADS;
    int32_t first = thread * each < args->cells ? thread * each : args->cells;
    int32_t end = first + each < args->cells ? first + each : args->cells;
    if (stage == BOX_FIND) {
        box_find(args, image, first, end, own);
        sums->sum[0][thread] = own->found;
    } else if (stage < BOX_WRITE) {
        int pass = stage - BOX_SUM, back = 1 << pass;
        const int32_t *from = sums->sum[pass % 2];
        sums->sum[1 - pass % 2][thread] = from[thread] + (thread < back ? 0 : from[thread - back]);
    } else {
        const int32_t *sum = sums->sum[BOX_SUM_STAGES % 2];
        int32_t all = sum[LAUNCH_THREADS - 1];
        box_write(args, image, first, end, sum[thread] - own->found);
        box_end_list(&args->to, image, all < args->to.limit ? all : args->to.limit, thread);
    }
}

STAGED_KERNEL(box_gather, struct box_decode, struct box_sums, struct box_own, box_gather_stages,
              box_gather_stage)

/* ---- box_nms: by falling score ---- */

CUDA_FN void box_key_at(const struct box_nms *args, int64_t i)
{
    const float *box = args->boxes + i * BOX_CORNERS;
    bool counts = i % args->given < args->count[i / args->given] && isfinite(args->scores[i]) &&
                  isfinite(box[0]) && isfinite(box[1]) && isfinite(box[2]) && isfinite(box[3]) &&
                  box[2] > box[0] && box[3] > box[1];
    args->key[i] = counts ? args->scores[i] : -INFINITY;
}

CUDA_FN void box_rank_at(const struct box_nms *args, int64_t i)
{
    int64_t image = i / args->given;
    int32_t own = (int32_t)(i % args->given), rank = 0;
    int32_t count = args->count[image] < args->given ? args->count[image] : args->given;
    const float *key = args->key + image * args->given;
    if (key[own] == -INFINITY)
        return;
    for (int32_t k = 0; k < count; k++)
        rank += key[k] > key[own] || (key[k] == key[own] && k < own);
    if (rank < args->candidates)
        args->order[image * args->candidates + rank] = own + 1;
}

EACH_KERNEL(box_key_each, struct box_nms, box_key_at)
EACH_KERNEL(box_rank_each, struct box_nms, box_rank_at)

/* ---- box_nms: who covers whom ---- */

/* Intersection over union, in double: the product of two large floats must not overflow. */
CUDA_FN float box_overlap(const float *a, const float *b)
{
    double width = (double)fminf(a[2], b[2]) - (double)fmaxf(a[0], b[0]);
    double height = (double)fminf(a[3], b[3]) - (double)fmaxf(a[1], b[1]);
    if (width <= 0 || height <= 0)
        return 0;
    double area_a = ((double)a[2] - (double)a[0]) * ((double)a[3] - (double)a[1]);
    double area_b = ((double)b[2] - (double)b[0]) * ((double)b[3] - (double)b[1]);
    double common = width * height;
    return (float)(common / (area_a + area_b - common));
}

CUDA_FN void box_cover_at(const struct box_nms *args, int64_t i)
{
    int32_t word = (int32_t)(i % args->words);
    int64_t row = i / args->words, image = row / args->candidates;
    const int32_t *order = args->order + image * args->candidates;
    const float *boxes = args->boxes + image * args->given * BOX_CORNERS;
    const int32_t *classes = args->classes + image * args->given;
    int32_t own = order[row % args->candidates] - 1;
    uint32_t bits = 0;
    for (int32_t b = 0; own >= 0 && b < BOX_WORD_BITS; b++) {
        int32_t k = word * BOX_WORD_BITS + b;
        int32_t other = k > row % args->candidates && k < args->candidates ? order[k] - 1 : -1;
        if (other >= 0 && classes[own] == classes[other] &&
            box_overlap(boxes + (int64_t)own * BOX_CORNERS, boxes + (int64_t)other * BOX_CORNERS) >
                args->iou)
            bits |= (uint32_t)1 << b;
    }
    args->covered[i] = bits;
}

EACH_KERNEL(box_cover_each, struct box_nms, box_cover_at)

/* ---- box_nms: one candidate after the other, in two stages each ---- */

struct box_choice_shared {
    uint32_t gone[BOX_WORDS_MAX]; /* bits of candidates that are covered */
    int32_t count, taken;         /* taken: the present one */
};

CUDA_FN int box_choose_stages(const struct box_nms *args)
{
    return 2 * args->candidates + 2;
}

CUDA_FN void box_decide(const struct box_nms *args, int64_t image, int32_t candidate,
                        struct box_choice_shared *shared)
{
    uint32_t gone = shared->gone[candidate / BOX_WORD_BITS] >> candidate % BOX_WORD_BITS & 1;
    shared->taken = !gone && args->order[image * args->candidates + candidate] > 0 &&
                    shared->count < args->to.limit;
}

CUDA_FN void box_take(const struct box_nms *args, int64_t image, int32_t candidate, int thread,
                      struct box_choice_shared *shared)
{
    int64_t row = image * args->candidates + candidate;
    if (!shared->taken)
        return;
    if (thread < args->words)
        shared->gone[thread] |= args->covered[row * args->words + thread];
    if (thread == 0) {
        int64_t from = image * args->given + args->order[row] - 1;
        box_put(&args->to, image, shared->count++, args->boxes + from * BOX_CORNERS,
                args->scores[from], args->classes[from]);
    }
}

CUDA_FN void box_choose_stage(const struct box_nms *args, int64_t image, int thread, int stage,
                              struct box_choice_shared *shared, struct box_own *own)
{
    (void)own;
    if (stage == 0) {
        if (thread < args->words)
            shared->gone[thread] = 0;
        if (thread == 0)
            shared->count = 0;
    } else if (stage > 2 * args->candidates)
        box_end_list(&args->to, image, shared->count, thread);
    else if (stage % 2 == 0)
        box_take(args, image, stage / 2 - 1, thread, shared);
    else if (thread == 0)
        box_decide(args, image, stage / 2, shared);
}

STAGED_KERNEL(box_choose, struct box_nms, struct box_choice_shared, struct box_own,
              box_choose_stages, box_choose_stage)
