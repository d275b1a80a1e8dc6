/* model: pictures through a model's plan, one or several in a run, and what is found in each. */
#include "analyse/model_parts.h"
#include "base/clock.h"
#include <assert.h>
#include <string.h>

static uint32_t us_since(uint64_t *since_ns);
static int prepare_input(struct model *model, uint32_t place, const struct picture_view *picture,
                         struct placement *placement, struct error *err);
static void place_restored(const struct model *model, const struct picture_view *picture,
                           struct placement *placement);
static int blame(int result, const struct error *cause, struct error *err);
static int finish_with_score(struct model *model, double score, struct analysis *const *analyses,
                             struct error *err);
static void show_results(struct model *model, uint32_t place);

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

uint32_t model_pictures(const struct model *model)
{
    return model->pictures;
}

int model_run(struct model *model, const struct picture_view *picture, struct analysis *analysis,
              struct error *err)
{
    assert(model->pictures == 1);
    return model_run_with_score(model, &picture, model->card->head.score, &analysis, err);
}

int model_run_with_score(struct model *model, const struct picture_view *const *pictures,
                         double score, struct analysis *const *analyses, struct error *err)
{
    int result = model_start(model, pictures, err);
    return result < 0 ? result : finish_with_score(model, score, analyses, err);
}

int model_start(struct model *model, const struct picture_view *const *pictures, struct error *err)
{
    assert(model->under_way < model_depth(model));
    struct begun *begun = &model->begun[(model->oldest + model->under_way) % MODEL_DEPTH_MAX];
    struct error cause;
    for (uint32_t i = 0; i < model->pictures; i++) {
        begun->since_ns[i] = clock_now_ns();
        int result = prepare_input(model, i, pictures[i], &begun->placement[i], err);
        if (result < 0)
            return result;
        if (model->restore.kind != RESTORE_NONE)
            place_restored(model, pictures[i], &begun->placement[i]);
        begun->prepare_us[i] = us_since(&begun->since_ns[i]);
    }
    int result = plan_start(model->plan, &cause);
    if (result < 0)
        return blame(result, &cause, err);
    model->under_way++;
    return 0;
}

int model_finish(struct model *model, struct analysis *const *analyses, struct error *err)
{
    return finish_with_score(model, model->card->head.score, analyses, err);
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

bool model_reads_planes(const struct model *model)
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

/* Of the so-many-th picture of the next run. */
static int prepare_input(struct model *model, uint32_t place, const struct picture_view *picture,
                         struct placement *placement, struct error *err)
{
    if (!model_reads_planes(model)) {
        const struct tensor *input = plan_input(model->plan, 0);
        float *data = input->data;
        data += (uint64_t)shape_elements(&input->shape) / model->pictures * place;
        return prepare_run(model->prepare[place], picture, data, placement, err);
    }
    if (!planes_alike(picture, &model->like, model->way))
        return error_set(err, ERROR_UNSUPPORTED, "picture",
                         "%ux%u, or its colours, are not what the plan was made for",
                         picture->width, picture->height);
    prepare_place(&model->input, picture->width, picture->height, placement);
    return planes_put(picture, place, model->way, model->plan, err);
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

static int finish_with_score(struct model *model, double score, struct analysis *const *analyses,
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
    for (uint32_t i = 0; i < model->pictures; i++)
        analyses[i]->infer_us = us_since(&begun->since_ns[i]);
    for (uint32_t i = 0; i < model->pictures; i++) {
        uint64_t since_ns = clock_now_ns();
        model->placement = begun->placement[i];
        analyses[i]->prepare_us = begun->prepare_us[i];
        show_results(model, i);
        head_decode(model->head, &model->placement, (float)score, analyses[i]);
        analyses[i]->head_us = us_since(&since_ns);
    }
    return 0;
}

/* To the head: those of one picture of the run that ended last. */
static void show_results(struct model *model, uint32_t place)
{
    for (size_t i = 0; i < model->output_count; i++) {
        char *data = plan_output(model->plan, model->outputs[i])->data;
        model->results[i].data = data + tensor_bytes(&model->results[i]) * place;
    }
}
