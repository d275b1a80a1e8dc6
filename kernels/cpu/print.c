/* print: a plan as a table, one line per step. What a step computes and moves is known beforehand;
 * when asked for, each is timed, and its time compared with the least that the processor needs. */
#include "base/clock.h"
#include "cpu/peak.h"
#include "cpu/plan.h"
#include <inttypes.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_MAX 1000u
#define SHAPE_BYTES 128
#define UNIT_BYTES 16

struct widths {
    int op, shape, implementation;
};

/* Of one step or of all. least_ns is the time at the processor's peak. */
struct cost {
    uint64_t flop, bytes, time_ns;
    double least_ns;
    bool by_flop; /* arithmetic needs longer than moving the data */
};

static void print_heading(const struct cpu_plan *plan, const struct cpu_peak *peak, FILE *out);
static void print_names(const struct widths *widths, bool timed, FILE *out);
static void print_step(const struct cpu_step *step, const struct widths *widths,
                       const struct cost *cost, const struct cost *total, FILE *out);
static void print_numbers(const struct cost *cost, const struct cost *total, FILE *out);
static void print_total(const struct cpu_plan *plan, const struct widths *widths,
                        const struct cost *total, FILE *out);
static struct widths find_widths(const struct cpu_plan *plan);
static const char *implementation_of(const struct cpu_step *step);
static struct cost find_cost(const struct cpu_plan *plan, int index, uint64_t time_ns,
                             const struct cpu_peak *peak);
static uint64_t moved_bytes(const struct cpu_plan *plan, int index);
static void format_count(uint64_t count, char text[UNIT_BYTES]);
static void format_bytes(uint64_t bytes, char text[UNIT_BYTES]);
static int measure(struct cpu_plan *plan, uint32_t runs, uint64_t *times_ns, uint64_t *medians_ns,
                   struct error *err);
static int by_value(const void *a, const void *b);

int cpu_plan_print(struct plan *plan, uint32_t runs, FILE *out, struct error *err)
{
    struct cpu_plan *self = (struct cpu_plan *)plan;
    size_t steps = (size_t)self->step_count + 1;
    runs = runs > RUNS_MAX ? RUNS_MAX : runs;
    uint64_t *times_ns = calloc(steps * ((size_t)runs + 1), sizeof *times_ns);
    uint64_t *medians_ns = calloc(steps, sizeof *medians_ns);
    struct cost *costs = calloc(steps, sizeof *costs);
    struct cpu_peak peak = { 0 };
    int rc = 0;
    if (!times_ns || !medians_ns || !costs)
        rc = error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    else if (runs > 0)
        rc = cpu_peak_measure((const struct cpu_device *)plan->device, &peak, err);
    if (!rc && runs > 0)
        rc = measure(self, runs, times_ns, medians_ns, err);
    if (rc)
        goto done;

    struct cost total = { 0 };
    for (int i = 0; i < self->step_count; i++) {
        costs[i] = find_cost(self, i, medians_ns[i], &peak);
        total.flop += costs[i].flop;
        total.bytes += costs[i].bytes;
        total.time_ns += costs[i].time_ns;
        total.least_ns += costs[i].least_ns;
    }
    struct widths widths = find_widths(self);
    print_heading(self, runs > 0 ? &peak : NULL, out);
    print_names(&widths, runs > 0, out);
    for (int i = 0; i < self->step_count; i++)
        print_step(&self->steps[i], &widths, &costs[i], &total, out);
    print_total(self, &widths, &total, out);
done:
    free(times_ns);
    free(medians_ns);
    free(costs);
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
    for (int i = 0; i < CPU_PEAK_COPIES; i++)
        fprintf(out, "%s%.0f", i ? ", " : "", peak->copies[i].gbps);
    fputs(" GB/s in copies of ", out);
    for (int i = 0; i < CPU_PEAK_COPIES; i++)
        fprintf(out, "%s%" PRIu64, i ? ", " : "", peak->copies[i].bytes >> 20);
    fputs(" MiB\n", out);
}

static void print_names(const struct widths *widths, bool timed, FILE *out)
{
    fprintf(out, "\n%-*s  %-*s  type  %-*s  ", widths->op, "op", widths->shape, "shape",
            widths->implementation, "implementation");
    if (timed)
        fputs("       us  of all  ", out);
    fputs("  FLOP     bytes  ", out);
    if (timed)
        fputs("    of peak  ", out);
    fputs("node\n", out);
}

static void print_step(const struct cpu_step *step, const struct widths *widths,
                       const struct cost *cost, const struct cost *total, FILE *out)
{
    char shape[SHAPE_BYTES];
    shape_format(&step->shape, shape, sizeof shape);
    fprintf(out, "%-*s  %-*s  %-4s  %-*s  ", widths->op, step->op, widths->shape, shape,
            tensor_type_word(step->type), widths->implementation, implementation_of(step));
    print_numbers(cost, total, out);
    fprintf(out, "%s\n", step->name);
}

static void print_numbers(const struct cost *cost, const struct cost *total, FILE *out)
{
    char flop[UNIT_BYTES], bytes[UNIT_BYTES];
    format_count(cost->flop, flop);
    format_bytes(cost->bytes, bytes);
    if (total->time_ns > 0)
        fprintf(out, "%9.1f  %5.1f%%  ", (double)cost->time_ns / 1e3,
                100.0 * (double)cost->time_ns / (double)total->time_ns);
    fprintf(out, "%6s  %8s  ", flop, bytes);
    if (total->time_ns == 0)
        return;
    double share = cost->time_ns > 0 ? 100.0 * cost->least_ns / (double)cost->time_ns : 0;
    const char *by = cost == total ? "" : cost->by_flop ? "flop" : "bytes";
    fprintf(out, "%4.0f%% %-5s  ", share, by);
}

static void print_total(const struct cpu_plan *plan, const struct widths *widths,
                        const struct cost *total, FILE *out)
{
    char steps[32];
    snprintf(steps, sizeof steps, "%d steps", plan->step_count);
    int width = widths->op + widths->shape + widths->implementation + 10;
    fprintf(out, "%-*s  ", width, steps);
    print_numbers(total, total, out);
    fprintf(out, "weights %.1f MiB, activations %.1f MiB", (double)plan->plan.weight_bytes / 1048576,
            (double)plan->plan.activation_bytes / 1048576);
    if (total->time_ns > 0)
        fprintf(out, ", %.3f ms, %.1f GFLOP/s", (double)total->time_ns / 1e6,
                (double)total->flop / (double)total->time_ns);
    fputc('\n', out);
}

static struct widths find_widths(const struct cpu_plan *plan)
{
    struct widths widths = { .op = 2, .shape = 5, .implementation = 14 };
    for (int i = 0; i < plan->step_count; i++) {
        const struct cpu_step *step = &plan->steps[i];
        char shape[SHAPE_BYTES];
        shape_format(&step->shape, shape, sizeof shape);
        int op = (int)strlen(step->op), dims = (int)strlen(shape);
        int implementation = (int)strlen(implementation_of(step));
        widths.op = op > widths.op ? op : widths.op;
        widths.shape = dims > widths.shape ? dims : widths.shape;
        widths.implementation =
            implementation > widths.implementation ? implementation : widths.implementation;
    }
    return widths;
}

static const char *implementation_of(const struct cpu_step *step)
{
    return step->implementation ? step->implementation : "own";
}

static struct cost find_cost(const struct cpu_plan *plan, int index, uint64_t time_ns,
                             const struct cpu_peak *peak)
{
    const struct cpu_step *step = &plan->steps[index];
    struct cost cost = { .flop = step->flop, .bytes = moved_bytes(plan, index), .time_ns = time_ns };
    double flop_ns = cpu_peak_flop_ns(peak, step->type, cost.flop);
    double bytes_ns = cpu_peak_bytes_ns(peak, cost.bytes);
    cost.by_flop = flop_ns > bytes_ns;
    cost.least_ns = cost.by_flop ? flop_ns : bytes_ns;
    return cost;
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

/* Three digits and a unit: "1.21G", "0" for nothing. */
static void format_count(uint64_t count, char text[UNIT_BYTES])
{
    static const char units[] = { ' ', 'k', 'M', 'G', 'T', 'P', 'E' };
    double number = (double)count;
    size_t unit = 0;
    while (number >= 999.5 && unit + 1 < sizeof units) {
        number /= 1000;
        unit++;
    }
    if (count == 0)
        snprintf(text, UNIT_BYTES, "-");
    else if (unit == 0)
        snprintf(text, UNIT_BYTES, "%.0f", number);
    else
        snprintf(text, UNIT_BYTES, "%.*f%c",
                 number < 9.995   ? 2
                 : number < 99.95 ? 1
                                  : 0,
                 number, units[unit]);
}

static void format_bytes(uint64_t bytes, char text[UNIT_BYTES])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    double number = (double)bytes;
    size_t unit = 0;
    while (number >= 999.5 && unit + 1 < sizeof units / sizeof *units) {
        number /= 1024;
        unit++;
    }
    snprintf(text, UNIT_BYTES, "%.*f %s",
             unit == 0 || number >= 99.95 ? 0
             : number < 9.995             ? 2
                                          : 1,
             number, units[unit]);
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
