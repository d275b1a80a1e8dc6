/* print: a plan as a table, one line per step, with measured times when asked for. */
#include "base/clock.h"
#include "cpu/plan.h"
#include <inttypes.h>
#include <omp.h>
#include <stdlib.h>

#define RUNS_MAX 1000u

static int measure(struct cpu_plan *plan, uint32_t runs, uint64_t *times_ns, uint64_t *medians_ns,
                   struct error *err);
static int by_value(const void *a, const void *b);

int cpu_plan_print(struct plan *plan, uint32_t runs, FILE *out, struct error *err)
{
    struct cpu_plan *self = (struct cpu_plan *)plan;
    const struct cpu_device *device = (const struct cpu_device *)plan->device;
    size_t steps = (size_t)self->step_count + 1;
    runs = runs > RUNS_MAX ? RUNS_MAX : runs;
    uint64_t *times_ns = calloc(steps * ((size_t)runs + 1), sizeof *times_ns);
    uint64_t *medians_ns = calloc(steps, sizeof *medians_ns);
    int rc = 0;
    if (!times_ns || !medians_ns)
        rc = error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    else if (runs > 0)
        rc = measure(self, runs, times_ns, medians_ns, err);
    if (rc)
        goto done;

    uint64_t total_ns = 0;
    for (int i = 0; i < self->step_count; i++)
        total_ns += medians_ns[i];
    fprintf(out, "%-22s %-18s %-4s %-28s %s%s\n", "op", "shape", "type", "implementation",
            runs ? "     us  GFLOP/s  share  " : "", "node");
    for (int i = 0; i < self->step_count; i++) {
        const struct cpu_step *step = &self->steps[i];
        char shape[128];
        shape_format(&step->shape, shape, sizeof shape);
        fprintf(out, "%-22s %-18s %-4s %-28s ", step->op, shape, tensor_type_word(step->type),
                step->implementation ? step->implementation : "own");
        if (runs && medians_ns[i])
            fprintf(out, "%7.1f  %7.1f  %4.1f%%  ", (double)medians_ns[i] / 1e3,
                    (double)step->flop / (double)medians_ns[i],
                    100.0 * (double)medians_ns[i] / (double)total_ns);
        fprintf(out, "%s\n", step->name);
    }
    fprintf(out, "%d steps, %.3f GFLOP, %d threads, activations %.1f MiB, weights %.1f MiB",
            self->step_count, (double)plan->flop / 1e9, device->threads,
            (double)plan->activation_bytes / 1048576, (double)plan->weight_bytes / 1048576);
    if (runs && total_ns)
        fprintf(out, ", %.3f ms, %.1f GFLOP/s", (double)total_ns / 1e6,
                (double)plan->flop / (double)total_ns);
    fputc('\n', out);
done:
    free(times_ns);
    free(medians_ns);
    return rc;
}

/* times_ns: [step][run]. One run before them all warms up. */
static int measure(struct cpu_plan *plan, uint32_t runs, uint64_t *times_ns, uint64_t *medians_ns,
                   struct error *err)
{
    const struct cpu_device *device = (const struct cpu_device *)plan->plan.device;
    int rc = cpu_plan_run(&plan->plan, err);
    omp_set_num_threads(device->threads);
    for (uint32_t r = 0; !rc && r < runs; r++)
        for (int i = 0; !rc && i < plan->step_count; i++) {
            uint64_t start_ns = clock_now_ns();
            rc = cpu_step_run(device, &plan->steps[i], err);
            times_ns[(size_t)i * runs + r] = clock_now_ns() - start_ns;
        }
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
