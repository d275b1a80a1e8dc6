/* picture_file: a still picture is a video of one picture to FFmpeg, so a source reads it. */
#include "media/record.h"
#include "media/source.h"

int picture_read_file(struct picture **picture, const char *path, struct error *err)
{
    const struct source_config config = { .kind = SOURCE_FILE, .path = (char *)path };
    struct source *source = NULL;
    int failed = source_open(&source, &config, err);
    if (failed)
        return failed;
    uint64_t time_ns;
    failed = source_next(source, picture, &time_ns, err);
    source_close(&source);
    return failed;
}
