/* onnx: the file as a whole: reading, versions, inputs, initializers, outputs. */
#include "onnx/onnx.h"
#include "onnx/reader.h"
#include "ops/op.h"
#include "ops/resolve.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IR_VERSION_MIN 3
/* What 9 to 13 added is types, which are refused one by one, and fields that inference may skip. */
#define IR_VERSION_MAX 13

static int read_whole(const char *path, void **bytes, size_t *size, struct error *err);
static int read_model(struct reader *reader, struct error *err);
static int check_versions(struct reader *reader, struct error *err);
static int read_initializers(struct reader *reader, struct error *err);
static int read_inputs(struct reader *reader, struct error *err);
static int read_value_info(const Onnx__ValueInfoProto *proto, enum tensor_type *type,
                           struct shape *shape, struct error *err);
static int read_outputs(struct reader *reader, struct error *err);
static void keep_output_type(struct value *value, const Onnx__ValueInfoProto *proto);

int onnx_read_file(struct graph **graph, const char *path, struct error *err)
{
    void *bytes = NULL;
    size_t size = 0;
    int rc = read_whole(path, &bytes, &size, err);
    if (!rc)
        rc = onnx_read_bytes(graph, bytes, size, path, err);
    free(bytes);
    return rc;
}

int onnx_read_bytes(struct graph **graph, const void *bytes, size_t size, const char *name,
                    struct error *err)
{
    struct reader reader = { 0 };
    Onnx__ModelProto *model = NULL;
    int rc = 0;
    if (size > ONNX_FILE_BYTES_MAX)
        rc = error_set(err, ERROR_LIMIT, "file", "larger than %zu bytes", ONNX_FILE_BYTES_MAX);
    else if (size == 0)
        rc = error_set(err, ERROR_FORMAT, "file", "is empty");
    else
        rc = onnx_scan(bytes, size, err);
    if (!rc) {
        model = onnx__model_proto__unpack(NULL, size, bytes);
        if (!model)
            rc = error_set(err, ERROR_FORMAT, "file", "is not an ONNX model");
    }
    if (!rc)
        rc = graph_create(&reader.graph, err);
    if (!rc) {
        reader.model = model;
        rc = read_model(&reader, err);
    }
    names_finish(&reader.names);
    if (model)
        onnx__model_proto__free_unpacked(model, NULL);
    if (rc) {
        graph_free(&reader.graph);
        if (err)
            error_wrap(err, "%.200s", name);
        return rc;
    }
    *graph = reader.graph;
    return 0;
}

int onnx_add_name(struct reader *reader, const char *name, int value, struct error *err)
{
    if (!*name)
        return error_set(err, ERROR_FORMAT, "graph", "a value has no name");
    return names_add(&reader->names, name, value, err);
}

const char *onnx_text(const char *text)
{
    return text ? text : "";
}

static int read_whole(const char *path, void **bytes, size_t *size, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, errno, path, "cannot open");
    struct stat status;
    int rc = 0;
    if (fstat(fd, &status) < 0)
        rc = error_set_errno(err, errno, path, "cannot look at");
    else if (!S_ISREG(status.st_mode))
        rc = error_set(err, ERROR_IO, path, "is not a file");
    else if ((uint64_t)status.st_size > ONNX_FILE_BYTES_MAX)
        rc = error_set(err, ERROR_LIMIT, path, "larger than %zu bytes", ONNX_FILE_BYTES_MAX);
    char *room = rc ? NULL : malloc((size_t)status.st_size + 1);
    if (!rc && !room)
        rc = error_set(err, ERROR_MEMORY, path, "no room for %lld bytes", (long long)status.st_size);
    size_t used = 0;
    while (!rc && used < (size_t)status.st_size) {
        ssize_t count = read(fd, room + used, (size_t)status.st_size - used);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            rc = error_set_errno(err, errno, path, "cannot read");
        else if (count == 0)
            rc = error_set(err, ERROR_IO, path, "became shorter while it was read");
        else
            used += (size_t)count;
    }
    close(fd);
    if (rc) {
        free(room);
        return rc;
    }
    *bytes = room;
    *size = used;
    return 0;
}

static int read_model(struct reader *reader, struct error *err)
{
    int rc = check_versions(reader, err);
    if (rc || (rc = read_initializers(reader, err)) || (rc = read_inputs(reader, err)) ||
        (rc = onnx_read_nodes(reader, err)) || (rc = read_outputs(reader, err)) ||
        (rc = onnx_name_sizes(reader->graph, reader->model->graph, err)) ||
        (rc = graph_sort(reader->graph, err)))
        return rc;
    return graph_sweep(reader->graph, err);
}

static int check_versions(struct reader *reader, struct error *err)
{
    const Onnx__ModelProto *model = reader->model;
    if (!model->graph)
        return error_set(err, ERROR_FORMAT, "file", "is not an ONNX model, or has no graph");
    if (!model->has_ir_version || model->ir_version < IR_VERSION_MIN ||
        model->ir_version > IR_VERSION_MAX)
        return error_set(err, ERROR_UNSUPPORTED, "ir_version", "%lld; %d to %d are supported",
                         (long long)model->ir_version, IR_VERSION_MIN, IR_VERSION_MAX);
    if (model->n_functions > 0)
        return error_set(err, ERROR_UNSUPPORTED, "functions",
                         "are not supported; export the model with them inlined");
    long long opset = 0;
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const char *domain = onnx_text(model->opset_import[i]->domain);
        if (*domain && strcmp(domain, "ai.onnx") != 0)
            continue; /* matters only if a node is of that domain */
        if (opset)
            return error_set(err, ERROR_FORMAT, "opset_import", "two of the same domain");
        opset = (long long)model->opset_import[i]->version;
    }
    if (opset < OPSET_MIN || opset > OPSET_MAX)
        return error_set(err, ERROR_UNSUPPORTED, "opset",
                         "%lld of domain 'ai.onnx'; %d to %d are supported", opset, OPSET_MIN,
                         OPSET_MAX);
    reader->graph->opset = (int)opset;
    return 0;
}

static int read_initializers(struct reader *reader, struct error *err)
{
    const Onnx__GraphProto *graph = reader->model->graph;
    if (graph->n_sparse_initializer > 0)
        return error_set(err, ERROR_UNSUPPORTED, "sparse_initializer", "is not supported");
    for (size_t i = 0; i < graph->n_initializer; i++) {
        const char *name = onnx_text(graph->initializer[i]->name);
        struct tensor tensor = { 0 };
        int rc = onnx_read_tensor(graph->initializer[i], &tensor, err);
        if (!rc) {
            int value = graph_add_constant(reader->graph, name, &tensor, err);
            rc = value < 0 ? value : onnx_add_name(reader, name, value, err);
            tensor_free(&tensor);
        }
        if (rc) {
            if (err)
                error_wrap(err, "initializer '%.100s'", name);
            return rc;
        }
    }
    return 0;
}

/* Older files list initializers among the inputs; those are constants here. */
static int read_inputs(struct reader *reader, struct error *err)
{
    const Onnx__GraphProto *graph = reader->model->graph;
    for (size_t i = 0; i < graph->n_input; i++) {
        const char *name = onnx_text(graph->input[i]->name);
        int known = names_find(&reader->names, name);
        if (known >= 0 && reader->graph->values[known].constant.data)
            continue;
        enum tensor_type type = TENSOR_NONE;
        struct shape shape = { .rank = -1 };
        int rc = read_value_info(graph->input[i], &type, &shape, err);
        if (!rc) {
            int value = graph_add_value(reader->graph, name, type, &shape, err);
            rc = value < 0 ? value : onnx_add_name(reader, name, value, err);
            if (!rc && (rc = graph_mark_input(reader->graph, value, err)) > 0)
                rc = 0;
        }
        if (rc) {
            if (err)
                error_wrap(err, "input '%.100s'", name);
            return rc;
        }
    }
    return 0;
}

/* Free dimensions (named, or of no positive size) are -1. */
static int read_value_info(const Onnx__ValueInfoProto *proto, enum tensor_type *type,
                           struct shape *shape, struct error *err)
{
    if (!proto->type || proto->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ||
        !proto->type->tensor_type)
        return error_set(err, ERROR_UNSUPPORTED, "type", "only tensors are supported");
    const Onnx__TypeProto__Tensor *tensor = proto->type->tensor_type;
    *type = type_of_onnx(tensor->has_elem_type ? tensor->elem_type : 0);
    if (*type == TENSOR_NONE)
        return error_set(err, ERROR_UNSUPPORTED, "type", "number %d is not supported",
                         tensor->elem_type);
    *shape = (struct shape){ .rank = -1 };
    if (!tensor->shape)
        return 0;
    if (tensor->shape->n_dim > SHAPE_RANK_MAX)
        return error_set(err, ERROR_LIMIT, "shape", "%zu dimensions; at most %d",
                         tensor->shape->n_dim, SHAPE_RANK_MAX);
    shape->rank = (int)tensor->shape->n_dim;
    for (int i = 0; i < shape->rank; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = tensor->shape->dim[i];
        bool known = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE &&
                     dim->dim_value > 0;
        shape->dim[i] = known ? dim->dim_value : -1;
    }
    return 0;
}

static int read_outputs(struct reader *reader, struct error *err)
{
    const Onnx__GraphProto *graph = reader->model->graph;
    if (graph->n_output == 0)
        return error_set(err, ERROR_FORMAT, "graph", "has no output");
    for (size_t i = 0; i < graph->n_output; i++) {
        const char *name = onnx_text(graph->output[i]->name);
        int value = names_find(&reader->names, name);
        if (value < 0)
            return error_set(err, ERROR_FORMAT, "graph", "no node writes the output '%.100s'", name);
        if (reader->graph->values[value].is_output)
            return error_set(err, ERROR_FORMAT, "graph", "the output '%.100s' is listed twice", name);
        int rc = graph_mark_output(reader->graph, value, err);
        if (rc < 0)
            return rc;
        keep_output_type(&reader->graph->values[value], graph->output[i]);
    }
    return 0;
}

/* What the file says of an output counts until inference knows better (and when the graph is written
 * again before that), so it need not be right. */
static void keep_output_type(struct value *value, const Onnx__ValueInfoProto *proto)
{
    enum tensor_type type;
    struct shape shape;
    if (value->type != TENSOR_NONE || read_value_info(proto, &type, &shape, NULL))
        return;
    value->type = type;
    value->shape = shape;
}
