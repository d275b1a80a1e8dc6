/* op: the table itself, put together from the families. */
#include "ops/op.h"
#include "ops/families.h"
#include "ops/real.h"
#include <assert.h>
#include <pthread.h>
#include <string.h>

#define ROWS_MAX 512

static const struct op_family *const families[] = {
    &conv_family, &pool_family,  &unary_family,  &binary_family,    &matmul_family, &shape_family,
    &move_family, &slice_family, &resize_family, &normalise_family, &reduce_family, &cast_family,
    &pool_gradient_family, &move_gradient_family, &slice_gradient_family,
    &resize_gradient_family,
    &conv_gradient_family, &sum_to_family,
    &unary_gradient_family, &binary_gradient_family, &reduce_gradient_family,
    &normalise_gradient_family, &optimise_family,
    &loss_family, &picture_family, &labels_family, &boxes_family,
    &control_family, &recurrent_family,
    &clip_family, &power_family, &compare_family, &bitwise_family,
    &cumulate_family, &rank_family, &blocks_family, &gather_family, &scatter_family,
    &generate_family, &arrange_family, &select_family, &einsum_family, &determinant_family,
    &unpool_family, &roi_family, &grid_family, &nms_family, &col2im_family,
    &center_crop_family, &deform_family, &layer_norm_family, &lp_norm_family, &dft_family,
    &spectrum_family,
    &quantise_family, &quantise_conv_family, &quantise_matmul_family, &quantise_own_family,
};

static const struct op *rows[ROWS_MAX];
static size_t row_count;

static void collect_rows(void);

const struct op *op_find(const char *name, int opset)
{
    size_t count;
    const struct op *const *all = op_all(&count);
    const struct op *newest = NULL;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(all[i]->name, name) != 0)
            continue;
        if (opset >= all[i]->opset_min && opset <= all[i]->opset_max)
            return all[i];
        if (!newest || all[i]->opset_max > newest->opset_max)
            newest = all[i];
    }
    return opset == 0 ? newest : NULL;
}

const struct op *const *op_all(size_t *count)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, collect_rows);
    *count = row_count;
    return rows;
}

static void collect_rows(void)
{
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        for (size_t i = 0; i < families[f]->count; i++) {
            assert(row_count < ROWS_MAX);
            rows[row_count++] = &families[f]->rows[i];
        }
}
