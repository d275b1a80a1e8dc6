/* launch: how kernels are written once and run twice, on a GPU and as plain loops. A kernel's file
 * (NAME.cu) is CUDA C that is C as well: nvcc compiles it for devices, and gcc, as C, for the emulated
 * one. What a kernel computes is a function of its arguments and an index.
 *
 *     EACH_KERNEL(relu_each, struct relu, relu_at)
 *
 * makes of `CUDA_FN void relu_at(const struct relu *args, int64_t i)` the function
 * `void relu_each(const struct relu *args, int64_t count, void *stream)`, which enqueues a kernel of
 * count threads.
 *
 *     ROWS_KERNEL(softmax_rows, struct softmax, struct softmax_sum, softmax_lane, softmax_merge,
 *                 softmax_finish)
 *
 * makes `void softmax_rows(const struct softmax *args, int64_t rows, int64_t length, void *stream)`: for
 * each row, `softmax_lane(args, row, lane, lanes, &sum)` sums up elements lane, lane + lanes, …, into a
 * sum that it sets itself, `softmax_merge(&sum, &other)` joins two, always in the same order, and
 * `softmax_finish(args, row, lane, lanes, &sum)` is called in every lane with the whole. How many lanes
 * there are depends on the length of a row: 1, 32 or a block.
 *
 *     STAGED_KERNEL(transpose_tiles, struct transpose, struct tile, struct none, stages, stage)
 *
 * makes `void transpose_tiles(const struct transpose *args, int64_t blocks, void *stream)`: blocks of
 * LAUNCH_THREADS threads that share a `struct tile`. Each thread calls `stage(args, block, thread, s,
 * &tile, &own)` for s from 0 to `stages(args)` - 1, with `own` its own struct, zero at first; no thread
 * begins a stage before all have ended the one before.
 *
 *     WARPS_KERNEL(conv_tile, struct conv_tile, struct sums, stages, stage)
 *
 * is for what a warp does as one (mma.h): `stage(args, block, first, warp, s, shared, &own)` is called by
 * whole warps, with as many bytes of shared memory as the launch asks for and sums of a thread's own; `first`
 * says that the block begins its first piece of work, as what it left in shared memory is there for the
 * next. Inside, FOR_LANES(lane) { … } runs for each lane, and WARP_SYNC() lets lanes see
 * what the others wrote to shared memory. The launcher is
 * `void conv_tile(const struct conv_tile *args, int64_t blocks, int resident, int shared_bytes, void *stream)`,
 * where no more than `resident` blocks are started, which share the work. */
#ifndef RUNESPOOR_CUDA_LAUNCH_H
#define RUNESPOOR_CUDA_LAUNCH_H

#include <stdint.h>

#define LAUNCH_THREADS 256
#define LAUNCH_WARP 32
#define LAUNCH_BLOCKS_MAX 65536 /* of kernels that go on in strides */
#define LAUNCH_STAGED_MAX 1048576
#define LAUNCH_NARROW 32      /* rows up to this length are one thread's */
#define LAUNCH_MANY_ROWS 4096 /* so many rows fill a device with a warp each */

#ifdef __cplusplus
#define LAUNCHER extern "C"
#else
#define LAUNCHER
#endif

/* Lanes for rows of that length: 1, a warp's or a block's. */
static inline int launch_lanes(int64_t rows, int64_t length)
{
    if (length <= LAUNCH_NARROW && rows >= LAUNCH_WARP)
        return 1;
    return rows >= LAUNCH_MANY_ROWS || length <= (int64_t)4 * LAUNCH_WARP ? LAUNCH_WARP
                                                                          : LAUNCH_THREADS;
}

#ifdef __CUDACC__

#include <cuda_runtime.h>

#define CUDA_FN static __device__ __forceinline__
#define CUDA_CONSTANT static __device__ const

static inline unsigned launch_blocks(int64_t threads)
{
    int64_t blocks = (threads + LAUNCH_THREADS - 1) / LAUNCH_THREADS;
    return (unsigned)(blocks < LAUNCH_BLOCKS_MAX ? blocks : LAUNCH_BLOCKS_MAX);
}

#define EACH_KERNEL(name, args_type, at)                                                           \
    static __global__ void __launch_bounds__(LAUNCH_THREADS)                                       \
        name##_kernel(const __grid_constant__ args_type args, int64_t count)                       \
    {                                                                                              \
        int64_t step = (int64_t)gridDim.x * LAUNCH_THREADS;                                        \
        for (int64_t i = (int64_t)blockIdx.x * LAUNCH_THREADS + threadIdx.x; i < count; i += step) \
            at(&args, i);                                                                          \
    }                                                                                              \
    LAUNCHER void name(const args_type *args, int64_t count, void *stream)                         \
    {                                                                                              \
        if (count > 0)                                                                             \
            name##_kernel<<<launch_blocks(count), LAUNCH_THREADS, 0, (cudaStream_t)stream>>>(      \
                *args, count);                                                                     \
    }

/* Threads of a block form groups of `lanes`; each group takes a row. Sums go through shared memory in a
 * tree, so that every lane ends with the same. */
#define ROWS_KERNEL(name, args_type, sum_type, lane_fn, merge_fn, finish_fn)                        \
    static __global__ void __launch_bounds__(LAUNCH_THREADS)                                        \
        name##_kernel(const __grid_constant__ args_type args, int64_t rows, int lanes)              \
    {                                                                                               \
        __shared__ sum_type sums[LAUNCH_THREADS];                                                   \
        int group = (int)threadIdx.x / lanes, lane = (int)threadIdx.x % lanes;                      \
        int groups = LAUNCH_THREADS / lanes;                                                        \
        for (int64_t first = (int64_t)blockIdx.x * groups; first < rows;                            \
             first += (int64_t)gridDim.x * groups) {                                                \
            int64_t row = first + group;                                                            \
            sum_type *own = &sums[threadIdx.x];                                                     \
            __syncthreads();                                                                        \
            if (row < rows)                                                                         \
                lane_fn(&args, row, lane, lanes, own);                                              \
            for (int half = lanes / 2; half > 0; half /= 2) {                                       \
                __syncthreads();                                                                    \
                if (row < rows && lane < half)                                                      \
                    merge_fn(own, own + half);                                                      \
            }                                                                                       \
            __syncthreads();                                                                        \
            if (row < rows) {                                                                       \
                sum_type total = sums[group * lanes];                                               \
                finish_fn(&args, row, lane, lanes, &total);                                         \
            }                                                                                       \
        }                                                                                           \
    }                                                                                               \
    LAUNCHER void name(const args_type *args, int64_t rows, int64_t length, void *stream)           \
    {                                                                                               \
        int lanes = launch_lanes(rows, length);                                                     \
        if (rows > 0)                                                                               \
            name##_kernel<<<launch_blocks(rows *lanes), LAUNCH_THREADS, 0, (cudaStream_t)stream>>>( \
                *args, rows, lanes);                                                                \
    }

#define STAGED_KERNEL(name, args_type, shared_type, own_type, stages_fn, stage_fn)               \
    static __global__ void __launch_bounds__(LAUNCH_THREADS)                                     \
        name##_kernel(const __grid_constant__ args_type args, int64_t blocks)                    \
    {                                                                                            \
        __shared__ shared_type shared;                                                           \
        int stages = stages_fn(&args);                                                           \
        for (int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {                   \
            own_type own = {};                                                                   \
            for (int s = 0; s < stages; s++) {                                                   \
                __syncthreads();                                                                 \
                stage_fn(&args, block, (int)threadIdx.x, s, &shared, &own);                      \
            }                                                                                    \
        }                                                                                        \
    }                                                                                            \
    LAUNCHER void name(const args_type *args, int64_t blocks, void *stream)                      \
    {                                                                                            \
        if (blocks > 0)                                                                          \
            name##_kernel<<<(unsigned)(blocks < LAUNCH_STAGED_MAX ? blocks : LAUNCH_STAGED_MAX), \
                            LAUNCH_THREADS, 0, (cudaStream_t)stream>>>(*args, blocks);           \
    }

/* ---- warps ---- */

#define FOR_LANES(lane) for (int lane = (int)threadIdx.x % LAUNCH_WARP, once = 1; once; once = 0)
#define WARP_SYNC() __syncwarp()

#define WARPS_KERNEL(name, args_type, own_type, stages, stage_fn)                              \
    static __global__ void __launch_bounds__(LAUNCH_THREADS)                                   \
        name##_kernel(const __grid_constant__ args_type args, int64_t blocks)                  \
    {                                                                                          \
        extern __shared__ __align__(16) char shared[];                                         \
        for (int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {                 \
            own_type own;                                                                      \
            _Pragma("unroll") for (int s = 0; s < stages; s++)                                 \
            {                                                                                  \
                __syncthreads();                                                               \
                stage_fn(&args, block, block == blockIdx.x, (int)threadIdx.x / LAUNCH_WARP, s, \
                         shared, &own);                                                        \
            }                                                                                  \
        }                                                                                      \
    }                                                                                          \
    LAUNCHER void name(const args_type *args, int64_t blocks, int resident, int shared_bytes,  \
                       void *stream)                                                           \
    {                                                                                          \
        if (blocks == 0 ||                                                                     \
            cudaFuncSetAttribute(name##_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,   \
                                 shared_bytes) != cudaSuccess)                                 \
            return; /* the error stays for gpu_check */                                        \
        name##_kernel<<<(unsigned)(blocks < resident ? blocks : resident), LAUNCH_THREADS,     \
                        (size_t)shared_bytes, (cudaStream_t)stream>>>(*args, blocks);          \
    }

#else /* the emulated device */

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#define LAUNCH_SHARED_MAX 232448 /* bytes: Hopper's, the most there is */
#define CUDA_FN static inline
#define CUDA_CONSTANT static const

/* On a device nobody knows which thread comes first. Here every second launch of a kernel has them all in
 * the opposite order, so that one which depends on it is found out. */
static inline int64_t launch_turned(bool turned, int64_t at, int64_t count)
{
    return turned ? count - 1 - at : at;
}

#define EACH_KERNEL(name, args_type, at)                          \
    void name(const args_type *args, int64_t count, void *stream) \
    {                                                             \
        static _Thread_local bool turned;                         \
        (void)stream;                                             \
        turned = !turned;                                         \
        for (int64_t i = 0; i < count; i++)                       \
            at(args, launch_turned(turned, i, count));            \
    }

#define ROWS_KERNEL(name, args_type, sum_type, lane_fn, merge_fn, finish_fn)               \
    void name(const args_type *args, int64_t rows, int64_t length, void *stream)           \
    {                                                                                      \
        static _Thread_local bool turned;                                                  \
        sum_type sums[LAUNCH_THREADS];                                                     \
        int lanes = launch_lanes(rows, length);                                            \
        (void)stream;                                                                      \
        turned = !turned;                                                                  \
        for (int64_t r = 0; r < rows; r++) {                                               \
            int64_t row = launch_turned(turned, r, rows);                                  \
            for (int l = 0; l < lanes; l++) {                                              \
                int lane = (int)launch_turned(turned, l, lanes);                           \
                lane_fn(args, row, lane, lanes, &sums[lane]);                              \
            }                                                                              \
            for (int half = lanes / 2; half > 0; half /= 2)                                \
                for (int lane = 0; lane < half; lane++)                                    \
                    merge_fn(&sums[lane], &sums[lane + half]);                             \
            sum_type total = sums[0];                                                      \
            for (int l = 0; l < lanes; l++)                                                \
                finish_fn(args, row, (int)launch_turned(turned, l, lanes), lanes, &total); \
        }                                                                                  \
    }

#define STAGED_KERNEL(name, args_type, shared_type, own_type, stages_fn, stage_fn)       \
    void name(const args_type *args, int64_t blocks, void *stream)                       \
    {                                                                                    \
        static _Thread_local bool turned;                                                \
        static _Thread_local shared_type shared;                                         \
        static _Thread_local own_type own[LAUNCH_THREADS];                               \
        int stages = stages_fn(args);                                                    \
        (void)stream;                                                                    \
        turned = !turned;                                                                \
        for (int64_t b = 0; b < blocks; b++) {                                           \
            memset(own, 0, sizeof own);                                                  \
            for (int s = 0; s < stages; s++)                                             \
                for (int t = 0; t < LAUNCH_THREADS; t++) {                               \
                    int thread = (int)launch_turned(turned, t, LAUNCH_THREADS);          \
                    stage_fn(args, launch_turned(turned, b, blocks), thread, s, &shared, \
                             &own[thread]);                                              \
                }                                                                        \
        }                                                                                \
    }

#define FOR_LANES(lane) for (int lane = 0; lane < LAUNCH_WARP; lane++)
#define WARP_SYNC() ((void)0)

#define WARPS_KERNEL(name, args_type, own_type, stages, stage_fn)                                  \
    void name(const args_type *args, int64_t blocks, int resident, int shared_bytes, void *stream) \
    {                                                                                              \
        enum { WARPS = LAUNCH_THREADS / LAUNCH_WARP };                                             \
        static _Thread_local bool turned;                                                          \
        static _Thread_local _Alignas(16) char shared[LAUNCH_SHARED_MAX];                          \
        static _Thread_local own_type own[WARPS];                                                  \
        (void)stream;                                                                              \
        assert(shared_bytes <= LAUNCH_SHARED_MAX);                                                 \
        turned = !turned;                                                                          \
        for (int64_t at = 0; at < resident; at++)                                                  \
            for (int64_t block = at; block < blocks; block += resident)                            \
                for (int s = 0; s < stages; s++)                                                   \
                    for (int w = 0; w < WARPS; w++) {                                              \
                        int warp = (int)launch_turned(turned, w, WARPS);                           \
                        stage_fn(args, block, block == at, warp, s, shared, &own[warp]);           \
                    }                                                                              \
    }

#endif

#endif
