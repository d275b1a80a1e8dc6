/* record: an MP4 file of pictures with boxes drawn on them, for people to look at. One thread. */
#ifndef RUNESPOOR_MEDIA_RECORD_H
#define RUNESPOOR_MEDIA_RECORD_H

#include "base/error.h"
#include "media/picture.h"
#include <stddef.h>

struct record_box {
    float x, y, width, height; /* pixels of the picture */
    uint32_t class_id;         /* chooses the colour */
    char label[48];            /* "person 0.87" */
};

struct record;

/* Fragmented MP4, so that a killed process leaves a playable file. */
int record_open(struct record **record, const char *path, uint32_t width, uint32_t height,
                struct error *err);
/* time_ns from the start, growing. Draws on a copy; the picture may have any size. */
int record_add(struct record *record, struct picture *picture, uint64_t time_ns,
               const struct record_box *boxes, size_t box_count, const char *caption,
               struct error *err);
int record_close(struct record **record, struct error *err);

/* Reads a still picture (JPEG, PNG, …) for model checks. */
int picture_read_file(struct picture **picture, const char *path, struct error *err);

#endif
