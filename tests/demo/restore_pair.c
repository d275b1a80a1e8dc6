/* restore_pair: two streams of one clip beside each other, one analysed as it was received, one restored by
 * a network before. Reads what the real daemons answered, scores both against what the model says of the
 * source (as `cloud-server eval` does), and draws both with the pictures that the model was given. These
 * are not in the answers: they are made again, by the encoder and decoder of the stream, and the size of
 * every packet has to be the one that was answered.
 *
 *     restore_pair OUT.mp4 MODEL CLIP WIDTHxHEIGHT KBPS WITHOUT.jsonl WITH.jsonl NETWORK.onnx…
 *
 * Prints the network that served, the frame that is nearest to the 90 % tail of both streams, and the figures:
 *     network=FILE
 *     tail_frame=N
 *     frames=… f1_without=… f1_with=… tail90_without=… tail90_with=… kbit_s=… */
#include "analyse/model.h"
#include "answers_file.h"
#include "base/clock.h"
#include "base/text.h"
#include "device.h"
#include "learn/data.h"
#include "learn/degrade.h"
#include "media/encode_rung.h"
#include "media/record.h"
#include "media/scale.h"
#include "net/wire.h"
#include "pair_picture.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARGUMENTS_MIN 9
#define HEADER_BYTES_MAX 256u /* of a frame's message, beside its packet */
#define SAID "network "       /* what answers say before the name of the network that served */

enum side { WITHOUT, WITH, SIDES };

struct arguments {
    const char *out, *model, *clip, *size, *kbps, *answers[SIDES];
    const char *const *networks;
    int network_count;
};

struct truth {
    struct score_box *boxes;
    size_t count;
};

struct pair {
    const struct arguments *arguments;
    struct device *device;
    struct model *model; /* that answers for the source, then the restored one */
    struct card *card;
    struct data *data;
    struct data_info info;
    uint32_t width, height; /* the clip's */
    struct degrade *degrade;
    struct truth *truths; /* by frame */
    struct answers answers[SIDES];
    struct scores *scores[SIDES];
    uint64_t stream_bytes;
    double mean[SIDES], tail[SIDES], kbps;
    const char *network;
    /* for drawing */
    struct analysis analysis;
    struct scaler *scaler;
    struct rgb_planes pixels[SIDES];
    struct record *record;
};

static int open_clip(struct pair *pair, struct error *err);
static int open_rung(struct pair *pair, struct error *err);
static int find_network(struct pair *pair, struct error *err);
static int ask_source(struct pair *pair, struct error *err);
static int add_up(struct pair *pair, struct error *err);
static size_t find_tail_frame(const struct pair *pair);
static int draw(struct pair *pair, struct error *err);
static void close_all(struct pair *pair);

static int run(struct pair *pair, struct error *err)
{
    const struct arguments *arguments = pair->arguments;
    int failed = device_open(&pair->device, "cpu", err);
    if (!failed)
        failed = card_read(&pair->card, arguments->model, err);
    if (!failed)
        failed = open_clip(pair, err);
    if (!failed)
        failed = open_rung(pair, err);
    for (int side = 0; !failed && side < SIDES; side++) {
        failed = answers_read(&pair->answers[side], arguments->answers[side], pair->card,
                              pair->info.picture_count, err);
        if (!failed)
            failed = scores_open(&pair->scores[side], SCORE_BOXES,
                                 (uint32_t)pair->card->classes.count, err);
    }
    if (!failed)
        failed = find_network(pair, err);
    if (!failed)
        failed = ask_source(pair, err);
    if (!failed)
        failed = add_up(pair, err);
    if (!failed)
        failed = draw(pair, err);
    if (failed)
        return failed;
    printf("network=%s\n", pair->network);
    printf("tail_frame=%zu\n", find_tail_frame(pair));
    printf("frames=%zu f1_without=%.4f f1_with=%.4f tail90_without=%.4f tail90_with=%.4f "
           "kbit_s=%.1f\n",
           pair->info.picture_count, pair->mean[WITHOUT], pair->mean[WITH], pair->tail[WITHOUT],
           pair->tail[WITH], pair->kbps);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < ARGUMENTS_MIN) {
        fprintf(stderr, "usage: restore_pair OUT.mp4 MODEL CLIP WIDTHxHEIGHT KBPS WITHOUT.jsonl "
                        "WITH.jsonl NETWORK.onnx...\n");
        return 2;
    }
    const struct arguments arguments = {
        .out = argv[1],
        .model = argv[2],
        .clip = argv[3],
        .size = argv[4],
        .kbps = argv[5],
        .answers = { argv[6], argv[7] },
        .networks = (const char *const *)argv + 8,
        .network_count = argc - 8,
    };
    struct error err;
    struct pair *pair = calloc(1, sizeof *pair);
    if (!pair) {
        fprintf(stderr, "restore_pair: no memory\n");
        return 1;
    }
    pair->arguments = &arguments;
    int failed = run(pair, &err);
    if (failed)
        fprintf(stderr, "restore_pair: %s\n", err.text);
    close_all(pair);
    return failed ? 1 : 0;
}

static int open_clip(struct pair *pair, struct error *err)
{
    const struct data_config config = { .pictures = (char *)pair->arguments->clip,
                                        .labels = "",
                                        .classes = "",
                                        .ignore = "",
                                        .box_class = "" };
    struct picture *first = NULL;
    struct picture_view view;
    int failed = data_open(&pair->data, &config, err);
    if (!failed)
        failed = data_picture(pair->data, 0, &first, err);
    if (failed)
        return failed;
    data_get_info(pair->data, &pair->info);
    picture_get_view(first, &view);
    pair->width = view.width;
    pair->height = view.height;
    picture_unref(&first);
    pair->truths = calloc(pair->info.picture_count, sizeof *pair->truths);
    return pair->truths ? 0
                        : error_set(err, ERROR_MEMORY, "clip", "no room for %zu pictures",
                                    pair->info.picture_count);
}

/* What is not said is as an agent has it that says nothing. */
static int open_rung(struct pair *pair, struct error *err)
{
    const struct arguments *arguments = pair->arguments;
    struct degrade_config config = { .fps = pair->info.fps,
                                     .camera_width = pair->width,
                                     .camera_height = pair->height };
    char kbps[64];
    const char *sets[] = { kbps };
    struct config *loaded = NULL;
    snprintf(kbps, sizeof kbps, "bitrate_kbps=%.32s", arguments->kbps);
    int failed = config_load(&loaded, rung_options, &config.rung, NULL, sets, 1, err);
    config_free(&loaded);
    if (failed)
        return failed;
    if (sscanf(arguments->size, "%5" SCNu32 "x%5" SCNu32, &config.rung.width, &config.rung.height) !=
        2)
        return error_set(err, ERROR_CONFIG, arguments->size, "is not a size like 192x144");
    return degrade_open(&pair->degrade, &config, err);
}

/* The file whose name the answers say. */
static int find_network(struct pair *pair, struct error *err)
{
    const char *said = pair->answers[WITH].restored;
    if (pair->answers[WITHOUT].restored[0] != '\0')
        return error_set(err, ERROR_CONFIG, pair->arguments->answers[WITHOUT],
                         "was restored by %s, too", pair->answers[WITHOUT].restored);
    for (int i = 0; i < pair->arguments->network_count; i++) {
        const char *file = pair->arguments->networks[i];
        char name[WIRE_NAME_BYTES_MAX + 1];
        card_name_network(file, name, sizeof name);
        if (strncmp(said, SAID, strlen(SAID)) == 0 && strcmp(said + strlen(SAID), name) == 0)
            pair->network = file;
    }
    if (pair->network)
        return 0;
    return error_set(err, ERROR_CONFIG, pair->arguments->answers[WITH],
                     "was not restored by one of the %d networks given but by \"%s\": take a size "
                     "that one of them fits",
                     pair->arguments->network_count, said);
}

/* ---- figures ---- */

static int keep_truth(struct truth *truth, const struct analysis *analysis, struct error *err)
{
    truth->boxes = calloc(analysis->object_count + 1, sizeof *truth->boxes);
    if (!truth->boxes)
        return error_set(err, ERROR_MEMORY, "source", "no room for boxes");
    for (uint32_t i = 0; i < analysis->object_count; i++) {
        const struct analysis_object *object = &analysis->objects[i];
        if (object->width > 0 && object->height > 0)
            truth->boxes[truth->count++] = (struct score_box){ .x = object->x,
                                                               .y = object->y,
                                                               .width = object->width,
                                                               .height = object->height,
                                                               .class_id = object->class_id };
    }
    return 0;
}

/* Both streams must have been what is made here. */
static int check_bytes(const struct pair *pair, size_t frame, size_t bytes, struct error *err)
{
    for (int side = 0; side < SIDES; side++) {
        uint64_t wire = pair->answers[side].frames[frame].wire_bytes;
        if (wire < bytes || wire > bytes + HEADER_BYTES_MAX)
            return error_set(err, ERROR_FORMAT, pair->arguments->answers[side],
                             "frame %zu took %" PRIu64 " bytes where its picture takes %zu: not a "
                             "stream of this clip at this rung",
                             frame, wire, bytes);
    }
    return 0;
}

static int ask_frame(struct pair *pair, size_t frame, struct error *err)
{
    struct picture *source = NULL, *received = NULL;
    struct picture_view view;
    struct truth *truth = &pair->truths[frame];
    size_t bytes = 0;
    int failed = data_picture(pair->data, frame, &source, err);
    if (!failed)
        failed = degrade_picture(pair->degrade, source, &received, &bytes, err);
    if (!failed)
        failed = check_bytes(pair, frame, bytes, err);
    if (!failed) {
        picture_get_view(source, &view);
        failed = model_run(pair->model, &view, &pair->analysis, err);
    }
    if (!failed)
        failed = keep_truth(truth, &pair->analysis, err);
    for (int side = 0; !failed && side < SIDES; side++) {
        const struct answered_frame *answered = &pair->answers[side].frames[frame];
        failed = scores_add_boxes(pair->scores[side], answered->boxes, answered->count,
                                  truth->boxes, truth->count, NULL, err);
    }
    pair->stream_bytes += bytes;
    picture_unref(&received);
    picture_unref(&source);
    return failed ? error_wrap(err, "frame %zu", frame) : 0;
}

static int ask_source(struct pair *pair, struct error *err)
{
    int failed = model_open(&pair->model, pair->arguments->model, pair->device, err);
    for (size_t i = 0; !failed && i < pair->info.picture_count; i++)
        failed = ask_frame(pair, i, err);
    model_close(&pair->model);
    return failed;
}

static int add_up(struct pair *pair, struct error *err)
{
    size_t count = pair->info.picture_count;
    double *scratch = calloc(count, sizeof *scratch);
    if (!scratch)
        return error_set(err, ERROR_MEMORY, "scores", "no room for %zu frames", count);
    for (int side = 0; side < SIDES; side++) {
        struct score_statistic statistic = { .scores = pair->scores[side], .figure = SCORE_MEAN };
        pair->mean[side] = scores_figure(&statistic, NULL, count, scratch);
        statistic.figure = SCORE_TAIL90;
        pair->tail[side] = scores_figure(&statistic, NULL, count, scratch);
    }
    free(scratch);
    pair->kbps = (double)pair->stream_bytes * 8 / 1000 * pair->info.fps / (double)count;
    return 0;
}

/* A picture to show, chosen by no one's eye: the nearest to what 90 % of the frames of each stream reach. */
static size_t find_tail_frame(const struct pair *pair)
{
    size_t chosen = 0;
    double nearest = INFINITY;
    for (size_t i = 0; i < pair->info.picture_count; i++) {
        double distance = 0;
        for (int side = 0; side < SIDES; side++)
            distance += fabs(scores_frame_accuracy(pair->scores[side], i) - pair->tail[side]);
        if (distance < nearest) {
            nearest = distance;
            chosen = i;
        }
    }
    return chosen;
}

/* ---- pictures ---- */

/* What of the source's objects was found in this frame, and what else. */
static void describe(const struct pair *pair, int side, size_t frame, struct text *text)
{
    const struct score_counts *counts = scores_frame_counts(pair->scores[side], frame);
    struct score_counts all = { 0 };
    for (size_t i = 0; i < pair->card->classes.count; i++) {
        all.hits += counts[i].hits;
        all.misses += counts[i].misses;
        all.false_alarms += counts[i].false_alarms;
    }
    text_printf(text, "%u of %u found, %u wrong", all.hits, all.hits + all.misses, all.false_alarms);
}

/* As the model's own scaler would make it larger, and as the network did. */
static int fill_pixels(struct pair *pair, struct picture *received, struct error *err)
{
    struct picture_view view;
    picture_get_view(received, &view);
    int failed = scaler_to_rgb_planes(pair->scaler, &view, pair->width, pair->height,
                                      pair->pixels[WITHOUT].plane, pair->width, err);
    if (!failed)
        failed = model_run(pair->model, &view, &pair->analysis, err);
    if (!failed)
        rgb_planes_fill(&pair->pixels[WITH], model_restored(pair->model)->data);
    return failed;
}

static int draw_pair(struct pair *pair, size_t frame, struct error *err)
{
    const struct rung *rung = degrade_rung(pair->degrade);
    struct pair_side sides[SIDES];
    struct text lines[SIDES][2] = { 0 };
    struct picture *whole = NULL;
    bool complete = true;
    for (int side = 0; side < SIDES; side++) {
        const char *restored = pair->answers[side].restored;
        text_printf(&lines[side][0], "%ux%u, %.0f kbit/s, %s%s", rung->width, rung->height,
                    pair->kbps, restored[0] ? "restored by " : "as received", restored);
        describe(pair, side, frame, &lines[side][1]);
        complete = complete && !lines[side][0].failed && !lines[side][1].failed;
        sides[side] = (struct pair_side){ .pixels = &pair->pixels[side],
                                          .truth = pair->truths[frame].boxes,
                                          .truth_count = pair->truths[frame].count,
                                          .found = pair->answers[side].frames[frame].boxes,
                                          .found_count = pair->answers[side].frames[frame].count,
                                          .caption = { lines[side][0].data, lines[side][1].data } };
    }
    int failed = complete ? pair_picture_make(&whole, sides, err)
                          : error_set(err, ERROR_MEMORY, "caption", "no memory left");
    uint64_t time_ns = (uint64_t)llround((double)frame / pair->info.fps * (double)CLOCK_NS_PER_S);
    if (!failed)
        failed = record_add(pair->record, whole, time_ns, NULL, 0, NULL, err);
    picture_unref(&whole);
    for (int side = 0; side < SIDES; side++)
        for (int i = 0; i < 2; i++)
            text_finish(&lines[side][i]);
    return failed;
}

static int draw_frame(struct pair *pair, size_t frame, struct error *err)
{
    struct picture *source = NULL, *received = NULL;
    size_t bytes;
    int failed = data_picture(pair->data, frame, &source, err);
    if (!failed)
        failed = degrade_picture(pair->degrade, source, &received, &bytes, err);
    if (!failed)
        failed = fill_pixels(pair, received, err);
    if (!failed)
        failed = draw_pair(pair, frame, err);
    picture_unref(&received);
    picture_unref(&source);
    return failed ? error_wrap(err, "frame %zu", frame) : 0;
}

static int open_drawing(struct pair *pair, struct error *err)
{
    const struct rung *rung = degrade_rung(pair->degrade);
    const struct restore_config config = { .kind = RESTORE_NETWORK,
                                           .network = pair->network,
                                           .width = rung->width,
                                           .height = rung->height,
                                           .camera_width = pair->width,
                                           .camera_height = pair->height,
                                           .keep = true };
    uint32_t width, height;
    pair_picture_size(pair->width, pair->height, &width, &height);
    int failed =
        model_open_restored(&pair->model, pair->arguments->model, pair->device, &config, NULL, err);
    if (!failed)
        failed = scaler_create(&pair->scaler, err);
    for (int side = 0; !failed && side < SIDES; side++)
        failed = rgb_planes_init(&pair->pixels[side], pair->width, pair->height, err);
    return failed ? failed : record_open(&pair->record, pair->arguments->out, width, height, err);
}

static int draw(struct pair *pair, struct error *err)
{
    int failed = open_drawing(pair, err);
    degrade_restart(pair->degrade);
    for (size_t i = 0; !failed && i < pair->info.picture_count; i++)
        failed = draw_frame(pair, i, err);
    return failed ? failed : record_close(&pair->record, err);
}

static void close_all(struct pair *pair)
{
    struct error ignored; /* a failure was told already */
    for (size_t i = 0; pair->truths && i < pair->info.picture_count; i++)
        free(pair->truths[i].boxes);
    free(pair->truths);
    for (int side = 0; side < SIDES; side++) {
        answers_finish(&pair->answers[side]);
        scores_close(&pair->scores[side]);
        rgb_planes_finish(&pair->pixels[side]);
    }
    record_close(&pair->record, &ignored);
    scaler_destroy(&pair->scaler);
    degrade_close(&pair->degrade);
    data_close(&pair->data);
    model_close(&pair->model);
    card_free(&pair->card);
    device_close(&pair->device);
    free(pair);
}
