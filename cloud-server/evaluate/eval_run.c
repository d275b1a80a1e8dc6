/* eval_run: see the header. */
#include "evaluate/eval_run.h"
#include "analyse/restore.h"
#include "base/hash.h"
#include "learn/degrade.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCALE_MAX 255.0f

/* One arm while its rung is measured. */
struct lane {
    struct eval_arm *arm;
    struct model *model;
};

/* A rung while it is measured. */
struct rung_run {
    const struct eval_run *run;
    const struct eval_rung *rung;
    struct lane *lanes;
    size_t lane_count;
    struct degrade *degrade;
    uint64_t stream_bytes;
    struct analysis *analysis;
    uint8_t *reference, *prediction; /* labels of a picture */
    uint8_t *luma;                   /* of a restored one */
};

static int open_rung(struct rung_run *rung, struct error *err);
static void close_rung(struct rung_run *rung);
static int send_all(struct rung_run *rung, struct error *err);
static int score(struct rung_run *rung, struct lane *lane, size_t frame, struct picture *source,
                 struct picture *received, struct error *err);
static int keep(struct rung_run *rung, struct error *err);

int eval_run_rung(const struct eval_run *run, size_t rung, struct error *err)
{
    struct rung_run own = { .run = run, .rung = &run->arms->rungs[rung] };
    int failed = open_rung(&own, err);
    if (!failed && own.lane_count > 0)
        failed = send_all(&own, err);
    if (!failed && own.lane_count > 0)
        failed = keep(&own, err);
    close_rung(&own);
    return failed;
}

/* NULL: what the card allows. */
static const enum precision *precision_of(const struct eval_config *config, enum precision *precision)
{
    if (config->precision == EVAL_PRECISION_CARD)
        return NULL;
    *precision = (enum precision)(config->precision - 1);
    return precision;
}

int eval_run_open_model(const struct eval_config *config, const char *folder, struct device *device,
                        struct model **model, struct error *err)
{
    const struct restore_config none = { .kind = RESTORE_NONE };
    enum precision precision;
    return model_open_restored(model, folder, device, &none, precision_of(config, &precision), err);
}

static int open_lane(struct rung_run *rung, struct lane *lane, struct error *err)
{
    const struct eval_run *run = rung->run;
    const struct restore_config restore = { .kind = lane->arm->restore->kind,
                                            .network = lane->arm->restore->file,
                                            .width = rung->rung->rung.width,
                                            .height = rung->rung->rung.height,
                                            .camera_width = run->frames->width,
                                            .camera_height = run->frames->height,
                                            .keep = true };
    enum precision precision;
    int failed = model_open_restored(&lane->model, lane->arm->model->card->folder, run->device,
                                     &restore, precision_of(run->config, &precision), err);
    return failed ? error_wrap(err, "%s", lane->arm->name) : 0;
}

static int open_rung(struct rung_run *rung, struct error *err)
{
    const struct eval_run *run = rung->run;
    const struct eval_frames *frames = run->frames;
    struct degrade_config degrade = { .rung = rung->rung->rung,
                                      .fps = frames->source_fps,
                                      .camera_width = frames->width,
                                      .camera_height = frames->height };
    degrade.rung.codec = (int)rung->rung->codec;
    size_t pixels = (size_t)frames->width * frames->height;
    rung->lanes = calloc(rung->rung->count, sizeof *rung->lanes);
    rung->analysis = malloc(sizeof *rung->analysis);
    rung->reference = malloc(pixels);
    rung->prediction = malloc(pixels);
    rung->luma = malloc(pixels);
    if (!rung->lanes || !rung->analysis || !rung->reference || !rung->prediction || !rung->luma)
        return error_set(err, ERROR_MEMORY, "eval", "no room for pictures of %ux%u", frames->width,
                         frames->height);
    for (size_t i = 0; i < rung->rung->count; i++) {
        struct eval_arm *arm = &run->arms->items[rung->rung->first + i];
        if (arm->done)
            continue;
        struct lane *lane = &rung->lanes[rung->lane_count++];
        lane->arm = arm;
        int failed = open_lane(rung, lane, err);
        if (failed)
            return failed;
    }
    return rung->lane_count > 0 ? degrade_open(&rung->degrade, &degrade, err) : 0;
}

static void close_rung(struct rung_run *rung)
{
    for (size_t i = 0; i < rung->lane_count; i++)
        model_close(&rung->lanes[i].model);
    free(rung->lanes);
    degrade_close(&rung->degrade);
    free(rung->analysis);
    free(rung->reference);
    free(rung->prediction);
    free(rung->luma);
}

/* By its name, so that a still is damaged the same way in whatever set it is. All pictures of a video have
 * one name. */
static uint64_t seed_of_pan(const struct eval_run *run, size_t picture)
{
    struct data_info info;
    const char *name = data_picture_name(run->data, picture);
    uint64_t number = picture;
    uint64_t seed = hash_bytes(HASH_START, &run->config->seed, sizeof run->config->seed);
    data_get_info(run->data, &info);
    seed = hash_bytes(seed, name, strlen(name));
    return info.is_video ? hash_bytes(seed, &number, sizeof number) : seed;
}

static int send_picture(struct rung_run *rung, const struct eval_frame *place,
                        struct picture *source, struct picture **received, struct error *err)
{
    size_t bytes = 0;
    int failed;
    if (rung->run->config->stills) {
        failed = degrade_pan(rung->degrade, source, seed_of_pan(rung->run, place->picture),
                             received, &bytes, err);
    } else {
        if (place->starts_clip)
            degrade_restart(rung->degrade);
        failed = degrade_picture(rung->degrade, source, received, &bytes, err);
    }
    rung->stream_bytes += bytes;
    return failed;
}

static int send_one(struct rung_run *rung, size_t frame, struct error *err)
{
    const struct eval_run *run = rung->run;
    const struct eval_frame *place = &run->frames->items[frame];
    struct picture *source = NULL, *received = NULL;
    int failed = eval_frames_picture(run->frames, run->data, frame, &source, err);
    if (!failed)
        failed = send_picture(rung, place, source, &received, err);
    if (!failed && place->scored && run->classes->kind == SCORE_LABELS)
        eval_reference_labels(run->reference, frame, rung->reference);
    for (size_t i = 0; !failed && place->scored && i < rung->lane_count; i++)
        failed = score(rung, &rung->lanes[i], frame, source, received, err);
    picture_unref(&source);
    picture_unref(&received);
    return failed ? error_wrap(err, "%s", data_picture_name(run->data, place->picture)) : 0;
}

static int send_all(struct rung_run *rung, struct error *err)
{
    const struct eval_run *run = rung->run;
    char what[64];
    size_t first = (size_t)(rung->lanes[0].arm - run->arms->items) + 1;
    size_t last = (size_t)(rung->lanes[rung->lane_count - 1].arm - run->arms->items) + 1;
    if (first == last)
        snprintf(what, sizeof what, "arm %zu of %zu", first, run->arms->count);
    else
        snprintf(what, sizeof what, "arms %zu to %zu of %zu", first, last, run->arms->count);
    eval_progress_part(run->progress, what, rung->lane_count);
    int failed = 0;
    for (size_t i = 0; !failed && i < run->frames->count; i++) {
        failed = send_one(rung, i, err);
        if (!failed && eval_progress_step(run->progress, i + 1, run->frames->count) &&
            i + 1 < run->frames->count)
            failed = error_set(err, ERROR_AGAIN, "eval", "interrupted");
    }
    return failed;
}

/* Scores */

static uint8_t to_byte(float value)
{
    return value <= 0 ? 0 : value >= SCALE_MAX ? 255 : (uint8_t)lrintf(value);
}

/* Luma as the source has it, from RGB. */
static void make_luma(const struct tensor *restored, const struct picture_view *source, uint8_t *luma)
{
    bool bt709 = source->matrix == MATRIX_BT709;
    float red = bt709 ? 0.2126f : 0.299f, blue = bt709 ? 0.0722f : 0.114f;
    float scale = source->full_range ? 255 : 219, black = source->full_range ? 0 : 16;
    size_t pixels = (size_t)source->width * source->height;
    const float *r = restored->data, *g = r + pixels, *b = g + pixels;
    for (size_t i = 0; i < pixels; i++)
        luma[i] = to_byte(black + scale * (red * r[i] + (1 - red - blue) * g[i] + blue * b[i]));
}

/* Against a received picture where that has full size; without a picture of full size there is nothing
 * to compare. (An odd row or column of the source is not sent.) */
static void measure_error(struct rung_run *rung, const struct lane *lane,
                          const struct picture_view *source, const struct picture_view *received,
                          struct score_cost *cost)
{
    uint32_t width = source->width, height = source->height;
    const uint8_t *luma = rung->luma;
    size_t stride = width;
    const struct tensor *restored = model_restored(lane->model);
    if (restored) {
        make_luma(restored, source, rung->luma);
    } else if (rung->rung->full) {
        luma = received->plane[0];
        stride = received->stride[0];
        width = received->width;
        height = received->height;
    } else {
        return;
    }
    cost->samples = (uint64_t)width * height;
    cost->squared_error =
        score_squared_error(source->plane[0], source->stride[0], luma, stride, width, height);
}

static int add_score(struct rung_run *rung, struct lane *lane, size_t frame,
                     const struct eval_sides *sides, const struct score_cost *cost, struct error *err)
{
    const struct eval_run *run = rung->run;
    const struct eval_classes *classes = run->classes;
    const int *of_class = lane->arm->model->of_class;
    struct scores *scores = lane->arm->result->scores;
    if (classes->kind == SCORE_BOXES) {
        struct score_box boxes[ANALYSIS_OBJECTS_MAX];
        size_t wanted, found = eval_answer_boxes(rung->analysis, of_class, sides, boxes);
        const struct score_box *references = eval_reference_boxes(run->reference, frame, &wanted);
        return scores_add_boxes(scores, boxes, found, references, wanted, cost, err);
    }
    eval_answer_labels(lane->model, of_class, classes->other, sides, rung->prediction);
    return scores_add_labels(scores, rung->prediction, rung->reference,
                             (size_t)sides->to_width * sides->to_height, (int)EVAL_LABEL_IGNORE,
                             cost, err);
}

static int score(struct rung_run *rung, struct lane *lane, size_t frame, struct picture *source,
                 struct picture *received, struct error *err)
{
    struct picture_view from, to;
    picture_get_view(received, &from);
    picture_get_view(source, &to);
    int failed = model_run(lane->model, &from, rung->analysis, err);
    if (failed)
        return failed;
    const struct analysis *analysis = rung->analysis;
    struct score_cost cost = { .time_us = (uint64_t)analysis->prepare_us + analysis->infer_us +
                                          analysis->head_us };
    const struct eval_sides sides = { from.width, from.height, to.width, to.height };
    measure_error(rung, lane, &to, &from, &cost);
    return add_score(rung, lane, frame, &sides, &cost, err);
}

static int keep(struct rung_run *rung, struct error *err)
{
    const struct eval_frames *frames = rung->run->frames;
    int failed = 0;
    for (size_t i = 0; !failed && i < rung->lane_count; i++) {
        struct eval_arm *arm = rung->lanes[i].arm;
        arm->result->stream_bytes = rung->stream_bytes;
        arm->result->stream_us = (uint64_t)llround(1e6 * (double)frames->count / frames->sent_fps);
        failed = arm_write(arm->result, arm->path, err);
        if (failed)
            return failed;
        arm->done = true;
        rung->run->arms->done_count++;
    }
    return 0;
}
