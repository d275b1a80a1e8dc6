/* scope: names of a file and the values that they stand for. Graphs that nodes hold see the names around them:
 * what they read from there is captured, level by level, and so is every constant of theirs. */
#include "onnx/reader.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the calls of functions may copy, together: nodes are counted, but one node may hold much. */
#define FUNCTION_BYTES_MAX ((uint64_t)256 << 20)
/* In functions, names are copied as often as these are called. */
#define NAME_BYTES_MAX 100

static int capture(struct draft *draft, int outer, const char *name, struct error *err);
static int add_constant(struct draft *draft, const char *name, struct tensor *tensor,
                        struct error *err);

int scope_find(struct scope *scope, const char *name, int *value, struct error *err)
{
    *value = names_find(&scope->names, name);
    if (*value != SCOPE_NONE || !scope->outer)
        return 0;
    int outer;
    int rc = scope_find(scope->outer, name, &outer, err);
    if (rc || outer < 0) {
        *value = outer;
        return rc;
    }
    *value = capture(scope->draft, outer, name, err);
    return *value < 0 ? *value : names_add(&scope->names, name, *value, err);
}

int scope_add(struct scope *scope, const char *name, int value, struct error *err)
{
    if (!*name)
        return error_set(err, ERROR_FORMAT, "graph", "a value has no name");
    return names_add(&scope->names, name, value, err);
}

int scope_add_value(struct scope *scope, const char *name, enum tensor_type type,
                    const struct shape *shape, struct error *err)
{
    char short_name[NAME_BYTES_MAX + 1];
    snprintf(short_name, sizeof short_name, "%s", name);
    int value =
        graph_add_value(scope->draft->graph, scope->call ? short_name : name, type, shape, err);
    if (value < 0)
        return value;
    int rc = scope_add(scope, name, value, err);
    return rc ? rc : value;
}

int scope_add_constant(struct scope *scope, const char *name, struct tensor *tensor, struct error *err)
{
    int rc = scope_pay(scope, tensor_bytes(tensor) + strlen(name), err);
    if (rc)
        return rc;
    int value = add_constant(scope->draft, name, tensor, err);
    if (value < 0)
        return value;
    rc = scope_add(scope, name, value, err);
    return rc ? rc : value;
}

int scope_pay(struct scope *scope, uint64_t bytes, struct error *err)
{
    struct reader *reader = scope->reader;
    if (!scope->call)
        return 0;
    if (bytes > FUNCTION_BYTES_MAX - reader->function_bytes)
        return error_set(err, ERROR_LIMIT, "functions", "hold more than %llu bytes, call by call",
                         (unsigned long long)FUNCTION_BYTES_MAX);
    reader->function_bytes += bytes;
    return 0;
}

void scope_close(struct scope *scope)
{
    names_finish(&scope->names);
}

/* The constants are inputs of all graphs from the model's own inwards. */
static int add_constant(struct draft *draft, const char *name, struct tensor *tensor,
                        struct error *err)
{
    if (!draft->outer)
        return graph_add_constant(draft->graph, name, tensor, err);
    int outer = add_constant(draft->outer, name, tensor, err);
    return outer < 0 ? outer : capture(draft, outer, name, err);
}

/* A value of the outer graph as a new input of this one. */
static int capture(struct draft *draft, int outer, const char *name, struct error *err)
{
    assert(draft->outer);
    if (draft->captured_count >= GRAPH_BODY_INPUTS_MAX)
        return error_set(err, ERROR_LIMIT, "graph", "reads more than %d values from around it",
                         GRAPH_BODY_INPUTS_MAX);
    if (draft->captured_count == draft->captured_capacity) {
        int capacity = draft->captured_capacity ? draft->captured_capacity * 2 : 16;
        int *captured = realloc(draft->captured, (size_t)capacity * sizeof *captured);
        if (!captured)
            return error_set(err, ERROR_MEMORY, "graph", "no memory left");
        draft->captured = captured;
        draft->captured_capacity = capacity;
    }
    int value = graph_add_value(draft->graph, name, TENSOR_NONE, NULL, err);
    int rc = value < 0 ? value : graph_mark_input(draft->graph, value, err);
    if (rc < 0)
        return rc;
    draft->captured[draft->captured_count++] = outer;
    return value;
}
