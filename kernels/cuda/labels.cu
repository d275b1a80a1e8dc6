/* labels: a block counts in its own memory and adds that to all others' at the end. A thread goes down its
 * block in strides and counts equal labels behind each other at once, as neighbours mostly are equal. */
#include "cuda/labels.h"

enum { LABEL_CLEAR, LABEL_COUNT, LABEL_ADD, LABEL_STAGES };

struct label_bins {
    int32_t bin[LABEL_BINS];
};

/* Equal ones that were not added to their bin yet. */
struct label_run {
    int32_t bin, length;
};

CUDA_FN void label_add(int32_t *to, int32_t count)
{
#ifdef __CUDACC__
    atomicAdd(to, count);
#else
    *to += count;
#endif
}

CUDA_FN void label_end_run(struct label_bins *bins, const struct label_run *run)
{
    if (run->length > 0)
        label_add(&bins->bin[run->bin], run->length);
}

CUDA_FN void label_count(struct label_bins *bins, struct label_run *run, int32_t bin)
{
    if (bin != run->bin) {
        label_end_run(bins, run);
        run->bin = bin;
        run->length = 0;
    }
    run->length++;
}

CUDA_FN void label_clear(struct label_bins *bins, int32_t count, int thread)
{
    for (int32_t i = thread; i < count; i += LAUNCH_THREADS)
        bins->bin[i] = 0;
}

CUDA_FN void label_add_all(const struct label_bins *bins, int32_t count, int thread, int32_t *to)
{
    for (int32_t i = thread; i < count; i += LAUNCH_THREADS)
        if (bins->bin[i] > 0)
            label_add(&to[i], bins->bin[i]);
}

/* ---- label_map ---- */

/* -1: no number, or none that is finite. */
CUDA_FN int32_t label_winner(const struct label_map *args, int64_t at)
{
    float best = element_load(args->scores.data, args->scores.type, at);
    int32_t winner = 0;
    for (int32_t p = 1; p < args->planes; p++) {
        float score = element_load(args->scores.data, args->scores.type, at + p * args->step);
        if (score > best) {
            best = score;
            winner = p;
        }
    }
    return best - best == 0 ? winner : -1; /* 0 for finite numbers alone */
}

CUDA_FN void label_positions(const struct label_map *args, int64_t image, int64_t first, int thread,
                             struct label_bins *bins)
{
    struct label_run run = { -1, 0 };
    for (int32_t k = thread; k < LABEL_POSITIONS && first + k < args->positions; k += LAUNCH_THREADS) {
        int64_t i = first + k;
        int32_t winner = label_winner(args, image * args->image + view_at(&args->scores, i));
        if (args->labels)
            args->labels[image * args->positions + i] =
                (uint8_t)(winner < 0 ? LABEL_NONE : args->names[winner]);
        if (args->counts && winner >= 0)
            label_count(bins, &run, winner);
    }
    label_end_run(bins, &run);
}

CUDA_FN int label_map_stages(const struct label_map *args)
{
    (void)args;
    return LABEL_STAGES;
}

struct label_own {
    int32_t nothing;
};

CUDA_FN void label_map_stage(const struct label_map *args, int64_t block, int thread, int stage,
                             struct label_bins *bins, struct label_own *own)
{
    int64_t image = block / args->chunks;
    (void)own;
    if (stage == LABEL_CLEAR)
        label_clear(bins, args->planes, thread);
    else if (stage == LABEL_COUNT)
        label_positions(args, image, block % args->chunks * LABEL_POSITIONS, thread, bins);
    else if (args->counts)
        label_add_all(bins, args->planes, thread, args->counts + image * args->planes);
}

STAGED_KERNEL(label_map_chunks, struct label_map, struct label_bins, struct label_own,
              label_map_stages, label_map_stage)

/* ---- confusion ---- */

CUDA_FN int confusion_stages(const struct confusion *args)
{
    (void)args;
    return LABEL_STAGES;
}

/* bin_first: of the slice that the block counts. */
CUDA_FN void confusion_positions(const struct confusion *args, int64_t first, int32_t bin_first,
                                 int thread, struct label_bins *bins)
{
    struct label_run run = { -1, 0 };
    for (int32_t k = thread; k < LABEL_POSITIONS && first + k < args->positions; k += LAUNCH_THREADS) {
        int32_t wanted = args->wanted[first + k], found = args->labels[first + k];
        int32_t column = found < args->classes ? found : args->classes;
        int32_t bin = wanted * (args->classes + 1) + column - bin_first;
        if (wanted < args->classes && bin >= 0 && bin < LABEL_BINS)
            label_count(bins, &run, bin);
    }
    label_end_run(bins, &run);
}

CUDA_FN void confusion_stage(const struct confusion *args, int64_t block, int thread, int stage,
                             struct label_bins *bins, struct label_own *own)
{
    int32_t bin_first = (int32_t)(block / args->chunks) * LABEL_BINS;
    int32_t count = args->classes * (args->classes + 1) - bin_first;
    (void)own;
    if (count > LABEL_BINS)
        count = LABEL_BINS;
    if (stage == LABEL_CLEAR)
        label_clear(bins, count, thread);
    else if (stage == LABEL_COUNT)
        confusion_positions(args, block % args->chunks * LABEL_POSITIONS, bin_first, thread, bins);
    else
        label_add_all(bins, count, thread, args->counts + bin_first);
}

STAGED_KERNEL(confusion_chunks, struct confusion, struct label_bins, struct label_own,
              confusion_stages, confusion_stage)
