/* head_segment: class areas from scores per pixel. Either one output [1, classes, rows, columns],
 * where the best class takes the pixel; or one output [1, 2, rows, columns] for each class, where
 * the second plane wins over the first on the class's pixels (such classes may overlap). */
#include "analyse/head.h"
#include "pixels.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_NONE PIXELS_NO_LABEL /* a pixel of no class, or whose scores are not finite */
#define VARINT_BYTES_MAX 5u
/* A plane that is lower than the winner's by more takes next to nothing of its probability: e^-9 = 0.0001. */
#define FAR_BELOW 9.0f
#define CHANCE_MIN 0.5f /* what a class that is alone in its output wins with */

struct segment {
    bool binary; /* one output per class */
    uint32_t width, height;
    uint8_t *labels; /* of one output, without what lies beside the picture */
};

/* One allocation: struct, labels. */
static int take_memory(struct head *head, bool binary, struct error *err)
{
    const struct shape *shape = head->reduced ? &head->lists[0]->shape : &head->outputs[0]->shape;
    const int64_t height = shape->dim[shape->rank - 2], width = shape->dim[shape->rank - 1];
    size_t bytes = sizeof(struct segment) + (size_t)width * (size_t)height;
    struct segment *own = calloc(1, bytes);
    if (!own)
        return error_set(err, ERROR_MEMORY, "head", "no room for %zu bytes", bytes);
    own->binary = binary;
    own->width = (uint32_t)width;
    own->height = (uint32_t)height;
    own->labels = (uint8_t *)(own + 1);
    head->own = own;
    return 0;
}

static int segment_open(struct head *head, struct error *err)
{
    const struct card_input *input = &head->card->input;
    const struct shape *first = &head->outputs[0]->shape;
    assert(head->class_count <= ANALYSIS_AREAS_MAX); /* card_read refuses more */
    bool binary = head->output_count == head->class_count && first->rank == 4 &&
                  first->dim[1] == HEAD_BINARY_PLANES;
    if (head->reduced) /* all else was seen before it was */
        return take_memory(head, binary, err);
    if (!binary && head->output_count != 1)
        return head_refuse_shape(head, 0, err,
                                 "1x2x(rows)x(columns), as there are %zu outputs, and as many "
                                 "classes (not %u)",
                                 head->output_count, head->class_count);
    for (size_t i = 0; i < head->output_count; i++) {
        const struct shape *shape = &head->outputs[i]->shape;
        int64_t planes = binary ? HEAD_BINARY_PLANES : (int64_t)head->class_count;
        bool matches = shape->rank == 4 && shape->dim[0] == 1 && shape->dim[1] == planes &&
                       planes > 1 && shape->dim[2] >= 1 && shape->dim[3] >= 1 &&
                       shape_equal(shape, first);
        if (!matches || shape->dim[2] > input->height || shape->dim[3] > input->width)
            return head_refuse_shape(head, i, err,
                                     "1x%lldx(rows)x(columns) for %u classes, at most %ux%u "
                                     "pixels, all outputs alike",
                                     (long long)planes, head->class_count, input->width,
                                     input->height);
    }
    return take_memory(head, binary, err);
}

/* What pixels are labelled where a plane of the given output wins. */
static void name_planes(const struct head *head, uint32_t output, uint8_t names[ANALYSIS_AREAS_MAX])
{
    const struct segment *own = head->own;
    if (own->binary) {
        names[0] = LABEL_NONE;
        names[1] = (uint8_t)output;
        return;
    }
    for (uint32_t c = 0; c < head->class_count; c++)
        names[c] = (uint8_t)c;
}

/* Neighbours are mostly alike, so whole stretches are counted at once. */
static void count_labels(const uint8_t *labels, uint32_t width, uint64_t counts[LABEL_NONE + 1])
{
    uint32_t start = 0;
    for (uint32_t x = 1; x < width; x++)
        if (labels[x] != labels[start]) {
            counts[labels[start]] += x - start;
            start = x;
        }
    counts[labels[start]] += width - start;
}

static size_t put_varint(uint8_t *out, uint32_t value)
{
    size_t bytes = 0;
    for (; value >= 0x80; value >>= 7)
        out[bytes++] = (uint8_t)(value | 0x80);
    out[bytes++] = (uint8_t)value;
    return bytes;
}

/* Run lengths of one class over all labels, row after row: not the class, the class, not the class,
 * … The first may be 0; their sum is count. Gives the bytes written, or 0 when room is too small. */
static uint32_t write_runs(const uint8_t *labels, uint32_t count, uint32_t class_id, uint8_t *out,
                           uint32_t room)
{
    uint32_t bytes = 0;
    for (uint32_t at = 0; at < count;) {
        if (room - bytes < 2 * VARINT_BYTES_MAX)
            return 0;
        const uint8_t *found = memchr(labels + at, (int)class_id, count - at);
        uint32_t start = found ? (uint32_t)(found - labels) : count;
        uint32_t end = start;
        while (end < count && labels[end] == class_id)
            end++;
        bytes += (uint32_t)put_varint(out + bytes, start - at);
        if (end > start)
            bytes += (uint32_t)put_varint(out + bytes, end - start);
        at = end;
    }
    return bytes;
}

static void add_area(const struct head *head, uint32_t class_id, uint64_t pixels,
                     struct analysis *analysis)
{
    const struct segment *own = head->own;
    uint32_t all = analysis->mask_width * analysis->mask_height;
    struct analysis_area *area = &analysis->areas[analysis->area_count++];
    *area = (struct analysis_area){ .class_id = class_id,
                                    .share = (float)((double)pixels / all),
                                    .runs_offset = analysis->runs_bytes };
    area->runs_bytes = write_runs(own->labels, all, class_id, analysis->runs + analysis->runs_bytes,
                                  ANALYSIS_RUNS_BYTES_MAX - analysis->runs_bytes);
    analysis->runs_bytes += area->runs_bytes;
}

/* The part of size that the picture covers, at least one. */
static uint32_t covered(uint32_t size, uint32_t inner, uint32_t input)
{
    uint64_t part = ((uint64_t)size * inner + input / 2) / input;
    return part > 0 ? (uint32_t)part : 1;
}

/* Position at of count, as one of so many: that in which its centre lies. */
static uint32_t nearest(uint32_t at, uint32_t count, uint32_t of)
{
    return (uint32_t)((2 * (uint64_t)at + 1) * of / (2 * (uint64_t)count));
}

/* The part of the outputs that shows the picture. */
static void measure_mask(const struct head *head, const struct placement *placement,
                         uint32_t *mask_width, uint32_t *mask_height)
{
    const struct segment *own = head->own;
    const struct card_input *input = &head->card->input;
    *mask_width = covered(own->width, placement->inner_width, input->width);
    *mask_height = covered(own->height, placement->inner_height, input->height);
}

/* One row of the labels of an output. */
static void label_row(const struct head *head, uint32_t output, uint32_t y, uint8_t *labels,
                      uint32_t mask_width)
{
    const struct segment *own = head->own;
    const struct tensor *scores = head->outputs[output];
    uint8_t names[ANALYSIS_AREAS_MAX];
    if (head->reduced) {
        memcpy(labels, (const uint8_t *)head->lists[output]->data + (size_t)y * own->width,
               mask_width);
        return;
    }
    name_planes(head, output, names);
    pixels_label((const float *)scores->data + (size_t)y * own->width,
                 (size_t)own->width * own->height, names, (uint32_t)scores->shape.dim[1], labels,
                 mask_width);
}

/* What the grid's pixels say of a class; head.h has the formulas. */
struct class_doubt {
    float found;   /* pixels */
    float near;    /* pixels that were nearly found, by their chances */
    float wrong;   /* how many of both are not as they were labelled, by their chances */
    float nearest; /* the largest chance of one that was nearly found */
};

/* Of the best of all planes, by softmax. */
static float winner_chance(const float *scores, size_t plane_step, uint32_t plane_count, float best)
{
    float sum = 0;
    for (uint32_t p = 0; p < plane_count; p++) {
        float below = scores[p * plane_step] - best;
        if (below > -FAR_BELOW) /* nor NaN */
            sum += expf(below);
    }
    return 1 / sum;
}

/* Scores of the grid's pixels in one row: those of every so many-th pixel of a plane, and how far the planes
 * are apart. */
struct grid_row {
    const float *scores;
    size_t plane_step;
    uint32_t planes, pixel_step;
};

/* Reduced outputs have the grid alone. */
static struct grid_row find_row(const struct head *head, uint32_t output, uint32_t y)
{
    const struct tensor *scores = head->outputs[output];
    const size_t rows = (size_t)scores->shape.dim[2], columns = (size_t)scores->shape.dim[3];
    const size_t row = head->reduced ? y / HEAD_GRID_STEP : y;
    return (struct grid_row){ .scores = (const float *)scores->data + row * columns,
                              .plane_step = rows * columns,
                              .planes = (uint32_t)scores->shape.dim[1],
                              .pixel_step = head->reduced ? 1 : HEAD_GRID_STEP };
}

/* One output for all classes: every pixel has a winner, and what it nearly was is not found twice. */
static void doubt_winners(const struct grid_row *row, const uint8_t *labels, uint32_t mask_width,
                          struct class_doubt *doubts)
{
    const float *scores = row->scores;
    for (uint32_t x = 0; x < mask_width; x += HEAD_GRID_STEP, scores += row->pixel_step) {
        if (labels[x] == LABEL_NONE)
            continue;
        doubts[labels[x]].found++;
        doubts[labels[x]].wrong += 1 - winner_chance(scores, row->plane_step, row->planes,
                                                     scores[labels[x] * row->plane_step]);
    }
}

/* An output of its own. */
static void doubt_class(const struct grid_row *row, const uint8_t *labels, uint32_t mask_width,
                        struct class_doubt *doubt)
{
    const float *scores = row->scores;
    for (uint32_t x = 0; x < mask_width; x += HEAD_GRID_STEP, scores += row->pixel_step) {
        float chance = 1 / (1 + expf(scores[0] - scores[row->plane_step]));
        if (labels[x] != LABEL_NONE) {
            doubt->found++;
            doubt->wrong += 1 - chance;
        } else if (chance >= CHANCE_MIN * HEAD_NEAR_SHARE) { /* nor NaN */
            doubt->near += chance;
            doubt->wrong += chance;
            doubt->nearest = fmaxf(doubt->nearest, chance);
        }
    }
}

/* A row of the grid; its labels are those of output. */
static void doubt_row(const struct head *head, uint32_t output, uint32_t y, const uint8_t *labels,
                      uint32_t mask_width, struct class_doubt doubts[ANALYSIS_AREAS_MAX])
{
    const struct segment *own = head->own;
    const struct grid_row row = find_row(head, output, y);
    if (own->binary)
        doubt_class(&row, labels, mask_width, &doubts[output]);
    else
        doubt_winners(&row, labels, mask_width, doubts);
}

static float measure_doubts(const struct class_doubt *doubts, uint32_t class_count)
{
    float sum = 0;
    uint32_t present = 0;
    for (uint32_t c = 0; c < class_count; c++) {
        const struct class_doubt *doubt = &doubts[c];
        if (doubt->found > 0)
            sum += doubt->wrong / (doubt->found + doubt->near);
        else
            sum += doubt->nearest;
        present += doubt->found > 0 || doubt->near > 0;
    }
    return present > 0 ? fminf(sum / (float)present, 1) : 0;
}

static void segment_find_areas(struct head *head, const struct placement *placement,
                               struct analysis *analysis)
{
    struct segment *own = head->own;
    struct class_doubt doubts[ANALYSIS_AREAS_MAX] = { 0 };
    measure_mask(head, placement, &analysis->mask_width, &analysis->mask_height);
    for (uint32_t i = 0; i < head->output_count; i++) {
        uint64_t counts[LABEL_NONE + 1] = { 0 };
        for (uint32_t y = 0; y < analysis->mask_height; y++) {
            uint8_t *labels = own->labels + (size_t)y * analysis->mask_width;
            label_row(head, i, y, labels, analysis->mask_width);
            count_labels(labels, analysis->mask_width, counts);
            if (y % HEAD_GRID_STEP == 0)
                doubt_row(head, i, y, labels, analysis->mask_width, doubts);
        }
        for (uint32_t c = 0; c < head->class_count; c++)
            if (counts[c] > 0)
                add_area(head, c, counts[c], analysis);
    }
    analysis->uncertainty = measure_doubts(doubts, head->class_count);
}

/* Row by row, as a picture that is smaller than the labels does not need them all. */
static void segment_map_labels(struct head *head, const struct placement *placement, uint32_t width,
                               uint32_t height, uint8_t *map)
{
    const struct segment *own = head->own;
    uint32_t mask_width, mask_height;
    measure_mask(head, placement, &mask_width, &mask_height);
    memset(map, (int)LABEL_NONE, (size_t)width * height);
    for (uint32_t i = 0; i < head->output_count; i++) {
        uint32_t labelled = mask_height; /* the row that own->labels holds; none yet */
        for (uint32_t y = 0; y < height; y++) {
            uint32_t row = nearest(y, height, mask_height);
            if (row != labelled)
                label_row(head, i, row, own->labels, mask_width);
            labelled = row;
            for (uint32_t x = 0; x < width; x++) {
                uint8_t label = own->labels[nearest(x, width, mask_width)];
                if (label != LABEL_NONE)
                    map[(size_t)y * width + x] = label;
            }
        }
    }
}

const struct head_kind head_SEGMENT = {
    .open = segment_open,
    .find_areas = segment_find_areas,
    .map_labels = segment_map_labels,
};
