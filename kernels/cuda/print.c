/* print: a plan's steps for the table (print_table.h). Each is timed in a recording of its own, several
 * times in a row, as it runs among others in the plan's: a launch by itself takes longer than a small
 * step does. */
#include "cuda/peak.h"
#include <inttypes.h>
#include <stdlib.h>

#define RUNS_MAX 1000u
#define REPEATS 8 /* of a step in its recording */

static int measure_steps(struct cuda_plan *plan, uint32_t runs, double *medians_ns,
                         struct error *err);
static int measure_step(const struct cuda_plan *plan, const struct cuda_step *step, uint32_t runs,
                        double *times_ns, struct error *err);
static int enqueue_repeats(void *arg, struct error *err);
static int time_replay(struct gpu *gpu, const struct gpu_recording *recording, double *ns,
                       struct error *err);
static int measure_whole(struct cuda_plan *plan, uint32_t runs, double *median_ns, struct error *err);
static int by_value(const void *a, const void *b);
static int print_lines(struct cuda_plan *plan, const double *medians_ns,
                       const struct cuda_peak *peak, FILE *out, struct error *err);
static struct table_step describe_step(const struct cuda_plan *plan, const struct cuda_step *step,
                                       double time_ns, const struct cuda_peak *peak);
static uint64_t moved_bytes(const struct cuda_plan *plan, const struct cuda_step *step);
static void print_heading(const struct cuda_device *device, FILE *out);
static void print_peak(const struct cuda_peak *peak, FILE *out);

int cuda_plan_print(struct plan *plan, uint32_t runs, FILE *out, struct error *err)
{
    struct cuda_plan *self = (struct cuda_plan *)plan;
    const struct cuda_device *device = (const struct cuda_device *)plan->device;
    runs = runs > RUNS_MAX ? RUNS_MAX : runs;
    struct cuda_peak peak = { 0 };
    double *medians_ns = calloc((size_t)self->step_count + 1, sizeof *medians_ns);
    double whole_ns = 0;
    int rc = medians_ns ? 0 : error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    if (!rc && runs > 0)
        rc = cuda_peak_measure(device, &peak, err);
    if (!rc && runs > 0)
        rc = measure_whole(self, runs, &whole_ns, err);
    if (!rc && runs > 0)
        rc = measure_steps(self, runs, medians_ns, err);
    if (!rc) {
        print_heading(device, out);
        if (runs > 0)
            print_peak(&peak, out);
        rc = print_lines(self, medians_ns, runs > 0 ? &peak : NULL, out, err);
    }
    if (!rc && runs > 0)
        fprintf(out, "replayed as a whole, without copies of inputs and outputs: %.3f ms\n",
                whole_ns / 1e6);
    free(medians_ns);
    return rc;
}

int cuda_plan_run_timed(struct plan *plan, double *ns, struct error *err)
{
    struct cuda_plan *self = (struct cuda_plan *)plan;
    return time_replay(self->gpu, self->slots[self->slot].recording, ns, err);
}

static int measure_whole(struct cuda_plan *plan, uint32_t runs, double *median_ns, struct error *err)
{
    double *times_ns = calloc(runs, sizeof *times_ns);
    int rc = times_ns ? cuda_plan_run(&plan->plan, err)
                      : error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    for (uint32_t r = 0; !rc && r < runs; r++)
        rc = time_replay(plan->gpu, plan->slots[plan->slot].recording, &times_ns[r], err);
    if (!rc) {
        qsort(times_ns, runs, sizeof *times_ns, by_value);
        *median_ns = times_ns[runs / 2];
    }
    free(times_ns);
    return rc;
}

static int measure_steps(struct cuda_plan *plan, uint32_t runs, double *medians_ns, struct error *err)
{
    double *times_ns = calloc(runs, sizeof *times_ns);
    int rc = times_ns ? 0 : error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    for (int i = 0; !rc && i < plan->step_count; i++) {
        const struct cuda_step *step = &plan->steps[i];
        if (step->once)
            continue;
        rc = measure_step(plan, step, runs, times_ns, err);
        if (rc) {
            error_wrap(err, "timing %s '%s'", step->op, step->name);
            break;
        }
        qsort(times_ns, runs, sizeof *times_ns, by_value);
        medians_ns[i] = times_ns[runs / 2];
    }
    free(times_ns);
    return rc;
}

struct repeated {
    const struct cuda_step *step;
    struct gpu *gpu;
};

static int measure_step(const struct cuda_plan *plan, const struct cuda_step *step, uint32_t runs,
                        double *times_ns, struct error *err)
{
    struct repeated repeated = { step, plan->gpu };
    struct gpu_recording *recording = NULL;
    int rc = gpu_record(plan->gpu, enqueue_repeats, &repeated, &recording, err);
    if (rc)
        return rc;
    rc = gpu_replay(plan->gpu, recording, err); /* warms up */
    for (uint32_t r = 0; !rc && r < runs; r++) {
        rc = time_replay(plan->gpu, recording, &times_ns[r], err);
        times_ns[r] /= REPEATS;
    }
    gpu_recording_free(&recording);
    return rc;
}

static int enqueue_repeats(void *arg, struct error *err)
{
    const struct repeated *repeated = arg;
    int rc = 0;
    for (int i = 0; !rc && i < REPEATS; i++)
        rc = repeated->step->run(repeated->step, repeated->gpu, err);
    return rc ? rc : gpu_check(repeated->gpu, err);
}

static int time_replay(struct gpu *gpu, const struct gpu_recording *recording, double *ns,
                       struct error *err)
{
    int rc = gpu_mark(gpu, 0, err);
    if (!rc)
        rc = gpu_replay(gpu, recording, err);
    if (!rc)
        rc = gpu_mark(gpu, 1, err);
    return rc ? rc : gpu_between_marks(gpu, ns, err);
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

/* Steps that ran once, when the plan was made, are no part of a run. peak: NULL if nothing was timed. */
static int print_lines(struct cuda_plan *plan, const double *medians_ns,
                       const struct cuda_peak *peak, FILE *out, struct error *err)
{
    static const struct cuda_peak unknown;
    int count = 0;
    struct table_step *steps = calloc((size_t)plan->step_count + 1, sizeof *steps);
    if (!steps)
        return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    for (int i = 0; i < plan->step_count; i++)
        if (!plan->steps[i].once)
            steps[count++] =
                describe_step(plan, &plan->steps[i], medians_ns[i], peak ? peak : &unknown);
    table_print(&plan->plan, steps, count, peak != NULL, out);
    free(steps);
    return 0;
}

static struct table_step describe_step(const struct cuda_plan *plan, const struct cuda_step *step,
                                       double time_ns, const struct cuda_peak *peak)
{
    uint64_t bytes = moved_bytes(plan, step);
    return (struct table_step){
        .op = step->op,
        .implementation = step->implementation,
        .name = step->name,
        .shape = &step->shape,
        .type = step->type,
        .flop = step->flop,
        .bytes = bytes,
        .time_ns = time_ns,
        .flop_ns = cuda_peak_flop_ns(peak, plan->precision, step->type, step->flop),
        .bytes_ns = peak_copies_ns(peak->copies, CUDA_PEAK_COPIES, bytes),
    };
}

/* What a step must read and write: every place that it touches once, but for memory that lives in this
 * step alone, which is its scratch. */
static uint64_t moved_bytes(const struct cuda_plan *plan, const struct cuda_step *step)
{
    uint64_t sum = 0;
    for (int i = 0; i < step->place_count; i++) {
        const struct cuda_place *place = step->places[i];
        const struct cuda_buffer *buffer = &plan->buffers[place->buffer];
        if (buffer->kind == CUDA_BUFFER_ARENA && buffer->first_step == buffer->last_step)
            continue;
        /* A part of a larger array has gaps, and what is broadcast has fewer numbers than elements. */
        uint64_t elements = (uint64_t)shape_elements(&place->layout.shape);
        uint64_t bytes = elements * tensor_type_bytes(place->layout.type);
        uint64_t span = layout_bytes(&place->layout);
        sum += bytes < span ? bytes : span;
    }
    return sum;
}

static void print_heading(const struct cuda_device *device, FILE *out)
{
    const struct gpu_facts *facts = &device->facts;
    fprintf(out, "cuda, %s, compute capability %d.%d, %d multiprocessors, %" PRIu64 " MiB\n",
            facts->name, facts->major, facts->minor, facts->multiprocessors,
            facts->memory_bytes >> 20);
}

static void print_peak(const struct cuda_peak *peak, FILE *out)
{
    fputs("peak    ", out);
    const char *between = "";
    for (size_t i = 0; i < sizeof peak->gflops / sizeof *peak->gflops; i++) {
        if (peak->gflops[i] <= 0)
            continue;
        fprintf(out, "%s%.1f TFLOP/s in %s", between, peak->gflops[i] / 1e3,
                precision_word((enum precision)i));
        between = ", ";
    }
    fputs(*between ? "; " : "", out);
    table_print_copies(peak->copies, CUDA_PEAK_COPIES, out);
    fprintf(out, "; the largest %.0f by a kernel, %.0f by the runtime\n", peak->kernel_gbps,
            peak->runtime_gbps);
}
