/* config_fuzz: any bytes as a configuration; what follows a NUL byte is given as --set instead.
 * Mistakes must be one printable line each; what loads must be within its bounds, and what is
 * printed of it must load again to the same, unless a secret was hidden in it. */
#include "config/config.h"

#include "../unit/config/sample.h"
#include "base/text.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_problems(const struct config *config)
{
    for (size_t i = 0; i < config_problem_count(config); i++) {
        const char *problem = config_problem(config, i);
        size_t size = strlen(problem);
        assert(size > 0);
        for (size_t at = 0; at < size;) {
            size_t bytes = text_utf8_bytes(problem + at, size - at);
            assert(bytes > 0 && (unsigned char)problem[at] >= 0x20);
            at += bytes;
        }
    }
}

static void check_rung(const struct sample_rung *rung)
{
    assert(rung->fps >= 1 && rung->fps <= 240);
    assert(rung->quality >= 0 && rung->quality <= 1);
    assert(rung->codec >= 0 && rung->codec <= 2);
}

static void check_values(const struct sample *sample)
{
    assert(strlen(sample->log) <= CONFIG_STRING_BYTES_MAX);
    assert(sample->cameras.count <= 3);
    const struct sample_camera *cameras = sample->cameras.items;
    for (size_t i = 0; i < sample->cameras.count; i++) {
        assert(strlen(cameras[i].name) > 0);
        assert(cameras[i].url && cameras[i].password && cameras[i].tags.count <= 3);
        check_rung(&cameras[i].rung);
    }
    const struct sample_rung *spare = sample->spare.items;
    for (size_t i = 0; i < sample->spare.count; i++)
        check_rung(&spare[i]);
    assert(sample->link.timeout_s >= 0.1 && sample->link.timeout_s <= 60);
    assert(isfinite(sample->link.real));
    assert(sample->classes.count >= 1 && sample->classes.count <= 4);
    for (size_t i = 0; i < sample->classes.count; i++)
        assert(strlen(sample->classes.items[i]) <= CONFIG_STRING_BYTES_MAX);
}

static char *print(const struct config *config, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    assert(out);
    config_print(config, out);
    fclose(out);
    return text;
}

static void check_printout(const struct config *config, const struct sample *sample)
{
    size_t size;
    char *text = print(config, &size);
    struct sample again = { 0 };
    struct config *config_again = NULL;
    int result = config_load_text(&config_again, sample_options, &again, "again", text, size, NULL);
    if (!strstr(text, "***") && size <= CONFIG_FILE_BYTES_MAX) {
        assert(result == 0);
        assert(strcmp(sample->log, again.log) == 0);
        assert(sample->cameras.count == again.cameras.count);
        assert(sample->link.real == again.link.real);
        assert(sample->classes.count == again.classes.count);
        for (size_t i = 0; i < again.classes.count; i++)
            assert(strcmp(sample->classes.items[i], again.classes.items[i]) == 0);
    }
    config_free(&config_again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sample sample = { 0 };
    struct config *config = NULL;
    struct error err;
    int result;
    const uint8_t *nul = memchr(data, '\0', size);
    if (nul) {
        size_t set_size = size - (size_t)(nul - data) - 1;
        char *set = calloc(1, set_size + 1);
        assert(set);
        memcpy(set, nul + 1, set_size);
        const char *const sets[] = { "cameras.0.name=gate", set, set };
        result = config_load(&config, sample_options, &sample, NULL, sets, 3, &err);
        free(set);
    } else {
        result = config_load_text(&config, sample_options, &sample, "fuzz", (const char *)data,
                                  size, &err);
    }
    if (!config)
        return 0; /* no memory */
    assert((result == 0) == (config_problem_count(config) == 0));
    if (result == 0) {
        check_values(&sample);
        check_printout(config, &sample);
    }
    config_add_problem(config, "cameras.0.rung.fps", "is one mistake more");
    check_problems(config);
    config_free(&config);
    return 0;
}
