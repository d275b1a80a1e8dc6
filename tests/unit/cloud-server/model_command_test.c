/* `cloud-server model` through the command line's own parser: exit status and what is printed. */
#include "analyse/model.h"
#include "card_text.h"
#include "command_run.h"
#include "graph/compose.h"
#include "onnx/write.h"
#include "ops/op.h"
#include "tensor/npy.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define SHIPPED "models/street_det"

static const struct cli_command commands[] = {
    { "model", MODEL_COMMAND_ARGUMENTS, "", model_command_more, model_command_flags, model_command },
    { 0 },
};

static char folder[] = "/tmp/model_command_test_XXXXXX";

/* Arguments up to NULL; gives the exit status. */
static int run(const char *first, ...)
{
    va_list more;
    va_start(more, first);
    int status = command_run(commands, "model", first, more);
    va_end(more);
    return status;
}

static int make_folder(void **state)
{
    (void)state;
    char path[256];
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/card.yaml", folder);
    FILE *file = fopen(path, "w");
    if (!file)
        return -1;
    fputs("name: a b\nfile: none.onnx\nclasses: [x, x]\nunknown: 1\n", file);
    return fclose(file);
}

static int remove_folder(void **state)
{
    (void)state;
    char path[256];
    snprintf(path, sizeof path, "%s/card.yaml", folder);
    unlink(path);
    return rmdir(folder);
}

/* x of 1x? -> Relu -> y. */
static void write_free_model(const char *path)
{
    struct graph *graph;
    struct error err;
    struct shape shape = { .rank = 2, .dim = { 1, -1 } };
    assert_int_equal(graph_create(&graph, &err), 0);
    graph->opset = 13;
    int x = graph_add_value(graph, "x", TENSOR_F32, &shape, &err);
    int y = graph_add_value(graph, "y", TENSOR_F32, &shape, &err);
    assert_true(graph_mark_input(graph, x, &err) >= 0);
    assert_true(graph_add_node(graph, op_find("Relu", 13), "", &x, 1, &y, 1, &err) >= 0);
    assert_true(graph_mark_output(graph, y, &err) >= 0);
    assert_int_equal(onnx_write_file(graph, path, &err), 0);
    graph_free(&graph);
}

static void test_check(void **state)
{
    (void)state;
    assert_int_equal(run("check", SHIPPED, NULL), 0);
    assert_says("input 512x384, head yolox");
    assert_says("images f32 1x3x384x512");
    assert_says("output f32 1x4032x11");
    assert_says("ok    sample  sample.jpg");
    assert_says("street_det can serve");
    assert_null(strstr(command_output, "FAIL"));

    assert_int_equal(run("check", folder, NULL), 1);
    assert_says("FAIL  card");
    assert_says("unknown");
    assert_says("input.width");
    assert_says("head.kind");
    assert_says("mistakes in the card");

    assert_int_equal(run("check", "/nowhere", NULL), 1);
    assert_says("/nowhere: is not there: a model is a folder");
}

static void test_show(void **state)
{
    (void)state;
    assert_int_equal(run("show", SHIPPED, "--threads", "1", "--runs", "2", NULL), 0);
    assert_says("kind: yolox");
    assert_says("# default");
    assert_says("1 threads\npeak ");
    assert_says("of peak  node\n");
    assert_says("conv_fused  1x32x96x128 ");
    assert_says(" 226M ");
    assert_says(" GFLOP/s\n");
    assert_int_equal(run("show", SHIPPED, "--runs", "1001", NULL), 1);
    assert_says("not a number from 1 to 1000");
    assert_int_equal(run("show", SHIPPED, "--shape", "1x3x384x512", NULL), 1);
    assert_says("--shape: is for files");
}

/* A file without a card, once with the sizes that it says itself, once with none. */
static void test_show_file(void **state)
{
    (void)state;
    char file[256];
    assert_int_equal(run("show", SHIPPED "/street_det.onnx", "--runs", "1", NULL), 0);
    assert_says("input images f32 1x3x384x512\noutput output f32 1x4032x11\n");
    assert_says("of peak");
    assert_says(" f32 ");
    assert_null(strstr(command_output, " bf16 "));
    assert_int_equal(run("show", SHIPPED "/street_det.onnx", "--shape", "1x3x64x64", "--runs", "1",
                         "--threads", "1", NULL),
                     0);
    assert_says("input images f32 1x3x64x64\noutput output f32 1x84x11\n");
    assert_int_equal(run("show", SHIPPED "/card.yaml", NULL), 1);
    assert_says("card.yaml: ");

    snprintf(file, sizeof file, "%s/free.onnx", folder);
    write_free_model(file);
    assert_int_equal(run("show", file, NULL), 0);
    assert_says("input x f32 1 x x_1\noutput y f32 1 x y_1\n");
    assert_says("no plan yet: ");
    assert_says(
        "input x is 1 x x_1: give the sizes, as in --size x_1=8, or the shape, as in --shape "
        "x=1x3x224x224\n");
    assert_int_equal(run("show", file, "--size", "x_1=7", "--runs", "1", NULL), 0);
    assert_says("output y f32 1x7\n");
    assert_int_equal(run("show", file, "--shape", "x=2x5", "--runs", "1", NULL), 0);
    assert_says("output y f32 2x5\n");
    assert_int_equal(run("show", file, "--size", "width=7", NULL), 1);
    assert_says("--size: width: is no free size of the model; it has x_1\n");
    static const char *const sizes[] = { "x_1", "x_1=", "=7", "x_1=0", "x_1=-1", "x_1=7x" };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(run("show", file, "--size", sizes[i], NULL), 1);
        assert_says("is not NAME=N, such as batch=1");
    }
    assert_int_equal(run("show", file, "--shape", "1x5", "--runs", "1", NULL), 0);
    assert_says("output y f32 1x5\n");
    static const char *const wrong[] = { "",    "1x",  "x5",   "1x-5",
                                         "1x0", "1,5", "1x5x", "1x1x1x1x1x1x1x1x1" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(run("show", file, "--shape", wrong[i], NULL), 1);
        assert_says("is not a shape");
    }
    assert_int_equal(run("show", file, "--shape", "1x5", "--shape", "1x5", NULL), 1);
    assert_says("--shape: the model has 1 input, and this is one more");
    assert_int_equal(run("show", file, "--shape", "1x5x1", NULL), 1);
    assert_says("2 dimensions, not 3");
    unlink(file);
}

/* RGB, makes pictures of any size times as wide and high; three parameters. */
static void write_network(const char *path, int64_t times)
{
    struct compose c;
    struct error err = { 0 };
    compose_start(&c, "enlarge", &err);
    int x = compose_input(&c, "picture", TENSOR_F32, COMPOSE_SHAPE(1, 3, 192, 256));
    int gains = compose_constant(&c, "gains", COMPOSE_SHAPE(1, 3, 1, 1), 1);
    x = compose_op(&c, "Mul", x, gains);
    compose_output(&c, compose_resize(&c, x, times * 192, times * 256, "linear"), "larger");
    if (c.rc || onnx_write_file(c.graph, path, &err) < 0)
        fail_msg("%s", err.text);
    graph_free(&c.graph);
}

static void copy_file(const char *from, const char *to)
{
    static char block[1u << 20];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    if (!in || !out)
        fail_msg("cannot copy %s to %s", from, to);
    for (size_t count; (count = fread(block, 1, sizeof block, in)) > 0;)
        assert_int_equal(fwrite(block, 1, count, out), count);
    assert_int_equal(fclose(out), 0);
    fclose(in);
}

/* The shipped card with networks of its own. */
static void write_card(const char *path, const char *networks)
{
    char text[8192];
    assert_non_null(card_text_read(SHIPPED "/card.yaml", text, sizeof text));
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fprintf(out, "%s\nrestore: %s\n", text, networks) > 0);
    assert_int_equal(fclose(out), 0);
}

/* The shipped model with networks in its card: one that can restore, and one that cannot. */
static void test_networks(void **state)
{
    (void)state;
    static const char *const names[] = { "card.yaml", "street_det.onnx", "sample.jpg", "x2.onnx",
                                         "x9.onnx" };
    enum { CARD, NETWORK, SAMPLE, X2, X9, COUNT };
    char inner[64], paths[COUNT][128];
    snprintf(inner, sizeof inner, "%s/model", folder);
    assert_int_equal(mkdir(inner, 0700), 0);
    for (int i = 0; i < COUNT; i++)
        snprintf(paths[i], sizeof paths[i], "%s/%s", inner, names[i]);
    write_card(paths[CARD], "[x2.onnx]");
    copy_file(SHIPPED "/street_det.onnx", paths[NETWORK]);
    copy_file(SHIPPED "/sample.jpg", paths[SAMPLE]);
    write_network(paths[X2], 2);
    write_network(paths[X9], 9);

    assert_int_equal(run("check", inner, NULL), 0);
    assert_says("ok    restore x2.onnx: x2, 3 parameters, 256x192 to 512x384 in 0.00 GFLOP");
    assert_says("street_det can serve");
    assert_int_equal(run("show", inner, "--runs", "1", NULL), 0);
    assert_says("\nrestore x2.onnx: x2, 3 parameters, 256x192 to 512x384 in 0.00 GFLOP\n");
    assert_says("of peak");

    write_card(paths[CARD], "[x9.onnx, x2.onnx]");
    assert_int_equal(run("check", inner, NULL), 1);
    assert_says("FAIL  restore x9.onnx: ");
    assert_says("/x9.onnx: of a picture of 256x192 it makes none that is 1 to 8 times");
    assert_says("ok    restore x2.onnx: ");
    assert_says("cloud-server model check: /tmp/");
    assert_null(strstr(command_output, "can serve"));
    for (int i = 0; i < COUNT; i++)
        unlink(paths[i]);
    rmdir(inner);
}

/* NumPy's files in and out of the model whose second size is open. */
static void test_run_file(void **state)
{
    (void)state;
    enum { MODEL, INPUT, WRONG, BAD, OUTPUT, COUNT };
    static const char *const names[] = { "free.onnx", "in.npy", "wrong.npy", "bad.npy", "out/y.npy" };
    char paths[COUNT][256], out[256], named[300];
    float numbers[] = { -1, 2, -3 }, wanted[] = { 0, 2, 0 };
    double doubles[] = { 1, 2, 3 };
    struct error err;
    struct tensor tensor = { .type = TENSOR_F32,
                             .shape = { .rank = 2, .dim = { 1, 3 } },
                             .data = numbers };
    for (int i = 0; i < COUNT; i++)
        snprintf(paths[i], sizeof paths[i], "%s/%s", folder, names[i]);
    snprintf(out, sizeof out, "%s/out", folder);
    snprintf(named, sizeof named, "x=%s", paths[INPUT]);
    write_free_model(paths[MODEL]);
    assert_int_equal(npy_write_file(&tensor, paths[INPUT], &err), 0);
    const char *const given[] = { paths[INPUT], named };
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run("run", paths[MODEL], given[i], "--output", out, NULL), 0);
        assert_says("out/y.npy y f32 1x3\n");
        struct tensor result = { 0 };
        assert_int_equal(npy_read_file(&result, paths[OUTPUT], &err), 0);
        assert_int_equal(tensor_bytes(&result), sizeof wanted);
        assert_memory_equal(result.data, wanted, sizeof wanted);
        tensor_free(&result);
        unlink(paths[OUTPUT]);
    }
    assert_int_equal(run("run", paths[MODEL], NULL), 1);
    assert_says("input x (f32, 1 x x_1) is missing: give x=FILE.npy");
    assert_int_equal(run("run", paths[MODEL], given[0], given[1], NULL), 1);
    assert_says("input x is given twice");
    assert_int_equal(run("run", paths[MODEL], given[0], given[0], NULL), 1);
    assert_says("the model has 1 input, and this is one more");
    assert_int_equal(run("run", paths[MODEL], given[0], "--size", "x_1=4", NULL), 1);
    assert_says("in.npy: is 1x3, and input x is 1x4; --shape gives the input another shape");
    tensor = (struct tensor){ .type = TENSOR_F64, .shape = tensor.shape, .data = doubles };
    assert_int_equal(npy_write_file(&tensor, paths[WRONG], &err), 0);
    assert_int_equal(run("run", paths[MODEL], paths[WRONG], NULL), 1);
    assert_says("wrong.npy: is f64, and input x is f32: save array.astype('float32')");
    assert_int_equal(run("run", paths[MODEL], "/nowhere.npy", NULL), 1);
    assert_says("/nowhere.npy: cannot open it");
    copy_file(SHIPPED "/card.yaml", paths[BAD]);
    assert_int_equal(run("run", paths[MODEL], paths[BAD], NULL), 1);
    assert_says("bad.npy: file: is no .npy file");
    assert_int_equal(run("run", paths[BAD], paths[INPUT], NULL), 1);
    assert_says("bad.npy: ");
    for (int i = 0; i < COUNT; i++)
        unlink(paths[i]);
    rmdir(out);
}

static void test_bench_file(void **state)
{
    (void)state;
    static const char network[] = SHIPPED "/street_det.onnx";
    char file[256];
    assert_int_equal(run("bench", network, "--runs", "2", "--threads", "1", NULL), 0);
    assert_says("model    " SHIPPED "/street_det.onnx, f32, 1 picture a run, 3.47 GFLOP\n");
    assert_says(" 1 threads\ntime     median ");
    assert_says(" of 2 runs\nspeed    ");
    assert_says(" pictures/s, ");
    assert_says(" that it reaches\nmemory   weights ");
    assert_int_equal(run("bench", network, "--runs", "2", "--batch", "2", "--json", NULL), 0);
    assert_says("\"precision\":\"f32\",\"device\":\"cpu\"");
    assert_says("\"batch\":2,\"runs\":2,\"median_ms\":");
    assert_says("\"gflop\":6.9");
    assert_says("\"share_of_peak\":");
    assert_says("\"process_bytes_max\":");
    assert_int_equal(run("bench", network, "--precision", "int8", NULL), 1);
    assert_says("--precision int8 is for models that are quantised, and this one is not");
    assert_int_equal(run("bench", network, "--batch", "0", NULL), 1);
    assert_says("--batch: \"0\" is not a number from 1 to 1024");
    assert_int_equal(run("bench", network, "/nowhere.npy", "--batch", "2", NULL), 1);
    assert_says("--batch: is for inputs that are made up");

    snprintf(file, sizeof file, "%s/free.onnx", folder);
    write_free_model(file);
    assert_int_equal(run("bench", file, NULL), 1);
    assert_says("free.onnx: input x is 1 x x_1: give the sizes");
    assert_int_equal(run("bench", file, "--size", "x_1=9", "--batch", "3", "--runs", "1", NULL), 0);
    assert_says(", f32, 3 pictures a run, ");
    unlink(file);

    static const char *const flags[][2] = {
        { "--batch", "2" }, { "--size", "a=1" }, { "--precision", "int8" }, { "--output", "x" }
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        assert_int_equal(run("bench", SHIPPED, flags[i][0], flags[i][1], NULL), 1);
        assert_says(flags[i][0]);
        assert_says("file");
    }
    assert_int_equal(run("bench", SHIPPED, "--json", NULL), 1);
    assert_says("--json: is for ONNX files, and " SHIPPED " is a folder");
}

static void test_run(void **state)
{
    (void)state;
    assert_int_equal(run("run", SHIPPED, NULL), 0);
    assert_says("{\"model\":\"street_det\"");
    assert_says("\"width\":768,\"height\":432");
    assert_says("{\"class\":\"car\",\"confidence\":0.");
    assert_int_equal(run("run", SHIPPED, "/nowhere.jpg", NULL), 1);
    assert_says("/nowhere.jpg");
}

static void test_bench(void **state)
{
    (void)state;
    assert_int_equal(
        run("bench", SHIPPED, "--runs", "3", "--threads", "1", "--precision", "f32", NULL), 0);
    assert_says("bench: model=street_det precision=f32 threads=1 runs=3 median_ms=");
    assert_int_equal(run("bench", SHIPPED, "--runs", "0", NULL), 1);
    assert_says("--runs");
    assert_int_equal(run("bench", SHIPPED, "--runs", "x", NULL), 1);
    assert_int_equal(run("bench", SHIPPED, "--threads", "2x", NULL), 1);
    assert_says("\"2x\"");
    assert_int_equal(run("bench", SHIPPED, "--device", "gpu", NULL), 1);
    assert_says("'gpu' is not a kind of device here; there are: cpu, cuda");
    assert_int_equal(run("bench", SHIPPED, "--device", "cuda:1", "--threads", "2", NULL), 1);
    assert_says("--threads: is for the cpu, not for --device cuda:1");
    assert_int_equal(run("bench", SHIPPED, "--runs", "1", "--device", "cpu:threads=1",
                         "--precision", "f32", NULL),
                     0);
    assert_says("threads=1 runs=1 ");
    assert_int_equal(run("bench", SHIPPED, "--precision", "f8", NULL), 1);
    assert_says("\"f8\" is none of f32, bf16, bf16x3, tf32, f16, int8");
    assert_int_equal(run("bench", SHIPPED, "--precision", "f16", NULL), 1);
    assert_says("f16"); /* which the processor does not have, and nothing takes its place here */
}

static void test_bench_restored(void **state)
{
    (void)state;
    char file[128];
    snprintf(file, sizeof file, "%s/x2.onnx", folder);
    write_network(file, 2);
    assert_int_equal(
        run("bench", SHIPPED, "--runs", "1", "--restore", file, "--camera", "512x384", NULL), 0);
    assert_says("/x2.onnx: x2, 256x192 to 512x384; the plan of both has 3.");
    assert_says("bench: model=street_det ");
    /* This network reads pictures of 256x192 alone. */
    assert_int_equal(run("bench", SHIPPED, "--restore", file, "--camera", "480x360", NULL), 1);
    assert_says("1x3x192x256 and reads nothing else, but pictures of 240x180 are received");
    assert_int_equal(run("bench", SHIPPED, "--restore", file, "--camera", "513x384", NULL), 1);
    assert_says("makes 512x384 of a received 256x192, but the camera's pictures are 513x384");
    static const char *const wrong[] = { "512",   "512x",      "512x384x3",
                                         "0x384", "16386x384", "512x16386" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(run("bench", SHIPPED, "--restore", file, "--camera", wrong[i], NULL), 1);
        assert_says("--camera: ");
        assert_says("is not a size of up to 16384 pixels a side");
    }
    assert_int_equal(
        run("bench", SHIPPED, "--restore", "/nowhere.onnx", "--camera", "512x384", NULL), 1);
    assert_says("/nowhere.onnx");
    assert_int_equal(run("bench", SHIPPED, "--restore", file, NULL), 2);
    assert_int_equal(run("bench", SHIPPED, "--camera", "512x384", NULL), 2);
    assert_int_equal(run("run", SHIPPED, "--restore", file, "--camera", "512x384", NULL), 2);
    assert_says("--restore and --camera go together, with bench");
    unlink(file);
}

static void test_wrong_arguments(void **state)
{
    (void)state;
    assert_int_equal(run(NULL), 2);
    assert_int_equal(run("check", NULL), 2);
    assert_says("check|show|run|bench PATH");
    assert_int_equal(run("chek", SHIPPED, NULL), 2);
    assert_int_equal(run("check", SHIPPED, "picture.jpg", NULL), 2);
    assert_int_equal(run("run", SHIPPED, "a.jpg", "b.jpg", NULL), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_show),
        cmocka_unit_test(test_show_file),
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_run_file),
        cmocka_unit_test(test_bench_file),
        cmocka_unit_test(test_bench),
        cmocka_unit_test(test_bench_restored),
        cmocka_unit_test(test_wrong_arguments),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
