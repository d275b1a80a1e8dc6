/* person_score: what a file of answers is worth against true boxes: persons, IoU 0.5. Shared by the
 * bench (tests/bench/vtest_accuracy.c) and the pipeline test, so that both mean the same figures. */
#ifndef RUNESPOOR_TESTS_PERSON_SCORE_H
#define RUNESPOOR_TESTS_PERSON_SCORE_H

#include <stddef.h>
#include <stdint.h>

struct person_score {
    size_t frames;          /* scored, answered or not: those of the truth, or the first ones */
    size_t answered;        /* with status ok */
    size_t dropped, failed; /* answers that say so */
    uint64_t wire_bytes;    /* of all answers; 0 when they do not tell */
    size_t hits, misses;    /* true boxes */
    size_t false_alarms;    /* boxes that lie on nothing true */
    size_t ignored;         /* boxes that lie on a true box that does not count */
};

/* answers: JSON lines as the daemons write them, frame 0 first in the video. truth: gt.txt of
 * MOTChallenge (frame from 1, id, left, top, width, height, flag). frames_max limits the score to the
 * first frames; SIZE_MAX: all of the truth. A frame without an answer counts as one without boxes.
 * A file that cannot be read ends the program with status 1, naming file and line. */
void person_score_read(struct person_score *score, const char *answers, const char *truth,
                       size_t frames_max);

double person_score_recall(const struct person_score *score);
double person_score_precision(const struct person_score *score);
double person_score_f1(const struct person_score *score);

#endif
