/* post: which posts go inside a primitive is found by asking oneDNN for all of them, then for one less,
 * and so on, and by not believing it where it is known to be wrong. */
#include "cpu/post.h"
#include "cpu/elementwise.h"
#include <assert.h>
#include <string.h>

#define LONG_ELEMENTS_MIN 16384 /* fewer are not worth a step */

static int want_operand(struct build *build, const struct node *node, int value,
                        const struct layout *out, struct cpu_place **place, struct error *err);
static bool flatten_operand(const struct shape *operand, const struct shape *whole,
                            const struct shape *flat, struct shape *seen);
static size_t worth_taking(const struct post_list *list);
static bool computes_wrongly(dnnl_primitive_desc_t pd, const struct post_list *list, size_t count);
static int make_attr(const struct post_list *list, size_t count, dnnl_primitive_attr_t *attr);
static int append_posts(const struct post_list *list, size_t count, dnnl_post_ops_t ops);
static bool clashes(const struct elementwise_part *part, const struct elementwise_part *before,
                    int count);

int post_prepare(struct build *build, const struct node *node, const struct layout *out,
                 struct post_list *list, struct error *err)
{
    *list = (struct post_list){ .out = *out };
    list->count = fused_get_posts(node, list->posts);
    for (size_t i = 0; i < list->count; i++) {
        if (list->posts[i].operand < 0)
            continue;
        int rc = want_operand(build, node, node->inputs[list->posts[i].operand], out,
                              &list->operands[i], err);
        if (rc)
            return rc;
    }
    return 0;
}

int post_prepend(struct build *build, const struct node *node, enum pointwise_kind kind, int value,
                 const struct layout *out, struct post_list *list, struct error *err)
{
    struct cpu_place *operand;
    int rc = want_operand(build, node, value, out, &operand, err);
    return rc ? rc : post_prepend_place(kind, operand, list);
}

int post_prepend_place(enum pointwise_kind kind, struct cpu_place *operand, struct post_list *list)
{
    if (list->count == FUSED_POSTS_MAX)
        return BUILD_DECLINED;
    for (size_t i = list->count++; i > 0; i--) {
        list->posts[i] = list->posts[i - 1];
        list->operands[i] = list->operands[i - 1];
    }
    list->posts[0] = (struct pointwise){ .kind = kind };
    list->operands[0] = operand;
    return 0;
}

void post_accumulate(struct build *build, const struct node *node, const struct layout *out,
                     struct post_list *list)
{
    if (list->count == 0 || list->posts[0].kind != POINTWISE_ADD)
        return;
    int value = node->inputs[list->posts[0].operand];
    struct cpu_place *operand = list->operands[0];
    if (build_dies(build, value) && operand == build->values[value].versions[0] &&
        layout_equal(&operand->layout, out))
        list->target = operand;
}

struct cpu_place *post_target(const struct post_list *list, size_t taken)
{
    return taken > 0 ? list->target : NULL;
}

int post_describe(struct build *build, const void *desc, const struct post_list *list,
                  dnnl_primitive_desc_t *pd, size_t *taken, struct error *err)
{
    dnnl_primitive_desc_t first = NULL;
    size_t first_taken = 0;
    for (size_t count = worth_taking(list) + 1; count-- > 0;) {
        dnnl_primitive_attr_t attr;
        int rc = make_attr(list, count, &attr);
        if (rc == BUILD_DECLINED)
            continue;
        if (rc)
            return cpu_dnnl_error(err, dnnl_out_of_memory, build->op, build->name, "describing it");
        rc = build_describe(build, desc, attr, pd, err);
        dnnl_primitive_attr_destroy(attr);
        if (rc && count == 0 && !first)
            return rc;
        if (rc)
            continue; /* not taking these posts is an answer, not an error */
        if (computes_wrongly(*pd, list, count)) {
            dnnl_primitive_desc_destroy(*pd);
            continue;
        }
        if (!build_is_slow(*pd)) {
            if (first)
                dnnl_primitive_desc_destroy(first);
            *taken = count;
            return 0;
        }
        if (first) {
            dnnl_primitive_desc_destroy(*pd);
        } else {
            first = *pd;
            first_taken = count;
        }
    }
    /* Nothing fast: the slow one that does the most. */
    assert(first);
    *pd = first;
    *taken = first_taken;
    return 0;
}

void post_add_args(const struct post_list *list, size_t taken, struct build_args *args)
{
    int index = 0; /* among oneDNN's posts */
    for (size_t i = 0; i < taken; i++) {
        struct elementwise_part parts[2];
        bool adds_in_place = i == 0 && list->target;
        if (list->operands[i] && !adds_in_place)
            build_add_arg(args, DNNL_ARG_ATTR_MULTIPLE_POST_OP(index) | DNNL_ARG_SRC_1,
                          list->operands[i]);
        index += list->operands[i] ? 1 : elementwise_parts(&list->posts[i], parts);
    }
}

int post_add_steps(struct build *build, const struct post_list *list, size_t taken,
                   struct cpu_place *from, struct cpu_place *out, struct error *err)
{
    int rc = post_add_chain(build, list, taken, from, out, err);
    if (rc == BUILD_DECLINED)
        rc = from == out ? 0 : build_copy(build, from, out, err);
    else
        return rc;
    if (rc)
        return rc;
    for (size_t i = taken; i < list->count; i++) {
        if (list->operands[i]) {
            struct post_list rest = { .count = list->count - i - 1 };
            memcpy(rest.posts, list->posts + i + 1, rest.count * sizeof *rest.posts);
            memcpy(rest.operands, list->operands + i + 1, rest.count * sizeof *rest.operands);
            return elementwise_add_fused(build, list->posts[i].kind, out, list->operands[i], out,
                                         &rest, err);
        }
        rc = elementwise_add_unary(build, &list->posts[i], out, out, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* The posts before the first exponential: inside a primitive of oneDNN 2.6.3 one takes longer than ours behind
 * it (kernels/lab/swish.c). */
static size_t worth_taking(const struct post_list *list)
{
    if (!layout_is_packed(&list->out) || shape_elements(&list->out.shape) < LONG_ELEMENTS_MIN)
        return list->count;
    for (size_t i = 0; i < list->count; i++) {
        enum pointwise_kind kind = list->posts[i].kind;
        if (kind == POINTWISE_SIGMOID || kind == POINTWISE_SWISH || kind == POINTWISE_TANH ||
            kind == POINTWISE_ELU || kind == POINTWISE_EXP || kind == POINTWISE_SOFTPLUS)
            return i;
    }
    return list->count;
}

/* An operand as large as the output lies as the output does; a broadcast one is small and stays
 * row-major f32, with ones in front for the dimensions that it lacks. */
static int want_operand(struct build *build, const struct node *node, int value,
                        const struct layout *out, struct cpu_place **place, struct error *err)
{
    const struct value *info = build_info(build, value);
    const struct shape *whole = &build_info(build, node->outputs[0])->shape;
    bool full = shape_equal(&info->shape, whole), flattened = !shape_equal(whole, &out->shape);
    if (full && !flattened)
        return build_want(build, value, out, place, err);

    struct layout layout = layout_dense(full ? out->type : TENSOR_F32, &info->shape);
    struct shape shape = { .rank = whole->rank };
    for (int d = 0, missing = whole->rank - info->shape.rank; d < shape.rank; d++)
        shape.dim[d] = d < missing ? 1 : info->shape.dim[d - missing];
    if (flattened && !flatten_operand(&shape, whole, &out->shape, &shape))
        return BUILD_DECLINED;
    struct cpu_place *dense;
    int rc = build_want(build, value, &layout, &dense, err);
    if (rc)
        return rc;
    layout = layout_dense(layout.type, &shape);
    return build_alias(build, dense, 0, &layout, place, err);
}

/* flat is whole with all but its last dimension joined. The operand, of the rank of whole, can be
 * seen that way when it broadcasts along all of the joined dimensions or along none. */
static bool flatten_operand(const struct shape *operand, const struct shape *whole,
                            const struct shape *flat, struct shape *seen)
{
    int last = whole->rank - 1;
    bool none = true, all = true;
    for (int d = 0; d < last; d++) {
        none = none && operand->dim[d] == whole->dim[d];
        all = all && operand->dim[d] == 1;
    }
    struct shape joined = { .rank = 2, .dim = { none ? flat->dim[0] : 1, operand->dim[last] } };
    *seen = joined;
    return none || all;
}

/* The convolution by matrix product of oneDNN 2.6.3, which older processors get for dilated kernels,
 * reads the operands of its posts at wrong places when channels are last. cpu_isa_test shows it. */
static bool computes_wrongly(dnnl_primitive_desc_t pd, const struct post_list *list, size_t count)
{
    if (strncmp(build_implementation(pd), "x64:gemm", 8) != 0)
        return false;
    for (size_t i = 0; i < count; i++)
        if (list->operands[i])
            return true;
    return false;
}

static int make_attr(const struct post_list *list, size_t count, dnnl_primitive_attr_t *attr)
{
    dnnl_post_ops_t ops;
    if (dnnl_primitive_attr_create(attr))
        return -ERROR_MEMORY;
    if (dnnl_post_ops_create(&ops)) {
        dnnl_primitive_attr_destroy(*attr);
        return -ERROR_MEMORY;
    }
    int rc = append_posts(list, count, ops);
    if (!rc && dnnl_primitive_attr_set_post_ops(*attr, ops))
        rc = BUILD_DECLINED;
    dnnl_post_ops_destroy(ops);
    if (rc)
        dnnl_primitive_attr_destroy(*attr);
    return rc;
}

static int append_posts(const struct post_list *list, size_t count, dnnl_post_ops_t ops)
{
    struct elementwise_part before[2 * FUSED_POSTS_MAX];
    int before_count = 0;
    for (size_t i = 0; i < count; i++) {
        dnnl_alg_kind_t kind;
        if (i == 0 && list->target) {
            if (dnnl_post_ops_append_sum(ops, 1))
                return BUILD_DECLINED;
            continue;
        }
        if (list->operands[i]) {
            if (!elementwise_binary_kind(list->posts[i].kind, &kind))
                return BUILD_DECLINED; /* PRelu: oneDNN would take it, in slow code only */
            if (dnnl_post_ops_append_binary(ops, kind, &list->operands[i]->md))
                return BUILD_DECLINED;
            continue;
        }
        int first = before_count;
        before_count += elementwise_parts(&list->posts[i], before + first);
        for (int p = first; p < before_count; p++)
            if (clashes(&before[p], before, p) ||
                dnnl_post_ops_append_eltwise(ops, 1, before[p].kind, before[p].alpha, before[p].beta))
                return BUILD_DECLINED;
    }
    return 0;
}

/* oneDNN 2.6.3 keeps one alpha and beta for each of its functions: the second clip of a chain would
 * get the limits of the first. */
static bool clashes(const struct elementwise_part *part, const struct elementwise_part *before,
                    int count)
{
    for (int i = 0; i < count; i++)
        if (before[i].kind == part->kind &&
            (before[i].alpha != part->alpha || before[i].beta != part->beta))
            return true;
    return false;
}
