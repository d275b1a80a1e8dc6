/* kernel_step: steps that are one launch. What a kernel is given is kept as it is; the data of places,
 * which is only known when a step runs, is put into it then. */
#ifndef RUNESPOOR_CUDA_KERNEL_STEP_H
#define RUNESPOOR_CUDA_KERNEL_STEP_H

#include "cuda/build.h"

#define KERNEL_PLACES_MAX 16

/* Where in args an address goes: that of the place's data, or of what lies behind it. */
struct kernel_slot {
    size_t at;
    int64_t behind_bytes;
};

struct kernel_step {
    void (*launch)(const void *args, void *stream);
    const void *args;
    size_t args_bytes;
    struct cuda_place *places[KERNEL_PLACES_MAX];
    struct kernel_slot slots[KERNEL_PLACES_MAX];
    int read_count, count;
};

/* args is borrowed until kernel_add. */
struct kernel_step kernel_begin(void (*launch)(const void *args, void *stream), const void *args,
                                size_t args_bytes);
/* slot: offsetof the pointer. First all that is read, then what is written. place NULL: nothing is
 * done, the pointer stays NULL. */
void kernel_read(struct kernel_step *step, struct cuda_place *place, size_t slot);
/* The address of what lies so many bytes behind the beginning of the place. */
void kernel_read_behind(struct kernel_step *step, struct cuda_place *place, int64_t behind_bytes,
                        size_t slot);
void kernel_write(struct kernel_step *step, struct cuda_place *place, size_t slot);
int kernel_add(struct cuda_build *build, const struct kernel_step *step, const char *implementation,
               struct error *err);

#endif
