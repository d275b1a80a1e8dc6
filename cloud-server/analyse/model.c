/* model: opens a model folder on a device, runs pictures through it, and proves it by its sample. */
#include "analyse/model.h"
#include "analyse/head.h"
#include "analyse/precision.h"
#include "analyse/prepare.h"
#include "analyse/sample.h"
#include "base/clock.h"
#include "media/record.h"
#include "onnx/onnx.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* With the colours the other way round, the sample must not fit better by more than this. Networks
 * bear swapped colours rather well, so tolerances alone do not find them. */
#define COLOUR_MARGIN 0.02

/* A picture under way. */
struct begun {
    struct placement placement;
    uint64_t since_ns; /* the network has it */
    uint32_t prepare_us;
};

struct model {
    struct card *card;
    struct device *device; /* borrowed */
    enum precision precision;
    struct card_input input;       /* what the plan reads: the card's, or restoration's */
    struct restore_config restore; /* kind and sizes; its strings are gone */
    struct plan *plan;
    struct head *head;
    struct prepare *prepare; /* NULL: the plan reads planes, */
    enum planes_way way;
    struct picture_view like; /* of pictures like this, without pixels */
    struct begun begun[MODEL_DEPTH_MAX];
    uint32_t oldest, under_way; /* of begun */
    struct placement placement; /* of the run that ended last */
};

static bool reads_planes(const struct model *model);
static uint32_t us_since(uint64_t *since_ns);
static int open_parts(struct model *model, const char *folder, const enum precision *precision,
                      struct error *err);
static int compile_graph(struct model *model, struct error *err);
static int put_restoration(struct model *model, struct graph **graph, struct shape *shape,
                           struct error *err);
static int put_planes(const struct model *model, struct graph **graph, struct error *err);
static int prepare_input(struct model *model, const struct picture_view *picture,
                         struct placement *placement, struct error *err);
static int check_input(const struct card *card, const struct graph *graph, struct shape *shape,
                       struct error *err);
static int open_head(struct model *model, struct error *err);
static int find_output(const struct model *model, const char *name, size_t *index, struct error *err);
static void place_restored(const struct model *model, const struct picture_view *picture,
                           struct placement *placement);
static int blame(int result, const struct error *cause, struct error *err);
static int finish_with_score(struct model *model, double score, struct analysis *analysis,
                             struct error *err);
static int run_with_score(struct model *model, const struct picture_view *picture, double score,
                          struct analysis *analysis, struct error *err);
static int compare_sample(struct model *model, const struct picture_view *picture,
                          struct analysis *analysis, struct text *report, struct error *err);

/* precision and like may be NULL. */
static int open_as(struct model **model, const char *folder, struct device *device,
                   const struct restore_config *config, const enum precision *precision,
                   const struct picture_view *like, enum planes_way way, struct error *err)
{
    struct model *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "model", "no room for %zu bytes", sizeof *fresh);
    fresh->device = device;
    fresh->restore = *config;
    fresh->way = way;
    if (like)
        fresh->like = *like;
    memset(fresh->like.plane, 0, sizeof fresh->like.plane);
    int result = open_parts(fresh, folder, precision, err);
    fresh->restore.network = NULL;
    if (result < 0) {
        model_close(&fresh);
        return error_wrap(err, "model %s", folder);
    }
    *model = fresh;
    return 0;
}

int model_open_restored(struct model **model, const char *folder, struct device *device,
                        const struct restore_config *config, const enum precision *precision,
                        struct error *err)
{
    return open_as(model, folder, device, config, precision, NULL, PLANES_PACKED, err);
}

int model_open_planes(struct model **model, const char *folder, struct device *device,
                      const struct restore_config *config, const struct picture_view *like,
                      enum planes_way way, struct error *err)
{
    return open_as(model, folder, device, config, NULL, like, way, err);
}

int model_open(struct model **model, const char *folder, struct device *device, struct error *err)
{
    const struct restore_config none = { .kind = RESTORE_NONE };
    return model_open_restored(model, folder, device, &none, NULL, err);
}

int model_open_in(struct model **model, const char *folder, struct device *device,
                  enum precision precision, struct error *err)
{
    const struct restore_config none = { .kind = RESTORE_NONE };
    return model_open_restored(model, folder, device, &none, &precision, err);
}

const struct card *model_card(const struct model *model)
{
    return model->card;
}

struct plan *model_plan(struct model *model)
{
    return model->plan;
}

enum precision model_precision(const struct model *model)
{
    return model->precision;
}

int model_run(struct model *model, const struct picture_view *picture, struct analysis *analysis,
              struct error *err)
{
    return run_with_score(model, picture, model->card->head.score, analysis, err);
}

int model_start(struct model *model, const struct picture_view *picture, struct error *err)
{
    assert(model->under_way < model_depth(model));
    struct begun *begun = &model->begun[(model->oldest + model->under_way) % MODEL_DEPTH_MAX];
    struct error cause;
    begun->since_ns = clock_now_ns();
    int result = prepare_input(model, picture, &begun->placement, err);
    if (result < 0)
        return result;
    if (model->restore.kind != RESTORE_NONE)
        place_restored(model, picture, &begun->placement);
    begun->prepare_us = us_since(&begun->since_ns);
    result = plan_start(model->plan, &cause);
    if (result < 0)
        return blame(result, &cause, err);
    model->under_way++;
    return 0;
}

int model_finish(struct model *model, struct analysis *analysis, struct error *err)
{
    return finish_with_score(model, model->card->head.score, analysis, err);
}

uint32_t model_depth(const struct model *model)
{
    uint32_t depth = plan_depth(model->plan);
    return depth < MODEL_DEPTH_MAX ? depth : MODEL_DEPTH_MAX;
}

const struct tensor *model_restored(const struct model *model)
{
    bool kept = model->restore.kind != RESTORE_NONE && model->restore.keep;
    return kept ? plan_output(model->plan, plan_output_count(model->plan) - 1) : NULL;
}

void model_label_map(struct model *model, uint32_t width, uint32_t height, uint8_t *map)
{
    head_label_map(model->head, &model->placement, width, height, map);
}

int model_check(struct model *model, struct error *err)
{
    return model_check_report(model, NULL, err);
}

int model_check_report(struct model *model, struct text *report, struct error *err)
{
    struct picture *picture = NULL;
    struct picture_view view;
    struct analysis *analysis = malloc(sizeof *analysis);
    int result = 0;
    if (!analysis) {
        result = error_set(err, ERROR_MEMORY, "sample", "no room for %zu bytes", sizeof *analysis);
        goto out;
    }
    result = picture_read_file(&picture, model->card->picture_path, err);
    if (result < 0)
        goto out;
    picture_get_view(picture, &view);
    result = compare_sample(model, &view, analysis, report, err);
out:
    picture_unref(&picture);
    free(analysis);
    return result < 0 ? error_wrap(err, "model %s", model->card->folder) : 0;
}

void model_close(struct model **model)
{
    if (!*model)
        return;
    for (; (*model)->under_way > 0; (*model)->under_way--)
        plan_finish((*model)->plan, NULL);
    prepare_destroy(&(*model)->prepare);
    head_close(&(*model)->head);
    plan_free(&(*model)->plan);
    card_free(&(*model)->card);
    free(*model);
    *model = NULL;
}

static int open_parts(struct model *model, const char *folder, const enum precision *precision,
                      struct error *err)
{
    int result = card_read(&model->card, folder, err);
    if (result < 0)
        return result;
    enum precision allowed = (enum precision)model->card->precision;
    model->precision = precision ? *precision : precision_for(model->device, allowed);
    result = compile_graph(model, err);
    if (result < 0)
        return result;
    result = open_head(model, err);
    if (result < 0)
        return result;
    return reads_planes(model) ? 0 : prepare_create(&model->prepare, &model->input, err);
}

static int compile_graph(struct model *model, struct error *err)
{
    struct graph *graph = NULL;
    struct shape shape;
    int result = onnx_read_file(&graph, model->card->file_path, err);
    if (result < 0)
        return result;
    result = check_input(model->card, graph, &shape, err);
    model->input = model->card->input;
    if (result == 0 && model->restore.kind != RESTORE_NONE)
        result = put_restoration(model, &graph, &shape, err);
    if (result == 0 && reads_planes(model))
        result = put_planes(model, &graph, err);
    if (result == 0) {
        struct plan_options options = { .precision = model->precision,
                                        .input_shapes = reads_planes(model) ? NULL : &shape };
        result = device_compile(model->device, graph, &options, &model->plan, err);
    }
    graph_free(&graph);
    return result;
}

/* The graph and the shape that it reads become those of the whole. */
static int put_restoration(struct model *model, struct graph **graph, struct shape *shape,
                           struct error *err)
{
    struct graph *whole = NULL;
    int result = restore_embed(&whole, *graph, model->card, &model->restore, &model->input, err);
    if (result < 0)
        return result;
    graph_free(graph);
    *graph = whole;
    *shape = whole->values[whole->inputs[0]].shape;
    return 0;
}

static int put_planes(const struct model *model, struct graph **graph, struct error *err)
{
    struct graph *whole = NULL;
    int result = planes_embed(&whole, *graph, &model->input, &model->like, model->way, err);
    if (result < 0)
        return result;
    graph_free(graph);
    *graph = whole;
    return 0;
}

/* One picture in, of the card's size and layout; the graph may leave dimensions open. */
static int check_input(const struct card *card, const struct graph *graph, struct shape *shape,
                       struct error *err)
{
    const struct card_input *input = &card->input;
    bool planar = input->layout == LAYOUT_NCHW;
    *shape = planar ? (struct shape){ 4, { 1, 3, input->height, input->width } }
                    : (struct shape){ 4, { 1, input->height, input->width, 3 } };
    if (graph->input_count != 1)
        return error_set(err, ERROR_UNSUPPORTED, "graph",
                         "%d inputs, but only networks with one input, a picture, can serve",
                         graph->input_count);
    const struct value *value = &graph->values[graph->inputs[0]];
    if (value->type != TENSOR_F32)
        return error_set(err, ERROR_UNSUPPORTED, "graph", "input %s is of type %s, not f32",
                         value->name, tensor_type_word(value->type));
    bool matches = value->shape.rank == -1 || value->shape.rank == shape->rank;
    for (int d = 0; d < value->shape.rank && matches; d++)
        matches = value->shape.dim[d] == -1 || value->shape.dim[d] == shape->dim[d];
    if (matches)
        return 0;
    char has[64], needs[64];
    shape_format(&value->shape, has, sizeof has);
    shape_format(shape, needs, sizeof needs);
    return error_set(err, ERROR_CONFIG, "graph",
                     "input %s is %s, but the card's width %u, height %u and layout %s make it %s",
                     value->name, has, input->width, input->height, planar ? "nchw" : "nhwc", needs);
}

/* Gives the head the outputs that the card names, or all that are the analytics network's. */
static int open_head(struct model *model, struct error *err)
{
    const struct option_strings *names = &model->card->head.outputs;
    const struct tensor *outputs[HEAD_OUTPUTS_MAX];
    size_t own = plan_output_count(model->plan) - (model_restored(model) != NULL);
    size_t count = names->count > 0 ? names->count : own;
    if (count > HEAD_OUTPUTS_MAX)
        return error_set(err, ERROR_CONFIG, "head",
                         "%zu outputs, a head reads up to %u; name them in head.outputs", count,
                         HEAD_OUTPUTS_MAX);
    for (size_t i = 0; i < count; i++) {
        size_t index = i;
        if (names->count > 0) {
            int result = find_output(model, names->items[i], &index, err);
            if (result < 0)
                return result;
        }
        outputs[i] = plan_output(model->plan, index);
    }
    return head_open(&model->head, model->card, outputs, count, err);
}

static int find_output(const struct model *model, const char *name, size_t *index, struct error *err)
{
    struct text has = { 0 };
    for (size_t i = 0; i < plan_output_count(model->plan); i++) {
        const char *other = plan_output_name(model->plan, i);
        if (strcmp(other, name) == 0) {
            *index = i;
            text_finish(&has);
            return 0;
        }
        text_printf(&has, "%s%s", i > 0 ? ", " : "", other);
    }
    int result =
        error_set(err, ERROR_CONFIG, "head.outputs", "the graph has no output \"%s\"; it has %s",
                  name, has.failed || !has.data ? "others" : has.data);
    text_finish(&has);
    return result;
}

static bool reads_planes(const struct model *model)
{
    return model->like.width > 0;
}

static uint32_t us_since(uint64_t *since_ns)
{
    uint64_t now_ns = clock_now_ns();
    uint64_t us = (now_ns - *since_ns) / 1000;
    *since_ns = now_ns;
    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

static int prepare_input(struct model *model, const struct picture_view *picture,
                         struct placement *placement, struct error *err)
{
    if (!reads_planes(model))
        return prepare_run(model->prepare, picture, plan_input(model->plan, 0)->data, placement, err);
    if (!planes_alike(picture, &model->like, model->way))
        return error_set(err, ERROR_UNSUPPORTED, "picture",
                         "%ux%u, or its colours, are not what the plan was made for",
                         picture->width, picture->height);
    prepare_place(&model->input, picture->width, picture->height, placement);
    return planes_put(picture, model->way, model->plan, err);
}

/* The graph fits the restored picture, and what is found is to be in the received one's pixels. */
static void place_restored(const struct model *model, const struct picture_view *picture,
                           struct placement *placement)
{
    const struct restore_config *restore = &model->restore;
    prepare_place(&model->card->input, restore->camera_width, restore->camera_height, placement);
    placement->picture_width = picture->width;
    placement->picture_height = picture->height;
}

/* Of a malformed value the picture is to blame, of all else what computes. */
static int blame(int result, const struct error *cause, struct error *err)
{
    return error_set(err, result == -ERROR_FORMAT ? ERROR_FORMAT : ERROR_DEVICE, "inference", "%s",
                     cause->text);
}

static int finish_with_score(struct model *model, double score, struct analysis *analysis,
                             struct error *err)
{
    assert(model->under_way > 0);
    struct begun *begun = &model->begun[model->oldest];
    struct error cause;
    model->oldest = (model->oldest + 1) % MODEL_DEPTH_MAX;
    model->under_way--;
    int result = plan_finish(model->plan, &cause);
    if (result < 0)
        return blame(result, &cause, err);
    model->placement = begun->placement;
    analysis->prepare_us = begun->prepare_us;
    analysis->infer_us = us_since(&begun->since_ns);
    head_decode(model->head, &model->placement, (float)score, analysis);
    analysis->head_us = us_since(&begun->since_ns);
    return 0;
}

static int run_with_score(struct model *model, const struct picture_view *picture, double score,
                          struct analysis *analysis, struct error *err)
{
    int result = model_start(model, picture, err);
    return result < 0 ? result : finish_with_score(model, score, analysis, err);
}

/* Runs the sample as the card says, and unless the plan does all of it (the card has been found right by
 * another then) with red and blue swapped, which must not do better. */
static int compare_sample(struct model *model, const struct picture_view *picture,
                          struct analysis *analysis, struct text *report, struct error *err)
{
    const struct card *card = model->card;
    int colour = model->input.colour;
    double score = card->sample.score > 0 ? card->sample.score : card->head.score;
    double distance, swapped_distance;

    if (reads_planes(model)) {
        int result = run_with_score(model, picture, score, analysis, err);
        return result < 0 ? result : sample_compare(card, analysis, &distance, report, err);
    }
    prepare_set_colour(model->prepare, colour == COLOUR_RGB ? COLOUR_BGR : COLOUR_RGB);
    int result = run_with_score(model, picture, score, analysis, err);
    prepare_set_colour(model->prepare, colour);
    if (result < 0)
        return result;
    bool swapped_fits = sample_compare(card, analysis, &swapped_distance, NULL, NULL) == 0;
    result = run_with_score(model, picture, score, analysis, err);
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
