/* Proves the rules that need no process: which picture is next (fair.c), which worker gets it
 * (choose.c), which slot a picture pool has (share.c) and how threads are shared out. */
#include "devices/pool_parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define MS UINT64_C(1000000)

/* Streams' turns */

static struct fair fair;
static struct fair_queue queues[3];
static struct job jobs[16];

static void init_fair(size_t full)
{
    fair_init(&fair, full);
    for (size_t i = 0; i < 3; i++)
        fair_queue_init(&queues[i]);
    memset(jobs, 0, sizeof jobs);
}

static void expect_turns(const int *order, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(fair.waiting, count - i);
        assert_ptr_equal(fair_take(&fair), &jobs[order[i]]);
    }
    assert_int_equal(fair.waiting, 0);
    assert_null(fair_next(&fair));
}

static void test_first_come_first_served(void **state)
{
    (void)state;
    init_fair(9);
    fair_put(&fair, &queues[2], &jobs[0]);
    fair_put(&fair, &queues[0], &jobs[1]);
    fair_put(&fair, &queues[1], &jobs[2]);
    expect_turns((int[]){ 0, 1, 2 }, 3);
}

static void test_streams_take_turns(void **state)
{
    (void)state;
    init_fair(9);
    for (int i = 0; i < 5; i++)
        fair_put(&fair, &queues[0], &jobs[i]);
    fair_put(&fair, &queues[1], &jobs[5]);
    fair_put(&fair, &queues[1], &jobs[6]);
    fair_put(&fair, &queues[2], &jobs[7]);
    expect_turns((int[]){ 0, 5, 7, 1, 6, 2, 3, 4 }, 8);
}

static void test_returned_jobs_come_first(void **state)
{
    (void)state;
    init_fair(9);
    fair_put(&fair, &queues[0], &jobs[0]);
    fair_put(&fair, &queues[0], &jobs[1]);
    fair_put(&fair, &queues[1], &jobs[2]);
    fair_put_back(&fair, &queues[1], &jobs[3]);
    fair_put_back(&fair, &queues[2], &jobs[4]);
    expect_turns((int[]){ 4, 3, 0, 2, 1 }, 5);
}

static void test_drop_keeps_the_turn(void **state)
{
    (void)state;
    init_fair(9);
    fair_put(&fair, &queues[0], &jobs[0]);
    fair_put(&fair, &queues[1], &jobs[1]);
    fair_put(&fair, &queues[0], &jobs[2]);
    assert_ptr_equal(fair_drop_oldest(&fair, &queues[0]), &jobs[0]);
    assert_null(fair_drop_oldest(&fair, &queues[2]));
    expect_turns((int[]){ 2, 1 }, 2);
    fair_put(&fair, &queues[0], &jobs[0]);
    assert_ptr_equal(fair_drop_oldest(&fair, &queues[0]), &jobs[0]);
    assert_null(fair_next(&fair));
}

static void test_turns_may_pass(void **state)
{
    (void)state;
    init_fair(9);
    fair_put(&fair, &queues[0], &jobs[0]);
    fair_put(&fair, &queues[0], &jobs[1]);
    fair_put(&fair, &queues[1], &jobs[2]);
    fair_pass(&fair);
    assert_ptr_equal(fair_next(&fair), &queues[1]);
    expect_turns((int[]){ 2, 0, 1 }, 3);
    fair_put(&fair, &queues[2], &jobs[3]);
    fair_pass(&fair); /* alone, it is its turn again */
    expect_turns((int[]){ 3 }, 1);
}

static void test_full_queues_are_counted(void **state)
{
    (void)state;
    init_fair(2);
    fair_put(&fair, &queues[0], &jobs[0]);
    assert_int_equal(fair.full, 0);
    fair_put(&fair, &queues[0], &jobs[1]);
    fair_put(&fair, &queues[1], &jobs[2]);
    assert_int_equal(fair.full, 1);
    fair_put_back(&fair, &queues[0], &jobs[3]); /* beyond the limit: counted once */
    fair_put(&fair, &queues[1], &jobs[4]);
    assert_int_equal(fair.full, 2);
    assert_ptr_equal(fair_drop_oldest(&fair, &queues[0]), &jobs[3]);
    assert_int_equal(fair.full, 2);
    fair_drop_oldest(&fair, &queues[0]);
    assert_int_equal(fair.full, 1);
    fair_drop_oldest(&fair, &queues[1]);
    assert_int_equal(fair.full, 0);
}

/* Workers */

static uint64_t again;

static size_t choose(const struct worker_load *loads, size_t count, size_t waiting, bool room_left,
                     uint64_t now_ns)
{
    return choose_worker(loads, count, waiting, room_left, now_ns, &again);
}

static struct worker_load idle(uint64_t mean_ms)
{
    return (struct worker_load){ .ready = true, .mean_ns = mean_ms * MS };
}

static struct worker_load busy(uint64_t mean_ms, uint32_t jobs_inside, uint64_t begun_ms)
{
    return (struct worker_load){ .ready = true,
                                 .jobs = jobs_inside,
                                 .behind = jobs_inside - 1,
                                 .begun_ns = begun_ms * MS,
                                 .work_ns = mean_ms * MS,
                                 .mean_ns = mean_ms * MS };
}

/* With an idle job at work, which should take work_ms. */
static struct worker_load probing(uint64_t mean_ms, uint64_t work_ms, uint64_t begun_ms)
{
    struct worker_load load = busy(mean_ms, 1, begun_ms);
    load.idle = true;
    load.work_ns = work_ms * MS;
    return load;
}

static void test_free_workers(void **state)
{
    (void)state;
    struct worker_load none[] = { { .ready = false }, { .ready = false, .mean_ns = 1 } };
    assert_int_equal(choose(none, 2, 1, true, 0), CHOOSE_NONE);
    struct worker_load three[] = { idle(40), idle(20), idle(80) };
    assert_int_equal(choose(three, 3, 1, true, 0), 1); /* the fastest */
    struct worker_load fresh[] = { idle(20), idle(0) };
    assert_int_equal(choose(fresh, 2, 1, true, 0), 1); /* its speed is to become known */
    struct worker_load one[] = { { .ready = false }, idle(80), busy(80, 1, 0) };
    assert_int_equal(choose(one, 3, 1, true, 0), 1);
}

static void test_slow_worker_is_spared(void **state)
{
    (void)state;
    /* At 1002 ms: the fast one is free at 1003 and done with n pictures at 1003 + 3n. */
    struct worker_load two[] = { busy(3, 1, 1000), idle(60) };
    for (size_t waiting = 1; waiting <= 19; waiting++)
        assert_int_equal(choose(two, 2, waiting, true, 1002 * MS), 0); /* as a second job */
    two[0].jobs = 2;
    two[0].behind = 1; /* free at 1006 */
    assert_int_equal(choose(two, 2, 18, true, 1002 * MS), CHOOSE_NONE);
    assert_int_equal(again, (1006 + 18 * 3) * MS);
    assert_int_equal(choose(two, 2, 19, true, 1002 * MS), 1); /* 1063 is later than 1062 */
    assert_int_equal(again, 0);
    assert_int_equal(choose(two, 2, 1, false, 1002 * MS), 1); /* a picture would be dropped */
}

static void test_late_worker_is_not_counted_on(void **state)
{
    (void)state;
    struct worker_load two[] = { busy(20, 1, 1000), idle(80) };
    assert_int_equal(choose(two, 2, 1, true, 1010 * MS), CHOOSE_NONE);
    assert_int_equal(again, 1040 * MS);
    assert_int_equal(choose(two, 2, 1, true, 1030 * MS), CHOOSE_NONE); /* late, may come any time */
    assert_int_equal(again, 1050 * MS);
    assert_int_equal(choose(two, 2, 1, true, 1041 * MS), 1);
    two[0].mean_ns = 0; /* nobody knows how long its first picture takes */
    assert_int_equal(choose(two, 2, 1, true, 1010 * MS), 1);
}

static void test_second_jobs(void **state)
{
    (void)state;
    struct worker_load fast[] = { busy(4, 1, 100), busy(6, 1, 96) };
    assert_int_equal(choose(fast, 2, 1, true, 101 * MS), 1); /* free at 102, the other at 104 */
    fast[1].jobs = 2;
    fast[1].behind = 1;
    assert_int_equal(choose(fast, 2, 1, true, 101 * MS), 0);
    fast[0].jobs = 2;
    fast[0].behind = 1;
    assert_int_equal(choose(fast, 2, 1, true, 101 * MS), CHOOSE_NONE);
    fast[0].overlapping = true; /* it has two at work */
    assert_int_equal(choose(fast, 2, 1, true, 101 * MS), 0);
    fast[0].jobs = 3;
    fast[0].behind = 2;
    assert_int_equal(choose(fast, 2, 1, true, 101 * MS), CHOOSE_NONE);
    struct worker_load slow[] = { busy(10, 1, 100) };
    assert_int_equal(choose(slow, 1, 1, true, 101 * MS), CHOOSE_NONE);
    /* The slow one is free first, so the picture is not tied to the fast one. */
    struct worker_load mixed[] = { busy(9, 1, 100), busy(50, 1, 55) };
    assert_int_equal(choose(mixed, 2, 1, true, 101 * MS), CHOOSE_NONE);
    struct worker_load stuck[] = { busy(4, 1, 100) };
    assert_int_equal(choose(stuck, 1, 1, true, 109 * MS), CHOOSE_NONE); /* it looks hung */
}

/* What an idle job takes, not what a live one would, tells when the worker is free. */
static void test_behind_an_idle_job(void **state)
{
    (void)state;
    struct worker_load one[] = { probing(4, 50, 100) }; /* free at 150 */
    assert_int_equal(choose(one, 1, 1, true, 101 * MS), CHOOSE_NONE);
    assert_int_equal(choose(one, 1, 1, true, 140 * MS), CHOOSE_NONE);
    assert_int_equal(choose(one, 1, 1, true, 141 * MS), 0); /* as soon as behind a live one */
    one[0].jobs = 2;
    one[0].behind = 1;
    assert_int_equal(choose(one, 1, 1, true, 141 * MS), CHOOSE_NONE);
    struct worker_load two[] = { probing(4, 50, 100), busy(9, 1, 137) };
    assert_int_equal(choose(two, 2, 1, true, 141 * MS), 1); /* free at 146 */
    assert_int_equal(choose(two, 2, 1, true, 145 * MS), 1);
    two[1].begun_ns = 144 * MS; /* free at 153 */
    assert_int_equal(choose(two, 2, 1, true, 145 * MS), 0);
    /* A fast worker, but it will be busy for longer than the slow one needs. */
    struct worker_load slow[] = { probing(3, 80, 100), idle(60) };
    assert_int_equal(choose(slow, 2, 1, true, 101 * MS), 1);
    assert_int_equal(choose(slow, 2, 1, true, 125 * MS), CHOOSE_NONE);
    assert_int_equal(again, 183 * MS);
    slow[0].work_ns = 0; /* nobody knows how long */
    assert_int_equal(choose(slow, 2, 1, true, 100 * MS), 1);
    assert_int_equal(choose(slow, 2, 1, true, 125 * MS), 1);
}

static void test_in_turn(void **state)
{
    (void)state;
    struct worker_load three[] = { idle(1), { .ready = false }, busy(9, 1, 0) };
    size_t turn = 0;
    assert_int_equal(choose_in_turn(three, 3, &turn), 0);
    assert_int_equal(choose_in_turn(three, 3, &turn), 2);
    assert_int_equal(choose_in_turn(three, 3, &turn), 0);
    three[2].jobs = WORKER_JOBS;
    three[2].overlapping = true;
    assert_int_equal(choose_in_turn(three, 3, &turn), 2);
    assert_int_equal(choose_in_turn(three, 3, &turn), 0);
    three[2].overlapping = false;
    assert_int_equal(choose_in_turn(three, 3, &turn), CHOOSE_NONE); /* waits, though 0 is free */
    three[0].ready = three[2].ready = false;
    assert_int_equal(choose_in_turn(three, 3, &turn), CHOOSE_NONE);
}

static void test_mean_follows(void **state)
{
    (void)state;
    uint64_t mean = choose_mean_ns(0, 20 * MS);
    assert_int_equal(mean, 20 * MS);
    for (int i = 0; i < 20; i++)
        mean = choose_mean_ns(mean, 5 * MS);
    assert_in_range(mean, 5 * MS, 7 * MS);
    assert_true(choose_mean_ns(0, 0) > 0); /* 0 means unknown */
    for (int i = 0; i < 1000; i++)
        mean = choose_mean_ns(mean, 0);
    assert_true(mean > 0);
}

/* Picture pools */

static void test_slots(void **state)
{
    (void)state;
    struct share *share = calloc(1, sizeof *share);
    assert_non_null(share);
    struct shared_memory *a = share_get(share, 11), *b = share_get(share, 22);
    assert_true(a && b && a != b);
    assert_ptr_equal(share_get(share, 11), a);
    assert_int_equal(a->users, 2);
    a->known = b->known = 0x8001;
    share_forget_worker(share, 15);
    assert_int_equal(a->known, 1);
    assert_int_equal(b->known, 1);
    *a = (struct shared_memory){ 0 };
    assert_ptr_equal(share_get(share, 22), b); /* not a second entry in the freed slot before it */
    assert_ptr_equal(share_get(share, 33), a);
    for (uint64_t id = 100; id < 100 + WORKER_POOLS_MAX - 2; id++) {
        struct shared_memory *memory = share_get(share, id);
        assert_non_null(memory);
        assert_ptr_equal(&share->slots[share_slot(share, memory)], memory);
    }
    assert_null(share_get(share, 99)); /* full */
    assert_ptr_equal(share_get(share, 22), b);
    free(share);
}

/* Threads */

static void expect_threads(uint32_t processors, const int *asked, const uint32_t *expected)
{
    struct device_config devices[8] = { 0 };
    uint32_t threads[8];
    size_t count = 0;
    for (; asked[count] != -2; count++)
        devices[count] = asked[count] < 0
                             ? (struct device_config){ .kind = DEVICE_SIMULATED, .threads = 9 }
                             : (struct device_config){ .threads = (uint32_t)asked[count] };
    pool_share_threads(devices, count, processors, threads);
    assert_memory_equal(threads, expected, count * sizeof threads[0]);
}

static void test_threads(void **state)
{
    (void)state;
    expect_threads(8, (int[]){ 0, -2 }, (uint32_t[]){ 8 });
    expect_threads(8, (int[]){ 0, 0, 0, -2 }, (uint32_t[]){ 3, 3, 2 });
    expect_threads(8, (int[]){ 0, 5, 0, -2 }, (uint32_t[]){ 2, 5, 1 });
    expect_threads(8, (int[]){ 0, -1, 0, -2 }, (uint32_t[]){ 4, 0, 4 });
    expect_threads(2, (int[]){ 0, 0, 0, -2 }, (uint32_t[]){ 1, 1, 1 });
    expect_threads(2, (int[]){ 4, 0, -2 }, (uint32_t[]){ 4, 1 });
    assert_true(pool_count_processors() >= 1);
    const struct device_config mixed[] = { { .kind = DEVICE_CUDA, .threads = 5 }, { 0 } };
    uint32_t threads[2];
    pool_share_threads(mixed, 2, 4, threads); /* a GPU has none, and takes none away */
    assert_int_equal(threads[0], 0);
    assert_int_equal(threads[1], 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_come_first_served),
        cmocka_unit_test(test_streams_take_turns),
        cmocka_unit_test(test_returned_jobs_come_first),
        cmocka_unit_test(test_drop_keeps_the_turn),
        cmocka_unit_test(test_turns_may_pass),
        cmocka_unit_test(test_full_queues_are_counted),
        cmocka_unit_test(test_free_workers),
        cmocka_unit_test(test_slow_worker_is_spared),
        cmocka_unit_test(test_late_worker_is_not_counted_on),
        cmocka_unit_test(test_second_jobs),
        cmocka_unit_test(test_behind_an_idle_job),
        cmocka_unit_test(test_in_turn),
        cmocka_unit_test(test_mean_follows),
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
