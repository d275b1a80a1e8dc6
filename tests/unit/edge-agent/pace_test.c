/* pace: due times, lateness, and a rate cap that keeps its average over awkward rates and gaps. */
#include "pace.h"

#include "base/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static unsigned admitted(double source_fps, double cap_fps, unsigned frames)
{
    struct pace pace;
    unsigned count = 0;
    pace_init(&pace, source_fps, cap_fps, 0);
    for (unsigned i = 0; i < frames; i++)
        count += pace_admit(&pace, (uint64_t)((double)i * 1e9 / source_fps));
    return count;
}

static void cap_keeps_its_average(void **state)
{
    (void)state;
    const struct {
        double source, cap;
        unsigned frames, least, most;
    } cases[] = {
        { 25, 10, 2500, 1000, 1001 },   { 30, 12.5, 3000, 1250, 1251 },
        { 29.97, 10, 2997, 999, 1002 }, { 10, 10, 100, 100, 100 },
        { 10, 25, 100, 100, 100 },      { 25, 0, 77, 77, 77 },
        { 60, 1, 600, 10, 10 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned count = admitted(cases[i].source, cases[i].cap, cases[i].frames);
        if (count < cases[i].least || count > cases[i].most)
            fail_msg("%g fps capped at %g: %u of %u", cases[i].source, cases[i].cap, count,
                     cases[i].frames);
    }
}

static void gap_makes_no_burst(void **state)
{
    (void)state;
    struct pace pace;
    unsigned count = 0;
    pace_init(&pace, 20, 5, 0);
    assert_true(pace_admit(&pace, 0));
    for (unsigned i = 0; i < 20; i++) /* after ten silent seconds, one second of frames */
        count += pace_admit(&pace, 10 * CLOCK_NS_PER_S + i * CLOCK_NS_PER_S / 20);
    assert_in_range(count, 5, 6);
}

static void due_and_late(void **state)
{
    (void)state;
    struct pace pace;
    pace_init(&pace, 10, 0, 1000);
    uint64_t due = pace_due_ns(&pace, 3 * CLOCK_NS_PER_S);
    assert_int_equal(due, 1000 + 3 * CLOCK_NS_PER_S);
    assert_false(pace_is_late(&pace, due, due));
    assert_false(pace_is_late(&pace, due, due + 200 * CLOCK_NS_PER_MS));
    assert_true(pace_is_late(&pace, due, due + 201 * CLOCK_NS_PER_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cap_keeps_its_average),
        cmocka_unit_test(gap_makes_no_burst),
        cmocka_unit_test(due_and_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
