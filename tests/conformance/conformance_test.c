/* conformance_test: ONNX's own cases as Debian has them, by the program beside this one: none wrong, none
 * crashed, and no fewer passed than when this was written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DATA "/usr/share/libonnx-testdata/data/"
#define FOLDERS_MAX 3

static const char *own_path;

/* folders: of one case each, or of many. */
static void check(char *const folders[], unsigned passed_min)
{
    char program[4096], said[256] = "";
    unsigned passed, refused, wrong, crashed;
    int status, out[2];
    if (access(folders[0], R_OK) != 0) {
        print_message("SKIP REASON: conformance: no %s (Debian's libonnx-testdata)\n", folders[0]);
        skip();
    }
    const char *slash = strrchr(own_path, '/');
    snprintf(program, sizeof program, "%.*s/conformance", slash ? (int)(slash - own_path) : 1,
             slash ? own_path : ".");
    assert_int_equal(pipe(out), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        char *arguments[FOLDERS_MAX + 2] = { program };
        for (int i = 0; i < FOLDERS_MAX && folders[i]; i++)
            arguments[i + 1] = folders[i];
        if (dup2(out[1], STDOUT_FILENO) >= 0)
            execv(program, arguments);
        _exit(127);
    }
    close(out[1]);
    FILE *file = fdopen(out[0], "r");
    assert_non_null(file);
    const char *line = fgets(said, sizeof said, file);
    fclose(file);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_non_null(line);
    assert_int_equal(sscanf(said, "passed=%u refused=%u wrong=%u crashed=%u", &passed, &refused,
                            &wrong, &crashed),
                     4);
    assert_int_equal(wrong + crashed, 0);
    assert_int_equal(status, 0);
    assert_true(passed >= passed_min);
}

static void test_nodes(void **state)
{
    (void)state;
    check((char *[]){ DATA "node", NULL }, 867);
}

static void test_models(void **state)
{
    (void)state;
    check((char *[]){ DATA "pytorch-converted", DATA "pytorch-operator", DATA "simple", NULL }, 126);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_models),
    };
    own_path = argc > 0 ? argv[0] : ".";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
