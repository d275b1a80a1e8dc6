/* head: turns a network's raw output into boxes or class areas of the picture. One file and one row
 * of the table per kind; a new kind is a word here and a row in its own file. */
#ifndef RUNESPOOR_ANALYSE_HEAD_H
#define RUNESPOOR_ANALYSE_HEAD_H

#include "analyse/analysis.h"
#include "analyse/card.h"
#include "analyse/nms.h"
#include "analyse/prepare.h"
#include "tensor/tensor.h"

#define HEAD_OUTPUTS_MAX 8u

/* name, word in the card, meaning */
#define HEAD_KINDS(X)                                                        \
    X(YOLOX, "yolox", "one output, a row per grid cell, boxes not decoded")  \
    X(YOLOV8, "yolov8", "one output, boxes in input pixels, no suppression") \
    X(FASTESTDET, "fastestdet", "one output, one coarse grid of cells")      \
    X(SEGMENT, "segment", "a score per pixel and class")

enum head_kind_index {
#define X(name, word, meaning) HEAD_##name,
    HEAD_KINDS(X)
#undef X
        HEAD_KIND_COUNT
};
extern const char *const head_words[]; /* NULL-ended */

struct head;

/* Compares outputs (in the head's order, f32, read at each decode) with the card. card and outputs
 * are borrowed until head_close; all memory that decoding needs is taken here. */
int head_open(struct head **head, const struct card *card, const struct tensor *const *outputs,
              size_t output_count, struct error *err);

/* Fills objects or areas of analysis from what the outputs hold now. score: threshold for boxes. */
void head_decode(struct head *head, const struct placement *placement, float score,
                 struct analysis *analysis);
/* Labels of what the outputs hold now, laid over a picture of width x height (see model_label_map). Of
 * kinds that find areas. */
void head_label_map(struct head *head, const struct placement *placement, uint32_t width,
                    uint32_t height, uint8_t *map);
void head_close(struct head **head); /* takes NULL */

/* True for a kind that finds class areas, false for one that finds boxes. */
bool head_finds_areas(int kind);

/* The rest is for the kinds' own files. */

struct head {
    const struct head_kind *kind;
    const struct card *card;
    const struct tensor *outputs[HEAD_OUTPUTS_MAX];
    size_t output_count;
    uint32_t class_count;
    struct nms *nms; /* for kinds that find boxes */
    void *own;       /* what the kind keeps, or NULL; freed by head_close */
};

struct head_kind {
    /* Checks the outputs' shapes and sets own. */
    int (*open)(struct head *head, struct error *err);
    /* The first, or both of the others. find_boxes adds candidates of at least this score to nms, in
     * pixels of the network's input. find_areas fills areas, mask size and runs of analysis. */
    void (*find_boxes)(struct head *head, float score);
    void (*find_areas)(struct head *head, const struct placement *placement,
                       struct analysis *analysis);
    void (*map_labels)(struct head *head, const struct placement *placement, uint32_t width,
                       uint32_t height, uint8_t *map);
};

#define X(name, word, meaning) extern const struct head_kind head_##name;
HEAD_KINDS(X)
#undef X

/* Sets and gives an error: output number so has this shape, but the kind needs … */
int head_refuse_shape(const struct head *head, size_t output, struct error *err, const char *format,
                      ...) __attribute__((format(printf, 4, 5)));

#endif
