/* scores: what one arm of an evaluation answered, frame by frame, as counts per class, and the
 * figures made of them. Label maps count pixels, boxes count objects; everything else is the same
 * for both, so that one table, one bootstrap and one report serve both.
 *
 *     accuracy of a class      label maps: IoU = hits / (hits + false alarms + misses)
 *                              boxes:      F1 = 2 hits / (2 hits + false alarms + misses)
 *     accuracy of a frame      label maps: mean IoU over the classes in its reference or prediction
 *                              boxes:      F1 of all its boxes; 1 when there is nothing and nothing
 *                                          was found
 *     class present in a set   it has pixels or boxes in the reference of the set */
#ifndef RUNESPOOR_EVALUATE_SCORES_H
#define RUNESPOOR_EVALUATE_SCORES_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCORE_CLASSES_MAX 1024u        /* as many as a card may have */
#define SCORE_LABELS_MAX 256u          /* classes of label maps: a label is one byte */
#define SCORE_FRAMES_MAX (16u << 20)   /* of one arm: twelve days at 15 fps */
#define SCORE_BOXES_MAX 4096u          /* of one side of one frame; matching is quadratic */
#define SCORE_IOU_MIN 0.5              /* from here on a box is found */
#define SCORE_IGNORE_NONE (-1)         /* every pixel counts */
#define SCORE_PSNR_MAX_DB 100.0        /* instead of infinite, where nothing differs */
#define SCORE_PIXELS_MAX (1u << 30)    /* of a frame */
#define SCORE_SQUARED_ERROR_MAX 65025u /* of one sample: 255 * 255 */

enum score_kind { SCORE_LABELS, SCORE_BOXES, SCORE_KIND_COUNT };
extern const char *const score_kind_words[SCORE_KIND_COUNT]; /* "labels", "boxes" */

/* Of one class in one frame: pixels or boxes. */
struct score_counts {
    uint32_t hits, false_alarms, misses;
};

/* What a frame cost; all zero where it was not measured. */
struct score_cost {
    uint64_t squared_error; /* of luma, against the source */
    uint64_t samples;       /* of luma; 0: not measured */
    uint64_t time_us;       /* restoration and analytics */
};

struct score_box {
    float x, y, width, height; /* left, top */
    float score;               /* of a prediction */
    uint32_t class_id;
    bool ignore; /* of a reference: need not be found, and what lies on it is no false alarm */
};

/* The figures of an arm. */
#define SCORE_FIGURES(X)                                                                           \
    X(MEAN, "mean", "label maps: mean IoU over the set's classes; boxes: mean F1 over frames")     \
    X(TAIL90, "tail90", "the accuracy that 90 % of frames reach or exceed")                        \
    X(TAIL99, "tail99", "the accuracy that 99 % of frames reach or exceed")                        \
    X(CLASS_TAIL, "class_tail", "mean over the quarter of classes that are worst in the baseline") \
    X(WORST_QUARTER, "worst_quarter", "mean over the arm's own worst quarter of classes")          \
    X(WORST_CLASS, "worst_class", "the arm's own worst class")

enum score_figure {
#define X(name, word, meaning) SCORE_##name,
    SCORE_FIGURES(X)
#undef X
        SCORE_FIGURE_COUNT
};
extern const char *const score_figure_words[SCORE_FIGURE_COUNT];

struct scores;

int scores_open(struct scores **scores, enum score_kind kind, uint32_t class_count,
                struct error *err);
void scores_close(struct scores **scores); /* takes NULL */

/* Adds a frame of label maps of one size. Pixels whose reference is ignore_label count nowhere. A
 * prediction of ignore_label elsewhere is a miss and nobody's false alarm. Refuses labels that are
 * no class, and (ERROR_UNSUPPORTED) a frame without a pixel that counts: the caller may leave such
 * a frame out, of all arms alike. cost may be NULL. On error nothing was added. */
int scores_add_labels(struct scores *scores, const uint8_t *prediction, const uint8_t *reference,
                      size_t pixel_count, int ignore_label, const struct score_cost *cost,
                      struct error *err);

/* Adds a frame of boxes. By falling score (equal ones as they come) each prediction takes the
 * reference box of its class that overlaps it most, by SCORE_IOU_MIN at least, and that nobody has
 * taken. One that finds none, but lies by half of its area or more on an ignored box of its class,
 * counts nowhere; any other is a false alarm. Refuses boxes that are not finite or have no area. */
int scores_add_boxes(struct scores *scores, const struct score_box *predictions,
                     size_t prediction_count, const struct score_box *references,
                     size_t reference_count, const struct score_cost *cost, struct error *err);

/* Adds a frame from counts per class that were stored. Refuses what no frame can have given. */
int scores_add_counts(struct scores *scores, const struct score_counts *counts,
                      const struct score_cost *cost, struct error *err);

enum score_kind scores_kind(const struct scores *scores);
uint32_t scores_class_count(const struct scores *scores);
size_t scores_frame_count(const struct scores *scores);
/* Of one frame: class_count counts; valid until the next one is added. */
const struct score_counts *scores_frame_counts(const struct scores *scores, size_t frame);
const struct score_cost *scores_frame_cost(const struct scores *scores, size_t frame);
double scores_frame_accuracy(const struct scores *scores, size_t frame);

/* Accuracy per class over the count frames listed (NULL: all; count is their number), NaN for a
 * class that is not present. Gives the number of classes that are. */
uint32_t scores_of_classes(const struct scores *scores, const uint32_t *frames, size_t count,
                           double *accuracies);

/* The classes of the class-wise tail. */
struct score_tail_classes {
    uint32_t count;
    uint32_t ids[(SCORE_CLASSES_MAX + 3) / 4]; /* the worst first */
};

/* The ceil(K/4) of the K classes present that are lowest in this arm, of equal ones the first.
 * Refuses an arm without a class. */
int scores_choose_tail(const struct scores *scores, struct score_tail_classes *classes,
                       struct error *err);

/* A figure of an arm as a function of frames, for intervals.h. */
struct score_statistic {
    const struct scores *scores;
    enum score_figure figure;
    const struct score_tail_classes *tail; /* for SCORE_CLASS_TAIL */
};

/* statistic: a struct score_statistic. frames may repeat; NULL: all, and count is their
 * number. scratch: room for count doubles. NaN where the figure is not defined: no frames, or none of the classes present. */
double scores_figure(const void *statistic, const uint32_t *frames, size_t count, double *scratch);

/* The accuracy that percent (1..99) of the values reach or exceed: nearest rank, in integers, the
 * value at ((100 - percent) * count + 99) / 100 - 1 of those sorted upwards. Reorders values.
 * Refuses an empty list and NaN. */
int score_tail(double *values, size_t count, unsigned percent, double *tail, struct error *err);

/* Sum of squared differences of two luma planes. */
uint64_t score_squared_error(const uint8_t *a, size_t a_stride, const uint8_t *b, size_t b_stride,
                             uint32_t width, uint32_t height);

/* Mean over the frames that were measured of 10 log10(255^2 samples / squared error), in dB, each
 * capped at SCORE_PSNR_MAX_DB; *capped_count of them were. NaN when none was measured. */
double scores_psnr_db(const struct scores *scores, size_t *capped_count);

#endif
