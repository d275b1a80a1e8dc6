/* answers_file: see the header. */
#include "answers_file.h"
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where reading is. */
struct line {
    const char *path;
    size_t number;
    const struct card *card;
    struct error *err;
};

static int refuse(const struct line *line, const char *what)
{
    char place[512];
    snprintf(place, sizeof place, "%.400s:%zu", line->path, line->number);
    return error_set(line->err, ERROR_FORMAT, place, "%s", what);
}

static int read_class(const struct line *line, struct json_object *object, uint32_t *class_id)
{
    struct json_object *class;
    const char *name =
        json_object_object_get_ex(object, "class", &class) ? json_object_get_string(class) : NULL;
    for (*class_id = 0; name && *class_id < line->card->classes.count; ++*class_id)
        if (strcmp(name, line->card->classes.items[*class_id]) == 0)
            return 0;
    return refuse(line, "an object of a class that the model does not have");
}

/* A box that was clipped to nothing says nothing: *box stays without area. */
static int read_box(const struct line *line, struct json_object *object, struct score_box *box)
{
    struct json_object *corners, *confidence;
    double numbers[4];
    if (!json_object_object_get_ex(object, "box", &corners) ||
        !json_object_is_type(corners, json_type_array) || json_object_array_length(corners) != 4 ||
        !json_object_object_get_ex(object, "confidence", &confidence))
        return refuse(line, "an object without confidence or box");
    for (size_t i = 0; i < 4; i++) {
        numbers[i] = json_object_get_double(json_object_array_get_idx(corners, i));
        if (!isfinite(numbers[i]))
            return refuse(line, "a box is not four numbers");
    }
    *box = (struct score_box){ .x = (float)numbers[0],
                               .y = (float)numbers[1],
                               .width = (float)numbers[2],
                               .height = (float)numbers[3],
                               .score = (float)json_object_get_double(confidence) };
    return read_class(line, object, &box->class_id);
}

static int read_boxes(const struct line *line, struct json_object *answer,
                      struct answered_frame *frame)
{
    struct json_object *objects;
    if (!json_object_object_get_ex(answer, "objects", &objects) ||
        !json_object_is_type(objects, json_type_array))
        return refuse(line, "an answer without objects");
    size_t count = json_object_array_length(objects);
    frame->boxes = calloc(count + 1, sizeof *frame->boxes);
    if (!frame->boxes)
        return error_set(line->err, ERROR_MEMORY, line->path, "no room for %zu boxes", count);
    for (size_t i = 0; i < count; i++) {
        struct score_box *box = &frame->boxes[frame->count];
        int failed = read_box(line, json_object_array_get_idx(objects, i), box);
        if (failed)
            return failed;
        frame->count += box->width > 0 && box->height > 0;
    }
    return 0;
}

static int read_restored(const struct line *line, struct json_object *answer, struct answers *answers)
{
    struct json_object *field;
    const char *restored =
        json_object_object_get_ex(answer, "restored", &field) ? json_object_get_string(field) : "";
    if (line->number == 1)
        snprintf(answers->restored, sizeof answers->restored, "%s", restored);
    return strcmp(restored, answers->restored) == 0
               ? 0
               : refuse(line, "restored in another way than the frames before");
}

static int read_answer(const struct line *line, struct json_object *answer, struct answers *answers)
{
    struct json_object *number, *status, *bytes;
    if (!json_object_object_get_ex(answer, "frame", &number) ||
        !json_object_object_get_ex(answer, "status", &status) ||
        !json_object_object_get_ex(answer, "wire_bytes", &bytes))
        return refuse(line, "not an answer: frame, status or wire_bytes is missing");
    uint64_t index = json_object_get_uint64(number);
    if (index >= answers->frame_count)
        return refuse(line, "a frame that the clip does not have");
    struct answered_frame *frame = &answers->frames[index];
    if (strcmp(json_object_get_string(status), "ok") != 0)
        return refuse(line, "a frame that was not analysed");
    if (frame->wire_bytes > 0)
        return refuse(line, "a frame that was answered before");
    frame->wire_bytes = json_object_get_uint64(bytes);
    if (frame->wire_bytes == 0)
        return refuse(line, "a frame of no bytes");
    int failed = read_restored(line, answer, answers);
    return failed ? failed : read_boxes(line, answer, frame);
}

static int read_lines(FILE *file, struct line *line, struct answers *answers)
{
    char *text = NULL;
    size_t capacity = 0;
    int failed = 0;
    while (!failed && getline(&text, &capacity, file) > 0) {
        line->number++;
        struct json_object *answer = json_tokener_parse(text);
        failed = json_object_is_type(answer, json_type_object) ? read_answer(line, answer, answers)
                                                               : refuse(line, "not a JSON object");
        json_object_put(answer);
    }
    free(text);
    return failed;
}

int answers_read(struct answers *answers, const char *path, const struct card *card,
                 size_t frame_count, struct error *err)
{
    struct line line = { .path = path, .card = card, .err = err };
    *answers = (struct answers){ .frames = calloc(frame_count + 1, sizeof *answers->frames),
                                 .frame_count = frame_count };
    if (!answers->frames)
        return error_set(err, ERROR_MEMORY, path, "no room for %zu frames", frame_count);
    FILE *file = fopen(path, "re");
    int failed = file ? read_lines(file, &line, answers)
                      : error_set_errno(err, errno, path, "cannot read the answers");
    if (file)
        fclose(file);
    for (size_t i = 0; !failed && i < frame_count; i++)
        if (answers->frames[i].wire_bytes == 0)
            failed =
                error_set(err, ERROR_FORMAT, path, "frame %zu of %zu has no answer", i, frame_count);
    if (failed)
        answers_finish(answers);
    return failed;
}

void answers_finish(struct answers *answers)
{
    for (size_t i = 0; answers->frames && i < answers->frame_count; i++)
        free(answers->frames[i].boxes);
    free(answers->frames);
    *answers = (struct answers){ 0 };
}
