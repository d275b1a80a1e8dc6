/* model_open: from a folder to a plan, and to the head that reads what it gives. */
#include "analyse/model_parts.h"
#include "analyse/precision.h"
#include "onnx/onnx.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static int open_parts(struct model *model, const char *folder, const enum precision *precision,
                      struct error *err);
static int compile_graph(struct model *model, struct error *err);
static int put_restoration(struct model *model, struct graph **graph, struct shape *shape,
                           struct error *err);
static int put_planes(const struct model *model, struct graph **graph, struct error *err);
static int put_head(const struct model *model, struct graph *graph, struct error *err);
static int check_input(const struct card *card, const struct graph *graph, struct shape *shape,
                       struct error *err);
static int open_head(struct model *model, struct error *err);
static int find_output(const struct model *model, const char *name, size_t *index, struct error *err);
static int make_prepares(struct model *model, struct error *err);

int model_open_as(struct model **model, const char *folder, struct device *device,
                  const struct model_form *form, struct error *err)
{
    assert(form->pictures >= 1 && form->pictures <= MODEL_PICTURES_MAX);
    struct model *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "model", "no room for %zu bytes", sizeof *fresh);
    fresh->device = device;
    fresh->pictures = form->pictures;
    if (form->restore)
        fresh->restore = *form->restore;
    fresh->way = form->way;
    if (form->like)
        fresh->like = *form->like;
    memset(fresh->like.plane, 0, sizeof fresh->like.plane);
    int result = open_parts(fresh, folder, form->precision, err);
    fresh->restore.network = NULL;
    if (result < 0) {
        model_close(&fresh);
        return error_wrap(err, "model %s", folder);
    }
    *model = fresh;
    return 0;
}

int model_open(struct model **model, const char *folder, struct device *device, struct error *err)
{
    return model_open_as(model, folder, device, &(struct model_form){ .pictures = 1 }, err);
}

int model_open_in(struct model **model, const char *folder, struct device *device,
                  enum precision precision, struct error *err)
{
    const struct model_form form = { .pictures = 1, .precision = &precision };
    return model_open_as(model, folder, device, &form, err);
}

int model_open_restored(struct model **model, const char *folder, struct device *device,
                        const struct restore_config *config, const enum precision *precision,
                        struct error *err)
{
    const struct model_form form = { .pictures = 1, .restore = config, .precision = precision };
    return model_open_as(model, folder, device, &form, err);
}

void model_close(struct model **model)
{
    if (!*model)
        return;
    for (; (*model)->under_way > 0; (*model)->under_way--)
        plan_finish((*model)->plan, NULL);
    for (uint32_t i = 0; i < MODEL_PICTURES_MAX; i++)
        prepare_destroy(&(*model)->prepare[i]);
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
    return model_reads_planes(model) ? 0 : make_prepares(model, err);
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
    if (result == 0)
        result = graph_infer(graph, &shape, err);
    if (result == 0)
        result = graph_set_batch(graph, model->pictures, err);
    if (result == 0 && model_reads_planes(model))
        result = put_planes(model, &graph, err);
    if (result == 0 && model_reads_planes(model))
        result = put_head(model, graph, err);
    if (result == 0) {
        struct plan_options options = { .precision = model->precision };
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
    int result =
        planes_embed(&whole, *graph, &model->input, &model->like, model->way, model->pictures, err);
    if (result < 0)
        return result;
    graph_free(graph);
    *graph = whole;
    return 0;
}

/* What makes its input of planes gives back what heads need alone. */
static int put_head(const struct model *model, struct graph *graph, struct error *err)
{
    const struct option_strings *names = &model->card->head.outputs;
    int raw[HEAD_OUTPUTS_MAX];
    size_t count = names->count > 0 ? names->count : (size_t)graph->output_count;
    if (count > HEAD_OUTPUTS_MAX)
        return error_set(err, ERROR_CONFIG, "head", "%zu outputs, a head reads up to %u", count,
                         HEAD_OUTPUTS_MAX);
    for (size_t i = 0; i < count; i++) {
        raw[i] = names->count > 0 ? -1 : graph->outputs[i];
        for (int k = 0; raw[i] < 0 && k < graph->output_count; k++)
            if (strcmp(graph->values[graph->outputs[k]].name, names->items[i]) == 0)
                raw[i] = graph->outputs[k];
        if (raw[i] < 0)
            return error_set(err, ERROR_CONFIG, "head.outputs", "the graph has no output \"%s\"",
                             names->items[i]);
    }
    return head_graph_append(graph, model->card, raw, count, err);
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

/* Gives the head the outputs that the card names, or all that are the analytics network's, as those of one
 * picture. */
static int open_head(struct model *model, struct error *err)
{
    const struct option_strings *names = &model->card->head.outputs;
    const struct tensor *results[HEAD_REDUCED_MAX];
    bool reduced = model_reads_planes(model);
    size_t own = plan_output_count(model->plan) - (model_restored(model) != NULL);
    size_t count = names->count > 0 && !reduced ? names->count : own;
    if (count > (reduced ? HEAD_REDUCED_MAX : HEAD_OUTPUTS_MAX))
        return error_set(err, ERROR_CONFIG, "head",
                         "%zu outputs, a head reads up to %u; name them in head.outputs", count,
                         HEAD_OUTPUTS_MAX);
    for (size_t i = 0; i < count; i++) {
        model->outputs[i] = i;
        if (names->count > 0 && !reduced) {
            int result = find_output(model, names->items[i], &model->outputs[i], err);
            if (result < 0)
                return result;
        }
        model->results[i] = *plan_output(model->plan, model->outputs[i]);
        if (model->pictures > 1) /* graph_set_batch saw to it that they are the first dimension */
            model->results[i].shape.dim[0] = 1;
        results[i] = &model->results[i];
    }
    model->output_count = count;
    return reduced ? head_open_reduced(&model->head, model->card, results, count, err)
                   : head_open(&model->head, model->card, results, count, err);
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

/* One for each picture of a run, as each keeps what its last one needed. */
static int make_prepares(struct model *model, struct error *err)
{
    int result = 0;
    for (uint32_t i = 0; i < model->pictures && result == 0; i++)
        result = prepare_create(&model->prepare[i], &model->input, err);
    return result;
}
