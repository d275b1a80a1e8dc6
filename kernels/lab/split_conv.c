/* split_conv: convolutions of f32 with constant weights, channels-last, in three bf16 products on matrix units
 * (cpu/split_conv.h), beside oneDNN's in f32.
 *
 *   plain          tap by tap, in doubles
 *   direct         oneDNN's direct convolution in f32, channels-last
 *   Winograd       oneDNN's in f32, blocked, 3x3 of stride 1 only; channels that fill no blocks are filled up
 *   matrix units   production (cpu/split_conv.c)
 *
 * All with one thread. As others may use the same matrix units (on a virtual machine by a factor of 3 from minute
 * to minute), the ways take turns and medians are printed; "of peak" is that of oneDNN's matrix products,
 * production's as three products. */
#include "cpu/peak.h"
#include "cpu/split_conv.h"
#include "lab.h"
#include <omp.h>

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define ROUNDS 31
#define ROUND_NS 300000u /* of one way */
#define WAYS 2           /* of oneDNN */
#define BOUND 3e-5       /* of results near 1, as two bf16 of each number leave 1e-5 of it */

struct numbers {
    int64_t batch, rows, columns, in, out, kernel, stride, pad;
};

struct way {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[3];
    dnnl_memory_t seen; /* the result, channels-last in lab.output */
};

struct split_conv_problem {
    struct lab_problem lab;
    struct split_conv conv;
    struct split_conv_tail tail;
    const struct cpu_device *cpu;
    float *input, *weights, *bias;
    void *packed, *scratch;
    struct way ways[WAYS];
    bool timed; /* then results stay where they are */
};

static void must(dnnl_status_t status)
{
    if (status == dnnl_success)
        return;
    fprintf(stderr, "lab: split_conv: oneDNN gives %d\n", (int)status);
    exit(1);
}

/* ---- plain ---- */

static double sum_one(const struct split_conv_problem *own, int64_t pixel, int64_t k)
{
    const struct split_conv *c = &own->conv;
    int64_t column = pixel % c->out_columns, row = pixel / c->out_columns % c->out_rows;
    int64_t image = pixel / c->out_columns / c->out_rows;
    double sum = 0;
    for (int64_t r = 0; r < c->kernel[0]; r++)
        for (int64_t s = 0; s < c->kernel[1]; s++) {
            int64_t y = row * c->stride[0] + r - c->pad[0], x = column * c->stride[1] + s - c->pad[1];
            const float *weights = own->weights + (k * c->in * c->kernel[0] + r) * c->kernel[1] + s;
            if (y < 0 || y >= c->rows || x < 0 || x >= c->columns)
                continue;
            const float *from = own->input + ((image * c->rows + y) * c->columns + x) * c->in;
            for (int64_t i = 0; i < c->in; i++)
                sum += (double)from[i] * (double)weights[i * c->kernel[0] * c->kernel[1]];
        }
    return sum;
}

static void run_plain(const void *problem)
{
    const struct split_conv_problem *own = problem;
    float *to = (float *)(void *)own->lab.output;
    for (int64_t i = 0; i < (int64_t)own->lab.elements; i++)
        to[i] = (float)sum_one(own, i / own->conv.out, i % own->conv.out);
}

/* ---- the others ---- */

static void reorder(const struct split_conv_problem *own, dnnl_memory_t from, dnnl_memory_t to)
{
    const dnnl_memory_desc_t *from_md, *to_md;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t primitive;
    must(dnnl_memory_get_memory_desc(from, &from_md));
    must(dnnl_memory_get_memory_desc(to, &to_md));
    must(dnnl_reorder_primitive_desc_create(&pd, from_md, own->cpu->engine, to_md, own->cpu->engine,
                                            NULL));
    must(dnnl_primitive_create(&primitive, pd));
    dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, from }, { DNNL_ARG_TO, to } };
    must(dnnl_primitive_execute(primitive, own->cpu->stream, 2, args));
    must(dnnl_primitive_destroy(primitive));
    must(dnnl_primitive_desc_destroy(pd));
}

static void run_way(const struct split_conv_problem *own, int index)
{
    const struct way *way = &own->ways[index];
    must(dnnl_primitive_execute(way->primitive, own->cpu->stream, 3, way->args));
    if (!own->timed)
        reorder(own, way->args[2].memory, way->seen);
}

static void run_direct(const void *problem)
{
    run_way(problem, 0);
}

/* The direct way again where it does not apply. */
static void run_winograd(const void *problem)
{
    const struct split_conv_problem *own = problem;
    run_way(own, own->ways[1].primitive ? 1 : 0);
}

static void run_production(const void *problem)
{
    const struct split_conv_problem *own = problem;
    split_conv_run(&own->conv, own->input, own->packed, &own->tail,
                   (float *)(void *)own->lab.output, own->scratch);
}

static const struct lab_step steps[] = {
    { "plain", run_plain, LAB_ANY, 0 },
    { "direct", run_direct, LAB_ANY, BOUND },
    { "Winograd", run_winograd, LAB_ANY, BOUND },
    { "matrix units (production)", run_production, LAB_ANY, BOUND },
};

/* ---- problems ---- */

static dnnl_memory_t bring(const struct split_conv_problem *own, const dnnl_memory_desc_t *given,
                           void *data, const dnnl_memory_desc_t *liked)
{
    dnnl_memory_t from, to;
    must(dnnl_memory_create(&from, given, own->cpu->engine, data));
    must(dnnl_memory_create(&to, liked, own->cpu->engine, DNNL_MEMORY_ALLOCATE));
    reorder(own, from, to);
    must(dnnl_memory_destroy(from));
    return to;
}

static void open_way(struct split_conv_problem *own, const struct numbers *n, bool winograd)
{
    const struct split_conv *c = &own->conv;
    const dnnl_dims_t strides = { n->stride, n->stride }, pads = { n->pad, n->pad };
    const dnnl_dims_t x = { n->batch, n->in, n->rows, n->columns };
    const dnnl_dims_t w = { n->out, n->in, n->kernel, n->kernel };
    const dnnl_dims_t y = { n->batch, n->out, c->out_rows, c->out_columns };
    const dnnl_format_tag_t tag = winograd ? dnnl_nChw16c : dnnl_nhwc;
    struct way *way = &own->ways[winograd];
    dnnl_memory_desc_t from, any, to, last_x, given, last_y;
    dnnl_convolution_desc_t desc;
    dnnl_primitive_desc_t pd;
    must(dnnl_memory_desc_init_by_tag(&from, 4, x, dnnl_f32, tag));
    must(dnnl_memory_desc_init_by_tag(&any, 4, w, dnnl_f32, dnnl_format_tag_any));
    must(dnnl_memory_desc_init_by_tag(&to, 4, y, dnnl_f32, tag));
    must(dnnl_memory_desc_init_by_tag(&last_x, 4, x, dnnl_f32, dnnl_nhwc));
    must(dnnl_memory_desc_init_by_tag(&given, 4, w, dnnl_f32, dnnl_oihw));
    must(dnnl_memory_desc_init_by_tag(&last_y, 4, y, dnnl_f32, dnnl_nhwc));
    must(dnnl_convolution_forward_desc_init(
        &desc, dnnl_forward_inference, winograd ? dnnl_convolution_winograd : dnnl_convolution_direct,
        &from, &any, NULL, &to, strides, pads, pads));
    if (dnnl_primitive_desc_create(&pd, &desc, NULL, own->cpu->engine, NULL))
        return;
    must(dnnl_primitive_create(&way->primitive, pd));
    const dnnl_memory_desc_t *liked = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);
    way->args[0] = (dnnl_exec_arg_t){ DNNL_ARG_SRC, bring(own, &last_x, own->input, &from) };
    way->args[1] = (dnnl_exec_arg_t){ DNNL_ARG_WEIGHTS, bring(own, &given, own->weights, liked) };
    way->args[2].arg = DNNL_ARG_DST;
    must(dnnl_memory_create(&way->args[2].memory, &to, own->cpu->engine, DNNL_MEMORY_ALLOCATE));
    must(dnnl_memory_create(&way->seen, &last_y, own->cpu->engine, own->lab.output));
    must(dnnl_primitive_desc_destroy(pd));
}

static void close_way(const struct way *way)
{
    if (!way->primitive)
        return;
    for (int i = 0; i < 3; i++)
        must(dnnl_memory_destroy(way->args[i].memory));
    must(dnnl_memory_destroy(way->seen));
    must(dnnl_primitive_destroy(way->primitive));
}

static struct split_conv describe(const struct numbers *n)
{
    return (struct split_conv){
        .batch = n->batch,
        .in = n->in,
        .out = n->out,
        .rows = n->rows,
        .columns = n->columns,
        .out_rows = (n->rows + 2 * n->pad - n->kernel) / n->stride + 1,
        .out_columns = (n->columns + 2 * n->pad - n->kernel) / n->stride + 1,
        .kernel = { n->kernel, n->kernel },
        .stride = { n->stride, n->stride },
        .dilation = { 1, 1 },
        .pad = { n->pad, n->pad },
        .in_step = n->in,
        .out_step = n->out,
        .threads = 1,
    };
}

static void prepare_production(struct split_conv_problem *own)
{
    const struct split_conv *c = &own->conv;
    int64_t taps = c->kernel[0] * c->kernel[1];
    struct split_conv_weights weights = { own->weights, c->in * taps, taps, c->kernel[1], 1 };
    bool planned = split_conv_plan(&own->conv);
    assert(planned);
    (void)planned;
    own->packed = lab_take(split_conv_weights_bytes(c), 0);
    own->scratch = lab_take(split_conv_scratch_bytes(c), 0);
    split_conv_pack(c, &weights, own->packed);
    own->tail = (struct split_conv_tail){ .bias = own->bias, .low = -INFINITY, .high = INFINITY };
}

static void open_problem(struct split_conv_problem *own, const struct numbers *n,
                         const struct cpu_device *cpu)
{
    struct random_state random;
    *own = (struct split_conv_problem){ .conv = describe(n), .cpu = cpu };
    size_t inputs = (size_t)(n->batch * n->rows * n->columns * n->in);
    size_t taps = (size_t)(n->in * n->kernel * n->kernel), biases = (size_t)(n->out + 15) / 16 * 16;
    random_seed(&random, inputs);
    own->input = lab_take(inputs * sizeof *own->input, 0);
    own->weights = lab_take(taps * (size_t)n->out * sizeof *own->weights, 0);
    own->bias = lab_take(biases * sizeof *own->bias, 0);
    lab_fill_floats(&random, own->input, inputs);
    lab_fill_floats(&random, own->weights, taps * (size_t)n->out);
    for (size_t i = 0; i < taps * (size_t)n->out; i++)
        own->weights[i] /= sqrtf((float)taps);
    memset(own->bias, 0, biases * sizeof *own->bias);
    own->lab.floats = true;
    own->lab.elements = (size_t)(n->batch * own->conv.out_rows * own->conv.out_columns * n->out);
    own->lab.output_bytes = own->lab.elements * sizeof(float);
    own->lab.output = lab_take(own->lab.output_bytes, 0);
    snprintf(own->lab.name, sizeof own->lab.name, "%dx%dx%d, %d to %d channels, %dx%d, stride %d",
             (int)n->batch, (int)n->rows, (int)n->columns, (int)n->in, (int)n->out, (int)n->kernel,
             (int)n->kernel, (int)n->stride);
    open_way(own, n, false);
    if (n->kernel == 3 && n->stride == 1)
        open_way(own, n, true);
    prepare_production(own);
}

static void close_problem(struct split_conv_problem *own)
{
    void *taken[] = { own->input,  own->weights, own->bias,
                      own->packed, own->scratch, own->lab.output };
    for (int i = 0; i < WAYS; i++)
        close_way(&own->ways[i]);
    for (size_t i = 0; i < COUNT(taken); i++)
        lab_give(taken[i]);
}

/* ---- times ---- */

static double time_ns(const struct lab_step *step, const struct split_conv_problem *own)
{
    uint64_t start_ns = clock_now_ns(), now_ns;
    unsigned runs = 0;
    do {
        step->run(own);
        runs++;
        now_ns = clock_now_ns();
    } while (now_ns - start_ns < ROUND_NS);
    return (double)(now_ns - start_ns) / runs;
}

static void time_steps(const struct lab *lab, struct split_conv_problem *own, double flop,
                       const struct cpu_peak *peak)
{
    double samples[COUNT(steps)][ROUNDS];
    own->timed = true;
    for (int round = -1; round < ROUNDS; round++) /* the first is to warm up */
        for (unsigned s = 1; s < COUNT(steps); s++)
            samples[s][round < 0 ? 0 : round] = time_ns(&steps[s], own);
    printf("split_conv: %s\n", own->lab.name);
    for (unsigned s = 1; s < COUNT(steps); s++) {
        bool ours = s + 1 == COUNT(steps);
        if (steps[s].run == run_winograd && !own->ways[1].primitive)
            continue;
        qsort(samples[s], ROUNDS, sizeof **samples, lab_compare_times);
        double ns = samples[s][ROUNDS / 2], most = ours ? peak->bf16_gflops / 3 : peak->f32_gflops;
        printf("  %-28s %9.1f us  %8.1f GFLOP/s  %4.0f%% of peak  error %.1e\n", steps[s].name,
               ns / 1e3, flop / ns, 100 * flop / ns / most, lab->error[s]);
    }
}

static const struct numbers odd[] = {
    { 1, 1, 1, 1, 1, 1, 1, 0 },     { 2, 9, 7, 33, 47, 3, 1, 1 },   { 1, 13, 13, 67, 19, 1, 1, 0 },
    { 3, 13, 41, 16, 16, 3, 2, 1 }, { 1, 9, 17, 12, 70, 5, 1, 2 },  { 2, 8, 6, 40, 96, 1, 2, 0 },
    { 1, 31, 29, 5, 31, 7, 3, 3 },  { 1, 40, 50, 64, 64, 3, 1, 1 },
};
static const struct numbers real[] = {
    { 1, 48, 64, 64, 64, 3, 1, 1 },    { 1, 48, 64, 128, 64, 3, 1, 1 },
    { 1, 24, 32, 96, 96, 3, 1, 1 },    { 1, 12, 16, 128, 128, 3, 1, 1 },
    { 1, 24, 32, 256, 256, 3, 1, 1 },  { 1, 96, 128, 32, 32, 3, 1, 1 },
    { 1, 192, 256, 16, 32, 3, 2, 1 },  { 1, 288, 384, 12, 12, 3, 1, 1 },
    { 1, 90, 160, 131, 131, 3, 1, 1 }, { 1, 26, 26, 64, 64, 1, 1, 0 },
    { 1, 52, 52, 64, 64, 1, 1, 0 },    { 1, 52, 52, 32, 32, 1, 1, 0 },
    { 1, 104, 104, 32, 64, 1, 1, 0 },  { 1, 104, 104, 16, 16, 1, 1, 0 },
    { 1, 13, 13, 256, 256, 1, 1, 0 },  { 1, 88, 88, 24, 24, 1, 1, 0 },
};

static void climb(struct lab *lab, const struct numbers *list, size_t count, bool timed,
                  const struct cpu_device *cpu, const struct cpu_peak *peak)
{
    for (size_t i = 0; i < count; i++) {
        const struct numbers *n = &list[i];
        struct split_conv_problem own;
        open_problem(&own, n, cpu);
        if (timed)
            memset(lab->error, 0, sizeof lab->error);
        lab_check(lab, &own.lab);
        double taps = (double)(n->in * n->kernel * n->kernel);
        if (timed)
            time_steps(lab, &own, 2 * taps * (double)own.lab.elements, peak);
        close_problem(&own);
    }
}

int main(int argc, char **argv)
{
    struct cpu_peak peak = { 0 };
    struct device *device;
    struct error err;
    if (!split_conv_available()) {
        fprintf(stderr, "SKIP REASON: lab: split_conv: this processor has no matrix units\n");
        printf("lab: kernel=split_conv steps=0 problems=0 skipped=1 failed=0\n[  SKIPPED ] 1 "
               "test(s).\n");
        return 0;
    }
    if (device_open(&device, "cpu:threads=1", &err)) {
        fprintf(stderr, "lab: %s\n", err.text);
        return 1;
    }
    const struct cpu_device *cpu = (const struct cpu_device *)device;
    struct lab lab = lab_begin("split_conv", steps, COUNT(steps), argc, argv);
    omp_set_num_threads(1);
    climb(&lab, odd, COUNT(odd), false, cpu, NULL);
    if (lab.timed && cpu_peak_measure(cpu, &peak, &err)) {
        fprintf(stderr, "lab: %s\n", err.text);
        return 1;
    }
    if (lab.timed)
        climb(&lab, real, COUNT(real), true, cpu, &peak);
    device_close(&device);
    return lab_end(&lab);
}
