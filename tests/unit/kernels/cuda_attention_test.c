/* Attention on the emulated GPU: the spellings of it that become one step, on odd shapes, with batches
 * that broadcast, in all precisions, beside the reference; scores so large that only differences of them
 * are small enough, and rows of which some are -infinity; and what must not become one. */
#include "cuda/attention.h"
#include "cuda_emulated.h"
#include "passes/pass.h"

#define F32_BOUND 2e-6
#define NARROW_BOUND 2e-2

enum spelling { PLAIN, TIMES, DIVIDED };

/* MatMul, what scales it, Softmax over an axis, MatMul. Gives the scores. */
static int add_attention(struct net *net, enum spelling spelling, int q, int k, int v, int64_t axis)
{
    int scores = net_node(net, "MatMul", q, k, -2), scaled = scores;
    if (spelling != PLAIN)
        scaled = net_node(net, spelling == TIMES ? "Mul" : "Div", scores,
                          net_constant(net, SHAPE(1), 3, 4), -2);
    int weights = net_node(net, "Softmax", scaled, -2);
    net_int(net, "axis", axis);
    net_output(net, net_node(net, "MatMul", weights, v, -2));
    return scaled;
}

/* Nodes "attention" behind all passes. */
static int count_found(const struct net *net)
{
    struct graph *graph;
    struct error err;
    int count = 0;
    assert_int_equal(graph_clone(&graph, net->graph, &err), 0);
    assert_int_equal(graph_infer(graph, NULL, &err), 0);
    assert_int_equal(pass_run_all(graph, &err), 0);
    assert_int_equal(cuda_find_attention(graph, &err), 0);
    for (int i = 0; i < graph->node_count; i++)
        count += strcmp(graph->nodes[i].op->name, "attention") == 0;
    graph_free(&graph);
    return count;
}

static void check(enum spelling spelling, const struct shape *q, const struct shape *k,
                  const struct shape *v)
{
    static const enum precision precisions[] = { PRECISION_F32, PRECISION_TF32, PRECISION_BF16,
                                                 PRECISION_F16 };
    for (size_t i = 0; i < sizeof precisions / sizeof *precisions; i++) {
        struct net net;
        bool narrow = precisions[i] == PRECISION_BF16 || precisions[i] == PRECISION_F16;
        net_begin(&net, i);
        int a = net_input(&net, q), b = net_input(&net, k), c = net_input(&net, v);
        add_attention(&net, spelling, a, b, c, -1);
        net_infer(&net);
        assert_int_equal(count_found(&net), 1);
        net_check(&net, device, precisions[i], narrow ? NARROW_BOUND : F32_BOUND, "attention");
        net_end(&net);
    }
}

static void test_spellings(void **state)
{
    (void)state;
    for (enum spelling spelling = PLAIN; spelling <= DIVIDED; spelling++)
        check(spelling, SHAPE(2, 3, 65, 33), SHAPE(2, 3, 33, 67), SHAPE(2, 3, 67, 31));
}

static void test_shapes(void **state)
{
    (void)state;
    check(PLAIN, SHAPE(1, 1), SHAPE(1, 1), SHAPE(1, 1));
    check(PLAIN, SHAPE(3, 1, 7), SHAPE(3, 7, 130), SHAPE(3, 130, 5));
    check(TIMES, SHAPE(64, 64), SHAPE(64, 64), SHAPE(64, 64));
    check(TIMES, SHAPE(70, 128), SHAPE(128, 33), SHAPE(33, 128));
    check(DIVIDED, SHAPE(5, 200), SHAPE(200, 97), SHAPE(97, 127));
    check(DIVIDED, SHAPE(2, 1, 9, 8), SHAPE(3, 8, 40), SHAPE(40, 66));
    check(PLAIN, SHAPE(9, 8), SHAPE(1, 8, 40), SHAPE(2, 3, 40, 6));
}

/* Between convolutions it reads what they leave, narrow and channels-last: no step copies that. */
static void test_among(void **state)
{
    (void)state;
    static const enum precision precisions[] = { PRECISION_F32, PRECISION_F16 };
    for (size_t i = 0; i < 2; i++) {
        struct net net;
        struct plan *plan;
        struct plan_options options = { .precision = precisions[i] };
        net_begin(&net, 5);
        int x = net_input(&net, SHAPE(2, 5, 7, 7)), parts[3];
        for (int k = 0; k < 3; k++)
            parts[k] = net_node(&net, "Conv", x, net_constant(&net, SHAPE(4, 5, 1, 1), -1, 1), -2);
        add_attention(&net, TIMES, parts[0], parts[1], parts[2], -1);
        net_check(&net, device, precisions[i], i == 0 ? F32_BOUND : NARROW_BOUND, "among");
        net_must(&net, device_compile(device, net.graph, &options, &plan, &net.err));
        size_t count = 0;
        while (plan_step(plan, count))
            count++;
        assert_string_equal(plan_step(plan, count - 1), "attention");
        assert_string_equal(plan_step(plan, count - 2), "conv");
        plan_free(&plan);
        net_end(&net);
    }
}

/* Runs a product of one row with given scores: q is 1 x 1, and holds 1. */
static void run_scores(const struct tensor *scores, const struct tensor *values, float *out)
{
    struct net net;
    struct plan *plan;
    struct plan_options options = { .precision = PRECISION_F32 };
    net_begin(&net, 6);
    int q = net_constant(&net, SHAPE(1, 1), 1, 1);
    int k = net_input(&net, &scores->shape), v = net_input(&net, &values->shape);
    add_attention(&net, PLAIN, q, k, v, -1);
    net_infer(&net);
    net_must(&net, device_compile(device, net.graph, &options, &plan, &net.err));
    memcpy(plan_input(plan, 0)->data, scores->data, tensor_bytes(scores));
    memcpy(plan_input(plan, 1)->data, values->data, tensor_bytes(values));
    net_must(&net, plan_run(plan, &net.err));
    *out = *(const float *)plan_output(plan, 0)->data;
    plan_free(&plan);
    net_end(&net);
}

#define KEYS 200 /* pieces of 64, the last one not whole */

/* The largest scores come last, first or not at all. */
static void test_large_scores(void **state)
{
    (void)state;
    float scores[KEYS], values[KEYS], out;
    const struct tensor k = { .type = TENSOR_F32, .shape = *SHAPE(1, KEYS), .data = scores };
    const struct tensor v = { .type = TENSOR_F32, .shape = *SHAPE(KEYS, 1), .data = values };
    for (int i = 0; i < KEYS; i++) {
        scores[i] = 1e4f * (float)i;
        values[i] = (float)i;
    }
    run_scores(&k, &v, &out);
    assert_true(out == KEYS - 1);
    for (int i = 0; i < KEYS; i++)
        scores[i] = -1e4f * (float)i;
    run_scores(&k, &v, &out);
    assert_true(out == 0);
    for (int i = 0; i < KEYS; i++)
        scores[i] = i < 150 ? -INFINITY : 7;
    run_scores(&k, &v, &out);
    assert_true(fabsf(out - 174.5f) < 1e-4f);
    for (int i = 0; i < KEYS; i++)
        scores[i] = i >= 30 ? -INFINITY : 7;
    run_scores(&k, &v, &out);
    assert_true(fabsf(out - 14.5f) < 1e-4f);
    scores[199] = NAN;
    run_scores(&k, &v, &out);
    assert_true(isnan(out));
}

/* What is like it, but is not. */
static void test_others(void **state)
{
    (void)state;
    enum { SCORES_ARE_READ, OTHER_AXIS, TOO_WIDE, MASKED, NO_CONSTANT, CASES };
    for (int i = 0; i < CASES; i++) {
        struct net net;
        net_begin(&net, 7);
        int q = net_input(&net, SHAPE(2, 5, 8)), k = net_input(&net, SHAPE(2, 8, 6));
        int v =
            net_input(&net, i == TOO_WIDE ? SHAPE(2, 6, ATTENTION_VALUES_MAX + 1) : SHAPE(2, 6, 4));
        if (i == MASKED || i == NO_CONSTANT) {
            int scores = net_node(&net, "MatMul", q, k, -2);
            int other =
                i == MASKED ? net_constant(&net, SHAPE(5, 6), -1, 1) : net_input(&net, SHAPE(1));
            int weights = net_node(
                &net, "Softmax", net_node(&net, i == MASKED ? "Add" : "Mul", scores, other, -2), -2);
            net_int(&net, "axis", -1);
            net_output(&net, net_node(&net, "MatMul", weights, v, -2));
        } else {
            int scores = add_attention(&net, TIMES, q, k, v, i == OTHER_AXIS ? 1 : -1);
            if (i == SCORES_ARE_READ)
                net_output(&net, net_node(&net, "Relu", scores, -2));
        }
        net_infer(&net);
        assert_int_equal(count_found(&net), 0);
        net_end(&net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spellings), cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_among),     cmocka_unit_test(test_large_scores),
        cmocka_unit_test(test_others),
    };
    return cmocka_run_group_tests(tests, open_emulated, close_emulated);
}
