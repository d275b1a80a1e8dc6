/* taps: images in which every element is a weighted sum of elements of another: resizing, its gradient,
 * that of average pooling and of padding. Rows and columns each have a list of who is made of whom; a
 * gradient is the same list read the other way. */
#ifndef RUNESPOOR_CPU_TAPS_H
#define RUNESPOOR_CPU_TAPS_H

#include "cpu/build.h"

struct tap {
    int32_t to, from;
    double weight;
};

/* One dimension. Positions that nothing goes to are 0. */
struct taps {
    int64_t to_count, from_count; /* positions of the output and of the input */
    struct tap *list;             /* in any order; equal ones add up */
    int64_t count, capacity;
};

int taps_add(struct taps *taps, int64_t to, int64_t from, double weight, struct error *err);
void taps_free(struct taps *taps);

/* The node's first output as made of its first input, by rows and columns: f32 values of four
 * dimensions, the first two of them the same. Stored as the input is. */
int taps_add_step(struct build *build, const struct node *node, const char *implementation,
                  const struct taps *rows, const struct taps *columns, struct error *err);

#endif
