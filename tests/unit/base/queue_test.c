/* queue: the three policies, timeouts, closing and counters; then two threads at both ends, where
 * every item must come out once and in order (run under ThreadSanitizer as well). */
#include "base/clock.h"
#include "base/queue.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

#define ITEMS 20000

static int items[ITEMS + 1];

static struct queue *create(size_t capacity, enum queue_policy policy)
{
    struct queue *queue = NULL;
    struct error err;
    assert_int_equal(queue_create(&queue, capacity, policy, &err), 0);
    return queue;
}

static void assert_taken(struct queue *queue, int *expected)
{
    void *item = NULL;
    assert_int_equal(queue_take(queue, &item, 0), QUEUE_OK);
    assert_ptr_equal(item, expected);
}

static void gives_items_in_order_round_the_ring(void **state)
{
    (void)state;
    struct queue *queue = create(3, QUEUE_REFUSE);
    void *item;
    assert_int_equal(queue_take(queue, &item, 0), QUEUE_EMPTY);
    for (int round = 0; round < 5; round++) {
        assert_int_equal(queue_put(queue, &items[0], NULL), QUEUE_OK);
        assert_int_equal(queue_put(queue, &items[1], NULL), QUEUE_OK);
        assert_taken(queue, &items[0]);
        assert_taken(queue, &items[1]);
    }
    queue_destroy(&queue, NULL);
    assert_null(queue);
    queue_destroy(&queue, NULL); /* takes NULL */
}

static void refuse_keeps_what_is_inside(void **state)
{
    (void)state;
    struct queue *queue = create(2, QUEUE_REFUSE);
    struct queue_counts counts;
    queue_put(queue, &items[0], NULL);
    queue_put(queue, &items[1], NULL);
    assert_int_equal(queue_put(queue, &items[2], NULL), QUEUE_FULL);
    assert_taken(queue, &items[0]);
    queue_get_counts(queue, &counts);
    assert_int_equal(counts.put, 2);
    assert_int_equal(counts.taken, 1);
    assert_int_equal(counts.refused, 1);
    assert_int_equal(counts.dropped, 0);
    assert_int_equal(counts.depth, 1);
    assert_int_equal(counts.depth_max, 2);
    queue_destroy(&queue, NULL);
}

static void drop_oldest_hands_it_back(void **state)
{
    (void)state;
    struct queue *queue = create(2, QUEUE_DROP_OLDEST);
    struct queue_counts counts;
    void *dropped = NULL;
    assert_int_equal(queue_put(queue, &items[0], &dropped), QUEUE_OK);
    assert_int_equal(queue_put(queue, &items[1], &dropped), QUEUE_OK);
    assert_null(dropped);
    assert_int_equal(queue_put(queue, &items[2], &dropped), QUEUE_DROPPED);
    assert_ptr_equal(dropped, &items[0]);
    assert_taken(queue, &items[1]);
    assert_taken(queue, &items[2]);
    queue_get_counts(queue, &counts);
    assert_int_equal(counts.put, 3);
    assert_int_equal(counts.dropped, 1);
    assert_int_equal(counts.depth, 0);
    queue_destroy(&queue, NULL);
}

static int dropped_at_end;

static void drop(void *item)
{
    assert_ptr_equal(item, &items[1 + dropped_at_end]); /* oldest first */
    dropped_at_end++;
}

static void closing_refuses_puts_and_drains(void **state)
{
    (void)state;
    struct queue *queue = create(4, QUEUE_DROP_OLDEST);
    void *item, *dropped = NULL;
    for (int i = 0; i < 3; i++)
        queue_put(queue, &items[i], &dropped);
    queue_close(queue);
    assert_int_equal(queue_put(queue, &items[3], &dropped), QUEUE_CLOSED);
    assert_taken(queue, &items[0]);
    dropped_at_end = 0;
    queue_destroy(&queue, drop);
    assert_int_equal(dropped_at_end, 2);

    queue = create(1, QUEUE_BLOCK);
    queue_close(queue);
    assert_int_equal(queue_take(queue, &item, UINT32_MAX), QUEUE_CLOSED);
    queue_destroy(&queue, drop);
}

static void take_waits_no_longer_than_told(void **state)
{
    (void)state;
    struct queue *queue = create(1, QUEUE_REFUSE);
    void *item;
    uint64_t start_ns = clock_now_ns();
    assert_int_equal(queue_take(queue, &item, 30), QUEUE_EMPTY);
    uint64_t waited_ns = clock_now_ns() - start_ns;
    assert_true(waited_ns >= 30 * CLOCK_NS_PER_MS);
    assert_true(waited_ns < 5 * CLOCK_NS_PER_S);
    queue_destroy(&queue, NULL);
}

static void count_wake(void *arg)
{
    ++*(int *)arg;
}

static void wakes_after_puts_that_entered_and_closing(void **state)
{
    (void)state;
    int wakes = 0;
    struct queue *queue = create(1, QUEUE_REFUSE);
    queue_set_waker(queue, count_wake, &wakes);
    queue_put(queue, &items[0], NULL);
    assert_int_equal(wakes, 1);
    queue_put(queue, &items[1], NULL); /* full */
    assert_int_equal(wakes, 1);
    queue_close(queue);
    assert_int_equal(wakes, 2);
    queue_destroy(&queue, NULL);
}

/* Two threads. */

struct ends {
    struct queue *queue;
    atomic_int out_of_order;
    size_t taken;
};

static void *take_all(void *arg)
{
    struct ends *ends = arg;
    int *last = NULL;
    void *item;
    while (queue_take(ends->queue, &item, UINT32_MAX) == QUEUE_OK) {
        if (last && (int *)item <= last)
            ends->out_of_order++;
        last = item;
        ends->taken++;
    }
    return NULL;
}

static void blocking_passes_every_item_in_order(void **state)
{
    (void)state;
    struct ends ends = { .queue = create(4, QUEUE_BLOCK) };
    struct queue_counts counts;
    pthread_t taker;
    assert_int_equal(pthread_create(&taker, NULL, take_all, &ends), 0);
    for (int i = 0; i < ITEMS; i++)
        assert_int_equal(queue_put(ends.queue, &items[i], NULL), QUEUE_OK);
    queue_close(ends.queue);
    pthread_join(taker, NULL);
    assert_int_equal(ends.taken, ITEMS);
    assert_int_equal(ends.out_of_order, 0);
    queue_get_counts(ends.queue, &counts);
    assert_int_equal(counts.put, ITEMS);
    assert_int_equal(counts.taken, ITEMS);
    assert_in_range(counts.depth_max, 1, 4);
    queue_destroy(&ends.queue, NULL);
}

static void dropping_loses_only_what_it_counts(void **state)
{
    (void)state;
    struct ends ends = { .queue = create(8, QUEUE_DROP_OLDEST) };
    struct queue_counts counts;
    size_t dropped_count = 0;
    pthread_t taker;
    assert_int_equal(pthread_create(&taker, NULL, take_all, &ends), 0);
    for (int i = 0; i < ITEMS; i++) {
        void *dropped = NULL;
        enum queue_result result = queue_put(ends.queue, &items[i], &dropped);
        assert_true(result == QUEUE_OK || result == QUEUE_DROPPED);
        dropped_count += result == QUEUE_DROPPED;
    }
    queue_close(ends.queue);
    pthread_join(taker, NULL);
    queue_get_counts(ends.queue, &counts);
    assert_int_equal(ends.out_of_order, 0);
    assert_int_equal(counts.dropped, dropped_count);
    assert_int_equal(ends.taken + dropped_count, ITEMS);
    queue_destroy(&ends.queue, NULL);
}

struct blocked {
    struct queue *queue;
    enum queue_result result;
};

static void *put_blocked(void *arg)
{
    struct blocked *blocked = arg;
    blocked->result = queue_put(blocked->queue, &items[1], NULL);
    return NULL;
}

static void closing_frees_who_waits_for_room(void **state)
{
    (void)state;
    struct blocked blocked = { .queue = create(1, QUEUE_BLOCK), .result = QUEUE_OK };
    pthread_t putter;
    queue_put(blocked.queue, &items[0], NULL);
    assert_int_equal(pthread_create(&putter, NULL, put_blocked, &blocked), 0);
    clock_sleep_until_ns(clock_now_ns() + 20 * CLOCK_NS_PER_MS);
    queue_close(blocked.queue);
    pthread_join(putter, NULL);
    assert_int_equal(blocked.result, QUEUE_CLOSED);
    queue_destroy(&blocked.queue, NULL);
}

static void several_takers_share_the_items(void **state)
{
    (void)state;
    struct queue *queue = create(4, QUEUE_BLOCK);
    struct ends ends[3] = { { .queue = queue }, { .queue = queue }, { .queue = queue } };
    pthread_t takers[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&takers[i], NULL, take_all, &ends[i]), 0);
    for (int i = 0; i < 3000; i++)
        queue_put(queue, &items[i], NULL);
    queue_close(queue);
    size_t taken = 0;
    for (int i = 0; i < 3; i++) {
        pthread_join(takers[i], NULL);
        taken += ends[i].taken;
        assert_int_equal(ends[i].out_of_order, 0);
    }
    assert_int_equal(taken, 3000);
    queue_destroy(&queue, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_items_in_order_round_the_ring),
        cmocka_unit_test(refuse_keeps_what_is_inside),
        cmocka_unit_test(drop_oldest_hands_it_back),
        cmocka_unit_test(closing_refuses_puts_and_drains),
        cmocka_unit_test(take_waits_no_longer_than_told),
        cmocka_unit_test(wakes_after_puts_that_entered_and_closing),
        cmocka_unit_test(blocking_passes_every_item_in_order),
        cmocka_unit_test(dropping_loses_only_what_it_counts),
        cmocka_unit_test(closing_frees_who_waits_for_room),
        cmocka_unit_test(several_takers_share_the_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
