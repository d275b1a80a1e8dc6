/* figures: counted by class also where two ids share a place in the cache or one id changes its name;
 * a report lists the drops there were; other streams' figures are their own. */
#include "figures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static int setup(void **state)
{
    return metrics_create((struct metrics **)state, NULL);
}

static int teardown(void **state)
{
    metrics_destroy((struct metrics **)state);
    return 0;
}

static uint64_t class_count(struct metrics *metrics, const char *name)
{
    const struct metric_label label = { "class", name };
    return metric_counter_get(
        metrics_counter(metrics, "edge_class_objects_total", "of the test", &label, 1));
}

static void count(struct figures *figures, uint32_t id, const char *name)
{
    Runespoor__Object object = RUNESPOOR__OBJECT__INIT, *objects[] = { &object, &object };
    Runespoor__Answer answer = RUNESPOOR__ANSWER__INIT;
    object.class_id = id;
    object.class_name = (char *)name;
    answer.n_objects = 2;
    answer.objects = objects;
    figures_count_objects(figures, &answer);
}

static void classes_are_told_apart(void **state)
{
    static struct figures gate, yard;
    char longest[WIRE_LABEL_BYTES_MAX + 1];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    figures_init(&gate, *state, "gate");
    figures_init(&yard, *state, "yard");
    for (unsigned i = 0; i < 10; i++) {
        count(&gate, 1, "person");
        count(&gate, 1 + FIGURES_CLASSES, "car"); /* the same place */
        count(&yard, 1, "car");                   /* another model's id */
        count(&yard, UINT32_MAX, longest);
    }
    count(&yard, 1, "");
    assert_int_equal(class_count(*state, "person"), 20);
    assert_int_equal(class_count(*state, "car"), 40);
    assert_int_equal(class_count(*state, longest), 20);
    assert_int_equal(class_count(*state, ""), 2);
    assert_int_equal(metric_counter_get(gate.objects), 40);
    assert_int_equal(metric_counter_get(yard.objects), 42);
}

static void reports_list_the_drops(void **state)
{
    static struct figures figures;
    struct figures_report report;
    figures_init(&figures, *state, "gate");
    figures_fill_report(&figures, &report);
    assert_int_equal(report.message.n_dropped, 0);
    metric_counter_add(figures.captured, 9);
    metric_counter_add(figures.sent, 5);
    metric_counter_add(figures.sent_bytes, 5000);
    metric_counter_add(figures.answered, 4);
    metric_histogram_observe_us(figures.age, 20000);
    figures_count_drops(&figures, DROP_NO_CREDIT, 3);
    figures_count_drops(&figures, DROP_STOPPED, 1);
    figures_count_drops(&figures, DROP_LINK_LOST, 0);
    figures_fill_report(&figures, &report);
    assert_int_equal(report.message.captured, 9);
    assert_int_equal(report.message.sent, 5);
    assert_int_equal(report.message.sent_bytes, 5000);
    assert_int_equal(report.message.answered, 4);
    assert_in_range(report.message.age_p50_us, 16000, 24000);
    assert_int_equal(report.message.n_dropped, 2);
    assert_string_equal(report.message.dropped[0]->reason, "no_credit");
    assert_int_equal(report.message.dropped[0]->count, 3);
    assert_string_equal(report.message.dropped[1]->reason, "stopped");

    /* As the server will read it. */
    Runespoor__Header header = RUNESPOOR__HEADER__INIT, *parsed = NULL;
    uint8_t bytes[1024];
    report.message.session = 1;
    header.kind_case = RUNESPOOR__HEADER__KIND_AGENT_REPORT;
    header.agent_report = &report.message;
    size_t size = wire_packed_size(&header);
    assert_true(size <= sizeof bytes);
    wire_pack(&header, bytes);
    assert_int_equal(wire_parse(&parsed, bytes, size, 0, NULL), 0);
    assert_int_equal(parsed->agent_report->n_dropped, 2);
    wire_free(&parsed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(classes_are_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(reports_list_the_drops, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
