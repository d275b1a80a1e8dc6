/* plan: a compiled graph on a GPU. Buffers are pieces of device memory, places are arrays in them, steps
 * read and write places one after the other. Everything is laid out before the first run, which is
 * recorded once and then replayed whole.
 *
 * Inputs and outputs are there twice once two runs are under way at a time, on the host and on the device,
 * each pair a slot with a recording of its own, so that copies run beside the other slot's steps. */
#ifndef RUNESPOOR_CUDA_PLAN_H
#define RUNESPOOR_CUDA_PLAN_H

#include "cuda/gpu.h"
#include "device.h"
#include "tensor/layout.h"

struct cuda_libraries; /* libraries.h */

struct cuda_device {
    struct device device;
    struct gpu *gpu;
    struct gpu_facts facts;
    struct cuda_libraries *libraries; /* NULL on the emulated device */
};

enum cuda_buffer_kind {
    CUDA_BUFFER_ARENA,    /* lives from its first to its last step, shares memory with others */
    CUDA_BUFFER_CONSTANT, /* written when the plan is made */
    CUDA_BUFFER_STATE,    /* written when the plan is made, and renewed by each run */
    CUDA_BUFFER_INPUT,    /* of the graph: what the caller's memory is copied to, or from */
    CUDA_BUFFER_OUTPUT,
};

struct cuda_buffer {
    enum cuda_buffer_kind kind;
    uint64_t bytes;
    const void *content; /* host memory with what a constant or a state holds; NULL: steps write it */
    void *own_content;   /* the same, or NULL: from malloc, freed with the plan */
    size_t external;     /* index of the graph's input, output or state */
    int first_step, last_step;
    uint64_t arena_offset_bytes;
    void *data; /* on the device; of inputs and outputs in the slot that is being recorded */
};

struct cuda_place {
    int buffer;
    uint64_t offset_bytes;
    struct layout layout; /* never blocked */
    void *data;           /* on the device, once the plan is finished */
};

struct cuda_step {
    const char *op, *name; /* borrowed from the plan's graph */
    const char *implementation;
    struct shape shape;
    enum tensor_type type; /* in which it computes */
    uint64_t flop;
    bool once; /* it computes a constant: run when the plan is made */
    /* Enqueues what it does. Reads state and the data of its places. */
    int (*run)(const struct cuda_step *step, struct gpu *gpu, struct error *err);
    void *state;
    void (*free_state)(void *state);
    struct cuda_place **places; /* those that it reads first */
    int place_count, read_count;
};

#define CUDA_PLAN_SLOTS 2

/* What a run under way has for itself. */
struct cuda_slot {
    struct cuda_plan *plan; /* NULL: not made yet */
    void **host;            /* memory of inputs, then of outputs */
    void *held;             /* on the device, for all of them, */
    void **data;            /* and where each buffer of theirs lies in it */
    struct gpu_recording *recording;
    struct gpu_signal *in, *computed, *out; /* inputs are there, steps have run, outputs are there */
};

struct cuda_plan {
    struct plan plan;
    struct gpu *gpu;
    enum precision precision;
    struct graph *graph; /* after all passes; owns names, attributes and constants */
    struct cuda_buffer *buffers;
    int buffer_count, buffer_capacity;
    struct cuda_place **places;
    int place_count, place_capacity;
    struct cuda_step *steps;
    int step_count, step_capacity;
    void *arena, *held;  /* device memory: what lives for some steps, and what stays */
    void **state_memory; /* of the host */
    struct cuda_slot slots[CUDA_PLAN_SLOTS];
    int slot;      /* that of the next run to start */
    int under_way; /* runs begun and not finished */
};

/* Lays out and allocates memory, runs what needs to run once, records the rest. */
int cuda_plan_finish(struct cuda_plan *plan, struct error *err);
/* Sets the memory of all places to what their buffers' is. */
void cuda_point_places(struct cuda_plan *plan);
int cuda_plan_bind(struct plan *plan, struct error *err);
int cuda_plan_run(struct plan *plan, struct error *err);
int cuda_plan_start(struct plan *plan, struct error *err);
int cuda_plan_finish_run(struct plan *plan, struct error *err);
int cuda_plan_get_states(struct plan *plan, struct error *err);
int cuda_plan_set_states(struct plan *plan, struct error *err);
const char *cuda_plan_step(const struct plan *plan, size_t index);
int cuda_plan_run_timed(struct plan *plan, double *ns, struct error *err);
int cuda_plan_print(struct plan *plan, uint32_t runs, FILE *out, struct error *err);
void cuda_plan_free(struct plan *plan);

int cuda_compile(struct device *device, const struct graph *graph,
                 const struct plan_options *options, struct plan **plan, struct error *err);

#endif
