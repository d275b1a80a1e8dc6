/* decode_fuzz: any bytes as packets of a stream: the first byte says the codec; then packets, each with two
 * bytes of length (little end first) and one that says whether it is called a keyframe. What is given out
 * has to lie within the limits. */
#include "media/decode.h"

#include <assert.h>
#include <stdint.h>

#define SIDE_MAX 256u
#define HEAD_BYTES 3u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void play(struct decoder *decoder, const uint8_t *data, size_t size)
{
    while (size > HEAD_BYTES) {
        size_t length = (size_t)data[0] | (size_t)data[1] << 8;
        bool keyframe = data[2] & 1;
        data += HEAD_BYTES;
        size -= HEAD_BYTES;
        if (length > size)
            length = size;
        struct picture *picture = NULL;
        struct picture_view view;
        struct error err;
        int rc = decoder_decode(decoder, data, length, keyframe, &picture, &err);
        assert((rc == 0) == (picture != NULL));
        if (picture) {
            picture_get_view(picture, &view);
            assert(view.width <= SIDE_MAX && view.height <= SIDE_MAX);
        }
        picture_unref(&picture);
        data += length;
        size -= length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct decoder *decoder = NULL;
    struct error err;
    if (size < 1)
        return 0;
    const struct decoder_config config = {
        .codec = (enum video_codec)(data[0] % VIDEO_CODEC_COUNT),
        .width_max = SIDE_MAX,
        .height_max = SIDE_MAX,
        .pictures = 1,
    };
    if (decoder_open(&decoder, &config, &err) == 0)
        play(decoder, data + 1, size - 1);
    decoder_close(&decoder);
    return 0;
}
