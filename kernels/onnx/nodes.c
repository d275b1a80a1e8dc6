/* nodes: the nodes of a file, each held to its row of the op table: domain, opset and attributes.
 * Constant nodes become constants of the graph. */
#include "onnx/reader.h"
#include "ops/op.h"
#include <stdlib.h>
#include <string.h>

static int add_outputs(struct reader *reader, const Onnx__NodeProto *proto, struct error *err);
static int add_constant(struct reader *reader, const Onnx__NodeProto *proto, struct error *err);
static int read_constant(const Onnx__AttributeProto *proto, struct tensor *tensor, struct error *err);
static int find_row(const struct reader *reader, const Onnx__NodeProto *proto, const struct op **op,
                    struct error *err);
static int add_node(struct reader *reader, const Onnx__NodeProto *proto, struct error *err);
static int look_up(const struct reader *reader, char **list, size_t count, const char *what,
                   int *indices, struct error *err);
static int add_attribute(struct graph *graph, int node, const Onnx__AttributeProto *proto,
                         struct error *err);
static int check_attribute(const struct node *node, const Onnx__AttributeProto *proto,
                           enum attribute_kind *kind, struct error *err);
static bool is_constant(const Onnx__NodeProto *proto);
static bool is_default_domain(const char *domain);
static const char *label(const Onnx__NodeProto *proto);

int onnx_read_nodes(struct reader *reader, struct error *err)
{
    const Onnx__GraphProto *graph = reader->model->graph;
    for (int pass = 0; pass < 2; pass++) /* first the outputs: nodes may come in any order */
        for (size_t i = 0; i < graph->n_node; i++) {
            const Onnx__NodeProto *proto = graph->node[i];
            int rc = 0;
            if (pass == 0)
                rc = is_constant(proto) ? add_constant(reader, proto, err)
                                        : add_outputs(reader, proto, err);
            else if (!is_constant(proto))
                rc = add_node(reader, proto, err);
            if (rc) {
                if (err)
                    error_wrap(err, "%.64s node '%.100s'", onnx_text(proto->op_type), label(proto));
                return rc;
            }
        }
    return 0;
}

static int add_outputs(struct reader *reader, const Onnx__NodeProto *proto, struct error *err)
{
    for (size_t i = 0; i < proto->n_output; i++) {
        const char *name = onnx_text(proto->output[i]);
        if (!*name)
            continue; /* an optional output that is left out */
        int value = graph_add_value(reader->graph, name, TENSOR_NONE, NULL, err);
        if (value < 0)
            return value;
        int rc = onnx_add_name(reader, name, value, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int add_constant(struct reader *reader, const Onnx__NodeProto *proto, struct error *err)
{
    if (proto->n_input != 0 || proto->n_output != 1 || proto->n_attribute != 1)
        return error_set(err, ERROR_FORMAT, "constant",
                         "one output and one attribute expected, and no input");
    struct tensor tensor = { 0 };
    int rc = read_constant(proto->attribute[0], &tensor, err);
    if (rc)
        return rc;
    const char *name = onnx_text(proto->output[0]);
    int value = graph_add_constant(reader->graph, name, &tensor, err);
    if (value < 0) {
        tensor_free(&tensor);
        return value;
    }
    return onnx_add_name(reader, name, value, err);
}

/* A tensor, or one number or a list of them. */
static int read_constant(const Onnx__AttributeProto *proto, struct tensor *tensor, struct error *err)
{
    const char *name = onnx_text(proto->name);
    if (strcmp(name, "value") == 0 && proto->t)
        return onnx_read_tensor(proto->t, tensor, err);
    const void *from;
    enum tensor_type type;
    struct shape shape = { .rank = 0 };
    if (strcmp(name, "value_float") == 0 && proto->has_f) {
        type = TENSOR_F32;
        from = &proto->f;
    } else if (strcmp(name, "value_int") == 0 && proto->has_i) {
        type = TENSOR_I64;
        from = &proto->i;
    } else if (strcmp(name, "value_floats") == 0) {
        type = TENSOR_F32;
        from = proto->floats;
        shape = (struct shape){ .rank = 1, .dim = { (int64_t)proto->n_floats } };
    } else if (strcmp(name, "value_ints") == 0) {
        type = TENSOR_I64;
        from = proto->ints;
        shape = (struct shape){ .rank = 1, .dim = { (int64_t)proto->n_ints } };
    } else {
        return error_set(err, ERROR_UNSUPPORTED, "attribute",
                         "'%.64s' is not supported or has no value", name);
    }
    int rc = tensor_create(tensor, type, &shape, err);
    if (!rc && from)
        memcpy(tensor->data, from, tensor_bytes(tensor));
    return rc;
}

static int add_node(struct reader *reader, const Onnx__NodeProto *proto, struct error *err)
{
    const struct op *op;
    int inputs[GRAPH_NODE_INPUTS_MAX], outputs[GRAPH_NODE_INPUTS_MAX];
    int rc = find_row(reader, proto, &op, err);
    if (rc || (rc = look_up(reader, proto->input, proto->n_input, "inputs", inputs, err)) ||
        (rc = look_up(reader, proto->output, proto->n_output, "outputs", outputs, err)))
        return rc;
    int node = graph_add_node(reader->graph, op, label(proto), inputs, (int)proto->n_input, outputs,
                              (int)proto->n_output, err);
    if (node < 0)
        return node;
    for (size_t i = 0; i < proto->n_attribute; i++) {
        rc = add_attribute(reader->graph, node, proto->attribute[i], err);
        if (rc) {
            if (err)
                error_wrap(err, "attribute '%.64s'", onnx_text(proto->attribute[i]->name));
            return rc;
        }
    }
    return 0;
}

static int find_row(const struct reader *reader, const Onnx__NodeProto *proto, const struct op **op,
                    struct error *err)
{
    const char *name = onnx_text(proto->op_type), *domain = onnx_text(proto->domain);
    if (!is_default_domain(domain)) {
        long long version = 0;
        for (size_t i = 0; i < reader->model->n_opset_import; i++)
            if (strcmp(onnx_text(reader->model->opset_import[i]->domain), domain) == 0)
                version = (long long)reader->model->opset_import[i]->version;
        return error_set(err, ERROR_UNSUPPORTED, "op",
                         "'%.64s' of domain '%.64s', opset %lld, is not implemented", name, domain,
                         version);
    }
    const struct op *newest = op_find(name, 0);
    bool other = newest && newest->opset_max != OPSET_OWN;
    *op = op_find(name, reader->graph->opset);
    if (!*op)
        return error_set(err, ERROR_UNSUPPORTED, "op",
                         "'%.64s' of domain 'ai.onnx', opset %d, is not implemented%s", name,
                         reader->graph->opset, other ? " (for other opsets it is)" : "");
    return 0;
}

/* Indices of the named values; an empty name is an absent one. */
static int look_up(const struct reader *reader, char **list, size_t count, const char *what,
                   int *indices, struct error *err)
{
    if (count > GRAPH_NODE_INPUTS_MAX)
        return error_set(err, ERROR_LIMIT, what, "%zu; at most %d are supported", count,
                         GRAPH_NODE_INPUTS_MAX);
    for (size_t i = 0; i < count; i++) {
        const char *name = onnx_text(list[i]);
        indices[i] = *name ? names_find(&reader->names, name) : -1;
        if (*name && indices[i] < 0)
            return error_set(
                err, ERROR_FORMAT, what,
                "'%.100s' is written by no node and is neither an input nor a constant", name);
    }
    return 0;
}

static int add_attribute(struct graph *graph, int node, const Onnx__AttributeProto *proto,
                         struct error *err)
{
    /* What is pointed to belongs to the file; graph_add_attribute copies it. */
    struct attribute attribute = {
        .name = proto->name,
        .i = proto->i,
        .f = proto->f,
    };
    int rc = check_attribute(&graph->nodes[node], proto, &attribute.kind, err);
    if (rc)
        return rc;
    char *string = NULL;
    if (attribute.kind == ATTRIBUTE_INTS) {
        attribute.ints = proto->ints;
        attribute.count = proto->n_ints;
    } else if (attribute.kind == ATTRIBUTE_FLOATS) {
        attribute.floats = proto->floats;
        attribute.count = proto->n_floats;
    } else if (attribute.kind == ATTRIBUTE_STRING) {
        string = calloc(1, proto->s.len + 1);
        if (!string)
            return error_set(err, ERROR_MEMORY, "graph", "no memory left");
        if (proto->s.len > 0)
            memcpy(string, proto->s.data, proto->s.len);
        attribute.s = string;
    } else if (attribute.kind == ATTRIBUTE_TENSOR) {
        rc = onnx_read_tensor(proto->t, &attribute.t, err);
    }
    if (!rc)
        rc = graph_add_attribute(graph, node, &attribute, err);
    tensor_free(&attribute.t);
    free(string);
    return rc < 0 ? rc : 0;
}

/* The op knows the attribute, with this kind of value, and it is there once. */
static int check_attribute(const struct node *node, const Onnx__AttributeProto *proto,
                           enum attribute_kind *kind, struct error *err)
{
    static const struct {
        Onnx__AttributeProto__AttributeType type;
        enum attribute_kind kind;
    } kinds[] = {
        { ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT, ATTRIBUTE_INT },
        { ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT, ATTRIBUTE_FLOAT },
        { ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING, ATTRIBUTE_STRING },
        { ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS, ATTRIBUTE_INTS },
        { ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS, ATTRIBUTE_FLOATS },
        { ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR, ATTRIBUTE_TENSOR },
    };
    const char *name = onnx_text(proto->name);
    if (proto->g || proto->n_graphs > 0)
        return error_set(err, ERROR_UNSUPPORTED, "graph", "subgraphs are not supported");
    if (*onnx_text(proto->ref_attr_name))
        return error_set(err, ERROR_UNSUPPORTED, "reference", "functions are not supported");
    if (node_attribute(node, name))
        return error_set(err, ERROR_FORMAT, "name", "is given twice");
    const struct op_attribute *row = node->op->attributes;
    while (row && row->name && strcmp(row->name, name) != 0)
        row++;
    if (!row || !row->name)
        return error_set(err, ERROR_UNSUPPORTED, "name", "this op has no such attribute");
    *kind = row->kind;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (proto->has_type && proto->type == kinds[i].type && row->kind == kinds[i].kind)
            return row->kind != ATTRIBUTE_TENSOR || proto->t
                       ? 0
                       : error_set(err, ERROR_FORMAT, "value", "is missing");
    return error_set(err, ERROR_FORMAT, "type", "%d is not what this op takes",
                     proto->has_type ? (int)proto->type : 0);
}

static bool is_constant(const Onnx__NodeProto *proto)
{
    return strcmp(onnx_text(proto->op_type), "Constant") == 0 &&
           is_default_domain(onnx_text(proto->domain));
}

static bool is_default_domain(const char *domain)
{
    return !*domain || strcmp(domain, "ai.onnx") == 0;
}

/* Many exporters give nodes no names; the first output's is as good. */
static const char *label(const Onnx__NodeProto *proto)
{
    const char *name = onnx_text(proto->name);
    return !*name && proto->n_output > 0 ? onnx_text(proto->output[0]) : name;
}
