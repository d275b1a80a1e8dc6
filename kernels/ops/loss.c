/* loss: ONNX's cross-entropy losses and what flows back through them. Scores are batch x classes x
 * positions, labels whole numbers; positions labelled ignore_index do not count.
 *
 * Where no position counts, the mean is 0 and so is its gradient. ONNX and PyTorch divide 0 by 0
 * there, but a batch without labels should leave a network as it is, not fill it with NaN. */
#include "ops/families.h"
#include "ops/gradient.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include <string.h>

enum { SCORES, LABELS, WEIGHTS };

static int loss_shape(const struct node *node, const struct op_values *values, struct error *err);
static int softmax_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);
static int likelihood_reference(const struct node *node, const struct tensor *const *in,
                                struct tensor *const *out, struct error *err);
static int softmax_gradient(struct gradient *g);
static int likelihood_gradient(struct gradient *g);
static int back_shape(const struct node *node, const struct op_values *values, struct error *err);
static int softmax_back(const struct node *node, const struct tensor *const *in,
                        struct tensor *const *out, struct error *err);
static int likelihood_back(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err);

#define LOSS_ATTRIBUTES \
    OP_ATTRIBUTES({ "reduction", ATTRIBUTE_STRING }, { "ignore_index", ATTRIBUTE_INT })

static const struct op rows[] = {
    /* (scores, labels, [class weights]) -> (loss, [logarithms of probabilities]) */
    { OP_ROW("SoftmaxCrossEntropyLoss", 2, 3, 2, 12, OPSET_MAX, loss_shape, softmax_reference),
      LOSS_ATTRIBUTES, .gradient = softmax_gradient },
    /* (logarithms of probabilities, labels, [class weights]) -> loss */
    { OP_ROW("NegativeLogLikelihoodLoss", 2, 3, 1, 12, OPSET_MAX, loss_shape, likelihood_reference),
      LOSS_ATTRIBUTES, .gradient = likelihood_gradient },
    /* (dloss, and the inputs of the loss) -> dscores */
    { OP_ROW("softmax_cross_entropy_grad", 3, 4, 1, OPSET_OWN, OPSET_OWN, back_shape, softmax_back),
      LOSS_ATTRIBUTES },
    { OP_ROW("negative_log_likelihood_grad", 3, 4, 1, OPSET_OWN, OPSET_OWN, back_shape,
             likelihood_back),
      LOSS_ATTRIBUTES },
};
const struct op_family loss_family = OP_FAMILY(rows);

void cross_entropy_resolve(const struct node *node, const struct shape *scores,
                           struct cross_entropy *loss)
{
    const struct attribute *ignore = node_attribute(node, "ignore_index");
    const char *reduction = node_string(node, "reduction", "mean");
    *loss = (struct cross_entropy){
        .batch = scores->dim[0],
        .classes = scores->dim[1],
        .positions = shape_span(scores, 2, scores->rank),
        .ignores = ignore != NULL,
        .ignore = ignore ? ignore->i : 0,
        .reduction = strcmp(reduction, "sum") == 0    ? REDUCTION_SUM
                     : strcmp(reduction, "none") == 0 ? REDUCTION_NONE
                                                      : REDUCTION_MEAN,
    };
}

int cross_entropy_bad_label(const struct cross_entropy *loss, int64_t label, struct error *err)
{
    return error_set(err, ERROR_FORMAT, "labels", "%lld, with %lld classes", (long long)label,
                     (long long)loss->classes);
}

/* ---- shapes ---- */

/* Inputs from `first` on are those of the loss. Gives the labels' shape. */
static int check_inputs(const struct node *node, const struct op_values *values, int first,
                        struct shape *labels, struct error *err)
{
    const char *reduction = node_string(node, "reduction", "mean");
    if (strcmp(reduction, "mean") != 0 && strcmp(reduction, "sum") != 0 &&
        strcmp(reduction, "none") != 0)
        return error_set(err, ERROR_FORMAT, "reduction", "'%.30s' is none", reduction);
    int rc = rule_input(values, first + SCORES, "scores", TYPE(REAL), 2, SHAPE_RANK_MAX, err);
    if (rc)
        return rc;
    const struct shape *scores = &values->in[first + SCORES]->shape;
    rc = rule_input(values, first + LABELS, "labels", TYPE(I64) | TYPE(I32), scores->rank - 1,
                    scores->rank - 1, err);
    if (rc)
        return rc;
    *labels = (struct shape){ .rank = scores->rank - 1, .dim = { scores->dim[0] } };
    for (int d = 2; d < scores->rank; d++)
        labels->dim[d - 1] = scores->dim[d];
    if (!shape_equal(labels, &values->in[first + LABELS]->shape))
        return error_set(err, ERROR_FORMAT, "labels", "their shape is not that of the scores");
    if (!values->in[first + WEIGHTS])
        return 0;
    rc = rule_input(values, first + WEIGHTS, "weights", TYPE(REAL), 1, 1, err);
    if (!rc && values->in[first + WEIGHTS]->shape.dim[0] != scores->dim[1])
        rc = error_set(err, ERROR_FORMAT, "weights", "one number for each class expected");
    return rc;
}

/* One number, or with reduction "none" one for each label. */
static struct shape loss_of(const struct node *node, const struct shape *labels)
{
    bool each = strcmp(node_string(node, "reduction", "mean"), "none") == 0;
    return each ? *labels : (struct shape){ .rank = 0 };
}

static int loss_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct shape labels;
    int rc = check_inputs(node, values, 0, &labels, err);
    if (rc)
        return rc;
    struct shape loss = loss_of(node, &labels);
    rule_output(values, 0, TENSOR_REAL, &loss);
    rule_output(values, 1, TENSOR_REAL, &values->in[SCORES]->shape);
    return 0;
}

static int back_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct shape labels;
    int rc = check_inputs(node, values, 1, &labels, err);
    if (!rc)
        rc = rule_input(values, 0, "gradient", TYPE(REAL), 0, SHAPE_RANK_MAX, err);
    if (rc)
        return rc;
    struct shape loss = loss_of(node, &labels);
    if (!shape_equal(&loss, &values->in[0]->shape))
        return error_set(err, ERROR_FORMAT, "gradient", "its shape is not that of the loss");
    rule_output(values, 0, TENSOR_REAL, &values->in[1 + SCORES]->shape);
    return 0;
}

/* ---- values ---- */

/* What the label at a position counts; 0 for one that is ignored. */
static int weigh(const struct cross_entropy *loss, const struct tensor *labels,
                 const struct tensor *weights, int64_t at, int64_t *label, double *weight,
                 struct error *err)
{
    *label = rule_int_at(labels, at);
    *weight = 0;
    if (loss->ignores && *label == loss->ignore)
        return 0;
    if (*label < 0 || *label >= loss->classes)
        return cross_entropy_bad_label(loss, *label, err);
    *weight = weights ? (double)((const real *)weights->data)[*label] : 1;
    return 0;
}

/* The logarithm of the sum of the exponentials of one position's scores. */
static double log_sum(const struct cross_entropy *loss, const real *scores)
{
    double largest = -INFINITY, sum = 0;
    for (int64_t c = 0; c < loss->classes; c++)
        largest = fmax(largest, (double)scores[c * loss->positions]);
    for (int64_t c = 0; c < loss->classes; c++)
        sum += exp((double)scores[c * loss->positions] - largest);
    return largest + log(sum);
}

static const real *scores_of(const struct cross_entropy *loss, const struct tensor *scores, int64_t at)
{
    int64_t n = at / loss->positions, i = at % loss->positions;
    return (const real *)scores->data + n * loss->classes * loss->positions + i;
}

static int loss_values(const struct node *node, const struct tensor *const *in,
                       struct tensor *const *out, bool softmax, struct error *err)
{
    struct cross_entropy loss;
    cross_entropy_resolve(node, &in[SCORES]->shape, &loss);
    double sum = 0, total = 0;
    for (int64_t at = 0; at < loss.batch * loss.positions; at++) {
        const real *scores = scores_of(&loss, in[SCORES], at);
        double weight, base = softmax ? log_sum(&loss, scores) : 0;
        int64_t label;
        int rc = weigh(&loss, in[LABELS], in[WEIGHTS], at, &label, &weight, err);
        if (rc)
            return rc;
        double cost = weight != 0 ? weight * (base - (double)scores[label * loss.positions]) : 0;
        if (loss.reduction == REDUCTION_NONE)
            ((real *)out[0]->data)[at] = (real)cost;
        sum += cost;
        total += weight;
        for (int64_t c = 0; out[1] && c < loss.classes; c++) {
            int64_t place = scores - (const real *)in[SCORES]->data + c * loss.positions;
            ((real *)out[1]->data)[place] = (real)((double)scores[c * loss.positions] - base);
        }
    }
    if (loss.reduction != REDUCTION_NONE)
        *(real *)out[0]->data = (real)(loss.reduction == REDUCTION_SUM ? sum
                                       : total != 0                    ? sum / total
                                                                       : 0);
    return 0;
}

static int softmax_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    return loss_values(node, in, out, true, err);
}

static int likelihood_reference(const struct node *node, const struct tensor *const *in,
                                struct tensor *const *out, struct error *err)
{
    return loss_values(node, in, out, false, err);
}

/* ---- gradients ---- */

/* in: dloss, then the inputs of the loss. */
static int back_values(const struct node *node, const struct tensor *const *in,
                       struct tensor *const *out, bool softmax, struct error *err)
{
    const struct tensor *labels = in[1 + LABELS], *weights = in[1 + WEIGHTS];
    const real *dloss = in[0]->data;
    struct cross_entropy loss;
    cross_entropy_resolve(node, &in[1 + SCORES]->shape, &loss);
    int64_t count = loss.batch * loss.positions, label;
    double total = 0, weight;
    for (int64_t at = 0; at < count; at++) {
        int rc = weigh(&loss, labels, weights, at, &label, &weight, err);
        if (rc)
            return rc;
        total += weight;
    }
    double share = loss.reduction != REDUCTION_MEAN ? 1 : total != 0 ? 1 / total : 0;
    for (int64_t at = 0; at < count; at++) {
        const real *scores = scores_of(&loss, in[1 + SCORES], at);
        real *back = (real *)out[0]->data + (scores - (const real *)in[1 + SCORES]->data);
        double base = softmax ? log_sum(&loss, scores) : 0;
        weigh(&loss, labels, weights, at, &label, &weight, NULL);
        double slope = weight * share * (double)dloss[loss.reduction == REDUCTION_NONE ? at : 0];
        for (int64_t c = 0; c < loss.classes; c++) {
            double odds = softmax ? exp((double)scores[c * loss.positions] - base) : 0;
            back[c * loss.positions] =
                (real)(weight != 0 ? slope * (odds - (c == label ? 1 : 0)) : 0);
        }
    }
    return 0;
}

static int softmax_back(const struct node *node, const struct tensor *const *in,
                        struct tensor *const *out, struct error *err)
{
    return back_values(node, in, out, true, err);
}

static int likelihood_back(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err)
{
    return back_values(node, in, out, false, err);
}

static int through_loss(struct gradient *g, const char *op)
{
    const struct node *node = g->node;
    if (node->input_count > WEIGHTS && g->wants[WEIGHTS])
        return error_set(g->err, ERROR_UNSUPPORTED, "weights",
                         "no gradient goes to the weights of classes");
    int inputs[4] = { g->out[0] };
    for (int k = 0; k < node->input_count; k++)
        inputs[1 + k] = node->inputs[k];
    g->in[SCORES] =
        g->out[0] < 0 ? -1 : gradient_node_like(g, op, inputs, node->input_count + 1, NULL);
    return gradient_end(g);
}

static int softmax_gradient(struct gradient *g)
{
    int rc = through_loss(g, "softmax_cross_entropy_grad");
    if (rc || g->node->output_count < 2 || g->out[1] < 0)
        return rc;
    int back = gradient_node(g, "log_softmax_grad", (int[]){ g->out[1], g->node->outputs[1] }, 2,
                             (struct attribute[]){ GRADIENT_INT("axis", 1), { 0 } }, NULL, 1);
    g->in[SCORES] = g->in[SCORES] < 0 ? back : gradient_op(g, "Add", g->in[SCORES], back);
    return gradient_end(g);
}

static int likelihood_gradient(struct gradient *g)
{
    return through_loss(g, "negative_log_likelihood_grad");
}
