/* gpu: CUDA's run time behind gpu.h. Lanes are streams that do not wait for the default one; waiting
 * sleeps, as the processor has pictures to decode meanwhile. */
#include "cuda/gpu.h"
#include <cuda_runtime_api.h>
#include <stdlib.h>
#include <string.h>

#define MAJOR_MIN 7 /* compute capability 7.5, Turing: what cuDNN 9 and this toolkit still know */
#define MINOR_MIN 5
#define MAJOR_AMPERE 8 /* the first with bf16 and tf32 */
#define NS_PER_MS 1e6
#define MIB (UINT64_C(1) << 20)
#define VERSION_MAJOR(version) ((version) / 1000)
#define VERSION_MINOR(version) ((version) % 1000 / 10)

struct gpu {
    int number;
    cudaStream_t stream;            /* GPU_COMPUTE */
    cudaStream_t beside[GPU_LANES]; /* of the others */
    cudaEvent_t marks[GPU_MARKS];
};

struct gpu_recording {
    cudaGraphExec_t graph;
};

struct gpu_signal {
    cudaEvent_t event;
};

static int find_device(int number, struct error *err);
static int explain_driver(cudaError_t status, struct error *err);
static int require_capability(int number, struct error *err);
static int make_stream(struct gpu *gpu, struct error *err);
static int attribute(int number, enum cudaDeviceAttr attribute, int *value, struct error *err);
static int explain_memory(const struct gpu *gpu, cudaError_t status, uint64_t bytes,
                          struct error *err);
static int enter(const struct gpu *gpu, struct error *err);
static int copy(struct gpu *gpu, enum gpu_lane lane, void *to, const void *from, uint64_t bytes,
                enum cudaMemcpyKind kind, struct error *err);
static cudaStream_t stream_of(const struct gpu *gpu, enum gpu_lane lane);
static int end_capture(struct gpu *gpu, cudaGraph_t *graph, struct error *err);
static bool is_lasting(cudaError_t status);
static int fail(cudaError_t status, const char *what, struct error *err);

/* ---- the device ---- */

int gpu_open(struct gpu **gpu, int number, struct error *err)
{
    int rc = find_device(number, err);
    if (rc)
        return rc;
    struct gpu *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    fresh->number = number;
    rc = make_stream(fresh, err);
    if (rc) {
        gpu_close(&fresh);
        return rc;
    }
    *gpu = fresh;
    return 0;
}

static int find_device(int number, struct error *err)
{
    int count = 0;
    cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess && status != cudaErrorNoDevice)
        return explain_driver(status, err);
    if (status == cudaErrorNoDevice || count == 0)
        return error_set(err, ERROR_UNSUPPORTED, "cuda",
                         "the NVIDIA driver is there but shows no GPU; look at nvidia-smi and "
                         "CUDA_VISIBLE_DEVICES");
    if (number >= count)
        return error_set(err, ERROR_CONFIG, "cuda",
                         "there is no GPU %d: this machine has %d, 0 to %d", number, count,
                         count - 1);
    return require_capability(number, err);
}

static int explain_driver(cudaError_t status, struct error *err)
{
    int driver = 0, runtime = CUDART_VERSION;
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0)
        return error_set(
            err, ERROR_UNSUPPORTED, "cuda",
            "this machine has no NVIDIA driver (libcuda.so.1); install one for CUDA %d.%d "
            "or later, or use the device cpu",
            VERSION_MAJOR(runtime), VERSION_MINOR(runtime));
    if (status == cudaErrorInsufficientDriver)
        return error_set(
            err, ERROR_UNSUPPORTED, "cuda",
            "the NVIDIA driver is one for CUDA %d.%d, and this was built with CUDA %d.%d; "
            "install a newer driver, or build with an older CUDA",
            VERSION_MAJOR(driver), VERSION_MINOR(driver), VERSION_MAJOR(runtime),
            VERSION_MINOR(runtime));
    return fail(status, "cannot count the GPUs", err);
}

static int require_capability(int number, struct error *err)
{
    int major = 0, minor = 0;
    int rc = attribute(number, cudaDevAttrComputeCapabilityMajor, &major, err);
    if (!rc)
        rc = attribute(number, cudaDevAttrComputeCapabilityMinor, &minor, err);
    if (rc)
        return rc;
    if (major < MAJOR_MIN || (major == MAJOR_MIN && minor < MINOR_MIN))
        return error_set(err, ERROR_UNSUPPORTED, "cuda",
                         "GPU %d has compute capability %d.%d; %d.%d (Turing) or later is needed",
                         number, major, minor, MAJOR_MIN, MINOR_MIN);
    return 0;
}

static int make_stream(struct gpu *gpu, struct error *err)
{
    cudaError_t status =
        cudaInitDevice(gpu->number, cudaDeviceScheduleBlockingSync, cudaInitDeviceFlagsAreValid);
    if (status != cudaSuccess)
        return fail(status, "cannot begin to use the GPU", err);
    int rc = enter(gpu, err);
    if (rc)
        return rc;
    status = cudaStreamCreateWithFlags(&gpu->stream, cudaStreamNonBlocking);
    for (int i = GPU_IN; status == cudaSuccess && i < GPU_LANES; i++)
        status = cudaStreamCreateWithFlags(&gpu->beside[i], cudaStreamNonBlocking);
    for (int i = 0; status == cudaSuccess && i < GPU_MARKS; i++)
        status = cudaEventCreateWithFlags(&gpu->marks[i], cudaEventBlockingSync);
    return status == cudaSuccess ? 0 : fail(status, "cannot make a stream", err);
}

void gpu_close(struct gpu **gpu)
{
    struct gpu *self = *gpu;
    if (!self)
        return;
    *gpu = NULL;
    /* Nothing can be done about what fails here; it has shown before. */
    (void)cudaSetDevice(self->number);
    for (int i = 0; i < GPU_MARKS; i++)
        if (self->marks[i])
            (void)cudaEventDestroy(self->marks[i]);
    for (int i = GPU_IN; i < GPU_LANES; i++)
        if (self->beside[i])
            (void)cudaStreamDestroy(self->beside[i]);
    if (self->stream)
        (void)cudaStreamDestroy(self->stream);
    free(self);
}

int gpu_get_facts(struct gpu *gpu, struct gpu_facts *facts, struct error *err)
{
    struct cudaDeviceProp properties;
    size_t free_bytes = 0, all_bytes = 0;
    *facts = (struct gpu_facts){ 0 };
    int rc = enter(gpu, err);
    if (rc)
        return rc;
    cudaError_t status = cudaGetDeviceProperties(&properties, gpu->number);
    if (status == cudaSuccess)
        status = cudaMemGetInfo(&free_bytes, &all_bytes);
    if (status == cudaSuccess)
        status = cudaDriverGetVersion(&facts->driver);
    if (status == cudaSuccess)
        status = cudaRuntimeGetVersion(&facts->runtime);
    if (status != cudaSuccess)
        return fail(status, "cannot ask the GPU what it is", err);
    memcpy(facts->name, properties.name, sizeof facts->name - 1);
    facts->major = properties.major;
    facts->minor = properties.minor;
    facts->multiprocessors = properties.multiProcessorCount;
    facts->memory_bytes = all_bytes;
    facts->free_bytes = free_bytes;
    facts->bf16 = facts->tf32 = properties.major >= MAJOR_AMPERE;
    rc = attribute(gpu->number, cudaDevAttrClockRate, &facts->clock_khz, err);
    if (!rc)
        rc = attribute(gpu->number, cudaDevAttrMemoryClockRate, &facts->memory_clock_khz, err);
    if (!rc)
        rc = attribute(gpu->number, cudaDevAttrGlobalMemoryBusWidth, &facts->memory_bus_bits, err);
    return rc;
}

static int attribute(int number, enum cudaDeviceAttr attribute, int *value, struct error *err)
{
    cudaError_t status = cudaDeviceGetAttribute(value, attribute, number);
    return status == cudaSuccess ? 0 : fail(status, "cannot ask the GPU what it is", err);
}

void *gpu_stream(const struct gpu *gpu)
{
    return gpu->stream;
}

/* ---- memory ---- */

int gpu_allocate(struct gpu *gpu, uint64_t bytes, void **data, struct error *err)
{
    int rc = enter(gpu, err);
    if (rc)
        return rc;
    /* cudaMalloc aligns to 256 bytes at least, and gives nothing for nothing. */
    cudaError_t status = cudaMalloc(data, bytes ? bytes : GPU_ALIGNMENT_BYTES);
    return status == cudaSuccess ? 0 : explain_memory(gpu, status, bytes, err);
}

static int explain_memory(const struct gpu *gpu, cudaError_t status, uint64_t bytes, struct error *err)
{
    size_t free_bytes = 0, all_bytes = 0;
    if (status != cudaErrorMemoryAllocation)
        return fail(status, "cannot have memory of the GPU", err);
    (void)cudaGetLastError(); /* it is told here, and is no reason for later calls to fail */
    (void)cudaMemGetInfo(&free_bytes, &all_bytes);
    return error_set(err, ERROR_MEMORY, "cuda",
                     "GPU %d has not enough memory: %llu MiB wanted, %llu of %llu MiB free",
                     gpu->number, (unsigned long long)((bytes + MIB - 1) / MIB),
                     (unsigned long long)(free_bytes / MIB), (unsigned long long)(all_bytes / MIB));
}

void gpu_free(struct gpu *gpu, void *data)
{
    if (!data)
        return;
    (void)cudaSetDevice(gpu->number);
    (void)cudaFree(data); /* fails only when the device has failed before */
}

int gpu_allocate_host(struct gpu *gpu, uint64_t bytes, void **data, struct error *err)
{
    int rc = enter(gpu, err);
    if (rc)
        return rc;
    cudaError_t status = cudaHostAlloc(data, bytes ? bytes : 1, cudaHostAllocDefault);
    if (status == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        return error_set(err, ERROR_MEMORY, "cuda",
                         "%llu MiB of this machine's memory cannot be kept in place for the GPU",
                         (unsigned long long)((bytes + MIB - 1) / MIB));
    }
    return status == cudaSuccess ? 0 : fail(status, "cannot have memory of the host", err);
}

void gpu_free_host(struct gpu *gpu, void *data)
{
    if (!data)
        return;
    (void)cudaSetDevice(gpu->number);
    (void)cudaFreeHost(data);
}

int gpu_pin(struct gpu *gpu, void *data, uint64_t bytes, struct error *err)
{
    int rc = enter(gpu, err);
    if (rc)
        return rc;
    cudaError_t status = cudaHostRegister(data, bytes, cudaHostRegisterReadOnly);
    return status == cudaSuccess ? 0 : fail(status, "cannot keep memory in place for the GPU", err);
}

void gpu_unpin(struct gpu *gpu, void *data)
{
    (void)cudaSetDevice(gpu->number);
    (void)cudaHostUnregister(data);
}

/* ---- what is enqueued ---- */

int gpu_copy_in(struct gpu *gpu, void *to, const void *from, uint64_t bytes, struct error *err)
{
    return copy(gpu, GPU_COMPUTE, to, from, bytes, cudaMemcpyHostToDevice, err);
}

int gpu_copy_out(struct gpu *gpu, void *to, const void *from, uint64_t bytes, struct error *err)
{
    return copy(gpu, GPU_COMPUTE, to, from, bytes, cudaMemcpyDeviceToHost, err);
}

int gpu_copy(struct gpu *gpu, void *to, const void *from, uint64_t bytes, struct error *err)
{
    return copy(gpu, GPU_COMPUTE, to, from, bytes, cudaMemcpyDeviceToDevice, err);
}

int gpu_copy_in_beside(struct gpu *gpu, void *to, const void *from, uint64_t bytes, struct error *err)
{
    return copy(gpu, GPU_IN, to, from, bytes, cudaMemcpyHostToDevice, err);
}

int gpu_copy_out_beside(struct gpu *gpu, void *to, const void *from, uint64_t bytes, struct error *err)
{
    return copy(gpu, GPU_OUT, to, from, bytes, cudaMemcpyDeviceToHost, err);
}

static int copy(struct gpu *gpu, enum gpu_lane lane, void *to, const void *from, uint64_t bytes,
                enum cudaMemcpyKind kind, struct error *err)
{
    int rc = enter(gpu, err);
    if (rc || bytes == 0)
        return rc;
    cudaError_t status = cudaMemcpyAsync(to, from, bytes, kind, stream_of(gpu, lane));
    return status == cudaSuccess ? 0 : fail(status, "a copy failed", err);
}

int gpu_clear(struct gpu *gpu, void *to, uint64_t bytes, struct error *err)
{
    int rc = enter(gpu, err);
    if (rc || bytes == 0)
        return rc;
    cudaError_t status = cudaMemsetAsync(to, 0, bytes, gpu->stream);
    return status == cudaSuccess ? 0 : fail(status, "memory cannot be cleared", err);
}

int gpu_check(struct gpu *gpu, struct error *err)
{
    int rc = enter(gpu, err);
    if (rc)
        return rc;
    cudaError_t status = cudaGetLastError();
    return status == cudaSuccess ? 0 : fail(status, "a kernel cannot be started", err);
}

int gpu_wait(struct gpu *gpu, struct error *err)
{
    int rc = enter(gpu, err);
    if (rc)
        return rc;
    cudaError_t status = cudaStreamSynchronize(gpu->stream);
    return status == cudaSuccess ? 0 : fail(status, "the GPU broke off", err);
}

/* ---- lanes ---- */

static cudaStream_t stream_of(const struct gpu *gpu, enum gpu_lane lane)
{
    return lane == GPU_COMPUTE ? gpu->stream : gpu->beside[lane];
}

int gpu_signal_create(struct gpu *gpu, struct gpu_signal **signal, struct error *err)
{
    int rc = enter(gpu, err);
    if (rc)
        return rc;
    struct gpu_signal *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    cudaError_t status =
        cudaEventCreateWithFlags(&fresh->event, cudaEventBlockingSync | cudaEventDisableTiming);
    if (status != cudaSuccess) {
        free(fresh);
        return fail(status, "cannot make a signal", err);
    }
    *signal = fresh;
    return 0;
}

void gpu_signal_free(struct gpu_signal **signal)
{
    if (*signal)
        (void)cudaEventDestroy((*signal)->event);
    free(*signal);
    *signal = NULL;
}

int gpu_signal(struct gpu *gpu, enum gpu_lane lane, struct gpu_signal *signal, struct error *err)
{
    int rc = enter(gpu, err);
    if (rc)
        return rc;
    cudaError_t status = cudaEventRecord(signal->event, stream_of(gpu, lane));
    return status == cudaSuccess ? 0 : fail(status, "cannot signal", err);
}

int gpu_follow(struct gpu *gpu, enum gpu_lane lane, struct gpu_signal *signal, struct error *err)
{
    int rc = enter(gpu, err);
    if (rc)
        return rc;
    cudaError_t status = cudaStreamWaitEvent(stream_of(gpu, lane), signal->event, 0);
    return status == cudaSuccess ? 0 : fail(status, "cannot follow a signal", err);
}

int gpu_wait_for(struct gpu *gpu, struct gpu_signal *signal, struct error *err)
{
    int rc = enter(gpu, err);
    if (rc)
        return rc;
    cudaError_t status = cudaEventSynchronize(signal->event);
    return status == cudaSuccess ? 0 : fail(status, "the GPU broke off", err);
}

/* ---- recordings ---- */

int gpu_record(struct gpu *gpu, int (*enqueue)(void *arg, struct error *err), void *arg,
               struct gpu_recording **recording, struct error *err)
{
    int rc = enter(gpu, err);
    if (rc)
        return rc;
    struct gpu_recording *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    cudaGraph_t graph = NULL;
    /* Relaxed: a kernel that was not launched before is loaded now, and libraries may want memory of their
     * own for that. What must not be recorded, as waiting, fails in any mode. */
    cudaError_t status = cudaStreamBeginCapture(gpu->stream, cudaStreamCaptureModeRelaxed);
    if (status != cudaSuccess) {
        free(fresh);
        return fail(status, "cannot record", err);
    }
    rc = enqueue(arg, err);
    int ended = end_capture(gpu, &graph, rc ? NULL : err);
    rc = rc ? rc : ended;
    if (!rc) {
        status = cudaGraphInstantiate(&fresh->graph, graph, 0);
        rc = status == cudaSuccess ? 0 : fail(status, "cannot record", err);
    }
    if (graph)
        (void)cudaGraphDestroy(graph);
    if (rc)
        gpu_recording_free(&fresh);
    else
        *recording = fresh;
    return rc;
}

/* The stream is to be ended whatever happened; *graph is NULL where that fails. */
static int end_capture(struct gpu *gpu, cudaGraph_t *graph, struct error *err)
{
    cudaError_t status = cudaStreamEndCapture(gpu->stream, graph);
    if (status == cudaSuccess)
        return 0;
    *graph = NULL;
    (void)cudaGetLastError();
    return fail(status, "cannot record", err);
}

int gpu_replay(struct gpu *gpu, const struct gpu_recording *recording, struct error *err)
{
    int rc = enter(gpu, err);
    if (rc)
        return rc;
    cudaError_t status = cudaGraphLaunch(recording->graph, gpu->stream);
    return status == cudaSuccess ? 0 : fail(status, "a recording cannot be started", err);
}

void gpu_recording_free(struct gpu_recording **recording)
{
    if (*recording && (*recording)->graph)
        (void)cudaGraphExecDestroy((*recording)->graph);
    free(*recording);
    *recording = NULL;
}

/* ---- times ---- */

int gpu_mark(struct gpu *gpu, int mark, struct error *err)
{
    int rc = enter(gpu, err);
    if (rc)
        return rc;
    cudaError_t status = cudaEventRecord(gpu->marks[mark], gpu->stream);
    return status == cudaSuccess ? 0 : fail(status, "cannot take the time", err);
}

int gpu_between_marks(struct gpu *gpu, double *ns, struct error *err)
{
    float ms = 0;
    int rc = enter(gpu, err);
    if (rc)
        return rc;
    cudaError_t status = cudaEventSynchronize(gpu->marks[1]);
    if (status == cudaSuccess)
        status = cudaEventElapsedTime(&ms, gpu->marks[0], gpu->marks[1]);
    if (status != cudaSuccess)
        return fail(status, "cannot take the time", err);
    *ns = (double)ms * NS_PER_MS;
    return 0;
}

/* ---- errors ---- */

/* Which GPU a thread talks to is the thread's own; plans are used by others than who made them. */
static int enter(const struct gpu *gpu, struct error *err)
{
    cudaError_t status = cudaSetDevice(gpu->number);
    return status == cudaSuccess ? 0 : fail(status, "cannot begin to use the GPU", err);
}

/* Errors after which nothing works any more in this process (as the descriptions of each in
 * driver_types.h say). */
static bool is_lasting(cudaError_t status)
{
    switch (status) {
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorIllegalInstruction:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorHardwareStackError:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContained:
    case cudaErrorUnknown:
        return true;
    default:
        return false;
    }
}

static int fail(cudaError_t status, const char *what, struct error *err)
{
    if (is_lasting(status))
        return error_set(err, ERROR_DEVICE, "cuda",
                         "%s: %s: a kernel failed, and nothing runs on the GPU any more until the "
                         "process has been started again",
                         what, cudaGetErrorString(status));
    (void)cudaGetLastError(); /* not for whoever asks next */
    return error_set(err, status == cudaErrorMemoryAllocation ? ERROR_MEMORY : ERROR_DEVICE, "cuda",
                     "%s: %s", what, cudaGetErrorString(status));
}
