/* clock: known moments print right, the monotonic clock moves on, and sleeping does not end early,
 * not even when signals come in between. */
#include "base/clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/time.h>

#include <cmocka.h>

static void formats_known_moments(void **state)
{
    (void)state;
    char text[CLOCK_RFC3339_BYTES];
    clock_format_rfc3339(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    clock_format_rfc3339(951782400999999, text); /* leap day of 2000; never rounded up */
    assert_string_equal(text, "2000-02-29T00:00:00.999Z");
    clock_format_rfc3339(253402300799000000, text);
    assert_string_equal(text, "9999-12-31T23:59:59.000Z");
    clock_format_rfc3339(253402300800000000, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    clock_format_rfc3339(UINT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
}

static void wall_time_is_of_this_century(void **state)
{
    (void)state;
    char text[CLOCK_RFC3339_BYTES];
    clock_format_rfc3339(clock_wall_us(), text);
    assert_memory_equal(text, "20", 2);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int signal_number)
{
    (void)signal_number;
    alarms++;
}

static void sleeps_until_the_deadline_in_spite_of_signals(void **state)
{
    (void)state;
    struct sigaction action = { .sa_handler = on_alarm }, before;
    struct itimerval every_5_ms = { { 0, 5000 }, { 0, 5000 } }, off = { 0 };
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &every_5_ms, NULL), 0);
    uint64_t deadline_ns = clock_now_ns() + 40 * CLOCK_NS_PER_MS;
    clock_sleep_until_ns(deadline_ns);
    uint64_t woke_ns = clock_now_ns();
    setitimer(ITIMER_REAL, &off, NULL);
    sigaction(SIGALRM, &before, NULL);
    assert_true(woke_ns >= deadline_ns);
    assert_true(alarms > 0);
    clock_sleep_until_ns(1); /* long past: comes back at once */
}

static void thread_time_counts_work_and_not_sleep(void **state)
{
    (void)state;
    uint64_t before_ns = clock_thread_cpu_ns();
    clock_sleep_until_ns(clock_now_ns() + 60 * CLOCK_NS_PER_MS);
    uint64_t slept_ns = clock_thread_cpu_ns();
    assert_true(slept_ns - before_ns < 50 * CLOCK_NS_PER_MS);
    uint64_t now_ns = slept_ns;
    while (now_ns - slept_ns < 2 * CLOCK_NS_PER_MS) { /* ends only if work is counted */
        now_ns = clock_thread_cpu_ns();
        assert_true(now_ns >= slept_ns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_known_moments),
        cmocka_unit_test(wall_time_is_of_this_century),
        cmocka_unit_test(sleeps_until_the_deadline_in_spite_of_signals),
        cmocka_unit_test(thread_time_counts_work_and_not_sleep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
