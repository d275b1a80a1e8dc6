/* pad: a constant number around an array (ONNX's Pad), which some exporters put before every pool with
 * padding. Four dimensions as they lie in memory.
 *
 *   plain          asks for each element of the output, by its coordinates, where it comes from
 *   fill and copy  the number everywhere, then the input's rows into the middle, which is what
 *                  production was (with oneDNN's copy): most of the output is written twice
 *   border         the number into the border only, then the rows
 *   front to back  the output in the order of its memory: a stretch of the number, a row, and so on:
 *                  production (cpu/pad.c)
 *
 * AMD EPYC (Zen 4, family 25 model 17), one core, gcc 12 -O2, 2026-11-21:
 *
 *                   3x360x640 by 1 (twinlitenet)           44x44x48 by 1 (fastestdet)
 *   plain           5404 us   1.0 GB/s    1 % of a copy    781 us   1.0 GB/s    1 %
 *   fill and copy    267 us  20.8 GB/s   21 %               36 us  21.8 GB/s   20 %
 *   border            81 us  68.4 GB/s   71 %               14 us  57.3 GB/s   53 %
 *   front to back     82 us  67.8 GB/s   70 %               12 us  66.3 GB/s   61 %
 *
 * Better than any of them is no Pad: in both models it could become the padding of the pool behind it.
 */
#include "lab.h"
#include "node.h"

#define RANK 4
#define PADS 8 /* two in each dimension */
#define NUMBER (-0.5f)

struct pad_problem {
    struct lab_problem lab;
    struct lab_node node;
    float *from, *to;
    int64_t dim[RANK], before[RANK], behind[RANK];
    int64_t whole[RANK]; /* of the output */
};

static void run_plain(const void *problem)
{
    const struct pad_problem *own = problem;
    for (uint64_t i = 0; i < own->lab.elements; i++) {
        int64_t rest = (int64_t)i, from = 0, stride = 1;
        bool inside = true;
        for (int d = RANK - 1; d >= 0; d--) {
            int64_t at = rest % own->whole[d] - own->before[d];
            inside = inside && at >= 0 && at < own->dim[d];
            from += at * stride;
            stride *= own->dim[d];
            rest /= own->whole[d];
        }
        own->to[i] = inside ? own->from[from] : NUMBER;
    }
}

static inline float *row_of(const struct pad_problem *own, int64_t a, int64_t b, int64_t c)
{
    return own->to + ((a * own->whole[1] + b) * own->whole[2] + c) * own->whole[3];
}

static void copy_rows(const struct pad_problem *own)
{
    const float *from = own->from;
    for (int64_t a = 0; a < own->dim[0]; a++)
        for (int64_t b = 0; b < own->dim[1]; b++)
            for (int64_t c = 0; c < own->dim[2]; c++, from += own->dim[3])
                memcpy(row_of(own, own->before[0] + a, own->before[1] + b, own->before[2] + c) +
                           own->before[3],
                       from, (size_t)own->dim[3] * sizeof *from);
}

static void run_fill_and_copy(const void *problem)
{
    const struct pad_problem *own = problem;
    for (uint64_t i = 0; i < own->lab.elements; i++)
        own->to[i] = NUMBER;
    copy_rows(own);
}

static void run_border(const void *problem)
{
    const struct pad_problem *own = problem;
    for (int64_t a = 0; a < own->whole[0]; a++)
        for (int64_t b = 0; b < own->whole[1]; b++)
            for (int64_t c = 0; c < own->whole[2]; c++) {
                float *row = row_of(own, a, b, c);
                bool inside = a >= own->before[0] && a < own->before[0] + own->dim[0] &&
                              b >= own->before[1] && b < own->before[1] + own->dim[1] &&
                              c >= own->before[2] && c < own->before[2] + own->dim[2];
                int64_t left = inside ? own->before[3] : own->whole[3];
                for (int64_t i = 0; i < left; i++)
                    row[i] = NUMBER;
                for (int64_t i = left + own->dim[3]; i < own->whole[3]; i++)
                    row[i] = NUMBER;
            }
    copy_rows(own);
}

static void run_production(const void *problem)
{
    const struct pad_problem *own = problem;
    lab_node_run(&own->node, (void *[]){ own->from, own->to }, 2);
}

static const struct lab_step steps[] = {
    { "plain", run_plain, LAB_ANY, 0 },
    { "fill and copy", run_fill_and_copy, LAB_ANY, 0 },
    { "border", run_border, LAB_ANY, 0 },
    { "front to back (production)", run_production, LAB_ANY, 0 },
};

static void compile(struct pad_problem *own)
{
    const struct shape list = { .rank = 1, .dim = { PADS } }, scalar = { .rank = 0 };
    struct shape shape = { .rank = RANK };
    int64_t pads[PADS];
    memcpy(shape.dim, own->dim, sizeof own->dim);
    memcpy(pads, own->before, sizeof own->before);
    memcpy(pads + RANK, own->behind, sizeof own->behind);
    lab_node_begin(&own->node);
    int inputs[] = { lab_node_input(&own->node, &shape),
                     lab_node_constant(&own->node, TENSOR_I64, &list, pads),
                     lab_node_constant(&own->node, TENSOR_F32, &scalar, &(float){ NUMBER }) };
    lab_node_compile(&own->node, "Pad", inputs, 3, "pad");
    assert(own->node.step);
}

static void open_problem(struct pad_problem *own, const int64_t numbers[3 * RANK], size_t offset)
{
    struct random_state random;
    size_t count = 1;
    *own = (struct pad_problem){ .lab = { .elements = 1 } };
    for (int d = 0; d < RANK; d++) {
        own->dim[d] = numbers[d];
        own->before[d] = numbers[RANK + d];
        own->behind[d] = numbers[2 * RANK + d];
        own->whole[d] = own->dim[d] + own->before[d] + own->behind[d];
        count *= (size_t)own->dim[d];
        own->lab.elements *= (uint64_t)own->whole[d];
    }
    own->lab.floats = true;
    own->lab.output_bytes = own->lab.elements * sizeof(float);
    own->lab.moved_bytes = own->lab.output_bytes + count * sizeof(float);
    own->lab.output = lab_take(own->lab.output_bytes, offset);
    own->to = (float *)(void *)own->lab.output;
    own->from = lab_take(count * sizeof(float), offset);
    random_seed(&random, count);
    lab_fill_floats(&random, own->from, count);
    snprintf(own->lab.name, sizeof own->lab.name, "%dx%dx%dx%d to %dx%dx%dx%d", (int)own->dim[0],
             (int)own->dim[1], (int)own->dim[2], (int)own->dim[3], (int)own->whole[0],
             (int)own->whole[1], (int)own->whole[2], (int)own->whole[3]);
    compile(own);
}

static void close_problem(struct pad_problem *own)
{
    lab_node_end(&own->node);
    lab_give(own->from);
    lab_give(own->lab.output);
}

int main(int argc, char **argv)
{
    struct lab lab = lab_begin("pad", steps, sizeof steps / sizeof *steps, argc, argv);
    struct pad_problem own;
    struct random_state random;
    random_seed(&random, 1);
    for (int i = 0; i < 200; i++) {
        int64_t numbers[3 * RANK];
        for (int d = 0; d < 3 * RANK; d++)
            numbers[d] = (int64_t)(random_next_u64(&random) % (d < RANK ? 9 : 4)) + (d < RANK);
        for (int d = RANK; d < 3 * RANK; d++) /* as often not at all in a dimension */
            numbers[d] *= (int64_t)(random_next_u64(&random) % 2);
        numbers[RANK] += 1; /* a Pad by nothing is dropped */
        open_problem(&own, numbers, (size_t)i % 4 * sizeof(float));
        lab_check(&lab, &own.lab);
        close_problem(&own);
    }
    /* twinlitenet's two, rows of pixels; fastestdet's, channels last. */
    static const int64_t real[][3 * RANK] = {
        { 1, 3, 360, 640, 0, 0, 1, 1, 0, 0, 1, 1 },
        { 1, 3, 180, 320, 0, 0, 1, 1, 0, 0, 1, 1 },
        { 1, 44, 44, 48, 0, 1, 1, 0, 0, 1, 1, 0 },
    };
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        open_problem(&own, real[i], 0);
        lab_check(&lab, &own.lab);
        lab_time(&lab, &own.lab);
        close_problem(&own);
    }
    return lab_end(&lab);
}
