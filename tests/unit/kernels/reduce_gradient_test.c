/* Sums and reductions: the cpu device's sums (sum_to, ReduceSum, ReduceMean) against the reference
 * kernels in every order of memory and shape of output that gradients ask for, and the gradients of the
 * reductions against differences. */
#include "cpu_device.h"
#include "gradient_check.h"

#define SUM_BOUND 1e-6
#define BF16_BOUND 2e-2

static void check_sum(const struct shape *from, const struct shape *to)
{
    /* Row-major, and the same content lying channels-last or turned around. */
    static const int64_t orders[][4] = { { 0, 1, 2, 3 }, { 0, 2, 3, 1 }, { 3, 2, 1, 0 } };
    for (size_t o = 0; o < (from->rank == 4 ? 3 : 1); o++) {
        struct net net;
        struct shape shape = *from;
        int64_t back[4];
        net_begin(&net, o + 1);
        for (int d = 0; d < 4 && from->rank == 4; d++) {
            shape.dim[d] = from->dim[orders[o][d]];
            back[orders[o][d]] = d;
        }
        /* What cancels out is noise on both sides: sums are exact for their terms' magnitudes. */
        int x = net_node(&net, "Abs", net_input(&net, &shape), -2);
        if (o > 0) {
            x = net_node(&net, "Transpose", x, -2);
            net_list(&net, "perm", 4, back);
        }
        int y = net_node(&net, "sum_to", x, -2);
        net_list(&net, "shape", (size_t)to->rank, to->dim);
        net_output(&net, y);
        char text[64];
        shape_format(to, text, sizeof text);
        net_check(&net, device, PRECISION_F32, SUM_BOUND, text);
        net_end(&net);
    }
}

static void test_sum_to(void **state)
{
    (void)state;
    const struct shape scalar = { .rank = 0 };
    check_sum(SHAPE(2, 64, 31, 17), SHAPE(1, 64, 1, 1));
    check_sum(SHAPE(2, 64, 31, 17), SHAPE(64, 1, 1));
    check_sum(SHAPE(2, 64, 31, 17), SHAPE(1, 64, 1, 17));
    check_sum(SHAPE(2, 64, 31, 17), SHAPE(2, 64, 1, 1));
    check_sum(SHAPE(2, 64, 31, 17), SHAPE(64, 31, 17));
    check_sum(SHAPE(2, 64, 31, 17), SHAPE(17));
    check_sum(SHAPE(2, 64, 31, 17), SHAPE(2, 1, 31, 17));
    check_sum(SHAPE(2, 64, 31, 17), SHAPE(2, 64, 31, 17));
    check_sum(SHAPE(2, 64, 31, 17), &scalar);
    check_sum(SHAPE(3, 3, 129, 65), SHAPE(3, 1, 1));
    check_sum(SHAPE(1, 3, 129, 65), SHAPE(3, 1, 1));
    check_sum(SHAPE(1, 1, 129, 65), SHAPE(1));
    check_sum(SHAPE(3, 5, 7, 2), SHAPE(5, 1, 2));
    check_sum(SHAPE(3, 5, 1, 1), SHAPE(5, 1, 1));
    check_sum(SHAPE(1, 1, 1, 1), SHAPE(1, 1));
    check_sum(SHAPE(70001), &scalar);
    check_sum(SHAPE(16, 33000), SHAPE(33000));
    check_sum(SHAPE(33000, 16), SHAPE(33000, 1));
    check_sum(SHAPE(33000, 16), SHAPE(16));
    check_sum(&scalar, &scalar);
}

/* axes: a bit for each; all of them when 0. */
static void check_reduce(const char *op, int opset, unsigned axes, bool keep, bool negative)
{
    struct net net;
    int64_t list[4];
    size_t count = 0;
    for (int d = 0; d < 4; d++)
        if (axes >> d & 1)
            list[count++] = negative ? d - 4 : d;
    net_begin(&net, axes + 1);
    net.graph->opset = opset;
    int x = net_input(&net, SHAPE(2, 3, 4, 5)), y;
    const struct op *row = op_find(op, opset);
    if (row->inputs_max > 1) {
        y = net_node(&net, op, x, count ? net_ints(&net, (int)count, list) : -1, -2);
    } else {
        y = net_node(&net, op, x, -2);
        if (count)
            net_list(&net, "axes", count, list);
    }
    net_int(&net, "keepdims", keep);
    net_output(&net, y);
    gradient_check_bf16(&net, device, BF16_BOUND, op);
    net_end(&net);
}

static void test_reductions(void **state)
{
    (void)state;
    static const char *const ops[] = { "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin",
                                       "ReduceProd" };
    static const unsigned axes[] = { 0, 1, 2, 8, 12, 14, 13, 6, 15 };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        for (size_t a = 0; a < sizeof axes / sizeof *axes; a++)
            for (int form = 0; form < 4; form++)
                check_reduce(ops[i], form & 1 ? 18 : 12, axes[a], form & 2, a & 1);
}

/* Nothing is folded then. */
static void test_no_axes(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 5);
    int y = net_node(&net, "ReduceSum", net_input(&net, SHAPE(3, 4)), -2);
    net_int(&net, "noop_with_empty_axes", 1);
    net_output(&net, y);
    gradient_check(&net, device, "ReduceSum of nothing");
    net_end(&net);
}

static void test_cum_sum(void **state)
{
    (void)state;
    for (int form = 0; form < 12; form++) {
        struct net net;
        net_begin(&net, (uint64_t)form);
        int x = net_input(&net, SHAPE(3, 4, 5));
        int y = net_node(&net, "CumSum", x, INTS(&net, form / 4 - 1), -2);
        net_int(&net, "exclusive", form & 1);
        net_int(&net, "reverse", form >> 1 & 1);
        net_output(&net, y);
        gradient_check(&net, device, "CumSum");
        net_end(&net);
    }
}

/* The sums of many numbers are the device's own: mean of squares, standard deviation. */
static void test_statistics(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 9);
    int x = net_input(&net, SHAPE(2, 16, 12, 11));
    int mean = net_node(&net, "ReduceMean", x, -2);
    LIST(&net, "axes", 2, 3);
    int away = net_node(&net, "Sub", x, mean, -2);
    int squares = net_node(&net, "ReduceMean", net_node(&net, "Mul", away, away, -2), -2);
    LIST(&net, "axes", 0, 2, 3);
    net_int(&net, "keepdims", 0);
    net_output(&net, net_node(&net, "Sqrt", squares, -2));
    gradient_check(&net, device, "standard deviation");
    net_end(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sum_to),     cmocka_unit_test(test_reductions),
        cmocka_unit_test(test_no_axes),    cmocka_unit_test(test_cum_sum),
        cmocka_unit_test(test_statistics),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
