/* train_figures: what is measured of each task, and what it is called. */
#include "learn/train_parts.h"

#include <math.h>

bool train_is_labelled(const struct train *train)
{
    const struct train_config *config = train->config;
    return config->task == TRAIN_SEGMENT ||
           (*config->analytics.model && config->analytics.loss == ANALYTICS_LABELS);
}

const char *train_figure_name(const struct train *train, size_t figure)
{
    bool segments = train->config->task == TRAIN_SEGMENT;
    if (figure == 0)
        return segments ? "miou" : "psnr_db";
    if (segments)
        return train->config->damage.drawn_count > 0 ? "miou_received" : NULL;
    if (!*train->config->analytics.model)
        return NULL;
    return train_is_labelled(train) ? "miou" : "distance";
}

void train_figures_clear(struct train_figures *figures)
{
    for (size_t f = 0; f < TRAIN_FIGURES; f++)
        figures->figures[f] = (double)NAN;
    for (size_t k = 0; k < ANALYSIS_AREAS_MAX; k++)
        figures->classes[k] = (double)NAN;
}

int train_open_whole(const struct train *train, const struct samples_set *set,
                     struct samples **samples, struct error *err)
{
    struct samples_config config = train->samples;
    config.crop_width = config.width;
    config.crop_height = config.height;
    config.batch = config.crops = 1;
    config.augment = (struct samples_augment){ .scale_min = 1, .scale_max = 1 };
    config.seed = 0;
    config.once = true;
    return samples_open(samples, set, &config, 0, err);
}

void train_figures_of_scores(struct train_figures *figures, size_t figure, const struct scores *scores)
{
    double sum = 0;
    uint32_t present = scores_of_classes(scores, NULL, scores_frame_count(scores), figures->classes);
    for (uint32_t k = 0; k < scores_class_count(scores); k++)
        sum += isnan(figures->classes[k]) ? 0 : figures->classes[k];
    figures->figures[figure] = present > 0 ? sum / present : (double)NAN;
}
