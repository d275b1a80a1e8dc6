/* flights: answers find their frame, pass over what will not be answered, and nothing else; the ring
 * goes round many times. */
#include "flights.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void add(struct flights *flights, uint64_t number)
{
    flights_add(flights, &(struct flight){ .number = number, .capture_ns = number * 10, .sent_ns = number * 100 });
}

static void answers_find_their_frame(void **state)
{
    (void)state;
    struct flights flights = { .count = 0 };
    struct flight taken;
    assert_null(flights_oldest(&flights));
    assert_int_equal(flights_take(&flights, 0, &taken), 0);
    add(&flights, 3);
    add(&flights, 4);
    add(&flights, 7); /* 5 and 6 were not sent */
    assert_int_equal(flights_oldest(&flights)->number, 3);
    assert_int_equal(flights_take(&flights, 2, &taken), 0); /* from before */
    assert_int_equal(flights_take(&flights, 5, &taken), 0); /* never sent */
    assert_int_equal(flights_take(&flights, 8, &taken), 0); /* not yet sent */
    assert_int_equal(flights.count, 3);
    assert_int_equal(flights_take(&flights, 3, &taken), 1);
    assert_int_equal(taken.capture_ns, 30);
    assert_int_equal(taken.sent_ns, 300);
    assert_int_equal(flights_take(&flights, 3, &taken), 0); /* twice */
    assert_int_equal(flights_take(&flights, 7, &taken), 2); /* 4 will not come any more */
    assert_int_equal(taken.number, 7);
    assert_null(flights_oldest(&flights));
}

static void the_ring_goes_round(void **state)
{
    (void)state;
    static struct flights flights;
    struct flight taken;
    uint64_t next = 0, oldest = 0;
    for (unsigned round = 0; round < 3000; round++) {
        unsigned more = round % 7 ? (round * 31) % (CREDITS_MAX + 1) : CREDITS_MAX;
        while (flights.count < more)
            add(&flights, next++);
        while (flights.count > round % 5) {
            uint64_t step = 1 + round % 3 < flights.count ? 1 + round % 3 : flights.count;
            oldest += step;
            assert_int_equal(flights_take(&flights, oldest - 1, &taken), step);
            assert_int_equal(taken.number, oldest - 1);
        }
        if (round % 11 == 0) {
            assert_int_equal(flights_clear(&flights), next - oldest);
            oldest = next;
        }
    }
    assert_true(next > 10 * CREDITS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_find_their_frame),
        cmocka_unit_test(the_ring_goes_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
