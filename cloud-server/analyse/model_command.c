/* model_command: `cloud-server model`, for people who bring a model: is it right, what is it, what
 * does it find, how fast is it. */
#include "analyse/bench_report.h"
#include "analyse/head.h"
#include "analyse/model.h"
#include "analyse/model_file.h"
#include "analyse/model_networks.h"
#include "analyse/restore_try.h"
#include "base/clock.h"
#include "media/record.h"
#include "media/scale.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define RUNS_DEFAULT 100u
#define SHOW_RUNS_DEFAULT 20u
#define SHOW_RUNS_MAX 1000u
#define RUNS_MAX 1000000u
#define THREADS_MAX 1024u
#define WARM_UP_RUNS 3u

const char model_command_more[] =
    "PATH is a model folder, or an ONNX file without a card.\n"
    "\n"
    "check    compares card, graph and sample picture, and tries the networks that restore for "
    "the\n"
    "         model; a model that fails does not serve\n"
    "show     prints the card, the networks that restore, and the plan, step by step: what each\n"
    "         computes (FLOP) and moves (bytes), its time, the median of --runs runs, and what "
    "share\n"
    "         that is \"of peak\": of what the processor reaches, measured in the same minute, in\n"
    "         arithmetic (flop) or in a copy of as many bytes (bytes), whichever the step needs "
    "longer\n"
    "         for. A low share of a long step is where time can be won. Of a file that leaves sizes\n"
    "         open: its inputs and outputs, with the names of these sizes\n"
    "run      of a folder: prints what the model finds in the picture INPUT (the sample when none is\n"
    "         given), as JSON. Of a file: reads its inputs from NumPy files, INPUT being FILE.npy, in\n"
    "         order, or NAME=FILE.npy, and writes each output to OUTPUT.npy in the folder --output\n"
    "bench    times --runs runs on the sample picture; with --restore on a smaller one, which a\n"
    "         network restores to the size of --camera first: what each frame of such a stream "
    "costs.\n"
    "         Of a file: on inputs that are made up, or given as for run; median, p10 and p90,\n"
    "         pictures and GFLOP per second, the share of what the processor reaches, and memory\n"
    "\n"
    "  cloud-server model check models/street_det\n"
    "  cloud-server model show models/street_det --threads 1\n"
    "  cloud-server model show network.onnx --shape 1x3x224x224 --precision bf16\n"
    "  cloud-server model show network.onnx --size height=384 --size width=512\n"
    "  cloud-server model run models/street_det yard.jpg\n"
    "  cloud-server model run network.onnx images=images.npy --output out\n"
    "  cloud-server model bench models/street_det --runs 200 --threads 2\n"
    "  cloud-server model bench models/street_det --device cuda --precision f16\n"
    "  cloud-server model bench models/street_det --restore x2.onnx --camera 768x432\n"
    "  cloud-server model bench network.onnx --size batch=8 --threads 2 --json\n";

const struct cli_flag model_command_flags[] = {
    { .name = "runs", .value = "N", .help = "bench: how often (100); show: for each step's time (20)" },
    { .name = "device", .value = "DEVICE", .help = "what computes: cpu (the default), cuda, cuda:1" },
    { .name = "threads", .value = "N", .help = "processors to use (all); for the cpu" },
    { .name = "precision",
      .value = "f32|bf16|bf16x3|tf32|f16|int8",
      .help = "arithmetic (the card's, where the device has it; f32 for a file; int8 is for "
              "quantised files)" },
    { .name = "shape",
      .value = "[NAME=]SHAPE",
      .repeats = true,
      .help = "of a file's input: 1x3x224x224, in order, or images=1x3x224x224" },
    { .name = "size",
      .value = "NAME=N",
      .repeats = true,
      .help = "of a file's dimension that has a name: height=384" },
    { .name = "batch", .value = "N", .help = "bench FILE: pictures in each run (1)" },
    { .name = "json", .help = "bench FILE: one JSON object in place of the table" },
    { .name = "output", .value = "FOLDER", .help = "run FILE: where outputs go (the present folder)" },
    { .name = "restore",
      .value = "FILE",
      .help = "bench: a network (ONNX) that restores pictures in front of the model" },
    { .name = "camera", .value = "WIDTHxHEIGHT", .help = "bench: to this size; goes with --restore" },
    { 0 },
};

/* What all verbs work on. */
struct session {
    const char *folder, *picture_path; /* picture_path: NULL for the sample */
    const char *spec;                  /* of the device; NULL: the processors */
    const char *threads, *precision, *runs_text;
    const char *restore, *camera; /* a file and a size, both or none */
    struct model_words words; /* for a file */
    const char *batch, *output;
    bool json, int8;
    uint32_t runs;
    struct device *device;
    struct model *model;
    struct picture *picture;
    struct analysis *analysis;
    uint32_t received_width, received_height; /* of pictures to restore */
};

static int verb_check(struct session *session, struct error *err);
static int verb_show(struct session *session, struct error *err);
static int verb_run(struct session *session, struct error *err);
static int verb_bench(struct session *session, struct error *err);

static const struct verb {
    const char *word;
    int (*run)(struct session *session, struct error *err);
} verbs[] = {
    { "check", verb_check },
    { "show", verb_show },
    { "run", verb_run },
    { "bench", verb_bench },
};

static bool takes_arguments(const struct verb *verb, const char *const *arguments, size_t count);
static int with_file(struct session *session, uint32_t runs_fallback, uint32_t runs_max,
                     int (*verb)(const struct model_file_request *request, struct error *err),
                     struct error *err);
static int for_folder(const struct session *session, struct error *err);
static bool is_file(const char *path);
static int read_runs(struct session *session, uint32_t fallback, uint32_t max, struct error *err);
static int session_open(struct session *session, struct error *err);
static int session_open_device(struct session *session, enum precision *precision, struct error *err);
static int session_open_restored(struct session *session, const enum precision *precision,
                                 struct error *err);
static int read_camera(const char *text, struct restore_config *config, struct error *err);
static int session_load_picture(struct session *session, struct error *err);
static int session_shrink_picture(struct session *session, struct error *err);
static void session_close(struct session *session);
static int read_number(const char *text, const char *flag, uint32_t max, uint32_t *number,
                       struct error *err);

int model_command(const struct cli_values *values)
{
    size_t count;
    const char *const *arguments = cli_arguments(values, &count);
    const struct verb *verb = NULL;
    for (size_t i = 0; count > 0 && i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(arguments[0], verbs[i].word) == 0)
            verb = &verbs[i];
    if (!verb || !takes_arguments(verb, arguments, count)) {
        fprintf(stderr, "cloud-server model: the arguments are %s\n", MODEL_COMMAND_ARGUMENTS);
        return 2;
    }
    struct session session = { .folder = arguments[1],
                               .picture_path = count > 2 ? arguments[2] : NULL,
                               .words = { .files = arguments + 2, .file_count = count - 2 },
                               .spec = cli_flag(values, "device"),
                               .threads = cli_flag(values, "threads"),
                               .precision = cli_flag(values, "precision"),
                               .runs_text = cli_flag(values, "runs"),
                               .restore = cli_flag(values, "restore"),
                               .camera = cli_flag(values, "camera"),
                               .batch = cli_flag(values, "batch"),
                               .output = cli_flag(values, "output"),
                               .json = cli_flag(values, "json") != NULL };
    if ((session.restore || session.camera) &&
        !(session.restore && session.camera && verb->run == verb_bench)) {
        fprintf(stderr, "cloud-server model: --restore and --camera go together, with bench\n");
        return 2;
    }
    session.words.shapes = cli_flag_all(values, "shape", &session.words.shape_count);
    session.words.sizes = cli_flag_all(values, "size", &session.words.size_count);
    struct error err = { 0 };
    int result = verb->run(&session, &err);
    session_close(&session);
    if (result == 0 && fflush(stdout) != 0)
        result = error_set_errno(&err, errno, "standard output", "cannot write");
    if (result < 0)
        fprintf(stderr, "cloud-server model %s: %s\n", verb->word, err.text);
    return result < 0 ? 1 : 0;
}

/* A picture for a folder, tensors for a file. */
static bool takes_arguments(const struct verb *verb, const char *const *arguments, size_t count)
{
    if (count < 3)
        return count == 2;
    return is_file(arguments[1]) ? verb->run != verb_check : verb->run == verb_run && count == 3;
}

/* Mistakes in the card are listed one a line, all of them. */
static int check_card(const char *folder, struct error *err)
{
    struct card *card = NULL;
    int result = card_read(&card, folder, err);
    if (!card)
        return result;
    size_t count = config_problem_count(card->config);
    for (size_t i = 0; i < count; i++)
        printf("FAIL  card    %s\n", config_problem(card->config, i));
    if (result == 0)
        printf("ok    card    %s: %zu classes, input %ux%u, head %s\n", card->name,
               card->classes.count, card->input.width, card->input.height,
               head_words[card->head.kind]);
    card_free(&card);
    if (count > 1)
        return error_set(err, ERROR_CONFIG, folder, "%zu mistakes in the card", count);
    return result;
}

static void print_tensor(const char *role, const char *name, const struct tensor *tensor)
{
    char shape[64];
    shape_format(&tensor->shape, shape, sizeof shape);
    printf("%s %s %s %s\n", role, name, tensor_type_word(tensor->type), shape);
}

static int verb_check(struct session *session, struct error *err)
{
    int result = check_card(session->folder, err);
    if (result < 0)
        return result;
    result = session_open(session, err);
    if (result < 0) {
        printf("FAIL  graph   %s\n", err->text);
        return result;
    }
    struct plan *plan = model_plan(session->model);
    struct device_info info;
    uint64_t activation_bytes, weight_bytes;
    for (size_t i = 0; i < plan_input_count(plan); i++)
        print_tensor("ok    graph   input", plan_input_name(plan, i), plan_input(plan, i));
    for (size_t i = 0; i < plan_output_count(plan); i++)
        print_tensor("ok    graph   output", plan_output_name(plan, i), plan_output(plan, i));
    device_get_info(session->device, &info);
    plan_memory(plan, &activation_bytes, &weight_bytes);
    printf("ok    plan    %s, %s, %u threads, %s: %.2f GFLOP, weights %.1f MiB, activations %.1f "
           "MiB\n",
           info.kind, info.name, info.threads, precision_word(model_precision(session->model)),
           (double)plan_flop(plan) / 1e9, (double)weight_bytes / (1 << 20),
           (double)activation_bytes / (1 << 20));

    struct text report = { 0 };
    result = model_check_report(session->model, &report, err);
    printf("%s  sample  %s\n%s", result == 0 ? "ok  " : "FAIL",
           model_card(session->model)->sample.picture, report.data ? report.data : "");
    text_finish(&report);
    struct error cause;
    int failed = model_networks_check(session->model, session->device, &cause);
    if (result == 0 && failed < 0) {
        *err = cause;
        result = failed;
    }
    if (result == 0)
        printf("%s can serve\n", model_card(session->model)->name);
    return result;
}

static int verb_show(struct session *session, struct error *err)
{
    if (is_file(session->folder))
        return with_file(session, SHOW_RUNS_DEFAULT, SHOW_RUNS_MAX, model_file_show, err);
    int result = read_runs(session, SHOW_RUNS_DEFAULT, SHOW_RUNS_MAX, err);
    if (result == 0)
        result = for_folder(session, err);
    if (result == 0)
        result = session_open(session, err);
    if (result < 0)
        return result;
    config_print(model_card(session->model)->config, stdout);
    printf("\n");
    result = model_networks_show(session->model, session->device, err);
    if (result < 0)
        return result;
    return plan_print(model_plan(session->model), session->runs, stdout, err);
}

/* An ONNX file without a card. */
static int with_file(struct session *session, uint32_t runs_fallback, uint32_t runs_max,
                     int (*verb)(const struct model_file_request *request, struct error *err),
                     struct error *err)
{
    struct model_file_request request = { .path = session->folder,
                                          .words = session->words,
                                          .precision = PRECISION_F32,
                                          .batch = 1,
                                          .output = session->output,
                                          .json = session->json };
    int result = read_runs(session, runs_fallback, runs_max, err);
    if (result == 0 && session->batch)
        result = read_number(session->batch, "--batch", MODEL_BATCH_MAX, &request.batch, err);
    if (result == 0)
        result = session_open_device(session, &request.precision, err);
    request.runs = session->runs;
    request.device = session->device;
    request.int8 = session->int8;
    return result < 0 ? result : verb(&request, err);
}

/* What has a meaning for files alone. */
static int for_folder(const struct session *session, struct error *err)
{
    static const char *const words = "is for files; a folder's card says the size";
    const char *flag = session->words.shape_count > 0  ? "--shape"
                       : session->words.size_count > 0 ? "--size"
                       : session->batch                ? "--batch"
                                                       : NULL;
    if (flag)
        return error_set(err, ERROR_CONFIG, flag, "%s", words);
    if (session->json || session->output)
        return error_set(err, ERROR_CONFIG, session->json ? "--json" : "--output",
                         "is for ONNX files, and %s is a folder", session->folder);
    if (session->precision && strcmp(session->precision, "int8") == 0)
        return error_set(err, ERROR_CONFIG, "--precision",
                         "int8 is for ONNX files; in a folder a quantised model computes in int8 by "
                         "itself, with any other precision for the rest");
    return 0;
}

static bool is_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

static void write_json(const struct session *session, const struct picture_view *view,
                       struct text *text)
{
    const struct analysis *analysis = session->analysis;
    const struct card *card = model_card(session->model);
    json_begin_object(text, NULL);
    json_str(text, "model", card->name);
    json_str(text, "picture", session->picture_path ? session->picture_path : card->picture_path);
    json_u64(text, "width", view->width);
    json_u64(text, "height", view->height);
    json_begin_array(text, "objects");
    for (uint32_t i = 0; i < analysis->object_count; i++) {
        const struct analysis_object *object = &analysis->objects[i];
        const float box[4] = { object->x, object->y, object->width, object->height };
        json_begin_object(text, NULL);
        json_str(text, "class", card->classes.items[object->class_id]);
        json_f64(text, "confidence", (double)object->confidence, 4);
        json_begin_array(text, "box");
        for (size_t k = 0; k < 4; k++)
            json_f64(text, NULL, (double)box[k], 2);
        json_end_array(text);
        json_end_object(text);
    }
    json_end_array(text);
    json_begin_array(text, "areas");
    for (uint32_t i = 0; i < analysis->area_count; i++) {
        json_begin_object(text, NULL);
        json_str(text, "class", card->classes.items[analysis->areas[i].class_id]);
        json_f64(text, "share", (double)analysis->areas[i].share, 4);
        json_end_object(text);
    }
    json_end_array(text);
    json_begin_object(text, "timings_us");
    json_u64(text, "prepare", analysis->prepare_us);
    json_u64(text, "infer", analysis->infer_us);
    json_u64(text, "head", analysis->head_us);
    json_end_object(text);
    json_end_object(text);
    text_add_str(text, "\n");
}

static int verb_run(struct session *session, struct error *err)
{
    struct picture_view view;
    struct text json = { 0 };
    if (is_file(session->folder))
        return with_file(session, RUNS_DEFAULT, RUNS_MAX, model_file_run, err);
    int result = for_folder(session, err);
    if (result == 0)
        result = session_open(session, err);
    if (result == 0)
        result = session_load_picture(session, err);
    if (result < 0)
        return result;
    picture_get_view(session->picture, &view);
    result = model_run(session->model, &view, session->analysis, err);
    if (result < 0)
        return result;
    write_json(session, &view, &json);
    if (json.failed)
        result = error_set(err, ERROR_MEMORY, "run", "no room for the result as text");
    else
        fputs(json.data, stdout);
    text_finish(&json);
    return result;
}

static void print_times(const struct session *session, uint64_t *times_ns, uint64_t infer_us,
                        uint64_t prepare_us, uint64_t head_us)
{
    uint32_t runs = session->runs;
    uint64_t all_ns = 0;
    struct device_info info;
    device_get_info(session->device, &info);
    for (uint32_t i = 0; i < runs; i++)
        all_ns += times_ns[i];
    bench_sort(times_ns, runs);
    uint64_t median_ns = bench_percentile(times_ns, runs, 50);
    uint64_t p99_ns = bench_percentile(times_ns, runs, 99);
    printf("bench: model=%s precision=%s threads=%u runs=%u median_ms=%.2f p99_ms=%.2f "
           "frames_per_s=%.1f prepare_ms=%.2f infer_ms=%.2f head_ms=%.2f\n",
           model_card(session->model)->name, precision_word(model_precision(session->model)),
           info.threads, runs, (double)median_ns / 1e6, (double)p99_ns / 1e6,
           1e9 * runs / (double)all_ns, (double)prepare_us / 1e3 / runs,
           (double)infer_us / 1e3 / runs, (double)head_us / 1e3 / runs);
}

static int verb_bench(struct session *session, struct error *err)
{
    uint64_t prepare_us = 0, infer_us = 0, head_us = 0;
    struct picture_view view;
    if (is_file(session->folder))
        return with_file(session, RUNS_DEFAULT, RUNS_MAX, model_file_bench, err);
    int result = read_runs(session, RUNS_DEFAULT, RUNS_MAX, err);
    if (result == 0)
        result = for_folder(session, err);
    if (result == 0)
        result = session_open(session, err);
    if (result == 0)
        result = session_load_picture(session, err);
    if (result == 0 && session->restore)
        result = session_shrink_picture(session, err);
    if (result < 0)
        return result;
    picture_get_view(session->picture, &view);
    uint64_t *times_ns = calloc(session->runs, sizeof *times_ns);
    if (!times_ns)
        return error_set(err, ERROR_MEMORY, "bench", "no room for %u times", session->runs);
    for (uint32_t i = 0; i < WARM_UP_RUNS && result == 0; i++)
        result = model_run(session->model, &view, session->analysis, err);
    for (uint32_t i = 0; i < session->runs && result == 0; i++) {
        uint64_t start_ns = clock_now_ns();
        result = model_run(session->model, &view, session->analysis, err);
        times_ns[i] = clock_now_ns() - start_ns;
        prepare_us += session->analysis->prepare_us;
        infer_us += session->analysis->infer_us;
        head_us += session->analysis->head_us;
    }
    if (result == 0)
        print_times(session, times_ns, infer_us, prepare_us, head_us);
    free(times_ns);
    return result;
}

static int read_runs(struct session *session, uint32_t fallback, uint32_t max, struct error *err)
{
    session->runs = fallback;
    return session->runs_text ? read_number(session->runs_text, "--runs", max, &session->runs, err)
                              : 0;
}

static int session_open(struct session *session, struct error *err)
{
    enum precision precision = PRECISION_F32;
    session->analysis = malloc(sizeof *session->analysis);
    if (!session->analysis)
        return error_set(err, ERROR_MEMORY, "model", "no room for an analysis");
    int result = session_open_device(session, &precision, err);
    if (result < 0)
        return result;
    if (session->restore)
        return session_open_restored(session, session->precision ? &precision : NULL, err);
    if (session->precision)
        return model_open_in(&session->model, session->folder, session->device, precision, err);
    return model_open(&session->model, session->folder, session->device, err);
}

/* *precision is what the command line says, as it was where that says nothing. */
static int session_open_device(struct session *session, enum precision *precision, struct error *err)
{
    char processors[32];
    const char *spec = session->spec ? session->spec : "cpu";
    uint32_t threads = 0;
    if (session->threads && strcmp(spec, "cpu") != 0)
        return error_set(err, ERROR_CONFIG, "--threads", "is for the cpu, not for --device %s", spec);
    if (session->threads) {
        int result = read_number(session->threads, "--threads", THREADS_MAX, &threads, err);
        if (result < 0)
            return result;
        snprintf(processors, sizeof processors, "cpu:threads=%u", threads);
        spec = processors;
    }
    session->int8 = session->precision && strcmp(session->precision, "int8") == 0;
    if (session->precision && !session->int8 && !precision_from_word(session->precision, precision))
        return error_set(err, ERROR_CONFIG, "--precision",
                         "\"%s\" is none of f32, bf16, bf16x3, tf32, f16, int8", session->precision);
    return device_open(&session->device, spec, err);
}

static int session_open_restored(struct session *session, const enum precision *precision,
                                 struct error *err)
{
    struct restore_config config = { .kind = RESTORE_NETWORK, .network = session->restore };
    struct restore_network network;
    int result = read_camera(session->camera, &config, err);
    if (result == 0)
        result = restore_try_network(&network, session->restore, err);
    if (result < 0)
        return result;
    /* Where this leaves a rest, the network does not fit, and opening the model says so. */
    session->received_width = config.width = config.camera_width / network.scale;
    session->received_height = config.height = config.camera_height / network.scale;
    result = model_open_restored(&session->model, session->folder, session->device, &config,
                                 precision, err);
    if (result == 0)
        printf("restore %s: x%u, %ux%u to %ux%u; the plan of both has %.2f GFLOP\n",
               session->restore, network.scale, config.width, config.height, config.camera_width,
               config.camera_height, (double)plan_flop(model_plan(session->model)) / 1e9);
    return result;
}

static int read_camera(const char *text, struct restore_config *config, struct error *err)
{
    struct shape size;
    if (model_read_shape(text, "--camera", &size, err) < 0 || size.rank != 2 || size.dim[0] > PICTURE_SIDE_MAX ||
        size.dim[1] > PICTURE_SIDE_MAX)
        return error_set(err, ERROR_CONFIG, "--camera",
                         "\"%.60s\" is not a size of up to %u pixels a side, such as 768x432", text,
                         PICTURE_SIDE_MAX);
    config->camera_width = (uint32_t)size.dim[0];
    config->camera_height = (uint32_t)size.dim[1];
    return 0;
}

static int session_load_picture(struct session *session, struct error *err)
{
    const char *path =
        session->picture_path ? session->picture_path : model_card(session->model)->picture_path;
    return picture_read_file(&session->picture, path, err);
}

/* To what a stream would bring, so that no run has to. */
static int session_shrink_picture(struct session *session, struct error *err)
{
    struct scaler *scaler = NULL;
    struct picture *received = NULL;
    int result = scaler_create(&scaler, err);
    if (result == 0)
        result = scaler_to_picture(scaler, session->picture, session->received_width,
                                   session->received_height, &received, err);
    scaler_destroy(&scaler);
    if (result < 0)
        return result;
    picture_unref(&session->picture);
    session->picture = received;
    return 0;
}

static void session_close(struct session *session)
{
    picture_unref(&session->picture);
    model_close(&session->model);
    device_close(&session->device);
    free(session->analysis);
}

static int read_number(const char *text, const char *flag, uint32_t max, uint32_t *number,
                       struct error *err)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno || *end || *text < '0' || *text > '9' || value < 1 || value > max)
        return error_set(err, ERROR_CONFIG, flag, "\"%s\" is not a number from 1 to %u", text, max);
    *number = (uint32_t)value;
    return 0;
}
