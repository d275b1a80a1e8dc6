/* labels_lines: the two forms with a box on each line, MOTChallenge's and YOLO's. */
#include "learn/labels.h"
#include "learn/labels_text.h"

#include <math.h>

#define MOT_FIELDS_MIN 7u
#define MOT_FIELDS_MAX 10u
#define YOLO_FIELDS 5u

/* All fields of a line as numbers. */
static int take_numbers(const struct labels_lines *lines, const struct labels_field *fields,
                        size_t count, double *numbers, struct error *err)
{
    for (size_t i = 0; i < count; i++)
        if (!labels_number(fields[i], &numbers[i]))
            return labels_lines_error(lines, err, "\"%s\" in column %zu is not a number",
                                      labels_quote(fields[i]).text, i + 1);
    return 0;
}

static int parse_mot_line(struct label_boxes *boxes, uint32_t class_id,
                          const struct labels_lines *lines, struct error *err)
{
    struct labels_field fields[MOT_FIELDS_MAX];
    double numbers[MOT_FIELDS_MAX];
    size_t count = labels_split(lines, ',', fields, MOT_FIELDS_MAX);
    if (count < MOT_FIELDS_MIN || count > MOT_FIELDS_MAX)
        return labels_lines_error(lines, err,
                                  "has %zu columns; MOT lines have %u to %u with commas between: "
                                  "frame, id, left, top, width, height, flag",
                                  count, MOT_FIELDS_MIN, MOT_FIELDS_MAX);
    int failed = take_numbers(lines, fields, count, numbers, err);
    if (failed)
        return failed;
    double frame = numbers[0];
    if (frame != floor(frame) || frame < 1 || frame > (double)boxes->picture_count)
        return labels_lines_error(lines, err, "frame %g is not within 1 and %zu, the last picture",
                                  frame, boxes->picture_count);
    const struct label_box box = {
        .x = numbers[2] - 1, /* MOTChallenge counts pixels from 1 */
        .y = numbers[3] - 1,
        .width = numbers[4],
        .height = numbers[5],
        .picture = (uint32_t)frame - 1,
        .class_id = class_id,
        .line = lines->number,
        .ignore = numbers[6] == 0,
    };
    return label_boxes_add(boxes, &box, labels_place(lines->file, lines->number).text, err);
}

int labels_parse_mot(struct label_boxes *boxes, uint32_t class_id, const char *file,
                     const char *bytes, size_t size, struct error *err)
{
    struct labels_lines lines;
    labels_lines_init(&lines, file, bytes, size);
    while (labels_lines_next(&lines)) {
        int failed = parse_mot_line(boxes, class_id, &lines, err);
        if (failed)
            return failed;
    }
    if (boxes->count == 0)
        return error_set(err, ERROR_FORMAT, file, "has no boxes");
    return 0;
}

static int parse_yolo_line(struct label_boxes *boxes, uint32_t picture, size_t class_count,
                           const struct labels_lines *lines, struct error *err)
{
    struct labels_field fields[YOLO_FIELDS];
    double numbers[YOLO_FIELDS];
    size_t count = labels_split(lines, ' ', fields, YOLO_FIELDS);
    if (count != YOLO_FIELDS)
        return labels_lines_error(lines, err,
                                  "has %zu columns; YOLO lines have %u: class, centre x, centre y, "
                                  "width, height",
                                  count, YOLO_FIELDS);
    int failed = take_numbers(lines, fields, count, numbers, err);
    if (failed)
        return failed;
    if (numbers[0] != floor(numbers[0]) || numbers[0] < 0 || numbers[0] >= (double)class_count)
        return labels_lines_error(lines, err, "class %g is not one of the %zu classes from 0",
                                  numbers[0], class_count);
    for (size_t i = 1; i < YOLO_FIELDS; i++)
        if (!(numbers[i] >= 0 && numbers[i] <= 1))
            return labels_lines_error(lines, err,
                                      "%g in column %zu is not within 0 and 1: YOLO has shares of "
                                      "the picture's sides, not pixels",
                                      numbers[i], i + 1);
    const struct label_box box = {
        .x = numbers[1] - numbers[3] / 2,
        .y = numbers[2] - numbers[4] / 2,
        .width = numbers[3],
        .height = numbers[4],
        .picture = picture,
        .class_id = (uint32_t)numbers[0],
        .line = lines->number,
    };
    return label_boxes_add(boxes, &box, labels_place(lines->file, lines->number).text, err);
}

int labels_parse_yolo(struct label_boxes *boxes, uint32_t picture, size_t class_count,
                      const char *file, const char *bytes, size_t size, struct error *err)
{
    struct labels_lines lines;
    boxes->normalised = true;
    labels_lines_init(&lines, file, bytes, size);
    while (labels_lines_next(&lines)) {
        int failed = parse_yolo_line(boxes, picture, class_count, &lines, err);
        if (failed)
            return failed;
    }
    return 0;
}
