/* compare: what a tensor must be close to. */
#ifndef RUNESPOOR_TESTS_CONFORMANCE_COMPARE_H
#define RUNESPOOR_TESTS_CONFORMANCE_COMPARE_H

#include "tensor/tensor.h"

/* |got - wanted| <= absolute + relative * |wanted|, as ONNX's own runner has it. */
struct tolerance {
    double relative, absolute;
};

/* Type and shape are the same, whole numbers too; NaN equals NaN. Else what differs first is in err. */
bool tensor_close(const struct tensor *got, const struct tensor *wanted,
                  const struct tolerance *tolerance, struct error *err);

#endif
