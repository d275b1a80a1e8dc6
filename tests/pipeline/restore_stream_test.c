/* restore_stream: a camera of 768x432 that sends less, through the real binaries. What a network fits is
 * restored by it, other rungs by bicubic, full size by nothing; every answer, the counters and the log
 * say so, and the boxes lie where those of the full pictures do. A network that comes with the model, in
 * its card, serves unless the configuration says that none shall. A file that cannot be used keeps the
 * server from starting. */
#include "harness.h"

#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define CLIP "clips/person-bicycle-car-detection.mp4"
#define NETWORK "models/fsrcnn_x2.onnx"
#define CAMERA_WIDTH 768
#define CAMERA_HEIGHT 432
#define FRAMES 167u
#define OBJECTS_MAX 32u

static char clip_set[600], network_set[600], model_set[600];

static bool find_data(const char *test)
{
    const char *data = getenv("TEST_DATA");
    snprintf(clip_set, sizeof clip_set, "cameras.0.source.path=%s/" CLIP, data ? data : "");
    snprintf(network_set, sizeof network_set, "models.0.restore.networks=%s/" NETWORK,
             data ? data : "");
    const char *const sets[] = { clip_set, network_set };
    for (size_t i = 0; i < 2; i++)
        if (!data || access(strchr(sets[i], '=') + 1, R_OK) != 0) {
            fprintf(stderr, "SKIP REASON: %s: no %s\n", test, strchr(sets[i], '=') + 1);
            return false;
        }
    return true;
}

/* The answers to one run of the clip. */
struct clip_answers {
    size_t count;
    char restored[64]; /* the same in all */
    size_t object_count[FRAMES];
    double box[FRAMES][OBJECTS_MAX][4];
};

static void read_boxes(struct json_object *objects, struct clip_answers *answers)
{
    size_t frame = answers->count;
    for (size_t i = 0; i < json_object_array_length(objects) && i < OBJECTS_MAX; i++) {
        struct json_object *box;
        assert_true(json_object_object_get_ex(json_object_array_get_idx(objects, i), "box", &box));
        for (size_t k = 0; k < 4; k++)
            answers->box[frame][i][k] = json_object_get_double(json_object_array_get_idx(box, k));
        answers->object_count[frame]++;
    }
}

static void read_answers(const char *path, struct clip_answers *answers)
{
    char *line = NULL;
    size_t capacity = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    *answers = (struct clip_answers){ 0 };
    for (; getline(&line, &capacity, file) > 0; answers->count++) {
        struct json_object *answer = json_tokener_parse(line), *field;
        assert_true(answer && answers->count < FRAMES);
        assert_true(json_object_object_get_ex(answer, "status", &field));
        assert_string_equal(json_object_get_string(field), "ok");
        assert_true(json_object_object_get_ex(answer, "width", &field));
        assert_int_equal(json_object_get_int(field), CAMERA_WIDTH);
        const char *restored = json_object_object_get_ex(answer, "restored", &field)
                                   ? json_object_get_string(field)
                                   : "";
        if (answers->count == 0)
            snprintf(answers->restored, sizeof answers->restored, "%s", restored);
        assert_string_equal(restored, answers->restored);
        assert_true(json_object_object_get_ex(answer, "objects", &field));
        read_boxes(field, answers);
        json_object_put(answer);
    }
    free(line);
    fclose(file);
    assert_int_equal(answers->count, FRAMES);
}

static void run_clip(struct scratch *scratch, const char *name, const char *width,
                     const char *height, struct clip_answers *answers)
{
    struct process agent;
    char file[64];
    agent_start(&agent, scratch, name,
                (const char *const[]){ clip_set, "cameras.0.source.kind=file",
                                       "cameras.0.pace=fast", width, height, NULL });
    assert_int_equal(process_wait(&agent, 120000), 0);
    snprintf(file, sizeof file, "%s.jsonl", name);
    read_answers(scratch_path(scratch, file), answers);
}

static double overlap(const double *a, const double *b)
{
    double x1 = a[0] > b[0] ? a[0] : b[0], y1 = a[1] > b[1] ? a[1] : b[1];
    double x2 = a[0] + a[2] < b[0] + b[2] ? a[0] + a[2] : b[0] + b[2];
    double y2 = a[1] + a[3] < b[1] + b[3] ? a[1] + a[3] : b[1] + b[3];
    double both = x2 > x1 && y2 > y1 ? (x2 - x1) * (y2 - y1) : 0;
    return both / (a[2] * a[3] + b[2] * b[3] - both);
}

/* The share of boxes of `truth` that lie in `answers` too, by half of both. Each box is in the picture. */
static double recall(const struct clip_answers *answers, const struct clip_answers *truth)
{
    size_t hits = 0, boxes = 0;
    for (size_t frame = 0; frame < FRAMES; frame++) {
        for (size_t j = 0; j < answers->object_count[frame]; j++) {
            const double *box = answers->box[frame][j];
            assert_true(box[0] >= 0 && box[1] >= 0 && box[0] + box[2] <= CAMERA_WIDTH + 1 &&
                        box[1] + box[3] <= CAMERA_HEIGHT + 1);
        }
        for (size_t i = 0; i < truth->object_count[frame]; i++, boxes++)
            for (size_t j = 0; j < answers->object_count[frame]; j++)
                if (overlap(truth->box[frame][i], answers->box[frame][j]) >= 0.5) {
                    hits++;
                    break;
                }
    }
    assert_true(boxes > 100);
    return (double)hits / (double)boxes;
}

static void every_rung_says_what_was_done(void **state)
{
    struct scratch *scratch = *state;
    struct process server;
    static struct clip_answers full, half, other;
    char address[64];
    uint16_t port = port_find();
    if (!find_data("every_rung_says_what_was_done"))
        skip();
    snprintf(address, sizeof address, "http.address=127.0.0.1:%u", port);
    server_start(&server, scratch,
                 (const char *const[]){ "models.0.name=det", "models.0.folder=models/street_det",
                                        network_set, address, "credits=2", NULL });
    run_clip(scratch, "full", "cameras.0.rung.width=0", "cameras.0.rung.height=0", &full);
    page_expect(port, "/metrics", "200",
                "server_pictures_restored_total{model=\"det\",by=\"none\"} 167\n");
    assert_false(process_said(&server, "not restored by a network"));
    run_clip(scratch, "half", "cameras.0.rung.width=384", "cameras.0.rung.height=216", &half);
    page_expect(port, "/metrics", "200",
                "server_pictures_restored_total{model=\"det\",by=\"network\"} 167\n");
    assert_false(process_said(&server, "not restored by a network"));
    run_clip(scratch, "other", "cameras.0.rung.width=320", "cameras.0.rung.height=180", &other);
    page_expect(port, "/metrics", "200",
                "server_pictures_restored_total{model=\"det\",by=\"bicubic\"} 167\n");
    page_expect(port, "/metrics", "200",
                "server_pictures_restored_total{model=\"det\",by=\"network\"} 167\n");
    assert_int_equal(process_count(&server, "msg=\"not restored by a network\""), 1);
    assert_true(process_said(&server, "none of the networks makes 768x432 of a received 320x180"));
    process_stop_well(&server);

    assert_string_equal(full.restored, "");
    assert_string_equal(half.restored, "network fsrcnn_x2");
    assert_string_equal(other.restored, "bicubic");
    double half_recall = recall(&half, &full), other_recall = recall(&other, &full);
    print_message("of the boxes at full size: 384x216 has %.3f, 320x180 %.3f\n", half_recall,
                  other_recall);
    assert_true(half_recall > 0.8);
    assert_true(other_recall > 0.7);
}

static void make_model(const struct scratch *scratch)
{
    model_copy(scratch, "model", strchr(network_set, '=') + 1);
    snprintf(model_set, sizeof model_set, "models.0.folder=%s", scratch_path(scratch, "model"));
}

static void networks_come_with_the_model(void **state)
{
    struct scratch *scratch = *state;
    struct process server;
    static struct clip_answers half;
    static const struct {
        const char *set; /* NULL: as it is by default */
        const char *restored;
    } cases[] = { { NULL, "network fsrcnn_x2" }, { "models.0.restore.networks=", "" } };
    if (!find_data("networks_come_with_the_model"))
        skip();
    make_model(scratch);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[16];
        snprintf(name, sizeof name, "half-%zu", i);
        server_start(&server, scratch,
                     (const char *const[]){ "models.0.name=det", model_set, "credits=2",
                                            cases[i].set, NULL });
        run_clip(scratch, name, "cameras.0.rung.width=384", "cameras.0.rung.height=216", &half);
        assert_string_equal(half.restored, cases[i].restored);
        assert_false(process_said(&server, "not restored by a network"));
        process_stop_well(&server);
    }
}

static void bad_networks_keep_the_server_from_starting(void **state)
{
    struct scratch *scratch = *state;
    struct process server;
    static const char *const files[] = { "/nowhere/x2.onnx", "models/street_det/street_det.onnx" };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char set[200];
        snprintf(set, sizeof set, "models.0.restore.networks=%s", files[i]);
        server_start(&server, scratch,
                     (const char *const[]){ "models.0.name=det",
                                            "models.0.folder=models/street_det", set, NULL });
        assert_int_equal(process_wait(&server, 60000), 1);
        process_expect(&server, files[i], 1);
        process_expect(&server, "model det: restore: ", 1);
    }
}

static void a_bad_network_of_the_card_does_so_too(void **state)
{
    struct scratch *scratch = *state;
    struct process server;
    if (!find_data("a_bad_network_of_the_card_does_so_too"))
        skip();
    make_model(scratch);
    file_copy("models/street_det/street_det.onnx",
              scratch_path(scratch, "model/restore/fsrcnn_x2.onnx"));
    server_start(&server, scratch, (const char *const[]){ "models.0.name=det", model_set, NULL });
    assert_int_equal(process_wait(&server, 60000), 1);
    process_expect(&server, "model det: restore: restore.0 of ", 1);
    process_expect(&server, "model/restore/fsrcnn_x2.onnx: ", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_rung_says_what_was_done, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(networks_come_with_the_model, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(bad_networks_keep_the_server_from_starting, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(a_bad_network_of_the_card_does_so_too, scratch_setup,
                                        scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
