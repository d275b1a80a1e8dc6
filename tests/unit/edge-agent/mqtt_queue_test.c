/* mqtt_queue: messages come out as they went in, over the ring's end too; the oldest make room and are
 * counted; what somebody waits for is never dropped. */
#include "mqtt_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define CAPACITY 1000u

static struct mqtt_queue queue;
static struct text payload, taken;

static int setup(void **state)
{
    struct error err;
    (void)state;
    return mqtt_queue_init(&queue, CAPACITY, &err);
}

static int teardown(void **state)
{
    (void)state;
    mqtt_queue_finish(&queue);
    text_finish(&payload);
    text_finish(&taken);
    return 0;
}

static bool put(uint64_t ticket, unsigned number, size_t bytes, size_t *dropped)
{
    text_clear(&payload);
    text_printf(&payload, "%u ", number);
    while (payload.size < bytes)
        text_add(&payload, "x", 1);
    return mqtt_queue_put(&queue, ticket, "a/topic", &payload, dropped);
}

static void expect_next(uint64_t ticket, unsigned number)
{
    uint64_t got;
    char begin[20];
    snprintf(begin, sizeof begin, "%u ", number);
    assert_true(mqtt_queue_take(&queue, &got, &taken));
    assert_int_equal(got, ticket);
    assert_string_equal(taken.data, "a/topic");
    assert_memory_equal(taken.data + sizeof "a/topic", begin, strlen(begin));
}

static void messages_come_in_order(void **state)
{
    size_t dropped = 0;
    uint64_t ticket;
    (void)state;
    unsigned in = 0, out = 0;
    for (unsigned round = 0; round < 200; round++) { /* many times around the ring */
        for (unsigned i = 0; i < 3; i++, in++)
            assert_true(put(0, in, 20 + 7 * (in % 30), &dropped));
        for (unsigned i = 0; i < 3; i++, out++)
            expect_next(0, out);
    }
    assert_int_equal(dropped, 0);
    assert_false(mqtt_queue_take(&queue, &ticket, &taken));
    assert_int_equal(queue.size, 0);
}

static void the_oldest_make_room(void **state)
{
    size_t dropped = 0;
    (void)state;
    for (unsigned i = 0; i < 100; i++)
        assert_true(put(0, i, 100, &dropped));
    assert_int_equal(dropped + queue.count, 100);
    assert_true(queue.count >= 7 && queue.size <= CAPACITY);
    for (size_t i = dropped; i < 100; i++)
        expect_next(0, (unsigned)i);
}

static void tickets_stay(void **state)
{
    size_t dropped = 0;
    unsigned count = 0;
    (void)state;
    while (put(1000 + count, count, 100, &dropped))
        count++;
    assert_int_equal(dropped, 0);
    assert_false(put(0, 99, 100, &dropped)); /* nor for those that nobody waits for */
    expect_next(1000, 0);
    assert_true(put(0, 99, 100, &dropped));
    for (unsigned i = 1; i < count; i++)
        expect_next(1000 + i, i);
    expect_next(0, 99);
    assert_int_equal(dropped, 0);
}

static void one_that_never_fits_pushes_none_out(void **state)
{
    size_t dropped = 0;
    (void)state;
    assert_true(put(0, 1, 100, &dropped));
    assert_false(put(0, 2, CAPACITY, &dropped));
    assert_int_equal(dropped, 0);
    expect_next(0, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_come_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(the_oldest_make_room, setup, teardown),
        cmocka_unit_test_setup_teardown(tickets_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_never_fits_pushes_none_out, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
