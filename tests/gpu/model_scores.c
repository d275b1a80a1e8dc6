/* model_scores: cells are gone through in the order that they lie in. */
#include "model_scores.h"
#include <math.h>
#include <stdlib.h>

struct cell {
    double score, second; /* of the best class, of the next one */
    int best;             /* class */
};

static int read_cells(const struct model_scores *scores, const struct tensor *output,
                      struct cell **cells, int64_t *count, struct error *err);
static struct cell read_cell(const struct model_scores *scores, const float *data, int64_t step);
static int compare_cells(const struct model_scores *scores, const struct cell *got,
                         const struct cell *expected, int64_t count, double margin,
                         struct error *err);
static int compare_order(const struct cell *got, const struct cell *expected, int64_t count,
                         double threshold, double margin, struct error *err);

int model_count_found(const struct model_scores *scores, const struct tensor *output,
                      struct error *err)
{
    struct cell *cells;
    int64_t count;
    int found = 0, rc = read_cells(scores, output, &cells, &count, err);
    for (int64_t i = 0; !rc && i < count; i++)
        found += cells[i].score >= scores->threshold;
    free(cells);
    return rc ? rc : found;
}

int model_compare_scores(const struct model_scores *scores, const struct tensor *got,
                         const struct tensor *expected, double margin, struct error *err)
{
    struct cell *got_cells, *expected_cells = NULL;
    int64_t count, expected_count;
    int rc = read_cells(scores, got, &got_cells, &count, err);
    if (!rc)
        rc = read_cells(scores, expected, &expected_cells, &expected_count, err);
    if (!rc && count != expected_count)
        rc = error_set(err, ERROR_FORMAT, "scores", "other shapes");
    if (!rc)
        rc = compare_cells(scores, got_cells, expected_cells, count, margin, err);
    if (!rc)
        rc = compare_order(got_cells, expected_cells, count, scores->threshold, margin, err);
    free(got_cells);
    free(expected_cells);
    return rc;
}

static int read_cells(const struct model_scores *scores, const struct tensor *output,
                      struct cell **cells, int64_t *count, struct error *err)
{
    const struct shape *shape = &output->shape;
    int64_t columns = shape->dim[scores->rows ? shape->rank - 1 : 1];
    *cells = NULL;
    if (scores->object >= columns || scores->first_class + scores->class_count > columns)
        return error_set(err, ERROR_FORMAT, "scores", "the output has no such columns");
    *count = shape_elements(shape) / shape->dim[0] / columns;
    *cells = calloc((size_t)*count + 1, sizeof **cells);
    if (!*cells)
        return error_set(err, ERROR_MEMORY, "scores", "no memory left");
    const float *data = output->data;
    for (int64_t i = 0; i < *count; i++)
        (*cells)[i] = scores->rows ? read_cell(scores, data + i * columns, 1)
                                   : read_cell(scores, data + i, *count);
    return 0;
}

static struct cell read_cell(const struct model_scores *scores, const float *data, int64_t step)
{
    struct cell cell = { .score = 0 };
    double object =
        scores->object < 0 ? 1 : pow((double)data[scores->object * step], scores->object_power);
    for (int k = 0; k < scores->class_count; k++) {
        double class = (double)data[(scores->first_class + k) * step];
        double score = object * pow(fmax(class, 0), scores->class_power);
        if (score > cell.score)
            cell = (struct cell){ .score = score, .second = cell.score, .best = k };
        else
            cell.second = fmax(cell.second, score);
    }
    return cell;
}

static int compare_cells(const struct model_scores *scores, const struct cell *got,
                         const struct cell *expected, int64_t count, double margin, struct error *err)
{
    int64_t above = 0;
    for (int64_t i = 0; i < count; i++) {
        bool was = expected[i].score >= scores->threshold, is = got[i].score >= scores->threshold;
        bool near = fabs(expected[i].score - scores->threshold) <= margin;
        above += was;
        if (was != is && !near)
            return error_set(err, ERROR_FORMAT, "scores", "cell %lld is %.3f, not %.3f",
                             (long long)i, got[i].score, expected[i].score);
        if (was && is && got[i].best != expected[i].best &&
            expected[i].score - expected[i].second > margin)
            return error_set(err, ERROR_FORMAT, "scores", "cell %lld is of class %d, not %d",
                             (long long)i, got[i].best, expected[i].best);
    }
    return above > 0 ? 0 : error_set(err, ERROR_FORMAT, "scores", "nothing is above the threshold");
}

static int compare_order(const struct cell *got, const struct cell *expected, int64_t count,
                         double threshold, double margin, struct error *err)
{
    for (int64_t i = 0; i < count; i++)
        for (int64_t k = 0; expected[i].score >= threshold && k < count; k++)
            if (expected[k].score >= threshold && expected[i].score - expected[k].score > margin &&
                !(got[i].score > got[k].score))
                return error_set(err, ERROR_FORMAT, "scores", "cells %lld and %lld change places",
                                 (long long)i, (long long)k);
    return 0;
}
