/* The answer file: one whole JSON line per answer, appended; a torn tail is cut and a foreign file is
 * left alone; a full disk costs lines and errors that are counted, never the caller's time; what
 * could not be written is tried again. */
#include "report/answers.h"
#include "base/clock.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

struct bench {
    char path[64];
    struct metrics *metrics;
    struct answers_config config;
};

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    struct error err;

    if (!bench)
        return -1;
    strcpy(bench->path, "/tmp/answers-test-XXXXXX");
    int fd = mkstemp(bench->path);
    if (fd < 0 || metrics_create(&bench->metrics, &err) < 0)
        return -1;
    close(fd);
    bench->config = (struct answers_config){ .path = bench->path, .queue = 16 };
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;

    unlink(bench->path);
    metrics_destroy(&bench->metrics);
    free(bench);
    return 0;
}

static uint64_t count(struct bench *bench, const char *name, const char *reason)
{
    struct metric_label label = { "reason", reason };
    return metric_counter_get(metrics_counter(bench->metrics, name, "", &label, reason ? 1 : 0));
}

static void add(struct answer_file *file, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        Runespoor__Answer answer = RUNESPOOR__ANSWER__INIT;
        Runespoor__Timings timings = RUNESPOOR__TIMINGS__INIT;
        Runespoor__Object object = RUNESPOOR__OBJECT__INIT, *objects[] = { &object };
        object.class_name = (char *)"per\"son"; /* escaped */
        object.confidence = 0.5f;
        answer.stream = (char *)"cam";
        answer.frame = i;
        answer.timings = &timings;
        answer.n_objects = 1;
        answer.objects = objects;
        answer_file_add(file, &answer);
    }
}

static void wait_for(struct bench *bench, const char *name, const char *reason, uint64_t least)
{
    const uint64_t end_ns = clock_now_ns() + 5 * CLOCK_NS_PER_S;

    while (count(bench, name, reason) < least) {
        if (clock_now_ns() > end_ns)
            fail_msg("%s stays below %llu", name, (unsigned long long)least);
        usleep(1000);
    }
}

/* Reads the file: every line is whole, and frames are from, from + 1, … to - 1. */
static void expect_frames(struct bench *bench, uint64_t from, uint64_t to)
{
    FILE *file = fopen(bench->path, "r");
    char *line = NULL;
    size_t capacity = 0;

    assert_non_null(file);
    for (uint64_t frame = from; frame < to; frame++) {
        unsigned long long found;
        ssize_t size = getline(&line, &capacity, file);
        assert_true(size > 2);
        assert_int_equal(line[0], '{');
        assert_string_equal(line + size - 2, "}\n");
        const char *field = strstr(line, "\"frame\":");
        assert_non_null(field);
        assert_int_equal(sscanf(field, "\"frame\":%llu", &found), 1);
        assert_int_equal(found, frame);
    }
    assert_int_equal(getline(&line, &capacity, file), -1);
    free(line);
    fclose(file);
}

static void lines_are_appended(void **state)
{
    struct bench *bench = *state;
    struct answer_file *file;
    struct error err;

    assert_int_equal(answer_file_open(&file, &bench->config, bench->metrics, &err), 0);
    add(file, 0, 10);
    answer_file_close(&file);
    assert_null(file);
    expect_frames(bench, 0, 10);
    assert_int_equal(answer_file_open(&file, &bench->config, bench->metrics, &err), 0);
    add(file, 10, 12);
    answer_file_close(&file);
    expect_frames(bench, 0, 12);
    assert_int_equal(count(bench, "server_answer_lines_written_total", NULL), 12);
    answer_file_close(&file); /* takes NULL */
}

static void write_file(const char *path, const char *bytes)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, strlen(bytes)), (ssize_t)strlen(bytes));
    close(fd);
}

static void a_torn_tail_is_cut(void **state)
{
    struct bench *bench = *state;
    struct answer_file *file;
    struct error err;

    write_file(bench->path, "{\"frame\":0}\n{\"frame\":1}\n{\"frame\":2,\"str");
    assert_int_equal(answer_file_open(&file, &bench->config, bench->metrics, &err), 0);
    add(file, 2, 4);
    answer_file_close(&file);
    expect_frames(bench, 0, 4);
    write_file(bench->path, "{\"fra"); /* not one whole line */
    assert_int_equal(answer_file_open(&file, &bench->config, bench->metrics, &err), 0);
    add(file, 0, 1);
    answer_file_close(&file);
    expect_frames(bench, 0, 1);
}

static void a_foreign_file_is_left_alone(void **state)
{
    struct bench *bench = *state;
    struct answer_file *file;
    struct error err;
    char bytes[32] = "";

    write_file(bench->path, "my\nonly notes");
    assert_true(answer_file_open(&file, &bench->config, bench->metrics, &err) < 0);
    assert_non_null(strstr(err.text, bench->path));
    FILE *stream = fopen(bench->path, "r");
    assert_int_equal(fread(bytes, 1, sizeof bytes - 1, stream), 13);
    fclose(stream);
    assert_string_equal(bytes, "my\nonly notes");

    bench->config.path = (char *)"/nowhere/at/all";
    assert_true(answer_file_open(&file, &bench->config, bench->metrics, &err) < 0);
    assert_non_null(strstr(err.text, "/nowhere/at/all"));
}

static void a_full_disk_never_holds_up_the_caller(void **state)
{
    struct bench *bench = *state;
    struct answer_file *file;
    struct error err;

    bench->config.path = (char *)"/dev/full";
    assert_int_equal(answer_file_open(&file, &bench->config, bench->metrics, &err), 0);
    add(file, 0, 1);
    wait_for(bench, "server_answer_write_errors_total", NULL, 1);
    const uint64_t begin_ns = clock_now_ns();
    add(file, 1, 1001);
    assert_true(clock_now_ns() - begin_ns < CLOCK_NS_PER_S);
    assert_int_equal(count(bench, "server_answer_lines_dropped_total", "queue_full"), 1000 - 16);
    wait_for(bench, "server_answer_write_errors_total", NULL, 3); /* it tries again */
    answer_file_close(&file);
    assert_true(clock_now_ns() - begin_ns < 3 * CLOCK_NS_PER_S);
    assert_int_equal(count(bench, "server_answer_lines_dropped_total", "write_error"), 17);
    assert_int_equal(count(bench, "server_answer_lines_written_total", NULL), 0);
}

/* The disk is full in the middle of a line (here by a limit on the file's size), then has room again:
 * the file holds whole lines only, and none is missing. */
static void a_line_cut_short_is_written_again(void **state)
{
    struct bench *bench = *state;
    struct answer_file *file;
    struct rlimit before, tight;
    struct error err;

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = 1000; /* a few lines, and a part of one */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    assert_int_equal(answer_file_open(&file, &bench->config, bench->metrics, &err), 0);
    add(file, 0, 12);
    wait_for(bench, "server_answer_write_errors_total", NULL, 1);
    const uint64_t whole = count(bench, "server_answer_lines_written_total", NULL);
    assert_true(whole > 0 && whole < 12);
    expect_frames(bench, 0, whole);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    wait_for(bench, "server_answer_lines_written_total", NULL, 12);
    answer_file_close(&file);
    expect_frames(bench, 0, 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_are_appended, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_torn_tail_is_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_foreign_file_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_never_holds_up_the_caller, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_cut_short_is_written_again, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
