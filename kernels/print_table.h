/* print_table: a plan as a table of steps, the same for every back end: what each step computes, and,
 * where it was timed, how that compares with the least time that the device needs for it. */
#ifndef RUNESPOOR_KERNELS_PRINT_TABLE_H
#define RUNESPOOR_KERNELS_PRINT_TABLE_H

#include "device.h"
#include <stdio.h>

/* A line. What it points to is borrowed. */
struct table_step {
    const char *op, *implementation, *name;
    const struct shape *shape;
    enum tensor_type type;
    uint64_t flop;            /* multiply-adds times two */
    uint64_t bytes;           /* that it must read and write */
    double time_ns;           /* that it took; 0: not measured */
    double flop_ns, bytes_ns; /* the least for its arithmetic and for moving its data, at the device's
                                peak; 0: not known */
};

/* The lines, their names above and their sum below. timed: whether times were measured. */
void table_print(const struct plan *plan, const struct table_step *steps, int count, bool timed,
                 FILE *out);

/* How fast a copy is that reads and writes so many bytes together. */
struct peak_copy {
    uint64_t bytes;
    double gbps; /* 0: not measured */
};

/* " 20, 18 GB/s in copies of 1, 4 MiB" of those that were measured. */
void table_print_copies(const struct peak_copy *copies, int count, FILE *out);
/* The least time to move so many bytes: that of the fastest copy which moves at least as many, or of the
 * largest one. What a small step needs may still be in the caches from the step before, and so is what
 * a small copy needs. copies: the smallest first. 0 where none was measured. */
double peak_copies_ns(const struct peak_copy *copies, int count, uint64_t bytes);

#endif
