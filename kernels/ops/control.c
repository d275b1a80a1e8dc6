/* control: ops that hold graphs. They have rows for what a file may say of them; inference replaces their nodes
 * (graph/expand.c), so no shapes are asked of them and none is ever run. */
#include "ops/families.h"

static int body_shape(const struct node *node, const struct op_values *values, struct error *err);
static int body_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err);

#define MANY GRAPH_NODE_INPUTS_MAX

/* clang-format off */
#define BODY_ROW(name, least, most, first)                                                        \
    OP_ROW(name, least, most, MANY, first, OPSET_MAX, body_shape, body_reference), .has_bodies = true
/* clang-format on */

static const struct op rows[] = {
    { BODY_ROW("If", 1, 1, OPSET_MIN),
      OP_ATTRIBUTES({ "then_branch", ATTRIBUTE_GRAPH }, { "else_branch", ATTRIBUTE_GRAPH }) },
    { BODY_ROW("Loop", 2, MANY, OPSET_MIN), OP_ATTRIBUTES({ "body", ATTRIBUTE_GRAPH }) },
    { BODY_ROW("Scan", 1, MANY, 9),
      OP_ATTRIBUTES(
          { "body", ATTRIBUTE_GRAPH }, { "num_scan_inputs", ATTRIBUTE_INT },
          { "scan_input_axes", ATTRIBUTE_INTS }, { "scan_input_directions", ATTRIBUTE_INTS },
          { "scan_output_axes", ATTRIBUTE_INTS }, { "scan_output_directions", ATTRIBUTE_INTS }) },
};
const struct op_family control_family = OP_FAMILY(rows);

static int body_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node, (void)values;
    return error_set(err, ERROR_UNSUPPORTED, "graph", "is not put in the node's place here");
}

static int body_reference(const struct node *node, const struct tensor *const *in,
                          struct tensor *const *out, struct error *err)
{
    (void)in, (void)out;
    return error_set(err, ERROR_UNSUPPORTED, node->op->name,
                     "node '%s' was not replaced: the graph was not inferred", node->name);
}
