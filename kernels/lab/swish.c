/* swish: x / (1 + exp(-x)), what stands behind each convolution of yolox_nano.
 *
 *   plain        number by number, in doubles
 *   lanes        in vectors that compilers make (cpu/lanes.c): 45 instructions and a division for each, as
 *                nothing is fused and C's comparisons keep what happens to NaN
 *   quick        by hand for AVX-512: 20 instructions, a power of two and a reciprocal among them
 *                (cpu/lanes_quick.c): production, where the processor can
 *
 * Inside oneDNN 2.6.3's convolutions it takes longer than the convolutions: on a Xeon (Sapphire Rapids, two
 * threads shared with much other work, 2026-11-22) the 1x1 ones of yolox_nano take 12.4 ms with it and 5.9
 * without, and the passes of our own behind them 3.1. One thread of that machine, ns for a number:
 *
 *                 1024    692224
 *   lanes         1.07      1.26
 *   quick         0.40      0.62
 */
#include "cpu/lanes_quick.h"
#include "lab.h"

struct swish_problem {
    struct lab_problem lab;
    int64_t count;
    float *from, *to;
};

static void run_plain(const void *problem)
{
    const struct swish_problem *own = problem;
    for (int64_t i = 0; i < own->count; i++)
        own->to[i] = (float)(own->from[i] / (1 + exp(-(double)own->from[i])));
}

static void run_lanes(const void *problem)
{
    const struct swish_problem *own = problem;
    lanes_find(POINTWISE_SWISH)(own->from, NULL, NULL, own->to, own->count, 0, 0);
}

static void run_production(const void *problem)
{
    const struct swish_problem *own = problem;
    lanes_find_quick(POINTWISE_SWISH)(own->from, NULL, NULL, own->to, own->count, 0, 0);
}

static const struct lab_step steps[] = {
    { "plain", run_plain, LAB_ANY, 0 },
    { "lanes", run_lanes, LAB_ANY, 4e-6 }, /* numbers up to 20 */
    { "quick (production)", run_production, LAB_ANY, 4e-6 },
};

static void open_problem(struct swish_problem *own, int64_t count, size_t offset)
{
    struct random_state random;
    *own = (struct swish_problem){ .count = count };
    random_seed(&random, (uint64_t)count);
    own->lab.floats = true;
    own->lab.elements = (uint64_t)count;
    own->lab.output_bytes = (size_t)count * sizeof(float);
    own->lab.moved_bytes = 2 * own->lab.output_bytes;
    own->lab.output = lab_take(own->lab.output_bytes, offset);
    own->to = (float *)(void *)own->lab.output;
    own->from = lab_take(own->lab.output_bytes, 0);
    lab_fill_floats(&random, own->from, (size_t)count);
    for (int64_t i = 0; i < count; i++)
        own->from[i] *= 20;
    snprintf(own->lab.name, sizeof own->lab.name, "%lld", (long long)count);
}

static void close_problem(struct swish_problem *own)
{
    lab_give(own->from);
    lab_give(own->lab.output);
}

int main(int argc, char **argv)
{
    struct lab lab = lab_begin("swish", steps, sizeof steps / sizeof *steps, argc, argv);
    struct swish_problem own;
    for (int64_t count = 1; count < 100; count++) {
        open_problem(&own, count, (size_t)count % 4 * sizeof(float));
        lab_check(&lab, &own.lab);
        close_problem(&own);
    }
    /* A block of a chain, and the first layer of yolox_nano. */
    static const int64_t real[] = { 1024, 692224 };
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        open_problem(&own, real[i], 0);
        lab_check(&lab, &own.lab);
        lab_time(&lab, &own.lab);
        close_problem(&own);
    }
    return lab_end(&lab);
}
