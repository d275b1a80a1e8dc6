/* reduce_rows: what else is done along rows: which element is the largest, running sums, and what flows
 * back through extremes and products. */
#ifndef RUNESPOOR_CUDA_REDUCE_ROWS_H
#define RUNESPOOR_CUDA_REDUCE_ROWS_H

#include "cuda/fold.h"

struct arg_max {
    struct fold fold;
    struct fold_array from, to; /* to: i64 */
    int32_t last;               /* of equals the last one instead of the first */
};

/* Which element of each row is largest. As in a search from the first on by >: NaN is never found, and
 * a first element that is NaN never left. */
LAUNCHER void arg_max(const struct arg_max *args, void *stream);

struct cum_sum {
    struct fold fold; /* in one part */
    struct fold_array from, to;
    int32_t exclusive, reverse;
};

/* Each element with all before it in its row. count: rows. */
LAUNCHER void cum_sum(const struct cum_sum *args, int64_t count, void *stream);

/* Of a row's gradient and its elements from -> to of each element. */
struct reduce_share {
    struct fold fold; /* in one part */
    struct fold_array from, gradient, result, to;
};

/* The gradient is shared equally among those elements that equal the row's result. */
LAUNCHER void share_extreme(const struct reduce_share *args, int64_t rows, int64_t length,
                            void *stream);
/* Times the product of the row's others; without result. */
LAUNCHER void share_product(const struct reduce_share *args, int64_t rows, int64_t length,
                            void *stream);

#endif
