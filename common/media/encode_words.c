/* encode_words: encoders in words: their names and where they are. */
#include "media/encode.h"
#include "media/encode_library.h"

const char *encoder_library_name(enum video_codec codec, enum encoder_kind kind)
{
    const struct encode_library *library = encode_library_find(codec, kind);
    return library ? library->name : NULL;
}

const char *encoder_device_name(enum encoder_kind kind)
{
    static const char *const names[ENCODER_KIND_COUNT] = {
        [ENCODER_SOFTWARE] = "cpu",   [ENCODER_AUTO] = "",        [ENCODER_NVENC] = "nvidia",
        [ENCODER_VAAPI] = "/dev/dri", [ENCODER_QSV] = "/dev/dri", [ENCODER_V4L2M2M] = "/dev/video",
    };
    return names[kind];
}
