/* Late streams in the pool: live pictures go first, and yet a backlog is never left for ever; its pictures
 * are restored and answered like live ones, each once. */
#include "pool_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct rig_stream *add_late_stream(struct rig *rig)
{
    struct rig_stream *stream = &rig->streams[rig->stream_count++];
    stream->rig = rig;
    assert_int_equal(pool_late_open(rig->pool, &stream->stream, "late", 0, rig_done, stream, NULL),
                     0);
    return stream;
}

/* With one worker, what waits is done in the order of its rank, whenever it came. */
static void test_live_pictures_go_first(void **state)
{
    (void)state;
    struct rig *rig = rig_new((const uint32_t[]){ 30, 0 });
    rig->config.queue_per_stream = 8;
    rig_open(rig);
    assert_true(rig_all_ready(rig));
    struct rig_stream *late = add_late_stream(rig), *live = rig_add_stream(rig);
    rig_submit(live); /* the worker has it while the others come */
    for (int i = 0; i < 5; i++)
        rig_submit(late);
    for (int i = 0; i < 4; i++)
        rig_submit(live);
    assert_true(RIG_WAIT(rig, 10000, live->by_status[JOB_DONE] == 5));
    assert_true(late->by_status[JOB_DONE] == 0);
    assert_true(RIG_WAIT(rig, 10000, late->by_status[JOB_DONE] == 5));
    assert_int_equal(rig_not_once(rig) + rig_wrong(rig), 0);
    rig_close(rig, 0);
    rig_free(rig);
}

static struct rig_stream *keeps_waiting;
static void submit_another(struct rig_stream *stream)
{
    if (keeps_waiting)
        rig_submit(stream);
}

/* A live picture waits at any moment; a backlog goes on in spite of it. */
static void test_a_backlog_does_not_starve(void **state)
{
    (void)state;
    struct rig *rig = rig_new((const uint32_t[]){ 20, 0 });
    rig->config.queue_per_stream = 8;
    rig_open(rig);
    assert_true(rig_all_ready(rig));
    struct rig_stream *late = add_late_stream(rig), *live = rig_add_stream(rig);
    keeps_waiting = live;
    live->on_done = submit_another;
    for (int i = 0; i < 4; i++)
        rig_submit(live);
    rig_submit(late);
    assert_true(RIG_WAIT(rig, 30000, late->by_status[JOB_DONE] == 1));
    assert_true(late->wait_us / 1000 >= POOL_LATE_WAIT_MS); /* but not before */
    assert_true(live->by_status[JOB_DONE] > 4);
    keeps_waiting = NULL;
    rig_close(rig, 0);
    rig_free(rig);
}

int main(int argc, char **argv)
{
    int status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live_pictures_go_first),
        cmocka_unit_test(test_a_backlog_does_not_starve),
    };
    if (rig_is_worker(argc, argv, &status))
        return status;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
