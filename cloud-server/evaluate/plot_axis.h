/* plot_axis: the range of an axis and where its ticks stand. For plot*.c only. */
#ifndef RUNESPOOR_EVALUATE_PLOT_AXIS_H
#define RUNESPOOR_EVALUATE_PLOT_AXIS_H

#include <stdbool.h>
#include <stddef.h>

#define AXIS_TICKS_MAX 32u

struct axis {
    double low, high; /* finite, low < high once widened; above 0 where log */
    bool log;
};

/* A range of one value, or of values too near to be told apart, gets some width. */
void axis_widen(struct axis *axis);
/* Extends an even axis to its next ticks. */
void axis_round(struct axis *axis);
/* Gives the number of ticks, upwards. */
size_t axis_ticks(const struct axis *axis, double ticks[AXIS_TICKS_MAX]);
/* Where a value stands: 0 at low, 1 at high. */
double axis_share(const struct axis *axis, double value);

#endif
