/* nodes: the nodes of a file, each held to its row of the op table: domain, opset and attributes. Constant nodes
 * become constants of the graph, calls of functions what these do. */
#include "onnx/reader.h"
#include "ops/op.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A node on its way into the graph. */
struct parts {
    int *inputs, input_count; /* those that its bodies read come last */
    int outputs[GRAPH_NODE_INPUTS_MAX];
    struct attribute *attributes;
    size_t attribute_count;
};

static int read_node(struct scope *scope, const Onnx__NodeProto *proto, bool declare,
                     struct error *err);
static int add_outputs(struct scope *scope, const Onnx__NodeProto *proto, struct error *err);
static int add_constant(struct scope *scope, const Onnx__NodeProto *proto, struct error *err);
static int read_constant(const char *name, const Onnx__AttributeProto *proto, struct tensor *tensor,
                         struct error *err);
static int add_node(struct scope *scope, const Onnx__NodeProto *proto, struct error *err);
static int find_row(const struct scope *scope, const Onnx__NodeProto *proto, const struct op **op,
                    struct error *err);
static int read_parts(struct scope *scope, const Onnx__NodeProto *proto, const struct op *op,
                      struct parts *parts, struct error *err);
static int look_up(struct scope *scope, char **list, size_t count, const char *what, int *indices,
                   struct error *err);
static int read_attribute(struct scope *scope, const struct op *op,
                          const Onnx__AttributeProto *proto, struct parts *parts, struct error *err);
static int append_inputs(struct parts *parts, const int *inputs, int count, struct error *err);
static void free_parts(struct parts *parts);
static bool is_constant(const Onnx__NodeProto *proto);

int onnx_read_nodes(struct scope *scope, Onnx__NodeProto *const *nodes, size_t count,
                    struct error *err)
{
    for (int pass = 0; pass < 2; pass++) /* first the outputs: nodes may come in any order */
        for (size_t i = 0; i < count; i++) {
            int rc = read_node(scope, nodes[i], pass == 0, err);
            if (rc) {
                if (err)
                    error_wrap(err, "%.64s node '%.100s'", onnx_text(nodes[i]->op_type),
                               onnx_label(nodes[i]));
                return rc;
            }
        }
    return 0;
}

const char *onnx_label(const Onnx__NodeProto *proto)
{
    const char *name = onnx_text(proto->name);
    return !*name && proto->n_output > 0 ? onnx_text(proto->output[0]) : name;
}

static int read_node(struct scope *scope, const Onnx__NodeProto *proto, bool declare,
                     struct error *err)
{
    const struct function *function = onnx_find_function(scope->reader, proto);
    if (!function && is_constant(proto))
        return declare ? add_constant(scope, proto, err) : 0;
    if (declare)
        return add_outputs(scope, proto, err);
    return function ? onnx_inline(scope, proto, function, err) : add_node(scope, proto, err);
}

static int add_outputs(struct scope *scope, const Onnx__NodeProto *proto, struct error *err)
{
    for (size_t i = 0; i < proto->n_output; i++) {
        const char *name = onnx_text(proto->output[i]);
        if (!*name)
            continue; /* an optional output that is left out */
        int value = scope_add_value(scope, name, TENSOR_NONE, NULL, err);
        if (value < 0)
            return value;
    }
    return 0;
}

static int add_constant(struct scope *scope, const Onnx__NodeProto *proto, struct error *err)
{
    if (proto->n_input != 0 || proto->n_output != 1 || proto->n_attribute != 1)
        return error_set(err, ERROR_FORMAT, "constant",
                         "one output and one attribute expected, and no input");
    const Onnx__AttributeProto *content = NULL;
    const char *name = onnx_text(proto->attribute[0]->name);
    struct tensor tensor = { 0 };
    int rc = onnx_resolve(scope, proto->attribute[0], &content, err);
    if (!rc && !content)
        rc = error_set(err, ERROR_FORMAT, "attribute", "'%.64s' is given by no caller", name);
    if (!rc)
        rc = read_constant(name, content, &tensor, err);
    if (!rc)
        rc = scope_add_constant(scope, onnx_text(proto->output[0]), &tensor, err);
    tensor_free(&tensor);
    return rc < 0 ? rc : 0;
}

/* A tensor, or one number or a list of them. */
static int read_constant(const char *name, const Onnx__AttributeProto *proto, struct tensor *tensor,
                         struct error *err)
{
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

static int add_node(struct scope *scope, const Onnx__NodeProto *proto, struct error *err)
{
    const struct op *op;
    struct parts parts = { 0 };
    struct graph *graph = scope->draft->graph;
    char label[READER_LABEL_BYTES + 100];
    const char *name = onnx_label(proto);
    int rc = find_row(scope, proto, &op, err);
    if (!rc)
        rc = read_parts(scope, proto, op, &parts, err);
    if (!rc && scope->prefix[0]) {
        snprintf(label, sizeof label, "%s%.99s", scope->prefix, name);
        name = label;
    }
    if (!rc)
        rc = graph_add_node(graph, op, name, parts.inputs, parts.input_count, parts.outputs,
                            (int)proto->n_output, err);
    int node = rc;
    for (size_t i = 0; rc >= 0 && i < parts.attribute_count; i++)
        rc = graph_add_attribute(graph, node, &parts.attributes[i], err);
    free_parts(&parts);
    return rc < 0 ? rc : 0;
}

static int find_row(const struct scope *scope, const Onnx__NodeProto *proto, const struct op **op,
                    struct error *err)
{
    const char *name = onnx_text(proto->op_type), *domain = onnx_text(proto->domain);
    const Onnx__ModelProto *model = scope->reader->model;
    if (!onnx_is_default_domain(domain)) {
        long long version = 0;
        for (size_t i = 0; i < model->n_opset_import; i++)
            if (strcmp(onnx_text(model->opset_import[i]->domain), domain) == 0)
                version = (long long)model->opset_import[i]->version;
        return error_set(err, ERROR_UNSUPPORTED, "op",
                         "'%.64s' of domain '%.64s', opset %lld, is not implemented", name, domain,
                         version);
    }
    if (scope->opset == 0)
        return error_set(err, ERROR_FORMAT, "opset_import", "the function imports no 'ai.onnx'");
    const struct op *newest = op_find(name, 0);
    bool other = newest && newest->opset_max != OPSET_OWN;
    *op = op_find(name, scope->opset);
    if (!*op)
        return error_set(err, ERROR_UNSUPPORTED, "op",
                         "'%.64s' of domain 'ai.onnx', opset %d, is not implemented%s", name,
                         scope->opset, other ? " (for other opsets it is)" : "");
    return 0;
}

/* Bodies come behind the inputs that the op has at least, though trailing ones may be left out. */
static int read_parts(struct scope *scope, const Onnx__NodeProto *proto, const struct op *op,
                      struct parts *parts, struct error *err)
{
    int inputs[GRAPH_NODE_INPUTS_MAX] = { 0 };
    int count = (int)proto->n_input;
    int rc = look_up(scope, proto->input, proto->n_input, "inputs", inputs, err);
    if (rc || (rc = look_up(scope, proto->output, proto->n_output, "outputs", parts->outputs, err)))
        return rc;
    for (; op->has_bodies && count < op->inputs_min; count++)
        inputs[count] = -1;
    if ((rc = append_inputs(parts, inputs, count, err)))
        return rc;
    parts->attributes = calloc(proto->n_attribute + 1, sizeof *parts->attributes);
    if (!parts->attributes)
        return error_set(err, ERROR_MEMORY, "graph", "no memory left");
    for (size_t i = 0; i < proto->n_attribute; i++) {
        rc = read_attribute(scope, op, proto->attribute[i], parts, err);
        if (rc) {
            if (err)
                error_wrap(err, "attribute '%.64s'", onnx_text(proto->attribute[i]->name));
            return rc;
        }
    }
    return 0;
}

/* Indices of the named values; an empty name is an absent one. */
static int look_up(struct scope *scope, char **list, size_t count, const char *what, int *indices,
                   struct error *err)
{
    if (count > GRAPH_NODE_INPUTS_MAX)
        return error_set(err, ERROR_LIMIT, what, "%zu; at most %d are supported", count,
                         GRAPH_NODE_INPUTS_MAX);
    for (size_t i = 0; i < count; i++) {
        const char *name = onnx_text(list[i]);
        int value = SCOPE_ABSENT;
        int rc = *name ? scope_find(scope, name, &value, err) : 0;
        if (rc)
            return rc;
        if (value == SCOPE_NONE)
            return error_set(
                err, ERROR_FORMAT, what,
                "'%.100s' is written by no node and is neither an input nor a constant", name);
        indices[i] = value < 0 ? -1 : value;
    }
    return 0;
}

static int read_attribute(struct scope *scope, const struct op *op,
                          const Onnx__AttributeProto *proto, struct parts *parts, struct error *err)
{
    const char *name = onnx_text(proto->name);
    struct attribute *attribute = &parts->attributes[parts->attribute_count];
    struct draft body = { 0 };
    bool given = false;
    for (size_t i = 0; i < parts->attribute_count; i++)
        if (strcmp(parts->attributes[i].name, name) == 0)
            return error_set(err, ERROR_FORMAT, "name", "is given twice");
    int rc = onnx_read_attribute(scope, op, proto, attribute, &body, &given, err);
    if (!rc && given) {
        parts->attribute_count++;
        rc = append_inputs(parts, body.captured, body.captured_count, err);
    }
    free(body.captured);
    return rc;
}

static int append_inputs(struct parts *parts, const int *inputs, int count, struct error *err)
{
    size_t all = (size_t)parts->input_count + (size_t)count;
    int *more = realloc(parts->inputs, (all + 1) * sizeof *more);
    if (!more)
        return error_set(err, ERROR_MEMORY, "graph", "no memory left");
    parts->inputs = more;
    for (int i = 0; i < count; i++)
        more[parts->input_count++] = inputs[i];
    return 0;
}

static void free_parts(struct parts *parts)
{
    for (size_t i = 0; i < parts->attribute_count; i++)
        onnx_free_attribute(&parts->attributes[i]);
    free(parts->attributes);
    free(parts->inputs);
}

static bool is_constant(const Onnx__NodeProto *proto)
{
    return strcmp(onnx_text(proto->op_type), "Constant") == 0 &&
           onnx_is_default_domain(onnx_text(proto->domain));
}
