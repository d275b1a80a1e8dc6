/* determinant: Det, of small matrices: by elimination with pivots, in doubles. */
#include "ops/families.h"
#include "ops/rules.h"
#include "tensor/number.h"

#define ROWS_MAX 64 /* a copy of the matrix lies on the stack */

static int det_shape(const struct node *node, const struct op_values *values, struct error *err);
static int det_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    { OP_ROW("Det", 1, 1, 1, 11, OPSET_MAX, det_shape, det_reference), .heavy = true },
};
const struct op_family determinant_family = OP_FAMILY(rows);

static int det_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int rc = rule_input(values, 0, "X", TYPES_FLOAT, 2, SHAPE_RANK_MAX, err);
    if (rc)
        return rc;
    struct shape shape = values->in[0]->shape;
    int64_t height = shape.dim[shape.rank - 2], width = shape.dim[shape.rank - 1];
    if (height != width)
        return error_set(err, ERROR_FORMAT, "X", "%lldx%lld is not square", (long long)height,
                         (long long)width);
    if (height > ROWS_MAX)
        return error_set(err, ERROR_UNSUPPORTED, "X", "%lld rows; at most %d are supported",
                         (long long)height, ROWS_MAX);
    shape.rank -= 2;
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

/* The row below `from`, or that one, with the largest number in this column. */
static int64_t find_pivot(double matrix[ROWS_MAX][ROWS_MAX], int64_t size, int64_t from)
{
    int64_t best = from;
    for (int64_t i = from + 1; i < size; i++)
        if (fabs(matrix[i][from]) > fabs(matrix[best][from]))
            best = i;
    return best;
}

static double determinant(double matrix[ROWS_MAX][ROWS_MAX], int64_t size)
{
    double product = 1;
    for (int64_t c = 0; c < size; c++) {
        int64_t pivot = find_pivot(matrix, size, c);
        if (matrix[pivot][c] == 0)
            return 0;
        for (int64_t j = 0; pivot != c && j < size; j++) {
            double number = matrix[c][j];
            matrix[c][j] = matrix[pivot][j];
            matrix[pivot][j] = number;
        }
        product *= pivot != c ? -matrix[c][c] : matrix[c][c];
        for (int64_t i = c + 1; i < size; i++) {
            double factor = matrix[i][c] / matrix[c][c];
            for (int64_t j = c; j < size; j++)
                matrix[i][j] -= factor * matrix[c][j];
        }
    }
    return product;
}

static int det_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    double matrix[ROWS_MAX][ROWS_MAX] = { { 0 } };
    int64_t size = in[0]->shape.dim[in[0]->shape.rank - 1];
    for (int64_t m = 0, count = shape_elements(&out[0]->shape); m < count; m++) {
        for (int64_t i = 0; i < size * size; i++)
            matrix[i / size][i % size] = number_load(in[0], m * size * size + i);
        number_store(out[0], m, determinant(matrix, size));
    }
    return 0;
}
