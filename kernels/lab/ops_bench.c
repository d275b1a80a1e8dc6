/* ops_bench: how fast ops are on shapes of real work, and which share that is of what the machine can
 * do at all: of a large matrix product for ops that count multiplications, of a copy by all threads
 * that moves as many bytes for the others. Both are measured in the same run. */
#include "lab.h"
#include "lab/ops.h"
#include <pthread.h>

#define SAMPLES_MAX 15
#define CASE_NS 300000000u /* no further sample is taken after so long */
#define THREADS_MAX 64
#define COPY_NS 2000000u /* of a burst of copies, the fastest of which counts */
#define COPY_BURSTS 9

/* What the device can do. */
struct peak {
    double gflops[2]; /* by precision */
    uint32_t threads;
    bool bf16;
};

struct copy_work {
    const void *from;
    void *to;
    size_t bytes;
    unsigned runs;
};

static int bench(const struct ops_case *c, struct device *device, enum precision precision,
                 const struct peak *peak, struct error *err);
static int measure(const struct ops_case *c, struct device *device, enum precision precision,
                   struct graph *graph, struct plan **plan, double *ns, struct error *err);
static int sample(struct plan *plan, double *ns, struct error *err);
static uint64_t moved_bytes(const struct graph *graph);
static double copy_gbps(uint64_t bytes, uint32_t threads);
static uint64_t copy_burst(struct copy_work *work, pthread_t *ids, uint32_t threads, unsigned runs);
static void *run_copies(void *arg);

int ops_bench(struct device *device, const char *only, struct error *err)
{
    static const struct ops_case product = { .op = "MatMul",
                                             .inputs = "1024x1024 =1024x1024",
                                             .attributes = NULL };
    struct device_info info;
    struct peak peak = { .gflops = { 0 } };
    device_get_info(device, &info);
    peak.threads = info.threads < THREADS_MAX ? info.threads : THREADS_MAX;
    peak.bf16 = info.bf16;
    for (int precision = 0; precision <= info.bf16; precision++) {
        struct graph *graph = NULL;
        struct plan *plan = NULL;
        double ns = 0;
        int rc = ops_build(&product, false, &graph, err);
        if (!rc)
            rc = measure(&product, device, (enum precision)precision, graph, &plan, &ns, err);
        if (!rc)
            peak.gflops[precision] = (double)plan_flop(plan) / ns;
        plan_free(&plan);
        graph_free(&graph);
        if (rc)
            return rc;
    }
    printf("ops: %s, %u threads; a product of 1024 x 1024 matrices runs at %.0f GFLOP/s in f32",
           info.name, info.threads, peak.gflops[0]);
    printf(info.bf16 ? ", %.0f in bf16\n" : "\n", peak.gflops[1]);
    printf("%-24s %-34s %-26s %9s %9s %14s %6s\n", "op", "inputs", "implementation", "us",
           "ns/elem", "rate", "share");
    for (size_t i = 0; i < ops_bench_count; i++) {
        if (only && strcmp(only, ops_benches[i].op) != 0)
            continue;
        int rc = bench(&ops_benches[i], device, PRECISION_F32, &peak, err);
        if (!rc && peak.bf16)
            rc = bench(&ops_benches[i], device, PRECISION_BF16, &peak, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* One line; in bf16 only for what multiplies. */
static int bench(const struct ops_case *c, struct device *device, enum precision precision,
                 const struct peak *peak, struct error *err)
{
    struct graph *graph = NULL;
    struct plan *plan = NULL;
    char how[64];
    double ns = 0;
    int rc = ops_build(c, false, &graph, err);
    if (!rc && (precision == PRECISION_F32 || ops_row(c)->heavy))
        rc = measure(c, device, precision, graph, &plan, &ns, err);
    bool heavy = !rc && plan && plan_flop(plan) > 0;
    if (!rc && plan && (heavy || precision == PRECISION_F32)) {
        uint64_t bytes = moved_bytes(graph);
        int64_t elements = shape_elements(&graph->values[graph->outputs[0]].shape);
        double rate = (double)(heavy ? plan_flop(plan) : bytes) / ns;
        double most = heavy ? peak->gflops[precision] : copy_gbps(bytes, peak->threads);
        ops_implementation(plan, how, sizeof how);
        printf("%-24s %-34.34s %-26.26s %9.1f %9.3f %6.1f %s %5.0f%%%s\n", c->op, c->inputs, how,
               ns / 1e3, ns / (double)elements, rate, heavy ? "GFLOP/s" : "GB/s   ",
               100 * rate / most, precision == PRECISION_F32 ? "" : "  bf16");
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

/* Bytes read and written in a nanosecond when all threads copy, and move as many bytes in all. */
static double copy_gbps(uint64_t bytes, uint32_t threads)
{
    struct copy_work work[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    size_t part = (size_t)(bytes / 2 / threads) + 1;
    double best = 0;
    for (uint32_t i = 0; i < threads; i++)
        work[i] = (struct copy_work){ lab_take(part, 0), lab_take(part, 0), part, 1 };
    unsigned runs = 1, bursts = 0;
    while (bursts < COPY_BURSTS) {
        uint64_t took_ns = copy_burst(work, ids, threads, runs);
        if (took_ns < COPY_NS && bursts == 0) {
            runs *= 2;
            continue;
        }
        best = fmax(best, 2.0 * (double)part * threads * runs / (double)took_ns);
        bursts++;
    }
    for (uint32_t i = 0; i < threads; i++) {
        lab_give((void *)(uintptr_t)work[i].from);
        lab_give(work[i].to);
    }
    return best;
}

static uint64_t copy_burst(struct copy_work *work, pthread_t *ids, uint32_t threads, unsigned runs)
{
    uint64_t start_ns = clock_now_ns();
    for (uint32_t i = 0; i < threads; i++) {
        work[i].runs = runs;
        int failed = pthread_create(&ids[i], NULL, run_copies, &work[i]);
        assert(!failed);
    }
    for (uint32_t i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    return clock_now_ns() - start_ns;
}

static void *run_copies(void *arg)
{
    const struct copy_work *work = arg;
    for (unsigned i = 0; i < work->runs; i++) {
        memcpy(work->to, work->from, work->bytes);
        __asm__ volatile("" ::: "memory"); /* each copy counts */
    }
    return NULL;
}
