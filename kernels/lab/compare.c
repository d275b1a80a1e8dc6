/* compare: element by element, in doubles. */
#include "lab/compare.h"
#include <float.h>
#include <math.h>
#include <string.h>

/* What the differences of all elements add up to. */
struct sums {
    double largest, each, squares; /* of differences */
    double expected_largest, expected_squares;
};

static bool add_up(const struct tensor *got, const struct tensor *expected, struct sums *sums);
static double element(const struct tensor *tensor, int64_t i);
static bool is_float(enum tensor_type type);

double compare_tensors(const struct tensor *got, const struct tensor *expected, enum compare how)
{
    struct sums sums = { 0 };
    bool mixed = got->type != expected->type;
    if (!shape_equal(&got->shape, &expected->shape) ||
        (mixed && !(is_float(got->type) && is_float(expected->type))))
        return INFINITY;
    if (how == COMPARE_BITS || !is_float(got->type))
        return memcmp(got->data, expected->data, tensor_bytes(expected)) == 0 ? 0 : INFINITY;
    if (!add_up(got, expected, &sums))
        return INFINITY;
    double count = (double)shape_elements(&got->shape);
    switch (how) {
    case COMPARE_EACH:
        return sums.each;
    case COMPARE_LARGEST: /* the smallest normal number: what is below has fewer digits */
        return sums.largest / fmax(sums.expected_largest, FLT_MIN);
    case COMPARE_NORM:
        return count == 0
                   ? 0
                   : sqrt(sums.squares) / fmax(sqrt(sums.expected_squares), 0.01 * sqrt(count));
    default:
        return sums.largest == 0 ? 0 : INFINITY;
    }
}

/* False when one number is NaN or infinite and the other is not the same. */
static bool add_up(const struct tensor *got, const struct tensor *expected, struct sums *sums)
{
    for (int64_t i = 0, count = shape_elements(&got->shape); i < count; i++) {
        double a = element(got, i), b = element(expected, i);
        if (isfinite(b)) {
            sums->expected_largest = fmax(sums->expected_largest, fabs(b));
            sums->expected_squares += b * b;
        }
        if (a == b || (isnan(a) && isnan(b)))
            continue;
        if (!isfinite(a) || !isfinite(b))
            return false;
        double difference = fabs(a - b);
        sums->largest = fmax(sums->largest, difference);
        sums->each = fmax(sums->each, difference / fmax(fabs(b), 1));
        sums->squares += difference * difference;
    }
    return true;
}

static double element(const struct tensor *tensor, int64_t i)
{
    return tensor->type == TENSOR_F64 ? ((const double *)tensor->data)[i]
                                      : (double)((const float *)tensor->data)[i];
}

static bool is_float(enum tensor_type type)
{
    return type == TENSOR_F32 || type == TENSOR_F64;
}
