/* Probe lines: what is written is read back the same; answer lines are told apart and give what they
 * have; a line cut anywhere is refused, with any one byte changed it is refused or plausible all the
 * same, and of every field values out of range, of another type or left out are refused by name. */
#include "base/random.h"
#include "control/probe_sample.h"
#include "net/answer_json.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
/* cmocka's own compares as float. */
#define assert_near(got, expected, by) assert_true(fabs((got) - (expected)) <= (by))

static const char good[] =
    "{\"probe\":\"gate-3\",\"frame\":123,\"capture\":\"2026-11-21T12:00:00.123Z\",\"rung\":"
    "\"240x180\","
    "\"restored\":\"network x2\",\"model\":\"street_det\",\"golden\":\"big\",\"kind\":\"boxes\","
    "\"accuracy\":0.83,\"probability\":0.0123,\"wire_bytes\":23456,\"classes\":[{\"class\":"
    "\"person\","
    "\"hits\":3,\"false_alarms\":0,\"misses\":1},{\"class\":\"car\",\"hits\":0,\"false_alarms\":2,"
    "\"misses\":0}]}\n";

static struct probe_reader *reader;

static int open_reader(void **state)
{
    (void)state;
    return probe_reader_open(&reader, NULL);
}

static int close_reader(void **state)
{
    (void)state;
    probe_reader_close(&reader);
    probe_reader_close(&reader);
    return 0;
}

static void assert_same(const struct probe_sample *got, const struct probe_sample *sent)
{
    assert_string_equal(got->stream, sent->stream);
    assert_int_equal(got->frame, sent->frame);
    assert_int_equal(got->capture_unix_us, sent->capture_unix_us / 1000 * 1000);
    assert_string_equal(got->rung, sent->rung);
    assert_string_equal(got->restored, sent->restored);
    assert_string_equal(got->model, sent->model);
    assert_string_equal(got->golden, sent->golden);
    assert_int_equal(got->kind, sent->kind);
    assert_near(got->accuracy, sent->accuracy, 5.1e-7);
    assert_near(got->probability, sent->probability, 5.1e-10);
    assert_near(got->uncertainty_rank, sent->uncertainty_rank, 5.1e-10);
    assert_int_equal(got->wire_bytes, sent->wire_bytes);
    assert_int_equal(got->class_count, sent->class_count);
    for (size_t i = 0; sent->classes && i < sent->class_count; i++) {
        assert_string_equal(got->classes[i].name, sent->classes[i].name);
        assert_memory_equal(&got->classes[i].counts, &sent->classes[i].counts,
                            sizeof got->classes[i].counts);
    }
}

static void a_probe_comes_back_as_it_was(void **state)
{
    (void)state;
    static const struct probe_class classes[] = { { "gr\xc3\xbc\xc3\x9f \"\\\n", { 1, 2, 3 } },
                                                  { "car", { 4096, 0, 0 } } };
    static const struct probe_sample samples[] = {
        { "gate-3", 123, 1795262400123456, "240x180 15 fps", "network x2", "street_det", "big",
          SCORE_BOXES, 2 / 3.0, 0.0123, 0.25, 23456, classes, 2 },
        { "a", 0, 0, "r", "", "m", "g", SCORE_LABELS, 0, WIRE_PROBABILITY_MIN, 0, 0, NULL, 0 },
        { "a", UINT64_C(1) << 53, 253402300799999000, "\xf0\x9f\x8e\xa5", "", "m", "g",
          SCORE_LABELS, 1, 1, 1, UINT64_C(1) << 53, classes, 1 },
    };
    struct text text = { 0 };
    for (size_t i = 0; i < COUNT(samples); i++) {
        struct probe_line line;
        text_clear(&text);
        probe_sample_write(&text, &samples[i]);
        assert_int_equal(text.data[text.size - 1], '\n');
        assert_ptr_equal(strchr(text.data, '\n'), text.data + text.size - 1);
        assert_int_equal(!strstr(text.data, "restored"), !samples[i].restored[0]);
        assert_int_equal(probe_reader_line(reader, text.data, text.size, &line, NULL), 0);
        assert_int_equal(line.kind, PROBE_LINE_PROBE);
        assert_same(&line.sample, &samples[i]);
    }
    text_finish(&text);
}

/* As docs/protocol.md shows it, without the newline and with a key of tomorrow. */
static void the_documented_line_is_read(void **state)
{
    (void)state;
    struct probe_line line;
    char longer[1024];
    snprintf(longer, sizeof longer, "{\"tomorrow\":[{}],%.*s", (int)strlen(good) - 2, good + 1);
    assert_int_equal(probe_reader_line(reader, longer, strlen(longer), &line, NULL), 0);
    assert_string_equal(line.sample.stream, "gate-3");
    assert_int_equal(line.sample.capture_unix_us, 1795262400123000);
    assert_int_equal(line.sample.classes[1].counts.false_alarms, 2);
}

static void an_answer_line_is_told_apart(void **state)
{
    (void)state;
    Runespoor__Answer answer = RUNESPOOR__ANSWER__INIT;
    Runespoor__Object object = RUNESPOOR__OBJECT__INIT, *objects[] = { &object };
    struct text text = { 0 };
    struct probe_line line;
    answer.stream = (char *)"gate-3";
    answer.frame = 7;
    answer.capture_unix_us = 1795262400123456;
    answer.reason = (char *)"queue full";
    answer.model = (char *)"";
    answer.objects = objects;
    answer.n_objects = 1;
    object.class_name = (char *)"person";
    answer.wire_bytes = 4321;
    answer_write_json(&text, &answer, NULL);
    assert_int_equal(probe_reader_line(reader, text.data, text.size, &line, NULL), 0);
    assert_int_equal(line.kind, PROBE_LINE_ANSWER);
    assert_string_equal(line.sample.stream, "gate-3");
    assert_int_equal(line.sample.capture_unix_us, 1795262400123000);
    assert_int_equal(line.sample.wire_bytes, 4321);
    text_finish(&text);
}

static void assert_refused(const char *text, size_t size, const char *why)
{
    struct probe_line line;
    struct error err = { 0 };
    if (probe_reader_line(reader, text, size, &line, &err) != -ERROR_FORMAT)
        fail_msg("taken: %s", text);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" is not in \"%s\", for %s", why, err.text, text);
}

static void a_line_cut_short_is_refused(void **state)
{
    (void)state;
    for (size_t size = 0; size < strlen(good) - 1; size++) {
        char *cut = malloc(size + 1); /* of its own, so that sanitizers see what is read beyond it */
        assert_non_null(cut);
        memcpy(cut, good, size);
        cut[size] = '\0';
        assert_refused(cut, size, "line");
        free(cut);
    }
}

/* Of one field another value; NULL: without the field. */
static void assert_field_refused(const char *field, const char *other, const char *why)
{
    char text[1024];
    const char *at = strstr(good, field);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, other, at + strlen(field));
    assert_refused(text, strlen(text), why);
}

static void wrong_fields_are_refused_by_name(void **state)
{
    (void)state;
    char name[1000];
    static const char *const fields[][3] = {
        { "\"gate-3\"", "\"gate 3\"", "probe: " },
        { "\"gate-3\"", "\"\"", "probe: " },
        { "\"gate-3\"", "null", "probe: must be a text" },
        { "\"gate-3\"", "\"gate\\u0000\"", "probe: " },
        { "\"frame\":123,", "", "frame: must be a whole number" },
        { ":123,", ":-1,", "frame: " },
        { ":123,", ":1.5,", "frame: " },
        { ":123,", ":9007199254740993,", "frame: " },
        { ":123,", ":18446744073709551616,", "frame: " },
        { "2026-11-21T", "2026-11-31T", "capture: must be a time like 2026" },
        { "2026-11-21T", "2026-11-21 ", "capture: " },
        { "2026-11-21T", "1969-11-21T", "capture: " },
        { "12:00:00.123Z", "12:00:60.123Z", "capture: " },
        { "12:00:00.123Z", "12:00:00.1234Z", "capture: " },
        { "12:00:00.123Z", "12:00:00Z", "capture: " },
        { "12:00:00.123Z", "12:00:00.123+01:00", "capture: " },
        { "\"240x180\"", "\"\"", "rung: must have 1 to 64 bytes" },
        { "\"240x180\"", "240", "rung: must be a text" },
        { "\"network x2\"", "7", "restored: " },
        { "\"network x2\"", "\"\"", "restored: " },
        { "\"street_det\"", "\"\xff\"", "line: no JSON" },
        { "\"street_det\"", "\"/etc\"", "model: " },
        { "\"big\"", "[]", "golden: " },
        { "\"boxes\"", "\"masks\"", "kind: is none of labels, boxes" },
        { "0.83", "-0.01", "accuracy: must be a number, 0..1" },
        { "0.83", "1.01", "accuracy: " },
        { "0.83", "null", "accuracy: " },
        { "0.83", "NaN", "accuracy: " },
        { "0.83", "\"1\"", "accuracy: " },
        { "0.0123", "0", "probability: must be a number, 1e-06..1" },
        { "0.0123", "1e-320", "probability: " },
        { "0.0123", "2", "probability: " },
        { "\"wire_bytes\":", "\"uncertainty_rank\":1.5,\"wire_bytes\":", "uncertainty_rank: must be" },
        { "\"wire_bytes\":", "\"uncertainty_rank\":\"\",\"wire_bytes\":", "uncertainty_rank: " },
        { "23456", "1e3", "wire_bytes: " },
        { "\"person\"", "\"\"", "classes: 0: class: " },
        { "\"person\"", "\"car\"", "classes: 1: \"car\" is there twice" },
        { "\"hits\":3,", "", "classes: 0: hits: must be" },
        { ":3,", ":4097,", "classes: 0: hits: " },
        { "\"misses\":1", "\"misses\":true", "classes: 0: misses: " },
        { "{\"class\":\"person\"", "7,{\"class\":\"person\"", "classes: 0 must be an object" },
        { "\"classes\":[", "\"classes\":7,\"x\":[", "classes: must be a list" },
        { "{\"probe\":\"gate-3\",", "{", "line: is neither" },
        { "{\"probe\":\"gate-3\",", "[{", "line: " },
        { "}]}\n", "}]} {}", "line: " },
    };
    for (size_t i = 0; i < COUNT(fields); i++)
        assert_field_refused(fields[i][0], fields[i][1], fields[i][2]);
    memset(name, 'x', sizeof name);
    snprintf(name + 66, 2, "\"");
    name[0] = '"';
    assert_field_refused("\"big\"", name, "golden: must have 1 to 64 bytes");
    assert_field_refused("\"person\"", name, "classes: 0: class: must have 1 to 64 bytes");
}

/* What is still taken is as plausible as any other line. */
static void a_changed_byte_does_no_harm(void **state)
{
    (void)state;
    struct random_state random;
    unsigned taken = 0;
    random_seed(&random, 1);
    for (size_t at = 0; at < strlen(good); at++)
        for (int i = 0; i < 30; i++) {
            struct probe_line line;
            char text[sizeof good];
            memcpy(text, good, sizeof good);
            text[at] = (char)random_next_u64(&random);
            if (probe_reader_line(reader, text, strlen(good), &line, NULL) < 0)
                continue;
            taken++;
            assert_int_equal(line.kind, PROBE_LINE_PROBE);
            assert_in_range(strlen(line.sample.stream), 1, 64);
            assert_true(line.sample.accuracy >= 0 && line.sample.accuracy <= 1);
            assert_true(line.sample.probability > 0 && line.sample.probability <= 1);
            assert_int_equal(line.sample.class_count, 2);
        }
    assert_in_range(taken, 100, 30 * strlen(good) - 100);
}

static void long_lines_are_refused(void **state)
{
    (void)state;
    struct probe_line line;
    struct error err = { 0 };
    size_t room = PROBE_LINE_BYTES_MAX + 2u, head = strlen(good) - 2;
    char *text = malloc(room);
    assert_non_null(text);
    memset(text, ' ', room);
    memcpy(text, good, head);
    text[PROBE_LINE_BYTES_MAX - 1] = '}';
    text[PROBE_LINE_BYTES_MAX] = '\n';
    assert_int_equal(probe_reader_line(reader, text, PROBE_LINE_BYTES_MAX + 1u, &line, &err), 0);
    text[PROBE_LINE_BYTES_MAX] = ' ';
    assert_int_equal(probe_reader_line(reader, text, room - 1, &line, &err), -ERROR_LIMIT);
    memset(text, '[', room);
    assert_refused(text, PROBE_LINE_BYTES_MAX, "no JSON"); /* nested too deeply */
    free(text);
}

static void too_many_classes_are_refused(void **state)
{
    (void)state;
    static struct probe_class classes[SCORE_CLASSES_MAX + 1];
    static char names[SCORE_CLASSES_MAX + 1][8];
    struct probe_sample sample = { "a", 0, 0, "r", "", "m", "g", SCORE_BOXES, 1, 1, 0, 0, classes, 0 };
    struct text text = { 0 };
    for (unsigned i = 0; i <= SCORE_CLASSES_MAX; i++) {
        snprintf(names[i], sizeof names[i], "c%u", i);
        classes[i].name = names[i];
    }
    for (sample.class_count = SCORE_CLASSES_MAX; sample.class_count <= SCORE_CLASSES_MAX + 1u;
         sample.class_count++) {
        struct probe_line line;
        text_clear(&text);
        probe_sample_write(&text, &sample);
        assert_int_equal(probe_reader_line(reader, text.data, text.size, &line, NULL),
                         sample.class_count > SCORE_CLASSES_MAX ? -ERROR_FORMAT : 0);
    }
    text_finish(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_probe_comes_back_as_it_was),
        cmocka_unit_test(the_documented_line_is_read),
        cmocka_unit_test(an_answer_line_is_told_apart),
        cmocka_unit_test(a_line_cut_short_is_refused),
        cmocka_unit_test(wrong_fields_are_refused_by_name),
        cmocka_unit_test(a_changed_byte_does_no_harm),
        cmocka_unit_test(long_lines_are_refused),
        cmocka_unit_test(too_many_classes_are_refused),
    };
    return cmocka_run_group_tests(tests, open_reader, close_reader);
}
