/* write_nodes: nodes and their attributes, which opset they need, and how ONNX spells what it has no
 * op for. */
#include "onnx/writer.h"
#include "ops/op.h"
#include <ctype.h>
#include <string.h>

/* For graphs made by code, which need not say one: since then the forms of most ops stayed. */
#define OPSET_USUAL 13

static bool is_spelled(const struct writer *writer, const struct op *op);
static bool is_own(const struct op *op);
static int add_node(struct writer *writer, const struct node *node, struct error *err);
static int add_gate(struct writer *writer, const struct node *node, struct error *err);
static Onnx__NodeProto *new_node(struct writer *writer, const char *op, const char *name,
                                 size_t inputs, size_t outputs, size_t attributes, struct error *err);
static int fill_attribute(struct writer *writer, const struct attribute *attribute,
                          Onnx__AttributeProto *proto, struct error *err);
static const char *name_of(const struct writer *writer, int value);

int writer_choose_opset(struct writer *writer, struct error *err)
{
    const struct graph *graph = writer->graph;
    const struct op *newest = NULL, *oldest = NULL; /* what bounds it below and above */
    writer->opset = graph->opset ? graph->opset : OPSET_USUAL;
    for (int i = 0; i < graph->node_count; i++) {
        const struct op *op = graph->nodes[i].op;
        if (!writer->needed[i] || is_spelled(writer, op))
            continue;
        if (is_own(op))
            return error_set(err, ERROR_UNSUPPORTED, "model",
                             "node '%.100s': ONNX has no op '%.64s', it is our own",
                             graph->nodes[i].name, op->name);
        if (op->has_bodies)
            return error_set(err, ERROR_UNSUPPORTED, "model",
                             "%s node '%.100s' holds graphs: infer the graph first", op->name,
                             graph->nodes[i].name);
        if (!newest || op->opset_min > newest->opset_min)
            newest = op;
        if (!oldest || op->opset_max < oldest->opset_max)
            oldest = op;
    }
    if (newest && newest->opset_min > oldest->opset_max)
        return error_set(err, ERROR_UNSUPPORTED, "model",
                         "'%s' is of opset %d and newer, '%s' of %d and older: no opset has both",
                         newest->name, newest->opset_min, oldest->name, oldest->opset_max);
    if (newest && writer->opset < newest->opset_min)
        writer->opset = newest->opset_min;
    if (oldest && writer->opset > oldest->opset_max)
        writer->opset = oldest->opset_max;
    return 0;
}

int writer_make_nodes(struct writer *writer, struct error *err)
{
    const struct graph *graph = writer->graph;
    writer->proto->node = /* one that is spelled becomes two */
        writer_take(writer, (size_t)graph->node_count * 2, sizeof(Onnx__NodeProto *), err);
    int rc = writer->proto->node ? 0 : -ERROR_MEMORY;
    for (int i = 0; !rc && i < graph->node_count; i++)
        if (writer->needed[i])
            rc = is_spelled(writer, graph->nodes[i].op) ? add_gate(writer, &graph->nodes[i], err)
                                                        : add_node(writer, &graph->nodes[i], err);
    return rc;
}

/* x times a gate of x: swish, which no opset has, and HardSwish, which a pass may have put into a
 * graph that is older than the op. */
static bool is_spelled(const struct writer *writer, const struct op *op)
{
    return strcmp(op->name, "swish") == 0 ||
           (strcmp(op->name, "HardSwish") == 0 && writer->graph->opset != 0 &&
            writer->graph->opset < op->opset_min);
}

static bool is_own(const struct op *op)
{
    return islower((unsigned char)op->name[0]);
}

static int add_node(struct writer *writer, const struct node *node, struct error *err)
{
    size_t count = node->attribute_count;
    Onnx__NodeProto *proto = new_node(writer, node->op->name, node->name, (size_t)node->input_count,
                                      (size_t)node->output_count, count, err);
    if (!proto)
        return -ERROR_MEMORY;
    for (int k = 0; k < node->input_count; k++)
        proto->input[k] = (char *)name_of(writer, node->inputs[k]);
    for (int k = 0; k < node->output_count; k++)
        proto->output[k] = (char *)name_of(writer, node->outputs[k]);
    for (size_t a = 0; a < count; a++)
        if (fill_attribute(writer, &node->attributes[a], proto->attribute[a], err))
            return -ERROR_MEMORY;
    return 0;
}

/* Sigmoid or HardSigmoid, then Mul; pass_fuse_activation makes one of them again. */
static int add_gate(struct writer *writer, const struct node *node, struct error *err)
{
    bool hard = strcmp(node->op->name, "HardSwish") == 0;
    const char *x = name_of(writer, node->inputs[0]);
    const char *gated = writer_new_name(writer, &writer->value_names, "gate", node->outputs[0], err);
    Onnx__NodeProto *gate =
        new_node(writer, hard ? "HardSigmoid" : "Sigmoid", node->name, 1, 1, hard ? 2 : 0, err);
    Onnx__NodeProto *mul = new_node(writer, "Mul", node->name, 2, 1, 0, err);
    if (!gated || !gate || !mul)
        return -ERROR_MEMORY;
    gate->input[0] = mul->input[0] = (char *)x;
    gate->output[0] = mul->input[1] = (char *)gated;
    mul->output[0] = (char *)name_of(writer, node->outputs[0]);
    const struct attribute numbers[] = {
        { .name = (char *)"alpha", .kind = ATTRIBUTE_FLOAT, .f = 1 / 6.0f },
        { .name = (char *)"beta", .kind = ATTRIBUTE_FLOAT, .f = 0.5f },
    };
    for (size_t a = 0; hard && a < 2; a++)
        if (fill_attribute(writer, &numbers[a], gate->attribute[a], err))
            return -ERROR_MEMORY;
    return 0;
}

/* At the end of the graph's list, with room for what it is to hold. */
static Onnx__NodeProto *new_node(struct writer *writer, const char *op, const char *name,
                                 size_t inputs, size_t outputs, size_t attributes, struct error *err)
{
    Onnx__NodeProto *proto = writer_take(writer, 1, sizeof *proto, err);
    char **lists = writer_take(writer, inputs + outputs, sizeof *lists, err);
    Onnx__AttributeProto *protos = writer_take(writer, attributes, sizeof *protos, err);
    Onnx__AttributeProto **list = writer_take(writer, attributes, sizeof *list, err);
    if (!proto || !lists || !protos || !list)
        return NULL;
    onnx__node_proto__init(proto);
    proto->op_type = (char *)op;
    if (name && *name) {
        int number = (int)writer->proto->n_node;
        proto->name = (char *)writer_new_name(writer, &writer->node_names, name, number, err);
        if (!proto->name)
            return NULL;
    }
    proto->n_input = inputs;
    proto->input = lists;
    proto->n_output = outputs;
    proto->output = lists + inputs;
    proto->n_attribute = attributes;
    proto->attribute = list;
    for (size_t a = 0; a < attributes; a++)
        list[a] = &protos[a];
    writer->proto->node[writer->proto->n_node++] = proto;
    return proto;
}

static int fill_attribute(struct writer *writer, const struct attribute *attribute,
                          Onnx__AttributeProto *proto, struct error *err)
{
    onnx__attribute_proto__init(proto);
    proto->name = attribute->name;
    proto->has_type = 1;
    proto->type = onnx_attribute_type(attribute->kind);
    proto->i = attribute->i;
    proto->has_i = attribute->kind == ATTRIBUTE_INT;
    proto->f = attribute->f;
    proto->has_f = attribute->kind == ATTRIBUTE_FLOAT;
    if (attribute->kind == ATTRIBUTE_STRING && attribute->s) {
        proto->has_s = 1;
        proto->s.len = strlen(attribute->s);
        proto->s.data = (uint8_t *)attribute->s;
    } else if (attribute->kind == ATTRIBUTE_STRINGS) {
        proto->strings = writer_take(writer, attribute->count, sizeof *proto->strings, err);
        if (!proto->strings)
            return -ERROR_MEMORY;
        for (; proto->n_strings < attribute->count; proto->n_strings++) {
            char *string = attribute->strings[proto->n_strings];
            proto->strings[proto->n_strings] =
                (ProtobufCBinaryData){ .len = strlen(string), .data = (uint8_t *)string };
        }
    } else if (attribute->kind == ATTRIBUTE_INTS) {
        proto->n_ints = attribute->count;
        proto->ints = attribute->ints;
    } else if (attribute->kind == ATTRIBUTE_FLOATS) {
        proto->n_floats = attribute->count;
        proto->floats = attribute->floats;
    } else if (attribute->kind == ATTRIBUTE_TENSOR) {
        proto->t = writer_make_tensor(writer, &attribute->t, NULL, err);
        if (!proto->t)
            return -ERROR_MEMORY;
    }
    return 0;
}

/* "" for one that is left out. */
static const char *name_of(const struct writer *writer, int value)
{
    return value < 0 ? "" : writer->names[value];
}
