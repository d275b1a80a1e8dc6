/* lib_engine: heuristics are asked in turn, the quick ones first; those called fallback know at least one
 * way for everything that cuDNN can do at all. Of what they name, engines that come with their kernels are
 * made ready first, then those that compile some for the graph. */
#include "cuda/lib_engine.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIGS_MAX 24 /* of one heuristic that are looked at */
#define COMPILED_MAX 2 /* ways that are compiled to be tried, at a second or two each */

static const cudnnBackendHeurMode_t modes[] = { CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B,
                                                CUDNN_HEUR_MODE_FALLBACK };

/* Results are to be the same each time and within the bounds of their types. */
static const cudnnBackendNumericalNote_t unwanted[] = {
    CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC,
    CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS,
    CUDNN_NUMERICAL_NOTE_FFT,
    CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION,
    CUDNN_NUMERICAL_NOTE_WINOGRAD,
    CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4,
    CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6,
    CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13,
};

/* What a heuristic names. */
struct candidate {
    struct lib_engine engine;
    bool compiled;
};

struct plans {
    struct lib_plan *plans;
    int count;
};

static int64_t ask(struct lib_bag *bag, cudnnBackendDescriptor_t graph, cudnnBackendHeurMode_t mode,
                   cudnnBackendDescriptor_t *configs);
static void take(struct cuda_libraries *libraries, cudnnBackendDescriptor_t graph,
                 const struct candidate *candidates, int candidate_count, bool compiled,
                 struct plans *made, int count_max);
static bool read_config(cudnnBackendDescriptor_t config, bool tensor_cores,
                        struct candidate *candidate);
static bool is_compiled(struct lib_bag *bag, cudnnBackendDescriptor_t engine);
static void begin(struct lib_plan *plan, struct cuda_libraries *libraries);
static bool finish(struct lib_plan *plan);
static bool is_wanted(struct lib_bag *bag, cudnnBackendDescriptor_t engine, bool tensor_cores);
static void read_knobs(struct lib_bag *bag, cudnnBackendDescriptor_t config,
                       struct lib_engine *engine);
static bool is_among(const struct plans *made, const struct lib_engine *engine);
static cudnnBackendDescriptor_t make_config(struct lib_plan *plan, cudnnBackendDescriptor_t graph,
                                            const struct lib_engine *engine);
static bool read_number(const char **text, char before, int64_t *number);

/* ---- finding ---- */

int lib_plans_find(struct cuda_libraries *libraries, cudnnBackendDescriptor_t graph,
                   bool tensor_cores, struct lib_plan *plans, int count_max)
{
    int count = 0, ready_max = count_max > COMPILED_MAX ? count_max - COMPILED_MAX : count_max;
    for (size_t m = 0; m < sizeof modes / sizeof *modes && count == 0; m++) {
        struct lib_bag bag = { 0 };
        struct candidate candidates[CONFIGS_MAX];
        cudnnBackendDescriptor_t configs[CONFIGS_MAX];
        int64_t found = ask(&bag, graph, modes[m], configs);
        int wanted = 0;
        for (int64_t i = 0; i < found; i++)
            wanted += read_config(configs[i], tensor_cores, &candidates[wanted]);
        bag_empty(&bag);
        struct plans made = { plans, 0 };
        take(libraries, graph, candidates, wanted, false, &made, ready_max);
        int all_max = made.count + COMPILED_MAX < count_max ? made.count + COMPILED_MAX : count_max;
        take(libraries, graph, candidates, wanted, true, &made, all_max);
        count = made.count;
    }
    return count;
}

/* Makes those ready that are, or are not, compiled, until there are count_max plans. */
static void take(struct cuda_libraries *libraries, cudnnBackendDescriptor_t graph,
                 const struct candidate *candidates, int candidate_count, bool compiled,
                 struct plans *made, int count_max)
{
    for (int i = 0; i < candidate_count && made->count < count_max; i++)
        if (candidates[i].compiled == compiled && !is_among(made, &candidates[i].engine) &&
            lib_plan_make(libraries, graph, &candidates[i].engine, &made->plans[made->count]))
            made->count++;
}

static int64_t ask(struct lib_bag *bag, cudnnBackendDescriptor_t graph, cudnnBackendHeurMode_t mode,
                   cudnnBackendDescriptor_t *configs)
{
    cudnnBackendDescriptor_t heuristic = bag_add(bag, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    bag_set_item(bag, heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    bag_set_one(bag, heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, &mode);
    bag_finalize(bag, heuristic);
    for (int i = 0; i < CONFIGS_MAX; i++)
        configs[i] = bag_add(bag, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    return bag_get(bag, heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                   CONFIGS_MAX, configs);
}

static bool read_config(cudnnBackendDescriptor_t config, bool tensor_cores,
                        struct candidate *candidate)
{
    struct lib_bag bag = { 0 };
    struct lib_engine *engine = &candidate->engine;
    cudnnBackendDescriptor_t item = bag_add(&bag, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    *candidate = (struct candidate){ 0 };
    bag_get(&bag, config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &item);
    bag_get(&bag, item, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &engine->index);
    bool wanted = is_wanted(&bag, item, tensor_cores);
    candidate->compiled = is_compiled(&bag, item);
    read_knobs(&bag, config, engine);
    bool good = bag_is_good(&bag);
    bag_empty(&bag);
    return good && wanted;
}

static bool is_compiled(struct lib_bag *bag, cudnnBackendDescriptor_t engine)
{
    cudnnBackendBehaviorNote_t notes[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT];
    int64_t count = bag_get(bag, engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE,
                            CUDNN_BEHAVIOR_NOTE_TYPE_COUNT, notes);
    for (int64_t i = 0; i < count; i++)
        if (notes[i] == CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION)
            return true;
    return false;
}

static bool is_wanted(struct lib_bag *bag, cudnnBackendDescriptor_t engine, bool tensor_cores)
{
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    int64_t count = bag_get(bag, engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                            CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT, notes);
    for (int64_t i = 0; i < count; i++) {
        if (notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE && !tensor_cores)
            return false;
        for (size_t u = 0; u < sizeof unwanted / sizeof *unwanted; u++)
            if (notes[i] == unwanted[u])
                return false;
    }
    return true;
}

static void read_knobs(struct lib_bag *bag, cudnnBackendDescriptor_t config, struct lib_engine *engine)
{
    cudnnBackendDescriptor_t items[CUDNN_KNOB_TYPE_COUNTS];
    for (int i = 0; i < CUDNN_KNOB_TYPE_COUNTS; i++)
        items[i] = bag_add(bag, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
    int64_t count = bag_get(bag, config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES,
                            CUDNN_TYPE_BACKEND_DESCRIPTOR, CUDNN_KNOB_TYPE_COUNTS, items);
    for (int64_t i = 0; i < count; i++) {
        struct lib_knob *knob = &engine->knobs[engine->knob_count++];
        bag_get(bag, items[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1,
                &knob->type);
        bag_get(bag, items[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &knob->value);
    }
}

static bool is_among(const struct plans *made, const struct lib_engine *engine)
{
    char text[CHOICES_VALUE_BYTES], other[CHOICES_VALUE_BYTES];
    engine_write(engine, text);
    for (int i = 0; i < made->count; i++) {
        engine_write(&made->plans[i].engine, other);
        if (strcmp(text, other) == 0)
            return true;
    }
    return false;
}

/* ---- making ready and running ---- */

bool lib_plan_make(struct cuda_libraries *libraries, cudnnBackendDescriptor_t graph,
                   const struct lib_engine *engine, struct lib_plan *plan)
{
    *plan = (struct lib_plan){ .engine = *engine };
    cudnnBackendDescriptor_t way = make_config(plan, graph, engine);
    begin(plan, libraries);
    bag_set_item(&plan->bag, plan->plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, way);
    return finish(plan);
}

bool lib_plan_read(struct cuda_libraries *libraries, const struct lib_engine *engine,
                   const struct text *content, struct lib_plan *plan)
{
    *plan = (struct lib_plan){ .engine = *engine, .compiled = true };
    begin(plan, libraries);
    bag_set(&plan->bag, plan->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
            (int64_t)content->size, content->data);
    return finish(plan);
}

static void begin(struct lib_plan *plan, struct cuda_libraries *libraries)
{
    plan->plan = bag_add(&plan->bag, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    bag_set_one(&plan->bag, plan->plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE,
                &libraries->cudnn);
}

/* Compiles, where something is to be. */
static bool finish(struct lib_plan *plan)
{
    int64_t bytes = 0;
    bag_finalize(&plan->bag, plan->plan);
    bag_get(&plan->bag, plan->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
            &bytes);
    if (!bag_is_good(&plan->bag) || bytes < 0 || (uint64_t)bytes > LIB_SCRATCH_BYTES) {
        lib_plan_free(plan);
        return false;
    }
    plan->scratch_bytes = (uint64_t)bytes;
    return true;
}

bool lib_plan_write(const struct lib_plan *plan, struct text *content)
{
    int64_t bytes = 0;
    cudnnStatus_t status = cudnnBackendGetAttribute(
        plan->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 0, &bytes, NULL);
    char *data = status || bytes <= 0 ? NULL : malloc((size_t)bytes);
    if (!data)
        return false;
    status = cudnnBackendGetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION,
                                      CUDNN_TYPE_CHAR, bytes, &bytes, data);
    if (!status)
        text_add(content, data, (size_t)bytes);
    free(data);
    return !status && !content->failed;
}

static cudnnBackendDescriptor_t make_config(struct lib_plan *plan, cudnnBackendDescriptor_t graph,
                                            const struct lib_engine *engine)
{
    struct lib_bag *bag = &plan->bag;
    cudnnBackendDescriptor_t knobs[CUDNN_KNOB_TYPE_COUNTS];
    cudnnBackendDescriptor_t chosen = bag_add(bag, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    bag_set_item(bag, chosen, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph);
    bag_set_one(bag, chosen, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, &engine->index);
    bag_finalize(bag, chosen);
    plan->compiled = is_compiled(bag, chosen);
    for (int i = 0; i < engine->knob_count; i++) {
        knobs[i] = bag_add(bag, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
        bag_set_one(bag, knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE,
                    &engine->knobs[i].type);
        bag_set_one(bag, knobs[i], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64,
                    &engine->knobs[i].value);
        bag_finalize(bag, knobs[i]);
    }
    cudnnBackendDescriptor_t config = bag_add(bag, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    bag_set_item(bag, config, CUDNN_ATTR_ENGINECFG_ENGINE, chosen);
    if (engine->knob_count > 0)
        bag_set(bag, config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                engine->knob_count, knobs);
    bag_finalize(bag, config);
    return config;
}

int lib_plan_run(const struct lib_plan *plan, struct cuda_libraries *libraries, const int64_t *ids,
                 void *const *data, int count, void *scratch, struct error *err)
{
    struct lib_bag bag = { 0 };
    cudnnBackendDescriptor_t pack = bag_add(&bag, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    bag_set(&bag, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, ids);
    bag_set(&bag, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, data);
    bag_set_one(&bag, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, &scratch);
    bag_finalize(&bag, pack);
    cudnnStatus_t status = bag.status;
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendExecute(libraries->cudnn, plan->plan, pack);
    bag_empty(&bag);
    return status == CUDNN_STATUS_SUCCESS
               ? 0
               : error_set(err, ERROR_DEVICE, "cuda", "cuDNN engine %" PRId64 " cannot be run: %s",
                           plan->engine.index, cudnnGetErrorString(status));
}

void lib_plan_free(struct lib_plan *plan)
{
    bag_empty(&plan->bag);
    plan->plan = NULL;
}

/* ---- as text ---- */

void engine_write(const struct lib_engine *engine, char text[CHOICES_VALUE_BYTES])
{
    int at = snprintf(text, CHOICES_VALUE_BYTES, "%" PRId64, engine->index);
    for (int i = 0; i < engine->knob_count && at < (int)CHOICES_VALUE_BYTES; i++)
        at += snprintf(text + at, CHOICES_VALUE_BYTES - (size_t)at, " %d=%" PRId64,
                       (int)engine->knobs[i].type, engine->knobs[i].value);
}

bool engine_read(struct lib_engine *engine, const char *text)
{
    *engine = (struct lib_engine){ 0 };
    bool good = read_number(&text, '\0', &engine->index);
    while (good && *text) {
        int64_t type = 0;
        if (engine->knob_count == CUDNN_KNOB_TYPE_COUNTS)
            return false;
        struct lib_knob *knob = &engine->knobs[engine->knob_count++];
        good = read_number(&text, ' ', &type) && read_number(&text, '=', &knob->value);
        knob->type = (cudnnBackendKnobType_t)type;
    }
    return good;
}

/* A number behind that character ('\0': none); goes on behind it. */
static bool read_number(const char **text, char before, int64_t *number)
{
    char *end;
    if (before && *(*text)++ != before)
        return false;
    errno = 0;
    *number = strtoll(*text, &end, 10);
    bool good = end != *text && errno == 0;
    *text = end;
    return good;
}
