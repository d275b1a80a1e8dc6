/* card: the YAML description of a model folder: what goes in, what comes out, what it must find.
 *
 * A model is a folder with card.yaml, the ONNX file it names, and a sample picture. */
#ifndef RUNESPOOR_ANALYSE_CARD_H
#define RUNESPOOR_ANALYSE_CARD_H

#include "config/config.h"

enum card_fit { FIT_LETTERBOX, FIT_STRETCH };
enum card_colour { COLOUR_RGB, COLOUR_BGR };
enum card_layout { LAYOUT_NCHW, LAYOUT_NHWC };
enum card_precision { CARD_F32, CARD_BF16 };

struct card_input {
    uint32_t width, height;
    int layout, colour, fit;
    double pad;     /* letterbox: grey value 0..255 of the rest; the picture lies top left */
    double scale;   /* value = (pixel - mean) * scale; pixel 0..255 */
    double mean[3]; /* from mean_r/g/b below, in RGB order */
    double mean_r, mean_g, mean_b;
    double deviation_r, deviation_g, deviation_b; /* value divided by these, 1: no change */
};

struct card_head {
    int kind; /* index into head_words (head.h) */
    struct option_strings
        outputs;       /* names of the graph's outputs in the head's order; may be empty */
    double score, iou; /* thresholds: score, and IoU for non-maximum suppression */
    uint32_t objects_max;
    bool masks; /* segmentation: send run lengths too */
};

struct card_expect {
    char *class_name;
    double confidence, tolerance; /* |found - expected| <= tolerance */
    double x1, y1, x2, y2, iou;   /* boxes: found box must overlap by this IoU */
    double share;                 /* areas */
};

struct card_sample {
    char *picture;
    double score;              /* threshold for the sample; 0: the head's */
    struct option_list expect; /* struct card_expect: exactly these must be found */
};

struct card {
    char *name, *file, *description, *licence;
    struct option_strings classes;
    struct card_input input;
    struct card_head head;
    int precision; /* best allowed: f32 or bf16 */
    struct card_sample sample;
    char *folder;          /* not a key: where it was read */
    struct config *config; /* owner of the strings */
};
extern const struct option_spec card_options[];

/* Reads FOLDER/card.yaml; the error carries every mistake. Free with card_free. */
int card_read(struct card **card, const char *folder, struct error *err);
void card_free(struct card **card);

#endif
