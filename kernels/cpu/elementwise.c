/* elementwise: makers for pointwise ops, in place where the input is not needed any more. oneDNN does
 * the work where its code is fast and right, broadcast.c the rest. */
#include "cpu/elementwise.h"
#include "cpu/broadcast.h"
#include "cpu/post.h"
#include <assert.h>
#include <string.h>

static int main_input(const struct build *build, const struct node *node, enum pointwise_kind kind);
static int place_output(struct build *build, int input, const struct cpu_place *in, int output,
                        struct cpu_place **out, struct error *err);
static struct layout settled_layout(const struct layout *layout);
static int want_packed(struct build *build, int value, struct cpu_place **place, struct error *err);
static struct layout choose_layout(const struct build *build, const struct cpu_place *main,
                                   const struct cpu_place *other);
static int want_second(struct build *build, int value, const struct layout *out,
                       struct cpu_place **place, struct error *err);
static int build_both_broadcast(struct build *build, const struct node *node,
                                enum pointwise_kind kind, struct error *err);
static bool suits_onednn(const struct layout *layout, const struct cpu_place *operand);
static bool is_all_channels(const struct layout *layout);
static int add_with_posts(struct build *build, enum pointwise_kind kind, struct cpu_place *from,
                          struct cpu_place *operand, struct cpu_place *to,
                          const struct post_list *posts, struct error *err);
static int add_prelu(struct build *build, struct cpu_place *from, struct cpu_place *slope,
                     struct cpu_place *to, struct error *err);

int build_unary(struct build *build, const struct node *node, struct error *err)
{
    struct pointwise pointwise;
    if (!pointwise_from_node(build->graph, node, &pointwise))
        return BUILD_DECLINED;
    struct cpu_place *in, *out;
    int rc = want_packed(build, node->inputs[0], &in, err);
    if (!rc)
        rc = place_output(build, node->inputs[0], in, node->outputs[0], &out, err);
    return rc ? rc : elementwise_add_unary(build, &pointwise, in, out, err);
}

/* Add and the like, with what was fused to them. The input of the output's shape is computed on, in
 * the layout that it has; the other one follows. */
int build_binary(struct build *build, const struct node *node, struct error *err)
{
    dnnl_alg_kind_t dnnl_kind;
    enum pointwise_kind kind = 0;
    while (strcmp(pointwise_name(kind), fused_base_name(node->op)) != 0)
        kind++;
    const struct value *left = build_info(build, node->inputs[0]);
    const struct value *right = build_info(build, node->inputs[1]);
    if (left->type != TENSOR_F32 || right->type != TENSOR_F32 ||
        !elementwise_binary_kind(kind, &dnnl_kind))
        return BUILD_DECLINED;
    int first = main_input(build, node, kind);
    if (first < 0)
        return build_both_broadcast(build, node, kind, err);

    struct cpu_place *main, *other, *out;
    int main_value = node->inputs[first], other_value = node->inputs[1 - first];
    int rc = build_place_any(build, main_value, &main, err);
    if (!rc)
        rc = build_place_any(build, other_value, &other, err);
    if (rc)
        return rc;
    struct layout layout = choose_layout(build, main, other);
    rc = build_want(build, main_value, &layout, &main, err);
    if (!rc)
        rc = want_second(build, other_value, &layout, &other, err);
    struct post_list posts;
    if (!rc)
        rc = post_prepare(build, node, &layout, &posts, err);
    if (!rc)
        rc = place_output(build, main_value, main, node->outputs[0], &out, err);
    if (rc)
        return rc;

    return elementwise_add_fused(build, kind, main, other, out, &posts, err);
}

int build_prelu(struct build *build, const struct node *node, struct error *err)
{
    struct pointwise pointwise;
    const struct value *in_info = build_info(build, node->inputs[0]);
    const struct value *slope_info = build_info(build, node->inputs[1]);
    if (!pointwise_from_node(build->graph, node, &pointwise) || slope_info->type != TENSOR_F32 ||
        slope_info->shape.rank > in_info->shape.rank)
        return BUILD_DECLINED;
    if (pointwise.kind != POINTWISE_PRELU)
        return build_unary(build, node, err);
    struct cpu_place *in, *slope, *out;
    int rc = want_packed(build, node->inputs[0], &in, err);
    if (!rc)
        rc = want_second(build, node->inputs[1], &in->layout, &slope, err);
    if (!rc)
        rc = place_output(build, node->inputs[0], in, node->outputs[0], &out, err);
    return rc ? rc : elementwise_add_binary(build, POINTWISE_PRELU, in, slope, out, err);
}

int elementwise_add_unary(struct build *build, const struct pointwise *pointwise,
                          struct cpu_place *from, struct cpu_place *to, struct error *err)
{
    struct elementwise_part parts[2];
    int count = elementwise_parts(pointwise, parts);
    for (int i = 0; i < count; i++) {
        dnnl_eltwise_desc_t desc;
        dnnl_primitive_desc_t pd;
        struct cpu_place *source = i == 0 ? from : to;
        dnnl_status_t status =
            dnnl_eltwise_forward_desc_init(&desc, dnnl_forward_inference, parts[i].kind,
                                           &source->md, parts[i].alpha, parts[i].beta);
        if (status)
            return cpu_dnnl_error(err, status, build->op, build->name, "describing it");
        int rc = build_describe(build, &desc, NULL, &pd, err);
        if (rc)
            return rc;
        struct build_args args = { 0 };
        build_add_arg(&args, DNNL_ARG_SRC, source);
        build_add_arg(&args, DNNL_ARG_DST, to);
        rc = build_primitive(build, pd, &args, 0, err);
        if (rc)
            return rc;
    }
    return 0;
}

int elementwise_add_binary(struct build *build, enum pointwise_kind kind, struct cpu_place *from,
                           struct cpu_place *operand, struct cpu_place *to, struct error *err)
{
    struct post_list none = { 0 };
    if (!suits_onednn(&to->layout, operand))
        return broadcast_add_step(build, kind, from, operand, to, err);
    if (kind == POINTWISE_PRELU)
        return add_prelu(build, from, operand, to, err);
    return add_with_posts(build, kind, from, operand, to, &none, err);
}

int elementwise_add_fused(struct build *build, enum pointwise_kind kind, struct cpu_place *from,
                          struct cpu_place *operand, struct cpu_place *to,
                          const struct post_list *posts, struct error *err)
{
    dnnl_alg_kind_t ignored;
    bool sure = elementwise_binary_kind(kind, &ignored) && suits_onednn(&to->layout, operand);
    for (size_t i = 0; i < posts->count; i++)
        sure = sure && (!posts->operands[i] || suits_onednn(&to->layout, posts->operands[i]));
    if (sure && (posts->count == 0 || !is_all_channels(&to->layout)))
        return add_with_posts(build, kind, from, operand, to, posts, err);
    int rc = elementwise_add_binary(build, kind, from, operand, to, err);
    return rc ? rc : post_add_steps(build, posts, 0, to, to, err);
}

int elementwise_parts(const struct pointwise *pointwise, struct elementwise_part parts[2])
{
    float alpha = pointwise->alpha, beta = pointwise->beta;
    switch (pointwise->kind) {
    case POINTWISE_RELU:
        parts[0] = (struct elementwise_part){ dnnl_eltwise_relu, 0, 0 };
        return 1;
    case POINTWISE_LEAKY_RELU:
        parts[0] = (struct elementwise_part){ dnnl_eltwise_relu, alpha, 0 };
        return 1;
    case POINTWISE_CLIP:
        parts[0] = (struct elementwise_part){ dnnl_eltwise_clip, alpha, beta };
        return 1;
    case POINTWISE_SIGMOID:
        parts[0] = (struct elementwise_part){ dnnl_eltwise_logistic, 0, 0 };
        return 1;
    case POINTWISE_HARD_SIGMOID:
        parts[0] = (struct elementwise_part){ dnnl_eltwise_linear, alpha, beta };
        parts[1] = (struct elementwise_part){ dnnl_eltwise_clip, 0, 1 };
        return 2;
    case POINTWISE_SWISH:
        parts[0] = (struct elementwise_part){ dnnl_eltwise_swish, 1, 0 };
        return 1;
    case POINTWISE_HARD_SWISH:
        parts[0] = (struct elementwise_part){ dnnl_eltwise_hardswish, 0, 0 };
        return 1;
    case POINTWISE_TANH:
        parts[0] = (struct elementwise_part){ dnnl_eltwise_tanh, 0, 0 };
        return 1;
    case POINTWISE_ELU:
        parts[0] = (struct elementwise_part){ dnnl_eltwise_elu, alpha, 0 };
        return 1;
    case POINTWISE_EXP:
        parts[0] = (struct elementwise_part){ dnnl_eltwise_exp, 0, 0 };
        return 1;
    case POINTWISE_SQRT:
        parts[0] = (struct elementwise_part){ dnnl_eltwise_sqrt, 0, 0 };
        return 1;
    case POINTWISE_ABS:
        parts[0] = (struct elementwise_part){ dnnl_eltwise_abs, 0, 0 };
        return 1;
    case POINTWISE_NEG:
        parts[0] = (struct elementwise_part){ dnnl_eltwise_linear, -1, 0 };
        return 1;
    case POINTWISE_SOFTPLUS:
        parts[0] = (struct elementwise_part){ dnnl_eltwise_soft_relu, 0, 0 };
        return 1;
    default:
        assert(!"a function without an operand");
        return 0;
    }
}

bool elementwise_binary_kind(enum pointwise_kind kind, dnnl_alg_kind_t *dnnl_kind)
{
    switch (kind) {
    case POINTWISE_ADD:
        *dnnl_kind = dnnl_binary_add;
        return true;
    case POINTWISE_SUB:
        *dnnl_kind = dnnl_binary_sub;
        return true;
    case POINTWISE_MUL:
        *dnnl_kind = dnnl_binary_mul;
        return true;
    case POINTWISE_DIV:
        *dnnl_kind = dnnl_binary_div;
        return true;
    case POINTWISE_MAX:
        *dnnl_kind = dnnl_binary_max;
        return true;
    case POINTWISE_MIN:
        *dnnl_kind = dnnl_binary_min;
        return true;
    default:
        return false;
    }
}

/* The input that has the output's shape and may stand first; -1 when there is none. */
static int main_input(const struct build *build, const struct node *node, enum pointwise_kind kind)
{
    const struct shape *out = &build_info(build, node->outputs[0])->shape;
    if (shape_equal(&build_info(build, node->inputs[0])->shape, out))
        return 0;
    if (pointwise_commutes(kind) && shape_equal(&build_info(build, node->inputs[1])->shape, out))
        return 1;
    return -1;
}

/* In the memory of the input where that is free afterwards. */
static int place_output(struct build *build, int input, const struct cpu_place *in, int output,
                        struct cpu_place **out, struct error *err)
{
    struct build_value *state = &build->values[input];
    if (build_dies(build, input) && in == state->versions[0] && layout_is_packed(&in->layout)) {
        int rc = build_view(build, output, in, 0, &in->layout, err);
        *out = rc ? NULL : build->values[output].versions[0];
        return rc;
    }
    return build_output(build, output, &in->layout, out, err);
}

static int want_packed(struct build *build, int value, struct cpu_place **place, struct error *err)
{
    int rc = build_place_any(build, value, place, err);
    if (rc)
        return rc;
    struct layout layout = settled_layout(&(*place)->layout);
    return build_want(build, value, &layout, place, err);
}

/* Where both inputs are whole arrays, that of a convolution wins, as there will be more of them: blocked
 * before channels-last before anything else. Constants adapt for free. */
static struct layout choose_layout(const struct build *build, const struct cpu_place *main,
                                   const struct cpu_place *other)
{
    const struct cpu_place *leader = main;
    if (shape_equal(&main->layout.shape, &other->layout.shape)) {
        bool main_moves = build_is_arena(build, main), other_moves = build_is_arena(build, other);
        if (other_moves && (!main_moves || layout_is_dense(&main->layout) ||
                            (other->layout.blocked && !main->layout.blocked)))
            leader = other;
    }
    return settled_layout(&leader->layout);
}

/* Without gaps, in the order that it has, or for bf16 in a usual order. */
static struct layout settled_layout(const struct layout *layout)
{
    struct layout packed = layout_packed_like(layout->type, &layout->shape, layout);
    if (packed.type != TENSOR_F32 && !layout_is_usual(&packed))
        return layout_channels_last(packed.type, &packed.shape);
    return packed;
}

static int want_second(struct build *build, int value, const struct layout *out,
                       struct cpu_place **place, struct error *err)
{
    const struct value *info = build_info(build, value);
    if (shape_equal(&info->shape, &out->shape))
        return build_want(build, value, out, place, err);
    struct cpu_place *dense;
    int rc = build_want_dense(build, value, &dense, err);
    if (rc)
        return rc;
    struct shape shape = { .rank = out->shape.rank };
    for (int d = 0, missing = shape.rank - info->shape.rank; d < shape.rank; d++)
        shape.dim[d] = d < missing ? 1 : info->shape.dim[d - missing];
    struct layout layout = layout_dense(info->type, &shape);
    return build_alias(build, dense, 0, &layout, place, err);
}

/* a[N,1] - b[1,M] and c - a, which oneDNN does not have. */
static int build_both_broadcast(struct build *build, const struct node *node,
                                enum pointwise_kind kind, struct error *err)
{
    struct layout layout = layout_dense(TENSOR_F32, &build_info(build, node->outputs[0])->shape);
    struct cpu_place *left, *right, *out;
    struct post_list posts;
    int rc = build_want_dense(build, node->inputs[0], &left, err);
    if (!rc)
        rc = build_want_dense(build, node->inputs[1], &right, err);
    if (!rc)
        rc = post_prepare(build, node, &layout, &posts, err);
    if (!rc)
        rc = build_output(build, node->outputs[0], &layout, &out, err);
    if (!rc)
        rc = broadcast_add_step(build, kind, left, right, out, err);
    return rc ? rc : post_add_steps(build, &posts, 0, out, out, err);
}

/* What broadcasts in other than the usual orders, oneDNN's prelu puts in wrong places. bf16 is always
 * in a usual order, because broadcast.c knows f32 only. To blocked arrays oneDNN broadcasts a number
 * for all or one per channel. */
static bool suits_onednn(const struct layout *layout, const struct cpu_place *operand)
{
    const struct shape *shape = &operand->layout.shape;
    if (layout->type != TENSOR_F32 || shape_equal(&layout->shape, shape))
        return true;
    if (!layout->blocked)
        return layout_is_usual(layout);
    return shape_elements(shape) == 1 ||
           (shape->dim[1] == layout->shape.dim[1] && shape_elements(shape) == shape->dim[1]);
}

/* oneDNN's binary posts read the wrong channels where there is nothing but channels (Nx64x1x1). */
static bool is_all_channels(const struct layout *layout)
{
    int64_t inner = 1;
    for (int d = 2; d < layout->shape.rank; d++)
        inner *= layout->shape.dim[d];
    return layout->shape.rank > 2 && inner == 1;
}

static int add_with_posts(struct build *build, enum pointwise_kind kind, struct cpu_place *from,
                          struct cpu_place *operand, struct cpu_place *to,
                          const struct post_list *posts, struct error *err)
{
    dnnl_alg_kind_t dnnl_kind = dnnl_alg_kind_undef;
    dnnl_binary_desc_t desc;
    dnnl_primitive_desc_t pd;
    size_t taken = 0;
    bool known = elementwise_binary_kind(kind, &dnnl_kind);
    assert(known);
    dnnl_status_t status = dnnl_binary_desc_init(&desc, dnnl_kind, &from->md, &operand->md, &to->md);
    if (status)
        return cpu_dnnl_error(err, status, build->op, build->name, "describing it");
    int rc = post_describe(build, &desc, posts, &pd, &taken, err);
    if (rc)
        return rc;
    if (build_is_slow(pd) && to->layout.type == TENSOR_F32) {
        dnnl_primitive_desc_destroy(pd);
        rc = broadcast_add_step(build, kind, from, operand, to, err);
        return rc ? rc : post_add_steps(build, posts, 0, to, to, err);
    }
    if (build_is_slow(pd) && posts->count < FUSED_POSTS_MAX) {
        struct post_list whole = *posts;
        rc = post_prepend_place(kind, operand, &whole);
        rc = rc ? rc : post_add_chain(build, &whole, 0, from, to, err);
        if (rc != BUILD_DECLINED) {
            dnnl_primitive_desc_destroy(pd);
            return rc;
        }
    }
    struct build_args args = { 0 };
    build_add_arg(&args, DNNL_ARG_SRC_0, from);
    build_add_arg(&args, DNNL_ARG_SRC_1, operand);
    build_add_arg(&args, DNNL_ARG_DST, to);
    post_add_args(posts, taken, &args);
    rc = build_primitive(build, pd, &args, 0, err);
    return rc ? rc : post_add_steps(build, posts, taken, to, to, err);
}

static int add_prelu(struct build *build, struct cpu_place *from, struct cpu_place *slope,
                     struct cpu_place *to, struct error *err)
{
    dnnl_prelu_desc_t desc;
    dnnl_primitive_desc_t pd;
    dnnl_status_t status =
        dnnl_prelu_forward_desc_init(&desc, dnnl_forward_inference, &from->md, &slope->md);
    if (status)
        return cpu_dnnl_error(err, status, build->op, build->name, "describing it");
    int rc = build_describe(build, &desc, NULL, &pd, err);
    if (rc)
        return rc;
    if (build_is_slow(pd) && to->layout.type == TENSOR_F32) {
        dnnl_primitive_desc_destroy(pd);
        return broadcast_add_step(build, POINTWISE_PRELU, from, slope, to, err);
    }
    struct build_args args = { 0 };
    build_add_arg(&args, DNNL_ARG_SRC, from);
    build_add_arg(&args, DNNL_ARG_WEIGHTS, slope);
    build_add_arg(&args, DNNL_ARG_DST, to);
    return build_primitive(build, pd, &args, 0, err);
}
