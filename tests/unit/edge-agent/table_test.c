/* table: the numbers of a registry come out as lines, as a table that is redrawn in place, and as the
 * summary; rates are those of the last five seconds. */
#include "figures.h"
#include "table.h"

#include "base/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static struct {
    struct metrics *metrics;
    struct figures gate, yard;
    FILE *out;
} rig;

static int setup(void **state)
{
    (void)state;
    memset(&rig, 0, sizeof rig);
    assert_int_equal(metrics_create(&rig.metrics, NULL), 0);
    figures_init(&rig.gate, rig.metrics, "gate");
    figures_init(&rig.yard, rig.metrics, "yard");
    rig.out = tmpfile();
    assert_non_null(rig.out);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fclose(rig.out);
    metrics_destroy(&rig.metrics);
    return 0;
}

/* What was printed since the last call, in a buffer of its own. */
static const char *printed(void)
{
    static char text[8192];
    rewind(rig.out);
    size_t size = fread(text, 1, sizeof text - 1, rig.out);
    text[size] = '\0';
    rewind(rig.out);
    assert_int_equal(ftruncate(fileno(rig.out), 0), 0);
    return text;
}

static void count(struct figures *figures, uint64_t answers, uint64_t age_us, uint64_t bytes)
{
    metric_counter_add(figures->captured, answers);
    metric_counter_add(figures->answered, answers);
    metric_counter_add(figures->sent_bytes, bytes);
    for (uint64_t i = 0; i < answers; i++)
        metric_histogram_observe_us(figures->age, age_us);
}

static void count_class(const char *name, uint64_t objects)
{
    const struct metric_label label = { "class", name };
    metric_counter_add(
        metrics_counter(rig.metrics, "edge_class_objects_total", "of the test", &label, 1), objects);
    metric_counter_add(rig.gate.objects, objects);
}

static void summary_adds_up_all_streams(void **state)
{
    (void)state;
    count(&rig.gate, 90, 10000, 500000);
    count(&rig.yard, 10, 80000, 125000);
    figures_count_drops(&rig.gate, DROP_NO_CREDIT, 3);
    figures_count_drops(&rig.yard, DROP_SERVER_FAILED, 4);
    metric_counter_add(rig.gate.captured, 3);
    metric_counter_add(rig.yard.captured, 4);
    count_class("person", 42);
    table_write_summary(rig.metrics, 10 * CLOCK_NS_PER_S, rig.out);
    const char *line = printed();
    unsigned frames, answered, dropped, kbps, objects, no_credit, failed;
    double fps, p50, p99;
    assert_int_equal(sscanf(line,
                            "frames=%u answered=%u dropped=%u fps=%lf latency_p50_ms=%lf "
                            "latency_p99_ms=%lf uplink_kbps=%u objects=%u dropped_no_credit=%u "
                            "dropped_server_failed=%u\n",
                            &frames, &answered, &dropped, &fps, &p50, &p99, &kbps, &objects,
                            &no_credit, &failed),
                     10);
    assert_int_equal(frames, 107);
    assert_int_equal(answered, 100);
    assert_int_equal(dropped, 7);
    assert_int_equal(no_credit, 3);
    assert_int_equal(failed, 4);
    assert_true(fps == 10.0);
    assert_true(p50 > 8 && p50 < 12);
    assert_true(p99 > 65 && p99 < 95);
    assert_int_equal(kbps, 500); /* 625,000 bytes in 10 s */
    assert_int_equal(objects, 42);
    assert_int_equal(line[strlen(line) - 1], '\n');

    table_write_summary(rig.metrics, 0, rig.out); /* nothing was ever streamed */
    assert_non_null(strstr(printed(), "frames=107"));
}

static void lines_show_the_last_seconds(void **state)
{
    struct table *table = NULL;
    (void)state;
    assert_int_equal(table_create(&table, rig.metrics, rig.out, false, NULL), 0);
    metric_gauge_set(metrics_gauge(rig.metrics, "edge_link_state", "of the test", NULL, 0), 2);
    table_draw(table, 100 * CLOCK_NS_PER_S);
    assert_string_equal(printed(), ""); /* no rate yet */
    for (uint64_t second = 1; second <= 20; second++) {
        count(&rig.gate, second <= 10 ? 30 : 10, second <= 10 ? 400000 : 20000,
              second <= 10 ? 50000 : 12500);
        table_draw(table, (100 + second) * CLOCK_NS_PER_S);
        if (second < 20)
            printed(); /* and forgotten */
    }
    metric_gauge_set(rig.gate.in_flight, 3);
    metric_gauge_set(rig.gate.server_decode_queue, 1);
    figures_count_drops(&rig.gate, DROP_NO_CREDIT, 2);
    figures_count_drops(&rig.gate, DROP_LINK_LOST, 1);
    const char *text = printed();
    assert_non_null(strstr(text, "gate link=up fps=10.0 age_p50_ms="));
    assert_non_null(strstr(text, " uplink_kbps=100 "));
    assert_non_null(strstr(text, " answered=400 dropped=0\n"));
    assert_non_null(strstr(text, "yard link=up fps=0.0 "));
    assert_non_null(strstr(text, "objects  none yet\n"));
    double p99 = strtod(strstr(text, "age_p99_ms=") + 11, NULL);
    assert_true(p99 > 15 && p99 < 25); /* the old 400 ms are out of it */

    count_class("person", 12);
    count_class("\033[31mcar", 3); /* a server's names do not command the terminal */
    table_draw(table, 121 * CLOCK_NS_PER_S);
    text = printed();
    assert_non_null(strstr(text, " in_flight=3 outbox=0 server_decode=1 server_device=0 "));
    assert_non_null(strstr(text, " dropped=3\n"));
    assert_non_null(strstr(text, "objects  person 12  ?[31mcar 3  ("));
    assert_null(strchr(text, '\033'));
    table_destroy(&table);
    assert_null(table);
}

/* What the server reports of the 90 % tail, here with 40 probes. */
static void report_tail(bool known)
{
    Runespoor__Tail tail = RUNESPOOR__TAIL__INIT;
    Runespoor__TailFigure mean = RUNESPOOR__TAIL_FIGURE__INIT, tail90 = mean;
    Runespoor__TailFigure *figures[] = { &mean, &tail90 };
    mean.name = (char *)"mean";
    tail90.name = (char *)"tail90";
    mean.value = mean.low = mean.high = 0.99;
    tail90.value = 0.667;
    tail90.low = 0.571;
    tail90.high = 0.734;
    tail.probes = known ? 40 : 7;
    tail.n_figures = known ? 2 : 0;
    tail.figures = figures;
    figures_set_tail(&rig.gate, &tail);
}

static void the_tail_stands_beside_the_bandwidth(void **state)
{
    struct table *table = NULL, *lines = NULL;
    (void)state;
    assert_int_equal(table_create(&table, rig.metrics, rig.out, true, NULL), 0);
    assert_int_equal(table_create(&lines, rig.metrics, rig.out, false, NULL), 0);
    table_draw(lines, 99 * CLOCK_NS_PER_S);
    report_tail(false);
    table_draw(table, 100 * CLOCK_NS_PER_S);
    table_draw(lines, 100 * CLOCK_NS_PER_S);
    const char *text = printed();
    assert_non_null(strstr(text, "90 % tail"));
    assert_non_null(strstr(text, "? (7 probes)"));
    assert_non_null(strstr(text, " dropped=0 probes=7\n"));
    report_tail(true);
    table_draw(table, 101 * CLOCK_NS_PER_S);
    table_draw(lines, 101 * CLOCK_NS_PER_S);
    text = printed();
    assert_non_null(strstr(text, " 0.67 [0.57 0.73] "));
    assert_non_null(strstr(text, " probes=40 tail90=0.667 tail90_low=0.571 tail90_high=0.734\n"));
    report_tail(false); /* another rung, say */
    table_draw(table, 102 * CLOCK_NS_PER_S);
    assert_non_null(strstr(printed(), "? (7 probes)"));
    table_destroy(&table);
    table_destroy(&lines);
}

static unsigned lines_in(const char *text)
{
    unsigned lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static void a_terminal_is_redrawn_in_place(void **state)
{
    struct table *table = NULL;
    char up[16];
    (void)state;
    assert_int_equal(table_create(&table, rig.metrics, rig.out, true, NULL), 0);
    count_class("person", 12);
    table_draw(table, 100 * CLOCK_NS_PER_S);
    const char *text = printed();
    unsigned lines = lines_in(text);
    assert_int_equal(lines, 5);         /* link, head, two streams, objects */
    assert_null(strstr(text, "A\033")); /* the first one goes below what was there */
    snprintf(up, sizeof up, "\033[%uA", lines);
    for (unsigned i = 1; i < 8; i++) {
        count(&rig.yard, 25, 30000, 100000);
        table_draw(table, (100 + i) * CLOCK_NS_PER_S);
        text = printed();
        assert_memory_equal(text, up, strlen(up));
        assert_int_equal(lines_in(text), lines);
        assert_non_null(strstr(text, "\033[?7l")); /* long lines are cut, not wrapped */
        assert_non_null(strstr(text, "\033[?7h"));
    }
    assert_non_null(strstr(text, "yard"));
    assert_non_null(strstr(text, " 25.0 "));
    assert_non_null(strstr(text, " 800 ")); /* kbit/s */
    assert_non_null(strstr(text, "link waiting  7 s"));
    table_destroy(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(summary_adds_up_all_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_show_the_last_seconds, setup, teardown),
        cmocka_unit_test_setup_teardown(the_tail_stands_beside_the_bandwidth, setup, teardown),
        cmocka_unit_test_setup_teardown(a_terminal_is_redrawn_in_place, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
