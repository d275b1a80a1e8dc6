/* tail_plots: what probes said over time, and the bitrate over the same time, as SVG. Two plots, as
 * accuracy and bitrate have no scale in common. */
#ifndef RUNESPOOR_CONTROL_TAIL_PLOTS_H
#define RUNESPOOR_CONTROL_TAIL_PLOTS_H

#include "control/tail_lines.h"

#define TAIL_PLOTS_STEPS_MAX 10000u

struct tail_plots_config {
    const char *folder; /* made where missing */
    uint32_t window_s;  /* each point is of the probes of so many seconds before it */
    uint32_t step_s;    /* between two points; 0: a hundredth of what there is */
};

/* FOLDER/STREAM-bitrate.svg and, where anything is known, FOLDER/STREAM-tail.svg: the figures of the setting
 * of the last probe before each point, made by tail_window.h's windows as the server makes them (but all
 * probes of the time are in them, up to TAIL_WINDOW_PROBES_MAX). Lines have a gap where the setting changes
 * and where nothing is known. The stream's probes are sorted (tail_lines_sort). Prints the files' names. */
int tail_plots_draw(const struct tail_stream *stream, const struct tail_plots_config *config,
                    struct error *err);

#endif
