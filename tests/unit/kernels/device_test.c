/* What is common to all devices: specs, information, binding of memory, printing, refusals, and that
 * a run allocates nothing. */
#include "cpu_check.h"
#include <malloc.h>
#include <unistd.h>

static size_t allocated_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void must_refuse(const char *spec, const char *word)
{
    struct device *device = NULL;
    struct error err = { 0 };
    assert_int_equal(device_open(&device, spec, &err), -ERROR_CONFIG);
    if (!strstr(err.text, word))
        print_error("'%s' does not say '%s'\n", err.text, word);
    assert_non_null(strstr(err.text, word));
    assert_null(device);
}

static void test_specs(void **state)
{
    (void)state;
    must_refuse("", "cpu");
    must_refuse("gpu", "'gpu'");
    must_refuse("cp", "'cp'");
    must_refuse("cpux", "'cpux'");
    must_refuse("cpu:thread=2", "threads");
    must_refuse("cpu:threads=", "1 to");
    must_refuse("cpu:threads=0", "1 to");
    must_refuse("cpu:threads=-3", "1 to");
    must_refuse("cpu:threads=2x", "1 to");
    must_refuse("cpu:threads=99999999999999999999", "1 to");
    must_refuse("cpu:threads=2,threads=3", "1 to");

    struct device *device;
    struct device_info info;
    struct error err;
    assert_int_equal(device_open(&device, "cpu", &err), 0);
    device_get_info(device, &info);
    assert_string_equal(info.kind, "cpu");
    assert_int_equal(info.threads, sysconf(_SC_NPROCESSORS_ONLN));
    assert_true(strlen(info.name) > 0);
    device_close(&device);
    assert_null(device);
    assert_int_equal(device_open(&device, "cpu:threads=3", &err), 0);
    device_get_info(device, &info);
    assert_int_equal(info.threads, 3);
    device_close(&device);
    device_close(&device);
}

/* Two inputs, a convolution, two outputs of which one is the other transposed. */
static void build_net(struct net *net)
{
    net_begin(net, 5);
    int a = net_input(net, SHAPE(1, 3, 10, 12)), b = net_input(net, SHAPE(1, 8, 10, 12));
    int w = net_constant(net, SHAPE(8, 3, 3, 3), -1, 1);
    int y = net_node(net, "Conv", a, w, -2);
    LIST(net, "pads", 1, 1, 1, 1);
    y = net_node(net, "Relu", net_node(net, "Add", y, b, -2), -2);
    int z = net_node(net, "Sin", net_node(net, "Transpose", y, -2), -2);
    net_output(net, y);
    net_output(net, z);
    net_infer(net);
}

static void test_bind(void **state)
{
    (void)state;
    struct net net;
    struct device *device;
    struct plan *plan;
    struct plan_options options = { .precision = PRECISION_F32 };
    build_net(&net);
    net_must(&net, device_open(&device, "cpu:threads=1", &net.err));
    net_must(&net, device_compile(device, net.graph, &options, &plan, &net.err));
    net_end(&net); /* only borrowed for the call */

    assert_int_equal(plan_input_count(plan), 2);
    assert_int_equal(plan_output_count(plan), 2);
    assert_string_equal(plan_input_name(plan, 0), "input");
    assert_string_equal(plan_output_name(plan, 0), "Relu");
    assert_true(shape_equal(&plan_output(plan, 1)->shape, SHAPE(12, 10, 8, 1)));
    assert_int_equal(plan_flop(plan), 2 * 8 * 10 * 12 * 3 * 9);
    uint64_t activations, weights;
    plan_memory(plan, &activations, &weights);
    assert_true(activations > 0 && weights >= 8 * 3 * 9 * 4);

    struct tensor own[4] = { 0 }, kept[2] = { 0 };
    for (size_t i = 0; i < 2; i++) {
        struct tensor input = *plan_input(plan, i), output = *plan_output(plan, i);
        net_fill(&net, &input, -1, 1);
        net_must(&net, tensor_create(&own[i], TENSOR_F32, &input.shape, &net.err));
        memcpy(own[i].data, input.data, tensor_bytes(&input));
        net_must(&net, tensor_create(&own[2 + i], TENSOR_F32, &output.shape, &net.err));
        net_must(&net, tensor_create(&kept[i], TENSOR_F32, &output.shape, &net.err));
    }
    net_must(&net, plan_run(plan, &net.err));
    for (size_t i = 0; i < 2; i++)
        memcpy(kept[i].data, plan_output(plan, i)->data, tensor_bytes(&kept[i]));

    /* The same bits a second time, and in memory of ours. */
    net_must(&net, plan_run(plan, &net.err));
    for (size_t i = 0; i < 2; i++)
        assert_memory_equal(kept[i].data, plan_output(plan, i)->data, tensor_bytes(&kept[i]));
    for (size_t i = 0; i < 2; i++) {
        net_must(&net, plan_bind_input(plan, i, own[i].data, &net.err));
        net_must(&net, plan_bind_output(plan, i, own[2 + i].data, &net.err));
        assert_ptr_equal(plan_input(plan, i)->data, own[i].data);
    }
    net_must(&net, plan_run(plan, &net.err));
    for (size_t i = 0; i < 2; i++)
        assert_memory_equal(kept[i].data, own[2 + i].data, tensor_bytes(&kept[i]));
    for (size_t i = 0; i < 2; i++) /* inputs are only read */
        assert_memory_equal(own[i].data, plan_input(plan, i)->data, tensor_bytes(&own[i]));

    assert_int_equal(plan_bind_input(plan, 0, (char *)own[0].data + 4, &net.err), -ERROR_UNSUPPORTED);
    assert_non_null(strstr(net.err.text, "input"));

    size_t before = allocated_bytes();
    for (int i = 0; i < 20; i++)
        net_must(&net, plan_run(plan, &net.err));
    assert_int_equal(allocated_bytes(), before);

    for (size_t i = 0; i < 4; i++)
        tensor_free(&own[i]);
    for (size_t i = 0; i < 2; i++)
        tensor_free(&kept[i]);
    plan_free(&plan);
    assert_null(plan);
    plan_free(&plan);
    device_close(&device);
}

static void test_shapes_of_inputs(void **state)
{
    (void)state;
    struct net net;
    struct device *device;
    struct plan *plan = NULL;
    net_begin(&net, 1);
    struct shape free_shape = { .rank = 4, .dim = { -1, 3, -1, -1 } };
    int x = net_input(&net, &free_shape);
    net_output(&net, net_node(&net, "Relu", x, -2));
    net_must(&net, device_open(&device, "cpu:threads=1", &net.err));
    struct plan_options options = { .precision = PRECISION_F32 };
    assert_true(device_compile(device, net.graph, &options, &plan, &net.err) < 0);
    assert_null(plan);
    struct shape shapes[] = { { .rank = 4, .dim = { 2, 3, 5, 6 } } };
    options.input_shapes = shapes;
    net_must(&net, device_compile(device, net.graph, &options, &plan, &net.err));
    assert_true(shape_equal(&plan_output(plan, 0)->shape, &shapes[0]));
    plan_free(&plan);
    net_end(&net);
    device_close(&device);
}

static void test_print(void **state)
{
    (void)state;
    struct net net;
    struct device *device;
    struct plan *plan;
    struct plan_options options = { .precision = PRECISION_F32 };
    char *text = NULL;
    size_t size = 0;
    build_net(&net);
    net_must(&net, device_open(&device, "cpu:threads=2", &net.err));
    net_must(&net, device_compile(device, net.graph, &options, &plan, &net.err));
    for (uint32_t runs = 0; runs < 4; runs += 3) {
        FILE *out = open_memstream(&text, &size);
        assert_non_null(out);
        net_must(&net, plan_print(plan, runs, out, &net.err));
        fclose(out);
        assert_non_null(strstr(text, "conv_fused"));
        assert_non_null(strstr(text, "1x8x10x12"));
        assert_non_null(strstr(text, "reference"));
        assert_non_null(strstr(text, "2 threads"));
        assert_true((strstr(text, "GFLOP/s") != NULL) == (runs > 0));
        assert_true((strstr(text, "of peak") != NULL) == (runs > 0));
        free(text);
    }
    plan_free(&plan);
    net_end(&net);
    device_close(&device);
}

/* An index that only the run can see is wrong: the run fails, names the node, and a good one works
 * again. */
static void test_failing_run(void **state)
{
    (void)state;
    struct net net;
    struct device *device;
    struct plan *plan;
    struct plan_options options = { .precision = PRECISION_F32 };
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(4, 3));
    int index = graph_add_value(net.graph, "index", TENSOR_I64, SHAPE(2), &net.err);
    net_must(&net, index);
    net_must(&net, graph_mark_input(net.graph, index, &net.err));
    net_output(&net, net_node(&net, "Gather", x, index, -2));
    net_infer(&net);
    net_must(&net, device_open(&device, "cpu:threads=1", &net.err));
    net_must(&net, device_compile(device, net.graph, &options, &plan, &net.err));
    int64_t *indices = plan_input(plan, 1)->data;
    indices[0] = 9;
    assert_true(plan_run(plan, &net.err) < 0);
    assert_non_null(strstr(net.err.text, "Gather"));
    indices[0] = 3;
    net_must(&net, plan_run(plan, &net.err));
    plan_free(&plan);
    net_end(&net);
    device_close(&device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_specs),
        cmocka_unit_test(test_bind),
        cmocka_unit_test(test_shapes_of_inputs),
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_failing_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
