/* person_score: see the header. Within a frame, boxes by falling score each take the free true box
 * that they overlap most; one that takes none but lies on an ignored box (flag 0) is neither hit nor
 * false alarm. */
#include "person_score.h"

#include <json-c/json.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES_MAX 100000u
#define BOXES_PER_FRAME_MAX 1000u
#define IOU_MIN 0.5

struct box {
    double x, y, width, height;
    double confidence;
    bool ignored; /* truth: flag 0 */
    bool taken;
};

struct boxes {
    struct box *items;
    size_t count;
    bool answered;
};

/* By frame number from 0. */
struct frames {
    struct boxes truth[FRAMES_MAX], found[FRAMES_MAX];
    size_t count; /* the video's length: the last frame with a true box */
};

static void read_truth(struct frames *frames, const char *path);
static void read_answers(struct frames *frames, const char *path, struct person_score *score);
static void score_frame(struct boxes *truth, struct boxes *found, struct person_score *score);
static double share(size_t part, size_t rest);

void person_score_read(struct person_score *score, const char *answers, const char *truth,
                       size_t frames_max)
{
    struct frames *frames = calloc(1, sizeof *frames);
    if (!frames)
        abort();
    *score = (struct person_score){ 0 };
    read_truth(frames, truth);
    if (frames->count > frames_max)
        frames->count = frames_max;
    read_answers(frames, answers, score);
    for (size_t i = 0; i < frames->count; i++)
        score_frame(&frames->truth[i], &frames->found[i], score);
    score->frames = frames->count;
    for (size_t i = 0; i < FRAMES_MAX; i++) {
        free(frames->truth[i].items);
        free(frames->found[i].items);
    }
    free(frames);
}

double person_score_recall(const struct person_score *score)
{
    return share(score->hits, score->misses);
}

double person_score_precision(const struct person_score *score)
{
    return share(score->hits, score->false_alarms);
}

double person_score_f1(const struct person_score *score)
{
    return share(2 * score->hits, score->misses + score->false_alarms);
}

static double share(size_t part, size_t rest)
{
    return part + rest > 0 ? (double)part / (double)(part + rest) : 0;
}

static void fail(const char *path, size_t line, const char *what)
{
    fprintf(stderr, "person_score: %s:%zu: %s\n", path, line, what);
    exit(1);
}

static void add_box(struct boxes *boxes, struct box box, const char *path, size_t line)
{
    struct box *items = realloc(boxes->items, (boxes->count + 1) * sizeof *items);
    if (!items || boxes->count == BOXES_PER_FRAME_MAX)
        fail(path, line, "too many boxes in this frame");
    items[boxes->count++] = box;
    boxes->items = items;
}

/* The file's corners are counted from 1, ours from 0. */
static void read_truth(struct frames *frames, const char *path)
{
    char text[256];
    size_t line = 0;
    FILE *file = fopen(path, "r");
    if (!file)
        fail(path, 0, "cannot open");
    while (fgets(text, sizeof text, file)) {
        unsigned frame;
        double flag;
        struct box box = { 0 };
        line++;
        if (sscanf(text, "%u,%*d,%lf,%lf,%lf,%lf,%lf", &frame, &box.x, &box.y, &box.width,
                   &box.height, &flag) != 6 ||
            frame < 1 || frame > FRAMES_MAX)
            fail(path, line, "not frame,id,x,y,w,h,flag");
        box.x -= 1;
        box.y -= 1;
        box.ignored = flag == 0;
        add_box(&frames->truth[frame - 1], box, path, line);
        if (frame > frames->count)
            frames->count = frame;
    }
    fclose(file);
}

static double read_number(struct json_object *array, size_t index, const char *path, size_t line)
{
    struct json_object *value = json_object_array_get_idx(array, index);
    double number = json_object_get_double(value);
    if (!value || !isfinite(number))
        fail(path, line, "a box is not four numbers");
    return number;
}

static void read_objects(struct json_object *answer, struct boxes *boxes, const char *path,
                         size_t line)
{
    struct json_object *objects, *class, *confidence, *corner;
    if (!json_object_object_get_ex(answer, "objects", &objects))
        return;
    for (size_t i = 0; i < json_object_array_length(objects); i++) {
        struct json_object *object = json_object_array_get_idx(objects, i);
        if (!json_object_object_get_ex(object, "class", &class) ||
            !json_object_object_get_ex(object, "confidence", &confidence) ||
            !json_object_object_get_ex(object, "box", &corner) ||
            json_object_array_length(corner) != 4)
            fail(path, line, "an object without class, confidence or box");
        if (strcmp(json_object_get_string(class), "person") != 0)
            continue;
        add_box(boxes,
                (struct box){ .x = read_number(corner, 0, path, line),
                              .y = read_number(corner, 1, path, line),
                              .width = read_number(corner, 2, path, line),
                              .height = read_number(corner, 3, path, line),
                              .confidence = json_object_get_double(confidence) },
                path, line);
    }
}

static void read_answer(struct frames *frames, struct json_object *answer, const char *path,
                        size_t line, struct person_score *score)
{
    struct json_object *frame, *status, *bytes;
    if (!json_object_object_get_ex(answer, "frame", &frame) ||
        !json_object_object_get_ex(answer, "status", &status))
        fail(path, line, "no frame or status");
    uint64_t number = json_object_get_uint64(frame);
    if (number >= frames->count)
        return; /* beyond what is scored */
    if (json_object_object_get_ex(answer, "wire_bytes", &bytes))
        score->wire_bytes += json_object_get_uint64(bytes);
    const char *word = json_object_get_string(status);
    score->dropped += strcmp(word, "dropped") == 0;
    score->failed += strcmp(word, "failed") == 0;
    if (strcmp(word, "ok") != 0)
        return;
    if (frames->found[number].answered)
        fail(path, line, "this frame has an answer already");
    frames->found[number].answered = true;
    score->answered++;
    read_objects(answer, &frames->found[number], path, line);
}

static void read_answers(struct frames *frames, const char *path, struct person_score *score)
{
    char *text = NULL;
    size_t room = 0, line = 0;
    FILE *file = fopen(path, "r");
    if (!file)
        fail(path, 0, "cannot open");
    while (getline(&text, &room, file) >= 0) {
        line++;
        struct json_object *answer = json_tokener_parse(text);
        if (!answer || !json_object_is_type(answer, json_type_object))
            fail(path, line, "not a JSON object");
        read_answer(frames, answer, path, line, score);
        json_object_put(answer);
    }
    free(text);
    fclose(file);
}

static double overlap(const struct box *a, const struct box *b)
{
    double width = fmin(a->x + a->width, b->x + b->width) - fmax(a->x, b->x);
    double height = fmin(a->y + a->height, b->y + b->height) - fmax(a->y, b->y);
    if (width <= 0 || height <= 0)
        return 0;
    double common = width * height;
    return common / (a->width * a->height + b->width * b->height - common);
}

static int compare_confidences(const void *left, const void *right)
{
    const struct box *a = left, *b = right;
    return a->confidence > b->confidence ? -1 : a->confidence < b->confidence;
}

/* The true box that overlaps box most, of those that count and are free, or of the ignored ones. */
static struct box *find_partner(struct boxes *truth, const struct box *box, bool ignored)
{
    struct box *partner = NULL;
    double best = IOU_MIN;
    for (size_t i = 0; i < truth->count; i++) {
        struct box *candidate = &truth->items[i];
        double common = overlap(candidate, box);
        if (candidate->ignored == ignored && !candidate->taken && common >= best) {
            best = common;
            partner = candidate;
        }
    }
    return partner;
}

static void score_frame(struct boxes *truth, struct boxes *found, struct person_score *score)
{
    if (found->count > 0)
        qsort(found->items, found->count, sizeof *found->items, compare_confidences);
    for (size_t i = 0; i < found->count; i++) {
        struct box *partner = find_partner(truth, &found->items[i], false);
        if (partner) {
            partner->taken = true;
            score->hits++;
        } else if (find_partner(truth, &found->items[i], true)) {
            score->ignored++;
        } else {
            score->false_alarms++;
        }
    }
    for (size_t i = 0; i < truth->count; i++)
        score->misses += !truth->items[i].ignored && !truth->items[i].taken;
}
