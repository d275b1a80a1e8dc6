/* vtest_accuracy: recall and precision of the answers for vtest.avi against the boxes of PETS09-S2L1,
 * persons, IoU 0.5. Whoever made the answers: our server, or ONNX Runtime by vtest_ort.py.
 *
 *     vtest_accuracy ANSWERS GT [STREAM]
 *
 * ANSWERS: JSON lines as the daemons write them, frame 0 first in the video. GT: gt.txt of MOTChallenge
 * (frame from 1, id, left, top, width, height, flag). A frame without an answer counts as one without
 * boxes. Within a frame, boxes by falling score each take the free true box that they overlap most;
 * one that takes none but lies on an ignored box (flag 0) is neither hit nor false alarm. */
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
    double score;
    bool ignored; /* truth: flag 0 */
    bool taken;
};

struct boxes {
    struct box *items;
    size_t count;
    bool answered;
};

struct score {
    size_t frames, hits, misses, false_alarms, ignored;
};

/* Frame numbers from 0. */
static struct boxes truth[FRAMES_MAX], found[FRAMES_MAX];
static size_t truth_frames; /* the video's length: the last frame with a true box */

static void fail(const char *path, size_t line, const char *what)
{
    fprintf(stderr, "vtest_accuracy: %s:%zu: %s\n", path, line, what);
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
static void read_truth(const char *path)
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
        add_box(&truth[frame - 1], box, path, line);
        if (frame > truth_frames)
            truth_frames = frame;
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
                              .score = json_object_get_double(confidence) },
                path, line);
    }
}

static void read_answer(struct json_object *answer, const char *stream, const char *path, size_t line)
{
    struct json_object *name, *frame, *status;
    if (!json_object_object_get_ex(answer, "stream", &name) ||
        !json_object_object_get_ex(answer, "frame", &frame) ||
        !json_object_object_get_ex(answer, "status", &status))
        fail(path, line, "no stream, frame or status");
    if (stream && strcmp(json_object_get_string(name), stream) != 0)
        return;
    if (strcmp(json_object_get_string(status), "ok") != 0)
        return;
    uint64_t number = json_object_get_uint64(frame);
    if (number >= truth_frames)
        return; /* the video went round again */
    if (found[number].answered)
        fail(path, line, "this frame has an answer already (several streams? name one)");
    found[number].answered = true;
    read_objects(answer, &found[number], path, line);
}

static void read_answers(const char *path, const char *stream)
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
        read_answer(answer, stream, path, line);
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

static int compare_scores(const void *left, const void *right)
{
    const struct box *a = left, *b = right;
    return a->score > b->score ? -1 : a->score < b->score;
}

/* The true box that overlaps box most, of those that count and are free, or of the ignored ones. */
static struct box *find_partner(struct boxes *all, const struct box *box, bool ignored)
{
    struct box *partner = NULL;
    double best = IOU_MIN;
    for (size_t i = 0; i < all->count; i++) {
        struct box *candidate = &all->items[i];
        double common = overlap(candidate, box);
        if (candidate->ignored == ignored && !candidate->taken && common >= best) {
            best = common;
            partner = candidate;
        }
    }
    return partner;
}

static void score_frame(struct boxes *all, struct boxes *answer, struct score *score)
{
    score->frames += answer->answered;
    if (answer->count > 0)
        qsort(answer->items, answer->count, sizeof *answer->items, compare_scores);
    for (size_t i = 0; i < answer->count; i++) {
        struct box *partner = find_partner(all, &answer->items[i], false);
        if (partner) {
            partner->taken = true;
            score->hits++;
        } else if (find_partner(all, &answer->items[i], true)) {
            score->ignored++;
        } else {
            score->false_alarms++;
        }
    }
    for (size_t i = 0; i < all->count; i++)
        score->misses += !all->items[i].ignored && !all->items[i].taken;
}

static double share(size_t part, size_t rest)
{
    return part + rest > 0 ? (double)part / (double)(part + rest) : 0;
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: vtest_accuracy ANSWERS GT [STREAM]\n");
        return 2;
    }
    struct score score = { 0 };
    read_truth(argv[2]);
    read_answers(argv[1], argc > 3 ? argv[3] : NULL);
    for (size_t i = 0; i < truth_frames; i++) {
        score_frame(&truth[i], &found[i], &score);
        free(truth[i].items);
        free(found[i].items);
    }
    double recall = share(score.hits, score.misses);
    double precision = share(score.hits, score.false_alarms);
    printf("hits=%zu misses=%zu false_alarms=%zu ignored=%zu\n", score.hits, score.misses,
           score.false_alarms, score.ignored);
    printf("accuracy: frames=%zu recall=%.4f precision=%.4f f1=%.4f\n", score.frames, recall,
           precision, recall + precision > 0 ? 2 * recall * precision / (recall + precision) : 0.0);
    return 0;
}
