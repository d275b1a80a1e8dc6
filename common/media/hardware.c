/* hardware: see the header. What FFmpeg and the drivers say is looked up in a table; what is not in there is
 * passed on as it is. */
#include "media/hardware.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NODE_FIRST 128u
#define NODES 16u

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
    { "Cannot load libnvcuvid", NO_DRIVER,
      "the NVIDIA driver here came without its decoding library (libnvcuvid1)" },
    { "Hardware is lacking required capabilities", NO_DEVICE, "the GPU here does not decode this" },
    { "Could not find a valid device", NO_DEVICE, "no /dev/video* here does this" },
    { "does not do this codec", NO_DEVICE, NULL },
    { "was held back", "held_back", NULL },
    { "comes back", "bad_picture", NULL },
};

const char *hardware_explain_failure(struct error *err)
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

bool hardware_reason_is_absence(const char *reason)
{
    return strcmp(reason, NO_LIBRARY) == 0 || strcmp(reason, NO_DRIVER) == 0 ||
           strcmp(reason, NO_DEVICE) == 0;
}

int hardware_find_gpu(const char *place, char path[HARDWARE_NODE_BYTES], struct error *err)
{
    for (unsigned i = 0; i < NODES; i++) {
        snprintf(path, HARDWARE_NODE_BYTES, "/dev/dri/renderD%u", NODE_FIRST + i);
        if (access(path, R_OK | W_OK) == 0)
            return 0;
    }
    return error_set(err, ERROR_UNSUPPORTED, place, "no /dev/dri/renderD* that may be opened");
}
