/* Every op that the cpu device treats in its own way, in many forms and odd shapes, against the
 * reference kernels: relative norm error below 1e-5 in f32. bf16 keeps 8 bits of each factor and
 * result, 2^-9 relative at most, which averages out in sums: 1e-2 is asked for. */
#include "cpu_device.h"

#define F32_BOUND 1e-5
#define BF16_BOUND 1e-2

struct conv_case {
    int64_t in, out, groups, rows, columns, kernel, stride, dilation, pad;
    bool bias;
};

static const struct conv_case conv_cases[] = {
    { 3, 16, 1, 33, 47, 3, 2, 1, 1, true },    { 16, 32, 1, 17, 13, 3, 1, 1, 1, true },
    { 32, 16, 1, 9, 11, 1, 1, 1, 0, false },   { 24, 24, 24, 15, 21, 3, 1, 1, 1, true },
    { 16, 16, 16, 20, 14, 5, 2, 1, 2, true },  { 25, 28, 1, 19, 23, 3, 1, 2, 2, false },
    { 25, 25, 1, 35, 40, 3, 1, 16, 16, true }, { 1, 56, 1, 12, 10, 5, 1, 1, 2, true },
    { 12, 4, 1, 7, 5, 1, 1, 1, 0, true },      { 16, 8, 4, 10, 9, 3, 1, 1, 1, true },
    { 64, 64, 1, 24, 32, 3, 1, 1, 1, true },   { 7, 5, 1, 1, 1, 1, 1, 1, 0, true },
    { 3, 3, 3, 8, 9, 3, 3, 1, 0, false },      { 19, 2, 1, 30, 1, 3, 1, 1, 1, true },
};

static int add_conv(struct net *net, const struct conv_case *c, int input, const char *op)
{
    bool transposed = strcmp(op, "ConvTranspose") == 0;
    int64_t terms = c->in / c->groups * c->kernel * c->kernel;
    double scale = 1 / sqrt((double)terms);
    int weights = transposed
                      ? net_constant(net, SHAPE(c->in, c->out / c->groups, c->kernel, c->kernel),
                                     -scale, scale)
                      : net_constant(net, SHAPE(c->out, c->in / c->groups, c->kernel, c->kernel),
                                     -scale, scale);
    int bias = c->bias ? net_constant(net, SHAPE(c->out), -1, 1) : -1;
    int output = c->bias ? net_node(net, op, input, weights, bias, -2)
                         : net_node(net, op, input, weights, -2);
    net_int(net, "group", c->groups);
    LIST(net, "strides", c->stride, c->stride);
    LIST(net, "dilations", c->dilation, c->dilation);
    LIST(net, "pads", c->pad, c->pad, c->pad, c->pad);
    return output;
}

static void test_conv(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof conv_cases / sizeof *conv_cases; i++) {
        const struct conv_case *c = &conv_cases[i];
        for (int64_t batch = 1; batch <= 2; batch++) {
            struct net net;
            char what[64];
            net_begin(&net, i);
            int x = net_input(&net, SHAPE(batch, c->in, c->rows, c->columns));
            net_output(&net, add_conv(&net, c, x, "Conv"));
            snprintf(what, sizeof what, "conv case %zu, batch %d", i, (int)batch);
            net_check(&net, device, PRECISION_F32, F32_BOUND, what);
            net_end(&net);
        }
    }
}

static void test_conv_forms(void **state)
{
    (void)state;
    static const char *const auto_pads[] = { "SAME_UPPER", "SAME_LOWER", "VALID" };
    for (size_t i = 0; i < 3; i++) {
        struct net net;
        net_begin(&net, i);
        int x = net_input(&net, SHAPE(1, 4, 11, 14));
        int w = net_constant(&net, SHAPE(6, 4, 3, 4), -1, 1);
        net_output(&net, net_node(&net, "Conv", x, w, -2));
        net_string(&net, "auto_pad", auto_pads[i]);
        LIST(&net, "strides", 2, 1);
        net_check(&net, device, PRECISION_F32, F32_BOUND, auto_pads[i]);
        net_end(&net);
    }
    struct net net;
    net_begin(&net, 7);
    int x = net_input(&net, SHAPE(2, 5, 37)); /* one dimension */
    int w = net_constant(&net, SHAPE(6, 5, 4), -1, 1);
    net_output(&net, net_node(&net, "Relu", net_node(&net, "Conv", x, w, -2), -2));
    net_check(&net, device, PRECISION_F32, F32_BOUND, "one dimension");
    net_end(&net);

    net_begin(&net, 8);
    x = net_input(&net, SHAPE(1, 5, 9, 8)); /* uneven padding, weights that are an input */
    w = net_input(&net, SHAPE(6, 5, 3, 3));
    net_output(&net, net_node(&net, "Conv", x, w, -2));
    LIST(&net, "pads", 0, 1, 2, 3);
    net_check(&net, device, PRECISION_F32, F32_BOUND, "weights as input");
    net_end(&net);
}

static void test_conv_transpose(void **state)
{
    (void)state;
    static const struct conv_case cases[] = {
        { 32, 16, 1, 9, 16, 2, 2, 1, 0, false }, { 8, 2, 1, 18, 32, 2, 2, 1, 0, true },
        { 6, 4, 1, 7, 5, 3, 2, 1, 1, true },     { 8, 8, 2, 6, 7, 3, 1, 1, 1, true },
        { 5, 3, 1, 6, 7, 4, 3, 1, 1, true },     { 4, 4, 4, 6, 7, 3, 2, 1, 1, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int64_t output_padding = 0; output_padding < 2; output_padding++) {
            struct net net;
            char what[64];
            net_begin(&net, i);
            int x = net_input(&net, SHAPE(1, cases[i].in, cases[i].rows, cases[i].columns));
            net_output(&net, add_conv(&net, &cases[i], x, "ConvTranspose"));
            if (cases[i].stride > 1)
                LIST(&net, "output_padding", output_padding, output_padding);
            snprintf(what, sizeof what, "transposed case %zu", i);
            net_check(&net, device, PRECISION_F32, F32_BOUND, what);
            net_end(&net);
        }
}

/* The activations that follow a convolution, alone and with the addition of another branch. */
static int add_activation(struct net *net, int kind, int x, int64_t channels)
{
    int y;
    switch (kind) {
    case 0:
        return net_node(net, "Relu", x, -2);
    case 1:
        y = net_node(net, "LeakyRelu", x, -2);
        net_float(net, "alpha", 0.1f);
        return y;
    case 2:
        return net_node(net, "Clip", x, net_constant(net, &(struct shape){ 0 }, -0.3, -0.3),
                        net_constant(net, &(struct shape){ 0 }, 0.4, 0.4), -2);
    case 3:
        return net_node(net, "Mul", net_node(net, "Sigmoid", x, -2), x, -2);
    case 4:
        net->graph->opset = 14; /* where HardSwish came */
        y = net_node(net, "HardSwish", x, -2);
        net->graph->opset = CHECK_OPSET;
        return y;
    case 5:
        return net_node(net, "PRelu", x, net_constant(net, SHAPE(channels, 1, 1), 0, 0.5), -2);
    case 6:
        return net_node(net, "PRelu", x, net_constant(net, SHAPE(1), 0.2, 0.2), -2);
    case 7:
        y = net_node(net, "HardSigmoid", x, -2);
        net_float(net, "alpha", 0.3f);
        return net_node(net, "Add", y, net_constant(net, SHAPE(channels, 1, 1), -1, 1), -2);
    case 8:
        return net_node(net, "Tanh", x, -2);
    case 9:
        return net_node(net, "Elu", x, -2);
    case 10:
        return net_node(net, "Softplus", x, -2);
    case 11:
        return net_node(net, "Sigmoid", x, -2);
    case 12:
        return net_node(net, "Abs", net_node(net, "Neg", x, -2), -2);
    case 13:
        return net_node(net, "Exp", x, -2);
    default:
        return -1;
    }
}
#define ACTIVATIONS 14

static void test_conv_fused(void **state)
{
    (void)state;
    const struct conv_case c = { 7, 20, 1, 13, 9, 3, 1, 1, 1, true };
    const struct conv_case narrow = { 20, 20, 20, 13, 9, 3, 1, 1, 1, false };
    const struct conv_case dilated = { 7, 20, 1, 13, 9, 3, 1, 8, 8, true };
    for (int kind = 0; kind < ACTIVATIONS; kind++)
        for (int form = 0; form < 6; form++) {
            struct net net;
            char what[64];
            const struct conv_case *second = form == 1 ? &narrow : form > 3 ? &dilated : &c;
            net_begin(&net, (uint64_t)kind);
            int x = net_input(&net, SHAPE(1, c.in, c.rows, c.columns));
            int first = add_conv(&net, &c, x, "Conv");
            int y = add_conv(&net, second, form == 1 ? first : x, "Conv");
            if (form == 2 || form == 5) /* the other branch, then the activation */
                y = add_activation(&net, kind, net_node(&net, "Add", y, first, -2), c.out);
            else
                y = add_activation(&net, kind, y, c.out);
            if (form == 3 || form == 4) /* the activation, then the other branch */
                y = net_node(&net, "Add", first, y, -2);
            net_output(&net, y);
            snprintf(what, sizeof what, "activation %d, form %d", kind, form);
            net_check(&net, device, PRECISION_F32, F32_BOUND, what);
            net_end(&net);
        }
}

/* Every activation behind every other. */
static void test_conv_chains(void **state)
{
    (void)state;
    static const struct conv_case cases[] = { { 16, 1, 1, 5, 6, 1, 1, 1, 0, true },
                                              { 8, 20, 1, 7, 6, 3, 1, 1, 1, false },
                                              { 16, 16, 16, 7, 6, 3, 1, 1, 1, false } };
    for (int kind = 0; kind < ACTIVATIONS * ACTIVATIONS; kind++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            struct net net;
            char what[64];
            net_begin(&net, (uint64_t)kind);
            int x = net_input(&net, SHAPE(1, cases[i].in, cases[i].rows, cases[i].columns));
            int y = add_conv(&net, &cases[i], x, "Conv");
            y = add_activation(&net, kind % ACTIVATIONS, y, cases[i].out);
            y = add_activation(&net, kind / ACTIVATIONS, y, cases[i].out);
            net_output(&net, y);
            snprintf(what, sizeof what, "activation %d, then %d, case %zu", kind % ACTIVATIONS,
                     kind / ACTIVATIONS, i);
            net_check(&net, device, PRECISION_F32, F32_BOUND, what);
            net_end(&net);
        }
}

static void test_affine(void **state)
{
    (void)state;
    for (int form = 0; form < 4; form++) {
        struct net net;
        char what[64];
        const struct conv_case c = { 6, 12, form == 1 ? 3 : 1, 10, 11, 3, 1, 1, 1, form != 2 };
        net_begin(&net, (uint64_t)form);
        int x = net_input(&net, SHAPE(1, c.in, c.rows, c.columns));
        int y = form == 3 ? net_node(&net, "Concat", x, x, -2)
                          : add_conv(&net, &c, x, form == 2 ? "ConvTranspose" : "Conv");
        if (form == 3)
            net_int(&net, "axis", 1);
        y = net_node(&net, "BatchNormalization", y, net_constant(&net, SHAPE(c.out), 0.5, 2),
                     net_constant(&net, SHAPE(c.out), -1, 1), net_constant(&net, SHAPE(c.out), -1, 1),
                     net_constant(&net, SHAPE(c.out), 0.1, 2), -2);
        y = net_node(&net, "Mul", y, net_constant(&net, SHAPE(1, c.out, 1, 1), -1, 1), -2);
        y = net_node(&net, "Sub", net_constant(&net, SHAPE(c.out, 1, 1), -1, 1), y, -2);
        y = net_node(&net, "PRelu", y, net_constant(&net, SHAPE(c.out, 1, 1), 0, 1), -2);
        net_output(&net, y);
        snprintf(what, sizeof what, "affine form %d", form);
        net_check(&net, device, PRECISION_F32, F32_BOUND, what);
        net_end(&net);
    }
}

static void test_binary(void **state)
{
    (void)state;
    static const char *const ops[] = { "Add", "Sub", "Mul", "Div", "Max", "Min", "PRelu" };
    const struct shape shapes[][2] = {
        { { 4, { 1, 5, 6, 7 } }, { 4, { 1, 5, 6, 7 } } },
        { { 4, { 2, 5, 6, 7 } }, { 3, { 5, 1, 1 } } },
        { { 4, { 1, 5, 6, 7 } }, { 1, { 7 } } },
        { { 4, { 1, 5, 6, 7 } }, { 0, { 0 } } },
        { { 3, { 4, 1, 6 } }, { 3, { 4, 5, 1 } } },
        { { 2, { 6, 1 } }, { 3, { 2, 6, 9 } } },
        { { 1, { 9 } }, { 3, { 2, 6, 9 } } },
        { { 0, { 0 } }, { 0, { 0 } } },
        { { 4, { 1, 5, 6, 7 } }, { 4, { 1, 1, 6, 7 } } },
        { { 5, { 1, 2, 3, 4, 5 } }, { 2, { 4, 1 } } },
    };
    for (size_t o = 0; o < sizeof ops / sizeof *ops; o++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (int form = 0; form < 3; form++) { /* both inputs, a constant, both and a Relu */
                struct shape sum;
                if (o == 6 && (!shape_broadcast(&shapes[s][0], &shapes[s][1], &sum) ||
                               !shape_equal(&sum, &shapes[s][0])))
                    continue;
                struct net net;
                char what[64];
                net_begin(&net, s);
                int a = net_input(&net, &shapes[s][0]);
                int b = form == 1 ? net_constant(&net, &shapes[s][1], 0.5, 1.5)
                                  : net_input(&net, &shapes[s][1]);
                int y = net_node(&net, ops[o], a, b, -2);
                net_output(&net, form == 2 ? net_node(&net, "Relu", y, -2) : y);
                snprintf(what, sizeof what, "%s shapes %zu form %d", ops[o], s, form);
                net_check(&net, device, PRECISION_F32, F32_BOUND, what);
                net_end(&net);
            }
}

static void test_unary_views(void **state)
{
    (void)state;
    for (int kind = 0; kind < ACTIVATIONS; kind++) {
        struct net net;
        net_begin(&net, (uint64_t)kind);
        int x = net_input(&net, SHAPE(1, 6, 7, 5));
        int y = net_node(&net, "Transpose", x, -2);
        LIST(&net, "perm", 0, 1, 3, 2);
        net_output(&net, add_activation(&net, kind, y, 6));
        net_check(&net, device, PRECISION_F32, F32_BOUND, "unary on a transposed view");
        net_end(&net);
    }
}

static void test_matmul(void **state)
{
    (void)state;
    const struct shape shapes[][2] = {
        { { 2, { 5, 7 } }, { 2, { 7, 3 } } },
        { { 3, { 4, 5, 7 } }, { 3, { 4, 7, 3 } } },
        { { 3, { 24, 1, 32 } }, { 2, { 32, 16 } } },
        { { 4, { 1, 2, 5, 7 } }, { 3, { 2, 7, 3 } } },
        { { 3, { 1, 5, 7 } }, { 3, { 6, 7, 3 } } },
        { { 2, { 5, 7 } }, { 1, { 7 } } },
        { { 1, { 7 } }, { 2, { 7, 4 } } },
        { { 2, { 1, 64 } }, { 2, { 64, 100 } } },
        { { 4, { 2, 3, 1, 8 } }, { 4, { 2, 1, 8, 1 } } },
    };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int form = 0; form < 5; form++) {
            struct net net;
            char what[64];
            net_begin(&net, s);
            int a = net_input(&net, &shapes[s][0]);
            int b = form == 1 || form == 4 ? net_constant(&net, &shapes[s][1], -1, 1)
                                           : net_input(&net, &shapes[s][1]);
            int y = net_node(&net, "MatMul", a, b, -2);
            int64_t n = shapes[s][1].dim[shapes[s][1].rank - 1];
            if (form == 2) /* added to itself as a whole after something else */
                y = net_node(&net, "Add", y, net_node(&net, "MatMul", a, b, -2), -2);
            if (form >= 3 && shapes[s][1].rank > 1)
                y = net_node(&net, "Relu",
                             net_node(&net, "Add", y, net_constant(&net, SHAPE(n), -1, 1), -2), -2);
            net_output(&net, y);
            snprintf(what, sizeof what, "matmul shapes %zu form %d", s, form);
            net_check(&net, device, PRECISION_F32, F32_BOUND, what);
            net_end(&net);
        }
    /* Transposes on both sides, and what they leave behind. */
    struct net net;
    net_begin(&net, 99);
    int a = net_node(&net, "Transpose", net_input(&net, SHAPE(6, 2, 4)), -2);
    LIST(&net, "perm", 1, 0, 2);
    int b = net_node(&net, "Transpose", net_input(&net, SHAPE(2, 9, 4)), -2);
    LIST(&net, "perm", 0, 2, 1);
    int y = net_node(&net, "Transpose", net_node(&net, "MatMul", a, b, -2), -2);
    LIST(&net, "perm", 2, 1, 0);
    net_output(&net, y);
    net_check(&net, device, PRECISION_F32, F32_BOUND, "transposed products");
    net_end(&net);
}

static void test_gemm(void **state)
{
    (void)state;
    for (int form = 0; form < 16; form++) {
        struct net net;
        char what[64];
        bool trans_a = form & 1, trans_b = form & 2, constant = form & 4, whole = form & 8;
        net_begin(&net, (uint64_t)form);
        int a = net_input(&net, trans_a ? SHAPE(11, 6) : SHAPE(6, 11));
        const struct shape *shape = trans_b ? SHAPE(9, 11) : SHAPE(11, 9);
        int b = constant ? net_constant(&net, shape, -1, 1) : net_input(&net, shape);
        int c = whole ? net_constant(&net, SHAPE(6, 1), -1, 1) : net_input(&net, SHAPE(9));
        int y = net_node(&net, "Gemm", a, b, c, -2);
        net_int(&net, "transA", trans_a);
        net_int(&net, "transB", trans_b);
        if (form == 5)
            net_float(&net, "alpha", 0.5f);
        net_output(&net, net_node(&net, "Relu", y, -2));
        snprintf(what, sizeof what, "gemm form %d", form);
        net_check(&net, device, PRECISION_F32, F32_BOUND, what);
        net_end(&net);
    }
}

static void test_pool(void **state)
{
    (void)state;
    static const char *const ops[] = { "MaxPool", "AveragePool" };
    for (int o = 0; o < 2; o++)
        for (int form = 0; form < 8; form++) {
            struct net net;
            char what[64];
            bool ceil = form & 1, pad = form & 2, include = form & 4;
            net_begin(&net, (uint64_t)form);
            int x = net_input(&net, SHAPE(2, 5, 14, 17));
            net_output(&net, net_node(&net, ops[o], x, -2));
            LIST(&net, "kernel_shape", 3, 2);
            LIST(&net, "strides", 2, 3);
            if (ceil)
                net_int(&net, "ceil_mode", 1);
            if (pad)
                LIST(&net, "pads", 1, 0, 1, 1);
            if (include && o == 1)
                net_int(&net, "count_include_pad", 1);
            snprintf(what, sizeof what, "%s form %d", ops[o], form);
            net_check(&net, device, PRECISION_F32, F32_BOUND, what);
            net_end(&net);
        }
    static const char *const global[] = { "GlobalAveragePool", "GlobalMaxPool" };
    for (int o = 0; o < 2; o++) {
        struct net net;
        if (!op_find(global[o], CHECK_OPSET))
            continue;
        net_begin(&net, 1);
        net_output(&net, net_node(&net, global[o], net_input(&net, SHAPE(2, 19, 5, 7)), -2));
        net_check(&net, device, PRECISION_F32, F32_BOUND, global[o]);
        net_end(&net);
    }
}

static void test_resize(void **state)
{
    (void)state;
    static const char *const modes[] = { "nearest", "linear" };
    static const char *const coordinates[] = { "half_pixel", "asymmetric", "align_corners",
                                               "pytorch_half_pixel" };
    static const char *const roundings[] = { "floor", "round_prefer_floor", "ceil" };
    static const float scales[][4] = { { 1, 1, 2, 2 }, { 1, 1, 3, 2 }, { 1, 1, 1.5f, 0.5f } };
    for (int form = 0; form < 2 * 4 * 3 * 3; form++) {
        struct net net;
        char what[64];
        net_begin(&net, 3);
        int x = net_input(&net, SHAPE(1, 6, 8, 10));
        int s = net_constant(&net, SHAPE(4), 0, 0);
        memcpy(net.graph->values[s].constant.data, scales[form % 3], sizeof scales[0]);
        net_output(&net, net_node(&net, "Resize", x, -1, s, -2));
        net_string(&net, "mode", modes[form / 36]);
        net_string(&net, "coordinate_transformation_mode", coordinates[form / 9 % 4]);
        net_string(&net, "nearest_mode", roundings[form / 3 % 3]);
        snprintf(what, sizeof what, "resize form %d", form);
        net_check(&net, device, PRECISION_F32, F32_BOUND, what);
        net_end(&net);
    }
}

static void test_softmax(void **state)
{
    (void)state;
    const struct shape shapes[] = { { 3, { 2, 7, 9 } },
                                    { 4, { 1, 20, 5, 6 } },
                                    { 1, { 11 } },
                                    { 4, { 2, 3, 1, 1 } },
                                    { 3, { 5, 1, 4 } } };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int axis = 0; axis < shapes[s].rank; axis++)
            for (int opset = 11; opset <= 13; opset += 2)
                for (int form = 0; form < 2; form++) {
                    struct net net;
                    char what[64];
                    net_begin(&net, s);
                    net.graph->opset = opset;
                    int x = net_input(&net, &shapes[s]);
                    if (form)
                        x = net_node(&net, "Transpose", x, -2);
                    net_output(&net, net_node(&net, "Softmax", x, -2));
                    net_int(&net, "axis", axis);
                    snprintf(what, sizeof what, "softmax shape %zu axis %d opset %d", s, axis, opset);
                    net_check(&net, device, PRECISION_F32, F32_BOUND, what);
                    net_end(&net);
                }
}

static void test_concat(void **state)
{
    (void)state;
    for (int64_t axis = 0; axis < 4; axis++)
        for (int form = 0; form < 3; form++) {
            struct net net;
            char what[64];
            net_begin(&net, (uint64_t)axis);
            int64_t dim[4] = { 1, 16, 4, 8 };
            struct shape shape = { .rank = 4, .dim = { dim[0], dim[1], dim[2], dim[3] } };
            int x = net_input(&net, &shape);
            shape.dim[axis] += 3;
            int z = net_input(&net, &shape);
            /* Fresh memory, memory that is read again later, an input, a constant, itself. */
            int a = net_node(&net, "Exp", x, -2), b = net_node(&net, "Exp", z, -2);
            if (form == 1) {
                const struct conv_case c = { 16, 16, 1, 4, 8, 3, 1, 1, 1, true };
                a = add_conv(&net, &c, x, "Conv");
            }
            int y = net_node(&net, "Concat", a, b, x, net_constant(&net, &shape, -1, 1), a, -2);
            net_int(&net, "axis", axis - 4);
            net_output(&net, y);
            if (form == 2)
                net_output(&net, net_node(&net, "Sigmoid", a, -2));
            snprintf(what, sizeof what, "concat axis %d form %d", (int)axis, form);
            net_check(&net, device, PRECISION_F32, F32_BOUND, what);
            net_end(&net);
        }
}

/* Reshape, Transpose, Slice, Gather and Split one after the other, on row-major and channels-last
 * arrays, as ShuffleNet and the heads of detectors do. */
static void test_views(void **state)
{
    (void)state;
    for (int form = 0; form < 6; form++) {
        struct net net;
        char what[64];
        net_begin(&net, (uint64_t)form);
        int x = net_input(&net, SHAPE(1, 12, 6, 8));
        const struct conv_case c = { 12, 12, 1, 6, 8, 1, 1, 1, 0, true };
        if (form & 1)
            x = add_conv(&net, &c, x, "Conv");
        int y;
        if (form / 2 == 0) {
            y = net_node(&net, "Reshape", x, INTS(&net, 6, 2, 48), -2);
            y = net_node(&net, "Transpose", y, -2);
            LIST(&net, "perm", 1, 0, 2);
            y = net_node(&net, "Reshape", y, INTS(&net, 2, -1, 6, 6, 8), -2);
            int left = net_node(&net, "Gather", y, INTS(&net, 0), -2);
            net_int(&net, "axis", 0);
            int right = net_node(&net, "Gather", y, INTS(&net, -1), -2);
            net_int(&net, "axis", 0);
            net_output(&net, left);
            y = net_node(&net, "Squeeze", right, INTS(&net, 0), -2);
        } else if (form / 2 == 1) {
            y = net_node(&net, "Slice", x, INTS(&net, 1, -5), INTS(&net, 100, -1), INTS(&net, 2, 3),
                         INTS(&net, 2, 3), -2);
            y = net_node(&net, "Relu", y, -2);
            net_output(&net, net_node(&net, "Slice", x, INTS(&net, 10), INTS(&net, 2),
                                      INTS(&net, 1), INTS(&net, -2), -2));
        } else {
            y = net_node(&net, "Reshape", x, INTS(&net, 1, 12, 48), -2);
            y = net_node(&net, "Transpose", y, -2);
            LIST(&net, "perm", 0, 2, 1);
            y = net_node(&net, "Flatten", y, -2);
            y = net_node(&net, "Unsqueeze", y, INTS(&net, 2), -2);
        }
        net_output(&net, y);
        snprintf(what, sizeof what, "views form %d", form);
        net_check(&net, device, PRECISION_F32, F32_BOUND, what);
        net_end(&net);
    }
    struct net net;
    net_begin(&net, 9);
    int x = net_input(&net, SHAPE(1, 10, 5, 4));
    int parts[3];
    for (int i = 0; i < 3; i++) {
        parts[i] = graph_add_value(net.graph, "part", TENSOR_F32, NULL, &net.err);
        net_output(&net, parts[i]);
    }
    int inputs[] = { net_node(&net, "Relu", x, -2), INTS(&net, 3, 5, 2) };
    net_must(&net, graph_add_node(net.graph, op_find("Split", CHECK_OPSET), "split", inputs, 2,
                                  parts, 3, &net.err));
    net_int(&net, "axis", 1);
    net_check(&net, device, PRECISION_F32, F32_BOUND, "split");
    net_end(&net);
}

static void test_pad(void **state)
{
    (void)state;
    static const char *const modes[] = { "constant", "reflect", "edge" };
    for (int form = 0; form < 3; form++) {
        struct net net;
        net_begin(&net, (uint64_t)form);
        int x = net_input(&net, SHAPE(1, 3, 6, 5));
        int y =
            net_node(&net, "Pad", net_node(&net, "Relu", x, -2), INTS(&net, 0, 1, 2, 0, 0, 0, 1, 3),
                     net_constant(&net, &(struct shape){ 0 }, 0.5, 0.5), -2);
        net_string(&net, "mode", modes[form]);
        net_output(&net, y);
        net_check(&net, device, PRECISION_F32, F32_BOUND, modes[form]);
        net_end(&net);
    }
}

/* Behind a convolution, which leaves channels last (and in bf16), and behind a slice with gaps. */
static void test_pad_orders(void **state)
{
    (void)state;
    static const int64_t pads[][8] = {
        { 0, 0, 1, 1, 0, 0, 1, 1 }, { 0, 2, 0, 0, 0, 0, 0, 3 }, { 1, 0, 2, 0, 0, 1, 0, 0 },
        { 0, 0, 0, 0, 0, 0, 0, 0 }, { 0, 0, 0, 0, 0, 1, 0, 0 }, { 2, 1, 1, 2, 1, 2, 2, 1 },
    };
    struct device_info info;
    device_get_info(device, &info);
    for (size_t form = 0; form < 4 * sizeof pads / sizeof *pads; form++) {
        struct net net;
        bool narrow = form % 2, sliced = form / 2 % 2;
        const int64_t *pad = pads[form / 4];
        net_begin(&net, form);
        int x = net_input(&net, SHAPE(1, 4, 7, form % 3 ? 5 : 1));
        x = add_conv(&net, &(struct conv_case){ 4, 6, 1, 7, 5, 1, 1, 1, 0, true }, x, "Conv");
        if (sliced)
            x = net_node(&net, "Slice", x, INTS(&net, 1, 2), INTS(&net, 5, 7), INTS(&net, 1, 2), -2);
        int y = net_node(&net, "Pad", x, net_ints(&net, 8, pad),
                         net_constant(&net, &(struct shape){ 0 }, -3, -3), -2);
        net_output(&net, y);
        if (!narrow || info.bf16)
            net_check(&net, device, narrow ? PRECISION_BF16 : PRECISION_F32,
                      narrow ? BF16_BOUND : F32_BOUND, sliced ? "padded slice" : "padded");
        net_end(&net);
    }
}

/* Ops without a maker, between some that leave other layouts behind. */
static void test_reference(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(1, 8, 6, 6));
    const struct conv_case c = { 8, 8, 1, 6, 6, 3, 1, 1, 1, true };
    int y = net_node(&net, "Sin", add_conv(&net, &c, x, "Conv"), -2);
    y = net_node(&net, "ReduceMean", y, -2);
    LIST(&net, "axes", -1);
    y = add_conv(&net, &(struct conv_case){ 8, 4, 1, 6, 1, 1, 1, 1, 0, true }, y, "Conv");
    net_output(&net, y);
    net_output(&net, x); /* an input that is an output */
    net_check(&net, device, PRECISION_F32, F32_BOUND, "reference");
    net_end(&net);
}

/* One memory is used again and again, in place too, while a branch still needs the old content. */
static void test_memory(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(1, 8, 9, 7));
    const struct conv_case c = { 8, 8, 1, 9, 7, 3, 1, 1, 1, true };
    int a = add_conv(&net, &c, x, "Conv");
    int b = net_node(&net, "Relu", a, -2);
    int d = net_node(&net, "Sigmoid", b, -2);
    int e = net_node(&net, "Exp", d, -2);
    int f = net_node(&net, "Mul", e, b, -2); /* b outlives d */
    int g = net_node(&net, "Transpose", f, -2);
    LIST(&net, "perm", 0, 1, 3, 2);
    int h = net_node(&net, "Tanh", f, -2); /* not in place: g sees f's memory */
    int i = net_node(&net, "Transpose", h, -2);
    LIST(&net, "perm", 0, 1, 3, 2);
    int j = net_node(&net, "Add", g, i, -2);
    net_output(&net, j);
    net_output(&net, net_node(&net, "Neg", j, -2));
    net_output(&net, e);
    net_check(&net, device, PRECISION_F32, F32_BOUND, "memory");
    net_end(&net);
}

static void test_bf16(void **state)
{
    (void)state;
    struct device_info info;
    device_get_info(device, &info);
    struct net net;
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(1, 3, 32, 40));
    int y = add_conv(&net, &(struct conv_case){ 3, 16, 1, 32, 40, 3, 2, 1, 1, true }, x, "Conv");
    y = add_activation(&net, 3, y, 16);
    int z = add_conv(&net, &(struct conv_case){ 16, 16, 1, 16, 20, 3, 1, 1, 1, true }, y, "Conv");
    z = net_node(&net, "Relu", net_node(&net, "Add", z, y, -2), -2);
    z = net_node(&net, "PRelu", z, net_constant(&net, SHAPE(16, 1, 1), 0, 1), -2);
    z = net_node(&net, "MaxPool", z, -2);
    LIST(&net, "kernel_shape", 2, 2);
    LIST(&net, "strides", 2, 2);
    int s = net_constant(&net, SHAPE(4), 1, 1);
    ((float *)net.graph->values[s].constant.data)[2] = 2;
    ((float *)net.graph->values[s].constant.data)[3] = 2;
    z = net_node(&net, "Resize", z, -1, s, -2);
    net_string(&net, "coordinate_transformation_mode", "asymmetric");
    net_string(&net, "nearest_mode", "floor");
    z = net_node(&net, "Concat", z, y, -2);
    net_int(&net, "axis", 1);
    z = add_conv(&net, &(struct conv_case){ 32, 4, 1, 8, 10, 1, 1, 1, 0, true }, z, "Conv");
    net_output(&net, z);
    int w = net_node(&net, "Reshape", z, INTS(&net, 1, 4, -1), -2);
    w = net_node(&net, "Softmax", w, -2);
    int t = net_node(&net, "Transpose", w, -2);
    LIST(&net, "perm", 0, 2, 1);
    net_output(&net, net_node(&net, "MatMul", w, t, -2));
    if (info.bf16) {
        net_check(&net, device, PRECISION_BF16, BF16_BOUND, "bf16");
    } else {
        struct plan *plan;
        struct plan_options options = { .precision = PRECISION_BF16 };
        net_infer(&net);
        assert_int_equal(device_compile(device, net.graph, &options, &plan, &net.err),
                         -ERROR_UNSUPPORTED);
        fprintf(stderr, "SKIP REASON: test_bf16: this processor has no bf16 arithmetic\n");
        net_end(&net);
        skip();
    }
    net_end(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv),           cmocka_unit_test(test_conv_forms),
        cmocka_unit_test(test_conv_transpose), cmocka_unit_test(test_conv_fused),
        cmocka_unit_test(test_conv_chains),    cmocka_unit_test(test_affine),
        cmocka_unit_test(test_binary),         cmocka_unit_test(test_unary_views),
        cmocka_unit_test(test_matmul),         cmocka_unit_test(test_gemm),
        cmocka_unit_test(test_pool),           cmocka_unit_test(test_resize),
        cmocka_unit_test(test_softmax),        cmocka_unit_test(test_concat),
        cmocka_unit_test(test_views),          cmocka_unit_test(test_pad),
        cmocka_unit_test(test_pad_orders),     cmocka_unit_test(test_reference),
        cmocka_unit_test(test_memory),         cmocka_unit_test(test_bf16),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
