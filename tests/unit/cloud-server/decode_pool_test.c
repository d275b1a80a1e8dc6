/* Proves of the decode pool, with real H.264: each lane's results come in its packets' order though
 * threads are shared; a corrupt packet harms its own lane alone, up to the next keyframe; closing a
 * lane returns what waits at once, waits for the packet at work, and loses nothing. */
#include "ingest/decode.h"
#include "server_clip.h"

#define LANES 3u
#define PACKETS 24u
#define KEY_EVERY 8u
#define NOT_DONE 1

struct lane {
    struct decode_lane *lane;
    struct decode_job jobs[PACKETS];
    size_t done;
    int results[PACKETS];
    bool closing, closed;
};

static uv_loop_t loop;
static struct clip clip;

static void on_done(void *arg, struct decode_job *job)
{
    struct lane *lane = arg;
    assert_false(lane->closed);
    size_t number = (size_t)(job - lane->jobs);
    if (!lane->closing) /* then what waits comes back before the one at work */
        assert_int_equal(number, lane->done);
    assert_true(job->ended_ns >= job->started_ns);
    assert_int_equal(job->result == 0, job->picture != NULL);
    assert_int_equal(lane->results[number], NOT_DONE);
    lane->results[number] = job->result;
    lane->done++;
    picture_unref(&job->picture);
}

static void on_closed(void *arg)
{
    struct lane *lane = arg;
    assert_false(lane->closed);
    lane->closed = true;
}

static void open_lane(struct decode_pool *pool, struct lane *lane)
{
    struct error err;
    const struct decode_lane_config config = { .width_max = 640,
                                               .height_max = 480,
                                               .pictures = PACKETS };
    *lane = (struct lane){ 0 };
    for (size_t i = 0; i < PACKETS; i++)
        lane->results[i] = NOT_DONE;
    assert_int_equal(decode_lane_open(pool, &lane->lane, &config, on_done, lane, &err), 0);
}

static void submit(struct lane *lane, size_t number, bool damage)
{
    size_t size;
    const uint8_t *data = packet_data(clip.packets[number], &size);
    struct decode_job *job = &lane->jobs[number];

    job->codec = VIDEO_H264;
    job->keyframe = packet_is_keyframe(clip.packets[number]);
    assert_int_equal(zmq_msg_init_size(&job->payload, size), 0);
    memcpy(zmq_msg_data(&job->payload), data, size);
    if (damage)
        memset(zmq_msg_data(&job->payload), 0x5a, size);
    decode_lane_submit(lane->lane, job);
}

static void close_all(struct decode_pool *pool, struct lane *lanes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (lanes[i].lane) {
            lanes[i].closing = true;
            decode_lane_close(&lanes[i].lane, on_closed, &lanes[i]);
        }
    for (size_t i = 0; i < count; i++)
        while (!lanes[i].closed)
            uv_run(&loop, UV_RUN_ONCE);
    decode_pool_close(&pool);
    uv_run(&loop, UV_RUN_DEFAULT);
}

static void lanes_share_threads_and_keep_their_order(void **state)
{
    struct decode_pool *pool;
    static struct lane lanes[LANES];
    struct error err;

    (void)state;
    assert_int_equal(decode_pool_open(&pool, &loop, &(struct decode_pool_config){ .threads = 2 }, &err), 0);
    for (size_t i = 0; i < LANES; i++)
        open_lane(pool, &lanes[i]);
    for (size_t n = 0; n < PACKETS; n++)
        for (size_t i = 0; i < LANES; i++)
            submit(&lanes[i], n, false);
    for (size_t i = 0; i < LANES; i++) {
        while (lanes[i].done < PACKETS)
            uv_run(&loop, UV_RUN_ONCE);
        assert_int_equal(decode_lane_depth(lanes[i].lane), 0);
        for (size_t n = 0; n < PACKETS; n++)
            assert_int_equal(lanes[i].results[n], 0);
    }
    close_all(pool, lanes, LANES);
}

static void damage_stays_in_its_lane(void **state)
{
    struct decode_pool *pool;
    static struct lane lanes[2];
    struct error err;

    (void)state;
    assert_int_equal(decode_pool_open(&pool, &loop, &(struct decode_pool_config){ .threads = 2 }, &err), 0);
    open_lane(pool, &lanes[0]);
    open_lane(pool, &lanes[1]);
    for (size_t n = 0; n < PACKETS; n++) {
        submit(&lanes[0], n, n == 3);
        submit(&lanes[1], n, false);
    }
    while (lanes[0].done < PACKETS || lanes[1].done < PACKETS)
        uv_run(&loop, UV_RUN_ONCE);
    for (size_t n = 0; n < PACKETS; n++) {
        int expected = n == 3 ? -ERROR_FORMAT : n > 3 && n < KEY_EVERY ? -ERROR_AGAIN : 0;
        assert_int_equal(lanes[0].results[n], expected);
        assert_int_equal(lanes[1].results[n], 0);
    }
    assert_non_null(strchr(lanes[0].jobs[3].error.text, ':')); /* says something */
    close_all(pool, lanes, 2);
}

/* Closes a lane amid its work: whatever the threads were given time for, each job comes back once,
 * decoded ones first, and none waits when the call returns. Returns how many came back undecoded. */
static size_t close_amid_work(struct decode_pool *pool, struct lane *lane)
{
    size_t decoded = 0;

    open_lane(pool, lane);
    for (size_t n = 0; n < PACKETS; n++)
        submit(lane, n, false);
    lane->closing = true;
    decode_lane_close(&lane->lane, on_closed, lane);
    assert_null(lane->lane);
    assert_false(lane->closed);
    size_t unserved = lane->done; /* nothing else was called back: the loop did not run */
    while (!lane->closed)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(lane->done, PACKETS);
    while (decoded < PACKETS && lane->results[decoded] == 0)
        decoded++;
    for (size_t n = decoded; n < PACKETS; n++)
        assert_int_equal(lane->results[n], -ERROR_END);
    assert_int_equal(decoded + unserved, PACKETS);
    return unserved;
}

static void closing_returns_every_job_once(void **state)
{
    enum { TRIES = 1000 }; /* a busy machine may decode everything before the lane is closed */
    struct decode_pool *pool;
    static struct lane lane;
    struct error err;
    size_t unserved = 0;

    (void)state;
    assert_int_equal(decode_pool_open(&pool, &loop, &(struct decode_pool_config){ .threads = 1 }, &err), 0);
    for (int i = 0; i < TRIES && unserved == 0; i++)
        unserved = close_amid_work(pool, &lane);
    assert_true(unserved > 0);
    lane.lane = NULL;
    close_all(pool, &lane, 1);
}

static int set_up(void **state)
{
    (void)state;
    clip_make(&clip, 320, 240, PACKETS, KEY_EVERY);
    return uv_loop_init(&loop);
}

static int tear_down(void **state)
{
    (void)state;
    clip_free(&clip);
    return uv_loop_close(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_share_threads_and_keep_their_order),
        cmocka_unit_test(damage_stays_in_its_lane),
        cmocka_unit_test(closing_returns_every_job_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
