/* choose: how a convolution is computed, and with that how its activations lie. One answer for forward
 * and backward, so that nothing is rearranged between convolutions in either direction.
 *
 * Forward and both gradients of one convolution have the same window, so all of them ask
 * choose_winograd, and by this method input, output and their gradients are blocked. What is left goes
 * the direct way, blocked where what it follows already is, channels-last everywhere else. */
#ifndef RUNESPOOR_CPU_CHOOSE_H
#define RUNESPOOR_CPU_CHOOSE_H

#include "cpu/build.h"
#include "ops/window.h"

enum choice {
    CHOICE_LAST,     /* direct, channels-last */
    CHOICE_BLOCKED,  /* direct, blocked; an input of fewer channels than a block is row-major */
    CHOICE_WINOGRAD, /* blocked */
};

/* Whether Winograd's method is the fastest for Conv with this window, its gradients included. */
bool choose_winograd(const struct build *build, const struct window *window);
/* For a convolution (or the gradient of one) with this window that makes the value `to` of `from`;
 * type is what it computes in. oneDNN may still refuse, or have slow code only: the next best after
 * anything is CHOICE_LAST. */
int choose_convolution(struct build *build, const struct window *window, enum tensor_type type,
                       int from, int to, enum choice *choice, struct error *err);
/* The layouts that go with a choice. */
struct layout choice_layout(enum choice choice, enum tensor_type type, const struct shape *shape);
/* False if what was chosen would need too much scratch memory. */
bool choice_fits(dnnl_primitive_desc_t pd);
dnnl_alg_kind_t choice_algorithm(enum choice choice);

#endif
