/* attribute: what nodes carry beside their inputs: copied, read and freed. */
#include "graph/graph.h"
#include "graph/parts.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static int copy_attribute(struct attribute *copy, const struct attribute *from, struct error *err);
static char **copy_strings(char *const *from, size_t count);
static int out_of_memory(struct error *err);

int graph_add_attribute(struct graph *graph, int node, const struct attribute *attribute,
                        struct error *err)
{
    assert(node >= 0 && node < graph->node_count && attribute->name);
    struct node *to = &graph->nodes[node];
    size_t bytes = (to->attribute_count + 1) * sizeof *to->attributes;
    struct attribute *more = realloc(to->attributes, bytes);
    if (!more)
        return out_of_memory(err);
    to->attributes = more;
    int rc = copy_attribute(&more[to->attribute_count], attribute, err);
    if (rc)
        return rc;
    return (int)to->attribute_count++;
}

const struct attribute *node_attribute(const struct node *node, const char *name)
{
    for (size_t i = 0; i < node->attribute_count; i++)
        if (strcmp(node->attributes[i].name, name) == 0)
            return &node->attributes[i];
    return NULL;
}

int64_t node_int(const struct node *node, const char *name, int64_t fallback)
{
    const struct attribute *attribute = node_attribute(node, name);
    return attribute && attribute->kind == ATTRIBUTE_INT ? attribute->i : fallback;
}

float node_float(const struct node *node, const char *name, float fallback)
{
    const struct attribute *attribute = node_attribute(node, name);
    return attribute && attribute->kind == ATTRIBUTE_FLOAT ? attribute->f : fallback;
}

const char *node_string(const struct node *node, const char *name, const char *fallback)
{
    const struct attribute *attribute = node_attribute(node, name);
    return attribute && attribute->kind == ATTRIBUTE_STRING ? attribute->s : fallback;
}

size_t node_ints(const struct node *node, const char *name, const int64_t **ints)
{
    const struct attribute *attribute = node_attribute(node, name);
    if (!attribute || attribute->kind != ATTRIBUTE_INTS)
        return 0;
    *ints = attribute->ints;
    return attribute->count;
}

void attribute_finish(struct attribute *attribute)
{
    for (size_t i = 0; attribute->strings && i < attribute->count; i++)
        free(attribute->strings[i]);
    free(attribute->strings);
    free(attribute->name);
    free(attribute->s);
    free(attribute->ints);
    free(attribute->floats);
    tensor_free(&attribute->t);
    graph_free(&attribute->graph);
    *attribute = (struct attribute){ 0 };
}

uint64_t attribute_bytes(const struct attribute *attribute)
{
    uint64_t bytes = sizeof *attribute + strlen(attribute->name);
    bytes += attribute->s ? strlen(attribute->s) : 0;
    bytes += attribute->ints ? attribute->count * sizeof *attribute->ints : 0;
    bytes += attribute->floats ? attribute->count * sizeof *attribute->floats : 0;
    for (size_t i = 0; attribute->strings && i < attribute->count; i++)
        bytes += sizeof *attribute->strings + strlen(attribute->strings[i]);
    return bytes + (attribute->t.data ? tensor_bytes(&attribute->t) : 0);
}

static int copy_attribute(struct attribute *copy, const struct attribute *from, struct error *err)
{
    *copy = (struct attribute){
        .name = strdup(from->name),
        .kind = from->kind,
        .i = from->i,
        .f = from->f,
        .s = from->s ? strdup(from->s) : NULL,
        .ints = from->ints ? calloc(from->count + 1, sizeof *copy->ints) : NULL,
        .floats = from->floats ? calloc(from->count + 1, sizeof *copy->floats) : NULL,
        .strings = from->strings ? copy_strings(from->strings, from->count) : NULL,
        .count = from->count,
        .graph = from->graph,
    };
    if (copy->graph)
        __atomic_fetch_add(&copy->graph->holders, 1, __ATOMIC_RELAXED);
    int rc = 0;
    if (!copy->name || (from->s && !copy->s) || (from->ints && !copy->ints) ||
        (from->floats && !copy->floats) || (from->strings && !copy->strings))
        rc = out_of_memory(err);
    else if (from->t.data)
        rc = tensor_create(&copy->t, from->t.type, &from->t.shape, err);
    if (rc) {
        attribute_finish(copy);
        return rc;
    }
    if (from->t.data)
        memcpy(copy->t.data, from->t.data, tensor_bytes(&from->t));
    if (from->ints)
        memcpy(copy->ints, from->ints, from->count * sizeof *from->ints);
    if (from->floats)
        memcpy(copy->floats, from->floats, from->count * sizeof *from->floats);
    return 0;
}

/* NULL when there is no memory for all of them. */
static char **copy_strings(char *const *from, size_t count)
{
    char **copies = calloc(count + 1, sizeof *copies);
    for (size_t i = 0; copies && i < count; i++) {
        copies[i] = strdup(from[i]);
        if (copies[i])
            continue;
        while (i > 0)
            free(copies[--i]);
        free(copies);
        return NULL;
    }
    return copies;
}

static int out_of_memory(struct error *err)
{
    return error_set(err, ERROR_MEMORY, "graph", "no memory left");
}
