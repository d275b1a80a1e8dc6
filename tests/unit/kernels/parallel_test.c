/* Threads that share a step's work: each on a processor of its own, where there are as many. */
#include "cpu/parallel.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static int processors;

static void look(const void *arg, int part, int parts)
{
    cpu_set_t *const *seen = arg;
    (void)parts;
    sched_getaffinity(0, sizeof(cpu_set_t), &(*seen)[part]);
}

/* Where the threads may run, the caller first. */
static cpu_set_t *see(int threads)
{
    cpu_set_t *seen = calloc((size_t)threads, sizeof *seen);
    assert_non_null(seen);
    parallel_pin(threads);
    parallel_run(threads, look, &seen);
    return seen;
}

static void others_have_one_each(void **state)
{
    (void)state;
    if (processors < 2) {
        print_message("SKIP REASON: one processor, on which there is nothing to choose\n");
        skip();
    }
    cpu_set_t *seen = see(processors), all;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    assert_int_equal(CPU_COUNT(&all), processors); /* the caller stays free */
    assert_true(CPU_EQUAL(&seen[0], &all));
    for (int i = 1; i < processors; i++) {
        assert_int_equal(CPU_COUNT(&seen[i]), 1);
        for (int k = 1; k < i; k++)
            assert_false(CPU_EQUAL(&seen[i], &seen[k]));
    }
    free(seen);
}

/* Fewer are the scheduler's, as others may have the rest; so are more. Before there was any pinning. */
static void other_numbers_stay_free(void **state)
{
    (void)state;
    const int numbers[] = { 1, processors + 1 };
    for (int n = 0; n < 2; n++) {
        cpu_set_t *seen = see(numbers[n]);
        for (int i = 0; i < numbers[n]; i++)
            assert_int_equal(CPU_COUNT(&seen[i]), processors);
        free(seen);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_numbers_stay_free),
        cmocka_unit_test(others_have_one_each),
    };
    cpu_set_t all;
    processors = sched_getaffinity(0, sizeof all, &all) == 0 ? CPU_COUNT(&all) : 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
