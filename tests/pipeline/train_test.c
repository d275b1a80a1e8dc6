/* Trainings by the real program on a few of CamVid's pictures, small: one that is killed at any moment and
 * goes on ends with the weights, to the bit, of one that nobody disturbed; signals end it with a
 * checkpoint; a loss that is no number and a disk without room end it in words and leave what was good;
 * and what comes out is a model that can serve. */
#include "harness.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define PATH_BYTES 512u
#define WAIT_MS 60000u
#define STEPS "60"
#define KILLS 5u
#define PICTURES 6u

static const char *const names[PICTURES] = { "0001TP_006690", "0001TP_006720", "0001TP_006750",
                                             "0016E5_00390",  "0016E5_00420",  "0016E5_00450" };

static bool have_data(const char *base)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/camvid/train/images/%s.jpg", base, names[0]);
    return access(path, R_OK) == 0;
}

/* Two small folders that point to the pictures and labels, and train.yaml beside them. */
static void make_set(const struct scratch *scratch)
{
    const char *base = getenv("TEST_DATA");
    char real[PATH_BYTES], target[2 * PATH_BYTES];
    base = base ? base : "../shared/data";
    if (!have_data(base)) {
        print_message("skipped: camvid is not there (TEST_DATA)\n");
        skip();
    }
    assert_non_null(realpath(base, real));
    static const char *const kinds[] = { "images", "labels" }, *const endings[] = { "jpg", "png" };
    for (size_t k = 0; k < 2; k++) {
        assert_int_equal(mkdir(scratch_path(scratch, kinds[k]), 0700), 0);
        for (size_t i = 0; i < PICTURES; i++) {
            char name[PATH_BYTES];
            snprintf(target, sizeof target, "%s/camvid/train/%s/%s.%s", real, kinds[k], names[i],
                     endings[k]);
            snprintf(name, sizeof name, "%s/%s.%s", kinds[k], names[i], endings[k]);
            assert_int_equal(symlink(target, scratch_path(scratch, name)), 0);
        }
    }
    FILE *file = fopen(scratch_path(scratch, "train.yaml"), "w");
    assert_non_null(file);
    fprintf(file,
            "data: {pictures: %s/images, labels: %s/labels, ignore: void,\n"
            "       classes: %s/camvid/classes.txt}\n"
            "held_back: 0.34\n"
            "size: small\nwidth: 96\nheight: 72\ncrop_width: 64\ncrop_height: 48\nbatch: 2\n"
            "steps: " STEPS "\nthreads: 1\ncheckpoint_steps: 3\nmodel: {name: tiny}\n",
            scratch->folder, scratch->folder, real);
    fclose(file);
}

/* more: lines that go to the end of train.yaml. */
static void say_more(const struct scratch *scratch, const char *more)
{
    FILE *file = fopen(scratch_path(scratch, "train.yaml"), "a");
    assert_non_null(file);
    fputs(more, file);
    fclose(file);
}

static void start(struct process *process, const struct scratch *scratch, const char *out,
                  const char *set)
{
    char folder[PATH_BYTES];
    snprintf(folder, sizeof folder, "out=%s", scratch_path(scratch, out));
    const char *const arguments[] = { program_path("cloud-server"),
                                      "train",
                                      "-c",
                                      scratch_path(scratch, "train.yaml"),
                                      "-s",
                                      folder,
                                      set ? "-s" : NULL,
                                      set,
                                      NULL };
    process_start(process, scratch, "train", arguments);
}

static void start_on_gpu(struct process *process, const struct scratch *scratch, const char *program)
{
    char folder[PATH_BYTES];
    snprintf(folder, sizeof folder, "out=%s", scratch_path(scratch, "gpu"));
    const char *const arguments[] = {
        program, "train",     "-c", scratch_path(scratch, "train.yaml"),
        "-s",    folder,      "-s", "device=cuda",
        "-s",    "threads=0", NULL
    };
    process_start(process, scratch, "train", arguments);
}

/* Runs to the end, which comes with this status; the text is in its log. */
static void run(const struct scratch *scratch, const char *out, const char *set, int status,
                const char *text)
{
    struct process process;
    start(&process, scratch, out, set);
    int ended = process_wait(&process, WAIT_MS);
    process_expect(&process, text, 0);
    assert_int_equal(ended, status);
}

static const char *checkpoint(const char *out, unsigned step)
{
    static char names_of[8][PATH_BYTES];
    static unsigned used;
    char *name = names_of[used++ % 8];
    snprintf(name, PATH_BYTES, "%s/checkpoint-%012u.state", out, step);
    return name;
}

static bool exists(const struct scratch *scratch, const char *name)
{
    return access(scratch_path(scratch, name), F_OK) == 0;
}

static char *read_whole(const struct scratch *scratch, const char *name, size_t *size)
{
    FILE *file = fopen(scratch_path(scratch, name), "rb");
    if (!file)
        fail_msg("%s is not there", name);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

static void expect_equal_files(const struct scratch *scratch, const char *one, const char *other)
{
    size_t sizes[2];
    char *a = read_whole(scratch, one, &sizes[0]), *b = read_whole(scratch, other, &sizes[1]);
    assert_true(sizes[0] > 0);
    assert_int_equal(sizes[0], sizes[1]);
    if (memcmp(a, b, sizes[0]) != 0)
        fail_msg("%s and %s differ", one, other);
    free(a);
    free(b);
}

/* Old checkpoints go away: any from the step on will do. */
static bool reached(const struct scratch *scratch, const char *out, unsigned step)
{
    for (; step <= 60; step += 3)
        if (exists(scratch, checkpoint(out, step)))
            return true;
    return false;
}

/* Waits until a step has its checkpoint, then a little that is different each time, and kills. */
static void kill_behind(struct process *process, const struct scratch *scratch, const char *out,
                        unsigned step)
{
    for (unsigned waited = 0; waited < WAIT_MS && !reached(scratch, out, step); waited++)
        usleep(1000);
    usleep((useconds_t)(rand() % 60000));
    process_signal(process, SIGKILL);
    process_wait(process, WAIT_MS);
}

static void killed_and_resumed_is_as_never_disturbed(void **state)
{
    const struct scratch *scratch = *state;
    unsigned seed = (unsigned)getpid(), killed = 0;
    make_set(scratch);
    srand(seed);
    print_message("seed %u\n", seed);
    run(scratch, "straight", NULL, 0, "model: done");
    for (unsigned i = 0; i < KILLS; i++) {
        struct process process;
        start(&process, scratch, "broken", i % 2 ? "loaders=2" : "cache_mib=0");
        kill_behind(&process, scratch, "broken", 9 * i + 3);
        killed += !exists(scratch, checkpoint("broken", 60));
    }
    assert_true(killed >= 2); /* it would prove nothing if it had been through at once */
    run(scratch, "broken", NULL, 0, "model: done");
    expect_equal_files(scratch, checkpoint("straight", 60), checkpoint("broken", 60));
    expect_equal_files(scratch, "straight/model/tiny.onnx", "broken/model/tiny.onnx");
    expect_equal_files(scratch, "straight/history.csv", "broken/history.csv");
    /* Another seed gives other weights, or nothing was proved. */
    size_t size;
    run(scratch, "other", "seed=2", 0, "model: done");
    char *a = read_whole(scratch, "straight/model/tiny.onnx", &size);
    char *b = read_whole(scratch, "other/model/tiny.onnx", &size);
    assert_memory_not_equal(a, b, size);
    free(a);
    free(b);
}

/* What it has learnt lies in the device's memory, and goes into checkpoints and comes back from them. The
 * stand-in computes as one thread of the processor does. */
static void a_gpu_learns_and_goes_on(void **state)
{
    const struct scratch *scratch = *state;
    struct process process;
    make_set(scratch);
    run(scratch, "straight", NULL, 0, "model: done");
    const char *program = gpu_program(scratch);
    start_on_gpu(&process, scratch, program);
    kill_behind(&process, scratch, "gpu", 9);
    assert_false(exists(scratch, checkpoint("gpu", 60)));
    start_on_gpu(&process, scratch, program);
    assert_int_equal(process_wait(&process, WAIT_MS), 0);
    expect_equal_files(scratch, "straight/model/tiny.onnx", "gpu/model/tiny.onnx");
    expect_equal_files(scratch, "straight/history.csv", "gpu/history.csv");
}

static const char *pictures_of(const struct scratch *scratch)
{
    static char data[PATH_BYTES];
    snprintf(data, sizeof data, "{pictures: %s/images}", scratch->folder);
    return data;
}

/* The set's train.yaml, with a restorer in place of a segmenter. */
static void restore_instead(const struct scratch *scratch, const char *data)
{
    FILE *file = fopen(scratch_path(scratch, "train.yaml"), "w");
    assert_non_null(file);
    fprintf(file,
            "task: superres\n"
            "data: %s\n"
            "held_back: 0.34\n"
            "damage: {factors: [2], bitrate_min_kbps: 40, bitrate_max_kbps: 160}\n"
            "size: small\nwidth: 192\nheight: 144\ncrop_width: 64\ncrop_height: 48\nbatch: 4\n"
            "crops: 4\nsteps: " STEPS "\nthreads: 1\ncheckpoint_steps: 3\n"
            "rate: [{k1: 0.002}]\nmodel: {name: tiny}\n",
            data);
    fclose(file);
}

/* Of the first and the last row. */
static void read_accuracies(const struct scratch *scratch, const char *out, double accuracies[2])
{
    char name[PATH_BYTES];
    size_t size;
    snprintf(name, sizeof name, "%s/history.csv", out);
    char *text = read_whole(scratch, name, &size);
    text[size] = '\0';
    text[size - 1] = '\0'; /* the last line's end */
    char *first = strchr(text, '\n') + 1;
    accuracies[1] = strtod(strrchr(text, ',') + 1, NULL);
    *strchr(first, '\n') = '\0';
    accuracies[0] = strtod(strrchr(first, ',') + 1, NULL);
    free(text);
}

/* Killed on its way and run again, it ends with the weights of one that was left alone. */
static void expect_to_go_on_alike(const struct scratch *scratch)
{
    struct process process;
    run(scratch, "straight", NULL, 0, "model: done");
    start(&process, scratch, "broken", "loaders=2");
    kill_behind(&process, scratch, "broken", 6);
    assert_false(exists(scratch, checkpoint("broken", 60))); /* or it would prove nothing */
    run(scratch, "broken", NULL, 0, "model: done");
    expect_equal_files(scratch, checkpoint("straight", 60), checkpoint("broken", 60));
    expect_equal_files(scratch, "straight/model/tiny.onnx", "broken/model/tiny.onnx");
}

static void a_restorer_learns_and_goes_on(void **state)
{
    const struct scratch *scratch = *state;
    struct process process;
    double accuracies[2];
    make_set(scratch);
    restore_instead(scratch, pictures_of(scratch));
    expect_to_go_on_alike(scratch);
    read_accuracies(scratch, "straight", accuracies);
    print_message("from %.2f dB, bicubic, to %.2f dB\n", accuracies[0], accuracies[1]);
    assert_true(accuracies[0] > 20 && accuracies[1] > accuracies[0]);
    /* The size is open. */
    const char *const arguments[] = { program_path("cloud-server"),
                                      "model",
                                      "show",
                                      scratch_path(scratch, "straight/model/tiny.onnx"),
                                      "--shape",
                                      "1x3x30x50",
                                      "--runs",
                                      "1",
                                      NULL };
    process_start(&process, scratch, "show", arguments);
    assert_int_equal(process_wait(&process, WAIT_MS), 0);
    process_expect(&process, "1x3x60x100", 0);
}

/* Behind a restorer stands the segmenter that was trained before, by its labels and by its distance from
 * what it says of the source; then a training that begins with what another one learnt. */
static void expect_other_files(const struct scratch *scratch, const char *one, const char *other)
{
    size_t size;
    char *a = read_whole(scratch, one, &size), *b = read_whole(scratch, other, &size);
    assert_memory_not_equal(a, b, size);
    free(a);
    free(b);
}

static void restoring_for_a_frozen_network(void **state)
{
    const struct scratch *scratch = *state;
    char more[2 * PATH_BYTES], begin[PATH_BYTES];
    const char *base = getenv("TEST_DATA");
    double accuracies[2];
    make_set(scratch);
    run(scratch, "segmenter", NULL, 0, "model: done");
    restore_instead(scratch, pictures_of(scratch));
    snprintf(more, sizeof more, "analytics: {model: %s, loss: l2, share: 30}\n",
             scratch_path(scratch, "segmenter/model"));
    say_more(scratch, more);
    run(scratch, "distant", NULL, 0, "model: done");
    read_accuracies(scratch, "distant", accuracies);
    print_message("distance from %.4f to %.4f\n", accuracies[0], accuracies[1]);
    assert_true(accuracies[0] > 0 && accuracies[1] < accuracies[0]);

    snprintf(begin, sizeof begin, "start=%s", scratch_path(scratch, "distant"));
    run(scratch, "further", begin, 0, "model: done");
    read_accuracies(scratch, "further", accuracies);
    double first = accuracies[0];
    read_accuracies(scratch, "distant", accuracies);
    assert_true(first > accuracies[1] - 0.0002 && first < accuracies[1] + 0.0002);
    run(scratch, "no", "start=/tmp", 1, "start: /tmp: has no checkpoint");
    run(scratch, "no", "start_share=0.5", 1, "start_share: is of start, which is empty");
    snprintf(more, sizeof more, "start: %s\nstart_share: 1\n", scratch_path(scratch, "distant"));
    say_more(scratch, more);
    run(scratch, "nothing", NULL, 0, "model: done");
    expect_equal_files(scratch, "distant/model/tiny.onnx", "nothing/model/tiny.onnx");
    run(scratch, "half", "start_share=0.5", 0, "model: done");
    expect_other_files(scratch, "distant/model/tiny.onnx", "half/model/tiny.onnx");

    snprintf(
        more, sizeof more,
        "{pictures: %s/images, labels: %s/labels, ignore: void, classes: %s/camvid/classes.txt}",
        scratch->folder, scratch->folder, base ? base : "../shared/data");
    restore_instead(scratch, more);
    snprintf(more, sizeof more, "analytics: {model: %s, loss: labels, share: 0.1}\nweights: tail\n",
             scratch_path(scratch, "segmenter/model"));
    say_more(scratch, more);
    expect_to_go_on_alike(scratch);
    read_accuracies(scratch, "straight", accuracies);
    assert_true(accuracies[1] > 0 && accuracies[1] < 1); /* mean IoU */
    run(scratch, "plain", "weights=plain", 0, "model: done");
    expect_other_files(scratch, "straight/model/tiny.onnx", "plain/model/tiny.onnx");
}

/* A segmenter learns from received pictures, from a finished model on; both accuracies are measured, and what
 * was killed ends as what was not. */
static void a_finished_model_is_tuned_to_damage(void **state)
{
    const struct scratch *scratch = *state;
    char more[2 * PATH_BYTES];
    size_t size;
    make_set(scratch);
    run(scratch, "first", NULL, 0, "model: done");
    snprintf(more, sizeof more,
             "start: %s\ndamage: {factors: [1, 2], bitrate_min_kbps: 20, bitrate_max_kbps: 80}\n",
             scratch_path(scratch, "first/model"));
    say_more(scratch, more);
    expect_to_go_on_alike(scratch);
    char *history = read_whole(scratch, "straight/history.csv", &size);
    history[size] = '\0';
    assert_non_null(strstr(history, "miou,miou_received\n"));
    const char *last = history + size - 1;
    double accuracies[2];
    for (unsigned commas = 0; commas < 2; commas += *last == ',')
        last--;
    assert_int_equal(sscanf(last, ",%lf,%lf", &accuracies[0], &accuracies[1]), 2);
    print_message("mean IoU %.3f of the source, %.3f of what is received\n", accuracies[0],
                  accuracies[1]);
    for (unsigned i = 0; i < 2; i++)
        assert_true(accuracies[i] > 0 && accuracies[i] < 1);
    free(history);
    /* At a rate of nothing it stays the model that it was; averages would round. */
    say_more(scratch, "optimiser: {average: 0}\n");
    run(scratch, "still", "rate.0.k1=0", 0, "model: done");
    expect_equal_files(scratch, "first/model/tiny.onnx", "still/model/tiny.onnx");
    run(scratch, "other", "size=medium", 1, "is no model of this task and size: its down");
}

static void expect_said(const struct scratch *scratch, const char *name, const char *words)
{
    size_t size;
    char *text = read_whole(scratch, name, &size);
    text[size] = '\0';
    if (!strstr(text, words))
        fail_msg("%s does not say \"%s\": %s", name, words, text);
    free(text);
}

/* Pictures and a video of another shape together, without labels: the network that is restored for answers in
 * their place, killed in between or not. Then a segmenter that learns from another one's answers. */
static void sets_without_labels_are_learnt_from_together(void **state)
{
    const struct scratch *scratch = *state;
    char more[3 * PATH_BYTES], golden[2 * PATH_BYTES];
    const char *base = getenv("TEST_DATA");
    make_set(scratch);
    run(scratch, "segmenter", NULL, 0, "model: done");
    snprintf(golden, sizeof golden, "golden=%s", scratch_path(scratch, "segmenter/model"));
    restore_instead(scratch, pictures_of(scratch));
    snprintf(more, sizeof more,
             "more: [{pictures: %s/clips/bikes.mp4, every: 50}]\n"
             "analytics: {model: %s, loss: labels, share: 0.1}\n",
             base ? base : "../shared/data", scratch_path(scratch, "segmenter/model"));
    say_more(scratch, more);
    expect_to_go_on_alike(scratch);
    expect_said(scratch, "straight/model/CARD.md", "trained on 8 pictures of ");
    expect_said(scratch, "straight/model/CARD.md",
                " and 1 more set (labels of 8 of them: answers of the golden model tiny)");
    expect_said(scratch, "straight/model/CARD.md", "    every: 50\n");
    run(scratch, "no", "cache_mib=1", 1, "cache_mib: too little for the");

    FILE *file = fopen(scratch_path(scratch, "train.yaml"), "w");
    assert_non_null(file);
    fprintf(
        file,
        "data: {pictures: %s/images}\nheld_back: 0.34\nsize: small\nwidth: 96\nheight: 72\n"
        "crop_width: 64\ncrop_height: 48\nbatch: 2\nsteps: 6\nthreads: 1\nmodel: {name: pupil}\n",
        scratch->folder);
    fclose(file);
    run(scratch, "pupil", NULL, 1, "data.labels: is required");
    run(scratch, "pupil", golden, 0, "model: done");
    expect_said(scratch, "pupil/model/card.yaml",
                "(labels of 4 of them: answers of the golden model tiny)");
    expect_said(scratch, "pupil/model/card.yaml", "bicyclist");
}

static void a_trained_model_can_serve(void **state)
{
    const struct scratch *scratch = *state;
    struct process process;
    char sample[PATH_BYTES];
    make_set(scratch);
    snprintf(sample, sizeof sample, "model.sample=%s/images/%s.jpg", scratch->folder, names[4]);
    run(scratch, "out", sample, 0, "out/model: done");
    const char *const arguments[] = { program_path("cloud-server"), "model", "check",
                                      scratch_path(scratch, "out/model"), NULL };
    process_start(&process, scratch, "check", arguments);
    assert_int_equal(process_wait(&process, WAIT_MS), 0);
    process_expect(&process, "tiny can serve", 0);
    assert_true(exists(scratch, "out/model/sample.jpg"));
    assert_true(exists(scratch, "out/model/CARD.md"));
    assert_true(exists(scratch, "out/history.svg"));
}

static void a_signal_ends_with_a_checkpoint(void **state)
{
    const struct scratch *scratch = *state;
    struct process process;
    make_set(scratch);
    start(&process, scratch, "out", "steps=100000");
    for (unsigned waited = 0; waited < WAIT_MS && !exists(scratch, checkpoint("out", 3)); waited++)
        usleep(1000);
    process_signal(&process, SIGTERM);
    assert_int_equal(process_wait(&process, WAIT_MS), 0);
    process_expect(&process, "stopped; the same command goes on", 0);
    /* Not by another recipe. */
    run(scratch, "out", NULL, 1, "has checkpoints of another training");
}

/* Two at once would take each other's checkpoints away. */
static void a_folder_is_for_one_training_at_a_time(void **state)
{
    const struct scratch *scratch = *state;
    struct process first;
    char told[PATH_BYTES];
    make_set(scratch);
    snprintf(told, sizeof told, "out: %s: another process is at work", scratch_path(scratch, "out"));
    start(&first, scratch, "out", "steps=100000");
    for (unsigned waited = 0; waited < WAIT_MS && !exists(scratch, checkpoint("out", 3)); waited++)
        usleep(1000);
    process_signal(&first, SIGSTOP);
    run(scratch, "out", "steps=100000", 1, told);
    process_signal(&first, SIGKILL);
    process_wait(&first, WAIT_MS);
    run(scratch, "out", NULL, 1, "has checkpoints of another training"); /* so it is open again */
}

static void a_loss_that_is_no_number_is_told(void **state)
{
    const struct scratch *scratch = *state;
    make_set(scratch);
    say_more(scratch, "optimiser: {kind: sgd, clip: 0, weight_decay: 1}\n"
                      "rate:\n"
                      "  - {policy: fix, k0: 0.001, until: 9}\n"
                      "  - {policy: fix, k0: 100}\n");
    run(scratch, "out", NULL, 1, "lower the rate; the last good checkpoint in");
    assert_true(exists(scratch, checkpoint("out", 9)));
    assert_false(exists(scratch, checkpoint("out", 60)));
    assert_false(exists(scratch, "out/model"));
}

/* A limit on the size of files stands for a disk that is full. */
static void a_full_disk_is_told(void **state)
{
    const struct scratch *scratch = *state;
    struct rlimit before, little;
    struct process process;
    make_set(scratch);
    run(scratch, "out", "cache_mib=1", 0, "model: done");
    assert_int_equal(unlink(scratch_path(scratch, checkpoint("out", 60))), 0);
    size_t size, after;
    char *kept = read_whole(scratch, checkpoint("out", 57), &size);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    little = before;
    little.rlim_cur = 1u << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    start(&process, scratch, "out", NULL);
    int ended = process_wait(&process, WAIT_MS);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    process_expect(&process, "checkpoint-000000000060.state: cannot write", 0);
    assert_int_equal(ended, 1);
    char *still = read_whole(scratch, checkpoint("out", 57), &after);
    assert_int_equal(size, after);
    assert_memory_equal(kept, still, size);
    free(kept);
    free(still);
    run(scratch, "out", NULL, 0, "model: done");
}

static void damaged_checkpoints_are_passed_over(void **state)
{
    const struct scratch *scratch = *state;
    make_set(scratch);
    run(scratch, "out", NULL, 0, "model: done");
    size_t size;
    char *bytes = read_whole(scratch, checkpoint("out", 60), &size);
    assert_int_equal(truncate(scratch_path(scratch, checkpoint("out", 60)), (off_t)size / 2), 0);
    run(scratch, "out", NULL, 0, "a checkpoint is passed over");
    size_t after;
    char *again = read_whole(scratch, checkpoint("out", 60), &after);
    assert_int_equal(size, after);
    assert_memory_equal(bytes, again, size);
    free(bytes);
    free(again);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        TEST(killed_and_resumed_is_as_never_disturbed),
        TEST(a_gpu_learns_and_goes_on),
        TEST(a_restorer_learns_and_goes_on),
        TEST(restoring_for_a_frozen_network),
        TEST(a_finished_model_is_tuned_to_damage),
        TEST(sets_without_labels_are_learnt_from_together),
        TEST(a_trained_model_can_serve),
        TEST(a_signal_ends_with_a_checkpoint),
        TEST(a_folder_is_for_one_training_at_a_time),
        TEST(a_loss_that_is_no_number_is_told),
        TEST(a_full_disk_is_told),
        TEST(damaged_checkpoints_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
