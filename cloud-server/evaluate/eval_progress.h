/* eval_progress: one line on a terminal that says how far an evaluation is; nothing anywhere else. And
 * the wish to stop, which is looked at as often. */
#ifndef RUNESPOOR_EVALUATE_EVAL_PROGRESS_H
#define RUNESPOOR_EVALUATE_EVAL_PROGRESS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct eval_progress {
    bool shown;                        /* on a terminal */
    const volatile sig_atomic_t *stop; /* becomes not 0 when the operator wants to stop */
    char what[64];                     /* "reference", "arms 4 to 6 of 12" */
    uint64_t work_done, work_all;      /* pictures times arms, for the time left */
    uint64_t weight;                   /* arms at the same time */
    uint64_t start_ns, drawn_ns;
};

void eval_progress_start(struct eval_progress *progress, const volatile sig_atomic_t *stop);
/* Begins a part: weight is the work of each step. */
void eval_progress_part(struct eval_progress *progress, const char *what, uint64_t weight);
/* A step of the part is done. True when it is to end. */
bool eval_progress_step(struct eval_progress *progress, size_t done, size_t all);
/* Takes the line away, before anything else is printed. */
void eval_progress_clear(struct eval_progress *progress);

#endif
