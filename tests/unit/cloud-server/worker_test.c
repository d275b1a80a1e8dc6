/* Proves the worker's side by speaking to a real worker process over a socket pair: it answers what
 * is right with the analysis of the right pixels, ends at once on what is not, names a model that it
 * cannot use, and does not outlive its parent. The cpu device runs the model of this repository. */
#include "worker_talk.h"

#include "base/clock.h"
#include "media/record.h"

#define MODEL_FOLDER "models/street_det" /* from the repository's root, where tests run */

static void start_simulated(struct talk *talk, uint32_t service_ms)
{
    tell_setup(talk, DEVICE_SIMULATED, service_ms, 1);
    tell_model(talk, 0, "any");
    expect(talk, REPLY_CLASSES);
    assert_int_equal(got.classes.count, SIMULATED_CLASS_COUNT);
    assert_string_equal(got.classes.names, "top-left");
    assert_int_equal(got.classes.run_us[0], service_ms * 1000);
    expect(talk, REPLY_READY);
}

static void test_serves_jobs(void **state)
{
    struct talk *talk = *state;
    start_simulated(talk, 30);
    tell_pool(talk, WORKER_POOLS_MAX - 1);
    struct order_job job = job_order(WORKER_POOLS_MAX - 1, talk->picture);
    uint64_t before_ns = clock_now_ns();
    tell(talk, ORDER_JOB, &job, -1);
    expect(talk, REPLY_DONE);
    assert_true(clock_now_ns() - before_ns >= 30 * CLOCK_NS_PER_MS);
    assert_int_equal(got.done.job, 1);
    assert_int_equal(got.done.failed, 0);
    static struct analysis expected;
    struct picture_view view;
    picture_get_view(talk->picture, &view);
    simulated_analyse(&view, &expected);
    assert_int_equal(talk->results[1].object_count, 1);
    assert_memory_equal(&talk->results[1].objects[0], &expected.objects[0],
                        sizeof expected.objects[0]);
    assert_true(talk->results[1].infer_us >= 30000);
    assert_int_equal(talk->results[0].object_count, 0); /* the other place is untouched */

    struct order_forget forget = { .slot = WORKER_POOLS_MAX - 1, .id = job.pool_id };
    tell(talk, ORDER_FORGET, &forget, -1);
    tell(talk, ORDER_JOB, &job, -1);
    expect_end(talk, 1); /* that pool is not mapped any more */
}

static void test_leaves_when_the_socket_closes(void **state)
{
    struct talk *talk = *state;
    close(talk->fd);
    talk->fd = -1;
    expect_end(talk, 0);
}

static void test_finishes_its_job_before_it_leaves(void **state)
{
    struct talk *talk = *state;
    start_simulated(talk, 100);
    tell_pool(talk, 0);
    struct order_job job = job_order(0, talk->picture);
    tell(talk, ORDER_JOB, &job, -1);
    usleep(20000);
    close(talk->fd);
    talk->fd = -1;
    expect_end(talk, 0);
    assert_int_equal(talk->results[1].object_count, 1);
}

static void test_setup_comes_first(void **state)
{
    struct talk *talk = *state;
    tell_model(talk, 0, "any");
    expect_end(talk, 1);
}

static void test_models_come_in_order(void **state)
{
    struct talk *talk = *state;
    tell_setup(talk, DEVICE_SIMULATED, 1, 2);
    tell_model(talk, 1, "any");
    expect_end(talk, 1);
}

static void test_short_memory(void **state)
{
    struct talk *talk = *state;
    start_simulated(talk, 1);
    struct order_pool order = pool_order(talk, 0);
    order.bytes++;
    tell(talk, ORDER_POOL, &order, picture_pool_fd(talk->pictures));
    expect_end(talk, 1);
}

static void test_slot_in_use(void **state)
{
    struct talk *talk = *state;
    start_simulated(talk, 1);
    tell_pool(talk, 5);
    tell_pool(talk, 5);
    expect_end(talk, 1);
}

static void test_forget_unknown(void **state)
{
    struct talk *talk = *state;
    start_simulated(talk, 1);
    tell_pool(talk, 5);
    struct order_forget forget = { .slot = 5, .id = picture_pool_id(talk->pictures) + 1 };
    tell(talk, ORDER_FORGET, &forget, -1);
    expect_end(talk, 1);
}

static void test_picture_outside_its_pool(void **state)
{
    struct talk *talk = *state;
    start_simulated(talk, 1);
    tell_pool(talk, 0);
    struct order_job job = job_order(0, talk->picture);
    job.offset[2] = picture_pool_bytes(talk->pictures) - 1;
    tell(talk, ORDER_JOB, &job, -1);
    expect_end(talk, 1);
}

static void test_unknown_model(void **state)
{
    struct talk *talk = *state;
    start_simulated(talk, 1);
    tell_pool(talk, 0);
    struct order_job job = job_order(0, talk->picture);
    job.model = 1;
    tell(talk, ORDER_JOB, &job, -1);
    expect_end(talk, 1);
}

static void test_reply_to_a_worker(void **state)
{
    struct talk *talk = *state;
    start_simulated(talk, 1);
    struct reply_ready ready;
    tell(talk, REPLY_READY, &ready, -1);
    expect_end(talk, 1);
}

static void test_refuses_a_bad_model(void **state)
{
    struct talk *talk = *state;
    tell_setup(talk, DEVICE_CPU, 1, 1);
    tell_model(talk, 0, "/nowhere/model");
    expect(talk, REPLY_REFUSED);
    assert_int_equal(got.refused.model, 0);
    assert_non_null(strstr(got.refused.text, "/nowhere/model"));
    expect_end(talk, 0); /* the server says it */
}

/* None has that number: the server hears why, be it that there is no GPU or no driver here. */
static void test_refuses_a_gpu_that_is_not_there(void **state)
{
    struct talk *talk = *state;
    struct order_setup setup = { .device_kind = DEVICE_CUDA, .gpu = POOL_GPU_NUMBER_MAX, .batch = 1 };
    tell(talk, ORDER_SETUP, &setup, talk->results_fd);
    expect(talk, REPLY_REFUSED);
    assert_int_equal(got.refused.model, ORDER_MODEL_NONE);
    assert_int_not_equal(got.refused.text[0], '\0');
    expect_end(talk, 0); /* the server says it */
}

static void test_cpu_device_finds_the_sample(void **state)
{
    struct talk *talk = *state;
    if (access(MODEL_FOLDER "/card.yaml", R_OK) != 0) {
        fprintf(stderr,
                "SKIP REASON: test_cpu_device_finds_the_sample: no " MODEL_FOLDER " here\n");
        skip();
    }
    struct card *card;
    struct error err;
    assert_int_equal(card_read(&card, MODEL_FOLDER, &err), 0);
    struct picture *sample;
    assert_int_equal(picture_read_file(&sample, card->picture_path, &err), 0);
    /* The sample into shared memory, as the decoder would have left it. */
    struct picture_view from, to;
    picture_get_view(sample, &from);
    assert_int_equal(from.format, PIXEL_I420);
    picture_unref(&talk->picture);
    picture_pool_release(&talk->pictures);
    assert_int_equal(picture_pool_create(&talk->pictures, from.width, from.height, 1, &err), 0);
    assert_int_equal(picture_pool_take(talk->pictures, &talk->picture, &err), 0);
    picture_get_view(talk->picture, &to);
    for (uint32_t plane = 0; plane < 3; plane++) {
        uint32_t width = plane ? (from.width + 1) / 2 : from.width;
        uint32_t height = plane ? (from.height + 1) / 2 : from.height;
        for (uint32_t y = 0; y < height; y++)
            memcpy(to.plane[plane] + y * to.stride[plane],
                   from.plane[plane] + y * from.stride[plane], width);
    }
    tell_setup(talk, DEVICE_CPU, 1, 1);
    tell_model(talk, 0, MODEL_FOLDER);
    expect(talk, REPLY_CLASSES);
    assert_int_equal(got.classes.count, card->classes.count);
    assert_string_equal(got.classes.names, card->classes.items[0]);
    assert_in_range(got.classes.run_us[0], 100, 60000000);
    assert_int_equal(got.classes.masks, 0);
    expect(talk, REPLY_READY);
    tell_pool(talk, 0);
    struct order_job job = job_order(0, talk->picture);
    job.matrix = from.matrix;
    job.full_range = from.full_range;
    tell(talk, ORDER_JOB, &job, -1);
    expect(talk, REPLY_DONE);
    assert_string_equal(got.done.reason, "");
    assert_true(talk->results[1].object_count >= card->sample.expect.count);
    assert_true(talk->results[1].infer_us > 0);
    static struct analysis copy;
    assert_int_equal(
        orders_copy_analysis(&talk->results[1], (uint32_t)card->classes.count, &copy, &err), 0);
    picture_unref(&sample);
    card_free(&card);
}

/* A parent that is killed takes the worker along, deep in a job as it is, though its socket is still
 * open at our end. */
static void test_dies_with_its_parent(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    struct timeval timeout = { .tv_sec = 5 };
    assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout), 0);
    pid_t parent = fork();
    if (parent == 0) {
        if (fork() == 0) {
            close(ends[0]);
            _exit(worker_main(ends[1]));
        }
        close(ends[0]);
        close(ends[1]);
        pause();
        _exit(0);
    }
    close(ends[1]);
    struct talk *talk = *state;
    int own = talk->fd;
    talk->fd = ends[0];
    start_simulated(talk, 60000);
    tell_pool(talk, 0);
    struct order_job job = job_order(0, talk->picture);
    tell(talk, ORDER_JOB, &job, -1);
    kill(parent, SIGKILL);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    int passed;
    assert_int_equal(orders_receive(ends[0], &got, &passed, NULL), -ERROR_END);
    close(ends[0]);
    talk->fd = own;
}

int main(void)
{
#define WORKER_TEST(test) cmocka_unit_test_setup_teardown(test, open_talk, close_talk)
    const struct CMUnitTest tests[] = {
        WORKER_TEST(test_serves_jobs),
        WORKER_TEST(test_leaves_when_the_socket_closes),
        WORKER_TEST(test_finishes_its_job_before_it_leaves),
        WORKER_TEST(test_setup_comes_first),
        WORKER_TEST(test_models_come_in_order),
        WORKER_TEST(test_short_memory),
        WORKER_TEST(test_slot_in_use),
        WORKER_TEST(test_forget_unknown),
        WORKER_TEST(test_picture_outside_its_pool),
        WORKER_TEST(test_unknown_model),
        WORKER_TEST(test_reply_to_a_worker),
        WORKER_TEST(test_refuses_a_bad_model),
        WORKER_TEST(test_refuses_a_gpu_that_is_not_there),
        WORKER_TEST(test_cpu_device_finds_the_sample),
        WORKER_TEST(test_dies_with_its_parent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
