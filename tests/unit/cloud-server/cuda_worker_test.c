/* Proves that a GPU's worker keeps two pictures under way, on the emulated device: answers come in the
 * order of the jobs and are those of one at a time, whichever models and plans the two are for; what
 * happens to one does not happen to the other; a plan is made once for each size, and when nothing is
 * under way. The models are written here: each finds the dark and the bright pixels of a picture. */
#include "worker_talk.h"

#include "cuda/cuda.h"
#include "graph/compose.h"
#include "onnx/write.h"

#define MODELS 2u
#define INPUT_WIDTH 48
#define INPUT_HEIGHT 32
#define EVENTS_MAX 16u
#define NARROWER 10u /* pixels, of the second size of pictures */
#define FOLDER_BYTES 32u

/* What the device was asked to do, and what it shall do: shared with the worker's process. */
struct trace {
    volatile bool hold; /* runs do not begin */
    volatile uint32_t count;
    char events[EVENTS_MAX + 1]; /* S: a run was started, F: one was finished */
    char fails_at;               /* 'S' or 'F': there, */
    uint32_t fails_number;       /* the so-many-th event of its kind, from 1; 0: never, */
    enum error_code fails_with;
};

static struct trace *trace;
static struct device_class traced; /* the emulated device, which takes notes */
static char folders[MODELS][FOLDER_BYTES] = { "/tmp/cuda_worker_XXXXXX",
                                              "/tmp/cuda_worker_XXXXXX" };

/* ---- the device ---- */

static int note(char event, struct error *err)
{
    uint32_t number = 1;
    for (uint32_t i = 0; i < trace->count; i++)
        number += trace->events[i] == event;
    if (trace->count < EVENTS_MAX)
        trace->events[trace->count++] = event;
    if (event == trace->fails_at && number == trace->fails_number)
        return error_set(err, trace->fails_with, "traced", "%c%u fails", event, number);
    return 0;
}

static int traced_open(struct device **device, const char *arguments, struct error *err)
{
    int failed = cuda_class.open(device, arguments, err);
    if (!failed)
        (*device)->class = &traced;
    return failed;
}

static int traced_start(struct plan *plan, struct error *err)
{
    while (trace->hold)
        usleep(1000);
    int failed = note('S', err);
    return failed ? failed : cuda_class.start(plan, err);
}

static int traced_finish(struct plan *plan, struct error *err)
{
    int failed = cuda_class.finish(plan, err);
    return failed ? failed : note('F', err);
}

/* ---- the models ---- */

static void must(int result, const struct error *err)
{
    if (result < 0)
        fail_msg("%s", err->text);
}

/* Two planes of scores: how dark a pixel is beyond the limit, and how bright. */
static void write_network(const char *path, double limit)
{
    struct compose c;
    struct error err = { 0 };
    compose_start(&c, "halves", &err);
    int x = compose_input(&c, "picture", TENSOR_F32, COMPOSE_SHAPE(1, 3, INPUT_HEIGHT, INPUT_WIDTH));
    int weights = compose_constant(&c, "weights", COMPOSE_SHAPE(2, 3, 1, 1), 1.0 / 3);
    int bias = compose_constant(&c, "bias", COMPOSE_SHAPE(2), limit);
    float *weight = compose_floats(&c, weights), *of_bias = compose_floats(&c, bias);
    for (int i = 0; weight && of_bias && i < 3; i++)
        weight[i] = -weight[i];
    if (of_bias)
        of_bias[1] = -of_bias[1];
    compose_output(&c, compose_conv(&c, x, weights, bias, 1), "halves");
    must(c.rc, &err);
    must(onnx_write_file(c.graph, path, &err), &err);
    graph_free(&c.graph);
}

/* Of its sample, any share of the two will do. */
static void write_card(const char *path)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_true(
        fprintf(out,
                "name: halves\nfile: net.onnx\nclasses: [dark, bright]\n"
                "input: {width: %d, height: %d, colour: rgb, fit: letterbox, divisor: 255}\n"
                "head: {kind: segment, masks: true}\nprecision: f32\n"
                "sample:\n  picture: sample.ppm\n  expect:\n"
                "    - {class: dark, share: 0.5, tolerance: 0.5}\n"
                "    - {class: bright, share: 0.5, tolerance: 0.5}\n",
                INPUT_WIDTH, INPUT_HEIGHT) > 0);
    assert_int_equal(fclose(out), 0);
}

/* The left half is black, the right one white. */
static void write_sample(const char *path)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    fprintf(out, "P6\n%d %d\n255\n", INPUT_WIDTH, INPUT_HEIGHT);
    for (int i = 0; i < INPUT_WIDTH * INPUT_HEIGHT; i++)
        for (int c = 0; c < 3; c++)
            fputc(i % INPUT_WIDTH < INPUT_WIDTH / 2 ? 0 : 255, out);
    assert_int_equal(fclose(out), 0);
}

static const char *in_folder(uint32_t model, const char *name)
{
    static char path[2 * MODELS * FOLDER_BYTES];
    snprintf(path, sizeof path, "%s/%s", folders[model], name);
    return path;
}

static int open_all(void **state)
{
    (void)state;
    trace = mmap(NULL, sizeof *trace, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(trace != MAP_FAILED);
    traced = cuda_class;
    traced.open = traced_open;
    traced.start = traced_start;
    traced.finish = traced_finish;
    device_add_class(&traced);
    for (uint32_t i = 0; i < MODELS; i++) {
        assert_non_null(mkdtemp(folders[i]));
        write_network(in_folder(i, "net.onnx"), i == 0 ? 0.3 : 0.6);
        write_card(in_folder(i, "card.yaml"));
        write_sample(in_folder(i, "sample.ppm"));
    }
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    static const char *const names[] = { "net.onnx", "card.yaml", "sample.ppm" };
    for (uint32_t i = 0; i < MODELS; i++) {
        for (size_t j = 0; j < sizeof names / sizeof *names; j++)
            unlink(in_folder(i, names[j]));
        rmdir(folders[i]);
    }
    munmap(trace, sizeof *trace);
    return 0;
}

/* ---- the worker ---- */

static void clear_trace(void)
{
    memset(trace, 0, sizeof *trace);
}

static void send_job(struct talk *talk, struct order_job job, uint64_t number, uint32_t model)
{
    job.job = number;
    job.model = model;
    job.result = (uint32_t)(number - 1) % WORKER_PICTURES_MAX;
    tell(talk, ORDER_JOB, &job, -1);
}

/* The picture's job, for the left part of it. */
static struct order_job narrow_job(const struct picture *picture, uint32_t by)
{
    struct order_job job = job_order(0, picture);
    job.width -= by;
    job.camera_width -= by;
    return job;
}

/* The device makes its input itself, for each size by a plan of its own. */
static void expect_plans(struct talk *talk)
{
    for (uint32_t i = 0; i < 2 * MODELS; i++) {
        send_job(talk, narrow_job(talk->picture, i / MODELS * NARROWER), 1, i % MODELS);
        expect(talk, REPLY_PREPARING);
        expect(talk, REPLY_DONE);
        assert_string_equal(got.done.reason, "");
    }
}

/* With both models, of which the second has small pictures restored. Plans are made for both sizes of
 * pictures that tests send. */
static void start_worker(struct talk *talk)
{
    clear_trace();
    tell_setup(talk, DEVICE_CUDA, 0, MODELS);
    for (uint32_t i = 0; i < MODELS; i++) {
        struct order_model model = { .index = i,
                                     .fallback = i == 0 ? FALLBACK_NONE : FALLBACK_BICUBIC };
        snprintf(model.folder, sizeof model.folder, "%s", folders[i]);
        tell(talk, ORDER_MODEL, &model, -1);
        expect(talk, REPLY_CLASSES);
        assert_int_equal(got.classes.masks, 1);
        for (uint32_t step = 0; step < POOL_BATCH_STEPS; step++)
            assert_int_equal(got.classes.run_us[step] > 0, 1u << step <= TALK_BATCH);
    }
    expect(talk, REPLY_READY);
    tell_pool(talk, 0);
    expect_plans(talk);
    clear_trace();
}

/* The picture's left pixels become black, as many columns of them as told. */
static void paint(struct picture *picture, uint32_t columns)
{
    struct picture_view view;
    picture_get_view(picture, &view);
    for (uint32_t y = 0; y < view.height; y++)
        for (uint32_t x = 0; x < view.width; x++)
            view.plane[0][y * view.stride[0] + x] = (uint8_t)(x < columns ? 16 : 100 + 3 * y);
    for (uint32_t y = 0; y < (view.height + 1) / 2; y++) {
        memset(view.plane[1] + y * view.stride[1], 128, (view.width + 1) / 2);
        memset(view.plane[2] + y * view.stride[2], 128, (view.width + 1) / 2);
    }
}

static void expect_done(struct talk *talk, uint64_t number, struct analysis *found)
{
    expect(talk, REPLY_DONE);
    assert_int_equal(got.done.job, number);
    if (got.done.failed)
        fail_msg("%s", got.done.reason);
    analysis_copy(found, &talk->results[(number - 1) % WORKER_PICTURES_MAX]);
}

static void expect_equal(const struct analysis *is, const struct analysis *should)
{
    assert_int_equal(is->area_count, should->area_count);
    assert_true(is->area_count > 0);
    assert_memory_equal(is->areas, should->areas, is->area_count * sizeof is->areas[0]);
    assert_int_equal(is->runs_bytes, should->runs_bytes);
    assert_memory_equal(is->runs, should->runs, is->runs_bytes);
    assert_true(is->uncertainty == should->uncertainty);
}

/* Jobs for two pictures of the pool, the second one narrower, and what a model finds in them one at a
 * time. */
struct pair {
    struct picture *pictures[2];
    struct order_job jobs[2];
    struct analysis alone[2], found[2];
};

static struct pair *open_pair(struct talk *talk, const uint32_t models[2])
{
    struct pair *pair = calloc(1, sizeof *pair);
    assert_non_null(pair);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(picture_pool_take(talk->pictures, &pair->pictures[i], NULL), 0);
        paint(pair->pictures[i], 5 + 11 * i);
        pair->jobs[i] = narrow_job(pair->pictures[i], i * NARROWER);
        send_job(talk, pair->jobs[i], i + 1, models[i]);
        expect_done(talk, i + 1, &pair->alone[i]);
    }
    assert_string_equal(trace->events, "SFSF");
    assert_memory_not_equal(pair->alone[0].areas, pair->alone[1].areas,
                            sizeof pair->alone[0].areas[0]);
    clear_trace();
    return pair;
}

/* As jobs 3 and 4, of which the second is there before the first begins. */
static void send_pair(struct talk *talk, const struct pair *pair, const uint32_t models[2])
{
    trace->hold = true;
    for (uint32_t i = 0; i < 2; i++)
        send_job(talk, pair->jobs[i], i + 3, models[i]);
    trace->hold = false;
}

static void close_pair(struct pair *pair)
{
    for (uint32_t i = 0; i < 2; i++)
        picture_unref(&pair->pictures[i]);
    free(pair);
}

/* ---- tests ---- */

static void check_pair(struct talk *talk, const uint32_t models[2])
{
    struct pair *pair = open_pair(talk, models);
    send_pair(talk, pair, models);
    for (uint32_t i = 0; i < 2; i++) {
        expect_done(talk, i + 3, &pair->found[i]);
        expect_equal(&pair->found[i], &pair->alone[i]);
    }
    assert_string_equal(trace->events, "SSFF");
    clear_trace();
    close_pair(pair);
}

static void test_two_of_one_model(void **state)
{
    struct talk *talk = *state;
    start_worker(talk);
    check_pair(talk, (uint32_t[]){ 0, 0 });
    check_pair(talk, (uint32_t[]){ 1, 1 }); /* and once more, from another slot on */
    check_pair(talk, (uint32_t[]){ 1, 1 });
}

static void test_two_models(void **state)
{
    struct talk *talk = *state;
    start_worker(talk);
    check_pair(talk, (uint32_t[]){ 0, 1 });
    check_pair(talk, (uint32_t[]){ 1, 0 });
}

static void test_three_in_a_row(void **state)
{
    static const uint32_t models[] = { 0, 1 };
    struct talk *talk = *state;
    start_worker(talk);
    struct pair *pair = open_pair(talk, models);
    trace->hold = true;
    send_job(talk, pair->jobs[0], 3, 0);
    send_job(talk, pair->jobs[1], 4, 1);
    send_job(talk, pair->jobs[0], 5, 0);
    trace->hold = false;
    for (uint32_t i = 0; i < 3; i++) {
        expect_done(talk, i + 3, &pair->found[0]);
        expect_equal(&pair->found[0], &pair->alone[i % 2]);
    }
    assert_string_equal(trace->events, "SSFSFF");
    close_pair(pair);
}

/* The first or the second of two fails where it is told to; the other is answered as if alone. */
static void check_failure(struct talk *talk, char at, uint32_t number)
{
    static const uint32_t models[] = { 0, 0 };
    struct pair *pair = open_pair(talk, models);
    trace->fails_at = at;
    trace->fails_number = number;
    trace->fails_with = ERROR_FORMAT;
    send_pair(talk, pair, models);
    for (uint32_t i = 0; i < 2; i++)
        if (i + 1 == number) {
            expect(talk, REPLY_DONE);
            assert_int_equal(got.done.job, i + 3);
            assert_int_equal(got.done.failed, 1);
            assert_non_null(strstr(got.done.reason, "fails"));
        } else {
            expect_done(talk, i + 3, &pair->found[i]);
            expect_equal(&pair->found[i], &pair->alone[i]);
        }
    clear_trace();
    close_pair(pair);
}

static void test_a_failure_is_one_pictures(void **state)
{
    struct talk *talk = *state;
    start_worker(talk);
    for (uint32_t number = 1; number <= 2; number++) {
        check_failure(talk, 'S', number);
        check_failure(talk, 'F', number);
    }
    check_pair(talk, (uint32_t[]){ 0, 1 });
}

/* What was begun before is still answered. */
static void test_the_device_fails(void **state)
{
    static const uint32_t models[] = { 0, 0 };
    struct talk *talk = *state;
    start_worker(talk);
    struct pair *pair = open_pair(talk, models);
    trace->fails_at = 'S';
    trace->fails_number = 2;
    trace->fails_with = ERROR_IO;
    send_pair(talk, pair, models);
    expect_done(talk, 3, &pair->found[0]);
    expect_equal(&pair->found[0], &pair->alone[0]);
    expect(talk, REPLY_REFUSED);
    assert_int_equal(got.refused.model, ORDER_MODEL_NONE);
    assert_int_equal(got.refused.code, ERROR_DEVICE);
    expect_end(talk, 0); /* the server says it */
    close_pair(pair);
}

/* Of a picture that was sent smaller: the one before is answered first, and then it is the one at work. */
static void test_a_plan_is_made_alone(void **state)
{
    static const uint32_t models[] = { 0, 0 };
    struct talk *talk = *state;
    start_worker(talk);
    struct pair *pair = open_pair(talk, models);
    struct order_job small = job_order(0, talk->picture);
    small.camera_width = 40;
    small.camera_height = 30;
    trace->hold = true;
    send_job(talk, pair->jobs[0], 3, 0);
    send_job(talk, small, 4, 1);
    trace->hold = false;
    expect_done(talk, 3, &pair->found[0]);
    expect_equal(&pair->found[0], &pair->alone[0]);
    expect(talk, REPLY_PREPARING);
    assert_int_equal(got.preparing.job, 4);
    expect(talk, REPLY_DONE);
    assert_int_equal(got.done.job, 4);
    assert_int_equal(got.done.restored, RESTORE_BICUBIC);
    assert_string_equal(trace->events, "SFSF");

    /* The plan is there now, and goes along with another. */
    clear_trace();
    trace->hold = true;
    send_job(talk, small, 5, 1);
    send_job(talk, pair->jobs[1], 6, 0);
    trace->hold = false;
    expect(talk, REPLY_DONE);
    assert_int_equal(got.done.restored, RESTORE_BICUBIC);
    expect_done(talk, 6, &pair->found[1]);
    assert_int_equal(got.done.restored, RESTORE_NONE);
    expect_equal(&pair->found[1], &pair->alone[1]);
    assert_string_equal(trace->events, "SSFF");
    close_pair(pair);
}

/* ---- pictures together ---- */

static void send_together(struct talk *talk, const struct order_job *jobs, uint32_t count,
                          uint64_t first, uint32_t model)
{
    for (uint32_t i = 0; i < count; i++) {
        struct order_job job = jobs[i];
        job.more = count - 1 - i;
        send_job(talk, job, first + i, model);
    }
}

/* The pictures of a pair at one size, for a camera of so much more; alone[] is what is found in them one at a
 * time. */
static struct pair *open_equals(struct talk *talk, uint32_t model, uint32_t more)
{
    struct pair *pair = calloc(1, sizeof *pair);
    assert_non_null(pair);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(picture_pool_take(talk->pictures, &pair->pictures[i], NULL), 0);
        paint(pair->pictures[i], 5 + 11 * i);
        pair->jobs[i] = job_order(0, pair->pictures[i]);
        pair->jobs[i].camera_width += more;
        pair->jobs[i].camera_height += more;
        send_job(talk, pair->jobs[i], i + 1, model);
        if (i == 0 && more > 0)
            expect(talk, REPLY_PREPARING);
        expect_done(talk, i + 1, &pair->alone[i]);
    }
    clear_trace();
    return pair;
}

/* Both are computed in one run, and each is answered as if alone; the plan is made at the first time. */
static void check_together(struct talk *talk, uint32_t model, uint32_t more,
                           enum restore_kind restored)
{
    struct pair *pair = open_equals(talk, model, more);
    for (uint32_t time = 0; time < 2; time++) {
        clear_trace();
        send_together(talk, pair->jobs, 2, 3, model);
        if (time == 0)
            expect(talk, REPLY_PREPARING);
        for (uint32_t i = 0; i < 2; i++) {
            expect_done(talk, i + 3, &pair->found[i]);
            expect_equal(&pair->found[i], &pair->alone[i]);
            assert_int_equal(got.done.restored, restored);
        }
        assert_string_equal(trace->events, "SF");
    }
    clear_trace();
    close_pair(pair);
}

static void test_together(void **state)
{
    struct talk *talk = *state;
    start_worker(talk);
    check_together(talk, 0, 0, RESTORE_NONE);
    check_together(talk, 1, 10, RESTORE_BICUBIC);
}

/* None is answered when one cannot be: the server asks for each again. */
static void test_together_they_fail(void **state)
{
    struct talk *talk = *state;
    start_worker(talk);
    struct pair *pair = open_equals(talk, 0, 0);
    for (uint32_t i = 0; i < 2; i++) {
        clear_trace();
        trace->fails_at = "SF"[i];
        trace->fails_number = 1;
        trace->fails_with = ERROR_FORMAT;
        send_together(talk, pair->jobs, 2, 3, 0);
        if (i == 0)
            expect(talk, REPLY_PREPARING);
        for (uint32_t k = 0; k < 2; k++) {
            expect(talk, REPLY_DONE);
            assert_int_equal(got.done.job, k + 3);
            assert_int_equal(got.done.failed, 1);
        }
    }
    clear_trace();
    close_pair(pair);
    check_pair(talk, (uint32_t[]){ 0, 1 });
}

static void test_what_does_not_go_together(void **state)
{
    struct talk *talk = *state;
    start_worker(talk);
    struct order_job job = job_order(0, talk->picture);
    job.more = 1;
    send_job(talk, job, 3, 0);
    send_job(talk, job, 4, 0); /* it was to be the last one */
    expect_end(talk, 1);
}

static void test_more_than_may_go_together(void **state)
{
    struct talk *talk = *state;
    start_worker(talk);
    struct order_job job = job_order(0, talk->picture);
    job.more = TALK_BATCH;
    send_job(talk, job, 3, 0);
    expect_end(talk, 1);
}

/* The server goes while two are under way. */
static void test_leaves_nothing_under_way(void **state)
{
    static const uint32_t models[] = { 0, 0 };
    struct talk *talk = *state;
    start_worker(talk);
    struct pair *pair = open_pair(talk, models);
    trace->hold = true;
    send_job(talk, pair->jobs[0], 3, 0);
    send_job(talk, pair->jobs[1], 4, 1);
    close(talk->fd);
    talk->fd = -1;
    trace->hold = false;
    expect_end(talk, 0);
    assert_string_equal(trace->events, "SSFF");
    close_pair(pair);
}

int main(void)
{
#define WORKER_TEST(test) cmocka_unit_test_setup_teardown(test, open_talk, close_talk)
    const struct CMUnitTest tests[] = {
        WORKER_TEST(test_two_of_one_model),
        WORKER_TEST(test_two_models),
        WORKER_TEST(test_three_in_a_row),
        WORKER_TEST(test_a_failure_is_one_pictures),
        WORKER_TEST(test_the_device_fails),
        WORKER_TEST(test_a_plan_is_made_alone),
        WORKER_TEST(test_together),
        WORKER_TEST(test_together_they_fail),
        WORKER_TEST(test_what_does_not_go_together),
        WORKER_TEST(test_more_than_may_go_together),
        WORKER_TEST(test_leaves_nothing_under_way),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
