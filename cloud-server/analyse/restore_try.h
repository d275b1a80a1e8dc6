/* restore_try: whether a network can restore at all, and what it does to a picture's size. */
#ifndef RUNESPOOR_ANALYSE_RESTORE_TRY_H
#define RUNESPOOR_ANALYSE_RESTORE_TRY_H

#include "base/error.h"
#include <stdint.h>

#define RESTORE_SCALE_MAX 8u /* a network makes a picture larger by at most this much */

struct restore_network {
    uint32_t scale; /* it makes pictures this much wider and higher: 1 to RESTORE_SCALE_MAX */
    uint32_t width, height; /* of the only pictures that it reads; 0: any */
    uint64_t parameter_count;
};

/* Reads the file and puts the network in front of nothing, as restore_embed does: what that refuses is
 * refused here, and so is a network that gives anything but 1 to RESTORE_SCALE_MAX times the size. */
int restore_try_network(struct restore_network *network, const char *file, struct error *err);

#endif
