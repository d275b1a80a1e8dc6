/* unroll: Loop and Scan, trip after trip. Each copy of the body is inferred before the next one is made, so a
 * condition that the body computes from what is known ends the loop as it would in a run. */
#include "graph/expand.h"
#include "ops/op.h"
#include <stdlib.h>
#include <string.h>

#define TRIPS_MAX 10000

/* Inputs of a Loop before what is carried; of its body the first is the trip at hand. */
enum { TRIPS, CONDITION, LOOP_OWN };

/* What goes from trip to trip, and what each one adds to the results. */
struct trips {
    struct body body;
    int carried_count, scanned_count; /* values from trip to trip; results that are stacked */
    int first_in, first_out;          /* of what is carried, among the body's inputs and outputs */
    int *inputs, *outputs;            /* of the body, in the trip at hand */
    int *parts;                       /* scanned_count for each trip */
    int count, capacity;              /* of trips */
};

static int open_trips(const struct expansion *e, struct trips *t, struct error *err);
static void close_trips(struct trips *t);
static int make_trip(struct expansion *e, struct trips *t, struct error *err);
static int finish_trips(struct expansion *e, struct trips *t, struct error *err);
static int read_loop(struct expansion *e, struct trips *t, int64_t *trips, bool *more,
                     struct error *err);
static int loop_again(const struct expansion *e, struct trips *t, int64_t trips, bool *more,
                      struct error *err);
static int scan_trips(const struct expansion *e, int scanned, int64_t *trips, struct error *err);
static int scan_trip(struct expansion *e, struct trips *t, int scanned, int64_t trips,
                     struct error *err);
static int list_entry(const struct expansion *e, const char *name, int index, int count,
                      int64_t *entry, struct error *err);
static int stack(struct expansion *e, const struct trips *t, int scanned, struct error *err);
static int add_axis(struct expansion *e, int value, int64_t axis, struct error *err);
static int stack_parts(struct expansion *e, int *parts, int count, int64_t axis, struct error *err);

int expand_loop(struct expansion *e, struct error *err)
{
    struct trips t = { .carried_count = e->own_inputs - LOOP_OWN,
                       .first_in = LOOP_OWN,
                       .first_out = 1 };
    int64_t trips = 0;
    bool more = false;
    int rc = expand_body(e, "body", e->own_inputs, 1 + t.carried_count, &t.body, err);
    if (rc || (rc = open_trips(e, &t, err)))
        return rc;
    rc = read_loop(e, &t, &trips, &more, err);
    while (!rc && more) {
        t.inputs[TRIPS] = expand_number(e, TENSOR_I64, t.count, err);
        rc = t.inputs[TRIPS] < 0 ? t.inputs[TRIPS] : make_trip(e, &t, err);
        if (!rc)
            rc = loop_again(e, &t, trips, &more, err);
    }
    if (!rc)
        rc = finish_trips(e, &t, err);
    close_trips(&t);
    return rc;
}

int expand_scan(struct expansion *e, struct error *err)
{
    int64_t scanned = node_int(e->node, "num_scan_inputs", 0), trips = 0;
    if (scanned < 1 || scanned > e->own_inputs)
        return error_set(err, ERROR_FORMAT, "num_scan_inputs", "%lld of %d inputs",
                         (long long)scanned, e->own_inputs);
    struct trips t = { .carried_count = e->own_inputs - (int)scanned };
    int rc = expand_body(e, "body", e->own_inputs, t.carried_count, &t.body, err);
    if (rc || (rc = open_trips(e, &t, err)))
        return rc;
    memcpy(t.inputs, e->node->inputs, (size_t)t.carried_count * sizeof *t.inputs);
    rc = scan_trips(e, (int)scanned, &trips, err);
    while (!rc && t.count < trips)
        rc = scan_trip(e, &t, (int)scanned, trips, err);
    if (!rc)
        rc = finish_trips(e, &t, err);
    close_trips(&t);
    return rc;
}

static int open_trips(const struct expansion *e, struct trips *t, struct error *err)
{
    for (int i = t->first_in; i < e->own_inputs; i++)
        if (e->node->inputs[i] < 0)
            return error_set(err, ERROR_FORMAT, "inputs", "input %d is missing", i);
    t->scanned_count = t->body.graph->output_count - t->first_out - t->carried_count;
    if (e->node->output_count > t->carried_count + t->scanned_count)
        return error_set(err, ERROR_FORMAT, "body", "has %d outputs; at least %d expected",
                         t->body.graph->output_count, t->first_out + e->node->output_count);
    t->inputs = calloc((size_t)t->body.own_inputs + 1, sizeof *t->inputs);
    t->outputs = calloc((size_t)t->body.graph->output_count + 1, sizeof *t->outputs);
    if (t->inputs && t->outputs)
        return 0;
    close_trips(t);
    return error_set(err, ERROR_MEMORY, "graph", "no memory left");
}

static void close_trips(struct trips *t)
{
    free(t->inputs);
    free(t->outputs);
    free(t->parts);
}

/* What the body gives is carried to the next trip, and what is to be stacked noted. */
static int make_trip(struct expansion *e, struct trips *t, struct error *err)
{
    if (t->count >= TRIPS_MAX)
        return error_set(err, ERROR_LIMIT, "body", "more than %d trips", TRIPS_MAX);
    if (t->count >= t->capacity) {
        int capacity = t->capacity ? t->capacity * 2 : 16;
        int *parts =
            realloc(t->parts, (size_t)capacity * ((size_t)t->scanned_count + 1) * sizeof *parts);
        if (!parts)
            return error_set(err, ERROR_MEMORY, "graph", "no memory left");
        t->parts = parts;
        t->capacity = capacity;
    }
    int rc = expand_copy(e, &t->body, t->count, t->inputs, t->outputs, err);
    if (rc)
        return err ? error_wrap(err, "body, trip %d", t->count) : rc;
    memcpy(t->inputs + t->first_in, t->outputs + t->first_out,
           (size_t)t->carried_count * sizeof *t->inputs);
    memcpy(t->parts + (size_t)t->count * (size_t)t->scanned_count,
           t->outputs + t->first_out + t->carried_count, (size_t)t->scanned_count * sizeof *t->parts);
    t->count++;
    return 0;
}

static int finish_trips(struct expansion *e, struct trips *t, struct error *err)
{
    const int *carried = t->inputs + t->first_in;
    int rc = 0;
    for (int i = 0; !rc && i < t->carried_count; i++)
        rc = expand_output(e, i, carried[i], err);
    for (int i = 0; !rc && t->carried_count + i < e->node->output_count; i++)
        if (e->node->outputs[t->carried_count + i] >= 0)
            rc = stack(e, t, i, err);
    return rc;
}

/* How often at most, and whether at all. */
static int read_loop(struct expansion *e, struct trips *t, int64_t *trips, bool *more,
                     struct error *err)
{
    const int *inputs = e->node->inputs;
    bool known = true;
    int64_t begin = 1;
    int rc = 0;
    memcpy(t->inputs, inputs, (size_t)e->own_inputs * sizeof *t->inputs);
    *trips = INT64_MAX;
    if (inputs[TRIPS] < 0 && inputs[CONDITION] < 0)
        return error_set(err, ERROR_FORMAT, "inputs",
                         "neither trip count nor condition: it has no end");
    if (inputs[TRIPS] >= 0)
        rc = expand_known(e, inputs[TRIPS], "trip count", TENSOR_I64, &known, trips, err);
    if (!rc && !known)
        rc = error_set(err, ERROR_UNSUPPORTED, "trip count", "is known only in the run");
    if (!rc && inputs[CONDITION] >= 0)
        rc = expand_known(e, inputs[CONDITION], "cond", TENSOR_BOOL, &known, &begin, err);
    else if (!rc && (t->inputs[CONDITION] = expand_number(e, TENSOR_BOOL, 1, err)) < 0)
        rc = t->inputs[CONDITION];
    if (!rc && !known)
        rc = error_set(err, ERROR_UNSUPPORTED, "cond", "is known only in the run");
    *more = begin != 0 && *trips > 0;
    return rc;
}

/* After a trip. What the body says of another one counts only where the node has a condition, and not after the
 * last trip. */
static int loop_again(const struct expansion *e, struct trips *t, int64_t trips, bool *more,
                      struct error *err)
{
    bool known = true;
    int64_t again = 1;
    *more = t->count < trips;
    t->inputs[CONDITION] = t->outputs[0];
    if (!*more || e->node->inputs[CONDITION] < 0)
        return 0;
    int rc =
        expand_known(e, t->outputs[0], "condition of the body", TENSOR_BOOL, &known, &again, err);
    if (!rc && !known)
        rc = error_set(err, ERROR_UNSUPPORTED, "condition of the body",
                       "is known only in the run (trip %d)", t->count - 1);
    *more = again != 0;
    return rc;
}

/* All inputs that are scanned have as many pieces. */
static int scan_trips(const struct expansion *e, int scanned, int64_t *trips, struct error *err)
{
    for (int i = 0; i < scanned; i++) {
        const struct value *value = &e->graph->values[e->node->inputs[e->own_inputs - scanned + i]];
        int64_t axis;
        int rc = list_entry(e, "scan_input_axes", i, scanned, &axis, err);
        if (rc)
            return rc;
        if (axis < -value->shape.rank || axis >= value->shape.rank)
            return error_set(err, ERROR_FORMAT, "scan_input_axes", "%lld of %d dimensions",
                             (long long)axis, value->shape.rank);
        int64_t pieces = value->shape.dim[axis < 0 ? axis + value->shape.rank : axis];
        if (i > 0 && pieces != *trips)
            return error_set(err, ERROR_FORMAT, "inputs", "%lld pieces to scan, and %lld of another",
                             (long long)*trips, (long long)pieces);
        *trips = pieces;
    }
    return 0;
}

static int scan_trip(struct expansion *e, struct trips *t, int scanned, int64_t trips,
                     struct error *err)
{
    for (int i = 0; i < scanned; i++) {
        int64_t axis, backwards;
        int rc = list_entry(e, "scan_input_axes", i, scanned, &axis, err);
        if (rc || (rc = list_entry(e, "scan_input_directions", i, scanned, &backwards, err)))
            return rc;
        int at = expand_number(e, TENSOR_I64, backwards ? trips - 1 - t->count : t->count, err);
        if (at < 0)
            return at;
        const struct attribute attribute = { .name = (char *)"axis", .kind = ATTRIBUTE_INT, .i = axis };
        const int inputs[] = { e->node->inputs[t->carried_count + i], at };
        int piece = expand_op(e, "Gather", inputs, 2, &attribute, -1, err);
        if (piece < 0)
            return piece;
        t->inputs[t->carried_count + i] = piece;
    }
    return make_trip(e, t, err);
}

/* Of a list attribute that may be absent: 0 then. */
static int list_entry(const struct expansion *e, const char *name, int index, int count,
                      int64_t *entry, struct error *err)
{
    const int64_t *list = NULL;
    size_t given = node_ints(e->node, name, &list);
    if (given != 0 && (given > (size_t)count || (size_t)index >= given))
        return error_set(err, ERROR_FORMAT, name, "%zu numbers for %d", given, count);
    *entry = given ? list[index] : 0;
    return 0;
}

/* One result of all trips, each with a dimension of 1 more, one behind the other. */
static int stack(struct expansion *e, const struct trips *t, int scanned, struct error *err)
{
    int64_t axis, backwards;
    int rc = list_entry(e, "scan_output_axes", scanned, t->scanned_count, &axis, err);
    if (rc ||
        (rc = list_entry(e, "scan_output_directions", scanned, t->scanned_count, &backwards, err)))
        return rc;
    if (t->count == 0)
        return error_set(err, ERROR_UNSUPPORTED, "trip count",
                         "is 0: what output %d would be is not known", t->carried_count + scanned);
    int *parts = calloc((size_t)t->count, sizeof *parts);
    if (!parts)
        return error_set(err, ERROR_MEMORY, "graph", "no memory left");
    for (int i = 0; !rc && i < t->count; i++) {
        int value = t->parts[(backwards ? t->count - 1 - i : i) * t->scanned_count + scanned];
        parts[i] = add_axis(e, value, axis, err);
        rc = parts[i] < 0 ? parts[i] : 0;
    }
    int whole = rc ? rc : stack_parts(e, parts, t->count, axis, err);
    free(parts);
    return whole < 0 ? whole : expand_output(e, t->carried_count + scanned, whole, err);
}

/* By Unsqueeze: a Reshape would name the batch, and be changed with it (graph_set_batch). */
static int add_axis(struct expansion *e, int value, int64_t axis, struct error *err)
{
    const struct attribute attribute = {
        .name = (char *)"axes", .kind = ATTRIBUTE_INTS, .ints = &axis, .count = 1
    };
    int rank = e->graph->values[value].shape.rank + 1;
    if (axis < -rank || axis >= rank)
        return error_set(err, ERROR_FORMAT, "scan_output_axes", "%lld for %d dimensions",
                         (long long)axis, rank - 1);
    const struct op *row = op_find("Unsqueeze", e->graph->opset);
    if (row && row->inputs_max == 1)
        return expand_op(e, "Unsqueeze", &value, 1, &attribute, -1, err);
    int axes = expand_list(e, &axis, 1, err);
    return axes < 0 ? axes
                    : expand_op(e, "Unsqueeze", (const int[]){ value, axes }, 2, NULL, -1, err);
}

/* A Concat takes so many inputs at most: of many parts, Concats of Concats. */
static int stack_parts(struct expansion *e, int *parts, int count, int64_t axis, struct error *err)
{
    const struct attribute attribute = { .name = (char *)"axis", .kind = ATTRIBUTE_INT, .i = axis };
    do {
        int joined = 0;
        for (int at = 0; at < count; at += GRAPH_NODE_INPUTS_MAX) {
            int some = count - at < GRAPH_NODE_INPUTS_MAX ? count - at : GRAPH_NODE_INPUTS_MAX;
            int value = expand_op(e, "Concat", parts + at, some, &attribute, -1, err);
            if (value < 0)
                return value;
            parts[joined++] = value;
        }
        count = joined;
    } while (count > 1);
    return parts[0];
}
