/* write: the model as a whole (versions, names, inputs, constants, outputs) and the file. */
#include "onnx/write.h"
#include "base/file.h"
#include "onnx/writer.h"
#include "ops/resolve.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Readers in other languages refuse messages from here on, ONNX's own among them. */
#define MODEL_BYTES_MAX ((uint64_t)INT32_MAX)
#define ONNX_TYPE_NUMBER_MAX 16

struct block {
    struct block *next;
    max_align_t data[];
};

static int make_model(struct writer *writer, Onnx__ModelProto *model, struct error *err);
static int check_size(const struct graph *graph, struct error *err);
static int mark_needed(struct writer *writer, struct error *err);
static int64_t ir_version_of(int opset);
static int name_values(struct writer *writer, struct error *err);
static int name_value(struct writer *writer, int value, struct error *err);
static int make_constants(struct writer *writer, struct error *err);
static int make_value_infos(struct writer *writer, const int *values, int count, size_t *n,
                            Onnx__ValueInfoProto ***list, struct error *err);
static Onnx__TypeProto *make_type(struct writer *writer, const struct value *value,
                                  const char *name, struct error *err);
static Onnx__TensorShapeProto *make_shape(struct writer *writer, const struct shape *shape,
                                          const char *name, struct error *err);
static int pack(const Onnx__ModelProto *model, void **bytes, size_t *size, struct error *err);
static const struct tensor *content_of(const struct value *value);
static int32_t number_of_type(enum tensor_type type);

int onnx_write_file(const struct graph *graph, const char *path, struct error *err)
{
    void *bytes = NULL;
    size_t size = 0;
    int rc = onnx_write_bytes(graph, &bytes, &size, err);
    if (rc) {
        if (err)
            error_wrap(err, "%.200s", path);
        return rc;
    }
    rc = file_write(path, bytes, size, FILE_MODE_PUBLIC, true, err);
    free(bytes);
    return rc;
}

int onnx_write_bytes(const struct graph *graph, void **bytes, size_t *size, struct error *err)
{
    struct writer writer = { .graph = graph };
    Onnx__ModelProto model;
    onnx__model_proto__init(&model);
    int rc = make_model(&writer, &model, err);
    if (!rc)
        rc = pack(&model, bytes, size, err);
    names_finish(&writer.value_names);
    names_finish(&writer.node_names);
    while (writer.blocks) {
        struct block *next = writer.blocks->next;
        free(writer.blocks);
        writer.blocks = next;
    }
    return rc;
}

void *writer_take(struct writer *writer, size_t count, size_t item_bytes, struct error *err)
{
    struct block *block = calloc(1, sizeof *block + (count + 1) * item_bytes);
    if (!block) {
        error_set(err, ERROR_MEMORY, "model", "no memory left");
        return NULL;
    }
    block->next = writer->blocks;
    writer->blocks = block;
    return block->data;
}

const char *writer_new_name(struct writer *writer, struct names *taken, const char *base,
                            int number, struct error *err)
{
    size_t bytes = strlen(base) + 2 * sizeof "_2147483647";
    char *name = writer_take(writer, 1, bytes, err);
    if (!name)
        return NULL;
    if (*base)
        snprintf(name, bytes, "%s", base);
    else
        snprintf(name, bytes, "value_%d", number);
    for (int again = 0; names_find(taken, name) >= 0; again++)
        snprintf(name, bytes, "%s_%d_%d", *base ? base : "value", number, again);
    return names_add(taken, name, number, err) ? NULL : name;
}

Onnx__TensorProto *writer_make_tensor(struct writer *writer, const struct tensor *tensor,
                                      const char *name, struct error *err)
{
    Onnx__TensorProto *proto = writer_take(writer, 1, sizeof *proto, err);
    if (!proto)
        return NULL;
    onnx__tensor_proto__init(proto);
    proto->name = (char *)name;
    proto->has_data_type = 1;
    proto->data_type = number_of_type(tensor->type);
    proto->n_dims = (size_t)tensor->shape.rank;
    proto->dims = (int64_t *)tensor->shape.dim;
    proto->has_raw_data = 1; /* little endian: tensor_proto.c refuses to be compiled otherwise */
    proto->raw_data.len = tensor_bytes(tensor);
    proto->raw_data.data = tensor->data;
    return proto;
}

static int make_model(struct writer *writer, Onnx__ModelProto *model, struct error *err)
{
    const struct graph *graph = writer->graph;
    Onnx__OperatorSetIdProto *opset = writer_take(writer, 1, sizeof *opset, err);
    Onnx__OperatorSetIdProto **opsets = writer_take(writer, 1, sizeof *opsets, err);
    writer->proto = writer_take(writer, 1, sizeof *writer->proto, err);
    writer->needed = writer_take(writer, (size_t)graph->node_count, sizeof *writer->needed, err);
    writer->names = writer_take(writer, (size_t)graph->value_count, sizeof *writer->names, err);
    if (!opset || !opsets || !writer->proto || !writer->needed || !writer->names)
        return -ERROR_MEMORY;
    onnx__graph_proto__init(writer->proto);
    onnx__operator_set_id_proto__init(opset);
    int rc = check_size(graph, err);
    if (rc || (rc = mark_needed(writer, err)) || (rc = writer_choose_opset(writer, err)) ||
        (rc = name_values(writer, err)) || (rc = make_constants(writer, err)) ||
        (rc = make_value_infos(writer, graph->inputs, graph->input_count, &writer->proto->n_input,
                               &writer->proto->input, err)) ||
        (rc = make_value_infos(writer, graph->outputs, graph->output_count,
                               &writer->proto->n_output, &writer->proto->output, err)) ||
        (rc = writer_make_nodes(writer, err)))
        return rc;
    writer->proto->name = (char *)"graph";
    opset->domain = (char *)"";
    opset->has_version = 1;
    opset->version = writer->opset;
    opsets[0] = opset;
    model->n_opset_import = 1;
    model->opset_import = opsets;
    model->has_ir_version = 1;
    model->ir_version = ir_version_of(writer->opset);
    model->producer_name = (char *)"runespoor";
    model->graph = writer->proto;
    return 0;
}

/* Before anything is measured in 32 bits. */
static int check_size(const struct graph *graph, struct error *err)
{
    uint64_t bytes = 0;
    for (int i = 0; i < graph->value_count; i++)
        if (content_of(&graph->values[i]))
            bytes += tensor_bytes(content_of(&graph->values[i]));
    if (bytes > MODEL_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "model",
                         "%" PRIu64 " bytes of weights; ONNX files have at most %" PRIu64, bytes,
                         MODEL_BYTES_MAX);
    return 0;
}

/* From the outputs back, which works as the nodes are sorted; checked here, as ONNX wants it too. */
static int mark_needed(struct writer *writer, struct error *err)
{
    const struct graph *graph = writer->graph;
    bool *wanted = writer_take(writer, (size_t)graph->value_count, sizeof *wanted, err);
    if (!wanted)
        return -ERROR_MEMORY;
    for (int i = 0; i < graph->output_count; i++)
        wanted[graph->outputs[i]] = true;
    for (int i = graph->node_count - 1; i >= 0; i--) {
        const struct node *node = &graph->nodes[i];
        for (int k = 0; k < node->output_count; k++)
            if (node->outputs[k] >= 0 && wanted[node->outputs[k]])
                writer->needed[i] = true;
        for (int k = 0; writer->needed[i] && k < node->input_count; k++)
            if (node->inputs[k] >= 0)
                wanted[node->inputs[k]] = true;
    }
    for (int i = 0; i < graph->value_count; i++) {
        const struct value *value = &graph->values[i];
        if (wanted[i] && !value->is_input && !content_of(value) &&
            (value->producer < 0 || !writer->needed[value->producer]))
            return error_set(
                err, ERROR_FORMAT, "model",
                "'%.100s' is read before a node has written it: the graph is not sorted",
                value->name);
    }
    return 0;
}

/* The lowest that knows the opset. Constants are not listed as inputs too, which 3 would want. */
static int64_t ir_version_of(int opset)
{
    static const struct {
        int opset;
        int64_t ir_version;
    } table[] = { { 9, 4 }, { 10, 5 }, { 11, 6 }, { 14, 7 }, { 18, 8 }, { 20, 9 } };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (opset <= table[i].opset)
            return table[i].ir_version;
    return 10;
}

/* Inputs and outputs keep their names whatever the others are called. */
static int name_values(struct writer *writer, struct error *err)
{
    const struct graph *graph = writer->graph;
    int rc = 0;
    for (int i = 0; !rc && i < graph->input_count; i++)
        rc = name_value(writer, graph->inputs[i], err);
    for (int i = 0; !rc && i < graph->output_count; i++)
        rc = name_value(writer, graph->outputs[i], err);
    for (int i = 0; !rc && i < graph->node_count; i++) {
        const struct node *node = &graph->nodes[i];
        for (int k = 0; !rc && writer->needed[i] && k < node->input_count; k++)
            rc = name_value(writer, node->inputs[k], err);
        for (int k = 0; !rc && writer->needed[i] && k < node->output_count; k++)
            rc = name_value(writer, node->outputs[k], err);
    }
    return rc;
}

static int name_value(struct writer *writer, int value, struct error *err)
{
    if (value < 0 || writer->names[value])
        return 0;
    const char *base = writer->graph->values[value].name;
    writer->names[value] =
        writer_new_name(writer, &writer->value_names, base ? base : "", value, err);
    return writer->names[value] ? 0 : -ERROR_MEMORY;
}

static int make_constants(struct writer *writer, struct error *err)
{
    const struct graph *graph = writer->graph;
    Onnx__GraphProto *proto = writer->proto;
    proto->initializer =
        writer_take(writer, (size_t)graph->value_count, sizeof(Onnx__TensorProto *), err);
    if (!proto->initializer)
        return -ERROR_MEMORY;
    for (int i = 0; i < graph->value_count; i++) {
        const struct tensor *content = content_of(&graph->values[i]);
        if (!content || !writer->names[i])
            continue;
        Onnx__TensorProto *tensor = writer_make_tensor(writer, content, writer->names[i], err);
        if (!tensor)
            return -ERROR_MEMORY;
        proto->initializer[proto->n_initializer++] = tensor;
    }
    return 0;
}

static int make_value_infos(struct writer *writer, const int *values, int count, size_t *n,
                            Onnx__ValueInfoProto ***list, struct error *err)
{
    Onnx__ValueInfoProto *infos = writer_take(writer, (size_t)count, sizeof *infos, err);
    *list = writer_take(writer, (size_t)count, sizeof **list, err);
    if (!infos || !*list)
        return -ERROR_MEMORY;
    for (int i = 0; i < count; i++) {
        const struct value *value = &writer->graph->values[values[i]];
        const char *name = writer->names[values[i]];
        if (value->type == TENSOR_NONE)
            return error_set(err, ERROR_FORMAT, "model",
                             "the output '%.100s' has no type yet: infer the graph first", name);
        for (int k = 0; k < i; k++)
            if (values[k] == values[i])
                return error_set(err, ERROR_UNSUPPORTED, "model",
                                 "'%.100s' is an output twice; ONNX files list it once", name);
        onnx__value_info_proto__init(&infos[i]);
        infos[i].name = (char *)name;
        infos[i].type = make_type(writer, value, name, err);
        if (!infos[i].type)
            return -ERROR_MEMORY;
        (*list)[(*n)++] = &infos[i];
    }
    return 0;
}

static Onnx__TypeProto *make_type(struct writer *writer, const struct value *value,
                                  const char *name, struct error *err)
{
    Onnx__TypeProto *type = writer_take(writer, 1, sizeof *type, err);
    Onnx__TypeProto__Tensor *tensor = writer_take(writer, 1, sizeof *tensor, err);
    if (!type || !tensor)
        return NULL;
    onnx__type_proto__init(type);
    onnx__type_proto__tensor__init(tensor);
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    tensor->has_elem_type = 1;
    tensor->elem_type = number_of_type(value->type);
    if (value->shape.rank < 0)
        return type; /* not even the number of dimensions is known */
    tensor->shape = make_shape(writer, &value->shape, name, err);
    return tensor->shape ? type : NULL;
}

/* A free dimension gets a name of its own: of two with one name, readers take it that they are equal.
 */
static Onnx__TensorShapeProto *make_shape(struct writer *writer, const struct shape *shape,
                                          const char *name, struct error *err)
{
    size_t rank = (size_t)shape->rank, bytes = strlen(name) + sizeof "_2147483647";
    Onnx__TensorShapeProto *proto = writer_take(writer, 1, sizeof *proto, err);
    Onnx__TensorShapeProto__Dimension *dims = writer_take(writer, rank, sizeof *dims, err);
    Onnx__TensorShapeProto__Dimension **list = writer_take(writer, rank, sizeof *list, err);
    if (!proto || !dims || !list)
        return NULL;
    onnx__tensor_shape_proto__init(proto);
    for (size_t i = 0; i < rank; i++) {
        onnx__tensor_shape_proto__dimension__init(&dims[i]);
        list[i] = &dims[i];
        if (shape->dim[i] >= 0) {
            dims[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dims[i].dim_value = shape->dim[i];
            continue;
        }
        dims[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        dims[i].dim_param = writer_take(writer, 1, bytes, err);
        if (!dims[i].dim_param)
            return NULL;
        snprintf(dims[i].dim_param, bytes, "%s_%zu", name, i);
    }
    proto->n_dim = rank;
    proto->dim = list;
    return proto;
}

static int pack(const Onnx__ModelProto *model, void **bytes, size_t *size, struct error *err)
{
    size_t wanted = onnx__model_proto__get_packed_size(model);
    if (wanted > MODEL_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "model", "%zu bytes; ONNX files have at most %" PRIu64,
                         wanted, MODEL_BYTES_MAX);
    uint8_t *room = malloc(wanted);
    if (!room)
        return error_set(err, ERROR_MEMORY, "model", "no room for %zu bytes", wanted);
    *size = onnx__model_proto__pack(model, room);
    *bytes = room;
    return 0;
}

/* Of a constant or a state; NULL for what nodes and callers write. */
static const struct tensor *content_of(const struct value *value)
{
    return value->constant.data ? &value->constant : value->state.data ? &value->state : NULL;
}

static int32_t number_of_type(enum tensor_type type)
{
    for (int32_t number = 1; number <= ONNX_TYPE_NUMBER_MAX; number++)
        if (type_of_onnx(number) == type)
            return number;
    return 0;
}
