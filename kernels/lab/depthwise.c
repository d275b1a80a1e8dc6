/* depthwise: a row of a convolution of bytes with one filter for each channel: steps as floats times weights of up to
 * 255 steps, whose sums are exact, and bytes of those. All 3x3 convolutions of mobilenetv2_qdq but the first.
 *
 *   plain       a channel of an output at a time, over its taps
 *   lanes       16 channels at a time, their sums in registers
 *   production  the same, compiled for AVX-512, AVX2 and any x86-64, and two outputs at a time for 3x3: a weight that
 *               was loaded meets both (cpu/bytes.c)
 *
 * Xeon (Sapphire Rapids class, virtual), one core, gcc 12 -O2, 2026-11-23:
 *
 *               56 of 96, stride 2    56 of 144    7 of 960
 *   plain       96.4 us               144.3 us     115.6 us
 *   lanes       56.7 us                82.1 us      68.9 us
 *   production   2.8 us                 3.9 us       3.8 us
 */
#include "cpu/bytes.h"
#include "lab.h"

#define ROWS_MAX 5

struct depthwise_problem {
    struct lab_problem lab;
    struct bytes_filter filter;
    float *input, *numbers; /* rows of it; weights, bias and scales */
    const float *lines[ROWS_MAX];
    int64_t count;
};

static inline uint8_t to_byte(const struct bytes_filter *f, float sum, int64_t channel)
{
    float steps = nearbyintf((sum + f->bias[channel]) * f->scales[channel]);
    steps = fminf(fmaxf(steps, f->end.low), f->end.high);
    return (uint8_t)((int32_t)(steps + f->end.zero) ^ f->end.flip);
}

static void run_plain(const void *problem)
{
    const struct depthwise_problem *own = problem;
    const struct bytes_filter *f = &own->filter;
    for (int64_t x = 0; x < own->count; x++)
        for (int64_t c = 0; c < f->channels; c++) {
            float sum = 0;
            for (int64_t r = 0; r < f->rows; r++)
                for (int64_t t = 0; t < f->columns; t++)
                    sum += own->lines[r][(x * f->step + t * f->spread) * f->pixel + c] *
                           f->weights[(r * f->columns + t) * f->pixel + c];
            own->lab.output[x * f->channels + c] = to_byte(f, sum, c);
        }
}

static void run_lanes(const void *problem)
{
    const struct depthwise_problem *own = problem;
    const struct bytes_filter *f = &own->filter;
    for (int64_t c = 0; c < f->channels; c += BYTES_LANES)
        for (int64_t x = 0; x < own->count; x++) {
            float sums[BYTES_LANES] = { 0 };
            for (int64_t r = 0; r < f->rows; r++)
                for (int64_t t = 0; t < f->columns; t++) {
                    const float *steps = own->lines[r] + (x * f->step + t * f->spread) * f->pixel + c;
                    const float *weights = f->weights + (r * f->columns + t) * f->pixel + c;
                    for (int i = 0; i < BYTES_LANES; i++)
                        sums[i] += steps[i] * weights[i];
                }
            for (int64_t i = 0; i < BYTES_LANES && c + i < f->channels; i++)
                own->lab.output[x * f->channels + c + i] = to_byte(f, sums[i], c + i);
        }
}

static void run_production(const void *problem)
{
    const struct depthwise_problem *own = problem;
    bytes_filter_row(&own->filter, own->lines, own->lab.output, own->count);
}

static float draw_steps(struct random_state *random)
{
    return (float)(int)(random_next_u64(random) % 511) - 255;
}

/* kernel: rows and columns of taps. */
static void make_problem(struct depthwise_problem *problem, struct random_state *random,
                         int64_t channels, int64_t count, int64_t kernel, int64_t step,
                         int64_t spread)
{
    const int64_t pixel = (channels + BYTES_LANES - 1) / BYTES_LANES * BYTES_LANES;
    const int64_t line = ((count - 1) * step + (kernel - 1) * spread + 1) * pixel;
    const int64_t taps = kernel * kernel * pixel;
    float *input = lab_take((size_t)(kernel * line) * sizeof *input, 0);
    float *numbers = lab_take((size_t)(taps + 2 * pixel) * sizeof *numbers, 0);
    *problem = (struct depthwise_problem){
        .lab = { .output = lab_take((size_t)(count * channels), (size_t)(channels % 7)),
                 .output_bytes = (size_t)(count * channels),
                 .elements = (uint64_t)(count * channels),
                 .moved_bytes = (uint64_t)(kernel * line * 4 + count * channels) },
        .filter = { pixel,
                    channels,
                    kernel,
                    kernel,
                    step,
                    spread,
                    numbers,
                    numbers + taps,
                    numbers + taps + pixel,
                    { .low = -9, .high = 246, .zero = 9, .flip = 0x80 } },
        .input = input,
        .numbers = numbers,
        .count = count,
    };
    snprintf(problem->lab.name, sizeof problem->lab.name,
             "%lld of %lld channels, %lldx%lld, stride %lld", (long long)count, (long long)channels,
             (long long)kernel, (long long)kernel, (long long)step);
    for (int64_t r = 0; r < kernel; r++)
        problem->lines[r] = input + r * line;
    for (int64_t i = 0; i < kernel * line; i++)
        input[i] = draw_steps(random);
    for (int64_t i = 0; i < taps + pixel; i++)
        numbers[i] = draw_steps(random);
    for (int64_t i = 0; i < pixel; i++)
        numbers[taps + pixel + i] = (float)(0.001 + 0.002 * random_next_unit(random));
}

static void free_problem(struct depthwise_problem *problem)
{
    lab_give(problem->numbers);
    lab_give(problem->input);
    lab_give(problem->lab.output);
}

int main(int argc, char **argv)
{
    static const struct lab_step steps[] = {
        { "plain", run_plain, LAB_ANY, 0 },
        { "lanes", run_lanes, LAB_ANY, 0 },
        { "production", run_production, LAB_ANY, 0 },
    };
    static const int64_t real[][3] = { { 96, 56, 2 }, { 144, 56, 1 }, { 960, 7, 1 } };
    struct lab lab = lab_begin("depthwise", steps, sizeof steps / sizeof *steps, argc, argv);
    struct random_state random;
    struct depthwise_problem problem;
    random_seed(&random, 9);
    for (int64_t i = 0; i < 60; i++) {
        make_problem(&problem, &random, 1 + i * 7 % 41, 1 + i % 9, 1 + i % ROWS_MAX, 1 + i % 2,
                     1 + i / 2 % 2);
        lab_check(&lab, &problem.lab);
        free_problem(&problem);
    }
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        make_problem(&problem, &random, real[i][0], real[i][1], 3, real[i][2], 1);
        lab_check(&lab, &problem.lab);
        lab_time(&lab, &problem.lab);
        free_problem(&problem);
    }
    return lab_end(&lab);
}
