/* Proves which pictures go to a worker together: how many, and when one waits for others, as a pure rule; and with
 * real worker processes (simulated devices; this program is its own worker) that streams' pictures do go
 * together, each is answered by its own analysis once, none waits beyond its time, and a batch that is lost with
 * its worker is tried again one by one. */
#include "pool_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MS UINT64_C(1000000)
#define STREAMS 8

static const struct batch_times halves = { { 100, 150, 250, 450, 850 } };
static const struct batch_times no_gain = { { 100, 200, 400, 800, 1600 } };
static const struct batch_times to_four = { { 100, 150, 280, 900, 0 } };
static const struct batch_times alone = { { 100, 0, 0, 0, 0 } };
static const struct batch_times unknown = { { 0 } };

static void test_size(void **state)
{
    (void)state;
    const uint32_t expected[] = { 1, 2, 2, 4, 4, 4, 4, 8 };
    for (uint32_t waiting = 1; waiting <= 8; waiting++) {
        assert_int_equal(batch_size(&halves, waiting), expected[waiting - 1]);
        assert_int_equal(batch_size(&no_gain, waiting), 1);
        assert_int_equal(batch_size(&alone, waiting), 1);
        assert_int_equal(batch_size(&unknown, waiting), 1);
    }
    assert_int_equal(batch_size(&halves, 1000), 16);
    assert_int_equal(batch_size(&to_four, 16), 4);
    assert_int_equal(batch_step(1), 0);
    assert_int_equal(batch_step(16), 4);
}

static void test_waits(void **state)
{
    (void)state;
    const struct batch_waiting two = { .pictures = 2, .until_ns = 105 * MS, .workers = 1 };
    /* 100 us each: more than half of the worker's time from 5,000 a second on. */
    const struct idle_forecast soon = { .next_ns = 104 * MS, .rate_hz = 6000 };
    assert_true(batch_waits(&halves, &two, &soon, 100 * MS));
    assert_false(batch_waits(&halves, &two, &soon, 105 * MS)); /* its time is over */
    const struct idle_forecast late = { .next_ns = 106 * MS, .rate_hz = 6000 };
    assert_false(batch_waits(&halves, &two, &late, 100 * MS));
    const struct idle_forecast never = { .next_ns = UINT64_MAX };
    assert_false(batch_waits(&halves, &two, &never, 100 * MS));
    const struct idle_forecast little = { .next_ns = 104 * MS, .rate_hz = 4000 };
    assert_false(batch_waits(&halves, &two, &little, 100 * MS));
    const struct batch_waiting two_workers = { .pictures = 2, .until_ns = 105 * MS, .workers = 2 };
    assert_false(batch_waits(&halves, &two_workers, &soon, 100 * MS));
    assert_false(batch_waits(&no_gain, &two, &soon, 100 * MS));
    assert_false(batch_waits(&alone, &two, &soon, 100 * MS));
    assert_false(batch_waits(&unknown, &two, &soon, 100 * MS));
    const struct batch_waiting four = { .pictures = 4, .until_ns = 105 * MS, .workers = 1 };
    assert_false(batch_waits(&to_four, &four, &soon, 100 * MS)); /* no more would be gained */
}

static double batches(struct rig *rig, size_t worker, const char *size)
{
    struct metric_label labels[] = { { "worker", rig->pool->workers[worker].name }, { "size", size } };
    return (double)metric_counter_get(
        metrics_counter(rig->metrics, "server_batches_total", "", labels, 2));
}

/* One worker of service_ms, and streams. */
static struct rig *open_rig(uint32_t service_ms, uint32_t batch, uint32_t wait_ms)
{
    struct rig *rig = rig_new((uint32_t[]){ service_ms, 0 });
    rig->devices[0].batch = batch;
    rig->config.batch_wait_ms = wait_ms;
    rig_open(rig);
    for (int i = 0; i < STREAMS; i++)
        rig_add_stream(rig);
    assert_true(rig_all_ready(rig));
    return rig;
}

static void close_rig(struct rig *rig)
{
    assert_int_equal(rig_wrong(rig), 0);
    assert_int_equal(rig_not_once(rig), 0);
    rig_close(rig, 1000);
    rig_free(rig);
}

static void submit_all(struct rig *rig)
{
    for (size_t i = 0; i < STREAMS; i++)
        rig_submit(&rig->streams[i]);
}

/* The first picture begins alone, the others wait meanwhile and go together. */
static void test_what_waits_goes_together(void **state)
{
    (void)state;
    struct rig *rig = open_rig(20, 4, 0);
    submit_all(rig);
    assert_true(RIG_WAIT(rig, 10000, rig_sum(rig, JOB_DONE) == STREAMS));
    assert_true(batches(rig, 0, "1") == 2); /* the first, and the last: 7 are 4 and 2 and 1 */
    assert_true(batches(rig, 0, "2") == 1);
    assert_true(batches(rig, 0, "4") == 1);
    close_rig(rig);
}

static void test_nothing_goes_together_unless_allowed(void **state)
{
    (void)state;
    struct rig *rig = open_rig(5, 1, 0);
    submit_all(rig);
    assert_true(RIG_WAIT(rig, 10000, rig_sum(rig, JOB_DONE) == STREAMS));
    assert_true(batches(rig, 0, "1") == STREAMS);
    close_rig(rig);
}

/* Pictures of another model have their own batch, in their turn. */
static void test_models_do_not_mix(void **state)
{
    (void)state;
    struct rig *rig = rig_new((uint32_t[]){ 20, 0 });
    rig->devices[0].batch = 4;
    rig->model_count = 2;
    rig_open(rig);
    assert_true(rig_all_ready(rig));
    for (size_t i = 0; i < 5; i++) { /* models 0, 1, 0, 1, 0 */
        struct rig_stream *stream = &rig->streams[rig->stream_count++];
        stream->rig = rig;
        assert_int_equal(
            pool_stream_open(rig->pool, &stream->stream, "test", i % 2, rig_done, stream, NULL), 0);
        rig_submit(stream);
    }
    assert_true(RIG_WAIT(rig, 10000, rig_sum(rig, JOB_DONE) == 5));
    assert_true(batches(rig, 0, "1") == 1);
    assert_true(batches(rig, 0, "2") == 2);
    close_rig(rig);
}

/* Many are expected and the worker stands idle: the first waits for a second, but not for ever. */
static void test_wait_ends(void **state)
{
    (void)state;
    const uint32_t wait_ms = 300;
    struct rig *rig = open_rig(400, 2, wait_ms);
    uint64_t now_ns = clock_now_ns();
    for (size_t i = 0; i < STREAMS; i++) /* each is due, and would be the worker's for long */
        rig->streams[i].stream->arrivals =
            (struct idle_arrivals){ .last_ns = now_ns, .interval_ns = 100 * MS };
    rig_submit(&rig->streams[0]);
    assert_int_equal(rig->pool->workers[0].inside, 0);
    rig_submit(&rig->streams[1]);
    assert_int_equal(rig->pool->workers[0].inside, 2); /* the batch is full */
    assert_true(RIG_WAIT(rig, 10000, rig_sum(rig, JOB_DONE) == 2));
    assert_true(batches(rig, 0, "2") == 1);

    now_ns = clock_now_ns();
    for (size_t i = 0; i < STREAMS; i++)
        rig->streams[i].stream->arrivals =
            (struct idle_arrivals){ .last_ns = now_ns, .interval_ns = 100 * MS };
    rig_submit(&rig->streams[0]);
    assert_int_equal(rig->pool->workers[0].inside, 0);
    assert_true(RIG_WAIT(rig, 10000, rig->pool->workers[0].inside == 1)); /* nobody came */
    assert_true(RIG_WAIT(rig, 10000, rig_sum(rig, JOB_DONE) == 3));
    assert_true(batches(rig, 0, "1") == 1);
    close_rig(rig);
}

static void test_no_wait_without_a_forecast(void **state)
{
    (void)state;
    struct rig *rig = open_rig(20, 2, 1000);
    rig_submit(&rig->streams[0]); /* its interval is not known, so little is expected */
    assert_int_equal(rig->pool->workers[0].inside, 1);
    assert_true(RIG_WAIT(rig, 10000, rig_sum(rig, JOB_DONE) == 1));
    close_rig(rig);
}

/* Twice, as many times as would be too often for pictures that are to blame. */
static void test_lost_batches_are_tried_again_alone(void **state)
{
    (void)state;
    struct rig *rig = rig_new((uint32_t[]){ 100, 0 });
    rig->devices[0].batch = 4;
    rig_open(rig);
    for (int i = 0; i < 5; i++)
        rig_add_stream(rig);
    assert_true(rig_all_ready(rig));
    for (int i = 0; i < 5; i++)
        rig_submit(&rig->streams[i]);
    assert_true(RIG_WAIT(rig, 10000, batches(rig, 0, "4") == 1));
    assert_true(RIG_WAIT(rig, 10000, rig_sum(rig, JOB_DONE) == 1)); /* the batch is at work */
    kill(rig_pid(rig, 0), SIGKILL);
    assert_true(RIG_WAIT(rig, 10000, rig->pool->workers[0].inside == 0));
    assert_true(RIG_WAIT(rig, 20000, rig_sum(rig, JOB_DONE) == 5));
    assert_true(batches(rig, 0, "4") == 1);
    assert_true(batches(rig, 0, "1") == 5);
    close_rig(rig);
}

int main(int argc, char **argv)
{
    int status;
    if (rig_is_worker(argc, argv, &status))
        return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_what_waits_goes_together),
        cmocka_unit_test(test_nothing_goes_together_unless_allowed),
        cmocka_unit_test(test_models_do_not_mix),
        cmocka_unit_test(test_wait_ends),
        cmocka_unit_test(test_no_wait_without_a_forecast),
        cmocka_unit_test(test_lost_batches_are_tried_again_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
