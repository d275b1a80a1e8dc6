/* lib_conv: convolutions by cuDNN. The whole of it in one graph if cuDNN has that. If not, without what
 * follows, a bias is added by an own kernel; and if that is nothing either, f32 copies of narrow arrays
 * are taken: tf32 has as many bits as f16 and more than bf16, so their products stay the same. */
#include "cuda/lib_conv.h"
#include "cuda/lib_engine.h"
#include "cuda/map.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_BYTES 48
#define UNTRIED "|untried" /* behind the key of what was found without */
#define ARRAYS_MAX (4 + FUSED_POSTS_MAX + LIB_CONV_NUMBERS_MAX) /* x, w, y, bias, … */

/* Which of x, w and y is written. */
static const int result_of[] = { [CONV_FORWARD] = 2, [CONV_INPUT] = 0, [CONV_WEIGHTS] = 1 };

struct lib_conv {
    struct cuda_libraries *libraries;
    struct conv conv;
    struct lib_bag bag; /* of the graph */
    cudnnBackendDescriptor_t graph;
    struct lib_plan plan;
    int operand_count;
    struct lib_conv_numbers numbers; /* of the graph */
    bool has_bias, adds_bias;        /* in the graph; behind it */
    enum tensor_type bias_type;
    bool tried;  /* against other ways, now or in another process */
    bool widens; /* x and y are copied to f32 first, at the end of the scratch memory */
    char name[NAME_BYTES];
};

/* Plans against each other. */
struct plan_trial {
    const struct lib_conv *conv;
    const struct lib_plan *plans;
    struct lib_conv_arrays arrays;
};

static uint64_t whole(uint64_t bytes);
static int32_t *result_type(struct conv *conv);
static bool reads_narrow(const struct conv *conv);
static int choose(struct lib_conv *conv, const struct lib_conv_spec *spec, bool *found,
                  struct error *err);
static int remember(struct lib_conv *conv, const struct lib_conv_spec *spec, const struct text *key,
                    bool *found, struct error *err);
static bool make_again(struct lib_conv *conv, const struct lib_engine *engine, const char *key);
static void keep_compiled(const struct lib_conv *conv, const char *key);
static int find(struct lib_conv *conv, const struct lib_conv_spec *spec, const struct text *key,
                bool *found, struct error *err);
static int find_among(struct lib_conv *conv, const struct lib_conv_spec *spec, int ways,
                      bool *found, struct error *err);
static int try_plans(const struct lib_conv *conv, const struct lib_conv_spec *spec,
                     const struct lib_plan *plans, int count, int *fastest, struct error *err);
static int run_way(void *arg, int way, struct error *err);
static int run_plan(const struct lib_conv *conv, const struct lib_plan *plan, void *const *arrays,
                    const void *bias, void *const *operands, void *scratch, struct error *err);
static void add_bias(const struct lib_conv *conv, struct gpu *gpu, void *result, const void *bias);
static void widen(const struct lib_conv *conv, struct gpu *gpu, void **arrays, char *to);

int lib_conv_make(struct cuda_libraries *libraries, const struct lib_conv_spec *spec,
                  struct lib_conv **conv, struct error *err)
{
    bool found = false;
    struct lib_conv_spec part = *spec;
    struct lib_conv *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    fresh->libraries = libraries;
    fresh->conv = spec->conv;
    fresh->has_bias = spec->has_bias;
    for (size_t i = 0; i < spec->post_count; i++)
        fresh->operand_count += spec->posts[i].function.operand >= 0;
    int rc = choose(fresh, &part, &found, err);
    if (!rc && !found && spec->has_bias && spec->post_count == 0) {
        part.has_bias = fresh->has_bias = false;
        fresh->adds_bias = true;
        rc = choose(fresh, &part, &found, err);
    }
    if (!rc && !found && reads_narrow(&spec->conv) && spec->post_count == 0) {
        part.conv.x_type = part.conv.w_type = part.conv.y_type = TENSOR_F32;
        *result_type(&part.conv) = *result_type(&fresh->conv);
        part.alignment_bytes = 0; /* the copies are aligned */
        part.has_bias = fresh->has_bias = spec->has_bias;
        fresh->adds_bias = false;
        fresh->widens = true;
        rc = choose(fresh, &part, &found, err);
    }
    if (rc || !found) {
        lib_conv_free(fresh);
        return rc;
    }
    fresh->bias_type = fresh->adds_bias ? TENSOR_F32 : lib_conv_bias_for(&part.conv);
    snprintf(fresh->name, sizeof fresh->name, "%scudnn %" PRId64 "%s%s",
             fresh->widens ? "widen + " : "", fresh->plan.engine.index,
             fresh->adds_bias ? " + bias" : "", fresh->tried ? "" : " untried");
    *conv = fresh;
    return 0;
}

uint64_t lib_conv_scratch_bytes(const struct lib_conv *conv)
{
    uint64_t bytes = whole(conv->plan.scratch_bytes);
    for (int i = 0; conv->widens && i < 3; i++)
        if (i != result_of[conv->conv.way])
            bytes += whole(lib_conv_bytes(lib_conv_elements(&conv->conv, i), TENSOR_F32));
    return bytes;
}

/* So that the next array is aligned. */
static uint64_t whole(uint64_t bytes)
{
    return (bytes + GPU_ALIGNMENT_BYTES - 1) / GPU_ALIGNMENT_BYTES * GPU_ALIGNMENT_BYTES;
}

enum tensor_type lib_conv_bias_type(const struct lib_conv *conv)
{
    return conv->bias_type;
}

const char *lib_conv_name(const struct lib_conv *conv)
{
    return conv->name;
}

int lib_conv_run(const struct lib_conv *conv, struct gpu *gpu, void *x, void *w, void *y,
                 const void *bias, void *const *operands, void *scratch, struct error *err)
{
    void *arrays[] = { x, w, y };
    if (conv->widens)
        widen(conv, gpu, arrays, (char *)scratch + whole(conv->plan.scratch_bytes));
    int rc = run_plan(conv, &conv->plan, arrays, bias, operands, scratch, err);
    if (!rc && conv->adds_bias)
        add_bias(conv, gpu, conv->conv.way == CONV_FORWARD ? y : x, bias);
    return rc;
}

void lib_conv_free(struct lib_conv *conv)
{
    if (!conv)
        return;
    lib_plan_free(&conv->plan);
    bag_empty(&conv->bag);
    free(conv);
}

/* ---- choosing ---- */

static int choose(struct lib_conv *conv, const struct lib_conv_spec *spec, bool *found,
                  struct error *err)
{
    struct text key = { 0 };
    bag_empty(&conv->bag);
    conv->graph = lib_conv_graph(&conv->bag, conv->libraries->cudnn, spec, &conv->numbers);
    if (!conv->graph)
        return 0;
    lib_conv_write_key(&key, conv->libraries, spec);
    conv->tried = true;
    int rc = remember(conv, spec, &key, found, err);
    if (!rc && !*found)
        conv->tried = lib_may_try(conv->libraries);
    if (!conv->tried) {
        text_add_str(&key, UNTRIED);
        rc = remember(conv, spec, &key, found, err);
    }
    if (!rc && !*found)
        rc = find(conv, spec, &key, found, err);
    text_finish(&key);
    return rc;
}

/* What was chosen another time, run once, as kernels are loaded then. */
static int remember(struct lib_conv *conv, const struct lib_conv_spec *spec, const struct text *key,
                    bool *found, struct error *err)
{
    if (key->failed)
        return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    const char *value = choices_find(conv->libraries->choices, key->data);
    struct lib_engine engine;
    int fastest = -1;
    if (!value || !engine_read(&engine, value) || !make_again(conv, &engine, key->data))
        return 0;
    int rc = try_plans(conv, spec, &conv->plan, 1, &fastest, err);
    *found = !rc && fastest == 0;
    if (!*found)
        lib_plan_free(&conv->plan);
    return rc;
}

/* From what was compiled then, if it was and that is still there. */
static bool make_again(struct lib_conv *conv, const struct lib_engine *engine, const char *key)
{
    struct text content = { 0 };
    bool made = choices_load(conv->libraries->choices, key, &content) &&
                lib_plan_read(conv->libraries, engine, &content, &conv->plan);
    text_finish(&content);
    if (made)
        return true;
    made = lib_plan_make(conv->libraries, conv->graph, engine, &conv->plan);
    if (made)
        keep_compiled(conv, key);
    return made;
}

static void keep_compiled(const struct lib_conv *conv, const char *key)
{
    struct text content = { 0 };
    if (conv->plan.compiled && lib_plan_write(&conv->plan, &content))
        choices_store(conv->libraries->choices, key, content.data, content.size);
    text_finish(&content);
}

/* Where there is no time to try several ways, others are looked at only if the first cannot be run. */
static int find(struct lib_conv *conv, const struct lib_conv_spec *spec, const struct text *key,
                bool *found, struct error *err)
{
    char value[CHOICES_VALUE_BYTES];
    uint64_t begun_ns = clock_now_ns();
    int rc = conv->tried ? 0 : find_among(conv, spec, 1, found, err);
    if (!rc && !*found)
        rc = find_among(conv, spec, LIB_WAYS_MAX, found, err);
    if (conv->tried)
        conv->libraries->trying_ns += clock_now_ns() - begun_ns;
    if (rc || !*found)
        return rc;
    keep_compiled(conv, key->data);
    engine_write(&conv->plan.engine, value);
    return choices_add(conv->libraries->choices, key->data, value, err);
}

static int find_among(struct lib_conv *conv, const struct lib_conv_spec *spec, int ways,
                      bool *found, struct error *err)
{
    struct lib_plan *plans = calloc((size_t)ways, sizeof *plans);
    int fastest = -1;
    if (!plans)
        return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    int count =
        lib_plans_find(conv->libraries, conv->graph, spec->precision != PRECISION_F32, plans, ways);
    int rc = count > 0 ? try_plans(conv, spec, plans, count, &fastest, err) : 0;
    *found = !rc && fastest >= 0;
    for (int i = 0; i < count; i++)
        if (*found && i == fastest)
            conv->plan = plans[i];
        else
            lib_plan_free(&plans[i]);
    free(plans);
    return rc;
}

static int try_plans(const struct lib_conv *conv, const struct lib_conv_spec *spec,
                     const struct lib_plan *plans, int count, int *fastest, struct error *err)
{
    struct gpu *gpu = conv->libraries->gpu;
    struct plan_trial trial = { .conv = conv, .plans = plans };
    uint64_t scratch_bytes = 0;
    for (int i = 0; i < count; i++)
        if (scratch_bytes < plans[i].scratch_bytes)
            scratch_bytes = plans[i].scratch_bytes;
    int rc = lib_conv_lay_out(gpu, spec, scratch_bytes, &trial.arrays, err);
    if (!rc)
        rc = lib_try(&(struct lib_trial){ .gpu = gpu, .ways = count, .run = run_way, .arg = &trial },
                     fastest, err);
    gpu_free(gpu, trial.arrays.memory);
    return rc;
}

static int32_t *result_type(struct conv *conv)
{
    return conv->way == CONV_FORWARD ? &conv->y_type
           : conv->way == CONV_INPUT ? &conv->x_type
                                     : &conv->w_type;
}

static bool reads_narrow(const struct conv *conv)
{
    return lib_conv_type(conv, conv->way == CONV_INPUT ? 2 : 0) != TENSOR_F32;
}

static int run_way(void *arg, int way, struct error *err)
{
    const struct plan_trial *trial = arg;
    const struct lib_conv_arrays *arrays = &trial->arrays;
    return run_plan(trial->conv, &trial->plans[way], arrays->array, arrays->bias, arrays->operands,
                    arrays->scratch, err);
}

/* ---- running ---- */

static int run_plan(const struct lib_conv *conv, const struct lib_plan *plan, void *const *arrays,
                    const void *bias, void *const *operands, void *scratch, struct error *err)
{
    int64_t ids[ARRAYS_MAX] = { LIB_CONV_X, LIB_CONV_W, LIB_CONV_Y };
    void *data[ARRAYS_MAX] = { arrays[0], arrays[1], arrays[2] };
    int count = 3;
    if (conv->has_bias) {
        ids[count] = LIB_CONV_BIAS;
        data[count++] =
            (void *)bias; /* cuDNN takes one kind of pointer for what it reads and writes */
    }
    for (int i = 0; i < conv->operand_count; i++) {
        ids[count] = LIB_CONV_OPERAND + i;
        data[count++] = operands[i];
    }
    for (int i = 0; i < conv->numbers.count; i++) {
        ids[count] = LIB_CONV_NUMBER + i;
        data[count++] = (void *)&conv->numbers.values[i];
    }
    return lib_plan_run(plan, conv->libraries, ids, data, count, scratch, err);
}

/* result += bias, one for each channel, by the pointwise kernel. */
static void add_bias(const struct lib_conv *conv, struct gpu *gpu, void *result, const void *bias)
{
    bool forward = conv->conv.way == CONV_FORWARD;
    const int32_t *size = forward ? conv->conv.out : conv->conv.in;
    int32_t type = forward ? conv->conv.y_type : conv->conv.x_type;
    struct map map = { .rank = 2, .input_count = 2, .link_count = 1, .output_count = 1 };
    map.dim[0] = conv->conv.batch * size[0] * size[1];
    map.dim[1] = forward ? conv->conv.filters : conv->conv.channels;
    map.outputs[0] = map.input_count;
    map.links[0] = (struct map_link){ .kind = POINTWISE_ADD, .in = { 0, 1, -1 } };
    map.operands[0] = map.operands[2] =
        (struct map_operand){ .data = result, .type = type, .step = { map.dim[1], 1 } };
    map.operands[1] =
        (struct map_operand){ .data = (void *)bias, .type = TENSOR_F32, .step = { 0, 1 } };
    map_each(&map, (int64_t)map.dim[0] * map.dim[1], gpu_stream(gpu));
}

/* Copies the two arrays that are read, one behind the other, and puts the copies in their place. */
static void widen(const struct lib_conv *conv, struct gpu *gpu, void **arrays, char *to)
{
    for (int i = 0; i < 3; i++) {
        int64_t elements = lib_conv_elements(&conv->conv, i);
        if (i == result_of[conv->conv.way])
            continue;
        struct map map = { .rank = 1, .input_count = 1, .output_count = 1 };
        map.dim[0] = (int32_t)elements;
        map.operands[0] = (struct map_operand){ .data = arrays[i],
                                                .type = lib_conv_type(&conv->conv, i),
                                                .step = { 1 } };
        map.operands[1] = (struct map_operand){ .data = to, .type = TENSOR_F32, .step = { 1 } };
        map_flat(&map, elements, gpu_stream(gpu));
        arrays[i] = to;
        to += whole(lib_conv_bytes(elements, TENSOR_F32));
    }
}
