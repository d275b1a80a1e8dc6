/* The way of a frame through the whole server in one process, with real CURVE, H.264 and (where a
 * test says so) simulated workers: every packet is answered once and in order, whatever becomes of
 * it, and what goes wrong in one stream stays there. */
#include "devices/worker.h"
#include "server_bench.h"

#define KEY_EVERY 10u
#define PACKETS 40u

static struct clip clip;

static void good_frames_are_answered_in_order(void **state)
{
    struct bench bench;
    static struct agent agent;

    (void)state;
    bench_start(&bench, (const char *[]){ "report_ms=500", NULL });
    agent_connect(&agent, &bench, "box");
    agent_hello(&agent, "cam");
    assert_int_equal(agent.nonce_echoed, agent.nonce);
    assert_int_equal(agent.credits, bench.config.credits);
    assert_true(agent.session != 0);
    agent_stream(&agent, &clip, 0, PACKETS);
    for (size_t i = 0; i < PACKETS; i++) {
        agent_expect(&agent, i, i, STATUS_OK, "");
        assert_int_equal(agent.answers[i].width, 2 * clip.width); /* the camera's pixels */
        assert_int_equal(agent.answers[i].height, 2 * clip.height);
        size_t size;
        packet_data(clip.packets[i], &size);
        assert_true(agent.answers[i].wire_bytes > size && agent.answers[i].wire_bytes < size + 100);
        assert_string_equal(agent.answers[i].model, "");
    }
    assert_int_equal(agent.order_count, 0);
    size_t reports = agent.report_count;
    BENCH_UNTIL(&bench, &agent, agent.report_count > reports);
    assert_int_equal(agent.report.received, PACKETS);
    assert_int_equal(agent.report.answered, PACKETS);
    assert_int_equal(bench_metric(&bench, "server_frames_received_total", NULL), PACKETS);
    assert_int_equal(bench_metric(&bench, "server_stream_frames_answered_total", "cam"), PACKETS);
    assert_int_equal(bench_metric(&bench, "server_frames_dropped_total", NULL), 0);
    agent_close(&agent);
    bench_stop(&bench);
}

/* A packet full of garbage: it fails, what hangs on it is dropped, a keyframe is asked for (once),
 * and the keyframe heals the stream. The other stream never notices. */
static void a_corrupt_packet_costs_its_own_stream_alone(void **state)
{
    struct bench bench;
    static struct agent bad, good;
    static uint8_t garbage[500];

    (void)state;
    memset(garbage, 0x5a, sizeof garbage);
    bench_start(&bench, NULL);
    agent_connect(&bad, &bench, "box");
    agent_connect(&good, &bench, "box");
    agent_hello(&bad, "bad");
    agent_hello(&good, "good");
    for (size_t i = 0; i < 2 * KEY_EVERY; i++) {
        if (i == 3)
            agent_packet_bytes(&bad, &clip, garbage, sizeof garbage, false);
        else
            agent_packet(&bad, &clip, i);
        agent_packet(&good, &clip, i);
        BENCH_UNTIL(&bench, &good, good.answer_count == i + 1);
        BENCH_UNTIL(&bench, &bad, bad.answer_count == i + 1);
    }
    for (size_t i = 0; i < 2 * KEY_EVERY; i++) {
        agent_expect(&good, i, i, STATUS_OK, "");
        if (i == 3)
            agent_expect(&bad, i, i, STATUS_FAILED, "corrupt");
        else if (i > 3 && i < KEY_EVERY)
            agent_expect(&bad, i, i, STATUS_DROPPED, "awaits_keyframe");
        else
            agent_expect(&bad, i, i, STATUS_OK, "");
    }
    assert_int_equal(bad.order_count, 1);
    assert_int_equal(good.order_count, 0);
    assert_int_equal(bench_metric(&bench, "server_stream_frames_dropped_total", "corrupt"), 1);
    agent_close(&bad);
    agent_close(&good);
    bench_stop(&bench);
}

static void a_lost_packet_asks_for_a_keyframe(void **state)
{
    struct bench bench;
    static struct agent agent;

    (void)state;
    bench_start(&bench, NULL);
    agent_connect(&agent, &bench, "box");
    agent_hello(&agent, "cam");
    agent_stream(&agent, &clip, 0, 2);
    agent.frame += 3; /* frames left out before encoding harm nothing */
    agent_stream(&agent, &clip, 2, 3);
    assert_int_equal(agent.order_count, 0);
    agent.sequence++; /* packet 3 is lost on the way */
    agent.frame++;
    agent_stream(&agent, &clip, 4, 5);
    BENCH_UNTIL(&bench, &agent, agent.order_count == 1);
    agent_stream(&agent, &clip, KEY_EVERY, KEY_EVERY + 2);
    agent_expect(&agent, 2, 5, STATUS_OK, "");
    agent_expect(&agent, 3, 7, STATUS_DROPPED, "awaits_keyframe");
    agent_expect(&agent, 4, 8, STATUS_OK, "");
    agent_expect(&agent, 5, 9, STATUS_OK, "");
    assert_int_equal(bench_metric(&bench, "server_stream_packets_lost_total", "cam"), 1);
    agent_close(&agent);
    bench_stop(&bench);
}

static void a_packet_that_comes_again_is_refused(void **state)
{
    struct bench bench;
    static struct agent agent;

    (void)state;
    bench_start(&bench, NULL);
    agent_connect(&agent, &bench, "box");
    agent_hello(&agent, "cam");
    agent_stream(&agent, &clip, 0, 2);
    agent.sequence--;
    agent.frame--;
    agent_stream(&agent, &clip, 1, 2);
    agent_stream(&agent, &clip, 2, 4); /* and leaves no hole */
    agent_expect(&agent, 2, 1, STATUS_DROPPED, "out_of_order");
    agent_expect(&agent, 3, 2, STATUS_OK, "");
    agent_expect(&agent, 4, 3, STATUS_OK, "");
    agent_close(&agent);
    bench_stop(&bench);
}

/* All at once, so that more than the credits are on their way. */
static void frames_above_the_credits_are_dropped_in_order(void **state)
{
    struct bench bench;
    static struct agent agent;
    size_t dropped = 0;

    (void)state;
    bench_start(&bench, (const char *[]){ "credits=3", NULL });
    agent_connect(&agent, &bench, "box");
    agent_hello(&agent, "cam");
    for (size_t i = 0; i < KEY_EVERY; i++)
        agent_packet(&agent, &clip, i);
    BENCH_UNTIL(&bench, &agent, agent.answer_count == KEY_EVERY);
    for (size_t i = 0; i < KEY_EVERY; i++) {
        assert_int_equal(agent.answers[i].frame, i);
        dropped += agent.answers[i].status == STATUS_DROPPED;
        if (i < 3)
            agent_expect(&agent, i, i, STATUS_OK, "");
    }
    agent_expect(&agent, 3, 3, STATUS_DROPPED, "no_credit");
    assert_true(dropped >= KEY_EVERY - 3 - 3);
    agent_stream(&agent, &clip, KEY_EVERY, KEY_EVERY + 2); /* a keyframe heals */
    agent_expect(&agent, KEY_EVERY, KEY_EVERY, STATUS_OK, "");
    agent_close(&agent);
    bench_stop(&bench);
}

static void far_above_the_credits_ends_the_session(void **state)
{
    struct bench bench;
    static struct agent agent;

    (void)state;
    bench_start(&bench, (const char *[]){ "credits=1", NULL });
    agent_connect(&agent, &bench, "box");
    agent_hello(&agent, "cam");
    for (size_t i = 0; i < PACKETS; i++)
        agent_packet(&agent, &clip, i);
    BENCH_UNTIL(&bench, &agent, agent.bye);
    assert_non_null(strstr(agent.bye_reason, "credits"));
    assert_true(agent.answer_count >= 4 && agent.answer_count < PACKETS);
    agent.answer_count = 0;
    agent.frame = 0;
    agent_hello(&agent, "cam"); /* it may come back */
    agent_stream(&agent, &clip, 0, 2);
    agent_expect(&agent, 1, 1, STATUS_OK, "");
    agent_close(&agent);
    bench_stop(&bench);
}

static void bitrate_above_the_keys_limit_is_dropped(void **state)
{
    struct bench bench;
    static struct agent agent;
    static uint8_t padded[3000]; /* H.264 allows zeros at the end */
    size_t ok = 0;

    (void)state;
    bench_start(&bench,
                (const char *[]){ "limits.bitrate_kbps=8", "limits.message_bytes=4096", NULL });
    agent_connect(&agent, &bench, "box");
    agent_hello(&agent, "cam");
    for (size_t i = 0; i < KEY_EVERY; i++) {
        size_t size;
        const uint8_t *data = packet_data(clip.packets[i], &size);
        assert_true(size < sizeof padded);
        memset(padded, 0, sizeof padded);
        memcpy(padded, data, size);
        agent_packet_bytes(&agent, &clip, padded, sizeof padded, i == 0);
        BENCH_UNTIL(&bench, &agent, agent.answer_count == i + 1);
    }
    for (size_t i = 0; i < KEY_EVERY; i++) {
        assert_int_equal(agent.answers[i].frame, i);
        ok += agent.answers[i].status == STATUS_OK;
    }
    agent_expect(&agent, 0, 0, STATUS_OK, "");
    assert_true(ok < 3); /* the bucket holds 5096 bytes and gains 1000 a second */
    assert_true(bench_metric(&bench, "server_frames_dropped_total", "bitrate_limit") >= 1);
    agent_close(&agent);
    bench_stop(&bench);
}

static void large_packets_and_pictures_fail_before_they_are_decoded(void **state)
{
    struct bench bench;
    static struct agent agent;
    static uint8_t large[6000];

    (void)state;
    bench_start(&bench, (const char *[]){ "limits.message_bytes=4096", "limits.width=640", NULL });
    agent_connect(&agent, &bench, "box");
    agent_hello(&agent, "cam");
    agent_packet_bytes(&agent, &clip, large, sizeof large, true);
    BENCH_UNTIL(&bench, &agent, agent.answer_count == 1);
    agent_expect(&agent, 0, 0, STATUS_FAILED, "too_large");
    struct clip wide = clip;
    wide.width = 642 / 2 + 1; /* the camera's, twice that, is above the limit */
    agent_packet(&agent, &wide, 0);
    BENCH_UNTIL(&bench, &agent, agent.answer_count == 2);
    agent_expect(&agent, 1, 1, STATUS_FAILED, "too_large");
    agent_stream(&agent, &clip, KEY_EVERY, KEY_EVERY + 1);
    agent_expect(&agent, 2, 2, STATUS_OK, "");
    /* One beyond ZeroMQ's own limit ends the connection: no answer, and nothing is held for it. */
    static uint8_t enormous[WIRE_HEADER_BYTES_MAX + 1];
    agent_packet_bytes(&agent, &clip, enormous, sizeof enormous, true);
    bench_idle(&bench, &agent, 200);
    assert_int_equal(agent.answer_count, 3);
    agent_close(&agent);
    bench_stop(&bench);
}

/* The header says one size, the packet holds another: the decoder's own limit holds. */
static void a_picture_larger_than_its_header_says_fails(void **state)
{
    struct bench bench;
    static struct agent agent;

    (void)state;
    bench_start(&bench, (const char *[]){ "limits.width=256", NULL });
    agent_connect(&agent, &bench, "box");
    agent_hello(&agent, "cam");
    struct clip lie = clip;
    lie.width = 64;
    agent_packet(&agent, &lie, 0);
    BENCH_UNTIL(&bench, &agent, agent.answer_count == 1);
    agent_expect(&agent, 0, 0, STATUS_FAILED, "too_large");
    agent_close(&agent);
    bench_stop(&bench);
}

/* Workers of different speed finish in another order than they began in. */
static void workers_of_different_speed_keep_the_order(void **state)
{
    struct bench bench;
    static struct agent agent;

    (void)state;
    bench_start(&bench, (const char *[]){
                            "model=any", "models.0.name=any", "models.0.folder=/nowhere",
                            "pool.devices.0.kind=simulated", "pool.devices.0.service_ms=2",
                            "pool.devices.1.kind=simulated", "pool.devices.1.service_ms=15", NULL });
    agent_connect(&agent, &bench, "box");
    agent_hello(&agent, "cam");
    agent_stream(&agent, &clip, 0, PACKETS);
    for (size_t i = 0; i < PACKETS; i++) {
        agent_expect(&agent, i, i, STATUS_OK, "");
        assert_string_equal(agent.answers[i].model, "any");
        assert_int_equal(agent.answers[i].object_count, 1);
        /* The simulated device names the brightest quarter, and puts y at the top right one's mean
         * brightness times half the height of what it saw; answers are in twice these pixels. */
        assert_int_equal(strncmp(agent.answers[i].class_name, "top-", 4), 0);
        assert_true(agent.answers[i].y > (float)clip.height * 30 / 255 - 2 &&
                    agent.answers[i].y < (float)clip.height * 80 / 255);
    }
    agent_close(&agent);
    bench_stop(&bench);
}

static void a_stream_may_do_without_analysis(void **state)
{
    struct bench bench;
    static struct agent agent;

    (void)state;
    bench_start(&bench, (const char *[]){ "model=any", "models.0.name=any", "models.0.folder=/nowhere",
                                          "pool.devices.0.kind=simulated", NULL });
    agent_connect(&agent, &bench, "box");
    agent_hello_with(&agent, &(struct hello){ .stream = "cam", .model = "none" });
    BENCH_UNTIL(&bench, &agent, agent.welcomed);
    agent_stream(&agent, &clip, 0, 3);
    assert_string_equal(agent.answers[2].model, "");
    assert_int_equal(agent.answers[2].object_count, 0);
    agent_close(&agent);
    bench_stop(&bench);
}

static int set_up(void **state)
{
    (void)state;
    clip_make(&clip, 320, 240, PACKETS, KEY_EVERY);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    clip_free(&clip);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_frames_are_answered_in_order),
        cmocka_unit_test(a_corrupt_packet_costs_its_own_stream_alone),
        cmocka_unit_test(a_lost_packet_asks_for_a_keyframe),
        cmocka_unit_test(a_packet_that_comes_again_is_refused),
        cmocka_unit_test(frames_above_the_credits_are_dropped_in_order),
        cmocka_unit_test(far_above_the_credits_ends_the_session),
        cmocka_unit_test(bitrate_above_the_keys_limit_is_dropped),
        cmocka_unit_test(large_packets_and_pictures_fail_before_they_are_decoded),
        cmocka_unit_test(a_picture_larger_than_its_header_says_fails),
        cmocka_unit_test(workers_of_different_speed_keep_the_order),
        cmocka_unit_test(a_stream_may_do_without_analysis),
    };
    if (argc == 4 && strcmp(argv[1], "worker") == 0) /* the pool starts this program as its worker */
        return worker_main(atoi(argv[3]));
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
