/* source: the option table, and the choice between the kinds. */
#include "media/source.h"
#include "media/source_kinds.h"

#include <assert.h>
#include <stdlib.h>

static const char *const source_kinds[] = { "file", "test", NULL };

const struct option_spec source_options[] = {
    OPTION_ENUM(source_config, kind, "file", source_kinds,
                "a video file, or a generated moving test picture"),
    OPTION_STRING(source_config, path, "", "kind file: the video file"),
    OPTION_BOOL(source_config, loop, "false", "kind file: start again at the end"),
    OPTION_U32(source_config, width, "768", 16, 8192, "px", "kind test: width"),
    OPTION_U32(source_config, height, "576", 16, 8192, "px", "kind test: height"),
    OPTION_U32(source_config, fps, "10", 1, 240, "1/s", "kind test: pictures each second"),
    OPTION_U32(source_config, seconds, "0", 0, 1000000, "s", "kind test: length; 0: for ever"),
    OPTION_END,
};

struct source {
    struct source_info info;
    struct source_file *file; /* one of these two, the other is NULL */
    struct test_picture *test;
};

int source_open(struct source **source, const struct source_config *config, struct error *err)
{
    assert(source && config);
    struct source *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "source", "no room for a source");
    int failed = config->kind == SOURCE_TEST
                     ? test_picture_open(&fresh->test, config, &fresh->info, err)
                     : source_file_open(&fresh->file, config, &fresh->info, err);
    if (failed) {
        free(fresh);
        return failed;
    }
    *source = fresh;
    return 0;
}

void source_get_info(const struct source *source, struct source_info *info)
{
    *info = source->info;
}

int source_next(struct source *source, struct picture **picture, uint64_t *time_ns, struct error *err)
{
    assert(source && picture && time_ns);
    return source->test ? test_picture_next(source->test, picture, time_ns, err)
                        : source_file_next(source->file, picture, time_ns, err);
}

uint64_t source_skipped(const struct source *source)
{
    return source->file ? source_file_skipped(source->file) : 0;
}

void source_close(struct source **source)
{
    assert(source);
    struct source *old = *source;
    *source = NULL;
    if (!old)
        return;
    source_file_close(&old->file);
    test_picture_close(&old->test);
    free(old);
}
