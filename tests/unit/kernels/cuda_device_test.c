/* The back end for GPUs as a shared object, where it has been built: it loads into a program that holds
 * the engine, and the device then opens, or says what this machine lacks. */
#include "device.h"
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>

/* The program has the emulated back end in it, too, whose class has the same name. */
const char *__asan_default_options(void)
{
    return "detect_odr_violation=0";
}
#endif

#define NAME "kernels-cuda.so"

static char path[512];

/* The words that somebody can act on, one of which each message has. */
static bool says_what_to_do(const char *text)
{
    static const char *const words[] = { "make cuda", "driver", "GPU", "cuDNN", "cuBLASLt" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(text, words[i]))
            return strstr(text, "undefined symbol") == NULL;
    return false;
}

static void need_library(void)
{
    if (access(path, R_OK) == 0)
        return;
    print_message("SKIP REASON: no %s (make cuda builds it)\n", NAME);
    skip();
}

/* Once loaded it is found by its name. A machine may have no cuDNN where it runs; all else is ours. */
static void test_loads(void **state)
{
    (void)state;
    need_library();
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const char *why = object ? "" : dlerror();
    if (strstr(why, "libcudnn") || strstr(why, "libcublas")) {
        print_message("SKIP REASON: %s\n", why);
        skip();
    }
    if (!object)
        print_error("%s\n", why);
    assert_non_null(object);
    assert_ptr_equal(dlopen(NAME, RTLD_NOW | RTLD_NOLOAD), object);
    const struct device_class *class = dlsym(object, "cuda_class");
    assert_non_null(class);
    assert_string_equal(class->kind, "cuda");
    assert_null(dlsym(object, "cuda_compile"));
}

static void test_opens_or_says_why(void **state)
{
    (void)state;
    struct device *device = NULL;
    struct device_info info;
    struct error err = { 0 };
    int rc = device_open(&device, "cuda", &err);
    if (rc) {
        print_message("%s\n", err.text);
        assert_null(device);
        assert_true(says_what_to_do(err.text));
        return;
    }
    device_get_info(device, &info);
    print_message("%s, %u multiprocessors\n", info.name, info.threads);
    assert_string_equal(info.kind, "cuda");
    assert_true(strlen(info.name) > 0);
    assert_true(info.threads > 0);
    assert_true(device_has(device, PRECISION_F16));
    device_close(&device);
    assert_null(device);
}

static void test_arguments(void **state)
{
    (void)state;
    static const char *const wrong[] = { "cuda:x", "cuda:-1", "cuda:64", "cuda:1x", "cuda: 1:2" };
    need_library();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct device *device = NULL;
        struct error err = { 0 };
        int rc = device_open(&device, wrong[i], &err);
        if (rc == -ERROR_UNSUPPORTED && strstr(err.text, "cannot load")) {
            print_message("SKIP REASON: %s\n", err.text);
            skip();
        }
        assert_int_equal(rc, -ERROR_CONFIG);
        assert_non_null(strstr(err.text, "0 to 63"));
        assert_null(device);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loads),
        cmocka_unit_test(test_opens_or_says_why),
        cmocka_unit_test(test_arguments),
    };
    const char *build = getenv("B");
    snprintf(path, sizeof path, "%s/lib/%s", build ? build : "build", NAME);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
