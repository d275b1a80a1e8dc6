/* Random graphs of a dozen nodes that mix everything that decides on memory: convolutions, additions
 * in place, views of views, concatenations into each other, values read late, outputs in the middle.
 * Every second graph has so many channels that convolutions lie blocked.
 * A failure prints its seed; `cpu_random_test SEED` runs that one and prints graph and plan. */
#include "cpu_check.h"

#define GRAPHS 400
#define NODES 16
#define VALUES_MAX 64
#define ELEMENTS_MAX 6000
#define BOUND 2e-5 /* differences of near equals lose some of the 1e-5 that single ops keep */

struct pool {
    struct net net;
    int values[VALUES_MAX], count;
    bool wide; /* whole blocks of channels where it can be */
};

typedef int add_fn(struct pool *pool, int x);

static uint64_t only_seed;

static int64_t pick(struct pool *pool, int64_t count)
{
    return (int64_t)(random_next_unit(&pool->net.random) * (double)count);
}

static const struct shape *shape_of(const struct pool *pool, int value)
{
    return &pool->net.graph->values[value].shape;
}

/* Another value of the same shape, or a fresh constant that broadcasts to it. */
static int pick_partner(struct pool *pool, int x)
{
    const struct shape shape = *shape_of(pool, x);
    for (int tries = 0; tries < 8; tries++) {
        int other = pool->values[pick(pool, pool->count)];
        if (other != x && shape_equal(shape_of(pool, other), &shape))
            return other;
    }
    struct shape small = shape;
    for (int d = 0; d < shape.rank; d++)
        if (pick(pool, 2))
            small.dim[d] = 1;
    return net_constant(&pool->net, &small, -1, 1);
}

static int add_unary(struct pool *pool, int x)
{
    static const char *const ops[] = { "Relu", "Sigmoid", "Tanh", "Abs", "Neg", "Softplus", "Sin" };
    return net_node(&pool->net, ops[pick(pool, 7)], x, -2);
}

static int add_swish(struct pool *pool, int x)
{
    return net_node(&pool->net, "Mul", x, net_node(&pool->net, "Sigmoid", x, -2), -2);
}

static int add_binary(struct pool *pool, int x)
{
    static const char *const ops[] = { "Add", "Sub", "Mul", "Max", "Min" };
    int other = pick_partner(pool, x);
    bool swap = pick(pool, 2);
    return net_node(&pool->net, ops[pick(pool, 5)], swap ? other : x, swap ? x : other, -2);
}

static int add_prelu(struct pool *pool, int x)
{
    const struct shape *shape = shape_of(pool, x);
    struct shape slope = { .rank = shape->rank - 1 };
    for (int d = 0; d < slope.rank; d++)
        slope.dim[d] = d == 0 ? shape->dim[1] : 1;
    return net_node(&pool->net, "PRelu", x, net_constant(&pool->net, &slope, 0, 1), -2);
}

static int add_conv(struct pool *pool, int x)
{
    const struct shape shape = *shape_of(pool, x);
    if (shape.rank != 4)
        return -1;
    int64_t kernel = pick(pool, 2) * 2 + 1, out = 1 + pick(pool, 20), groups = 1;
    if (pick(pool, 4) == 0)
        groups = out = shape.dim[1];
    int64_t terms = shape.dim[1] / groups * kernel * kernel;
    double scale = 1.5 / sqrt((double)terms);
    int w =
        net_constant(&pool->net, SHAPE(out, shape.dim[1] / groups, kernel, kernel), -scale, scale);
    int y = pick(pool, 2)
                ? net_node(&pool->net, "Conv", x, w, -2)
                : net_node(&pool->net, "Conv", x, w, net_constant(&pool->net, SHAPE(out), -1, 1), -2);
    net_int(&pool->net, "group", groups);
    LIST(&pool->net, "pads", kernel / 2, kernel / 2, kernel / 2, kernel / 2);
    if (pick(pool, 4) == 0)
        LIST(&pool->net, "strides", 2, 2);
    return y;
}

/* Of a kind that is mostly done by Winograd's method, if what comes in is, too. */
static int add_wide_conv(struct pool *pool, int x)
{
    const struct shape shape = *shape_of(pool, x);
    if (shape.rank != 4)
        return -1;
    int64_t out = pick(pool, 4) ? 32 : 16 + 16 * pick(pool, 3);
    double scale = 0.5 / sqrt((double)shape.dim[1]);
    int w = net_constant(&pool->net, SHAPE(out, shape.dim[1], 3, 3), -scale, scale);
    int y = net_node(&pool->net, "Conv", x, w, net_constant(&pool->net, SHAPE(out), -1, 1), -2);
    LIST(&pool->net, "pads", 1, 1, 1, 1);
    return pick(pool, 3) ? y : net_node(&pool->net, "Relu", y, -2);
}

static int add_norm(struct pool *pool, int x)
{
    int64_t channels = shape_of(pool, x)->dim[1];
    return net_node(&pool->net, "BatchNormalization", x,
                    net_constant(&pool->net, SHAPE(channels), 0.5, 1.5),
                    net_constant(&pool->net, SHAPE(channels), -1, 1),
                    net_constant(&pool->net, SHAPE(channels), -1, 1),
                    net_constant(&pool->net, SHAPE(channels), 0.5, 2), -2);
}

static int add_concat(struct pool *pool, int x)
{
    const struct shape shape = *shape_of(pool, x);
    int64_t axis = pick(pool, shape.rank);
    int other = x;
    for (int tries = 0; tries < 12; tries++) {
        int candidate = pool->values[pick(pool, pool->count)];
        struct shape fits = *shape_of(pool, candidate);
        if (fits.rank != shape.rank)
            continue;
        fits.dim[axis] = shape.dim[axis];
        if (shape_equal(&fits, &shape))
            other = candidate;
    }
    int y = pick(pool, 3) ? net_node(&pool->net, "Concat", other, x, -2)
                          : net_node(&pool->net, "Concat", x, other, x, -2);
    net_int(&pool->net, "axis", axis);
    return y;
}

static int add_transpose(struct pool *pool, int x)
{
    int rank = shape_of(pool, x)->rank;
    int64_t perm[SHAPE_RANK_MAX];
    for (int d = 0; d < rank; d++)
        perm[d] = d;
    for (int d = rank - 1; d > 0; d--) {
        int64_t other = pick(pool, d + 1), kept = perm[d];
        perm[d] = perm[other];
        perm[other] = kept;
    }
    int y = net_node(&pool->net, "Transpose", x, -2);
    net_list(&pool->net, "perm", (size_t)rank, perm);
    return y;
}

/* Splits off a factor of one dimension, or joins two neighbours, to rank 3 to 5. */
static int add_reshape(struct pool *pool, int x)
{
    const struct shape shape = *shape_of(pool, x);
    int64_t dims[SHAPE_RANK_MAX], at = pick(pool, shape.rank - 1);
    int rank = 0;
    bool join = shape.rank > 3 && (shape.rank > 4 || pick(pool, 2));
    for (int d = 0; d < shape.rank; d++) {
        if (join && d == at) {
            dims[rank++] = shape.dim[d] * shape.dim[d + 1];
            d++;
        } else if (!join && d == at) {
            int64_t factor = shape.dim[d] % 2 == 0 ? 2 : shape.dim[d] % 3 == 0 ? 3 : 1;
            dims[rank++] = shape.dim[d] / factor;
            dims[rank++] = factor;
        } else {
            dims[rank++] = shape.dim[d];
        }
    }
    return net_node(&pool->net, "Reshape", x, net_ints(&pool->net, rank, dims), -2);
}

static int add_slice(struct pool *pool, int x)
{
    const struct shape *shape = shape_of(pool, x);
    int64_t axis = pick(pool, shape->rank), dim = shape->dim[axis];
    int64_t start = pick(pool, dim), step = 1 + pick(pool, 3);
    if (pick(pool, 6) == 0 && dim > 1)
        return net_node(&pool->net, "Slice", x, INTS(&pool->net, -1), INTS(&pool->net, -dim - 1),
                        INTS(&pool->net, axis), INTS(&pool->net, -step), -2);
    return net_node(&pool->net, "Slice", x, INTS(&pool->net, start), INTS(&pool->net, dim),
                    INTS(&pool->net, axis), INTS(&pool->net, step), -2);
}

static int add_gather(struct pool *pool, int x)
{
    const struct shape *shape = shape_of(pool, x);
    int64_t axis = pick(pool, shape->rank), index = pick(pool, shape->dim[axis]);
    int y = net_node(&pool->net, "Gather", x, INTS(&pool->net, index), -2);
    net_int(&pool->net, "axis", axis);
    return y;
}

static int add_pool(struct pool *pool, int x)
{
    const struct shape *shape = shape_of(pool, x);
    if (shape->rank != 4 || shape->dim[2] < 2 || shape->dim[3] < 2)
        return -1;
    int y = net_node(&pool->net, pick(pool, 2) ? "MaxPool" : "AveragePool", x, -2);
    LIST(&pool->net, "kernel_shape", 2, 2);
    LIST(&pool->net, "strides", 1 + pick(pool, 2), 1);
    return y;
}

static int add_resize(struct pool *pool, int x)
{
    if (shape_of(pool, x)->rank != 4)
        return -1;
    int s = net_constant(&pool->net, SHAPE(4), 1, 1);
    float *scales = pool->net.graph->values[s].constant.data;
    scales[2] = 2;
    scales[3] = (float)(1 + pick(pool, 3));
    int y = net_node(&pool->net, "Resize", x, -1, s, -2);
    net_string(&pool->net, "coordinate_transformation_mode", "asymmetric");
    net_string(&pool->net, "nearest_mode", "floor");
    return y;
}

static int add_softmax(struct pool *pool, int x)
{
    int y = net_node(&pool->net, "Softmax", x, -2);
    net_int(&pool->net, "axis", pick(pool, shape_of(pool, x)->rank));
    return y;
}

static int add_matmul(struct pool *pool, int x)
{
    const struct shape shape = *shape_of(pool, x);
    if (pick(pool, 2)) { /* with itself, the last two swapped */
        int64_t perm[SHAPE_RANK_MAX];
        for (int d = 0; d < shape.rank; d++)
            perm[d] = d < shape.rank - 2 ? d : 2 * shape.rank - 3 - d;
        int t = net_node(&pool->net, "Transpose", x, -2);
        net_list(&pool->net, "perm", (size_t)shape.rank, perm);
        return net_node(&pool->net, "Tanh", net_node(&pool->net, "MatMul", x, t, -2), -2);
    }
    int64_t k = shape.dim[shape.rank - 1], n = 1 + pick(pool, 12);
    double scale = 1 / sqrt((double)k);
    return net_node(&pool->net, "MatMul", x, net_constant(&pool->net, SHAPE(k, n), -scale, scale),
                    -2);
}

static int add_pad(struct pool *pool, int x)
{
    int rank = shape_of(pool, x)->rank;
    int64_t pads[2 * SHAPE_RANK_MAX];
    for (int d = 0; d < 2 * rank; d++)
        pads[d] = pick(pool, 2);
    return net_node(&pool->net, "Pad", x, net_ints(&pool->net, 2 * rank, pads), -2);
}

static int add_reduce(struct pool *pool, int x)
{
    int64_t axis = pick(pool, shape_of(pool, x)->rank);
    int y = net_node(&pool->net, "ReduceMean", x, -2);
    LIST(&pool->net, "axes", axis);
    return net_node(&pool->net, "Sub", x, y, -2);
}

static add_fn *const adders[] = {
    add_unary,  add_swish,  add_binary, add_binary,  add_prelu,     add_conv,    add_conv,
    add_norm,   add_concat, add_concat, add_concat,  add_transpose, add_reshape, add_slice,
    add_gather, add_pool,   add_resize, add_softmax, add_matmul,    add_pad,     add_reduce,
};

/* Inference drops what no output needs yet, so a copy is inferred for the shape of one value. */
static void learn_shape(struct pool *pool, int value)
{
    struct error *err = &pool->net.err;
    struct graph *copy = NULL;
    net_must(&pool->net, graph_clone(&copy, pool->net.graph, err));
    net_must(&pool->net, graph_mark_output(copy, value, err));
    net_must(&pool->net, graph_infer(copy, NULL, err));
    pool->net.graph->values[value].shape = copy->values[copy->outputs[0]].shape;
    graph_free(&copy);
}

/* What grew too large or too flat is not built on. */
static void build(struct pool *pool, uint64_t seed)
{
    net_begin(&pool->net, seed);
    pool->count = 0;
    pool->wide = seed % 2 == 0;
    for (int i = 0; i < 2; i++) {
        int64_t channels = pool->wide ? 16 + 16 * pick(pool, 2) : 8 + 8 * pick(pool, 2);
        pool->values[pool->count++] =
            net_input(&pool->net, SHAPE(1 + (pick(pool, 5) == 0), channels, 4 + pick(pool, 3), 6));
    }
    for (int tries = 0; tries < 3 * NODES && pool->count < NODES + 2; tries++) {
        /* Mostly what is newest, sometimes what has been lying about. */
        int64_t back =
            pick(pool, 3) ? pick(pool, pool->count < 3 ? pool->count : 3) : pick(pool, pool->count);
        int x = pool->values[pool->count - 1 - back];
        int y = pool->wide && pick(pool, 4) == 0
                    ? add_wide_conv(pool, x)
                    : adders[pick(pool, sizeof adders / sizeof *adders)](pool, x);
        if (y < 0)
            continue;
        learn_shape(pool, y);
        const struct shape *shape = shape_of(pool, y);
        int64_t elements = shape_elements(shape);
        if (elements > 0 && elements <= ELEMENTS_MAX && shape->rank >= 3 && shape->rank <= 5)
            pool->values[pool->count++] = y;
    }
    net_output(&pool->net, pool->values[pool->count - 1]);
    for (int i = 0, extra = (int)pick(pool, 3); i < extra; i++) {
        int value = pool->values[pick(pool, pool->count)];
        if (!pool->net.graph->values[value].is_output)
            net_output(&pool->net, value);
    }
    net_must(&pool->net, graph_sweep(pool->net.graph, &pool->net.err));
}

static void run(struct device *device, uint64_t seed)
{
    struct pool pool;
    char what[64];
    build(&pool, seed);
    if (only_seed) {
        graph_print(pool.net.graph, stderr);
        struct plan *plan;
        struct plan_options options = { .precision = PRECISION_F32 };
        net_must(&pool.net, device_compile(device, pool.net.graph, &options, &plan, &pool.net.err));
        net_must(&pool.net, plan_print(plan, 0, stderr, &pool.net.err));
        plan_free(&plan);
    }
    snprintf(what, sizeof what, "seed %llu", (unsigned long long)seed);
    net_check(&pool.net, device, PRECISION_F32, BOUND, what);
    net_end(&pool.net);
}

static void test_random(void **state)
{
    (void)state;
    struct device *device;
    struct error err;
    assert_int_equal(device_open(&device, "cpu:threads=1", &err), 0);
    if (only_seed)
        run(device, only_seed);
    for (uint64_t seed = 1; !only_seed && seed <= GRAPHS; seed++)
        run(device, seed);
    device_close(&device);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_random) };
    only_seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
