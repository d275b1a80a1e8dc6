/* proto_edit: an unpacked model, changed in place. protobuf-c frees with the model whatever malloc gave. */
#include "onnx/proto_edit.h"
#include "onnx/reader.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int out_of_memory(struct error *err);

/* Takes over the attributes, which end with NULL; one that could not be made ends them, and the row misses it. The
 * name of its output; NULL where memory, or an operand, is missing. */
char *proto_add_node(Onnx__GraphProto *graph, int *made, const char *op, const char *a,
                     const char *b, Onnx__AttributeProto *const *attributes, struct error *err)
{
    Onnx__NodeProto *node = calloc(1, sizeof *node);
    char name[64];
    int rc = node ? 0 : out_of_memory(err);
    bool constant = strcmp(op, "Constant") == 0;
    snprintf(name, sizeof name, "rewritten:%s:%d", op, (*made)++);
    if (!rc) {
        onnx__node_proto__init(node);
        node->op_type = strdup(op);
        node->name = strdup(name);
        char *output = strdup(name);
        if (!output || proto_append((void ***)&node->output, &node->n_output, output)) {
            free(output);
            rc = out_of_memory(err);
        }
        if (!node->op_type || !node->name || (!a && !constant))
            rc = out_of_memory(err);
    }
    if (!rc && a)
        rc = proto_set_input(node, 0, a, err);
    if (!rc && b)
        rc = proto_set_input(node, 1, b, err);
    for (size_t i = 0; attributes && attributes[i]; i++) {
        if (rc)
            onnx__attribute_proto__free_unpacked(attributes[i], NULL);
        else
            rc = proto_add_attribute(node, attributes[i], err);
    }
    if (!rc && proto_append((void ***)&graph->node, &graph->n_node, node))
        rc = out_of_memory(err);
    if (rc && node)
        onnx__node_proto__free_unpacked(node, NULL);
    return rc ? NULL : node->output[0];
}

/* The next input, or another one for one that is there. */
int proto_set_input(Onnx__NodeProto *node, size_t index, const char *name, struct error *err)
{
    char *copy = strdup(name);
    if (!copy)
        return out_of_memory(err);
    if (index < node->n_input) {
        free(node->input[index]);
        node->input[index] = copy;
        return 0;
    }
    if (index == node->n_input && proto_append((void ***)&node->input, &node->n_input, copy) == 0)
        return 0;
    free(copy);
    return out_of_memory(err);
}

Onnx__AttributeProto *proto_find(const Onnx__NodeProto *node, const char *name)
{
    for (size_t i = 0; i < node->n_attribute; i++)
        if (strcmp(onnx_text(node->attribute[i]->name), name) == 0)
            return node->attribute[i];
    return NULL;
}

/* The node does not have it any more. */
int64_t proto_take_int(Onnx__NodeProto *node, const char *name, int64_t fallback)
{
    const Onnx__AttributeProto *attribute = proto_find(node, name);
    int64_t number = attribute ? attribute->i : fallback;
    proto_drop(node, name);
    return number;
}

void proto_drop(Onnx__NodeProto *node, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < node->n_attribute; i++) {
        if (strcmp(onnx_text(node->attribute[i]->name), name) == 0)
            onnx__attribute_proto__free_unpacked(node->attribute[i], NULL);
        else
            node->attribute[kept++] = node->attribute[i];
    }
    node->n_attribute = kept;
}

/* Attributes are protobuf-c's, which frees them with the model; NULL without memory. */
Onnx__AttributeProto *proto_make_int(const char *name, int64_t i)
{
    Onnx__AttributeProto *attribute = proto_make_ints(name, NULL, 0);
    if (attribute) {
        attribute->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
        attribute->has_i = 1;
        attribute->i = i;
    }
    return attribute;
}

Onnx__AttributeProto *proto_make_ints(const char *name, const int64_t *ints, size_t count)
{
    Onnx__AttributeProto *attribute = malloc(sizeof *attribute);
    if (!attribute)
        return NULL;
    onnx__attribute_proto__init(attribute);
    attribute->name = strdup(name);
    attribute->has_type = 1;
    attribute->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
    attribute->ints = count > 0 ? malloc(count * sizeof *ints) : NULL;
    attribute->n_ints = attribute->ints ? count : 0;
    if (attribute->ints)
        memcpy(attribute->ints, ints, count * sizeof *ints);
    if (attribute->name && attribute->n_ints == count)
        return attribute;
    onnx__attribute_proto__free_unpacked(attribute, NULL);
    return NULL;
}

/* Takes it over. */
int proto_add_attribute(Onnx__NodeProto *node, Onnx__AttributeProto *attribute, struct error *err)
{
    if (attribute && proto_append((void ***)&node->attribute, &node->n_attribute, attribute) == 0)
        return 0;
    if (attribute)
        onnx__attribute_proto__free_unpacked(attribute, NULL);
    return out_of_memory(err);
}

int proto_append(void ***list, size_t *count, void *item)
{
    void **more = realloc(*list, (*count + 1) * sizeof *more);
    if (!more)
        return -1;
    *list = more;
    more[(*count)++] = item;
    return 0;
}

static int out_of_memory(struct error *err)
{
    return error_set(err, ERROR_MEMORY, "graph", "no memory left");
}
