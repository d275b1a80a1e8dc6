/* Proves that the pool survives workers that never start, never answer, refuse, lie or send rubbish:
 * each is found out, named in words, killed and (unless it refused) started again, and pictures are
 * told once all the same. This program plays those workers; FAKE_WORKER says which. */
#include "pool_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <cmocka.h>

/* Times to start and to answer: one that no pause of the machine is as long as, and one for what never comes. */
#define PATIENT_MS 20000u
#define IMPATIENT_MS 1000u
#define SLOW_MS 2000u /* of a plan that is made, where a picture may take IMPATIENT_MS */

/* The worker's side */

static void fake_reply(int fd, enum order_kind kind, void *reply)
{
    if (orders_send(fd, kind, reply, -1, NULL))
        exit(3);
}

static void fake_classes(int fd, const char *name)
{
    static struct reply_classes classes = { .count = 1 };
    snprintf(classes.names, sizeof classes.names, "%s", name);
    fake_reply(fd, REPLY_CLASSES, &classes);
}

static void fake_ready(int fd)
{
    fake_reply(fd, REPLY_READY, &(struct reply_ready){ 0 });
}

static void fake_preparing(int fd, uint64_t job)
{
    fake_reply(fd, REPLY_PREPARING, &(struct reply_preparing){ .job = job });
}

static void fake_done(int fd, uint64_t job, uint32_t failed, const char *reason)
{
    struct reply_done done = { .job = job, .failed = failed };
    snprintf(done.reason, sizeof done.reason, "%s", reason);
    fake_reply(fd, REPLY_DONE, &done);
}

static void fake_refused(int fd, uint32_t model, uint32_t code, const char *text)
{
    struct reply_refused refused = { .model = model, .code = code };
    snprintf(refused.text, sizeof refused.text, "%s", text);
    fake_reply(fd, REPLY_REFUSED, &refused);
}

/* Answers one job in the manner of kind. */
static void fake_job(int fd, const char *kind, const struct order_job *job, struct analysis *results)
{
    struct analysis *analysis = &results[job->result];
    analysis->object_count = analysis->area_count = analysis->runs_bytes = 0;
    if (strcmp(kind, "crash") == 0 || strcmp(kind, "changes") == 0)
        abort();
    if (strcmp(kind, "device-fails") == 0)
        fake_refused(fd, ORDER_MODEL_NONE, ERROR_DEVICE, "a kernel went astray");
    if (strcmp(kind, "refuses-late") == 0)
        fake_refused(fd, 0, ERROR_FORMAT, "too late");
    if (strcmp(kind, "wrong-job") == 0)
        fake_done(fd, job->job + 1, 0, "");
    if (strcmp(kind, "twice") == 0)
        fake_done(fd, job->job, 0, "");
    if (strcmp(kind, "many-objects") == 0)
        analysis->object_count = UINT32_MAX;
    if (strcmp(kind, "ready-again") == 0)
        fake_ready(fd);
    if (strncmp(kind, "prepares", 8) == 0)
        fake_preparing(fd, job->job);
    if (strcmp(kind, "prepares-twice") == 0)
        fake_preparing(fd, job->job);
    if (strcmp(kind, "prepares-other") == 0)
        fake_preparing(fd, job->job + 1);
    if (strcmp(kind, "prepares-slowly") == 0)
        usleep(SLOW_MS * 1000);
    if (strcmp(kind, "prepares-for-ever") == 0)
        pause();
    if (strcmp(kind, "unknown-network") == 0)
        fake_reply(
            fd, REPLY_DONE,
            &(struct reply_done){ .job = job->job, .restored = RESTORE_NETWORK, .network = "x2" });
    bool fails = strcmp(kind, "fails") == 0;
    fake_done(fd, job->job, fails, fails ? "too dark" : "");
}

static bool refuses(int fd, const char *kind)
{
    if (strcmp(kind, "refuses-device") == 0)
        fake_refused(fd, ORDER_MODEL_NONE, ERROR_UNSUPPORTED, "there is none");
    else if (strcmp(kind, "refuses-sample") == 0)
        fake_refused(fd, 0, ERROR_DEVICE, "a kernel went astray");
    else if (strcmp(kind, "refuses-memory") == 0)
        fake_refused(fd, 0, ERROR_MEMORY, "channels are swapped");
    else if (strcmp(kind, "refuses") == 0)
        fake_refused(fd, 0, ERROR_FORMAT, "channels are swapped");
    else
        return false;
    return true;
}

static int fake_worker(int fd, const char *kind)
{
    static union order order;
    int passed;
    struct analysis *results = MAP_FAILED;
    if (strcmp(kind, "mute") == 0)
        pause();
    if (strcmp(kind, "quits") == 0)
        return 7;
    if (strcmp(kind, "quits-slowly") == 0) {
        close(fd);
        usleep(100000);
        return 9;
    }
    if (strcmp(kind, "hangs-up") == 0 && close(fd) == 0)
        pause();
    if (strcmp(kind, "rubbish") == 0 && send(fd, "rubbish", 7, 0) == 7)
        pause();
    if (strcmp(kind, "early") == 0)
        fake_ready(fd);
    if (strcmp(kind, "other-version") == 0) {
        struct order_head head = { .version = ORDER_VERSION + 1, .kind = REPLY_READY };
        if (send(fd, &head, sizeof head, 0) == sizeof head)
            pause();
    }
    while (orders_receive(fd, &order, &passed, NULL) == 0) {
        if (order.head.kind == ORDER_SETUP)
            results = mmap(NULL, WORKER_PICTURES_MAX * sizeof(struct analysis),
                           PROT_READ | PROT_WRITE, MAP_SHARED, passed, 0);
        if (passed >= 0)
            close(passed);
        if (order.head.kind == ORDER_MODEL && refuses(fd, kind))
            return 1;
        if (order.head.kind == ORDER_MODEL) {
            char name[32] = "thing";
            if (strcmp(kind, "changes") == 0)
                snprintf(name, sizeof name, "thing-%d", (int)getpid());
            fake_classes(fd, name);
            if (strcmp(kind, "classes-twice") == 0)
                fake_classes(fd, name);
            fake_ready(fd);
        }
        if (order.head.kind == ORDER_JOB)
            fake_job(fd, kind, &order.job, results);
    }
    return 0;
}

/* The server's side */

/* A pool of one such worker, which has so long to start, and as long for an answer. */
static struct rig *open_fake(const char *kind, uint32_t ms)
{
    setenv("FAKE_WORKER", kind, 1);
    struct rig *rig = rig_new((uint32_t[]){ 1, 0 });
    rig->config.start_ms = rig->config.hang_ms = ms;
    rig_open(rig);
    return rig;
}

static void close_fake(struct rig *rig)
{
    rig_close(rig, 200);
    assert_int_equal(rig_not_once(rig), 0);
    rig_free(rig);
}

static const char *describe(struct rig *rig)
{
    static char reason[1024];
    pool_ready(rig->pool, reason, sizeof reason);
    return reason;
}

/* Waits until the worker was lost so often for this reason, with a cause. */
static void expect_loss(struct rig *rig, unsigned times, const char *reason, const char *cause)
{
    struct metric_label labels[] = { { "worker", "simulated-0" }, { "reason", reason } };
    struct metric_counter *lost =
        metrics_counter(rig->metrics, "server_worker_restarts_total", "", labels, 2);
    if (!RIG_WAIT(rig, 5000, metric_counter_get(lost) >= times))
        fail_msg("no loss by %s; %s", reason, describe(rig));
    if (!strstr(describe(rig), cause))
        fail_msg("no '%s' in '%s'", cause, describe(rig));
    assert_int_equal(rig->fatal.code, ERROR_NONE);
}

static void test_before_ready(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *reason, *cause;
    } cases[] = {
        { "mute", "start", "not ready within 1000 ms" },
        { "quits", "exit", "ended with status 7" },
        { "quits-slowly", "exit", "ended with status 9" },
        { "hangs-up", "exit", "closed its socket and did not end" },
        { "rubbish", "protocol", "an order of 7 bytes" },
        { "other-version", "protocol", "was the program replaced?" },
        { "early", "protocol", "ready with 0 of 1 models" },
        { "classes-twice", "protocol", "classes of model 0 out of turn" },
        { "refuses-memory", "refused", "model any: channels are swapped" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t ms = strcmp(cases[i].kind, "mute") == 0 ? IMPATIENT_MS : PATIENT_MS;
        struct rig *rig = open_fake(cases[i].kind, ms);
        rig_submit(rig_add_stream(rig));
        expect_loss(rig, 1, cases[i].reason, cases[i].cause);
        assert_int_equal(rig->streams[0].told[0], 0); /* it waits for better times */
        close_fake(rig);
    }
}

static void test_at_work(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *reason, *cause;
    } cases[] = {
        { "crash", "exit", "ended by signal 6" },
        { "wrong-job", "protocol", "was not at work" },
        { "twice", "protocol", "was not at work" },
        { "many-objects", "protocol", "an analysis holds impossible values" },
        { "ready-again", "protocol", "came while the worker was ready" },
        { "prepares-twice", "protocol", "is prepared out of turn" },
        { "prepares-other", "protocol", "is prepared out of turn" },
        { "unknown-network", "protocol", "network x2 restored for a model that has none" },
        { "prepares-for-ever", "hang", "no answer within 1000 ms" },
        { "device-fails", "device", "worker simulated-0: device: a kernel went astray" },
        { "refuses-late", "protocol", "refused came while the worker was ready" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t ms = strcmp(cases[i].kind, "prepares-for-ever") == 0 ? IMPATIENT_MS : PATIENT_MS;
        struct rig *rig = open_fake(cases[i].kind, ms);
        struct rig_stream *stream = rig_add_stream(rig);
        assert_true(RIG_WAIT(rig, 5000, rig_ready(rig) == 1));
        rig_submit(stream);
        rig_submit(stream);
        expect_loss(rig, 2, cases[i].reason, cases[i].cause);
        assert_int_equal(stream->told[0], 1);
        /* Lied after a good answer: that one counts. Otherwise two workers were lost over it. */
        assert_int_equal(stream->status[0],
                         strcmp(cases[i].kind, "twice") == 0 ? JOB_DONE : JOB_DROPPED_WORKER);
        close_fake(rig);
    }
}

static void test_refused_model_stays_down(void **state)
{
    (void)state;
    struct rig *rig = open_fake("refuses", PATIENT_MS);
    assert_true(RIG_WAIT(rig, 5000, rig->fatal.code != ERROR_NONE));
    assert_int_equal(rig->fatal.code, ERROR_FORMAT);
    assert_string_equal(rig->fatal.text, "worker simulated-0: model any: channels are swapped");
    assert_true(RIG_WAIT(rig, 1000, strstr(describe(rig), "stays down") != NULL));
    assert_false(RIG_WAIT(rig, 100, !strstr(describe(rig), "stays down")));
    close_fake(rig);
}

/* It is not given up, but nothing is expected of it soon; what it says is kept. */
static void test_device_is_tried_again_seldom(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *cause;
    } cases[] = {
        { "refuses-device", "worker simulated-0: device: there is none" },
        { "refuses-sample", "worker simulated-0: model any: a kernel went astray" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig *rig = open_fake(cases[i].kind, PATIENT_MS);
        const struct child *child = &rig->pool->workers[0].child;
        struct metric_label label = { "worker", "simulated-0" };
        struct metric_gauge *gauge =
            metrics_gauge(rig->metrics, "server_worker_state", "", &label, 1);
        assert_true(pool_may_serve(rig->pool));
        assert_float_equal(metric_gauge_get(gauge), 2, 0);
        assert_true(RIG_WAIT(rig, 5000, child->state == CHILD_WAITING));
        assert_true(child->due_ms > uv_now(&rig->loop) + 14000);
        assert_false(pool_may_serve(rig->pool));
        assert_float_equal(metric_gauge_get(gauge), 1, 0);
        struct pool_worker worker;
        assert_int_equal(pool_worker_count(rig->pool), 1);
        pool_worker_get(rig->pool, 0, &worker);
        assert_string_equal(worker.state, "waits for its next start");
        assert_string_equal(worker.last_end, "device");
        assert_string_equal(worker.cause, cases[i].cause);
        assert_int_equal(rig->fatal.code, ERROR_NONE);
        close_fake(rig);
    }
}

static void test_changed_classes_are_fatal(void **state)
{
    (void)state;
    struct rig *rig = open_fake("changes", PATIENT_MS);
    struct rig_stream *stream = rig_add_stream(rig);
    assert_true(RIG_WAIT(rig, 5000, rig_ready(rig) == 1));
    char first[64];
    snprintf(first, sizeof first, "%s", pool_class_name(rig->pool, 0, 0));
    rig_submit(stream); /* it dies over this one */
    assert_true(RIG_WAIT(rig, 5000, rig->fatal.code != ERROR_NONE));
    assert_non_null(strstr(rig->fatal.text, "restart the server"));
    assert_string_equal(pool_class_name(rig->pool, 0, 0), first);
    close_fake(rig);
}

static void test_refused_picture(void **state)
{
    (void)state;
    struct rig *rig = open_fake("fails", PATIENT_MS);
    struct rig_stream *stream = rig_add_stream(rig);
    rig_submit(stream);
    rig_submit(stream);
    assert_true(RIG_WAIT(rig, 5000, stream->by_status[JOB_FAILED] == 2));
    assert_string_equal(stream->reason, "too dark");
    assert_int_equal(rig_ready(rig), 1); /* the worker is not to blame */
    close_fake(rig);
}

/* Making a plan may take as long as a start, and says nothing about the worker's speed. */
static void test_plan_takes_longer_than_a_picture_may(void **state)
{
    (void)state;
    struct rig *rig = rig_new((uint32_t[]){ 1, 0 });
    setenv("FAKE_WORKER", "prepares-slowly", 1);
    rig->config.hang_ms = IMPATIENT_MS;
    rig->config.start_ms = PATIENT_MS;
    rig_open(rig);
    struct rig_stream *stream = rig_add_stream(rig);
    struct worker_load *load = &rig->pool->loads[0];
    load->mean_ns = 7; /* an earlier picture's */
    rig_submit(stream);
    assert_true(RIG_WAIT(rig, 5000, rig->pool->workers[0].preparing));
    assert_int_equal(load->work_ns, 0); /* nothing says how long it takes */
    assert_true(RIG_WAIT(rig, 5000, stream->told[0] == 1));
    assert_int_equal(stream->status[0], JOB_DONE);
    assert_int_equal(load->mean_ns, 7);
    assert_int_equal(rig_ready(rig), 1); /* not a new one */
    setenv("FAKE_WORKER", "good", 1);
    close_fake(rig);
}

/* Its worker begins one while it computes another, and one more waits; each has a place of its own for
 * what is found. */
static void expect_jobs(enum device_kind kind, uint32_t jobs)
{
    setenv("FAKE_WORKER", "good", 1);
    struct rig *rig = rig_new((uint32_t[]){ 1, 0 });
    rig->devices[0].kind = kind;
    rig->config.queue_per_stream = 2 * WORKER_JOBS_MAX;
    rig->config.round_robin = true; /* so that no clock decides */
    rig_open(rig);
    struct rig_stream *stream = rig_add_stream(rig);
    assert_true(RIG_WAIT(rig, 5000, rig_ready(rig) == 1));
    const struct worker_link *link = &rig->pool->workers[0];
    for (uint32_t i = 0; i < 2 * WORKER_JOBS_MAX; i++)
        rig_submit(stream);
    assert_int_equal(link->load->jobs, jobs);
    uint32_t used = 0;
    for (uint32_t i = 0; i < jobs; i++)
        used |= 1u << link->jobs[i]->result;
    assert_int_equal(used, (1u << jobs) - 1);
    assert_true(RIG_WAIT(rig, 5000, stream->told[2 * WORKER_JOBS_MAX - 1] == 1));
    assert_int_equal(stream->by_status[JOB_DONE], 2 * WORKER_JOBS_MAX);
    close_fake(rig);
}

static void test_a_gpu_has_one_job_more(void **state)
{
    (void)state;
    expect_jobs(DEVICE_SIMULATED, 2);
    expect_jobs(DEVICE_CUDA, 3);
}

/* Stopped while it has no picture: only the next one shows it. */
static void test_stopped_while_idle(void **state)
{
    (void)state;
    struct rig *rig = open_fake("good", IMPATIENT_MS);
    struct rig_stream *stream = rig_add_stream(rig);
    assert_true(RIG_WAIT(rig, 5000, rig_ready(rig) == 1));
    kill(rig_pid(rig, 0), SIGSTOP);
    assert_false(RIG_WAIT(rig, 75, rig_ready(rig) == 0));
    rig_submit(stream);
    assert_true(RIG_WAIT(rig, 5000, stream->told[0] == 1));
    assert_int_equal(stream->status[0], JOB_DONE); /* by its successor */
    /* Or its socket: orders to forget pools pile up until it is full. */
    kill(rig_pid(rig, 0), SIGSTOP);
    rig->pool->workers[0].child.config.hang_ms = 600000;
    struct picture_pool *pictures;
    for (int i = 0; i < 2000 && rig_ready(rig) == 1; i++) {
        struct order_forget order = { 0 };
        child_send(&rig->pool->workers[0].child, ORDER_FORGET, &order, -1, NULL);
    }
    assert_int_equal(rig_ready(rig), 0);
    assert_non_null(strstr(describe(rig), "it does not read its orders"));
    assert_int_equal(picture_pool_create(&pictures, 16, 16, 2, NULL), 0);
    assert_int_equal(rig_submit_from(stream, pictures, NULL), 0);
    picture_pool_release(&pictures);
    assert_true(RIG_WAIT(rig, 5000, stream->told[1] == 1));
    close_fake(rig);
}

static void test_program_missing(void **state)
{
    (void)state;
    char program[sizeof rig_program];
    memcpy(program, rig_program, sizeof program);
    snprintf(rig_program, sizeof rig_program, "/nowhere/cloud-server");
    struct rig *rig = open_fake("good", PATIENT_MS);
    memcpy(rig_program, program, sizeof program);
    expect_loss(rig, 2, "spawn", "cannot start /nowhere/cloud-server: no such file");
    close_fake(rig);
}

static void test_no_descriptors_left(void **state)
{
    (void)state;
    struct rig *rig = open_fake("good", PATIENT_MS);
    assert_true(RIG_WAIT(rig, 5000, rig_ready(rig) == 1));
    struct rlimit before, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 100;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int taken[100], count = 0;
    while (count < 100 && (taken[count] = dup(0)) >= 0)
        count++;
    kill(rig_pid(rig, 0), SIGKILL);
    expect_loss(rig, 1, "spawn", "cannot make a socket pair: Too many open files");
    while (count > 0)
        close(taken[--count]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(RIG_WAIT(rig, 5000, rig_ready(rig) == 1)); /* recovers by itself */
    close_fake(rig);
}

int main(int argc, char **argv)
{
    const char *kind = getenv("FAKE_WORKER");
    if (kind && argc == 4 && strcmp(argv[1], "worker") == 0)
        return fake_worker(atoi(argv[3]), kind);
    int status;
    if (rig_is_worker(argc, argv, &status))
        return status;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_before_ready),
        cmocka_unit_test(test_at_work),
        cmocka_unit_test(test_refused_model_stays_down),
        cmocka_unit_test(test_device_is_tried_again_seldom),
        cmocka_unit_test(test_changed_classes_are_fatal),
        cmocka_unit_test(test_refused_picture),
        cmocka_unit_test(test_plan_takes_longer_than_a_picture_may),
        cmocka_unit_test(test_a_gpu_has_one_job_more),
        cmocka_unit_test(test_stopped_while_idle),
        cmocka_unit_test(test_program_missing),
        cmocka_unit_test(test_no_descriptors_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
