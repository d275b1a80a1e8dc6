/* pool_steps: MaxPool and its gradient, which are searches, and averages over windows, which are weighted
 * sums of rows and columns (cuda/taps.h), there and back. */
#include "cuda/pool.h"
#include "cuda/kernel_step.h"
#include "cuda/makers.h"
#include "cuda/taps.h"
#include "ops/window.h"
#include <stddef.h>

static cuda_maker make_max, make_average, make_global_max, make_global_average, make_max_grad,
    make_average_grad;

static const struct cuda_row rows[] = {
    { "MaxPool", make_max },
    { "AveragePool", make_average },
    { "GlobalMaxPool", make_global_max },
    { "GlobalAveragePool", make_global_average },
    { "max_pool_grad", make_max_grad },
    { "average_pool_grad", make_average_grad },
};
const struct cuda_family cuda_pool_family = CUDA_FAMILY(rows);

static int add_largest(struct cuda_build *build, const struct node *node,
                       const struct window *window, struct cuda_place *in, struct error *err);
static int average(struct cuda_build *build, const struct node *node, const struct shape *pictures,
                   bool back, struct error *err);
static int add_axis(struct cuda_taps *axis, const struct window *window, int i, bool count_padding,
                    bool back, struct error *err);
static struct pool describe(const struct window *window, const struct cuda_place *in,
                            const struct cuda_place *out, bool channels_last);
static struct view see_as_picture(const struct cuda_place *place);
static bool is_channels_last(const struct layout *layout);
static struct layout choose_layout(enum tensor_type type, const struct shape *shape,
                                   bool channels_last);

static int64_t window_length(const struct pool *pool)
{
    return (int64_t)pool->kernel[0] * pool->kernel[1];
}

static void launch_largest(const void *args, void *stream)
{
    const struct pool *pool = args;
    pool_largest(pool, view_count(&pool->out), window_length(pool), stream);
}

static void launch_find(const void *args, void *stream)
{
    const struct pool *pool = args;
    pool_find(pool, view_count(&pool->out), window_length(pool), stream);
}

static void launch_give_back(const void *args, void *stream)
{
    const struct pool *pool = args;
    pool_give_back(pool, view_count(&pool->in), stream);
}

static int make_max(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct window window;
    struct cuda_place *in;
    int rc = window_of_pool(node, &cuda_info(build, node->inputs[0])->shape, &window, err);
    if (!rc)
        rc = cuda_where(build, node->inputs[0], &in, err);
    return rc ? rc : add_largest(build, node, &window, in, err);
}

/* All of a picture is one window. Of more than two dimensions only the first is a row's number. */
static int make_global_max(struct cuda_build *build, const struct node *node, struct error *err)
{
    const struct shape *shape = &cuda_info(build, node->inputs[0])->shape;
    struct cuda_place *in;
    int rc = shape->rank <= POOL_RANK
                 ? cuda_where(build, node->inputs[0], &in, err)
                 : cuda_want_dense(build, node->inputs[0], TENSOR_NONE, &in, err);
    if (rc)
        return rc;
    struct view picture = see_as_picture(in);
    struct window window = { .stride = { 1, 1 }, .dilation = { 1, 1 } };
    for (int d = 0; d < 2; d++)
        window.kernel[d] = picture.dim[POOL_ROWS + d];
    return add_largest(build, node, &window, in, err);
}

static int add_largest(struct cuda_build *build, const struct node *node,
                       const struct window *window, struct cuda_place *in, struct error *err)
{
    int to = node->outputs[0];
    bool last = is_channels_last(&in->layout);
    struct layout layout = choose_layout(cuda_result_type(build, to, node->inputs, 1),
                                         &cuda_info(build, to)->shape, last);
    struct cuda_place *out;
    int rc = cuda_output(build, to, &layout, &out, err);
    if (rc)
        return rc;
    struct pool args = describe(window, in, out, last);
    struct kernel_step step = kernel_begin(launch_largest, &args, sizeof args);
    kernel_read(&step, in, offsetof(struct pool, in.data));
    kernel_write(&step, out, offsetof(struct pool, out.data));
    return kernel_add(build, &step, "pool", err);
}

static int make_max_grad(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct window window;
    struct cuda_place *dy, *x, *dx, *found;
    int to = node->outputs[0];
    const struct shape *shape = &cuda_info(build, to)->shape;
    int rc = window_of_pool(node, shape, &window, err);
    if (!rc)
        rc = cuda_where(build, node->inputs[0], &dy, err);
    if (!rc)
        rc = cuda_where(build, node->inputs[1], &x, err);
    if (rc)
        return rc;
    bool last = is_channels_last(&x->layout);
    struct layout layout = choose_layout(cuda_result_type(build, to, node->inputs, 2), shape, last);
    struct layout list = layout_dense(TENSOR_I32, &dy->layout.shape);
    rc = cuda_output(build, to, &layout, &dx, err);
    if (!rc)
        rc = cuda_new_place(build, &list, &found, err);
    if (rc)
        return rc;
    struct pool find = describe(&window, x, dy, last), give_back = describe(&window, dx, dy, last);
    struct kernel_step step = kernel_begin(launch_find, &find, sizeof find);
    kernel_read(&step, x, offsetof(struct pool, in.data));
    kernel_write(&step, found, offsetof(struct pool, places));
    rc = kernel_add(build, &step, "pool find", err);
    if (rc)
        return rc;
    step = kernel_begin(launch_give_back, &give_back, sizeof give_back);
    kernel_read(&step, dy, offsetof(struct pool, out.data));
    kernel_read(&step, found, offsetof(struct pool, places));
    kernel_write(&step, dx, offsetof(struct pool, in.data));
    return kernel_add(build, &step, "pool give back", err);
}

/* ---- averages ---- */

static int make_average(struct cuda_build *build, const struct node *node, struct error *err)
{
    return average(build, node, &cuda_info(build, node->inputs[0])->shape, false, err);
}

static int make_average_grad(struct cuda_build *build, const struct node *node, struct error *err)
{
    return average(build, node, &cuda_info(build, node->outputs[0])->shape, true, err);
}

static int make_global_average(struct cuda_build *build, const struct node *node, struct error *err)
{
    const struct shape *shape = &cuda_info(build, node->inputs[0])->shape;
    struct cuda_taps axes[SHAPE_RANK_MAX] = { 0 };
    int rc = 0;
    for (int d = 2; !rc && d < shape->rank; d++) {
        int64_t count = shape->dim[d];
        rc = cuda_taps_start(&axes[d], 1, count, count, err);
        for (int64_t at = 0; !rc && at < count; at++)
            cuda_taps_add(&axes[d], 0, at, 1 / (double)count);
    }
    if (!rc)
        rc = cuda_taps_make(build, node->inputs[0], node->outputs[0], axes, err);
    cuda_taps_free(axes);
    return rc;
}

static int average(struct cuda_build *build, const struct node *node, const struct shape *pictures,
                   bool back, struct error *err)
{
    struct window window;
    struct cuda_taps axes[SHAPE_RANK_MAX] = { 0 };
    bool count_padding = node_int(node, "count_include_pad", 0) != 0;
    int rc = window_of_pool(node, pictures, &window, err);
    for (int d = 2; !rc && d < pictures->rank; d++)
        rc = add_axis(&axes[d], &window, d - pictures->rank + 2, count_padding, back, err);
    if (!rc)
        rc = cuda_taps_make(build, node->inputs[0], node->outputs[0], axes, err);
    cuda_taps_free(axes);
    return rc;
}

/* An output is made of all elements of its window, each with the same share. A window that meets none
 * (dilated ones can) is 0. */
static int add_axis(struct cuda_taps *axis, const struct window *window, int i, bool count_padding,
                    bool back, struct error *err)
{
    int64_t in = window->in[i], out = window->out[i];
    int64_t most = window->kernel[i] < in ? window->kernel[i] : in;
    int rc = cuda_taps_start(axis, back ? in : out, back ? out : in, out * most, err);
    for (int64_t at = 0; !rc && at < out; at++) {
        struct window_reach reach = window_reach_at(window, i, at);
        double share = 1 / (double)window_reach_count(&reach, count_padding);
        for (int64_t k = reach.first; k < reach.end; k++) {
            int64_t from = reach.start + k * window->dilation[i];
            cuda_taps_add(axis, back ? from : at, back ? at : from, share);
        }
    }
    return rc;
}

/* ---- arguments of the kernels ---- */

static struct pool describe(const struct window *window, const struct cuda_place *in,
                            const struct cuda_place *out, bool channels_last)
{
    struct pool pool = { .in = see_as_picture(in),
                         .out = see_as_picture(out),
                         .channels_last = channels_last };
    for (int d = 0; d < 2; d++) {
        pool.kernel[d] = (int32_t)window->kernel[d];
        pool.stride[d] = (int32_t)window->stride[d];
        pool.dilation[d] = (int32_t)window->dilation[d];
        pool.pad[d] = (int32_t)window->pad_begin[d];
    }
    return pool;
}

/* One dimension is a row; of more than two, all but the first are joined, and lie row-major. */
static struct view see_as_picture(const struct cuda_place *place)
{
    struct view from = cuda_view(place);
    struct view to = { .type = from.type,
                       .rank = POOL_RANK,
                       .dim = { from.dim[0], from.dim[1], 1, 1 },
                       .step = { from.step[0], from.step[1] } };
    if (from.rank > 3) {
        to.dim[POOL_ROWS] = from.dim[2];
        to.step[POOL_ROWS] = from.step[2];
    }
    for (int d = from.rank > 3 ? 3 : 2; d < from.rank; d++)
        to.dim[POOL_COLUMNS] *= from.dim[d];
    to.step[POOL_COLUMNS] = from.step[from.rank - 1];
    return to;
}

static bool is_channels_last(const struct layout *layout)
{
    struct layout last = layout_channels_last(layout->type, &layout->shape);
    return layout_equal(layout, &last) && !layout_is_dense(layout);
}

static struct layout choose_layout(enum tensor_type type, const struct shape *shape,
                                   bool channels_last)
{
    return channels_last ? layout_channels_last(type, shape) : layout_dense(type, shape);
}
