/* row_norm: makers of instance and layer normalisation, forwards and back. Both are rows of numbers,
 * each normalised for itself: planes of a channel with one scale each, or the last dimensions with a
 * scale for each place. Row-major, f32; sums are doubles. */
#include "cpu/build.h"
#include "cpu/parallel.h"
#include "ops/resolve.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEAST 8192 /* numbers for a thread, below which it is not woken */
#define LANES 8    /* sums that run beside each other */

enum { X, SCALE, BIAS, Y }; /* places forwards; without a bias Y is in its place */
enum { BACK_DY, BACK_X, BACK_SCALE, BACK_DX, BACK_SUMS, BACK_DSCALE, BACK_DBIAS, BACK_PLACES };

struct row_norm {
    int64_t rows, size;
    int64_t channels; /* of instance normalisation: row r has scale r % channels; otherwise 0 */
    double epsilon;
    int parts;
    bool biased, dscale, dbias;
};

/* Of a row. The mean is in two floats, as x - mean may be small. */
struct moments {
    float mean, mean_rest, inverse;
};

static int add_forward(struct build *build, const struct node *node, bool instance,
                       struct error *err);
static int add_back(struct build *build, const struct node *node, bool instance, struct error *err);
static struct row_norm resolve(struct build *build, const struct node *node, int x, int scale,
                               bool instance);
static int want_rows(struct build *build, int value, struct cpu_place **place, struct error *err);
static int add_step(struct build *build, const struct row_norm *norm,
                    int (*run)(const struct cpu_step *step, struct error *err),
                    struct cpu_place **places, int count, struct error *err);
static int run_forward(const struct cpu_step *step, struct error *err);
static void forward_part(const void *arg, int part, int parts);
static int run_back(const struct cpu_step *step, struct error *err);
static void back_part(const void *arg, int part, int parts);
static void back_instance(const struct row_norm *norm, const float *dy, const float *x, float scale,
                          float *dx, double *sums);
static void back_layer(const struct row_norm *norm, const float *dy, const float *x,
                       const float *scale, float *dx, double *dscale, double *dbias);
static struct moments measure(const float *x, int64_t size, double epsilon);
static void sum_products(const float *a, const float *b, int64_t size, double *sum, double *product);

int build_instance_norm(struct build *build, const struct node *node, struct error *err)
{
    return add_forward(build, node, true, err);
}

int build_layer_norm(struct build *build, const struct node *node, struct error *err)
{
    bool biased = node->input_count > BIAS && node->inputs[BIAS] >= 0;
    if (!layer_norm_is_plain(node, &build_info(build, node->inputs[X])->shape,
                             &build_info(build, node->inputs[SCALE])->shape,
                             biased ? &build_info(build, node->inputs[BIAS])->shape : NULL))
        return BUILD_DECLINED;
    return add_forward(build, node, false, err);
}

int build_instance_norm_grad(struct build *build, const struct node *node, struct error *err)
{
    return add_back(build, node, true, err);
}

int build_layer_norm_grad(struct build *build, const struct node *node, struct error *err)
{
    return add_back(build, node, false, err);
}

/* ---- making ---- */

static int add_forward(struct build *build, const struct node *node, bool instance, struct error *err)
{
    struct row_norm norm = resolve(build, node, X, SCALE, instance);
    struct cpu_place *places[4];
    norm.biased = node->input_count > BIAS && node->inputs[BIAS] >= 0;
    int inputs = norm.biased ? 3 : 2, rc = 0;
    for (int k = 0; !rc && k < inputs; k++)
        rc = want_rows(build, node->inputs[k], &places[k], err);
    if (!rc)
        rc = build_output(build, node->outputs[0], &places[X]->layout, &places[inputs], err);
    return rc ? rc : add_step(build, &norm, run_forward, places, inputs + 1, err);
}

static int add_back(struct build *build, const struct node *node, bool instance, struct error *err)
{
    struct row_norm norm = resolve(build, node, BACK_X, BACK_SCALE, instance);
    struct cpu_place *places[BACK_PLACES];
    int rc = 0, count = BACK_DSCALE;
    for (int k = BACK_DY; !rc && k <= BACK_SCALE; k++)
        rc = want_rows(build, node->inputs[k], &places[k], err);
    if (rc)
        return rc;
    /* Sums of each row, or of all rows of a part for each place. */
    const struct shape shape = {
        .rank = 2, .dim = { instance ? norm.rows : norm.parts, instance ? 2 : 2 * norm.size }
    };
    struct layout sums = layout_dense(TENSOR_F64, &shape);
    norm.dscale = node->output_count > 1 && node->outputs[1] >= 0;
    norm.dbias = node->output_count > 2 && node->outputs[2] >= 0;
    rc = build_output(build, node->outputs[0], &places[BACK_X]->layout, &places[BACK_DX], err);
    if (!rc)
        rc = build_new_place(build, &sums, &places[BACK_SUMS], err);
    if (!rc && norm.dscale)
        rc = build_output(build, node->outputs[1], &places[BACK_SCALE]->layout, &places[count++],
                          err);
    if (!rc && norm.dbias)
        rc = build_output(build, node->outputs[2], &places[BACK_SCALE]->layout, &places[count++],
                          err);
    return rc ? rc : add_step(build, &norm, run_back, places, count, err);
}

static struct row_norm resolve(struct build *build, const struct node *node, int x, int scale,
                               bool instance)
{
    const struct shape *shape = &build_info(build, node->inputs[x])->shape;
    const struct shape *scales = &build_info(build, node->inputs[scale])->shape;
    int64_t elements = shape_elements(shape);
    int64_t rows = instance ? shape->dim[0] * shape->dim[1] : elements / shape_elements(scales);
    int parts = parallel_parts(build->device->threads, elements, LEAST);
    return (struct row_norm){
        .rows = rows,
        .size = elements / rows,
        .channels = instance ? shape->dim[1] : 0,
        .epsilon = (double)node_float(node, "epsilon", 1e-5f),
        .parts = parts < rows ? parts : (int)rows,
    };
}

static int want_rows(struct build *build, int value, struct cpu_place **place, struct error *err)
{
    struct layout layout = layout_dense(TENSOR_F32, &build_info(build, value)->shape);
    return build_want(build, value, &layout, place, err);
}

static int add_step(struct build *build, const struct row_norm *norm,
                    int (*run)(const struct cpu_step *step, struct error *err),
                    struct cpu_place **places, int count, struct error *err)
{
    struct row_norm *state = malloc(sizeof *state);
    if (!state)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    *state = *norm;
    return build_c_step(build, "own", run, state, places, count, err);
}

/* ---- forwards ---- */

static int run_forward(const struct cpu_step *step, struct error *err)
{
    (void)err;
    const struct row_norm *norm = step->state;
    parallel_run(norm->parts, forward_part, step);
    return 0;
}

static void forward_part(const void *arg, int part, int parts)
{
    const struct cpu_step *step = arg;
    const struct row_norm *norm = step->state;
    const float *scale = step->places[SCALE]->data;
    const float *bias = norm->biased ? step->places[BIAS]->data : NULL;
    int64_t first, end;
    parallel_share(norm->rows, 1, part, parts, &first, &end);
    for (int64_t row = first; row < end; row++) {
        const float *restrict x = (const float *)step->places[X]->data + row * norm->size;
        float *restrict y = (float *)step->places[norm->biased ? Y : BIAS]->data + row * norm->size;
        struct moments m = measure(x, norm->size, norm->epsilon);
        for (int64_t i = 0; i < norm->size; i++)
            y[i] = (x[i] - m.mean - m.mean_rest) * m.inverse;
        if (norm->channels > 0) {
            float factor = scale[row % norm->channels];
            float offset = bias ? bias[row % norm->channels] : 0;
            for (int64_t i = 0; i < norm->size; i++)
                y[i] = y[i] * factor + offset;
            continue;
        }
        for (int64_t i = 0; i < norm->size; i++)
            y[i] *= scale[i];
        for (int64_t i = 0; bias && i < norm->size; i++)
            y[i] += bias[i];
    }
}

/* ---- back ---- */

static int run_back(const struct cpu_step *step, struct error *err)
{
    (void)err;
    const struct row_norm *norm = step->state;
    const double *sums = step->places[BACK_SUMS]->data;
    float *results[2] = { NULL, NULL };
    int at = BACK_DSCALE;
    if (norm->dscale)
        results[0] = step->places[at++]->data;
    if (norm->dbias)
        results[1] = step->places[at++]->data;
    parallel_run(norm->parts, back_part, step);
    /* [rows or parts][scale, bias] of instances, [parts][scale, bias][size] of layers */
    bool instance = norm->channels > 0;
    int64_t count = instance ? norm->channels : norm->size;
    int64_t terms = instance ? norm->rows / norm->channels : norm->parts;
    for (int64_t i = 0; i < count; i++)
        for (int k = 0; k < 2; k++) {
            double sum = 0;
            for (int64_t term = 0; term < terms; term++)
                sum += instance ? sums[(term * count + i) * 2 + k] : sums[(term * 2 + k) * count + i];
            if (results[k])
                results[k][i] = (float)sum;
        }
    return 0;
}

static void back_part(const void *arg, int part, int parts)
{
    const struct cpu_step *step = arg;
    const struct row_norm *norm = step->state;
    const float *scale = step->places[BACK_SCALE]->data;
    double *sums = step->places[BACK_SUMS]->data;
    int64_t first, end, size = norm->size;
    parallel_share(norm->rows, 1, part, parts, &first, &end);
    if (norm->channels == 0) {
        sums += (int64_t)part * 2 * size;
        memset(sums, 0, (size_t)(2 * size) * sizeof *sums);
    }
    for (int64_t row = first; row < end; row++) {
        const float *dy = (const float *)step->places[BACK_DY]->data + row * size;
        const float *x = (const float *)step->places[BACK_X]->data + row * size;
        float *dx = (float *)step->places[BACK_DX]->data + row * size;
        if (norm->channels > 0)
            back_instance(norm, dy, x, scale[row % norm->channels], dx, sums + 2 * row);
        else
            back_layer(norm, dy, x, scale, dx, sums, sums + size);
    }
}

/* dx = slope / deviation * (dy - mean(dy) - x' mean(dy x')), with x' in dx first. */
static void back_row(const struct row_norm *norm, const struct moments *m, float slope, double sum,
                     double product, const float *dy, float *dx)
{
    float factor = slope * m->inverse, mean = (float)(sum / (double)norm->size);
    float share = (float)(product / (double)norm->size);
    for (int64_t i = 0; i < norm->size; i++)
        dx[i] = factor * (dy[i] - mean - dx[i] * share);
}

static void normal_row(const struct row_norm *norm, const struct moments *m,
                       const float *restrict x, float *restrict normal)
{
    for (int64_t i = 0; i < norm->size; i++)
        normal[i] = (x[i] - m->mean - m->mean_rest) * m->inverse;
}

/* sums: of dy x', which is dscale's, and of dy. */
static void back_instance(const struct row_norm *norm, const float *dy, const float *x, float scale,
                          float *dx, double *sums)
{
    struct moments m = measure(x, norm->size, norm->epsilon);
    normal_row(norm, &m, x, dx);
    sum_products(dy, dx, norm->size, &sums[1], &sums[0]);
    back_row(norm, &m, scale, sums[1], sums[0], dy, dx);
}

static void back_layer(const struct row_norm *norm, const float *restrict dy,
                       const float *restrict x, const float *restrict scale, float *restrict dx,
                       double *restrict dscale, double *restrict dbias)
{
    struct moments m = measure(x, norm->size, norm->epsilon);
    double sum = 0, product = 0;
    normal_row(norm, &m, x, dx);
    for (int64_t i = 0; i < norm->size; i++) {
        double slope = (double)(dy[i] * scale[i]);
        sum += slope;
        product += slope * (double)dx[i];
        dscale[i] += (double)(dy[i] * dx[i]);
        dbias[i] += (double)dy[i];
    }
    float mean = (float)(sum / (double)norm->size), share = (float)(product / (double)norm->size);
    for (int64_t i = 0; i < norm->size; i++)
        dx[i] = m.inverse * (dy[i] * scale[i] - mean - dx[i] * share);
}

/* ---- sums ---- */

static struct moments measure(const float *x, int64_t size, double epsilon)
{
    double lanes[LANES] = { 0 }, sum = 0, squares = 0;
    int64_t whole = size / LANES * LANES;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int k = 0; k < LANES; k++)
            lanes[k] += (double)x[i + k];
    for (int k = 0; k < LANES; k++) {
        sum += lanes[k];
        lanes[k] = 0;
    }
    for (int64_t i = whole; i < size; i++)
        sum += (double)x[i];
    double mean = sum / (double)size;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int k = 0; k < LANES; k++) {
            double apart = (double)x[i + k] - mean;
            lanes[k] += apart * apart;
        }
    for (int k = 0; k < LANES; k++)
        squares += lanes[k];
    for (int64_t i = whole; i < size; i++)
        squares += ((double)x[i] - mean) * ((double)x[i] - mean);
    return (struct moments){
        .mean = (float)mean,
        .mean_rest = (float)(mean - (double)(float)mean),
        .inverse = (float)(1 / sqrt(squares / (double)size + epsilon)),
    };
}

/* The sum of a, and of a times b. */
static void sum_products(const float *a, const float *b, int64_t size, double *sum, double *product)
{
    double sums[LANES] = { 0 }, products[LANES] = { 0 };
    int64_t whole = size / LANES * LANES;
    for (int64_t i = 0; i < whole; i += LANES)
        for (int k = 0; k < LANES; k++) {
            sums[k] += (double)a[i + k];
            products[k] += (double)a[i + k] * (double)b[i + k];
        }
    *sum = *product = 0;
    for (int64_t i = whole; i < size; i++) {
        *sum += (double)a[i];
        *product += (double)a[i] * (double)b[i];
    }
    for (int k = 0; k < LANES; k++) {
        *sum += sums[k];
        *product += products[k];
    }
}
