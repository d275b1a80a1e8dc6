/* spectrum: what is made for spectra: windows over a signal, and the weights that sort frequencies into
 * bins of the mel scale. */
#include "ops/element.h"
#include "ops/families.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include <string.h>

#define TURN 6.283185307179586476925 /* once round */

enum { BINS, LENGTH, RATE, LOWER, UPPER };

static int window_shape(const struct node *node, const struct op_values *values, struct error *err);
static int hann_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err);
static int hamming_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);
static int blackman_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err);
static int mel_shape(const struct node *node, const struct op_values *values, struct error *err);
static int mel_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err);

#define WINDOW(name, kernel)                                    \
    OP_ROW(name, 1, 1, 1, 17, OPSET_MAX, window_shape, kernel), \
        OP_ATTRIBUTES({ "output_datatype", ATTRIBUTE_INT }, { "periodic", ATTRIBUTE_INT })

static const struct op rows[] = {
    { WINDOW("HannWindow", hann_reference) },
    { WINDOW("HammingWindow", hamming_reference) },
    { WINDOW("BlackmanWindow", blackman_reference) },
    /* (bins, length of the transform, samples in a second, lowest and highest frequency) */
    { OP_ROW("MelWeightMatrix", 5, 5, 1, 17, OPSET_MAX, mel_shape, mel_reference),
      OP_ATTRIBUTES({ "output_datatype", ATTRIBUTE_INT }) },
};
const struct op_family spectrum_family = OP_FAMILY(rows);

/* A constant whole number as a length. */
static int read_length(const struct op_values *values, int index, const char *what, int64_t *length,
                       struct error *err)
{
    int64_t ints[RULE_INTS_MAX];
    size_t count = 0;
    int rc = rule_input(values, index, what, TYPE(I64) | TYPE(I32), 0, 1, err);
    if (rc || (rc = rule_ints(rule_constant(values, index), what, ints, &count, err)))
        return rc;
    if (count != 1 || ints[0] < 1 || ints[0] > INT32_MAX)
        return error_set(err, ERROR_FORMAT, what, "one positive number expected");
    *length = ints[0];
    return 0;
}

/* Float is the type of a graph's numbers, whatever they are computed with. */
static int read_type(const struct node *node, enum tensor_type *type, struct error *err)
{
    *type = type_of_onnx(node_int(node, "output_datatype", 1));
    if (*type == TENSOR_F32)
        *type = TENSOR_REAL;
    if (!((TYPES_FLOAT | TYPES_WHOLE) & 1u << *type))
        return error_set(err, ERROR_UNSUPPORTED, "output_datatype", "%lld is no type of numbers here",
                         (long long)node_int(node, "output_datatype", 1));
    return 0;
}

static int window_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct shape shape = { .rank = 1 };
    enum tensor_type type;
    int rc = read_length(values, 0, "size", &shape.dim[0], err);
    if (rc || (rc = read_type(node, &type, err)))
        return rc;
    rule_output(values, 0, type, &shape);
    return 0;
}

/* a0 - a1 cos x + a2 cos 2x; a window of one is 1. */
static int fill_window(const struct node *node, struct tensor *out, const double a[3])
{
    int64_t size = out->shape.dim[0];
    double round = (double)(node_int(node, "periodic", 1) ? size : size - 1);
    for (int64_t i = 0; i < size; i++) {
        double x = TURN * (double)i / round;
        element_store(out, i, size == 1 ? 1 : a[0] - a[1] * cos(x) + a[2] * cos(2 * x));
    }
    return 0;
}

static int hann_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err)
{
    (void)in;
    (void)err;
    return fill_window(node, out[0], (const double[]){ 0.5, 0.5, 0 });
}

static int hamming_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    (void)in;
    (void)err;
    return fill_window(node, out[0], (const double[]){ 25 / 46.0, 21 / 46.0, 0 });
}

static int blackman_reference(const struct node *node, const struct tensor *const *in,
                              struct tensor *const *out, struct error *err)
{
    (void)in;
    (void)err;
    return fill_window(node, out[0], (const double[]){ 0.42, 0.5, 0.08 });
}

/* ---- the mel scale ---- */

static int mel_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int64_t bins, length;
    enum tensor_type type;
    int rc = read_length(values, BINS, "num_mel_bins", &bins, err);
    if (rc || (rc = read_length(values, LENGTH, "dft_length", &length, err)) ||
        (rc = rule_input(values, RATE, "sample_rate", TYPE(I64) | TYPE(I32), 0, 1, err)) ||
        (rc = rule_input(values, LOWER, "lower_edge_hertz", TYPES_FLOAT, 0, 1, err)) ||
        (rc = rule_input(values, UPPER, "upper_edge_hertz", TYPES_FLOAT, 0, 1, err)) ||
        (rc = read_type(node, &type, err)))
        return rc;
    for (int i = RATE; i <= UPPER; i++)
        if (shape_elements(&values->in[i]->shape) != 1)
            return error_set(err, ERROR_FORMAT, "inputs", "one number each expected");
    rule_output(values, 0, type, &(struct shape){ 2, { length / 2 + 1, bins } });
    return 0;
}

static double mel_of(double hertz)
{
    return 2595 * log10(1 + hertz / 700);
}

/* The place in the spectrum of the i-th edge between bins. */
static int64_t edge_at(const struct tensor *const *in, int64_t i, int64_t bins)
{
    double low = mel_of(element_load(in[LOWER], 0)), high = mel_of(element_load(in[UPPER], 0));
    double mel = low + (double)i * (high - low) / (double)(bins + 2);
    double hertz = 700 * (pow(10, mel / 2595) - 1);
    double place =
        floor((double)(rule_int_at(in[LENGTH], 0) + 1) * hertz / (double)rule_int_at(in[RATE], 0));
    return place >= 0 && place < INT32_MAX ? (int64_t)place : -1;
}

/* Each bin rises from one edge to the next and falls to the one after. */
static int mel_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err)
{
    (void)node;
    int64_t places = out[0]->shape.dim[0], bins = out[0]->shape.dim[1];
    memset(out[0]->data, 0, tensor_bytes(out[0]));
    for (int64_t bin = 0; bin < bins; bin++) {
        int64_t low = edge_at(in, bin, bins), top = edge_at(in, bin + 1, bins);
        int64_t high = edge_at(in, bin + 2, bins);
        if (low < 0 || low > top || top > high || top >= places || high > places)
            return error_set(err, ERROR_FORMAT, "lower_edge_hertz",
                             "the edges are not within half of the sample rate");
        element_store(out[0], top * bins + bin, 1);
        for (int64_t k = low; k < top; k++)
            element_store(out[0], k * bins + bin, (double)(k - low) / (double)(top - low));
        for (int64_t k = top; k < high; k++)
            element_store(out[0], k * bins + bin, (double)(high - k) / (double)(high - top));
    }
    return 0;
}
