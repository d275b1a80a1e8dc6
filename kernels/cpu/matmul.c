/* matmul: MatMul and Gemm. Transposes before them are strides, which oneDNN takes as they are, and
 * constants are brought into the order that it likes best once. In bf16x3 the dimension that is summed
 * over is three times as long. */
#include "cpu/build.h"
#include "cpu/post.h"
#include "cpu/split_steps.h"
#include <assert.h>

struct product {
    struct layout a, b, out; /* of one rank >= 2 */
    bool b_is_weights;       /* constant: oneDNN may choose its layout */
    int addend;              /* value to be added (Gemm's C), or -1 */
    bool splits;             /* a and b are */
};

static int build_product(struct build *build, const struct node *node, struct product *product,
                         struct error *err);
static int choose(struct build *build, const struct node *node, enum tensor_type type,
                  struct product *product, struct post_list *posts, dnnl_primitive_desc_t *pd,
                  size_t *taken, struct error *err);
static bool pays_split(const struct build *build, const struct node *node,
                       const struct product *product);
static struct layout split_layout(const struct layout *layout, int summed, int64_t *rows);
static int place_operand(struct build *build, int value, const struct product *product, bool is_b,
                         struct cpu_place **place, struct error *err);
static uint64_t count_flop(const struct product *product);
static int add_step(struct build *build, const struct node *node, const struct product *product,
                    const struct post_list *posts, dnnl_primitive_desc_t pd, size_t taken,
                    struct error *err);
static int operand_layout(struct build *build, int value, int rank, struct layout *layout,
                          struct error *err);
static int want_operand(struct build *build, int value, const struct layout *layout,
                        struct cpu_place **place, struct error *err);
static void pad_rank(struct layout *layout, int rank);
static void swap_last(struct layout *layout);
static bool multiplies_well(const struct layout *layout);
static bool flatten(struct product *product);

int build_matmul(struct build *build, const struct node *node, struct error *err)
{
    const struct value *a = build_info(build, node->inputs[0]);
    const struct value *b = build_info(build, node->inputs[1]);
    const struct value *out = build_info(build, node->outputs[0]);
    if (a->type != TENSOR_F32 || b->type != TENSOR_F32 || a->shape.rank < 2 || b->shape.rank < 2)
        return BUILD_DECLINED;
    struct product product = { .addend = -1, .b_is_weights = b->constant.data != NULL };
    int rc = operand_layout(build, node->inputs[0], out->shape.rank, &product.a, err);
    if (!rc)
        rc = operand_layout(build, node->inputs[1], out->shape.rank, &product.b, err);
    if (rc)
        return rc;
    product.out = layout_dense(TENSOR_F32, &out->shape);
    return build_product(build, node, &product, err);
}

int build_gemm(struct build *build, const struct node *node, struct error *err)
{
    const struct value *a = build_info(build, node->inputs[0]);
    const struct value *b = build_info(build, node->inputs[1]);
    const struct value *out = build_info(build, node->outputs[0]);
    bool adds = node->input_count > 2 && node->inputs[2] >= 0;
    if (a->type != TENSOR_F32 || b->type != TENSOR_F32 || node_float(node, "alpha", 1) != 1 ||
        (adds && node_float(node, "beta", 1) != 1))
        return BUILD_DECLINED;
    struct product product = { .addend = adds ? node->inputs[2] : -1,
                               .b_is_weights = b->constant.data != NULL };
    int rc = operand_layout(build, node->inputs[0], 2, &product.a, err);
    if (!rc)
        rc = operand_layout(build, node->inputs[1], 2, &product.b, err);
    if (rc)
        return rc;
    if (node_int(node, "transA", 0))
        swap_last(&product.a);
    if (node_int(node, "transB", 0))
        swap_last(&product.b);
    product.out = layout_dense(TENSOR_F32, &out->shape);
    return build_product(build, node, &product, err);
}

static int build_product(struct build *build, const struct node *node, struct product *product,
                         struct error *err)
{
    struct post_list posts;
    dnnl_primitive_desc_t pd = NULL;
    size_t taken = 0;
    product->splits = pays_split(build, node, product);
    struct product whole = *product;
    enum tensor_type type = product->splits ? TENSOR_BF16 : build->arithmetic;
    int rc = BUILD_DECLINED;
    if (flatten(product))
        rc = choose(build, node, type, product, &posts, &pd, &taken, err);
    if (rc == BUILD_DECLINED) {
        *product = whole;
        rc = choose(build, node, type, product, &posts, &pd, &taken, err);
    }
    if (!rc && build_is_slow(pd) && type != TENSOR_F32) {
        dnnl_primitive_desc_destroy(pd);
        product->splits = false;
        rc = choose(build, node, TENSOR_F32, product, &posts, &pd, &taken, err);
    }
    return rc ? rc : add_step(build, node, product, &posts, pd, taken, err);
}

static int choose(struct build *build, const struct node *node, enum tensor_type type,
                  struct product *product, struct post_list *posts, dnnl_primitive_desc_t *pd,
                  size_t *taken, struct error *err)
{
    product->a.type = product->b.type = product->out.type = product->splits ? TENSOR_F32 : type;
    if (build_leaves(build, node->outputs[0]))
        product->out.type = TENSOR_F32;
    int last = product->a.shape.rank - 1;
    struct layout left = product->a, right = product->b;
    if (product->splits) {
        left = split_layout(&left, last, NULL);
        right = split_layout(&right, last - 1, NULL);
    }
    int rc = post_prepare(build, node, &product->out, posts, err);
    if (!rc && product->addend >= 0)
        rc = post_prepend(build, node, POINTWISE_ADD, product->addend, &product->out, posts, err);
    if (rc)
        return rc;
    dnnl_memory_desc_t a, b, out;
    layout_md(&left, &a);
    layout_md(&right, &b);
    layout_md(&product->out, &out);
    dnnl_status_t status = dnnl_success;
    if (product->b_is_weights)
        status = dnnl_memory_desc_init_by_tag(&b, b.ndims, b.dims, b.data_type, dnnl_format_tag_any);
    dnnl_matmul_desc_t desc;
    if (!status)
        status = dnnl_matmul_desc_init(&desc, &a, &b, NULL, &out);
    if (status)
        return cpu_dnnl_error(err, status, build->op, build->name, "describing it");
    return post_describe(build, &desc, posts, pd, taken, err);
}

static int add_step(struct build *build, const struct node *node, const struct product *product,
                    const struct post_list *posts, dnnl_primitive_desc_t pd, size_t taken,
                    struct error *err)
{
    const struct shape *shape = &build_info(build, node->outputs[0])->shape;
    struct cpu_place *a, *b, *out;
    struct layout whole;
    int rc = place_operand(build, node->inputs[0], product, false, &a, err);
    if (!rc)
        rc = place_operand(build, node->inputs[1], product, true, &b, err);
    if (!rc && product->b_is_weights)
        rc = build_reorder_weights(
            build, b, &b->md, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0), &b, err);
    if (!rc)
        rc = build_new_place(build, &product->out, &out, err);
    if (!rc) {
        whole = layout_dense(product->out.type, shape);
        rc = build_view(build, node->outputs[0], out, 0, &whole, err);
    }
    if (rc) {
        dnnl_primitive_desc_destroy(pd);
        return rc;
    }
    struct build_args args = { 0 };
    build_add_arg(&args, DNNL_ARG_SRC, a);
    build_add_arg(&args, DNNL_ARG_WEIGHTS, b);
    build_add_arg(&args, DNNL_ARG_DST, out);
    post_add_args(posts, taken, &args);
    rc = build_primitive(build, pd, &args, count_flop(product), err);
    return rc ? rc : post_add_steps(build, posts, taken, out, out, err);
}

static uint64_t count_flop(const struct product *product)
{
    int last = product->a.shape.rank - 1;
    return 2 * (uint64_t)shape_elements(&product->out.shape) * (uint64_t)product->a.shape.dim[last];
}

static bool pays_split(const struct build *build, const struct node *node,
                       const struct product *product)
{
    return split_pays(build, count_flop(product),
                      split_count(build, node->inputs[0]) + split_count(build, node->inputs[1]));
}

/* An operand that multiplies well, three times as long along a dimension (one of the last two). rows, if
 * not NULL: how many stretches of memory have their parts side by side. */
static struct layout split_layout(const struct layout *layout, int summed, int64_t *rows)
{
    int last = layout->shape.rank - 1;
    struct layout dense = layout_dense(TENSOR_F32, &layout->shape), three;
    bool swapped = !layout_equal(&dense, layout);
    bool innermost = (summed == last) != swapped;
    struct shape shape = layout->shape;
    shape.dim[summed] *= SPLIT_PARTS;
    if (rows)
        *rows = shape_elements(&layout->shape) / layout->shape.dim[summed] /
                (innermost ? 1 : layout->shape.dim[summed == last ? last - 1 : last]);
    if (!swapped)
        return layout_dense(TENSOR_BF16, &shape);
    int64_t dim = shape.dim[last];
    shape.dim[last] = shape.dim[last - 1];
    shape.dim[last - 1] = dim;
    three = layout_dense(TENSOR_BF16, &shape);
    swap_last(&three);
    return three;
}

/* A constant b is only seen as the product wants it: oneDNN chooses how it lies. */
static int place_operand(struct build *build, int value, const struct product *product, bool is_b,
                         struct cpu_place **place, struct error *err)
{
    struct layout layout = is_b ? product->b : product->a;
    int last = layout.shape.rank - 1;
    bool is_weights = is_b && product->b_is_weights;
    if (is_weights)
        layout.type = TENSOR_F32;
    int rc = want_operand(build, value, &layout, place, err);
    if (rc || !product->splits)
        return rc;
    int64_t rows;
    struct layout split = split_layout(&layout, is_b ? last - 1 : last, &rows);
    return split_want(build, value, *place, rows, is_b ? SPLIT_HIGH_HIGH_LOW : SPLIT_HIGH_LOW_HIGH,
                      &split, place, err);
}

/* How the value lies, or shall lie where oneDNN could not multiply it well, with ones in front. */
static int operand_layout(struct build *build, int value, int rank, struct layout *layout,
                          struct error *err)
{
    struct cpu_place *place;
    int rc = build_place(build, value, &place, err);
    if (rc)
        return rc;
    *layout = place->layout;
    if (!multiplies_well(layout))
        *layout = layout_dense(layout->type, &layout->shape);
    pad_rank(layout, rank);
    return 0;
}

/* The value in a layout of more dimensions, or with the last two swapped: what lies there is looked
 * at first, and only copied where it does not fit. */
static int want_operand(struct build *build, int value, const struct layout *layout,
                        struct cpu_place **place, struct error *err)
{
    struct cpu_place *found;
    int rc = build_place(build, value, &found, err);
    if (rc)
        return rc;
    if (found->layout.type != layout->type || !multiplies_well(&found->layout)) {
        struct layout wanted = found->layout;
        wanted.type = layout->type;
        if (!multiplies_well(&wanted))
            wanted = layout_dense(wanted.type, &wanted.shape);
        else
            wanted = layout_packed_like(wanted.type, &wanted.shape, &wanted);
        rc = build_want(build, value, &wanted, &found, err);
        if (rc)
            return rc;
    }
    return build_alias(build, found, 0, layout, place, err);
}

static void pad_rank(struct layout *layout, int rank)
{
    int missing = rank - layout->shape.rank;
    assert(missing >= 0);
    int64_t span = layout_span(layout);
    struct layout padded = { .type = layout->type, .shape = { .rank = rank } };
    for (int d = 0; d < rank; d++) {
        padded.shape.dim[d] = d < missing ? 1 : layout->shape.dim[d - missing];
        padded.stride[d] = d < missing ? span : layout->stride[d - missing];
    }
    *layout = padded;
}

static void swap_last(struct layout *layout)
{
    int last = layout->shape.rank - 1;
    int64_t dim = layout->shape.dim[last], stride = layout->stride[last];
    layout->shape.dim[last] = layout->shape.dim[last - 1];
    layout->stride[last] = layout->stride[last - 1];
    layout->shape.dim[last - 1] = dim;
    layout->stride[last - 1] = stride;
}

/* Packed, and the last two dimensions are the innermost. */
static bool multiplies_well(const struct layout *layout)
{
    int last = layout->shape.rank - 1;
    struct layout plain = layout_dense(layout->type, &layout->shape);
    if (layout_equal(&plain, layout))
        return true;
    struct shape swapped = layout->shape;
    swapped.dim[last] = layout->shape.dim[last - 1];
    swapped.dim[last - 1] = layout->shape.dim[last];
    plain = layout_dense(layout->type, &swapped);
    swap_last(&plain);
    return layout_equal(&plain, layout);
}

/* Many small products with the same matrix are one large one. */
static bool flatten(struct product *product)
{
    int rank = product->out.shape.rank, last = rank - 1;
    if (rank == 2 || shape_elements(&product->b.shape) !=
                         product->b.shape.dim[last] * product->b.shape.dim[last - 1])
        return false;
    int64_t k = product->a.shape.dim[last], n = product->out.shape.dim[last];
    struct shape a = { .rank = 2, .dim = { shape_elements(&product->a.shape) / k, k } };
    struct shape out = { .rank = 2, .dim = { a.dim[0], n } };
    struct layout flat;
    if (!layout_is_dense(&product->a) || !layout_reshape(&product->a, &a, &flat))
        return false;
    product->a = flat;
    product->out = layout_dense(product->out.type, &out);
    struct layout b = { .type = product->b.type, .shape = { .rank = 2 } };
    for (int d = 0; d < 2; d++) {
        b.shape.dim[d] = product->b.shape.dim[last - 1 + d];
        b.stride[d] = product->b.stride[last - 1 + d];
    }
    product->b = b;
    return true;
}
