/* picture_share: from a picture to the pool that it lies in, for whoever hands that pool's memory to
 * another process. */
#ifndef RUNESPOOR_MEDIA_PICTURE_SHARE_H
#define RUNESPOOR_MEDIA_PICTURE_SHARE_H

#include "media/picture.h"

/* Borrowed: lives at least as long as the picture. NULL for a picture in private memory. */
const struct picture_pool *picture_get_pool(const struct picture *picture);

#endif
