/* plot: a line chart as SVG, readable on white in any browser: accuracy over bitrate, losses over
 * steps. */
#ifndef RUNESPOOR_EVALUATE_PLOT_H
#define RUNESPOOR_EVALUATE_PLOT_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define PLOT_SERIES_MAX 24u        /* more cannot be told apart */
#define PLOT_POINTS_MAX (1u << 20) /* of all series together; some 16 MB of SVG */

enum plot_style { PLOT_LINE, PLOT_POINTS, PLOT_LINE_AND_POINTS };

struct plot_series {
    const char *name; /* any UTF-8 text; in the legend */
    const double *x, *y;
    size_t count;
    enum plot_style style; /* lines join points as they come; one that is not finite is a gap */
};

struct plot {
    const char *title, *x_label, *y_label;
    bool x_log;
    const struct plot_series *series;
    size_t series_count;
};

/* Refuses a plot without any point, and x that is not above 0 on a logarithmic axis. */
int plot_write(const struct plot *plot, FILE *file, struct error *err);
/* The same into a file, which is there whole or not at all. */
int plot_save(const struct plot *plot, const char *path, struct error *err);

#endif
