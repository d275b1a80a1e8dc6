/* cuda_labels: the plane with the largest score of each pixel, and how many pixels each plane won.
 *
 *   plain   all threads count in the same memory, pixel by pixel
 *   chunks  a block counts in its own, equal neighbours at once: production */
#include "lab/cuda_lab.h"
#include "lab/cuda_plain_pictures.h"
#include "tensor/number.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define NAME_FIRST 200 /* planes are named downwards from it */

struct shape_of {
    int32_t images, planes, positions;
    enum tensor_type type;
    bool last; /* scores of a pixel lie behind each other */
};

static struct label_map describe(const struct cuda_problem *problem);
static void run_plain(const struct cuda_problem *problem, void *stream);
static void run_chunks(const struct cuda_problem *problem, void *stream);
static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content);
static void expect(const struct shape_of *s, const void *scores, float *bytes);

static const struct cuda_lab_step steps[] = {
    { "plain", run_plain, 0, NULL },
    { "chunks", run_chunks, 0, NULL },
};

static const struct cuda_problem problems[] = {
    CUDA_PROBLEM("1x2 of 5, f32", 1, 2, 5, TENSOR_F32, false),
    CUDA_PROBLEM("2x19 of 4111, f16, channels last", 2, 19, 4111, TENSOR_F16, true),
    CUDA_PROBLEM("3x11 of 300, bf16", 3, 11, 300, TENSOR_BF16, false),
    CUDA_REAL_PROBLEM("1x19 of 512x1024, f16", 1, 19, 512 * 1024, TENSOR_F16, true),
    CUDA_REAL_PROBLEM("8x11 of 360x480, f32", 8, 11, 360 * 480, TENSOR_F32, true),
};

const struct cuda_ladder cuda_labels_ladder = {
    "labels", steps, sizeof steps / sizeof *steps, problems, sizeof problems / sizeof *problems,
    fill,
};

/* Counts, then labels. */
static size_t count_bytes(const struct shape_of *s)
{
    return cuda_lab_bytes(TENSOR_I32, (int64_t)s->images * s->planes);
}

static int64_t position_step(const struct shape_of *s)
{
    return s->last ? s->planes : 1;
}

static int64_t plane_step(const struct shape_of *s)
{
    return s->last ? 1 : s->positions;
}

static struct label_map describe(const struct cuda_problem *problem)
{
    const struct shape_of *s = problem->shape;
    struct label_map map = {
        .scores = { .data = problem->in[0],
                    .type = (int32_t)s->type,
                    .rank = 1,
                    .dim = { s->positions },
                    .step = { position_step(s) } },
        .image = (int64_t)s->planes * s->positions,
        .step = plane_step(s),
        .planes = s->planes,
        .positions = s->positions,
        .chunks = (s->positions + LABEL_POSITIONS - 1) / LABEL_POSITIONS,
        .labels = (uint8_t *)problem->out + count_bytes(s),
        .counts = problem->out,
    };
    for (int32_t p = 0; p < s->planes; p++)
        map.names[p] = (uint8_t)(NAME_FIRST - p);
    return map;
}

static void clear_counts(const struct cuda_problem *problem, void *stream)
{
    const struct shape_of *s = problem->shape;
    struct plain_numbers counts = { problem->out };
    plain_clear_each(&counts, (int64_t)s->images * s->planes, stream);
}

static void run_plain(const struct cuda_problem *problem, void *stream)
{
    const struct shape_of *s = problem->shape;
    struct label_map map = describe(problem);
    clear_counts(problem, stream);
    plain_label_each(&map, (int64_t)s->images * s->positions, stream);
}

static void run_chunks(const struct cuda_problem *problem, void *stream)
{
    const struct shape_of *s = problem->shape;
    struct label_map map = describe(problem);
    clear_counts(problem, stream);
    label_map_chunks(&map, (int64_t)s->images * map.chunks, stream);
}

static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content)
{
    const struct shape_of *s = problem->shape;
    int64_t positions = (int64_t)s->images * s->positions;
    content->in[0] = cuda_lab_numbers(random, s->type, positions * s->planes);
    content->in_bytes[0] = cuda_lab_bytes(s->type, positions * s->planes);
    /* A pixel without a label. */
    number_store(&(struct tensor){ .type = s->type, .data = content->in[0] }, 0, (double)NAN);
    content->out_type = TENSOR_U8;
    content->out_count = (int64_t)count_bytes(s) + positions;
    content->moved_bytes = content->in_bytes[0] + (uint64_t)content->out_count;
    if (!check)
        return;
    content->expected = malloc((size_t)content->out_count * sizeof *content->expected);
    assert(content->expected);
    expect(s, content->in[0], content->expected);
}

static int32_t find_winner(const struct shape_of *s, const void *scores, int64_t first)
{
    int32_t winner = 0;
    if (isnan(cuda_lab_number(scores, s->type, first)))
        return -1;
    for (int32_t p = 1; p < s->planes; p++)
        if (cuda_lab_number(scores, s->type, first + p * plane_step(s)) >
            cuda_lab_number(scores, s->type, first + winner * plane_step(s)))
            winner = p;
    return winner;
}

/* Byte for byte. */
static void expect(const struct shape_of *s, const void *scores, float *bytes)
{
    int32_t *counts = calloc(1, count_bytes(s));
    float *labels = bytes + count_bytes(s);
    assert(counts);
    for (int64_t n = 0, i = 0; n < s->images; n++)
        for (int64_t k = 0; k < s->positions; k++, i++) {
            int64_t first = n * s->planes * s->positions + k * position_step(s);
            int32_t winner = find_winner(s, scores, first);
            labels[i] = winner < 0 ? LABEL_NONE : (float)(NAME_FIRST - winner);
            if (winner >= 0)
                counts[n * s->planes + winner]++;
        }
    for (size_t i = 0; i < count_bytes(s); i++)
        bytes[i] = ((const uint8_t *)counts)[i];
    free(counts);
}
