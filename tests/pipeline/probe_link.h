/* probe_link: one agent and one server with a slow line between them (probe_line.h), a stream over it, and
 * what became of its frames and probes. */
#ifndef RUNESPOOR_TESTS_PROBE_LINK_H
#define RUNESPOOR_TESTS_PROBE_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_FRAMES_MAX 4000u

/* A generated clip over the link. */
struct link_plan {
    uint32_t link_kbps;   /* of the uplink, by the bits of IP packets */
    uint32_t burst_bytes; /* that it lets through at once (probe_line.h); 0: a serial line */
    uint32_t live_kbps;   /* of the rung */
    uint32_t width, height, fps, seconds;
    double share; /* of the bits, for probes; 0: none */
};

struct link_frame {
    uint64_t number;
    double age_ms;     /* when its answer came */
    bool beside_probe; /* a probe was there to be sent in that time */
};

struct link_seen {
    struct link_frame frames[LINK_FRAMES_MAX]; /* that were analysed, in order */
    size_t frame_count, captured;
    double sent_bytes, probe_bytes; /* of messages, as the agent counts them */
    double link_bytes;              /* IP packets that went up the line */
    unsigned slices;                /* packets as large as one that holds a full slice */
    unsigned slices_behind;         /* of these: that found a frame or slice in the line */
    unsigned probes_sent, probes_scored, probes_other;
    double dropped, dropped_no_credit, dropped_encoder_late; /* frames, by the agent */
    bool told_full;                                          /* the agent said that a probe waits */
    bool waits;                                              /* at the end one did */
};

/* Makes everything, streams the clip, takes everything down. Fails the test where something is not as it
 * should be. */
void link_run(const struct link_plan *plan, struct link_seen *seen);

#endif
