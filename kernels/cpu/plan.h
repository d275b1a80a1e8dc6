/* plan: a compiled graph on this device. Buffers are pieces of memory, places are arrays in them,
 * steps read and write places one after the other. Everything is laid out before the first run. */
#ifndef RUNESPOOR_CPU_PLAN_H
#define RUNESPOOR_CPU_PLAN_H

#include "cpu/layout.h"
#include "device.h"

#define CPU_ALIGNMENT_BYTES 64u

struct cpu_device {
    struct device device;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int threads;
    bool bf16;
    bool bytes; /* multiplies them without losing sums of two on the way */
};

enum cpu_buffer_kind {
    CPU_BUFFER_ARENA,    /* lives from its first to its last step, shares memory with others */
    CPU_BUFFER_CONSTANT, /* written when the plan is made */
    CPU_BUFFER_STATE,    /* written when the plan is made, and renewed by each run */
    CPU_BUFFER_INPUT,    /* of the graph: the plan's or the caller's memory */
    CPU_BUFFER_OUTPUT,
};

struct cpu_buffer {
    enum cpu_buffer_kind kind;
    uint64_t bytes;
    int parent; /* the buffer that this one is a part of, or -1 */
    uint64_t parent_offset_bytes;
    size_t external; /* index of the graph's input or output */
    int first_step, last_step;
    uint64_t arena_offset_bytes;
    void *data; /* of a buffer without parent */
    bool owned; /* data is freed with the plan */
};

struct cpu_place {
    int buffer;
    uint64_t offset_bytes;
    struct layout layout;  /* rank -1: known to oneDNN only (reordered weights, scratch memory) */
    dnnl_memory_desc_t md; /* undefined for types that oneDNN does not know */
    dnnl_memory_t memory;  /* NULL unless a primitive uses the place */
    void *data;
};

struct cpu_step {
    const char *op, *name; /* borrowed from the plan's graph */
    struct shape shape;
    enum tensor_type type; /* in which it computes */
    char *implementation;
    uint64_t flop;
    bool is_copy; /* of places[0] to places[1], and nothing else */

    dnnl_primitive_t primitive; /* or run: */
    int (*run)(const struct cpu_step *step, struct error *err);
    void *state; /* what run needs to know; freed with free() */

    struct cpu_place **places; /* all that it touches, as its maker ordered them */
    int place_count;
    dnnl_exec_arg_t *args; /* as many */
};

struct cpu_plan {
    struct plan plan;
    struct graph *graph; /* after all passes; owns names, attributes and some constants */
    struct cpu_buffer *buffers;
    int buffer_count, buffer_capacity;
    struct cpu_place **places;
    int place_count, place_capacity;
    struct cpu_step *steps;
    int step_count, step_capacity;
    void *arena_room; /* the arena is inside */
    bool drops_tiny;  /* numbers below the smallest normal one are 0 while it runs */
    void **own_rooms; /* around the memory of inputs, then outputs, until bound */
};

/* The buffer that index is finally a part of, with the offset in it. */
int cpu_root(const struct cpu_plan *plan, int index, uint64_t *offset_bytes);
/* Lays out the arena, allocates it and the memory of inputs and outputs, sets all pointers. */
int cpu_plan_finish(struct cpu_plan *plan, struct error *err);
/* Sets the pointers of everything in inputs and outputs again. */
int cpu_plan_bind(struct plan *plan, struct error *err);
int cpu_plan_run(struct plan *plan, struct error *err);
int cpu_step_run(const struct cpu_device *device, const struct cpu_step *step, struct error *err);
const char *cpu_plan_step(const struct plan *plan, size_t index);
void cpu_plan_free(struct plan *plan);
int cpu_plan_print(struct plan *plan, uint32_t runs, FILE *out, struct error *err);

/* Rounded up to whole lines; at least one. NULL when there is no memory. */
void *cpu_allocate(uint64_t bytes);

/* "oneDNN: unimplemented" and the like, as an error of the given place. */
int cpu_dnnl_error(struct error *err, dnnl_status_t status, const char *op, const char *name,
                   const char *what);
#ifdef __clang_analyzer__ /* as in base/error.h */
#define cpu_dnnl_error(...) error_negative(cpu_dnnl_error(__VA_ARGS__))
#endif

int cpu_compile(struct device *device, const struct graph *graph,
                const struct plan_options *options, struct plan **plan, struct error *err);

#endif
