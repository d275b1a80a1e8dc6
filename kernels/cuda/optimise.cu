/* optimise: memory is what all of this waits for: each number is read and written once. */
#ifdef __CUDACC__
#define OPTIMISE_FN static __device__ __forceinline__
#endif
#include "cuda/optimise.h"

struct optimise_nothing {
    int32_t nothing;
};

/* The part that a block belongs to: the last one that begins no later. */
CUDA_FN const struct optimise_part *optimise_part_of(const struct optimise_parts *parts, int64_t block)
{
    int low = 0, high = parts->count - 1;
    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (parts->part[middle].first_block <= block)
            low = middle;
        else
            high = middle - 1;
    }
    return &parts->part[low];
}

CUDA_FN int64_t optimise_first(const struct optimise_part *part, int64_t block)
{
    return (block - part->first_block) * OPTIMISE_CHUNK;
}
CUDA_FN int64_t optimise_end(const struct optimise_part *part, int64_t block)
{
    int64_t end = optimise_first(part, block) + OPTIMISE_CHUNK;
    return end < part->count ? end : part->count;
}

/* ---- steps ---- */

CUDA_FN void optimise_keep(const struct optimise_part *part, int state, int64_t i, float number)
{
    if (part->after[state])
        part->after[state][i] = number;
}

CUDA_FN void optimise_sgd(const struct optimise *args, const struct optimise_part *part, int64_t i,
                          float gradient)
{
    float w = part->before[0][i], rate = args->rate ? *args->rate : 0;
    float slope = gradient + args->weight_decay * w;
    float velocity = args->momentum * part->before[1][i] + slope;
    optimise_keep(part, 0, i,
                  w - rate * (args->nesterov ? slope + args->momentum * velocity : velocity));
    optimise_keep(part, 1, i, velocity);
}

CUDA_FN void optimise_adam(const struct optimise *args, const struct optimise_part *part, int64_t i,
                           float gradient)
{
    const struct optimise_now *now = args->now;
    float w = part->before[0][i];
    float slope = gradient + now->decay * w;
    float m = args->beta1 * part->before[1][i] + args->fresh1 * slope;
    float v = args->beta2 * part->before[2][i] + args->fresh2 * slope * slope;
    optimise_keep(part, 0, i, now->keep * w - now->rate * m / (sqrtf(v) * now->root + args->epsilon));
    optimise_keep(part, 1, i, m);
    optimise_keep(part, 2, i, v);
}

CUDA_FN int optimise_stages(const struct optimise *args)
{
    (void)args;
    return 1;
}

CUDA_FN void optimise_stage(const struct optimise *args, int64_t block, int thread, int stage,
                            struct optimise_nothing *shared, struct optimise_nothing *own)
{
    const struct optimise_part *part = optimise_part_of(&args->parts, block);
    int64_t end = optimise_end(part, block);
    float scale = args->scale ? *args->scale : 1;
    (void)stage, (void)shared, (void)own;
    for (int64_t i = optimise_first(part, block) + thread; i < end; i += LAUNCH_THREADS) {
        float fresh = view_load(&part->fresh, i);
        if (args->kind == OPTIMISE_SGD)
            optimise_sgd(args, part, i, fresh * scale);
        else if (args->kind == OPTIMISE_ADAM)
            optimise_adam(args, part, i, fresh * scale);
        else
            optimise_keep(part, 0, i, args->keep * part->before[0][i] + args->fresh * fresh);
    }
}

CUDA_FN int copy_stages(const struct optimise_copies *args)
{
    (void)args;
    return 1;
}

CUDA_FN void copy_stage(const struct optimise_copies *args, int64_t block, int thread, int stage,
                        struct optimise_nothing *shared, struct optimise_nothing *own)
{
    const struct optimise_part *part = optimise_part_of(&args->parts, block);
    int64_t end = optimise_end(part, block);
    (void)stage, (void)shared, (void)own;
    for (int64_t i = optimise_first(part, block) + thread; i < end; i += LAUNCH_THREADS)
        element_store(part->after[0], args->type, i, view_load(&part->fresh, i));
}

CUDA_FN void adam_prepare_at(const struct adam_prepare *args, int64_t i)
{
    struct adam_step now;
    adam_step(&args->adam, args->step ? (double)*args->step : 1,
              args->rate ? (double)*args->rate : 0, &now);
    args->now[i].keep = (float)now.keep;
    args->now[i].decay = (float)now.decay;
    args->now[i].rate = (float)now.rate;
    args->now[i].root = (float)now.root;
}

/* ---- sums of squares ---- */

struct squares_shared {
    double sums[LAUNCH_THREADS];
};

/* One to sum up, and one for each half that is added to the other. */
CUDA_FN int squares_stages(const struct squares *args)
{
    int stages = 1;
    (void)args;
    for (int threads = LAUNCH_THREADS; threads > 1; threads /= 2)
        stages++;
    return stages;
}

CUDA_FN void squares_stage(const struct squares *args, int64_t block, int thread, int stage,
                           struct squares_shared *shared, struct optimise_nothing *own)
{
    const struct optimise_part *part = optimise_part_of(&args->parts, block);
    int half = LAUNCH_THREADS >> stage;
    (void)own;
    if (stage == 0) {
        int64_t end = optimise_end(part, block);
        double sum = 0;
        for (int64_t i = optimise_first(part, block) + thread; i < end; i += LAUNCH_THREADS) {
            double number = (double)view_load(&part->fresh, i);
            sum += number * number;
        }
        shared->sums[thread] = sum;
    } else if (thread < half) {
        shared->sums[thread] += shared->sums[thread + half];
    }
    if (half == 1 && thread == 0)
        args->sums[block] = shared->sums[0];
}

struct squares_sum {
    double sum;
};

CUDA_FN void squares_lane(const struct squares_totals *args, int64_t row, int lane, int lanes,
                          struct squares_sum *sum)
{
    const struct squares_total *total = &args->total[row];
    sum->sum = 0;
    for (int64_t i = lane; i < total->count; i += lanes)
        sum->sum += args->sums[total->first + i];
}

CUDA_FN void squares_merge(struct squares_sum *sum, const struct squares_sum *other)
{
    sum->sum += other->sum;
}

CUDA_FN void squares_finish(const struct squares_totals *args, int64_t row, int lane, int lanes,
                            const struct squares_sum *sum)
{
    (void)lanes;
    if (lane == 0)
        *args->total[row].to = (float)sum->sum;
}

CUDA_FN void clip_factor_at(const struct clip *args, int64_t i)
{
    double squares = 0;
    for (int k = 0; k < args->count; k++)
        squares += (double)*args->sums[k];
    args->to[i] = (float)clip_factor(squares, (double)args->max_norm);
}

STAGED_KERNEL(optimise_all, struct optimise, struct optimise_nothing, struct optimise_nothing,
              optimise_stages, optimise_stage)
STAGED_KERNEL(optimise_copy_all, struct optimise_copies, struct optimise_nothing,
              struct optimise_nothing, copy_stages, copy_stage)
EACH_KERNEL(adam_prepare_each, struct adam_prepare, adam_prepare_at)
STAGED_KERNEL(squares_chunks, struct squares, struct squares_shared, struct optimise_nothing,
              squares_stages, squares_stage)
ROWS_KERNEL(squares_totals_rows, struct squares_totals, struct squares_sum, squares_lane,
            squares_merge, squares_finish)
EACH_KERNEL(clip_factor_each, struct clip, clip_factor_at)
