/* elementwise: rules and the walk that all elementwise ops share. */
#include "ops/elementwise.h"
#include "ops/rules.h"

int elementwise_shape(const struct op_values *values, unsigned types, enum tensor_type result,
                      struct error *err)
{
    int rc = rule_input(values, 0, "input", types, 0, SHAPE_RANK_MAX, err);
    if (rc)
        return rc;
    const struct value *in = values->in[0];
    rule_output(values, 0, result == TENSOR_NONE ? in->type : result, &in->shape);
    return 0;
}

int elementwise_broadcast(const struct node *node, const struct op_values *values, unsigned types,
                          enum tensor_type result, struct error *err)
{
    struct shape shape;
    for (int i = 0; i < node->input_count; i++) {
        int rc = rule_input(values, i, "input", types, 0, SHAPE_RANK_MAX, err);
        if (rc)
            return rc;
        enum tensor_type first = values->in[0]->type, type = values->in[i]->type;
        if (type != first)
            return error_set(err, ERROR_FORMAT, "inputs", "of types %s and %s",
                             tensor_type_word(first), tensor_type_word(type));
    }
    int rc = elementwise_together(node, values, &shape, err);
    if (rc)
        return rc;
    rule_output(values, 0, result == TENSOR_NONE ? values->in[0]->type : result, &shape);
    return 0;
}

int elementwise_together(const struct node *node, const struct op_values *values,
                         struct shape *shape, struct error *err)
{
    *shape = (struct shape){ 0 };
    for (int i = 0; i < node->input_count; i++) {
        char a[128], b[128];
        shape_format(shape, a, sizeof a);
        shape_format(&values->in[i]->shape, b, sizeof b);
        if (!shape_broadcast(shape, &values->in[i]->shape, shape))
            return error_set(err, ERROR_FORMAT, "inputs", "shapes %s and %s do not go together", a,
                             b);
    }
    return 0;
}

struct walk elementwise_walk(const struct tensor *out, const struct tensor *x, const struct tensor *y)
{
    struct walk walk;
    walk_init(&walk, &out->shape);
    walk_add_broadcast(&walk, &out->shape);
    walk_add_broadcast(&walk, &x->shape);
    walk_add_broadcast(&walk, &y->shape);
    return walk;
}
