/* restore_try: a network is put into small graphs, one for each size that it might give. */
#include "analyse/restore_try.h"
#include "analyse/restore_parts.h"
#include "media/picture.h"
#include "onnx/onnx.h"

/* The picture that a network without a size of its own is tried with: most halve it a few times. */
#define TRIED_WIDTH 64u
#define TRIED_HEIGHT 48u

static void find_size(const struct graph *graph, struct restore_network *network);
static uint64_t count_parameters(const struct graph *graph);
static int try_scale(struct restore_config *config, uint32_t scale, struct error *err);

int restore_try_network(struct restore_network *network, const char *file, struct error *err)
{
    struct graph *graph = NULL;
    struct restore_network found = { .scale = 1 };
    int failed = onnx_read_file(&graph, file, err);
    if (failed)
        return failed;
    find_size(graph, &found);
    found.parameter_count = count_parameters(graph);
    graph_free(&graph);
    struct restore_config config = { .kind = RESTORE_NETWORK,
                                     .network = file,
                                     .width = found.width > 0 ? found.width : TRIED_WIDTH,
                                     .height = found.height > 0 ? found.height : TRIED_HEIGHT };
    for (; found.scale <= RESTORE_SCALE_MAX; found.scale++) {
        failed = try_scale(&config, found.scale, err);
        if (!failed)
            *network = found;
        if (failed != -ERROR_CONFIG) /* another size than this one */
            return failed;
    }
    return error_set(err, ERROR_CONFIG, file,
                     "of a picture of %ux%u it makes none that is 1 to %u times as wide and high",
                     config.width, config.height, RESTORE_SCALE_MAX);
}

/* What restore_embed does not like about the input it says itself. */
static void find_size(const struct graph *graph, struct restore_network *network)
{
    if (graph->input_count != 1 || graph->values[graph->inputs[0]].shape.rank != 4)
        return;
    const int64_t *dim = graph->values[graph->inputs[0]].shape.dim;
    int first = dim[1] == RESTORE_CHANNELS || dim[1] == 1 ? 2 : 1;
    if (dim[first] > 0 && dim[first] <= PICTURE_SIDE_MAX)
        network->height = (uint32_t)dim[first];
    if (dim[first + 1] > 0 && dim[first + 1] <= PICTURE_SIDE_MAX)
        network->width = (uint32_t)dim[first + 1];
}

static uint64_t count_parameters(const struct graph *graph)
{
    uint64_t count = 0;
    for (int i = 0; i < graph->value_count; i++) {
        const struct tensor *constant = &graph->values[i].constant;
        if (constant->data && constant->type == TENSOR_F32)
            count += (uint64_t)shape_elements(&constant->shape);
    }
    return count;
}

/* In front of analytics that only hand the picture on. */
static int try_scale(struct restore_config *config, uint32_t scale, struct error *err)
{
    struct compose c;
    struct graph *whole = NULL;
    struct card_input prepared;
    config->camera_width = scale * config->width;
    config->camera_height = scale * config->height;
    const struct card card = { .input = { .width = config->camera_width,
                                          .height = config->camera_height,
                                          .fit = FIT_STRETCH,
                                          .divisor = 255,
                                          .deviation = { 1, 1, 1 } } };
    compose_start(&c, "nothing", err);
    int picture = compose_input(
        &c, "picture", TENSOR_F32,
        COMPOSE_SHAPE(1, RESTORE_CHANNELS, config->camera_height, config->camera_width));
    compose_output(&c, picture, "same");
    int failed = c.rc;
    if (!failed)
        failed = restore_embed(&whole, c.graph, &card, config, &prepared, err);
    graph_free(&whole);
    graph_free(&c.graph);
    return failed;
}
