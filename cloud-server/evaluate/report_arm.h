/* report_arm: one arm of an evaluation with the records of all its frames, and the JSON file that
 * keeps it, so that an evaluation that was interrupted goes on with the arms that are not done. */
#ifndef RUNESPOOR_EVALUATE_REPORT_ARM_H
#define RUNESPOOR_EVALUATE_REPORT_ARM_H

#include "evaluate/scores.h"

#define ARM_FILE_VERSION 1u
#define ARM_TEXT_BYTES_MAX 4096u         /* of each text of an arm */
#define ARM_FILE_BYTES_MAX (1024u << 20) /* a million frames of 80 classes */
#define ARM_SIDE_MAX 65536u              /* of a picture */
#define ARM_STREAM_US_MAX (10ull * 365 * 86400 * 1000000)
#define ARM_STREAM_BYTES_MAX (1ull << 50)

/* What an arm is. Pointers are borrowed for the call. */
struct arm_facts {
    const char *recipe; /* all that its results hang on (data, settings, models), in the caller's
                         * words: with another recipe, results on file are not taken over */
    const char *name, *codec, *rung;
    uint32_t width, height; /* as sent */
    enum score_kind kind;
    const char *const *classes;
    uint32_t class_count;
};

/* Owned by whoever opened it. */
struct arm {
    char *recipe, *name, *codec, *rung;
    uint32_t width, height;
    char **classes; /* as many as scores has */
    /* Of the whole stream, also where only some of its frames are scored. Set by the caller. */
    uint64_t stream_bytes, stream_us;
    struct scores *scores; /* the caller adds the frames */
};

/* Refuses an empty name, a text above ARM_TEXT_BYTES_MAX, and sides of 0. */
int arm_open(struct arm **arm, const struct arm_facts *facts, struct error *err);
void arm_close(struct arm **arm); /* takes NULL */

/* 0 where the stream was not measured. */
double arm_kbps(const struct arm *arm);

/* Writes the file, whole or not at all; refuses an arm without frames. */
int arm_write(const struct arm *arm, const char *path, struct error *err);

/* Reads what arm_write wrote, and checks every field: a file that is not whole or not plausible is
 * an error that says to delete it, as is one of another recipe (NULL: any). */
int arm_read(struct arm **arm, const char *path, const char *recipe, struct error *err);

#endif
