/* matmul: MatMul and Gemm, both as products of matrices that lie in memory with any steps. */
#include "ops/families.h"
#include "ops/gradient.h"
#include "ops/resolve.h"
#include "ops/rules.h"
#include "ops/walk.h"
#include "tensor/number.h"

#define TYPES_PRODUCT (TYPES_FLOAT | TYPE(I64) | TYPE(I32) | TYPE(U64) | TYPE(U32))
#define STRETCH 128 /* columns summed together; their sums stay in the nearest cache */

static int matmul_shape(const struct node *node, const struct op_values *values, struct error *err);
static int matmul_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err);
static int matmul_gradient(struct gradient *g);
static int gemm_shape(const struct node *node, const struct op_values *values, struct error *err);
static int gemm_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err);
static int gemm_gradient(struct gradient *g);

static const struct op rows[] = {
    { OP_ROW("MatMul", 2, 2, 1, OPSET_MIN, OPSET_MAX, matmul_shape, matmul_reference),
      .heavy = true, .gradient = matmul_gradient },
    { OP_ROW("Gemm", 2, 3, 1, OPSET_MIN, OPSET_MAX, gemm_shape, gemm_reference), .heavy = true,
      OP_ATTRIBUTES({ "alpha", ATTRIBUTE_FLOAT }, { "beta", ATTRIBUTE_FLOAT },
                    { "transA", ATTRIBUTE_INT }, { "transB", ATTRIBUTE_INT }),
      .gradient = gemm_gradient },
};
const struct op_family matmul_family = OP_FAMILY(rows);

/* A matrix in memory: element (i, j) is number first + i * row + j * column. */
struct matrix {
    const struct tensor *in;
    int64_t first, row, column;
};

/* out (m x n, dense) = alpha * a * b, of real elements. */
static void multiply_reals(int64_t m, int64_t k, int64_t n, struct matrix a, struct matrix b,
                           double alpha, real *out)
{
    const real *left = (const real *)a.in->data + a.first;
    const real *right = (const real *)b.in->data + b.first;
    for (int64_t i = 0; i < m; i++)
        for (int64_t first = 0; first < n; first += STRETCH) {
            int64_t count = n - first < STRETCH ? n - first : STRETCH;
            double sums[STRETCH] = { 0 };
            for (int64_t p = 0; p < k; p++) {
                double factor = (double)left[i * a.row + p * a.column];
                const real *line = right + p * b.row + first * b.column;
                for (int64_t j = 0; j < count; j++)
                    sums[j] += factor * (double)line[j * b.column];
            }
            for (int64_t j = 0; j < count; j++)
                out[i * n + first + j] = (real)(alpha * sums[j]);
        }
}

/* out (m x n, dense, from element `to` on) = alpha * a * b */
static void multiply(int64_t m, int64_t k, int64_t n, struct matrix a, struct matrix b, float alpha,
                     struct tensor *out, int64_t to)
{
    bool whole = tensor_type_is_whole(out->type);
    if (out->type == TENSOR_REAL) {
        multiply_reals(m, k, n, a, b, (double)alpha, (real *)out->data + to);
        return;
    }
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++, to++) {
            double sum = 0;
            uint64_t whole_sum = 0;
            for (int64_t p = 0; p < k; p++) {
                int64_t left = a.first + i * a.row + p * a.column;
                int64_t right = b.first + p * b.row + j * b.column;
                if (whole)
                    whole_sum += (uint64_t)number_load_whole(a.in, left) *
                                 (uint64_t)number_load_whole(b.in, right);
                else
                    sum += number_load(a.in, left) * number_load(b.in, right);
            }
            if (!whole)
                number_store(out, to, (double)alpha * sum);
            else if (alpha == 1)
                number_store_whole(out, to, (int64_t)whole_sum);
            else
                number_store(out, to,
                             (double)alpha * (out->type == TENSOR_U64 ? (double)whole_sum
                                                                      : (double)(int64_t)whole_sum));
        }
}

bool matmul_span(const struct shape *a, const struct shape *b, struct matmul_span *span)
{
    struct shape left = *a, right = *b;
    if (a->rank == 1)
        left = (struct shape){ .rank = 2, .dim = { 1, a->dim[0] } };
    if (b->rank == 1)
        right = (struct shape){ .rank = 2, .dim = { b->dim[0], 1 } };
    *span = (struct matmul_span){
        .m = left.dim[left.rank - 2],
        .k = left.dim[left.rank - 1],
        .n = right.dim[right.rank - 1],
    };
    if (right.dim[right.rank - 2] != span->k)
        return false;
    left.rank -= 2;
    right.rank -= 2;
    span->left = left;
    span->right = right;
    return shape_broadcast(&left, &right, &span->batch);
}

static int matmul_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int rc = rule_input(values, 0, "A", TYPES_PRODUCT, 1, SHAPE_RANK_MAX, err);
    if (rc ||
        (rc = rule_input(values, 1, "B", 1u << values->in[0]->type, 1, SHAPE_RANK_MAX, err)))
        return rc;
    const struct shape *a = &values->in[0]->shape, *b = &values->in[1]->shape;
    struct matmul_span span;
    if (!matmul_span(a, b, &span)) {
        char a_text[128], b_text[128];
        shape_format(a, a_text, sizeof a_text);
        shape_format(b, b_text, sizeof b_text);
        return error_set(err, ERROR_FORMAT, "inputs", "shapes %s and %s do not go together", a_text,
                         b_text);
    }
    struct shape shape = span.batch; /* a vector's dimension of 1 does not show in the output */
    if (a->rank > 1)
        shape.dim[shape.rank++] = span.m;
    if (b->rank > 1)
        shape.dim[shape.rank++] = span.n;
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

static int matmul_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    struct matmul_span span;
    matmul_span(&in[0]->shape, &in[1]->shape, &span);
    struct walk walk; /* over the batch: matrices instead of elements */
    walk_init(&walk, &span.batch);
    walk_add_broadcast(&walk, &span.batch);
    walk_add_broadcast(&walk, &span.left);
    walk_add_broadcast(&walk, &span.right);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
        for (int64_t i = 0; i < walk.row; i++) {
            int64_t left = walk.at[1] + i * walk.row_step[1];
            int64_t right = walk.at[2] + i * walk.row_step[2];
            struct matrix a = { in[0], left * span.m * span.k, span.k, 1 };
            struct matrix b = { in[1], right * span.k * span.n, span.n, 1 };
            multiply(span.m, span.k, span.n, a, b, 1, out[0], (walk.at[0] + i) * span.m * span.n);
        }
    return 0;
}

static int gemm_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    static const char *const names[] = { "A", "B", "C" };
    int rc = 0;
    for (int i = 0; i < 3 && !rc; i++)
        if (i < 2 || values->in[i])
            rc = rule_input(values, i, names[i], i ? 1u << values->in[0]->type : TYPES_PRODUCT,
                            i < 2 ? 2 : 0, 2, err);
    if (rc)
        return rc;
    const int64_t *a = values->in[0]->shape.dim, *b = values->in[1]->shape.dim;
    bool trans_a = node_int(node, "transA", 0), trans_b = node_int(node, "transB", 0);
    struct shape shape = { .rank = 2, .dim = { a[trans_a], b[!trans_b] } }, sum;
    if (a[!trans_a] != b[trans_b])
        return error_set(err, ERROR_FORMAT, "inputs", "%lldx%lld times %lldx%lld",
                         (long long)a[trans_a], (long long)a[!trans_a], (long long)b[trans_b],
                         (long long)b[!trans_b]);
    if (values->in[2] &&
        (!shape_broadcast(&shape, &values->in[2]->shape, &sum) || !shape_equal(&shape, &sum)))
        return error_set(err, ERROR_FORMAT, "C", "its shape does not go with the product's");
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

/* out += beta * c, one element */
static void add_scaled(struct tensor *out, int64_t at, float beta, const struct tensor *c,
                       int64_t from)
{
    if (out->type == TENSOR_REAL)
        ((real *)out->data)[at] += beta * ((const real *)c->data)[from];
    else if (tensor_type_is_whole(out->type) && beta == 1)
        number_store_whole(
            out, at,
            (int64_t)((uint64_t)number_load_whole(out, at) + (uint64_t)number_load_whole(c, from)));
    else
        number_store(out, at, number_load(out, at) + (double)beta * number_load(c, from));
}

static int gemm_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err)
{
    (void)err;
    bool trans_a = node_int(node, "transA", 0), trans_b = node_int(node, "transB", 0);
    int64_t a_columns = in[0]->shape.dim[1], b_columns = in[1]->shape.dim[1];
    struct matrix a = { in[0], 0, trans_a ? 1 : a_columns, trans_a ? a_columns : 1 };
    struct matrix b = { in[1], 0, trans_b ? 1 : b_columns, trans_b ? b_columns : 1 };
    multiply(out[0]->shape.dim[0], in[0]->shape.dim[!trans_a], out[0]->shape.dim[1], a, b,
             node_float(node, "alpha", 1), out[0], 0);
    if (!in[2])
        return 0;
    float beta = node_float(node, "beta", 1);
    struct walk walk;
    walk_init(&walk, &out[0]->shape);
    walk_add_broadcast(&walk, &out[0]->shape);
    walk_add_broadcast(&walk, &in[2]->shape);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
        for (int64_t i = 0; i < walk.row; i++)
            add_scaled(out[0], walk.at[0] + i, beta, in[2], walk.at[1] + i * walk.row_step[1]);
    return 0;
}

/* ---- gradients ---- */

static int reshape_to(struct gradient *g, int value, const struct shape *shape)
{
    if (g->rc || value < 0 || shape_equal(shape, gradient_shape(g, value)))
        return g->rc ? -1 : value;
    return gradient_op(g, "Reshape", value, gradient_ints(g, shape->dim, (size_t)shape->rank));
}

static int swap_last(struct gradient *g, int value)
{
    int64_t order[SHAPE_RANK_MAX];
    int rank = gradient_shape(g, value)->rank;
    for (int d = 0; d < rank; d++)
        order[d] = d < rank - 2 ? d : 2 * rank - 3 - d;
    if (g->rc)
        return -1;
    return gradient_node(g, "Transpose", &value, 1,
                         (struct attribute[]){ GRADIENT_INTS("perm", order, rank), { 0 } }, NULL, 1);
}

static struct shape matrices(const struct shape *batch, int64_t m, int64_t n)
{
    struct shape shape = *batch;
    shape.dim[shape.rank++] = m;
    shape.dim[shape.rank++] = n;
    return shape;
}

/* Added up over what was broadcast. */
static int sum_batch(struct gradient *g, int product, const struct shape *shape)
{
    if (g->rc || shape_equal(shape, gradient_shape(g, product)))
        return g->rc ? -1 : product;
    return gradient_node(
        g, "sum_to", &product, 1,
        (struct attribute[]){ GRADIENT_INTS("shape", shape->dim, shape->rank), { 0 } }, NULL, 1);
}

/* Many matrices times the same one are one product of tall ones, forwards and here. */
static int one_for_all(struct gradient *g, const struct matmul_span *span, int a, int from_above)
{
    int64_t height = shape_elements(&span->batch) * span->m;
    struct shape tall = { .rank = 2, .dim = { height, span->k } };
    struct shape above = { .rank = 2, .dim = { height, span->n } };
    int inputs[] = { reshape_to(g, a, &tall), reshape_to(g, from_above, &above) };
    return gradient_node(g, "Gemm", inputs, 2,
                         (struct attribute[]){ GRADIENT_INT("transA", 1), { 0 } }, NULL, 1);
}

/* da = d b^T, db = a^T d */
static int matmul_gradient(struct gradient *g)
{
    struct matmul_span span;
    struct shape a_shape = *gradient_shape(g, g->node->inputs[0]);
    struct shape b_shape = *gradient_shape(g, g->node->inputs[1]);
    matmul_span(&a_shape, &b_shape, &span);
    struct shape above = matrices(&span.batch, span.m, span.n);
    struct shape left = matrices(&span.left, span.m, span.k);
    struct shape right = matrices(&span.right, span.k, span.n);
    int from_above = reshape_to(g, g->out[0], &above);
    int a = reshape_to(g, g->node->inputs[0], &left);
    int b = reshape_to(g, g->node->inputs[1], &right);
    if (g->wants[0])
        g->in[0] = sum_batch(g, gradient_op(g, "MatMul", from_above, swap_last(g, b)), &left);
    if (g->wants[1] && shape_elements(&span.right) == 1 && shape_equal(&span.left, &span.batch))
        g->in[1] = one_for_all(g, &span, a, from_above);
    else if (g->wants[1])
        g->in[1] = sum_batch(g, gradient_op(g, "MatMul", swap_last(g, a), from_above), &right);
    g->in[0] = reshape_to(g, g->in[0], &a_shape);
    g->in[1] = reshape_to(g, g->in[1], &b_shape);
    return gradient_end(g);
}

static int gemm(struct gradient *g, int a, bool turn_a, int b, bool turn_b)
{
    struct attribute turns[] = { GRADIENT_INT("transA", turn_a),
                                 GRADIENT_INT("transB", turn_b),
                                 { 0 } };
    return gradient_node(g, "Gemm", (int[]){ a, b }, 2, turns, NULL, 1);
}

static int scale(struct gradient *g, int value, float factor)
{
    return factor == 1 ? value : gradient_op(g, "Mul", value, gradient_scalar(g, (double)factor));
}

/* A turned input's gradient is the turned gradient: (d b^T)^T = b d^T. */
static int gemm_gradient(struct gradient *g)
{
    int a = g->node->inputs[0], b = g->node->inputs[1];
    bool turn_a = node_int(g->node, "transA", 0), turn_b = node_int(g->node, "transB", 0);
    int above = g->out[0];
    if (g->wants[0] || g->wants[1])
        above = scale(g, above, node_float(g->node, "alpha", 1));
    if (g->wants[0])
        g->in[0] = turn_a ? gemm(g, b, turn_b, above, true) : gemm(g, above, false, b, !turn_b);
    if (g->wants[1])
        g->in[1] = turn_b ? gemm(g, above, true, a, turn_a) : gemm(g, a, !turn_a, above, false);
    if (g->wants[2])
        g->in[2] = scale(g, gradient_sum_to(g, g->out[0], 2), node_float(g->node, "beta", 1));
    return gradient_end(g);
}
