/* pool_bench: how much of its workers' speed cloud-server makes use of, and what becomes of frames
 * when workers fail. The real server runs with worker processes that take 1, 2 and 4 units for a
 * picture (simulated devices). Four streams of real H.264 come over CURVE, each as fast as its
 * credits allow, which is more than the workers can do. Every answer is compared with what the
 * pixels of that very frame give, decoded here a second time.
 *
 *   efficiency   answers per second over the sum of the workers' speeds
 *   round_robin  the same when pictures go to the workers strictly in turn
 *   lost         frames that got no answer or one without an analysis, while one worker is stopped
 *                (SIGSTOP) and another one killed (SIGKILL)
 *   reordered    answers that were not of their stream's next frame
 *
 * Exit status 1 when a worker does not come back, or an answer is wrong, lost or out of order. */
#include "client.h"

#include "base/clock.h"
#include "devices/runner.h"
#include "media/decode.h"
#include "media/encode.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#define WORKERS 3u
#define UNIT_MS 20u
#define CREDITS 8u /* frames of a stream in flight; all of them may wait for a worker */
#define STREAMS 4u
#define CLIP_FRAMES 60u /* sent again and again; the first one is an IDR */
#define WARM_MS 1000u
#define MEASURE_MS 12000u
#define AFTER_MS 4000u
#define HANG_MS 1000u
#define DRAIN_MS 5000u
#define BACK_MS 10000u /* a failed worker serves again within this, or the bench fails */

static const struct {
    const char *name;
    uint32_t units; /* for a picture */
} workers[WORKERS] = { { "one", 1 }, { "two", 2 }, { "four", 4 } };

struct stream {
    struct client client;
    struct packet *packets[CLIP_FRAMES];
    struct analysis_object expected[CLIP_FRAMES];
    uint64_t answered;         /* frames 0 … answered - 1 are; the next one has to be this */
    uint64_t sent_ns[CREDITS]; /* of frames in flight, by number % CREDITS */
};

struct bench {
    struct scratch scratch;
    struct process server;
    struct stream streams[STREAMS];
    bool sending;
    uint64_t done, lost, reordered, wrong;
    double age_max_ms;
};

static struct bench bench;

static void give_up(const char *what)
{
    fprintf(stderr, "pool_bench: %s; the server's log is %s\n", what, bench.server.log);
    process_stop(&bench.server);
    exit(1);
}

/* Quadrants whose brightness tells stream and frame, far enough apart for the codec. */
static void paint(struct picture *picture, uint32_t stream, uint32_t number)
{
    struct picture_view view;
    picture_get_view(picture, &view);
    const uint8_t value[4] = { (uint8_t)(30 + 3 * number), (uint8_t)(30 + 40 * stream),
                               (uint8_t)(210 - 3 * number), (uint8_t)(40 + 20 * (number % 8)) };
    for (uint32_t y = 0; y < view.height; y++)
        for (uint32_t x = 0; x < view.width; x++)
            view.plane[0][y * view.stride[0] + x] =
                value[(y >= view.height / 2 ? 2 : 0) + (x >= view.width / 2 ? 1 : 0)];
    for (int plane = 1; plane < 3; plane++)
        for (uint32_t y = 0; y < view.height / 2; y++)
            memset(view.plane[plane] + y * view.stride[plane], 128, view.width / 2);
}

/* The stream's clip, and what has to be found in each of its frames. */
static void make_clip(struct stream *stream, uint32_t index)
{
    static struct analysis analysis;
    const struct decoder_config config = {
        .codec = VIDEO_H264, .width_max = 4096, .height_max = 4096, .pictures = 2
    };
    struct decoder *decoder;
    struct error err;
    int failed = decoder_open(&decoder, &config, &err);
    for (uint32_t i = 0; i < CLIP_FRAMES && !failed; i++) {
        struct picture *picture;
        struct picture_view view;
        size_t size;
        paint(stream->client.picture, index, i);
        failed = encoder_encode(stream->client.encoder, stream->client.picture, i, i == 0,
                                &stream->packets[i], &err);
        if (failed)
            break;
        const uint8_t *bytes = packet_data(stream->packets[i], &size);
        failed = decoder_decode(decoder, bytes, size, i == 0, &picture, &err);
        if (failed)
            break;
        picture_get_view(picture, &view);
        simulated_analyse(&view, &analysis);
        stream->expected[i] = analysis.objects[0];
        picture_unref(&picture);
    }
    if (failed)
        give_up(err.text);
    decoder_close(&decoder);
}

static void send_next(struct stream *stream)
{
    struct client *client = &stream->client;
    const struct packet *packet = stream->packets[client->frame % CLIP_FRAMES];
    struct picture_view view;
    size_t size;
    picture_get_view(client->picture, &view);
    Runespoor__Packet message = RUNESPOOR__PACKET__INIT;
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    message.session = client->session;
    message.frame = client->frame++;
    message.sequence = client->sequence++;
    message.capture_ns = clock_now_ns();
    message.capture_unix_us = clock_wall_us();
    message.codec = RUNESPOOR__CODEC__CODEC_H264;
    message.keyframe = packet_is_keyframe(packet);
    message.width = message.camera_width = view.width;
    message.height = message.camera_height = view.height;
    header.kind_case = RUNESPOOR__HEADER__KIND_PACKET;
    header.packet = &message;
    stream->sent_ns[message.frame % CREDITS] = message.capture_ns;
    const uint8_t *bytes = packet_data(packet, &size);
    client_send(client, &header, bytes, size);
}

static bool differs(float a, float b)
{
    return fabsf(a - b) > 0.01f;
}

static void take_answer(struct stream *stream, const Runespoor__Answer *answer)
{
    bench.reordered += answer->frame != stream->answered;
    stream->answered++;
    double age_ms = (double)(clock_now_ns() - stream->sent_ns[answer->frame % CREDITS]) / 1e6;
    if (age_ms > bench.age_max_ms)
        bench.age_max_ms = age_ms;
    if (answer->status != RUNESPOOR__ANSWER_STATUS__ANSWER_OK) {
        bench.lost++;
        return;
    }
    bench.done++;
    const struct analysis_object *expected = &stream->expected[answer->frame % CLIP_FRAMES];
    const Runespoor__Object *found = answer->n_objects == 1 ? answer->objects[0] : NULL;
    bench.wrong += !found || found->class_id != expected->class_id ||
                   differs(found->confidence, expected->confidence) ||
                   differs(found->x, expected->x) || differs(found->y, expected->y) ||
                   differs(found->width, expected->width) ||
                   differs(found->height, expected->height);
}

/* Sends what the credits allow, and takes what has come within a few milliseconds. */
static void turn(void)
{
    zmq_pollitem_t items[STREAMS];
    for (uint32_t i = 0; i < STREAMS; i++) {
        struct stream *stream = &bench.streams[i];
        while (bench.sending && stream->client.frame - stream->answered < CREDITS)
            send_next(stream);
        items[i] = (zmq_pollitem_t){ .socket = stream->client.socket, .events = ZMQ_POLLIN };
    }
    if (zmq_poll(items, STREAMS, 5) <= 0)
        return;
    for (uint32_t i = 0; i < STREAMS; i++) {
        if (!(items[i].revents & ZMQ_POLLIN))
            continue;
        Runespoor__Header *header = client_receive(&bench.streams[i].client, 5);
        if (header && header->kind_case == RUNESPOOR__HEADER__KIND_ANSWER)
            take_answer(&bench.streams[i], header->answer);
        wire_free(&header);
    }
}

static void turn_for(uint32_t ms)
{
    uint64_t until_ns = clock_now_ns() + ms * CLOCK_NS_PER_MS;
    while (clock_now_ns() < until_ns)
        turn();
}

/* Answers in ms milliseconds over what the workers could give. */
static double measure(uint32_t ms)
{
    uint64_t before = bench.done, begun_ns = clock_now_ns();
    turn_for(ms);
    double seconds = (double)(clock_now_ns() - begun_ns) / CLOCK_NS_PER_S;
    double sum = 0;
    for (size_t i = 0; i < WORKERS; i++)
        sum += 1000.0 / (workers[i].units * UNIT_MS);
    return (double)(bench.done - before) / seconds / sum;
}

static const char *ready_text(size_t worker)
{
    static char text[64];
    snprintf(text, sizeof text, "msg=ready worker=%s pid=", workers[worker].name);
    return text;
}

static void open_bench(bool in_turn)
{
    memset(&bench, 0, sizeof bench);
    scratch_make(&bench.scratch);
    char sets[16][64];
    const char *list[17] = { NULL };
    size_t count = 0;
#define SET(...) snprintf(sets[count++], sizeof sets[0], __VA_ARGS__)
    SET("model=any");
    SET("models.0.name=any");
    SET("models.0.folder=/nowhere"); /* a simulated device reads none */
    for (uint32_t i = 0; i < WORKERS; i++) {
        SET("pool.devices.%u.name=%s", i, workers[i].name);
        SET("pool.devices.%u.kind=simulated", i);
        SET("pool.devices.%u.service_ms=%u", i, workers[i].units * UNIT_MS);
    }
    SET("pool.hang_ms=%u", HANG_MS);
    SET("pool.queue_per_stream=%u", CREDITS);
    SET("pool.round_robin=%s", in_turn ? "true" : "false");
    SET("credits=%u", CREDITS);
#undef SET
    for (size_t i = 0; i < count; i++)
        list[i] = sets[i];
    server_start(&bench.server, &bench.scratch, list);
    for (size_t i = 0; i < WORKERS; i++)
        process_expect(&bench.server, ready_text(i), 10000);
    for (uint32_t i = 0; i < STREAMS; i++) {
        struct client *client = &bench.streams[i].client;
        char name[16], reason[256];
        snprintf(name, sizeof name, "stream-%u", i);
        client_open(client, &bench.scratch, "edge");
        if (!client_hello(client, name, reason, sizeof reason))
            give_up(reason);
        if (client->credits != CREDITS)
            give_up("the server gives other credits");
        make_clip(&bench.streams[i], i);
    }
    bench.sending = true;
    turn_for(WARM_MS);
}

static uint64_t in_flight(void)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < STREAMS; i++)
        sum += bench.streams[i].client.frame - bench.streams[i].answered;
    return sum;
}

/* What is in flight is waited for; what does not come is lost. */
static void close_bench(void)
{
    bench.sending = false;
    uint64_t until_ns = clock_now_ns() + DRAIN_MS * CLOCK_NS_PER_MS;
    while (in_flight() > 0 && clock_now_ns() < until_ns)
        turn();
    bench.lost += in_flight();
    for (uint32_t i = 0; i < STREAMS; i++) {
        struct stream *stream = &bench.streams[i];
        for (uint32_t j = 0; j < CLIP_FRAMES; j++)
            packet_unref(&stream->packets[j]);
        client_close(&stream->client);
    }
    if (process_stop(&bench.server) != 0)
        give_up("the server does not end well");
    scratch_remove(&bench.scratch);
}

static double run_whole(bool in_turn, uint64_t *reordered)
{
    open_bench(in_turn);
    double efficiency = measure(MEASURE_MS);
    close_bench();
    printf("%s: %.3f of the sum, oldest answer %.0f ms, %llu answers\n",
           in_turn ? "in turn" : "first free", efficiency, bench.age_max_ms,
           (unsigned long long)bench.done);
    if (bench.wrong || bench.lost)
        give_up("answers are wrong or lost without a fault");
    *reordered += bench.reordered;
    return efficiency;
}

/* The process of a worker, as the server's log names it. */
static pid_t find_pid(size_t worker)
{
    char line[1024];
    const char *text = ready_text(worker);
    pid_t pid = 0;
    FILE *log = fopen(bench.server.log, "r");
    while (log && fgets(line, sizeof line, log)) {
        const char *found = strstr(line, text);
        if (found)
            pid = (pid_t)strtol(found + strlen(text), NULL, 10);
    }
    if (log)
        fclose(log);
    if (pid <= 1)
        give_up("no worker's process in the log");
    return pid;
}

/* The fastest worker is stopped and the second killed; both have to serve again. */
static void run_with_faults(uint64_t *lost, uint64_t *reordered)
{
    open_bench(false);
    double back_ms[2] = { 0, 0 };
    pid_t stopped = find_pid(0), killed = find_pid(1);
    uint64_t begun_ns = clock_now_ns();
    kill(stopped, SIGSTOP);
    kill(killed, SIGKILL);
    while (back_ms[0] == 0 || back_ms[1] == 0) {
        turn();
        double now_ms = (double)(clock_now_ns() - begun_ns) / CLOCK_NS_PER_MS;
        if (now_ms > BACK_MS)
            give_up("a worker does not come back");
        for (size_t i = 0; i < 2; i++)
            if (back_ms[i] == 0 && process_count(&bench.server, ready_text(i)) == 2)
                back_ms[i] = now_ms;
    }
    double after = measure(AFTER_MS);
    close_bench();
    printf("faults: the stopped worker was back in %.0f ms (hang_ms is %u), the killed one in %.0f "
           "ms, oldest answer %.0f ms, then %.3f of the sum\n",
           back_ms[0], HANG_MS, back_ms[1], bench.age_max_ms, after);
    if (bench.wrong)
        give_up("answers are wrong");
    *lost = bench.lost;
    *reordered += bench.reordered;
}

int main(void)
{
    uint64_t lost = 0, reordered = 0;
    double efficiency = run_whole(false, &reordered);
    double in_turn = run_whole(true, &reordered);
    run_with_faults(&lost, &reordered);
    printf("pool: efficiency=%.3f round_robin=%.3f lost=%llu reordered=%llu\n", efficiency, in_turn,
           (unsigned long long)lost, (unsigned long long)reordered);
    return lost == 0 && reordered == 0 ? 0 : 1;
}
