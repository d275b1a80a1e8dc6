/* data: a set of pictures with labels (label maps or boxes), as `cloud-server eval` and `train` read
 * it. Pictures come from a folder, in any order, or from one video, in its order. Nothing decoded is
 * kept here. */
#ifndef RUNESPOOR_LEARN_DATA_H
#define RUNESPOOR_LEARN_DATA_H

#include "config/config.h"
#include "media/picture.h"

#define DATA_PICTURES_MAX 4000000u
#define DATA_CLIPS_MAX 100000u /* that a configuration may name */
#define DATA_CLIP_NAME_BYTES 128u

enum data_form {
    DATA_FORM_AUTO,
    DATA_FORM_MAPS,
    DATA_FORM_MOT,
    DATA_FORM_YOLO,
    DATA_FORM_COCO,
    DATA_FORM_VOC,
};

struct data_config {
    char *pictures, *labels;
    int form; /* enum data_form */
    char *classes, *ignore, *box_class;
    double fps;
    struct option_strings clips;
    uint32_t every; /* of data_options_to_learn only: who learns picks them, here they are all */
};
extern const struct option_spec data_options[], data_options_to_learn[];

enum data_labels { DATA_LABELS_NONE, DATA_LABELS_MAPS, DATA_LABELS_BOXES };

struct data_info {
    size_t picture_count, clip_count;
    size_t class_count; /* 0: without labels and without names of classes */
    enum data_labels labels;
    int form;   /* enum data_form, never AUTO where there are labels */
    int ignore; /* the value of label maps that counts for nothing; -1: none */
    bool is_video;
    double fps;
};

/* Pictures that follow each other at fps. A video is one clip. */
struct data_clip {
    /* What its pictures' names begin with; the later ones of that beginning: the name of their first
     * picture. */
    char name[DATA_CLIP_NAME_BYTES];
    size_t first, count; /* pictures */
};

struct data_box {
    uint32_t class_id;
    float x, y, width, height; /* left, top; pixels of the picture, inside of it */
    bool ignore;               /* a region: what is found there neither counts nor is a mistake */
};

/* All-zero is empty; used again, it keeps its memory. */
struct data_boxes {
    struct data_box *items;
    size_t count, capacity;
    size_t clipped; /* of them reached over the picture's edge */
};

struct data;

/* Lists the pictures and reads and checks all boxes; label maps are checked when they are read. A
 * video is decoded once, to count its pictures. config is borrowed for the call. Mistakes are named
 * with their file and line. */
int data_open(struct data **data, const struct data_config *config, struct error *err);
void data_get_info(const struct data *data, struct data_info *info);
const char *data_class_name(const struct data *data, size_t class_id);
/* File name without its ending; of a video, the video's. */
const char *data_picture_name(const struct data *data, size_t index);
void data_get_clip(const struct data *data, size_t clip, struct data_clip *out);

/* Decodes a picture; the caller unrefs it. Of a folder: any index, any thread. Of a video: one thread
 * at a time, and in order; a step back costs decoding from the start, a step forward what lies in
 * between. */
int data_picture(struct data *data, size_t index, struct picture **picture, struct error *err);
/* The label map of a picture of width x height: as many numbers, each a class or info.ignore, row after
 * row without gaps. Any thread. */
int data_map(const struct data *data, size_t index, uint32_t width, uint32_t height,
             uint8_t *values, struct error *err);
/* The boxes of a picture of width x height, what reaches over its edge cut off. Any thread. */
int data_get_boxes(const struct data *data, size_t index, uint32_t width, uint32_t height,
                   struct data_boxes *boxes, struct error *err);
void data_boxes_finish(struct data_boxes *boxes);
/* Takes NULL. */
void data_close(struct data **data);

#endif
