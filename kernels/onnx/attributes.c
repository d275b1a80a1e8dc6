/* attributes: what nodes carry, held to the op's row; references of a function to its caller; and graphs. */
#include "onnx/reader.h"
#include "ops/op.h"
#include <stdlib.h>
#include <string.h>

static int find_kind(const struct op *op, const char *name, enum attribute_kind *kind,
                     struct error *err);
static int check_type(const Onnx__AttributeProto *proto, enum attribute_kind kind, struct error *err);
static int read_content(struct scope *scope, const Onnx__AttributeProto *proto,
                        struct attribute *attribute, struct draft *body, struct error *err);
static int read_string(const ProtobufCBinaryData *from, char **to, struct error *err);
static int read_strings(const Onnx__AttributeProto *proto, struct attribute *attribute,
                        struct error *err);
static int read_body(struct scope *scope, const Onnx__GraphProto *proto,
                     struct attribute *attribute, struct draft *body, struct error *err);

int onnx_read_attribute(struct scope *scope, const struct op *op, const Onnx__AttributeProto *proto,
                        struct attribute *attribute, struct draft *body, bool *given,
                        struct error *err)
{
    const Onnx__AttributeProto *content;
    *given = false;
    *attribute = (struct attribute){ .name = (char *)onnx_text(proto->name) };
    int rc = find_kind(op, attribute->name, &attribute->kind, err);
    if (rc || (rc = onnx_resolve(scope, proto, &content, err)) || !content)
        return rc;
    if (content != proto && attribute->kind == ATTRIBUTE_GRAPH)
        return error_set(err, ERROR_UNSUPPORTED, "reference", "to a graph is not supported");
    if ((rc = check_type(content, attribute->kind, err)))
        return rc;
    rc = read_content(scope, content, attribute, body, err);
    if (rc)
        onnx_free_attribute(attribute);
    *given = !rc;
    return rc;
}

void onnx_free_attribute(struct attribute *attribute)
{
    for (size_t i = 0; attribute->strings && i < attribute->count; i++)
        free(attribute->strings[i]);
    free(attribute->strings);
    free(attribute->s);
    tensor_free(&attribute->t);
    graph_free(&attribute->graph);
}

/* A caller may be in a function itself and refer to its own caller. */
int onnx_resolve(const struct scope *scope, const Onnx__AttributeProto *proto,
                 const Onnx__AttributeProto **resolved, struct error *err)
{
    while (proto && *onnx_text(proto->ref_attr_name)) {
        const char *name = proto->ref_attr_name;
        const struct call *call = scope->call;
        if (!call)
            return error_set(err, ERROR_FORMAT, "reference", "to '%.64s' outside of a function",
                             name);
        proto = NULL;
        for (size_t i = 0; i < call->node->n_attribute; i++)
            if (strcmp(onnx_text(call->node->attribute[i]->name), name) == 0)
                proto = call->node->attribute[i];
        if (!proto)
            proto = onnx_function_default(call->function, name);
        scope = call->scope;
    }
    *resolved = proto;
    return 0;
}

static int find_kind(const struct op *op, const char *name, enum attribute_kind *kind,
                     struct error *err)
{
    const struct op_attribute *row = op->attributes;
    while (row && row->name && strcmp(row->name, name) != 0)
        row++;
    if (!row || !row->name)
        return error_set(err, ERROR_UNSUPPORTED, "name", "this op has no such attribute");
    *kind = row->kind;
    return 0;
}

Onnx__AttributeProto__AttributeType onnx_attribute_type(enum attribute_kind kind)
{
    static const Onnx__AttributeProto__AttributeType types[] = {
        [ATTRIBUTE_INT] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT,
        [ATTRIBUTE_FLOAT] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT,
        [ATTRIBUTE_STRING] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING,
        [ATTRIBUTE_INTS] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS,
        [ATTRIBUTE_FLOATS] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS,
        [ATTRIBUTE_TENSOR] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR,
        [ATTRIBUTE_STRINGS] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS,
        [ATTRIBUTE_GRAPH] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH,
    };
    return types[kind];
}

/* The file says that it is what the op takes, and it is there. */
static int check_type(const Onnx__AttributeProto *proto, enum attribute_kind kind, struct error *err)
{
    if (!proto->has_type || proto->type != onnx_attribute_type(kind))
        return error_set(err, ERROR_FORMAT, "type", "%d is not what this op takes",
                         proto->has_type ? (int)proto->type : 0);
    if ((kind == ATTRIBUTE_TENSOR && !proto->t) || (kind == ATTRIBUTE_GRAPH && !proto->g))
        return error_set(err, ERROR_FORMAT, "value", "is missing");
    return 0;
}

static int read_content(struct scope *scope, const Onnx__AttributeProto *proto,
                        struct attribute *attribute, struct draft *body, struct error *err)
{
    int rc = 0;
    attribute->i = proto->i;
    attribute->f = proto->f;
    if (attribute->kind == ATTRIBUTE_INTS) {
        attribute->ints = proto->ints;
        attribute->count = proto->n_ints;
        rc = scope_pay(scope, proto->n_ints * sizeof *proto->ints, err);
    } else if (attribute->kind == ATTRIBUTE_FLOATS) {
        attribute->floats = proto->floats;
        attribute->count = proto->n_floats;
        rc = scope_pay(scope, proto->n_floats * sizeof *proto->floats, err);
    } else if (attribute->kind == ATTRIBUTE_STRING) {
        rc = read_string(&proto->s, &attribute->s, err);
        if (!rc)
            rc = scope_pay(scope, proto->s.len, err);
    } else if (attribute->kind == ATTRIBUTE_STRINGS) {
        rc = read_strings(proto, attribute, err);
        for (size_t i = 0; !rc && i < proto->n_strings; i++)
            rc = scope_pay(scope, proto->strings[i].len, err);
    } else if (attribute->kind == ATTRIBUTE_TENSOR) {
        rc = onnx_read_tensor(proto->t, &attribute->t, err);
        if (!rc)
            rc = scope_pay(scope, tensor_bytes(&attribute->t), err);
    } else if (attribute->kind == ATTRIBUTE_GRAPH) {
        rc = read_body(scope, proto->g, attribute, body, err);
    }
    return rc;
}

static int read_string(const ProtobufCBinaryData *from, char **to, struct error *err)
{
    *to = calloc(1, from->len + 1);
    if (!*to)
        return error_set(err, ERROR_MEMORY, "graph", "no memory left");
    if (from->len > 0)
        memcpy(*to, from->data, from->len);
    return 0;
}

static int read_strings(const Onnx__AttributeProto *proto, struct attribute *attribute,
                        struct error *err)
{
    attribute->strings = calloc(proto->n_strings + 1, sizeof *attribute->strings);
    if (!attribute->strings)
        return error_set(err, ERROR_MEMORY, "graph", "no memory left");
    int rc = 0;
    for (size_t i = 0; !rc && i < proto->n_strings; i++) {
        rc = read_string(&proto->strings[i], &attribute->strings[i], err);
        attribute->count += !rc;
    }
    return rc;
}

static int read_body(struct scope *scope, const Onnx__GraphProto *proto,
                     struct attribute *attribute, struct draft *body, struct error *err)
{
    struct scope inner = {
        .reader = scope->reader,
        .draft = body,
        .outer = scope,
        .opset = scope->opset,
        .call = scope->call,
        .depth = scope->depth + 1,
    };
    if (inner.depth > READER_DEPTH_MAX)
        return error_set(err, ERROR_LIMIT, "graph", "graphs and functions nest deeper than %d",
                         READER_DEPTH_MAX);
    body->outer = scope->draft;
    int rc = graph_create(&body->graph, err);
    if (rc)
        return rc;
    attribute->graph = body->graph;
    body->graph->opset = scope->opset;
    rc = onnx_read_graph(&inner, proto, err);
    attribute->count = (size_t)body->captured_count;
    scope_close(&inner);
    return rc;
}
