/* tensor_proto: tensors of a file. Sizes are compared with the data that is really there before
 * anything is allocated. */
#include "onnx/reader.h"
#include "ops/resolve.h"
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "raw tensor data is little endian and read as it is"
#endif

static int check_place(const Onnx__TensorProto *proto, struct error *err);
static int read_shape(const Onnx__TensorProto *proto, struct shape *shape, struct error *err);
static size_t typed_count(const Onnx__TensorProto *proto, enum tensor_type type);
static int copy_typed(const Onnx__TensorProto *proto, struct tensor *tensor, struct error *err);
static int copy_from_i32(const Onnx__TensorProto *proto, struct tensor *tensor, struct error *err);
static int copy_from_u64(const Onnx__TensorProto *proto, struct tensor *tensor, struct error *err);

int onnx_read_tensor(const Onnx__TensorProto *proto, struct tensor *tensor, struct error *err)
{
    struct shape shape;
    int rc = check_place(proto, err);
    if (rc || (rc = read_shape(proto, &shape, err)))
        return rc;
    enum tensor_type type = type_of_onnx(proto->has_data_type ? proto->data_type : 0);
    if (type == TENSOR_NONE)
        return error_set(err, ERROR_UNSUPPORTED, "tensor", "data type number %d is not supported",
                         proto->data_type);
    int64_t elements = shape_elements(&shape);
    if (elements < 0)
        return error_set(err, ERROR_LIMIT, "tensor", "larger than %llu bytes",
                         (unsigned long long)TENSOR_BYTES_MAX);
    size_t wanted = (size_t)elements, given = typed_count(proto, type);
    if (proto->has_raw_data) {
        wanted *= tensor_type_bytes(type);
        given = proto->raw_data.len;
    }
    if (given != wanted) {
        char text[128];
        shape_format(&shape, text, sizeof text);
        return error_set(err, ERROR_FORMAT, "tensor", "%zu %s of data for %s of %s, which needs %zu",
                         given, proto->has_raw_data ? "bytes" : "numbers", text,
                         tensor_type_word(type), wanted);
    }
    if ((rc = tensor_create(tensor, type, &shape, err)))
        return rc;
    if (!proto->has_raw_data)
        rc = copy_typed(proto, tensor, err);
    else if (given > 0)
        memcpy(tensor->data, proto->raw_data.data, given);
    for (int64_t i = 0; !rc && type == TENSOR_BOOL && i < elements; i++)
        ((uint8_t *)tensor->data)[i] = ((uint8_t *)tensor->data)[i] != 0;
    if (rc)
        tensor_free(tensor);
    return rc;
}

/* The data must be inside the file and in one piece. */
static int check_place(const Onnx__TensorProto *proto, struct error *err)
{
    if (proto->n_external_data > 0 ||
        (proto->has_data_location &&
         proto->data_location != ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT))
        return error_set(err, ERROR_UNSUPPORTED, "tensor",
                         "its data lies outside the file; save the model as one file");
    if (proto->segment)
        return error_set(err, ERROR_UNSUPPORTED, "tensor", "is cut into segments");
    return 0;
}

static int read_shape(const Onnx__TensorProto *proto, struct shape *shape, struct error *err)
{
    if (proto->n_dims > SHAPE_RANK_MAX)
        return error_set(err, ERROR_LIMIT, "tensor", "%zu dimensions; at most %d", proto->n_dims,
                         SHAPE_RANK_MAX);
    *shape = (struct shape){ .rank = (int)proto->n_dims };
    for (int i = 0; i < shape->rank; i++) {
        if (proto->dims[i] < 0)
            return error_set(err, ERROR_FORMAT, "tensor", "dimension %d is %lld", i,
                             (long long)proto->dims[i]);
        shape->dim[i] = proto->dims[i];
    }
    return 0;
}

/* How many numbers the typed list that belongs to the type holds. */
static size_t typed_count(const Onnx__TensorProto *proto, enum tensor_type type)
{
    switch (type) {
    case TENSOR_F32:
        return proto->n_float_data;
    case TENSOR_F64:
        return proto->n_double_data;
    case TENSOR_I64:
        return proto->n_int64_data;
    case TENSOR_U64:
    case TENSOR_U32:
        return proto->n_uint64_data;
    default:
        return proto->n_int32_data;
    }
}

static int copy_typed(const Onnx__TensorProto *proto, struct tensor *tensor, struct error *err)
{
    const void *from;
    switch (tensor->type) {
    case TENSOR_F32:
        from = proto->float_data;
        break;
    case TENSOR_F64:
        from = proto->double_data;
        break;
    case TENSOR_I64:
        from = proto->int64_data;
        break;
    case TENSOR_U64:
        from = proto->uint64_data;
        break;
    case TENSOR_U32:
        return copy_from_u64(proto, tensor, err);
    default:
        return copy_from_i32(proto, tensor, err);
    }
    if (from)
        memcpy(tensor->data, from, tensor_bytes(tensor));
    return 0;
}

/* The short types come as 32-bit numbers, half floats as their bits. */
static int copy_from_i32(const Onnx__TensorProto *proto, struct tensor *tensor, struct error *err)
{
    for (size_t i = 0; i < proto->n_int32_data; i++) {
        int32_t number = proto->int32_data[i], low = 0, high = UINT16_MAX;
        switch (tensor->type) {
        case TENSOR_I32:
            ((int32_t *)tensor->data)[i] = number;
            continue;
        case TENSOR_I8:
            low = INT8_MIN;
            high = INT8_MAX;
            ((int8_t *)tensor->data)[i] = (int8_t)number;
            break;
        case TENSOR_I16:
            low = INT16_MIN;
            high = INT16_MAX;
            ((int16_t *)tensor->data)[i] = (int16_t)number;
            break;
        case TENSOR_U8:
        case TENSOR_BOOL:
            high = UINT8_MAX;
            ((uint8_t *)tensor->data)[i] = (uint8_t)number;
            break;
        default:
            ((uint16_t *)tensor->data)[i] = (uint16_t)number;
            break;
        }
        if (number < low || number > high)
            return error_set(err, ERROR_FORMAT, "tensor", "%d is no %s", number,
                             tensor_type_word(tensor->type));
    }
    return 0;
}

static int copy_from_u64(const Onnx__TensorProto *proto, struct tensor *tensor, struct error *err)
{
    for (size_t i = 0; i < proto->n_uint64_data; i++) {
        if (proto->uint64_data[i] > UINT32_MAX)
            return error_set(err, ERROR_FORMAT, "tensor", "%llu is no %s",
                             (unsigned long long)proto->uint64_data[i],
                             tensor_type_word(tensor->type));
        ((uint32_t *)tensor->data)[i] = (uint32_t)proto->uint64_data[i];
    }
    return 0;
}
