/* lib_open: what the files behind libraries.h share: the libraries' handles, choices on disk, and trying
 * several ways against each other. */
#ifndef RUNESPOOR_CUDA_LIB_OPEN_H
#define RUNESPOOR_CUDA_LIB_OPEN_H

#include "base/clock.h"
#include "base/text.h"
#include "cuda/choices.h"
#include "cuda/libraries.h"
#include <cublasLt.h>
#include <cudnn.h>

#define LIB_ALIGNMENT_BYTES 16u                 /* of arrays, where nothing else is said */
#define LIB_SCRATCH_BYTES (UINT64_C(256) << 20) /* that a way may want, at most */
#define LIB_WAYS_MAX 8 /* that are tried: heuristics put what is good first */
/* Trying takes so long in a process, at most; what comes later is done in the first way that works. The
 * next process goes on with that. */
#define LIB_TRYING_NS (UINT64_C(20) * CLOCK_NS_PER_S)

struct cuda_libraries {
    struct gpu *gpu;
    cudnnHandle_t cudnn;
    cublasLtHandle_t blas;
    struct choices *choices;
    uint64_t trying_ns; /* that trying has taken so far */
    char device[192];   /* and versions: what every key of a choice begins with */
};

/* Whether there is time left for trying. Who tries adds to trying_ns. */
static inline bool lib_may_try(const struct cuda_libraries *libraries)
{
    return libraries->trying_ns < LIB_TRYING_NS;
}

/* A task that can be done in several ways, with memory of its own to do it in. */
struct lib_trial {
    struct gpu *gpu;
    int ways;
    /* Enqueues the task in that way. */
    int (*run)(void *arg, int way, struct error *err);
    void *arg;
};

/* *fastest: the way that took least, each run once before, as it may be loaded then, and LIB_RUNS times
 * against the device's clock; -1 where none can be run. An error is one of the GPU. One way alone is only
 * run once. */
int lib_try(const struct lib_trial *trial, int *fastest, struct error *err);
/* Memory for the arrays of a trial, zero, each aligned to GPU_ALIGNMENT_BYTES, in one piece that is freed
 * by gpu_free(*memory). *arrays[i] gets bytes[i]. */
int lib_lay_out(struct gpu *gpu, const uint64_t *bytes, void **const *arrays, int count,
                void **memory, struct error *err);

#endif
