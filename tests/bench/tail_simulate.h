/* tail_simulate: a stream that plays a measured rung's video again and again, whose frames become probes as
 * the agent's budget has it, whose samples go into the server's window. For make bench-tail. */
#ifndef RUNESPOOR_TESTS_TAIL_SIMULATE_H
#define RUNESPOOR_TESTS_TAIL_SIMULATE_H

#include "control/tail_window.h"
#include "tail_rung.h"

/* The figures are looked at when there are so many probes. */
#define TAIL_CHECKS 18u
extern const size_t tail_checks[TAIL_CHECKS]; /* rising */

struct tail_check {
    double hours;      /* since the first frame */
    double bits_share; /* of the probes in all that was sent */
    struct tail_figures figures;
};

struct tail_stream {
    const struct tail_rung *rung;
    size_t quality; /* of probes: index of tail_qualities */
    double share;   /* of the bits, for probes */
    bool uncertain; /* frames are drawn by their answer's uncertainty, else all alike */
    bool plain;     /* nobody tells of probes how uncertain they look among others */
    uint64_t seed;
};

/* Plays until there are tail_checks[checks_count - 1] probes; fills checks[0..checks_count - 1]. */
int tail_simulate(const struct tail_stream *stream, struct tail_check *checks, size_t checks_count,
                  struct error *err);

#endif
