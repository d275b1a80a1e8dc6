/* peak: matrix products of cuBLASLt, which come closest to what the multipliers can do, and copies. */
#include "cuda/peak.h"
#include "cuda/libraries.h"
#include <math.h>

#define MIB ((uint64_t)1 << 20)
#define MATRIX_SIZE 8192 /* rows and columns; 1.1 TFLOP for a product */
#define TRIES 8          /* the best of which counts */
#define COPY_SHARE 4     /* of the device's memory that a copy may take */

/* Something that is timed. */
struct trial {
    int (*enqueue)(const struct trial *trial, struct gpu *gpu, struct error *err);
    void *memory[3]; /* operands, then the result */
    uint64_t bytes;  /* of a copy: that it reads */
    const struct lib_matmul *product;
    void *scratch;
};

static int measure_products(const struct cuda_device *device, struct cuda_peak *peak,
                            struct error *err);
static int measure_product(const struct cuda_device *device, enum precision precision,
                           double *gflops, struct error *err);
static int time_product(struct gpu *gpu, const struct lib_matmul *product, enum tensor_type type,
                        double *ns, struct error *err);
static void fill(struct gpu *gpu, enum tensor_type type, void *data);
static int run_product(const struct trial *trial, struct gpu *gpu, struct error *err);
static int measure_copies(const struct cuda_device *device, struct cuda_peak *peak,
                          struct error *err);
static int measure_copy(struct gpu *gpu, uint64_t bytes, struct cuda_peak *peak, int index,
                        struct error *err);
static int copy_by_kernel(const struct trial *trial, struct gpu *gpu, struct error *err);
static int copy_by_runtime(const struct trial *trial, struct gpu *gpu, struct error *err);
static int find_best(struct gpu *gpu, const struct trial *trial, double *best_ns, struct error *err);
static int allocate(struct gpu *gpu, const uint64_t *bytes, void **memory, int count,
                    struct error *err);
static void release(struct gpu *gpu, void **memory, int count);

int cuda_peak_measure(const struct cuda_device *device, struct cuda_peak *peak, struct error *err)
{
    *peak = (struct cuda_peak){ 0 };
    int rc = measure_products(device, peak, err);
    return rc ? rc : measure_copies(device, peak, err);
}

double cuda_peak_flop_ns(const struct cuda_peak *peak, enum precision precision,
                         enum tensor_type type, uint64_t flop)
{
    enum precision rate = type == TENSOR_F16            ? PRECISION_F16
                          : type == TENSOR_BF16         ? PRECISION_BF16
                          : precision == PRECISION_TF32 ? PRECISION_TF32
                                                        : PRECISION_F32;
    return peak->gflops[rate] > 0 ? (double)flop / peak->gflops[rate] : 0;
}

static int measure_products(const struct cuda_device *device, struct cuda_peak *peak,
                            struct error *err)
{
    static const enum precision precisions[] = { PRECISION_F32, PRECISION_TF32, PRECISION_F16,
                                                 PRECISION_BF16 };
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof precisions / sizeof *precisions; i++)
        if (device_has(&device->device, precisions[i]))
            rc = measure_product(device, precisions[i], &peak->gflops[precisions[i]], err);
    return rc;
}

static int measure_product(const struct cuda_device *device, enum precision precision,
                           double *gflops, struct error *err)
{
    enum tensor_type type = precision == PRECISION_F16    ? TENSOR_F16
                            : precision == PRECISION_BF16 ? TENSOR_BF16
                                                          : TENSOR_F32;
    const struct matmul spec = { .m = MATRIX_SIZE,
                                 .n = MATRIX_SIZE,
                                 .k = MATRIX_SIZE,
                                 .batch = 1,
                                 .a_row = MATRIX_SIZE,
                                 .a_column = 1,
                                 .b_row = MATRIX_SIZE,
                                 .b_column = 1,
                                 .a_type = type,
                                 .b_type = type,
                                 .c_type = type,
                                 .alpha = 1 };
    struct lib_matmul *product = NULL;
    double ns = 0;
    int rc = lib_matmul_make(device->libraries, &spec, false, false, precision, &product, err);
    if (rc || !product)
        return rc;
    rc = time_product(device->gpu, product, type, &ns, err);
    if (!rc)
        *gflops = 2 * pow(MATRIX_SIZE, 3) / ns;
    lib_matmul_free(product);
    return rc;
}

static int time_product(struct gpu *gpu, const struct lib_matmul *product, enum tensor_type type,
                        double *ns, struct error *err)
{
    uint64_t matrix_bytes = (uint64_t)MATRIX_SIZE * MATRIX_SIZE * tensor_type_bytes(type);
    const uint64_t bytes[] = { matrix_bytes, matrix_bytes, matrix_bytes,
                               lib_matmul_scratch_bytes(product) };
    void *memory[4] = { 0 };
    int rc = allocate(gpu, bytes, memory, 4, err);
    if (!rc) {
        fill(gpu, type, memory[0]);
        fill(gpu, type, memory[1]);
        const struct trial trial = { .enqueue = run_product,
                                     .memory = { memory[0], memory[1], memory[2] },
                                     .product = product,
                                     .scratch = memory[3] };
        rc = find_best(gpu, &trial, ns, err);
    }
    release(gpu, memory, 4);
    return rc;
}

static void fill(struct gpu *gpu, enum tensor_type type, void *data)
{
    const struct view view = { .data = data, .type = type };
    peak_fill_each(&view, (int64_t)MATRIX_SIZE * MATRIX_SIZE, gpu_stream(gpu));
}

static int run_product(const struct trial *trial, struct gpu *gpu, struct error *err)
{
    return lib_matmul_run(trial->product, gpu, trial->memory[0], trial->memory[1], trial->memory[2],
                          NULL, trial->scratch, err);
}

/* From what stays in the device's cache to what does not. */
static int measure_copies(const struct cuda_device *device, struct cuda_peak *peak, struct error *err)
{
    static const uint64_t sizes[CUDA_PEAK_COPIES] = { 4 * MIB, 16 * MIB, 64 * MIB, 256 * MIB,
                                                      1024 * MIB };
    int rc = 0;
    for (int i = 0; !rc && i < CUDA_PEAK_COPIES; i++) {
        peak->copies[i].bytes = sizes[i];
        if (i == 0 || sizes[i] <= device->facts.memory_bytes / COPY_SHARE)
            rc = measure_copy(device->gpu, sizes[i] / 2, peak, i, err);
    }
    return rc;
}

static int measure_copy(struct gpu *gpu, uint64_t bytes, struct cuda_peak *peak, int index,
                        struct error *err)
{
    struct trial trial = { .enqueue = copy_by_kernel, .bytes = bytes };
    const uint64_t sizes[] = { bytes, bytes };
    double kernel_ns = 0, runtime_ns = 0;
    int rc = allocate(gpu, sizes, trial.memory, 2, err);
    if (!rc)
        rc = gpu_clear(gpu, trial.memory[0], bytes, err);
    if (!rc)
        rc = find_best(gpu, &trial, &kernel_ns, err);
    trial.enqueue = copy_by_runtime;
    if (!rc)
        rc = find_best(gpu, &trial, &runtime_ns, err);
    release(gpu, trial.memory, 2);
    if (rc)
        return rc;
    peak->kernel_gbps = 2 * (double)bytes / kernel_ns;
    peak->runtime_gbps = 2 * (double)bytes / runtime_ns;
    peak->copies[index].gbps = fmax(peak->kernel_gbps, peak->runtime_gbps);
    return 0;
}

static int copy_by_kernel(const struct trial *trial, struct gpu *gpu, struct error *err)
{
    (void)err;
    const struct peak_copy_args args = { .from = trial->memory[0], .to = trial->memory[1] };
    peak_copy_each(&args, (int64_t)(trial->bytes / sizeof *args.to), gpu_stream(gpu));
    return 0;
}

static int copy_by_runtime(const struct trial *trial, struct gpu *gpu, struct error *err)
{
    return gpu_copy(gpu, trial->memory[1], trial->memory[0], trial->bytes, err);
}

/* One before them all warms up. */
static int find_best(struct gpu *gpu, const struct trial *trial, double *best_ns, struct error *err)
{
    int rc = trial->enqueue(trial, gpu, err);
    *best_ns = INFINITY;
    for (int i = 0; !rc && i < TRIES; i++) {
        double ns;
        rc = gpu_mark(gpu, 0, err);
        if (!rc)
            rc = trial->enqueue(trial, gpu, err);
        if (!rc)
            rc = gpu_check(gpu, err);
        if (!rc)
            rc = gpu_mark(gpu, 1, err);
        if (!rc)
            rc = gpu_between_marks(gpu, &ns, err);
        if (!rc)
            *best_ns = fmin(*best_ns, fmax(ns, 1));
    }
    return rc ? error_wrap(err, "measuring the GPU's peak") : 0;
}

/* Of nothing, nothing. */
static int allocate(struct gpu *gpu, const uint64_t *bytes, void **memory, int count,
                    struct error *err)
{
    int rc = 0;
    for (int i = 0; !rc && i < count; i++)
        if (bytes[i] > 0)
            rc = gpu_allocate(gpu, bytes[i], &memory[i], err);
    return rc;
}

static void release(struct gpu *gpu, void **memory, int count)
{
    for (int i = 0; i < count; i++)
        gpu_free(gpu, memory[i]);
}
