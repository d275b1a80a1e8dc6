/* Each pass alone: the graph it gives computes what the old one did (reference kernels on both,
 * random input), and has the nodes it should have. */
#include "cpu_check.h"
#include "passes/fused.h"
#include "passes/pass.h"

#define BOUND 2e-6 /* other order of the same f32 operations */

typedef int pass_fn(struct graph *graph, struct error *err);

/* Runs pass on a copy, compares the outputs and the op names in order ("conv_fused Relu"). */
static void check_pass(struct net *net, pass_fn *pass, const char *ops)
{
    struct graph *after = NULL;
    struct tensor inputs[CHECK_INPUTS_MAX] = { 0 }, before_out[4] = { 0 }, after_out[4] = { 0 };
    const struct tensor *list[CHECK_INPUTS_MAX];
    net_infer(net);
    net_must(net, graph_clone(&after, net->graph, &net->err));
    net_must(net, graph_infer(after, NULL, &net->err));
    net_must(net, pass(after, &net->err));

    char text[512] = "";
    for (int i = 0; i < after->node_count; i++) {
        strcat(text, i ? " " : "");
        strcat(text, after->nodes[i].op->name);
    }
    assert_string_equal(text, ops);
    for (int i = 0; i < after->value_count; i++) /* shapes are kept up */
        assert_true(shape_elements(&after->values[i].shape) >= 0);
    for (int i = 0; i < net->graph->output_count; i++)
        assert_string_equal(net->graph->values[net->graph->outputs[i]].name,
                            after->values[after->outputs[i]].name);

    net_make_inputs(net, inputs);
    for (int i = 0; i < CHECK_INPUTS_MAX; i++)
        list[i] = &inputs[i];
    net_must(net, graph_run_reference(net->graph, list, before_out, &net->err));
    net_must(net, graph_run_reference(after, list, after_out, &net->err));
    for (int i = 0; i < net->graph->output_count; i++) {
        assert_true(relative_error(&after_out[i], &before_out[i]) < BOUND);
        tensor_free(&before_out[i]);
        tensor_free(&after_out[i]);
    }
    /* The shape rules of our own ops agree with what the pass left. */
    net_must(net, graph_infer(after, NULL, &net->err));
    for (int i = 0; i < CHECK_INPUTS_MAX; i++)
        tensor_free(&inputs[i]);
    graph_free(&after);
    net_end(net);
}

static int add_conv(struct net *net, int x, int64_t in, int64_t out, int64_t groups, bool bias)
{
    int w = net_constant(net, SHAPE(out, in / groups, 3, 3), -0.5, 0.5);
    int b = bias ? net_constant(net, SHAPE(out), -1, 1) : -1;
    int y = bias ? net_node(net, "Conv", x, w, b, -2) : net_node(net, "Conv", x, w, -2);
    net_int(net, "group", groups);
    LIST(net, "pads", 1, 1, 1, 1);
    return y;
}

static int add_norm(struct net *net, int x, int64_t channels)
{
    int y = net_node(net, "BatchNormalization", x, net_constant(net, SHAPE(channels), 0.5, 2),
                     net_constant(net, SHAPE(channels), -1, 1),
                     net_constant(net, SHAPE(channels), -1, 1),
                     net_constant(net, SHAPE(channels), 0.1, 2), -2);
    net_float(net, "epsilon", 1e-3f);
    return y;
}

static void test_noop(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(2, 3, 4, 4));
    int y = net_node(&net, "Relu", net_node(&net, "Identity", x, -2), -2);
    y = net_node(&net, "Pad", y, INTS(&net, 0, 0, 0, 0, 0, 0, 0, 0), -2);
    y = net_node(&net, "Transpose", y, -2);
    LIST(&net, "perm", 0, 1, 2, 3);
    y = net_node(&net, "Reshape", y, INTS(&net, 2, 3, 4, 4), -2);
    y = net_node(&net, "Concat", y, -2);
    net_int(&net, "axis", 1);
    net_output(&net, net_node(&net, "Sin", y, -2));
    check_pass(&net, pass_drop_noop, "Relu Sin");

    /* What looks like nothing but is something, and a name that the caller asks for. */
    net_begin(&net, 2);
    x = net_input(&net, SHAPE(1, 3, 4, 4));
    y = net_node(&net, "Transpose", x, -2);
    LIST(&net, "perm", 0, 1, 3, 2);
    y = net_node(&net, "Pad", y, INTS(&net, 0, 0, -1, 0, 0, 0, 1, 0), -2);
    y = net_node(&net, "Reshape", net_node(&net, "Relu", y, -2), INTS(&net, 4, 3, 4, 1), -2);
    net_output(&net, net_node(&net, "Identity", y, -2));
    check_pass(&net, pass_drop_noop, "Transpose Pad Relu Reshape Identity");
}

static void test_activation(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(1, 4, 5, 6));
    int y = net_node(&net, "Mul", net_node(&net, "Sigmoid", x, -2), x, -2);
    int gate = net_node(&net, "HardSigmoid", y, -2);
    net_float(&net, "alpha", 1 / 6.0f);
    y = net_node(&net, "Mul", y, gate, -2);
    net_output(&net, y);
    check_pass(&net, pass_fuse_activation, "swish HardSwish");

    /* A gate that is read elsewhere, one of another slope, one of another value. */
    net_begin(&net, 2);
    x = net_input(&net, SHAPE(1, 4, 5, 6));
    gate = net_node(&net, "Sigmoid", x, -2);
    y = net_node(&net, "Mul", gate, x, -2);
    net_output(&net, gate);
    gate = net_node(&net, "HardSigmoid", y, -2);
    y = net_node(&net, "Mul", y, gate, -2);
    net_output(&net, net_node(&net, "Mul", net_node(&net, "Sigmoid", x, -2), y, -2));
    check_pass(&net, pass_fuse_activation, "Sigmoid Mul HardSigmoid Mul Sigmoid Mul");

    /* Relu(x) + c (x - |x|), both ways round, and with the operands of the difference swapped. */
    for (int form = 0; form < 3; form++) {
        net_begin(&net, 3);
        x = net_input(&net, SHAPE(1, 4, 5, 6));
        int abs = net_node(&net, "Abs", x, -2);
        int sub = form == 2 ? net_node(&net, "Sub", abs, x, -2) : net_node(&net, "Sub", x, abs, -2);
        int c = net_constant(&net, SHAPE(1, 4, 1, 1), 0, 0.4);
        int mul = form ? net_node(&net, "Mul", c, sub, -2) : net_node(&net, "Mul", sub, c, -2);
        int relu = net_node(&net, "Relu", x, -2);
        net_output(&net, form ? net_node(&net, "Add", mul, relu, -2)
                              : net_node(&net, "Add", relu, mul, -2));
        check_pass(&net, pass_fuse_activation, form == 2 ? "Abs Sub Mul Relu Add" : "PRelu");
    }
}

static void test_affine(void **state)
{
    (void)state;
    struct net net;
    for (int groups = 1; groups <= 2; groups++)
        for (int bias = 0; bias < 2; bias++) {
            net_begin(&net, 1);
            int x = net_input(&net, SHAPE(1, 4, 5, 6));
            int y = add_norm(&net, add_conv(&net, x, 4, 6, groups, bias), 6);
            y = net_node(&net, "Mul", net_constant(&net, SHAPE(1, 6, 1, 1), -1, 1), y, -2);
            y = net_node(&net, "Add", y, net_constant(&net, SHAPE(6, 1, 1), -1, 1), -2);
            y = net_node(&net, "Sub", net_constant(&net, SHAPE(1), -1, 1), y, -2);
            y = net_node(&net, "Div", y, net_constant(&net, SHAPE(6, 1, 1), 1, 2), -2);
            net_output(&net, y);
            check_pass(&net, pass_fold_affine, "Conv");

            net_begin(&net, 2);
            x = net_input(&net, SHAPE(1, 4, 5, 6));
            int w = net_constant(&net, SHAPE(4, 6 / groups, 2, 2), -1, 1);
            y = net_node(&net, "ConvTranspose", x, w, -2);
            net_int(&net, "group", groups);
            LIST(&net, "strides", 2, 2);
            net_output(&net, add_norm(&net, y, 6));
            check_pass(&net, pass_fold_affine, "ConvTranspose");
        }

    /* Not per channel, the wrong side of a division, read in between, weights that are shared. */
    net_begin(&net, 3);
    int x = net_input(&net, SHAPE(1, 4, 6, 6));
    int y = add_conv(&net, x, 4, 6, 1, true);
    net_output(&net, net_node(&net, "Mul", y, net_constant(&net, SHAPE(6), -1, 1), -2));
    check_pass(&net, pass_fold_affine, "Conv Mul");
    net_begin(&net, 4);
    x = net_input(&net, SHAPE(1, 4, 6, 6));
    y = net_node(&net, "Exp", add_conv(&net, x, 4, 4, 1, true), -2);
    net_output(&net, net_node(&net, "Div", net_constant(&net, SHAPE(4, 1, 1), 1, 2), y, -2));
    check_pass(&net, pass_fold_affine, "Conv Exp Div");
    net_begin(&net, 5);
    x = net_input(&net, SHAPE(1, 4, 6, 6));
    int w = net_constant(&net, SHAPE(4, 4, 1, 1), -1, 1);
    y = net_node(&net, "Conv", x, w, -2);
    net_output(&net, y);
    net_output(&net, add_norm(&net, net_node(&net, "Conv", y, w, -2), 4));
    check_pass(&net, pass_fold_affine, "Conv Conv");

    net_begin(&net, 6);
    x = net_input(&net, SHAPE(2, 4, 5, 6));
    net_output(&net, add_norm(&net, net_node(&net, "Sin", x, -2), 4));
    check_pass(&net, pass_fold_affine, "Sin Mul Add");
}

static void test_post(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1); /* a residual block */
    int x = net_input(&net, SHAPE(1, 4, 5, 6));
    int y = net_node(&net, "Relu", add_conv(&net, x, 4, 4, 1, false), -2);
    y = net_node(&net, "Add", add_conv(&net, y, 4, 4, 1, true), x, -2);
    net_output(&net, net_node(&net, "Clip", y, net_constant(&net, &(struct shape){ 0 }, -1, -1),
                              net_constant(&net, &(struct shape){ 0 }, 1, 1), -2));
    check_pass(&net, pass_fuse_post, "conv_fused conv_fused");

    net_begin(&net, 2); /* two branches: the later one takes the addition */
    x = net_input(&net, SHAPE(1, 4, 5, 6));
    int left = add_conv(&net, x, 4, 4, 1, true), right = add_conv(&net, x, 4, 4, 1, true);
    y = net_node(&net, "Sub", left, right, -2);
    int z = net_node(&net, "Add", left, right, -2);
    net_output(&net, net_node(&net, "PRelu", z, net_constant(&net, SHAPE(4, 1, 1), 0, 1), -2));
    net_output(&net, y);
    check_pass(&net, pass_fuse_post, "Conv Conv Sub add_fused");

    net_begin(&net, 3); /* x - y on the wrong side, a wider operand, a result that is an output */
    x = net_input(&net, SHAPE(1, 4, 5, 6));
    int wide = net_input(&net, SHAPE(3, 4, 5, 6));
    y = net_node(&net, "Sub", x, add_conv(&net, x, 4, 4, 1, true), -2);
    z = net_node(&net, "Mul", wide, add_conv(&net, x, 4, 4, 1, true), -2);
    int o = add_conv(&net, x, 4, 4, 1, true);
    net_output(&net, o);
    net_output(&net, y);
    net_output(&net, z);
    net_output(&net, net_node(&net, "Relu", o, -2));
    check_pass(&net, pass_fuse_post, "Conv Sub Conv Mul Conv Relu");

    net_begin(&net, 4); /* more than there is room for */
    y = net_node(&net, "MatMul", net_input(&net, SHAPE(3, 5, 4)),
                 net_constant(&net, SHAPE(4, 6), -1, 1), -2);
    for (int i = 0; i < FUSED_POSTS_MAX + 1; i++)
        y = net_node(&net, "Add", y, net_constant(&net, SHAPE(6), -1, 1), -2);
    net_output(&net, net_node(&net, "Tanh", y, -2));
    check_pass(&net, pass_fuse_post, "matmul_fused add_fused");
}

static void test_all(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(1, 4, 9, 10));
    int y = add_norm(&net, add_conv(&net, x, 4, 8, 1, false), 8);
    y = net_node(&net, "Identity", y, -2);
    y = net_node(&net, "Mul", y, net_node(&net, "Sigmoid", y, -2), -2);
    int z = add_norm(&net, add_conv(&net, y, 8, 8, 8, false), 8);
    z = net_node(&net, "Relu", net_node(&net, "Add", y, z, -2), -2);
    z = net_node(&net, "Concat", z, y, -2);
    net_int(&net, "axis", 1);
    net_output(&net, net_node(&net, "Relu", add_norm(&net, z, 16), -2));
    check_pass(&net, pass_run_all, "conv_fused conv_fused Concat mul_fused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_noop), cmocka_unit_test(test_activation), cmocka_unit_test(test_affine),
        cmocka_unit_test(test_post), cmocka_unit_test(test_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
