/* enlarge: brings received pictures back to the camera's size as the server's way `bicubic` does it: the same
 * nodes on the same engine, so that who learns from them sees what will be served. One thread. */
#ifndef RUNESPOOR_LEARN_ENLARGE_H
#define RUNESPOOR_LEARN_ENLARGE_H

#include "base/error.h"
#include <stdint.h>

struct enlarge;

struct enlarge_sizes {
    uint32_t width, height;               /* of received pictures */
    uint32_t camera_width, camera_height; /* what they become */
};

int enlarge_open(struct enlarge **enlarge, const struct enlarge_sizes *sizes, struct error *err);
/* 8-bit planes r, g, b without gaps, from and to. (The server does not round in between: half a level of
 * 255 is far below what a codec leaves.) */
int enlarge_run(struct enlarge *enlarge, const uint8_t *from, uint8_t *to, struct error *err);
void enlarge_close(struct enlarge **enlarge); /* sets NULL, takes NULL */

#endif
