/* bytes_steps: makers of what works on bytes one by one: QuantizeLinear and DequantizeLinear, sums and
 * products of two tensors, averages and tables. */
#include "cpu/parallel.h"
#include "cpu/quantised.h"
#include "ops/quantise.h"
#include <stdlib.h>
#include <string.h>

#define PART_BYTES_MIN ((int64_t)16 << 10) /* less is not worth a thread */
#define GRAIN 64

/* The output is rows x inner bytes. As many rows as `share` see the same of b, the next ones what lies
 * b_row bytes further on, and after `turns` of that it begins again. */
struct bytes_state {
    struct bytes_source sources[2];
    struct bytes_end end;
    float scale;
    int64_t rows, inner, share, turns, b_row;
    int b_step; /* 0: a row sees one number of b */
    bool adds;
    int parts;
};

struct average_state {
    int64_t batch, pixels, channels;
    double factor;
    int64_t x_zero, y_zero, low, high;
    uint8_t flip;
    int parts;
};

enum { FROM, SCALE, ZERO }; /* inputs of QuantizeLinear and DequantizeLinear */

typedef int run_fn(const struct cpu_step *step, struct error *err);

static bool read_one_scale(const struct build *build, const struct node *node, int scale,
                           double *number, int64_t *zero);
static int want_packed(struct build *build, int value, enum tensor_type type,
                       struct cpu_place **place, struct error *err);
static int add_step(struct build *build, const char *implementation, run_fn *run,
                    const struct bytes_state *state, struct cpu_place *const *places, int count,
                    struct error *err);
static int want_operands(struct build *build, const struct node *node, struct bytes_state *state,
                         struct cpu_place **places, struct error *err);
static run_fn run_quantise, run_dequantise, run_binary, run_table, run_average;

int build_quantise(struct build *build, const struct node *node, struct error *err)
{
    const struct value *out = build_info(build, node->outputs[0]);
    double scale;
    int64_t zero;
    struct cpu_place *places[2];
    if (build_info(build, node->inputs[FROM])->type != TENSOR_F32 ||
        !(TYPES_BYTE & 1u << out->type) || !read_one_scale(build, node, SCALE, &scale, &zero))
        return BUILD_DECLINED;
    int rc = want_packed(build, node->inputs[FROM], TENSOR_F32, &places[0], err);
    if (rc)
        return rc;
    struct layout layout = layout_packed_like(out->type, &out->shape, &places[0]->layout);
    struct bytes_state state = {
        .scale = (float)scale,
        .end =
            quantised_end(zero, quantise_lowest(out->type), quantise_highest(out->type), out->type),
        .rows = 1,
        .inner = shape_elements(&out->shape),
    };
    rc = build_output(build, node->outputs[0], &layout, &places[1], err);
    return rc ? rc : add_step(build, "own:quantise", run_quantise, &state, places, 2, err);
}

int build_dequantise(struct build *build, const struct node *node, struct error *err)
{
    const struct value *in = build_info(build, node->inputs[FROM]);
    const struct value *out = build_info(build, node->outputs[0]);
    double scale;
    int64_t zero;
    struct cpu_place *places[2];
    if (out->type != TENSOR_F32 || !(TYPES_BYTE & 1u << in->type) ||
        !read_one_scale(build, node, SCALE, &scale, &zero))
        return BUILD_DECLINED;
    int rc = want_packed(build, node->inputs[FROM], in->type, &places[0], err);
    if (rc)
        return rc;
    struct layout layout = layout_packed_like(TENSOR_F32, &out->shape, &places[0]->layout);
    struct bytes_state state = {
        .sources = { quantised_source(scale, zero, in->type) },
        .rows = 1,
        .inner = shape_elements(&out->shape),
    };
    rc = build_output(build, node->outputs[0], &layout, &places[1], err);
    return rc ? rc : add_step(build, "own:dequantise", run_dequantise, &state, places, 2, err);
}

int build_binary_int8(struct build *build, const struct node *node, struct error *err)
{
    const struct value *a = build_info(build, node->inputs[QLINEAR_A]);
    const struct value *b = build_info(build, node->inputs[QLINEAR_B]);
    const struct value *out = build_info(build, node->outputs[0]);
    double scales[3];
    int64_t zeros[3], low, high;
    struct cpu_place *places[3];
    if (!shape_equal(&a->shape, &out->shape) ||
        !read_one_scale(build, node, QLINEAR_A_SCALE, &scales[0], &zeros[0]) ||
        !read_one_scale(build, node, QLINEAR_B_SCALE, &scales[1], &zeros[1]) ||
        !read_one_scale(build, node, QLINEAR_Y_SCALE, &scales[2], &zeros[2]))
        return BUILD_DECLINED;
    quantise_limits(node, out->type, &low, &high);
    struct bytes_state state = {
        .sources = { quantised_source(scales[0], zeros[0], a->type),
                     quantised_source(scales[1], zeros[1], b->type) },
        .end = quantised_end(zeros[2], low, high, out->type),
        .scale = (float)scales[2],
        .adds = strcmp(node->op->name, "add_int8") == 0,
    };
    int rc = want_operands(build, node, &state, places, err);
    if (rc)
        return rc;
    struct layout layout = layout_packed_like(out->type, &out->shape, &places[0]->layout);
    rc = build_output(build, node->outputs[0], &layout, &places[2], err);
    return rc ? rc : add_step(build, "own:binary", run_binary, &state, places, 3, err);
}

int build_average_int8(struct build *build, const struct node *node, struct error *err)
{
    enum { X_SCALE = 1, Y_SCALE = 3 };
    const struct value *in = build_info(build, node->inputs[0]);
    const struct value *out = build_info(build, node->outputs[0]);
    double scales[2];
    int64_t zeros[2];
    struct cpu_place *places[3];
    if (!read_one_scale(build, node, X_SCALE, &scales[0], &zeros[0]) ||
        !read_one_scale(build, node, Y_SCALE, &scales[1], &zeros[1]))
        return BUILD_DECLINED;
    struct layout from = layout_channels_last(in->type, &in->shape);
    struct layout to = layout_channels_last(out->type, &out->shape);
    struct layout sums = layout_dense(TENSOR_I32, &out->shape);
    int rc = build_want(build, node->inputs[0], &from, &places[0], err);
    if (rc || (rc = build_new_place(build, &sums, &places[1], err)) ||
        (rc = build_output(build, node->outputs[0], &to, &places[2], err)))
        return rc;
    struct average_state *state = calloc(1, sizeof *state);
    if (!state)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    state->batch = in->shape.dim[0];
    state->channels = in->shape.dim[1];
    state->pixels = shape_span(&in->shape, 2, in->shape.rank);
    state->factor = scales[0] / scales[1] / (double)state->pixels;
    state->flip = quantised_flip(in->type);
    state->x_zero = zeros[0] + state->flip;
    state->y_zero = zeros[1];
    quantise_limits(node, out->type, &state->low, &state->high);
    state->parts = parallel_parts(build->device->threads, shape_elements(&in->shape), PART_BYTES_MIN);
    return build_c_step(build, "own:average", run_average, state, places, 3, err);
}

int build_table_int8(struct build *build, const struct node *node, struct error *err)
{
    const struct value *in = build_info(build, node->inputs[0]);
    const struct value *out = build_info(build, node->outputs[0]);
    struct cpu_place *places[3];
    int rc = want_packed(build, node->inputs[0], in->type, &places[0], err);
    if (!rc)
        rc = build_want_dense(build, node->inputs[1], &places[1], err);
    if (rc)
        return rc;
    struct layout layout = layout_packed_like(out->type, &out->shape, &places[0]->layout);
    struct bytes_state state = { .rows = 1, .inner = shape_elements(&out->shape) };
    rc = build_output(build, node->outputs[0], &layout, &places[2], err);
    return rc ? rc : add_step(build, "own:table", run_table, &state, places, 3, err);
}

/* The constants in inputs `scale` and behind it, one number each. */
static bool read_one_scale(const struct build *build, const struct node *node, int scale,
                           double *number, int64_t *zero)
{
    const struct tensor *held = &build_info(build, node->inputs[scale])->constant;
    int index = scale + 1 < node->input_count ? node->inputs[scale + 1] : -1;
    const struct tensor *point = index < 0 ? NULL : &build_info(build, index)->constant;
    if (!held->data || held->type != TENSOR_F32 || shape_elements(&held->shape) != 1 ||
        (point && (!point->data || shape_elements(&point->shape) != 1)) ||
        node_int(node, "block_size", 0) != 0)
        return false;
    *number = quantise_scale(held);
    *zero = quantise_zero(point);
    return true;
}

/* The value in this type, without gaps, in whatever order it lies. */
static int want_packed(struct build *build, int value, enum tensor_type type,
                       struct cpu_place **place, struct error *err)
{
    int rc = build_place(build, value, place, err);
    if (rc || (layout_is_packed(&(*place)->layout) && (*place)->layout.type == type))
        return rc;
    struct layout packed = layout_packed_like(type, &(*place)->layout.shape, &(*place)->layout);
    return build_want(build, value, &packed, place, err);
}

static int add_step(struct build *build, const char *implementation, run_fn *run,
                    const struct bytes_state *state, struct cpu_place *const *places, int count,
                    struct error *err)
{
    struct bytes_state *kept = malloc(sizeof *kept);
    if (!kept)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    *kept = *state;
    kept->parts = parallel_parts(build->device->threads, state->rows * state->inner, PART_BYTES_MIN);
    return build_c_step(build, implementation, run, kept, places, count, err);
}

/* a and b, which has the output's shape, or is one number for all, for each channel or for each pixel:
 * channels are last then. */
static int want_operands(struct build *build, const struct node *node, struct bytes_state *state,
                         struct cpu_place **places, struct error *err)
{
    int a = node->inputs[QLINEAR_A], b = node->inputs[QLINEAR_B];
    const struct value *left = build_info(build, a), *right = build_info(build, b);
    const int64_t *whole = left->shape.dim, *part = right->shape.dim;
    int64_t count = shape_elements(&left->shape);
    state->rows = state->share = state->turns = 1;
    state->inner = count;
    if (shape_equal(&left->shape, &right->shape) || shape_elements(&right->shape) == 1) {
        int rc = want_packed(build, a, left->type, &places[0], err);
        state->b_step = shape_equal(&left->shape, &right->shape);
        if (rc || !state->b_step)
            return rc ? rc : build_want_dense(build, b, &places[1], err);
        struct layout like = layout_packed_like(right->type, &right->shape, &places[0]->layout);
        return build_want(build, b, &like, &places[1], err);
    }
    if (left->shape.rank != 4 || right->shape.rank != 4 || (part[0] != 1 && part[0] != whole[0]))
        return BUILD_DECLINED;
    int64_t pixels = whole[2] * whole[3];
    bool channels = part[1] == whole[1] && part[2] * part[3] == 1;
    if (!channels && (part[1] != 1 || part[2] != whole[2] || part[3] != whole[3]))
        return BUILD_DECLINED;
    state->inner = whole[1];
    state->rows = whole[0] * pixels;
    state->share = channels ? pixels : 1;
    state->turns = part[0] * (channels ? 1 : pixels);
    state->b_row = channels ? whole[1] : 1;
    state->b_step = channels;
    struct layout last = layout_channels_last(left->type, &left->shape);
    int rc = build_want(build, a, &last, &places[0], err);
    return rc ? rc : build_want_dense(build, b, &places[1], err);
}

/* ---- running ---- */

/* What falls to a part: whole rows, or a stretch of the only one. */
struct stretch {
    int64_t first_row, end_row, first, end;
};

static struct stretch stretch_of(const struct bytes_state *state, int part, int parts)
{
    struct stretch s = { .end_row = state->rows, .end = state->inner };
    if (state->rows > 1)
        parallel_share(state->rows, 1, part, parts, &s.first_row, &s.end_row);
    else
        parallel_share(state->inner, GRAIN, part, parts, &s.first, &s.end);
    return s;
}

static void quantise_part(const void *arg, int part, int parts)
{
    const struct cpu_step *step = arg;
    const struct bytes_state *state = step->state;
    struct stretch s = stretch_of(state, part, parts);
    bytes_quantise((const float *)step->places[0]->data + s.first,
                   (uint8_t *)step->places[1]->data + s.first, s.end - s.first, state->scale,
                   &state->end);
}

static void dequantise_part(const void *arg, int part, int parts)
{
    const struct cpu_step *step = arg;
    const struct bytes_state *state = step->state;
    struct stretch s = stretch_of(state, part, parts);
    bytes_dequantise((const uint8_t *)step->places[0]->data + s.first,
                     (float *)step->places[1]->data + s.first, s.end - s.first, &state->sources[0]);
}

static void binary_part(const void *arg, int part, int parts)
{
    const struct cpu_step *step = arg;
    const struct bytes_state *state = step->state;
    struct stretch s = stretch_of(state, part, parts);
    for (int64_t r = s.first_row; r < s.end_row; r++) {
        int64_t at = r * state->inner + s.first;
        int64_t of_b = r / state->share % state->turns * state->b_row + state->b_step * s.first;
        (state->adds ? bytes_add
                     : bytes_multiply)((const uint8_t *)step->places[0]->data + at,
                                       (const uint8_t *)step->places[1]->data + of_b, state->b_step,
                                       (uint8_t *)step->places[2]->data + at, s.end - s.first,
                                       state->sources, state->scale, &state->end);
    }
}

static void table_part(const void *arg, int part, int parts)
{
    const struct cpu_step *step = arg;
    struct stretch s = stretch_of(step->state, part, parts);
    bytes_look_up((const uint8_t *)step->places[0]->data + s.first,
                  (uint8_t *)step->places[2]->data + s.first, s.end - s.first, step->places[1]->data);
}

/* Each part has its channels of all pictures. */
static void average_part(const void *arg, int part, int parts)
{
    const struct cpu_step *step = arg;
    const struct average_state *state = step->state;
    int64_t first, end;
    parallel_share(state->channels, GRAIN, part, parts, &first, &end);
    for (int64_t n = 0; n < state->batch; n++) {
        const uint8_t *from =
            (const uint8_t *)step->places[0]->data + n * state->pixels * state->channels;
        int32_t *sums = (int32_t *)step->places[1]->data + n * state->channels;
        uint8_t *to = (uint8_t *)step->places[2]->data + n * state->channels;
        memset(sums + first, 0, (size_t)(end - first) * sizeof *sums);
        for (int64_t p = 0; p < state->pixels; p++)
            bytes_sum(from + p * state->channels + first, sums + first, end - first, state->flip);
        for (int64_t c = first; c < end; c++)
            to[c] = (uint8_t)quantise_round((double)(sums[c] - state->x_zero * state->pixels) *
                                                state->factor,
                                            state->y_zero, state->low, state->high);
    }
}

static int run_quantise(const struct cpu_step *step, struct error *err)
{
    (void)err;
    parallel_run(((const struct bytes_state *)step->state)->parts, quantise_part, step);
    return 0;
}

static int run_dequantise(const struct cpu_step *step, struct error *err)
{
    (void)err;
    parallel_run(((const struct bytes_state *)step->state)->parts, dequantise_part, step);
    return 0;
}

static int run_binary(const struct cpu_step *step, struct error *err)
{
    (void)err;
    parallel_run(((const struct bytes_state *)step->state)->parts, binary_part, step);
    return 0;
}

static int run_table(const struct cpu_step *step, struct error *err)
{
    (void)err;
    parallel_run(((const struct bytes_state *)step->state)->parts, table_part, step);
    return 0;
}

static int run_average(const struct cpu_step *step, struct error *err)
{
    (void)err;
    parallel_run(((const struct average_state *)step->state)->parts, average_part, step);
    return 0;
}
