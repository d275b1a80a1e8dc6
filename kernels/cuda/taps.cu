/* taps: neighbouring threads write neighbours in memory, and read them wherever the dimension that is
 * fastest there is not one that is summed along, or hardly moves along it. */
#include "cuda/taps.h"

/* Along the first axis. from: where position 0 is. */
CUDA_FN float taps_along(const struct taps *args, int64_t from, int64_t position)
{
    const struct taps_axis *axis = &args->axes[0];
    int32_t end = axis->first[position + 1];
    float sum = 0;
    for (int32_t k = axis->first[position]; k < end; k++)
        sum += axis->list[k].weight *
               element_load(args->from, args->from_type, from + axis->list[k].from * axis->step);
    return sum;
}

CUDA_FN float taps_across(const struct taps *args, const int64_t *at)
{
    const struct taps_axis *axis = &args->axes[1];
    int64_t position = at[TAPS_POSITIONS + 1];
    int32_t end = axis->first[position + 1];
    float sum = 0;
    for (int32_t k = axis->first[position]; k < end; k++)
        sum += axis->list[k].weight *
               taps_along(args, at[TAPS_FROM] + axis->list[k].from * axis->step, at[TAPS_POSITIONS]);
    return sum;
}

CUDA_FN void taps_at(const struct taps *args, int64_t i)
{
    int64_t at[TAPS_STEPS] = { 0 };
    uint32_t rest = (uint32_t)i;
    for (int d = args->rank - 1; d >= 0; d--) {
        uint32_t quotient = d > 0 ? rest / (uint32_t)args->dim[d] : 0;
        uint32_t index = rest - quotient * (uint32_t)args->dim[d];
        for (int k = 0; k < TAPS_STEPS; k++)
            at[k] += (int64_t)index * args->step[d][k];
        rest = quotient;
    }
    float sum;
    if (args->axis_count == 0)
        sum = element_load(args->from, args->from_type, at[TAPS_FROM]);
    else if (args->axis_count == 1)
        sum = taps_along(args, at[TAPS_FROM], at[TAPS_POSITIONS]);
    else
        sum = taps_across(args, at);
    element_store(args->to, args->to_type, at[TAPS_TO], sum);
}

EACH_KERNEL(taps_each, struct taps, taps_at)
