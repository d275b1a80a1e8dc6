/* Proves that orders arrive whole with their descriptor, and that each side refuses what is short,
 * long, of another version or kind, out of range or without an end; that a job's picture must lie
 * within its pool to the last byte; and that an analysis is copied only when every number in it is
 * possible. */
#include "devices/orders.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static int ends[2];

static int open_pair(void **state)
{
    (void)state;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends);
}

static int close_pair(void **state)
{
    (void)state;
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static union order sent, got;

/* Sends as orders_send does, but without its own checks of kind and descriptor. */
static void send_raw(const void *bytes, size_t size, const int *passed, size_t passed_count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control = { 0 };
    struct iovec part = { .iov_base = (void *)bytes, .iov_len = size };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    if (passed_count > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(passed_count * sizeof(int));
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(passed_count * sizeof(int));
        memcpy(CMSG_DATA(head), passed, passed_count * sizeof(int));
    }
    assert_int_equal(sendmsg(ends[0], &message, 0), size);
}

static int receive(void)
{
    struct error err;
    int passed;
    int result = orders_receive(ends[1], &got, &passed, &err);
    if (passed >= 0)
        close(passed);
    return result;
}

/* The lowest free descriptor tells whether one was left open. */
static int lowest_free(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

static struct order_job good_job(void)
{
    return (struct order_job){
        .head = { ORDER_VERSION, ORDER_JOB },
        .job = 7,
        .pool_id = 1,
        .format = PIXEL_I420,
        .width = 5,
        .height = 3,
        .camera_width = 10,
        .camera_height = 6,
        .stride = { 8, 4, 4 },
        .offset = { 0, 32, 48 },
    };
}

static void test_round_trip(void **state)
{
    (void)state;
    struct error err;
    int passed;
    assert_int_equal(orders_receive(ends[1], &got, &passed, &err), -ERROR_AGAIN);

    struct order_job job = good_job();
    assert_int_equal(orders_send(ends[0], ORDER_JOB, &job, -1, &err), 0);
    assert_int_equal(orders_receive(ends[1], &got, &passed, &err), 0);
    assert_int_equal(passed, -1);
    assert_memory_equal(&got.job, &job, sizeof job);

    int pipe_ends[2];
    assert_int_equal(pipe(pipe_ends), 0);
    struct order_pool pool = { .slot = 3, .id = 9, .bytes = 4096 };
    assert_int_equal(orders_send(ends[0], ORDER_POOL, &pool, pipe_ends[1], &err), 0);
    assert_int_equal(orders_receive(ends[1], &got, &passed, &err), 0);
    assert_int_equal(got.pool.id, 9);
    assert_true(passed >= 0 && passed != pipe_ends[1]);
    assert_true(fcntl(passed, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(write(passed, "x", 1), 1); /* it is the same pipe */
    char byte = 0;
    assert_int_equal(read(pipe_ends[0], &byte, 1), 1);
    assert_int_equal(byte, 'x');
    close(passed);
    close(pipe_ends[0]);
    close(pipe_ends[1]);

    static struct reply_classes classes = { .model = 1, .count = CARD_CLASSES_MAX };
    memset(classes.names, 'n', sizeof classes.names);
    for (size_t i = 1; i <= CARD_CLASSES_MAX; i++)
        classes.names[i * CARD_NAME_BYTES_MAX - 1] = '\0'; /* the most that fits */
    assert_int_equal(orders_send(ends[0], REPLY_CLASSES, &classes, -1, &err), 0);
    assert_int_equal(orders_receive(ends[1], &got, &passed, &err), 0);
    assert_memory_equal(&got.classes, &classes, sizeof classes);

    close(ends[0]);
    ends[0] = -1;
    assert_int_equal(orders_receive(ends[1], &got, &passed, &err), -ERROR_END);
    struct order_job late = good_job();
    assert_int_equal(orders_send(ends[1], ORDER_JOB, &late, -1, &err), -ERROR_NETWORK);
}

static void test_full_socket(void **state)
{
    (void)state;
    struct error err;
    struct order_job job = good_job();
    int result = 0, count = 0;
    while (!result && count++ < 100000)
        result = orders_send(ends[0], ORDER_JOB, &job, -1, &err);
    assert_int_equal(result, -ERROR_AGAIN);
    assert_true(count > 100); /* child.c counts on room for many */
}

/* Who ends with orders unread is still heard to the end. */
static void test_last_words(void **state)
{
    (void)state;
    struct error err;
    sent.refused = (struct reply_refused){ .model = 1, .code = ERROR_DEVICE, .text = "no driver" };
    assert_int_equal(orders_send(ends[0], REPLY_REFUSED, &sent, -1, &err), 0);
    sent.forget = (struct order_forget){ .slot = 1, .id = 7 };
    assert_int_equal(orders_send(ends[1], ORDER_FORGET, &sent, -1, &err), 0);
    close(ends[0]);
    assert_int_equal(receive(), 0);
    assert_string_equal(got.refused.text, "no driver");
    assert_int_equal(receive(), -ERROR_END);
    ends[0] = dup(ends[1]); /* for close_pair */
}

static void test_sizes_versions_kinds(void **state)
{
    (void)state;
    static const size_t bytes[ORDER_KIND_COUNT] = {
        [ORDER_SETUP] = sizeof sent.setup,     [ORDER_MODEL] = sizeof sent.model,
        [ORDER_POOL] = sizeof sent.pool,       [ORDER_FORGET] = sizeof sent.forget,
        [ORDER_JOB] = sizeof sent.job,         [REPLY_CLASSES] = sizeof sent.classes,
        [REPLY_READY] = sizeof sent.ready,     [REPLY_DONE] = sizeof sent.done,
        [REPLY_REFUSED] = sizeof sent.refused, [REPLY_PREPARING] = sizeof sent.preparing,
    };
    static char longer[sizeof sent + 8];
    for (uint32_t kind = 0; kind < ORDER_KIND_COUNT; kind++) {
        int passed[2] = { 0, 0 };
        bool carries = kind == ORDER_SETUP || kind == ORDER_POOL;
        memset(&sent, 0, sizeof sent);
        sent.head = (struct order_head){ ORDER_VERSION, kind };
        if (kind == ORDER_POOL)
            sent.pool = (struct order_pool){ .head = sent.head, .id = 1, .bytes = 1 };
        if (kind == ORDER_JOB) {
            sent.job = good_job();
        }
        if (kind == ORDER_SETUP)
            sent.setup.batch = 1;
        if (kind == REPLY_REFUSED)
            sent.refused.code = ERROR_IO;
        send_raw(&sent, bytes[kind], passed, carries);
        assert_int_equal(receive(), 0);
        int free_before = lowest_free();
        send_raw(&sent, bytes[kind] - 1, passed, carries);
        assert_int_equal(receive(), -ERROR_FORMAT);
        memcpy(longer, &sent, sizeof sent);
        send_raw(longer, bytes[kind] + 1, passed, carries);
        assert_int_equal(receive(), -ERROR_FORMAT);
        send_raw(longer, sizeof longer, passed, carries);
        assert_int_equal(receive(), -ERROR_FORMAT);
        send_raw(&sent, bytes[kind], passed, !carries); /* with one too many or too few */
        assert_int_equal(receive(), -ERROR_FORMAT);
        send_raw(&sent, bytes[kind], passed, 2);
        assert_int_equal(receive(), -ERROR_FORMAT);
        sent.head.version++;
        send_raw(&sent, bytes[kind], passed, carries);
        assert_int_equal(receive(), -ERROR_FORMAT);
        assert_int_equal(lowest_free(), free_before); /* refused descriptors are closed */
    }
    sent.head = (struct order_head){ ORDER_VERSION, ORDER_KIND_COUNT };
    send_raw(&sent, sizeof sent.ready, NULL, 0);
    assert_int_equal(receive(), -ERROR_FORMAT);
    send_raw(&sent, 3, NULL, 0);
    assert_int_equal(receive(), -ERROR_FORMAT);
}

static void expect_job(struct order_job job, int result)
{
    send_raw(&job, sizeof job, NULL, 0);
    assert_int_equal(receive(), result);
}

#define EXPECT_BAD_JOB(field, value)           \
    do {                                       \
        struct order_job bad_job = good_job(); \
        bad_job.field = (value);               \
        expect_job(bad_job, -ERROR_FORMAT);    \
    } while (0)

#define EXPECT_BAD_DONE(field_, value)                                                             \
    do {                                                                                           \
        struct reply_done bad_done = { .head = { ORDER_VERSION, REPLY_DONE }, .field_ = (value) }; \
        send_raw(&bad_done, sizeof bad_done, NULL, 0);                                             \
        assert_int_equal(receive(), -ERROR_FORMAT);                                                \
    } while (0)

#define EXPECT_MODEL(result)                     \
    do {                                         \
        send_raw(&model, sizeof model, NULL, 0); \
        assert_int_equal(receive(), (result));   \
    } while (0)

static void test_models(void **state)
{
    (void)state;
    static struct order_model model = { .head = { ORDER_VERSION, ORDER_MODEL },
                                        .fallback = FALLBACK_BICUBIC,
                                        .network_count = POOL_NETWORKS_MAX };
    EXPECT_MODEL(0);
    model.network_count++;
    EXPECT_MODEL(-ERROR_FORMAT);
    model.network_count = 1;
    model.fallback = FALLBACK_BICUBIC + 1;
    EXPECT_MODEL(-ERROR_FORMAT);
    model.fallback = FALLBACK_AUTO;
    model.index = POOL_MODELS_MAX;
    EXPECT_MODEL(-ERROR_FORMAT);
    model.index = 0;
    memset(model.networks[1], 'n', sizeof model.networks[1]); /* not in use */
    EXPECT_MODEL(0);
    memset(model.networks[0], 'n', sizeof model.networks[0]); /* without an end */
    EXPECT_MODEL(-ERROR_FORMAT);
    model.network_count = 0;
    memset(model.folder, 'f', sizeof model.folder);
    EXPECT_MODEL(-ERROR_FORMAT);
}

static void test_job_fields(void **state)
{
    (void)state;
    expect_job(good_job(), 0);
    EXPECT_BAD_JOB(model, POOL_MODELS_MAX);
    EXPECT_BAD_JOB(result, WORKER_PICTURES_MAX);
    EXPECT_BAD_JOB(more, POOL_BATCH_MAX);
    EXPECT_BAD_JOB(pool_slot, WORKER_POOLS_MAX);
    EXPECT_BAD_JOB(format, PIXEL_NV12 + 1u);
    EXPECT_BAD_JOB(matrix, MATRIX_BT709 + 1u);
    EXPECT_BAD_JOB(full_range, 2);
    EXPECT_BAD_JOB(width, 0);
    EXPECT_BAD_JOB(width, PICTURE_SIDE_MAX + 1);
    EXPECT_BAD_JOB(height, 0);
    EXPECT_BAD_JOB(height, UINT32_MAX);
    EXPECT_BAD_JOB(camera_width, 0);
    EXPECT_BAD_JOB(camera_width, UINT32_MAX);
    EXPECT_BAD_JOB(camera_height, 0);
    EXPECT_BAD_JOB(camera_height, PICTURE_SIDE_MAX + 1);
}

static void test_setup_fields(void **state)
{
    (void)state;
    struct order_setup setup = { .head = { ORDER_VERSION, ORDER_SETUP }, .batch = 1 };
    int passed = 0;
    memset(setup.name, 'n', sizeof setup.name); /* without an end */
    send_raw(&setup, sizeof setup, &passed, 1);
    assert_int_equal(receive(), -ERROR_FORMAT);
    setup.name[sizeof setup.name - 1] = '\0';
    send_raw(&setup, sizeof setup, &passed, 1);
    assert_int_equal(receive(), 0);
    setup.gpu = POOL_GPU_NUMBER_MAX + 1;
    send_raw(&setup, sizeof setup, &passed, 1);
    assert_int_equal(receive(), -ERROR_FORMAT);
    setup.gpu = 0;
    for (setup.batch = 0; setup.batch <= POOL_BATCH_MAX + 1; setup.batch += POOL_BATCH_MAX + 1) {
        send_raw(&setup, sizeof setup, &passed, 1);
        assert_int_equal(receive(), -ERROR_FORMAT);
    }
    setup.batch = POOL_BATCH_MAX;
    setup.device_kind = 99;
    send_raw(&setup, sizeof setup, &passed, 1);
    assert_int_equal(receive(), -ERROR_FORMAT);
}

static void test_done_fields(void **state)
{
    (void)state;
    EXPECT_BAD_DONE(failed, 2);
    EXPECT_BAD_DONE(restored, RESTORE_BILINEAR); /* nobody asks for it */
    EXPECT_BAD_DONE(restored, RESTORE_NETWORK + 1);
    EXPECT_BAD_DONE(restored, RESTORE_NETWORK); /* without a name */
    struct reply_done done = { .head = { ORDER_VERSION, REPLY_DONE },
                               .restored = RESTORE_NETWORK,
                               .network = "x2" };
    send_raw(&done, sizeof done, NULL, 0);
    assert_int_equal(receive(), 0);
    done.restored = RESTORE_BICUBIC; /* which has none */
    send_raw(&done, sizeof done, NULL, 0);
    assert_int_equal(receive(), -ERROR_FORMAT);
    done.restored = RESTORE_NETWORK;
    done.network[1] = '\n';
    send_raw(&done, sizeof done, NULL, 0);
    assert_int_equal(receive(), -ERROR_FORMAT);
    memset(done.network, 'n', sizeof done.network); /* without an end */
    send_raw(&done, sizeof done, NULL, 0);
    assert_int_equal(receive(), -ERROR_FORMAT);
    done.network[sizeof done.network - 1] = '\0';
    send_raw(&done, sizeof done, NULL, 0);
    assert_int_equal(receive(), 0);
    memset(done.fallback, 'w', sizeof done.fallback); /* without an end */
    send_raw(&done, sizeof done, NULL, 0);
    assert_int_equal(receive(), -ERROR_FORMAT);
}

static void test_other_fields(void **state)
{
    (void)state;
    struct reply_refused refused = { .head = { ORDER_VERSION, REPLY_REFUSED },
                                     .model = ORDER_MODEL_NONE,
                                     .code = ERROR_CODE_COUNT };
    send_raw(&refused, sizeof refused, NULL, 0);
    assert_int_equal(receive(), -ERROR_FORMAT);
    refused.code = ERROR_CODE_COUNT - 1;
    send_raw(&refused, sizeof refused, NULL, 0);
    assert_int_equal(receive(), 0);

    static struct reply_classes classes = { .head = { ORDER_VERSION, REPLY_CLASSES }, .count = 2 };
    memset(classes.names, 'n', sizeof classes.names);
    classes.names[5] = '\0'; /* the second name does not end */
    send_raw(&classes, sizeof classes, NULL, 0);
    assert_int_equal(receive(), -ERROR_FORMAT);
    classes.count = CARD_CLASSES_MAX + 1;
    memset(classes.names, 0, sizeof classes.names);
    send_raw(&classes, sizeof classes, NULL, 0);
    assert_int_equal(receive(), -ERROR_FORMAT);
}

static int view(struct order_job job, uint64_t bytes, struct picture_view *out)
{
    static uint8_t base[4096];
    struct error err;
    return orders_view_picture(&job, base, bytes, out, &err);
}

static void test_picture_must_lie_in_its_pool(void **state)
{
    (void)state;
    struct picture_view out;
    /* 5x3 in I420: rows of 5 and 3 bytes, 3 and 2 rows; the last byte is 48 + 4 + 3 - 1. */
    struct order_job job = good_job();
    assert_int_equal(view(job, 55, &out), 0);
    assert_int_equal(out.plane[2] - out.plane[0], 48);
    assert_int_equal(out.stride[1], 4);
    assert_int_equal(out.width, 5);
    assert_int_equal(view(job, 54, &out), -ERROR_FORMAT);
    job.stride[0] = 4; /* shorter than a row */
    assert_int_equal(view(job, 4096, &out), -ERROR_FORMAT);
    job = good_job();
    job.stride[1] = ORDER_STRIDE_MAX + 1;
    assert_int_equal(view(job, UINT64_MAX, &out), -ERROR_FORMAT);
    job = good_job();
    job.offset[2] = UINT64_MAX - 2; /* must not wrap round */
    assert_int_equal(view(job, 4096, &out), -ERROR_FORMAT);

    job = good_job();
    job.format = PIXEL_NV12;
    job.stride[1] = 6; /* two bytes for each of 3 samples */
    job.offset[2] = UINT64_MAX;
    assert_int_equal(view(job, 32 + 6 + 6, &out), 0);
    assert_null(out.plane[2]);
    assert_int_equal(view(job, 32 + 6 + 5, &out), -ERROR_FORMAT);
    job.stride[1] = 5;
    assert_int_equal(view(job, 4096, &out), -ERROR_FORMAT);
}

static struct analysis from, to;

static int copy(void)
{
    struct error err;
    return orders_copy_analysis(&from, 3, &to, &err);
}

static void good_analysis(void)
{
    memset(&from, 0, sizeof from);
    memset(&to, 0xee, sizeof to);
    from.object_count = 2;
    from.objects[0] = (struct analysis_object){ .class_id = 2, .confidence = 0.9f, .width = 4 };
    from.objects[1] = (struct analysis_object){ .class_id = 0, .confidence = 0.5f, .x = 1 };
    from.area_count = 1;
    from.areas[0] = (struct analysis_area){ .class_id = 1, .share = 0.25f, .runs_bytes = 10 };
    from.runs_bytes = 10;
    memset(from.runs, 5, 10);
    from.infer_us = 77;
    from.uncertainty = 0.25f;
}

#define EXPECT_BAD_ANALYSIS(field, value)         \
    do {                                          \
        good_analysis();                          \
        from.field = (value);                     \
        assert_int_equal(copy(), -ERROR_FORMAT);  \
        assert_int_equal(to.object_count, 0);     \
        assert_int_equal(to.area_count, 0);       \
        assert_int_equal(to.runs_bytes, 0);       \
        assert_float_equal(to.uncertainty, 0, 0); \
    } while (0)

static void test_analysis(void **state)
{
    (void)state;
    good_analysis();
    assert_int_equal(copy(), 0);
    assert_int_equal(to.infer_us, 77);
    assert_float_equal(to.uncertainty, 0.25f, 0);
    assert_memory_equal(to.objects, from.objects, 2 * sizeof from.objects[0]);
    assert_memory_equal(to.areas, from.areas, sizeof from.areas[0]);
    assert_memory_equal(to.runs, from.runs, 10);
    assert_int_equal(to.runs[10], 0xee); /* no more than is in use */

    EXPECT_BAD_ANALYSIS(object_count, ANALYSIS_OBJECTS_MAX + 1);
    EXPECT_BAD_ANALYSIS(object_count, UINT32_MAX);
    EXPECT_BAD_ANALYSIS(area_count, ANALYSIS_AREAS_MAX + 1);
    EXPECT_BAD_ANALYSIS(runs_bytes, ANALYSIS_RUNS_BYTES_MAX + 1);
    EXPECT_BAD_ANALYSIS(runs_bytes, 9); /* the area's runs reach beyond */
    EXPECT_BAD_ANALYSIS(areas[0].runs_offset, 1);
    EXPECT_BAD_ANALYSIS(areas[0].runs_offset, UINT32_MAX);
    EXPECT_BAD_ANALYSIS(areas[0].class_id, 3);
    EXPECT_BAD_ANALYSIS(areas[0].share, NAN);
    EXPECT_BAD_ANALYSIS(objects[1].class_id, 3);
    EXPECT_BAD_ANALYSIS(objects[1].confidence, NAN);
    EXPECT_BAD_ANALYSIS(objects[0].x, INFINITY);
    EXPECT_BAD_ANALYSIS(objects[0].y, -INFINITY);
    EXPECT_BAD_ANALYSIS(objects[0].width, NAN);
    EXPECT_BAD_ANALYSIS(objects[0].height, NAN);
    EXPECT_BAD_ANALYSIS(uncertainty, NAN);
    EXPECT_BAD_ANALYSIS(uncertainty, -0.01f);
    EXPECT_BAD_ANALYSIS(uncertainty, 1.01f);
    EXPECT_BAD_ANALYSIS(uncertainty, INFINITY);

    good_analysis();
    from.object_count = ANALYSIS_OBJECTS_MAX;
    from.area_count = ANALYSIS_AREAS_MAX;
    from.runs_bytes = ANALYSIS_RUNS_BYTES_MAX;
    from.uncertainty = 1;
    assert_int_equal(copy(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(test_full_socket, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(test_last_words, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(test_sizes_versions_kinds, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(test_models, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(test_job_fields, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(test_setup_fields, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(test_done_fields, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(test_other_fields, open_pair, close_pair),
        cmocka_unit_test(test_picture_must_lie_in_its_pool),
        cmocka_unit_test(test_analysis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
