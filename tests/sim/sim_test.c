/* sim_test: a share of what `make sim` does, for every run of the tests: seeded histories, every write of a
 * short one failing, and every fifth of its allocations; and an hour in which a camera is away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "sim.h"

#define HISTORIES 300u
#define ALLOCATIONS_STEP 5u

static void check(struct sim_job job)
{
#ifdef __SANITIZE_THREAD__
    (void)job;
    print_message(
        "SKIP REASON: one thread has no races, and ThreadSanitizer cannot follow fibers\n");
    skip();
#else
    job.processes = 2;
    struct sim_sum sum = sim_run(&job);
    assert_int_equal(sum.histories, job.count);
    assert_int_equal(sum.failed, 0);
#endif
}

static void test_histories_hold(void **state)
{
    (void)state;
    check((struct sim_job){ .kind = SIM_HISTORIES, .first = 1, .step = 1, .count = HISTORIES });
}

static void test_any_write_may_fail(void **state)
{
    (void)state;
    check((struct sim_job){
        .kind = SIM_WRITES, .first = 1, .step = 1, .count = sim_count(SIM_WRITES) });
}

static void test_any_allocation_may_fail(void **state)
{
    (void)state;
    uint64_t count = sim_count(SIM_ALLOCATIONS);
    check((struct sim_job){ .kind = SIM_ALLOCATIONS,
                            .first = 1,
                            .step = ALLOCATIONS_STEP,
                            .count = count / ALLOCATIONS_STEP });
}

static void test_a_dead_camera_leaves_the_others_untouched(void **state)
{
    (void)state;
    check((struct sim_job){ .kind = SIM_HOURS, .first = 1, .step = 1, .count = 1 });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histories_hold),
        cmocka_unit_test(test_any_write_may_fail),
        cmocka_unit_test(test_any_allocation_may_fail),
        cmocka_unit_test(test_a_dead_camera_leaves_the_others_untouched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
