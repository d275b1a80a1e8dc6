/* lib_conv_race: an own kernel against the library's best way, and one of two convolutions against the best of
 * each. */
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

/* ---- two in one pass ---- */

/* Way 0 is each by itself. */
struct pair_race {
    const struct lib_pair *pair;
    struct lib_conv *conv[2]; /* NULL: what it is against is faster */
    struct gpu *gpu;
    struct lib_conv_arrays arrays[2];
};

static int prepare_pair(struct cuda_libraries *libraries, struct pair_race *race, struct error *err);
static int run_pair(void *arg, int way, struct error *err);

int lib_conv_race_pair(struct cuda_libraries *libraries, const struct lib_pair *pair, bool *in_one,
                       struct error *err)
{
    struct text key = { 0 };
    for (int i = 0; i < 2; i++) {
        text_printf(&key, i == 0 ? "pair of " : "|and ");
        lib_conv_write_key(&key, libraries, &pair->spec[i]);
    }
    int rc = key.failed ? error_set(err, ERROR_MEMORY, "cuda", "no memory left") : 0;
    const char *known = rc ? NULL : choices_find(libraries->choices, key.data);
    *in_one = known ? strcmp(known, OWN) == 0 : !lib_may_try(libraries);
    if (!rc && !known && lib_may_try(libraries)) {
        struct pair_race race = { .pair = pair, .gpu = libraries->gpu };
        int fastest = -1;
        rc = prepare_pair(libraries, &race, err);
        uint64_t begun_ns = clock_now_ns();
        if (!rc)
            rc = lib_try(
                &(struct lib_trial){ .gpu = race.gpu, .ways = 2, .run = run_pair, .arg = &race },
                &fastest, err);
        libraries->trying_ns += clock_now_ns() - begun_ns;
        *in_one = fastest != 0;
        if (!rc)
            rc = choices_add(libraries->choices, key.data, *in_one ? OWN : LIBRARY, err);
        for (int i = 0; i < 2; i++) {
            gpu_free(race.gpu, race.arrays[i].memory);
            lib_conv_free(race.conv[i]);
        }
    }
    text_finish(&key);
    return rc;
}

static int prepare_pair(struct cuda_libraries *libraries, struct pair_race *race, struct error *err)
{
    int rc = 0;
    for (int i = 0; !rc && i < 2; i++) {
        const struct lib_conv_spec *spec = &race->pair->spec[i];
        rc = lib_conv_make_against(libraries, spec, &race->pair->alone[i], &race->conv[i], err);
        if (!rc)
            rc = lib_conv_lay_out(race->gpu, spec,
                                  race->conv[i] ? lib_conv_scratch_bytes(race->conv[i]) : 0,
                                  &race->arrays[i], err);
    }
    return rc;
}

static int run_pair(void *arg, int way, struct error *err)
{
    const struct pair_race *race = arg;
    const struct lib_pair *pair = race->pair;
    struct conv convs[2];
    int rc = 0;
    for (int i = 0; i < 2; i++) {
        const struct lib_conv_arrays *arrays = &race->arrays[i];
        convs[i] = pair->spec[i].conv;
        convs[i].x = i == 0 ? arrays->array[0] : race->arrays[0].array[2];
        convs[i].w = arrays->array[1];
        convs[i].y = arrays->array[2];
        convs[i].bias = pair->spec[i].has_bias ? arrays->bias : NULL;
    }
    if (way == 1)
        pair->run(pair->arg, race->gpu, &convs[0], race->arrays[0].operands, &convs[1],
                  race->arrays[1].operands);
    for (int i = 0; !rc && way == 0 && i < 2; i++) {
        const struct lib_conv_arrays *arrays = &race->arrays[i];
        if (race->conv[i])
            rc = lib_conv_run(race->conv[i], race->gpu, convs[i].x, convs[i].w, convs[i].y,
                              arrays->bias, arrays->operands, arrays->scratch, err);
        else
            pair->alone[i].run(pair->alone[i].arg, race->gpu, &convs[i], arrays->operands);
    }
    return rc;
}
