/* kernel_step: steps that are one launch. What a kernel is given is kept as it is; the data of places,
 * which is only known when a step runs, is put into it then. */
#ifndef RUNESPOOR_CUDA_KERNEL_STEP_H
#define RUNESPOOR_CUDA_KERNEL_STEP_H

#include "cuda/build.h"

#define KERNEL_PLACES_MAX 16

struct kernel_step {
    void (*launch)(const void *args, void *stream);
    const void *args;
    size_t args_bytes;
    struct cuda_place *places[KERNEL_PLACES_MAX];
    size_t slots[KERNEL_PLACES_MAX]; /* where in args their data's address goes */
    int read_count, count;
};

/* args is borrowed until kernel_add. */
struct kernel_step kernel_begin(void (*launch)(const void *args, void *stream), const void *args,
                                size_t args_bytes);
/* slot: offsetof the pointer. First all that is read, then what is written. place NULL: nothing is
 * done, the pointer stays NULL. */
void kernel_read(struct kernel_step *step, struct cuda_place *place, size_t slot);
void kernel_write(struct kernel_step *step, struct cuda_place *place, size_t slot);
int kernel_add(struct cuda_build *build, const struct kernel_step *step, const char *implementation,
               struct error *err);

#endif
