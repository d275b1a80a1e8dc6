/* Report: an arm's file gives back what was written; cut at any byte, or with any one byte changed,
 * it is an error that says to delete it, or an arm that is plausible all the same; tables, CSV and
 * JSON (read back by a library) hold figures worked out by hand; arms that cannot be compared are
 * refused. */
#include "evaluate/report.h"
#include "base/file.h"
#include "base/random.h"
#include <dirent.h>
#define json_bool json_c_bool /* a type of the library, a function of ours */
#include <json-c/json.h>
#undef json_bool
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
/* cmocka's own compares as float. */
#define assert_near(got, expected, by) assert_true(fabs((got) - (expected)) <= (by))

static char folder[] = "/tmp/report_test.XXXXXX", path[64];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/arm.json", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails when something else was left there */
}

static const char *const names[] = { "road", "car, \"red\"", "gr\xc3\xbc\xc3\x9f\n\\\x1f" };

static struct arm_facts make_facts(const char *name, enum score_kind kind)
{
    return (struct arm_facts){
        "data 1\n\"quoted\"", name, "h264", "240x180 at 108 kbit/s", 240, 180, kind, names, 3
    };
}

/* Hits of 100 in each class of each frame: the second class grows with plus, the frames differ. */
static struct arm *make_arm(const char *name, enum score_kind kind, size_t frame_count, uint32_t plus)
{
    struct arm *arm;
    struct arm_facts facts = make_facts(name, kind);
    assert_int_equal(arm_open(&arm, &facts, NULL), 0);
    arm->stream_bytes = 27000;
    arm->stream_us = 2000000;
    for (size_t i = 0; i < frame_count; i++) {
        uint32_t hits = 20 + (uint32_t)(i % 10) + plus;
        struct score_counts counts[3] = { { 90, 100 - hits, 10 }, { hits, 10, 100 - hits } };
        struct score_cost cost = { 65025, 100, 1500 };
        assert_int_equal(scores_add_counts(arm->scores, counts, &cost, NULL), 0);
    }
    return arm;
}

static void read_bytes(struct text *text)
{
    assert_int_equal(file_read_text(path, 1 << 20, text, NULL), 0);
}

static void put_bytes(const char *bytes, size_t size)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void an_arm_comes_back_as_it_was(void **state)
{
    (void)state;
    for (int kind = 0; kind < SCORE_KIND_COUNT; kind++) {
        struct arm *arm = make_arm("aware \t x2", (enum score_kind)kind, 300, 5), *back;
        assert_int_equal(arm_write(arm, path, NULL), 0);
        assert_int_equal(arm_read(&back, path, arm->recipe, NULL), 0);
        assert_string_equal(back->recipe, arm->recipe);
        assert_string_equal(back->name, arm->name);
        assert_string_equal(back->codec, "h264");
        assert_string_equal(back->rung, arm->rung);
        assert_int_equal(back->width, 240);
        assert_int_equal(back->height, 180);
        assert_int_equal(back->stream_bytes, 27000);
        assert_int_equal(back->stream_us, 2000000);
        assert_near(arm_kbps(back), 108, 1e-12);
        assert_int_equal(scores_kind(back->scores), kind);
        assert_int_equal(scores_class_count(back->scores), 3);
        for (int c = 0; c < 3; c++)
            assert_string_equal(back->classes[c], names[c]);
        assert_int_equal(scores_frame_count(back->scores), 300);
        for (size_t i = 0; i < 300; i++) {
            assert_memory_equal(scores_frame_counts(back->scores, i),
                                scores_frame_counts(arm->scores, i), 3 * sizeof(struct score_counts));
            assert_memory_equal(scores_frame_cost(back->scores, i),
                                scores_frame_cost(arm->scores, i), sizeof(struct score_cost));
        }
        arm_close(&arm);
        arm_close(&back);
        assert_null(back);
    }
}

/* Other programs can read the file too. */
static void the_file_is_json(void **state)
{
    (void)state;
    struct arm *arm = make_arm("a", SCORE_LABELS, 3, 0);
    assert_int_equal(arm_write(arm, path, NULL), 0);
    json_object *root = json_object_from_file(path), *frames, *counts, *classes;
    assert_non_null(root);
    assert_true(json_object_object_get_ex(root, "frames", &frames));
    assert_int_equal(json_object_array_length(frames), 3);
    assert_true(json_object_object_get_ex(json_object_array_get_idx(frames, 2), "counts", &counts));
    assert_int_equal(json_object_array_length(counts), 9);
    assert_int_equal(json_object_get_int(json_object_array_get_idx(counts, 3)), 22);
    assert_true(json_object_object_get_ex(root, "classes", &classes));
    assert_string_equal(json_object_get_string(json_object_array_get_idx(classes, 2)), names[2]);
    json_object_put(root);
    arm_close(&arm);
}

/* What is read from a changed file must be an arm like any other, or nothing. */
static bool try_broken(void)
{
    struct arm *arm = NULL;
    struct error err = { 0 };
    int rc = arm_read(&arm, path, NULL, &err);
    if (rc == 0) {
        assert_int_equal(scores_frame_count(arm->scores), 2);
        arm_close(&arm);
        return false;
    }
    assert_null(arm);
    assert_int_equal(rc, -ERROR_FORMAT);
    assert_int_equal(strncmp(err.text, path, strlen(path)), 0);
    assert_non_null(strstr(err.text, "broken at byte "));
    assert_non_null(strstr(err.text, "delete it"));
    return true;
}

static void a_broken_file_says_to_delete_it(void **state)
{
    (void)state;
    struct arm *arm = make_arm("a", SCORE_LABELS, 2, 0);
    struct text text = { 0 };
    struct random_state random;
    size_t refused = 0;
    assert_int_equal(arm_write(arm, path, NULL), 0);
    read_bytes(&text);
    for (size_t size = 0; size + 1 < text.size; size++) { /* the newline at the end may be missing */
        put_bytes(text.data, size);
        assert_true(try_broken());
    }
    random_seed(&random, 1);
    for (size_t i = 0; i < text.size; i++) {
        char kept = text.data[i];
        text.data[i] = (char)random_next_u64(&random);
        put_bytes(text.data, text.size);
        refused += try_broken();
        text.data[i] = kept;
    }
    assert_in_range(refused, text.size / 2, text.size); /* digits and letters may change */
    text_add_str(&text, "{}");
    put_bytes(text.data, text.size);
    assert_true(try_broken());
    text_finish(&text);
    arm_close(&arm);
}

/* One piece of the file is replaced by another; the error must name the reason. */
static void check_changed(const char *from, const char *to, const char *reason)
{
    struct arm *arm = make_arm("a", SCORE_LABELS, 2, 0), *back = NULL;
    struct text text = { 0 }, changed = { 0 };
    struct error err = { 0 };
    assert_int_equal(arm_write(arm, path, NULL), 0);
    read_bytes(&text);
    char *at = strstr(text.data, from);
    assert_non_null(at);
    text_add(&changed, text.data, (size_t)(at - text.data));
    text_add_str(&changed, to);
    text_add_str(&changed, at + strlen(from));
    put_bytes(changed.data, changed.size);
    assert_int_equal(arm_read(&back, path, NULL, &err), -ERROR_FORMAT);
    if (!strstr(err.text, reason))
        fail_msg("\"%s\" instead of \"%s\"", err.text, reason);
    text_finish(&text);
    text_finish(&changed);
    arm_close(&arm);
}

static void every_field_is_checked(void **state)
{
    (void)state;
    check_changed("\"version\":1", "\"version\":2", "2 is not between 1 and 1");
    check_changed("\"version\":1", "\"version\":01", "a whole number expected");
    check_changed("\"name\":\"a\"", "\"name\":\"\"", "name: the arm has none");
    check_changed("\"name\":\"a\"", "\"label\":\"a\"", "\"name\" expected");
    check_changed("\"name\":\"a\"", "\"name\":\"\\u0041\"", "may not stand in it");
    check_changed("\"width\":240", "\"width\":0", "0 is not between 1 and 65536");
    check_changed("\"height\":180", "\"height\":-1", "a whole number expected");
    check_changed("\"stream_us\":2", "\"stream_us\":99999999999999999999", "a number too large");
    check_changed("\"labels\"", "\"pixels\"", "neither labels nor boxes");
    check_changed("\"labels\"", "\"a text of many letters\"", "longer than 15 bytes");
    check_changed("\"frame_count\":2", "\"frame_count\":1", "] expected");
    check_changed("\"frame_count\":2", "\"frame_count\":3", ", expected");
    check_changed("\"samples\":100", "\"samples\":0", "more than a frame can have");
    check_changed("[90,80,10,", "[90,80,", ", expected");
    check_changed("[90,80,10,20,10,80", "[0,0,0,0,0,0", "no pixel counts");
    check_changed("[90,80,10,", "[90,80,4294967296,", "is not between 0 and 4294967295");
    check_changed("[90,80,10,", "[90,900,10,", "more wrong pixels");
    check_changed("\"road\",", "\"road\",\"road\",", "expected"); /* four classes, three counted */
}

static void what_is_not_ours_is_not_taken(void **state)
{
    (void)state;
    struct arm *arm = make_arm("a", SCORE_BOXES, 1, 0), *back = NULL;
    struct error err = { 0 };
    assert_int_equal(arm_write(arm, path, NULL), 0);
    assert_int_equal(arm_read(&back, path, "data 2", &err), -ERROR_CONFIG);
    assert_non_null(strstr(err.text, "other data, settings or models: delete it"));
    assert_int_equal(arm_read(&back, "/nowhere/arm.json", NULL, &err), -ERROR_IO);
    assert_non_null(strstr(err.text, "/nowhere/arm.json: cannot open it"));
    assert_null(back);
    arm_close(&arm);
    struct arm_facts facts = make_facts("b", SCORE_BOXES);
    assert_int_equal(arm_open(&arm, &facts, &err), 0);
    assert_int_equal(arm_write(arm, path, &err), -ERROR_UNSUPPORTED); /* no frames */
    arm_close(&arm);
    facts.rung = "\xff";
    assert_int_equal(arm_open(&arm, &facts, &err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "rung: byte 0 is not UTF-8"));
}

/* A write that fails leaves the arm's last good file, and nothing beside it. */
static void a_failed_write_keeps_what_was_there(void **state)
{
    (void)state;
    struct text before = { 0 }, after = { 0 }, lost = { .failed = true };
    struct error err = { 0 };
    struct arm *arm = make_arm("a", SCORE_BOXES, 1, 0);
    assert_int_equal(arm_write(arm, path, NULL), 0);
    read_bytes(&before);
    assert_int_equal(file_write_text(path, &lost, &err), -ERROR_MEMORY);
    assert_int_equal(file_write_text(folder, &before, &err), -ERROR_IO); /* a folder has the name */
    read_bytes(&after);
    assert_string_equal(before.data, after.data);
    text_finish(&lost);
    assert_int_equal(file_read_text(path, 10, &lost, &err), -ERROR_LIMIT);
    text_finish(&before);
    text_finish(&after);
    text_finish(&lost);
    arm_close(&arm);
}

/* Reports */

static const size_t one_clip[] = { 100 };

static struct report_plan make_plan(const struct arm *const *arms, const size_t *versus, size_t count)
{
    return (struct report_plan){ "made up", "labels", arms, count, versus, 0, { one_clip, 1, 10, 1 } };
}

/* Sums over 100 frames (ten times 0..9): the first arm has 24.5 hits of 100 in its second class. */
static void figures_are_those_of_the_records(void **state)
{
    (void)state;
    struct arm *arms[2] = { make_arm("bicubic", SCORE_LABELS, 100, 0),
                            make_arm("aware", SCORE_LABELS, 100, 30) };
    const size_t versus[] = { 0, 0 };
    struct report_plan plan = make_plan((const struct arm *const *)arms, versus, 2);
    struct report *report;
    assert_int_equal(report_open(&report, &plan, NULL), 0);
    const struct report_row *row = report->rows;
    double road = 9000 / (9000 + 7550 + 1000.0), car = 2450 / (2450 + 1000 + 7550.0);
    assert_near(row->kbps, 108, 1e-9);
    assert_near(row->classes[0], road, 1e-12);
    assert_near(row->classes[1], car, 1e-12);
    assert_true(isnan(row->classes[2]));
    assert_near(row->figures[SCORE_MEAN], (road + car) / 2, 1e-12);
    assert_near(row->figures[SCORE_CLASS_TAIL], car, 1e-12);
    assert_near(row->figures[SCORE_TAIL90], (90 / 180.0 + 20 / 110.0) / 2, 1e-12);
    assert_int_equal(row->worst_class, 1);
    assert_near(row->psnr_db, 20, 1e-9);
    assert_near(row->time_ms, 1.5, 1e-12);
    assert_false(row->compared[SCORE_MEAN]);
    for (int which = 0; which < SCORE_FIGURE_COUNT; which++) {
        assert_true(row[1].compared[which]);
        assert_string_equal(interval_verdict(&row[1].comparisons[which].difference), "better");
        assert_near(row[1].comparisons[which].difference.value,
                    row[1].figures[which] - row[0].figures[which], 1e-12);
    }
    assert_string_equal(report->unknown, "");
    report_close(&report);
    assert_null(report);
    arm_close(&arms[0]);
    arm_close(&arms[1]);
}

/* The lines of a table, between empty ones, must be as long as its first: columns stand aligned. */
static void check_aligned(char *line, size_t lines)
{
    size_t letters = 0;
    for (size_t i = 0; i < lines; i++) {
        char *end = strchr(line, '\n');
        size_t count = 0;
        assert_non_null(end);
        for (; line < end; line++)
            count += ((unsigned char)*line & 0xc0) != 0x80;
        letters = i == 0 ? count : letters;
        assert_int_equal(count, letters);
        line = end + 1;
    }
}

static void the_table_is_aligned_and_complete(void **state)
{
    (void)state;
    struct arm *arms[3] = { make_arm("bicubic", SCORE_LABELS, 100, 0),
                            make_arm("f\xc3\xbcr\tus", SCORE_LABELS, 100, 30),
                            make_arm("same", SCORE_LABELS, 100, 0) };
    const size_t versus[] = { 0, 0, 0 };
    struct report_plan plan = make_plan((const struct arm *const *)arms, versus, 3);
    struct report *report;
    struct text text = { 0 };
    assert_int_equal(report_open(&report, &plan, NULL), 0);
    report_add_table(report, &text);
    assert_false(text.failed);
    static const char *const pieces[] = {
        "made up: 100 frames, 1 clips, 3 classes; reference: labels; accuracy is IoU\n",
        "f\xc3\xbcr?us   h264",
        "240x180",
        "108.0",
        "against",
        "  better +",
        "unclear +0.0000\n",
        "0.2227",
        "class tail: car, \"red\" (worst quarter of bicubic)\n",
    };
    for (size_t i = 0; i < COUNT(pieces); i++)
        if (!strstr(text.data, pieces[i]))
            fail_msg("no \"%s\" in\n%s", pieces[i], text.data);
    char *table = strstr(text.data, "\n\n") + 2;
    check_aligned(table, 4);
    table = strstr(table, "\n\n") + 2;
    check_aligned(table, 4);
    table = strstr(table, "\n\n") + 2;
    check_aligned(table, 3);
    text_finish(&text);
    report_close(&report);
    for (int i = 0; i < 3; i++)
        arm_close(&arms[i]);
}

/* Fields of a line, with quotes taken off. */
static size_t split_csv(char **line, char fields[][64], size_t fields_max)
{
    size_t count = 0;
    char *at = *line;
    for (;; at++) {
        size_t size = 0;
        bool quoted = *at == '"';
        assert_true(count < fields_max);
        for (at += quoted; quoted ? *at != '"' || at[1] == '"' : *at != ',' && *at != '\n'; at++) {
            at += quoted && *at == '"';
            assert_true(*at && size < 63);
            fields[count][size++] = *at;
        }
        at += quoted;
        fields[count++][size] = '\0';
        if (*at == '\n')
            break;
        assert_int_equal(*at, ',');
    }
    *line = at + 1;
    return count;
}

static void csv_and_json_hold_the_same_figures(void **state)
{
    (void)state;
    struct arm *arms[2] = { make_arm("bicubic", SCORE_LABELS, 100, 0),
                            make_arm("a, \"b\"", SCORE_LABELS, 100, 30) };
    const size_t versus[] = { 0, 0 };
    struct report_plan plan = make_plan((const struct arm *const *)arms, versus, 2);
    struct report *report;
    struct text csv = { 0 }, json = { 0 };
    static char heads[128][64], first[128][64], second[128][64];
    assert_int_equal(report_open(&report, &plan, NULL), 0);
    report_add_csv(report, &csv);
    report_add_json(report, &json);
    char *line = csv.data;
    size_t count = split_csv(&line, heads, 128);
    assert_int_equal(split_csv(&line, first, 128), count);
    assert_int_equal(split_csv(&line, second, 128), count);
    assert_int_equal(*line, '\0');
    assert_string_equal(second[0], "a, \"b\"");
    assert_string_equal(heads[count - 3], "road");
    assert_string_equal(first[count - 1], ""); /* of a class that is not present */

    json_object *root = json_tokener_parse(json.data), *list, *value;
    assert_non_null(root);
    assert_true(json_object_object_get_ex(root, "arms", &list));
    assert_int_equal(json_object_array_length(list), 2);
    json_object *arm = json_object_array_get_idx(list, 1);
    for (size_t i = 0; i < count; i++)
        if (json_object_object_get_ex(arm, heads[i], &value) &&
            json_object_get_type(value) == json_type_double)
            assert_near(json_object_get_double(value), strtod(second[i], NULL), 1e-12);
    assert_true(json_object_object_get_ex(arm, "tail90", &value));
    assert_near(json_object_get_double(value), report->rows[1].figures[SCORE_TAIL90], 1e-6);
    assert_true(json_object_object_get_ex(arm, "classes", &value));
    assert_null(json_object_array_get_idx(value, 2));
    assert_true(json_object_object_get_ex(arm, "comparisons", &value));
    for (int which = 0; which < SCORE_FIGURE_COUNT; which++) {
        json_object *made, *low;
        char head[64];
        size_t column = 0;
        assert_true(json_object_object_get_ex(value, score_figure_words[which], &made));
        assert_true(json_object_object_get_ex(made, "verdict", &low));
        assert_string_equal(json_object_get_string(low), "better");
        assert_true(json_object_object_get_ex(made, "difference", &made));
        assert_true(json_object_object_get_ex(made, "low", &low));
        snprintf(head, sizeof head, "%s_difference_low", score_figure_words[which]);
        while (column < count && strcmp(heads[column], head) != 0)
            column++;
        assert_true(column < count);
        assert_near(json_object_get_double(low), strtod(second[column], NULL), 1e-12);
    }
    assert_true(json_object_object_get_ex(root, "class_tail", &value));
    assert_string_equal(json_object_get_string(json_object_array_get_idx(value, 0)), names[1]);
    json_object_put(root);
    text_finish(&csv);
    text_finish(&json);
    report_close(&report);
    arm_close(&arms[0]);
    arm_close(&arms[1]);
}

/* Too few blocks: the figures stand, the intervals are unknown, and the reason is told. */
static void what_is_not_known_is_said_to_be(void **state)
{
    (void)state;
    struct arm *arms[2] = { make_arm("a", SCORE_LABELS, 100, 0),
                            make_arm("b", SCORE_LABELS, 100, 30) };
    const size_t versus[] = { 0, 0 };
    struct report_plan plan = make_plan((const struct arm *const *)arms, versus, 2);
    struct report *report;
    struct text text = { 0 };
    plan.resampling.block_frames = 20;
    assert_int_equal(report_open(&report, &plan, NULL), 0);
    assert_false(report->rows[1].compared[SCORE_TAIL99]);
    report_add_table(report, &text);
    assert_non_null(strstr(text.data, "unknown: interval: 100 frames make only 5 blocks"));
    assert_non_null(strstr(text.data, "b    a        unknown  unknown  unknown     unknown\n"));
    text_finish(&text);
    report_close(&report);
    arm_close(&arms[0]);
    arm_close(&arms[1]);
}

static void refuse(struct arm *first, struct arm *second, const char *reason)
{
    const struct arm *arms[2] = { first, second };
    const size_t versus[] = { 0, 0 };
    struct report_plan plan = make_plan(arms, versus, 2);
    struct report *report;
    struct error err = { 0 };
    assert_int_equal(report_open(&report, &plan, &err), -ERROR_FORMAT);
    if (!strstr(err.text, reason))
        fail_msg("\"%s\" instead of \"%s\"", err.text, reason);
    arm_close(&second);
}

static void arms_that_differ_cannot_be_compared(void **state)
{
    (void)state;
    struct arm *first = make_arm("a", SCORE_LABELS, 100, 0), *other;
    refuse(first, make_arm("b", SCORE_BOXES, 100, 0), "b: scores boxes, but a scores labels");
    refuse(first, make_arm("b", SCORE_LABELS, 99, 0), "b: has 99 frames, a 100");
    other = make_arm("b", SCORE_LABELS, 100, 0);
    free(other->classes[1]);
    other->classes[1] = strdup("tree");
    refuse(first, other, "b: class 1 is tree, and car");
    other = make_arm("b", SCORE_LABELS, 99, 0);
    const struct score_counts counts[3] = { { 90, 80, 10 }, { 20, 10, 81 } };
    assert_int_equal(scores_add_counts(other->scores, counts, NULL, NULL), 0);
    refuse(first, other, "frame 99 has 101 of class car, \"red\" instead of 100");
    struct arm *longer = make_arm("c", SCORE_LABELS, 101, 0);
    refuse(longer, make_arm("d", SCORE_LABELS, 101, 0), "clips of 100 frames, but 101");
    arm_close(&longer);
    arm_close(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_arm_comes_back_as_it_was),
        cmocka_unit_test(the_file_is_json),
        cmocka_unit_test(a_broken_file_says_to_delete_it),
        cmocka_unit_test(every_field_is_checked),
        cmocka_unit_test(what_is_not_ours_is_not_taken),
        cmocka_unit_test(a_failed_write_keeps_what_was_there),
        cmocka_unit_test(figures_are_those_of_the_records),
        cmocka_unit_test(the_table_is_aligned_and_complete),
        cmocka_unit_test(csv_and_json_hold_the_same_figures),
        cmocka_unit_test(what_is_not_known_is_said_to_be),
        cmocka_unit_test(arms_that_differ_cannot_be_compared),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
