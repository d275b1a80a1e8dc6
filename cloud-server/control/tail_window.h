/* tail_window: the newest probes of one series, by time and by number, and the figures made of them; and
 * the windows of one stream, one for each setting: a stream that is sent, restored or analysed
 * differently has another accuracy, so probes of two settings are never looked at together.
 *
 * Times are microseconds since 1970, all of one clock. One thread (the loop's). */
#ifndef RUNESPOOR_CONTROL_TAIL_WINDOW_H
#define RUNESPOOR_CONTROL_TAIL_WINDOW_H

#include "base/error.h"
#include "control/tail_figures.h"
#include "net/wire.h"

#define TAIL_WINDOW_PROBES_MAX 100000u
#define TAIL_SERIES_MAX 8u

struct tail_window_config {
    uint32_t probes_max; /* 1..TAIL_WINDOW_PROBES_MAX: the oldest makes room */
    uint32_t seconds;    /* 1 or more: older ones are left out */
};

struct tail_window;

/* class_count: 1..SCORE_CLASSES_MAX. Takes room for probes_max at once, so that only the classes of a
 * sample are allocated later; memory is used up as it fills. */
int tail_window_open(struct tail_window **window, enum score_kind kind, uint32_t class_count,
                     const struct tail_window_config *config, struct error *err);
void tail_window_close(struct tail_window **window); /* takes NULL */

/* Adds a sample at its place in time; its classes are copied. Refuses (ERROR_FORMAT) what
 * tail_sample_check refuses; -ERROR_MEMORY. On error the window is as it was. */
int tail_window_add(struct tail_window *window, const struct tail_sample *sample, struct error *err);

/* Leaves out samples that were captured more than config.seconds before now. */
void tail_window_expire(struct tail_window *window, uint64_t now_unix_us);

/* Figures of what is in the window now (it expires first). They are made anew only where something has
 * changed since the last call. They hold until the window's next call. */
const struct tail_figures *tail_window_figures(struct tail_window *window, uint64_t now_unix_us);

/* What a series is of. Texts are UTF-8; restored is "" where nothing was. kind and class_count are the
 * model's. Answers held against another model's are another series, too. */
struct tail_setting {
    char rung[WIRE_LABEL_BYTES_MAX + 1];    /* "240x180 15 fps h264 108 kbit/s" */
    char restored[WIRE_TEXT_BYTES_MAX + 1]; /* "network x2" */
    char model[WIRE_NAME_BYTES_MAX + 1];    /* "street_det" */
    char golden[WIRE_NAME_BYTES_MAX + 1];   /* whose answers count as the truth */
    enum score_kind kind;
    uint32_t class_count;
};

bool tail_setting_equal(const struct tail_setting *a, const struct tail_setting *b);

struct tail_series;

int tail_series_open(struct tail_series **series, const struct tail_window_config *config,
                     struct error *err);
void tail_series_close(struct tail_series **series); /* takes NULL */

/* The window of a setting, made when new; of TAIL_SERIES_MAX others the one that was not asked for the
 * longest is closed for it. Belongs to the series; holds until the next call for a new setting. On error
 * nothing was made or closed. */
int tail_series_at(struct tail_series *series, const struct tail_setting *setting,
                   struct tail_window **window, struct error *err);

/* All windows, the one asked for last first: 0..count - 1. They hold as above. */
size_t tail_series_count(const struct tail_series *series);
const struct tail_setting *tail_series_setting(const struct tail_series *series, size_t index);
struct tail_window *tail_series_window(const struct tail_series *series, size_t index);

#endif
