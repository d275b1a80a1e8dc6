/* broadcast: to = left - right, where either may have one element for many of the other. oneDNN has
 * only its reference code for [N,1,C] - [N,1,1], of which lstr_lane's layer norms consist, and none
 * where both sides broadcast. Three dimensions, row-major.
 *
 *   plain        asks for each element of the output, by its coordinates, for its two
 *   strides      walks along, adding strides: no divisions
 *   rows         a loop over each row, for neighbours and for one number against them; its length is
 *                not known, so gcc leaves it as it is at -O2
 *   blocks       16 at a time by way of the stack, as output and sides may share memory
 *   rows at -O3  the loops of `rows` in vectors: production (cpu/broadcast.c)
 *   avx2         eight in an instruction, by hand
 *
 * AMD EPYC (Zen 4, family 25 model 17), one core, gcc 12 -O2, 2026-11-21:
 *
 *                 240 rows of 32                       2048 rows of 256
 *   plain         43.7 us   1.4 GB/s    1 % of a copy  3009 us   1.4 GB/s    1 %
 *   strides       10.3 us   6.0 GB/s    5 %             473 us   8.9 GB/s    9 %
 *   rows           2.8 us  22.2 GB/s   19 %             147 us  28.5 GB/s   29 %
 *   blocks         2.9 us  21.2 GB/s   18 %             162 us  25.9 GB/s   27 %
 *   rows at -O3    1.2 us  54.2 GB/s   47 %              51 us  83.2 GB/s   85 %
 *   avx2           1.2 us  52.9 GB/s   46 %              44 us  95.6 GB/s   98 %
 */
#include "lab.h"
#include "node.h"

#define RANK 3
#define BLOCK 16

struct broadcast_problem {
    struct lab_problem lab;
    struct lab_node node;
    float *left, *right, *to;
    int64_t dim[RANK], left_stride[RANK], right_stride[RANK]; /* 0 where one is for many */
};

static void run_plain(const void *problem)
{
    const struct broadcast_problem *own = problem;
    for (uint64_t i = 0; i < own->lab.elements; i++) {
        int64_t rest = (int64_t)i, left = 0, right = 0;
        for (int d = RANK - 1; d >= 0; d--) {
            left += rest % own->dim[d] * own->left_stride[d];
            right += rest % own->dim[d] * own->right_stride[d];
            rest /= own->dim[d];
        }
        own->to[i] = own->left[left] - own->right[right];
    }
}

static void run_strides(const void *problem)
{
    const struct broadcast_problem *own = problem;
    const float *left = own->left, *right = own->right;
    float *to = own->to;
    int64_t index[RANK] = { 0 };
    for (bool more = true; more;) {
        *to++ = *left - *right;
        more = false;
        for (int d = RANK - 1; d >= 0 && !more; d--) {
            more = ++index[d] < own->dim[d];
            left += more ? own->left_stride[d] : -own->left_stride[d] * (own->dim[d] - 1);
            right += more ? own->right_stride[d] : -own->right_stride[d] * (own->dim[d] - 1);
            index[d] = more ? index[d] : 0;
        }
    }
}

typedef void row_fn(const float *left, int64_t left_step, const float *right, int64_t right_step,
                    float *to, int64_t count);

static inline void run_rows(const void *problem, row_fn *row)
{
    const struct broadcast_problem *own = problem;
    float *to = own->to;
    for (int64_t a = 0; a < own->dim[0]; a++)
        for (int64_t b = 0; b < own->dim[1]; b++, to += own->dim[2])
            row(own->left + a * own->left_stride[0] + b * own->left_stride[1], own->left_stride[2],
                own->right + a * own->right_stride[0] + b * own->right_stride[1],
                own->right_stride[2], to, own->dim[2]);
}

static void row_scalar(const float *left, int64_t left_step, const float *right, int64_t right_step,
                       float *to, int64_t count)
{
    float first = right[0];
    if (left_step == 1 && right_step == 1)
        for (int64_t i = 0; i < count; i++)
            to[i] = left[i] - right[i];
    else if (left_step == 1)
        for (int64_t i = 0; i < count; i++)
            to[i] = left[i] - first;
    else
        for (int64_t i = 0; i < count; i++)
            to[i] = left[i * left_step] - right[i * right_step];
}

static void run_scalar(const void *problem)
{
    run_rows(problem, row_scalar);
}

static inline void load_block(float block[BLOCK], const float *from, int64_t step)
{
    if (step)
        memcpy(block, from, BLOCK * sizeof *block);
    else
        for (int i = 0; i < BLOCK; i++)
            block[i] = *from;
}

static void row_blocks(const float *left, int64_t left_step, const float *right, int64_t right_step,
                       float *to, int64_t count)
{
    int64_t at = 0;
    for (; at + BLOCK <= count; at += BLOCK) {
        float x[BLOCK], y[BLOCK];
        load_block(x, left + at * left_step, left_step);
        load_block(y, right + at * right_step, right_step);
        for (int i = 0; i < BLOCK; i++)
            x[i] -= y[i];
        memcpy(to + at, x, sizeof x);
    }
    for (; at < count; at++)
        to[at] = left[at * left_step] - right[at * right_step];
}

static void run_blocks(const void *problem)
{
    run_rows(problem, row_blocks);
}

static void run_production(const void *problem)
{
    const struct broadcast_problem *own = problem;
    lab_node_run(&own->node, (void *[]){ own->left, own->right, own->to }, 3);
}

#if LAB_X86

/* many: whether the side has neighbours; a constant where this is called. */
__attribute__((target("avx2"), always_inline)) static inline void row_avx2_of(
    const float *left, bool left_many, const float *right, bool right_many, float *to, int64_t count)
{
    __m256 left_first = _mm256_set1_ps(*left), right_first = _mm256_set1_ps(*right);
    int64_t at = 0;
    for (; at + 8 <= count; at += 8) {
        __m256 x = left_many ? _mm256_loadu_ps(left + at) : left_first;
        __m256 y = right_many ? _mm256_loadu_ps(right + at) : right_first;
        _mm256_storeu_ps(to + at, _mm256_sub_ps(x, y));
    }
    for (; at < count; at++)
        to[at] = left[left_many ? at : 0] - right[right_many ? at : 0];
}

__attribute__((target("avx2"))) static void row_avx2(const float *left, int64_t left_step,
                                                     const float *right, int64_t right_step,
                                                     float *to, int64_t count)
{
    if (left_step && right_step)
        row_avx2_of(left, true, right, true, to, count);
    else if (left_step)
        row_avx2_of(left, true, right, false, to, count);
    else
        row_avx2_of(left, false, right, right_step, to, count);
}

static void run_avx2(const void *problem)
{
    run_rows(problem, row_avx2);
}

#endif

static const struct lab_step steps[] = {
    { "plain", run_plain, LAB_ANY, 0 },
    { "strides", run_strides, LAB_ANY, 0 },
    { "rows", run_scalar, LAB_ANY, 0 },
    { "blocks", run_blocks, LAB_ANY, 0 },
    { "rows at -O3 (production)", run_production, LAB_ANY, 0 },
#if LAB_X86
    { "avx2", run_avx2, LAB_AVX2, 0 },
#endif
};

/* The shape of a side: one where `many` has no bit for the dimension. Sets strides; gives elements. */
static size_t shape_side(const struct broadcast_problem *own, unsigned many, struct shape *shape,
                         int64_t stride[RANK])
{
    size_t count = 1;
    shape->rank = RANK;
    for (int d = RANK - 1; d >= 0; d--) {
        shape->dim[d] = many >> d & 1 ? own->dim[d] : 1;
        stride[d] = shape->dim[d] == 1 ? 0 : (int64_t)count;
        count *= (size_t)shape->dim[d];
    }
    return count;
}

/* left, right: bit d is set where the side has all of dimension d. */
static void open_problem(struct broadcast_problem *own, const int64_t dim[RANK], unsigned left,
                         unsigned right, size_t offset)
{
    struct random_state random;
    struct shape left_shape, right_shape;
    *own = (struct broadcast_problem){ .lab = { .elements = 1, .floats = true } };
    for (int d = 0; d < RANK; d++) {
        own->dim[d] = dim[d];
        own->lab.elements *= (uint64_t)dim[d];
    }
    size_t left_count = shape_side(own, left, &left_shape, own->left_stride);
    size_t right_count = shape_side(own, right, &right_shape, own->right_stride);
    own->lab.output_bytes = own->lab.elements * sizeof(float);
    own->lab.moved_bytes = own->lab.output_bytes + (left_count + right_count) * sizeof(float);
    own->lab.output = lab_take(own->lab.output_bytes, offset);
    own->to = (float *)(void *)own->lab.output;
    own->left = lab_take(left_count * sizeof(float), offset);
    own->right = lab_take(right_count * sizeof(float), offset / 2 / sizeof(float) * sizeof(float));
    random_seed(&random, left_count + right_count);
    lab_fill_floats(&random, own->left, left_count);
    lab_fill_floats(&random, own->right, right_count);
    char left_text[24], right_text[24];
    shape_format(&left_shape, left_text, sizeof left_text);
    shape_format(&right_shape, right_text, sizeof right_text);
    snprintf(own->lab.name, sizeof own->lab.name, "%s - %s", left_text, right_text);
    lab_node_begin(&own->node);
    int inputs[] = { lab_node_input(&own->node, &left_shape),
                     lab_node_input(&own->node, &right_shape) };
    lab_node_compile(&own->node, "Sub", inputs, 2, "broadcast");
    assert(own->node.step);
}

static void close_problem(struct broadcast_problem *own)
{
    lab_node_end(&own->node);
    lab_give(own->left);
    lab_give(own->right);
    lab_give(own->lab.output);
}

int main(int argc, char **argv)
{
    struct lab lab = lab_begin("broadcast", steps, sizeof steps / sizeof *steps, argc, argv);
    struct broadcast_problem own;
    /* Sides as bits of the dimensions 0, 1, 2 that they have. oneDNN has no fast code for any. */
    static const unsigned sides[][2] = { { 7, 1 }, { 3, 4 }, { 5, 3 }, { 1, 6 }, { 6, 7 }, { 3, 7 } };
    for (int64_t columns = 2; columns < 70; columns += 1 + columns / 20)
        for (size_t s = 0; s < sizeof sides / sizeof *sides; s++) {
            const int64_t dim[] = { 2 + columns % 3, 2 + columns % 5, columns };
            open_problem(&own, dim, sides[s][0], sides[s][1], s * sizeof(float));
            lab_check(&lab, &own.lab);
            close_problem(&own);
        }
    /* lstr_lane's layer norms and its positions; what larger transformers have. */
    static const int64_t real[][RANK] = { { 240, 1, 32 }, { 2048, 1, 256 } };
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        open_problem(&own, real[i], 7, 3, 0);
        lab_check(&lab, &own.lab);
        lab_time(&lab, &own.lab);
        close_problem(&own);
    }
    return lab_end(&lab);
}
