/* derivative: the gradients of a small graph, several ways. In doubles (lab/double.h) they are
 * compared with central differences; the float interpreter and a device are then compared with the
 * doubles. */
#ifndef RUNESPOOR_LAB_DERIVATIVE_H
#define RUNESPOOR_LAB_DERIVATIVE_H

#include "base/random.h"
#include "device.h"

#define DERIVATIVE_VALUES_MAX 16 /* inputs or outputs of a graph */

struct derivative {
    /* Content of the graph's inputs. */
    const struct tensor *const *inputs;
    struct random_state *random; /* for the seeds of the outputs */
    struct device *device;       /* NULL: only the interpreters are compared */
    int seeded;                  /* outputs that are differentiated, the first ones; 0: all */
    double f32_bound;            /* of COMPARE_NORM; below 1e-5 there is nothing to demand */
    double bf16_bound;           /* 0: not tried */
    /* What came out: the largest of each. */
    double difference_error; /* of doubles against differences, over the gradient's largest element
                                or 1 */
    double float_error, f32_error, bf16_error;
    int compared; /* elements of inputs whose differences were taken */
};

/* Differentiates what the graph's f32 outputs, weighted by random seeds, add up to with respect to
 * its f32 inputs. The graph is inferred; its outputs become the gradients. The error says which
 * comparison fails, and where. */
int derivative_check(struct graph *graph, struct derivative *derivative, struct error *err);

#endif
