/* convolution: the ways that oneDNN has for a convolution, of which cpu/choose.c takes one, and where the
 * bias of a transposed one is added (cpu/convolution.c). What follows from the numbers stands there.
 * All with one thread, and in f32 where nothing else is said.
 *
 *   plain                          tap by tap, in doubles
 *   direct, channels-last
 *   direct, blocked                channels in blocks of 16 (nChw16c), filled up with zeros
 *   Winograd                       F(2x2, 3x3) or F(4x4, 3x3), as oneDNN thinks best; blocked
 *   Winograd, rearranged           from and to channels-last, as if it stood alone
 *   ..., new weights               brought before each run into the layout that oneDNN wants
 *   the same, as for inference     when oneDNN is told that it is not for training
 *
 * Times are the least CPU time that a run took. Winograd's method multiplies less than is counted and may
 * be above the peak. A line ends with oneDNN's scratch memory over what input and output take. */
#include "cpu/peak.h"
#include "lab.h"
#include "tensor/number.h"
#include <omp.h>

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define WAYS_MAX 7
#define STAGES_MAX 4 /* of a way: two reorders, the convolution, a reorder or the bias */
#define MEMORIES_MAX 10
#define ARGS_MAX 4
#define SAMPLES_MIN 5
#define SAMPLES_MAX 25
#define PROBLEM_NS 250000000u /* no further sample of a way after so long */
/* Of results near 1, in f32 sums of up to 65536 products; bf16 rounds before the bias and behind it. */
#define BOUND 5e-5
#define BOUND_BF16 2e-2

enum kind { FORWARD, TO_INPUT, TO_WEIGHTS, TRANSPOSED };
enum role { X, WEIGHTS, Y, ROLES }; /* of the convolution; a transposed one makes X of Y */

struct numbers {
    enum kind kind;
    int64_t batch, rows, columns, in, out, kernel, stride, pad;
    bool alone; /* each channel */
};

struct way_form {
    dnnl_data_type_t type;
    dnnl_format_tag_t tag;
    dnnl_alg_kind_t algorithm;
    dnnl_prop_kind_t purpose;
    bool rearranges, new_weights, bias_inside, bias_behind;
};

struct stage {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[ARGS_MAX];
    int arg_count;
};

struct way {
    struct stage stages[STAGES_MAX], show; /* show: the result to lab.output */
    int stage_count, memory_count;
    dnnl_memory_t memories[MEMORIES_MAX];
    double scratch; /* over input and output */
    char implementation[32];
};

struct convolution_problem {
    struct lab_problem lab;
    struct numbers n;
    int64_t out_rows, out_columns;
    enum role result;
    float *data[ROLES], *bias; /* pixels of channels; [out][in][rows][columns] */
    double *by_tap, *sums;
    size_t counts[ROLES];
    dnnl_memory_desc_t given[ROLES];
    const struct cpu_device *cpu;
    struct way ways[WAYS_MAX];
    unsigned way_count;
    bool timed; /* then results stay where they are */
};

static const int argument_ids[][ROLES] = {
    [FORWARD] = { DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST },
    [TO_INPUT] = { DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST },
    [TO_WEIGHTS] = { DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST },
    [TRANSPOSED] = { DNNL_ARG_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_SRC },
};

/* ---- plain ---- */

/* Weights of a tap as [from][to]; [tap][in][out] for the gradient towards them. */
static size_t tap_index(const struct numbers *n, int64_t tap, int64_t in, int64_t out)
{
    if (n->alone)
        return (size_t)(tap * n->in + in);
    bool to_in = n->kind == TO_INPUT || n->kind == TRANSPOSED;
    return (size_t)(to_in ? (tap * n->out + out) * n->in + in : (tap * n->in + in) * n->out + out);
}

/* Weights as they are given, or nothing yet, to by_tap; or (back) from there to the result. */
static void copy_weights(const struct convolution_problem *own, bool back)
{
    const struct numbers *n = &own->n;
    int64_t taps = n->kernel * n->kernel, ins = n->alone ? 1 : n->in;
    for (int64_t i = 0; i < (int64_t)own->counts[WEIGHTS]; i++) {
        int64_t out = i / taps / ins, in = n->alone ? out : i / taps % ins;
        size_t at = tap_index(n, i % taps, in, out);
        if (back)
            ((float *)(void *)own->lab.output)[i] = (float)own->by_tap[at];
        else
            own->by_tap[at] = n->kind == TO_WEIGHTS ? 0 : (double)own->data[WEIGHTS][i];
    }
}

static void add_products(const float *from, int64_t from_count, const double *weights, double *to,
                         int64_t to_count)
{
    for (int64_t c = 0; c < from_count; c++)
        for (int64_t k = 0; k < to_count; k++)
            to[k] += (double)from[c] * weights[c * to_count + k];
}

/* What the pixels of x and y have to do with each other by one tap. */
static void add_tap(const struct convolution_problem *own, int64_t tap, int64_t x, int64_t y)
{
    const struct numbers *n = &own->n;
    const float *pixel = own->data[X] + x * n->in, *out = own->data[Y] + y * n->out;
    double *weights = own->by_tap + tap * n->in * (n->alone ? 1 : n->out);
    if (n->alone)
        for (int64_t c = 0; c < n->in; c++)
            own->sums[y * n->out + c] += (double)pixel[c] * weights[c];
    else if (n->kind == FORWARD)
        add_products(pixel, n->in, weights, own->sums + y * n->out, n->out);
    else if (n->kind == TO_WEIGHTS)
        for (int64_t c = 0; c < n->in; c++)
            for (int64_t k = 0; k < n->out; k++)
                weights[c * n->out + k] += (double)pixel[c] * (double)out[k];
    else
        add_products(out, n->out, weights, own->sums + x * n->in, n->in);
}

static void run_plain(const void *problem)
{
    const struct convolution_problem *own = problem;
    const struct numbers *n = &own->n;
    float *to = (float *)(void *)own->lab.output;
    copy_weights(own, false);
    for (size_t i = 0; i < own->lab.elements && n->kind != TO_WEIGHTS; i++)
        own->sums[i] = own->bias ? (double)own->bias[i % (size_t)n->in] : 0;
    for (int64_t y = 0; y < n->batch * own->out_rows * own->out_columns; y++)
        for (int64_t tap = 0; tap < n->kernel * n->kernel; tap++) {
            int64_t column = y % own->out_columns * n->stride + tap % n->kernel - n->pad;
            int64_t row = y / own->out_columns % own->out_rows * n->stride + tap / n->kernel - n->pad;
            int64_t image = y / own->out_columns / own->out_rows;
            if (row >= 0 && row < n->rows && column >= 0 && column < n->columns)
                add_tap(own, tap, (image * n->rows + row) * n->columns + column, y);
        }
    if (n->kind == TO_WEIGHTS)
        copy_weights(own, true);
    for (size_t i = 0; i < own->lab.elements && n->kind != TO_WEIGHTS; i++)
        to[i] = (float)own->sums[i];
}

/* ---- oneDNN's ways ---- */

static void must(dnnl_status_t status)
{
    if (status == dnnl_success)
        return;
    fprintf(stderr, "lab: convolution: oneDNN gives %d\n", (int)status);
    exit(1);
}

static void execute(const struct convolution_problem *own, const struct stage *stage)
{
    must(dnnl_primitive_execute(stage->primitive, own->cpu->stream, stage->arg_count, stage->args));
}

static void run_way(const struct convolution_problem *own, int index)
{
    const struct way *way = &own->ways[index];
    for (int i = 0; i < way->stage_count; i++)
        execute(own, &way->stages[i]);
    if (!own->timed)
        execute(own, &way->show);
}

#define RUN(index)                               \
    static void run_##index(const void *problem) \
    {                                            \
        run_way(problem, index);                 \
    }
RUN(0)
RUN(1)
RUN(2)
RUN(3)
RUN(4)
RUN(5)
RUN(6)

static dnnl_memory_t new_memory(const struct convolution_problem *own, struct way *way,
                                const dnnl_memory_desc_t *md, void *data)
{
    assert(way->memory_count < MEMORIES_MAX);
    dnnl_memory_t *memory = &way->memories[way->memory_count++];
    must(dnnl_memory_create(memory, md, own->cpu->engine, data ? data : DNNL_MEMORY_ALLOCATE));
    return *memory;
}

/* Takes pd. */
static struct stage make_stage(dnnl_primitive_desc_t pd, const dnnl_exec_arg_t *args, int arg_count)
{
    struct stage stage = { .arg_count = arg_count };
    assert(arg_count <= ARGS_MAX);
    memcpy(stage.args, args, (size_t)arg_count * sizeof *args);
    must(dnnl_primitive_create(&stage.primitive, pd));
    must(dnnl_primitive_desc_destroy(pd));
    return stage;
}

static struct stage make_reorder(const struct convolution_problem *own, dnnl_memory_t from,
                                 dnnl_memory_t to)
{
    const dnnl_memory_desc_t *from_md, *to_md;
    dnnl_primitive_desc_t pd;
    must(dnnl_memory_get_memory_desc(from, &from_md));
    must(dnnl_memory_get_memory_desc(to, &to_md));
    must(dnnl_reorder_primitive_desc_create(&pd, from_md, own->cpu->engine, to_md, own->cpu->engine,
                                            NULL));
    return make_stage(pd, (dnnl_exec_arg_t[]){ { DNNL_ARG_FROM, from }, { DNNL_ARG_TO, to } }, 2);
}

static void add_stage(struct way *way, struct stage stage)
{
    assert(way->stage_count < STAGES_MAX);
    way->stages[way->stage_count++] = stage;
}

/* An operand as oneDNN likes it: rearranged now, or before each run. */
static dnnl_memory_t bring(const struct convolution_problem *own, struct way *way, enum role role,
                           const dnnl_memory_desc_t *liked, bool each_time)
{
    dnnl_memory_t from = new_memory(own, way, &own->given[role], own->data[role]);
    dnnl_memory_t to = new_memory(own, way, liked, NULL);
    struct stage stage = make_reorder(own, from, to);
    if (each_time) {
        add_stage(way, stage);
        return to;
    }
    execute(own, &stage);
    must(dnnl_primitive_destroy(stage.primitive));
    return to;
}

static dnnl_memory_desc_t describe_image(const struct convolution_problem *own, enum role role,
                                         dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    const struct numbers *n = &own->n;
    const dnnl_dims_t x = { n->batch, n->in, n->rows, n->columns };
    const dnnl_dims_t y = { n->batch, n->out, own->out_rows, own->out_columns };
    dnnl_memory_desc_t md;
    must(dnnl_memory_desc_init_by_tag(&md, 4, role == X ? x : y, type, tag));
    return md;
}

static dnnl_memory_desc_t describe_bias(const struct convolution_problem *own, int rank)
{
    const dnnl_dims_t line = { own->n.in }, image = { 1, own->n.in, 1, 1 };
    dnnl_memory_desc_t md;
    must(dnnl_memory_desc_init_by_tag(&md, rank, rank == 1 ? line : image, dnnl_f32,
                                      rank == 1 ? dnnl_a : dnnl_nchw));
    return md;
}

static dnnl_primitive_desc_t describe(const struct convolution_problem *own,
                                      const struct way_form *form)
{
    const struct numbers *n = &own->n;
    const dnnl_dims_t strides = { n->stride, n->stride }, pads = { n->pad, n->pad };
    dnnl_memory_desc_t x = describe_image(own, X, form->type, form->tag),
                       bias = describe_bias(own, 1);
    dnnl_memory_desc_t y = describe_image(own, Y, form->type, form->tag), any = own->given[WEIGHTS];
    dnnl_primitive_desc_t pd, hint = NULL;
    dnnl_convolution_desc_t desc;
    dnnl_deconvolution_desc_t transposed;
    const void *described = n->kind == TRANSPOSED ? (const void *)&transposed : &desc;
    must(dnnl_memory_desc_init_by_tag(&any, any.ndims, own->given[WEIGHTS].dims, form->type,
                                      dnnl_format_tag_any));
    if (n->kind == TRANSPOSED)
        must(dnnl_deconvolution_forward_desc_init(
            &transposed, dnnl_forward_inference, dnnl_deconvolution_direct, &y, &any,
            form->bias_inside ? &bias : NULL, &x, strides, pads, pads));
    else
        must(dnnl_convolution_forward_desc_init(
            &desc, n->kind == FORWARD ? form->purpose : dnnl_forward_training, form->algorithm, &x,
            &any, NULL, &y, strides, pads, pads));
    if (n->kind == TO_INPUT || n->kind == TO_WEIGHTS)
        must(dnnl_primitive_desc_create(&hint, &desc, NULL, own->cpu->engine, NULL));
    if (n->kind == TO_INPUT)
        must(dnnl_convolution_backward_data_desc_init(&desc, form->algorithm, &x, &any, &y, strides,
                                                      pads, pads));
    if (n->kind == TO_WEIGHTS)
        must(dnnl_convolution_backward_weights_desc_init(&desc, form->algorithm, &x, &any, NULL, &y,
                                                         strides, pads, pads));
    must(dnnl_primitive_desc_create(&pd, described, NULL, own->cpu->engine, hint));
    if (hint)
        must(dnnl_primitive_desc_destroy(hint));
    return pd;
}

/* The bias added to the result where it lies. */
static void add_bias_behind(const struct convolution_problem *own, struct way *way,
                            dnnl_memory_t result)
{
    dnnl_memory_desc_t bias = describe_bias(own, 4);
    const dnnl_memory_desc_t *md;
    dnnl_binary_desc_t desc;
    dnnl_primitive_desc_t pd;
    must(dnnl_memory_get_memory_desc(result, &md));
    must(dnnl_binary_desc_init(&desc, dnnl_binary_add, md, &bias, md));
    must(dnnl_primitive_desc_create(&pd, &desc, NULL, own->cpu->engine, NULL));
    dnnl_exec_arg_t args[] = { { DNNL_ARG_SRC_0, result },
                               { DNNL_ARG_SRC_1, new_memory(own, way, &bias, own->bias) },
                               { DNNL_ARG_DST, result } };
    add_stage(way, make_stage(pd, args, 3));
}

static void open_way(const struct convolution_problem *own, const struct way_form *form,
                     struct way *way)
{
    const int *ids = argument_ids[own->n.kind];
    dnnl_primitive_desc_t pd = describe(own, form);
    dnnl_exec_arg_t args[ARGS_MAX];
    const char *implementation;
    int64_t scratch_bytes;
    *way = (struct way){ 0 };
    must(dnnl_primitive_desc_query(pd, dnnl_query_memory_consumption_s64, 0, &scratch_bytes));
    way->scratch =
        (double)scratch_bytes / (double)((own->counts[X] + own->counts[Y]) * sizeof(float));
    must(dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&implementation));
    snprintf(way->implementation, sizeof way->implementation, "%s", implementation);
    for (int role = 0; role < ROLES; role++) {
        const dnnl_memory_desc_t *liked =
            dnnl_primitive_desc_query_md(pd, dnnl_query_exec_arg_md, ids[role]);
        bool each_time = role == WEIGHTS ? form->new_weights : form->rearranges;
        args[role].arg = ids[role];
        args[role].memory = role == (int)own->result
                                ? new_memory(own, way, liked, NULL)
                                : bring(own, way, (enum role)role, liked, each_time);
    }
    if (form->bias_inside) {
        dnnl_memory_desc_t bias = describe_bias(own, 1);
        args[ROLES].arg = DNNL_ARG_BIAS;
        args[ROLES].memory = new_memory(own, way, &bias, own->bias);
    }
    dnnl_memory_t made = args[own->result].memory;
    add_stage(way, make_stage(pd, args, ROLES + form->bias_inside));
    if (form->bias_behind)
        add_bias_behind(own, way, made);
    if (form->rearranges && own->result != WEIGHTS) {
        dnnl_memory_t last = new_memory(own, way, &own->given[own->result], NULL);
        add_stage(way, make_reorder(own, made, last));
        made = last;
    }
    dnnl_memory_t shown = new_memory(own, way, &own->given[own->result], own->lab.output);
    way->show = make_reorder(own, made, shown);
}

static void close_way(struct way *way)
{
    for (int i = 0; i < way->stage_count; i++)
        must(dnnl_primitive_destroy(way->stages[i].primitive));
    must(dnnl_primitive_destroy(way->show.primitive));
    for (int i = 0; i < way->memory_count; i++)
        must(dnnl_memory_destroy(way->memories[i]));
}

/* ---- steps ---- */

static const struct lab_step steps[] = {
    { "plain", run_plain, LAB_ANY, 0 },
    { "direct, channels-last", run_0, LAB_ANY, BOUND },
    { "direct, blocked", run_1, LAB_ANY, BOUND },
    { "Winograd", run_2, LAB_ANY, BOUND },
    { "Winograd, rearranged", run_3, LAB_ANY, BOUND },
    { "direct, new weights", run_4, LAB_ANY, BOUND },
    { "Winograd, new weights", run_5, LAB_ANY, BOUND },
    { "the same, as for inference", run_6, LAB_ANY, BOUND },
};
#define INFERENCE .type = dnnl_f32, .purpose = dnnl_forward_inference
#define TRAINING .type = dnnl_f32, .purpose = dnnl_forward_training
#define DIRECT(layout) .tag = layout, .algorithm = dnnl_convolution_direct
#define WINOGRAD .tag = dnnl_nChw16c, .algorithm = dnnl_convolution_winograd
static const struct way_form forms[] = {
    { INFERENCE, DIRECT(dnnl_nhwc) },
    { INFERENCE, DIRECT(dnnl_nChw16c) },
    { INFERENCE, WINOGRAD },
    { INFERENCE, WINOGRAD, .rearranges = true },
    { TRAINING, DIRECT(dnnl_nhwc), .new_weights = true },
    { TRAINING, WINOGRAD, .new_weights = true },
    { INFERENCE, WINOGRAD, .new_weights = true },
};
enum { WITHOUT_BLOCKS = 1, WITHOUT_WINOGRAD = 2, OF_GRADIENTS = 4 }; /* the first so many of them */

static const struct lab_step transposed_steps[] = {
    { "plain", run_plain, LAB_ANY, 0 },
    { "f32, bias inside", run_0, LAB_ANY, BOUND },
    { "f32, bias behind", run_1, LAB_ANY, BOUND },
    { "bf16, bias inside", run_2, LAB_ANY, BOUND_BF16 },
    { "bf16, bias behind", run_3, LAB_ANY, BOUND_BF16 },
};
static const struct way_form transposed_forms[] = {
    { .type = dnnl_f32, .tag = dnnl_nhwc, .bias_inside = true },
    { .type = dnnl_f32, .tag = dnnl_nhwc, .bias_behind = true },
    { .type = dnnl_bf16, .tag = dnnl_nhwc, .bias_inside = true },
    { .type = dnnl_bf16, .tag = dnnl_nhwc, .bias_behind = true },
};
enum { WITHOUT_BF16 = 2 };

static bool has(dnnl_cpu_isa_t wanted)
{
    return ((unsigned)dnnl_get_effective_cpu_isa() & (unsigned)wanted) == (unsigned)wanted;
}

static unsigned count_ways(const struct numbers *n)
{
    if (n->kind == TRANSPOSED)
        return has(dnnl_cpu_isa_avx512_core_bf16) ? COUNT(transposed_forms) : WITHOUT_BF16;
    if (!has(dnnl_cpu_isa_avx512_core))
        return WITHOUT_BLOCKS;
    if (n->kernel != 3 || n->alone)
        return WITHOUT_WINOGRAD;
    return n->kind == FORWARD ? COUNT(forms) : OF_GRADIENTS;
}

/* ---- problems ---- */

/* Numbers that bf16 has, where it shall be compared. */
static float *take_floats(struct random_state *random, size_t count, double scale, bool rounded)
{
    float *data = lab_take(count * sizeof *data, 0);
    lab_fill_floats(random, data, count);
    for (size_t i = 0; i < count; i++) {
        data[i] *= (float)scale;
        data[i] = rounded ? float_from_bfloat(float_to_bfloat(data[i])) : data[i];
    }
    return data;
}

static void describe_given(struct convolution_problem *own)
{
    const struct numbers *n = &own->n;
    dnnl_dim_t taps = n->kernel * n->kernel, ins = n->alone ? 1 : n->in;
    dnnl_dims_t dims = { n->out, 1, ins, n->kernel, n->kernel };
    dnnl_dims_t strides = { ins * taps, ins * taps, taps, n->kernel, 1 };
    dnnl_dims_t whole = { n->out, n->in, n->kernel, n->kernel };
    dnnl_dims_t transposed = { n->in, n->out, n->kernel, n->kernel };
    dnnl_dims_t whole_strides = { n->in * taps, taps, n->kernel, 1 };
    dnnl_dims_t transposed_strides = { taps, n->in * taps, n->kernel, 1 };
    bool turned = n->kind == TRANSPOSED;
    own->given[X] = describe_image(own, X, dnnl_f32, dnnl_nhwc);
    own->given[Y] = describe_image(own, Y, dnnl_f32, dnnl_nhwc);
    must(dnnl_memory_desc_init_by_strides(&own->given[WEIGHTS], n->alone ? 5 : 4,
                                          n->alone ? dims
                                          : turned ? transposed
                                                   : whole,
                                          dnnl_f32,
                                          n->alone ? strides
                                          : turned ? transposed_strides
                                                   : whole_strides));
}

static void name_problem(struct convolution_problem *own)
{
    static const char *const words[] = { "forward", "towards input", "towards weights", "transposed" };
    const struct numbers *n = &own->n;
    bool turned = n->kind == TRANSPOSED;
    snprintf(own->lab.name, sizeof own->lab.name, "%s, %dx%dx%d, %d to %d channels, %dx%d%s",
             words[n->kind], (int)n->batch, (int)(turned ? own->out_rows : n->rows),
             (int)(turned ? own->out_columns : n->columns), (int)(turned ? n->out : n->in),
             (int)(turned ? n->in : n->out), (int)n->kernel, (int)n->kernel, n->alone ? " each" : "");
}

static void open_problem(struct convolution_problem *own, const struct numbers *n,
                         const struct cpu_device *cpu)
{
    static const enum role results[] = { Y, X, WEIGHTS, X };
    struct random_state random;
    bool turned = n->kind == TRANSPOSED;
    *own = (struct convolution_problem){ .n = *n, .cpu = cpu, .result = results[n->kind] };
    own->out_rows = (n->rows + 2 * n->pad - n->kernel) / n->stride + 1;
    own->out_columns = (n->columns + 2 * n->pad - n->kernel) / n->stride + 1;
    double taps = (double)(n->kernel * n->kernel * (n->alone ? 1 : n->in));
    double pixels = (double)(n->batch * own->out_rows * own->out_columns);
    own->counts[X] = (size_t)(n->batch * n->rows * n->columns * n->in);
    own->counts[Y] = (size_t)pixels * (size_t)n->out;
    own->counts[WEIGHTS] = (size_t)taps * (size_t)n->out;
    random_seed(&random, own->counts[X]);
    own->data[X] = take_floats(&random, own->counts[X], 1, turned);
    own->data[WEIGHTS] = take_floats(&random, own->counts[WEIGHTS], 1 / sqrt(taps), turned);
    own->data[Y] =
        take_floats(&random, own->counts[Y], n->kind == TO_WEIGHTS ? 1 / sqrt(pixels) : 1, turned);
    own->bias = turned ? take_floats(&random, (size_t)n->in, 1, true) : NULL;
    own->lab.floats = true;
    own->lab.elements = own->counts[own->result];
    own->lab.output_bytes = own->lab.elements * sizeof(float);
    own->lab.output = lab_take(own->lab.output_bytes, 0);
    own->sums = lab_take(own->lab.elements * sizeof *own->sums, 0);
    own->by_tap = lab_take(own->counts[WEIGHTS] * sizeof *own->by_tap, 0);
    name_problem(own);
    describe_given(own);
    own->way_count = count_ways(n);
    for (unsigned i = 0; i < own->way_count; i++)
        open_way(own, turned ? &transposed_forms[i] : &forms[i], &own->ways[i]);
}

static void close_problem(struct convolution_problem *own)
{
    for (unsigned i = 0; i < own->way_count; i++)
        close_way(&own->ways[i]);
    for (int role = 0; role < ROLES; role++)
        lab_give(own->data[role]);
    if (own->bias)
        lab_give(own->bias);
    lab_give(own->lab.output);
    lab_give(own->sums);
    lab_give(own->by_tap);
}

/* The least CPU time: what other programs take is not counted, what they do to caches is. */
static double measure_ns(const struct lab_step *step, const struct convolution_problem *own)
{
    uint64_t begun_ns = clock_thread_cpu_ns();
    unsigned runs = 1, samples = 0;
    double least_ns = INFINITY;
    step->run(own);
    while (samples < SAMPLES_MAX) {
        uint64_t start_ns = clock_thread_cpu_ns();
        for (unsigned r = 0; r < runs; r++)
            step->run(own);
        uint64_t end_ns = clock_thread_cpu_ns();
        if (end_ns - start_ns < LAB_SAMPLE_NS && samples == 0) {
            runs *= 2;
            continue; /* not a sample yet */
        }
        least_ns = fmin(least_ns, (double)(end_ns - start_ns) / runs);
        samples++;
        if (samples >= SAMPLES_MIN && end_ns - begun_ns > PROBLEM_NS)
            break;
    }
    return least_ns;
}

static void check(struct lab *lab, const struct convolution_problem *own)
{
    unsigned all = lab->step_count;
    lab->step_count = own->way_count + 1;
    lab_check(lab, &own->lab);
    lab->step_count = all;
}

static void time_ways(const struct lab *lab, struct convolution_problem *own,
                      const struct way_form *list, const struct cpu_peak *peak)
{
    const struct numbers *n = &own->n;
    double flop = 2 * (double)own->counts[WEIGHTS] * (double)own->counts[Y] / (double)n->out;
    printf("%s: %s\n", lab->kernel, own->lab.name);
    own->timed = true;
    for (unsigned i = 0; i < own->way_count; i++) {
        double ns = measure_ns(&lab->steps[i + 1], own);
        double most = list[i].type == dnnl_bf16 ? peak->bf16_gflops : peak->f32_gflops;
        printf("  %-28s %9.1f us  %8.3f ns/element  %6.1f GFLOP/s  %4.0f%% of peak  error %.1e  "
               "%-30s %5.1f\n",
               lab->steps[i + 1].name, ns / 1e3, ns / (double)own->lab.elements, flop / ns,
               100 * flop / ns / most, lab->error[i + 1], own->ways[i].implementation,
               own->ways[i].scratch);
    }
}

/* What is small is checked always; the shapes of models when they are timed, so that the check stays
 * quick. */
static void climb(struct lab *lab, const struct numbers *list, size_t count, bool real,
                  const struct cpu_device *cpu, const struct cpu_peak *peak)
{
    for (size_t i = 0; i < count; i++) {
        struct convolution_problem own;
        open_problem(&own, &list[i], cpu);
        if (real)
            memset(lab->error, 0, sizeof lab->error);
        check(lab, &own);
        if (real)
            time_ways(lab, &own, list[i].kind == TRANSPOSED ? transposed_forms : forms, peak);
        close_problem(&own);
    }
}

/* kind, batch, rows, columns, in, out, kernel, stride, pad, each channel alone */
static const struct numbers odd[] = {
    { FORWARD, 1, 1, 1, 32, 32, 3, 1, 1, false },
    { FORWARD, 2, 9, 7, 33, 47, 3, 1, 1, false },
    { FORWARD, 1, 6, 5, 64, 32, 3, 1, 0, false },
    { FORWARD, 3, 13, 41, 16, 160, 3, 1, 1, false },
    { FORWARD, 1, 9, 7, 40, 24, 1, 1, 0, false },
    { FORWARD, 2, 8, 6, 48, 48, 3, 1, 1, true },
    { TO_INPUT, 2, 9, 7, 32, 64, 3, 1, 1, false },
    { TO_INPUT, 1, 6, 35, 48, 32, 3, 1, 1, false },
    { TO_WEIGHTS, 2, 9, 7, 32, 64, 3, 1, 1, false },
    { TO_WEIGHTS, 1, 6, 35, 48, 32, 3, 1, 1, false },
};
static const struct numbers real[] = {
    { FORWARD, 1, 192, 256, 16, 16, 3, 1, 1, false },
    { FORWARD, 16, 64, 64, 16, 16, 3, 1, 1, false },
    { FORWARD, 4, 128, 128, 16, 32, 3, 1, 1, false },
    { FORWARD, 1, 96, 128, 32, 32, 3, 1, 1, false },
    { FORWARD, 1, 7, 9, 32, 32, 3, 1, 1, false },
    { FORWARD, 1, 96, 128, 64, 64, 3, 1, 1, false },
    { FORWARD, 1, 6, 8, 64, 64, 3, 1, 1, false },
    { FORWARD, 1, 13, 13, 128, 128, 3, 1, 1, false },
    { FORWARD, 1, 24, 32, 256, 256, 3, 1, 1, false },
    { FORWARD, 1, 48, 64, 33, 33, 3, 1, 1, false },
    { FORWARD, 16, 8, 8, 64, 64, 3, 1, 1, false },
    { FORWARD, 16, 64, 64, 64, 64, 3, 1, 1, false },
    { TO_INPUT, 16, 64, 64, 64, 64, 3, 1, 1, false },
    { TO_WEIGHTS, 16, 64, 64, 64, 64, 3, 1, 1, false },
    { FORWARD, 1, 48, 64, 64, 64, 1, 1, 0, false },
    { FORWARD, 1, 48, 64, 64, 64, 3, 1, 1, true },
};
static const struct numbers odd_transposed[] = {
    { TRANSPOSED, 2, 10, 14, 11, 32, 4, 2, 1, false },
    { TRANSPOSED, 1, 9, 7, 5, 16, 3, 2, 1, false },
    { TRANSPOSED, 1, 8, 6, 16, 24, 2, 2, 0, false },
};
static const struct numbers real_transposed[] = {
    { TRANSPOSED, 8, 180, 240, 11, 32, 4, 2, 1, false },
};

static struct lab begin(const char *name, const struct lab_step *list, size_t count,
                        size_t available, const char *lacks, int argc, char **argv)
{
    if (available < count)
        fprintf(stderr, "SKIP REASON: lab: %s, from step \"%s\" on: %s\n", name,
                list[available].name, lacks);
    return lab_begin(name, list, available, argc, argv);
}

int main(int argc, char **argv)
{
    struct device *device;
    struct cpu_peak peak = { 0 };
    struct error err;
    if (device_open(&device, "cpu:threads=1", &err)) {
        fprintf(stderr, "lab: %s\n", err.text);
        return 1;
    }
    const struct cpu_device *cpu = (const struct cpu_device *)device;
    omp_set_num_threads(1);
    struct lab transposed =
        begin("transposed convolution", transposed_steps, COUNT(transposed_steps),
              count_ways(&real_transposed[0]) + 1, "this processor has no bf16", argc, argv);
    struct lab lab =
        begin("convolution", steps, COUNT(steps), count_ways(&real[0]) + 1,
              "oneDNN has blocks of 16 and Winograd's method with AVX-512 only", argc, argv);
    climb(&transposed, odd_transposed, COUNT(odd_transposed), false, cpu, NULL);
    climb(&lab, odd, COUNT(odd), false, cpu, NULL);
    if (lab.timed && cpu_peak_measure(cpu, &peak, &err)) {
        fprintf(stderr, "lab: %s\n", err.text);
        return 1;
    }
    if (lab.timed) {
        printf("convolution: one thread; at most %.0f GFLOP/s in f32, %.0f in bf16\n",
               peak.f32_gflops, peak.bf16_gflops);
        climb(&lab, real, COUNT(real), true, cpu, &peak);
        climb(&transposed, real_transposed, COUNT(real_transposed), true, cpu, &peak);
    }
    device_close(&device);
    int failed = lab_end(&transposed);
    return lab_end(&lab) || failed;
}
