/* probe_budget: see the header. */
#include "probe_budget.h"

#include <math.h>

/* Means over about so many frames: longer than from one keyframe to the next. */
#define FRAMES_OF_MEAN 512.0
#define PROBES_OF_MEAN 8.0
/* No more is saved than for so many: a link that was down for an hour is not flooded afterwards. */
#define SAVED_PROBES_MAX 4.0
/* Frames are drawn this much more often than the share is worth, as long as a probe is saved. Once would leave
 * what is saved to drift up and down at random, to its limit, where it is lost; in more haste frames would be
 * drawn in step with what is saved, and so with keyframes. */
#define HASTE 2.0
/* And pieces go this much faster than their bits are saved: the slower, the less a link has to carry at once;
 * but what passes until a probe is drawn and while it goes must not be longer than saving takes. */
#define PACE 2.0
#define FRAME_S_MIN 1e-4
#define PACE_S_MAX 60.0 /* a stream that stood still has no rate to go by */
/* The logarithm of a chance rises by so much with each deviation, up to so many above the mean. */
#define RELATIVE_SLOPE 0.5
#define RELATIVE_TOP 2.0

/* A plain mean of the first ones, then one that follows. seen counts this one. */
static void follow(double *mean, double value, uint64_t seen, double count)
{
    *mean += (value - *mean) / fmin((double)seen, count);
}

void probe_budget_init(struct probe_budget *budget, const struct probe_budget_config *config,
                       double probe_bytes, uint64_t seed)
{
    *budget = (struct probe_budget){
        .config = *config,
        .probe_bytes = probe_bytes,
    };
    random_seed(&budget->random, seed);
}

void probe_budget_set_config(struct probe_budget *budget, const struct probe_budget_config *config)
{
    budget->config = *config;
}

void probe_budget_on_frame(struct probe_budget *budget, double wire_bytes, double elapsed_s)
{
    const struct probe_budget_config *config = &budget->config;
    /* So much of all that is sent, the probes' own bits included, is the share. */
    double gain = config->share < 1 ? wire_bytes * config->share / (1 - config->share) : wire_bytes;
    double unused = config->uplink_kbps * 125 * elapsed_s - wire_bytes;
    if (config->uplink_kbps > 0 && unused > 0)
        gain += unused * config->unused_share;
    follow(&budget->gain_bytes, gain, ++budget->frames, FRAMES_OF_MEAN);
    follow(&budget->frame_s, elapsed_s, budget->frames, FRAMES_OF_MEAN);
    /* By the mean, so that frames behind a keyframe are not drawn more often than others; but never more than
     * frames have earned: means of the first ones are high, for a stream begins with a keyframe. */
    budget->earned_bytes += gain;
    double saved = fmin(budget->gain_bytes, budget->earned_bytes);
    budget->earned_bytes -= saved;
    budget->saved_bytes = fmin(budget->saved_bytes + saved, SAVED_PROBES_MAX * budget->probe_bytes);
}

double probe_budget_relative(struct probe_budget *budget, double uncertainty)
{
    double off = uncertainty - budget->uncertainty_mean, variance = budget->uncertainty_variance;
    double above = variance > 0 ? off / sqrt(variance) : RELATIVE_TOP;
    double relative = fmin(fmax(exp(RELATIVE_SLOPE * (above - RELATIVE_TOP)), PROBE_RELATIVE_MIN), 1);
    follow(&budget->uncertainty_mean, uncertainty, ++budget->answers, FRAMES_OF_MEAN);
    follow(&budget->uncertainty_variance, off * (uncertainty - budget->uncertainty_mean),
           budget->answers, FRAMES_OF_MEAN);
    follow(&budget->relative_mean, relative, budget->answers, FRAMES_OF_MEAN);
    return relative;
}

bool probe_budget_draw(struct probe_budget *budget, double relative)
{
    if (budget->saved_bytes < budget->probe_bytes)
        return false;
    double mean = budget->answers > 0 ? budget->relative_mean : 1;
    double due = HASTE * budget->gain_bytes / (budget->probe_bytes * mean);
    return random_next_unit(&budget->random) < fmin(due, 1) * relative;
}

bool probe_budget_allows(const struct probe_budget *budget, double wire_bytes)
{
    return budget->saved_bytes >= wire_bytes;
}

void probe_budget_spend(struct probe_budget *budget, double wire_bytes)
{
    budget->saved_bytes -= wire_bytes;
}

double probe_budget_pace_s(const struct probe_budget *budget, double wire_bytes)
{
    double rate = PACE * budget->gain_bytes / fmax(budget->frame_s, FRAME_S_MIN);
    return rate > 0 ? fmin(wire_bytes / rate, PACE_S_MAX) : PACE_S_MAX;
}

void probe_budget_on_probe(struct probe_budget *budget, double wire_bytes)
{
    follow(&budget->probe_bytes, wire_bytes, ++budget->probes, PROBES_OF_MEAN);
}
