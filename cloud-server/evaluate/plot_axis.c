/* plot_axis: see the header. */
#include "evaluate/plot_axis.h"
#include <math.h>

#define TICKS_WANTED 6
#define LOG_TICKS_MIN 3u  /* with fewer, a logarithmic axis gets even ticks */
#define LOG_TICKS_MAX 12u /* with more, only powers of ten */
#define LEAST_RANGE 1e-9  /* of the values */
#define LEAST_WIDTH 1e-300
#define SLACK 1e-6 /* of a step: rounding must not lose the last tick */

void axis_widen(struct axis *axis)
{
    double least = LEAST_RANGE * fmax(fabs(axis->low), fabs(axis->high)) + LEAST_WIDTH;
    if (axis->high - axis->low > least)
        return;
    double margin = fabs(axis->low) > LEAST_WIDTH ? fabs(axis->low) * 0.1 : 1;
    axis->low -= margin;
    axis->high += margin;
}

/* 1, 2 or 5 times a power of ten, so that a range has about TICKS_WANTED of them. */
static double nice_step(double range)
{
    double rough = range / TICKS_WANTED, power = pow(10, floor(log10(rough)));
    double leading = rough / power;
    return power * (leading < 1.5 ? 1 : leading < 3.5 ? 2 : leading < 7.5 ? 5 : 10);
}

void axis_round(struct axis *axis)
{
    double step = nice_step(axis->high - axis->low);
    axis->low = floor(axis->low / step + SLACK) * step;
    axis->high = ceil(axis->high / step - SLACK) * step;
}

static size_t even_ticks(const struct axis *axis, double *ticks)
{
    double step = nice_step(axis->high - axis->low);
    double first = ceil(axis->low / step - SLACK), last = floor(axis->high / step + SLACK);
    size_t count = 0;
    for (double k = first; k <= last && count < AXIS_TICKS_MAX; k++)
        ticks[count++] = k * step + 0.0; /* + 0.0: no minus zero */
    return count;
}

/* 1, 2 and 5 times each power of ten (leading_count 3), or powers of ten alone (1). */
static size_t log_ticks(const struct axis *axis, int leading_count, double *ticks)
{
    static const double leading[] = { 1, 2, 5 };
    int first = (int)floor(log10(axis->low)), last = (int)floor(log10(axis->high));
    size_t count = 0;
    for (int power = first; power <= last; power++)
        for (int k = 0; k < leading_count && count < AXIS_TICKS_MAX; k++) {
            double value = leading[k] * pow(10, power);
            if (value >= axis->low * (1 - SLACK) && value <= axis->high * (1 + SLACK))
                ticks[count++] = value;
        }
    return count;
}

size_t axis_ticks(const struct axis *axis, double ticks[AXIS_TICKS_MAX])
{
    if (!axis->log)
        return even_ticks(axis, ticks);
    size_t count = log_ticks(axis, 3, ticks);
    if (count > LOG_TICKS_MAX)
        return log_ticks(axis, 1, ticks);
    return count < LOG_TICKS_MIN ? even_ticks(axis, ticks) : count;
}

double axis_share(const struct axis *axis, double value)
{
    if (!axis->log)
        return (value - axis->low) / (axis->high - axis->low);
    /* Not the logarithm of quotients, which may overflow. */
    return (log(value) - log(axis->low)) / (log(axis->high) - log(axis->low));
}
