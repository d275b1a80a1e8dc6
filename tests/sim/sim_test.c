/* sim_test: a share of what `make sim` does, for every run of the tests: seeded histories; of a short one, every
 * write failing and every fifth allocation; of one with a spool, where SQLite has most of both, a smaller
 * share, and the disk being full from there on; and an hour in which a camera is away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

#include "sim.h"

#define HISTORIES 200u
#define ALLOCATIONS_STEP 5u
#define SPOOL_ALLOCATIONS_STEP 97u
#define SPOOL_WRITES_STEP 7u

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

/* Each step-th of a short history's. */
static void check_each(enum sim_kind kind, uint64_t step)
{
    check((struct sim_job){
        .kind = kind, .first = 1, .step = step, .count = (sim_count(kind) + step - 1) / step });
}

static void test_any_write_may_fail(void **state)
{
    (void)state;
    check_each(SIM_WRITES, 1);
}

static void test_any_allocation_may_fail(void **state)
{
    (void)state;
    check_each(SIM_ALLOCATIONS, ALLOCATIONS_STEP);
}

static void test_any_write_of_a_spool_may_fail(void **state)
{
    (void)state;
    check_each(SIM_SPOOL_WRITES, SPOOL_WRITES_STEP);
}

static void test_the_disk_of_a_spool_may_be_full(void **state)
{
    (void)state;
    check_each(SIM_SPOOL_DISKS, SPOOL_WRITES_STEP);
}

static void test_any_allocation_of_a_spool_may_fail(void **state)
{
    (void)state;
    check_each(SIM_SPOOL_ALLOCATIONS, SPOOL_ALLOCATIONS_STEP);
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
        cmocka_unit_test(test_any_write_of_a_spool_may_fail),
        cmocka_unit_test(test_the_disk_of_a_spool_may_be_full),
        cmocka_unit_test(test_any_allocation_of_a_spool_may_fail),
        cmocka_unit_test(test_a_dead_camera_leaves_the_others_untouched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
