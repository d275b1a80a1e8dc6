/* onnx_copy: reads a model and writes it again, for onnx_ort.py.
 *
 *     onnx_copy [-p] [-w SCALE] [-s 1x3x224x224]... FROM TO
 *
 * -s gives the shape of an input (in order) and infers the graph, -p also runs the passes that leave
 * ops of ONNX, or what it can spell; -w multiplies all weights (f32 constants of two dimensions and
 * more) by a number. */
#include "onnx/onnx.h"
#include "onnx/write.h"
#include "passes/pass.h"
#include <stdlib.h>
#include <unistd.h>

#define INPUTS_MAX 16

struct request {
    bool passes;
    float scale;
    struct shape shapes[INPUTS_MAX];
    int shape_count;
    const char *from, *to;
};

static int read_arguments(int argc, char **argv, struct request *request);
static int read_shape(const char *text, struct shape *shape);
static int copy(const struct request *request, struct graph **graph, struct error *err);
static void scale_weights(struct graph *graph, float scale);

int main(int argc, char **argv)
{
    struct request request = { .scale = 1 };
    struct graph *graph = NULL;
    struct error err = { 0 };
    if (read_arguments(argc, argv, &request)) {
        fprintf(stderr, "usage: %s [-p] [-w SCALE] [-s SHAPE]... FROM TO\n", argv[0]);
        return 2;
    }
    int rc = copy(&request, &graph, &err);
    if (rc)
        fprintf(stderr, "onnx_copy: %s\n", err.text);
    graph_free(&graph);
    return rc ? 1 : 0;
}

static int read_arguments(int argc, char **argv, struct request *request)
{
    int option;
    while ((option = getopt(argc, argv, "pw:s:")) != -1) {
        if (option == 'p')
            request->passes = true;
        else if (option == 'w')
            request->scale = strtof(optarg, NULL);
        else if (option != 's' || request->shape_count == INPUTS_MAX ||
                 read_shape(optarg, &request->shapes[request->shape_count++]))
            return -1;
    }
    if (argc - optind != 2)
        return -1;
    request->from = argv[optind];
    request->to = argv[optind + 1];
    return 0;
}

static int read_shape(const char *text, struct shape *shape)
{
    *shape = (struct shape){ 0 };
    while (*text && shape->rank < SHAPE_RANK_MAX) {
        char *end;
        shape->dim[shape->rank++] = strtol(text, &end, 10);
        if (end == text)
            return -1;
        text = *end == 'x' ? end + 1 : end;
    }
    return *text ? -1 : 0;
}

static int copy(const struct request *request, struct graph **graph, struct error *err)
{
    int rc = onnx_read_file(graph, request->from, err);
    if (rc)
        return rc;
    if (request->shape_count > 0 && request->shape_count != (*graph)->input_count)
        return error_set(err, ERROR_CONFIG, request->from, "it has %d inputs, not %d",
                         (*graph)->input_count, request->shape_count);
    scale_weights(*graph, request->scale);
    if (request->shape_count > 0)
        rc = graph_infer(*graph, request->shapes, err);
    if (!rc && request->passes && !(rc = pass_drop_noop(*graph, err)) &&
        !(rc = pass_fuse_activation(*graph, err)))
        rc = pass_fold_affine(*graph, err);
    return rc ? rc : onnx_write_file(*graph, request->to, err);
}

static void scale_weights(struct graph *graph, float scale)
{
    for (int i = 0; i < graph->value_count; i++) {
        struct tensor *weights = &graph->values[i].constant;
        if (!weights->data || weights->type != TENSOR_F32 || weights->shape.rank < 2)
            continue;
        for (int64_t k = 0, count = shape_elements(&weights->shape); k < count; k++)
            ((float *)weights->data)[k] *= scale;
    }
}
