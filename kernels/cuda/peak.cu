/* peak: the plainest copy, and content for matrix products. */
#include "cuda/peak.h"

CUDA_FN void peak_copy_at(const struct peak_copy_args *args, int64_t i)
{
    args->to[i] = args->from[i];
}

/* A hash of the index (the finaliser of MurmurHash3, by Austin Appleby, public domain): products of
 * equal numbers switch fewer bits than those of work do, and a GPU then clocks higher. */
CUDA_FN void peak_fill_at(const struct view *args, int64_t i)
{
    uint32_t bits = (uint32_t)i;
    bits = (bits ^ bits >> 16) * 0x85ebca6bu;
    bits = (bits ^ bits >> 13) * 0xc2b2ae35u;
    bits ^= bits >> 16;
    element_store(args->data, args->type, i, (float)(int)(bits & 511) / 256 - 1);
}

EACH_KERNEL(peak_copy_each, struct peak_copy_args, peak_copy_at)
EACH_KERNEL(peak_fill_each, struct view, peak_fill_at)
