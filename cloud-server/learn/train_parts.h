/* train_parts: what the files of a training share. Nobody outside of learn/train*.c includes this. */
#ifndef RUNESPOOR_LEARN_TRAIN_PARTS_H
#define RUNESPOOR_LEARN_TRAIN_PARTS_H

#include "analyse/analysis.h"
#include "device.h"
#include "graph/compose.h"
#include "learn/nets.h"
#include "learn/samples.h"
#include "learn/train_config.h"
#include "learn/train_history.h"

/* Some pictures of a data set. */
struct train_set {
    struct data *data; /* borrowed */
    size_t *numbers, count;
    uint8_t classes[256]; /* the network's class of each label value, or SAMPLES_IGNORE */
};

struct train {
    const struct train_config *config;
    struct data *data, *validation; /* validation: NULL where pictures of data are held back */
    struct train_set learnt, measured;
    uint32_t class_count;
    const char *class_names[ANALYSIS_AREAS_MAX]; /* borrowed from data */
    float class_weights[ANALYSIS_AREAS_MAX];

    struct device *device;
    enum precision precision;
    struct graph *model;  /* the trained form, with the weights of the last train_fold */
    struct graph *folded; /* the same folded, for one whole picture */
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
    /* Accuracy of the folded network over the measured pictures. */
    int (*measure)(struct train *train, double *accuracy, struct error *err);
    const char *output, *accuracy; /* words */
    bool labelled;                 /* learns from labels */
    bool begins; /* what it is before the first step is worth a row of the history */
};
extern const struct train_task_ops train_segment, train_superres;
const struct train_task_ops *train_ops(const struct train *train);

/* train_data.c */
int train_data_open(struct train *train, struct error *err);
void train_data_close(struct train *train);
/* By how many pixels each class has among the pictures to learn from. */
int train_weigh_classes(struct train *train, struct error *err);

/* train_state.c */
/* Goes on from the newest checkpoint of the out folder, where there is one. */
int train_resume(struct train *train, struct error *err);
/* Refuses to keep numbers that are not finite. */
int train_save(const struct train *train, struct error *err);

/* The plan's input of that name, which there is. */
const struct tensor *train_input(const struct train *train, const char *name);
/* Brings model and folded up to date with what was learnt. */
int train_fold(struct train *train, struct error *err);

#endif
