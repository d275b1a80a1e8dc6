/* old_opsets: files of opsets 1 to 6, as exporters wrote them in 2017. The op table begins at 7, where broadcasting
 * became NumPy's and training left the inference ops, so what a node says in an older way is rewritten before it is
 * read: attributes change their names or become inputs, and an operand that is laid along an inner axis of the other
 * is reshaped. What has no counterpart is refused, here or by its row. */
#include "onnx/proto_edit.h"
#include "onnx/reader.h"
#include "ops/op.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct old {
    Onnx__GraphProto *graph;
    int opset;
    struct names ranks; /* of values of which the file says how many dimensions they have */
    int made;           /* values */
};

typedef int change_fn(struct old *old, Onnx__NodeProto *node, struct error *err);

static change_fn change_broadcast, change_prelu, change_training, change_concat, change_pad,
    change_reshape, change_cast, change_selu, change_upsample;

static const struct {
    const char *op;
    int below; /* the opset that has it in the new way */
    change_fn *change;
} changes[] = {
    { "Add", 7, change_broadcast },
    { "And", 7, change_broadcast },
    { "Div", 7, change_broadcast },
    { "Equal", 7, change_broadcast },
    { "Gemm", 7, change_broadcast }, /* its C never had an axis */
    { "Greater", 7, change_broadcast },
    { "Less", 7, change_broadcast },
    { "Mul", 7, change_broadcast },
    { "Or", 7, change_broadcast },
    { "Pow", 7, change_broadcast },
    { "Sub", 7, change_broadcast },
    { "Xor", 7, change_broadcast },
    { "PRelu", 7, change_prelu },
    { "BatchNormalization", 7, change_training },
    { "Dropout", 7, change_training },
    { "Concat", 4, change_concat },
    { "Pad", 2, change_pad },
    { "Reshape", 5, change_reshape },
    { "Cast", 6, change_cast },
    { "Selu", 6, change_selu },
    { "Upsample", 7, change_upsample },
};

static int find_opset(Onnx__ModelProto *model, Onnx__OperatorSetIdProto **import);
static int note_ranks(struct old *old, struct error *err);
static int note_rank(struct old *old, const char *name, size_t rank, struct error *err);
static int note_infos(struct old *old, Onnx__ValueInfoProto **infos, size_t count, struct error *err);
static int change_node(struct old *old, Onnx__NodeProto *node, struct error *err);
static int align(struct old *old, Onnx__NodeProto *node, int64_t axis, struct error *err);
static int out_of_memory(struct error *err);

int onnx_modernise(Onnx__ModelProto *model, struct error *err)
{
    Onnx__OperatorSetIdProto *import = NULL;
    struct old old = { .graph = model->graph };
    if (!model->graph)
        return 0; /* the reader says so */
    old.opset = find_opset(model, &import);
    if (old.opset < 1 || old.opset >= OPSET_MIN)
        return 0;
    size_t count = old.graph->n_node; /* more come */
    int rc = note_ranks(&old, err);
    for (size_t i = 0; !rc && i < count; i++) {
        Onnx__NodeProto *node = old.graph->node[i];
        rc = change_node(&old, node, err);
        if (rc && err)
            error_wrap(err, "%.64s node '%.100s' of opset %d", onnx_text(node->op_type),
                       *onnx_text(node->name) ? node->name : "", old.opset);
    }
    names_finish(&old.ranks);
    if (!rc)
        import->version = OPSET_MIN;
    return rc;
}

static int find_opset(Onnx__ModelProto *model, Onnx__OperatorSetIdProto **import)
{
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const char *domain = onnx_text(model->opset_import[i]->domain);
        if (*domain && strcmp(domain, "ai.onnx") != 0)
            continue;
        *import = model->opset_import[i];
        return (*import)->version > 0 && (*import)->version < INT_MAX ? (int)(*import)->version : 0;
    }
    return 0;
}

static int note_ranks(struct old *old, struct error *err)
{
    const Onnx__GraphProto *graph = old->graph;
    int rc = 0;
    for (size_t i = 0; !rc && i < graph->n_initializer; i++)
        rc = note_rank(old, onnx_text(graph->initializer[i]->name), graph->initializer[i]->n_dims,
                       err);
    if (!rc)
        rc = note_infos(old, graph->input, graph->n_input, err);
    if (!rc)
        rc = note_infos(old, graph->value_info, graph->n_value_info, err);
    for (size_t i = 0; !rc && i < graph->n_node; i++) {
        const Onnx__NodeProto *node = graph->node[i];
        const Onnx__AttributeProto *value = proto_find(node, "value");
        if (strcmp(onnx_text(node->op_type), "Constant") == 0 && node->n_output == 1 && value &&
            value->t)
            rc = note_rank(old, onnx_text(node->output[0]), value->t->n_dims, err);
    }
    return rc;
}

static int note_infos(struct old *old, Onnx__ValueInfoProto **infos, size_t count, struct error *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < count; i++)
        if (infos[i]->type && infos[i]->type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE &&
            infos[i]->type->tensor_type && infos[i]->type->tensor_type->shape)
            rc = note_rank(old, onnx_text(infos[i]->name),
                           infos[i]->type->tensor_type->shape->n_dim, err);
    return rc;
}

/* What is said first counts: initializers are listed among the inputs, too. */
static int note_rank(struct old *old, const char *name, size_t rank, struct error *err)
{
    if (rank > SHAPE_RANK_MAX || names_find(&old->ranks, name) >= 0)
        return 0;
    return names_add(&old->ranks, name, (int)rank, err);
}

static int change_node(struct old *old, Onnx__NodeProto *node, struct error *err)
{
    const char *op = onnx_text(node->op_type);
    if (*onnx_text(node->domain) && strcmp(node->domain, "ai.onnx") != 0)
        return 0;
    proto_drop(node, "consumed_inputs"); /* a hint where results may go */
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        if (strcmp(changes[i].op, op) == 0 && old->opset < changes[i].below)
            return changes[i].change(old, node, err);
    return 0;
}

/* Without an axis, the last dimensions go together, as they do now. */
static int change_broadcast(struct old *old, Onnx__NodeProto *node, struct error *err)
{
    bool has_axis = proto_find(node, "axis") != NULL;
    int64_t axis = proto_take_int(node, "axis", 0), broadcast = proto_take_int(node, "broadcast", 0);
    return broadcast && has_axis ? align(old, node, axis, err) : 0;
}

/* A list of slopes is for the channels. */
static int change_prelu(struct old *old, Onnx__NodeProto *node, struct error *err)
{
    int rank = node->n_input > 1 ? names_find(&old->ranks, onnx_text(node->input[1])) : 0;
    return rank == 0 || rank > 1 ? 0 : align(old, node, 1, err);
}

static int change_training(struct old *old, Onnx__NodeProto *node, struct error *err)
{
    (void)old;
    if (proto_take_int(node, "is_test", 0))
        return 0;
    return error_set(err, ERROR_UNSUPPORTED, "is_test",
                     "is 0: the node is for training; export the model for inference");
}

static int change_concat(struct old *old, Onnx__NodeProto *node, struct error *err)
{
    (void)old;
    return proto_find(node, "axis") ? 0 : proto_add_attribute(node, proto_make_int("axis", 1), err);
}

static int change_pad(struct old *old, Onnx__NodeProto *node, struct error *err)
{
    (void)old;
    Onnx__AttributeProto *pads = proto_find(node, "paddings");
    char *name = pads ? strdup("pads") : NULL;
    if (pads && !name)
        return out_of_memory(err);
    if (pads) {
        free(pads->name);
        pads->name = name;
    }
    return 0;
}

static int change_reshape(struct old *old, Onnx__NodeProto *node, struct error *err)
{
    const Onnx__AttributeProto *shape = proto_find(node, "shape");
    if (!shape)
        return error_set(err, ERROR_FORMAT, "shape", "the attribute is missing");
    Onnx__AttributeProto *ints = proto_make_ints("value_ints", shape->ints, shape->n_ints);
    char *target = proto_add_node(old->graph, &old->made, "Constant", NULL, NULL,
                                  (Onnx__AttributeProto *const[]){ ints, NULL }, err);
    int rc = target ? proto_set_input(node, 1, target, err) : -ERROR_MEMORY;
    proto_drop(node, "shape");
    return rc;
}

/* The type was a word. */
static int change_cast(struct old *old, Onnx__NodeProto *node, struct error *err)
{
    (void)old;
    const Onnx__AttributeProto *to = proto_find(node, "to");
    char word[32] = "";
    if (to && to->s.len < sizeof word) {
        memcpy(word, to->s.data, to->s.len);
        word[to->s.len] = '\0';
    }
    const ProtobufCEnumValue *type = protobuf_c_enum_descriptor_get_value_by_name(
        &onnx__tensor_proto__data_type__descriptor, word);
    if (!type)
        return error_set(err, ERROR_UNSUPPORTED, "to", "'%s' is no type", word);
    proto_drop(node, "to");
    return proto_add_attribute(node, proto_make_int("to", type->value), err);
}

/* The defaults had fewer digits. */
static int change_selu(struct old *old, Onnx__NodeProto *node, struct error *err)
{
    (void)old;
    static const struct {
        const char *name;
        float number;
    } defaults[] = { { "alpha", 1.6732f }, { "gamma", 1.0507f } };
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof defaults / sizeof *defaults; i++) {
        if (proto_find(node, defaults[i].name))
            continue;
        Onnx__AttributeProto *attribute = proto_make_int(defaults[i].name, 0);
        if (attribute) {
            attribute->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
            attribute->has_i = 0;
            attribute->has_f = 1;
            attribute->f = defaults[i].number;
        }
        rc = proto_add_attribute(node, attribute, err);
    }
    return rc;
}

static int change_upsample(struct old *old, Onnx__NodeProto *node, struct error *err)
{
    (void)old;
    const Onnx__AttributeProto *width = proto_find(node, "width_scale"),
                               *height = proto_find(node, "height_scale");
    if (!width || !height)
        return error_set(err, ERROR_FORMAT, "scales", "width_scale or height_scale is missing");
    float *floats = malloc(4 * sizeof *floats);
    Onnx__AttributeProto *scales = floats ? proto_make_ints("scales", NULL, 0) : NULL;
    if (!scales) {
        free(floats);
        return out_of_memory(err);
    }
    memcpy(floats, ((float[]){ 1, 1, height->f, width->f }), 4 * sizeof *floats);
    scales->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS;
    scales->n_floats = 4;
    scales->floats = floats;
    proto_drop(node, "width_scale");
    proto_drop(node, "height_scale");
    return proto_add_attribute(node, scales, err);
}

/* The second operand's dimensions are those of the first from axis on: it gets ones behind them, as many as the first
 * has dimensions behind. How many is known when shapes are, so nodes say it: they fold. */
static int align(struct old *old, Onnx__NodeProto *node, int64_t axis, struct error *err)
{
    int rank = node->n_input > 1 ? names_find(&old->ranks, onnx_text(node->input[1])) : -1;
    if (rank < 0)
        return error_set(
            err, ERROR_UNSUPPORTED, "axis",
            "the file does not say how many dimensions '%.100s' has; convert the model to "
            "opset 7 or newer",
            node->n_input > 1 ? onnx_text(node->input[1]) : "");
    int64_t start = axis + rank, end = INT64_MAX, zero = 0;
    if (axis < -SHAPE_RANK_MAX || axis > SHAPE_RANK_MAX || (axis < 0 && start > 0))
        return error_set(err, ERROR_FORMAT, "axis", "%lld for an operand of %d dimensions",
                         (long long)axis, rank);
    if (axis < 0 && start == 0)
        return 0;
    if (old->graph->n_node > GRAPH_NODES_MAX) /* before what was made takes much memory */
        return error_set(err, ERROR_LIMIT, "graph", "more than %d nodes", GRAPH_NODES_MAX);
    const char *first = onnx_text(node->input[0]), *second = onnx_text(node->input[1]);
    const char *whole = proto_add_node(old->graph, &old->made, "Shape", first, NULL, NULL, err);
    const char *behind =
        proto_add_node(old->graph, &old->made, "Slice", whole, NULL,
                       (Onnx__AttributeProto *const[]){ proto_make_ints("starts", &start, 1),
                                                        proto_make_ints("ends", &end, 1),
                                                        proto_make_ints("axes", &zero, 1), NULL },
                       err);
    const char *same = proto_add_node(old->graph, &old->made, "Equal", behind, behind, NULL, err);
    const char *ones =
        proto_add_node(old->graph, &old->made, "Cast", same, NULL,
                       (Onnx__AttributeProto *const[]){
                           proto_make_int("to", ONNX__TENSOR_PROTO__DATA_TYPE__INT64), NULL },
                       err);
    const char *own = proto_add_node(old->graph, &old->made, "Shape", second, NULL, NULL, err);
    const char *target =
        proto_add_node(old->graph, &old->made, "Concat", own, ones,
                       (Onnx__AttributeProto *const[]){ proto_make_int("axis", 0), NULL }, err);
    const char *aligned =
        proto_add_node(old->graph, &old->made, "Reshape", second, target, NULL, err);
    return aligned ? proto_set_input(node, 1, aligned, err) : out_of_memory(err);
}

static int out_of_memory(struct error *err)
{
    return error_set(err, ERROR_MEMORY, "graph", "no memory left");
}
