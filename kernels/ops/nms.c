/* nms: NonMaxSuppression. How many boxes remain depends on their values, and a plan's shapes do not: so
 * it is done where boxes and scores are constants, and refused elsewhere. (box_nms in boxes.c, with
 * lists of fixed size, is what a plan can have.) */
#include "ops/families.h"
#include "ops/rules.h"
#include <stdlib.h>

#define CORNERS 4
#define ROW 3 /* numbers of an answer: picture, class, box */
#define COMPARISONS_MAX \
    ((int64_t)1 << 26) /* at the worst, as it is done while shapes are inferred */

enum { BOXES, SCORES, MOST, IOU, SCORE, INPUTS };

static int nms_shape(const struct node *node, const struct op_values *values, struct error *err);
static int nms_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    /* (boxes of N x boxes x 4, scores of N x classes x boxes, [most boxes of a class], [largest overlap],
     * [least score]) -> rows of picture, class, box */
    { OP_ROW("NonMaxSuppression", 2, INPUTS, 1, 10, OPSET_MAX, nms_shape, nms_reference),
      OP_ATTRIBUTES({ "center_point_box", ATTRIBUTE_INT }) },
};
const struct op_family nms_family = OP_FAMILY(rows);

struct nms {
    const real *boxes, *scores;
    int64_t pictures, classes, count, most; /* count: boxes of a picture */
    double iou, score;
    bool centred;
};

static double read_number(const struct tensor *tensor, double fallback)
{
    return tensor ? (double)*(const real *)tensor->data : fallback;
}

static struct nms read_nms(const struct node *node, const struct tensor *const in[INPUTS])
{
    const struct shape *scores = &in[SCORES]->shape;
    struct nms nms = {
        .boxes = in[BOXES]->data,
        .scores = in[SCORES]->data,
        .pictures = scores->dim[0],
        .classes = scores->dim[1],
        .count = scores->dim[2],
        .most = in[MOST] ? rule_int_at(in[MOST], 0) : 0,
        .iou = read_number(in[IOU], 0),
        .score = read_number(in[SCORE], -INFINITY),
        .centred = node_int(node, "center_point_box", 0) != 0,
    };
    nms.most = nms.most < 0 ? 0 : nms.most < nms.count ? nms.most : nms.count;
    return nms;
}

/* Low and high ends of a box, in either order in the list. */
static void read_box(const struct nms *nms, int64_t at, double low[2], double high[2])
{
    const real *box = nms->boxes + at * CORNERS;
    for (int i = 0; i < 2; i++) {
        double a = (double)box[i], b = (double)box[2 + i];
        if (nms->centred) {
            low[i] = a - b / 2;
            high[i] = a + b / 2;
        } else {
            low[i] = fmin(a, b);
            high[i] = fmax(a, b);
        }
    }
}

static bool overlap(const struct nms *nms, int64_t a, int64_t b)
{
    double a_low[2], a_high[2], b_low[2], b_high[2], both = 1, a_area = 1, b_area = 1;
    read_box(nms, a, a_low, a_high);
    read_box(nms, b, b_low, b_high);
    for (int i = 0; i < 2; i++) {
        both *= fmax(fmin(a_high[i], b_high[i]) - fmax(a_low[i], b_low[i]), 0);
        a_area *= a_high[i] - a_low[i];
        b_area *= b_high[i] - b_low[i];
    }
    if (!(a_area > 0) || !(b_area > 0))
        return false;
    return both / (a_area + b_area - both) > nms->iou;
}

/* The best box behind `last` (-1: of all), by falling score, the first one of equals; -1: none. */
static int64_t next_best(const struct nms *nms, const real *scores, int64_t last)
{
    int64_t best = -1;
    for (int64_t i = 0; i < nms->count; i++) {
        if (!((double)scores[i] > nms->score))
            continue;
        if (last >= 0 && !(scores[i] < scores[last] || (scores[i] == scores[last] && i > last)))
            continue;
        if (best < 0 || scores[i] > scores[best])
            best = i;
    }
    return best;
}

/* Writes the rows of one class; gives how many. */
static int64_t choose_boxes(const struct nms *nms, int64_t picture, int64_t class, int64_t *list)
{
    const real *scores = nms->scores + (picture * nms->classes + class) * nms->count;
    int64_t chosen = 0, first = picture * nms->count;
    int64_t at = nms->most ? next_best(nms, scores, -1) : -1;
    for (; at >= 0 && chosen < nms->most; at = next_best(nms, scores, at)) {
        bool taken = true;
        for (int64_t k = 0; taken && k < chosen; k++)
            taken = !overlap(nms, first + list[k * ROW + 2], first + at);
        if (!taken)
            continue;
        list[chosen * ROW] = picture;
        list[chosen * ROW + 1] = class;
        list[chosen++ * ROW + 2] = at;
    }
    return chosen;
}

static int check_inputs(const struct op_values *values, struct error *err)
{
    int rc = rule_input(values, BOXES, "boxes", TYPE(REAL), 3, 3, err);
    if (rc || (rc = rule_input(values, SCORES, "scores", TYPE(REAL), 3, 3, err)))
        return rc;
    if (values->in[MOST])
        rc = rule_input(values, MOST, "max_output_boxes_per_class", TYPE(I64), 0, 1, err);
    for (int i = IOU; !rc && i < INPUTS; i++)
        if (values->in[i])
            rc = rule_input(values, i, "threshold", TYPE(REAL), 0, 1, err);
    for (int i = MOST; !rc && i < INPUTS; i++)
        if (values->in[i] && shape_elements(&values->in[i]->shape) != 1)
            rc = error_set(err, ERROR_FORMAT, "limits", "one number each expected");
    if (rc)
        return rc;
    const int64_t *boxes = values->in[BOXES]->shape.dim, *scores = values->in[SCORES]->shape.dim;
    if (boxes[0] != scores[0] || boxes[1] != scores[2] || boxes[2] != CORNERS)
        return error_set(err, ERROR_FORMAT, "boxes",
                         "%lldx%lldx%lld; %lldx%lldx4 goes with the scores", (long long)boxes[0],
                         (long long)boxes[1], (long long)boxes[2], (long long)scores[0],
                         (long long)scores[2]);
    int64_t pairs = scores[2] > INT32_MAX ? INT64_MAX : scores[2] * scores[2];
    int64_t lists = shape_span(&values->in[SCORES]->shape, 0, 2);
    if (lists > 0 && pairs > COMPARISONS_MAX / lists)
        return error_set(err, ERROR_LIMIT, "boxes", "%lld for each of %lld classes are too many",
                         (long long)scores[2], (long long)lists);
    return 0;
}

static int nms_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    const struct tensor *in[INPUTS];
    int rc = check_inputs(values, err);
    if (rc)
        return rc;
    for (int i = 0; i < INPUTS; i++) {
        in[i] = rule_constant(values, i);
        if (in[i] && !in[i]->data)
            return error_set(err, ERROR_UNSUPPORTED, i == BOXES ? "boxes" : "scores and limits",
                             "is computed from the input's values; it must be constant, as the "
                             "number of boxes that remain depends on it");
    }
    struct nms nms = read_nms(node, in);
    int64_t *list = malloc((size_t)(nms.count * ROW + 1) * sizeof *list), chosen = 0;
    if (!list)
        return error_set(err, ERROR_MEMORY, "boxes", "no memory left");
    for (int64_t n = 0; n < nms.pictures; n++)
        for (int64_t c = 0; c < nms.classes; c++)
            chosen += choose_boxes(&nms, n, c, list);
    free(list);
    rule_output(values, 0, TENSOR_I64, &(struct shape){ 2, { chosen, ROW } });
    return 0;
}

static int nms_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err)
{
    (void)err;
    struct nms nms = read_nms(node, in);
    int64_t *list = out[0]->data;
    for (int64_t n = 0; n < nms.pictures; n++)
        for (int64_t c = 0; c < nms.classes; c++)
            list += choose_boxes(&nms, n, c, list) * ROW;
    return 0;
}
