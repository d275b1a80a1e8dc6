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

static int write_csv(const struct train_history *history, const char *folder, const char *accuracy,
                     struct error *err)
{
    struct text text = { 0 };
    text_printf(&text, "step,loss,rate,%s\n", accuracy);
    for (size_t i = 0; i < history->count; i++) {
        const struct train_row *row = &history->rows[i];
        text_printf(&text, "%llu,", (unsigned long long)row->step);
        if (isfinite(row->loss))
            text_printf(&text, "%.6g,%.6g,", row->loss, row->rate);
        else
            text_add_str(&text, ",,");
        if (isfinite(row->accuracy))
            text_printf(&text, "%.4f", row->accuracy);
        text_add_str(&text, "\n");
    }
    int rc = file_write_text(path_of(folder, "history.csv").text, &text, err);
    text_finish(&text);
    return rc;
}

/* One line over the steps: losses and accuracies have no scale in common. */
static int write_plot(const struct train_history *history, const char *folder, const char *file,
                      const char *what, bool losses, struct error *err)
{
    double *steps = malloc(2 * history->count * sizeof *steps), *values = steps + history->count;
    bool any = false;
    if (!steps)
        return error_set(err, ERROR_MEMORY, "history", "no room for a plot");
    for (size_t i = 0; i < history->count; i++) {
        const struct train_row *row = &history->rows[i];
        steps[i] = (double)row->step;
        values[i] = losses ? row->loss : row->accuracy;
        any |= isfinite(values[i]) != 0;
    }
    const struct plot_series line = {
        .name = what, .x = steps, .y = values, .count = history->count, .style = PLOT_LINE_AND_POINTS
    };
    const struct plot plot = {
        .title = "training", .x_label = "step", .y_label = what, .series = &line, .series_count = 1
    };
    int rc = any ? plot_save(&plot, path_of(folder, file).text, err) : 0;
    free(steps);
    return rc;
}

int train_history_write(const struct train_history *history, const char *folder,
                        const char *accuracy, struct error *err)
{
    if (history->count == 0)
        return 0;
    int rc = write_csv(history, folder, accuracy, err);
    if (rc == 0)
        rc = write_plot(history, folder, "history.svg", "loss", true, err);
    return rc < 0 ? rc : write_plot(history, folder, "accuracy.svg", accuracy, false, err);
}

void train_history_finish(struct train_history *history)
{
    free(history->rows);
    *history = (struct train_history){ 0 };
}
