/* The blocked layout: its arithmetic against the place of each element, worked out one by one; then
 * whatever can stand before, between and behind convolutions that lie blocked, as plans of the cpu
 * device against the reference kernels. Where the processor has AVX-512 the convolutions must have been
 * Winograd's, and chains of them free of copies; elsewhere all of it runs channels-last. */
#include "cpu_device.h"
#include "cpu/plan.h"

#define BOUND 1e-5

/* Where an element of an image is, by what struct layout says of its members. */
static int64_t place_of(const struct layout *layout, const int64_t index[4])
{
    int64_t place = 0;
    for (int d = 0; d < 4; d++)
        if (layout->blocked && d == 1)
            place += index[d] / LAYOUT_BLOCK * layout->stride[d] + index[d] % LAYOUT_BLOCK;
        else
            place += index[d] * layout->stride[d];
    return place;
}

static bool next_index(const struct shape *shape, int64_t index[4])
{
    for (int d = 3; d >= 0; d--) {
        if (++index[d] < shape->dim[d])
            return true;
        index[d] = 0;
    }
    return false;
}

/* Element for element; shapes and types are the same. */
static bool same_places(const struct layout *a, const struct layout *b)
{
    int64_t index[4] = { 0 };
    do
        if (place_of(a, index) != place_of(b, index))
            return false;
    while (next_index(&a->shape, index));
    return true;
}

static const struct shape *const shapes[] = {
    SHAPE(1, 16, 3, 5), SHAPE(2, 16, 1, 1), SHAPE(1, 32, 1, 1), SHAPE(2, 48, 1, 1),
    SHAPE(3, 32, 4, 2), SHAPE(1, 64, 1, 7), SHAPE(2, 32, 5, 1), SHAPE(1, 16, 1, 1),
};
#define SHAPES (sizeof shapes / sizeof *shapes)

static void test_blocked(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHAPES; i++) {
        const struct shape *shape = shapes[i];
        struct layout blocked = layout_blocked(TENSOR_F32, shape);
        int64_t count = shape_elements(shape), index[4] = { 0 };
        char *seen = calloc((size_t)count, 1);
        assert_non_null(seen);
        do {
            int64_t place = place_of(&blocked, index), blocks = shape->dim[1] / LAYOUT_BLOCK;
            int64_t pixel = index[2] * shape->dim[3] + index[3];
            int64_t block = index[0] * blocks + index[1] / LAYOUT_BLOCK;
            assert_int_equal(place, (block * shape->dim[2] * shape->dim[3] + pixel) * LAYOUT_BLOCK +
                                        index[1] % LAYOUT_BLOCK);
            assert_true(place < count && !seen[place]);
            seen[place] = 1;
        } while (next_index(shape, index));
        free(seen);
        assert_int_equal(layout_span(&blocked), count);
        assert_int_equal(layout_bytes(&blocked), (uint64_t)count * sizeof(float));
        assert_true(layout_is_packed(&blocked) && layout_is_usual(&blocked));
        struct layout wide = blocked; /* as a part of something with more channels */
        wide.stride[0] *= 3;
        assert_int_equal(layout_is_packed(&wide), shape->dim[0] == 1);
        assert_int_equal(layout_span(&wide), count + (shape->dim[0] - 1) * 2 * blocked.stride[0]);
    }
}

/* Layouts are equal exactly when all elements lie in the same places, however they are described. */
static void test_equal(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHAPES; i++) {
        struct layout all[3] = {
            layout_dense(TENSOR_F32, shapes[i]),
            layout_channels_last(TENSOR_F32, shapes[i]),
            layout_blocked(TENSOR_F32, shapes[i]),
        };
        for (int a = 0; a < 3; a++)
            for (int b = 0; b < 3; b++)
                assert_int_equal(layout_equal(&all[a], &all[b]), same_places(&all[a], &all[b]));
        assert_int_equal(layout_is_dense(&all[2]), same_places(&all[0], &all[2]));
        struct layout plain = { 0 };
        bool possible = layout_unblock(&all[2], &plain);
        assert_int_equal(possible, same_places(&all[0], &all[2]) || same_places(&all[1], &all[2]));
        if (possible)
            assert_true(!plain.blocked && same_places(&plain, &all[2]));
        struct layout half = layout_blocked(TENSOR_BF16, shapes[i]);
        assert_false(layout_equal(&half, &all[2]));
    }
}

static void test_like(void **state)
{
    (void)state;
    struct layout blocked = layout_blocked(TENSOR_F32, SHAPE(2, 32, 4, 5));
    struct layout last = layout_channels_last(TENSOR_F32, SHAPE(2, 32, 4, 5));
    struct layout wanted = layout_blocked(TENSOR_F32, SHAPE(1, 48, 2, 2));
    struct layout got = layout_packed_like(TENSOR_F32, SHAPE(1, 48, 2, 2), &blocked);
    assert_true(got.blocked && layout_equal(&got, &wanted));
    got = layout_channels_like(TENSOR_F32, SHAPE(1, 48, 2, 2), &blocked);
    assert_true(got.blocked && layout_equal(&got, &wanted));
    got = layout_packed_like(TENSOR_F32, SHAPE(1, 40, 2, 2), &blocked); /* half a block */
    wanted = layout_channels_last(TENSOR_F32, SHAPE(1, 40, 2, 2));
    assert_true(!got.blocked && layout_equal(&got, &wanted));
    got = layout_channels_like(TENSOR_F32, SHAPE(1, 48, 2, 2), &last);
    wanted = layout_channels_last(TENSOR_F32, SHAPE(1, 48, 2, 2));
    assert_true(!got.blocked && layout_equal(&got, &wanted));
    assert_false(layout_can_block(SHAPE(1, 40, 2, 2)));
    assert_false(layout_can_block(SHAPE(1, 32, 2)));
    assert_int_equal(layout_offset(&blocked, 1, 16), 4 * 5 * LAYOUT_BLOCK);
    assert_int_equal(layout_offset(&blocked, 0, 1), 4 * 5 * 32);
    assert_int_equal(layout_offset(&last, 1, 3), 3);
}

/* oneDNN means the same places. */
static void test_memory_desc(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHAPES; i++) {
        struct layout blocked = layout_blocked(TENSOR_F32, shapes[i]);
        dnnl_memory_desc_t md, tagged;
        dnnl_dims_t dims;
        for (int d = 0; d < 4; d++)
            dims[d] = shapes[i]->dim[d];
        assert_true(layout_md(&blocked, &md));
        assert_int_equal(dnnl_memory_desc_init_by_tag(&tagged, 4, dims, dnnl_f32, dnnl_nChw16c), 0);
        assert_true(dnnl_memory_desc_equal(&md, &tagged));
        assert_int_equal(dnnl_memory_desc_get_size(&md), layout_bytes(&blocked));
        blocked.stride[0] *= 2;
        assert_true(layout_md(&blocked, &md));
        assert_int_equal(md.format_desc.blocking.strides[0], blocked.stride[0]);
    }
}

/* ---- plans ---- */

static int add_conv(struct net *net, int x, int64_t from, int64_t to)
{
    double scale = 1 / sqrt(9.0 * (double)from);
    int y = net_node(net, "Conv", x, net_constant(net, SHAPE(to, from, 3, 3), -scale, scale),
                     net_constant(net, SHAPE(to), -0.5, 0.5), -2);
    LIST(net, "pads", 1, 1, 1, 1);
    return y;
}

static bool has_avx512(void)
{
    unsigned wanted = dnnl_cpu_isa_avx512_core;
    return ((unsigned)dnnl_get_effective_cpu_isa() & wanted) == wanted;
}

/* Winograd's method is not for these channels there. */
static bool has_amx(void)
{
    unsigned wanted = dnnl_cpu_isa_avx512_core_amx;
    return ((unsigned)dnnl_get_effective_cpu_isa() & wanted) == wanted;
}

/* How many steps there are, and how many of them are Winograd's; what is found elsewhere than on AVX-512
 * is of no interest here. */
static void check_steps(struct net *net, int steps, int winograd)
{
    struct plan *plan;
    struct plan_options options = { .precision = PRECISION_F32 };
    if (!has_avx512())
        return;
    net_infer(net);
    net_must(net, device_compile(device, net->graph, &options, &plan, &net->err));
    const struct cpu_plan *cpu = (const struct cpu_plan *)plan;
    int found = 0;
    for (int i = 0; i < cpu->step_count; i++)
        found += cpu->steps[i].implementation && strstr(cpu->steps[i].implementation, "wino");
    if (cpu->step_count != steps || found != winograd)
        plan_print(plan, 0, stderr, &net->err);
    assert_int_equal(cpu->step_count, steps);
    assert_int_equal(found, winograd);
    plan_free(&plan);
}

static void check(struct net *net, const char *what)
{
    net_check(net, device, PRECISION_F32, BOUND, what);
    net_end(net);
}

static void test_chain(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 1);
    int x = net_input(&net, SHAPE(2, 3, 9, 14));
    int y = net_node(&net, "Relu", add_conv(&net, x, 3, 64), -2); /* straight from row-major */
    for (int block = 0; block < 2; block++) {
        int z = net_node(&net, "Relu", add_conv(&net, y, 64, 80), -2);
        y = net_node(&net, "Relu", net_node(&net, "Add", add_conv(&net, z, 80, 64), y, -2), -2);
    }
    net_output(&net, y);
    check_steps(&net, 1 + 4 + 1, 4); /* the last puts the output in order */
    check(&net, "residual blocks");

    net_begin(&net, 2); /* what is added is needed again, so that additions are a step of their own */
    x = net_input(&net, SHAPE(1, 64, 8, 8));
    y = add_conv(&net, x, 64, 64);
    int z = net_node(&net, "Relu", net_node(&net, "Add", add_conv(&net, y, 64, 64), y, -2), -2);
    net_output(&net, net_node(&net, "Add", z, y, -2));
    check_steps(&net, 1 + 2 + 1 + 1, 2);
    check(&net, "a branch that lives on");

    net_begin(&net, 3); /* added to itself */
    x = net_input(&net, SHAPE(1, 32, 6, 7));
    y = add_conv(&net, x, 32, 64);
    net_output(&net, net_node(&net, "Add", y, y, -2));
    check(&net, "y + y");

    net_begin(&net, 4); /* added to its own input */
    x = net_input(&net, SHAPE(1, 32, 6, 7));
    y = add_conv(&net, x, 32, 32);
    net_output(&net, net_node(&net, "Add", add_conv(&net, y, 32, 32), y, -2));
    check(&net, "conv(y) + y");

    net_begin(&net, 5); /* 16 channels are one block, which is channels-last, too */
    x = net_input(&net, SHAPE(1, 3, 16, 18));
    y = net_node(&net, "Relu", add_conv(&net, x, 3, 16), -2);
    y = net_node(&net, "Relu", add_conv(&net, y, 16, 32), -2);
    y = net_node(&net, "Mul", add_conv(&net, y, 32, 16), net_constant(&net, SHAPE(16, 1, 1), -1, 1),
                 -2);
    net_output(&net, add_conv(&net, y, 16, 5));
    check(&net, "one block");
}

static void test_windows(void **state)
{
    (void)state;
    static const int64_t pads[][4] = {
        { 0, 0, 0, 0 }, { 1, 0, 0, 1 }, { 0, 1, 1, 0 },
        { 1, 1, 1, 1 }, { 2, 2, 2, 2 }, { 0, 2, 2, 0 },
    };
    static const int64_t sizes[][2] = { { 3, 3 }, { 4, 5 }, { 7, 13 }, { 24, 32 }, { 1, 40 } };
    for (size_t p = 0; p < sizeof pads / sizeof *pads; p++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (int form = 0; form < 6;
                 form++) { /* weights that are an input; more channels, odd ones */
                struct net net;
                char what[64];
                int64_t in = form < 2 ? 32 : form < 4 ? 96 : 41;
                int64_t out = form < 2 ? 64 : form < 4 ? 48 : 37;
                if (sizes[i][0] + pads[p][0] + pads[p][2] < 3)
                    continue;
                net_begin(&net, p);
                int x = net_input(&net, SHAPE(1, in, sizes[i][0], sizes[i][1]));
                int w = form & 1 ? net_input(&net, SHAPE(out, in, 3, 3))
                                 : net_constant(&net, SHAPE(out, in, 3, 3), -0.1, 0.1);
                net_output(&net, net_node(&net, "Conv", x, w, -2));
                LIST(&net, "pads", pads[p][0], pads[p][1], pads[p][2], pads[p][3]);
                snprintf(what, sizeof what, "pads %zu, size %zu, form %d", p, i, form);
                check(&net, what);
            }
}

/* Channels that fill no blocks are filled up for the convolution alone. */
static void test_odd_channels(void **state)
{
    (void)state;
    for (int form = 0; form < 4; form++) {
        struct net net;
        char what[64];
        int64_t between = form & 1 ? 40 : 64;
        net_begin(&net, (uint64_t)form);
        int x = net_input(&net, SHAPE(2, 33, 7, 6));
        int y = net_node(&net, form & 2 ? "Exp" : "Relu", add_conv(&net, x, 33, between), -2);
        y = net_node(&net, "Add", add_conv(&net, y, between, between), y, -2);
        net_output(&net, net_node(&net, "Relu", add_conv(&net, y, between, 70), -2));
        if (form == 0 && !has_amx()) /* a copy that fills up, an addition between, a copy that takes away */
            check_steps(&net, 1 + 4 + 2, 3);
        snprintf(what, sizeof what, "odd channels %d", form);
        check(&net, what);
    }
}

/* Functions of one argument, fused to the convolution before, and behind something that they cannot be
 * fused to. */
static void test_unary(void **state)
{
    (void)state;
    static const char *const ops[] = { "Relu", "LeakyRelu", "Sigmoid", "Tanh",     "Elu",
                                       "Exp",  "Abs",       "Neg",     "Softplus", "Sin" };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        for (int form = 0; form < 2; form++) {
            struct net net;
            net_begin(&net, i);
            int x = net_input(&net, SHAPE(2, 32, 5, 7));
            int y = add_conv(&net, x, 32, 32);
            if (form)
                y = net_node(&net, "Sin", y, -2);
            y = net_node(&net, ops[i], y, -2);
            net_output(&net, add_conv(&net, y, 32, 32));
            check(&net, ops[i]);
        }
}

/* The other argument in every form that broadcasts. */
static void test_binary(void **state)
{
    (void)state;
    static const char *const ops[] = { "Add", "Sub", "Mul", "Max", "Min", "PRelu" };
    const struct shape *const others[] = {
        &(struct shape){ 0 }, SHAPE(1),           SHAPE(32, 1, 1),
        SHAPE(1, 32, 1, 1),   SHAPE(7),           SHAPE(5, 1),
        SHAPE(5, 7),          SHAPE(1, 1, 5, 7),  SHAPE(2, 1, 1, 1),
        SHAPE(2, 32, 1, 1),   SHAPE(1, 32, 5, 7), SHAPE(2, 1, 5, 7),
        SHAPE(32, 5, 1),      SHAPE(32, 1, 7),    SHAPE(2, 32, 5, 7),
    };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        for (size_t k = 0; k < sizeof others / sizeof *others; k++)
            for (int form = 0; form < 4; form++) {
                struct net net;
                char what[64];
                bool swap = form & 1, constant = form & 2;
                if (strcmp(ops[i], "PRelu") == 0 && swap)
                    continue;
                net_begin(&net, i * 100 + k);
                int x = net_input(&net, SHAPE(2, 32, 5, 7));
                int other =
                    constant ? net_constant(&net, others[k], 0.1, 1) : net_input(&net, others[k]);
                int y = add_conv(&net, x, 32, 32);
                y = net_node(&net, ops[i], swap ? other : y, swap ? y : other, -2);
                net_output(&net, add_conv(&net, net_node(&net, "Relu", y, -2), 32, 32));
                snprintf(what, sizeof what, "%s %zu form %d", ops[i], k, form);
                check(&net, what);
            }
}

/* Two values that lie in different ways. */
static void test_mixed(void **state)
{
    (void)state;
    static const char *const ops[] = { "Add", "Sub", "Mul", "Max" };
    for (int kind = 0; kind < 5; kind++)
        for (int form = 0; form < 8; form++) {
            struct net net;
            char what[64];
            net_begin(&net, (uint64_t)kind);
            int x = net_input(&net, SHAPE(2, 32, 6, 6)), other = x;
            if (kind == 1) { /* channels-last */
                other = net_node(&net, "Conv", net_input(&net, SHAPE(2, 20, 6, 6)),
                                 net_constant(&net, SHAPE(32, 20, 1, 1), -0.3, 0.3), -2);
            } else if (kind == 2) { /* neither */
                other = net_node(&net, "Transpose", x, -2);
                LIST(&net, "perm", 0, 1, 3, 2);
            } else if (kind == 3) { /* a part of something */
                other = net_node(&net, "Slice", net_input(&net, SHAPE(2, 40, 6, 6)), INTS(&net, 3),
                                 INTS(&net, 35), INTS(&net, 1), -2);
            } else if (kind == 4) { /* blocked, and read again later */
                other = add_conv(&net, x, 32, 32);
            }
            int y = add_conv(&net, x, 32, 32);
            y = net_node(&net, ops[form / 2], form & 1 ? other : y, form & 1 ? y : other, -2);
            if (kind == 4)
                y = net_node(&net, "Add", y, net_node(&net, "Tanh", other, -2), -2);
            net_output(&net, add_conv(&net, y, 32, 32));
            snprintf(what, sizeof what, "kind %d form %d", kind, form);
            check(&net, what);
        }
}

static void test_concat(void **state)
{
    (void)state;
    for (int64_t batch = 1; batch <= 2; batch++)
        for (int axis = 0; axis < 4; axis++)
            for (int form = 0; form < 4; form++) {
                struct net net;
                char what[64];
                int64_t second = axis == 1 ? (form == 1 ? 20 : 48) : 32;
                net_begin(&net, (uint64_t)axis);
                int x = net_input(&net, SHAPE(batch, 32, 6, 8));
                int a = add_conv(&net, x, 32, 32);
                int b = form == 2 ? net_constant(&net, SHAPE(batch, second, 6, 8), -1, 1)
                                  : add_conv(&net, a, 32, second);
                if (form == 3)
                    b = net_node(&net, "Relu", b, -2);
                int y = form == 2 ? net_node(&net, "Concat", b, a, -2)
                                  : net_node(&net, "Concat", a, b, a, -2);
                net_int(&net, "axis", axis);
                int64_t channels = axis != 1 ? 32 : form == 2 ? 80 : 64 + second;
                net_output(&net, add_conv(&net, y, channels, 32));
                if (form == 3) /* what became a part is read alone, too */
                    net_output(&net, net_node(&net, "Neg", b, -2));
                snprintf(what, sizeof what, "batch %d axis %d form %d", (int)batch, axis, form);
                check(&net, what);
            }
}

static int pool(struct net *net, const char *op, int x)
{
    int y = net_node(net, op, x, -2);
    LIST(net, "kernel_shape", 3, 2);
    LIST(net, "strides", 2, 1);
    LIST(net, "pads", 1, 0, 1, 1);
    return y;
}

static int resize(struct net *net, const char *mode, int x)
{
    int y = net_node(net, "Resize", x, -1, -1, INTS(net, 2, 32, 12, 24), -2);
    net_string(net, "mode", mode);
    if (strcmp(mode, "nearest") == 0) {
        net_string(net, "coordinate_transformation_mode", "asymmetric");
        net_string(net, "nearest_mode", "floor");
    }
    return y;
}

/* What does not look at neighbours in memory stays blocked; between two convolutions there is one step. */
static void test_images(void **state)
{
    (void)state;
    for (int kind = 0; kind < 5; kind++) {
        struct net net;
        char what[64];
        net_begin(&net, (uint64_t)kind);
        int x = net_input(&net, SHAPE(2, 32, 6, 8));
        int y = add_conv(&net, x, 32, 32);
        y = kind == 0   ? pool(&net, "MaxPool", y)
            : kind == 1 ? pool(&net, "AveragePool", y)
            : kind == 2 ? resize(&net, "nearest", y)
            : kind == 3 ? resize(&net, "linear", y)
                        : net_node(&net, "Tanh", y, -2);
        net_output(&net, add_conv(&net, y, 32, 32));
        check_steps(&net, 1 + 1 + 1 + 1 + 1, 2);
        snprintf(what, sizeof what, "image %d", kind);
        check(&net, what);
    }
    static const char *const global[] = { "GlobalAveragePool", "GlobalMaxPool" };
    for (int i = 0; i < 2; i++) { /* squeeze and excite */
        struct net net;
        net_begin(&net, (uint64_t)i);
        int x = net_input(&net, SHAPE(2, 32, 6, 8));
        int y = add_conv(&net, x, 32, 64);
        int s = net_node(&net, "Conv", net_node(&net, global[i], y, -2),
                         net_constant(&net, SHAPE(64, 64, 1, 1), -0.2, 0.2), -2);
        y = net_node(&net, "Mul", y, net_node(&net, "Sigmoid", s, -2), -2);
        net_output(&net, add_conv(&net, y, 64, 32));
        check(&net, global[i]);
    }
}

/* Convolutions that are not Winograd's, but follow it. */
static void test_direct(void **state)
{
    (void)state;
    static const struct {
        int64_t out, groups, kernel, stride, pad, dilation;
    } cases[] = {
        { 48, 1, 1, 1, 0, 1 },  { 48, 1, 3, 2, 1, 1 }, { 32, 32, 3, 1, 1, 1 },
        { 32, 32, 5, 2, 2, 1 }, { 64, 2, 3, 1, 1, 1 }, { 64, 4, 1, 1, 0, 1 },
        { 32, 1, 3, 1, 2, 2 },  { 7, 1, 1, 1, 0, 1 },  { 20, 1, 3, 1, 1, 1 },
        { 16, 1, 3, 1, 1, 1 },  { 32, 8, 3, 1, 1, 1 }, { 64, 32, 3, 1, 1, 1 },
        { 128, 1, 1, 2, 0, 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int form = 0; form < 3; form++) { /* alone, with a function, with an addition */
            struct net net;
            char what[64];
            int64_t out = cases[i].out, groups = cases[i].groups, kernel = cases[i].kernel;
            net_begin(&net, i);
            int x = net_input(&net, SHAPE(2, 32, 9, 11));
            int y = add_conv(&net, x, 32, 32);
            int z = net_node(&net, "Conv", y,
                             net_constant(&net, SHAPE(out, 32 / groups, kernel, kernel), -0.2, 0.2),
                             net_constant(&net, SHAPE(out), -1, 1), -2);
            net_int(&net, "group", groups);
            LIST(&net, "strides", cases[i].stride, cases[i].stride);
            LIST(&net, "dilations", cases[i].dilation, cases[i].dilation);
            LIST(&net, "pads", cases[i].pad, cases[i].pad, cases[i].pad, cases[i].pad);
            if (form == 2 && cases[i].stride == 1 && out == 32)
                z = net_node(&net, "Add", z, y, -2);
            if (form > 0)
                z = net_node(&net, "Elu", z, -2);
            net_output(&net, add_conv(&net, z, out, 32));
            snprintf(what, sizeof what, "direct %zu form %d", i, form);
            check(&net, what);
        }
}

/* Everything that reasons about strides reads a plain copy, while a convolution reads the blocked one. */
static void test_views(void **state)
{
    (void)state;
    for (int kind = 0; kind < 14; kind++)
        for (int form = 0; form < 2; form++) {
            struct net net;
            char what[64];
            net_begin(&net, (uint64_t)kind);
            int x = net_input(&net, SHAPE(2, 32, 6, 4));
            int y = add_conv(&net, x, 32, 32), z;
            switch (kind) {
            case 0:
                z = net_node(&net, "Reshape", y, INTS(&net, 2, 4, 8, 24), -2);
                break;
            case 1:
                z = net_node(&net, "Transpose", y, -2);
                LIST(&net, "perm", 0, 2, 3, 1);
                break;
            case 2:
                z = net_node(&net, "Slice", y, INTS(&net, 16), INTS(&net, 32), INTS(&net, 1), -2);
                break;
            case 3:
                z = net_node(&net, "Slice", y, INTS(&net, 1, 1), INTS(&net, 20, 5),
                             INTS(&net, 1, 2), INTS(&net, 2, 3), -2);
                break;
            case 4:
                z = net_node(&net, "Gather", y, INTS(&net, 17), -2);
                net_int(&net, "axis", 1);
                break;
            case 5:
                z = net_node(&net, "Softmax", y, -2);
                net_int(&net, "axis", 1);
                break;
            case 6:
                z = net_node(&net, "Softmax", y, -2);
                break;
            case 7:
                z = net_node(&net, "ReduceMean", y, -2);
                LIST(&net, "axes", 1, 2);
                break;
            case 8:
                z = net_node(&net, "MatMul", y, net_constant(&net, SHAPE(4, 5), -1, 1), -2);
                break;
            case 9:
                z = net_node(&net, "Pad", y, INTS(&net, 0, 1, 0, 2, 0, 0, 1, 0), -2);
                break;
            case 10:
                z = net_node(&net, "Flatten", y, -2);
                break;
            case 11:
                z = net_node(&net, "DepthToSpace", y, -2);
                net_int(&net, "blocksize", 2);
                break;
            case 12: /* two dimensions that broadcast against each other */
                z = net_node(&net, "Mul", net_node(&net, "ReduceMax", y, -2), y, -2);
                break;
            default:
                z = net_node(&net, "ConvTranspose", y,
                             net_constant(&net, SHAPE(32, 16, 2, 2), -0.2, 0.2), -2);
                LIST(&net, "strides", 2, 2);
            }
            net_output(&net, net_node(&net, "Neg", z, -2));
            if (form)
                net_output(&net, add_conv(&net, y, 32, 32));
            snprintf(what, sizeof what, "view %d form %d", kind, form);
            check(&net, what);
        }
    struct net net;
    net_begin(&net, 99); /* in the middle of a chain, and at its end */
    int y = add_conv(&net, net_input(&net, SHAPE(1, 32, 4, 5)), 32, 32);
    int z = add_conv(&net, net_node(&net, "Relu", y, -2), 32, 32);
    net_output(&net, y);
    net_output(&net, z);
    check(&net, "outputs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocked),      cmocka_unit_test(test_equal),
        cmocka_unit_test(test_like),         cmocka_unit_test(test_memory_desc),
        cmocka_unit_test(test_chain),        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_odd_channels), cmocka_unit_test(test_unary),
        cmocka_unit_test(test_binary),       cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_concat),       cmocka_unit_test(test_images),
        cmocka_unit_test(test_direct),       cmocka_unit_test(test_views),
    };
    return cmocka_run_group_tests(tests, open_device, close_device);
}
