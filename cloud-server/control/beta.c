/* beta: see the header. */
#include "control/beta.h"

#include <math.h>

#define TAIL_CHANCE 0.025 /* on either side */
#define NORMAL_975 1.959963984540054
/* Beta's skewness is 0.02 where frames * mean * (1 - mean) is so much, and what a normal distribution is
 * off by a hundredth of its deviation. */
#define NORMAL_FROM 1e4
#define FAR_EXPONENT 40.0        /* a chance below e^-40 is none */
#define FRACTION_TERMS_MAX 10000 /* some times the root of the number of frames are needed */
#define FRACTION_TINY 1e-300
#define FRACTION_EXACT 1e-14
#define QUANTILE_STEPS 50

static double not_zero(double value)
{
    return fabs(value) < FRACTION_TINY ? FRACTION_TINY : value;
}

/* The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method. */
static double beta_fraction(double a, double b, double x)
{
    double upper = 1, lower = 1 / not_zero(1 - (a + b) * x / (a + 1)), value = lower, change = 0;
    for (int m = 1; m < FRACTION_TERMS_MAX && fabs(change - 1) > FRACTION_EXACT; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        lower = 1 / not_zero(1 + even * lower);
        upper = not_zero(1 + even / upper);
        value *= lower * upper;
        lower = 1 / not_zero(1 + odd * lower);
        upper = not_zero(1 + odd / upper);
        change = lower * upper;
        value *= change;
    }
    return value;
}

double beta_below(double mean, double frames, double x)
{
    double a = mean * frames, b = (1 - mean) * frames;
    double far = a * log(mean / x) + b * (log1p(-mean) - log1p(-x)); /* Chernoff's exponent */
    int sign;
    if (far > FAR_EXPONENT)
        return x < mean ? 0 : 1;
    double factor = exp(lgamma_r(a + b, &sign) - lgamma_r(a, &sign) - lgamma_r(b, &sign) +
                        a * log(x) + b * log1p(-x));
    if (x * (a + b + 2) < a + 1)
        return factor * beta_fraction(a, b, x) / a;
    return 1 - factor * beta_fraction(b, a, 1 - x) / b;
}

double beta_quantile(double mean, double variance, bool high)
{
    double frames = mean * (1 - mean) / variance, left = 0, right = 1;
    if (frames * mean * (1 - mean) > NORMAL_FROM)
        return mean + (high ? NORMAL_975 : -NORMAL_975) * sqrt(variance);
    for (int i = 0; i < QUANTILE_STEPS; i++) {
        double middle = (left + right) / 2;
        bool below = beta_below(mean, frames, middle) < (high ? 1 - TAIL_CHANCE : TAIL_CHANCE);
        *(below ? &left : &right) = middle;
    }
    return (left + right) / 2;
}
