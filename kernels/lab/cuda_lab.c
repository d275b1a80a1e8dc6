/* cuda_lab: runs ladders, checks and times.
 *
 *     cuda_kernels [--time] [KERNEL] */
#include "lab/cuda_lab.h"
#include "tensor/number.h"
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD 0x5a
#define GUARD_BYTES 512u /* on either side of an output; keeps GPU_ALIGNMENT_BYTES */
#define SCRIBBLE 0xa7
#define SAMPLES 15
#define SAMPLE_NS 2e6 /* a step is repeated until a sample takes as long */
#define SEED 1

struct lab {
    struct gpu *gpu;
    struct gpu_facts facts;
    bool timed, emulated;
    unsigned steps, problems, failed;
    double worst_share; /* of production's steps, the last of each ladder, in copies of real shapes */
};

static const struct cuda_ladder *const ladders[] = {
    &cuda_attention_ladder,
    &cuda_boxes_ladder,
    &cuda_conv_depth_ladder,
    &cuda_conv_ladder,
    &cuda_copy_ladder,
    &cuda_flat_ladder,
    &cuda_labels_ladder,
    &cuda_loss_ladder,
    &cuda_map_ladder,
    &cuda_matmul_ladder,
    &cuda_norm_ladder,
    &cuda_optimise_ladder,
    &cuda_pair_ladder,
    &cuda_picture_ladder,
    &cuda_pool_ladder,
    &cuda_reduce_ladder,
    &cuda_softmax_ladder,
    &cuda_tail_ladder,
    &cuda_taps_ladder,
};

static int run_ladder(struct lab *lab, const struct cuda_ladder *ladder, struct error *err);
static int run_problem(struct lab *lab, const struct cuda_ladder *ladder,
                       const struct cuda_problem *shape, struct error *err);
static int prepare(struct lab *lab, struct cuda_problem *problem,
                   const struct cuda_content *content, char **memory, struct error *err);
static int check_step(struct lab *lab, const struct cuda_ladder *ladder, size_t index,
                      const struct cuda_problem *problem, const struct cuda_content *content,
                      char *memory, struct error *err);
static double worst_difference(const struct cuda_content *content, const char *out);
static int time_steps(struct lab *lab, const struct cuda_ladder *ladder,
                      const struct cuda_problem *problem, const struct cuda_content *content,
                      struct error *err);
static int measure(struct lab *lab, void (*run)(const struct cuda_problem *problem, void *stream),
                   const struct cuda_problem *problem, double *ns, struct error *err);
static int measure_copy(struct lab *lab, uint64_t moved_bytes, double *gbps, struct error *err);
static int by_value(const void *a, const void *b);

int main(int argc, char **argv)
{
    struct lab lab = { .timed = argc > 1 && strcmp(argv[1], "--time") == 0, .worst_share = 1 };
    const char *only = argc > 1 + lab.timed ? argv[1 + lab.timed] : NULL;
    struct error err;
    if (argc > 2 + lab.timed || (only && *only == '-')) {
        fprintf(stderr, "usage: %s [--time] [KERNEL]\n", argv[0]);
        return 2;
    }
    int rc = gpu_open(&lab.gpu, 0, &err);
    if (!rc)
        rc = gpu_get_facts(lab.gpu, &lab.facts, &err);
    if (rc) {
        fprintf(stderr, "cuda_kernels: %s\n", err.text);
        return 1;
    }
    lab.emulated = lab.facts.memory_bytes == 0;
    for (size_t i = 0; i < sizeof ladders / sizeof *ladders; i++)
        if (!only || strcmp(only, ladders[i]->kernel) == 0)
            if (run_ladder(&lab, ladders[i], &err)) {
                printf("cuda_kernels: %s: %s\n", ladders[i]->kernel, err.text);
                lab.failed++;
            }
    gpu_close(&lab.gpu);
    printf("lab: kernel=cuda steps=%u problems=%u failed=%u", lab.steps, lab.problems, lab.failed);
    if (lab.timed && !lab.emulated)
        printf(" bandwidth=%.2f", lab.worst_share);
    printf("\n");
    printf("[  PASSED  ] %u test(s).\n", lab.steps > lab.failed ? lab.steps - lab.failed : 0);
    if (lab.failed > 0)
        printf("[  FAILED  ] %u test(s).\n", lab.failed);
    return lab.failed > 0;
}

void *cuda_lab_numbers(struct random_state *random, enum tensor_type type, int64_t count)
{
    return cuda_lab_numbers_in(random, type, count, -1, 1);
}

void *cuda_lab_numbers_in(struct random_state *random, enum tensor_type type, int64_t count,
                          double low, double high)
{
    void *data = malloc(cuda_lab_bytes(type, count));
    struct tensor tensor = { .type = type, .data = data };
    assert(data);
    for (int64_t i = 0; i < count; i++)
        number_store(&tensor, i, low + (high - low) * random_next_unit(random));
    return data;
}

float cuda_lab_number(const void *data, enum tensor_type type, int64_t at)
{
    struct tensor tensor = { .type = type, .data = (void *)(uintptr_t)data };
    return (float)number_load(&tensor, at);
}

size_t cuda_lab_bytes(enum tensor_type type, int64_t count)
{
    return (size_t)count * tensor_type_bytes(type);
}

static int run_ladder(struct lab *lab, const struct cuda_ladder *ladder, struct error *err)
{
    int rc = 0;
    lab->steps += (unsigned)ladder->step_count;
    for (size_t i = 0; !rc && i < ladder->problem_count; i++)
        if (!ladder->problems[i].real || (lab->timed && !lab->emulated))
            rc = run_problem(lab, ladder, &ladder->problems[i], err);
    return rc;
}

static int run_problem(struct lab *lab, const struct cuda_ladder *ladder,
                       const struct cuda_problem *shape, struct error *err)
{
    struct cuda_problem problem = *shape;
    struct cuda_content content = { 0 };
    struct random_state random;
    char *memory = NULL;
    random_seed(&random, SEED);
    problem.multiprocessors = lab->facts.multiprocessors;
    problem.major = lab->facts.major;
    problem.minor = lab->facts.minor;
    ladder->fill(&problem, !problem.real, &random, &content);
    int rc = prepare(lab, &problem, &content, &memory, err);
    for (size_t i = 0; !rc && !problem.real && i < ladder->step_count; i++)
        if (!ladder->steps[i].can || ladder->steps[i].can(&problem))
            rc = check_step(lab, ladder, i, &problem, &content, memory, err);
    if (!rc && problem.real)
        rc = time_steps(lab, ladder, &problem, &content, err);
    lab->problems++;
    gpu_free(lab->gpu, memory);
    gpu_free(lab->gpu, problem.scratch);
    for (int k = 0; k < CUDA_LAB_INPUTS_MAX; k++) {
        gpu_free(lab->gpu, problem.in[k]);
        free(content.in[k]);
    }
    free(content.expected);
    return rc;
}

/* memory: the output with its guards. */
static int prepare(struct lab *lab, struct cuda_problem *problem,
                   const struct cuda_content *content, char **memory, struct error *err)
{
    int rc = 0;
    size_t out_bytes = cuda_lab_bytes(content->out_type, content->out_count);
    for (int k = 0; !rc && k < CUDA_LAB_INPUTS_MAX; k++) {
        problem->in[k] = NULL;
        if (!content->in[k])
            continue;
        rc = gpu_allocate(lab->gpu, content->in_bytes[k], &problem->in[k], err);
        if (!rc)
            rc = gpu_copy_in(lab->gpu, problem->in[k], content->in[k], content->in_bytes[k], err);
    }
    if (!rc && content->scratch_bytes > 0)
        rc = gpu_allocate(lab->gpu, content->scratch_bytes, &problem->scratch, err);
    if (!rc)
        rc = gpu_allocate(lab->gpu, out_bytes + (size_t)2 * GUARD_BYTES, (void **)memory, err);
    if (!rc)
        problem->out = *memory + GUARD_BYTES;
    return rc ? rc : gpu_wait(lab->gpu, err);
}

static int check_step(struct lab *lab, const struct cuda_ladder *ladder, size_t index,
                      const struct cuda_problem *problem, const struct cuda_content *content,
                      char *memory, struct error *err)
{
    const struct cuda_lab_step *step = &ladder->steps[index];
    size_t out_bytes = cuda_lab_bytes(content->out_type, content->out_count);
    size_t bytes = out_bytes + (size_t)2 * GUARD_BYTES;
    char *host = malloc(bytes);
    assert(host);
    memset(host, GUARD, bytes);
    memset(host + GUARD_BYTES, SCRIBBLE, out_bytes);
    int rc = gpu_copy_in(lab->gpu, memory, host, bytes, err);
    if (!rc && problem->scratch) /* so that no step lives on what the one before has left */
        rc = gpu_clear(lab->gpu, problem->scratch, content->scratch_bytes, err);
    if (!rc) {
        step->run(problem, gpu_stream(lab->gpu));
        rc = gpu_check(lab->gpu, err);
    }
    if (!rc)
        rc = gpu_copy_out(lab->gpu, host, memory, bytes, err);
    if (!rc)
        rc = gpu_wait(lab->gpu, err);
    bool guarded = true;
    for (size_t i = 0; i < GUARD_BYTES; i++)
        guarded = guarded && host[i] == GUARD && host[bytes - 1 - i] == GUARD;
    double error = rc ? 0 : worst_difference(content, host + GUARD_BYTES);
    if (!rc && (!guarded || !(error <= step->bound))) {
        printf("cuda_kernels: %s: step \"%s\" on %s: %s (error %g, bound %g)\n", ladder->kernel,
               step->name, problem->name, guarded ? "wrong" : "writes outside of its output", error,
               step->bound);
        lab->failed++;
    }
    free(host);
    return rc;
}

/* Of the largest number expected; infinite where one is NaN. */
static double worst_difference(const struct cuda_content *content, const char *out)
{
    double largest = 1e-30, worst = 0;
    for (int64_t i = 0; i < content->out_count; i++) {
        double want = (double)content->expected[i];
        double difference = fabs((double)cuda_lab_number(out, content->out_type, i) - want);
        largest = fmax(largest, fabs(want));
        if (!(difference <= worst))
            worst = isnan(difference) ? INFINITY : difference;
    }
    return worst / largest;
}

static int time_steps(struct lab *lab, const struct cuda_ladder *ladder,
                      const struct cuda_problem *problem, const struct cuda_content *content,
                      struct error *err)
{
    double copy = 0, share = 1;
    int rc = measure_copy(lab, content->moved_bytes, &copy, err);
    if (!rc)
        printf("%s: %s, %.1f MB read and written, which a copy does at %.0f GB/s\n", ladder->kernel,
               problem->name, (double)content->moved_bytes / 1e6, copy);
    for (size_t i = 0; !rc && i < ladder->step_count; i++) {
        const struct cuda_lab_step *step = &ladder->steps[i];
        double ns = 0;
        if (step->can && !step->can(problem))
            continue;
        rc = measure(lab, step->run, problem, &ns, err);
        double speed = (double)content->moved_bytes / ns;
        share = speed / copy;
        printf("  %-28s %9.1f us  %7.0f GB/s  %4.0f%% of copy", step->name, ns / 1e3, speed,
               100 * share);
        if (content->flop > 0)
            printf("  %7.1f TFLOP/s", (double)content->flop / ns / 1e3);
        printf("\n");
    }
    if (content->flop == 0 && share < lab->worst_share)
        lab->worst_share = share;
    return rc;
}

/* The median of SAMPLES samples. */
static int measure(struct lab *lab, void (*run)(const struct cuda_problem *problem, void *stream),
                   const struct cuda_problem *problem, double *ns, struct error *err)
{
    double samples[SAMPLES];
    unsigned runs = 1;
    for (int i = 0; i < SAMPLES; i++) {
        int rc = gpu_mark(lab->gpu, 0, err);
        for (unsigned r = 0; r < runs; r++)
            run(problem, gpu_stream(lab->gpu));
        if (!rc)
            rc = gpu_check(lab->gpu, err);
        if (!rc)
            rc = gpu_mark(lab->gpu, 1, err);
        if (!rc)
            rc = gpu_between_marks(lab->gpu, &samples[i], err);
        if (rc)
            return rc;
        if (i == 0 && samples[0] < SAMPLE_NS) {
            runs *= 2;
            i--; /* not a sample yet */
            continue;
        }
        samples[i] /= runs;
    }
    qsort(samples, SAMPLES, sizeof *samples, by_value);
    *ns = samples[SAMPLES / 2];
    return 0;
}

static void run_copy(const struct cuda_problem *problem, void *stream)
{
    const struct cuda_problem *from = problem->shape; /* the lab's own use of it: a gpu and a size */
    struct error err;
    (void)stream;
    if (gpu_copy((struct gpu *)from->in[0], problem->out, problem->in[0],
                 (uint64_t)(uintptr_t)from->in[1], &err))
        return;
}

static int measure_copy(struct lab *lab, uint64_t moved_bytes, double *gbps, struct error *err)
{
    uint64_t bytes = moved_bytes / 2;
    struct cuda_problem use = { .in = { lab->gpu, (void *)(uintptr_t)bytes } };
    struct cuda_problem copy = { .shape = &use };
    double ns = 1;
    int rc = gpu_allocate(lab->gpu, bytes, &copy.in[0], err);
    if (!rc)
        rc = gpu_allocate(lab->gpu, bytes, &copy.out, err);
    if (!rc)
        rc = measure(lab, run_copy, &copy, &ns, err);
    *gbps = 2 * (double)bytes / ns;
    gpu_free(lab->gpu, copy.in[0]);
    gpu_free(lab->gpu, copy.out);
    return rc;
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}
