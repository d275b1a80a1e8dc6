/* train_history: a row for each epoch of a training, as numbers, CSV and a plot. */
#ifndef RUNESPOOR_LEARN_TRAIN_HISTORY_H
#define RUNESPOOR_LEARN_TRAIN_HISTORY_H

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

struct train_row {
    uint64_t step;     /* done by then */
    double loss;       /* mean since the row before; NaN: there was no step */
    double rate;       /* of the last step */
    double figures[2]; /* NaN: not measured */
};

/* All-zero is empty. */
struct train_history {
    struct train_row *rows;
    size_t count, capacity;
};

int train_history_add(struct train_history *history, const struct train_row *row, struct error *err);
/* FOLDER/history.csv, history.svg with the losses, and NAME.svg for each figure; NULL: there is none. */
int train_history_write(const struct train_history *history, const char *folder,
                        const char *const names[2], struct error *err);
void train_history_finish(struct train_history *history);

#endif
