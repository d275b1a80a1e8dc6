/* picture_compare: whether a picture that went through an encoder and a decoder is still the same one. */
#ifndef RUNESPOOR_MEDIA_PICTURE_COMPARE_H
#define RUNESPOOR_MEDIA_PICTURE_COMPARE_H

#include "media/picture.h"

/* Mean difference of luma, 0 to 255; 255 for another size. */
double picture_difference(const struct picture *a, const struct picture *b);
/* What a few bits leave of a picture a is alike; another one, and one that is flat where a is not, are not. */
bool picture_is_alike(const struct picture *a, const struct picture *b);

#endif
