/* peak: what this GPU can do at best, measured, so that a plan can say how far there is to go. */
#ifndef RUNESPOOR_CUDA_PEAK_H
#define RUNESPOOR_CUDA_PEAK_H

#include "cuda/launch.h"
#include "cuda/view.h"

/* What a thread copies at a time: as much as one instruction moves. */
struct peak_block {
    uint32_t parts[4];
} __attribute__((aligned(16)));

struct peak_copy_args {
    const struct peak_block *from;
    struct peak_block *to;
};

/* count: blocks. */
LAUNCHER void peak_copy_each(const struct peak_copy_args *args, int64_t count, void *stream);
/* Numbers from -1 to 1, of 512 steps, so that every type holds them; args: without gaps, only data and
 * type are looked at. */
LAUNCHER void peak_fill_each(const struct view *args, int64_t count, void *stream);

#ifndef __cplusplus
#include "cuda/plan.h"
#include "print_table.h"

#define CUDA_PEAK_COPIES 5

struct cuda_peak {
    /* Of matrix products by precision, by the library; 0 where it has none. */
    double gflops[PRECISION_F16 + 1];
    /* Inside device memory, by the own kernel or by the runtime, whichever is faster; those that the
     * memory has no room for are 0. */
    struct peak_copy copies[CUDA_PEAK_COPIES];
    double kernel_gbps, runtime_gbps; /* of the largest copy */
};

/* Takes about a second. Each number is the best of some tries. */
int cuda_peak_measure(const struct cuda_device *device, struct cuda_peak *peak, struct error *err);

/* The least time for so much arithmetic on operands of that type in a plan of that precision. 0 where
 * it is not known. */
double cuda_peak_flop_ns(const struct cuda_peak *peak, enum precision precision,
                         enum tensor_type type, uint64_t flop);
#endif

#endif
