/* credit: never more taken than granted, nothing leaks from one session into the next, waiters wake. */
#include "credit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void credits_are_counted(void **state)
{
    (void)state;
    struct credit credit;
    assert_int_equal(credit_init(&credit), 0);
    assert_int_equal(credit_take(&credit), 0); /* no session */
    assert_false(credit_has_session(&credit));
    uint32_t epoch = credit_start(&credit, 2);
    assert_int_equal(credit_take(&credit), epoch);
    assert_int_equal(credit_take(&credit), epoch);
    assert_int_equal(credit_take(&credit), 0);
    credit_give(&credit, epoch);
    assert_int_equal(credit_take(&credit), epoch);
    credit_finish(&credit);
}

static void old_epochs_are_void(void **state)
{
    (void)state;
    struct credit credit;
    assert_int_equal(credit_init(&credit), 0);
    uint32_t first = credit_start(&credit, 1);
    assert_int_equal(credit_take(&credit), first);
    credit_end(&credit);
    assert_int_equal(credit_take(&credit), 0);
    uint32_t second = credit_start(&credit, 1);
    assert_int_not_equal(first, second);
    credit_give(&credit, first); /* late, from the old session */
    assert_int_equal(credit_take(&credit), second);
    assert_int_equal(credit_take(&credit), 0);
    credit_finish(&credit);
}

static void grants_are_bounded(void **state)
{
    (void)state;
    struct credit credit;
    unsigned taken = 0;
    assert_int_equal(credit_init(&credit), 0);
    uint32_t epoch = credit_start(&credit, UINT32_MAX);
    while (credit_take(&credit) == epoch)
        taken++;
    assert_int_equal(taken, CREDITS_MAX);
    credit_finish(&credit);
}

static void more_than_granted_never_comes_back(void **state)
{
    (void)state;
    struct credit credit;
    assert_int_equal(credit_init(&credit), 0);
    uint32_t epoch = credit_start(&credit, 2);
    assert_int_equal(credit_take(&credit), epoch);
    for (unsigned i = 0; i < 5; i++)
        credit_give(&credit, epoch);
    assert_int_equal(credit_take(&credit), epoch);
    assert_int_equal(credit_take(&credit), epoch);
    assert_int_equal(credit_take(&credit), 0);
    credit_finish(&credit);
}

struct taker {
    struct credit *credit;
    unsigned taken;
};

static void take_until_closed(void *arg)
{
    struct taker *taker = arg;
    if (!credit_wait_session(taker->credit))
        return;
    while (credit_wait(taker->credit) != 0)
        taker->taken++;
}

static void waiters_get_all_and_end(void **state)
{
    (void)state;
    struct credit credit;
    struct taker taker = { &credit, 0 };
    uv_thread_t thread;
    assert_int_equal(credit_init(&credit), 0);
    assert_int_equal(uv_thread_create(&thread, take_until_closed, &taker), 0);
    uint32_t epoch = credit_start(&credit, 3);
    for (unsigned i = 0; i < 1000; i++) /* some find nothing to give back to */
        credit_give(&credit, epoch);
    for (;;) { /* until the thread has taken everything that was not over the limit */
        uv_mutex_lock(&credit.mutex);
        uint32_t left = credit.left;
        uv_mutex_unlock(&credit.mutex);
        if (left == 0)
            break;
        uv_sleep(1);
    }
    credit_close(&credit);
    uv_thread_join(&thread);
    assert_in_range(taker.taken, 3, 1003);
    assert_int_equal(credit_take(&credit), 0);
    credit_finish(&credit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(credits_are_counted),
        cmocka_unit_test(old_epochs_are_void),
        cmocka_unit_test(grants_are_bounded),
        cmocka_unit_test(more_than_granted_never_comes_back),
        cmocka_unit_test(waiters_get_all_and_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
