/* model_check: a model proves itself by its card's sample picture. */
#include "analyse/model_parts.h"
#include "analyse/sample.h"
#include "base/clock.h"
#include "media/record.h"
#include <stdlib.h>
#include <string.h>

/* With the colours the other way round, the sample must not fit better by more than this. Networks
 * bear swapped colours rather well, so tolerances alone do not find them. */
#define COLOUR_MARGIN 0.02

#define GREY 128
#define TIMED_RUNS 2

/* The sample, and a picture like it with nothing in it. */
struct samples {
    struct picture *sample, *grey;
    struct picture_view view, grey_view;
    struct analysis *analyses[MODEL_PICTURES_MAX];
};

static int read_samples(struct samples *samples, const struct model *model, struct error *err);
static void paint_grey(const struct picture_view *view);
static void free_samples(struct samples *samples);
static int run_sample(struct model *model, struct samples *samples, uint32_t place,
                      struct error *err);
static int compare_sample(struct model *model, struct samples *samples, struct text *report,
                          struct error *err);
static int compare_places(struct model *model, struct samples *samples, struct error *err);

int model_check(struct model *model, struct error *err)
{
    return model_check_report(model, NULL, err);
}

int model_check_report(struct model *model, struct text *report, struct error *err)
{
    struct samples samples = { 0 };
    int result = read_samples(&samples, model, err);
    if (result == 0)
        result = model->pictures > 1 ? compare_places(model, &samples, err)
                                     : compare_sample(model, &samples, report, err);
    free_samples(&samples);
    return result < 0 ? error_wrap(err, "model %s", model->card->folder) : 0;
}

int model_time(struct model *model, uint32_t *us, struct error *err)
{
    struct samples samples = { 0 };
    const struct picture_view *pictures[MODEL_PICTURES_MAX];
    int result = read_samples(&samples, model, err);
    for (uint32_t i = 0; i < model->pictures; i++)
        pictures[i] = &samples.view;
    *us = UINT32_MAX;
    for (int run = 0; run < TIMED_RUNS && result == 0; run++) {
        uint64_t begun_ns = clock_now_ns();
        result =
            model_run_with_score(model, pictures, model->card->head.score, samples.analyses, err);
        uint64_t took_us = (clock_now_ns() - begun_ns) / 1000;
        if (took_us < *us)
            *us = (uint32_t)took_us;
    }
    free_samples(&samples);
    return result;
}

static int read_samples(struct samples *samples, const struct model *model, struct error *err)
{
    for (uint32_t i = 0; i < model->pictures; i++) {
        samples->analyses[i] = malloc(sizeof *samples->analyses[i]);
        if (!samples->analyses[i])
            return error_set(err, ERROR_MEMORY, "sample", "no room for %zu bytes",
                             sizeof *samples->analyses[i]);
    }
    int result = picture_read_file(&samples->sample, model->card->picture_path, err);
    if (result < 0)
        return result;
    picture_get_view(samples->sample, &samples->view);
    if (model->pictures == 1)
        return 0;
    result = picture_read_file(&samples->grey, model->card->picture_path, err);
    if (result < 0)
        return result;
    picture_get_view(samples->grey, &samples->grey_view);
    paint_grey(&samples->grey_view);
    return 0;
}

static void paint_grey(const struct picture_view *view)
{
    bool nv12 = view->format == PIXEL_NV12;
    for (int plane = 0; plane < (nv12 ? 2 : 3); plane++) {
        uint32_t rows = plane == 0 ? view->height : (view->height + 1) / 2;
        uint32_t bytes = plane == 0 ? view->width : (view->width + 1) / 2 * (nv12 ? 2 : 1);
        for (uint32_t y = 0; y < rows; y++)
            memset(view->plane[plane] + (size_t)y * view->stride[plane], GREY, bytes);
    }
}

static void free_samples(struct samples *samples)
{
    picture_unref(&samples->sample);
    picture_unref(&samples->grey);
    for (uint32_t i = 0; i < MODEL_PICTURES_MAX; i++)
        free(samples->analyses[i]);
}

/* With the sample as the so-many-th picture of the run, and nothing in the others. */
static int run_sample(struct model *model, struct samples *samples, uint32_t place, struct error *err)
{
    const struct card *card = model->card;
    const struct picture_view *pictures[MODEL_PICTURES_MAX];
    double score = card->sample.score > 0 ? card->sample.score : card->head.score;
    for (uint32_t i = 0; i < model->pictures; i++)
        pictures[i] = i == place ? &samples->view : &samples->grey_view;
    return model_run_with_score(model, pictures, score, samples->analyses, err);
}

/* Runs the sample as the card says, and unless the plan does all of it (the card has been found right by
 * another then) with red and blue swapped, which must not do better. */
static int compare_sample(struct model *model, struct samples *samples, struct text *report,
                          struct error *err)
{
    const struct card *card = model->card;
    const struct analysis *analysis = samples->analyses[0];
    int colour = model->input.colour;
    double distance, swapped_distance;

    if (model_reads_planes(model)) {
        int result = run_sample(model, samples, 0, err);
        return result < 0 ? result : sample_compare(card, analysis, &distance, report, err);
    }
    prepare_set_colour(model->prepare[0], colour == COLOUR_RGB ? COLOUR_BGR : COLOUR_RGB);
    int result = run_sample(model, samples, 0, err);
    prepare_set_colour(model->prepare[0], colour);
    if (result < 0)
        return result;
    bool swapped_fits = sample_compare(card, analysis, &swapped_distance, NULL, NULL) == 0;
    result = run_sample(model, samples, 0, err);
    if (result < 0)
        return result;
    result = sample_compare(card, analysis, &distance, report, err);

    bool worse = swapped_fits && swapped_distance + COLOUR_MARGIN < distance;
    const char *word = card->input.colour == COLOUR_RGB ? "bgr" : "rgb";
    if (report)
        text_printf(report, "  %s  off by %.3f in all; with colour %s it would be %.3f\n",
                    worse ? "FAIL" : "ok  ", distance, word, swapped_distance);
    if (!worse)
        return result;
    return error_set(err, ERROR_CONFIG, "sample",
                     "fits better with input.colour %s: off by %.3f in all, as it is by %.3f", word,
                     swapped_distance, distance);
}

/* Several pictures must not disturb each other: the sample, as the first and as the last one, is found right
 * among others that have nothing in them. (The card was found right with one picture.) */
static int compare_places(struct model *model, struct samples *samples, struct error *err)
{
    const uint32_t places[] = { 0, model->pictures - 1 };
    int result = 0;
    for (int i = 0; i < 2 && result == 0; i++) {
        double distance;
        result = run_sample(model, samples, places[i], err);
        if (result == 0)
            result = sample_compare(model->card, samples->analyses[places[i]], &distance, NULL, err);
        if (result < 0)
            error_wrap(err, "as number %u of %u pictures", places[i] + 1, model->pictures);
    }
    return result;
}
