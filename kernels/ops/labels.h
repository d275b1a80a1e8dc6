/* labels: what the attributes of label_map and confusion mean. */
#ifndef RUNESPOOR_OPS_LABELS_H
#define RUNESPOOR_OPS_LABELS_H

#include "graph/graph.h"

#define LABELS_MAX 256         /* planes of scores */
#define LABELS_CLASSES_MAX 255 /* classes: the last label is none */
#define LABELS_NONE 255

/* names[p]: the label of pixels in which plane p is the largest. */
int label_map_resolve(const struct node *node, int64_t planes, uint8_t names[LABELS_MAX],
                      struct error *err);
int confusion_resolve(const struct node *node, int64_t *classes, struct error *err);

#endif
