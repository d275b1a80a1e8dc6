/* winograd: 3x3 convolutions of stride 1 with bf16 activations, channels-last, as in training.
 *
 *   plain        all taps and channels of an output pixel, added to a row of output channels
 *   oneDNN       its direct convolution (jit_bf16, brgconv)
 *   F(2x4, 3x3)  production (cpu/winograd.c): a third of the products, in blocks that stay in the
 *                second-level cache
 *
 * and the gradient of the weights, plain and as production has it. All with one thread.
 *
 * AMD EPYC (Zen 4, family 25 model 17), one core, gcc 12, 2026-11-21:
 *
 *                             1x32x64, 64 to 64 channels    1x45x60, 32 to 32 channels
 *   plain                     25570 us                      9171 us
 *   oneDNN                    667 us                        236 us
 *   F(2x4, 3x3)               327 us                        155 us
 *   F(2x4, 3x3), gradient     543 us                        184 us
 */
#include "cpu/winograd.h"
#include "lab.h"
#include "tensor/number.h"
#include <oneapi/dnnl/dnnl.h>

#define TAPS 9
#define CHANNELS_MAX 160
#define BOUND 3e-2 /* of results near 1: rounding to bf16, some of it enlarged by the transforms */

struct winograd_problem {
    struct lab_problem lab;
    struct winograd w;
    uint16_t *input, *gradient, *result; /* result: bf16, before it becomes lab.output */
    float *weights, *by_tap;             /* [out][in][3][3]; [tap][in][out] */
    void *transformed, *scratch, *gradient_scratch;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[3];
    size_t result_count;
    bool timed; /* then results stay as they are */
};

static void give_floats(const struct winograd_problem *own)
{
    for (size_t i = 0; !own->timed && i < own->result_count; i++)
        ((float *)(void *)own->lab.output)[i] = float_from_bfloat(own->result[i]);
}

/* ---- forward ---- */

static void add_tap(const struct winograd *w, const uint16_t *pixel, const float *weights, float *sums)
{
    for (int64_t c = 0; c < w->in; c++) {
        float x = float_from_bfloat(pixel[c]);
        for (int64_t k = 0; k < w->out; k++)
            sums[k] += x * weights[c * w->out + k];
    }
}

/* The input pixel under a tap of an output pixel; -1 outside. */
static int64_t find_pixel(const struct winograd *w, int64_t pixel, int tap)
{
    int64_t x = pixel % w->out_columns, y = pixel / w->out_columns % w->out_rows;
    int64_t n = pixel / w->out_columns / w->out_rows;
    int64_t row = y + tap / 3 - w->pad_rows, column = x + tap % 3 - w->pad_columns;
    bool inside = row >= 0 && row < w->rows && column >= 0 && column < w->columns;
    return inside ? (n * w->rows + row) * w->columns + column : -1;
}

static void run_plain(const void *problem)
{
    const struct winograd_problem *own = problem;
    const struct winograd *w = &own->w;
    for (int64_t p = 0; p < w->batch * w->out_rows * w->out_columns; p++) {
        float sums[CHANNELS_MAX] = { 0 };
        for (int tap = 0; tap < TAPS; tap++) {
            int64_t from = find_pixel(w, p, tap);
            if (from >= 0)
                add_tap(w, own->input + from * w->in, own->by_tap + tap * w->in * w->out, sums);
        }
        for (int64_t k = 0; k < w->out; k++)
            own->result[p * w->out + k] = float_to_bfloat(sums[k]);
    }
    give_floats(own);
}

static void run_onednn(const void *problem)
{
    const struct winograd_problem *own = problem;
    dnnl_primitive_execute(own->primitive, own->stream, 3, own->args);
    give_floats(own);
}

static void run_production(const void *problem)
{
    const struct winograd_problem *own = problem;
    winograd_run(&own->w, own->input, own->transformed, NULL, NULL, false, own->result, own->scratch);
    give_floats(own);
}

/* ---- gradient of the weights ---- */

static void run_gradient_plain(const void *problem)
{
    const struct winograd_problem *own = problem;
    const struct winograd *w = &own->w;
    float *to = (float *)(void *)own->lab.output;
    memset(own->by_tap, 0, own->lab.output_bytes);
    for (int64_t p = 0; p < w->batch * w->out_rows * w->out_columns; p++) {
        float gradient[CHANNELS_MAX];
        for (int64_t k = 0; k < w->out; k++)
            gradient[k] = float_from_bfloat(own->gradient[p * w->out + k]);
        for (int tap = 0; tap < TAPS; tap++) {
            int64_t from = find_pixel(w, p, tap);
            for (int64_t c = 0; from >= 0 && c < w->in; c++) {
                float x = float_from_bfloat(own->input[from * w->in + c]);
                float *sums = own->by_tap + (tap * w->in + c) * w->out;
                for (int64_t k = 0; k < w->out; k++)
                    sums[k] += x * gradient[k];
            }
        }
    }
    for (int64_t i = 0; i < w->out * w->in * TAPS; i++)
        to[i] = own->by_tap[(i % TAPS * w->in + i / TAPS % w->in) * w->out + i / TAPS / w->in];
}

static void run_gradient_production(const void *problem)
{
    const struct winograd_problem *own = problem;
    winograd_weight_gradient(&own->w, own->input, own->gradient, (float *)(void *)own->lab.output,
                             NULL, own->gradient_scratch);
}

static const struct lab_step steps[] = {
    { "plain", run_plain, LAB_ANY, 0 },
    { "oneDNN", run_onednn, LAB_ANY, BOUND },
    { "F(2x4, 3x3) (production)", run_production, LAB_ANY, BOUND },
};
static const struct lab_step gradient_steps[] = {
    { "plain", run_gradient_plain, LAB_ANY, 0 },
    { "F(2x4, 3x3) (production)", run_gradient_production, LAB_ANY, BOUND },
};

/* ---- problems ---- */

static uint16_t *take_bf16(struct random_state *random, size_t count)
{
    uint16_t *data = lab_take(count * sizeof *data, 0);
    for (size_t i = 0; i < count; i++)
        data[i] = float_to_bfloat((float)(2 * random_next_unit(random) - 1));
    return data;
}

static void must(dnnl_status_t status)
{
    if (status == dnnl_success)
        return;
    fprintf(stderr, "lab: oneDNN gives %d\n", (int)status);
    exit(1);
}

/* Weights in the order that oneDNN likes are made by a reorder of its own. */
static void prepare_onednn(struct winograd_problem *own)
{
    const struct winograd *w = &own->w;
    const dnnl_dims_t ones = { 1, 1 }, pads = { w->pad_rows, w->pad_columns };
    const dnnl_dims_t in = { w->batch, w->in, w->rows, w->columns }, taps = { w->out, w->in, 3, 3 };
    const dnnl_dims_t out = { w->batch, w->out, w->out_rows, w->out_columns };
    dnnl_memory_desc_t x, y, any, given;
    dnnl_convolution_desc_t desc;
    dnnl_primitive_desc_t pd, reorder_pd;
    dnnl_primitive_t reorder;
    dnnl_memory_t from;
    must(dnnl_engine_create(&own->engine, dnnl_cpu, 0));
    must(dnnl_stream_create(&own->stream, own->engine, dnnl_stream_default_flags));
    must(dnnl_memory_desc_init_by_tag(&x, 4, in, dnnl_bf16, dnnl_nhwc));
    must(dnnl_memory_desc_init_by_tag(&y, 4, out, dnnl_bf16, dnnl_nhwc));
    must(dnnl_memory_desc_init_by_tag(&any, 4, taps, dnnl_bf16, dnnl_format_tag_any));
    must(dnnl_memory_desc_init_by_tag(&given, 4, taps, dnnl_f32, dnnl_oihw));
    must(dnnl_convolution_forward_desc_init(&desc, dnnl_forward_training, dnnl_convolution_direct,
                                            &x, &any, NULL, &y, ones, pads, pads));
    must(dnnl_primitive_desc_create(&pd, &desc, NULL, own->engine, NULL));
    must(dnnl_primitive_create(&own->primitive, pd));
    const dnnl_memory_desc_t *liked = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    own->args[0].arg = DNNL_ARG_SRC;
    own->args[1].arg = DNNL_ARG_WEIGHTS;
    own->args[2].arg = DNNL_ARG_DST;
    must(dnnl_memory_create(&own->args[0].memory, &x, own->engine, own->input));
    must(dnnl_memory_create(&own->args[1].memory, liked, own->engine, DNNL_MEMORY_ALLOCATE));
    must(dnnl_memory_create(&own->args[2].memory, &y, own->engine, own->result));
    must(dnnl_memory_create(&from, &given, own->engine, own->weights));
    must(dnnl_reorder_primitive_desc_create(&reorder_pd, &given, own->engine, liked, own->engine,
                                            NULL));
    must(dnnl_primitive_create(&reorder, reorder_pd));
    must(dnnl_primitive_execute(
        reorder, own->stream, 2,
        (dnnl_exec_arg_t[]){ { DNNL_ARG_FROM, from }, { DNNL_ARG_TO, own->args[1].memory } }));
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(reorder_pd);
    dnnl_primitive_desc_destroy(pd);
    dnnl_memory_destroy(from);
}

/* numbers: batch, rows, columns, in, out, padding of rows and columns */
static void open_problem(struct winograd_problem *own, const int64_t numbers[7], bool gradient)
{
    struct random_state random;
    *own = (struct winograd_problem){
        .w = { .batch = numbers[0],
               .rows = numbers[1],
               .columns = numbers[2],
               .in = numbers[3],
               .out = numbers[4],
               .pad_rows = numbers[5],
               .pad_columns = numbers[6],
               .threads = 1 },
    };
    struct winograd *w = &own->w;
    w->out_rows = w->rows + 2 * w->pad_rows - 2;
    w->out_columns = w->columns + 2 * w->pad_columns - 2;
    size_t inputs = (size_t)(w->batch * w->rows * w->columns * w->in);
    size_t weights = (size_t)(TAPS * w->in * w->out);
    own->result_count = (size_t)(w->batch * w->out_rows * w->out_columns * w->out);
    random_seed(&random, inputs);
    own->input = take_bf16(&random, inputs);
    own->gradient = take_bf16(&random, own->result_count);
    own->result = lab_take(own->result_count * sizeof *own->result, 0);
    own->weights = lab_take(weights * sizeof *own->weights, 0);
    own->by_tap = lab_take(weights * sizeof *own->by_tap, 0);
    lab_fill_floats(&random, own->weights, weights);
    for (size_t i = 0; i < weights; i++) {
        own->weights[i] /= sqrtf((float)(TAPS * w->in));
        own->by_tap[((int64_t)i % TAPS * w->in + (int64_t)i / TAPS % w->in) * w->out +
                    (int64_t)i / TAPS / w->in] = own->weights[i];
    }
    /* So that the gradient is near 1, too. */
    for (size_t i = 0; i < own->result_count; i++)
        own->gradient[i] = float_to_bfloat(float_from_bfloat(own->gradient[i]) /
                                           sqrtf((float)own->result_count / (float)w->out));
    own->transformed = lab_take(winograd_weights_bytes(w), 0);
    own->scratch = lab_take(winograd_scratch_bytes(w), 0);
    own->gradient_scratch = lab_take(winograd_gradient_scratch_bytes(w), 0);
    winograd_transform_weights(w, own->weights, false, own->transformed);
    size_t outputs = gradient ? weights : own->result_count;
    own->lab.floats = true;
    own->lab.output_bytes = outputs * sizeof(float);
    own->lab.output = lab_take(own->lab.output_bytes, 0);
    own->lab.elements = outputs;
    own->lab.moved_bytes = (inputs + own->result_count) * sizeof(uint16_t) + weights * sizeof(float);
    snprintf(own->lab.name, sizeof own->lab.name, "%dx%dx%d, %d to %d channels", (int)w->batch,
             (int)w->rows, (int)w->columns, (int)w->in, (int)w->out);
    prepare_onednn(own);
}

static void close_problem(struct winograd_problem *own)
{
    for (int i = 0; i < 3; i++)
        dnnl_memory_destroy(own->args[i].memory);
    dnnl_primitive_destroy(own->primitive);
    dnnl_stream_destroy(own->stream);
    dnnl_engine_destroy(own->engine);
    void *taken[] = { own->input,   own->gradient,         own->result,
                      own->weights, own->by_tap,           own->transformed,
                      own->scratch, own->gradient_scratch, own->lab.output };
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        lab_give(taken[i]);
}

static int climb(const char *name, const struct lab_step *list, size_t count, bool gradient,
                 int argc, char **argv)
{
    static const int64_t odd[][7] = {
        { 1, 1, 1, 32, 32, 1, 1 },   { 2, 9, 7, 32, 64, 1, 1 },  { 1, 6, 5, 64, 32, 0, 2 },
        { 1, 3, 41, 32, 160, 2, 0 }, { 3, 5, 11, 96, 32, 1, 1 },
    };
    static const int64_t real[][7] = { { 1, 32, 64, 64, 64, 1, 1 }, { 1, 45, 60, 32, 32, 1, 1 } };
    struct lab lab = lab_begin(name, list, count, argc, argv);
    struct winograd_problem own;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        open_problem(&own, odd[i], gradient);
        lab_check(&lab, &own.lab);
        close_problem(&own);
    }
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        open_problem(&own, real[i], gradient);
        lab_check(&lab, &own.lab);
        own.timed = true;
        lab_time(&lab, &own.lab);
        close_problem(&own);
    }
    return lab_end(&lab);
}

int main(int argc, char **argv)
{
    if (!winograd_available()) {
        fprintf(stderr, "SKIP REASON: lab: winograd: this processor has no AVX-512 bf16\n");
        printf("lab: kernel=winograd steps=0 problems=0 skipped=1 failed=0\n[  SKIPPED ] 1 "
               "test(s).\n");
        return 0;
    }
    int failed = climb("winograd", steps, sizeof steps / sizeof *steps, false, argc, argv);
    return climb("winograd gradient", gradient_steps,
                 sizeof gradient_steps / sizeof *gradient_steps, true, argc, argv) ||
           failed;
}
