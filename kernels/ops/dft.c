/* dft: DFT and STFT, as sums over the whole signal for each frequency. Numbers of a signal are real (a
 * last dimension of 1) or complex (of 2). */
#include "ops/element.h"
#include "ops/families.h"
#include "ops/rules.h"

#define TURN 6.283185307179586476925 /* once round */
#define LENGTH_MAX ((int64_t)1 << 24)

static int dft_shape(const struct node *node, const struct op_values *values, struct error *err);
static int dft_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err);
static int stft_shape(const struct node *node, const struct op_values *values, struct error *err);
static int stft_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    /* (signal, [length]) until 19, (signal, [length], [axis]) from then on */
    { OP_ROW("DFT", 1, 2, 1, 17, 19, dft_shape, dft_reference), .heavy = true,
      OP_ATTRIBUTES({ "axis", ATTRIBUTE_INT }, { "inverse", ATTRIBUTE_INT },
                    { "onesided", ATTRIBUTE_INT }) },
    { OP_ROW("DFT", 1, 3, 1, 20, OPSET_MAX, dft_shape, dft_reference), .heavy = true,
      OP_ATTRIBUTES({ "inverse", ATTRIBUTE_INT }, { "onesided", ATTRIBUTE_INT }) },
    /* (signals, step, [window], [length of a frame]) */
    { OP_ROW("STFT", 2, 4, 1, 17, OPSET_MAX, stft_shape, stft_reference), .heavy = true,
      OP_ATTRIBUTES({ "onesided", ATTRIBUTE_INT }) },
};
const struct op_family dft_family = OP_FAMILY(rows);

/* A constant whole number; the fallback where it is absent. */
static int read_number(const struct tensor *tensor, const char *what, int64_t fallback,
                       int64_t *number, struct error *err)
{
    int64_t ints[RULE_INTS_MAX];
    size_t count = 0;
    *number = fallback;
    if (!tensor)
        return 0;
    int rc = rule_ints(tensor, what, ints, &count, err);
    if (rc)
        return rc;
    if (count != 1)
        return error_set(err, ERROR_FORMAT, what, "%zu numbers; 1 expected", count);
    *number = ints[0];
    return 0;
}

static int check_length(const char *what, int64_t length, struct error *err)
{
    if (length >= 1 && length <= LENGTH_MAX)
        return 0;
    return error_set(err, ERROR_FORMAT, what, "%lld is outside [1, %lld]", (long long)length,
                     (long long)LENGTH_MAX);
}

static int check_signal(const struct op_values *values, int rank_min, int rank_max, struct error *err)
{
    int rc = rule_input(values, 0, "input", TYPES_FLOAT, rank_min, rank_max, err);
    if (rc)
        return rc;
    const struct shape *shape = &values->in[0]->shape;
    int64_t parts = shape->dim[shape->rank - 1];
    if (shape_elements(shape) <= 0 || (parts != 1 && parts != 2))
        return error_set(err, ERROR_FORMAT, "input",
                         "real or complex numbers expected, not %lld parts", (long long)parts);
    return 0;
}

/* A stretch of a signal: so many numbers, `step` numbers apart, the rest up to length is 0. */
struct stretch {
    const struct tensor *signal, *window; /* window may be NULL */
    int64_t first, step, count, length, parts;
};

/* What frequency k has of it, turning forwards or back. */
static void sum_frequency(const struct stretch *s, int64_t k, bool inverse, double sum[2])
{
    sum[0] = sum[1] = 0;
    for (int64_t i = 0; i < s->count; i++) {
        int64_t at = (s->first + i * s->step) * s->parts;
        double weight = s->window ? element_load(s->window, i) : 1;
        double re = element_load(s->signal, at) * weight;
        double im = s->parts == 2 ? element_load(s->signal, at + 1) * weight : 0;
        double angle = (inverse ? TURN : -TURN) * (double)(k * i % s->length) / (double)s->length;
        sum[0] += re * cos(angle) - im * sin(angle);
        sum[1] += re * sin(angle) + im * cos(angle);
    }
}

/* ---- DFT ---- */

struct dft {
    int axis;
    int64_t length;
    bool inverse, onesided;
};

static int read_dft(const struct node *node, const struct shape *shape, const struct tensor *length,
                    const struct tensor *axis, struct dft *dft, struct error *err)
{
    int64_t at;
    bool old = node->op->opset_max < 20;
    *dft = (struct dft){ .inverse = node_int(node, "inverse", 0) != 0,
                         .onesided = node_int(node, "onesided", 0) != 0 };
    int rc = read_number(axis, "axis", old ? node_int(node, "axis", 1) : -2, &at, err);
    if (rc || (rc = rule_axis("axis", at, shape->rank, &dft->axis, err)))
        return rc;
    if (dft->axis == shape->rank - 1)
        return error_set(err, ERROR_FORMAT, "axis", "the last one has the parts of a number");
    if ((rc = read_number(length, "dft_length", shape->dim[dft->axis], &dft->length, err)))
        return rc;
    return check_length("dft_length", dft->length, err);
}

static int dft_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct dft dft;
    int rc = check_signal(values, 2, SHAPE_RANK_MAX, err);
    if (rc)
        return rc;
    struct shape shape = values->in[0]->shape;
    if ((rc = read_dft(node, &shape, rule_constant(values, 1), rule_constant(values, 2), &dft, err)))
        return rc;
    if (dft.onesided && (dft.inverse || shape.dim[shape.rank - 1] != 1))
        return error_set(err, ERROR_UNSUPPORTED, "onesided",
                         "only the frequencies of a real signal are the same on both sides");
    shape.dim[dft.axis] = dft.onesided ? dft.length / 2 + 1 : dft.length;
    shape.dim[shape.rank - 1] = 2;
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

static int dft_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err)
{
    struct dft dft;
    const struct shape *from = &in[0]->shape, *to = &out[0]->shape;
    int rc = read_dft(node, from, in[1], in[2], &dft, err);
    if (rc)
        return rc;
    int64_t outer = shape_span(from, 0, dft.axis), size = from->dim[dft.axis];
    int64_t inner = shape_span(from, dft.axis + 1, from->rank - 1), bins = to->dim[dft.axis];
    struct stretch s = { .signal = in[0],
                         .step = inner,
                         .count = size < dft.length ? size : dft.length,
                         .length = dft.length,
                         .parts = from->dim[from->rank - 1] };
    double factor = dft.inverse ? 1 / (double)dft.length : 1, sum[2];
    for (int64_t i = 0; i < outer * bins * inner; i++) {
        s.first = i / inner / bins * size * inner + i % inner;
        sum_frequency(&s, i / inner % bins, dft.inverse, sum);
        element_store(out[0], 2 * i, sum[0] * factor);
        element_store(out[0], 2 * i + 1, sum[1] * factor);
    }
    return 0;
}

/* ---- STFT ---- */

static int read_stft(const struct tensor *step, const struct shape *window,
                     const struct tensor *length, int64_t *frame_step, int64_t *frame_length,
                     struct error *err)
{
    int rc = read_number(step, "frame_step", 1, frame_step, err);
    if (rc || (rc = check_length("frame_step", *frame_step, err)) ||
        (rc = read_number(length, "frame_length", window ? window->dim[0] : 0, frame_length, err)) ||
        (rc = check_length("frame_length", *frame_length, err)))
        return rc;
    if (window && window->dim[0] != *frame_length)
        return error_set(err, ERROR_FORMAT, "window", "%lld numbers for frames of %lld",
                         (long long)window->dim[0], (long long)*frame_length);
    return 0;
}

static int stft_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int64_t step, length;
    const struct value *window = values->in[2];
    int rc = check_signal(values, 3, 3, err);
    if (!rc && window)
        rc = rule_input(values, 2, "window", 1u << values->in[0]->type, 1, 1, err);
    if (rc || (rc = read_stft(rule_constant(values, 1), window ? &window->shape : NULL,
                              rule_constant(values, 3), &step, &length, err)))
        return rc;
    const int64_t *signal = values->in[0]->shape.dim;
    bool onesided = node_int(node, "onesided", 1) != 0;
    if (length > signal[1])
        return error_set(err, ERROR_FORMAT, "frame_length", "%lld of a signal of %lld",
                         (long long)length, (long long)signal[1]);
    if (onesided && signal[2] != 1)
        return error_set(err, ERROR_UNSUPPORTED, "onesided",
                         "only the frequencies of a real signal are the same on both sides");
    rule_output(values, 0, values->in[0]->type,
                &(struct shape){ 4,
                                 { signal[0], (signal[1] - length) / step + 1,
                                   onesided ? length / 2 + 1 : length, 2 } });
    return 0;
}

static int stft_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err)
{
    (void)node;
    int64_t step, length;
    int rc = read_stft(in[1], in[2] ? &in[2]->shape : NULL, in[3], &step, &length, err);
    if (rc)
        return rc;
    const int64_t *from = in[0]->shape.dim, *to = out[0]->shape.dim;
    struct stretch s = {
        .signal = in[0], .window = in[2], .step = 1, .count = length, .length = length, .parts = from[2]
    };
    double sum[2];
    for (int64_t i = 0; i < to[0] * to[1] * to[2]; i++) {
        s.first = i / to[2] / to[1] * from[1] + i / to[2] % to[1] * step;
        sum_frequency(&s, i % to[2], false, sum);
        element_store(out[0], 2 * i, sum[0]);
        element_store(out[0], 2 * i + 1, sum[1]);
    }
    return 0;
}
