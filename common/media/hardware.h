/* hardware: why an encoder or decoder in hardware does not work on this box. */
#ifndef RUNESPOOR_MEDIA_HARDWARE_H
#define RUNESPOOR_MEDIA_HARDWARE_H

#include "base/error.h"
#include <stdbool.h>

/* Puts before *err, which came from an encoder, a decoder or a trial of one, what it means and what to do, where
 * that is known. Gives the reason as a word: one of those that docs/operate.md lists under "Codecs". */
const char *hardware_explain_failure(struct error *err);
/* True for a reason that says no more than that the box has nothing of this kind. */
bool hardware_reason_is_absence(const char *reason);

/* The first GPU under /dev/dri that may be opened, for VAAPI. place: who asks, for the error. -ERROR_UNSUPPORTED: there is none. */
#define HARDWARE_NODE_BYTES 32u
int hardware_find_gpu(const char *place, char path[HARDWARE_NODE_BYTES], struct error *err);

#endif
