/* head_graph: box_decode and box_nms, or label_map and a Slice, behind a network. */
#include "analyse/head_graph.h"
#include "graph/compose.h"
#include "ops/op.h"
#include "pixels.h"
#include <math.h>
#include <stdlib.h>

#define LISTS 4 /* boxes, scores, classes, count */

static void forget_outputs(struct graph *graph);
static int append_boxes(struct compose *c, const struct card *card, int raw);
static int append_areas(struct compose *c, int raw, size_t number, bool binary);
static int add_node(struct compose *c, const char *op, const int *inputs, int input_count,
                    int outputs, const struct attribute *attributes, int *made);

int head_graph_append(struct graph *graph, const struct card *card, const int *raw,
                      size_t raw_count, struct error *err)
{
    struct compose c = { .graph = graph, .name = "head", .err = err };
    bool areas = head_finds_areas(card->head.kind);
    bool binary = areas && raw_count == card->classes.count &&
                  graph->values[raw[0]].shape.dim[1] == HEAD_BINARY_PLANES;
    forget_outputs(graph);
    int rc = 0;
    for (size_t i = 0; !rc && i < raw_count; i++)
        rc = areas ? append_areas(&c, raw[i], i, binary) : append_boxes(&c, card, raw[i]);
    return rc ? rc : graph_sort(graph, err);
}

/* Nobody needs the network's own any more. */
static void forget_outputs(struct graph *graph)
{
    for (int i = 0; i < graph->output_count; i++)
        graph->values[graph->outputs[i]].is_output = false;
    graph->output_count = 0;
}

/* Down to what is nearly found, for the sample's threshold, too: head_decode leaves out what is below its own. */
static int append_boxes(struct compose *c, const struct card *card, int raw)
{
    const struct shape *shape = &c->graph->values[raw].shape;
    const struct card_head *head = &card->head;
    double lowest = card->sample.score > 0 ? fmin(card->sample.score, head->score) : head->score;
    const int64_t size[] = { card->input.height, card->input.width };
    const int64_t numbers = (int64_t)card->classes.count + (head->kind == HEAD_YOLOV8 ? 4 : 5);
    int lists[LISTS];
    const struct attribute of_decode[] = {
        COMPOSE_STRING("kind", head_words[head->kind]),
        COMPOSE_INT("classes", (int64_t)card->classes.count),
        COMPOSE_INTS("size", size, 2),
        COMPOSE_FLOAT("score", (float)lowest * HEAD_NEAR_SHARE),
        COMPOSE_INT("limit", shape_elements(shape) / shape->dim[0] / numbers), /* all cells */
        { 0 },
    };
    const struct attribute of_nms[] = {
        COMPOSE_FLOAT("iou", (float)head->iou),
        COMPOSE_INT("limit", head->objects_max + HEAD_NEAR_MAX),
        { 0 },
    };
    int rc = add_node(c, "box_decode", &raw, 1, LISTS, of_decode, lists);
    if (!rc)
        rc = add_node(c, "box_nms", lists, LISTS, LISTS, of_nms, lists);
    for (int i = 0; !rc && i < LISTS; i++) {
        int place = graph_mark_output(c->graph, lists[i], c->err);
        rc = place < 0 ? place : 0;
    }
    return rc;
}

/* number: of the output among those of the head. */
static int append_areas(struct compose *c, int raw, size_t number, bool binary)
{
    static const int64_t starts[] = { 0, 0 }, axes[] = { 2, 3 },
                         steps[] = { HEAD_GRID_STEP, HEAD_GRID_STEP };
    const struct shape shape = c->graph->values[raw].shape;
    const int64_t names[] = { PIXELS_NO_LABEL, (int64_t)number };
    const struct attribute of_map[] = { COMPOSE_INTS("names", names, HEAD_BINARY_PLANES), { 0 } };
    int labels = -1, grid = -1;
    int rc = add_node(c, "label_map", &raw, 1, 1, binary ? of_map : NULL, &labels);
    if (rc)
        return rc;
    const int inputs[] = { raw, compose_ints(c, starts, 2), compose_ints(c, &shape.dim[2], 2),
                           compose_ints(c, axes, 2), compose_ints(c, steps, 2) };
    rc = c->rc ? c->rc : add_node(c, "Slice", inputs, 5, 1, NULL, &grid);
    if (!rc)
        rc = graph_mark_output(c->graph, labels, c->err);
    if (rc >= 0)
        rc = graph_mark_output(c->graph, grid, c->err);
    return rc < 0 ? rc : 0;
}

/* made: its values, in their order. */
static int add_node(struct compose *c, const char *op, const int *inputs, int input_count,
                    int outputs, const struct attribute *attributes, int *made)
{
    int fresh[LISTS];
    for (int i = 0; i < outputs; i++) {
        fresh[i] = graph_add_value(c->graph, op, TENSOR_NONE, NULL, c->err);
        if (fresh[i] < 0)
            return fresh[i];
    }
    int node = graph_add_node(c->graph, op_find(op, 0), c->name, inputs, input_count, fresh,
                              outputs, c->err);
    int rc = node < 0 ? node : 0;
    for (; rc >= 0 && attributes && attributes->name; attributes++)
        rc = graph_add_attribute(c->graph, node, attributes, c->err);
    for (int i = 0; i < outputs; i++)
        made[i] = fresh[i];
    return rc < 0 ? rc : graph_infer_node(c->graph, node, c->err);
}
