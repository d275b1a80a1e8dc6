/* eval_reference: what counts as the truth of every scored picture: its labels, or what the golden
 * model says of it at full size and source quality. Worked out once and kept, label maps as runs. */
#ifndef RUNESPOOR_EVALUATE_EVAL_REFERENCE_H
#define RUNESPOOR_EVALUATE_EVAL_REFERENCE_H

#include "analyse/model.h"
#include "evaluate/eval_answer.h"
#include "evaluate/eval_frames.h"
#include "evaluate/eval_progress.h"

#define EVAL_REFERENCE_BYTES_MAX (4ull << 30) /* of all pictures together, label maps as runs */

struct eval_reference;

struct eval_reference_config {
    const struct eval_classes *classes;
    struct eval_frames *frames;
    struct data *data;
    struct model *golden; /* NULL: the labels of data */
    struct eval_progress *progress;
};

/* A picture whose label map is all to be ignored says nothing: it becomes one that is not scored.
 * -ERROR_AGAIN when progress says that it was interrupted. */
int eval_reference_open(struct eval_reference **reference,
                        const struct eval_reference_config *config, struct error *err);
void eval_reference_close(struct eval_reference **reference); /* takes NULL */

/* frame: as in frames, a scored one. The boxes are borrowed. */
const struct score_box *eval_reference_boxes(const struct eval_reference *reference, size_t frame,
                                             size_t *count);
/* A label for each pixel of the source. */
void eval_reference_labels(const struct eval_reference *reference, size_t frame, uint8_t *labels);

#endif
