/* norm_steps: arguments of norm.h's kernels. */
#include "cuda/norm_steps.h"
#include "cuda/iterate.h"
#include "cuda/kernel_step.h"
#include "cuda/norm.h"
#include <stddef.h>

static int64_t rows_of(const struct shape *shape, const bool *folded);

static void launch_moments(const void *args, void *stream)
{
    norm_moments(args, stream);
}

static void launch_products(const void *args, void *stream)
{
    norm_products(args, stream);
}

static void launch_apply(const void *args, void *stream)
{
    const struct norm_apply *apply = args;
    norm_apply(apply, view_count(&apply->views[NORM_Y]), stream);
}

static void launch_back(const void *args, void *stream)
{
    const struct norm_back *back = args;
    norm_back(back, view_count(&back->views[NORM_BACK_DX]), stream);
}

/* ---- operands ---- */

struct norm_operand norm_per_channel(struct cuda_place *place, const struct shape *shape)
{
    struct norm_operand operand = { place, { .type = place->layout.type, .rank = shape->rank } };
    for (int d = 0; d < shape->rank; d++)
        operand.view.dim[d] = (int32_t)shape->dim[d];
    operand.view.step[1] = place->layout.stride[0];
    return operand;
}

struct norm_operand norm_per_tail(struct cuda_place *place, const struct shape *shape)
{
    return (struct norm_operand){ place, cuda_view_broadcast(place, shape) };
}

struct norm_operand norm_per_row(struct cuda_place *place, const struct shape *shape,
                                 const bool *folded)
{
    return (struct norm_operand){ place, fold_result(place, shape, folded) };
}

int norm_row_scratch(struct cuda_build *build, const struct shape *shape, const bool *folded,
                     struct norm_operand *operand, struct error *err)
{
    struct cuda_place *place;
    struct shape kept = { .rank = 1, .dim = { rows_of(shape, folded) } };
    struct layout layout = layout_dense(TENSOR_F32, &kept);
    int rc = cuda_new_place(build, &layout, &place, err);
    if (!rc)
        *operand = norm_per_row(place, shape, folded);
    return rc;
}

static int64_t rows_of(const struct shape *shape, const bool *folded)
{
    int64_t rows = 1;
    for (int d = 0; d < shape->rank; d++)
        rows *= folded[d] ? 1 : shape->dim[d];
    return rows;
}

/* ---- forwards ---- */

int norm_add_moments(struct cuda_build *build, struct cuda_place *x, const bool *folded,
                     float epsilon, const struct norm_running *running,
                     const struct norm_operand *mean, const struct norm_operand *inverse,
                     struct error *err)
{
    static const struct norm_running none;
    const struct norm_running *r = running ? running : &none;
    struct cuda_place *scratch;
    struct norm_moments args = { .epsilon = epsilon, .keep = r->keep, .take = r->take };
    const struct view *views[] = { &mean->view,       &inverse->view,     &r->mean.view,
                                   &r->variance.view, &r->next_mean.view, &r->next_variance.view };
    struct fold_array *arrays[] = { &args.x,
                                    &args.mean,
                                    &args.inverse,
                                    &args.running_mean,
                                    &args.running_variance,
                                    &args.next_mean,
                                    &args.next_variance };
    args.x.kept = cuda_view(x);
    for (int k = 0; k < 6; k++)
        arrays[k + 1]->kept = *(views[k]->rank > 0 ? views[k] : &mean->view);
    fold_split(&args.fold, folded, arrays, 7);
    int rc = fold_cut(build, &args.fold, &scratch, err);
    if (rc)
        return rc;
    struct kernel_step step = kernel_begin(launch_moments, &args, sizeof args);
    kernel_read(&step, x, offsetof(struct norm_moments, x.kept.data));
    kernel_read(&step, r->mean.place, offsetof(struct norm_moments, running_mean.kept.data));
    kernel_read(&step, r->variance.place, offsetof(struct norm_moments, running_variance.kept.data));
    kernel_write(&step, mean->place, offsetof(struct norm_moments, mean.kept.data));
    kernel_write(&step, inverse->place, offsetof(struct norm_moments, inverse.kept.data));
    kernel_write(&step, r->next_mean.place, offsetof(struct norm_moments, next_mean.kept.data));
    kernel_write(&step, r->next_variance.place,
                 offsetof(struct norm_moments, next_variance.kept.data));
    kernel_write(&step, scratch, offsetof(struct norm_moments, fold.partial));
    return kernel_add(build, &step, scratch ? "moments in parts" : "moments", err);
}

int norm_add_apply(struct cuda_build *build, const struct norm_apply_operands *operands,
                   struct error *err)
{
    const struct norm_apply_operands *o = operands;
    struct norm_apply args = {
        .views = { cuda_view(o->y), cuda_view(o->x), o->mean.view, o->inverse.view, o->scale.view,
                   o->bias.place ? o->bias.view : o->scale.view },
        .variance = o->variance,
        .epsilon = o->epsilon,
    };
    struct cuda_place *const places[] = { o->x, o->mean.place, o->inverse.place, o->scale.place,
                                          o->bias.place };
    static const size_t slots[] = {
        offsetof(struct norm_apply, views[NORM_X].data),
        offsetof(struct norm_apply, views[NORM_MEAN].data),
        offsetof(struct norm_apply, views[NORM_INVERSE].data),
        offsetof(struct norm_apply, views[NORM_SCALE].data),
        offsetof(struct norm_apply, views[NORM_BIAS].data),
    };
    struct view *order[NORM_VIEWS];
    for (int k = 0; k < NORM_VIEWS; k++)
        order[k] = &args.views[k];
    iterate_join(order, NORM_VIEWS);
    struct kernel_step step = kernel_begin(launch_apply, &args, sizeof args);
    for (size_t k = 0; k < sizeof slots / sizeof *slots; k++)
        kernel_read(&step, places[k], slots[k]);
    kernel_write(&step, o->y, offsetof(struct norm_apply, views[NORM_Y].data));
    return kernel_add(build, &step, "normalise", err);
}

/* ---- back ---- */

int norm_add_products(struct cuda_build *build, const struct norm_back_operands *operands,
                      const bool *folded, struct error *err)
{
    const struct norm_back_operands *o = operands;
    struct cuda_place *scratch;
    struct norm_products args = {
        .dy.kept = cuda_view(o->dy),
        .x.kept = cuda_view(o->x),
        .mean.kept = o->mean.view,
        .inverse.kept = o->inverse.view,
        .scale.kept = o->scale.view,
        .sum.kept = o->sum.view,
        .product.kept = o->product.view,
    };
    struct fold_array *const arrays[] = { &args.x,     &args.dy,  &args.mean,   &args.inverse,
                                          &args.scale, &args.sum, &args.product };
    fold_split(&args.fold, folded, arrays, 7);
    int rc = fold_cut(build, &args.fold, &scratch, err);
    if (rc)
        return rc;
    struct kernel_step step = kernel_begin(launch_products, &args, sizeof args);
    kernel_read(&step, o->dy, offsetof(struct norm_products, dy.kept.data));
    kernel_read(&step, o->x, offsetof(struct norm_products, x.kept.data));
    kernel_read(&step, o->mean.place, offsetof(struct norm_products, mean.kept.data));
    kernel_read(&step, o->inverse.place, offsetof(struct norm_products, inverse.kept.data));
    kernel_read(&step, o->scaled ? o->scale.place : NULL,
                offsetof(struct norm_products, scale.kept.data));
    kernel_write(&step, o->sum.place, offsetof(struct norm_products, sum.kept.data));
    kernel_write(&step, o->product.place, offsetof(struct norm_products, product.kept.data));
    kernel_write(&step, scratch, offsetof(struct norm_products, fold.partial));
    return kernel_add(build, &step, scratch ? "products in parts" : "products", err);
}

int norm_add_back(struct cuda_build *build, const struct norm_back_operands *operands,
                  const bool *folded, struct error *err)
{
    const struct norm_back_operands *o = operands;
    const struct shape *shape = &o->x->layout.shape;
    int64_t rows = rows_of(shape, folded);
    struct norm_back args = {
        .views = { cuda_view(o->dx), cuda_view(o->dy), cuda_view(o->x), o->mean.view,
                   o->inverse.view, o->scale.view, o->sum.view, o->product.view },
        .scaled = o->scaled,
        .share = o->frozen ? 0 : (float)((double)rows / (double)shape_elements(shape)),
    };
    struct cuda_place *const places[] = {
        o->dy, o->x, o->mean.place, o->inverse.place, o->scale.place, o->sum.place, o->product.place
    };
    static const size_t slots[] = {
        offsetof(struct norm_back, views[NORM_BACK_DY].data),
        offsetof(struct norm_back, views[NORM_BACK_X].data),
        offsetof(struct norm_back, views[NORM_BACK_MEAN].data),
        offsetof(struct norm_back, views[NORM_BACK_INVERSE].data),
        offsetof(struct norm_back, views[NORM_BACK_SCALE].data),
        offsetof(struct norm_back, views[NORM_BACK_SUM].data),
        offsetof(struct norm_back, views[NORM_BACK_PRODUCT].data),
    };
    struct view *order[NORM_BACK_VIEWS];
    for (int k = 0; k < NORM_BACK_VIEWS; k++)
        order[k] = &args.views[k];
    iterate_join(order, NORM_BACK_VIEWS);
    struct kernel_step step = kernel_begin(launch_back, &args, sizeof args);
    for (size_t k = 0; k < sizeof slots / sizeof *slots; k++)
        kernel_read(&step, places[k], slots[k]);
    kernel_write(&step, o->dx, offsetof(struct norm_back, views[NORM_BACK_DX].data));
    return kernel_add(build, &step, "normalise back", err);
}
