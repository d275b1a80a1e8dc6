/* Proves that our own convolution on matrix units is right: against sums in doubles on odd sizes, strides,
 * dilations, pads and batches, pixels that lie apart or in planes, with everything that it takes along, and
 * on one to three threads; that it writes nowhere else; that infinities and NaN come out as in f32; and that
 * the same threads give the same bits. */
#include "cpu/split_conv.h"
#include "cpu_check.h"

#define BOUND 1e-5 /* norm of the difference over norm: what two bf16 of each number leave */
#define GUARD_BYTES 64
#define GUARD 0x5a
#define ALIGNMENT 64
#define CASES 400

struct problem {
    struct split_conv conv;
    float *input, *weights, *bias, *added, *slopes, *output;
    size_t input_count, output_count, weight_count;
    void *packed, *scratch;
    struct split_conv_tail tail;
};

static struct random_state random_numbers;

static void *take(size_t bytes)
{
    size_t whole = (bytes + 2 * GUARD_BYTES + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    uint8_t *memory = aligned_alloc(ALIGNMENT, whole);
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

static float *take_floats(size_t count)
{
    float *data = take(count * sizeof *data);
    for (size_t i = 0; i < count; i++)
        data[i] = (float)(2 * random_next_unit(&random_numbers) - 1);
    return data;
}

static int64_t below(int64_t limit)
{
    return (int64_t)(random_next_u64(&random_numbers) % (uint64_t)limit);
}

static int64_t out_size(int64_t in, int64_t kernel, int64_t stride, int64_t dilation, int64_t pad)
{
    int64_t room = in + 2 * pad - (kernel - 1) * dilation - 1;
    return room < 0 ? 0 : room / stride + 1;
}

static struct split_conv random_conv(void)
{
    struct split_conv conv = { .batch = 1 + below(2),
                               .out = 1 + below(67),
                               .threads = 1 + (int)below(3) };
    do {
        int64_t dilation = 1 + below(3), stride = 1 + below(3), pad = below(3), kind = below(3);
        conv.in = 1 + below(kind == 0 ? 4 : 67);
        conv.rows = 1 + below(30);
        conv.columns = 1 + below(70);
        for (int d = 0; d < 2; d++) {
            conv.kernel[d] = kind == 0 ? 1 + below(5) : kind == 1 ? 1 : 3;
            conv.stride[d] = below(2) ? stride : 1;
            conv.dilation[d] = below(2) ? dilation : 1;
            conv.pad[d] = pad;
        }
        conv.out_rows =
            out_size(conv.rows, conv.kernel[0], conv.stride[0], conv.dilation[0], conv.pad[0]);
        conv.out_columns =
            out_size(conv.columns, conv.kernel[1], conv.stride[1], conv.dilation[1], conv.pad[1]);
    } while (conv.out_rows == 0 || conv.out_columns == 0);
    conv.planar =
        conv.in <= SPLIT_CONV_PLANAR_MAX && below(2) && (conv.kernel[1] > 1 || conv.stride[1] == 1);
    conv.in_step = conv.planar ? 1 : conv.in + (below(3) ? 0 : below(5));
    conv.out_step = conv.out + (below(3) ? 0 : below(5));
    return conv;
}

/* sum(x) * 0.5 and the like: posts that are easily done in doubles, too. */
static void add_posts(struct problem *p)
{
    static const enum pointwise_kind kinds[] = { POINTWISE_SWISH, POINTWISE_HARD_SWISH,
                                                 POINTWISE_LEAKY_RELU, POINTWISE_SIGMOID };
    p->tail = (struct split_conv_tail){ .bias = p->bias, .low = -INFINITY, .high = INFINITY };
    if (below(2))
        p->tail.added = p->added;
    if (below(2))
        p->tail.low = 0;
    if (below(4) == 0)
        p->tail.high = 6;
    if (below(2)) {
        enum pointwise_kind kind = kinds[below(4)];
        p->tail.posts[p->tail.post_count++] =
            (struct split_conv_post){ lanes_find(kind), 0.1f, 0, SPLIT_CONV_ALONE, NULL };
    }
    if (below(3) == 0)
        p->tail.posts[p->tail.post_count++] =
            (struct split_conv_post){ lanes_find(POINTWISE_MUL), 0, 0, SPLIT_CONV_FULL, p->added };
    if (below(3) == 0)
        p->tail.posts[p->tail.post_count++] =
            (struct split_conv_post){ lanes_find(POINTWISE_PRELU), 0, 0, SPLIT_CONV_CHANNEL,
                                      p->slopes };
}

static void open_problem(struct problem *p, const struct split_conv *conv)
{
    const struct split_conv *c = &p->conv;
    *p = (struct problem){ .conv = *conv };
    p->input_count = (size_t)(c->batch * c->rows * c->columns * (c->planar ? c->in : c->in_step));
    p->output_count = (size_t)(c->batch * c->out_rows * c->out_columns * c->out_step);
    p->weight_count = (size_t)(c->out * c->in * c->kernel[0] * c->kernel[1]);
    p->input = take_floats(p->input_count);
    p->weights = take_floats(p->weight_count);
    p->bias = take_floats((size_t)(c->out + 15) / 16 * 16);
    p->added = take_floats(p->output_count);
    p->slopes = take_floats((size_t)c->out);
    p->output = take(p->output_count * sizeof *p->output);
    add_posts(p);
    assert_true(split_conv_plan(&p->conv));
    assert_true(split_conv_products(&p->conv) > 0);
    p->packed = take(split_conv_weights_bytes(c));
    p->scratch = take(split_conv_scratch_bytes(c));
    int64_t taps = conv->kernel[0] * conv->kernel[1];
    struct split_conv_weights weights = { p->weights, conv->in * taps, taps, conv->kernel[1], 1 };
    split_conv_pack(c, &weights, p->packed);
}

static void close_problem(struct problem *p)
{
    give(p->input, p->input_count * sizeof *p->input);
    give(p->weights, p->weight_count * sizeof *p->weights);
    give(p->bias, (size_t)(p->conv.out + 15) / 16 * 16 * sizeof *p->bias);
    give(p->added, p->output_count * sizeof *p->added);
    give(p->slopes, (size_t)p->conv.out * sizeof *p->slopes);
    give(p->output, p->output_count * sizeof *p->output);
    give(p->packed, split_conv_weights_bytes(&p->conv));
    give(p->scratch, split_conv_scratch_bytes(&p->conv));
}

static void run(struct problem *p)
{
    split_conv_run(&p->conv, p->input, p->packed, &p->tail, p->output, p->scratch);
}

/* ---- in doubles ---- */

static double sum_one(const struct problem *p, const struct split_conv *c, int64_t image,
                      int64_t row, int64_t column, int64_t k)
{
    double sum = (double)p->bias[k];
    for (int64_t r = 0; r < c->kernel[0]; r++)
        for (int64_t s = 0; s < c->kernel[1]; s++) {
            int64_t y = row * c->stride[0] + r * c->dilation[0] - c->pad[0];
            int64_t x = column * c->stride[1] + s * c->dilation[1] - c->pad[1];
            if (y < 0 || y >= c->rows || x < 0 || x >= c->columns)
                continue;
            for (int64_t i = 0; i < c->in; i++) {
                int64_t at = c->planar ? ((image * c->in + i) * c->rows + y) * c->columns + x
                                       : ((image * c->rows + y) * c->columns + x) * c->in_step + i;
                sum += (double)p->input[at] *
                       (double)p->weights[((k * c->in + i) * c->kernel[0] + r) * c->kernel[1] + s];
            }
        }
    return sum;
}

/* The functions themselves have tests of their own. */
static double finish_one(const struct problem *p, double sum, int64_t at, int64_t k)
{
    for (int i = 0; i < p->tail.post_count; i++) {
        const struct split_conv_post *post = &p->tail.posts[i];
        float x = (float)sum, y = x;
        if (post->operand == SPLIT_CONV_FULL)
            y = post->data[at];
        if (post->operand == SPLIT_CONV_CHANNEL)
            y = post->data[k];
        post->run(&x, &y, &y, &x, 1, post->alpha, post->beta);
        sum = (double)x;
    }
    if (p->tail.added)
        sum += (double)p->tail.added[at];
    sum = sum < (double)p->tail.low ? (double)p->tail.low : sum;
    return sum > (double)p->tail.high ? (double)p->tail.high : sum;
}

typedef void compare_fn(double expected, float got, void *arg);

static void compare(const struct problem *p, const struct split_conv *c, compare_fn *fn, void *arg)
{
    for (int64_t at = 0; at < (int64_t)p->output_count; at++) {
        int64_t k = at % c->out_step, pixel = at / c->out_step;
        uint32_t untouched;
        if (k >= c->out) {
            memcpy(&untouched, &p->output[at], sizeof untouched);
            assert_int_equal(untouched, 0x5a5a5a5au);
            continue;
        }
        double sum = sum_one(p, c, pixel / c->out_columns / c->out_rows,
                             pixel / c->out_columns % c->out_rows, pixel % c->out_columns, k);
        fn(finish_one(p, sum, at, k), p->output[at], arg);
    }
}

static void add_squares(double expected, float got, void *arg)
{
    double *squares = arg, difference = (double)got - expected;
    assert_true(isfinite(got));
    squares[0] += difference * difference;
    squares[1] += expected * expected;
}

static void same_kind(double expected, float got, void *arg)
{
    int *odd = arg;
    *odd += !isfinite(expected);
    if (isnan(expected))
        assert_true(isnan(got));
    else if (isinf(expected))
        assert_true((double)got == expected);
    else
        assert_true(fabs((double)got - expected) <= 2e-4 * (1 + fabs(expected)));
}

/* ---- tests ---- */

static void need_matrix_units(void)
{
    random_seed(&random_numbers, 20);
    if (split_conv_available())
        return;
    print_message("SKIP REASON: split_conv_test: no matrix units\n");
    skip();
}

static void sums_are_those_of_doubles(void **state)
{
    double worst = 0;
    (void)state;
    need_matrix_units();
    for (int i = 0; i < CASES; i++) {
        struct split_conv conv = random_conv();
        struct problem p;
        double squares[2] = { 0 };
        open_problem(&p, &conv);
        run(&p);
        compare(&p, &conv, add_squares, squares);
        /* Where all was cut to 0 there is nothing to compare with. */
        double error = squares[1] > 0 ? sqrt(squares[0] / squares[1]) : sqrt(squares[0]);
        worst = error > worst ? error : worst;
        if (!(error <= BOUND))
            fail_msg("case %d, %dx%dx%dx%d to %d, kernel %dx%d: %g off", i, (int)conv.batch,
                     (int)conv.in, (int)conv.rows, (int)conv.columns, (int)conv.out,
                     (int)conv.kernel[0], (int)conv.kernel[1], error);
        close_problem(&p);
    }
    print_message("%d convolutions, at most %.2g off\n", CASES, worst);
}

/* A few in the whole input, so that other pieces and threads have none; or one that bf16 rounds to infinity. */
static void infinities_come_out_as_in_f32(void **state)
{
    static const float odd[] = { INFINITY, -INFINITY, NAN, 1e-40f, 3.4e38f, -3.4e38f };
    int met = 0;
    (void)state;
    need_matrix_units();
    for (int i = 0; i < CASES / 4; i++) {
        struct split_conv conv = random_conv();
        struct problem p;
        open_problem(&p, &conv);
        p.tail = (struct split_conv_tail){ .bias = p.bias, .low = -INFINITY, .high = INFINITY };
        for (size_t k = 0; k < p.weight_count; k++)
            p.weights[k] = p.weights[k] < 0 ? -0.25f : 0.25f;
        int64_t taps = conv.kernel[0] * conv.kernel[1];
        struct split_conv_weights weights = { p.weights, conv.in * taps, taps, conv.kernel[1], 1 };
        split_conv_pack(&p.conv, &weights, p.packed);
        for (int k = 0; k < 3 && i % 2; k++)
            p.input[below((int64_t)p.input_count)] = odd[below(4)];
        if (i % 2 == 0)
            p.input[below((int64_t)p.input_count)] = odd[4 + below(2)];
        run(&p);
        compare(&p, &conv, same_kind, &met);
        close_problem(&p);
    }
    assert_true(met > 0);
}

static void the_same_threads_give_the_same_bits(void **state)
{
    (void)state;
    need_matrix_units();
    for (int i = 0; i < CASES / 10; i++) {
        struct split_conv conv = random_conv();
        struct problem p;
        open_problem(&p, &conv);
        run(&p);
        float *first = malloc(p.output_count * sizeof *first);
        assert_non_null(first);
        memcpy(first, p.output, p.output_count * sizeof *first);
        memset(p.scratch, 0xff, split_conv_scratch_bytes(&p.conv));
        run(&p);
        assert_memory_equal(first, p.output, p.output_count * sizeof *first);
        free(first);
        close_problem(&p);
    }
}

static void what_it_cannot_do_is_refused(void **state)
{
    struct split_conv conv = { .batch = 1,
                               .in = 3,
                               .out = 8,
                               .rows = 40,
                               .columns = 40,
                               .out_rows = 1,
                               .out_columns = 1,
                               .kernel = { 33, 33 },
                               .stride = { 1, 1 },
                               .dilation = { 1, 1 },
                               .in_step = 3,
                               .out_step = 8,
                               .threads = 1 };
    (void)state;
    need_matrix_units();
    assert_false(split_conv_plan(&conv)); /* more runs than there is room for */
    conv.kernel[0] = conv.kernel[1] = 1;
    conv.stride[1] = 2;
    conv.planar = true;
    assert_false(split_conv_plan(&conv)); /* every second number of a plane */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_cannot_do_is_refused),
        cmocka_unit_test(sums_are_those_of_doubles),
        cmocka_unit_test(infinities_come_out_as_in_f32),
        cmocka_unit_test(the_same_threads_give_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
