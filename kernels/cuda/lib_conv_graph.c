/* lib_conv_graph: tensors, operations, graph. Sizes are given as N, C, H, W; how they lie is told by
 * their strides: channels last. */
#include "cuda/lib_conv.h"
#include "cuda/lib_open.h"
#include <float.h>
#include <math.h>
#include <string.h>

#define RANK 4
#define OPS_PER_POST 4 /* at most */
#define OPS_MAX (3 + OPS_PER_POST * FUSED_POSTS_MAX)

/* What is described so far. */
struct drawing {
    struct lib_bag *bag;
    const struct lib_conv_spec *spec;
    struct lib_conv_numbers *numbers;
    cudnnBackendDescriptor_t ops[OPS_MAX];
    int op_count;
    cudnnBackendDescriptor_t last; /* what the operation before gave */
    int left;                      /* operations to come; the last one writes the result */
    int64_t dim[RANK];             /* of the result */
};

/* A pointwise function in cuDNN's words. */
struct wording {
    cudnnPointwiseMode_t mode;
    float lower, upper, slope, alpha; /* of Relu and Elu */
};

static const float one = 1, zero = 0;

static bool is_widened(const struct conv *conv);
static bool begins_with_sum(const struct lib_conv_spec *spec);
static int count_ops(const struct lib_conv_spec *spec);
static void result_dims(const struct conv *conv, int64_t dim[RANK]);
static cudnnBackendDescriptor_t tensor(struct drawing *drawing, int64_t id, int32_t type,
                                       const int64_t dim[RANK], const int64_t step[RANK]);
static cudnnBackendDescriptor_t array(struct drawing *drawing, int64_t id);
static cudnnBackendDescriptor_t next_result(struct drawing *drawing);
static void draw_conv(struct drawing *drawing);
static cudnnBackendDescriptor_t window(struct drawing *drawing);
static void draw_bias(struct drawing *drawing);
static bool draw_post(struct drawing *drawing, const struct lib_post *post, int64_t id);
static void draw_hard_sigmoid(struct drawing *drawing, float alpha, float beta);
static void draw_prelu(struct drawing *drawing, cudnnBackendDescriptor_t slopes);
static void draw_mode(struct drawing *drawing, cudnnPointwiseMode_t mode,
                      cudnnBackendDescriptor_t operand);
static void draw_pointwise(struct drawing *drawing, const struct wording *wording,
                           cudnnBackendDescriptor_t operand);
static cudnnBackendDescriptor_t number(struct drawing *drawing, float value);
static bool word_relu(struct wording *wording, float lower, float upper, float slope);
static bool word_post(const struct pointwise *function, struct wording *wording);
static cudnnBackendDescriptor_t operand_tensor(struct drawing *drawing, const struct view *view,
                                               int64_t id);

cudnnBackendDescriptor_t lib_conv_graph(struct lib_bag *bag, cudnnHandle_t handle,
                                        const struct lib_conv_spec *spec,
                                        struct lib_conv_numbers *numbers)
{
    struct drawing drawing = { .bag = bag, .spec = spec, .numbers = numbers };
    int64_t id = LIB_CONV_OPERAND;
    size_t post = 0;
    numbers->count = 0;
    drawing.left = count_ops(spec);
    result_dims(&spec->conv, drawing.dim);
    draw_conv(&drawing);
    if (begins_with_sum(spec) && !draw_post(&drawing, &spec->posts[post++], id++))
        return NULL;
    if (spec->has_bias)
        draw_bias(&drawing);
    for (; post < spec->post_count; post++) {
        if (!draw_post(&drawing, &spec->posts[post], id))
            return NULL;
        id += spec->posts[post].function.operand >= 0;
    }
    if (is_widened(&spec->conv))
        draw_mode(&drawing, CUDNN_POINTWISE_IDENTITY, NULL);
    cudnnBackendDescriptor_t graph = bag_add(bag, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    bag_set_one(bag, graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, &handle);
    bag_set(bag, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
            drawing.op_count, drawing.ops);
    bag_finalize(bag, graph);
    return bag_is_good(bag) ? graph : NULL;
}

enum tensor_type lib_conv_bias_for(const struct conv *conv)
{
    bool alike = conv->x_type == conv->w_type && conv->x_type == conv->y_type;
    return conv->way == CONV_FORWARD && alike ? (enum tensor_type)conv->y_type : TENSOR_F32;
}

/* cuDNN stores weights in the type of what they are computed from, unless an operation behind says
 * otherwise, be it one that changes nothing. */
static bool is_widened(const struct conv *conv)
{
    return conv->way == CONV_WEIGHTS && conv->w_type != conv->x_type;
}

/* Ready-made kernels add another array before the bias, not behind it. */
static bool begins_with_sum(const struct lib_conv_spec *spec)
{
    return spec->has_bias && spec->post_count > 0 && spec->posts[0].function.kind == POINTWISE_ADD;
}

static int count_ops(const struct lib_conv_spec *spec)
{
    int count = 1 + spec->has_bias + is_widened(&spec->conv);
    for (size_t i = 0; i < spec->post_count; i++) {
        enum pointwise_kind kind = spec->posts[i].function.kind;
        count += kind == POINTWISE_HARD_SIGMOID                            ? 3
                 : kind == POINTWISE_HARD_SWISH || kind == POINTWISE_PRELU ? OPS_PER_POST
                                                                           : 1;
    }
    return count;
}

/* ---- arrays ---- */

static void x_dims(const struct conv *conv, int64_t dim[RANK])
{
    memcpy(dim, (int64_t[]){ conv->batch, conv->channels, conv->in[0], conv->in[1] },
           RANK * sizeof *dim);
}

static void w_dims(const struct conv *conv, int64_t dim[RANK])
{
    memcpy(dim,
           (int64_t[]){ conv->filters, conv->channels / conv->groups, conv->kernel[0],
                        conv->kernel[1] },
           RANK * sizeof *dim);
}

static void y_dims(const struct conv *conv, int64_t dim[RANK])
{
    memcpy(dim, (int64_t[]){ conv->batch, conv->filters, conv->out[0], conv->out[1] },
           RANK * sizeof *dim);
}

static void result_dims(const struct conv *conv, int64_t dim[RANK])
{
    (conv->way == CONV_FORWARD ? y_dims : conv->way == CONV_INPUT ? x_dims : w_dims)(conv, dim);
}

/* Packed with channels last. */
static void last_steps(const int64_t dim[RANK], int64_t step[RANK])
{
    step[1] = 1;
    step[3] = dim[1];
    step[2] = step[3] * dim[3];
    step[0] = step[2] * dim[2];
}

static bool find_type(int32_t type, cudnnDataType_t *found)
{
    *found = type == TENSOR_F16    ? CUDNN_DATA_HALF
             : type == TENSOR_BF16 ? CUDNN_DATA_BFLOAT16
                                   : CUDNN_DATA_FLOAT;
    return type == TENSOR_F32 || type == TENSOR_F16 || type == TENSOR_BF16;
}

static cudnnBackendDescriptor_t tensor(struct drawing *drawing, int64_t id, int32_t type,
                                       const int64_t dim[RANK], const int64_t step[RANK])
{
    struct lib_bag *bag = drawing->bag;
    cudnnBackendDescriptor_t item = bag_add(bag, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    int64_t alignment =
        drawing->spec->alignment_bytes ? drawing->spec->alignment_bytes : LIB_ALIGNMENT_BYTES;
    bool between = id >= LIB_CONV_BETWEEN;
    bool is_number = id >= LIB_CONV_NUMBER && !between;
    cudnnDataType_t data_type;
    if (!find_type(type, &data_type) && bag_is_good(bag))
        bag->status = CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE;
    bag_set_one(bag, item, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, &data_type);
    bag_set(bag, item, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, RANK, dim);
    bag_set(bag, item, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, RANK, step);
    bag_set_one(bag, item, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, &id);
    bag_set_one(bag, item, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, &alignment);
    bag_set_one(bag, item, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, &between);
    bag_set_one(bag, item, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, &is_number);
    bag_finalize(bag, item);
    return item;
}

/* A number that is given with each run, from the host. */
static cudnnBackendDescriptor_t number(struct drawing *drawing, float value)
{
    const int64_t ones[RANK] = { 1, 1, 1, 1 };
    struct lib_conv_numbers *numbers = drawing->numbers;
    if (numbers->count == LIB_CONV_NUMBERS_MAX) {
        drawing->bag->status = CUDNN_STATUS_NOT_SUPPORTED;
        return NULL;
    }
    int64_t id = LIB_CONV_NUMBER + numbers->count;
    numbers->values[numbers->count++] = value;
    return tensor(drawing, id, TENSOR_F32, ones, ones);
}

/* x, w or y as it is stored. */
static cudnnBackendDescriptor_t array(struct drawing *drawing, int64_t id)
{
    const struct conv *conv = &drawing->spec->conv;
    int64_t dim[RANK], step[RANK];
    (id == LIB_CONV_X ? x_dims : id == LIB_CONV_W ? w_dims : y_dims)(conv, dim);
    last_steps(dim, step);
    return tensor(drawing, id,
                  id == LIB_CONV_X   ? conv->x_type
                  : id == LIB_CONV_W ? conv->w_type
                                     : conv->y_type,
                  dim, step);
}

/* Of the operation that is drawn now: the array, if it is the last, or one that is not stored. */
static cudnnBackendDescriptor_t next_result(struct drawing *drawing)
{
    enum conv_way way = drawing->spec->conv.way;
    int64_t step[RANK];
    if (--drawing->left == 0)
        drawing->last = array(drawing, way == CONV_FORWARD ? LIB_CONV_Y
                                       : way == CONV_INPUT ? LIB_CONV_X
                                                           : LIB_CONV_W);
    else {
        last_steps(drawing->dim, step);
        drawing->last =
            tensor(drawing, LIB_CONV_BETWEEN + drawing->left, TENSOR_F32, drawing->dim, step);
    }
    return drawing->last;
}

/* ---- the convolution ---- */

/* The words for it, by way: the operation, its window, its two inputs and its result. */
static const struct {
    cudnnBackendDescriptorType_t operation;
    cudnnBackendAttributeName_t window, inputs[2], result, alpha, beta;
    int64_t ids[2];
} ways[] = {
    [CONV_FORWARD] = { CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                       { CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W },
                       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
                       { LIB_CONV_X, LIB_CONV_W } },
    [CONV_INPUT] = { CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                     { CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W },
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
                     { LIB_CONV_Y, LIB_CONV_W } },
    [CONV_WEIGHTS] = { CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                       { CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY },
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
                       { LIB_CONV_X, LIB_CONV_Y } },
};

static void draw_conv(struct drawing *drawing)
{
    struct lib_bag *bag = drawing->bag;
    int way = drawing->spec->conv.way;
    cudnnBackendDescriptor_t op = bag_add(bag, ways[way].operation);
    bag_set_item(bag, op, ways[way].window, window(drawing));
    for (int i = 0; i < 2; i++)
        bag_set_item(bag, op, ways[way].inputs[i], array(drawing, ways[way].ids[i]));
    bag_set_item(bag, op, ways[way].result, next_result(drawing));
    bag_set_one(bag, op, ways[way].alpha, CUDNN_TYPE_FLOAT, &one);
    bag_set_one(bag, op, ways[way].beta, CUDNN_TYPE_FLOAT, &zero);
    bag_finalize(bag, op);
    drawing->ops[drawing->op_count++] = op;
}

static cudnnBackendDescriptor_t window(struct drawing *drawing)
{
    const struct conv *conv = &drawing->spec->conv;
    struct lib_bag *bag = drawing->bag;
    const int64_t dims = 2, stride[] = { conv->stride[0], conv->stride[1] };
    const int64_t dilation[] = { conv->dilation[0], conv->dilation[1] };
    const int64_t before[] = { conv->pad[0], conv->pad[1] };
    const int64_t after[] = { conv->pad_end[0], conv->pad_end[1] };
    const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    cudnnBackendDescriptor_t item = bag_add(bag, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    bag_set_one(bag, item, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, &dims);
    bag_set_one(bag, item, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, &type);
    bag_set_one(bag, item, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, &mode);
    bag_set(bag, item, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, dims, before);
    bag_set(bag, item, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, dims, after);
    bag_set(bag, item, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, dims, dilation);
    bag_set(bag, item, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, dims, stride);
    bag_finalize(bag, item);
    return item;
}

/* ---- what follows ---- */

static void draw_bias(struct drawing *drawing)
{
    const int64_t dim[RANK] = { 1, drawing->dim[1], 1, 1 };
    int64_t step[RANK];
    last_steps(dim, step);
    draw_mode(drawing, CUDNN_POINTWISE_ADD,
              tensor(drawing, LIB_CONV_BIAS, lib_conv_bias_for(&drawing->spec->conv), dim, step));
}

static bool draw_post(struct drawing *drawing, const struct lib_post *post, int64_t id)
{
    const struct pointwise *function = &post->function;
    struct wording wording = { 0 };
    cudnnBackendDescriptor_t operand = NULL, before = drawing->last;
    if (function->operand >= 0 && !(operand = operand_tensor(drawing, &post->operand, id)))
        return false;
    switch (function->kind) {
    case POINTWISE_HARD_SIGMOID:
        draw_hard_sigmoid(drawing, function->alpha, function->beta);
        return true;
    case POINTWISE_HARD_SWISH:
        draw_hard_sigmoid(drawing, 1.f / 6, 0.5f);
        draw_mode(drawing, CUDNN_POINTWISE_MUL, before);
        return true;
    case POINTWISE_PRELU:
        draw_prelu(drawing, operand);
        return true;
    default:
        if (!word_post(function, &wording))
            return false;
        draw_pointwise(drawing, &wording, operand);
        return true;
    }
}

/* alpha x + beta, from 0 to 1. */
static void draw_hard_sigmoid(struct drawing *drawing, float alpha, float beta)
{
    struct wording clip;
    word_relu(&clip, 0, 1, 0);
    draw_mode(drawing, CUDNN_POINTWISE_MUL, number(drawing, alpha));
    draw_mode(drawing, CUDNN_POINTWISE_ADD, number(drawing, beta));
    draw_pointwise(drawing, &clip, NULL);
}

/* What is below 0 times the slopes, and what is above. */
static void draw_prelu(struct drawing *drawing, cudnnBackendDescriptor_t slopes)
{
    cudnnBackendDescriptor_t x = drawing->last;
    struct wording above, below;
    word_relu(&below, -FLT_MAX, 0, 0);
    word_relu(&above, 0, FLT_MAX, 0);
    draw_pointwise(drawing, &below, NULL);
    draw_mode(drawing, CUDNN_POINTWISE_MUL, slopes);
    cudnnBackendDescriptor_t sloped = drawing->last;
    drawing->last = x;
    draw_pointwise(drawing, &above, NULL);
    draw_mode(drawing, CUDNN_POINTWISE_ADD, sloped);
}

static void draw_mode(struct drawing *drawing, cudnnPointwiseMode_t mode,
                      cudnnBackendDescriptor_t operand)
{
    draw_pointwise(drawing, &(struct wording){ .mode = mode }, operand);
}

static void draw_pointwise(struct drawing *drawing, const struct wording *wording,
                           cudnnBackendDescriptor_t operand)
{
    struct lib_bag *bag = drawing->bag;
    const cudnnDataType_t type = CUDNN_DATA_FLOAT;
    const double lower = wording->lower, upper = wording->upper, slope = wording->slope;
    const double alpha = wording->alpha;
    cudnnBackendDescriptor_t item = bag_add(bag, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    bag_set_one(bag, item, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, &wording->mode);
    bag_set_one(bag, item, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, &type);
    if (wording->mode == CUDNN_POINTWISE_RELU_FWD) {
        bag_set_one(bag, item, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP, CUDNN_TYPE_DOUBLE, &lower);
        bag_set_one(bag, item, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, CUDNN_TYPE_DOUBLE, &slope);
    }
    if (wording->mode == CUDNN_POINTWISE_RELU_FWD && upper < FLT_MAX)
        bag_set_one(bag, item, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, CUDNN_TYPE_DOUBLE, &upper);
    if (wording->mode == CUDNN_POINTWISE_ELU_FWD)
        bag_set_one(bag, item, CUDNN_ATTR_POINTWISE_ELU_ALPHA, CUDNN_TYPE_DOUBLE, &alpha);
    bag_finalize(bag, item);
    cudnnBackendDescriptor_t op = bag_add(bag, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    bag_set_item(bag, op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, item);
    bag_set_item(bag, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, drawing->last);
    if (operand)
        bag_set_item(bag, op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, operand);
    bag_set_item(bag, op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, next_result(drawing));
    bag_finalize(bag, op);
    drawing->ops[drawing->op_count++] = op;
}

/* Relu in cuDNN's words is: below `lower`, lower + slope * (x - lower); above `upper`, upper, unless that
 * is not given. */
static bool word_relu(struct wording *wording, float lower, float upper, float slope)
{
    *wording = (struct wording){ .mode = CUDNN_POINTWISE_RELU_FWD,
                                 .lower = fmaxf(lower, -FLT_MAX),
                                 .upper = upper,
                                 .slope = slope };
    return lower <= upper;
}

/* Functions that have the same formula there; swish and softplus are those with a beta of 1, cuDNN's
 * default. */
static bool word_post(const struct pointwise *function, struct wording *wording)
{
    static const struct {
        enum pointwise_kind kind;
        cudnnPointwiseMode_t mode;
    } same[] = {
        { POINTWISE_SIGMOID, CUDNN_POINTWISE_SIGMOID_FWD },
        { POINTWISE_SWISH, CUDNN_POINTWISE_SWISH_FWD },
        { POINTWISE_TANH, CUDNN_POINTWISE_TANH_FWD },
        { POINTWISE_SOFTPLUS, CUDNN_POINTWISE_SOFTPLUS_FWD },
        { POINTWISE_ELU, CUDNN_POINTWISE_ELU_FWD },
        { POINTWISE_EXP, CUDNN_POINTWISE_EXP },
        { POINTWISE_LOG, CUDNN_POINTWISE_LOG },
        { POINTWISE_SQRT, CUDNN_POINTWISE_SQRT },
        { POINTWISE_ABS, CUDNN_POINTWISE_ABS },
        { POINTWISE_NEG, CUDNN_POINTWISE_NEG },
        { POINTWISE_ADD, CUDNN_POINTWISE_ADD },
        { POINTWISE_SUB, CUDNN_POINTWISE_SUB },
        { POINTWISE_MUL, CUDNN_POINTWISE_MUL },
        { POINTWISE_DIV, CUDNN_POINTWISE_DIV },
        { POINTWISE_MAX, CUDNN_POINTWISE_MAX },
        { POINTWISE_MIN, CUDNN_POINTWISE_MIN },
    };
    if (function->kind == POINTWISE_RELU)
        return word_relu(wording, 0, FLT_MAX, 0);
    if (function->kind == POINTWISE_LEAKY_RELU)
        return word_relu(wording, 0, FLT_MAX, function->alpha);
    if (function->kind == POINTWISE_CLIP)
        return word_relu(wording, function->alpha, function->beta, 0);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (same[i].kind == function->kind) {
            *wording = (struct wording){ .mode = same[i].mode, .alpha = function->alpha };
            return true;
        }
    return false;
}

/* Along dimensions of 1 nothing is stepped over; the steps given there are those of packed arrays, by
 * which cuDNN sees in what order the others lie. NULL where the view runs backwards. */
static cudnnBackendDescriptor_t operand_tensor(struct drawing *drawing, const struct view *view,
                                               int64_t id)
{
    static const int inner_first[RANK] = { 1, 3, 2, 0 };
    int64_t dim[RANK], step[RANK], packed = 1;
    for (int i = 0; i < RANK; i++) {
        int d = inner_first[i];
        dim[d] = view->dim[d];
        step[d] = dim[d] > 1 ? view->step[d] : packed;
        if (view->rank != RANK || step[d] <= 0)
            return NULL;
        packed = packed > step[d] * dim[d] ? packed : step[d] * dim[d];
    }
    return tensor(drawing, id, view->type, dim, step);
}
