/* camera, live: a real sender on loopback that is not there yet, goes away, comes back with other pictures;
 * and ports where nobody, or nobody useful, listens. The stream's session lives through all of it. */
#include "stream_rig.h"

#include "../media/clip_maker.h"
#include <malloc.h>
#include <poll.h>

static char url[64];
static struct clip_sender sender;
static const struct clip_config small_clip = {
    .width = 128, .height = 96, .fps = 50, .keyframe_every = 10
};

static void configure(int kind)
{
    rig.config.source = (struct source_config){
        .kind = kind,
        .path = (char *)"",
        .url = url,
        .password_file = (char *)"",
        .first_frame_ms = 2000,
        .stall_ms = 1000,
        .retry_first_ms = 20,
        .retry_cap_ms = 100,
    };
    rig.config.pace = PACE_REALTIME;
    rig.answer_at_once = true;
}

static uint64_t camera_state(void)
{
    return loop_bench_count(&bench, "edge_camera_state", NULL);
}

static uint64_t losses(const char *cause)
{
    return loop_bench_count(&bench, "edge_camera_losses_total", cause);
}

struct count {
    const char *cause;
    uint64_t least;
};

static bool has_losses(void *arg)
{
    const struct count *count = arg;
    while (rig.answer_next < rig.frame_count)
        answer_next();
    return losses(count->cause) >= count->least;
}

static void wait_losses(const char *cause, uint64_t least)
{
    loop_bench_turn(&bench, has_losses, &(struct count){ cause, least }, 4 * WAIT_MS);
}

static bool has_size(void *arg)
{
    const uint32_t *width = arg;
    while (rig.answer_next < rig.frame_count)
        answer_next();
    return rig.frame_count > 0 && rig.frames[rig.frame_count - 1].camera_width == *width;
}

/* A frame of a camera this wide has come, and the first of them was an IDR. */
static void wait_size(uint32_t width, uint32_t height)
{
    size_t first = 0;
    loop_bench_turn(&bench, has_size, &width, 4 * WAIT_MS);
    while (rig.frames[first].camera_width != width)
        first++;
    assert_true(rig.frames[first].idr);
    assert_int_equal(rig.frames[first].camera_height, height);
    assert_int_equal(rig.frames[first].width, width);
    assert_int_equal(rig.frames[first].height, height);
}

static void expect_ready(bool expected, const char *words)
{
    char reason[ERROR_TEXT_BYTES] = "";
    assert_int_equal(stream_ready(rig.stream, reason, sizeof reason), expected);
    if (!strstr(reason, words))
        fail_msg("%s", reason);
}

static void a_camera_comes_late(void **state)
{
    (void)state;
    uint16_t port = clip_free_port(SOCK_DGRAM);
    snprintf(url, sizeof url, "udp://127.0.0.1:%u", port);
    configure(SOURCE_MPEGTS);
    rig.config.source.first_frame_ms = 1000;
    stream_begin();
    link_up();
    assert_int_equal(rig.hello_width, 0);
    welcome(4);
    expect_ready(false, "camera gate: no picture yet");
    wait_losses("first_frame", 2);
    expect_ready(false, "no picture within 1000 ms (first_frame_ms)");
    assert_true(camera_state() < 2);
    assert_int_equal(rig.frame_count, 0);
    clip_sender_start(&sender, port, &small_clip);
    wait_size(128, 96);
    wait_frames(20);
    assert_int_equal(camera_state(), 2);
    assert_int_equal(loop_bench_count(&bench, "edge_camera_next_try_seconds", NULL), 0);
    assert_int_equal(loop_bench_count(&bench, "edge_camera_tries_total", NULL), losses(NULL) + 1);
    expect_ready(true, "");
    assert_int_equal(rig.hellos, 1);
    stream_stop(rig.stream);
    wait_finished();
    assert_int_equal(rig.end.code, ERROR_NONE);
    expect_one_fate_each();
    clip_sender_stop(&sender);
}

static void a_camera_goes_and_comes_back_with_other_pictures(void **state)
{
    (void)state;
    uint16_t port = clip_free_port(SOCK_DGRAM);
    struct clip_config other = small_clip;
    snprintf(url, sizeof url, "udp://127.0.0.1:%u", port);
    configure(SOURCE_MPEGTS);
    stream_begin();
    link_up();
    welcome(4);
    clip_sender_start(&sender, port, &small_clip);
    wait_size(128, 96);
    atomic_store(&sender.height, 160); /* while it is up */
    atomic_store(&sender.width, 192);
    wait_size(192, 160);
    clip_sender_stop(&sender);
    wait_losses("stall", 1);
    expect_ready(false, "camera gate: udp://127.0.0.1:");
    expect_ready(false, "no picture for 1000 ms (stall_ms)");
    other.width = 256;
    other.height = 144;
    clip_sender_start(&sender, port, &other);
    wait_size(256, 144);
    assert_int_equal(camera_state(), 2);
    clip_sender_stop(&sender);
    other.codec = "mpeg2video"; /* before it could stall */
    other.width = 160;
    clip_sender_start(&sender, port, &other);
    wait_size(160, 144);
    assert_int_equal(rig.hellos, 1);
    assert_int_equal(rig.byes, 0);
    link_down(); /* and the server's going does not touch the camera */
    link_up();
    assert_int_equal(rig.hello_width, 160);
    welcome(4);
    wait_frames(rig.frame_count + 5);
    stream_stop(rig.stream);
    wait_finished();
    expect_one_fate_each();
    clip_sender_stop(&sender);
}

/* ---- ports ---- */

static struct {
    int fd;
    atomic_bool stop;
    pthread_t thread;
} listener;

/* Every other caller is hung up on with a reset. */
static void *hang_up(void *arg)
{
    const struct linger reset = { .l_onoff = 1 };
    struct pollfd readable = { .fd = listener.fd, .events = POLLIN };
    (void)arg;
    for (unsigned i = 0; !atomic_load(&listener.stop); i++) {
        if (poll(&readable, 1, 20) <= 0)
            continue;
        int fd = accept(listener.fd, NULL, NULL);
        if (i % 2)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
    }
    return NULL;
}

static void listen_and_hang_up(uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const int on = 1;
    listener.fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(listener.fd >= 0);
    setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind(listener.fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener.fd, 8), 0);
    atomic_store(&listener.stop, false);
    assert_int_equal(pthread_create(&listener.thread, NULL, hang_up, NULL), 0);
}

static void stop_listening(void)
{
    atomic_store(&listener.stop, true);
    pthread_join(listener.thread, NULL);
    close(listener.fd);
}

static void nobody_listens_and_then_somebody(void **state)
{
    (void)state;
    uint16_t port = clip_free_port(SOCK_STREAM);
    snprintf(url, sizeof url, "rtsp://user@127.0.0.1:%u/yard", port);
    configure(SOURCE_RTSP);
    stream_begin();
    link_up();
    welcome(4);
    wait_losses("unreachable", 3);
    expect_ready(false, "camera gate: rtsp://***@127.0.0.1:");
    expect_ready(false, "Connection refused");
    assert_int_equal(losses(NULL), losses("unreachable"));
    listen_and_hang_up(port);
    wait_losses("closed", 2);
    assert_int_equal(rig.finished, 0); /* never given up */
    uint64_t begun_ns = clock_now_ns();
    stream_stop(rig.stream);
    wait_finished();
    assert_true(clock_now_ns() - begun_ns < WAIT_MS / 2 * CLOCK_NS_PER_MS);
    stop_listening();
}

static size_t held(void)
{
    return mallinfo2().uordblks + mallinfo2().hblkhd;
}

static size_t resident(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*u %zu", &pages), 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void five_hundred_tries_keep_nothing(void **state)
{
    (void)state;
    uint16_t port = clip_free_port(SOCK_STREAM);
    snprintf(url, sizeof url, "rtsp://127.0.0.1:%u/yard", port);
    configure(SOURCE_RTSP);
    rig.config.source.retry_first_ms = rig.config.source.retry_cap_ms = 1;
    listen_and_hang_up(port);
    stream_begin();
    wait_losses(NULL, 100);
    size_t held_before = held(), resident_before = resident();
    wait_losses(NULL, 600);
    size_t held_after = held(), resident_after = resident();
    printf("held after 100 tries: %zu, after 600: %zu; resident: %zu, %zu\n", held_before,
           held_after, resident_before, resident_after);
    assert_true(held_after < held_before + 200000);                 /* one try that is under way */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they keep what was freed */
    assert_true(resident_after < resident_before + (2u << 20));
#endif
    stop_listening();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_camera_comes_late),
        TEST(a_camera_goes_and_comes_back_with_other_pictures),
        TEST(nobody_listens_and_then_somebody),
        TEST(five_hundred_tries_keep_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
