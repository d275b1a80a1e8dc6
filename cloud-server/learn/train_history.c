/* train_history: both files are written anew each time, whole or not at all. */
#include "learn/train_history.h"

#include "base/file.h"
#include "evaluate/plot.h"
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#define ROWS_FIRST 64u

struct path {
    char text[PATH_MAX];
};

static struct path path_of(const char *folder, const char *name)
{
    struct path path;
    snprintf(path.text, sizeof path.text, "%s/%s", folder, name);
    return path;
}

int train_history_add(struct train_history *history, const struct train_row *row, struct error *err)
{
    if (history->count == history->capacity) {
        size_t more = history->capacity ? 2 * history->capacity : ROWS_FIRST;
        struct train_row *rows = realloc(history->rows, more * sizeof *rows);
        if (!rows)
            return error_set(err, ERROR_MEMORY, "history", "no room for %zu rows", more);
        history->rows = rows;
        history->capacity = more;
    }
    history->rows[history->count++] = *row;
    return 0;
}

static int write_csv(const struct train_history *history, const char *folder,
                     const char *const names[2], struct error *err)
{
    struct text text = { 0 };
    text_add_str(&text, "step,loss,rate");
    for (size_t f = 0; f < 2 && names[f]; f++)
        text_printf(&text, ",%s", names[f]);
    text_add_str(&text, "\n");
    for (size_t i = 0; i < history->count; i++) {
        const struct train_row *row = &history->rows[i];
        text_printf(&text, "%llu,", (unsigned long long)row->step);
        if (isfinite(row->loss))
            text_printf(&text, "%.6g,%.6g", row->loss, row->rate);
        else
            text_add_str(&text, ",");
        for (size_t f = 0; f < 2 && names[f]; f++) {
            text_add_str(&text, ",");
            if (isfinite(row->figures[f]))
                text_printf(&text, "%.4f", row->figures[f]);
        }
        text_add_str(&text, "\n");
    }
    int rc = file_write_text(path_of(folder, "history.csv").text, &text, err);
    text_finish(&text);
    return rc;
}

static double loss_of(const struct train_row *row, size_t unused)
{
    (void)unused;
    return row->loss;
}

static double figure_of(const struct train_row *row, size_t figure)
{
    return row->figures[figure];
}

/* One line over the steps: losses and figures have no scale in common. */
static int write_plot(const struct train_history *history, struct path path, const char *what,
                      double (*value)(const struct train_row *row, size_t figure), size_t figure,
                      struct error *err)
{
    double *steps = malloc(2 * history->count * sizeof *steps);
    bool any = false;
    if (!steps)
        return error_set(err, ERROR_MEMORY, "history", "no room for a plot");
    double *values = steps + history->count;
    for (size_t i = 0; i < history->count; i++) {
        steps[i] = (double)history->rows[i].step;
        values[i] = value(&history->rows[i], figure);
        any |= isfinite(values[i]) != 0;
    }
    const struct plot_series line = {
        .name = what, .x = steps, .y = values, .count = history->count, .style = PLOT_LINE_AND_POINTS
    };
    const struct plot plot = {
        .title = "training", .x_label = "step", .y_label = what, .series = &line, .series_count = 1
    };
    int rc = any ? plot_save(&plot, path.text, err) : 0;
    free(steps);
    return rc;
}

int train_history_write(const struct train_history *history, const char *folder,
                        const char *const names[2], struct error *err)
{
    if (history->count == 0)
        return 0;
    int rc = write_csv(history, folder, names, err);
    if (rc == 0)
        rc = write_plot(history, path_of(folder, "history.svg"), "loss", loss_of, 0, err);
    for (size_t f = 0; rc == 0 && f < 2 && names[f]; f++) {
        char file[64];
        snprintf(file, sizeof file, "%.32s.svg", names[f]);
        rc = write_plot(history, path_of(folder, file), names[f], figure_of, f, err);
    }
    return rc;
}

void train_history_finish(struct train_history *history)
{
    free(history->rows);
    *history = (struct train_history){ 0 };
}
