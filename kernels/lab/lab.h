/* lab: what the ladders share. A ladder is a program about one kernel: the plain way first, then
 * faster ones, production's own among them. Every step is checked against the plain one on odd
 * shapes, with guard bytes around what it writes; with --time each is timed on the shapes of real
 * models, beside a copy that reads and writes as many bytes. */
#ifndef RUNESPOOR_LAB_LAB_H
#define RUNESPOOR_LAB_LAB_H

#include "base/clock.h"
#include "base/random.h"
#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LAB_STEPS_MAX 12
#define LAB_GUARD_BYTES ((size_t)64) /* on either side */
#define LAB_GUARD 0x5a               /* of the bytes around an output */
#define LAB_SCRIBBLE 0xa7            /* of an output before a step writes it */
#define LAB_SAMPLES 31u
#define LAB_SAMPLE_NS 200000u /* a step is repeated until a sample takes as long */

/* Code for some processors only: steps with intrinsics stand between #if LAB_X86. */
#if defined(__x86_64__)
#define LAB_X86 1
#include <immintrin.h>
#else
#define LAB_X86 0
#endif

enum lab_needs { LAB_ANY, LAB_AVX2, LAB_AVX512, LAB_AVX512_BF16 };

struct lab_step {
    const char *name;
    void (*run)(const void *problem);
    enum lab_needs needs;
    double bound; /* the largest difference of a float that is right; 0: none */
};

/* The beginning of every ladder's own problem. */
struct lab_problem {
    char name[64];
    uint8_t *output; /* from lab_take */
    size_t output_bytes;
    bool floats;          /* what the output is made of, otherwise bytes */
    uint64_t elements;    /* that the kernel computes, */
    uint64_t moved_bytes; /* reads and writes: as many as it must */
};

struct lab {
    const char *kernel;
    const struct lab_step *steps; /* the plain one first */
    unsigned step_count, problem_count;
    bool timed;
    unsigned failures[LAB_STEPS_MAX];
    double error[LAB_STEPS_MAX]; /* the largest that was seen */
};

static inline struct lab lab_begin(const char *kernel, const struct lab_step *steps,
                                   size_t step_count, int argc, char **argv)
{
    assert(step_count > 1 && step_count <= LAB_STEPS_MAX);
    bool timed = argc == 2 && strcmp(argv[1], "--time") == 0;
    if (argc > 1 && !timed) {
        fprintf(stderr, "usage: %s [--time]\n", argv[0]);
        exit(2);
    }
    return (struct lab){
        .kernel = kernel, .steps = steps, .step_count = (unsigned)step_count, .timed = timed
    };
}

/* Memory that begins offset bytes behind a cache line, with guard bytes before and behind. */
static inline void *lab_take(size_t bytes, size_t offset)
{
    size_t all = 2 * LAB_GUARD_BYTES + offset + bytes;
    uint8_t *memory = aligned_alloc(LAB_GUARD_BYTES,
                                    (all + LAB_GUARD_BYTES - 1) / LAB_GUARD_BYTES * LAB_GUARD_BYTES);
    assert(memory && offset < LAB_GUARD_BYTES);
    memset(memory, LAB_GUARD, all);
    return memory + LAB_GUARD_BYTES + offset;
}

static inline void lab_give(void *data)
{
    uintptr_t line = (uintptr_t)data / LAB_GUARD_BYTES * LAB_GUARD_BYTES;
    free((uint8_t *)data - ((uintptr_t)data - line) - LAB_GUARD_BYTES);
}

static inline bool lab_has_guard(const uint8_t *data, size_t bytes, uint8_t guard)
{
    for (size_t i = 1; i <= LAB_GUARD_BYTES; i++)
        if (data[-(ptrdiff_t)i] != guard || data[bytes + i - 1] != guard)
            return false;
    return true;
}

static inline bool lab_is_guarded(const uint8_t *data, size_t bytes)
{
    return lab_has_guard(data, bytes, LAB_GUARD);
}

/* Other guard bytes than lab_take's, as what is copied from behind an input to behind an output would
 * not show. */
static inline void lab_set_guard(uint8_t *data, size_t bytes, uint8_t guard)
{
    memset(data - LAB_GUARD_BYTES, guard, LAB_GUARD_BYTES);
    memset(data + bytes, guard, LAB_GUARD_BYTES);
}

/* From -1 to 1. */
static inline void lab_fill_floats(struct random_state *random, float *data, size_t count)
{
    for (size_t i = 0; i < count; i++)
        data[i] = (float)(2 * random_next_unit(random) - 1);
}

static inline bool lab_can(enum lab_needs needs)
{
#if LAB_X86
    if (needs == LAB_AVX2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (needs == LAB_AVX512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
    if (needs == LAB_AVX512_BF16)
        return __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bf16");
#endif
    return needs == LAB_ANY;
}

/* The largest difference; infinite where a number is NaN or infinite and the other is not that. */
static inline double lab_difference(const struct lab_problem *problem, const uint8_t *expected)
{
    if (!problem->floats)
        return memcmp(problem->output, expected, problem->output_bytes) == 0 ? 0 : INFINITY;
    const float *got = (const float *)(const void *)problem->output;
    const float *want = (const float *)(const void *)expected;
    double largest = 0;
    for (size_t i = 0; i < problem->output_bytes / sizeof *got; i++) {
        double difference = fabs((double)got[i] - want[i]);
        if (got[i] == want[i] || (isnan(got[i]) && isnan(want[i])))
            continue;
        if (!(difference <= largest))
            largest = isfinite(difference) ? difference : INFINITY;
    }
    return largest;
}

/* Runs every step on the problem and compares it with the first. */
static inline void lab_check(struct lab *lab, const struct lab_problem *problem)
{
    uint8_t *expected = malloc(problem->output_bytes);
    assert(expected);
    lab->problem_count++;
    lab->steps[0].run(problem);
    memcpy(expected, problem->output, problem->output_bytes);
    for (unsigned s = 0; s < lab->step_count; s++) {
        const struct lab_step *step = &lab->steps[s];
        if (!lab_can(step->needs))
            continue;
        memset(problem->output, LAB_SCRIBBLE, problem->output_bytes);
        step->run(problem);
        double error = lab_difference(problem, expected);
        bool guarded = lab_is_guarded(problem->output, problem->output_bytes);
        lab->error[s] = error > lab->error[s] ? error : lab->error[s];
        if (guarded && error <= step->bound)
            continue;
        lab->failures[s]++;
        fprintf(stderr, "lab: %s: step \"%s\" on %s: %s (error %g, bound %g)\n", lab->kernel,
                step->name, problem->name, guarded ? "wrong" : "writes outside of its output",
                error, step->bound);
        if (!guarded)
            exit(1); /* the heap is not to be trusted any more */
    }
    free(expected);
}

static inline int lab_compare_times(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

/* The median of LAB_SAMPLES samples, each of as many runs as take LAB_SAMPLE_NS. */
static inline double lab_measure_ns(void (*run)(const void *problem), const void *problem)
{
    double samples[LAB_SAMPLES];
    unsigned runs = 1;
    run(problem);
    for (unsigned i = 0; i < LAB_SAMPLES; i++) {
        uint64_t start_ns = clock_now_ns();
        for (unsigned r = 0; r < runs; r++)
            run(problem);
        uint64_t took_ns = clock_now_ns() - start_ns;
        if (took_ns < LAB_SAMPLE_NS && i == 0) {
            runs *= 2;
            i--; /* not a sample yet */
            continue;
        }
        samples[i] = (double)took_ns / runs;
    }
    qsort(samples, LAB_SAMPLES, sizeof *samples, lab_compare_times);
    return samples[LAB_SAMPLES / 2];
}

struct lab_copy {
    const void *from;
    void *to;
    size_t bytes;
};

static inline void lab_run_copy(const void *problem)
{
    const struct lab_copy *copy = problem;
    memcpy(copy->to, copy->from, copy->bytes);
}

/* Bytes read and written by memcpy in a nanosecond, when it moves moved_bytes in all. */
static inline double lab_copy_speed(uint64_t moved_bytes)
{
    size_t bytes = moved_bytes / 2;
    struct lab_copy copy = { lab_take(bytes, 0), lab_take(bytes, 0), bytes };
    double speed = 2 * (double)bytes / lab_measure_ns(lab_run_copy, &copy);
    lab_give((void *)(uintptr_t)copy.from);
    lab_give(copy.to);
    return speed;
}

/* Prints a line for every step, when times are asked for. */
static inline void lab_time(const struct lab *lab, const struct lab_problem *problem)
{
    if (!lab->timed)
        return;
    double copy = lab_copy_speed(problem->moved_bytes);
    printf("%s: %s, %.2f MB read and written, which a copy does at %.1f GB/s\n", lab->kernel,
           problem->name, (double)problem->moved_bytes / 1e6, copy);
    for (unsigned s = 0; s < lab->step_count; s++) {
        const struct lab_step *step = &lab->steps[s];
        if (!lab_can(step->needs))
            continue;
        double ns = lab_measure_ns(step->run, problem);
        double speed = (double)problem->moved_bytes / ns;
        printf("  %-28s %8.1f us  %7.3f ns/element  %6.1f GB/s  %4.0f%% of copy  error %g\n",
               step->name, ns / 1e3, ns / (double)problem->elements, speed, 100 * speed / copy,
               lab->error[s]);
    }
}

/* Says how many steps passed, the last lines as cmocka does; what main returns. */
static inline int lab_end(const struct lab *lab)
{
    static const char *const words[] = { "", "AVX2", "AVX-512", "AVX-512 with bf16" };
    unsigned failed = 0, skipped = 0;
    for (unsigned s = 1; s < lab->step_count; s++) {
        failed += lab->failures[s] > 0;
        if (lab_can(lab->steps[s].needs))
            continue;
        skipped++;
        fprintf(stderr, "SKIP REASON: lab: %s, step \"%s\": this processor has no %s\n", lab->kernel,
                lab->steps[s].name, words[lab->steps[s].needs]);
    }
    assert(lab->problem_count > 0);
    printf("lab: kernel=%s steps=%u problems=%u skipped=%u failed=%u\n", lab->kernel,
           lab->step_count, lab->problem_count, skipped, failed);
    printf("[  PASSED  ] %u test(s).\n", lab->step_count - 1 - skipped - failed);
    if (skipped > 0)
        printf("[  SKIPPED ] %u test(s).\n", skipped);
    if (failed > 0)
        printf("[  FAILED  ] %u test(s).\n", failed);
    return failed > 0;
}

#endif
