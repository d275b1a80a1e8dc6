/* beta: the distribution of a share that is known from a number of equal frames, which may be a fraction. */
#ifndef RUNESPOOR_CONTROL_BETA_H
#define RUNESPOOR_CONTROL_BETA_H

#include <stdbool.h>

/* The chance that the share is below x: Beta(mean * frames, (1 - mean) * frames). Sums of the binomial
 * distribution are values of this function. mean and x lie inside 0..1, frames above 0. */
double beta_below(double mean, double frames, double x);

/* The 97.5 % (high) or 2.5 % quantile of the one with that mean and variance, to 2^-50; within a
 * hundredth of its deviation where a normal distribution stands for it. variance: above 0. */
double beta_quantile(double mean, double variance, bool high);

#endif
