/* train_answers: how far what a network says of restored pictures is from what it says of their sources, in
 * the terms of its head: cross-entropy with its own scores, soft labels as in distillation (Hinton, Vinyals
 * and Dean, 2015), and, of a detector, the distance of boxes where it saw something. Unlike a distance of
 * numbers it pulls on what has been missed altogether, where scores are flat, and leaves alone what boxes a
 * detector would draw where nothing is. */
#include "learn/train_parts.h"

#define SCORE_FLOOR \
    1e-3 /* under probabilities, before their logarithm: what bf16 can still add to 0 */
/* What a miss weighs beside a false alarm. With even weights a score becomes the probability that there was
 * something; but a box raises F1 from a probability of F1 / 2 on (Lipton, Elkan and Naryanaswamy, 2014): at the F1
 * of low bitrates less than the 0.45 from which the default detector's boxes count. */
#define MISS_WEIGHT 1.5
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

/* Binary cross-entropy, number by number. */
static int cross_entropy(struct compose *c, int says, int wanted)
{
    int one = compose_scalar(c, 1);
    int yes = compose_op(c, "Mul", compose_op(c, "Mul", wanted, compose_scalar(c, MISS_WEIGHT)),
                         log_above(c, says));
    int no = compose_op(c, "Mul", compose_op(c, "Sub", one, wanted),
                        log_above(c, compose_op(c, "Sub", one, says)));
    return compose_op(c, "Neg", compose_op(c, "Add", yes, no), -1);
}

/* Rows of box, objectness and class scores (head_yolox.c). As in the training of YOLOX (Ge et al., 2021)
 * sums are divided by the number of objects: here by the sum of the source's objectness, and one, for
 * pictures without any. Boxes and classes count as much as the source is sure of an object. */
static int yolox(struct compose *c, int says, int wanted)
{
    int64_t numbers = compose_shape(c, says)->dim[2];
    if (!c->rc && (compose_shape(c, says)->rank != 3 || numbers <= CLASSES))
        c->rc =
            error_set(c->err, ERROR_CONFIG, "analytics.model", "does not give rows as yolox does");
    int sure = columns(c, wanted, OBJECTNESS, CLASSES);
    int objects = cross_entropy(c, columns(c, says, OBJECTNESS, CLASSES), sure);
    int classes =
        cross_entropy(c, columns(c, says, CLASSES, numbers), columns(c, wanted, CLASSES, numbers));
    int apart =
        compose_op(c, "Sub", columns(c, says, 0, BOX_NUMBERS), columns(c, wanted, 0, BOX_NUMBERS));
    int boxes = compose_op(c, "Abs", apart, -1);
    int all = compose_op(c, "Add", sum(c, objects),
                         compose_op(c, "Add", sum(c, compose_op(c, "Mul", sure, classes)),
                                    sum(c, compose_op(c, "Mul", sure, boxes))));
    return compose_op(c, "Div", all, compose_op(c, "Add", sum(c, sure), compose_scalar(c, 1)));
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
    return train->analytics.card->head.kind == HEAD_YOLOX ? yolox(c, says, wanted)
                                                          : areas(c, says, wanted);
}
