/* eval: the real program on a real clip. What it reports is there and plausible; a second run measures
 * nothing anew; runs that were killed or interrupted go on and give the same figures; mistakes are named.
 *
 * 25 pictures of the clip, at two sizes and one bitrate: three arms. Then pictures that are no video. */
#include "card_text.h"
#include "harness.h"

#include <dirent.h>
#include <json-c/json.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define WAIT_MS 60000u
#define LOOK_MS 5u
#define ARMS 3u
#define PICTURES 25u
#define STATUS_KILLED (128 + SIGKILL)
#define STATUS_INTERRUPTED 130

static const char *find_clip(void)
{
    static char path[512];
    const char *data = getenv("TEST_DATA");
    snprintf(path, sizeof path, "%s/clips/bikes.mp4", data ? data : "../shared/data");
    if (access(path, R_OK) == 0)
        return path;
    fprintf(stderr, "SKIP REASON: eval_test: no %s\n", path);
    skip();
    return NULL;
}

/* out: a folder's name in scratch; set: one more KEY=VALUE, or NULL. */
static void eval_start_with(struct process *process, const struct scratch *scratch, const char *out,
                            const char *set)
{
    char pictures[600], folder[600];
    snprintf(pictures, sizeof pictures, "data.pictures=%s", find_clip());
    snprintf(folder, sizeof folder, "out=%s", scratch_path(scratch, out));
    const char *const arguments[] = { program_path("cloud-server"),
                                      "eval",
                                      "-s",
                                      pictures,
                                      "-s",
                                      folder,
                                      "-s",
                                      "model=models/street_det",
                                      "-s",
                                      "sizes=full,1/2",
                                      "-s",
                                      "bitrates=200",
                                      "-s",
                                      "restore=none,bicubic",
                                      "-s",
                                      "fps=2.5",
                                      "-s",
                                      "block_frames=4",
                                      set ? "-s" : NULL,
                                      set,
                                      NULL };
    process_start(process, scratch, out, arguments);
}

static void eval_start(struct process *process, const struct scratch *scratch, const char *out)
{
    eval_start_with(process, scratch, out, NULL);
}

/* Arms on file. */
static size_t count_arms(const struct scratch *scratch, const char *out)
{
    char folder[600];
    size_t count = 0;
    snprintf(folder, sizeof folder, "%s/arms", scratch_path(scratch, out));
    DIR *listing = opendir(folder);
    for (struct dirent *entry; listing && (entry = readdir(listing));) {
        size_t size = strlen(entry->d_name);
        count += size > 5 && strcmp(entry->d_name + size - 5, ".json") == 0;
    }
    if (listing)
        closedir(listing);
    return count;
}

static void wait_for_arm(struct process *process, const struct scratch *scratch, const char *out)
{
    const struct timespec look = { .tv_nsec = LOOK_MS * 1000000 };
    for (unsigned waited = 0; count_arms(scratch, out) == 0; waited += LOOK_MS) {
        if (waited > WAIT_MS || !process_runs(process))
            fail_msg("no arm is finished: %s", process->log);
        nanosleep(&look, NULL);
    }
}

static void expect_status(struct process *process, int status, const char *text)
{
    assert_int_equal(process_wait(process, WAIT_MS), status);
    process_expect(process, text, 0);
}

static struct json_object *read_json(const struct scratch *scratch, const char *out, const char *name)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%s", scratch_path(scratch, out), name);
    struct json_object *json = json_object_from_file(path);
    if (!json)
        fail_msg("%s: %s", path, json_util_get_last_err());
    return json;
}

static struct json_object *get(struct json_object *object, const char *key)
{
    struct json_object *value;
    if (!json_object_object_get_ex(object, key, &value))
        fail_msg("no %s in %s", key, json_object_to_json_string(object));
    return value;
}

static double number(struct json_object *object, const char *key)
{
    return json_object_get_double(get(object, key));
}

static struct json_object *find_arm(struct json_object *report, const char *name)
{
    struct json_object *arms = get(report, "arms");
    for (size_t i = 0; i < json_object_array_length(arms); i++) {
        struct json_object *arm = json_object_array_get_idx(arms, i);
        if (strcmp(json_object_get_string(get(arm, "name")), name) == 0)
            return arm;
    }
    fail_msg("no arm %s", name);
    return NULL;
}

/* Two runs give the same but for the time they took. */
static void expect_same_figures(struct json_object *left, struct json_object *right)
{
    struct json_object *reports[] = { left, right };
    for (size_t r = 0; r < 2; r++) {
        struct json_object *arms = get(reports[r], "arms");
        for (size_t i = 0; i < json_object_array_length(arms); i++)
            json_object_object_del(json_object_array_get_idx(arms, i), "ms");
    }
    assert_string_equal(json_object_to_json_string(left), json_object_to_json_string(right));
}

static void check_report(struct json_object *report)
{
    static const char *const names[] = { "h264-640x272-200-none", "h264-320x136-200-none",
                                         "h264-320x136-200-bicubic" };
    assert_int_equal(number(report, "frames"), PICTURES);
    assert_string_equal(json_object_get_string(get(report, "kind")), "boxes");
    assert_non_null(strstr(json_object_get_string(get(report, "reference")), "street_det"));
    assert_int_equal(json_object_array_length(get(report, "arms")), ARMS);
    for (size_t i = 0; i < ARMS; i++) {
        struct json_object *arm = find_arm(report, names[i]);
        double kbps = number(arm, "kbps"), mean = number(arm, "mean");
        assert_true(kbps > 100 && kbps < 300); /* 200 are asked for; few pictures */
        assert_true(mean > 0.3 && mean < 1);   /* compression costs something, not everything */
        assert_true(number(arm, "tail99") <= number(arm, "tail90"));
        assert_true(number(arm, "ms") > 0);
    }
    /* A picture that is not scaled back has no pixels to compare. */
    assert_true(number(find_arm(report, names[0]), "psnr_db") > 20);
    assert_true(json_object_get_type(get(find_arm(report, names[1]), "psnr_db")) == json_type_null);
    assert_true(number(find_arm(report, names[2]), "psnr_db") > 20);
    /* Both arms of a rung had the same stream. */
    assert_true(number(find_arm(report, names[1]), "kbps") ==
                number(find_arm(report, names[2]), "kbps"));
    assert_string_equal(json_object_get_string(get(find_arm(report, names[1]), "versus")), names[2]);
    assert_string_equal(json_object_get_string(get(find_arm(report, names[2]), "versus")), names[0]);
    assert_string_equal(json_object_get_string(get(report, "class_tail_of")), names[2]);
}

static void finished_arms_are_kept_whatever_happens(void **state)
{
    static const char *const files[] = { "report.csv", "mean.svg", "tail90.svg", "tail99.svg",
                                         "class_tail.svg" };
    struct scratch *scratch = *state;
    struct process process;
    eval_start(&process, scratch, "first");
    expect_status(&process, 0, "eval: arms=3 reused=0 frames=25 baseline=bicubic");
    struct json_object *first = read_json(scratch, "first", "report.json");
    check_report(first);
    json_object_put(read_json(scratch, "first", "bits_saved.json"));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[600];
        snprintf(path, sizeof path, "%s/%s", scratch_path(scratch, "first"), files[i]);
        assert_int_equal(access(path, R_OK), 0);
    }

    /* Again: the same, times and all, as nothing was measured. */
    eval_start(&process, scratch, "first");
    expect_status(&process, 0, "eval: arms=3 reused=3 frames=25");
    struct json_object *again = read_json(scratch, "first", "report.json");
    assert_string_equal(json_object_to_json_string(first), json_object_to_json_string(again));
    json_object_put(again);

    eval_start(&process, scratch, "killed");
    wait_for_arm(&process, scratch, "killed");
    process_signal(&process, SIGKILL);
    assert_int_equal(process_wait(&process, WAIT_MS), STATUS_KILLED);
    assert_int_equal(count_arms(scratch, "killed"), 1);
    eval_start(&process, scratch, "killed");
    expect_status(&process, 0, "eval: arms=3 reused=1 frames=25");
    struct json_object *killed = read_json(scratch, "killed", "report.json");
    expect_same_figures(first, killed);
    json_object_put(killed);
    json_object_put(first);
}

static void an_interrupted_run_says_how_it_goes_on(void **state)
{
    struct scratch *scratch = *state;
    struct process process;
    eval_start(&process, scratch, "out");
    wait_for_arm(&process, scratch, "out");
    process_signal(&process, SIGINT);
    expect_status(&process, STATUS_INTERRUPTED, "interrupted; 1 of 3 arms are finished and kept");
    assert_int_equal(count_arms(scratch, "out"), 1);
}

/* Two at once would read and write each other's arms. */
static void a_folder_is_for_one_run_at_a_time(void **state)
{
    struct scratch *scratch = *state;
    struct process first, second;
    char folder[600], told[700];
    snprintf(folder, sizeof folder, "out=%s", scratch_path(scratch, "out"));
    snprintf(told, sizeof told, "out: %s: another process is at work", folder + strlen("out="));
    eval_start(&first, scratch, "out");
    wait_for_arm(&first, scratch, "out");
    process_signal(&first, SIGSTOP);
    eval_start_with(&second, scratch, "second", folder);
    int status = process_wait(&second, WAIT_MS);
    process_signal(&first, SIGCONT);
    assert_int_equal(status, 1);
    process_expect(&second, told, 0);
    expect_status(&first, 0, "eval: arms=3 reused=0 frames=25");
}

static void append(const char *path, const char *line)
{
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    assert_true(fputs(line, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* 26 lines and 2 frontiers are more than a plot can show: then each way to restore has one line, which knows
 * no size. */
static void many_lines_become_the_best_of_all_sizes(void **state)
{
    struct scratch *scratch = *state;
    struct process process;
    char pictures[600], folder[600];
    size_t size = 0;
    const char *clip = scratch_path(scratch, "clip.mp4");
    clip_make(clip, 4, 160, 128);
    snprintf(pictures, sizeof pictures, "data.pictures=%s", clip);
    snprintf(folder, sizeof folder, "out=%s", scratch_path(scratch, "out"));
    const char *const arguments[] = { program_path("cloud-server"),
                                      "eval",
                                      "-s",
                                      pictures,
                                      "-s",
                                      folder,
                                      "-s",
                                      "model=models/street_det",
                                      "-s",
                                      "sizes=full,120x96,96x80,80x64,64x48",
                                      "-s",
                                      "bitrates=100",
                                      "-s",
                                      "codecs=h264,h265",
                                      "-s",
                                      "restore=none,bilinear,bicubic",
                                      "-s",
                                      "score_every=4",
                                      NULL };
    process_start(&process, scratch, "eval", arguments);
    expect_status(&process, 0, "eval: arms=26 ");
    FILE *file = fopen(scratch_path(scratch, "out/mean.svg"), "r");
    static char plot[65536];
    assert_non_null(file);
    size = fread(plot, 1, sizeof plot - 1, file);
    assert_int_equal(fclose(file), 0);
    plot[size] = '\0';
    assert_non_null(strstr(plot, ">h264 bicubic, best size<"));
    assert_non_null(strstr(plot, ">h265 none, best size<"));
    assert_null(strstr(plot, "best of"));
    assert_null(strstr(plot, "120x96"));
}

/* The shipped detector, in FOLDER/again. */
static void copy_model(const struct scratch *scratch)
{
    static const char *const files[] = { "street_det.onnx", "sample.jpg" };
    char text[8192];
    assert_int_equal(mkdir(scratch_path(scratch, "again"), 0700), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char from[64], to[64];
        snprintf(from, sizeof from, "models/street_det/%s", files[i]);
        snprintf(to, sizeof to, "again/%s", files[i]);
        file_copy(from, scratch_path(scratch, to));
    }
    assert_non_null(card_text_read("models/street_det/card.yaml", text, sizeof text));
    append(scratch_path(scratch, "again/card.yaml"), text);
}

static void check_tuned(struct json_object *report, struct json_object *saved)
{
    struct json_object *tuned = find_arm(report, "h264-320x136-200-again+bicubic");
    struct json_object *plain = find_arm(report, "h264-320x136-200-bicubic");
    find_arm(report, "h264-320x136-200-again+none");
    assert_true(number(tuned, "mean") == number(plain, "mean"));
    assert_true(number(tuned, "kbps") == number(plain, "kbps"));
    assert_string_equal(json_object_get_string(get(tuned, "versus")), "h264-320x136-200-bicubic");
    assert_string_equal(
        json_object_get_string(get(find_arm(report, "h264-640x272-200-again+none"), "versus")),
        "h264-640x272-200-none");
    struct json_object *first = json_object_array_get_idx(saved, 0);
    assert_string_equal(json_object_get_string(get(first, "ours")),
                        "h264 again without restoration");
    assert_string_equal(json_object_get_string(get(first, "theirs")), "h264 without restoration");
}

/* The same model under another name answers the same, and has arms, bits saved and results on file of its
 * own: those that hang on its files. */
static void a_further_model_has_arms_of_its_own(void **state)
{
    struct scratch *scratch = *state;
    struct process process;
    char set[600], card[600];
    copy_model(scratch);
    snprintf(set, sizeof set, "tuned=again=%s", scratch_path(scratch, "again"));
    snprintf(card, sizeof card, "%s/card.yaml", scratch_path(scratch, "again"));
    eval_start(&process, scratch, "out");
    expect_status(&process, 0, "eval: arms=3 reused=0");
    eval_start_with(&process, scratch, "out", set);
    expect_status(&process, 0, "eval: arms=6 reused=3");
    process_expect(&process, "bits_saved_mean_h264_again=", 0);
    struct json_object *report = read_json(scratch, "out", "report.json");
    struct json_object *saved = read_json(scratch, "out", "bits_saved.json");
    check_tuned(report, saved);
    json_object_put(report);
    json_object_put(saved);
    append(card, "# another card\n");
    eval_start_with(&process, scratch, "out", set);
    expect_status(&process, 0, "eval: arms=6 reused=3");
    process_expect(&process, "measured anew", 0);
    eval_start_with(&process, scratch, "out", "tuned=lost=/nowhere");
    expect_status(&process, 1, "tuned lost: ");
}

/* Another clip in place of the first, under its name: nothing may be taken over. */
static void results_on_other_pictures_are_not_taken_over(void **state)
{
    struct scratch *scratch = *state;
    struct process process;
    char pictures[600], folder[600];
    const char *clip = scratch_path(scratch, "clip.mp4");
    snprintf(pictures, sizeof pictures, "data.pictures=%s", clip);
    snprintf(folder, sizeof folder, "out=%s", scratch_path(scratch, "out"));
    for (unsigned frames = 8; frames <= 9; frames++) {
        clip_make(clip, frames, 160, 128);
        const char *const arguments[] = { program_path("cloud-server"),
                                          "eval",
                                          "-s",
                                          pictures,
                                          "-s",
                                          folder,
                                          "-s",
                                          "model=models/street_det",
                                          "-s",
                                          "sizes=full",
                                          "-s",
                                          "bitrates=100",
                                          NULL };
        process_start(&process, scratch, "eval", arguments);
        expect_status(&process, 0, frames == 8 ? "reused=0 frames=8" : "reused=0 frames=9");
        assert_true(process_said(&process, "measured anew") == (frames == 9));
        remove(clip);
    }
}

static void run_card(struct process *process, const struct scratch *scratch, const char *model,
                     const char *sizes)
{
    char pictures[600], out[600], of_model[600], of_sizes[64];
    snprintf(pictures, sizeof pictures, "data.pictures=%s", scratch_path(scratch, "clip.mp4"));
    snprintf(out, sizeof out, "out=%s", scratch_path(scratch, "out"));
    snprintf(of_model, sizeof of_model, "model=%s", model);
    snprintf(of_sizes, sizeof of_sizes, "sizes=%s", sizes);
    const char *const arguments[] = { program_path("cloud-server"),
                                      "eval",
                                      "-s",
                                      pictures,
                                      "-s",
                                      out,
                                      "-s",
                                      of_model,
                                      "-s",
                                      of_sizes,
                                      "-s",
                                      "bitrates=100",
                                      "-s",
                                      "restore=bicubic,card",
                                      "-s",
                                      "codecs=h264,h265",
                                      NULL };
    process_start(process, scratch, "eval", arguments);
}

/* An x2, which fits one of the sizes, and is measured with the first codec alone. */
static void the_networks_of_a_card_are_a_way(void **state)
{
    struct scratch *scratch = *state;
    struct process process;
    char network[512];
    const char *data = getenv("TEST_DATA");
    snprintf(network, sizeof network, "%s/models/fsrcnn_x2.onnx", data ? data : "../shared/data");
    if (access(network, R_OK) != 0) {
        fprintf(stderr, "SKIP REASON: the_networks_of_a_card_are_a_way: no %s\n", network);
        skip();
    }
    clip_make(scratch_path(scratch, "clip.mp4"), 8, 320, 256);
    model_copy(scratch, "model", network);
    run_card(&process, scratch, scratch_path(scratch, "model"), "1/2,1/4");
    expect_status(&process, 0, "eval: arms=5 reused=0 frames=8 baseline=bicubic");
    struct json_object *report = read_json(scratch, "out", "report.json");
    assert_true(number(find_arm(report, "h264-160x128-100-card"), "ms") > 0);
    json_object_put(report);

    run_card(&process, scratch, scratch_path(scratch, "model"), "1/4");
    expect_status(&process, 1, "restore card: fits none of the sizes");
    run_card(&process, scratch, "models/camvid_segment_tuned", "1/2");
    expect_status(&process, 1, "restore: card: models/camvid_segment_tuned/card.yaml names no networks");
}

/* Every step-th of eight pictures of CamVid, 1 Hz, as links in a folder of scratch; false: there are none. */
static bool link_stills(const struct scratch *scratch, const char *name, unsigned step)
{
    const char *data = getenv("TEST_DATA");
    assert_int_equal(mkdir(scratch_path(scratch, name), 0700), 0);
    for (unsigned number = 6690; number < 6690 + 8 * 30; number += step * 30) {
        char from[512], to[64], whole[PATH_MAX];
        snprintf(from, sizeof from, "%s/camvid/train/images/0001TP_%06u.jpg",
                 data ? data : "../shared/data", number);
        snprintf(to, sizeof to, "%s/0001TP_%06u.jpg", name, number);
        if (!realpath(from, whole)) {
            fprintf(stderr, "SKIP REASON: stills: no %s\n", from);
            return false;
        }
        assert_int_equal(symlink(whole, scratch_path(scratch, to)), 0);
    }
    return true;
}

/* pictures, out: names in scratch; the sets end with NULL. */
static void run_stills(struct process *process, const struct scratch *scratch, const char *pictures,
                       const char *out, const char *const *sets)
{
    char of_pictures[600], of_out[600];
    const char *arguments[32] = { program_path("cloud-server"),
                                  "eval",
                                  "-s",
                                  of_pictures,
                                  "-s",
                                  of_out,
                                  "-s",
                                  "model=models/street_det",
                                  "-s",
                                  "sizes=1/2",
                                  "-s",
                                  "bitrates=60",
                                  "-s",
                                  "restore=bicubic" };
    size_t count = 14;
    snprintf(of_pictures, sizeof of_pictures, "data.pictures=%s", scratch_path(scratch, pictures));
    snprintf(of_out, sizeof of_out, "out=%s", scratch_path(scratch, out));
    for (; *sets; sets++) {
        arguments[count++] = "-s";
        arguments[count++] = *sets;
    }
    process_start(process, scratch, "eval", arguments);
}

/* Of H.264, how far each restored picture is from its source. */
static size_t read_errors(const struct scratch *scratch, const char *out, uint64_t errors[8])
{
    struct json_object *arm = read_json(scratch, out, "arms/h264-240x180-60-bicubic.json");
    struct json_object *frames = get(arm, "frames");
    size_t count = json_object_array_length(frames);
    assert_true(count <= 8);
    for (size_t i = 0; i < count; i++)
        errors[i] =
            json_object_get_uint64(get(json_object_array_get_idx(frames, i), "squared_error"));
    json_object_put(arm);
    return count;
}

/* A still is damaged by its name and seed alone: among half of the pictures, or where half are scored, just as
 * among all. */
static void stills_are_sent_each_for_itself(void **state)
{
    static const char *const stills[] = { "stills=true", "codecs=h264,h265,av1", NULL };
    static const char *const every_other[] = { "stills=true", "score_every=2", NULL };
    static const char *const other_seed[] = { "stills=true", "seed=2", NULL };
    static const char *const video[] = { NULL };
    static const char *const codecs[] = { "h264", "h265", "av1" };
    struct scratch *scratch = *state;
    struct process process;
    uint64_t all[8] = { 0 }, half[8] = { 0 }, scored[8] = { 0 }, reseeded[8] = { 0 }, sent[8] = { 0 };
    if (!link_stills(scratch, "all", 1) || !link_stills(scratch, "half", 2))
        skip();
    run_stills(&process, scratch, "all", "out", stills);
    expect_status(&process, 0, "eval: arms=3 reused=0 frames=8");
    process_expect(&process, "all as stills: 8 frames", 0);
    struct json_object *report = read_json(scratch, "out", "report.json");
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s-240x180-60-bicubic", codecs[i]);
        double kbps = number(find_arm(report, name), "kbps");
        assert_true(kbps > 10 && kbps < 120); /* the packets at the ends of pans, 15 a second */
        assert_true(number(find_arm(report, name), "psnr_db") > 20);
    }
    json_object_put(report);
    assert_int_equal(read_errors(scratch, "out", all), 8);

    run_stills(&process, scratch, "half", "half-out", video);
    expect_status(&process, 0, "eval: arms=1 reused=0 frames=4");
    run_stills(&process, scratch, "half", "half-out", stills);
    expect_status(&process, 0, "eval: arms=3 reused=0 frames=4");
    process_expect(&process, "measured anew", 0);
    assert_int_equal(read_errors(scratch, "half-out", half), 4);
    run_stills(&process, scratch, "all", "scored", every_other);
    expect_status(&process, 0, "eval: arms=1 reused=0 frames=4");
    assert_int_equal(read_errors(scratch, "scored", scored), 4);
    run_stills(&process, scratch, "all", "out", other_seed);
    expect_status(&process, 0, "eval: arms=1 reused=0 frames=8");
    assert_int_equal(read_errors(scratch, "out", reseeded), 8);
    run_stills(&process, scratch, "all", "sent", video);
    expect_status(&process, 0, "eval: arms=1 reused=0 frames=8");
    assert_int_equal(read_errors(scratch, "sent", sent), 8);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(half[i], all[2 * i]);
        assert_int_equal(scored[i], all[2 * i]);
    }
    assert_memory_not_equal(reseeded, all, sizeof all);
    assert_memory_not_equal(sent, all, sizeof all);
}

static void run_file(struct process *process, const struct scratch *scratch, const char *yaml)
{
    const char *path = scratch_path(scratch, "eval.yaml");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(yaml, file) >= 0);
    assert_int_equal(fclose(file), 0);
    const char *const arguments[] = { program_path("cloud-server"), "eval", "-c", path, NULL };
    process_start(process, scratch, "eval", arguments);
}

static void all_mistakes_are_named_with_their_lines(void **state)
{
    struct scratch *scratch = *state;
    struct process process;
    run_file(&process, scratch,
             "data: {pictures: clip.mp4}\n"
             "model: models/street_det\n"
             "sizes: [full, 0x240]\n"
             "bitrates: [100, many]\n"
             "codecs: [h246]\n"
             "restore: [bicubik, net=]\n"
             "baseline: none\n");
    expect_status(&process, 1, "eval.yaml:3: sizes.1: \"0x240\"");
    process_expect(&process, "eval.yaml:4: bitrates.1: \"many\"", 0);
    process_expect(&process, "eval.yaml:5: codecs.0: \"h246\"", 0);
    process_expect(&process, "did you mean \"h264\"?", 0);
    process_expect(&process, "eval.yaml:6: restore.0: \"bicubik\"", 0);
    process_expect(&process, "eval.yaml:6: restore.1: has no file", 0);
    process_expect(&process, "eval.yaml:7: baseline: \"none\"", 0);
}

static void what_cannot_be_opened_is_named(void **state)
{
    struct scratch *scratch = *state;
    struct process process;
    char yaml[1200];
    FILE *file = fopen(scratch_path(scratch, "file"), "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    snprintf(yaml, sizeof yaml,
             "data: {pictures: absent.mp4}\nmodel: models/street_det\nout: %s/file/results\n",
             scratch->folder);
    run_file(&process, scratch, yaml);
    expect_status(&process, 1, "out: ");
    process_expect(&process, "/file", 0);

    snprintf(yaml, sizeof yaml,
             "data: {pictures: absent.mp4}\nmodel: models/street_det\nout: %s/results\n",
             scratch->folder);
    run_file(&process, scratch, yaml);
    expect_status(&process, 1, "data.pictures: absent.mp4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finished_arms_are_kept_whatever_happens, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(an_interrupted_run_says_how_it_goes_on, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(a_folder_is_for_one_run_at_a_time, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(many_lines_become_the_best_of_all_sizes, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(a_further_model_has_arms_of_its_own, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(results_on_other_pictures_are_not_taken_over, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(the_networks_of_a_card_are_a_way, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(stills_are_sent_each_for_itself, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(all_mistakes_are_named_with_their_lines, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_opened_is_named, scratch_setup,
                                        scratch_teardown),
    };
    return cmocka_run_group_tests_name("eval", tests, NULL, NULL);
}
