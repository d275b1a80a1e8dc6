/* optimise_functions: what is the same for all weights in a step of training, written once for the
 * processor and for kernels of a GPU, whose compiler is told by OPTIMISE_FN. */
#ifndef RUNESPOOR_OPS_OPTIMISE_FUNCTIONS_H
#define RUNESPOOR_OPS_OPTIMISE_FUNCTIONS_H

#include <math.h>
#include <stdbool.h>

#ifndef OPTIMISE_FN
#define OPTIMISE_FN static inline
#endif

#define CLIP_NORM_OFFSET 1e-6 /* of clip_grad_norm_ */

struct adam {
    double beta1, beta2, epsilon, weight_decay;
    bool decoupled; /* AdamW */
};
/* What is the same for all weights in the given step, which counts from 1:
 *     slope = gradient + decay * w, m and v renewed with it,
 *     w = keep * w - rate * m / (sqrt(v) * root + epsilon) */
struct adam_step {
    double keep, decay, rate, root;
};

OPTIMISE_FN void adam_step(const struct adam *adam, double step, double rate, struct adam_step *now)
{
    double correction1 = 1 - pow(adam->beta1, step), correction2 = 1 - pow(adam->beta2, step);
    now->keep = adam->decoupled ? 1 - rate * adam->weight_decay : 1;
    now->decay = adam->decoupled ? 0 : adam->weight_decay;
    now->rate = rate / correction1;
    now->root = 1 / sqrt(correction2);
}

/* What gradients whose squares add up to `squares` are multiplied with. A norm that is not a number stays
 * one, as in PyTorch: training that has gone wrong shows it. */
OPTIMISE_FN double clip_factor(double squares, double max_norm)
{
    double factor = max_norm / (sqrt(squares) + CLIP_NORM_OFFSET);
    return factor > 1 ? 1 : factor;
}

#endif
