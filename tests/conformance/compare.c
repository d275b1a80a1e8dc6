/* compare: element by element; how many differ is told with the first. */
#include "compare.h"
#include "tensor/number.h"
#include <math.h>
#include <string.h>

/* One step of bf16 and no more: older data is cut where the standard has come to round. (ONNX's own runner
 * compares the bits as whole numbers with its usual tolerance, which is 16 steps.) */
#define BFLOAT_STEP (1.0 / 128)

static bool close_enough(double got, double wanted, const struct tolerance *tolerance);

bool tensor_close(const struct tensor *got, const struct tensor *wanted,
                  const struct tolerance *tolerance, struct error *err)
{
    char left[128], right[128];
    shape_format(&got->shape, left, sizeof left);
    shape_format(&wanted->shape, right, sizeof right);
    if (got->type != wanted->type || !shape_equal(&got->shape, &wanted->shape)) {
        error_set(err, ERROR_FORMAT, "tensor", "%s of %s, expected %s of %s", left,
                  tensor_type_word(got->type), right, tensor_type_word(wanted->type));
        return false;
    }
    struct tolerance allowed = *tolerance;
    if (wanted->type == TENSOR_BF16 && allowed.relative < BFLOAT_STEP)
        allowed.relative = BFLOAT_STEP;
    int64_t count = shape_elements(&wanted->shape), first = -1, differ = 0;
    bool whole = tensor_type_is_whole(wanted->type);
    for (int64_t i = 0; i < count; i++) {
        bool same = whole ? number_load_whole(got, i) == number_load_whole(wanted, i)
                          : close_enough(number_load(got, i), number_load(wanted, i), &allowed);
        if (!same && differ++ == 0)
            first = i;
    }
    if (differ > 0)
        error_set(err, ERROR_FORMAT, "element", "%lld is %.9g, expected %.9g; %lld of %lld differ",
                  (long long)first, number_load(got, first), number_load(wanted, first),
                  (long long)differ, (long long)count);
    return differ == 0;
}

static bool close_enough(double got, double wanted, const struct tolerance *tolerance)
{
    if (isnan(wanted) || isnan(got))
        return isnan(wanted) && isnan(got);
    return got == wanted ||
           fabs(got - wanted) <= tolerance->absolute + tolerance->relative * fabs(wanted);
}
