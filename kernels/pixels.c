/* pixels: loops whose innermost count is a constant are made into vector code by any compiler for any
 * processor, unless they are inlined where restrict says nothing any more: hence a file of their own.
 * What else was tried, and how fast it is: kernels/lab/bytes.c and kernels/lab/labels.c. */
#include "pixels.h"
#include <assert.h>
#include <math.h>
#include <string.h>

#define BYTES_BLOCK 16u
/* Scores, best so far and labels of a block stay in the first cache, whatever the number of planes. */
#define LABEL_BLOCK 64u

static void label_block(const float *restrict scores, size_t plane_step,
                        const uint8_t *restrict names, uint32_t plane_count,
                        uint8_t *restrict labels);
static uint8_t label_one(const float *scores, size_t plane_step, const uint8_t *names,
                         uint32_t plane_count);

void pixels_to_floats(const uint8_t *restrict from, float *restrict to, size_t count, float factor,
                      float offset)
{
    size_t x = 0;
    for (; x + BYTES_BLOCK <= count; x += BYTES_BLOCK)
        for (size_t i = 0; i < BYTES_BLOCK; i++)
            to[x + i] = from[x + i] * factor + offset;
    for (; x < count; x++)
        to[x] = from[x] * factor + offset;
}

void pixels_label(const float *restrict scores, size_t plane_step, const uint8_t *restrict names,
                  uint32_t plane_count, uint8_t *restrict labels, size_t count)
{
    assert(plane_count > 0);
    size_t x = 0;
    for (; x + LABEL_BLOCK <= count; x += LABEL_BLOCK)
        label_block(scores + x, plane_step, names, plane_count, labels + x);
    for (; x < count; x++)
        labels[x] = label_one(scores + x, plane_step, names, plane_count);
}

/* Labels are 32 bits wide while they are compared, as scores are, and narrowed at the end. */
static void label_block(const float *restrict scores, size_t plane_step,
                        const uint8_t *restrict names, uint32_t plane_count, uint8_t *restrict labels)
{
    float best[LABEL_BLOCK];
    int32_t label[LABEL_BLOCK];
    memcpy(best, scores, sizeof best);
    for (size_t i = 0; i < LABEL_BLOCK; i++)
        label[i] = names[0];
    for (uint32_t p = 1; p < plane_count; p++) {
        const float *plane = scores + p * plane_step;
        int32_t name = names[p];
        for (size_t i = 0; i < LABEL_BLOCK; i++)
            label[i] = plane[i] > best[i] ? name : label[i];
        for (size_t i = 0; i < LABEL_BLOCK; i++)
            best[i] = plane[i] > best[i] ? plane[i] : best[i];
    }
    for (size_t i = 0; i < LABEL_BLOCK; i++) /* x - x is 0 for finite numbers alone */
        label[i] = best[i] - best[i] == 0 ? label[i] : (int32_t)PIXELS_NO_LABEL;
    for (size_t i = 0; i < LABEL_BLOCK; i++)
        labels[i] = (uint8_t)label[i];
}

static uint8_t label_one(const float *scores, size_t plane_step, const uint8_t *names,
                         uint32_t plane_count)
{
    float best = scores[0];
    uint8_t label = names[0];
    for (uint32_t p = 1; p < plane_count; p++)
        if (scores[p * plane_step] > best) {
            best = scores[p * plane_step];
            label = names[p];
        }
    return isfinite(best) ? label : (uint8_t)PIXELS_NO_LABEL;
}
