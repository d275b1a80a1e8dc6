/* lib_engine: cuDNN's engines for a graph of operations. An engine with its knobs set is a way to run the
 * graph; made ready for it, it is a plan. */
#ifndef RUNESPOOR_CUDA_LIB_ENGINE_H
#define RUNESPOOR_CUDA_LIB_ENGINE_H

#include "cuda/lib_bag.h"
#include "cuda/lib_open.h"

struct lib_knob {
    cudnnBackendKnobType_t type;
    int64_t value;
};

struct lib_engine {
    int64_t index; /* cuDNN's number for it, in graphs of this kind */
    int knob_count;
    struct lib_knob knobs[CUDNN_KNOB_TYPE_COUNTS];
};

struct lib_plan {
    struct lib_engine engine;
    bool compiled; /* anew, which takes a second, while others are made ready at once */
    struct lib_bag bag;
    cudnnBackendDescriptor_t plan;
    uint64_t scratch_bytes;
};

/* "23 5=1 7=64": engine 23, knob 5 at 1, knob 7 at 64. */
void engine_write(const struct lib_engine *engine, char text[CHOICES_VALUE_BYTES]);
bool engine_read(struct lib_engine *engine, const char *text);

/* The first ways that cuDNN's heuristics name for a graph (finalized) and that can be made ready, at most
 * count_max; how many. Those that are compiled come last, and are few. Ways whose sums depend on the order of threads, or are rounded more than the types
 * say, are left out; so are, unless asked for, those on tensor cores, which round f32 to tf32. */
int lib_plans_find(struct cuda_libraries *libraries, cudnnBackendDescriptor_t graph,
                   bool tensor_cores, struct lib_plan *plans, int count_max);
/* False, with nothing to free, where the engine does not take the graph. */
bool lib_plan_make(struct cuda_libraries *libraries, cudnnBackendDescriptor_t graph,
                   const struct lib_engine *engine, struct lib_plan *plan);
/* The same from what lib_plan_write gave in another process. */
bool lib_plan_read(struct cuda_libraries *libraries, const struct lib_engine *engine,
                   const struct text *content, struct lib_plan *plan);
/* Kernels and all, into content, which is empty; false where cuDNN cannot. */
bool lib_plan_write(const struct lib_plan *plan, struct text *content);
/* Enqueues it. ids and data: of the graph's arrays. */
int lib_plan_run(const struct lib_plan *plan, struct cuda_libraries *libraries, const int64_t *ids,
                 void *const *data, int count, void *scratch, struct error *err);
void lib_plan_free(struct lib_plan *plan); /* takes a blank one */

#endif
