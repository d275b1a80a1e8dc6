/* gpu: the little that plans need of a GPU's run time: memory, copies, a stream, recordings of what is
 * put into it, and two lanes beside it for copies in and out. Everything but allocation and waiting is only enqueued; it runs in order. gpu.c fills it
 * with CUDA, emulate.c with plain memory and loops, so that all but the libraries' own kernels is
 * checked on machines that have no GPU.
 *
 * One thread uses a gpu at a time. */
#ifndef RUNESPOOR_CUDA_GPU_H
#define RUNESPOOR_CUDA_GPU_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GPU_ALIGNMENT_BYTES 256u

struct gpu;
struct gpu_recording;

static inline uint64_t gpu_aligned(uint64_t bytes)
{
    return (bytes + GPU_ALIGNMENT_BYTES - 1) / GPU_ALIGNMENT_BYTES * GPU_ALIGNMENT_BYTES;
}

struct gpu_facts {
    char name[96];
    int major, minor; /* compute capability */
    int multiprocessors;
    int driver, runtime; /* versions as CUDA numbers them: 13000 is 13.0 */
    uint64_t memory_bytes, free_bytes;
    int clock_khz, memory_clock_khz, memory_bus_bits;
    bool bf16, tf32;
};

/* Takes the device of that number. The message says what is missing: no driver, one that is older than
 * what this was built with, no such device, too old a device. */
int gpu_open(struct gpu **gpu, int number, struct error *err);
void gpu_close(struct gpu **gpu);
int gpu_get_facts(struct gpu *gpu, struct gpu_facts *facts, struct error *err);

/* Device memory, aligned to GPU_ALIGNMENT_BYTES, with unknown content; never managed memory. */
int gpu_allocate(struct gpu *gpu, uint64_t bytes, void **data, struct error *err);
void gpu_free(struct gpu *gpu, void *data); /* takes NULL */
/* Host memory that copies reach without a detour, aligned to a page. */
int gpu_allocate_host(struct gpu *gpu, uint64_t bytes, void **data, struct error *err);
void gpu_free_host(struct gpu *gpu, void *data); /* takes NULL */
/* Makes memory of the caller, whole pages, such memory until gpu_unpin, to copy from: it may be readable
 * alone. */
int gpu_pin(struct gpu *gpu, void *data, uint64_t bytes, struct error *err);
void gpu_unpin(struct gpu *gpu, void *data);

/* Host memory must stay as it is until the copy has run. */
int gpu_copy_in(struct gpu *gpu, void *to, const void *from, uint64_t bytes, struct error *err);
int gpu_copy_out(struct gpu *gpu, void *to, const void *from, uint64_t bytes, struct error *err);
int gpu_copy(struct gpu *gpu, void *to, const void *from, uint64_t bytes, struct error *err);
int gpu_clear(struct gpu *gpu, void *to, uint64_t bytes, struct error *err);
/* Whether everything enqueued since was taken; launches themselves give nothing. */
int gpu_check(struct gpu *gpu, struct error *err);
/* Waits for everything enqueued. A kernel that fails shows here, and the gpu is of no use afterwards. */
int gpu_wait(struct gpu *gpu, struct error *err);

/* Records what enqueue(arg) puts into the stream, without running it; then it is replayed as a whole, as
 * often as wanted. arg stays until the recording is freed (the emulated device calls enqueue again). */
int gpu_record(struct gpu *gpu, int (*enqueue)(void *arg, struct error *err), void *arg,
               struct gpu_recording **recording, struct error *err);
int gpu_replay(struct gpu *gpu, const struct gpu_recording *recording, struct error *err);
void gpu_recording_free(struct gpu_recording **recording);

/* What is enqueued in a lane runs in order, and beside what is in the others, but for what follows a
 * signal: gpu_signal gives it when everything enqueued in a lane before has run, gpu_follow lets a lane go
 * on only then. */
enum gpu_lane {
    GPU_COMPUTE, /* where all of the above goes */
    GPU_IN,
    GPU_OUT,
};
#define GPU_LANES 3

struct gpu_signal;
int gpu_signal_create(struct gpu *gpu, struct gpu_signal **signal, struct error *err);
void gpu_signal_free(struct gpu_signal **signal);
int gpu_signal(struct gpu *gpu, enum gpu_lane lane, struct gpu_signal *signal, struct error *err);
int gpu_follow(struct gpu *gpu, enum gpu_lane lane, struct gpu_signal *signal, struct error *err);
/* The caller waits; as gpu_wait. */
int gpu_wait_for(struct gpu *gpu, struct gpu_signal *signal, struct error *err);
/* Copies in lane GPU_IN, GPU_OUT. */
int gpu_copy_in_beside(struct gpu *gpu, void *to, const void *from, uint64_t bytes,
                       struct error *err);
int gpu_copy_out_beside(struct gpu *gpu, void *to, const void *from, uint64_t bytes,
                        struct error *err);

/* Times on the device: between two marks of the stream, in nanoseconds. Waits for the second. */
#define GPU_MARKS 2
int gpu_mark(struct gpu *gpu, int mark, struct error *err);
int gpu_between_marks(struct gpu *gpu, double *ns, struct error *err);

/* The stream, for launches (launch.h) and libraries: a cudaStream_t. */
void *gpu_stream(const struct gpu *gpu);

#endif
