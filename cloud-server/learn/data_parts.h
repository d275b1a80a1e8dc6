/* data_parts: what the files of a data set share: data.c has the pictures, data_labels.c their labels.
 * Nobody else includes this. */
#ifndef RUNESPOOR_LEARN_DATA_PARTS_H
#define RUNESPOOR_LEARN_DATA_PARTS_H

#include "learn/data.h"
#include "learn/data_folder.h"
#include "learn/labels.h"
#include "media/source.h"

struct data {
    struct data_info info;
    char *pictures, *labels;
    struct data_folder folder; /* empty for a video */
    struct data_span *clips;
    struct label_classes classes;
    struct label_boxes boxes;
    struct source *source; /* a video that is being read; NULL: not begun */
    size_t next;           /* its next picture */
    char *video_name;
    uint32_t video_width, video_height;
};

/* A path longer than this is cut, and then does not open: no file system has such. */
struct data_path {
    char text[4096];
};
struct data_path data_join(const char *folder, const char *name, const char *ending);

extern const char *const data_form_words[]; /* by enum data_form, NULL-ended */

/* Finds out the form and reads the names of the classes; the pictures are listed already, though
 * those of a video not yet counted. */
int data_labels_prepare(struct data *data, const struct data_config *config, struct error *err);
/* Reads the labels and checks what can be checked without the pictures. */
int data_labels_read(struct data *data, const struct data_config *config, struct error *err);

#endif
