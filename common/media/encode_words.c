/* encode_words: encoders in words: their names, where they are, and why one does not work here. What FFmpeg
 * and the drivers say is looked up in a table; what is not in there is passed on as it is. */
#include "media/encode.h"
#include "media/encode_library.h"
#include <string.h>

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

#define NO_LIBRARY "not_built_in"
#define NO_DRIVER "no_driver"
#define NO_DEVICE "no_device"

/* What an error's text has in it, and what that means. NVIDIA's session limit comes as a lack of memory,
 * and is followed by a line that there is no device: it is looked for first. */
static const struct {
    const char *part, *reason, *meaning;
} meanings[] = {
    { "OpenEncodeSessionEx failed: out of memory",
      "session_limit", "the GPU has as many encoding sessions as its driver allows: end another one, or take another encoder" },
    { "OpenEncodeSessionEx failed: incompatible client key",
      "session_limit", "the GPU has as many encoding sessions as its driver allows: end another one, or take another encoder" },
    { "this libavcodec has no", NO_LIBRARY, NULL },
    { "Cannot load libcuda", NO_DRIVER, "no NVIDIA driver here" },
    { "Cannot load libnvidia-encode", NO_DRIVER,
      "the NVIDIA driver here came without its encoding library (libnvidia-encode1)" },
    { "does not support the required nvenc API", NO_DRIVER, "the NVIDIA driver here is too old" },
    { "cuInit(0) failed", NO_DEVICE, "the NVIDIA driver finds no GPU" },
    { "No capable devices found", NO_DEVICE, "no NVIDIA GPU here encodes this" },
    { "internal MFX session", NO_DRIVER, "no Intel GPU here, or no driver for its media part" },
    { "no /dev/dri/renderD*", NO_DEVICE, NULL },
    { "No VA display found", NO_DRIVER, "no VA-API driver for the GPU here" },
    { "Failed to initialise VAAPI", NO_DRIVER, "no VA-API driver for the GPU here" },
    { "No usable encoding profile", NO_DEVICE, "the GPU here does not encode this" },
    { "No usable encoding entrypoint", NO_DEVICE, "the GPU here does not encode this" },
    { "Could not find a valid device", NO_DEVICE, "no /dev/video* here encodes this" },
    { "was held back", "held_back", NULL },
    { "comes back", "bad_picture", NULL },
};

const char *encoder_explain_failure(struct error *err)
{
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        if (!strstr(err->text, meanings[i].part))
            continue;
        if (meanings[i].meaning)
            error_wrap(err, "%s", meanings[i].meaning);
        return meanings[i].reason;
    }
    return "failed";
}

bool encoder_reason_is_absence(const char *reason)
{
    return strcmp(reason, NO_LIBRARY) == 0 || strcmp(reason, NO_DRIVER) == 0 ||
           strcmp(reason, NO_DEVICE) == 0;
}
