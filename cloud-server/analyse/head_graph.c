/* head_graph: box_decode and box_nms, or label_map and a Slice, behind a network. */
#include "analyse/head_graph.h"
#include "graph/compose.h"
#include "pixels.h"
#include <math.h>
#include <stdlib.h>

#define LISTS 4 /* boxes, scores, classes, count */

static void forget_outputs(struct graph *graph);
static void append_boxes(struct compose *c, const struct card *card, int raw);
static void append_areas(struct compose *c, int raw, size_t number, bool binary);
static void mark_output(struct compose *c, int value);

int head_graph_append(struct graph *graph, const struct card *card, const int *raw,
                      size_t raw_count, struct error *err)
{
    struct compose c = { .graph = graph, .name = "head", .err = err };
    bool areas = head_finds_areas(card->head.kind);
    bool binary = areas && raw_count == card->classes.count &&
                  graph->values[raw[0]].shape.dim[1] == HEAD_BINARY_PLANES;
    forget_outputs(graph);
    for (size_t i = 0; i < raw_count; i++)
        if (areas)
            append_areas(&c, raw[i], i, binary);
        else
            append_boxes(&c, card, raw[i]);
    return c.rc ? c.rc : graph_sort(graph, err);
}

/* Nobody needs the network's own any more. */
static void forget_outputs(struct graph *graph)
{
    for (int i = 0; i < graph->output_count; i++)
        graph->values[graph->outputs[i]].is_output = false;
    graph->output_count = 0;
}

/* Down to what is nearly found, for the sample's threshold, too: head_decode leaves out what is below its own. */
static void append_boxes(struct compose *c, const struct card *card, int raw)
{
    const struct shape *shape = &c->graph->values[raw].shape;
    const struct card_head *head = &card->head;
    double lowest = card->sample.score > 0 ? fmin(card->sample.score, head->score) : head->score;
    const int64_t size[] = { card->input.height, card->input.width };
    const int64_t numbers = (int64_t)card->classes.count + (head->kind == HEAD_YOLOV8 ? 4 : 5);
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
    int lists[LISTS], kept[LISTS];
    compose_node_of(c, "box_decode", &raw, 1, of_decode, lists, LISTS);
    compose_node_of(c, "box_nms", lists, LISTS, of_nms, kept, LISTS);
    for (int i = 0; i < LISTS; i++)
        mark_output(c, kept[i]);
}

/* number: of the output among those of the head. */
static void append_areas(struct compose *c, int raw, size_t number, bool binary)
{
    static const int64_t starts[] = { 0, 0 }, axes[] = { 2, 3 },
                         steps[] = { HEAD_GRID_STEP, HEAD_GRID_STEP };
    const struct shape shape = c->graph->values[raw].shape;
    const int64_t names[] = { PIXELS_NO_LABEL, (int64_t)number };
    const struct attribute of_map[] = { COMPOSE_INTS("names", names, HEAD_BINARY_PLANES), { 0 } };
    int labels = compose_node(c, "label_map", &raw, 1, binary ? of_map : NULL);
    const int inputs[] = { raw, compose_ints(c, starts, 2), compose_ints(c, &shape.dim[2], 2),
                           compose_ints(c, axes, 2), compose_ints(c, steps, 2) };
    mark_output(c, labels);
    mark_output(c, compose_node(c, "Slice", inputs, 5, NULL));
}

static void mark_output(struct compose *c, int value)
{
    int place = c->rc ? 0 : graph_mark_output(c->graph, value, c->err);
    if (place < 0)
        c->rc = place;
}
