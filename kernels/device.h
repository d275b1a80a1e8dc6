/* device: what a back end offers. It compiles a whole graph for fixed shapes into a plan, owns the
 * plan's memory and runs plans in order. `cpu` is always there; others fill the same table. */
#ifndef RUNESPOOR_KERNELS_DEVICE_H
#define RUNESPOOR_KERNELS_DEVICE_H

#include "graph/graph.h"
#include <stdio.h>

enum precision {
    PRECISION_F32,
    PRECISION_BF16,   /* activations and operands in bf16, sums and what learns in f32 */
    PRECISION_BF16X3, /* f32 on bf16 matrix units: operands of convolutions and matrix products as
                         high and low parts of bf16, three products instead of one. All else is f32 */
    PRECISION_TF32,   /* f32, whose operands of convolutions and products a GPU rounds to 10 bits */
    PRECISION_F16,    /* as bf16, with f16 in its place: for inference on GPUs */
};

struct device_info {
    char kind[16];                /* "cpu", "cuda" */
    char name[96];                /* the processor's own name */
    uint32_t threads;             /* of a GPU: its multiprocessors */
    bool bf16, bf16x3, tf32, f16; /* precisions that it has besides f32 */
};

struct device;
struct plan;

/* "f32", "bf16", "bf16x3", "tf32" or "f16". */
const char *precision_word(enum precision precision);
bool precision_from_word(const char *word, enum precision *precision);

struct plan_options {
    enum precision precision;         /* one that the device does not have: -ERROR_UNSUPPORTED */
    const struct shape *input_shapes; /* one per graph input, or NULL for those of the file */
};

/* spec: "cpu", "cpu:threads=2", "cuda" or "cuda:1". Back ends besides cpu are shared objects: cuda is
 * kernels-cuda.so, beside the program, in ../lib/runespoor from there, or where the loader finds it. One
 * thread uses a device and its plans at a time. */
int device_open(struct device **device, const char *spec, struct error *err);
void device_get_info(const struct device *device, struct device_info *info);
bool device_has(const struct device *device, enum precision precision);
void device_close(struct device **device); /* after all its plans */
/* What it reaches in products of matrices of that precision, GFLOP/s, measured within a second; 0 where the back end
 * does not tell. */
int device_measure_peak(struct device *device, enum precision precision, double *gflops,
                        struct error *err);

/* Tells the device of memory of the caller's that copies to it will be made from, so that they need no
 * detour: once, when it is mapped, as this takes longer than many copies. data begins a page, and may be
 * readable alone. Until device_unpin, which comes before the memory is unmapped and before device_close.
 * A device without memory of its own does nothing. */
int device_pin(struct device *device, void *data, uint64_t bytes, struct error *err);
void device_unpin(struct device *device, void *data); /* what device_pin took */

/* The graph is only borrowed for the call (the plan works on its own copy). */
int device_compile(struct device *device, const struct graph *graph,
                   const struct plan_options *options, struct plan **plan, struct error *err);

/* Inputs and outputs in the graph's order; type, shape and name are fixed. The memory is the plan's
 * own until plan_bind gives it another (64-byte aligned, tensor_bytes long, borrowed until the plan
 * is freed or bound anew). Inputs and outputs are dense row-major f32 (or the graph's integer
 * type). */
size_t plan_input_count(const struct plan *plan);
size_t plan_output_count(const struct plan *plan);
const struct tensor *plan_input(const struct plan *plan, size_t index);
const struct tensor *plan_output(const struct plan *plan, size_t index);
const char *plan_input_name(const struct plan *plan, size_t index);
const char *plan_output_name(const struct plan *plan, size_t index);
int plan_bind_input(struct plan *plan, size_t index, void *data, struct error *err);
int plan_bind_output(struct plan *plan, size_t index, void *data, struct error *err);

/* The graph's states, dense row-major in the plan's own memory. What they hold is there after
 * plan_get_states; what is written to them is what the next run reads after plan_set_states. */
int plan_get_states(struct plan *plan, struct error *err);
int plan_set_states(struct plan *plan, struct error *err);
size_t plan_state_count(const struct plan *plan);
const struct tensor *plan_state(const struct plan *plan, size_t index);
const char *plan_state_name(const struct plan *plan, size_t index);

/* Runs once. Outputs are complete when it returns. Allocates nothing of its own and nothing that
 * stays; oneDNN takes and returns some hundred bytes for each call of it. */
int plan_run(struct plan *plan, struct error *err);
/* Runs once on the inputs of the last plan_run, and tells the time by the device's own clock: of a GPU,
 * without copying inputs to it and outputs from it, so outputs are not renewed. */
int plan_run_timed(struct plan *plan, double *ns, struct error *err);

/* The same in two halves, so that a device beside the processor computes while the caller prepares what
 * comes next: plan_start begins a run with what the inputs hold, plan_finish waits for the oldest begun,
 * and gives the outputs its results, until the next call of any of the three. plan_depth runs may be begun and
 * not finished: 1 on a processor, where plan_start does it all.
 *
 * Where more than one may, plan_input's data is other memory after plan_start, that of the next run. Memory
 * that the caller has bound is the same for all runs: it must be left alone until plan_finish. */
int plan_start(struct plan *plan, struct error *err);
int plan_finish(struct plan *plan, struct error *err);
uint32_t plan_depth(const struct plan *plan);

/* Memory of activations and of weights, bytes. */
void plan_memory(const struct plan *plan, uint64_t *activation_bytes, uint64_t *weight_bytes);
/* Multiply-adds times two. */
uint64_t plan_flop(const struct plan *plan);
/* A table by step: op, shape, precision, implementation, FLOP, bytes read and written, node. With
 * runs > 0 also the median time and its share of what the processor can do, which takes about a second
 * to measure. */
int plan_print(struct plan *plan, uint32_t runs, FILE *out, struct error *err);

/* What the step of that index is done with ("jit:avx512_core", "cudnn"); NULL behind the last. */
const char *plan_step(const struct plan *plan, size_t index);

void plan_free(struct plan **plan);

/* What a back end fills in; see kernels/cpu/cpu.c. arguments is what follows "kind:" ("" without). */
struct device_class {
    const char *kind;
    int (*open)(struct device **device, const char *arguments, struct error *err);
    void (*get_info)(const struct device *device, struct device_info *info);
    void (*close)(struct device *device);
    /* Both NULL where memory is memory. */
    int (*pin)(struct device *device, void *data, uint64_t bytes, struct error *err);
    void (*unpin)(struct device *device, void *data);
    int (*compile)(struct device *device, const struct graph *graph,
                   const struct plan_options *options, struct plan **plan, struct error *err);
    /* After data of inputs or outputs has changed. */
    int (*bind)(struct plan *plan, struct error *err);
    int (*run)(struct plan *plan, struct error *err);
    /* NULL and 1 where a run keeps the caller waiting anyway. */
    int (*start)(struct plan *plan, struct error *err);
    int (*finish)(struct plan *plan, struct error *err);
    uint32_t depth;
    /* NULL where run's time by the host's clock is that. */
    int (*run_timed)(struct plan *plan, double *ns, struct error *err);
    /* NULL where states lie in the memory that the plan shows. */
    int (*get_states)(struct plan *plan, struct error *err);
    int (*set_states)(struct plan *plan, struct error *err);
    const char *(*step)(const struct plan *plan, size_t index);
    int (*print)(struct plan *plan, uint32_t runs, FILE *out, struct error *err);
    /* NULL where plans alone tell their peak, in print. */
    int (*peak)(struct device *device, enum precision precision, double *gflops, struct error *err);
    void (*plan_free)(struct plan *plan);
};

/* Adds a back end to those that device_open knows; before others open devices. A kind that is there
 * already stays. */
void device_add_class(const struct device_class *class);

/* Common beginnings of every back end's structs; filled by open and compile. */
struct device {
    const struct device_class *class;
};
struct plan {
    struct device *device;
    struct tensor *inputs, *outputs, *states;
    char **input_names, **output_names, **state_names;
    size_t input_count, output_count, state_count;
    uint64_t activation_bytes, weight_bytes, flop;
};

/* For back ends: names, types and shapes of a graph's inputs, outputs and states become the plan's, and
 * where the states lie in the graph. plan_forget frees what that took, also when it failed. */
int plan_describe(struct plan *plan, const struct graph *graph, struct error *err);
void plan_forget(struct plan *plan);

#endif
