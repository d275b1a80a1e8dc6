/* probe_fault: a client that sends probes as no edge-agent would, against a real server with simulated
 * devices. Whatever is wrong with a probe is counted by its reason and, where the agent has to stop sending,
 * told by a receipt; every frame of the stream is answered as before, the next good probe is scored, and a
 * second stream, an edge-agent with probes of its own, notices nothing. Also sessions that end in the middle
 * of a probe, workers that are killed while the golden model is at work, and a golden model that cannot be
 * compared with. */
#include "probe_rig.h"

#include "base/clock.h"
#include "media/encode.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define STREAM "odd"
#define RUNG "320x240 10 fps h264 500 kbit/s"
#define WIDTH 320u
#define HEIGHT 240u
#define CREDITS 2u
#define RECORDS (4 * CREDITS) /* a server keeps so many answers (SESSION_FRAMES_PER_CREDIT) */
#define MESSAGE_BYTES_MAX 65536u
#define ANSWER_MS 20000u
/* A while after it was given to the slow worker a probe is being looked at. */
#define AT_WORK_MS 700u
#define IDLE_QUEUE "server_pool_idle_queue_pictures"

struct bench {
    struct scratch scratch;
    struct process server;
    struct client client;
    uint16_t port;
};

static int setup(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    if (!bench)
        return -1;
    scratch_make(&bench->scratch);
    bench->port = port_find();
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;
    process_stop(&bench->server);
    scratch_remove(&bench->scratch);
    free(bench);
    return 0;
}

static const char *const alike[] = { "pool.devices.0.kind=simulated", "pool.devices.0.service_ms=1",
                                     "pool.devices.1.kind=simulated", "pool.devices.1.service_ms=1",
                                     NULL };
/* Live pictures go to the first one, probes to the other. */
static const char *const slow_golden[] = {
    "pool.devices.0.kind=simulated",  "pool.devices.0.service_ms=1",
    "pool.devices.1.kind=simulated",  "pool.devices.1.name=golden",
    "pool.devices.1.service_ms=2000", NULL
};
static const char *const only_slow[] = { "pool.devices.0.kind=simulated",
                                         "pool.devices.0.name=golden",
                                         "pool.devices.0.service_ms=2000", NULL };

static void start(struct bench *bench, const char *const *devices, const char *more)
{
    const char *sets[24];
    char address[64], credits[32], message[64];
    size_t count = 0;
    snprintf(address, sizeof address, "http.address=127.0.0.1:%u", bench->port);
    snprintf(credits, sizeof credits, "credits=%u", CREDITS);
    snprintf(message, sizeof message, "limits.message_bytes=%u", MESSAGE_BYTES_MAX);
    for (; *devices; devices++)
        sets[count++] = *devices;
    sets[count++] = address;
    sets[count++] = credits;
    sets[count++] = message;
    sets[count++] = "limits.width=640";
    sets[count++] = "limits.height=480";
    sets[count++] = more;
    sets[count] = NULL;
    server_start(&bench->server, &bench->scratch, sets);
    process_expect(&bench->server, "msg=ready\n", 15000);
}

static void join(struct bench *bench)
{
    char reason[200];
    bool welcome = false;
    client_open(&bench->client, &bench->scratch, "edge");
    for (unsigned tries = 0; !welcome && tries < 100; tries++) {
        welcome = client_hello(&bench->client, STREAM, reason, sizeof reason);
        if (!welcome)
            usleep(50000); /* its last session may still be there */
    }
    if (!welcome)
        fail_msg("%s", reason);
}

static double ended(const struct bench *bench, const char *end)
{
    char series[100];
    snprintf(series, sizeof series, "server_probes_total{stream=\"" STREAM "\",end=\"%s\"}", end);
    return metric_now(bench->port, series);
}

static double ended_any(const struct bench *bench)
{
    return metric_now(bench->port, "server_probes_total{stream=\"" STREAM "\"");
}

static void expect_ended(const struct bench *bench, const char *end, double count)
{
    char series[100];
    snprintf(series, sizeof series, "server_probes_total{stream=\"" STREAM "\",end=\"%s\"}", end);
    metric_expect(bench->port, series, count, 20000);
    assert_true(ended(bench, end) == count);
}

/* One frame more, which is answered. Gives its number. */
static uint64_t stream_on(struct bench *bench)
{
    struct client *client = &bench->client;
    struct client_heard heard;
    client_send_frame(client, true, NULL);
    client_wait_answer(client, client->frame - 1, ANSWER_MS, &heard);
    assert_true(heard.answered);
    assert_int_equal(heard.status, RUNESPOOR__ANSWER_STATUS__ANSWER_OK);
    return client->frame - 1;
}

/* A probe of the last frame. */
struct picture_bytes {
    uint64_t frame;
    struct packet *packet;
    const uint8_t *bytes;
    size_t size;
    uint32_t slices;
};

static struct picture_bytes encode(const struct bench *bench, uint32_t width, uint32_t height)
{
    struct picture_bytes probe = { .frame = bench->client.frame - 1 };
    probe.packet = probe_encode(probe.frame, width, height);
    probe.bytes = packet_data(probe.packet, &probe.size);
    probe.slices = probe_slices(probe.size);
    assert_true(probe.slices >= 4);
    return probe;
}

static void send_all(struct bench *bench, const struct picture_bytes *probe)
{
    probe_send_start(&bench->client, probe->frame, RUNG);
    probe_send_slices(&bench->client, probe->frame, probe->bytes, probe->size, 0, probe->slices);
}

static void send_good_probe(struct bench *bench)
{
    struct picture_bytes probe = encode(bench, WIDTH, HEIGHT);
    send_all(bench, &probe);
    packet_unref(&probe.packet);
}

static void send_half_a_probe(struct bench *bench)
{
    struct picture_bytes probe = encode(bench, WIDTH, HEIGHT);
    probe_send_start(&bench->client, probe.frame, RUNG);
    probe_send_slices(&bench->client, probe.frame, probe.bytes, probe.size, 0, probe.slices / 2);
    packet_unref(&probe.packet);
}

static void expect_refused(struct bench *bench, uint64_t frame, const char *reason)
{
    struct receipt receipt = probe_wait_receipt(&bench->client);
    assert_int_equal(receipt.frame, frame);
    assert_string_equal(receipt.refused, reason);
}

/* ---- what a client may get wrong ---- */

static void begin_with_the_second_slice(struct bench *bench)
{
    struct picture_bytes probe = encode(bench, WIDTH, HEIGHT);
    probe_send_start(&bench->client, probe.frame, RUNG);
    probe_send_slice(&bench->client, probe.frame, 1, (uint32_t)probe.size, probe.bytes, SLICE_BYTES);
    expect_refused(bench, probe.frame, "slices");
    packet_unref(&probe.packet);
}

static void leave_a_slice_out(struct bench *bench)
{
    struct picture_bytes probe = encode(bench, WIDTH, HEIGHT);
    probe_send_start(&bench->client, probe.frame, RUNG);
    probe_send_slices(&bench->client, probe.frame, probe.bytes, probe.size, 0, 2);
    probe_send_slice(&bench->client, probe.frame, 3, (uint32_t)probe.size, probe.bytes, SLICE_BYTES);
    expect_refused(bench, probe.frame, "slices");
    /* What was under way before that was known is refused, too, and counts no more. */
    probe_send_slice(&bench->client, probe.frame, 4, (uint32_t)probe.size, probe.bytes, SLICE_BYTES);
    expect_refused(bench, probe.frame, "no_answer");
    packet_unref(&probe.packet);
}

static void say_another_size(struct bench *bench)
{
    struct picture_bytes probe = encode(bench, WIDTH, HEIGHT);
    probe_send_start(&bench->client, probe.frame, RUNG);
    probe_send_slices(&bench->client, probe.frame, probe.bytes, probe.size, 0, 1);
    probe_send_slice(&bench->client, probe.frame, 1, (uint32_t)probe.size + 1, probe.bytes,
                     SLICE_BYTES);
    expect_refused(bench, probe.frame, "slices");
    packet_unref(&probe.packet);
}

static void say_too_large_a_size(struct bench *bench)
{
    static const uint8_t bytes[SLICE_BYTES];
    const uint64_t frame = bench->client.frame - 1;
    probe_send_start(&bench->client, frame, RUNG);
    probe_send_slice(&bench->client, frame, 0, MESSAGE_BYTES_MAX + 1, bytes, sizeof bytes);
    expect_refused(bench, frame, "slices");
}

static void send_more_than_said(struct bench *bench)
{
    static const uint8_t bytes[SLICE_BYTES];
    const uint64_t frame = bench->client.frame - 1;
    probe_send_start(&bench->client, frame, RUNG);
    probe_send_slice(&bench->client, frame, 0, SLICE_BYTES + 100, bytes, sizeof bytes);
    assert_string_equal(probe_wait_receipt(&bench->client).refused, "");
    probe_send_slice(&bench->client, frame, 1, SLICE_BYTES + 100, bytes, 101);
    expect_refused(bench, frame, "slices");
}

static void send_slices_without_a_start(struct bench *bench)
{
    static const uint8_t bytes[SLICE_BYTES];
    const uint64_t frame = bench->client.frame - 1;
    probe_send_slice(&bench->client, frame, 0, 2 * SLICE_BYTES, bytes, sizeof bytes);
    expect_refused(bench, frame, "no_answer");
}

static void start_a_frame_never_sent(struct bench *bench)
{
    probe_send_start(&bench->client, bench->client.frame + 1000, RUNG);
    expect_refused(bench, bench->client.frame + 1000, "no_answer");
}

static void start_a_frame_long_gone(struct bench *bench)
{
    const uint64_t frame = bench->client.frame - 1;
    for (unsigned i = 0; i < RECORDS; i++)
        stream_on(bench);
    probe_send_start(&bench->client, frame, RUNG);
    expect_refused(bench, frame, "no_answer");
}

static void garble(uint8_t *bytes, size_t *size)
{
    for (size_t i = *size / 4; i < *size; i++)
        bytes[i] = (uint8_t)(bytes[i] * 7 + 13);
}

static void start_a_frame_not_analysed(struct bench *bench)
{
    struct client *client = &bench->client;
    struct client_heard heard;
    client_send_frame(client, true, garble);
    client_wait_answer(client, client->frame - 1, ANSWER_MS, &heard);
    assert_true(heard.answered);
    assert_int_equal(heard.status, RUNESPOOR__ANSWER_STATUS__ANSWER_FAILED);
    probe_send_start(client, client->frame - 1, RUNG);
    expect_refused(bench, client->frame - 1, "no_answer");
}

/* Announced before anybody knows what will become of it. */
static void start_a_frame_that_fails_later(struct bench *bench)
{
    struct client *client = &bench->client;
    client_send_frame(client, true, garble);
    probe_send_start(client, client->frame - 1, RUNG);
    expect_refused(bench, client->frame - 1, "no_answer");
}

static void send_garbage(struct bench *bench)
{
    uint8_t bytes[4 * SLICE_BYTES];
    const uint64_t frame = bench->client.frame - 1;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * i * 31 + i / 7);
    probe_send_start(&bench->client, frame, RUNG);
    probe_send_slices(&bench->client, frame, bytes, sizeof bytes, 0, probe_slices(sizeof bytes));
}

static void send_a_garbled_picture(struct bench *bench)
{
    struct picture_bytes probe = encode(bench, WIDTH, HEIGHT);
    uint8_t *bytes = malloc(probe.size);
    assert_non_null(bytes);
    memcpy(bytes, probe.bytes, probe.size);
    garble(bytes, &probe.size);
    probe_send_start(&bench->client, probe.frame, RUNG);
    probe_send_slices(&bench->client, probe.frame, bytes, probe.size, 0, probe.slices);
    free(bytes);
    packet_unref(&probe.packet);
}

static void send_a_smaller_picture(struct bench *bench)
{
    struct picture_bytes probe = encode(bench, WIDTH / 2, HEIGHT / 2);
    send_all(bench, &probe);
    packet_unref(&probe.packet);
}

/* Larger than limits.width. */
static void send_a_picture_too_large(struct bench *bench)
{
    struct picture_bytes probe = encode(bench, 704, 64);
    send_all(bench, &probe);
    packet_unref(&probe.packet);
}

static const struct fault {
    const char *name;
    void (*commit)(struct bench *bench);
    const char *end; /* how it is counted; NULL: not at all, for there is no probe */
} faults[] = {
    { "the second slice first", begin_with_the_second_slice, "slices" },
    { "a slice left out", leave_a_slice_out, "slices" },
    { "another size", say_another_size, "slices" },
    { "too large a size", say_too_large_a_size, "slices" },
    { "more than said", send_more_than_said, "slices" },
    { "slices without a start", send_slices_without_a_start, NULL },
    { "a frame never sent", start_a_frame_never_sent, "no_answer" },
    { "a frame long gone", start_a_frame_long_gone, "no_answer" },
    { "a frame not analysed", start_a_frame_not_analysed, "no_answer" },
    { "a frame that fails later", start_a_frame_that_fails_later, "no_answer" },
    { "garbage", send_garbage, "decoder" },
    { "a garbled picture", send_a_garbled_picture, "decoder" },
    { "a smaller picture", send_a_smaller_picture, "decoder" },
    { "a picture too large", send_a_picture_too_large, "decoder" },
};

/* The fault is counted, and nothing but it; then a frame and a probe as they should be. */
static void commit_fault(struct bench *bench, const struct fault *fault)
{
    double all = ended_any(bench), scored = ended(bench, "scored");
    double same = fault->end ? ended(bench, fault->end) : 0;
    print_message("%s\n", fault->name);
    fault->commit(bench);
    if (fault->end)
        expect_ended(bench, fault->end, same + 1);
    assert_true(ended_any(bench) == all + (fault->end != NULL));
    stream_on(bench);
    send_good_probe(bench);
    expect_ended(bench, "scored", scored + 1);
    assert_true(ended_any(bench) == all + (fault->end != NULL) + 1);
}

static void wrong_probes_harm_nothing_else(void **state)
{
    static struct probe_seen seen[PROBES_MAX];
    const size_t fault_count = sizeof faults / sizeof *faults;
    struct bench *bench = *state;
    struct process agent;
    start(bench, alike, "report_ms=10000");
    agent_start(&agent, &bench->scratch, "agent",
                (const char *const[]){ "cameras.0.source.kind=test", "cameras.0.source.width=160",
                                       "cameras.0.source.height=128", "cameras.0.source.fps=10",
                                       "probes.share=0.5", NULL });
    process_expect(&agent, "msg=streaming", 15000);
    join(bench);
    stream_on(bench);
    for (size_t i = 0; i < fault_count; i++)
        commit_fault(bench, &faults[i]);
    const char *path = scratch_path(&bench->scratch, "server.jsonl");
    size_t count = probes_read(path, STREAM, seen);
    assert_int_equal(count, fault_count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(seen[i].rung, RUNG);
        assert_true(seen[i].probability == 1);
    }

    /* The other stream. */
    metric_expect(bench->port, "server_probes_total{stream=\"cam\",end=\"scored\"}", 3, 20000);
    for (size_t i = 0; i < fault_count; i++) { /* it goes on meanwhile: what was scored is more by now */
        char series[96];
        const char *end = faults[i].end ? faults[i].end : "replaced";
        snprintf(series, sizeof series, "server_probes_total{stream=\"cam\",end=\"%s\"}", end);
        if (strcmp(end, "replaced") != 0) /* one that overtakes its answer, when all is slow */
            assert_true(metric_now(bench->port, series) == 0);
    }
    process_stop_well(&agent);
    /* With two credits frames are left out, too, when the machine is late by two. */
    assert_int_equal(summary_lost(&agent), (int)summary_value(&agent, "dropped_no_credit"));
    client_close(&bench->client);
    process_stop_well(&bench->server);
}

static void a_probe_cut_off_is_replaced(void **state)
{
    struct bench *bench = *state;
    start(bench, alike, "report_ms=10000");
    join(bench);
    stream_on(bench);
    for (unsigned i = 1; i <= 2; i++) {
        send_half_a_probe(bench);
        stream_on(bench);
        send_good_probe(bench);
        expect_ended(bench, "scored", i);
        expect_ended(bench, "replaced", i);
        assert_true(ended_any(bench) == 2 * i);
    }
    client_close(&bench->client);
    process_stop_well(&bench->server);
}

/* ---- ends ---- */

static void expect_stream_ended(struct bench *bench, size_t times)
{
    for (unsigned i = 0; i < 1000 && process_count(&bench->server, "msg=\"stream ended\"") < times;
         i++)
        usleep(20000);
    assert_int_equal(process_count(&bench->server, "msg=\"stream ended\""), times);
}

/* By a Bye in the middle of a probe, without a word, and by a Bye while the golden model is at work. What
 * became of them is there to be seen once the stream is back. */
static void sessions_end_in_the_middle(void **state)
{
    struct bench *bench = *state;
    start(bench, slow_golden, "report_ms=1000");
    join(bench);
    stream_on(bench);
    send_half_a_probe(bench);
    probe_send_bye(&bench->client);
    expect_stream_ended(bench, 1);
    client_close(&bench->client);

    join(bench);
    stream_on(bench); /* by the slow worker, whose speed is not known yet */
    send_half_a_probe(bench);
    client_close(&bench->client);
    expect_stream_ended(bench, 2);

    join(bench);
    stream_on(bench);
    send_good_probe(bench);
    probe_send_bye(&bench->client);
    expect_stream_ended(bench, 3);
    client_close(&bench->client);

    join(bench);
    assert_true(ended(bench, "stream_ended") == 3);
    assert_true(ended_any(bench) == 3);
    stream_on(bench);
    send_good_probe(bench);
    expect_ended(bench, "scored", 1);
    client_close(&bench->client);
    process_stop_well(&bench->server);
}

/* Frames as an agent would send them, for so long. */
static void stream_for_ms(struct bench *bench, uint32_t ms)
{
    uint64_t end_ns = clock_now_ns() + ms * CLOCK_NS_PER_MS;
    while (clock_now_ns() < end_ns) {
        stream_on(bench);
        usleep(50000);
    }
}

/* Kills the golden model's worker, which is at work, and waits until it is there again. */
static void kill_golden(struct bench *bench)
{
    size_t starts = process_count(&bench->server, "msg=ready worker=golden");
    assert_int_equal(kill(worker_pid(&bench->server, "golden"), SIGKILL), 0);
    for (unsigned i = 0;
         i < 1000 && process_count(&bench->server, "msg=ready worker=golden") == starts; i++)
        usleep(10000);
    assert_int_equal(process_count(&bench->server, "msg=ready worker=golden"), starts + 1);
}

static void expect_all_answered(struct bench *bench)
{
    struct answer_counts counts;
    answers_count(scratch_path(&bench->scratch, "server.jsonl"), STREAM, &counts);
    assert_int_equal(counts.lines, bench->client.frame);
    assert_int_equal(counts.ok, bench->client.frame);
}

static void another_worker_takes_a_killed_ones_probe(void **state)
{
    struct bench *bench = *state;
    start(bench, slow_golden, "report_ms=10000");
    join(bench);
    stream_for_ms(bench, 500);
    send_good_probe(bench);
    stream_for_ms(bench, AT_WORK_MS);
    assert_true(ended_any(bench) == 0);
    kill_golden(bench);
    stream_for_ms(bench, 500);
    expect_ended(bench, "scored", 1);
    assert_true(ended_any(bench) == 1);
    client_close(&bench->client);
    process_stop_well(&bench->server);
    expect_all_answered(bench);
}

/* There is none other. */
static void a_probe_that_two_workers_were_lost_over_is_given_up(void **state)
{
    struct bench *bench = *state;
    start(bench, only_slow, "report_ms=10000");
    join(bench);
    stream_on(bench);
    send_good_probe(bench);
    for (unsigned i = 0; i < 2; i++) {
        usleep(AT_WORK_MS * 1000);
        assert_true(metric_now(bench->port, IDLE_QUEUE) == 0);
        assert_true(ended_any(bench) == 0);
        kill_golden(bench);
    }
    expect_ended(bench, "golden_failed", 1);
    assert_true(ended_any(bench) == 1);
    stream_on(bench);
    client_close(&bench->client);
    process_stop_well(&bench->server);
    expect_all_answered(bench);
}

/* Slices count as the stream's packets do. */
static void a_key_is_held_to_its_bitrate(void **state)
{
    struct bench *bench = *state;
    start(bench, alike, "limits.bitrate_kbps=300");
    join(bench);
    stream_on(bench);
    send_good_probe(bench);
    expect_ended(bench, "scored", 1);
    struct picture_bytes probe = encode(bench, WIDTH, HEIGHT);
    struct receipt receipt = { .refused = "" };
    for (unsigned round = 0; round < 20 && !receipt.refused[0]; round++) {
        probe_send_start(&bench->client, probe.frame, RUNG);
        for (uint32_t i = 0; i < probe.slices - 1 && !receipt.refused[0]; i++) {
            probe_send_slice(&bench->client, probe.frame, i, (uint32_t)probe.size, probe.bytes,
                             SLICE_BYTES);
            receipt = probe_wait_receipt(&bench->client);
        }
    }
    assert_string_equal(receipt.refused, "slices");
    expect_ended(bench, "slices", 1);
    packet_unref(&probe.packet);
    client_close(&bench->client);
    process_stop_well(&bench->server);
}

/* A detector's boxes cannot be held against a segmenter's areas; the stream does not mind. */
static void a_golden_model_of_another_kind_tells_nothing(void **state)
{
    static const char *const models[] = { "pool.devices.0.kind=cpu",
                                          "pool.devices.0.threads=1",
                                          "pool.devices.1.kind=cpu",
                                          "pool.devices.1.threads=1",
                                          "models.0.name=street_det",
                                          "models.0.folder=models/street_det",
                                          "models.0.golden=areas",
                                          "models.1.name=areas",
                                          "models.1.folder=models/camvid_segment",
                                          NULL };
    struct bench *bench = *state;
    start(bench, models, "report_ms=10000");
    join(bench);
    for (unsigned i = 0; i < 2; i++) {
        stream_on(bench);
        send_good_probe(bench);
        expect_ended(bench, "no_comparison", i + 1);
    }
    assert_true(ended_any(bench) == 2);
    stream_on(bench);
    client_close(&bench->client);
    process_stop_well(&bench->server);
    expect_all_answered(bench);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wrong_probes_harm_nothing_else),
        TEST(a_probe_cut_off_is_replaced),
        TEST(sessions_end_in_the_middle),
        TEST(another_worker_takes_a_killed_ones_probe),
        TEST(a_probe_that_two_workers_were_lost_over_is_given_up),
        TEST(a_key_is_held_to_its_bitrate),
        TEST(a_golden_model_of_another_kind_tells_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
