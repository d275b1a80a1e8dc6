/* restore_parts: what the files of restore share and nobody else needs. */
#ifndef RUNESPOOR_ANALYSE_RESTORE_PARTS_H
#define RUNESPOOR_ANALYSE_RESTORE_PARTS_H

#include "analyse/restore.h"
#include "graph/compose.h"

#define RESTORE_CHANNELS 3

/* The picture at the camera's size: as config->network makes it, in 0..1 but for overshoots. */
int restore_by_network(struct compose *c, const struct restore_config *config, int picture);
/* The same by ONNX's Resize; the picture itself when it has the size. */
int restore_by_resize(struct compose *c, const struct restore_config *config, int picture,
                      const char *mode);

#endif
