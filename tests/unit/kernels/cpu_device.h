/* cpu_device: the cpu device with two threads, open while a program's tests run.
 *
 *     return cmocka_run_group_tests(tests, open_device, close_device);
 */
#ifndef RUNESPOOR_TESTS_CPU_DEVICE_H
#define RUNESPOOR_TESTS_CPU_DEVICE_H

#include "cpu_check.h"

static struct device *device;

static inline int open_device(void **state)
{
    (void)state;
    struct error err;
    return device_open(&device, "cpu:threads=2", &err);
}

static inline int close_device(void **state)
{
    (void)state;
    device_close(&device);
    return 0;
}

#endif
