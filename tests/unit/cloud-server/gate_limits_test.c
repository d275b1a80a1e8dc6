/* What bounds a key: its streams and its bitrate; and what bounds the log. */
#include "base/clock.h"
#include "ingest/account.h"
#include "ingest/log_limit.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const struct limits_config limits = {
    .streams = 3, .streams_per_key = 2, .bitrate_kbps = 80, .message_bytes = 5000
}; /* 10000 bytes a second, a bucket of 15000 */

static void streams_are_counted_per_key(void **state)
{
    struct accounts *accounts;
    struct account *a, *b, *other;
    struct error err;

    (void)state;
    assert_int_equal(accounts_create(&accounts, &limits, &err), 0);
    assert_int_equal(account_join(accounts, "key-a", &a, &err), 0);
    assert_int_equal(account_join(accounts, "key-a", &b, &err), 0);
    assert_ptr_equal(a, b);
    assert_int_equal(account_join(accounts, "key-a", &b, &err), -ERROR_LIMIT);
    assert_int_equal(account_join(accounts, "key-b", &other, &err), 0);
    assert_string_equal(account_key(other), "key-b");
    account_leave(a);
    assert_int_equal(account_join(accounts, "key-a", &b, &err), 0);
    /* An entry in front that falls free is not taken twice by one key. */
    account_leave(a);
    account_leave(a);
    assert_int_equal(account_join(accounts, "key-b", &b, &err), 0);
    assert_ptr_equal(b, other);
    account_leave(b);
    account_leave(b);
    accounts_destroy(&accounts);
    assert_null(accounts);
}

static void limits_change_under_streams(void **state)
{
    const struct limits_config lower = {
        .streams = 9, .streams_per_key = 1, .bitrate_kbps = 8, .message_bytes = 5000
    }; /* a bucket of 6000 */
    struct accounts *accounts;
    struct account *a, *b, *others[3];
    struct error err;

    (void)state;
    assert_int_equal(accounts_create(&accounts, &limits, &err), 0);
    assert_int_equal(account_join(accounts, "key", &a, &err), 0);
    assert_int_equal(account_join(accounts, "key", &b, &err), 0);
    accounts_set_limits(accounts, &lower);
    assert_int_equal(account_join(accounts, "key", &b, &err), -ERROR_LIMIT); /* two stay, none comes */
    account_leave(a);
    assert_int_equal(account_join(accounts, "key", &b, &err), -ERROR_LIMIT);
    account_leave(a);
    assert_int_equal(account_join(accounts, "key", &a, &err), 0);
    assert_false(account_pay(a, 6001, clock_now_ns()));
    assert_true(account_pay(a, 5000, clock_now_ns()));
    /* There is room for three still, whatever the new limits say. */
    assert_int_equal(account_join(accounts, "key-1", &others[0], &err), 0);
    assert_int_equal(account_join(accounts, "key-2", &others[1], &err), 0);
    account_leave(others[0]);
    account_leave(others[1]);
    account_leave(a);
    accounts_destroy(&accounts);
}

static void the_bucket_empties_and_fills(void **state)
{
    struct accounts *accounts;
    struct account *account;
    struct error err;

    (void)state;
    assert_int_equal(accounts_create(&accounts, &limits, &err), 0);
    assert_int_equal(account_join(accounts, "key", &account, &err), 0);
    const uint64_t now_ns = clock_now_ns() + CLOCK_NS_PER_S;
    assert_true(account_pay(account, 15000, now_ns)); /* all of it, and it was never fuller */
    assert_false(account_pay(account, 1, now_ns));
    assert_false(account_pay(account, 5001, now_ns + CLOCK_NS_PER_S / 2));
    assert_true(account_pay(account, 4999, now_ns + CLOCK_NS_PER_S / 2));
    assert_false(account_pay(account, 4999, now_ns)); /* a clock that stands still gives nothing */
    assert_true(account_pay(account, 15000, now_ns + 100 * CLOCK_NS_PER_S));
    assert_false(account_pay(account, 1, now_ns + 100 * CLOCK_NS_PER_S));
    account_leave(account);
    accounts_destroy(&accounts);
}

static void each_mistake_is_logged_once_in_a_while(void **state)
{
    static struct log_limit limit;
    char name[16];

    (void)state;
    assert_true(log_limit_pass(&limit, "peer", "garbage", 60000));
    assert_false(log_limit_pass(&limit, "peer", "garbage", 60000));
    assert_true(log_limit_pass(&limit, "peer", "size", 60000));
    assert_true(log_limit_pass(&limit, "peergar", "bage", 60000));
    assert_true(log_limit_pass(&limit, "short", "x", 1));
    clock_sleep_until_ns(clock_now_ns() + 3 * CLOCK_NS_PER_MS);
    assert_true(log_limit_pass(&limit, "short", "x", 1));
    for (unsigned i = 0; i < 10 * LOG_LIMIT_ENTRIES; i++) { /* invented names do not hurt */
        snprintf(name, sizeof name, "n%u", i);
        assert_true(log_limit_pass(&limit, name, "x", 60000));
        assert_false(log_limit_pass(&limit, name, "x", 60000));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_are_counted_per_key),
        cmocka_unit_test(limits_change_under_streams),
        cmocka_unit_test(the_bucket_empties_and_fills),
        cmocka_unit_test(each_mistake_is_logged_once_in_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
