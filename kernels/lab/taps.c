/* taps: the adjoint of Resize, by which gradients flow back through bilinear and bicubic upscaling; the
 * same loops do every Resize that oneDNN does not, average pooling backwards and padding by what is in
 * the image. Row-major images, and channels-last ones.
 *
 *   plain         each element of dy to all that it was made of, along both dimensions
 *   lists         each element of dx gathers, from lists of who was made of its row and its column:
 *                 nobody else writes it, so threads need no atomics
 *   planes        all rows first, into an image put aside, then columns: 8 + 8 products instead of 64
 *   row by row    the same, a row at a time, its columns a stretch before they are needed:
 *                 production (cpu/taps.c)
 *
 * AMD EPYC (Zen 4), one core shared with other work, CPU time of one thread, gcc 12 -O2 (production -O3),
 * 2026-11-21; share of a copy that moves as many bytes:
 *
 *                 cubic, 16x3x64x64      linear, 16x64x64x64     nearest, 16x64x32x32
 *                 from 128x128           channels last           channels last
 *   plain         45.8 ms    0 %         42.9 ms    8 %          3.4 ms   17 %
 *   lists         42.3 ms    0 %         39.3 ms    9 %          2.8 ms   21 %
 *   planes         7.8 ms    1 %         29.0 ms   12 %          3.8 ms   16 %
 *   row by row     1.3 ms    3 %          9.3 ms   37 %          1.7 ms   34 %
 *
 * The same loops compiled for AVX2 and AVX-512 were not faster beyond the noise: with channels last it is
 * memory that they wait for. Whole rows instead of stretches cost 10 to 20 % there.
 */
#include "cpu/layout.h"
#include "lab.h"
#include "node.h"
#include "ops/resolve.h"

#define WHOLE_TAPS_MAX 256 /* that an element can have along one dimension here */

/* Along one dimension, who is made of each element: `count[i]` of them from first[i] on. */
struct list {
    int *first, *count, *at;
    float *weight;
};

struct taps_problem {
    struct lab_problem lab;
    struct lab_node node;
    struct resize resize;
    struct list lists[2]; /* rows, columns */
    float *dy, *dx, *aside, *scratch;
    bool last; /* channels */
    int64_t planes, inner;
};

static void run_plain(const void *problem)
{
    const struct taps_problem *own = problem;
    const int64_t *in = own->resize.in.dim, *out = own->resize.out.dim;
    memset(own->dx, 0, own->lab.output_bytes);
    for (int64_t p = 0; p < own->planes; p++)
        for (int64_t y = 0; y < out[2]; y++)
            for (int64_t x = 0; x < out[3]; x++) {
                struct resize_taps rows, columns;
                resize_taps(&own->resize, 2, y, &rows);
                resize_taps(&own->resize, 3, x, &columns);
                const float *dy = own->dy + ((p * out[2] + y) * out[3] + x) * own->inner;
                for (int i = 0; i < rows.count; i++)
                    for (int k = 0; k < columns.count; k++)
                        for (int64_t c = 0; c < own->inner; c++)
                            own->dx[((p * in[2] + rows.index[i]) * in[3] + columns.index[k]) * own->inner +
                                    c] += (float)(rows.weight[i] * columns.weight[k] * (double)dy[c]);
            }
}

static void run_lists(const void *problem)
{
    const struct taps_problem *own = problem;
    const int64_t *in = own->resize.in.dim, *out = own->resize.out.dim;
    const struct list *rows = &own->lists[0], *columns = &own->lists[1];
    for (int64_t i = 0; i < own->planes * in[2] * in[3]; i++) {
        int64_t x = i % in[3], y = i / in[3] % in[2], p = i / in[3] / in[2];
        float *dx = own->dx + i * own->inner;
        memset(dx, 0, (size_t)own->inner * sizeof *dx);
        for (int r = rows->first[y]; r < rows->first[y] + rows->count[y]; r++)
            for (int k = columns->first[x]; k < columns->first[x] + columns->count[x]; k++) {
                const float *dy =
                    own->dy + ((p * out[2] + rows->at[r]) * out[3] + columns->at[k]) * own->inner;
                float weight = rows->weight[r] * columns->weight[k];
                for (int64_t c = 0; c < own->inner; c++)
                    dx[c] += weight * dy[c];
            }
    }
}

static void run_planes(const void *problem)
{
    const struct taps_problem *own = problem;
    const int64_t *in = own->resize.in.dim, *out = own->resize.out.dim;
    const struct list *rows = &own->lists[0], *columns = &own->lists[1];
    int64_t length = out[3] * own->inner;
    memset(own->aside, 0, (size_t)(own->planes * in[2] * length) * sizeof *own->aside);
    for (int64_t i = 0; i < own->planes * in[2]; i++)
        for (int r = rows->first[i % in[2]]; r < rows->first[i % in[2]] + rows->count[i % in[2]];
             r++) {
            const float *dy = own->dy + (i / in[2] * out[2] + rows->at[r]) * length;
            for (int64_t c = 0; c < length; c++)
                own->aside[i * length + c] += rows->weight[r] * dy[c];
        }
    for (int64_t i = 0; i < own->planes * in[2] * in[3]; i++) {
        const float *aside = own->aside + i / in[3] * length;
        float *dx = own->dx + i * own->inner;
        int64_t x = i % in[3];
        memset(dx, 0, (size_t)own->inner * sizeof *dx);
        for (int k = columns->first[x]; k < columns->first[x] + columns->count[x]; k++)
            for (int64_t c = 0; c < own->inner; c++)
                dx[c] += columns->weight[k] * aside[columns->at[k] * own->inner + c];
    }
}

static void run_production(const void *problem)
{
    const struct taps_problem *own = problem;
    lab_node_run(&own->node, (void *[]){ own->dy, own->dx, own->scratch }, 3);
}

/* Weights are rounded to floats once, and sums are floats: of up to 64 numbers below 1. */
#define BOUND 1e-5

static const struct lab_step steps[] = {
    { "plain", run_plain, LAB_ANY, BOUND },
    { "lists", run_lists, LAB_ANY, BOUND },
    { "planes", run_planes, LAB_ANY, BOUND },
    { "row by row (production)", run_production, LAB_ANY, BOUND },
};

static void make_list(struct list *list, const struct resize *resize, int axis)
{
    int64_t in = resize->in.dim[axis], out = resize->out.dim[axis];
    list->first = calloc((size_t)in, sizeof *list->first);
    list->count = calloc((size_t)in, sizeof *list->count);
    list->at = calloc((size_t)(4 * out), sizeof *list->at);
    list->weight = calloc((size_t)(4 * out), sizeof *list->weight);
    assert(list->first && list->count && list->at && list->weight);
    int next = 0;
    for (int64_t i = 0; i < in; i++) {
        list->first[i] = next;
        for (int64_t at = 0; at < out; at++) {
            struct resize_taps taps;
            resize_taps(resize, axis, at, &taps);
            for (int k = 0; k < taps.count; k++)
                if (taps.index[k] == i) {
                    list->at[next] = (int)at;
                    list->weight[next++] = (float)taps.weight[k];
                }
        }
        list->count[i] = next - list->first[i];
        assert(list->count[i] <= WHOLE_TAPS_MAX);
    }
}

static void free_list(struct list *list)
{
    free(list->first);
    free(list->count);
    free(list->at);
    free(list->weight);
}

static void compile(struct taps_problem *own, const char *mode)
{
    const struct shape *in = &own->resize.in, *out = &own->resize.out;
    const struct shape last = { .rank = 4,
                                .dim = { out->dim[0], out->dim[2], out->dim[3], out->dim[1] } };
    const struct attribute attributes[] = {
        { .name = (char *)"mode", .kind = ATTRIBUTE_STRING, .s = (char *)mode },
        { .name = (char *)"input_shape", .kind = ATTRIBUTE_INTS, .ints = (int64_t *)in->dim, .count = 4 },
        { .name = (char *)"sizes", .kind = ATTRIBUTE_INTS, .ints = (int64_t *)out->dim, .count = 4 },
        { 0 },
    };
    lab_node_begin(&own->node);
    int input = lab_node_input(&own->node, own->last ? &last : out);
    if (own->last) /* no step: the same memory with channels as dimension 1 */
        input = lab_node_add(&own->node, "Transpose", &input, 1,
                             (struct attribute[]){ { .name = (char *)"perm",
                                                     .kind = ATTRIBUTE_INTS,
                                                     .ints = (int64_t[]){ 0, 3, 1, 2 },
                                                     .count = 4 },
                                                   { 0 } });
    lab_node_finish(&own->node, lab_node_add(&own->node, "resize_grad", &input, 1, attributes),
                    "taps");
    assert(own->node.step);
}

/* numbers: batch, channels, rows and columns of dx, rows and columns of dy. */
static void open_problem(struct taps_problem *own, const int64_t numbers[6], bool last,
                         enum resize_mode mode, size_t offset)
{
    static const char *const words[] = { "nearest", "linear", "cubic" };
    struct random_state random;
    *own = (struct taps_problem){ .last = last };
    struct resize *resize = &own->resize;
    *resize = (struct resize){
        .in = { .rank = 4, .dim = { numbers[0], numbers[1], numbers[2], numbers[3] } },
        .out = { .rank = 4, .dim = { numbers[0], numbers[1], numbers[4], numbers[5] } },
        .by_sizes = true,
        .mode = mode,
        .cubic_a = -0.75f,
    };
    for (int d = 0; d < 4; d++) {
        resize->scale[d] = (float)resize->out.dim[d] / (float)resize->in.dim[d];
        resize->ratio[d][0] = resize->in.dim[d];
        resize->ratio[d][1] = resize->out.dim[d];
    }
    own->inner = last ? numbers[1] : 1;
    own->planes = numbers[0] * numbers[1] / own->inner;
    size_t in = (size_t)shape_elements(&resize->in), out = (size_t)shape_elements(&resize->out);
    for (int axis = 0; axis < 2; axis++)
        make_list(&own->lists[axis], resize, 2 + axis);
    own->lab.floats = true;
    own->lab.elements = in;
    own->lab.output_bytes = in * sizeof(float);
    own->lab.moved_bytes = (in + out) * sizeof(float);
    own->lab.output = lab_take(own->lab.output_bytes, offset);
    own->dx = (float *)(void *)own->lab.output;
    own->dy = lab_take(out * sizeof(float), offset);
    own->aside =
        lab_take((size_t)(own->planes * numbers[2] * numbers[5] * own->inner) * sizeof(float), 0);
    random_seed(&random, in);
    lab_fill_floats(&random, own->dy, out);
    snprintf(own->lab.name, sizeof own->lab.name, "%s to %dx%dx%dx%d from %dx%d, %s", words[mode],
             (int)numbers[0], (int)numbers[1], (int)numbers[2], (int)numbers[3], (int)numbers[4],
             (int)numbers[5], last ? "channels last" : "row-major");
    compile(own, words[mode]);
    own->scratch = lab_take(layout_bytes(&own->node.step->places[2]->layout), 0);
}

static void close_problem(struct taps_problem *own)
{
    lab_node_end(&own->node);
    for (int axis = 0; axis < 2; axis++)
        free_list(&own->lists[axis]);
    lab_give(own->dy);
    lab_give(own->aside);
    lab_give(own->scratch);
    lab_give(own->lab.output);
}

int main(int argc, char **argv)
{
    struct lab lab = lab_begin("taps", steps, sizeof steps / sizeof *steps, argc, argv);
    struct taps_problem own;
    struct random_state random;
    random_seed(&random, 1);
    for (int i = 0; i < 120; i++) {
        int64_t numbers[6];
        for (int d = 0; d < 6; d++)
            numbers[d] = 1 + (int64_t)(random_next_u64(&random) % (d == 0 ? 3 : d == 1 ? 20 : 12));
        open_problem(&own, numbers, i % 2, (enum resize_mode)(i % 3), (size_t)i % 4 * sizeof(float));
        lab_check(&lab, &own.lab);
        close_problem(&own);
    }
    /* Batches of patches: images scaled back by 2, features of a network. */
    static const struct {
        int64_t numbers[6];
        bool last;
        enum resize_mode mode;
    } real[] = {
        { { 16, 3, 64, 64, 128, 128 }, false, RESIZE_CUBIC },
        { { 16, 3, 128, 128, 64, 64 }, false, RESIZE_LINEAR },
        { { 16, 64, 64, 64, 128, 128 }, true, RESIZE_LINEAR },
        { { 16, 64, 32, 32, 64, 64 }, true, RESIZE_NEAREST },
    };
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        open_problem(&own, real[i].numbers, real[i].last, real[i].mode, 0);
        lab_check(&lab, &own.lab);
        lab_time(&lab, &own.lab);
        close_problem(&own);
    }
    return lab_end(&lab);
}
