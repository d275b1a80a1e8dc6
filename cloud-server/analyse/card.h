/* card: the YAML description of a model folder: what goes in, what comes out, what it must find.
 *
 * A model is a folder with card.yaml, the ONNX file it names, a sample picture and, where there are
 * any, networks that were trained to restore pictures for it. */
#ifndef RUNESPOOR_ANALYSE_CARD_H
#define RUNESPOOR_ANALYSE_CARD_H

#include "config/config.h"

#define CARD_FILE_NAME "card.yaml"
#define CARD_CLASSES_MAX 1024u
#define CARD_NAME_BYTES_MAX 64u /* of the model and of each class: both go into metrics */
#define CARD_SAMPLE_BYTES_MAX (16u << 20)
#define CARD_NETWORKS_MAX 8u /* that restore for it */

enum card_fit { FIT_LETTERBOX, FIT_STRETCH };
enum card_colour { COLOUR_RGB, COLOUR_BGR };
enum card_layout { LAYOUT_NCHW, LAYOUT_NHWC };

/* One number per colour, whatever order the network wants them in. */
struct card_channels {
    double r, g, b;
};

/* What the network reads: (pixel / divisor - mean) / deviation, pixel 0..255. */
struct card_input {
    uint32_t width, height;
    int layout, colour, fit;
    double pad; /* letterbox: grey value 0..255 of the rest; the picture lies top left */
    double divisor;
    struct card_channels mean, deviation;
};

struct card_head {
    int kind;                      /* enum head_kind_index (head.h) */
    struct option_strings outputs; /* the graph's outputs in the head's order; empty: as they come */
    double score, iou;             /* thresholds: score, and IoU for non-maximum suppression */
    uint32_t objects_max;
    bool masks; /* class areas: answer with their run lengths, too */
};

/* A box (heads that find boxes) or a class area (heads that find areas). */
struct card_expect {
    char *class;
    double confidence, share;   /* of a box; of an area */
    double tolerance;           /* |found - expected| <= tolerance, of confidence or share */
    double x1, y1, x2, y2, iou; /* the found box must overlap this one by iou; sample's pixels */
};

struct card_sample {
    char *picture;
    double score;              /* threshold for the sample; 0: the head's */
    struct option_list expect; /* struct card_expect: these and no others must be found */
};

struct card {
    char *name, *file, *description, *licence;
    struct option_strings classes;
    struct card_input input;
    struct card_head head;
    int precision;                 /* lowest allowed: enum precision */
    struct option_strings restore; /* networks that restore pictures for it: files of the folder */
    struct card_sample sample;
    char *folder;                           /* not a key: where it was read */
    char *file_path, *picture_path;         /* not keys: both inside the folder */
    char *restore_paths[CARD_NETWORKS_MAX]; /* the same, one for each of restore */
    struct config *config;                  /* owner of the strings; lists the mistakes */
};
extern const struct option_spec card_options[];

/* Reads FOLDER/card.yaml and checks it and the files it names. On mistakes returns -ERROR_CONFIG:
 * *err is the first and says how many more, and all are in config_problem((*card)->config, i).
 * *card is set unless memory ran out, and then freed by card_free, also after mistakes. */
int card_read(struct card **card, const char *folder, struct error *err);
void card_free(struct card **card); /* takes NULL */

/* What answers and logs call a network that restores: its file without folder and extension. Cuts what
 * does not fit. */
void card_name_network(const char *file, char *name, size_t name_bytes);

#endif
