/* Attention on the processor: both spellings that become one step, with batches and rows that fill no block,
 * beside the reference; scores so large that only differences of them are small enough; and what must not
 * become one step. Where the processor lacks AVX-512 the same products are oneDNN's. */
#include "cpu/attention.h"
#include "cpu_check.h"
#include "cpu_device.h"

#define BOUND 2e-6
#define LARGE 300
#define LARGE_BOUND \
    1e-4 /* scores of a thousand are rounded to 6e-5, and so are their exponentials */

static bool finds(const struct attention *shape)
{
    return attention_suits(shape) && shape->rows * shape->keys >= 1 << 20;
}

static bool has_step(struct net *net)
{
    struct plan *plan = NULL;
    bool found = false;
    net_infer(net);
    net_must(net, device_compile(device, net->graph, &(struct plan_options){ 0 }, &plan, &net->err));
    for (size_t i = 0; plan_step(plan, i); i++)
        found = found || strcmp(plan_step(plan, i), "attention") == 0;
    plan_free(&plan);
    return found;
}

/* factor: what q is multiplied with beforehand. turned: v times the turned Softmax. */
static void check(const struct attention *shape, bool turned, float factor)
{
    struct net net;
    const int64_t batch = shape->batch, keys = shape->keys, columns = shape->columns;
    net_begin(&net, 1);
    int q = net_input(&net, SHAPE(batch, shape->rows, shape->depth));
    int k = net_input(&net, SHAPE(batch, shape->depth, keys));
    int v = net_input(&net, turned ? SHAPE(batch, columns, keys) : SHAPE(batch, keys, columns));
    q = net_node(&net, "Mul", q, net_constant(&net, SHAPE(1), factor, factor), -2);
    int weights = net_node(&net, "Softmax", net_node(&net, "MatMul", q, k, -2), -2);
    net_int(&net, "axis", -1);
    if (turned) {
        weights = net_node(&net, "Transpose", weights, -2);
        LIST(&net, "perm", 0, 2, 1);
    }
    net_output(&net, turned ? net_node(&net, "MatMul", v, weights, -2)
                            : net_node(&net, "MatMul", weights, v, -2));
    assert_true(has_step(&net) == finds(shape));
    net_check(&net, device, PRECISION_F32, factor > 1 ? LARGE_BOUND : BOUND, "attention");
    net_end(&net);
}

static void test_shapes(void **state)
{
    (void)state;
    for (int turned = 0; turned < 2; turned++) {
        check(&(struct attention){ 1, 1030, 1024, 4, 32 }, turned, 1);
        check(&(struct attention){ 3, 1025, 1024, 7, 16 }, turned, 1);
        check(&(struct attention){ 2, 513, 2064, 1, 48 }, turned, 1);
        check(&(struct attention){ 1, 1024, 1024, 33, 80 }, turned, 1);
    }
}

static void test_others(void **state)
{
    (void)state;
    check(&(struct attention){ 1, 1030, 1025, 4, 32 }, false, 1); /* keys that fill no vector */
    check(&(struct attention){ 1, 1030, 1024, 4, 31 }, true, 1);
    check(&(struct attention){ 1, 40, 64, 4, 32 }, false, 1); /* so few that it does not pay */
}

/* exp of them would be infinite. */
static void test_large_scores(void **state)
{
    (void)state;
    check(&(struct attention){ 1, 1024, 1024, 4, 32 }, false, LARGE);
    check(&(struct attention){ 1, 1024, 1024, 4, 32 }, true, LARGE);
}

/* Somebody else reads the scores, or the Softmax: they have to be there. */
static void test_read_between(void **state)
{
    (void)state;
    for (int which = 0; which < 2; which++) {
        struct net net;
        net_begin(&net, 1);
        int scores = net_node(&net, "MatMul", net_input(&net, SHAPE(1024, 8)),
                              net_input(&net, SHAPE(8, 1024)), -2);
        int weights = net_node(&net, "Softmax", scores, -2);
        net_output(&net, net_node(&net, "MatMul", weights, net_input(&net, SHAPE(1024, 16)), -2));
        net_output(&net, which ? weights : scores);
        assert_false(has_step(&net));
        net_check(&net, device, PRECISION_F32, BOUND, "read between");
        net_end(&net);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_large_scores),
        cmocka_unit_test(test_read_between),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
