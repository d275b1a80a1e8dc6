/* Proves that our own bf16 convolution is right: forward with everything that it takes along, input and
 * weight gradients, against sums in doubles over the same bf16 numbers, on odd sizes, all paddings and
 * different numbers of threads; that it writes nowhere else; and that the same threads give the same
 * bits. What is off is the rounding of transformed numbers to bf16. At a picture's border the same rounding meets a sum of fewer taps. */
#include "cpu/plan.h"
#include "cpu/winograd.h"
#include "cpu_check.h"
#include "passes/autodiff.h"
#include "tensor/number.h"
#include <assert.h>

/* Norm of the difference over norm of the expected: in large pictures, and where few of the nine taps
 * meet the picture: up to three times as much where it is one. */
#define BOUND 8e-3
#define BOUND_BORDER (3 * BOUND)
#define LARGE 500 /* outputs of a channel */
#define GUARD_BYTES 64
#define GUARD 0x5a
#define ALIGNMENT 64

struct problem {
    struct winograd w;
    uint16_t *input, *output, *added, *gradient, *input_gradient;
    float *weights, *bias, *weights_gradient, *bias_gradient;
    size_t input_count, output_count, weight_count;
};

static struct random_state random_numbers;

/* With guard bytes on both sides, which check_guards looks at. */
static void *take(size_t bytes)
{
    uint8_t *memory =
        aligned_alloc(ALIGNMENT, (bytes + 2 * GUARD_BYTES + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    assert_non_null(memory);
    memset(memory, GUARD, bytes + 2 * GUARD_BYTES);
    return memory + GUARD_BYTES;
}

static void give(void *data, size_t bytes)
{
    uint8_t *memory = (uint8_t *)data - GUARD_BYTES;
    for (size_t i = 0; i < GUARD_BYTES; i++) {
        assert_int_equal(memory[i], GUARD);
        assert_int_equal(memory[GUARD_BYTES + bytes + i], GUARD);
    }
    free(memory);
}

static float normal(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += random_next_unit(&random_numbers);
    return (float)(sum - 6);
}

static uint16_t *take_bf16(size_t count)
{
    uint16_t *data = take(count * sizeof *data);
    for (size_t i = 0; i < count; i++)
        data[i] = float_to_bfloat(normal());
    return data;
}

static float *take_floats(size_t count, double scale)
{
    float *data = take(count * sizeof *data);
    for (size_t i = 0; i < count; i++)
        data[i] = (float)(scale * (double)normal());
    return data;
}

static void open_problem(struct problem *p, const int64_t numbers[7], int threads)
{
    struct winograd *w = &p->w;
    *w = (struct winograd){ .batch = numbers[0],
                            .rows = numbers[1],
                            .columns = numbers[2],
                            .in = numbers[3],
                            .out = numbers[4],
                            .pad_rows = numbers[5],
                            .pad_columns = numbers[6],
                            .threads = threads };
    w->out_rows = w->rows + 2 * w->pad_rows - 2;
    w->out_columns = w->columns + 2 * w->pad_columns - 2;
    p->input_count = (size_t)(w->batch * w->rows * w->columns * w->in);
    p->output_count = (size_t)(w->batch * w->out_rows * w->out_columns * w->out);
    p->weight_count = (size_t)(9 * w->in * w->out);
    p->input = take_bf16(p->input_count);
    p->output = take_bf16(p->output_count);
    p->added = take_bf16(p->output_count);
    p->gradient = take_bf16(p->output_count);
    p->input_gradient = take_bf16(p->input_count);
    p->weights = take_floats(p->weight_count, 1 / sqrt(9.0 * (double)w->in));
    p->bias = take_floats((size_t)w->out, 1);
    p->weights_gradient = take_floats(p->weight_count, 1);
    p->bias_gradient = take_floats((size_t)w->out, 1);
}

static void close_problem(struct problem *p)
{
    give(p->input, p->input_count * sizeof *p->input);
    give(p->output, p->output_count * sizeof *p->output);
    give(p->added, p->output_count * sizeof *p->added);
    give(p->gradient, p->output_count * sizeof *p->gradient);
    give(p->input_gradient, p->input_count * sizeof *p->input_gradient);
    give(p->weights, p->weight_count * sizeof *p->weights);
    give(p->bias, (size_t)p->w.out * sizeof *p->bias);
    give(p->weights_gradient, p->weight_count * sizeof *p->weights_gradient);
    give(p->bias_gradient, (size_t)p->w.out * sizeof *p->bias_gradient);
}

static void run_forward(struct problem *p, bool plain)
{
    size_t weights_bytes = winograd_weights_bytes(&p->w),
           scratch_bytes = winograd_scratch_bytes(&p->w);
    void *transformed = take(weights_bytes), *scratch = take(scratch_bytes);
    winograd_transform_weights(&p->w, p->weights, false, transformed);
    winograd_run(&p->w, p->input, transformed, plain ? NULL : p->bias, plain ? NULL : p->added,
                 !plain, p->output, scratch);
    give(transformed, weights_bytes);
    give(scratch, scratch_bytes);
}

static void run_backward(struct problem *p)
{
    struct winograd t = { .batch = p->w.batch,
                          .rows = p->w.out_rows,
                          .columns = p->w.out_columns,
                          .in = p->w.out,
                          .out = p->w.in,
                          .out_rows = p->w.rows,
                          .out_columns = p->w.columns,
                          .pad_rows = 2 - p->w.pad_rows,
                          .pad_columns = 2 - p->w.pad_columns,
                          .threads = p->w.threads };
    size_t weights_bytes = winograd_weights_bytes(&t), scratch_bytes = winograd_scratch_bytes(&t);
    void *transformed = take(weights_bytes), *scratch = take(scratch_bytes);
    winograd_transform_weights(&t, p->weights, true, transformed);
    winograd_run(&t, p->gradient, transformed, NULL, NULL, false, p->input_gradient, scratch);
    give(transformed, weights_bytes);
    give(scratch, scratch_bytes);
    scratch_bytes = winograd_gradient_scratch_bytes(&p->w);
    scratch = take(scratch_bytes);
    winograd_weight_gradient(&p->w, p->input, p->gradient, p->weights_gradient, p->bias_gradient,
                             scratch);
    give(scratch, scratch_bytes);
}

/* ---- what is expected, in doubles ---- */

struct expected {
    double *output, *input_gradient, *weights_gradient, *bias_gradient;
};

static void add_pixel(const struct problem *p, int64_t from, int64_t to, const float *tap_weights,
                      int tap, struct expected *e)
{
    for (int64_t k = 0; k < p->w.out; k++)
        for (int64_t c = 0; c < p->w.in; c++) {
            int64_t weight = 9 * (k * p->w.in + c) + tap;
            double w = (double)tap_weights[weight];
            double x = (double)float_from_bfloat(p->input[from * p->w.in + c]);
            double g = (double)float_from_bfloat(p->gradient[to * p->w.out + k]);
            e->output[to * p->w.out + k] += w * x;
            e->input_gradient[from * p->w.in + c] += w * g;
            e->weights_gradient[weight] += x * g;
        }
}

static void expect(const struct problem *p, struct expected *e)
{
    const struct winograd *w = &p->w;
    e->output = calloc(p->output_count, sizeof(double));
    e->input_gradient = calloc(p->input_count, sizeof(double));
    e->weights_gradient = calloc(p->weight_count, sizeof(double));
    e->bias_gradient = calloc((size_t)w->out, sizeof(double));
    assert_true(e->output && e->input_gradient && e->weights_gradient && e->bias_gradient);
    for (int64_t to = 0; to < (int64_t)p->output_count / w->out; to++) {
        int64_t x = to % w->out_columns, y = to / w->out_columns % w->out_rows;
        int64_t n = to / w->out_columns / w->out_rows;
        for (int tap = 0; tap < 9; tap++) {
            int64_t row = y + tap / 3 - w->pad_rows, column = x + tap % 3 - w->pad_columns;
            if (row >= 0 && row < w->rows && column >= 0 && column < w->columns)
                add_pixel(p, (n * w->rows + row) * w->columns + column, to, p->weights, tap, e);
        }
        for (int64_t k = 0; k < w->out; k++)
            e->bias_gradient[k] += (double)float_from_bfloat(p->gradient[to * w->out + k]);
    }
}

static void add_posts(const struct problem *p, struct expected *e)
{
    for (size_t i = 0; i < p->output_count; i++)
        e->output[i] = fmax(0, e->output[i] + (double)p->bias[(int64_t)i % p->w.out] +
                                   (double)float_from_bfloat(p->added[i]));
}

static void forget(struct expected *e)
{
    free(e->output);
    free(e->input_gradient);
    free(e->weights_gradient);
    free(e->bias_gradient);
}

static double error_of(const uint16_t *halves, const float *floats, const double *wanted, size_t count)
{
    double difference = 0, norm = 0;
    assert(halves || floats);
    for (size_t i = 0; i < count; i++) {
        double got = halves ? (double)float_from_bfloat(halves[i]) : (double)floats[i];
        difference += (got - wanted[i]) * (got - wanted[i]);
        norm += wanted[i] * wanted[i];
    }
    return sqrt(difference / norm);
}

/* ---- */

/* batch, rows, columns, in, out, padding of rows and columns */
static const int64_t shapes[][7] = {
    { 1, 1, 1, 32, 32, 1, 1 },   { 1, 4, 4, 32, 32, 1, 1 },   { 2, 9, 7, 32, 64, 1, 1 },
    { 1, 6, 5, 64, 32, 0, 2 },   { 3, 5, 11, 96, 32, 1, 1 },  { 1, 3, 40, 32, 96, 2, 0 },
    { 2, 17, 33, 64, 64, 1, 1 }, { 1, 8, 8, 256, 160, 1, 1 }, { 1, 3, 3, 32, 32, 0, 0 },
};

static void check_shape(const int64_t numbers[7], int threads)
{
    struct problem p;
    struct expected e;
    open_problem(&p, numbers, threads);
    expect(&p, &e);
    bool large = p.w.out_rows * p.w.out_columns >= LARGE;
    double bound = large ? BOUND : BOUND_BORDER;
    run_forward(&p, true);
    assert_true(error_of(p.output, NULL, e.output, p.output_count) < bound);
    add_posts(&p, &e);
    run_forward(&p, false);
    assert_true(error_of(p.output, NULL, e.output, p.output_count) < bound);
    run_backward(&p);
    assert_true(error_of(p.input_gradient, NULL, e.input_gradient, p.input_count) < bound);
    assert_true(error_of(NULL, p.weights_gradient, e.weights_gradient, p.weight_count) < bound);
    assert_true(error_of(NULL, p.bias_gradient, e.bias_gradient, (size_t)p.w.out) < 1e-6);
    if (large && threads == 1)
        print_message("%lld channels: input gradient %.2g off, weights' gradient %.2g\n",
                      (long long)p.w.in,
                      error_of(p.input_gradient, NULL, e.input_gradient, p.input_count),
                      error_of(NULL, p.weights_gradient, e.weights_gradient, p.weight_count));
    forget(&e);
    close_problem(&p);
}

static void need_processor(void)
{
    if (winograd_available())
        return;
    print_message("SKIP REASON: this processor has no AVX-512 bf16\n");
    skip();
}

static void it_computes_convolutions(void **state)
{
    (void)state;
    need_processor();
    random_seed(&random_numbers, 1);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int threads = 1; threads <= 3; threads++)
            check_shape(shapes[i], threads);
}

static void the_same_threads_give_the_same_bits(void **state)
{
    struct problem p;
    (void)state;
    need_processor();
    random_seed(&random_numbers, 2);
    open_problem(&p, shapes[6], 2);
    size_t bytes = p.weight_count * sizeof(float);
    float *first = malloc(bytes);
    assert_non_null(first);
    run_backward(&p);
    memcpy(first, p.weights_gradient, bytes);
    run_backward(&p);
    assert_memory_equal(first, p.weights_gradient, bytes);
    free(first);
    close_problem(&p);
}

/* A residual block whose weights learn, and one layer whose weights do not. */
static void build_block(struct net *net)
{
    net_begin(net, 3);
    int x = net_input(net, SHAPE(2, 64, 12, 20)), weights[3], bias[3];
    for (int i = 0; i < 3; i++) {
        weights[i] = net_constant(net, SHAPE(64, 64, 3, 3), -0.1, 0.1);
        bias[i] = net_constant(net, SHAPE(64), -1, 1);
    }
    x = net_node(net, "Relu", x, -2);
    int inner = net_node(net, "Conv", x, weights[0], bias[0], -2);
    LIST(net, "pads", 1, 1, 1, 1);
    inner = net_node(net, "Conv", net_node(net, "Relu", inner, -2), weights[1], bias[1], -2);
    LIST(net, "pads", 1, 1, 1, 1);
    int y = net_node(net, "Relu", net_node(net, "Add", inner, x, -2), -2);
    y = net_node(net, "Conv", y, weights[2], bias[2], -2);
    LIST(net, "pads", 0, 1, 2, 1);
    net_output(net, net_node(net, "Sigmoid", y, -2));
    for (int i = 0; i < 2; i++)
        net_must(net, graph_mark_state(net->graph, weights[i], &net->err));
}

/* The plan agrees with the reference and has so many convolutions of our own. */
static void check_plan(struct net *net, int wanted, double bound, const char *what)
{
    const int amx = dnnl_cpu_isa_avx512_core_amx;
    struct device *device;
    struct plan *plan;
    int used = 0;
    net_must(net, device_open(&device, "cpu:threads=2", &net->err));
    net_check(net, device, PRECISION_BF16, bound, what);
    net_must(net, device_compile(device, net->graph,
                                 &(struct plan_options){ .precision = PRECISION_BF16 }, &plan,
                                 &net->err));
    const struct cpu_plan *steps = (const struct cpu_plan *)plan;
    for (int i = 0; i < steps->step_count; i++)
        used += strcmp(steps->steps[i].implementation, "own:winograd") == 0;
    bool faster = ((int)dnnl_get_effective_cpu_isa() & amx) == amx; /* oneDNN is, with AMX */
    assert_int_equal(used, faster ? 0 : wanted);
    plan_free(&plan);
    device_close(&device);
}

static void plans_use_it_for_weights_that_learn(void **state)
{
    struct net net;
    (void)state;
    need_processor();
    build_block(&net);
    check_plan(&net, 2, 2e-2, "residual block");
    net_end(&net);
}

/* The same block with its gradients: three of the four convolutions of the weights that learn are our
 * own (the first needs no gradient of its input). */
static void so_do_their_gradients(void **state)
{
    struct net net;
    int gradients[2];
    (void)state;
    need_processor();
    build_block(&net);
    net_infer(&net);
    struct autodiff autodiff = {
        .of = net.graph->outputs,
        .of_count = 1,
        .with = net.graph->states,
        .with_count = net.graph->state_count,
    };
    net_must(&net, pass_autodiff(net.graph, &autodiff, gradients, &net.err));
    for (int i = 0; i < 2; i++)
        net_output(&net, gradients[i]);
    check_plan(&net, 5, 3e-2, "gradients of a residual block");
    net_end(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_computes_convolutions),
        cmocka_unit_test(the_same_threads_give_the_same_bits),
        cmocka_unit_test(plans_use_it_for_weights_that_learn),
        cmocka_unit_test(so_do_their_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
