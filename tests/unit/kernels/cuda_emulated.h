/* cuda_emulated: the emulated GPU, open while a program's tests run.
 *
 *     return cmocka_run_group_tests(tests, open_emulated, close_emulated);
 */
#ifndef RUNESPOOR_TESTS_CUDA_EMULATED_H
#define RUNESPOOR_TESTS_CUDA_EMULATED_H

#include "cpu_check.h"
#include "cuda/cuda.h"

static struct device *device;

static inline int open_emulated(void **state)
{
    (void)state;
    struct error err;
    device_add_class(&cuda_class);
    return device_open(&device, "cuda", &err);
}

static inline int close_emulated(void **state)
{
    (void)state;
    device_close(&device);
    return 0;
}

#endif
