/* pad: constant padding as one step that writes its output from front to back: a stretch of the number,
 * a row of the input, and so on. Filling all of it and copying into the middle writes most of it twice
 * (kernels/lab/pad.c). Padding of images by what is in them, and every gradient, are sums of rows and
 * columns (cpu/taps.h). */
#include "cpu/pad.h"
#include "cpu/parallel.h"
#include "cpu/taps.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include "tensor/number.h"
#include <stdlib.h>
#include <string.h>

#define LEAST 16384 /* elements of the output for a thread, below which it is not woken */

/* Dimensions as they lie in memory, of input and output alike; the last one is the row. */
struct pad_state {
    int rank;                                               /* at least 1 */
    int64_t dim[SHAPE_RANK_MAX];                            /* of the input */
    int64_t before[SHAPE_RANK_MAX], behind[SHAPE_RANK_MAX]; /* elements that are the number */
    int64_t item, in_item; /* elements in one of the first dimension, of output and input */
    uint32_t number;       /* its bits */
    size_t element_bytes;
    int parts;
};

struct pad_run {
    const struct pad_state *state;
    const char *from;
    char *to;
};

static const struct tensor *constant_input(const struct build *build, const struct node *node,
                                           int index);
static int add_taps(struct build *build, const struct node *node, const struct shape *from,
                    enum pad_mode mode, const int64_t *begin, bool back, struct error *err);
static int add_axis(struct taps *taps, enum pad_mode mode, int64_t begin, bool back,
                    struct error *err);
static bool read_pads(const struct build *build, const struct node *node, int rank, int64_t *pads,
                      float *number);
static void plan_rows(struct pad_state *state, const struct layout *in, const struct layout *out,
                      const int64_t *pads);
static int run_pad(const struct cpu_step *step, struct error *err);
static void pad_part(const void *arg, int part, int parts);
static void write_items(const struct pad_state *state, int64_t first, int64_t end, const char *from,
                        char *to);
static void write_dimension(const struct pad_state *state, int d, const char **from, char **to);
static void write_number(const struct pad_state *state, int64_t count, char **to);

int build_pad(struct build *build, const struct node *node, struct error *err)
{
    const struct value *info = build_info(build, node->inputs[0]);
    int64_t pads[RULE_INTS_MAX] = { 0 };
    float number;
    if (read_pads(build, node, info->shape.rank, pads, &number))
        return pad_add_step(build, node, pads, number, err);
    enum pad_mode mode;
    int64_t begin[SHAPE_RANK_MAX];
    struct shape padded;
    int rc = pad_resolve(node, constant_input(build, node, 1), constant_input(build, node, 3),
                         &info->shape, &mode, begin, &padded, err);
    if (rc || mode == PAD_CONSTANT || info->type != TENSOR_F32)
        return rc ? rc : BUILD_DECLINED;
    return add_taps(build, node, &info->shape, mode, begin, false, err);
}

int build_pad_grad(struct build *build, const struct node *node, struct error *err)
{
    const struct value *dx = build_info(build, node->outputs[0]);
    enum pad_mode mode;
    int64_t begin[SHAPE_RANK_MAX];
    struct shape padded;
    int rc = pad_resolve(node, NULL, NULL, &dx->shape, &mode, begin, &padded, err);
    if (rc || dx->type != TENSOR_F32)
        return rc ? rc : BUILD_DECLINED;
    return add_taps(build, node, &dx->shape, mode, begin, true, err);
}

int pad_add_step(struct build *build, const struct node *node, const int64_t *pads, float number,
                 struct error *err)
{
    struct cpu_place *in, *out;
    int rc = build_place(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    enum tensor_type type = in->layout.type;
    if ((type != TENSOR_F32 && type != TENSOR_BF16) || shape_elements(&in->layout.shape) == 0)
        return BUILD_DECLINED;
    struct layout packed = layout_packed_like(type, &in->layout.shape, &in->layout);
    struct layout layout =
        layout_packed_like(type, &build_info(build, node->outputs[0])->shape, &in->layout);
    rc = build_want(build, node->inputs[0], &packed, &in, err);
    if (!rc)
        rc = build_output(build, node->outputs[0], &layout, &out, err);
    if (rc)
        return rc;
    struct pad_state *state = calloc(1, sizeof *state);
    if (!state)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    state->element_bytes = tensor_type_bytes(type);
    if (type == TENSOR_F32)
        memcpy(&state->number, &number, sizeof number);
    else
        state->number = float_to_bfloat(number);
    plan_rows(state, &in->layout, &layout, pads);
    state->parts = parallel_parts(build->device->threads, shape_elements(&layout.shape), LEAST);
    struct cpu_place *places[] = { in, out };
    return build_c_step(build, "pad", run_pad, state, places, 2, err);
}

static const struct tensor *constant_input(const struct build *build, const struct node *node,
                                           int index)
{
    if (index >= node->input_count || node->inputs[index] < 0)
        return NULL;
    return &build_info(build, node->inputs[index])->constant;
}

/* Of images whose rows and columns alone are padded; `from` is the shape that is not. */
static int add_taps(struct build *build, const struct node *node, const struct shape *from,
                    enum pad_mode mode, const int64_t *begin, bool back, struct error *err)
{
    const struct shape *padded = &build_info(build, back ? node->inputs[0] : node->outputs[0])->shape;
    if (from->rank != 4 || begin[0] != 0 || begin[1] != 0 || padded->dim[0] != from->dim[0] ||
        padded->dim[1] != from->dim[1])
        return BUILD_DECLINED;
    const struct shape *to = back ? from : padded, *read = back ? padded : from;
    struct taps rows = { .to_count = to->dim[2], .from_count = read->dim[2] };
    struct taps columns = { .to_count = to->dim[3], .from_count = read->dim[3] };
    int rc = add_axis(&rows, mode, begin[2], back, err);
    if (!rc)
        rc = add_axis(&columns, mode, begin[3], back, err);
    if (!rc)
        rc = taps_add_step(build, node, "taps", &rows, &columns, err);
    taps_free(&rows);
    taps_free(&columns);
    return rc;
}

static int add_axis(struct taps *taps, enum pad_mode mode, int64_t begin, bool back, struct error *err)
{
    int64_t inside = back ? taps->to_count : taps->from_count;
    int64_t padded = back ? taps->from_count : taps->to_count;
    int rc = 0;
    for (int64_t at = 0; !rc && at < padded; at++) {
        int64_t source = pad_source(mode, at - begin, inside);
        if (source >= 0)
            rc = back ? taps_add(taps, source, at, 1, err) : taps_add(taps, at, source, 1, err);
    }
    return rc;
}

/* Constant padding that only adds. */
static bool read_pads(const struct build *build, const struct node *node, int rank, int64_t *pads,
                      float *number)
{
    size_t count = 0;
    if (strcmp(node_string(node, "mode", "constant"), "constant") != 0 ||
        (node->input_count > 3 && node->inputs[3] >= 0))
        return false;
    *number = node_float(node, "value", 0);
    const int64_t *ints;
    count = node_ints(node, "pads", &ints);
    if (count > 0) {
        for (size_t i = 0; i < count && i < RULE_INTS_MAX; i++)
            pads[i] = ints[i];
    } else {
        const struct tensor *constant =
            node->input_count > 1 ? &build_info(build, node->inputs[1])->constant : NULL;
        struct error ignored;
        if (!constant || !constant->data || rule_ints(constant, "pads", pads, &count, &ignored))
            return false;
    }
    if (node->input_count > 2 && node->inputs[2] >= 0) {
        const struct tensor *constant = &build_info(build, node->inputs[2])->constant;
        if (constant->type != TENSOR_F32 || !constant->data)
            return false;
        *number = *(const float *)constant->data;
    }
    for (size_t i = 0; i < count; i++)
        if (pads[i] < 0)
            return false;
    return count == 2 * (size_t)rank;
}

/* The output has the input's order and neither has gaps, so both are walked without strides. */
static void plan_rows(struct pad_state *state, const struct layout *in, const struct layout *out,
                      const int64_t *pads)
{
    int order[SHAPE_RANK_MAX], rank = out->shape.rank;
    for (int d = 0; d < rank; d++) {
        if (out->shape.dim[d] == 1)
            continue;
        int at = state->rank++;
        for (; at > 0 && out->stride[order[at - 1]] < out->stride[d]; at--)
            order[at] = order[at - 1];
        order[at] = d;
    }
    for (int i = 0; i < state->rank; i++) {
        int d = order[i];
        state->dim[i] = in->shape.dim[d];
        state->before[i] = pads[d] * out->stride[d];
        state->behind[i] = pads[rank + d] * out->stride[d];
    }
    if (state->rank == 0)
        state->dim[state->rank++] = 1; /* a single element, and nothing added */
    /* Rows that nothing is put between are one. */
    for (int last = state->rank - 1; last > 0 && !state->before[last] && !state->behind[last];
         last--) {
        state->dim[last - 1] *= state->dim[last];
        state->rank = last;
    }
    state->in_item = 1;
    for (int i = 1; i < state->rank; i++)
        state->in_item *= state->dim[i];
    state->item = 1;
    for (int i = state->rank - 1; i > 0; i--)
        state->item = state->dim[i] * state->item + state->before[i] + state->behind[i];
}

static int run_pad(const struct cpu_step *step, struct error *err)
{
    (void)err;
    struct pad_run run = { step->state, step->places[0]->data, step->places[1]->data };
    parallel_run(run.state->parts, pad_part, &run);
    return 0;
}

/* Parts are stretches of the first dimension, padding included. */
static void pad_part(const void *arg, int part, int parts)
{
    const struct pad_run *run = arg;
    const struct pad_state *state = run->state;
    int64_t before = state->before[0] / state->item, behind = state->behind[0] / state->item;
    int64_t first, end;
    parallel_share(before + state->dim[0] + behind, 1, part, parts, &first, &end);
    write_items(state, first - before, end - before, run->from,
                run->to + (size_t)(first * state->item) * state->element_bytes);
}

/* Those of the first dimension from `first` to `end`, counted from the input's first. */
static void write_items(const struct pad_state *state, int64_t first, int64_t end, const char *from,
                        char *to)
{
    int64_t inside = first < 0 ? 0 : first < state->dim[0] ? first : state->dim[0];
    int64_t last = end < state->dim[0] ? end : state->dim[0];
    write_number(state, ((end < 0 ? end : 0) - (first < 0 ? first : 0)) * state->item, &to);
    from += (size_t)(inside * state->in_item) * state->element_bytes;
    if (state->rank == 1 && last > inside) {
        memcpy(to, from, (size_t)(last - inside) * state->element_bytes);
        to += (size_t)(last - inside) * state->element_bytes;
    }
    for (int64_t i = inside; state->rank > 1 && i < last; i++)
        write_dimension(state, 1, &from, &to);
    int64_t outside = first > state->dim[0] ? first : state->dim[0];
    if (end > outside)
        write_number(state, (end - outside) * state->item, &to);
}

static void write_dimension(const struct pad_state *state, int d, const char **from, char **to)
{
    write_number(state, state->before[d], to);
    if (d == state->rank - 1) {
        size_t bytes = (size_t)state->dim[d] * state->element_bytes;
        memcpy(*to, *from, bytes);
        *from += bytes;
        *to += bytes;
    } else {
        for (int64_t i = 0; i < state->dim[d]; i++)
            write_dimension(state, d + 1, from, to);
    }
    write_number(state, state->behind[d], to);
}

static void write_number(const struct pad_state *state, int64_t count, char **to)
{
    for (int64_t i = 0; i < count; i++, *to += state->element_bytes)
        if (state->element_bytes == sizeof(float))
            memcpy(*to, &state->number, sizeof(float));
        else
            *(uint16_t *)(void *)*to = (uint16_t)state->number;
}
