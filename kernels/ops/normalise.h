/* normalise: what the forward and the backward half of the normalisations share. */
#ifndef RUNESPOOR_OPS_NORMALISE_H
#define RUNESPOOR_OPS_NORMALISE_H

#include "ops/gradient.h"
#include "ops/real.h"

/* Inputs first … last each hold one number per channel. */
int rule_per_channel(const struct op_values *values, int first, int last, int64_t channels,
                     struct error *err);
/* Mean and 1 / deviation of a stretch of memory. */
void normalise_measure(const real *from, int64_t size, double epsilon, double *mean,
                       double *inverse_deviation);

/* Gradient rules, of rows in normalise.c. */
int softmax_gradient(struct gradient *g);
int log_softmax_gradient(struct gradient *g);
int batch_norm_gradient(struct gradient *g);
int batch_norm_train_gradient(struct gradient *g);
int instance_norm_gradient(struct gradient *g);
int layer_norm_gradient(struct gradient *g);

#endif
