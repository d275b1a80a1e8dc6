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
    CHOICE_WINOGRAD, /* blocked; channels that fill no blocks are channels-last, and the primitive
                        sees a copy that is filled up with zeros */
};

/* Whether Winograd's method is the fastest for Conv with this window, its gradients included. */
bool choose_winograd(const struct build *build, const struct window *window);
/* For a convolution (or the gradient of one) with this window that makes the value `to` of `from`;
 * type is what it computes in. oneDNN may still refuse, or have slow code only: the next best after
 * anything is CHOICE_LAST. */
int choose_convolution(struct build *build, const struct window *window, enum tensor_type type,
                       int from, int to, enum choice *choice, struct error *err);
/* The layout that goes with a choice: how an input is wanted, how an output lies. */
struct layout choice_layout(enum choice choice, enum tensor_type type, const struct shape *shape);
/* The same as the primitive sees it, and whether that is something else. */
bool choice_md(enum choice choice, const struct layout *layout, dnnl_memory_desc_t *md);
/* The value in this layout for the primitive to read, filled up if necessary; one of three dimensions as
 * an image of one row. */
int choice_read(struct build *build, enum choice choice, int value, const struct layout *layout,
                struct cpu_place **seen, struct error *err);
/* A place for the primitive to write what shall be at `place`; choice_finish then brings it there. */
int choice_write(struct build *build, enum choice choice, struct cpu_place *place,
                 struct cpu_place **seen, struct error *err);
int choice_finish(struct build *build, struct cpu_place *seen, struct cpu_place *place,
                  struct error *err);
/* False if what was chosen would need too much scratch memory. */
bool choice_fits(dnnl_primitive_desc_t pd);
dnnl_alg_kind_t choice_algorithm(enum choice choice);
/* Forward, what oneDNN is told the convolution is for. */
dnnl_prop_kind_t choice_purpose(enum choice choice, bool constant_weights);

#endif
