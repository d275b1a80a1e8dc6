/* sink: every line is in the file, whole and in order, whatever the file does: short writes, a full
 * disk that gets room again, one that does not, a slow reader; closing writes what waits. */
#include "loop_bench.h"

#include "sink.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define SINKS_MAX 8u /* that close at a time */

static struct loop_bench bench;

static int setup(void **state)
{
    (void)state;
    loop_bench_open(&bench);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_bench_close(&bench);
    return 0;
}

static uint64_t count(const char *what)
{
    char name[64];
    snprintf(name, sizeof name, "edge_answer_%s_total", what);
    return loop_bench_count(&bench, name, NULL);
}

/* Its configuration is kept here, until SINKS_MAX others were opened. */
static int try_sink(struct sink **sink, const char *path, struct error *err)
{
    static char kept[SINKS_MAX][400];
    static struct sink_config configs[SINKS_MAX];
    static size_t next;
    size_t own = next++ % SINKS_MAX;
    snprintf(kept[own], sizeof kept[own], "%s", path);
    configs[own] = (struct sink_config){ .path = kept[own], .keep = 1 };
    return sink_open(sink, &bench.loop, &configs[own], NULL, bench.metrics, err);
}

static struct sink *open_sink(const char *path)
{
    struct sink *sink = NULL;
    struct error err;
    if (try_sink(&sink, path, &err) != 0)
        fail_msg("%s", err.text);
    return sink;
}

static void add(struct sink *sink, uint64_t frame, size_t reason_bytes)
{
    Runespoor__Answer answer = RUNESPOOR__ANSWER__INIT;
    char reason[400];
    memset(reason, 'r', sizeof reason);
    reason[reason_bytes] = '\0';
    answer.stream = (char *)"gate";
    answer.frame = frame;
    answer.reason = reason;
    sink_add_answer(sink, &answer, 1500);
}

static void add_many(struct sink *sink, uint64_t from, uint64_t to)
{
    for (uint64_t frame = from; frame < to; frame++)
        add(sink, frame, frame * 37 % 400);
}

/* Whole lines, frames from 0 on without a gap. Gives how many. */
static uint64_t read_lines(FILE *file)
{
    char line[2048];
    uint64_t frames = 0;
    while (fgets(line, sizeof line, file)) {
        const char *at = strstr(line, "\"frame\":");
        assert_non_null(at);
        assert_int_equal(line[0], '{');
        assert_true(strlen(line) > 3 && strcmp(line + strlen(line) - 2, "}\n") == 0);
        assert_int_equal(strtoull(at + 8, NULL, 10), frames);
        frames++;
    }
    return frames;
}

static uint64_t lines_of(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    uint64_t lines = read_lines(file);
    fclose(file);
    return lines;
}

/* May be looked at while it is written. */
static bool has_200_lines(void *arg)
{
    unsigned lines = 0;
    FILE *file = fopen(arg, "r");
    for (int byte; (byte = getc(file)) != EOF;)
        lines += byte == '\n';
    fclose(file);
    return lines == 200;
}

static void lines_are_whole_and_in_order(void **state)
{
    const char *path = loop_bench_path(&bench, "answers.jsonl");
    (void)state;
    struct sink *sink = open_sink(path);
    add_many(sink, 0, 200);
    loop_bench_turn(&bench, has_200_lines, (void *)path, 5000); /* without closing */
    add_many(sink, 200, 2000);
    sink_close(&sink); /* with most of them still in memory */
    assert_null(sink);
    loop_bench_run_out(&bench);
    assert_int_equal(lines_of(path), 2000);
    assert_int_equal(count("lines"), 2000);
    assert_int_equal(count("lines_dropped"), 0);
    /* Another run goes on behind them. */
    sink = open_sink(path);
    add_many(sink, 2000, 2100);
    sink_close(&sink);
    loop_bench_run_out(&bench);
    assert_int_equal(lines_of(path), 2100);
}

static void without_a_path_nothing_is_written(void **state)
{
    (void)state;
    struct sink *sink = open_sink("");
    add_many(sink, 0, 10);
    sink_close(&sink);
    assert_int_equal(count("lines"), 0);
}

static bool errors_are_counted(void *arg)
{
    (void)arg;
    return count("write_errors") > 0;
}

/* The file's size is limited: the write at the limit is a short one, later ones fail, until there is
 * room again. */
static void a_full_disk_tears_no_line(void **state)
{
    const char *path = loop_bench_path(&bench, "answers.jsonl");
    struct rlimit limit, old;
    (void)state;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = old;
    limit.rlim_cur = 10007;
    struct sink *sink = open_sink(path);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    add_many(sink, 0, 200);
    loop_bench_turn(&bench, errors_are_counted, NULL, 5000);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 10007); /* in the middle of a line */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    loop_bench_turn(&bench, has_200_lines, (void *)path, 5000); /* it tries again by itself */
    assert_int_equal(lines_of(path), 200);
    assert_int_equal(count("lines_dropped"), 0);
    sink_close(&sink);
}

static void a_disk_that_stays_full_costs_lines_only(void **state)
{
    (void)state;
    struct sink *sink = open_sink("/dev/full");
    uint64_t frame = 0;
    while (count("lines_dropped") < 10) { /* until memory is full too */
        add(sink, frame++, 399);
        assert_true(frame < 100000);
    }
    assert_true(count("lines") * 1000 > SINK_WAITING_BYTES_MAX);
    loop_bench_turn(&bench, errors_are_counted, NULL, 5000);
    uint64_t begin_ns = clock_now_ns();
    sink_close(&sink);
    loop_bench_run_out(&bench);
    assert_true(clock_now_ns() - begin_ns < 2 * CLOCK_NS_PER_S);
    assert_int_equal(count("lines_dropped"), frame); /* what was made is lost too, and said */
}

/* Closing while a try fails and another one is due. */
static void closing_in_between_tries(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SINKS_MAX; i++) {
        struct sink *sink = open_sink("/dev/full");
        add_many(sink, 0, 3);
        loop_bench_turn(&bench, NULL, NULL, 2 * i);
        sink_close(&sink);
    }
    loop_bench_run_out(&bench);
    assert_int_equal(count("lines_dropped"), 3 * SINKS_MAX);
}

struct reader {
    int fd;
    uint64_t lines;
};

static void read_slowly(void *arg)
{
    struct reader *reader = arg;
    uv_sleep(100);
    FILE *file = fdopen(reader->fd, "r");
    reader->lines = read_lines(file);
    fclose(file);
}

static void a_fifo_with_a_slow_reader(void **state)
{
    const char *path = loop_bench_path(&bench, "fifo");
    struct reader reader = { 0 };
    struct sink *sink = NULL;
    struct error err;
    uv_thread_t thread;
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(try_sink(&sink, path, &err), -ERROR_IO);
    assert_non_null(strstr(err.text, path)); /* nobody reads: not a hang, but an error */
    reader.fd = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(reader.fd >= 0);
    fcntl(reader.fd, F_SETFL, 0);
    sink = open_sink(path);
    assert_int_equal(uv_thread_create(&thread, read_slowly, &reader), 0);
    add_many(sink, 0, 3000); /* far more than a pipe holds */
    assert_int_equal(count("lines_dropped"), 0);
    sink_close(&sink);
    loop_bench_run_out(&bench);
    uv_thread_join(&thread);
    assert_int_equal(reader.lines, 3000);
    assert_int_equal(count("write_errors"), 0);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void torn_lines_are_cut(void **state)
{
    static const char whole[] = "{\"stream\":\"gate\",\"frame\":0}\n";
    const char *path = loop_bench_path(&bench, "answers.jsonl");
    char text[20000] = "";
    (void)state;
    for (size_t torn = 1; torn < sizeof whole - 1; torn += 5) {
        snprintf(text, sizeof text, "%s%.*s", whole, (int)torn, whole);
        write_file(path, text);
        struct sink *sink = open_sink(path);
        add_many(sink, 1, 3);
        sink_close(&sink);
        loop_bench_run_out(&bench);
        assert_int_equal(lines_of(path), 3);
    }
    /* A long one, over several blocks of the search; and nothing but a torn one. */
    memset(text, 'x', sizeof text - 1);
    memcpy(text, whole, sizeof whole - 1);
    text[sizeof whole - 1] = '{';
    write_file(path, text);
    struct sink *sink = open_sink(path);
    sink_close(&sink);
    assert_int_equal(lines_of(path), 1);
    write_file(path, "{\"str");
    sink = open_sink(path);
    sink_close(&sink);
    assert_int_equal(lines_of(path), 0);
}

static void other_files_are_not_touched(void **state)
{
    static const char *const others[] = { "root:x:0:0\nuser:x", "x", "{}\n\nx{" };
    const char *path = loop_bench_path(&bench, "other");
    char read[64];
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct sink *sink = NULL;
        struct error err;
        write_file(path, others[i]);
        assert_int_equal(try_sink(&sink, path, &err), -ERROR_FORMAT);
        assert_non_null(strstr(err.text, "answers.path"));
        FILE *file = fopen(path, "r");
        size_t size = fread(read, 1, sizeof read - 1, file);
        read[size] = '\0';
        fclose(file);
        assert_string_equal(read, others[i]);
    }
    struct sink *sink = NULL;
    struct error err;
    assert_int_equal(try_sink(&sink, loop_bench_path(&bench, "no/where"), &err), -ERROR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_are_whole_and_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_path_nothing_is_written, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_tears_no_line, setup, teardown),
        cmocka_unit_test_setup_teardown(a_disk_that_stays_full_costs_lines_only, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_in_between_tries, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fifo_with_a_slow_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(torn_lines_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(other_files_are_not_touched, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
