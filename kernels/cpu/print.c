/* print: a plan's steps for the table (print_table.h). What a step computes and moves is known
 * beforehand; when asked for, each is timed, and its time compared with the least that the processor
 * needs. */
#include "base/clock.h"
#include "cpu/parallel.h"
#include "cpu/peak.h"
#include "cpu/plan.h"
#include "print_table.h"
#include <omp.h>
#include <stdlib.h>

#define RUNS_MAX 1000u

static void print_heading(const struct cpu_plan *plan, const struct cpu_peak *peak, FILE *out);
static struct table_step describe_step(const struct cpu_plan *plan, int index, uint64_t time_ns,
                                       const struct cpu_peak *peak);
static uint64_t moved_bytes(const struct cpu_plan *plan, int index);
static int measure(struct cpu_plan *plan, uint32_t runs, uint64_t *times_ns, uint64_t *medians_ns,
                   struct error *err);
static int by_value(const void *a, const void *b);

int cpu_plan_print(struct plan *plan, uint32_t runs, FILE *out, struct error *err)
{
    struct cpu_plan *self = (struct cpu_plan *)plan;
    size_t count = (size_t)self->step_count + 1;
    runs = runs > RUNS_MAX ? RUNS_MAX : runs;
    uint64_t *times_ns = calloc(count * ((size_t)runs + 1), sizeof *times_ns);
    uint64_t *medians_ns = calloc(count, sizeof *medians_ns);
    struct table_step *steps = calloc(count, sizeof *steps);
    struct cpu_peak peak = { 0 };
    int rc = 0;
    if (!times_ns || !medians_ns || !steps)
        rc = error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    else if (runs > 0)
        rc = cpu_peak_measure((const struct cpu_device *)plan->device, &peak, err);
    if (!rc && runs > 0)
        rc = measure(self, runs, times_ns, medians_ns, err);
    if (!rc) {
        for (int i = 0; i < self->step_count; i++)
            steps[i] = describe_step(self, i, medians_ns[i], &peak);
        print_heading(self, runs > 0 ? &peak : NULL, out);
        table_print(plan, steps, self->step_count, runs > 0, out);
    }
    free(times_ns);
    free(medians_ns);
    free(steps);
    return rc;
}

/* Which processor, and what it does at best. */
static void print_heading(const struct cpu_plan *plan, const struct cpu_peak *peak, FILE *out)
{
    struct device_info info;
    device_get_info(plan->plan.device, &info);
    fprintf(out, "%s, %s, %u threads\n", info.kind, info.name, info.threads);
    if (!peak)
        return;
    fprintf(out, "peak    %.0f GFLOP/s in f32", peak->f32_gflops);
    if (peak->bf16_gflops > 0)
        fprintf(out, ", %.0f in bf16", peak->bf16_gflops);
    fputs("; ", out);
    table_print_copies(peak->copies, CPU_PEAK_COPIES, out);
    fputc('\n', out);
}

static struct table_step describe_step(const struct cpu_plan *plan, int index, uint64_t time_ns,
                                       const struct cpu_peak *peak)
{
    const struct cpu_step *step = &plan->steps[index];
    uint64_t bytes = moved_bytes(plan, index);
    return (struct table_step){ .op = step->op,
                                .implementation = step->implementation ? step->implementation : "own",
                                .name = step->name,
                                .shape = &step->shape,
                                .type = step->type,
                                .flop = step->flop,
                                .bytes = bytes,
                                .time_ns = (double)time_ns,
                                .flop_ns = cpu_peak_flop_ns(peak, step->type, step->flop),
                                .bytes_ns = cpu_peak_bytes_ns(peak, bytes) };
}

/* What a step must read and write: every place that it touches once, but for memory that lives in this
 * step alone, which is its scratch. */
static uint64_t moved_bytes(const struct cpu_plan *plan, int index)
{
    const struct cpu_step *step = &plan->steps[index];
    uint64_t sum = 0;
    for (int i = 0; i < step->place_count; i++) {
        const struct cpu_place *place = step->places[i];
        const struct cpu_buffer *root = &plan->buffers[cpu_root(plan, place->buffer, NULL)];
        if (root->kind == CPU_BUFFER_ARENA && root->first_step == root->last_step)
            continue;
        if (place->layout.shape.rank < 0) {
            sum += dnnl_memory_desc_get_size(&place->md);
            continue;
        }
        /* A part of a larger array has gaps, and what is broadcast has fewer numbers than elements. */
        uint64_t elements = (uint64_t)shape_elements(&place->layout.shape);
        uint64_t bytes = elements * tensor_type_bytes(place->layout.type);
        uint64_t span = layout_bytes(&place->layout);
        sum += bytes < span ? bytes : span;
    }
    return sum;
}

/* times_ns: [step][run]. One run before them all warms up. */
static int measure(struct cpu_plan *plan, uint32_t runs, uint64_t *times_ns, uint64_t *medians_ns,
                   struct error *err)
{
    const struct cpu_device *device = (const struct cpu_device *)plan->plan.device;
    int rc = cpu_plan_run(&plan->plan, err);
    omp_set_num_threads(device->threads);
    parallel_pin(device->threads);
    unsigned before = plan->drops_tiny ? parallel_drop_tiny(device->threads) : 0;
    for (uint32_t r = 0; !rc && r < runs; r++)
        for (int i = 0; !rc && i < plan->step_count; i++) {
            uint64_t start_ns = clock_now_ns();
            rc = cpu_step_run(device, &plan->steps[i], err);
            times_ns[(size_t)i * runs + r] = clock_now_ns() - start_ns;
        }
    if (plan->drops_tiny)
        parallel_keep_tiny(before);
    for (int i = 0; !rc && i < plan->step_count; i++) {
        qsort(times_ns + (size_t)i * runs, runs, sizeof *times_ns, by_value);
        medians_ns[i] = times_ns[(size_t)i * runs + runs / 2];
    }
    return rc;
}

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}
