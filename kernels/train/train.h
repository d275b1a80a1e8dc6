/* train: turns a graph with a loss into one that learns: gradients, clipping, an optimiser's step and a
 * moving average of the weights, all in one static plan. A run of the plan is a step of training.
 *
 *     train_make(graph, loss, &options, &err);      graph: inferred for the batch, loss: one number
 *     device_compile(device, graph, …, &plan, &err);
 *     for each batch: fill the inputs and the learning rate, plan_run, read the loss
 *     train_store(plan, model, "", false, &err);    back into the model that it came from */
#ifndef RUNESPOOR_TRAIN_TRAIN_H
#define RUNESPOOR_TRAIN_TRAIN_H

#include "device.h"

/* Name of the input that train_make adds behind the others: f32, rank 0, the step's learning rate. A
 * schedule is the caller's. */
#define TRAIN_RATE_INPUT "learning_rate"
/* What the average of a weight is called behind the weight's own name. */
#define TRAIN_AVERAGE_SUFFIX ".average"

enum optimiser { OPTIMISER_SGD, OPTIMISER_ADAM, OPTIMISER_ADAMW };

/* Formulas, defaults and their order are PyTorch's (torch.optim.SGD, Adam, AdamW). */
struct train_options {
    enum optimiser optimiser;
    float momentum;            /* SGD; 0: none */
    float beta1, beta2, epsilon; /* Adam and AdamW */
    float weight_decay;        /* SGD, Adam: added to the gradient; AdamW: apart from it */
    float clip_norm;           /* largest norm of all gradients together; 0: not clipped */
    float average_decay;       /* of the weights' exponential moving average; 0: none is kept */
    /* Says of a parameter by its name whether it learns; NULL: all do. What does not is frozen: it
     * costs no gradient, and its batch normalisations stay as they are. */
    bool (*learns)(const char *name, void *arg);
    void *arg;
    bool recompute; /* see autodiff.h */
    const int *kept;
    int kept_count;
};

#define TRAIN_OPTIONS_DEFAULT                                                                  \
    {                                                                                          \
        .optimiser = OPTIMISER_ADAM, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f,         \
    }

/* Parameters are the weights of convolutions, products, PRelu and normalisations that are constants
 * of the graph. Those that learn become states; a BatchNormalization whose scale learns works on the
 * batch and keeps running statistics. Outputs stay what they were; loss becomes the last one. Fails
 * when nothing learns, and names an op without a gradient. */
int train_make(struct graph *graph, int loss, const struct train_options *options,
               struct error *err);

/* Copies the plan's states to the constants of model whose names, behind prefix, they have; with
 * averaged the averages instead. Gives how many were copied. */
int train_store(struct plan *plan, struct graph *model, const char *prefix, bool averaged,
                struct error *err);

#endif
