/* pool_gradient: gradients of MaxPool and AveragePool, each with the forward op's attributes. The
 * gradient of a maximum goes to the first of the largest elements, row by row, as PyTorch and ONNX
 * Runtime have it. */
#include "ops/families.h"
#include "ops/rules.h"
#include "ops/window.h"
#include <string.h>

static int max_pool_grad_shape(const struct node *node, const struct op_values *values,
                               struct error *err);
static int max_pool_grad_reference(const struct node *node, const struct tensor *const *in,
                                   struct tensor *const *out, struct error *err);
static int average_pool_grad_shape(const struct node *node, const struct op_values *values,
                                   struct error *err);
static int average_pool_grad_reference(const struct node *node, const struct tensor *const *in,
                                       struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    { OP_ROW("max_pool_grad", 2, 2, 1, OPSET_OWN, OPSET_OWN, max_pool_grad_shape,
             max_pool_grad_reference),
      .heavy = true },
    { OP_ROW("average_pool_grad", 1, 1, 1, OPSET_OWN, OPSET_OWN, average_pool_grad_shape,
             average_pool_grad_reference),
      .heavy = true },
};
const struct op_family pool_gradient_family = OP_FAMILY(rows);

/* dy has the shape of what the forward op makes of `from`, and dx that of `from`. */
static int pool_grad_shape(const struct node *node, const struct op_values *values,
                           const struct shape *from, struct error *err)
{
    struct window window;
    struct shape shape;
    int rc = rule_input(values, 0, "dy", TYPE(REAL), from->rank, from->rank, err);
    if (rc || (rc = window_of_pool(node, from, &window, err)))
        return rc;
    window_output(&window, from->rank, &shape);
    if (!shape_equal(&shape, &values->in[0]->shape))
        return error_set(err, ERROR_FORMAT, "dy", "is not the output's shape");
    rule_output(values, 0, TENSOR_REAL, from);
    return 0;
}

static int max_pool_grad_shape(const struct node *node, const struct op_values *values,
                               struct error *err)
{
    int rc = rule_input(values, 1, "x", TYPE(REAL), 3, 4, err);
    return rc ? rc : pool_grad_shape(node, values, &values->in[1]->shape, err);
}

static int average_pool_grad_shape(const struct node *node, const struct op_values *values,
                                   struct error *err)
{
    struct shape from;
    int rc = rule_shape_attribute(node, "input_shape", &from, err);
    if (!rc && (from.rank < 3 || from.rank > 4))
        rc = error_set(err, ERROR_FORMAT, "input_shape", "%d dimensions", from.rank);
    return rc ? rc : pool_grad_shape(node, values, &from, err);
}

/* Where the largest element of a window is in its plane; -1: the window meets no element. */
static int64_t find_largest(const struct window *w, const real *plane,
                            const struct window_reach *rows_reach,
                            const struct window_reach *columns_reach)
{
    int64_t place = -1;
    for (int64_t ky = rows_reach->first; ky < rows_reach->end; ky++)
        for (int64_t kx = columns_reach->first; kx < columns_reach->end; kx++) {
            int64_t at = (rows_reach->start + ky * w->dilation[ROWS]) * w->in[COLUMNS] +
                         columns_reach->start + kx * w->dilation[COLUMNS];
            if (place < 0 || plane[at] > plane[place] || isnan(plane[at]))
                place = at;
        }
    return place;
}

static int max_pool_grad_reference(const struct node *node, const struct tensor *const *in,
                                   struct tensor *const *out, struct error *err)
{
    struct window w;
    int rc = window_of_pool(node, &in[1]->shape, &w, err);
    if (rc)
        return rc;
    const real *dy = in[0]->data;
    memset(out[0]->data, 0, tensor_bytes(out[0]));
    for (int64_t n = 0; n < w.batch * w.in_channels; n++) {
        const real *plane = (const real *)in[1]->data + n * w.in[ROWS] * w.in[COLUMNS];
        real *to = (real *)out[0]->data + n * w.in[ROWS] * w.in[COLUMNS];
        for (int64_t y = 0; y < w.out[ROWS]; y++) {
            struct window_reach rows_reach = window_reach_at(&w, ROWS, y);
            for (int64_t x = 0; x < w.out[COLUMNS]; x++, dy++) {
                struct window_reach columns_reach = window_reach_at(&w, COLUMNS, x);
                int64_t place = find_largest(&w, plane, &rows_reach, &columns_reach);
                if (place >= 0)
                    to[place] += *dy;
            }
        }
    }
    return 0;
}

static int average_pool_grad_reference(const struct node *node, const struct tensor *const *in,
                                       struct tensor *const *out, struct error *err)
{
    struct window w;
    int rc = window_of_pool(node, &out[0]->shape, &w, err);
    if (rc)
        return rc;
    bool count_padding = node_int(node, "count_include_pad", 0) != 0;
    const real *dy = in[0]->data;
    memset(out[0]->data, 0, tensor_bytes(out[0]));
    for (int64_t n = 0; n < w.batch * w.in_channels; n++) {
        real *to = (real *)out[0]->data + n * w.in[ROWS] * w.in[COLUMNS];
        for (int64_t y = 0; y < w.out[ROWS]; y++) {
            struct window_reach down = window_reach_at(&w, ROWS, y);
            for (int64_t x = 0; x < w.out[COLUMNS]; x++, dy++) {
                struct window_reach across = window_reach_at(&w, COLUMNS, x);
                double share = (double)*dy / (double)window_reach_count(&down, count_padding) /
                               (double)window_reach_count(&across, count_padding);
                for (int64_t ky = down.first; ky < down.end; ky++)
                    for (int64_t kx = across.first; kx < across.end; kx++)
                        to[(down.start + ky * w.dilation[ROWS]) * w.in[COLUMNS] + across.start +
                           kx * w.dilation[COLUMNS]] += (real)share;
            }
        }
    }
    return 0;
}
