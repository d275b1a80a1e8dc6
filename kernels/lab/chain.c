/* chain: what comes back from two sides through a scale per channel and a Relu, to = y > 0 ? (a + b) *
 * scale : 0, channels last: three functions of a chain (cpu/chain.h), two of them with a second stream
 * to read and one with an operand that is repeated.
 *
 *   plain           a node after the other, each over all of memory
 *   by element      the program for each element in turn, as the reference kernel does
 *   one loop        written for this case: no program, but no vectors either at -O2
 *   whole           node after node, in vectors (cpu/lanes.c)
 *   blocks of 64    the program for each block, in vectors; what is between stays in the nearest cache
 *   … 256           production takes as many, rounded to whole rows of channels (cpu/chain_run.c)
 *   … 1024          six streams of such blocks all but fill the nearest cache
 *   … 4096          they do not fit any more
 *   avx2            one loop, eight in an instruction, by hand: what a compiler of chains could give
 *
 * AMD EPYC (Zen 4), one core shared with much other work, gcc 12 -O2 (lanes -O3), 2026-11-21; the larger
 * one waits for a memory that others use too, and its times are only good for comparison:
 *
 *                   4096x64                              65536x64
 *   one loop        1342 us    3.1 GB/s    3 % of a copy    66.8 ms
 *   whole            104 us   40.5 GB/s   42 %              23.4 ms
 *   blocks of 64      55 us   75.7 GB/s   79 %               7.0 ms
 *   … 256             52 us   81.0 GB/s   85 %              10.3 ms
 *   … 1024            60 us   69.8 GB/s   73 %              12.4 ms
 *   … 4096            80 us   52.2 GB/s   55 %              17.1 ms
 *   production        59 us   71.0 GB/s   74 %              10.9 ms
 *   avx2              49 us   85.5 GB/s   89 %               9.8 ms
 */
#include "cpu/lanes.h"
#include "lab.h"
#include "node.h"

struct chain_problem {
    struct lab_problem lab;
    struct lab_node node;
    int64_t rows, channels;
    float *a, *b, *scale, *y, *to;
    float *between, *repeated, *scratch;
};

static void run_plain(const void *problem)
{
    const struct chain_problem *own = problem;
    int64_t count = own->rows * own->channels;
    for (int64_t i = 0; i < count; i++)
        own->between[i] = own->a[i] + own->b[i];
    for (int64_t i = 0; i < count; i++)
        own->between[i] *= own->scale[i % own->channels];
    for (int64_t i = 0; i < count; i++)
        own->to[i] = own->y[i] > 0 ? own->between[i] : 0;
}

static void run_by_element(const void *problem)
{
    static const struct pointwise add = { .kind = POINTWISE_ADD }, mul = { .kind = POINTWISE_MUL },
                                  grad = { .kind = POINTWISE_RELU_GRAD };
    const struct chain_problem *own = problem;
    for (int64_t r = 0, i = 0; r < own->rows; r++)
        for (int64_t c = 0; c < own->channels; c++, i++) {
            float sum = pointwise_apply(&add, own->a[i], own->b[i]);
            float scaled = pointwise_apply(&mul, sum, own->scale[c]);
            own->to[i] = pointwise_apply(&grad, scaled, own->y[i]);
        }
}

static void run_one_loop(const void *problem)
{
    const struct chain_problem *own = problem;
    for (int64_t r = 0, i = 0; r < own->rows; r++)
        for (int64_t c = 0; c < own->channels; c++, i++)
            own->to[i] = own->y[i] > 0 ? (own->a[i] + own->b[i]) * own->scale[c] : 0;
}

/* block: about as many, whole rows of channels. */
static void run_blocks(const struct chain_problem *own, int64_t block, float *between)
{
    lanes_fn *add = lanes_find(POINTWISE_ADD), *mul = lanes_find(POINTWISE_MUL);
    lanes_fn *grad = lanes_find(POINTWISE_RELU_GRAD);
    int64_t count = own->rows * own->channels;
    block = block < count ? block : count;
    block = block > own->channels ? block / own->channels * own->channels : own->channels;
    for (int64_t i = 0; i < block; i += own->channels)
        memcpy(own->repeated + i, own->scale, (size_t)own->channels * sizeof *own->scale);
    for (int64_t at = 0; at < count; at += block) {
        int64_t here = count - at < block ? count - at : block;
        add(own->a + at, own->b + at, NULL, between, here, 0, 0);
        mul(between, own->repeated, NULL, between, here, 0, 0);
        grad(between, own->y + at, NULL, own->to + at, here, 0, 0);
    }
}

static void run_whole(const void *problem)
{
    const struct chain_problem *own = problem;
    run_blocks(own, own->rows * own->channels, own->between);
}

static void run_64(const void *problem)
{
    const struct chain_problem *own = problem;
    run_blocks(own, 64, own->between);
}

static void run_256(const void *problem)
{
    const struct chain_problem *own = problem;
    run_blocks(own, 256, own->between);
}

static void run_1024(const void *problem)
{
    const struct chain_problem *own = problem;
    run_blocks(own, 1024, own->between);
}

static void run_4096(const void *problem)
{
    const struct chain_problem *own = problem;
    run_blocks(own, 4096, own->between);
}

static void run_production(const void *problem)
{
    const struct chain_problem *own = problem;
    lab_node_run(&own->node,
                 (void *[]){ own->a, own->b, own->scale, own->y, own->to, own->scratch }, 6);
}

#if LAB_X86

__attribute__((target("avx2"))) static void run_avx2(const void *problem)
{
    const struct chain_problem *own = problem;
    const __m256 zero = _mm256_setzero_ps();
    for (int64_t r = 0; r < own->rows; r++) {
        const float *a = own->a + r * own->channels, *b = own->b + r * own->channels;
        const float *y = own->y + r * own->channels;
        float *to = own->to + r * own->channels;
        int64_t c = 0;
        for (; c + 8 <= own->channels; c += 8) {
            __m256 sum = _mm256_add_ps(_mm256_loadu_ps(a + c), _mm256_loadu_ps(b + c));
            __m256 scaled = _mm256_mul_ps(sum, _mm256_loadu_ps(own->scale + c));
            __m256 passes = _mm256_cmp_ps(_mm256_loadu_ps(y + c), zero, _CMP_GT_OQ);
            _mm256_storeu_ps(to + c, _mm256_and_ps(scaled, passes));
        }
        for (; c < own->channels; c++)
            to[c] = y[c] > 0 ? (a[c] + b[c]) * own->scale[c] : 0;
    }
}

#endif

static const struct lab_step steps[] = {
    { "plain", run_plain, LAB_ANY, 0 },
    { "by element", run_by_element, LAB_ANY, 0 },
    { "one loop", run_one_loop, LAB_ANY, 0 },
    { "whole", run_whole, LAB_ANY, 0 },
    { "blocks of 64", run_64, LAB_ANY, 0 },
    { "blocks of 256", run_256, LAB_ANY, 0 },
    { "blocks of 1024", run_1024, LAB_ANY, 0 },
    { "blocks of 4096", run_4096, LAB_ANY, 0 },
    { "blocks of 256 (production)", run_production, LAB_ANY, 0 },
#if LAB_X86
    { "avx2", run_avx2, LAB_AVX2, 0 },
#endif
};

static float *take_floats(struct random_state *random, int64_t count, size_t offset)
{
    float *data = lab_take((size_t)count * sizeof *data, offset);
    lab_fill_floats(random, data, (size_t)count);
    return data;
}

static void open_problem(struct chain_problem *own, int64_t rows, int64_t channels, size_t offset)
{
    struct random_state random;
    int64_t count = rows * channels;
    *own = (struct chain_problem){ .rows = rows, .channels = channels };
    random_seed(&random, (uint64_t)count);
    own->lab.floats = true;
    own->lab.elements = (uint64_t)count;
    own->lab.output_bytes = (size_t)count * sizeof(float);
    own->lab.moved_bytes = 4 * own->lab.output_bytes + (uint64_t)channels * sizeof(float);
    own->lab.output = lab_take(own->lab.output_bytes, offset);
    own->to = (float *)(void *)own->lab.output;
    own->a = take_floats(&random, count, offset);
    own->b = take_floats(&random, count, 0);
    own->y = take_floats(&random, count, offset);
    own->scale = take_floats(&random, channels, offset);
    own->between = take_floats(&random, count, 0);
    own->repeated = take_floats(&random, count, 0);
    own->scratch = NULL;
    snprintf(own->lab.name, sizeof own->lab.name, "%lldx%lld", (long long)rows, (long long)channels);

    const struct shape shape = { .rank = 2, .dim = { rows, channels } };
    const struct shape row = { .rank = 1, .dim = { channels } };
    lab_node_begin(&own->node);
    int a = lab_node_input(&own->node, &shape), b = lab_node_input(&own->node, &shape);
    int scale = lab_node_input(&own->node, &row), y = lab_node_input(&own->node, &shape);
    int sum = lab_node_add(&own->node, "Add", (int[]){ a, b }, 2, NULL);
    int scaled = lab_node_add(&own->node, "Mul", (int[]){ sum, scale }, 2, NULL);
    int to = lab_node_add(&own->node, "relu_grad", (int[]){ scaled, y }, 2, NULL);
    lab_node_finish(&own->node, to, "chain:3");
    assert(own->node.step && own->node.step->place_count == 6);
    own->scratch = own->node.step->places[5]->data;
}

static void close_problem(struct chain_problem *own)
{
    float *taken[] = { own->a, own->b, own->y, own->scale, own->between, own->repeated };
    lab_node_end(&own->node);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        lab_give(taken[i]);
    lab_give(own->lab.output);
}

int main(int argc, char **argv)
{
    struct lab lab = lab_begin("chain", steps, sizeof steps / sizeof *steps, argc, argv);
    struct chain_problem own;
    static const int64_t odd[][2] = { { 1, 1 },   { 1, 1025 }, { 3, 341 },  { 7, 1023 },
                                      { 129, 3 }, { 65, 64 },  { 5, 4097 }, { 1000, 11 } };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        open_problem(&own, odd[i][0], odd[i][1], i % 3 * sizeof(float));
        lab_check(&lab, &own.lab);
        close_problem(&own);
    }
    /* A batch of patches of a restoration network, and one of them. */
    static const int64_t real[][2] = { { 65536, 64 }, { 4096, 64 } };
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        open_problem(&own, real[i][0], real[i][1], 0);
        lab_check(&lab, &own.lab);
        lab_time(&lab, &own.lab);
        close_problem(&own);
    }
    return lab_end(&lab);
}
