/* split: f32 numbers as high and low bf16 parts, three of them side by side (cpu/split.h). A row is the
 * channels of a pixel, or all of a tensor.
 *
 *   plain         number by number, with the conversions of tensor/number.h
 *   passes        a part at a time, so that each loop writes one array; gcc at -O2 makes no vectors
 *   one pass      all parts of a number, from its bits, in scalar code
 *   rows          the same at -O3 for AVX-512: vectors, but slow ends of rows
 *   instructions  the processor's own conversion to bf16, by hand; takes denormals for 0:
 *                 production (cpu/split.c)
 *
 * AMD EPYC (Zen 4, family 25 model 17), one core of a busy machine, gcc 12 -O2, 2026-11-21, ns for a number
 * and share of a copy that moves as many bytes:
 *
 *                 49152 rows of 16    1024 rows of 256    1 row of 589824
 *   plain         25         0 %      10         0 %      25         0 %
 *   passes        23         0 %       6.3       0 %      16         0 %
 *   one pass       1.8       6 %       1.7       6 %       1.7       6 %
 *   rows           0.51     21 %       0.39     27 %       0.38     27 %
 *   instructions   0.155    68 %       0.151    68 %       0.150    69 %
 *
 * From memory (65536 rows of 64) a copy waits as long as production does.
 */
#include "cpu/split.h"
#include "lab.h"
#include "tensor/number.h"

struct split_problem {
    struct lab_problem lab;
    int64_t rows, length;
    enum split_order order;
    float *from;
    uint16_t *to;
};

static uint16_t high_of(float number)
{
    uint16_t bits = float_to_bfloat(number);
    if (isfinite(number) && !isfinite(float_from_bfloat(bits)))
        bits--; /* the largest there is */
    return bits;
}

static uint16_t again_of(float number)
{
    return isfinite(number) ? high_of(number) : (uint16_t)0;
}

static uint16_t low_of(float number)
{
    return isfinite(number) ? float_to_bfloat(number - float_from_bfloat(high_of(number)))
                            : (uint16_t)0;
}

static void run_plain(const void *problem)
{
    const struct split_problem *own = problem;
    bool low_last = own->order == SPLIT_HIGH_HIGH_LOW;
    for (int64_t r = 0; r < own->rows; r++)
        for (int64_t i = 0; i < own->length; i++) {
            float number = own->from[r * own->length + i];
            uint16_t *to = own->to + SPLIT_PARTS * r * own->length + i;
            to[0] = high_of(number);
            to[own->length] = low_last ? again_of(number) : low_of(number);
            to[2 * own->length] = low_last ? low_of(number) : again_of(number);
        }
}

static void run_passes(const void *problem)
{
    const struct split_problem *own = problem;
    int64_t length = own->length;
    for (int64_t r = 0; r < own->rows; r++) {
        const float *from = own->from + r * length;
        uint16_t *to = own->to + SPLIT_PARTS * r * length;
        uint16_t *low = own->order == SPLIT_HIGH_HIGH_LOW ? to + 2 * length : to + length;
        uint16_t *again = own->order == SPLIT_HIGH_HIGH_LOW ? to + length : to + 2 * length;
        for (int64_t i = 0; i < length; i++)
            to[i] = high_of(from[i]);
        for (int64_t i = 0; i < length; i++)
            again[i] = isfinite(from[i]) ? to[i] : (uint16_t)0;
        for (int64_t i = 0; i < length; i++)
            low[i] = low_of(from[i]);
    }
}

__attribute__((always_inline)) static inline void split_bits(uint32_t bits, uint16_t *high,
                                                             uint16_t *low, uint16_t *again)
{
    uint32_t size = bits & 0x7fffffffu, rounded = size + 0x7fffu + (size >> 16 & 1u);
    uint32_t nan = size > 0x7f800000u ? 0x00400000u : 0;
    uint32_t wide = (rounded < 0x7f800000u ? rounded : size | nan) >> 16 << 16;
    uint32_t finite = size < 0x7f800000u ? ~0u : 0, rest_bits;
    wide |= bits & 0x80000000u;
    float number, part;
    memcpy(&number, &bits, sizeof number);
    memcpy(&part, &wide, sizeof part);
    float rest = number - part;
    memcpy(&rest_bits, &rest, sizeof rest_bits);
    rest_bits += 0x7fffu + (rest_bits >> 16 & 1u);
    *high = (uint16_t)(wide >> 16);
    *low = (uint16_t)((rest_bits & finite) >> 16);
    *again = (uint16_t)((wide & finite) >> 16);
}

static void run_one_pass(const void *problem)
{
    const struct split_problem *own = problem;
    int64_t low = own->order == SPLIT_HIGH_HIGH_LOW ? 2 * own->length : own->length;
    int64_t again = SPLIT_PARTS * own->length - low;
    for (int64_t r = 0; r < own->rows; r++)
        for (int64_t i = 0; i < own->length; i++) {
            uint16_t *to = own->to + SPLIT_PARTS * r * own->length + i;
            uint32_t bits;
            memcpy(&bits, own->from + r * own->length + i, sizeof bits);
            split_bits(bits, to, to + low, to + again);
        }
}

#if LAB_X86
__attribute__((target("avx512f,avx512bw,avx512vl"), optimize("O3"))) static void split_row(
    const uint32_t *restrict bits, int64_t length, uint16_t *restrict high, uint16_t *restrict low,
    uint16_t *restrict again)
{
    for (int64_t i = 0; i < length; i++)
        split_bits(bits[i], &high[i], &low[i], &again[i]);
}

static void run_rows(const void *problem)
{
    const struct split_problem *own = problem;
    int64_t length = own->length, low = own->order == SPLIT_HIGH_HIGH_LOW ? 2 * length : length;
    for (int64_t r = 0; r < own->rows; r++) {
        uint16_t *to = own->to + SPLIT_PARTS * r * length;
        split_row((const uint32_t *)(const void *)(own->from + r * length), length, to, to + low,
                  to + SPLIT_PARTS * length - low);
    }
}

static void run_instructions(const void *problem)
{
    const struct split_problem *own = problem;
    split_run(own->from, own->rows, own->length, own->order, 1, own->to);
}
#endif

static const struct lab_step steps[] = {
    { "plain", run_plain, LAB_ANY, 0 },
    { "passes", run_passes, LAB_ANY, 0 },
    { "one pass", run_one_pass, LAB_ANY, 0 },
#if LAB_X86
    { "rows", run_rows, LAB_AVX512, 0 },
    { "instructions (production)", run_instructions, LAB_AVX512_BF16, 0 },
#endif
};

/* Random numbers, and among them what is not one, too large for bf16, or halfway between two. */
static void fill(struct random_state *random, float *data, size_t count)
{
    static const uint32_t odd[] = {
        0x7f800000u, 0xff800000u, 0x7fc00001u, 0xff800001u, 0x7f7fffffu, 0xff7f8000u, 0x7f7f7fffu,
        0x3f808000u, 0x3f818000u, 0xbf80ffffu, 0x3f800001u, 0x00000000u, 0x80000000u, 0x3f7fffffu,
    };
    lab_fill_floats(random, data, count);
    for (size_t i = 0; i < count; i += 1 + random_next_u64(random) % 5)
        memcpy(data + i, &odd[random_next_u64(random) % (sizeof odd / sizeof *odd)], sizeof *data);
}

static void open_problem(struct split_problem *own, int64_t rows, int64_t length,
                         enum split_order order, size_t offset, bool odd)
{
    size_t count = (size_t)(rows * length);
    struct random_state random;
    random_seed(&random, count);
    *own = (struct split_problem){ .rows = rows, .length = length, .order = order };
    own->lab.elements = count;
    own->lab.output_bytes = SPLIT_PARTS * count * sizeof *own->to;
    own->lab.moved_bytes = own->lab.output_bytes + count * sizeof *own->from;
    own->lab.output = lab_take(own->lab.output_bytes, offset * sizeof *own->to);
    own->to = (uint16_t *)(void *)own->lab.output;
    own->from = lab_take(count * sizeof *own->from, offset * sizeof *own->from);
    if (odd)
        fill(&random, own->from, count);
    else
        lab_fill_floats(&random, own->from, count);
    snprintf(own->lab.name, sizeof own->lab.name, "%d rows of %d", (int)rows, (int)length);
}

static void close_problem(struct split_problem *own)
{
    lab_give(own->from);
    lab_give(own->lab.output);
}

int main(int argc, char **argv)
{
    struct lab lab = lab_begin("split", steps, sizeof steps / sizeof *steps, argc, argv);
    struct split_problem own;
    for (int64_t rows = 1; rows < 6; rows++)
        for (int64_t length = 1; length < 100; length += rows) {
            open_problem(&own, rows, length, (enum split_order)(length % 2), (size_t)(length % 16),
                         true);
            lab_check(&lab, &own.lab);
            close_problem(&own);
        }
    /* Pixels of 16, 64 and 256 channels; weights or a batch as a whole. */
    static const int64_t real[][2] = { { 49152, 16 }, { 65536, 64 }, { 1024, 256 }, { 1, 589824 } };
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        open_problem(&own, real[i][0], real[i][1], SPLIT_HIGH_LOW_HIGH, 0, false);
        lab_check(&lab, &own.lab);
        lab_time(&lab, &own.lab);
        close_problem(&own);
    }
    return lab_end(&lab);
}
