/* loss: each loss is a few nodes of existing ops, added the way gradient rules add theirs
 * (ops/gradient.h). What is not finite for extreme inputs is avoided by form, not by clamping
 * results: a Softplus for the logarithm of a Sigmoid, floors under what is divided by. */
#include "train/loss.h"
#include "ops/gradient.h"
#include <string.h>

#define AREA_MIN 1e-7    /* of boxes together, in whatever unit: no division by less */
#define WEIGHT_MIN 1e-30 /* the same of a sum of weights */
#define PIXELS_MIN \
    1.0 /* added to both sides of a soft IoU, which is 1 for a class that is nowhere */
#define ODDS_MIN 1e-30 /* below it, powers less than 1 have slopes too steep for a float */

static const struct node nobody = { .name = (char *)"loss" };

#define BUILDER(to, error)                             \
    {                                                  \
        .graph = (to), .node = &nobody, .err = (error) \
    }

static int check_alike(struct gradient *g, int output, int target);
static int difference(struct gradient *g, int output, int target);
static int mean(struct gradient *g, int value);
static int sum(struct gradient *g, int value);
static int sum_over(struct gradient *g, int value, const int64_t *axes, size_t count, bool keep);
static int finish(const struct gradient *g, int value);
static int mix(struct gradient *g, const int shares[2], int first, int second);
static int raise_to(struct gradient *g, int odds, float gamma);
static void corners(struct gradient *g, int boxes, int at[4]);
static int extent(struct gradient *g, int from, int to);
static int area(struct gradient *g, const int at[4]);

int loss_l1(struct graph *graph, int output, int target, struct error *err)
{
    struct gradient g = BUILDER(graph, err);
    int apart = difference(&g, output, target);
    return finish(&g, mean(&g, gradient_op(&g, "Abs", apart, -1)));
}

int loss_charbonnier(struct graph *graph, int output, int target, float epsilon, struct error *err)
{
    struct gradient g = BUILDER(graph, err);
    int apart = difference(&g, output, target);
    int square = gradient_op(&g, "Mul", apart, apart);
    int floor = gradient_scalar(&g, (double)epsilon * (double)epsilon);
    int root = gradient_op(&g, "Sqrt", gradient_op(&g, "Add", square, floor), -1);
    return finish(&g, mean(&g, root));
}

int loss_l2(struct graph *graph, int output, int target, struct error *err)
{
    struct gradient g = BUILDER(graph, err);
    int apart = difference(&g, output, target);
    return finish(&g, mean(&g, gradient_op(&g, "Mul", apart, apart)));
}

int loss_cross_entropy(struct graph *graph, int logits, int labels, int weights, int64_t ignore,
                       struct error *err)
{
    struct gradient g = BUILDER(graph, err);
    int inputs[] = { logits, labels, weights };
    return finish(&g, gradient_node(&g, "SoftmaxCrossEntropyLoss", inputs, weights < 0 ? 2 : 3,
                                    (struct attribute[]){ GRADIENT_INT("ignore_index", ignore),
                                                          GRADIENT_STRING("reduction", "mean"),
                                                          { 0 } },
                                    NULL, 1));
}

int loss_jaccard(struct graph *graph, int logits, int targets, int weights, struct error *err)
{
    static const int64_t classes[] = { 1 }, pixels[] = { 0, 2, 3 };
    struct gradient g = BUILDER(graph, err);
    const struct shape shape = *gradient_shape(&g, logits);
    if (check_alike(&g, logits, targets))
        return g.rc;
    if (shape.rank != 4)
        return error_set(err, ERROR_FORMAT, "loss", "images of scores have four dimensions");
    if (!shape_equal(gradient_shape(&g, weights),
                     &(struct shape){ .rank = 1, .dim = { shape.dim[1] } }))
        return error_set(err, ERROR_FORMAT, "loss", "one weight for each class expected");
    int said = gradient_node(&g, "Softmax", &logits, 1,
                             (struct attribute[]){ GRADIENT_INT("axis", 1), { 0 } }, NULL, 1);
    int counted = gradient_op(&g, "Mul", said, sum_over(&g, targets, classes, 1, true));
    int both = sum_over(&g, gradient_op(&g, "Mul", said, targets), pixels, 3, false);
    int either = gradient_op(&g, "Add", sum_over(&g, counted, pixels, 3, false),
                             sum_over(&g, targets, pixels, 3, false));
    int floor = gradient_scalar(&g, PIXELS_MIN);
    int all = gradient_op(&g, "Add", gradient_op(&g, "Sub", either, both), floor);
    int iou = gradient_op(&g, "Div", gradient_op(&g, "Add", both, floor), all);
    int lost = gradient_op(&g, "Sub", gradient_scalar(&g, 1), iou);
    int total = gradient_op(&g, "Max", sum(&g, weights), gradient_scalar(&g, WEIGHT_MIN));
    return finish(&g, gradient_op(&g, "Div", sum(&g, gradient_op(&g, "Mul", lost, weights)), total));
}

/* With p = sigmoid(x): -log p = softplus(-x), -log (1 - p) = softplus(x), and 1 - p = sigmoid(-x), all
 * exact where p is next to 0 or 1. For targets between the two, log p_t is the mix of both
 * logarithms, as in binary cross-entropy. */
int loss_focal(struct graph *graph, int logits, int targets, float alpha, float gamma,
               struct error *err)
{
    struct gradient g = BUILDER(graph, err);
    if (check_alike(&g, logits, targets))
        return g.rc;
    int minus = gradient_op(&g, "Neg", logits, -1);
    int shares[] = { targets, gradient_op(&g, "Sub", gradient_scalar(&g, 1), targets) };
    int cost = mix(&g, shares, gradient_op(&g, "Softplus", minus, -1),
                   gradient_op(&g, "Softplus", logits, -1));
    int odds = mix(&g, shares, gradient_op(&g, "Sigmoid", minus, -1),
                   gradient_op(&g, "Sigmoid", logits, -1));
    int balance =
        mix(&g, shares, gradient_scalar(&g, (double)alpha), gradient_scalar(&g, 1 - (double)alpha));
    int loss = gradient_op(&g, "Mul", balance, cost);
    if (gamma != 0)
        loss = gradient_op(&g, "Mul", loss, raise_to(&g, odds, gamma));
    return finish(&g, mean(&g, loss));
}

/* Extents of boxes that are inside out count as 0, and areas have a floor, so that IoU is 0 where two
 * boxes have no area. GIoU still pulls such boxes together, by the box around both. */
int loss_iou(struct graph *graph, int boxes, int targets, int weights, bool generalised,
             struct error *err)
{
    enum { LEFT, TOP, RIGHT, BOTTOM };
    struct gradient g = BUILDER(graph, err);
    int a[4], b[4], inside[4], around[4];
    const struct shape shape = *gradient_shape(&g, boxes);
    if (check_alike(&g, boxes, targets))
        return g.rc;
    if (shape.rank < 1 || shape.dim[shape.rank - 1] != 4)
        return error_set(err, ERROR_FORMAT, "loss", "boxes have four numbers");
    corners(&g, boxes, a);
    corners(&g, targets, b);
    for (int k = 0; k < 4; k++) {
        inside[k] = gradient_op(&g, k < RIGHT ? "Max" : "Min", a[k], b[k]);
        around[k] = gradient_op(&g, k < RIGHT ? "Min" : "Max", a[k], b[k]);
    }
    int least = gradient_scalar(&g, AREA_MIN), one = gradient_scalar(&g, 1);
    int both = area(&g, inside);
    int all = gradient_op(&g, "Sub", gradient_op(&g, "Add", area(&g, a), area(&g, b)), both);
    all = gradient_op(&g, "Max", all, least);
    int loss = gradient_op(&g, "Sub", one, gradient_op(&g, "Div", both, all));
    if (generalised) {
        int hull = gradient_op(&g, "Max", area(&g, around), least);
        int empty = gradient_op(&g, "Div", gradient_op(&g, "Sub", hull, all), hull);
        loss = gradient_op(&g, "Add", loss, empty);
    }
    if (weights < 0)
        return finish(&g, mean(&g, loss));
    struct shape flat = shape;
    flat.rank--;
    if (!shape_equal(gradient_shape(&g, weights), &flat))
        return error_set(err, ERROR_FORMAT, "loss", "one weight for each box expected");
    int dims = gradient_ints(&g, flat.dim, (size_t)flat.rank);
    loss = gradient_op(&g, "Mul", gradient_op(&g, "Reshape", loss, dims), weights);
    int total = gradient_op(&g, "Max", sum(&g, weights), gradient_scalar(&g, WEIGHT_MIN));
    return finish(&g, gradient_op(&g, "Div", sum(&g, loss), total));
}

/* ---- pieces ---- */

static int check_alike(struct gradient *g, int output, int target)
{
    char one[128], other[128];
    if (shape_equal(gradient_shape(g, output), gradient_shape(g, target)))
        return 0;
    shape_format(gradient_shape(g, output), one, sizeof one);
    shape_format(gradient_shape(g, target), other, sizeof other);
    return g->rc = error_set(g->err, ERROR_FORMAT, "loss", "%s is compared with %s", one, other);
}

static int difference(struct gradient *g, int output, int target)
{
    check_alike(g, output, target);
    return gradient_op(g, "Sub", output, target);
}

static int reduce(struct gradient *g, const char *op, int value)
{
    return gradient_node(g, op, &value, 1,
                         (struct attribute[]){ GRADIENT_INT("keepdims", 0), { 0 } }, NULL, 1);
}

static int mean(struct gradient *g, int value)
{
    return reduce(g, "ReduceMean", value);
}

static int sum(struct gradient *g, int value)
{
    return reduce(g, "ReduceSum", value);
}

static int sum_over(struct gradient *g, int value, const int64_t *axes, size_t count, bool keep)
{
    const int inputs[] = { value, gradient_ints(g, axes, count) };
    return gradient_node(g, "ReduceSum", inputs, 2,
                         (struct attribute[]){ GRADIENT_INT("keepdims", keep), { 0 } }, NULL, 1);
}

static int finish(const struct gradient *g, int value)
{
    return g->rc ? g->rc : value;
}

static int mix(struct gradient *g, const int shares[2], int first, int second)
{
    return gradient_op(g, "Add", gradient_op(g, "Mul", shares[0], first),
                       gradient_op(g, "Mul", shares[1], second));
}

/* Odds are 0 to 1. Usual powers are products. */
static int raise_to(struct gradient *g, int odds, float gamma)
{
    if (gamma == 1)
        return odds;
    if (gamma == 2)
        return gradient_op(g, "Mul", odds, odds);
    int positive = gradient_op(g, "Max", odds, gradient_scalar(g, ODDS_MIN));
    return gradient_op(g, "Pow", positive, gradient_scalar(g, (double)gamma));
}

/* Left, top, right and bottom, each … x 1. */
static void corners(struct gradient *g, int boxes, int at[4])
{
    int sizes = gradient_ints(g, (int64_t[]){ 1, 1, 1, 1 }, 4);
    memset(at, 0, 4 * sizeof *at);
    gradient_node(g, "Split", (int[]){ boxes, sizes }, 2,
                  (struct attribute[]){ GRADIENT_INT("axis", -1), { 0 } }, at, 4);
}

static int extent(struct gradient *g, int from, int to)
{
    return gradient_op(g, "Max", gradient_op(g, "Sub", to, from), gradient_scalar(g, 0));
}

static int area(struct gradient *g, const int at[4])
{
    return gradient_op(g, "Mul", extent(g, at[0], at[2]), extent(g, at[1], at[3]));
}
