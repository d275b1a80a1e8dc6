/* The writer of ONNX files, by reading again what it wrote. Every model at hand must come back as the
 * same graph (ops, attributes, names, constants bit for bit) whose plan gives the same bits, also after
 * its weights have changed. Small graphs made by code have what no file has: states, values without
 * names or with the same, ops that ONNX cannot name or only spell. Then disks that are full and the like:
 * a file is there whole or not at all. (`make bench-onnx` shows the files to ONNX Runtime.) */
#include "cpu_check.h"
#include "onnx.pb-c.h"
#include "onnx/onnx.h"
#include "onnx/write.h"
#include "passes/pass.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_BYTES 512

static char folder[] = "/tmp/onnx_write_test_XXXXXX";

/* ---- two graphs ---- */

static const char *name_of(const struct graph *graph, int value)
{
    return value < 0 ? "(none)" : graph->values[value].name;
}

static void assert_same_tensor(const char *what, const struct tensor *a, const struct tensor *b)
{
    if (!a->data != !b->data || a->type != b->type || !shape_equal(&a->shape, &b->shape))
        fail_msg("%s: another type or shape", what);
    if (a->data && b->data && memcmp(a->data, b->data, tensor_bytes(a)) != 0)
        fail_msg("%s: other content", what);
}

static void assert_same_attribute(const struct attribute *a, const struct attribute *b)
{
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->kind, b->kind);
    assert_true(a->count == b->count);
    assert_true(a->i == b->i);
    assert_memory_equal(&a->f, &b->f, sizeof a->f);
    assert_string_equal(a->s ? a->s : "", b->s ? b->s : "");
    for (size_t i = 0; i < a->count && a->kind == ATTRIBUTE_INTS; i++)
        assert_true(a->ints[i] == b->ints[i]);
    for (size_t i = 0; i < a->count && a->kind == ATTRIBUTE_FLOATS; i++)
        assert_memory_equal(&a->floats[i], &b->floats[i], sizeof *a->floats);
    assert_same_tensor(a->name, &a->t, &b->t);
}

static void assert_same_value(const struct graph *a, int left, const struct graph *b, int right)
{
    assert_string_equal(name_of(a, left), name_of(b, right));
    if (left < 0)
        return;
    const struct value *x = &a->values[left], *y = &b->values[right];
    assert_int_equal(x->is_input, y->is_input);
    assert_int_equal(x->is_output, y->is_output);
    assert_int_equal(x->type, y->type);
    assert_true(x->shape.rank == y->shape.rank);
    if (x->shape.rank >= 0)
        assert_true(shape_equal(&x->shape, &y->shape));
    assert_same_tensor(x->name, &x->constant, &y->constant);
}

static void assert_same_graph(const struct graph *a, const struct graph *b)
{
    assert_int_equal(a->opset, b->opset);
    assert_int_equal(a->node_count, b->node_count);
    assert_int_equal(a->value_count, b->value_count);
    assert_int_equal(a->input_count, b->input_count);
    assert_int_equal(a->output_count, b->output_count);
    for (int i = 0; i < a->input_count; i++)
        assert_same_value(a, a->inputs[i], b, b->inputs[i]);
    for (int i = 0; i < a->output_count; i++)
        assert_same_value(a, a->outputs[i], b, b->outputs[i]);
    for (int i = 0; i < a->node_count; i++) {
        const struct node *x = &a->nodes[i], *y = &b->nodes[i];
        assert_ptr_equal(x->op, y->op);
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->input_count, y->input_count);
        assert_int_equal(x->output_count, y->output_count);
        assert_int_equal(x->attribute_count, y->attribute_count);
        for (int k = 0; k < x->input_count; k++)
            assert_same_value(a, x->inputs[k], b, y->inputs[k]);
        for (int k = 0; k < x->output_count; k++)
            assert_same_value(a, x->outputs[k], b, y->outputs[k]);
        for (size_t k = 0; k < x->attribute_count; k++)
            assert_same_attribute(&x->attributes[k], &y->attributes[k]);
    }
}

static struct graph *write_and_read(const struct graph *graph)
{
    struct graph *again = NULL;
    struct error err = { 0 };
    void *bytes = NULL;
    size_t size = 0;
    if (onnx_write_bytes(graph, &bytes, &size, &err) ||
        onnx_read_bytes(&again, bytes, size, "written", &err))
        fail_msg("%s", err.text);
    free(bytes);
    return again;
}

/* What is wrong with writing this. */
static const char *refusal(const struct graph *graph, int expected)
{
    static struct error err;
    void *bytes = NULL;
    size_t size = 0;
    err = (struct error){ 0 };
    int rc = onnx_write_bytes(graph, &bytes, &size, &err);
    assert_null(bytes);
    if (rc != expected)
        fail_msg("%d instead of %d: %s", rc, expected, err.text);
    return err.text;
}

static void assert_in(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

/* ---- models ---- */

/* Shapes for models whose file leaves dimensions open. */
static void close_shape(const char *path, struct shape *shape)
{
    if (strstr(path, "fsrcnn")) {
        shape->dim[1] = 48;
        shape->dim[2] = 64;
    }
    for (int i = 0; i < shape->rank; i++)
        if (shape->dim[i] < 0)
            shape->dim[i] = 1;
}

/* Of all outputs of a plan on fixed random input. */
static uint64_t digest_of(const struct graph *graph, const char *path)
{
    struct error err = { 0 };
    struct device *device = NULL;
    struct plan *plan = NULL;
    struct shape shapes[CHECK_INPUTS_MAX];
    struct plan_options options = { .precision = PRECISION_F32, .input_shapes = shapes };
    struct random_state random;
    random_seed(&random, 7);
    for (int i = 0; i < graph->input_count && i < CHECK_INPUTS_MAX; i++) {
        shapes[i] = graph->values[graph->inputs[i]].shape;
        close_shape(path, &shapes[i]);
    }
    if (device_open(&device, "cpu:threads=2", &err) ||
        device_compile(device, graph, &options, &plan, &err))
        fail_msg("%s: %s", path, err.text);
    for (size_t i = 0; i < plan_input_count(plan); i++) {
        float *data = plan_input(plan, i)->data;
        for (int64_t k = 0, count = shape_elements(&plan_input(plan, i)->shape); k < count; k++)
            data[k] = (float)random_next_unit(&random);
    }
    if (plan_run(plan, &err))
        fail_msg("%s: %s", path, err.text);
    uint64_t digest = 14695981039346656037u;
    for (size_t o = 0; o < plan_output_count(plan); o++) {
        const unsigned char *bytes = plan_output(plan, o)->data;
        for (uint64_t i = 0, count = tensor_bytes(plan_output(plan, o)); i < count; i++)
            digest = (digest ^ bytes[i]) * 1099511628211u;
    }
    plan_free(&plan);
    device_close(&device);
    return digest;
}

/* The largest f32 constants (weights, not shapes) are halved. */
static void change_weights(struct graph *graph)
{
    for (int i = 0; i < graph->value_count; i++) {
        struct tensor *weights = &graph->values[i].constant;
        int64_t count = weights->data ? shape_elements(&weights->shape) : 0;
        for (int64_t k = 0; count > 32 && weights->type == TENSOR_F32 && k < count; k++)
            ((float *)weights->data)[k] *= 0.5f;
    }
}

static void test_model(void **state)
{
    const char *file = *state, *data = getenv("TEST_DATA");
    struct error err = { 0 };
    struct graph *graph = NULL;
    char path[PATH_BYTES];
    bool ours = strncmp(file, "models/street", 13) == 0;
    snprintf(path, sizeof path, "%s%s%s", ours || !data ? "" : data, ours ? "" : "/", file);
    if (access(path, R_OK) != 0) {
        fprintf(stderr, "SKIP REASON: onnx_write %s: not in TEST_DATA\n", file);
        skip();
    }
    if (onnx_read_file(&graph, path, &err))
        fail_msg("%s", err.text);
    struct graph *again = write_and_read(graph);
    assert_same_graph(graph, again);
    uint64_t digest = digest_of(graph, path);
    assert_true(digest_of(again, path) == digest);
    graph_free(&again);

    change_weights(graph);
    again = write_and_read(graph);
    assert_same_graph(graph, again);
    uint64_t changed = digest_of(again, path);
    assert_true(changed != digest && changed == digest_of(graph, path));
    graph_free(&again);
    graph_free(&graph);
}

/* ---- graphs made by code ---- */

static void net_tensor(struct net *net, const char *name, struct tensor *tensor)
{
    net_attribute(
        net, &(struct attribute){ .name = (char *)name, .kind = ATTRIBUTE_TENSOR, .t = *tensor });
}

/* One attribute of each kind; all values but the input share two names. */
static void build_attributes(struct net *net)
{
    net_begin(net, 1);
    net->graph->opset = 8;
    int x = net_input(net, SHAPE(1, 2, 3, 4));
    int conv = net_node(net, "Conv", x, net_constant(net, SHAPE(2, 2, 3, 3), -1, 1), -2);
    LIST(net, "pads", 1, 1, 1, 1);
    net_int(net, "group", 1);
    int elu = net_node(net, "Elu", conv, -2);
    net_float(net, "alpha", 0.7f);
    int up = net_node(net, "Upsample", elu, -2);
    net_string(net, "mode", "nearest");
    float scales[] = { 1, 1, 2, 2 };
    net_attribute(
        net, &(struct attribute){
                 .name = (char *)"scales", .kind = ATTRIBUTE_FLOATS, .floats = scales, .count = 4 });
    net_output(net, up);
    net_infer(net);
}

static void test_attributes(void **state)
{
    (void)state;
    struct net net;
    build_attributes(&net);
    struct graph *again = write_and_read(net.graph);
    assert_int_equal(again->opset, 8);
    assert_int_equal(again->node_count, 3);
    for (int i = 0; i < again->node_count; i++) {
        const struct node *x = &net.graph->nodes[i], *y = &again->nodes[i];
        assert_int_equal(x->attribute_count, y->attribute_count);
        for (size_t a = 0; a < x->attribute_count; a++)
            assert_same_attribute(&x->attributes[a], &y->attributes[a]);
    }
    assert_true(digest_of(again, "") == digest_of(net.graph, ""));
    graph_free(&again);
    net_end(&net);

    net_begin(&net, 1); /* the sixth kind: a tensor */
    int shape = graph_add_value(net.graph, "shape", TENSOR_I64, SHAPE(2), &net.err);
    net_must(&net, graph_mark_input(net.graph, shape, &net.err));
    int filled = net_node(&net, "ConstantOfShape", shape, -2);
    int32_t seven = 7;
    struct tensor value = { .type = TENSOR_I32, .shape = { .rank = 1, .dim = { 1 } }, .data = &seven };
    net_tensor(&net, "value", &value);
    net.graph->values[filled].type = TENSOR_I32;
    net.graph->values[filled].shape = (struct shape){ .rank = 2, .dim = { -1, -1 } };
    net_output(&net, filled);
    again = write_and_read(net.graph);
    assert_same_attribute(&net.graph->nodes[0].attributes[0], &again->nodes[0].attributes[0]);
    assert_int_equal(again->values[again->outputs[0]].type, TENSOR_I32);
    graph_free(&again);
    net_end(&net);
}

/* Constants of every type, as outputs: bits and shapes stay, a scalar and an empty one too. */
static void test_types(void **state)
{
    (void)state;
    static const enum tensor_type types[] = { TENSOR_F32,  TENSOR_F64, TENSOR_F16,
                                              TENSOR_BF16, TENSOR_I64, TENSOR_I32,
                                              TENSOR_I8,   TENSOR_U8,  TENSOR_BOOL };
    struct net net;
    net_begin(&net, 3);
    net_input(&net, SHAPE(1));
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (int rank = 0; rank < 3; rank++) {
            struct tensor tensor;
            struct shape shape = { .rank = rank, .dim = { 3, t == 0 ? 0 : 2 } };
            net_must(&net, tensor_create(&tensor, types[t], &shape, &net.err));
            for (uint64_t i = 0; i < tensor_bytes(&tensor); i++)
                ((uint8_t *)tensor.data)[i] =
                    types[t] == TENSOR_BOOL ? i & 1 : (uint8_t)(i * 37 + 11);
            int value = graph_add_constant(net.graph, "", &tensor, &net.err);
            net_must(&net, value);
            net_output(&net, value);
        }
    struct graph *again = write_and_read(net.graph);
    assert_int_equal(again->output_count, net.graph->output_count);
    for (int i = 0; i < again->output_count; i++) {
        const struct value *value = &again->values[again->outputs[i]];
        assert_true(*value->name);
        assert_same_tensor(value->name, &net.graph->values[net.graph->outputs[i]].constant,
                           &value->constant);
    }
    graph_free(&again);
    net_end(&net);
}

/* x of free shape -> Clip without a lower bound -> times a state -> y. */
static void build_free(struct net *net)
{
    net_begin(net, 4);
    net->graph->opset = 0;
    int x = net_input(net, SHAPE(-1, 3, -1, -1));
    int clip = net_node(net, "Clip", x, -1, net_constant(net, SHAPE(), 0.4, 0.5), -2);
    int gain = net_constant(net, SHAPE(3, 1, 1), 1, 2);
    net_must(net, graph_mark_state(net->graph, gain, &net->err));
    int y = net_node(net, "Mul", clip, gain, -2);
    int next = net_node(net, "Neg", gain, -2); /* what the state takes on is no business of y's */
    net->graph->values[next].type = TENSOR_F32;
    net->graph->values[next].shape = *SHAPE(3, 1, 1);
    graph_set_next(net->graph, gain, next);
    net_output(net, y);
}

static void test_free_shapes_and_states(void **state)
{
    (void)state;
    struct net net;
    build_free(&net);
    struct value *y = &net.graph->values[net.graph->outputs[0]];
    y->type = TENSOR_NONE;
    assert_in(refusal(net.graph, -ERROR_FORMAT), "'Mul' has no type yet");
    y->type = TENSOR_F32;
    y->shape = *SHAPE(-1, 3, -1, -1);

    struct graph *again = write_and_read(net.graph);
    assert_int_equal(again->opset, 13);
    assert_int_equal(again->node_count, 2); /* not the Neg */
    assert_int_equal(again->state_count, 0);
    assert_int_equal(again->nodes[0].inputs[1], -1);
    const struct value *x = &again->values[again->inputs[0]];
    assert_true(x->shape.rank == 4 && x->shape.dim[0] == -1 && x->shape.dim[1] == 3 &&
                x->shape.dim[2] == -1 && x->shape.dim[3] == -1);
    assert_same_tensor("state", &net.graph->values[net.graph->states[0]].state,
                       &again->values[again->nodes[1].inputs[1]].constant);
    graph_free(&again);

    /* What the state holds now is what is written. */
    struct shape shape = *SHAPE(2, 3, 5, 4);
    struct tensor input = { 0 }, output = { 0 }, output_again = { 0 };
    const struct tensor *inputs[] = { &input };
    net_must(&net, tensor_create(&input, TENSOR_F32, &shape, &net.err));
    net_fill(&net, &input, -1, 1);
    net_must(&net, graph_infer(net.graph, &shape, &net.err));
    net_must(&net, graph_run_reference(net.graph, inputs, &output, &net.err));
    tensor_free(&output);
    again = write_and_read(net.graph);
    net_must(&net, graph_infer(again, &shape, &net.err));
    net_must(&net, graph_run_reference(again, inputs, &output_again, &net.err));
    net_must(&net, graph_run_reference(net.graph, inputs, &output, &net.err));
    assert_same_tensor("y", &output, &output_again);
    tensor_free(&input);
    tensor_free(&output);
    tensor_free(&output_again);
    graph_free(&again);
    net_end(&net);
}

/* Names of the file: every value and node has its own, inputs and outputs keep theirs. */
static void test_names(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 5);
    int x = net_input(&net, SHAPE(2, 2)), x2 = net_input(&net, SHAPE(2, 2));
    int taken = net_node(&net, "Relu", x, -2);
    int unnamed = graph_add_value(net.graph, NULL, TENSOR_F32, NULL, &net.err);
    net_must(&net, graph_add_node(net.graph, op_find("Add", 13), NULL, (int[]){ taken, x2 }, 2,
                                  &unnamed, 1, &net.err));
    int out = net_node(&net, "Relu", unnamed, -2);
    net_output(&net, out); /* is called Relu, as `taken` is, which was there first */
    net_infer(&net);
    struct graph *again = write_and_read(net.graph);
    assert_string_equal(again->values[again->inputs[0]].name, "input");
    assert_string_equal(again->values[again->outputs[0]].name, "Relu");
    for (int i = 0; i < again->value_count; i++) {
        assert_true(*again->values[i].name);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(again->values[i].name, again->values[k].name);
    }
    assert_string_equal(again->nodes[0].name, "Relu");
    assert_string_not_equal(again->nodes[0].name, again->nodes[2].name);
    assert_true(digest_of(again, "") == digest_of(net.graph, ""));
    graph_free(&again);
    net_end(&net);
}

/* ---- ops that ONNX does not have ---- */

static void test_spelling(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 6);
    net.graph->opset = 11;
    int x = net_input(&net, SHAPE(2, 3, 4, 4));
    int a = net_node(&net, "Mul", x, net_node(&net, "Sigmoid", x, -2), -2);
    int gate = net_node(&net, "HardSigmoid", a, -2);
    net_float(&net, "alpha", 1 / 6.0f);
    net_output(&net, net_node(&net, "Mul", gate, a, -2));
    net_infer(&net);
    struct graph *again = write_and_read(net.graph);
    uint64_t digest = digest_of(net.graph, "");
    assert_true(digest_of(again, "") == digest);
    graph_free(&again);

    net_must(&net, pass_fuse_activation(net.graph, &net.err));
    assert_int_equal(net.graph->node_count, 2);
    assert_ptr_equal(net.graph->nodes[0].op, op_find("swish", OPSET_OWN));
    assert_string_equal(net.graph->nodes[1].op->name, "HardSwish"); /* of opset 14 */
    again = write_and_read(net.graph);
    assert_int_equal(again->opset, 11);
    assert_int_equal(again->node_count, 4);
    assert_true(digest_of(again, "") == digest);
    graph_free(&again);

    net.graph->opset = 14; /* which has HardSwish */
    again = write_and_read(net.graph);
    assert_int_equal(again->opset, 14);
    assert_int_equal(again->node_count, 3);
    assert_true(digest_of(again, "") == digest);
    graph_free(&again);
    net_end(&net);
}

static void test_refusals(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 7);
    int x = net_input(&net, SHAPE(1, 2, 4, 4));
    int conv = net_node(&net, "Conv", x, net_constant(&net, SHAPE(2, 2, 1, 1), -1, 1), -2);
    net_output(&net, net_node(&net, "Relu", conv, -2));
    net_infer(&net);
    net_must(&net, pass_run_all(net.graph, &net.err));
    assert_in(refusal(net.graph, -ERROR_UNSUPPORTED), "node 'Conv': ONNX has no op 'conv_fused'");
    net_end(&net);

    net_begin(&net, 7); /* two rows that no opset has together; without an opset of its own */
    net.graph->opset = 0;
    x = net_input(&net, SHAPE(1, 2));
    int old = graph_add_value(net.graph, "old", TENSOR_F32, SHAPE(1, 2), &net.err);
    net_must(&net, graph_add_node(net.graph, op_find("Clip", 7), "old", &x, 1, &old, 1, &net.err));
    int y = net_node(&net, "HardSwish", old, -2);
    net.graph->values[y].type = TENSOR_F32;
    net_output(&net, y);
    assert_in(refusal(net.graph, -ERROR_UNSUPPORTED),
              "'HardSwish' is of opset 14 and newer, 'Clip' of 10 and older");
    net.graph->opset = 10; /* then it is spelled, and the older counts */
    struct graph *again = write_and_read(net.graph);
    assert_int_equal(again->opset, 10);
    graph_free(&again);
    net_end(&net);

    net_begin(&net, 7);
    x = net_input(&net, SHAPE(1, 2));
    net_output(&net, x);
    net_output(&net, x);
    assert_in(refusal(net.graph, -ERROR_UNSUPPORTED), "'input' is an output twice");
    net_end(&net);

    net_begin(&net, 7); /* not sorted: the reader of `late` comes before its writer */
    x = net_input(&net, SHAPE(1, 2));
    int late = graph_add_value(net.graph, "late", TENSOR_F32, SHAPE(1, 2), &net.err);
    net_output(&net, net_node(&net, "Relu", late, -2));
    net_must(&net, graph_add_node(net.graph, op_find("Neg", 13), "", &x, 1, &late, 1, &net.err));
    assert_in(refusal(net.graph, -ERROR_FORMAT), "'late' is read before a node has written it");
    net_end(&net);
}

/* Weights of 2.4 GB that are not there: they must be refused before anybody looks at them. */
static void test_size(void **state)
{
    (void)state;
    struct net net;
    net_begin(&net, 8);
    int constant = net_constant(&net, SHAPE(1), 0, 1);
    net.graph->values[constant].constant.shape.dim[0] = 600000000;
    net_output(&net, net_node(&net, "Add", net_input(&net, SHAPE(1)), constant, -2));
    assert_in(refusal(net.graph, -ERROR_LIMIT), "2400000000 bytes of weights");
    net.graph->values[constant].constant.shape.dim[0] = 1;
    net_end(&net);
}

/* ---- files ---- */

static int count_files(void)
{
    int count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void assert_holds(const char *path, const struct graph *graph)
{
    struct graph *read = NULL;
    struct error err = { 0 };
    if (onnx_read_file(&read, path, &err))
        fail_msg("%s", err.text);
    struct graph *wanted = write_and_read(graph);
    assert_same_graph(wanted, read);
    graph_free(&wanted);
    graph_free(&read);
}

static void test_file(void **state)
{
    (void)state;
    struct net net, other;
    struct error err = { 0 };
    struct stat info;
    char path[PATH_BYTES];
    build_attributes(&net);
    net_begin(&other, 9);
    net_output(&other, net_node(&other, "Add", net_input(&other, SHAPE(50, 50)),
                                net_constant(&other, SHAPE(50, 50), 0, 1), -2));
    net_infer(&other);
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    net_must(&net, onnx_write_file(net.graph, path, &net.err));
    assert_holds(path, net.graph);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0644);

    /* The disk is full (here: files may have 4 KB): the old one stays, and nothing beside it. */
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 4096;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int rc = onnx_write_file(other.graph, path, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(rc, -ERROR_IO);
    assert_in(err.text, path);
    assert_in(err.text, "cannot write 10");
    assert_int_equal(count_files(), 1);
    assert_holds(path, net.graph);

    net_must(&net, onnx_write_file(other.graph, path, &net.err));
    assert_int_equal(count_files(), 1);
    assert_holds(path, other.graph);
    assert_int_equal(unlink(path), 0);

    assert_int_equal(onnx_write_file(net.graph, "/nowhere/model.onnx", &err), -ERROR_IO);
    assert_in(err.text, "/nowhere/model.onnx: cannot write here");
    assert_int_equal(onnx_write_file(net.graph, folder, &err), -ERROR_IO);
    other.graph->values[other.graph->outputs[0]].type = TENSOR_NONE;
    assert_int_equal(onnx_write_file(other.graph, path, &err), -ERROR_FORMAT);
    assert_in(err.text, path);
    assert_int_equal(count_files(), 0);
    net_end(&net);
    net_end(&other);
}

/* What other readers want to find: versions, who made it, types of everything that goes in and out. */
static void test_model_fields(void **state)
{
    (void)state;
    static const int versions[][2] = { { 7, 4 },  { 10, 5 }, { 11, 6 },
                                       { 13, 7 }, { 17, 8 }, { 21, 10 } };
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        struct net net;
        void *bytes;
        size_t size;
        net_begin(&net, 10);
        net.graph->opset = versions[i][0];
        net_output(&net, net_node(&net, "Relu", net_input(&net, SHAPE(1, 2)), -2));
        net.graph->values[net.graph->inputs[0]].shape = *SHAPE(-1, 2);
        net.graph->values[net.graph->outputs[0]].type = TENSOR_F32;
        net_must(&net, onnx_write_bytes(net.graph, &bytes, &size, &net.err));
        Onnx__ModelProto *model = onnx__model_proto__unpack(NULL, size, bytes);
        assert_non_null(model);
        assert_int_equal(model->ir_version, versions[i][1]);
        assert_int_equal(model->opset_import[0]->version, versions[i][0]);
        assert_string_equal(model->producer_name, "runespoor");
        assert_true(*model->graph->name);
        const Onnx__TypeProto__Tensor *in = model->graph->input[0]->type->tensor_type;
        assert_int_equal(in->elem_type, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
        assert_string_equal(in->shape->dim[0]->dim_param, "input_0");
        assert_int_equal(in->shape->dim[1]->dim_value, 2);
        assert_null(model->graph->output[0]->type->tensor_type->shape);
        onnx__model_proto__free_unpacked(model, NULL);
        free(bytes);
        net_end(&net);
    }
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

#define MODEL(file)                                                            \
    {                                                                          \
        .name = file, .test_func = test_model, .initial_state = (void *)(file) \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        MODEL("models/street_det/street_det.onnx"),
        MODEL("models/espcn_x3.onnx"),
        MODEL("models/fastestdet.onnx"),
        MODEL("models/fsrcnn_x2.onnx"),
        MODEL("models/lstr_lane.onnx"),
        MODEL("models/twinlitenet.onnx"),
        MODEL("models/ultraface_rfb320.onnx"),
        MODEL("models/yolox_nano.onnx"),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_free_shapes_and_states),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_spelling),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_model_fields),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
