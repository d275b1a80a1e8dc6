/* Proves that live sources, against real senders on loopback, give their pictures in order (B-frames
 * too), follow a change of size, and end in time, by cause, when there is nothing, when it stops, when
 * bytes come that are no pictures, when a camera says no, and when they are told to; that no login gets
 * into a message; and that opening again and again keeps nothing. */
#include "clip_maker.h"

#include "base/log.h"
#include "media/source.h"
#include <fcntl.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SECRET "p@ss:w/rd%1"
/* user:p@ss:w/rd%1 in Base64 */
#define SECRET_BASIC "dXNlcjpwQHNzOncvcmQlMQ=="
/* Nothing here takes this long but on a machine that stands still. */
#define PATIENCE_MS 20000u

static atomic_bool stop;
static struct source_watch watch;
static char url[160];

static int reset(void **state)
{
    (void)state;
    atomic_store(&stop, false);
    watch = (struct source_watch){ .stop = &stop };
    return log_configure("error", NULL);
}

static struct source_config live_config(int kind)
{
    return (struct source_config){
        .kind = kind,
        .path = (char *)"",
        .url = url,
        .password_file = (char *)"",
        .width = 320,
        .height = 240,
        .fps = 10,
        .first_frame_ms = PATIENCE_MS,
        .stall_ms = PATIENCE_MS,
        .retry_first_ms = 10,
        .retry_cap_ms = 10,
    };
}

static struct source_config ts_config(uint16_t port)
{
    snprintf(url, sizeof url, "udp://127.0.0.1:%u", port);
    return live_config(SOURCE_MPEGTS);
}

/* Fails to open, for this cause. */
static void refuse(const struct source_config *config, enum source_cause cause,
                   enum error_code code, const char *words)
{
    struct error err;
    struct source *source = NULL;
    int rc = source_open_live(&source, config, &watch, &err);
    assert_null(source);
    if (rc != -(int)code || !strstr(err.text, words) || watch.cause != cause)
        fail_msg("%d, %s: %s", rc, source_cause_words[watch.cause], err.text);
    assert_null(strstr(err.text, "p@ss"));
    assert_null(strstr(err.text, "p%40ss"));
    assert_null(strstr(err.text, SECRET_BASIC));
}

/* ---- MPEG-TS over UDP ---- */

static const struct clip_config small_clip = {
    .width = 128, .height = 96, .fps = 50, .keyframe_every = 10
};

static unsigned number_of(const struct picture *picture)
{
    struct picture_view view;
    picture_get_view(picture, &view);
    size_t middle = (size_t)(view.height / 2) * view.stride[0] + view.width / 2;
    double grey = (view.plane[0][middle] - 16) * 255 / 219.0;
    return (unsigned)((grey - 20) / 14 + 0.5);
}

static void pictures_come_in_order(void **state)
{
    (void)state;
    struct clip_sender sender;
    struct clip_config clip = small_clip;
    struct source *source = NULL;
    struct source_info info;
    struct error err;
    uint16_t port = clip_free_port(SOCK_DGRAM);
    clip.b_frames = 2;
    clip_sender_start(&sender, port, &clip);
    const struct source_config config = ts_config(port);
    assert_ok(source_open_live(&source, &config, &watch, &err), &err);
    source_get_info(source, &info);
    assert_string_equal(info.description, "h264 128x96 50 fps");
    unsigned last = 0;
    uint64_t last_ns = 0;
    for (unsigned i = 0; i < 60; i++) {
        struct picture *picture = NULL;
        uint64_t time_ns;
        assert_ok(source_next(source, &picture, &time_ns, &err), &err);
        unsigned number = number_of(picture);
        if (i > 0) {
            assert_int_equal(number, (last + 1) % 16);
            assert_int_equal((time_ns - last_ns + 500000) / 1000000, 20);
        }
        last = number;
        last_ns = time_ns;
        picture_unref(&picture);
    }
    assert_int_equal(source_skipped(source), 0);
    source_close(&source);
    clip_sender_stop(&sender);
}

static void pictures_change_their_size(void **state)
{
    (void)state;
    struct clip_sender sender;
    struct source *source = NULL;
    struct source_info info;
    struct error err;
    uint16_t port = clip_free_port(SOCK_DGRAM);
    clip_sender_start(&sender, port, &small_clip);
    const struct source_config config = ts_config(port);
    assert_ok(source_open_live(&source, &config, &watch, &err), &err);
    atomic_store(&sender.height, 160);
    atomic_store(&sender.width, 256);
    unsigned seen = 0;
    for (unsigned i = 0; seen < 5; i++) {
        struct picture *picture = NULL;
        struct picture_view view;
        uint64_t time_ns;
        assert_true(i < 500);
        assert_ok(source_next(source, &picture, &time_ns, &err), &err);
        picture_get_view(picture, &view);
        source_get_info(source, &info);
        assert_int_equal(view.width, info.width);
        assert_int_equal(view.height, info.height);
        seen += view.width == 256 && view.height == 160;
        picture_unref(&picture);
    }
    assert_string_equal(info.description, "h264 256x160 50 fps");
    source_close(&source);
    clip_sender_stop(&sender);
}

static void nobody_sends(void **state)
{
    (void)state;
    struct source_config config = ts_config(clip_free_port(SOCK_DGRAM));
    config.first_frame_ms = 300;
    refuse(&config, SOURCE_CAUSE_FIRST_FRAME, ERROR_TIMEOUT,
           "no picture within 300 ms (first_frame_ms)");
}

/* until: the sender stops, or sends what is no picture. */
static void stall(bool silent)
{
    struct clip_sender sender;
    struct source *source = NULL;
    struct error err;
    uint16_t port = clip_free_port(SOCK_DGRAM);
    clip_sender_start(&sender, port, &small_clip);
    struct source_config config = ts_config(port);
    config.stall_ms = 500;
    assert_ok(source_open_live(&source, &config, &watch, &err), &err);
    if (silent)
        atomic_store(&sender.silent, true);
    else
        clip_sender_stop(&sender);
    int rc = 0;
    uint64_t begun_ns = clock_now_ns(), time_ns;
    for (unsigned i = 0; rc == 0; i++) {
        struct picture *picture = NULL;
        assert_true(i < 200);
        rc = source_next(source, &picture, &time_ns, &err);
        picture_unref(&picture);
    }
    if (rc != -(int)ERROR_TIMEOUT)
        fail_msg("%d: %s", rc, err.text);
    assert_int_equal(watch.cause, SOURCE_CAUSE_STALL);
    assert_non_null(strstr(err.text, "no picture for 500 ms (stall_ms)"));
    assert_true(clock_now_ns() - begun_ns >= 500 * CLOCK_NS_PER_MS);
    source_close(&source);
    if (silent)
        clip_sender_stop(&sender);
}

static void a_sender_stops(void **state)
{
    (void)state;
    stall(false);
}

static void bytes_without_pictures_are_a_stall(void **state)
{
    (void)state;
    stall(true);
}

/* ---- cameras that are none: an RTSP side in a few words ---- */

enum manner { SILENT, CLOSES, UNAUTHORIZED, NOT_FOUND, BABBLES };

static struct {
    int listener;
    pthread_t thread;
    atomic_bool stop;
    enum manner manner;
    atomic_int connections;
    char asked[4096]; /* the last request */
} camera;

static void reply(int fd)
{
    char text[200];
    const char *sequence = strstr(camera.asked, "CSeq: ");
    int number = sequence ? atoi(sequence + strlen("CSeq: ")) : 0;
    const char *status = camera.manner == UNAUTHORIZED ? "401 Unauthorized" : "404 Not Found";
    int size =
        snprintf(text, sizeof text, "RTSP/1.0 %s\r\nCSeq: %d\r\n%s\r\n",
                 strstr(camera.asked, "OPTIONS ") == camera.asked ? "200 OK" : status, number,
                 camera.manner == UNAUTHORIZED ? "WWW-Authenticate: Basic realm=\"yard\"\r\n" : "");
    (void)!write(fd, text, (size_t)size);
}

static void serve(int fd)
{
    struct pollfd readable = { .fd = fd, .events = POLLIN };
    static const char noise[] = "SSH-2.0-babble_1\r\n\r\n\r\n";
    if (camera.manner == BABBLES)
        (void)!write(fd, noise, sizeof noise - 1);
    while (camera.manner != CLOSES && !atomic_load(&camera.stop)) {
        if (poll(&readable, 1, 20) <= 0)
            continue;
        ssize_t size = read(fd, camera.asked, sizeof camera.asked - 1);
        if (size <= 0)
            break;
        camera.asked[size] = '\0';
        if (camera.manner == UNAUTHORIZED || camera.manner == NOT_FOUND)
            reply(fd);
    }
    close(fd);
}

static void *run_camera(void *arg)
{
    (void)arg;
    while (!atomic_load(&camera.stop)) {
        struct pollfd readable = { .fd = camera.listener, .events = POLLIN };
        if (poll(&readable, 1, 20) <= 0)
            continue;
        int fd = accept(camera.listener, NULL, NULL);
        assert_true(fd >= 0);
        atomic_fetch_add(&camera.connections, 1);
        serve(fd);
    }
    return NULL;
}

static void camera_start(enum manner manner)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    camera.manner = manner;
    camera.asked[0] = '\0';
    atomic_store(&camera.stop, false);
    atomic_store(&camera.connections, 0);
    camera.listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(camera.listener >= 0);
    assert_int_equal(bind(camera.listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(camera.listener, 8), 0);
    assert_int_equal(getsockname(camera.listener, (struct sockaddr *)&address, &size), 0);
    snprintf(url, sizeof url, "rtsp://user@127.0.0.1:%u/yard", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&camera.thread, NULL, run_camera, NULL), 0);
}

static void camera_stop(void)
{
    atomic_store(&camera.stop, true);
    pthread_join(camera.thread, NULL);
    close(camera.listener);
}

static char *password_file(const char *text)
{
    static char path[] = "/tmp/runespoor-password-XXXXXX";
    strcpy(path + strlen(path) - 6, "XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    return path;
}

static void a_camera_says_nothing(void **state)
{
    (void)state;
    camera_start(SILENT);
    struct source_config config = live_config(SOURCE_RTSP);
    config.first_frame_ms = 400;
    refuse(&config, SOURCE_CAUSE_FIRST_FRAME, ERROR_TIMEOUT, "rtsp://***@127.0.0.1:");
    for (unsigned i = 0; atomic_load(&camera.connections) == 0; i++) {
        assert_true(i < PATIENCE_MS);
        usleep(1000);
    }
    assert_int_equal(atomic_load(&camera.connections), 1);
    camera_stop();
}

static void a_camera_is_not_there(void **state)
{
    (void)state;
    snprintf(url, sizeof url, "rtsp://127.0.0.1:%u/", clip_free_port(SOCK_STREAM));
    struct source_config config = live_config(SOURCE_RTSP);
    refuse(&config, SOURCE_CAUSE_UNREACHABLE, ERROR_NETWORK, "Connection refused");
}

static void a_camera_closes_at_once(void **state)
{
    (void)state;
    camera_start(CLOSES);
    struct source_config config = live_config(SOURCE_RTSP);
    refuse(&config, SOURCE_CAUSE_CLOSED, ERROR_NETWORK, "has ended it");
    camera_stop();
}

static void a_camera_wants_another_login(void **state)
{
    (void)state;
    camera_start(UNAUTHORIZED);
    struct source_config config = live_config(SOURCE_RTSP);
    config.password_file = password_file(SECRET "\nnot this line\n");
    refuse(&config, SOURCE_CAUSE_AUTH, ERROR_AUTH, "password_file");
    assert_non_null(strstr(camera.asked, "Authorization: Basic " SECRET_BASIC "\r\n")); /* it was told */
    unlink(config.password_file);
    camera_stop();
}

static void a_camera_has_no_such_path(void **state)
{
    (void)state;
    camera_start(NOT_FOUND);
    struct source_config config = live_config(SOURCE_RTSP);
    refuse(&config, SOURCE_CAUSE_REFUSED, ERROR_NETWORK, "path of the url");
    camera_stop();
}

static void something_else_listens(void **state)
{
    (void)state;
    camera_start(BABBLES);
    struct source_config config = live_config(SOURCE_RTSP);
    config.first_frame_ms = 500;
    struct error err;
    struct source *source = NULL;
    assert_true(source_open_live(&source, &config, &watch, &err) < 0);
    assert_null(source);
    camera_stop();
}

static void *stop_soon(void *arg)
{
    usleep(100000);
    *(uint64_t *)arg = clock_now_ns();
    atomic_store(&stop, true);
    return NULL;
}

static void it_can_be_stopped(void **state)
{
    (void)state;
    struct error err;
    struct source *source = NULL;
    for (unsigned round = 0; round < 2; round++) {
        pthread_t thread;
        uint64_t stopped_ns;
        atomic_store(&stop, false);
        camera_start(SILENT);
        const struct source_config config =
            round == 0 ? live_config(SOURCE_RTSP) : ts_config(clip_free_port(SOCK_DGRAM));
        assert_int_equal(pthread_create(&thread, NULL, stop_soon, &stopped_ns), 0);
        assert_int_equal(source_open_live(&source, &config, &watch, &err), -ERROR_END);
        pthread_join(thread, NULL);
        assert_true(clock_now_ns() - stopped_ns < PATIENCE_MS / 4 * CLOCK_NS_PER_MS);
        camera_stop();
    }
}

/* ---- what a configuration can be wrong about ---- */

static void passwords_come_from_good_files_alone(void **state)
{
    (void)state;
    char long_one[202];
    memset(long_one, 'a', sizeof long_one - 1);
    long_one[sizeof long_one - 1] = '\0';
    char many_signs[64];
    memset(many_signs, '%', sizeof many_signs - 1);
    many_signs[sizeof many_signs - 1] = '\0';
    snprintf(url, sizeof url, "rtsp://user@127.0.0.1:9/");
    struct source_config config = live_config(SOURCE_RTSP);
    config.password_file = (char *)"/nonexistent/password";
    refuse(&config, SOURCE_CAUSE_LOCAL, ERROR_IO, "/nonexistent/password: cannot read the password");
    const struct {
        const char *text, *words;
        enum error_code code;
    } cases[] = {
        { "", "first line has to be the password", ERROR_CONFIG },
        { "\n" SECRET, "first line has to be the password", ERROR_CONFIG },
        { long_one, "longer than 100 characters", ERROR_LIMIT },
        { many_signs, "longer than 127 characters", ERROR_LIMIT },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        config.password_file = password_file(cases[i].text);
        refuse(&config, SOURCE_CAUSE_LOCAL, cases[i].code, cases[i].words);
        unlink(config.password_file);
    }
}

static void addresses_are_checked(void **state)
{
    (void)state;
    const struct {
        int kind;
        const char *url, *path, *password_file, *words, *option;
    } cases[] = {
        { SOURCE_RTSP, "", "", "", "begin with rtsp://", "url" },
        { SOURCE_RTSP, "http://camera/", "", "", "begin with rtsp://", "url" },
        { SOURCE_RTSP, "rtsp://user:hunter2@camera/", "", "", "holds a password", "url" },
        { SOURCE_RTSP, "rtsp:///yard", "", "", "names no host", "url" },
        { SOURCE_RTSP, "rtsp://user@:554/yard", "", "", "names no host", "url" },
        { SOURCE_RTSP, "rtsp://camera/yard", "", "pw", "no user@", "password_file" },
        { SOURCE_MPEGTS, "udp://239.0.0.1", "", "", "names no port", "url" },
        { SOURCE_MPEGTS, "tcp://127.0.0.1:5000", "", "", "begin with udp://", "url" },
        { SOURCE_MPEGTS, "udp://:5000", "", "", "names no host", "url" },
        { SOURCE_V4L2, "", "", "", "path of a device", "path" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct source_config config = live_config(cases[i].kind);
        struct error err;
        const char *option = "";
        snprintf(url, sizeof url, "%s", cases[i].url);
        config.path = (char *)cases[i].path;
        config.password_file = (char *)cases[i].password_file;
        assert_int_equal(source_check(&config, &option, &err), -ERROR_CONFIG);
        assert_string_equal(option, cases[i].option);
        assert_non_null(strstr(err.text, cases[i].words));
        assert_null(strstr(err.text, "hunter2"));
        refuse(&config, SOURCE_CAUSE_LOCAL, ERROR_CONFIG, cases[i].words);
    }
    struct source_config config = ts_config(5000);
    struct error err;
    const char *option;
    assert_ok(source_check(&config, &option, &err), &err);
    config.retry_first_ms = 20;
    assert_int_equal(source_check(&config, &option, &err), -ERROR_CONFIG);
}

/* No machine that tests this has a camera: what is left is that there is none. */
static void a_device_is_missing(void **state)
{
    (void)state;
    struct source_config config = live_config(SOURCE_V4L2);
    config.path = (char *)"/dev/runespoor-no-camera";
    refuse(&config, SOURCE_CAUSE_UNREACHABLE, ERROR_IO, "/dev/runespoor-no-camera: no such camera");
    config.path = (char *)"/dev/null";
    struct error err;
    struct source *source = NULL;
    assert_true(source_open_live(&source, &config, &watch, &err) < 0);
    assert_non_null(strstr(err.text, "/dev/null: "));
}

/* ---- memory ---- */

static size_t held(void)
{
    return mallinfo2().uordblks + mallinfo2().hblkhd;
}

static void opening_keeps_nothing(void **state)
{
    (void)state;
    enum { WARM = 5, ALL = 30 };
    struct clip_sender sender;
    struct error err;
    size_t before = 0;
    uint16_t port = clip_free_port(SOCK_DGRAM);
    struct clip_config clip = small_clip;
    clip.keyframe_every = 5;
    clip_sender_start(&sender, port, &clip);
    for (unsigned i = 0; i < ALL; i++) {
        struct source *source = NULL;
        struct picture *picture = NULL;
        uint64_t time_ns;
        struct source_config config = ts_config(port);
        if (i == WARM)
            before = held();
        assert_ok(source_open_live(&source, &config, &watch, &err), &err);
        assert_ok(source_next(source, &picture, &time_ns, &err), &err);
        picture_unref(&picture);
        source_close(&source);
    }
    size_t after = held();
    /* The sender works on beside it: a few packets more or less. */
    printf("held after %d: %zu, after %d: %zu\n", WARM, before, ALL, after);
    assert_true(after < before + 100000);
    clip_sender_stop(&sender);
}

#define TEST(name) cmocka_unit_test_setup(name, reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pictures_come_in_order),
        TEST(pictures_change_their_size),
        TEST(nobody_sends),
        TEST(a_sender_stops),
        TEST(bytes_without_pictures_are_a_stall),
        TEST(a_camera_says_nothing),
        TEST(a_camera_is_not_there),
        TEST(a_camera_closes_at_once),
        TEST(a_camera_wants_another_login),
        TEST(a_camera_has_no_such_path),
        TEST(something_else_listens),
        TEST(it_can_be_stopped),
        TEST(passwords_come_from_good_files_alone),
        TEST(addresses_are_checked),
        TEST(a_device_is_missing),
        TEST(opening_keeps_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
