/* power: Pow, whose two inputs may be of different types, and Mod, which has two meanings. */
#include "ops/elementwise.h"
#include "ops/elementwise_gradient.h"
#include "ops/families.h"
#include "ops/rules.h"
#include "tensor/number.h"

static int pow_shape(const struct node *node, const struct op_values *values, struct error *err);
static int pow_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err);
static int mod_shape(const struct node *node, const struct op_values *values, struct error *err);
static int mod_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    { OP_ROW("Pow", 2, 2, 1, OPSET_MIN, OPSET_MAX, pow_shape, pow_reference),
      .class = OP_CLASS_BINARY, .gradient = gradient_of_Pow },
    { OP_ROW("Mod", 2, 2, 1, 10, OPSET_MAX, mod_shape, mod_reference), .class = OP_CLASS_BINARY,
      OP_ATTRIBUTES({ "fmod", ATTRIBUTE_INT }) },
};
const struct op_family power_family = OP_FAMILY(rows);

static int pow_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct shape shape;
    int rc = rule_input(values, 0, "X", TYPES_NUMERIC, 0, SHAPE_RANK_MAX, err);
    if (rc || (rc = rule_input(values, 1, "Y", TYPES_NUMERIC, 0, SHAPE_RANK_MAX, err)) ||
        (rc = elementwise_together(node, values, &shape, err)))
        return rc;
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

/* By squaring, wrapping around. `natural`: the exponent is unsigned. */
static int64_t whole_power(int64_t base, int64_t exponent, bool natural)
{
    if (exponent < 0 && !natural) { /* 1 / base, cut to a whole number */
        bool odd = exponent & 1;
        return base == 1 ? 1 : base == -1 ? (odd ? -1 : 1) : 0;
    }
    uint64_t power = 1, factor = (uint64_t)base;
    for (uint64_t left = (uint64_t)exponent; left > 0; left >>= 1) {
        if (left & 1)
            power *= factor;
        factor *= factor;
    }
    return (int64_t)power;
}

static void pow_reals(const struct tensor *const *in, struct tensor *out)
{
    struct walk walk = elementwise_walk(out, in[0], in[1]);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk)) {
        const real *x = (const real *)in[0]->data + walk.at[1];
        const real *y = (const real *)in[1]->data + walk.at[2];
        for (int64_t i = 0; i < walk.row; i++)
            ((real *)out->data)[walk.at[0] + i] =
                pow(x[i * walk.row_step[1]], y[i * walk.row_step[2]]);
    }
}

static int pow_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err)
{
    (void)node, (void)err;
    if (in[0]->type == TENSOR_REAL && in[1]->type == TENSOR_REAL) {
        pow_reals(in, out[0]);
        return 0;
    }
    bool whole = tensor_type_is_whole(in[0]->type) && tensor_type_is_whole(in[1]->type);
    bool natural = in[1]->type == TENSOR_U64;
    struct walk walk = elementwise_walk(out[0], in[0], in[1]);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
        for (int64_t i = 0; i < walk.row; i++) {
            int64_t to = walk.at[0] + i;
            int64_t a = walk.at[1] + i * walk.row_step[1], b = walk.at[2] + i * walk.row_step[2];
            if (whole)
                number_store_whole(
                    out[0], to,
                    whole_power(number_load_whole(in[0], a), number_load_whole(in[1], b), natural));
            else
                number_store(out[0], to, pow(number_load(in[0], a), number_load(in[1], b)));
        }
    return 0;
}

static int mod_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    int rc = elementwise_broadcast(node, values, TYPES_NUMERIC, TENSOR_NONE, err);
    if (!rc && !node_int(node, "fmod", 0) && !tensor_type_is_whole(values->in[0]->type))
        rc = error_set(err, ERROR_FORMAT, "fmod", "must be 1 for floats");
    return rc;
}

/* With the sign of x (fmod, as in C) or of y (as in Python). By zero gives 0: the standard leaves it open. */
static int64_t whole_rest(int64_t x, int64_t y, bool like_c)
{
    if (y == 0 || y == -1) /* the smallest number by -1 cannot be divided */
        return 0;
    int64_t rest = x % y;
    return !like_c && rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest;
}

static int mod_reference(const struct node *node, const struct tensor *const *in,
                         struct tensor *const *out, struct error *err)
{
    (void)err;
    bool like_c = node_int(node, "fmod", 0) != 0;
    bool whole = tensor_type_is_whole(in[0]->type), natural = in[0]->type == TENSOR_U64;
    struct walk walk = elementwise_walk(out[0], in[0], in[1]);
    for (bool more = walk_begin(&walk); more; more = walk_next(&walk))
        for (int64_t i = 0; i < walk.row; i++) {
            int64_t to = walk.at[0] + i;
            int64_t a = walk.at[1] + i * walk.row_step[1], b = walk.at[2] + i * walk.row_step[2];
            if (!whole) {
                number_store(out[0], to, fmod(number_load(in[0], a), number_load(in[1], b)));
                continue;
            }
            int64_t x = number_load_whole(in[0], a), y = number_load_whole(in[1], b);
            int64_t rest =
                natural ? (int64_t)(y ? (uint64_t)x % (uint64_t)y : 0) : whole_rest(x, y, like_c);
            number_store_whole(out[0], to, rest);
        }
    return 0;
}
