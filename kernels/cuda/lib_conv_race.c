/* lib_conv_race: an own kernel against the library's best way. */
#include "cuda/lib_conv.h"
#include "cuda/lib_open.h"
#include <string.h>

#define OWN "own"
#define LIBRARY "library"

/* Way 0 is the library's. */
struct race {
    const struct lib_conv *conv;
    const struct lib_conv_spec *spec;
    const struct lib_rival *rival;
    struct gpu *gpu;
    struct lib_conv_arrays arrays;
};

static int race(struct cuda_libraries *libraries, const struct lib_conv_spec *spec,
                const struct lib_rival *rival, const struct lib_conv *conv, bool *is_slower,
                struct error *err);
static int run_either(void *arg, int way, struct error *err);

int lib_conv_make_against(struct cuda_libraries *libraries, const struct lib_conv_spec *spec,
                          const struct lib_rival *rival, struct lib_conv **conv, struct error *err)
{
    struct text key = { 0 };
    struct lib_conv *made = NULL;
    lib_conv_write_key(&key, libraries, spec);
    text_printf(&key, "|against %s", rival->name);
    int rc = key.failed ? error_set(err, ERROR_MEMORY, "cuda", "no memory left") : 0;
    const char *known = rc ? NULL : choices_find(libraries->choices, key.data);
    bool is_slower = known ? strcmp(known, OWN) == 0 : !lib_may_try(libraries);
    if (!rc && !is_slower)
        rc = lib_conv_make(libraries, spec, &made, err);
    if (!rc && made && !known) {
        uint64_t begun_ns = clock_now_ns();
        rc = race(libraries, spec, rival, made, &is_slower, err);
        libraries->trying_ns += clock_now_ns() - begun_ns;
        if (!rc)
            rc = choices_add(libraries->choices, key.data, is_slower ? OWN : LIBRARY, err);
    }
    text_finish(&key);
    if (rc || is_slower)
        lib_conv_free(made);
    else
        *conv = made;
    return rc;
}

static int race(struct cuda_libraries *libraries, const struct lib_conv_spec *spec,
                const struct lib_rival *rival, const struct lib_conv *conv, bool *is_slower,
                struct error *err)
{
    struct race race = { .conv = conv, .spec = spec, .rival = rival, .gpu = libraries->gpu };
    int fastest = -1;
    int rc = lib_conv_lay_out(race.gpu, spec, lib_conv_scratch_bytes(conv), &race.arrays, err);
    if (!rc)
        rc = lib_try(
            &(struct lib_trial){ .gpu = race.gpu, .ways = 2, .run = run_either, .arg = &race },
            &fastest, err);
    gpu_free(race.gpu, race.arrays.memory);
    *is_slower = fastest != 0;
    return rc;
}

static int run_either(void *arg, int way, struct error *err)
{
    const struct race *race = arg;
    const struct lib_conv_arrays *arrays = &race->arrays;
    struct conv conv = race->spec->conv;
    if (way == 0)
        return lib_conv_run(race->conv, race->gpu, arrays->array[0], arrays->array[1],
                            arrays->array[2], arrays->bias, arrays->operands, arrays->scratch, err);
    conv.x = arrays->array[0];
    conv.w = arrays->array[1];
    conv.y = arrays->array[2];
    conv.bias = race->spec->has_bias ? arrays->bias : NULL;
    race->rival->run(race->rival->arg, race->gpu, &conv, arrays->operands);
    return 0;
}
