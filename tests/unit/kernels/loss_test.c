/* loss: values of the cross-entropy ops and of every loss of train/loss.h against formulas written
 * out in double precision; gradients against differences; and what must stay finite: a batch without
 * labels, logits of a thousand, boxes without area. */
#include "gradient_check.h"
#include "passes/autodiff.h"
#include "train/loss.h"

#define BOUND 1e-6 /* of a value in floats */

static int start(void **state)
{
    struct error err;
    struct device *device = NULL;
    if (device_open(&device, "cpu:threads=2", &err))
        return -1;
    *state = device;
    return 0;
}

static int finish(void **state)
{
    device_close((struct device **)state);
    return 0;
}

static double element(const struct tensor *tensor, int64_t i)
{
    return (double)((const float *)tensor->data)[i];
}

/* ---- cross-entropy ---- */

#define IGNORED 255

struct entropy_case {
    const char *op;
    const struct shape *scores;
    const char *reduction;
    bool weighted, ignoring, log_probabilities, narrow; /* narrow: labels are i32 */
    double ignored;                                     /* share of labels */
};

static int add_labels(struct net *net, const struct entropy_case *c)
{
    struct shape shape = { .rank = c->scores->rank - 1, .dim = { c->scores->dim[0] } };
    struct tensor labels;
    for (int d = 2; d < c->scores->rank; d++)
        shape.dim[d - 1] = c->scores->dim[d];
    net_must(net, tensor_create(&labels, c->narrow ? TENSOR_I32 : TENSOR_I64, &shape, &net->err));
    for (int64_t i = 0; i < shape_elements(&shape); i++) {
        bool ignored = random_next_unit(&net->random) < c->ignored;
        int64_t label = (int64_t)(random_next_unit(&net->random) * (double)c->scores->dim[1]);
        label = ignored ? IGNORED : label;
        if (c->narrow)
            ((int32_t *)labels.data)[i] = (int32_t)label;
        else
            ((int64_t *)labels.data)[i] = label;
    }
    int value = graph_add_constant(net->graph, "labels", &labels, &net->err);
    net_must(net, value);
    return value;
}

/* Constants that the values are checked with: labels, and weights or -1. */
struct entropy_inputs {
    int labels, weights;
};

static struct entropy_inputs add_entropy(struct net *net, const struct entropy_case *c)
{
    int scores = net_input(net, c->scores);
    struct entropy_inputs in = { add_labels(net, c), -1 };
    if (c->weighted)
        in.weights = net_constant(net, SHAPE(c->scores->dim[1]), 0.2, 2);
    int outputs[2] = { graph_add_value(net->graph, "loss", TENSOR_F32, NULL, &net->err), -1 };
    if (c->log_probabilities)
        outputs[1] = graph_add_value(net->graph, "log", TENSOR_F32, NULL, &net->err);
    net_must(net, graph_add_node(net->graph, op_find(c->op, 13), "loss",
                                 (int[]){ scores, in.labels, in.weights }, c->weighted ? 3 : 2,
                                 outputs, c->log_probabilities ? 2 : 1, &net->err));
    if (c->reduction)
        net_string(net, "reduction", c->reduction);
    if (c->ignoring)
        net_int(net, "ignore_index", IGNORED);
    net_output(net, outputs[0]);
    if (c->log_probabilities)
        net_output(net, outputs[1]);
    return in;
}

static double log_probability(const struct entropy_case *c, const struct tensor *scores, int64_t at,
                              int64_t label)
{
    int64_t classes = c->scores->dim[1],
            positions = shape_elements(c->scores) / classes / c->scores->dim[0];
    int64_t first = at / positions * classes * positions + at % positions;
    double sum = 0;
    if (strcmp(c->op, "NegativeLogLikelihoodLoss") == 0)
        return element(scores, first + label * positions);
    for (int64_t k = 0; k < classes; k++)
        sum += exp(element(scores, first + k * positions));
    return element(scores, first + label * positions) - log(sum);
}

static void compare(const char *what, double got, double wanted)
{
    if (!(fabs(got - wanted) <= BOUND * fmax(1, fabs(wanted))))
        fail_msg("%s is %.9g, formula %.9g", what, got, wanted);
}

static void compare_entropy(const struct net *net, const struct entropy_case *c,
                            const struct entropy_inputs *in, const struct tensor *scores,
                            const struct tensor *outputs)
{
    const struct tensor *labels = &net->graph->values[in->labels].constant;
    double sum = 0, total = 0;
    for (int64_t at = 0; at < shape_elements(&labels->shape); at++) {
        int64_t label = c->narrow ? ((int32_t *)labels->data)[at] : ((int64_t *)labels->data)[at];
        double weight = label == IGNORED ? 0
                        : in->weights < 0
                            ? 1
                            : element(&net->graph->values[in->weights].constant, label);
        double cost = weight != 0 ? -weight * log_probability(c, scores, at, label) : 0;
        if (c->reduction && strcmp(c->reduction, "none") == 0)
            compare("a loss", element(&outputs[0], at), cost);
        sum += cost;
        total += weight;
    }
    if (!c->reduction || strcmp(c->reduction, "mean") == 0)
        compare("the mean", element(&outputs[0], 0), total != 0 ? sum / total : 0);
    else if (strcmp(c->reduction, "sum") == 0)
        compare("the sum", element(&outputs[0], 0), sum);
    if (!c->log_probabilities)
        return;
    for (int64_t i = 0; i < shape_elements(c->scores); i++) {
        int64_t classes = c->scores->dim[1],
                positions = shape_elements(c->scores) / classes / c->scores->dim[0];
        int64_t at = i / positions / classes * positions + i % positions;
        compare("a logarithm", element(&outputs[1], i),
                log_probability(c, scores, at, i / positions % classes));
    }
}

static void check_entropy(struct device *device, const struct entropy_case *c)
{
    struct net net;
    struct plan *plan = NULL;
    struct plan_options options = { .precision = PRECISION_F32 };
    struct tensor scores[CHECK_INPUTS_MAX] = { 0 }, outputs[2] = { 0 };
    net_begin(&net, 21);
    struct entropy_inputs in = add_entropy(&net, c);
    net_infer(&net);
    net_make_inputs(&net, scores);
    net_must(&net, graph_run_reference(net.graph, (const struct tensor *[]){ &scores[0] }, outputs,
                                       &net.err));
    compare_entropy(&net, c, &in, &scores[0], outputs);
    net_must(&net, device_compile(device, net.graph, &options, &plan, &net.err));
    memcpy(plan_input(plan, 0)->data, scores[0].data, tensor_bytes(&scores[0]));
    net_must(&net, plan_run(plan, &net.err));
    compare_entropy(&net, c, &in, &scores[0],
                    (struct tensor[]){ *plan_output(plan, 0),
                                       c->log_probabilities ? *plan_output(plan, 1) : outputs[1] });
    plan_free(&plan);
    for (int k = 0; k < net.graph->output_count; k++)
        tensor_free(&outputs[k]);
    tensor_free(&scores[0]);
    gradient_check(&net, device, c->op);
    net_end(&net);
}

static void test_entropy(void **state)
{
    static const char *const reductions[] = { NULL, "mean", "sum", "none" };
    const struct shape *shapes[] = { SHAPE(5, 7), SHAPE(2, 3, 4, 5), SHAPE(1, 19, 6, 9),
                                     SHAPE(3, 2, 7), SHAPE(2, 16, 3, 2, 2) };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int r = 0; r < 4; r++)
            for (unsigned bits = 0; bits < 8; bits++) {
                struct entropy_case c = { .op = "SoftmaxCrossEntropyLoss",
                                          .scores = shapes[s],
                                          .reduction = reductions[r],
                                          .weighted = bits & 1,
                                          .ignoring = bits & 2,
                                          .log_probabilities = bits & 4,
                                          .narrow = (bits + s) % 2,
                                          .ignored = bits & 2 ? 0.3 : 0 };
                check_entropy(*state, &c);
                c.op = "NegativeLogLikelihoodLoss";
                c.log_probabilities = false;
                check_entropy(*state, &c);
            }
}

/* Enough positions for both threads, side by side and across. */
static void test_many(void **state)
{
    const struct shape *shapes[] = { SHAPE(2, 3, 48, 50), SHAPE(5000, 7) };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        check_entropy(*state, &(struct entropy_case){ .op = "SoftmaxCrossEntropyLoss",
                                                      .scores = shapes[s],
                                                      .weighted = true,
                                                      .ignoring = true,
                                                      .ignored = 0.2 });
}

/* Where nothing is labelled, loss and gradient are 0: not 0/0, which training would not survive. */
static void test_all_ignored(void **state)
{
    static const char *const ops[] = { "SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss" };
    for (int i = 0; i < 2; i++)
        for (int weighted = 0; weighted < 2; weighted++)
            check_entropy(*state, &(struct entropy_case){ .op = ops[i],
                                                          .scores = SHAPE(2, 3, 4, 5),
                                                          .weighted = weighted,
                                                          .ignoring = true,
                                                          .ignored = 2 });
}

static void test_bad_label(void **state)
{
    struct net net;
    struct plan *plan = NULL;
    struct plan_options options = { .precision = PRECISION_F32 };
    const struct entropy_case c = { .op = "SoftmaxCrossEntropyLoss",
                                    .scores = SHAPE(2, 3, 4, 5),
                                    .ignored = 0.1 }; /* which no attribute allows */
    struct tensor scores[CHECK_INPUTS_MAX] = { 0 }, outputs[2] = { 0 };
    net_begin(&net, 22);
    add_entropy(&net, &c);
    net_infer(&net);
    net_make_inputs(&net, scores);
    assert_true(graph_run_reference(net.graph, (const struct tensor *[]){ &scores[0] }, outputs,
                                    &net.err) < 0);
    assert_non_null(strstr(net.err.text, "255, with 3 classes"));
    net_must(&net, device_compile(*state, net.graph, &options, &plan, &net.err));
    assert_true(plan_run(plan, &net.err) < 0);
    assert_non_null(strstr(net.err.text, "255, with 3 classes"));
    plan_free(&plan);
    tensor_free(&scores[0]);
    net_end(&net);
}

/* ---- the losses of train/loss.h ---- */

/* Shapes, without the sweeping that would drop what no node reads yet. */
static void infer_nodes(struct net *net)
{
    for (int i = 0; i < net->graph->node_count; i++)
        net_must(net, graph_infer_node(net->graph, i, &net->err));
}

enum kind { L1, L2, CHARBONNIER, FOCAL, IOU, GIOU };

struct loss_case {
    enum kind kind;
    const struct shape *shape;
    float alpha, gamma;    /* or epsilon in alpha */
    double size;           /* of logits */
    bool weighted, limits; /* weights; targets that are 0 or 1 */
};

/* Values to be compared with: boxes around their place in a row, so that all sides differ and most
 * of them meet. */
static void fill_boxes(struct net *net, struct tensor *boxes)
{
    float *data = boxes->data;
    for (int64_t i = 0; i < shape_elements(&boxes->shape); i += 4) {
        for (int k = 0; k < 2; k++) {
            double middle = random_next_unit(&net->random);
            double half = 0.3 + 0.5 * random_next_unit(&net->random);
            data[i + k] = (float)(middle - half);
            data[i + k + 2] = (float)(middle + half);
        }
    }
}

static double formula_of_boxes(const struct loss_case *c, const struct tensor *a,
                               const struct tensor *b, int64_t i)
{
    double inside = 1, around = 1, both[2] = { 1, 1 };
    for (int k = 0; k < 2; k++) {
        double low[2] = { element(a, i + k), element(b, i + k) };
        double high[2] = { element(a, i + k + 2), element(b, i + k + 2) };
        inside *= fmax(0, fmin(high[0], high[1]) - fmax(low[0], low[1]));
        around *= fmax(high[0], high[1]) - fmin(low[0], low[1]);
        both[0] *= fmax(0, high[0] - low[0]);
        both[1] *= fmax(0, high[1] - low[1]);
    }
    double all = fmax(both[0] + both[1] - inside, 1e-7);
    return 1 - inside / all + (c->kind == GIOU ? (around - all) / around : 0);
}

static double formula(const struct loss_case *c, const struct tensor *output,
                      const struct tensor *target, int64_t i)
{
    double x = element(output, i), t = element(target, i), p = 1 / (1 + exp(-x));
    double odds = p * (1 - t) + (1 - p) * t;
    switch (c->kind) {
    case L1:
        return fabs(x - t);
    case L2:
        return (x - t) * (x - t);
    case CHARBONNIER:
        return sqrt((x - t) * (x - t) + (double)c->alpha * (double)c->alpha);
    case FOCAL:
        return ((double)c->alpha * t + (1 - (double)c->alpha) * (1 - t)) *
               pow(odds, (double)c->gamma) * -(t * log(p) + (1 - t) * log(1 - p));
    default:
        return formula_of_boxes(c, output, target, i);
    }
}

static int add_loss(struct net *net, const struct loss_case *c, int output, int target, int weights)
{
    int value = -1;
    switch (c->kind) {
    case L1:
        value = loss_l1(net->graph, output, target, &net->err);
        break;
    case L2:
        value = loss_l2(net->graph, output, target, &net->err);
        break;
    case CHARBONNIER:
        value = loss_charbonnier(net->graph, output, target, c->alpha, &net->err);
        break;
    case FOCAL:
        value = loss_focal(net->graph, output, target, c->alpha, c->gamma, &net->err);
        break;
    case IOU:
    case GIOU:
        value = loss_iou(net->graph, output, target, weights, c->kind == GIOU, &net->err);
        break;
    }
    net_must(net, value);
    net_output(net, value);
    return value;
}

/* Adds content to the input 0, which is random in [-1, 1], so that it is what the case wants; exact
 * sums are not needed, as the formula is given what comes out. */
static int add_output(struct net *net, const struct loss_case *c)
{
    int input = net_input(net, c->shape);
    if (c->kind == FOCAL)
        return net_node(net, "Mul", input, net_constant(net, SHAPE(1), c->size, c->size), -2);
    if (c->kind != IOU && c->kind != GIOU)
        return input;
    int base = net_constant(net, c->shape, 0, 0);
    fill_boxes(net, &net->graph->values[base].constant);
    int small = net_node(net, "Mul", input, net_constant(net, SHAPE(1), 0.125, 0.125), -2);
    return net_node(net, "Add", base, small, -2);
}

static void check_loss(struct device *device, const struct loss_case *c)
{
    static const char *const words[] = { "L1", "L2", "Charbonnier", "focal", "IoU", "GIoU" };
    struct net net;
    struct tensor inputs[CHECK_INPUTS_MAX] = { 0 }, outputs[2] = { 0 };
    bool boxes = c->kind == IOU || c->kind == GIOU;
    struct shape flat = *c->shape;
    double sum = 0, total = 0;
    net_begin(&net, 23);
    int output = add_output(&net, c), weights = -1;
    int target = net_constant(&net, c->shape, c->kind == FOCAL ? 0 : -1, 1);
    if (boxes)
        fill_boxes(&net, &net.graph->values[target].constant);
    for (int64_t i = 0; c->limits && i < shape_elements(c->shape); i++) {
        float *number = &((float *)net.graph->values[target].constant.data)[i];
        *number = *number < 0.5f ? 0 : 1;
    }
    flat.rank--;
    if (c->weighted)
        weights = net_constant(&net, &flat, 0, 1);
    infer_nodes(&net);
    add_loss(&net, c, output, target, weights);
    net_output(&net, output);
    net_make_inputs(&net, inputs);
    net_must(&net, graph_run_reference(net.graph, (const struct tensor *[]){ &inputs[0] }, outputs,
                                       &net.err));
    const struct tensor *wanted = &net.graph->values[target].constant;
    for (int64_t i = 0; i < shape_elements(c->shape); i += boxes ? 4 : 1) {
        double weight = c->weighted ? element(&net.graph->values[weights].constant, i / 4) : 1;
        sum += weight * formula(c, &outputs[1], wanted, i);
        total += weight;
    }
    compare(words[c->kind], element(&outputs[0], 0), sum / total);
    tensor_free(&outputs[0]);
    tensor_free(&outputs[1]);
    tensor_free(&inputs[0]);
    net.graph->values[output].is_output = false;
    net.graph->output_count = 1;
    gradient_check(&net, device, words[c->kind]);
    net_end(&net);
}

static void test_losses(void **state)
{
    const struct loss_case cases[] = {
        { .kind = L1, .shape = SHAPE(2, 3, 5, 7) },
        { .kind = L2, .shape = SHAPE(2, 3, 5, 7) },
        { .kind = L2, .shape = SHAPE(1) },
        { .kind = CHARBONNIER, .shape = SHAPE(2, 3, 5, 7), .alpha = 0.125f },
        { .kind = FOCAL, .shape = SHAPE(4, 9), .alpha = 0.25f, .gamma = 2, .size = 4 },
        { .kind = FOCAL, .shape = SHAPE(4, 9), .alpha = 0.25f, .gamma = 2, .size = 8, .limits = true },
        { .kind = FOCAL, .shape = SHAPE(4, 9), .alpha = 0.5f, .gamma = 0, .size = 4 },
        { .kind = FOCAL, .shape = SHAPE(4, 9), .alpha = 0.5f, .gamma = 1, .size = 4, .limits = true },
        { .kind = FOCAL, .shape = SHAPE(4, 9), .alpha = 0.5f, .gamma = 1.5f, .size = 4 },
        { .kind = FOCAL, .shape = SHAPE(4, 9), .alpha = 0.5f, .gamma = 0.5f, .size = 4, .limits = true },
        { .kind = IOU, .shape = SHAPE(9, 4) },
        { .kind = IOU, .shape = SHAPE(2, 5, 4), .weighted = true },
        { .kind = GIOU, .shape = SHAPE(9, 4) },
        { .kind = GIOU, .shape = SHAPE(2, 5, 4), .weighted = true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_loss(*state, &cases[i]);
}

static void test_cross_entropy(void **state)
{
    struct net net;
    const struct entropy_case c = { .scores = SHAPE(2, 3, 4, 5), .ignored = 0.2 };
    net_begin(&net, 24);
    int scores = net_input(&net, c.scores), labels = add_labels(&net, &c);
    int weights = net_constant(&net, SHAPE(3), 0.5, 2);
    infer_nodes(&net);
    int loss = loss_cross_entropy(net.graph, scores, labels, weights, IGNORED, &net.err);
    net_must(&net, loss);
    net_output(&net, loss);
    gradient_check(&net, *state, "cross-entropy");
    net_end(&net);
}

/* One class a pixel, some none; the last class is nowhere and does not count. */
static void fill_maps(struct net *net, struct tensor *maps)
{
    const int64_t *dim = maps->shape.dim, plane = dim[2] * dim[3];
    float *numbers = maps->data;
    memset(numbers, 0, tensor_bytes(maps));
    for (int64_t i = 0; i < dim[0] * plane; i++) {
        int64_t class =
            (int64_t)(random_next_unit(&net->random) * (double)dim[1]); /* dim[1] - 1: none */
        if (class < dim[1] - 1)
            numbers[(i / plane * dim[1] + class) * plane + i % plane] = 1;
    }
}

static double jaccard(const struct tensor *scores, const struct tensor *maps,
                      const struct tensor *weights)
{
    const int64_t *dim = scores->shape.dim, plane = dim[2] * dim[3];
    double sum = 0, total = 0;
    for (int64_t k = 0; k < dim[1]; k++) {
        double both = 1, all = 1;
        for (int64_t i = 0; i < dim[0] * plane; i++) {
            int64_t first = i / plane * dim[1] * plane + i % plane;
            double exps = 0, counts = 0;
            for (int64_t j = 0; j < dim[1]; j++) {
                exps += exp(element(scores, first + j * plane));
                counts += element(maps, first + j * plane);
            }
            double said = exp(element(scores, first + k * plane)) / exps * counts;
            double is = element(maps, first + k * plane);
            both += said * is;
            all += said + is - said * is;
        }
        sum += element(weights, k) * (1 - both / all);
        total += element(weights, k);
    }
    return sum / total;
}

static void test_jaccard(void **state)
{
    struct net net;
    struct tensor inputs[CHECK_INPUTS_MAX] = { 0 }, output = { 0 };
    net_begin(&net, 25);
    int scores = net_input(&net, SHAPE(2, 4, 5, 7));
    int maps = net_constant(&net, SHAPE(2, 4, 5, 7), 0, 1),
        weights = net_constant(&net, SHAPE(4), 0.5, 2);
    fill_maps(&net, &net.graph->values[maps].constant);
    ((float *)net.graph->values[weights].constant.data)[3] = 0;
    infer_nodes(&net);
    int loss = loss_jaccard(net.graph, scores, maps, weights, &net.err);
    net_must(&net, loss);
    net_output(&net, loss);
    net_make_inputs(&net, inputs);
    net_must(&net, graph_run_reference(net.graph, (const struct tensor *[]){ &inputs[0] }, &output,
                                       &net.err));
    compare("soft IoU", element(&output, 0),
            jaccard(&inputs[0], &net.graph->values[maps].constant,
                    &net.graph->values[weights].constant));
    tensor_free(&output);
    tensor_free(&inputs[0]);
    gradient_check(&net, *state, "soft IoU");
    net_end(&net);
}

/* ---- what must stay finite ---- */

/* Loss and gradient of the input with the given content, on the interpreter and the device. */
static void check_finite(struct net *net, struct device *device, int loss, const float *content,
                         const char *what)
{
    struct plan *plan = NULL;
    struct plan_options options = { .precision = PRECISION_F32 };
    struct tensor input, outputs[2] = { 0 };
    struct autodiff autodiff = {
        .of = &loss,
        .seeds = (int[]){ -1 },
        .of_count = 1,
        .with = net->graph->inputs,
        .with_count = 1,
    };
    int gradient;
    net_must(net, loss);
    net_must(net, pass_autodiff(net->graph, &autodiff, &gradient, &net->err));
    net_output(net, loss);
    net_output(net, gradient);
    net_must(net, graph_sort(net->graph, &net->err));
    net_must(net, graph_sweep(net->graph, &net->err));
    net_must(net, tensor_create(&input, TENSOR_F32,
                                &net->graph->values[net->graph->inputs[0]].shape, &net->err));
    memcpy(input.data, content, tensor_bytes(&input));
    net_must(net, graph_run_reference(net->graph, (const struct tensor *[]){ &input }, outputs,
                                      &net->err));
    net_must(net, device_compile(device, net->graph, &options, &plan, &net->err));
    memcpy(plan_input(plan, 0)->data, content, tensor_bytes(&input));
    net_must(net, plan_run(plan, &net->err));
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < shape_elements(&outputs[k].shape); i++) {
            double plain = element(&outputs[k], i), fast = element(plan_output(plan, (size_t)k), i);
            if (!isfinite(plain) || !isfinite(fast))
                fail_msg("%s: %s %lld is %g, on the device %g", what, k ? "gradient" : "loss",
                         (long long)i, plain, fast);
        }
    plan_free(&plan);
    tensor_free(&input);
    tensor_free(&outputs[0]);
    tensor_free(&outputs[1]);
}

static void test_large_logits(void **state)
{
    static const float logits[] = { -1000, -100, -20, 0, 20, 100, 1000, 1000 };
    static const float gammas[] = { 0, 0.5f, 1, 1.5f, 2, 5 };
    static const float targets[] = { 0, 1, 0.5f };
    struct net net;
    for (size_t g = 0; g < sizeof gammas / sizeof *gammas; g++)
        for (size_t t = 0; t < sizeof targets / sizeof *targets; t++) {
            net_begin(&net, 25);
            int input = net_input(&net, SHAPE(8));
            double level = (double)targets[t];
            int target = net_constant(&net, SHAPE(8), level, level);
            infer_nodes(&net);
            int loss = loss_focal(net.graph, input, target, 0.25f, gammas[g], &net.err);
            check_finite(&net, *state, loss, logits, "focal");
            net_end(&net);
        }
    for (int64_t label = 0; label < 8; label++) {
        net_begin(&net, 26);
        int input = net_input(&net, SHAPE(1, 8)), labels = net_ints(&net, 1, &label);
        infer_nodes(&net);
        int loss = loss_cross_entropy(net.graph, input, labels, -1, IGNORED, &net.err);
        check_finite(&net, *state, loss, logits, "cross-entropy");
        net_end(&net);
    }
}

/* A point, a line, inside out, far away, as the target is; and targets without area. */
static void test_odd_boxes(void **state)
{
    static const float boxes[] = { 0, 0, 0, 0, 0, 0, 2,    0,    3,   3,   1,   1,
                                   5, 5, 6, 6, 0, 0, 1e6f, 1e6f, 0.f, 0.f, 1.f, 1.f };
    static const float targets[] = { 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 2 };
    struct net net;
    for (int place = 0; place < 3; place++)
        for (int weighted = 0; weighted < 3; weighted++)
            for (int generalised = 0; generalised < 2; generalised++) {
                net_begin(&net, 27);
                int input = net_input(&net, SHAPE(6, 4)), weights = -1;
                int target = net_constant(&net, SHAPE(6, 4), 0, 0);
                for (int i = 0; i < 24; i++)
                    ((float *)net.graph->values[target].constant.data)[i] =
                        targets[4 * place + i % 4];
                if (weighted) /* all of them 0, or 1 */
                    weights = net_constant(&net, SHAPE(6), weighted - 1, weighted - 1);
                infer_nodes(&net);
                int loss = loss_iou(net.graph, input, target, weights, generalised, &net.err);
                check_finite(&net, *state, loss, boxes, generalised ? "GIoU" : "IoU");
                net_end(&net);
            }
}

static void test_equal(void **state)
{
    static const float numbers[] = { 1, 1, 1, 1 };
    for (enum kind kind = L1; kind <= CHARBONNIER; kind++) {
        struct net net;
        net_begin(&net, 28);
        int input = net_input(&net, SHAPE(4)), target = net_constant(&net, SHAPE(4), 1, 1);
        infer_nodes(&net);
        int loss = kind == L1   ? loss_l1(net.graph, input, target, &net.err)
                   : kind == L2 ? loss_l2(net.graph, input, target, &net.err)
                                : loss_charbonnier(net.graph, input, target, 1e-3f, &net.err);
        check_finite(&net, *state, loss, numbers, "output and target the same");
        net_end(&net);
    }
}

static void test_refused(void **state)
{
    struct net net;
    (void)state;
    net_begin(&net, 29);
    int a = net_input(&net, SHAPE(2, 4)), b = net_input(&net, SHAPE(1, 4));
    int c = net_input(&net, SHAPE(2, 3)), d = net_input(&net, SHAPE(3));
    infer_nodes(&net);
    assert_true(loss_l1(net.graph, a, b, &net.err) < 0);
    assert_non_null(strstr(net.err.text, "2x4 is compared with 1x4"));
    assert_true(loss_l2(net.graph, a, b, &net.err) < 0);
    assert_true(loss_charbonnier(net.graph, a, b, 1e-3f, &net.err) < 0);
    assert_true(loss_focal(net.graph, a, b, 0.25f, 2, &net.err) < 0);
    assert_true(loss_iou(net.graph, a, b, -1, false, &net.err) < 0);
    assert_true(loss_iou(net.graph, c, c, -1, false, &net.err) < 0);
    assert_true(loss_iou(net.graph, a, a, d, false, &net.err) < 0);
    assert_true(loss_cross_entropy(net.graph, a, d, -1, IGNORED, &net.err) < 0);
    net_end(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entropy),     cmocka_unit_test(test_many),
        cmocka_unit_test(test_all_ignored), cmocka_unit_test(test_bad_label),
        cmocka_unit_test(test_losses),      cmocka_unit_test(test_cross_entropy),
        cmocka_unit_test(test_jaccard),     cmocka_unit_test(test_large_logits),
        cmocka_unit_test(test_odd_boxes),   cmocka_unit_test(test_equal),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, start, finish);
}
