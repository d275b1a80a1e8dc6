/* Kills both daemons at seeded points while a lossless stream runs, and looks whether each frame has just
 * one line in the file of answers. RUNS counts those in which somebody was killed. */
#include "fault_run.h"

#include "base/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#define RUNS_MAX 2000u
#define BENCH_MS (20u * 60000u)

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void bench(void **state)
{
    static uint64_t recovery_ms[RUNS_MAX];
    const struct scratch *scratch = *state;
    const char *asked = getenv("RUNS");
    unsigned wanted = asked ? (unsigned)strtoul(asked, NULL, 10) : 200, runs = 0;
    size_t missing = 0, twice = 0;
    uint64_t begin_ns = clock_now_ns();
    assert_true(wanted > 0 && wanted <= RUNS_MAX);
    fault_clip(scratch);
    for (uint64_t seed = 1; runs < wanted; seed++) {
        struct fault_result result;
        if (clock_now_ns() - begin_ns > BENCH_MS * CLOCK_NS_PER_MS)
            fail_msg("only %u of %u runs in %u minutes", runs, wanted, BENCH_MS / 60000u);
        fault_run(scratch, seed, &result);
        if (result.kills == 0) /* it ended before the point came */
            continue;
        recovery_ms[runs++] = result.recovery_ms;
        missing += result.missing;
        twice += result.twice;
        printf("%4u  seed %-4llu %-28s missing %zu twice %zu, answers again after %llu ms\n", runs,
               (unsigned long long)seed, result.point, result.missing, result.twice,
               (unsigned long long)result.recovery_ms);
        fflush(stdout);
    }
    qsort(recovery_ms, runs, sizeof *recovery_ms, compare);
    printf("faults: runs=%u missing=%zu twice=%zu recovery_p99_ms=%llu\n", runs, missing, twice,
           (unsigned long long)recovery_ms[(runs * 99 + 99) / 100 - 1]);
    assert_int_equal(missing + twice, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bench, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
