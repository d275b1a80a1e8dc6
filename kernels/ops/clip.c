/* clip: elementwise ops of one tensor with parameters of their own kind: Clip, Gelu and Shrink. */
#include "ops/elementwise.h"
#include "ops/elementwise_gradient.h"
#include "ops/families.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include "tensor/number.h"
#include <string.h>

#define ROOT_HALF 0.70710678118654752
#define ROOT_TWO_OVER_PI 0.79788456080286536

static int clip_shape(const struct node *node, const struct op_values *values, struct error *err);
static int clip_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err);
static int gelu_shape(const struct node *node, const struct op_values *values, struct error *err);
static int gelu_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err);
static int shrink_shape(const struct node *node, const struct op_values *values, struct error *err);
static int shrink_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err);

#define UNARY(name, most, first, last, rule, kernel) \
    OP_ROW(name, 1, most, 1, first, last, rule, kernel), .class = OP_CLASS_UNARY

static const struct op rows[] = {
    { UNARY("Clip", 1, OPSET_MIN, 10, clip_shape, clip_reference),
      OP_ATTRIBUTES({ "max", ATTRIBUTE_FLOAT }, { "min", ATTRIBUTE_FLOAT }),
      .gradient = gradient_of_Clip },
    { UNARY("Clip", 3, 11, OPSET_MAX, clip_shape, clip_reference), .gradient = gradient_of_Clip },
    { UNARY("Gelu", 1, 20, OPSET_MAX, gelu_shape, gelu_reference),
      OP_ATTRIBUTES({ "approximate", ATTRIBUTE_STRING }) },
    { UNARY("Shrink", 1, 9, OPSET_MAX, shrink_shape, shrink_reference),
      OP_ATTRIBUTES({ "bias", ATTRIBUTE_FLOAT }, { "lambd", ATTRIBUTE_FLOAT }) },
};
const struct op_family clip_family = OP_FAMILY(rows);

/* Clip takes its bounds from attributes before opset 11, from inputs since. */
static int clip_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    static const char *const names[] = { "input", "min", "max" };
    bool by_input = node->op->inputs_max > 1;
    int rc = elementwise_shape(values, by_input ? TYPES_NUMERIC : TYPES_FLOAT, TENSOR_NONE, err);
    for (int i = 1; i < 3 && !rc; i++) {
        if (!values->in[i])
            continue;
        rc = rule_input(values, i, names[i], 1u << values->in[0]->type, 0, 1, err);
        if (!rc && shape_elements(&values->in[i]->shape) != 1)
            rc = error_set(err, ERROR_FORMAT, names[i], "one number expected");
    }
    return rc;
}

void clip_bounds(const struct node *node, const struct tensor *min, const struct tensor *max,
                 float *low, float *high)
{
    *low = min ? *(const real *)min->data : node_float(node, "min", -INFINITY);
    *high = max ? *(const real *)max->data : node_float(node, "max", INFINITY);
}

static void clip_floats(const struct node *node, const struct tensor *in, const struct tensor *min,
                        const struct tensor *max, struct tensor *out)
{
    double low = min ? number_load(min, 0) : (double)node_float(node, "min", -INFINITY);
    double high = max ? number_load(max, 0) : (double)node_float(node, "max", INFINITY);
    for (int64_t i = 0, elements = shape_elements(&in->shape); i < elements; i++) {
        double x = number_load(in, i);
        x = x < low ? low : x;
        number_store(out, i, x > high ? high : x);
    }
}

static void clip_whole(const struct tensor *in, const struct tensor *min, const struct tensor *max,
                       struct tensor *out)
{
    /* With the highest bit turned, unsigned numbers compare as signed ones. */
    uint64_t turn = in->type == TENSOR_U64 ? (uint64_t)1 << 63 : 0;
    int64_t low = min ? (int64_t)((uint64_t)number_load_whole(min, 0) ^ turn) : INT64_MIN;
    int64_t high = max ? (int64_t)((uint64_t)number_load_whole(max, 0) ^ turn) : INT64_MAX;
    for (int64_t i = 0, elements = shape_elements(&in->shape); i < elements; i++) {
        int64_t x = (int64_t)((uint64_t)number_load_whole(in, i) ^ turn);
        x = x < low ? low : x;
        x = x > high ? high : x;
        number_store_whole(out, i, (int64_t)((uint64_t)x ^ turn));
    }
}

static int clip_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err)
{
    (void)err;
    bool by_input = node->op->inputs_max > 1;
    const struct tensor *min = by_input ? in[1] : NULL, *max = by_input ? in[2] : NULL;
    if (tensor_type_is_whole(in[0]->type)) {
        clip_whole(in[0], min, max, out[0]);
        return 0;
    }
    if (in[0]->type != TENSOR_REAL) {
        clip_floats(node, in[0], min, max, out[0]);
        return 0;
    }
    float low, high;
    clip_bounds(node, min, max, &low, &high);
    for (int64_t i = 0, elements = shape_elements(&in[0]->shape); i < elements; i++) {
        real x = ((const real *)in[0]->data)[i];
        x = x < low ? low : x;
        ((real *)out[0]->data)[i] = x > high ? high : x;
    }
    return 0;
}

static int gelu_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    const char *word = node_string(node, "approximate", "none");
    if (strcmp(word, "none") != 0 && strcmp(word, "tanh") != 0)
        return error_set(err, ERROR_FORMAT, "approximate", "unknown word '%.32s'", word);
    return elementwise_shape(values, TYPES_FLOAT, TENSOR_NONE, err);
}

static int gelu_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err)
{
    (void)err;
    bool by_tanh = strcmp(node_string(node, "approximate", "none"), "tanh") == 0;
    for (int64_t i = 0, elements = shape_elements(&in[0]->shape); i < elements; i++) {
        double x = number_load(in[0], i);
        double gate =
            by_tanh ? tanh(ROOT_TWO_OVER_PI * (x + 0.044715 * x * x * x)) : erf(x * ROOT_HALF);
        number_store(out[0], i, 0.5 * x * (1 + gate));
    }
    return 0;
}

static int shrink_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    return elementwise_shape(values, TYPES_NUMERIC, TENSOR_NONE, err);
}

static int shrink_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err)
{
    (void)err;
    double bias = (double)node_float(node, "bias", 0),
           limit = (double)node_float(node, "lambd", 0.5f);
    for (int64_t i = 0, elements = shape_elements(&in[0]->shape); i < elements; i++) {
        double x = number_load(in[0], i);
        number_store(out[0], i, x < -limit ? x + bias : x > limit ? x - bias : isnan(x) ? x : 0);
    }
    return 0;
}
