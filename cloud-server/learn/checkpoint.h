/* checkpoint: all that a training needs to go on, as named parts of one file with a checksum. A file is
 * there whole or not at all, and the newest two are kept, so a run that is killed or finds the disk full
 * has one to go on from. Numbers are written as this machine has them. One thread. */
#ifndef RUNESPOOR_LEARN_CHECKPOINT_H
#define RUNESPOOR_LEARN_CHECKPOINT_H

#include "base/error.h"
#include <stddef.h>
#include <stdint.h>

#define CHECKPOINTS_KEPT 2u
#define CHECKPOINT_BYTES_MAX ((size_t)8 << 30)
#define CHECKPOINT_PARTS_MAX 100000u
#define CHECKPOINT_NAME_BYTES_MAX 512u

struct checkpoint_part {
    const char *name; /* need not be different from others */
    const void *data;
    size_t size;
};

/* Writes FOLDER/checkpoint-STEP.state, then removes all but the newest two. After an error those that
 * were there are untouched. */
int checkpoint_write(const char *folder, uint64_t step, const struct checkpoint_part *parts,
                     size_t count, struct error *err);

struct checkpoint;

/* Reads the newest one that is not damaged; *checkpoint is NULL when there is none. *damaged tells of
 * the last one that had to be passed over (code ERROR_NONE: none had to). */
int checkpoint_read(struct checkpoint **checkpoint, const char *folder, struct error *damaged,
                    struct error *err);
uint64_t checkpoint_step(const struct checkpoint *checkpoint);
/* In the order in which they were written; the name ends with a NUL. */
const struct checkpoint_part *checkpoint_parts(const struct checkpoint *checkpoint, size_t *count);
void checkpoint_free(struct checkpoint **checkpoint); /* takes NULL */

#endif
