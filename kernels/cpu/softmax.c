/* softmax: Softmax by oneDNN, in f32, along the fastest dimension, where it is good at it; its
 * logarithm and the gradients of both tile by tile (tile.h), wherever the dimension lies. */
#include "cpu/lanes.h"
#include "cpu/parallel.h"
#include "cpu/tile.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include <stdlib.h>
#include <string.h>

#define LEAST 2048 /* positions for a thread, below which it is not woken */

/* One or two inputs and an output, all lying alike; memory to work in is the last place. */
struct spread {
    struct tiles tiles;
    int inputs, parts;
    void (*work)(const struct tiles *tiles, float *const *columns, int64_t count);
};
/* What work gets: tiles, of which the first is the first input's and becomes the output's, and rows. */
enum { FIRST, SECOND, ROOM, SUM, LARGEST, COLUMNS };

static int find_axis(const struct node *node, const struct shape *shape, bool *joined);
static int add_spread(struct build *build, const struct node *node, int inputs,
                      void (*work)(const struct tiles *tiles, float *const *columns, int64_t count),
                      struct error *err);
static int place_spread(struct build *build, const struct node *node, struct spread *spread,
                        struct cpu_place **places, struct error *err);
static int run_spread(const struct cpu_step *step, struct error *err);
static void spread_part(const void *arg, int part, int parts);
static void log_softmax(const struct tiles *tiles, float *const *columns, int64_t count);
static void softmax_back(const struct tiles *tiles, float *const *columns, int64_t count);
static void log_softmax_back(const struct tiles *tiles, float *const *columns, int64_t count);

int build_softmax(struct build *build, const struct node *node, struct error *err)
{
    const struct value *info = build_info(build, node->inputs[0]);
    if (info->type != TENSOR_F32)
        return BUILD_DECLINED;
    int64_t outer, size, inner;
    softmax_span(node, &info->shape, &outer, &size, &inner);
    struct cpu_place *in, *out;
    int rc = build_place(build, node->inputs[0], &in, err);
    if (rc)
        return rc;
    bool joined;
    int axis = find_axis(node, &info->shape, &joined);
    struct layout layout = in->layout;
    layout.type = TENSOR_F32;
    if (joined)
        layout = layout_dense(TENSOR_F32, &info->shape);
    else if (!layout_is_packed(&layout) || layout.stride[axis] != 1)
        layout = layout_innermost(TENSOR_F32, &info->shape, axis);
    rc = build_want(build, node->inputs[0], &layout, &in, err);
    if (!rc)
        rc = build_output(build, node->outputs[0], &layout, &out, err);
    if (rc)
        return rc;

    struct shape rows = { .rank = 2, .dim = { outer * inner, size } };
    struct layout seen = layout_dense(TENSOR_F32, &rows);
    dnnl_memory_desc_t md;
    layout_md(joined ? &seen : &layout, &md);
    dnnl_softmax_desc_t desc;
    dnnl_primitive_desc_t pd;
    dnnl_status_t status =
        dnnl_softmax_forward_desc_init(&desc, dnnl_forward_inference, &md, joined ? 1 : axis);
    if (status)
        return cpu_dnnl_error(err, status, build->op, build->name, "describing it");
    rc = build_describe(build, &desc, NULL, &pd, err);
    if (rc)
        return rc;
    if (joined && ((rc = build_alias(build, in, 0, &seen, &in, err)) ||
                   (rc = build_alias(build, out, 0, &seen, &out, err)))) {
        dnnl_primitive_desc_destroy(pd);
        return rc;
    }
    struct build_args args = { 0 };
    build_add_arg(&args, DNNL_ARG_SRC, in);
    build_add_arg(&args, DNNL_ARG_DST, out);
    return build_primitive(build, pd, &args, 0, err);
}

int build_log_softmax(struct build *build, const struct node *node, struct error *err)
{
    return add_spread(build, node, 1, log_softmax, err);
}

int build_softmax_grad(struct build *build, const struct node *node, struct error *err)
{
    return add_spread(build, node, 2, softmax_back, err);
}

int build_log_softmax_grad(struct build *build, const struct node *node, struct error *err)
{
    return add_spread(build, node, 2, log_softmax_back, err);
}

/* The dimension that is spread over; before opset 13 several can be meant at once, from the one that is
 * given to the last. */
static int find_axis(const struct node *node, const struct shape *shape, bool *joined)
{
    int64_t outer, size, inner, before = 1;
    int first = -1;
    softmax_span(node, shape, &outer, &size, &inner);
    *joined = false;
    for (int axis = 0; axis < shape->rank; axis++) {
        if (before == outer && shape->dim[axis] == size &&
            shape_span(shape, axis + 1, shape->rank) == inner)
            return axis;
        first = first < 0 && before == outer ? axis : first;
        before *= shape->dim[axis];
    }
    *joined = true;
    return first;
}

/* ---- tile by tile ---- */

static int add_spread(struct build *build, const struct node *node, int inputs,
                      void (*work)(const struct tiles *tiles, float *const *columns, int64_t count),
                      struct error *err)
{
    struct cpu_place *places[4];
    struct spread *spread = calloc(1, sizeof *spread);
    if (!spread)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    spread->inputs = inputs;
    spread->work = work;
    int rc = place_spread(build, node, spread, places, err);
    if (rc) {
        free(spread);
        return rc;
    }
    return build_c_step(build, "own", run_spread, spread, places, inputs + 2, err);
}

/* The last input decides how all lie. */
static int place_spread(struct build *build, const struct node *node, struct spread *spread,
                        struct cpu_place **places, struct error *err)
{
    const struct tiles *tiles = &spread->tiles;
    int last = spread->inputs - 1, rc = 0;
    bool joined;
    int axis = find_axis(node, &build_info(build, node->inputs[last])->shape, &joined);
    rc = tiles_place(build, node->inputs[last], axis, joined, &spread->tiles, &places[last], err);
    if (rc)
        return rc;
    struct layout layout = places[last]->layout;
    if (last > 0)
        rc = build_want(build, node->inputs[0], &layout, &places[0], err);
    if (!rc)
        rc = build_output(build, node->outputs[0], &layout, &places[last + 1], err);
    if (rc)
        return rc;
    spread->parts = parallel_parts(build->device->threads, tiles_positions(tiles), LEAST);
    int64_t floats = SUM * tiles_floats(tiles) + (COLUMNS - SUM) * tiles->columns;
    layout = layout_dense(TENSOR_F32, &(struct shape){ .rank = 2, .dim = { spread->parts, floats } });
    return build_new_place(build, &layout, &places[last + 2], err);
}

static int run_spread(const struct cpu_step *step, struct error *err)
{
    (void)err;
    const struct spread *spread = step->state;
    parallel_run(spread->parts, spread_part, step);
    return 0;
}

static void spread_part(const void *arg, int part, int parts)
{
    const struct cpu_step *step = arg;
    const struct spread *spread = step->state;
    const struct tiles *tiles = &spread->tiles;
    int64_t tile = tiles_floats(tiles), position, end;
    float *columns[COLUMNS], *memory = step->places[spread->inputs + 1]->data;
    memory += part * (SUM * tile + (COLUMNS - SUM) * tiles->columns);
    for (int k = 0; k < COLUMNS; k++) {
        columns[k] = memory;
        memory += k < SUM ? tile : tiles->columns;
    }
    parallel_share(tiles_positions(tiles), tiles->columns, part, parts, &position, &end);
    for (int64_t count; position < end; position += count) {
        count = tiles_count(tiles, position, end);
        for (int k = 0; k < spread->inputs; k++)
            tiles_load(tiles, step->places[k]->data, position, count, columns[k], columns[ROOM]);
        spread->work(tiles, columns, count);
        tiles_store(tiles, columns[FIRST], position, count, step->places[spread->inputs]->data,
                    columns[ROOM]);
    }
}

/* x - largest - log(sum of exponentials) */
static void log_softmax(const struct tiles *tiles, float *const *columns, int64_t count)
{
    float *x = columns[FIRST], *sum = columns[SUM], *largest = columns[LARGEST];
    lanes_fn *subtract = lanes_find(POINTWISE_SUB);
    memcpy(columns[SECOND], x, (size_t)tiles_floats(tiles) * sizeof *x);
    tiles_exponentials(tiles, columns[SECOND], count, largest, sum);
    lanes_find(POINTWISE_LOG)(sum, NULL, NULL, sum, count, 0, 0);
    for (int64_t k = 0; k < tiles->size; k++, x += tiles->columns) {
        subtract(x, largest, NULL, x, count, 0, 0);
        subtract(x, sum, NULL, x, count, 0, 0);
    }
}

/* y * (dy - sum(dy * y)) */
static void softmax_back(const struct tiles *tiles, float *const *columns, int64_t count)
{
    lanes_fn *multiply = lanes_find(POINTWISE_MUL), *add = lanes_find(POINTWISE_ADD);
    lanes_fn *subtract = lanes_find(POINTWISE_SUB);
    float *sum = columns[SUM], *product = columns[ROOM];
    lanes_fill(0, sum, count);
    for (int64_t at = 0; at < tiles_floats(tiles); at += tiles->columns) {
        multiply(columns[FIRST] + at, columns[SECOND] + at, NULL, product, count, 0, 0);
        add(sum, product, NULL, sum, count, 0, 0);
    }
    for (int64_t at = 0; at < tiles_floats(tiles); at += tiles->columns) {
        float *dy = columns[FIRST] + at;
        subtract(dy, sum, NULL, dy, count, 0, 0);
        multiply(dy, columns[SECOND] + at, NULL, dy, count, 0, 0);
    }
}

/* dy - exp(y) * sum(dy) */
static void log_softmax_back(const struct tiles *tiles, float *const *columns, int64_t count)
{
    lanes_fn *multiply = lanes_find(POINTWISE_MUL), *add = lanes_find(POINTWISE_ADD);
    lanes_fn *subtract = lanes_find(POINTWISE_SUB), *exponential = lanes_find(POINTWISE_EXP);
    float *sum = columns[SUM];
    lanes_fill(0, sum, count);
    for (int64_t at = 0; at < tiles_floats(tiles); at += tiles->columns)
        add(sum, columns[FIRST] + at, NULL, sum, count, 0, 0);
    for (int64_t at = 0; at < tiles_floats(tiles); at += tiles->columns) {
        float *dy = columns[FIRST] + at, *share = columns[SECOND] + at;
        exponential(share, NULL, NULL, share, count, 0, 0);
        multiply(share, sum, NULL, share, count, 0, 0);
        subtract(dy, share, NULL, dy, count, 0, 0);
    }
}
