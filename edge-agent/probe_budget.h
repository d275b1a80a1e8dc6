/* probe_budget: when a stream has saved the bits for a probe, and which frame becomes one.
 *
 * A share of what is sent is saved, and, where the operator has said what the uplink carries, a share of what is
 * left of it. Frames are drawn only while a whole probe is saved, then each with the same small probability:
 * so the share is used up, and chance decides which frames are seen. Neither depends on what a frame
 * shows, so the frames drawn stand for all of them. Where some are to be
 * drawn more often than others, the probability is multiplied by one that depends on the frame (at most
 * 1) and has to be told with the probe, for its inverse is the sample's weight (Horvitz and Thompson,
 * 1952). Pure state, no clock of its own. One thread. */
#ifndef RUNESPOOR_EDGE_PROBE_BUDGET_H
#define RUNESPOOR_EDGE_PROBE_BUDGET_H

#include "base/random.h"
#include <stdbool.h>
#include <stdint.h>

/* Least and greatest chance of a frame against others. */
#define PROBE_RELATIVE_MIN 0.1

struct probe_budget_config {
    double share;        /* of all bits sent, 0..1; 0: no probes from these */
    double unused_share; /* of what the uplink could carry beside, 0..1 */
    double uplink_kbps;  /* of this stream's part of the uplink; 0: not known, nothing is unused */
};

struct probe_budget {
    struct probe_budget_config config;
    struct random_state random;
    uint64_t frames, answers, probes; /* that the means are of */
    double earned_bytes;              /* by frames, and not yet saved */
    double saved_bytes;
    double gain_bytes;  /* mean of what a frame saves */
    double frame_s;     /* mean time from one to the next */
    double probe_bytes; /* mean of a probe, on the wire; before the first: what is expected */
    double relative_mean, uncertainty_mean, uncertainty_variance; /* of answers */
};

/* probe_bytes: what a probe is expected to need as long as none is known. */
void probe_budget_init(struct probe_budget *budget, const struct probe_budget_config *config,
                       double probe_bytes, uint64_t seed);
/* From now on; what is saved stays. */
void probe_budget_set_config(struct probe_budget *budget, const struct probe_budget_config *config);

/* A frame of the stream went out, elapsed_s after the one before. */
void probe_budget_on_frame(struct probe_budget *budget, double wire_bytes, double elapsed_s);

/* Of a frame whose answer looks as uncertain as this (0..1): its chance against that of others,
 * PROBE_RELATIVE_MIN..1. It grows by half with each deviation of the stream's answers, and is greatest from
 * two above their mean on: tried on make bench-tail's streams, where it made intervals narrowest. */
double probe_budget_relative(struct probe_budget *budget, double uncertainty);
/* Whether this frame becomes a probe. relative: 1 where chance alone decides. */
bool probe_budget_draw(struct probe_budget *budget, double relative);

/* A piece of a probe may go now, and went. */
bool probe_budget_allows(const struct probe_budget *budget, double wire_bytes);
void probe_budget_spend(struct probe_budget *budget, double wire_bytes);
/* How long to wait after a piece of that size: half of what it takes to save as much. */
double probe_budget_pace_s(const struct probe_budget *budget, double wire_bytes);
/* What a whole probe needs, its headers included. */
void probe_budget_on_probe(struct probe_budget *budget, double wire_bytes);

#endif
