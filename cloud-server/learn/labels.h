/* labels: boxes and class names as label files have them, before any picture was seen. The inside of
 * a data set (learn/data.h); each parser takes any bytes, and names file and line of a mistake. */
#ifndef RUNESPOOR_LEARN_LABELS_H
#define RUNESPOOR_LEARN_LABELS_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LABELS_FILE_BYTES_MAX (512u << 20)       /* one file for a whole set */
#define LABELS_PICTURE_FILE_BYTES_MAX (4u << 20) /* one file for each picture */
#define LABELS_BOXES_MAX 20000000u               /* of a set */
#define LABELS_PICTURE_BOXES_MAX 10000u
#define LABELS_NUMBER_MAX 1e6 /* any coordinate; far beyond the largest picture */
#define LABELS_CLASSES_MAX 1024u
#define LABELS_NAME_BYTES_MAX 64u
/* A box may reach this far over the edge without being called clipped: files round. */
#define LABELS_ROUNDING 0.01

struct label_classes {
    char **names;
    size_t count;
};

/* Names one a line, each with its number in front ("0 sky") or all without. */
int label_classes_parse(struct label_classes *classes, const char *file, const char *bytes,
                        size_t size, struct error *err);
/* Copies the name. place: for the error when it is empty, too long, known already or one too many. */
int label_classes_add(struct label_classes *classes, const char *name, size_t bytes,
                      const char *place, struct error *err);
/* -1 when there is none of that name. */
int label_classes_find(const struct label_classes *classes, const char *name);
/* The class that was probably meant; NULL when none is near. */
const char *label_classes_nearest(const struct label_classes *classes, const char *name);
void label_classes_finish(struct label_classes *classes);

struct label_box {
    double x, y, width, height; /* pixels from the left top edge, or shares of the picture's sides */
    uint32_t picture, class_id;
    uint32_t line; /* where it stands in its file; COCO: number in annotations */
    bool ignore;   /* a region: what is found there neither counts nor is a mistake */
};

/* What a file says of a picture's size; 0: nothing. */
struct label_size {
    uint32_t width, height;
};

struct label_boxes {
    struct label_box *items; /* by picture after label_boxes_sort, in the files' order */
    size_t count, capacity;
    size_t *first; /* picture_count + 1 */
    struct label_size *sizes;
    size_t picture_count;
    bool normalised; /* shares of the picture's sides */
};

int label_boxes_init(struct label_boxes *boxes, size_t picture_count, struct error *err);
/* place: for the error when its numbers make no box. */
int label_boxes_add(struct label_boxes *boxes, const struct label_box *box, const char *place,
                    struct error *err);
/* After the last one was added, in linear time. name: of the label file, for errors. */
int label_boxes_sort(struct label_boxes *boxes, const char *file, struct error *err);
void label_boxes_finish(struct label_boxes *boxes);

/* The part of a box that is inside of a picture, in its pixels. False when nothing is. *clipped:
 * whether something was cut off. */
bool label_box_place(const struct label_box *box, bool normalised, uint32_t width, uint32_t height,
                     double placed[4], bool *clipped);

/* MOTChallenge: frame (from 1), id, left, top (from 1), width, height, flag or confidence, … with
 * commas between. Flag 0: a region to ignore. All boxes are of class_id. */
int labels_parse_mot(struct label_boxes *boxes, uint32_t class_id, const char *file,
                     const char *bytes, size_t size, struct error *err);
/* YOLO: class, centre x and y, width, height as shares of the picture's sides, for one picture. */
int labels_parse_yolo(struct label_boxes *boxes, uint32_t picture, size_t class_count,
                      const char *file, const char *bytes, size_t size, struct error *err);
/* Pascal VOC's XML, for one picture: pixels from 1, the last ones included; difficult objects are to
 * be ignored. */
int labels_parse_voc(struct label_boxes *boxes, uint32_t picture, const struct label_classes *classes,
                     const char *file, const char *bytes, size_t size, struct error *err);

/* The pictures of a set by their file names. */
struct label_pictures {
    size_t (*find)(const void *arg, const char *name); /* SIZE_MAX: none of that name */
    const char *(*name)(const void *arg, size_t picture);
    const void *arg;
};
/* COCO's JSON. Pictures that it lists and the set has not are left out; the other way round is a
 * mistake. classes: when there are none, they become its categories in the order of their ids. */
int labels_parse_coco(struct label_boxes *boxes, struct label_classes *classes,
                      const struct label_pictures *pictures, const char *file, const char *bytes,
                      size_t size, struct error *err);

/* Every value below class_count, or equal to ignore (-1: none); the error names file, value and
 * place. */
int labels_check_map(const uint8_t *values, uint32_t width, uint32_t height, size_t class_count,
                     int ignore, const char *file, struct error *err);

#endif
