/* picture_compare: how far a picture that went through an encoder and a decoder is from what it was. */
#ifndef RUNESPOOR_MEDIA_PICTURE_COMPARE_H
#define RUNESPOOR_MEDIA_PICTURE_COMPARE_H

#include "media/picture.h"

/* Mean difference of luma, 0 to 255; 255 for another size. */
double picture_difference(const struct picture *a, const struct picture *b);

#endif
