/* train_config: what train.yaml says. */
#ifndef RUNESPOOR_LEARN_TRAIN_CONFIG_H
#define RUNESPOOR_LEARN_TRAIN_CONFIG_H

#include "learn/data.h"
#include "learn/samples.h"
#include "learn/schedule.h"

enum train_task { TRAIN_SEGMENT, TRAIN_SUPERRES };

/* What a restored picture is held against the source by. */
enum train_pixel_loss { PIXEL_CHARBONNIER, PIXEL_L1 };

/* How much each class counts. */
enum train_weights {
    WEIGHTS_PLAIN,     /* all the same */
    WEIGHTS_FREQUENCY, /* more, the fewer pixels it has */
    WEIGHTS_TAIL,      /* more, the worse it was found last, on pictures that are held back */
};

/* What a frozen network has to say of restored pictures. */
enum train_analytics_loss { ANALYTICS_L2, ANALYTICS_L1, ANALYTICS_LABELS, ANALYTICS_ANSWERS };

struct train_analytics_config {
    char *model; /* folder; empty: none */
    int loss;    /* enum train_analytics_loss */
    double share;
};

struct train_optimiser {
    int kind; /* enum optimiser */
    double momentum, weight_decay, clip, average;
};

/* What is said of the model where it is written. */
struct train_model {
    char *name, *licence, *note, *sample;
};

struct train_config {
    int task; /* enum train_task */
    struct data_config data, validation;
    struct option_list more; /* struct data_config, each learnt from as data is */
    double held_back;
    char *golden; /* folder of the model that labels what has none; empty: see train.md */
    int size;     /* enum net_size */
    uint32_t width, height, crop_width, crop_height;
    uint32_t batch, crops, epochs, steps, measure_epochs;
    struct samples_augment augment;
    struct samples_damage damage;
    struct option_list rate; /* struct schedule_part */
    struct train_optimiser optimiser;
    int weights;    /* enum train_weights */
    int pixel_loss; /* enum train_pixel_loss */
    struct train_analytics_config analytics;
    char *start;
    double start_share;
    uint32_t seed;
    int precision; /* enum precision */
    char *device;
    uint32_t threads;

    /* From here on nothing changes what is learnt. */
    char *out;
    uint32_t checkpoint_steps, loaders, cache_mib;
    struct train_model model;

    char *recipe; /* not a key: everything above `out` as YAML; freed by train_config_free */
};
extern const struct option_spec train_options[];

/* config_load with the checks of this file; *loaded as config_load leaves it. */
int train_config_load(struct config **loaded, struct train_config *config, const char *path,
                      const char *const *sets, size_t set_count, struct error *err);
void train_config_free(struct config **loaded, struct train_config *config);

#endif
