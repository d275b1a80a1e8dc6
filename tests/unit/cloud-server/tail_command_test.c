/* `cloud-server tail` through the command line's own parser, on recorded files: the table has the figures of
 * the samples that were written, each stream and setting for itself; damaged, torn and endless lines are
 * told with file and line and harm no other; plots hold the points that windows give. */
#include "base/clock.h"
#include "base/file.h"
#include "command_run.h"
#include "control/probe_sample.h"
#include "control/tail_command.h"
#include "control/tail_figures.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define START_US 1795262400000000u /* 2026-11-21T12:00:00Z */
#define S 1000000u

static const struct cli_command commands[] = {
    { "tail", TAIL_COMMAND_ARGUMENTS, "", tail_command_more, tail_command_flags, tail_command },
    { 0 },
};

static char folder[] = "/tmp/tail_command_test_XXXXXX";
static char first[64], second[64], plots[64], tail_plot[128], bitrate_plot[128];
static struct text lines; /* to be written */

/* Arguments up to NULL; gives the exit status. */
static int run(const char *argument, ...)
{
    va_list more;
    va_start(more, argument);
    int status = command_run(commands, "tail", argument, more);
    va_end(more);
    return status;
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(first, sizeof first, "%s/first", folder);
    snprintf(second, sizeof second, "%s/second", folder);
    snprintf(plots, sizeof plots, "%s/plots", folder);
    snprintf(tail_plot, sizeof tail_plot, "%s/gate-3-tail.svg", plots);
    snprintf(bitrate_plot, sizeof bitrate_plot, "%s/gate-3-bitrate.svg", plots);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    text_finish(&lines);
    unlink(first);
    unlink(second);
    unlink(tail_plot);
    unlink(bitrate_plot);
    rmdir(plots);
    return rmdir(folder); /* fails when something else was left there */
}

static int clear_lines(void **state)
{
    (void)state;
    text_clear(&lines);
    unlink(tail_plot);
    unlink(bitrate_plot);
    return 0;
}

static void save_lines(const char *path)
{
    assert_int_equal(file_write_text(path, &lines, NULL), 0);
    text_clear(&lines);
}

/* A probe that second; every tenth finds nothing. */
static struct probe_sample probe_at(unsigned at, const char *rung)
{
    static const struct probe_class found = { "person", { 4, 1, 1 } },
                                    missed = { "car", { 0, 0, 3 } };
    return (struct probe_sample){
        .stream = "gate-3",
        .frame = at,
        .capture_unix_us = START_US + (uint64_t)at * S,
        .rung = rung,
        .restored = "network x2",
        .model = "street_det",
        .golden = "big",
        .kind = SCORE_BOXES,
        .accuracy = at % 10 == 9 ? 0 : 0.8,
        .probability = at % 2 ? 0.5 : 0.25,
        .wire_bytes = 12500,
        .classes = at % 10 == 9 ? &missed : &found,
        .class_count = 1,
    };
}

static void add_probes(unsigned from, unsigned to, const char *rung)
{
    for (unsigned at = from; at < to; at++) {
        struct probe_sample probe = probe_at(at, rung);
        probe_sample_write(&lines, &probe);
    }
}

static void add_answers(unsigned from, unsigned to, unsigned bytes)
{
    for (unsigned at = from; at < to; at++) {
        char capture[CLOCK_RFC3339_BYTES];
        clock_format_rfc3339(START_US + (uint64_t)at * S, capture);
        text_printf(&lines,
                    "{\"stream\":\"gate-3\",\"frame\":%u,\"capture\":\"%s\",\"status\":\"ok\","
                    "\"objects\":[],\"wire_bytes\":%u}\n",
                    at, capture, bytes);
    }
}

/* What the table must say of such probes, of seconds from..to-1. */
static void assert_figures(unsigned from, unsigned to)
{
    static struct tail_sample samples[1000];
    static struct tail_rank scratch[1000];
    static const struct tail_class found = { 0, { 4, 1, 1 } }, missed = { 1, { 0, 0, 3 } };
    struct tail_figures figures;
    char expected[64];
    for (unsigned at = from; at < to; at++) {
        struct probe_sample probe = probe_at(at, "");
        samples[at - from] = (struct tail_sample){ probe.capture_unix_us,
                                                   probe.accuracy,
                                                   1 / probe.probability,
                                                   at % 10 == 9 ? &missed : &found,
                                                   1,
                                                   0 };
    }
    assert_int_equal(tail_figures_make(&figures, SCORE_BOXES, samples, to - from, scratch, NULL), 0);
    for (int f = 0; f < TAIL_FIGURE_COUNT; f++) {
        const struct tail_figure *figure = &figures.figure[f];
        snprintf(expected, sizeof expected, "%.3f [%.3f %.3f]", figure->value, figure->low,
                 figure->high);
        assert_says(figure->known ? expected : "unknown");
    }
}

static void the_table_has_the_figures(void **state)
{
    (void)state;
    add_answers(0, 5, 1000);
    add_probes(0, 100, "240x180 15 fps");
    save_lines(first);
    assert_int_equal(run(first, NULL), 0);
    assert_says("stream  rung            restored    model       golden  probes  mean ");
    assert_says("gate-3  240x180 15 fps  network x2  street_det  big     100     0.");
    assert_says("  unknown  ");
    assert_says("\ntail: streams=1 series=1 probes=100 lines=105 refused=0\n");
    assert_figures(0, 100);
    assert_int_equal(run("--window", "49", first, NULL), 0);
    assert_says("probes=50 lines=105");
    assert_figures(50, 100);
}

static void streams_and_settings_have_rows_of_their_own(void **state)
{
    (void)state;
    struct probe_sample others[] = { probe_at(1, "a"), probe_at(2, "a"), probe_at(3, "a"),
                                     probe_at(4, "a"), probe_at(5, "b") };
    others[0].restored = "";
    others[1].model = "other";
    others[2].golden = "other";
    others[3].stream = "yard";
    add_probes(10, 20, "a");
    save_lines(first);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        probe_sample_write(&lines, &others[i]);
    add_probes(0, 1, "a");
    save_lines(second);
    assert_int_equal(run(first, second, NULL), 0);
    assert_says("gate-3  a     network x2  street_det  big     11 ");
    assert_says("gate-3  a     -           street_det  big     1 ");
    assert_says("gate-3  a     network x2  other       big     1 ");
    assert_says("gate-3  a     network x2  street_det  other   1 ");
    assert_says("gate-3  b     network x2  street_det  big     1 ");
    assert_says("yard    a     network x2  street_det  big     1 ");
    assert_says("tail: streams=2 series=6 probes=16 lines=16 refused=0\n");
    assert_int_equal(run("--window", "10", first, second, NULL), 0);
    assert_says("streams=2 series=2 probes=11 ");
}

static void damaged_lines_are_told_and_harm_no_other(void **state)
{
    (void)state;
    char expected[128];
    add_probes(0, 40, "a\x1b[2J");
    text_add_str(&lines, "nonsense\n{\"probe\":7}\n\n");
    add_probes(40, 41, "b");
    for (int i = 0; i < 12; i++)
        text_add_str(&lines, "{}\n");
    text_add_str(&lines, "{\"probe\":\"gate-3\",\"frame\":1");
    save_lines(first);
    assert_int_equal(run(first, NULL), 0);
    snprintf(expected, sizeof expected, "%s:41: line: no JSON", first);
    assert_says(expected);
    snprintf(expected, sizeof expected, "%s:42: probe: must be a text", first);
    assert_says(expected);
    snprintf(expected, sizeof expected, "%s:45: line: is neither", first);
    assert_says(expected);
    snprintf(expected, sizeof expected, "%s: 5 more lines were refused", first);
    assert_says(expected);
    snprintf(expected, sizeof expected, "%s:57: torn last line, passed over", first);
    assert_says(expected);
    assert_says("a?[2J");
    assert_says("tail: streams=1 series=2 probes=41 lines=41 refused=15\n");
}

/* Lines around the longest that is read, and one of some megabytes. */
static void endless_lines_are_passed_over(void **state)
{
    (void)state;
    static const size_t sizes[] = { PROBE_LINE_BYTES_MAX - 1u, PROBE_LINE_BYTES_MAX,
                                    PROBE_LINE_BYTES_MAX + 1u, PROBE_LINE_BYTES_MAX + 2u,
                                    PROBE_LINE_BYTES_MAX + 3u, 3u * PROBE_LINE_BYTES_MAX };
    char *spaces = malloc(3u * PROBE_LINE_BYTES_MAX);
    char expected[128];
    assert_non_null(spaces);
    memset(spaces, ' ', 3u * PROBE_LINE_BYTES_MAX);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t before = lines.size;
        add_probes((unsigned)i, (unsigned)i + 1, "a");
        lines.size--; /* the newline */
        text_add(&lines, spaces, sizes[i] - (lines.size - before));
        text_add(&lines, "\n", 1);
    }
    add_probes(10, 11, "a");
    text_add(&lines, spaces, 2u * PROBE_LINE_BYTES_MAX); /* and no newline */
    save_lines(first);
    free(spaces);
    assert_int_equal(run(first, NULL), 0);
    for (unsigned line = 3; line <= 6; line++) {
        snprintf(expected, sizeof expected, "%s:%u: line: ", first, line);
        assert_says(expected);
    }
    snprintf(expected, sizeof expected, "%s:8: line: ", first);
    assert_says(expected);
    assert_says("probes=3 lines=3 refused=5\n");
}

static void what_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    text_add_str(&lines, "name: x\n");
    save_lines(first);
    assert_int_equal(run(first, NULL), 1);
    assert_says("first: no line of an answer or a probe is in it\n");
    assert_null(strstr(command_output, "streams="));
    assert_int_equal(run("/nowhere", NULL), 1);
    assert_says("cloud-server tail: /nowhere: cannot open it: No such file");
    assert_int_equal(run(folder, NULL), 1);
    assert_says(": Is a directory");
    assert_int_equal(run(NULL, NULL), 2);
    static const char *const wrong[] = { "0", "-1", "1.5", "4294967296", "", "9s" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(run("--window", wrong[i], first, NULL), 1);
        assert_says("is not a number of seconds, 1 to 4294967295");
    }
    assert_int_equal(run("--step", "5", first, NULL), 1);
    assert_says("--step: is for plots");
    assert_int_equal(run("--help", NULL), 0);
    assert_says("cloud-server tail --window 3600 answers.jsonl");
}

static const char *read_plot(const char *path)
{
    static struct text svg;
    text_finish(&svg);
    if (file_read_text(path, 1 << 20, &svg, NULL) < 0)
        fail_msg("no %s; output:\n%s", path, command_output);
    return svg.data;
}

/* The points of the line-th line of a plot; *gaps: where it is broken. */
static unsigned count_points(const char *svg, unsigned line, unsigned *gaps)
{
    static const char begin[] = "stroke-width=\"2\" d=\"";
    unsigned points = 0;
    const char *at = svg;
    for (unsigned i = 0; i <= 2 * line; i++) { /* each has its entry in the legend behind it */
        at = strstr(at, begin);
        assert_non_null(at);
        at += strlen(begin);
    }
    *gaps = 0;
    for (; *at != '"'; at++) {
        points += *at == 'M' || *at == 'L';
        *gaps += *at == 'M' && at[-1] != '"';
    }
    return points;
}

/* 220 s; the rung changes after 120, and back after 200. Each has to get its 30 probes before it is known,
 * and the first still has them when it comes back. */
static void plots_show_figures_over_time(void **state)
{
    (void)state;
    unsigned gaps;
    add_probes(0, 120, "a");
    add_answers(0, 220, 25000);
    add_probes(120, 200, "b");
    add_probes(200, 220, "a");
    save_lines(first);
    assert_int_equal(run("--svg", plots, "--step", "10", first, NULL), 0);
    assert_says("/plots/gate-3-tail.svg\n");
    const char *svg = read_plot(tail_plot);
    assert_non_null(strstr(svg, ">gate-3: accuracy by probes, all before<"));
    assert_non_null(strstr(svg, ">seconds since 2026-11-21T12:00:00.000Z<"));
    /* Ends of 30..120, 150..200 and 210..220 s, and the point that begins the axis. */
    assert_int_equal(count_points(svg, 0, &gaps), 1 + 10 + 6 + 2);
    assert_int_equal(gaps, 3);
    assert_int_equal(count_points(svg, 1, &gaps), 10 + 6 + 2);
    assert_int_equal(gaps, 2);
    assert_int_equal(count_points(svg, 2, &gaps), 0); /* tail99 */
    svg = read_plot(bitrate_plot);
    assert_int_equal(count_points(svg, 0, &gaps), 22);
    assert_int_equal(gaps, 0);
    assert_non_null(strstr(svg, ">stream<"));
    assert_non_null(strstr(svg, ">probes<"));
    assert_non_null(strstr(svg, ">gate-3: bitrate, means of 10 s<"));
    /* 200 kbit/s of answers, 100 of probes, on an axis of 100 to 200. */
    assert_non_null(strstr(svg, "d=\"M70.0 46.0L"));
    assert_non_null(strstr(svg, "d=\"M70.0 466.0L"));

    assert_int_equal(run("--svg", plots, "--step", "10", "--window", "35", first, NULL), 0);
    svg = read_plot(tail_plot);
    assert_non_null(strstr(svg, ", those of 35 s before<"));
    assert_int_equal(count_points(svg, 1, &gaps), 10 + 6);
    assert_int_equal(run("--svg", plots, "--step", "10", "--window", "20", first, NULL), 0);
    assert_says("gate-3: too few probes of one setting to draw its tail\n");
}

static void steps_are_a_hundredth_and_not_too_many(void **state)
{
    (void)state;
    unsigned gaps;
    add_answers(0, 1, 100);
    add_answers(19999, 20000, 100);
    save_lines(first);
    assert_int_equal(run("--svg", plots, first, NULL), 0);
    assert_says("tail: streams=1 series=0 probes=0 lines=2 refused=0\n");
    const char *svg = read_plot(bitrate_plot);
    assert_int_equal(count_points(svg, 0, &gaps), 100);
    assert_null(strstr(svg, ">probes<"));
    assert_non_null(strstr(svg, ">minutes since "));
    assert_int_equal(run("--svg", plots, "--step", "2", first, NULL), 0);
    assert_int_equal(run("--svg", plots, "--step", "1", first, NULL), 1);
    assert_says("gate-3: 20000 steps of 1 s are too many to draw; at most 10000 are drawn\n");
    assert_int_equal(run("--svg", first, first, NULL), 1);
    assert_says("/first: is not a folder");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_table_has_the_figures, clear_lines),
        cmocka_unit_test_setup(streams_and_settings_have_rows_of_their_own, clear_lines),
        cmocka_unit_test_setup(damaged_lines_are_told_and_harm_no_other, clear_lines),
        cmocka_unit_test_setup(endless_lines_are_passed_over, clear_lines),
        cmocka_unit_test_setup(what_cannot_be_read_is_an_error, clear_lines),
        cmocka_unit_test_setup(plots_show_figures_over_time, clear_lines),
        cmocka_unit_test_setup(steps_are_a_hundredth_and_not_too_many, clear_lines),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
