/* quantise_matmul: MatMulInteger, QLinearMatMul and our matmul_int8. */
#include "ops/families.h"
#include "ops/gradient.h"
#include "ops/quantise_sum.h"
#include "ops/resolve.h"
#include "ops/walk.h"

static int matmul_integer_shape(const struct node *node, const struct op_values *values,
                                struct error *err);
static int matmul_integer_reference(const struct node *node, const struct tensor *const *in,
                                    struct tensor *const *out, struct error *err);
static int qlinear_shape(const struct node *node, const struct op_values *values, struct error *err);
static int qlinear_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);

/* clang-format off */
static const struct op rows[] = {
    { OP_ROW("MatMulInteger", 2, 4, 1, 10, OPSET_MAX, matmul_integer_shape,
             matmul_integer_reference), .heavy = true, .gradient = gradient_none },
    { OP_ROW("QLinearMatMul", 8, 8, 1, 10, OPSET_MAX, qlinear_shape, qlinear_reference),
      .heavy = true, .gradient = gradient_none },
    /* The same, perhaps with a bias, i32 of the columns, and what an activation leaves of the output's
     * type. */
    { OP_ROW("matmul_int8", 8, 9, 1, OPSET_OWN, OPSET_OWN, qlinear_shape, qlinear_reference),
      .heavy = true, OP_ATTRIBUTES({ "low", ATTRIBUTE_INT }, { "high", ATTRIBUTE_INT }) },
};
/* clang-format on */
const struct op_family quantise_matmul_family = OP_FAMILY(rows);

/* A scale or zero point: one for all, or one for each row (of A, of the output) or column (of B) of
 * every matrix or of each. */
struct parameter {
    const struct tensor *tensor; /* NULL: 0 */
    int64_t step, matrix_step;
};

/* A parameter of something with matrices in its last two dimensions; `kept` (counted from the end: 2 or
 * 1) is the one along which it may differ. */
static int check_of_lines(const struct op_values *values, int index, const char *what,
                          unsigned types, const struct shape *of, int kept, struct error *err)
{
    if (!values->in[index])
        return 0;
    int rc = rule_input(values, index, what, types, 0, SHAPE_RANK_MAX, err);
    if (rc)
        return rc;
    const struct shape *shape = &values->in[index]->shape;
    if (shape->rank == 0 || (shape->rank == 1 && shape->dim[0] == 1))
        return 0;
    if (of->rank >= 2 && shape->rank == 1 && shape->dim[0] == of->dim[of->rank - kept])
        return 0;
    struct shape lines = *of;
    if (of->rank >= 2) {
        lines.dim[of->rank - 3 + kept] = 1;
        if (shape_equal(shape, &lines))
            return 0;
    }
    return error_set(err, ERROR_FORMAT, what, "neither one number nor one for each %s",
                     kept == 2 ? "row" : "column");
}

static struct parameter parameter_of(const struct tensor *tensor, int64_t lines)
{
    struct parameter parameter = { .tensor = tensor };
    if (tensor && shape_elements(&tensor->shape) > 1) {
        parameter.step = 1;
        parameter.matrix_step = tensor->shape.rank > 1 ? lines : 0;
    }
    return parameter;
}

static double parameter_at(const struct parameter *parameter, int64_t matrix, int64_t line)
{
    return parameter->tensor ? number_load(parameter->tensor,
                                           matrix * parameter->matrix_step + line * parameter->step)
                             : 0;
}

static int product_shape(const struct op_values *values, int a, int b, struct shape *shape,
                         struct error *err)
{
    int rc = rule_input(values, a, "A", TYPES_BYTE, 1, SHAPE_RANK_MAX, err);
    if (rc || (rc = rule_input(values, b, "B", TYPES_BYTE, 1, SHAPE_RANK_MAX, err)))
        return rc;
    const struct shape *left = &values->in[a]->shape, *right = &values->in[b]->shape;
    struct matmul_span span;
    if (!matmul_span(left, right, &span)) {
        char a_text[128], b_text[128];
        shape_format(left, a_text, sizeof a_text);
        shape_format(right, b_text, sizeof b_text);
        return error_set(err, ERROR_FORMAT, "inputs", "shapes %s and %s do not go together", a_text,
                         b_text);
    }
    *shape = span.batch; /* a vector's dimension of 1 does not show in the output */
    if (left->rank > 1)
        shape->dim[shape->rank++] = span.m;
    if (right->rank > 1)
        shape->dim[shape->rank++] = span.n;
    return 0;
}

static int matmul_integer_shape(const struct node *node, const struct op_values *values,
                                struct error *err)
{
    (void)node;
    struct shape shape;
    int rc = product_shape(values, INTEGER_A, INTEGER_B, &shape, err);
    if (rc)
        return rc;
    const struct value *a = values->in[INTEGER_A], *b = values->in[INTEGER_B];
    if ((rc = check_of_lines(values, INTEGER_A_ZERO, "a_zero_point", 1u << a->type, &a->shape, 2,
                             err)) ||
        (rc = check_of_lines(values, INTEGER_B_ZERO, "b_zero_point", 1u << b->type, &b->shape, 1,
                             err)))
        return rc;
    rule_output(values, 0, TENSOR_I32, &shape);
    return 0;
}

static int qlinear_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct shape shape;
    int rc = product_shape(values, QLINEAR_A, QLINEAR_B, &shape, err);
    if (rc || (rc = rule_input(values, QLINEAR_Y_ZERO, "y_zero_point", TYPES_BYTE, 0, 1, err)))
        return rc;
    const struct value *a = values->in[QLINEAR_A], *b = values->in[QLINEAR_B];
    const struct value *bias = values->in[QLINEAR_BIAS];
    enum tensor_type y = values->in[QLINEAR_Y_ZERO]->type;
    unsigned a_type = 1u << a->type, b_type = 1u << b->type;
    if ((rc = check_of_lines(values, QLINEAR_A_SCALE, "a_scale", TYPES_SCALE, &a->shape, 2, err)) ||
        (rc = check_of_lines(values, QLINEAR_A_ZERO, "a_zero_point", a_type, &a->shape, 2, err)) ||
        (rc = check_of_lines(values, QLINEAR_B_SCALE, "b_scale", TYPES_SCALE, &b->shape, 1, err)) ||
        (rc = check_of_lines(values, QLINEAR_B_ZERO, "b_zero_point", b_type, &b->shape, 1, err)) ||
        (rc = quantise_check_scale(values, QLINEAR_Y_SCALE, "y_scale", err)) ||
        (rc = quantise_check_zero(values, QLINEAR_Y_ZERO, "y_zero_point", y, err)) ||
        (rc = quantise_check_limits(node, y, err)))
        return rc;
    if (bias && (rc = rule_input(values, QLINEAR_BIAS, "bias", TYPE(I32), 1, 1, err)))
        return rc;
    if (bias && (b->shape.rank < 2 || bias->shape.dim[0] != b->shape.dim[b->shape.rank - 1]))
        return error_set(err, ERROR_FORMAT, "bias", "not one number for each column");
    rule_output(values, 0, y, &shape);
    return 0;
}

/* What a product of matrices needs to know of its parameters. */
struct product {
    const struct tensor *a, *b, *bias;
    struct parameter a_zero, b_zero, a_scale, b_scale;
    double y_scale;
    int64_t y_zero;
    struct finish finish;
};

/* Row i of one product, matrices `left` and `right`, to the output from `at` on. */
static void multiply_row(const struct product *p, const struct matmul_span *span, int64_t left,
                         int64_t right, int64_t i, int64_t at)
{
    struct bytes a =
        bytes_of(p->a, (left * span->m + i) * span->k, (int64_t)parameter_at(&p->a_zero, left, i));
    double row_scale = parameter_at(&p->a_scale, left, i) / p->y_scale;
    for (int64_t first = 0; first < span->n; first += STRETCH) {
        int64_t count = span->n - first < STRETCH ? span->n - first : STRETCH;
        int64_t sums[STRETCH];
        for (int64_t j = 0; j < count; j++)
            sums[j] = p->bias ? number_load_whole(p->bias, first + j) : 0;
        for (int64_t j = 0; j < count; j++) {
            struct bytes b = bytes_of(p->b, right * span->k * span->n + first + j,
                                      (int64_t)parameter_at(&p->b_zero, right, first + j));
            for (int64_t k = 0; k < span->k; k++)
                sums[j] += byte_at(&a, k) * byte_at(&b, k * span->n);
        }
        for (int64_t j = 0; j < count; j++)
            finish_sum(&p->finish, at + first + j, sums[j],
                       row_scale * parameter_at(&p->b_scale, right, first + j), p->y_zero);
    }
}

static void multiply(const struct product *p, const struct matmul_span *span)
{
    struct walk walk; /* over the batch: matrices instead of elements */
    walk_init(&walk, &span->batch);
    walk_add_broadcast(&walk, &span->batch);
    walk_add_broadcast(&walk, &span->left);
    walk_add_broadcast(&walk, &span->right);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
        for (int64_t n = 0; n < walk.row; n++)
            for (int64_t i = 0; i < span->m; i++)
                multiply_row(p, span, walk.at[1] + n * walk.row_step[1],
                             walk.at[2] + n * walk.row_step[2], i,
                             ((walk.at[0] + n) * span->m + i) * span->n);
}

static int matmul_integer_reference(const struct node *node, const struct tensor *const *in,
                                    struct tensor *const *out, struct error *err)
{
    (void)err;
    struct matmul_span span;
    matmul_span(&in[INTEGER_A]->shape, &in[INTEGER_B]->shape, &span);
    struct product product = {
        .a = in[INTEGER_A],
        .b = in[INTEGER_B],
        .a_zero = parameter_of(in[INTEGER_A_ZERO], span.m),
        .b_zero = parameter_of(in[INTEGER_B_ZERO], span.n),
        .y_scale = 1,
        .finish = finish_at(node, out[0]),
    };
    multiply(&product, &span);
    return 0;
}

static int qlinear_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    (void)err;
    struct matmul_span span;
    matmul_span(&in[QLINEAR_A]->shape, &in[QLINEAR_B]->shape, &span);
    struct product product = {
        .a = in[QLINEAR_A],
        .b = in[QLINEAR_B],
        .bias = node->input_count > QLINEAR_BIAS ? in[QLINEAR_BIAS] : NULL,
        .a_zero = parameter_of(in[QLINEAR_A_ZERO], span.m),
        .b_zero = parameter_of(in[QLINEAR_B_ZERO], span.n),
        .a_scale = parameter_of(in[QLINEAR_A_SCALE], span.m),
        .b_scale = parameter_of(in[QLINEAR_B_SCALE], span.n),
        .y_scale = quantise_scale(in[QLINEAR_Y_SCALE]),
        .y_zero = quantise_zero(in[QLINEAR_Y_ZERO]),
        .finish = finish_at(node, out[0]),
    };
    multiply(&product, &span);
    return 0;
}
