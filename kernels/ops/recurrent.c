/* recurrent: RNN, GRU and LSTM. One picture of a batch after the other, one step after the other; what goes from
 * step to step is read back from the output of the step before, so that no other memory is needed. */
#include "ops/families.h"
#include "ops/rules.h"
#include <math.h>
#include <string.h>
#include <strings.h>

/* Inputs. Cell and peepholes are the LSTM's alone. */
enum { X, W, R, B, LENGTHS, STATE, CELL, PEEPHOLES };
/* Gates as they lie in W, R and B; of the peepholes the first three. */
enum { LSTM_INPUT, LSTM_OUTPUT, LSTM_FORGET, LSTM_CELL, LSTM_GATES };
enum { GRU_UPDATE, GRU_RESET, GRU_HIDDEN, GRU_GATES };

#define FUNCTIONS_MAX 3 /* of one direction */
#define DIRECTIONS_MAX 2

/* name, alphas and betas that it takes from the lists, what they are where the lists end (NAN: the standard does not
 * say), value */
#define ACTIVATIONS(F)                                                \
    F(Relu, 0, 0, 0, 0, x > 0 ? x : 0)                                \
    F(Tanh, 0, 0, 0, 0, tanh(x))                                      \
    F(Sigmoid, 0, 0, 0, 0, 1 / (1 + exp(-x)))                         \
    F(Affine, 1, 1, NAN, NAN, alpha *x + beta)                        \
    F(LeakyRelu, 1, 0, 0.01, 0, x < 0 ? alpha * x : x)                \
    F(ThresholdedRelu, 1, 0, 1, 0, x > alpha ? x : 0)                 \
    F(ScaledTanh, 1, 1, NAN, NAN, alpha *tanh(beta *x))               \
    F(HardSigmoid, 1, 1, 0.2, 0.5, fmin(fmax(alpha *x + beta, 0), 1)) \
    F(Elu, 1, 0, 1, 0, x < 0 ? alpha * expm1(x) : x)                  \
    F(Softsign, 0, 0, 0, 0, x / (1 + fabs(x)))                        \
    F(Softplus, 0, 0, 0, 0, fmax(x, 0) + log1p(exp(-fabs(x))))

struct activation {
    const char *name;
    bool takes_alpha, takes_beta;
    double alpha, beta;
    double (*value)(double x, double alpha, double beta);
};

/* What the attributes mean for given inputs. */
struct recurrence {
    int64_t steps, batch, inputs, hidden;
    int directions, gates, functions;
    bool backwards, batch_first; /* backwards: the first direction */
    struct activation activations[DIRECTIONS_MAX][FUNCTIONS_MAX];
    double clip;
};

/* One step of one picture in one direction. */
struct step {
    const struct recurrence *of;
    const struct activation *activations;
    const real *w, *r, *b, *peepholes; /* b, peepholes NULL: none */
    const real *x, *before;            /* before: the hidden state, NULL: zeros */
    real *state, *aside;               /* the new state; room for as many numbers */
    bool reset_after, couples;         /* attributes of GRU and LSTM */
};

typedef void step_fn(const struct step *step);

static int rnn_shape(const struct node *node, const struct op_values *values, struct error *err);
static int gru_shape(const struct node *node, const struct op_values *values, struct error *err);
static int lstm_shape(const struct node *node, const struct op_values *values, struct error *err);
static int rnn_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err);
static int gru_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err);
static int lstm_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err);
static int check_input(const struct op_values *values, int index, const char *what,
                       const struct shape *expected, struct error *err);
static int resolve(const struct node *node, const struct shape *x, const struct shape *r, int gates,
                   int functions, struct recurrence *of, struct error *err);
static int read_activations(const struct node *node, struct recurrence *of, struct error *err);
static int run(const struct recurrence *of, const struct node *node, const struct tensor *const *in,
               struct tensor *const *out, step_fn *fn, struct error *err);
static void run_sequence(const struct recurrence *of, struct step *step, int64_t direction,
                         int64_t picture, int64_t length, const struct tensor *const *in,
                         struct tensor *const *out, step_fn *fn);

/* clang-format off */
#define COMMON                                                                                    \
    { "activation_alpha", ATTRIBUTE_FLOATS }, { "activation_beta", ATTRIBUTE_FLOATS },            \
    { "activations", ATTRIBUTE_STRINGS }, { "clip", ATTRIBUTE_FLOAT },                            \
    { "direction", ATTRIBUTE_STRING }, { "hidden_size", ATTRIBUTE_INT }
#define LAYOUT { "layout", ATTRIBUTE_INT }
#define RECURRENT(name, most, outputs, first, last, kind)                                         \
    OP_ROW(name, 3, most, outputs, first, last, kind##_shape, kind##_reference), .heavy = true,   \
    .needs_outputs = true
/* clang-format on */

static const struct op rows[] = {
    { RECURRENT("RNN", 6, 2, OPSET_MIN, 13, rnn), OP_ATTRIBUTES(COMMON) },
    { RECURRENT("RNN", 6, 2, 14, OPSET_MAX, rnn), OP_ATTRIBUTES(COMMON, LAYOUT) },
    { RECURRENT("GRU", 6, 2, OPSET_MIN, 13, gru),
      OP_ATTRIBUTES(COMMON, { "linear_before_reset", ATTRIBUTE_INT }) },
    { RECURRENT("GRU", 6, 2, 14, OPSET_MAX, gru),
      OP_ATTRIBUTES(COMMON, LAYOUT, { "linear_before_reset", ATTRIBUTE_INT }) },
    { RECURRENT("LSTM", 8, 3, OPSET_MIN, 13, lstm),
      OP_ATTRIBUTES(COMMON, { "input_forget", ATTRIBUTE_INT }) },
    { RECURRENT("LSTM", 8, 3, 14, OPSET_MAX, lstm),
      OP_ATTRIBUTES(COMMON, LAYOUT, { "input_forget", ATTRIBUTE_INT }) },
};
const struct op_family recurrent_family = OP_FAMILY(rows);

#define VALUE(name, takes_alpha, takes_beta, a, b, expression)         \
    static double value_of_##name(double x, double alpha, double beta) \
    {                                                                  \
        (void)alpha, (void)beta;                                       \
        return expression;                                             \
    }
ACTIVATIONS(VALUE)
#define ENTRY(name, takes_alpha, takes_beta, a, b, expression) \
    { #name, takes_alpha, takes_beta, a, b, value_of_##name },
static const struct activation known_activations[] = { ACTIVATIONS(ENTRY) };

static int shape_of(const struct node *node, const struct op_values *values, int gates,
                    int functions, struct error *err)
{
    struct recurrence of;
    int rc = rule_input(values, X, "X", TYPE(REAL), 3, 3, err);
    if (rc || (rc = rule_input(values, W, "W", TYPE(REAL), 3, 3, err)) ||
        (rc = rule_input(values, R, "R", TYPE(REAL), 3, 3, err)) ||
        (rc = resolve(node, &values->in[X]->shape, &values->in[R]->shape, gates, functions, &of, err)))
        return rc;
    int64_t d = of.directions, h = of.hidden;
    const struct shape w = { .rank = 3, .dim = { d, gates * h, of.inputs } };
    const struct shape r = { .rank = 3, .dim = { d, gates * h, h } };
    const struct shape b = { .rank = 2, .dim = { d, 2 * (int64_t)gates * h } };
    const struct shape lengths = { .rank = 1, .dim = { of.batch } };
    const struct shape peepholes = { .rank = 2, .dim = { d, LSTM_CELL * h } };
    struct shape state = { .rank = 3, .dim = { d, of.batch, h } };
    struct shape all = { .rank = 4, .dim = { of.steps, d, of.batch, h } };
    if (of.batch_first) {
        state = (struct shape){ .rank = 3, .dim = { of.batch, d, h } };
        all = (struct shape){ .rank = 4, .dim = { of.batch, of.steps, d, h } };
    }
    if ((rc = check_input(values, W, "W", &w, err)) ||
        (rc = check_input(values, R, "R", &r, err)) || (rc = check_input(values, B, "B", &b, err)) ||
        (rc = check_input(values, LENGTHS, "sequence_lens", &lengths, err)) ||
        (rc = check_input(values, STATE, "initial_h", &state, err)) ||
        (rc = check_input(values, CELL, "initial_c", &state, err)) ||
        (rc = check_input(values, PEEPHOLES, "P", &peepholes, err)))
        return rc;
    rule_output(values, 0, TENSOR_REAL, &all);
    rule_output(values, 1, TENSOR_REAL, &state);
    rule_output(values, 2, TENSOR_REAL, &state);
    return 0;
}

static int rnn_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    return shape_of(node, values, 1, 1, err);
}

static int gru_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    return shape_of(node, values, GRU_GATES, 2, err);
}

static int lstm_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    return shape_of(node, values, LSTM_GATES, 3, err);
}

/* An input that may be absent has this type and shape. */
static int check_input(const struct op_values *values, int index, const char *what,
                       const struct shape *expected, struct error *err)
{
    const struct value *value = values->in[index];
    if (!value)
        return 0;
    int rc = rule_input(values, index, what, index == LENGTHS ? TYPE(I32) : TYPE(REAL),
                        expected->rank, expected->rank, err);
    if (rc || shape_equal(&value->shape, expected))
        return rc;
    char given[128], wanted[128];
    shape_format(&value->shape, given, sizeof given);
    shape_format(expected, wanted, sizeof wanted);
    return error_set(err, ERROR_FORMAT, what, "shape %s; %s expected", given, wanted);
}

static int resolve(const struct node *node, const struct shape *x, const struct shape *r, int gates,
                   int functions, struct recurrence *of, struct error *err)
{
    const char *direction = node_string(node, "direction", "forward");
    int64_t layout = node_int(node, "layout", 0);
    *of = (struct recurrence){ .gates = gates, .functions = functions };
    if (layout != 0 && layout != 1)
        return error_set(err, ERROR_FORMAT, "layout", "%lld; 0 and 1 are known", (long long)layout);
    of->batch_first = layout == 1;
    of->steps = x->dim[of->batch_first];
    of->batch = x->dim[!of->batch_first];
    of->inputs = x->dim[2];
    of->hidden = r->dim[2];
    of->clip = (double)node_float(node, "clip", 0);
    of->backwards = strcmp(direction, "reverse") == 0;
    of->directions = strcmp(direction, "bidirectional") == 0 ? 2 : 1;
    if (of->directions == 1 && !of->backwards && strcmp(direction, "forward") != 0)
        return error_set(err, ERROR_FORMAT, "direction", "'%.64s' is not known", direction);
    if (node_int(node, "hidden_size", of->hidden) != of->hidden)
        return error_set(err, ERROR_FORMAT, "hidden_size", "is %lld, but R has %lld columns",
                         (long long)node_int(node, "hidden_size", 0), (long long)of->hidden);
    return read_activations(node, of, err);
}

/* One function after the other takes its alpha and beta from the lists, if it has any. */
static int read_activations(const struct node *node, struct recurrence *of, struct error *err)
{
    static const char *const usual[] = { "Sigmoid", "Tanh", "Tanh" };
    const struct attribute *names = node_attribute(node, "activations");
    const struct attribute *alphas = node_attribute(node, "activation_alpha");
    const struct attribute *betas = node_attribute(node, "activation_beta");
    size_t all = (size_t)of->directions * (size_t)of->functions, alpha = 0, beta = 0;
    if (names && names->count != all)
        return error_set(err, ERROR_FORMAT, "activations", "%zu names; %zu expected", names->count,
                         all);
    for (size_t i = 0; i < all; i++) {
        struct activation *to =
            &of->activations[i / (size_t)of->functions][i % (size_t)of->functions];
        const char *name = names               ? names->strings[i]
                           : of->functions > 1 ? usual[i % (size_t)of->functions]
                                               : "Tanh";
        for (size_t k = 0; k < sizeof known_activations / sizeof *known_activations; k++)
            if (strcasecmp(known_activations[k].name, name) == 0)
                *to = known_activations[k];
        if (!to->name)
            return error_set(err, ERROR_UNSUPPORTED, "activations", "'%.64s' is not known", name);
        if (to->takes_alpha && alphas && alpha < alphas->count)
            to->alpha = (double)alphas->floats[alpha++];
        if (to->takes_beta && betas && beta < betas->count)
            to->beta = (double)betas->floats[beta++];
        if (isnan(to->alpha) || isnan(to->beta))
            return error_set(err, ERROR_FORMAT, "activations", "'%.64s' has no alpha or no beta",
                             name);
    }
    return 0;
}

/* Four sums at a time: one alone would wait for itself. */
static double dot(const real *a, const real *b, int64_t count)
{
    double sums[4] = { 0 };
    int64_t i = 0;
    for (; i + 4 <= count; i += 4)
        for (int k = 0; k < 4; k++)
            sums[k] += (double)a[i + k] * (double)b[i + k];
    for (; i < count; i++)
        sums[0] += (double)a[i] * (double)b[i];
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/* What a gate of unit j gets from the input, and from the state before; each with its bias. */
static double from_input(const struct step *s, int gate, int64_t j)
{
    int64_t row = gate * s->of->hidden + j;
    return dot(s->w + row * s->of->inputs, s->x, s->of->inputs) + (s->b ? (double)s->b[row] : 0);
}

static double from_state(const struct step *s, const real *before, int gate, int64_t j)
{
    int64_t row = gate * s->of->hidden + j;
    return (before ? dot(s->r + row * s->of->hidden, before, s->of->hidden) : 0) +
           (s->b ? (double)s->b[s->of->gates * s->of->hidden + row] : 0);
}

static double gate(const struct step *s, int gate, int64_t j)
{
    return from_input(s, gate, j) + from_state(s, s->before, gate, j);
}

static double activate(const struct step *s, int function, double x)
{
    const struct activation *a = &s->activations[function];
    if (s->of->clip > 0)
        x = fmin(fmax(x, -s->of->clip), s->of->clip);
    return a->value(x, a->alpha, a->beta);
}

static void rnn_step(const struct step *s)
{
    for (int64_t j = 0; j < s->of->hidden; j++)
        s->state[j] = (real)activate(s, 0, gate(s, 0, j));
}

/* All units are reset before one of them can be computed: what they are then lies aside. */
static void gru_step(const struct step *s)
{
    for (int64_t j = 0; j < s->of->hidden && !s->reset_after; j++)
        s->aside[j] =
            s->before ? (real)(activate(s, 0, gate(s, GRU_RESET, j)) * (double)s->before[j]) : 0;
    for (int64_t j = 0; j < s->of->hidden; j++) {
        double update = activate(s, 0, gate(s, GRU_UPDATE, j));
        double hidden = from_input(s, GRU_HIDDEN, j);
        if (s->reset_after)
            hidden += activate(s, 0, gate(s, GRU_RESET, j)) * from_state(s, s->before, GRU_HIDDEN, j);
        else
            hidden += from_state(s, s->aside, GRU_HIDDEN, j);
        double before = s->before ? (double)s->before[j] : 0;
        s->state[j] = (real)((1 - update) * activate(s, 1, hidden) + update * before);
    }
}

/* The cells lie aside and are renewed in place. */
static void lstm_step(const struct step *s)
{
    int64_t hidden = s->of->hidden;
    for (int64_t j = 0; j < hidden; j++) {
        const real *p = s->peepholes ? s->peepholes + j : NULL;
        double cell = (double)s->aside[j];
        double input = gate(s, LSTM_INPUT, j) + (p ? (double)p[LSTM_INPUT * hidden] * cell : 0);
        double forget = gate(s, LSTM_FORGET, j) + (p ? (double)p[LSTM_FORGET * hidden] * cell : 0);
        input = activate(s, 0, input);
        forget = s->couples ? 1 - input : activate(s, 0, forget);
        cell = forget * cell + input * activate(s, 1, gate(s, LSTM_CELL, j));
        double output = gate(s, LSTM_OUTPUT, j) + (p ? (double)p[LSTM_OUTPUT * hidden] * cell : 0);
        const struct activation *last = &s->activations[2];
        s->state[j] = (real)(activate(s, 0, output) * last->value(cell, last->alpha, last->beta));
        s->aside[j] = (real)cell;
    }
}

static int rnn_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err)
{
    struct recurrence of;
    int rc = resolve(node, &in[X]->shape, &in[R]->shape, 1, 1, &of, err);
    return rc ? rc : run(&of, node, in, out, rnn_step, err);
}

static int gru_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err)
{
    struct recurrence of;
    int rc = resolve(node, &in[X]->shape, &in[R]->shape, GRU_GATES, 2, &of, err);
    return rc ? rc : run(&of, node, in, out, gru_step, err);
}

static int lstm_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err)
{
    struct recurrence of;
    int rc = resolve(node, &in[X]->shape, &in[R]->shape, LSTM_GATES, 3, &of, err);
    return rc ? rc : run(&of, node, in, out, lstm_step, err);
}

static int run(const struct recurrence *of, const struct node *node, const struct tensor *const *in,
               struct tensor *const *out, step_fn *fn, struct error *err)
{
    bool lstm = of->gates == LSTM_GATES;
    int64_t gates = of->gates * of->hidden;
    for (int64_t n = 0; n < of->batch; n++) {
        int64_t length = in[LENGTHS] ? rule_int_at(in[LENGTHS], n) : of->steps;
        if (length < 0 || length > of->steps)
            return error_set(err, ERROR_FORMAT, node->op->name,
                             "node '%s': length %lld of %lld steps", node->name, (long long)length,
                             (long long)of->steps);
    }
    for (int64_t d = 0; d < of->directions; d++)
        for (int64_t n = 0; n < of->batch; n++) {
            struct step step = {
                .of = of,
                .activations = of->activations[d],
                .w = (const real *)in[W]->data + d * gates * of->inputs,
                .r = (const real *)in[R]->data + d * gates * of->hidden,
                .b = in[B] ? (const real *)in[B]->data + d * 2 * gates : NULL,
                .reset_after = node_int(node, "linear_before_reset", 0) != 0,
                .couples = node_int(node, "input_forget", 0) != 0,
            };
            if (lstm && in[PEEPHOLES])
                step.peepholes = (const real *)in[PEEPHOLES]->data + d * LSTM_CELL * of->hidden;
            run_sequence(of, &step, d, n, in[LENGTHS] ? rule_int_at(in[LENGTHS], n) : of->steps, in,
                         out, fn);
        }
    return 0;
}

/* One picture in one direction. Steps behind its end give zeros. */
static void run_sequence(const struct recurrence *of, struct step *step, int64_t direction,
                         int64_t picture, int64_t length, const struct tensor *const *in,
                         struct tensor *const *out, step_fn *fn)
{
    bool lstm = of->gates == LSTM_GATES, back = direction == 1 || of->backwards;
    int64_t d = of->directions, h = of->hidden;
    int64_t at = of->batch_first ? picture * d + direction : direction * of->batch + picture;
    int64_t stride = (of->batch_first ? d : d * of->batch) * h; /* from step to step of Y */
    real *all = (real *)out[0]->data +
                (of->batch_first ? (picture * of->steps * d + direction) * h : at * h);
    real *last = (real *)out[1]->data + at * h;
    size_t bytes = (size_t)h * sizeof *last;
    step->before = in[STATE] ? (const real *)in[STATE]->data + at * h : NULL;
    step->aside = last;
    if (lstm) {
        step->aside = (real *)out[2]->data + at * h;
        if (in[CELL])
            memcpy(step->aside, (const real *)in[CELL]->data + at * h, bytes);
        else
            memset(step->aside, 0, bytes);
    }
    for (int64_t i = 0; i < length; i++) {
        int64_t t = back ? length - 1 - i : i;
        step->x = (const real *)in[X]->data +
                  (of->batch_first ? picture * of->steps + t : t * of->batch + picture) * of->inputs;
        step->state = all + t * stride;
        fn(step);
        step->before = step->state;
    }
    for (int64_t t = length; t < of->steps; t++)
        memset(all + t * stride, 0, bytes);
    if (step->before)
        memcpy(last, step->before, bytes);
    else
        memset(last, 0, bytes);
}
