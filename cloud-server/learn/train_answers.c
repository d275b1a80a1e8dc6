/* train_answers: how far what a network says of restored pictures is from what it says of their sources, in
 * the terms of its head. Of areas: cross-entropy with its own scores, soft labels as in distillation (Hinton,
 * Vinyals and Dean, 2015). Of boxes: cross-entropy of scores with what it draws in the source, and the distance
 * of boxes there. Unlike a distance of numbers it pulls on what has been missed altogether, where scores are
 * flat, asks for what decides, a score above the threshold, and leaves alone what boxes a detector would draw
 * where nothing is. */
#include "learn/train_parts.h"

#define SCORE_FLOOR \
    1e-3 /* under probabilities, before their logarithm: what bf16 can still add to 0 */
#define STEEPNESS 50.0 /* from nothing to a box within a fiftieth of the scores' range */
/* F1 is best at a threshold of half of it, below those that cards have; and damage makes detectors miss, not
 * see what is not there. */
#define MISS_WEIGHT 2.0
#define BOX_NUMBERS 4
#define OBJECTNESS BOX_NUMBERS
#define CLASSES (OBJECTNESS + 1)

/* Columns of the last of three dimensions. */
static int columns(struct compose *c, int x, int64_t from, int64_t to)
{
    const int64_t axis = 2;
    const int inputs[] = { x, compose_ints(c, &from, 1), compose_ints(c, &to, 1),
                           compose_ints(c, &axis, 1) };
    return compose_node(c, "Slice", inputs, 4, NULL);
}

static int sum(struct compose *c, int x)
{
    const struct attribute attributes[] = { COMPOSE_INT("keepdims", 0), { 0 } };
    return compose_node(c, "ReduceSum", &x, 1, attributes);
}

static int log_above(struct compose *c, int probability)
{
    return compose_op(c, "Log", compose_op(c, "Add", probability, compose_scalar(c, SCORE_FLOOR)),
                      -1);
}

/* What the head compares with its threshold: objectness times class scores. */
static int scores(struct compose *c, int rows, int64_t numbers)
{
    return compose_op(c, "Mul", columns(c, rows, OBJECTNESS, CLASSES),
                      columns(c, rows, CLASSES, numbers));
}

/* 1 where the head would draw a box, 0 elsewhere, and what is between in the threshold's neighbourhood. */
static int drawn(struct compose *c, int scores, double threshold)
{
    int apart = compose_op(c, "Sub", scores, compose_scalar(c, threshold));
    int steep = compose_op(c, "Mul", apart, compose_scalar(c, STEEPNESS));
    const int inputs[] = { compose_op(c, "Add", steep, compose_scalar(c, 0.5)),
                           compose_scalar(c, 0), compose_scalar(c, 1) };
    return compose_node(c, "Clip", inputs, 3, NULL);
}

/* Binary cross-entropy, number by number, misses weighted. */
static int cross_entropy(struct compose *c, int says, int wanted)
{
    int one = compose_scalar(c, 1);
    int yes = compose_op(c, "Mul", wanted, log_above(c, says));
    int no = compose_op(c, "Mul", compose_op(c, "Sub", one, wanted),
                        log_above(c, compose_op(c, "Sub", one, says)));
    yes = compose_op(c, "Mul", yes, compose_scalar(c, MISS_WEIGHT));
    return compose_op(c, "Neg", compose_op(c, "Add", yes, no), -1);
}

static int sum_of_rows(struct compose *c, int x)
{
    const int64_t axis = 2;
    const int inputs[] = { x, compose_ints(c, &axis, 1) };
    return compose_node(c, "ReduceSum", inputs, 2, NULL);
}

/* Rows of box, objectness and class scores (head_yolox.c). The source's boxes are the truth. As in the
 * training of YOLOX (Ge et al., 2021) sums are divided by the number of objects; one is added, for pictures
 * without any. */
static int yolox(struct compose *c, int says, int wanted, double threshold)
{
    int64_t numbers = compose_shape(c, says)->dim[2];
    if (!c->rc && (compose_shape(c, says)->rank != 3 || numbers <= CLASSES))
        c->rc =
            error_set(c->err, ERROR_CONFIG, "analytics.model", "does not give rows as yolox does");
    int objects = drawn(c, scores(c, wanted, numbers), threshold);
    int missed = cross_entropy(c, scores(c, says, numbers), objects);
    int apart =
        compose_op(c, "Sub", columns(c, says, 0, BOX_NUMBERS), columns(c, wanted, 0, BOX_NUMBERS));
    int boxes = compose_op(c, "Mul", sum_of_rows(c, objects), compose_op(c, "Abs", apart, -1));
    int all = compose_op(c, "Add", sum(c, missed), sum(c, boxes));
    return compose_op(c, "Div", all, compose_op(c, "Add", sum(c, objects), compose_scalar(c, 1)));
}

/* Scores of any scale for each pixel and class: dimension 1. */
static int areas(struct compose *c, int says, int wanted)
{
    const struct attribute axis[] = { COMPOSE_INT("axis", 1), { 0 } };
    const struct attribute whole[] = { COMPOSE_INT("keepdims", 0), { 0 } };
    int64_t classes = compose_shape(c, says)->dim[1];
    if (!c->rc && compose_shape(c, says)->rank != 4)
        c->rc = error_set(c->err, ERROR_CONFIG, "analytics.model",
                          "does not give scores for each pixel");
    int product = compose_op(c, "Mul", compose_node(c, "Softmax", &wanted, 1, axis),
                             compose_node(c, "LogSoftmax", &says, 1, axis));
    int mean = compose_node(c, "ReduceMean", &product, 1, whole);
    return compose_op(c, "Mul", mean, compose_scalar(c, -(double)classes));
}

bool train_answers_known(int head_kind)
{
    return head_kind == HEAD_YOLOX || head_kind == HEAD_SEGMENT;
}

int train_answers_apart(const struct train *train, struct compose *c, int says, int wanted)
{
    return train->analytics.card->head.kind == HEAD_YOLOX
               ? yolox(c, says, wanted, train->analytics.card->head.score)
               : areas(c, says, wanted);
}
