/* oneDNN has other code for each generation of processors. cpu_ops_test, cpu_random_test,
 * conv_gradient_test and quantised_test, programs beside this one, are run again as if this processor were an older one. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char *own_path;

static void run_as(const char *isa, const char *program)
{
    char path[4096];
    const char *slash = strrchr(own_path, '/');
    snprintf(path, sizeof path, "%.*s/%s", slash ? (int)(slash - own_path) : 1,
             slash ? own_path : ".", program);
    if (access(path, X_OK)) {
        fprintf(stderr, "SKIP REASON: cpu_isa %s: no program %s\n", isa, path);
        skip();
    }
    char *arguments[] = { path, NULL };
    posix_spawn_file_actions_t actions; /* its own summary is not for whoever reads ours */
    pid_t child;
    int status;
    assert_int_equal(setenv("ONEDNN_MAX_CPU_ISA", isa, 1), 0);
    assert_int_equal(setenv("OMP_WAIT_POLICY", "passive", 1), 0);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, 1, 2), 0);
    assert_int_equal(posix_spawn(&child, path, &actions, NULL, arguments, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("see ONEDNN_MAX_CPU_ISA=%s %s", isa, path);
}

static void test_as(void **state)
{
    run_as(*state, "cpu_ops_test");
    run_as(*state, "cpu_random_test");
    run_as(*state, "conv_gradient_test");
    run_as(*state, "quantised_test");
}

int main(int argc, char **argv)
{
    (void)argc;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(test_as, "AVX2"),
        cmocka_unit_test_prestate(test_as, "SSE41"),
    };
    own_path = argv[0];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
