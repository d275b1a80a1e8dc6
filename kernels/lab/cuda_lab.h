/* cuda_lab: ladders of kernels for GPUs (kernels/cuda). A ladder is a list of ways to compute the same, the
 * plain one first, production's own among them, and of problems, odd shapes and those of real models.
 * Every way is compared with a reference in plain C, with guard bytes around what it writes; with --time
 * each is timed on the device, beside a copy that reads and writes as many bytes. The same program runs
 * on the emulated device, without times. */
#ifndef RUNESPOOR_LAB_CUDA_LAB_H
#define RUNESPOOR_LAB_CUDA_LAB_H

#include "base/random.h"
#include "cuda/gpu.h"
#include "cuda/view.h"

#define CUDA_LAB_INPUTS_MAX 5

struct cuda_lab;

/* A problem; shape is its ladder's own. */
struct cuda_problem {
    const char *name;
    const void *shape;
    bool real; /* a shape of a real model: timed, and not checked where the device is emulated */
    /* Filled in for the steps: */
    void *in[CUDA_LAB_INPUTS_MAX], *out; /* on the device */
    void *scratch;
    int multiprocessors, major, minor;
};

/* Rows of problems, of a ladder's own struct shape_of. */
#define CUDA_PROBLEM(text, ...) { .name = text, .shape = &(const struct shape_of){ __VA_ARGS__ } }
#define CUDA_REAL_PROBLEM(text, ...) \
    { .name = text, .shape = &(const struct shape_of){ __VA_ARGS__ }, .real = true }

/* What a problem reads and writes, on the host. Memory is from malloc, freed by the lab. */
struct cuda_content {
    void *in[CUDA_LAB_INPUTS_MAX];
    size_t in_bytes[CUDA_LAB_INPUTS_MAX];
    enum tensor_type out_type;
    int64_t out_count;          /* several results of that type lie behind each other */
    uint64_t scratch_bytes;     /* what steps keep between their kernels */
    float *expected;            /* out_count many */
    uint64_t moved_bytes, flop; /* that it must read and write, and compute */
};

struct cuda_lab_step {
    const char *name;
    void (*run)(const struct cuda_problem *problem, void *stream);
    double bound; /* the largest difference that is right, of the largest number expected */
    bool (*can)(const struct cuda_problem *problem); /* NULL: always */
};

struct cuda_ladder {
    const char *kernel;
    const struct cuda_lab_step *steps;
    size_t step_count;
    const struct cuda_problem *problems;
    size_t problem_count;
    /* Makes the content; expected where `check`. */
    void (*fill)(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content);
};

/* NAME.c each. */
extern const struct cuda_ladder cuda_attention_ladder;
extern const struct cuda_ladder cuda_boxes_ladder;
extern const struct cuda_ladder cuda_conv_depth_ladder;
extern const struct cuda_ladder cuda_conv_ladder;
extern const struct cuda_ladder cuda_copy_ladder;
extern const struct cuda_ladder cuda_flat_ladder;
extern const struct cuda_ladder cuda_labels_ladder;
extern const struct cuda_ladder cuda_loss_ladder;
extern const struct cuda_ladder cuda_map_ladder;
extern const struct cuda_ladder cuda_matmul_ladder;
extern const struct cuda_ladder cuda_norm_ladder;
extern const struct cuda_ladder cuda_optimise_ladder;
extern const struct cuda_ladder cuda_pair_ladder;
extern const struct cuda_ladder cuda_picture_ladder;
extern const struct cuda_ladder cuda_pool_ladder;
extern const struct cuda_ladder cuda_reduce_ladder;
extern const struct cuda_ladder cuda_softmax_ladder;
extern const struct cuda_ladder cuda_tail_ladder;
extern const struct cuda_ladder cuda_taps_ladder;

/* count numbers from -1 to 1, or from low to high, as type. */
void *cuda_lab_numbers(struct random_state *random, enum tensor_type type, int64_t count);
void *cuda_lab_numbers_in(struct random_state *random, enum tensor_type type, int64_t count,
                          double low, double high);
float cuda_lab_number(const void *data, enum tensor_type type, int64_t at);
size_t cuda_lab_bytes(enum tensor_type type, int64_t count);

#endif
