/* peak: what this processor can do at best, measured, so that a plan can say how far there is to go. */
#ifndef RUNESPOOR_CPU_PEAK_H
#define RUNESPOOR_CPU_PEAK_H

#include "cpu/plan.h"
#include "print_table.h"

#define CPU_PEAK_COPIES 5

struct cpu_peak {
    double f32_gflops, bf16_gflops; /* bf16: 0 where the processor has none */
    struct peak_copy copies[CPU_PEAK_COPIES];
};

/* On all threads of the device; takes about a second, at most two. Neighbours on the same cores can
 * make it too low: each number is the best of many short tries. */
int cpu_peak_measure(const struct cpu_device *device, struct cpu_peak *peak, struct error *err);

/* The arithmetic of a precision alone (device_measure_peak). */
int cpu_peak_gflops(struct device *device, enum precision precision, double *gflops,
                    struct error *err);

/* The least time that so much work takes: that of its arithmetic, and that of moving its data
 * (peak_copies_ns). */
double cpu_peak_flop_ns(const struct cpu_peak *peak, enum tensor_type type, uint64_t flop);
double cpu_peak_bytes_ns(const struct cpu_peak *peak, uint64_t bytes);

#endif
