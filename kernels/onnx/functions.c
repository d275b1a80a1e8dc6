/* functions: what a model defines itself, out of nodes. A call is replaced by them while the file is read. */
#include "onnx/reader.h"
#include "ops/op.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Fields that are newer than the description of the format that we are built with, so that protobuf-c hands them
 * over as they lie in the file. */
#define FUNCTION_DEFAULT 11 /* an attribute with the value that it has where a caller gives none */
#define FUNCTION_OVERLOAD 13
#define NODE_OVERLOAD 8
#define WIRE_BYTES 2

#define KEY_BYTES 512
#define FUNCTIONS_MAX 10000

struct function {
    const Onnx__FunctionProto *proto;
    char key[KEY_BYTES];
    Onnx__AttributeProto **defaults;
    size_t default_count;
};

static int read_defaults(struct function *function, size_t *fields, struct error *err);
static bool next_field(const ProtobufCMessage *message, uint32_t tag, unsigned *at,
                       ProtobufCBinaryData *content);
static bool make_key(const char *domain, const char *name, const ProtobufCMessage *message,
                     uint32_t overload_tag, char key[KEY_BYTES]);
static int add_function(struct reader *reader, size_t index, struct error *err);
static int open_call(struct scope *inner, const struct call *call, struct error *err);
static int bind_inputs(struct scope *inner, struct scope *scope, const struct call *call,
                       struct error *err);
static int bind_outputs(struct scope *inner, struct scope *scope, const struct call *call,
                        struct error *err);

int onnx_open_functions(struct reader *reader, struct error *err)
{
    size_t count = reader->model->n_functions;
    int rc = 0;
    if (count == 0)
        return 0;
    if (count > FUNCTIONS_MAX)
        return error_set(err, ERROR_LIMIT, "functions", "%zu; at most %d", count, FUNCTIONS_MAX);
    reader->functions = calloc(count, sizeof *reader->functions);
    if (!reader->functions)
        return error_set(err, ERROR_MEMORY, "functions", "no memory left");
    for (size_t i = 0; !rc && i < count; i++) {
        rc = add_function(reader, i, err);
        if (rc && err)
            error_wrap(err, "function '%.64s'", onnx_text(reader->model->functions[i]->name));
    }
    return rc;
}

void onnx_close_functions(struct reader *reader)
{
    for (size_t i = 0; reader->functions && i < reader->model->n_functions; i++) {
        struct function *function = &reader->functions[i];
        for (size_t k = 0; k < function->default_count; k++)
            onnx__attribute_proto__free_unpacked(function->defaults[k], NULL);
        free(function->defaults);
    }
    names_finish(&reader->function_names);
    free(reader->functions);
    reader->functions = NULL;
}

const struct function *onnx_find_function(const struct reader *reader, const Onnx__NodeProto *node)
{
    char key[KEY_BYTES];
    if (!reader->functions || !make_key(onnx_text(node->domain), onnx_text(node->op_type),
                                        &node->base, NODE_OVERLOAD, key))
        return NULL;
    int index = names_find(&reader->function_names, key);
    return index < 0 ? NULL : &reader->functions[index];
}

const Onnx__AttributeProto *onnx_function_default(const struct function *function, const char *name)
{
    for (size_t i = 0; i < function->default_count; i++)
        if (strcmp(onnx_text(function->defaults[i]->name), name) == 0)
            return function->defaults[i];
    return NULL;
}

int onnx_inline(struct scope *scope, const Onnx__NodeProto *node, const struct function *function,
                struct error *err)
{
    const struct call call = { .function = function, .node = node, .scope = scope };
    struct scope inner = {
        .reader = scope->reader,
        .draft = scope->draft,
        .call = &call,
        .depth = scope->depth + 1,
    };
    snprintf(inner.prefix, sizeof inner.prefix, "%.150s%.100s/", scope->prefix, onnx_label(node));
    int rc = open_call(&inner, &call, err);
    if (!rc)
        rc = bind_inputs(&inner, scope, &call, err);
    if (!rc)
        rc = onnx_read_nodes(&inner, function->proto->node, function->proto->n_node, err);
    if (!rc)
        rc = bind_outputs(&inner, scope, &call, err);
    scope_close(&inner);
    return rc;
}

static int add_function(struct reader *reader, size_t index, struct error *err)
{
    struct function *function = &reader->functions[index];
    const Onnx__FunctionProto *proto = reader->model->functions[index];
    function->proto = proto;
    if (!make_key(onnx_text(proto->domain), onnx_text(proto->name), &proto->base, FUNCTION_OVERLOAD,
                  function->key))
        return error_set(err, ERROR_LIMIT, "name", "longer than %d bytes", KEY_BYTES);
    if (names_find(&reader->function_names, function->key) >= 0)
        return error_set(err, ERROR_FORMAT, "name", "is there twice");
    int rc = names_add(&reader->function_names, function->key, (int)index, err);
    return rc ? rc : read_defaults(function, &reader->function_fields, err);
}

static int read_defaults(struct function *function, size_t *fields, struct error *err)
{
    const ProtobufCMessage *message = &function->proto->base;
    ProtobufCBinaryData content;
    function->defaults = calloc((size_t)message->n_unknown_fields + 1, sizeof *function->defaults);
    if (!function->defaults)
        return error_set(err, ERROR_MEMORY, "functions", "no memory left");
    for (unsigned at = 0; next_field(message, FUNCTION_DEFAULT, &at, &content);) {
        int rc =
            onnx_scan(&onnx__attribute_proto__descriptor, content.data, content.len, fields, err);
        if (rc)
            return rc;
        Onnx__AttributeProto *attribute =
            onnx__attribute_proto__unpack(NULL, content.len, content.data);
        if (!attribute)
            return error_set(err, ERROR_FORMAT, "attribute_proto", "is no attribute");
        function->defaults[function->default_count++] = attribute;
    }
    return 0;
}

/* The next one from *at on, without the length before its content; false behind the last one. */
static bool next_field(const ProtobufCMessage *message, uint32_t tag, unsigned *at,
                       ProtobufCBinaryData *content)
{
    while (*at < message->n_unknown_fields) {
        const ProtobufCMessageUnknownField *field = &message->unknown_fields[(*at)++];
        size_t prefix = 0;
        if (field->tag != tag || field->wire_type != WIRE_BYTES)
            continue;
        while (prefix < field->len && field->data[prefix] & 0x80)
            prefix++;
        if (prefix++ >= field->len)
            continue;
        *content = (ProtobufCBinaryData){ .len = field->len - prefix, .data = field->data + prefix };
        return true;
    }
    return false;
}

/* Functions of one name may differ in the overload alone. False when it is longer than any that we have. */
static bool make_key(const char *domain, const char *name, const ProtobufCMessage *message,
                     uint32_t overload_tag, char key[KEY_BYTES])
{
    ProtobufCBinaryData overload = { 0 };
    unsigned at = 0;
    next_field(message, overload_tag, &at, &overload);
    if (overload.len >= KEY_BYTES)
        return false;
    int length =
        snprintf(key, KEY_BYTES, "%s\n%s\n%.*s", onnx_is_default_domain(domain) ? "" : domain, name,
                 (int)overload.len, overload.len ? (const char *)overload.data : "");
    return length >= 0 && length < KEY_BYTES;
}

static int open_call(struct scope *inner, const struct call *call, struct error *err)
{
    const Onnx__FunctionProto *proto = call->function->proto;
    if (inner->depth > READER_DEPTH_MAX)
        return error_set(err, ERROR_LIMIT, "functions", "graphs and functions nest deeper than %d",
                         READER_DEPTH_MAX);
    for (const struct call *above = call->scope->call; above; above = above->scope->call)
        if (above->function == call->function)
            return error_set(err, ERROR_FORMAT, "functions", "'%.64s' calls itself",
                             onnx_text(proto->name));
    return onnx_find_opset(proto->opset_import, proto->n_opset_import, &inner->opset, err);
}

static int bind_inputs(struct scope *inner, struct scope *scope, const struct call *call,
                       struct error *err)
{
    const Onnx__FunctionProto *proto = call->function->proto;
    int rc = 0;
    if (call->node->n_input > proto->n_input)
        return error_set(err, ERROR_FORMAT, "inputs", "%zu given; the function has %zu",
                         call->node->n_input, proto->n_input);
    for (size_t i = 0; !rc && i < proto->n_input; i++) {
        const char *name = i < call->node->n_input ? onnx_text(call->node->input[i]) : "";
        int value = SCOPE_ABSENT;
        if (*name && (rc = scope_find(scope, name, &value, err)))
            return rc;
        rc =
            value == SCOPE_NONE
                ? error_set(err, ERROR_FORMAT, "inputs",
                            "'%.100s' is written by no node and is neither an input nor a constant",
                            name)
                : scope_add(inner, onnx_text(proto->input[i]), value, err);
    }
    return rc;
}

/* By Identity: an output of a function may be one of its inputs, or a constant. */
static int bind_outputs(struct scope *inner, struct scope *scope, const struct call *call,
                        struct error *err)
{
    const Onnx__FunctionProto *proto = call->function->proto;
    if (call->node->n_output > proto->n_output)
        return error_set(err, ERROR_FORMAT, "outputs", "%zu wanted; the function has %zu",
                         call->node->n_output, proto->n_output);
    for (size_t i = 0; i < call->node->n_output; i++) {
        const char *name = onnx_text(call->node->output[i]);
        int from, to;
        if (!*name)
            continue;
        int rc = scope_find(scope, name, &to, err);
        if (rc || (rc = scope_find(inner, onnx_text(proto->output[i]), &from, err)))
            return rc;
        if (from < 0)
            return error_set(err, ERROR_FORMAT, "outputs",
                             "no node of the function writes '%.100s'", onnx_text(proto->output[i]));
        int node = graph_add_node(scope->draft->graph, op_find("Identity", 0), inner->prefix, &from,
                                  1, &to, 1, err);
        if (node < 0)
            return node;
    }
    return 0;
}
