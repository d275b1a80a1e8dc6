/* fault_run: a lossless stream of a video file through both daemons, one of which is killed by SIGKILL at
 * a point that a seed chooses, and started again; then the file of answers is compared with the list of
 * frames. */
#ifndef RUNESPOOR_TESTS_FAULT_RUN_H
#define RUNESPOOR_TESTS_FAULT_RUN_H

#include "harness.h"

struct fault_result {
    char point[64]; /* in words */
    unsigned kills;
    size_t missing, twice; /* of the frames */
    uint64_t recovery_ms;  /* longest time from a kill to the next answer in the file */
};

/* Frames of the stream; make the clip once, with fault_clip. */
#define FAULT_FRAMES 60u
void fault_clip(const struct scratch *scratch);

/* One run with new files; fails the test where something hangs. */
void fault_run(const struct scratch *scratch, uint64_t seed, struct fault_result *result);

/* Compares the lines of FOLDER/NAME (and of NAME.1 and so on) with frames 0..count-1 of a stream. */
void fault_compare(const struct scratch *scratch, const char *name, size_t count, size_t *missing,
                   size_t *twice);

#endif
