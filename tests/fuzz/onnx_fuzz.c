/* onnx_fuzz: any bytes as a model file. What is read can be written and read again, unless the writer
 * says why not; and is inferred, with a small size for every free dimension, and what is small enough is
 * run by the reference kernels. */
#include "graph/reference.h"
#include "onnx/onnx.h"
#include "onnx/write.h"

#include <assert.h>
#include <stdlib.h>

#define INPUTS_MAX 4
#define OUTPUTS_MAX 8
#define ELEMENTS_MAX 4096 /* of all values together; a convolution's work is at most its square */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Gives each free dimension a size of its own, so that mixed up dimensions show. */
static void close_shapes(const struct graph *graph, struct shape *shapes)
{
    for (int i = 0; i < graph->input_count; i++) {
        shapes[i] = graph->values[graph->inputs[i]].shape;
        if (shapes[i].rank < 0)
            shapes[i] = (struct shape){ .rank = 4, .dim = { 1, 3, 4, 5 } };
        for (int d = 0; d < shapes[i].rank; d++)
            if (shapes[i].dim[d] < 1)
                shapes[i].dim[d] = 1 + d % 3;
    }
}

static bool is_small(const struct graph *graph)
{
    int64_t left = ELEMENTS_MAX;
    for (int i = 0; i < graph->value_count; i++) {
        int64_t elements = shape_elements(&graph->values[i].shape);
        if (elements < 0 || elements > left)
            return false;
        left -= elements;
    }
    return true;
}

static void run(struct graph *graph, const struct shape *shapes)
{
    struct tensor inputs[INPUTS_MAX] = { { 0 } }, outputs[OUTPUTS_MAX] = { { 0 } };
    const struct tensor *list[INPUTS_MAX];
    int rc = 0;
    for (int i = 0; i < graph->input_count; i++) {
        rc |= tensor_create(&inputs[i], graph->values[graph->inputs[i]].type, &shapes[i], NULL);
        list[i] = &inputs[i];
    }
    if (!rc && graph_run_reference(graph, list, outputs, NULL) == 0)
        for (int i = 0; i < graph->output_count; i++)
            assert(shape_equal(&outputs[i].shape, &graph->values[graph->outputs[i]].shape));
    for (int i = 0; i < graph->output_count; i++)
        tensor_free(&outputs[i]);
    for (int i = 0; i < graph->input_count; i++)
        tensor_free(&inputs[i]);
}

static void write_and_read(const struct graph *graph)
{
    struct error err;
    struct graph *again = NULL;
    void *bytes = NULL;
    size_t size = 0;
    if (onnx_write_bytes(graph, &bytes, &size, &err))
        return;
    int rc = onnx_read_bytes(&again, bytes, size, "written", &err);
    assert(!rc && again->node_count == graph->node_count);
    graph_free(&again);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err;
    struct graph *graph = NULL, *copy = NULL;
    struct shape shapes[INPUTS_MAX];
    if (onnx_read_bytes(&graph, data, size, "fuzz", &err))
        return 0;
    write_and_read(graph);
    if (graph->input_count <= INPUTS_MAX && graph->output_count <= OUTPUTS_MAX &&
        graph_clone(&copy, graph, &err) == 0) {
        close_shapes(copy, shapes);
        if (graph_infer(copy, shapes, &err) == 0 && is_small(copy))
            run(copy, shapes);
    }
    graph_free(&copy);
    graph_free(&graph);
    return 0;
}
