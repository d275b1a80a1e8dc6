/* eval_reference: see the header. */
#include "evaluate/eval_reference.h"
#include "base/text.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct truth {
    struct score_box *boxes;
    size_t box_count;
    uint8_t *runs; /* pairs of label and length, as a varint */
    size_t runs_bytes;
};

struct eval_reference {
    struct eval_reference_config config;
    struct truth *truths; /* by frame; empty where not scored */
    uint64_t bytes;
    /* While it is filled. */
    struct analysis *analysis;
    uint8_t *labels; /* of one picture */
    struct data_boxes boxes;
};

static int fill(struct eval_reference *reference, struct error *err);
static void let_go(struct eval_reference *reference);

int eval_reference_open(struct eval_reference **reference,
                        const struct eval_reference_config *config, struct error *err)
{
    const struct eval_frames *frames = config->frames;
    struct eval_reference *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "reference", "no room for %zu bytes", sizeof *fresh);
    fresh->config = *config;
    fresh->truths = calloc(frames->count, sizeof *fresh->truths);
    fresh->analysis = malloc(sizeof *fresh->analysis);
    fresh->labels = malloc((size_t)frames->width * frames->height);
    int failed =
        fresh->truths && fresh->analysis && fresh->labels
            ? fill(fresh, err)
            : error_set(err, ERROR_MEMORY, "reference", "no room for %zu pictures", frames->count);
    let_go(fresh);
    if (failed)
        eval_reference_close(&fresh);
    else
        *reference = fresh;
    return failed;
}

void eval_reference_close(struct eval_reference **reference)
{
    struct eval_reference *closed = *reference;
    *reference = NULL;
    if (!closed)
        return;
    for (size_t i = 0; closed->truths && i < closed->config.frames->count; i++) {
        free(closed->truths[i].boxes);
        free(closed->truths[i].runs);
    }
    free(closed->truths);
    free(closed);
}

const struct score_box *eval_reference_boxes(const struct eval_reference *reference, size_t frame,
                                             size_t *count)
{
    assert(frame < reference->config.frames->count);
    *count = reference->truths[frame].box_count;
    return reference->truths[frame].boxes;
}

void eval_reference_labels(const struct eval_reference *reference, size_t frame, uint8_t *labels)
{
    assert(frame < reference->config.frames->count);
    const struct truth *truth = &reference->truths[frame];
    for (size_t at = 0; at < truth->runs_bytes;) {
        uint8_t label = truth->runs[at++];
        size_t run = 0;
        for (unsigned shift = 0;; shift += 7) {
            uint8_t byte = truth->runs[at++];
            run |= (size_t)(byte & 0x7f) << shift;
            if (byte < 0x80)
                break;
        }
        memset(labels, label, run);
        labels += run;
    }
}

static void let_go(struct eval_reference *reference)
{
    free(reference->analysis);
    free(reference->labels);
    data_boxes_finish(&reference->boxes);
    reference->analysis = NULL;
    reference->labels = NULL;
}

static int count_bytes(struct eval_reference *reference, size_t bytes, struct error *err)
{
    reference->bytes += bytes;
    if (reference->bytes <= EVAL_REFERENCE_BYTES_MAX)
        return 0;
    return error_set(err, ERROR_LIMIT, "reference",
                     "the labels of all pictures need more than %llu bytes of memory: score fewer "
                     "with score_every",
                     EVAL_REFERENCE_BYTES_MAX);
}

/* Label maps */

static void add_run(struct text *runs, uint8_t label, size_t run)
{
    char bytes[12];
    size_t count = 0;
    bytes[count++] = (char)label;
    for (; run >= 0x80; run >>= 7)
        bytes[count++] = (char)(run | 0x80);
    bytes[count++] = (char)run;
    text_add(runs, bytes, count);
}

/* Packs reference->labels. */
static int keep_labels(struct eval_reference *reference, size_t frame, struct error *err)
{
    struct eval_frames *frames = reference->config.frames;
    const uint8_t *labels = reference->labels;
    size_t pixels = (size_t)frames->width * frames->height, start = 0;
    struct text runs = { 0 };
    bool counts = false;
    for (size_t i = 1; i <= pixels; i++) {
        if (i < pixels && labels[i] == labels[start])
            continue;
        add_run(&runs, labels[start], i - start);
        counts = counts || labels[start] != EVAL_LABEL_IGNORE;
        start = i;
    }
    if (runs.failed || !counts) {
        int failed =
            runs.failed ? error_set(err, ERROR_MEMORY, "reference", "no room for labels") : 0;
        frames->items[frame].scored = false;
        text_finish(&runs);
        return failed;
    }
    reference->truths[frame].runs = (uint8_t *)runs.data;
    reference->truths[frame].runs_bytes = runs.size;
    return count_bytes(reference, runs.capacity, err);
}

/* data_map gives classes, and the value to ignore. */
static int read_map(struct eval_reference *reference, size_t frame, struct error *err)
{
    const struct eval_reference_config *config = &reference->config;
    const struct eval_frames *frames = config->frames;
    int failed = data_map(config->data, frames->items[frame].picture, frames->width, frames->height,
                          reference->labels, err);
    if (failed)
        return failed;
    eval_relabel(reference->labels, (size_t)frames->width * frames->height,
                 config->classes->of_truth, config->classes->truth_count, -1);
    return keep_labels(reference, frame, err);
}

/* Boxes */

static int keep_boxes(struct eval_reference *reference, size_t frame, const struct score_box *boxes,
                      size_t count, struct error *err)
{
    struct truth *truth = &reference->truths[frame];
    if (count == 0)
        return 0;
    truth->boxes = malloc(count * sizeof *boxes);
    if (!truth->boxes)
        return error_set(err, ERROR_MEMORY, "reference", "no room for %zu boxes", count);
    memcpy(truth->boxes, boxes, count * sizeof *boxes);
    truth->box_count = count;
    return count_bytes(reference, count * sizeof *boxes, err);
}

static int read_boxes(struct eval_reference *reference, size_t frame, struct error *err)
{
    const struct eval_reference_config *config = &reference->config;
    struct score_box boxes[SCORE_BOXES_MAX];
    struct data_info info;
    size_t count = 0, number = config->frames->items[frame].picture;
    data_get_info(config->data, &info);
    int failed = data_get_boxes(config->data, number, config->frames->width, config->frames->height,
                                &reference->boxes, err);
    for (size_t i = 0; !failed && i < reference->boxes.count; i++) {
        const struct data_box *box = &reference->boxes.items[i];
        int class_id = config->classes->of_truth[box->class_id];
        /* A region of the class to ignore is one for every class. */
        bool everyone = (int)box->class_id == info.ignore;
        uint32_t first = everyone ? 0 : (uint32_t)class_id;
        uint32_t end = everyone ? config->classes->count : first + 1;
        for (uint32_t c = first; !failed && (everyone || class_id != EVAL_CLASS_NONE) && c < end;
             c++) {
            if (count == SCORE_BOXES_MAX)
                failed = error_set(err, ERROR_LIMIT, data_picture_name(config->data, number),
                                   "has more than %u boxes", SCORE_BOXES_MAX);
            else
                boxes[count++] = (struct score_box){ .x = box->x,
                                                     .y = box->y,
                                                     .width = box->width,
                                                     .height = box->height,
                                                     .class_id = c,
                                                     .ignore = box->ignore };
        }
    }
    return failed ? failed : keep_boxes(reference, frame, boxes, count, err);
}

/* The golden model */

static int ask_golden(struct eval_reference *reference, size_t frame, struct error *err)
{
    const struct eval_reference_config *config = &reference->config;
    const struct eval_frames *frames = config->frames;
    const struct eval_classes *classes = config->classes;
    const struct eval_sides sides = { frames->width, frames->height, frames->width, frames->height };
    struct score_box boxes[ANALYSIS_OBJECTS_MAX];
    struct picture *picture = NULL;
    struct picture_view view;
    int failed = eval_frames_picture(frames, config->data, frame, &picture, err);
    if (failed)
        return failed;
    picture_get_view(picture, &view);
    failed = model_run(config->golden, &view, reference->analysis, err);
    picture_unref(&picture);
    if (failed)
        return failed;
    if (classes->kind == SCORE_BOXES) {
        size_t count = eval_answer_boxes(reference->analysis, classes->of_truth, &sides, boxes);
        return keep_boxes(reference, frame, boxes, count, err);
    }
    eval_answer_labels(config->golden, classes->of_truth, classes->other, &sides, reference->labels);
    return keep_labels(reference, frame, err);
}

static int fill(struct eval_reference *reference, struct error *err)
{
    const struct eval_reference_config *config = &reference->config;
    int failed = 0;
    for (size_t i = 0; !failed && i < config->frames->count; i++) {
        if (!config->frames->items[i].scored)
            continue;
        if (config->golden)
            failed = ask_golden(reference, i, err);
        else if (config->classes->kind == SCORE_LABELS)
            failed = read_map(reference, i, err);
        else
            failed = read_boxes(reference, i, err);
        if (!failed && eval_progress_step(config->progress, i + 1, config->frames->count))
            failed = error_set(err, ERROR_AGAIN, "reference", "interrupted");
    }
    return failed;
}
