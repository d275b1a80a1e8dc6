/* picture_share: see picture_pool_take_frame, which leaves the pool's address in the frame. */
#include "media/picture_share.h"

#include <libavutil/frame.h>

const struct picture_pool *picture_get_pool(const struct picture *picture)
{
    return picture_frame(picture)->opaque;
}
