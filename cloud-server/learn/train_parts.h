/* train_parts: what the files of a training share. Nobody outside of learn/train*.c includes this. */
#ifndef RUNESPOOR_LEARN_TRAIN_PARTS_H
#define RUNESPOOR_LEARN_TRAIN_PARTS_H

#include "analyse/analysis.h"
#include "analyse/card.h"
#include "analyse/head.h"
#include "device.h"
#include "evaluate/scores.h"
#include "graph/compose.h"
#include "learn/nets.h"
#include "learn/samples.h"
#include "learn/train_config.h"
#include "learn/train_history.h"

/* The frozen network behind a restorer; NULL where there is none. */
struct train_analytics {
    struct card *card;
    struct graph *graph;
};

#define TRAIN_FIGURES 2u
/* How names of what does not learn begin. */
#define TRAIN_FROZEN "frozen/"

/* What was measured over a set; NaN where it was not. */
struct train_figures {
    double figures[TRAIN_FIGURES];
    double classes[ANALYSIS_AREAS_MAX]; /* IoU; of those that are not in the set NaN */
};

struct train {
    const struct train_config *config;
    /* Owned with their data: data, those of more, and behind them validation, where there is one. */
    struct samples_source *sources;
    size_t source_count, learnt_count; /* learnt_count: without validation */
    /* held: of the sources to learn from, never learnt from; empty where nobody needs it. */
    struct samples_set learnt, held, validated;
    const struct samples_set *measured; /* validated, or held where there is no validation */
    struct card *golden; /* of the model that labels what has none; NULL: nothing has to be */
    struct train_analytics analytics;
    uint32_t class_count;
    const char *class_names[ANALYSIS_AREAS_MAX]; /* borrowed from data, or from the card */
    float class_weights[ANALYSIS_AREAS_MAX];

    struct device *device;
    enum precision precision;
    enum net_form form;   /* that learns: NET_FOLDED where a finished model is gone on from */
    struct graph *model;  /* that form, with the weights of the last train_fold */
    struct graph *folded; /* the same folded, for one whole picture */
    struct graph *origin; /* as model, with the weights of start; NULL: none of them are kept */
    struct plan *plan;    /* of a step */

    struct samples_config samples;
    uint32_t net_width, net_height; /* of what the network reads of a whole picture */
    struct schedule_part only_part; /* where the config has none */
    struct schedule schedule;
    uint64_t step, steps, epoch_steps; /* done, in all, of an epoch */
    struct train_sum {
        double loss;
        uint64_t steps;
    } sum; /* since the last row of the history */
    struct train_history history;
};

/* What is particular to a task. */
struct train_task_ops {
    /* The network alone; gives its output. */
    int (*network)(const struct train *train, struct compose *c, int pictures, enum net_form form);
    /* The network at a batch, with inputs of its own and the loss, which it gives. */
    int (*loss)(const struct train *train, struct compose *c);
    /* Fills the inputs of the plan. */
    void (*fill)(const struct train *train, const struct sample_batch *batch);
    /* How good the folded network is over a set. */
    int (*measure)(struct train *train, const struct samples_set *set,
                   struct train_figures *figures, struct error *err);
    const char *output; /* name */
    bool begins;        /* what it is before the first step is worth a row of the history */
};
extern const struct train_task_ops train_segment, train_superres;
const struct train_task_ops *train_ops(const struct train *train);

/* Whether labels are learnt from. */
bool train_is_labelled(const struct train *train);
/* What the figures are called; NULL where there is none. */
const char *train_figure_name(const struct train *train, size_t figure);
void train_figures_clear(struct train_figures *figures); /* nothing measured */
/* Whole pictures of the set one by one, each once, with the same damage every time. */
int train_open_whole(const struct train *train, const struct samples_set *set,
                     struct samples **samples, struct error *err);
/* Accuracy of classes, and as the given figure their mean. */
void train_figures_of_scores(struct train_figures *figures, size_t figure,
                             const struct scores *scores);

/* train_data.c */
int train_data_open(struct train *train, struct error *err);
void train_data_close(struct train *train);
/* What a set is called in the configuration. */
struct train_key {
    char text[32];
};
struct train_key train_source_key(const struct train *train, size_t source);
/* By how many pixels each class has among the pictures to learn from. */
int train_weigh_classes(struct train *train, struct error *err);
/* By how well each was found; systems of weights are relative to the mean over classes. */
void train_weigh_tail(struct train *train, const struct train_figures *figures);

/* train_golden.c */
/* Reads the card of the model that labels, if one has to; sources are open. */
int train_golden_open(struct train *train, struct error *err);
/* Labels all pictures of the sets that have no labels of their own. The device is open. */
int train_golden_label(struct train *train, struct error *err);
/* How many pictures of a set have labels from that model. */
size_t train_golden_count(const struct samples_set *set);
void train_golden_close(struct train *train);

/* train_state.c */
/* Goes on from the newest checkpoint of the out folder, where there is one. */
int train_resume(struct train *train, struct error *err);
/* Whether the config starts from a model folder, not from a training's. */
bool train_starts_from_model(const struct train_config *config);
/* Takes over the weights of a model, all of them, or of another training, as far as they have the same
 * names and shapes. */
int train_start_from(struct train *train, const char *folder, struct error *err);
/* Refuses to keep numbers that are not finite. */
int train_save(const struct train *train, struct error *err);

/* train_analytics.c */
int train_analytics_open(struct train *train, struct error *err);
void train_analytics_close(struct train *train);
/* Of the head, in the card's order. */
size_t train_analytics_outputs(const struct train *train);
/* What the network says of pictures (Nx3xHxW, RGB in 0..1). */
void train_analytics_add(const struct train *train, struct compose *c, int pictures,
                         const char *prefix, int outputs[HEAD_OUTPUTS_MAX]);
int train_analytics_distance(const struct train *train, struct compose *c, const int *restored,
                             const int *source);
/* Values of a graph: labels and a weight for each class, twice, as cross-entropy and soft IoU want them. */
struct train_labels {
    int labels, weights, maps, seen_weights;
};
/* Both together. */
int train_analytics_labels(struct compose *c, int scores, const struct train_labels *wanted);

/* train_answers.c */
bool train_answers_known(int head_kind);
/* One output of restored pictures, and of their sources. */
int train_answers_apart(const struct train *train, struct compose *c, int says, int wanted);

/* The plan's input of that name, which there is. */
const struct tensor *train_input(const struct train *train, const char *name);
/* Brings model and folded up to date with what was learnt. */
int train_fold(struct train *train, struct error *err);

#endif
