/* `cloud-server model` through the command line's own parser: exit status and what is printed. */
#include "analyse/model.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define SHIPPED "models/street_det"
#define OUTPUT_BYTES 65536u
#define ARGUMENTS_MAX 8

static const struct cli_command commands[] = {
    { "model", MODEL_COMMAND_ARGUMENTS, "", model_command_more, model_command_flags, model_command },
    { 0 },
};

static char folder[] = "/tmp/model_command_test_XXXXXX";
static char output[OUTPUT_BYTES]; /* standard output and error of the last run */

/* Arguments up to NULL; gives the exit status. */
static int run(const char *first, ...)
{
    char *argv[ARGUMENTS_MAX + 2] = { "cloud-server", "model" };
    int argc = 2;
    va_list arguments;
    va_start(arguments, first);
    for (const char *a = first; a && argc < ARGUMENTS_MAX + 2; a = va_arg(arguments, const char *))
        argv[argc++] = (char *)a;
    va_end(arguments);

    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stdout);
    fflush(stderr);
    int saved_out = dup(STDOUT_FILENO), saved_err = dup(STDERR_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    dup2(fileno(file), STDERR_FILENO);
    int status = cli_main("cloud-server", "", commands, argc, argv);
    fflush(stdout);
    fflush(stderr);
    dup2(saved_out, STDOUT_FILENO);
    dup2(saved_err, STDERR_FILENO);
    close(saved_out);
    close(saved_err);
    rewind(file);
    output[fread(output, 1, sizeof output - 1, file)] = '\0';
    fclose(file);
    return status;
}

static void assert_says(const char *text)
{
    if (!strstr(output, text))
        fail_msg("\"%s\" is not in:\n%s", text, output);
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

static void test_check(void **state)
{
    (void)state;
    assert_int_equal(run("check", SHIPPED, NULL), 0);
    assert_says("input 512x384, head yolox");
    assert_says("images f32 1x3x384x512");
    assert_says("output f32 1x4032x11");
    assert_says("ok    sample  sample.jpg");
    assert_says("street_det can serve");
    assert_null(strstr(output, "FAIL"));

    assert_int_equal(run("check", folder, NULL), 1);
    assert_says("FAIL  card");
    assert_says("unknown");
    assert_says("input.width");
    assert_says("head.kind");
    assert_says("mistakes in the card");

    assert_int_equal(run("check", "/nowhere", NULL), 1);
    assert_says("/nowhere: no card.yaml there");
}

static void test_show(void **state)
{
    (void)state;
    assert_int_equal(run("show", SHIPPED, "--threads", "1", NULL), 0);
    assert_says("kind: yolox");
    assert_says("# default");
    assert_says("conv");
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
    assert_int_equal(run("bench", SHIPPED, "--precision", "f16", NULL), 1);
    assert_says("neither f32 nor bf16");
}

static void test_wrong_arguments(void **state)
{
    (void)state;
    assert_int_equal(run(NULL), 2);
    assert_int_equal(run("check", NULL), 2);
    assert_says("check|show|run|bench FOLDER");
    assert_int_equal(run("chek", SHIPPED, NULL), 2);
    assert_int_equal(run("check", SHIPPED, "picture.jpg", NULL), 2);
    assert_int_equal(run("run", SHIPPED, "a.jpg", "b.jpg", NULL), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_show),
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_bench),
        cmocka_unit_test(test_wrong_arguments),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
