/* Gradients of the elementwise ops against differences (gradient_check.h), with attributes, broadcasting
 * in every direction and absent inputs. What holds on the kinks themselves is in
 * elementwise_kinks_test.c. */
#include "cpu_device.h"
#include "gradient_check.h"

#define BF16_BOUND 2e-2

/* One op of an input of each kind of shape that has its own way through the device. */
static void check_unary(const char *op, const char *alpha_name, double alpha, double offset)
{
    const struct shape *shapes[] = { SHAPE(2, 16, 5, 7), SHAPE(37), SHAPE(3, 5),
                                     SHAPE(2, 3, 4, 5, 2) };
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        struct net net;
        net_begin(&net, 100 + s);
        net.graph->opset = 14; /* HardSwish */
        int x = net_input(&net, shapes[s]);
        if (offset != 0)
            x = net_node(&net, "Add", x, net_constant(&net, SHAPE(1), offset, offset), -2);
        int y = net_node(&net, op, x, -2);
        if (alpha_name)
            net_float(&net, alpha_name, (float)alpha);
        net_output(&net, y);
        gradient_check_bf16(&net, device, BF16_BOUND, op);
        net_end(&net);
    }
}

static void test_unary(void **state)
{
    (void)state;
    static const char *const plain[] = { "Relu",        "LeakyRelu", "Elu",   "Sigmoid",
                                         "HardSigmoid", "HardSwish", "swish", "Tanh",
                                         "Softplus",    "Erf",       "Exp",   "Sin",
                                         "Cos",         "Neg",       "Abs",   "Softsign" };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        check_unary(plain[i], NULL, 0, 0);
    check_unary("Log", NULL, 0, 1.5);
    check_unary("Sqrt", NULL, 0, 1.5);
    check_unary("Reciprocal", NULL, 0, 1.5);
    check_unary("LeakyRelu", "alpha", 0.3, 0);
    check_unary("LeakyRelu", "alpha", -0.3, 0);
    check_unary("Elu", "alpha", 0.7, 0);
    check_unary("Elu", "alpha", -0.7, 0);
    check_unary("HardSigmoid", "alpha", 0.9, 0);
    check_unary("HardSigmoid", "beta", 0.1, 0);
}

/* Far from 0, where exponentials are tiny or huge. */
static void test_saturated(void **state)
{
    (void)state;
    static const char *const ops[] = { "Sigmoid", "swish", "Tanh",     "Softplus",
                                       "Erf",     "Elu",   "HardSwish" };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        for (int sign = -1; sign <= 1; sign += 2) {
            struct net net;
            net_begin(&net, 7);
            net.graph->opset = 14;
            int x = net_input(&net, SHAPE(2, 3, 5, 7));
            int scaled = net_node(&net, "Mul", x, net_constant(&net, SHAPE(1), 20, 20), -2);
            net_output(&net, net_node(&net, ops[i], scaled, -2));
            gradient_check(&net, device, ops[i]);
            net_end(&net);
        }
}

static void test_clip(void **state)
{
    (void)state;
    struct net net;
    for (int bounds = 0; bounds < 4; bounds++) {
        net_begin(&net, 20 + (uint64_t)bounds);
        int x = net_input(&net, SHAPE(3, 4, 5, 6));
        int low = bounds & 1 ? net_constant(&net, &(struct shape){ .rank = 0 }, -0.5, -0.5) : -1;
        int high = bounds & 2 ? net_constant(&net, &(struct shape){ .rank = 0 }, 0.25, 0.25) : -1;
        net_output(&net, net_node(&net, "Clip", x, low, high, -2));
        gradient_check_bf16(&net, device, BF16_BOUND, "Clip");
        net_end(&net);
    }
    net_begin(&net, 30);
    net.graph->opset = 10;
    net_output(&net, net_node(&net, "Clip", net_input(&net, SHAPE(3, 4, 5)), -2));
    net_float(&net, "min", -0.25f);
    net_float(&net, "max", 0.5f);
    gradient_check(&net, device, "Clip of opset 10");
    net_end(&net);
}

/* Bounds that are computed; gradients do not go to them. */
static void test_clip_by_values(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 31);
    int x = net_input(&net, SHAPE(4, 5)), scalar = net_input(&net, &(struct shape){ .rank = 0 });
    int high = net_node(&net, "Ceil", scalar, -2), low = net_node(&net, "Floor", scalar, -2);
    int half = net_constant(&net, SHAPE(1), 0.5, 0.5);
    high = net_node(&net, "Mul", high, half, -2);
    low = net_node(&net, "Mul", low, half, -2);
    net_output(&net, net_node(&net, "Clip", x, low, high, -2));
    gradient_check(&net, device, "Clip by values");
    net_end(&net);
}

static const struct shape *const pairs[][2] = {
    { &(struct shape){ 4, { 2, 16, 5, 7 } }, &(struct shape){ 4, { 2, 16, 5, 7 } } },
    { &(struct shape){ 4, { 2, 16, 5, 7 } }, &(struct shape){ 4, { 1, 16, 1, 1 } } },
    { &(struct shape){ 4, { 2, 16, 5, 7 } }, &(struct shape){ 3, { 16, 1, 1 } } },
    { &(struct shape){ 3, { 3, 1, 1 } }, &(struct shape){ 4, { 2, 3, 5, 7 } } },
    { &(struct shape){ 4, { 2, 3, 5, 7 } }, &(struct shape){ 0, { 0 } } },
    { &(struct shape){ 1, { 1 } }, &(struct shape){ 2, { 3, 5 } } },
    { &(struct shape){ 2, { 6, 1 } }, &(struct shape){ 2, { 1, 5 } } },
    { &(struct shape){ 4, { 2, 1, 5, 1 } }, &(struct shape){ 3, { 4, 1, 3 } } },
    { &(struct shape){ 2, { 9, 33 } }, &(struct shape){ 1, { 33 } } },
};

/* offset keeps y from 0, for divisions; base x, for powers. */
static void check_binary(const char *op, double x_offset, double y_offset)
{
    for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++) {
        struct net net;
        net_begin(&net, 50 + p);
        int x = net_input(&net, pairs[p][0]), y = net_input(&net, pairs[p][1]);
        const struct shape *scalar = &(struct shape){ .rank = 0 };
        if (x_offset != 0)
            x = net_node(&net, "Add", x, net_constant(&net, scalar, x_offset, x_offset), -2);
        if (y_offset != 0)
            y = net_node(&net, "Add", y, net_constant(&net, scalar, y_offset, y_offset), -2);
        net_output(&net, net_node(&net, op, x, y, -2));
        gradient_check_bf16(&net, device, BF16_BOUND, op);
        net_end(&net);
    }
}

static void test_binary(void **state)
{
    (void)state;
    check_binary("Add", 0, 0);
    check_binary("Sub", 0, 0);
    check_binary("Mul", 0, 0);
    check_binary("Div", 0, 2);
    check_binary("Max", 0, 0);
    check_binary("Min", 0, 0);
    check_binary("Sum", 0, 0);
    check_binary("Pow", 1.5, 0);
}

/* The gradient of one side alone, and an input that comes in on both. */
static void test_sides(void **state)
{
    (void)state;
    static const char *const ops[] = { "Add", "Sub", "Mul", "Div", "Max", "Min", "Pow", "PRelu" };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        for (int side = 0; side < 2; side++) {
            struct net net;
            net_begin(&net, 80 + i);
            int x = net_input(&net, SHAPE(2, 3, 4, 5)),
                c = net_constant(&net, SHAPE(3, 1, 1), 1.2, 2);
            if (strcmp(ops[i], "Pow") == 0 || (strcmp(ops[i], "Div") == 0 && side))
                x = net_node(&net, "Exp", x, -2);
            if (side && strcmp(ops[i], "PRelu") != 0)
                net_output(&net, net_node(&net, ops[i], c, x, -2));
            else
                net_output(&net, net_node(&net, ops[i], x, c, -2));
            gradient_check(&net, device, ops[i]);
            net_end(&net);
        }
    struct net net;
    net_begin(&net, 90);
    int x = net_input(&net, SHAPE(4, 3));
    net_output(&net, net_node(&net, "Mul", x, x, -2));
    gradient_check(&net, device, "square");
    net_end(&net);
    net_begin(&net, 91);
    x = net_input(&net, SHAPE(4, 3));
    net_output(&net, net_node(&net, "Pow", x, net_constant(&net, SHAPE(1), 2, 2), -2));
    gradient_check(&net, device, "square as a power");
    net_end(&net);
    net_begin(&net, 92);
    x = net_input(&net, SHAPE(4, 3));
    net_output(&net, net_node(&net, "Pow", x, net_constant(&net, SHAPE(1), 3, 3), -2));
    gradient_check(&net, device, "cube");
    net_end(&net);
}

static void test_many(void **state)
{
    (void)state;
    static const char *const ops[] = { "Sum", "Max", "Min" };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        for (int count = 1; count <= 4; count++) {
            struct net net;
            net_begin(&net, 60 + i);
            int inputs[] = { net_input(&net, SHAPE(3, 1)), net_input(&net, SHAPE(2, 3, 4)), -2, -2,
                             -2 };
            if (count == 1)
                inputs[1] = -2;
            if (count > 2)
                inputs[2] = net_input(&net, SHAPE(1, 4));
            if (count > 3)
                inputs[3] = net_input(&net, SHAPE(2, 1, 1));
            net_output(&net, net_node(&net, ops[i], inputs[0], inputs[1], inputs[2], inputs[3], -2));
            gradient_check(&net, device, ops[i]);
            net_end(&net);
        }
}

static void test_prelu(void **state)
{
    (void)state;
    const struct shape *slopes[] = { SHAPE(16, 1, 1), SHAPE(1), SHAPE(2, 16, 5, 7), SHAPE(7) };
    for (size_t i = 0; i < sizeof slopes / sizeof *slopes; i++) {
        struct net net;
        net_begin(&net, 70 + i);
        int x = net_input(&net, SHAPE(2, 16, 5, 7)), slope = net_input(&net, slopes[i]);
        net_output(&net, net_node(&net, "PRelu", x, slope, -2));
        gradient_check_bf16(&net, device, BF16_BOUND, "PRelu");
        net_end(&net);
    }
}

static void test_where(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 95);
    int x = net_input(&net, SHAPE(2, 3, 4)), y = net_input(&net, SHAPE(3, 1)),
        c = net_input(&net, SHAPE(4));
    int condition = net_node(&net, "Greater", c, net_constant(&net, SHAPE(1), 0.1, 0.1), -2);
    net.graph->values[condition].type = TENSOR_BOOL;
    net_output(&net, net_node(&net, "Where", condition, x, y, -2));
    gradient_check(&net, device, "Where");
    net_end(&net);
}

/* What hands nothing back, beside something that does; and casts from f32 to f32. */
static void test_none(void **state)
{
    (void)state;
    static const char *const ops[] = { "Floor", "Ceil", "Round" };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        struct net net;
        net_begin(&net, 96);
        int x = net_input(&net, SHAPE(3, 4));
        net_output(&net, net_node(&net, "Add", x, net_node(&net, ops[i], x, -2), -2));
        gradient_check(&net, device, ops[i]);
        net_end(&net);
    }
    struct net net;
    net_begin(&net, 97);
    int x = net_input(&net, SHAPE(3, 4));
    int cast = net_node(&net, "Cast", net_node(&net, "Tanh", x, -2), -2);
    net_int(&net, "to", 1);
    net_output(&net, net_node(&net, "Exp", cast, -2));
    gradient_check(&net, device, "Cast");
    net_end(&net);
}

/* Behind a convolution, where values lie otherwise than row-major and activations are fused. */
static void test_behind_convolution(void **state)
{
    (void)state;
    static const char *const ops[] = { "Relu",      "LeakyRelu", "Sigmoid", "Tanh",
                                       "HardSwish", "swish",     "Softplus" };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        struct net net;
        net_begin(&net, 40 + i);
        net.graph->opset = 14;
        int x = net_input(&net, SHAPE(1, 3, 9, 10));
        int w = net_input(&net, SHAPE(16, 3, 3, 3)), b = net_input(&net, SHAPE(16));
        int y = net_node(&net, "Conv", x, w, b, -2);
        y = net_node(&net, ops[i], y, -2);
        net_output(&net, y);
        gradient_check(&net, device, ops[i]);
        net_end(&net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unary),
        cmocka_unit_test(test_saturated),
        cmocka_unit_test(test_clip),
        cmocka_unit_test(test_clip_by_values),
        cmocka_unit_test(test_binary),
        cmocka_unit_test(test_sides),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_prelu),
        cmocka_unit_test(test_where),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_behind_convolution),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
