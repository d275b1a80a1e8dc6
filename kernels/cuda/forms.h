/* forms: which forms of an op the makers of this folder know. What else its row has is for the reference
 * kernels, which a GPU cannot run. */
#ifndef RUNESPOOR_CUDA_FORMS_H
#define RUNESPOOR_CUDA_FORMS_H

#include "cuda/build.h"

/* -ERROR_UNSUPPORTED where a maker would do something else than the node says. */
int cuda_check_form(struct cuda_build *build, const struct node *node, struct error *err);

#endif
