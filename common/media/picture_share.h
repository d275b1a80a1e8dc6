/* picture_share: picture_get_pool is in picture.h. */
#ifndef RUNESPOOR_MEDIA_PICTURE_SHARE_H
#define RUNESPOOR_MEDIA_PICTURE_SHARE_H

#include "media/picture.h"

#endif
