/* ops_bench: how fast ops are on shapes of real work, and which share that is of what the machine can
 * do at all (cpu/peak.h, measured in the same run): the arithmetic or the bytes that the op cannot do
 * without at the peak's speed, whichever takes longer, over the time that it took. Convolutions by
 * Winograd's method multiply less than is counted, and may be above it. */
#include "cpu/peak.h"
#include "lab.h"
#include "lab/ops.h"

#define SAMPLES_MAX 15
#define CASE_NS 300000000u /* no further sample is taken after so long */

static int bench(const struct ops_case *c, struct device *device, enum precision precision,
                 const struct cpu_peak *peak, struct error *err);
static int measure(const struct ops_case *c, struct device *device, enum precision precision,
                   struct graph *graph, struct plan **plan, double *ns, struct error *err);
static int sample(struct plan *plan, double *ns, struct error *err);
static uint64_t moved_bytes(const struct graph *graph);
static int64_t most_elements(const struct graph *graph);

int ops_bench(struct device *device, const char *only, struct error *err)
{
    struct device_info info;
    struct cpu_peak peak;
    device_get_info(device, &info);
    if (strcmp(info.kind, "cpu") != 0)
        return 0;
    int rc = cpu_peak_measure((const struct cpu_device *)device, &peak, err);
    if (rc)
        return rc;
    printf("ops: %s, %u threads; at most %.0f GFLOP/s in f32", info.name, info.threads,
           peak.f32_gflops);
    if (info.bf16)
        printf(", %.0f in bf16", peak.bf16_gflops);
    for (int i = 0; i < CPU_PEAK_COPIES; i++)
        printf("%s%.0f", i == 0 ? "; copies " : ", ", peak.copies[i].gbps);
    printf(" GB/s\n%-24s %-34s %-26s %9s %9s %14s %6s\n", "op", "inputs", "implementation", "us",
           "ns/elem", "rate", "share");
    for (size_t i = 0; !rc && i < ops_bench_count; i++) {
        if (only && strcmp(only, ops_benches[i].op) != 0)
            continue;
        rc = bench(&ops_benches[i], device, PRECISION_F32, &peak, err);
        if (!rc && info.bf16 && ops_row(&ops_benches[i])->heavy)
            rc = bench(&ops_benches[i], device, PRECISION_BF16, &peak, err);
    }
    return rc;
}

/* One line; in bf16 only where that makes multiplications faster. */
static int bench(const struct ops_case *c, struct device *device, enum precision precision,
                 const struct cpu_peak *peak, struct error *err)
{
    struct graph *graph = NULL;
    struct plan *plan = NULL;
    char how[64];
    double ns = 0;
    int rc = ops_build(c, false, &graph, err);
    if (!rc)
        rc = measure(c, device, precision, graph, &plan, &ns, err);
    uint64_t flop = rc ? 0 : plan_flop(plan);
    if (!rc && (flop > 0 || precision == PRECISION_F32)) {
        enum tensor_type type = precision == PRECISION_F32 ? TENSOR_F32 : TENSOR_BF16;
        uint64_t bytes = moved_bytes(graph);
        int64_t elements = most_elements(graph);
        double least_ns = fmax(cpu_peak_flop_ns(peak, type, flop), cpu_peak_bytes_ns(peak, bytes));
        ops_implementation(plan, how, sizeof how);
        printf("%-24s %-34.34s %-26.26s %9.1f %9.3f %6.1f %s %5.0f%%%s\n", c->op, c->inputs, how,
               ns / 1e3, ns / (double)elements, (double)(flop > 0 ? flop : bytes) / ns,
               flop > 0 ? "GFLOP/s" : "GB/s   ", 100 * least_ns / ns,
               type == TENSOR_BF16 ? "  bf16" : "");
    }
    plan_free(&plan);
    graph_free(&graph);
    if (rc)
        error_wrap(err, "%s (%s)", c->op, c->inputs);
    return rc;
}

/* The fastest of some runs: processors are shared, and what others take is not the op's. */
static int measure(const struct ops_case *c, struct device *device, enum precision precision,
                   struct graph *graph, struct plan **plan, double *ns, struct error *err)
{
    struct tensor inputs[OPS_INPUTS_MAX] = { 0 };
    struct random_state random;
    struct plan_options options = { .precision = precision };
    random_seed(&random, 1);
    int rc = ops_fill(c, graph, 0, &random, inputs, err);
    if (!rc)
        rc = device_compile(device, graph, &options, plan, err);
    for (size_t i = 0; !rc && i < plan_input_count(*plan); i++)
        memcpy(plan_input(*plan, i)->data, inputs[i].data, tensor_bytes(&inputs[i]));
    if (!rc)
        rc = sample(*plan, ns, err);
    for (int i = 0; i < OPS_INPUTS_MAX; i++)
        tensor_free(&inputs[i]);
    return rc;
}

static int sample(struct plan *plan, double *ns, struct error *err)
{
    unsigned samples = 0, runs = 1;
    uint64_t begun_ns = clock_now_ns();
    int rc = plan_run(plan, err); /* warms up */
    *ns = INFINITY;
    while (!rc && samples < SAMPLES_MAX) {
        uint64_t start_ns = clock_now_ns();
        for (unsigned r = 0; !rc && r < runs; r++)
            rc = plan_run(plan, err);
        uint64_t end_ns = clock_now_ns();
        if (end_ns - start_ns < LAB_SAMPLE_NS && samples == 0) {
            runs *= 2;
            continue; /* not a sample yet */
        }
        *ns = fmin(*ns, (double)(end_ns - start_ns) / runs);
        samples++;
        if (end_ns - begun_ns > CASE_NS)
            break;
    }
    return rc;
}

/* What the node must read and write. */
static uint64_t moved_bytes(const struct graph *graph)
{
    uint64_t bytes = 0;
    for (int i = 0; i < graph->value_count; i++)
        bytes += (uint64_t)shape_elements(&graph->values[i].shape) *
                 tensor_type_bytes(graph->values[i].type);
    return bytes;
}

/* Of the largest tensor, input or output: what times by element are told for. */
static int64_t most_elements(const struct graph *graph)
{
    int64_t most = 1;
    for (int i = 0; i < graph->value_count; i++) {
        int64_t elements = shape_elements(&graph->values[i].shape);
        most = elements > most ? elements : most;
    }
    return most;
}
