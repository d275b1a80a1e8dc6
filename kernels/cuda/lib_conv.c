/* lib_conv: convolutions by cuDNN. The whole of it in one graph if cuDNN has that. If not, without what
 * follows, a bias is added by an own kernel; and if that is nothing either, f32 copies of narrow arrays
 * are taken: tf32 has as many bits as f16 and more than bf16, so their products stay the same. */
#include "cuda/lib_conv.h"
#include "cuda/lib_engine.h"
#include "cuda/map.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 32
#define ARRAYS_MAX (4 + FUSED_POSTS_MAX) /* x, w, y, bias, operands */

/* Which of x, w and y is written. */
static const int result_of[] = { [CONV_FORWARD] = 2, [CONV_INPUT] = 0, [CONV_WEIGHTS] = 1 };

struct lib_conv {
    struct cuda_libraries *libraries;
    struct conv conv;
    struct lib_bag bag; /* of the graph */
    cudnnBackendDescriptor_t graph;
    struct lib_plan plan;
    int operand_count;
    bool has_bias, adds_bias; /* in the graph; behind it */
    bool widens; /* x and y are copied to f32 first, at the end of the scratch memory */
    char name[NAME_BYTES];
};

/* Ways against each other, with memory for all arrays in one piece. */
struct conv_trial {
    const struct lib_conv *conv;
    const struct lib_plan *plans;
    void *memory;
    void *arrays[3]; /* x, w, y */
    void *bias, *operands[FUSED_POSTS_MAX], *scratch;
};

static uint64_t whole(uint64_t bytes);
static int64_t elements_of(const struct conv *conv, int array);
static int32_t type_of(const struct conv *conv, int array);
static int32_t *result_type(struct conv *conv);
static bool reads_narrow(const struct conv *conv);
static uint64_t conv_bytes(int64_t elements, int32_t type);
static int choose(struct lib_conv *conv, const struct lib_conv_spec *spec, bool *found,
                  struct error *err);
static int remember(struct lib_conv *conv, const struct lib_conv_spec *spec, const char *key,
                    bool *found, struct error *err);
static int find(struct lib_conv *conv, const struct lib_conv_spec *spec, const char *key,
                bool *found, struct error *err);
static int try_plans(const struct lib_conv *conv, const struct lib_conv_spec *spec,
                     const struct lib_plan *plans, int count, int *fastest, struct error *err);
static int lay_out(struct conv_trial *trial, const struct lib_conv_spec *spec, int count,
                   struct error *err);
static int run_way(void *arg, int way, struct error *err);
static int run_plan(const struct lib_conv *conv, const struct lib_plan *plan, void *const *arrays,
                    const float *bias, void *const *operands, void *scratch, struct error *err);
static void add_bias(const struct lib_conv *conv, struct gpu *gpu, void *result, const float *bias);
static void widen(const struct lib_conv *conv, struct gpu *gpu, void **arrays, char *to);
static void write_key(struct text *key, const struct cuda_libraries *libraries,
                      const struct lib_conv_spec *spec);

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
    snprintf(fresh->name, sizeof fresh->name, "%scudnn %" PRId64 "%s",
             fresh->widens ? "widen + " : "", fresh->plan.engine.index,
             fresh->adds_bias ? " + bias" : "");
    *conv = fresh;
    return 0;
}

uint64_t lib_conv_scratch_bytes(const struct lib_conv *conv)
{
    uint64_t bytes = whole(conv->plan.scratch_bytes);
    for (int i = 0; conv->widens && i < 3; i++)
        if (i != result_of[conv->conv.way])
            bytes += whole(conv_bytes(elements_of(&conv->conv, i), TENSOR_F32));
    return bytes;
}

/* So that the next array is aligned. */
static uint64_t whole(uint64_t bytes)
{
    return (bytes + GPU_ALIGNMENT_BYTES - 1) / GPU_ALIGNMENT_BYTES * GPU_ALIGNMENT_BYTES;
}

const char *lib_conv_name(const struct lib_conv *conv)
{
    return conv->name;
}

int lib_conv_run(const struct lib_conv *conv, struct gpu *gpu, void *x, void *w, void *y,
                 const float *bias, void *const *operands, void *scratch, struct error *err)
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
    conv->graph = lib_conv_graph(&conv->bag, conv->libraries->cudnn, spec);
    if (!conv->graph)
        return 0;
    write_key(&key, conv->libraries, spec);
    int rc = key.failed ? error_set(err, ERROR_MEMORY, "cuda", "no memory left") : 0;
    if (!rc)
        rc = remember(conv, spec, key.data, found, err);
    if (!rc && !*found)
        rc = find(conv, spec, key.data, found, err);
    text_finish(&key);
    return rc;
}

/* What was chosen another time, run once, as kernels are loaded then. */
static int remember(struct lib_conv *conv, const struct lib_conv_spec *spec, const char *key,
                    bool *found, struct error *err)
{
    const char *value = choices_find(conv->libraries->choices, key);
    struct lib_engine engine;
    int fastest = -1;
    if (!value || !engine_read(&engine, value) ||
        !lib_plan_make(conv->libraries, conv->graph, &engine, &conv->plan))
        return 0;
    int rc = try_plans(conv, spec, &conv->plan, 1, &fastest, err);
    *found = !rc && fastest == 0;
    if (!*found)
        lib_plan_free(&conv->plan);
    return rc;
}

static int find(struct lib_conv *conv, const struct lib_conv_spec *spec, const char *key,
                bool *found, struct error *err)
{
    struct lib_plan *plans = calloc(LIB_WAYS_MAX, sizeof *plans);
    char value[CHOICES_VALUE_BYTES];
    int fastest = -1;
    if (!plans)
        return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    int count = lib_plans_find(conv->libraries, conv->graph, spec->precision != PRECISION_F32,
                               plans, LIB_WAYS_MAX);
    int rc = count > 0 ? try_plans(conv, spec, plans, count, &fastest, err) : 0;
    if (!rc && fastest >= 0) {
        engine_write(&plans[fastest].engine, value);
        rc = choices_add(conv->libraries->choices, key, value, err);
    }
    for (int i = 0; i < count; i++)
        if (!rc && i == fastest)
            conv->plan = plans[i];
        else
            lib_plan_free(&plans[i]);
    free(plans);
    *found = !rc && fastest >= 0;
    return rc;
}

static int try_plans(const struct lib_conv *conv, const struct lib_conv_spec *spec,
                     const struct lib_plan *plans, int count, int *fastest, struct error *err)
{
    struct conv_trial trial = { .conv = conv, .plans = plans };
    int rc = lay_out(&trial, spec, count, err);
    if (!rc)
        rc = lib_try(
            &(struct lib_trial){
                .gpu = conv->libraries->gpu, .ways = count, .run = run_way, .arg = &trial },
            fastest, err);
    gpu_free(conv->libraries->gpu, trial.memory);
    return rc;
}

/* Of x, w or y, by number. */
static int64_t elements_of(const struct conv *conv, int array)
{
    if (array == 0)
        return (int64_t)conv->batch * conv->channels * conv->in[0] * conv->in[1];
    if (array == 1)
        return (int64_t)conv->filters * (conv->channels / conv->groups) * conv->kernel[0] *
               conv->kernel[1];
    return (int64_t)conv->batch * conv->filters * conv->out[0] * conv->out[1];
}

static int32_t type_of(const struct conv *conv, int array)
{
    return array == 0 ? conv->x_type : array == 1 ? conv->w_type : conv->y_type;
}

static int32_t *result_type(struct conv *conv)
{
    return conv->way == CONV_FORWARD ? &conv->y_type
           : conv->way == CONV_INPUT ? &conv->x_type
                                     : &conv->w_type;
}

static bool reads_narrow(const struct conv *conv)
{
    return type_of(conv, conv->way == CONV_INPUT ? 2 : 0) != TENSOR_F32;
}

static uint64_t conv_bytes(int64_t elements, int32_t type)
{
    return (uint64_t)elements * tensor_type_bytes((enum tensor_type)type);
}

/* Up to the last element that the view reaches. */
static uint64_t view_bytes(const struct view *view)
{
    int64_t last = 0;
    for (int d = 0; d < view->rank; d++)
        last += (int64_t)(view->dim[d] - 1) * view->step[d];
    return conv_bytes(last + 1, view->type);
}

static int lay_out(struct conv_trial *trial, const struct lib_conv_spec *spec, int count,
                   struct error *err)
{
    const struct conv *conv = &spec->conv;
    struct gpu *gpu = trial->conv->libraries->gpu;
    uint64_t bytes[ARRAYS_MAX + 1] = { 0 };
    void **arrays[ARRAYS_MAX + 1] = { &trial->arrays[0], &trial->arrays[1], &trial->arrays[2],
                                      &trial->bias };
    int n = 4, operand = 0;
    for (int i = 0; i < 3; i++)
        bytes[i] = conv_bytes(elements_of(conv, i), type_of(conv, i));
    bytes[3] =
        conv_bytes(conv->channels > conv->filters ? conv->channels : conv->filters, TENSOR_F32);
    for (size_t i = 0; i < spec->post_count; i++)
        if (spec->posts[i].function.operand >= 0) {
            bytes[n] = view_bytes(&spec->posts[i].operand);
            arrays[n++] = &trial->operands[operand++];
        }
    for (int i = 0; i < count; i++)
        bytes[n] =
            bytes[n] > trial->plans[i].scratch_bytes ? bytes[n] : trial->plans[i].scratch_bytes;
    arrays[n++] = &trial->scratch;
    return lib_lay_out(gpu, bytes, arrays, n, &trial->memory, err);
}

static int run_way(void *arg, int way, struct error *err)
{
    const struct conv_trial *trial = arg;
    return run_plan(trial->conv, &trial->plans[way], trial->arrays, trial->bias, trial->operands,
                    trial->scratch, err);
}

/* ---- running ---- */

static int run_plan(const struct lib_conv *conv, const struct lib_plan *plan, void *const *arrays,
                    const float *bias, void *const *operands, void *scratch, struct error *err)
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
    return lib_plan_run(plan, conv->libraries, ids, data, count, scratch, err);
}

/* result += bias, one for each channel, by the pointwise kernel. */
static void add_bias(const struct lib_conv *conv, struct gpu *gpu, void *result, const float *bias)
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
        int64_t elements = elements_of(&conv->conv, i);
        if (i == result_of[conv->conv.way])
            continue;
        struct map map = { .rank = 1, .input_count = 1, .output_count = 1 };
        map.dim[0] = (int32_t)elements;
        map.operands[0] =
            (struct map_operand){ .data = arrays[i], .type = type_of(&conv->conv, i), .step = { 1 } };
        map.operands[1] = (struct map_operand){ .data = to, .type = TENSOR_F32, .step = { 1 } };
        map_flat(&map, elements, gpu_stream(gpu));
        arrays[i] = to;
        to += whole(conv_bytes(elements, TENSOR_F32));
    }
}

/* ---- keys of choices ---- */

static void write_numbers(struct text *key, const int32_t *numbers, int count)
{
    for (int i = 0; i < count; i++)
        text_printf(key, "%c%" PRId32, i == 0 ? ' ' : ',', numbers[i]);
}

static void write_key(struct text *key, const struct cuda_libraries *libraries,
                      const struct lib_conv_spec *spec)
{
    const struct conv *conv = &spec->conv;
    const int32_t shape[] = { conv->batch, conv->channels, conv->filters, conv->groups };
    const int32_t types[] = { conv->x_type, conv->w_type, conv->y_type };
    text_printf(key, "%s|conv %d %s", libraries->device, conv->way, precision_word(spec->precision));
    write_numbers(key, shape, 4);
    write_numbers(key, conv->in, 2);
    write_numbers(key, conv->out, 2);
    write_numbers(key, conv->kernel, 2);
    write_numbers(key, conv->stride, 2);
    write_numbers(key, conv->dilation, 2);
    write_numbers(key, conv->pad, 2);
    write_numbers(key, conv->pad_end, 2);
    write_numbers(key, types, 3);
    text_printf(key, " %" PRIu32 "%s", spec->alignment_bytes, spec->has_bias ? " bias" : "");
    for (size_t i = 0; i < spec->post_count; i++) {
        const struct lib_post *post = &spec->posts[i];
        text_printf(key, "|%s %.9g %.9g", pointwise_name(post->function.kind),
                    (double)post->function.alpha, (double)post->function.beta);
        if (post->function.operand < 0)
            continue;
        write_numbers(key, &post->operand.type, 1);
        write_numbers(key, post->operand.dim, 4);
        for (int d = 0; d < 4; d++)
            text_printf(key, "%c%" PRId64, d == 0 ? ' ' : ',', post->operand.step[d]);
    }
}
