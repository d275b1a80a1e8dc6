/* reduce: sums in f32, in an order that is always the same. */
#include "cuda/reduce.h"

struct reduce_total {
    float sum;
};

CUDA_FN void reduce_lane(const struct reduce *args, int64_t row, int lane, int lanes,
                         struct reduce_total *total)
{
    int64_t first = view_at(&args->kept, row);
    total->sum = 0;
    for (int64_t i = lane; i < args->length; i += lanes)
        total->sum += element_load(args->kept.data, args->kept.type,
                                   first + view_at(&args->folded, i));
}

CUDA_FN void reduce_merge(struct reduce_total *total, const struct reduce_total *other)
{
    total->sum += other->sum;
}

CUDA_FN void reduce_finish(const struct reduce *args, int64_t row, int lane, int lanes,
                           const struct reduce_total *total)
{
    (void)lanes;
    if (lane == 0)
        view_store(&args->to, row, args->scale * total->sum);
}

ROWS_KERNEL(reduce_sum, struct reduce, struct reduce_total, reduce_lane, reduce_merge, reduce_finish)
