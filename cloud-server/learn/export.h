/* export: what a training leaves: a folder with the folded network as ONNX and a page that tells where it
 * comes from, and for a segmenter a card and a sample picture, so that it is a model that can serve. */
#ifndef RUNESPOOR_LEARN_EXPORT_H
#define RUNESPOOR_LEARN_EXPORT_H

#include "base/text.h"
#include "learn/train_parts.h"

#define EXPORT_FOLDER "model" /* in the out folder */
#define EXPORT_PAGE "CARD.md"

/* Writes OUT/model from train->folded, and tries the model as a worker would. */
int train_export(struct train *train, struct error *err);

/* export_card.c: texts. sample: file name of the sample picture. analysis: what was found in it; NULL: not
 * looked for yet, the card then expects anything. */
void export_write_card(struct text *text, const struct train *train, const char *sample,
                       const struct analysis *analysis);
void export_write_page(struct text *text, const struct train *train);

#endif
