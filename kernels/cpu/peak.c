/* peak: matrix products of oneDNN, which come closest to what a core can do, and copies. */
#include "cpu/peak.h"
#include "base/clock.h"
#include "cpu/parallel.h"
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* Short tries, so that one fits between what else the machine does. A number stands when it has not
 * got better for this long, or when it has had its share of two seconds. */
#define CALM_NS 60000000u
#define LONGEST_NS 200000000u
#define BETTER 0.99
#define MIB ((uint64_t)1 << 20)

struct product {
    dnnl_primitive_t primitive;
    dnnl_memory_t memory[3];
    dnnl_exec_arg_t args[3];
};

/* The best try so far. */
struct tries {
    uint64_t begin_ns, better_ns, best_ns;
};

struct copy {
    const char *from;
    char *to;
    uint64_t bytes;
};

static void tries_begin(struct tries *tries);
static bool tries_add(struct tries *tries, uint64_t start_ns);
static int measure_type(const struct cpu_device *device, dnnl_data_type_t type, double *gflops,
                        struct error *err);
static int measure_product(const struct cpu_device *device, dnnl_data_type_t type,
                           const dnnl_dim_t size[3], double *gflops, struct error *err);
static dnnl_status_t product_open(const struct cpu_device *device, dnnl_data_type_t type,
                                  const dnnl_dim_t size[3], struct product *product);
static void product_close(struct product *product);
static int measure_copies(const struct cpu_device *device, struct cpu_peak *peak, struct error *err);
static uint64_t best_copy_ns(const struct cpu_device *device, const struct copy *copy);
static void copy_part(const void *arg, int part, int parts);

int cpu_peak_measure(const struct cpu_device *device, struct cpu_peak *peak, struct error *err)
{
    *peak = (struct cpu_peak){ 0 };
    omp_set_num_threads(device->threads);
    int rc = measure_type(device, dnnl_f32, &peak->f32_gflops, err);
    if (!rc && device->bf16)
        rc = measure_type(device, dnnl_bf16, &peak->bf16_gflops, err);
    return rc ? rc : measure_copies(device, peak, err);
}

/* bf16x3 makes three products of one, where that is faster than f32. */
int cpu_peak_gflops(struct device *device, enum precision precision, double *gflops, struct error *err)
{
    const struct cpu_device *cpu = (const struct cpu_device *)device;
    double bf16 = 0;
    int rc = 0;
    *gflops = 0;
    omp_set_num_threads(cpu->threads);
    if (precision != PRECISION_F32 && cpu->bf16)
        rc = measure_type(cpu, dnnl_bf16, &bf16, err);
    if (!rc && precision != PRECISION_BF16)
        rc = measure_type(cpu, dnnl_f32, gflops, err);
    if (precision == PRECISION_BF16)
        *gflops = bf16;
    else if (bf16 / 3 > *gflops)
        *gflops = bf16 / 3;
    return rc;
}

double cpu_peak_flop_ns(const struct cpu_peak *peak, enum tensor_type type, uint64_t flop)
{
    double gflops =
        type == TENSOR_BF16 && peak->bf16_gflops > 0 ? peak->bf16_gflops : peak->f32_gflops;
    return gflops > 0 ? (double)flop / gflops : 0;
}

double cpu_peak_bytes_ns(const struct cpu_peak *peak, uint64_t bytes)
{
    return peak_copies_ns(peak->copies, CPU_PEAK_COPIES, bytes);
}

static void tries_begin(struct tries *tries)
{
    uint64_t now_ns = clock_now_ns();
    *tries = (struct tries){ .begin_ns = now_ns, .better_ns = now_ns, .best_ns = UINT64_MAX };
}

/* Counts one that has just ended; true when another should follow. */
static bool tries_add(struct tries *tries, uint64_t start_ns)
{
    uint64_t now_ns = clock_now_ns(), took_ns = now_ns > start_ns ? now_ns - start_ns : 1;
    if ((double)took_ns < BETTER * (double)tries->best_ns)
        tries->better_ns = now_ns;
    tries->best_ns = took_ns < tries->best_ns ? took_ns : tries->best_ns;
    return now_ns - tries->better_ns < CALM_NS && now_ns - tries->begin_ns < LONGEST_NS;
}

/* A square one and a long one: which suits better depends on the processor. */
static int measure_type(const struct cpu_device *device, dnnl_data_type_t type, double *gflops,
                        struct error *err)
{
    static const dnnl_dim_t sizes[][3] = { { 512, 512, 512 }, { 2048, 256, 256 } };
    int rc = 0;
    for (size_t i = 0; !rc && i < sizeof sizes / sizeof *sizes; i++)
        rc = measure_product(device, type, sizes[i], gflops, err);
    return rc;
}

/* Raises *gflops to what was reached. */
static int measure_product(const struct cpu_device *device, dnnl_data_type_t type,
                           const dnnl_dim_t size[3], double *gflops, struct error *err)
{
    struct product product = { 0 };
    dnnl_status_t status = product_open(device, type, size, &product);
    struct tries tries;
    tries_begin(&tries);
    for (bool more = true; !status && more;) {
        uint64_t start_ns = clock_now_ns();
        status = dnnl_primitive_execute(product.primitive, device->stream, 3, product.args);
        more = tries_add(&tries, start_ns);
    }
    double reached = 2.0 * (double)(size[0] * size[1] * size[2]) / (double)tries.best_ns;
    if (!status && reached > *gflops)
        *gflops = reached;
    product_close(&product);
    return status ? cpu_dnnl_error(err, status, "cpu", "peak", "measuring it") : 0;
}

/* Zeros times zeros, rows x depth times depth x columns, the right side in the layout that it likes. */
static dnnl_status_t product_open(const struct cpu_device *device, dnnl_data_type_t type,
                                  const dnnl_dim_t size[3], struct product *product)
{
    static const int ids[3] = { DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST };
    const dnnl_dims_t dims[3] = { { size[0], size[1] }, { size[1], size[2] }, { size[0], size[2] } };
    dnnl_memory_desc_t mds[3];
    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t status = dnnl_success;
    for (int i = 0; !status && i < 3; i++)
        status = dnnl_memory_desc_init_by_tag(&mds[i], 2, dims[i], type,
                                              i == 1 ? dnnl_format_tag_any : dnnl_ab);
    if (!status)
        status = dnnl_matmul_desc_init(&desc, &mds[0], &mds[1], NULL, &mds[2]);
    if (!status)
        status = dnnl_primitive_desc_create(&pd, &desc, NULL, device->engine, NULL);
    for (int i = 0; !status && i < 3; i++) {
        const dnnl_memory_desc_t *md =
            dnnl_primitive_desc_query_md(pd, dnnl_query_exec_arg_md, ids[i]);
        void *data;
        status = dnnl_memory_create(&product->memory[i], md, device->engine, DNNL_MEMORY_ALLOCATE);
        if (!status)
            status = dnnl_memory_get_data_handle(product->memory[i], &data);
        if (!status)
            memset(data, 0, dnnl_memory_desc_get_size(md));
        product->args[i] = (dnnl_exec_arg_t){ .arg = ids[i], .memory = product->memory[i] };
    }
    if (!status)
        status = dnnl_primitive_create(&product->primitive, pd);
    if (pd)
        dnnl_primitive_desc_destroy(pd);
    return status;
}

static void product_close(struct product *product)
{
    if (product->primitive)
        dnnl_primitive_destroy(product->primitive);
    for (int i = 0; i < 3; i++)
        if (product->memory[i])
            dnnl_memory_destroy(product->memory[i]);
}

/* From what stays in a core's own cache to what no cache holds. */
static int measure_copies(const struct cpu_device *device, struct cpu_peak *peak, struct error *err)
{
    static const uint64_t sizes[CPU_PEAK_COPIES] = { 1 * MIB, 4 * MIB, 16 * MIB, 64 * MIB, 256 * MIB };
    uint64_t half = sizes[CPU_PEAK_COPIES - 1] / 2;
    char *from = cpu_allocate(half), *to = cpu_allocate(half);
    int rc = 0;
    if (!from || !to) {
        rc = error_set(err, ERROR_MEMORY, "cpu", "no room to measure copies");
        goto done;
    }
    memset(from, 1, half); /* pages that nobody has written are all the same one */
    memset(to, 1, half);
    for (int i = 0; i < CPU_PEAK_COPIES; i++) {
        struct copy copy = { .from = from, .to = to, .bytes = sizes[i] / 2 };
        peak->copies[i].bytes = sizes[i];
        peak->copies[i].gbps = (double)sizes[i] / (double)best_copy_ns(device, &copy);
    }
done:
    free(from);
    free(to);
    return rc;
}

static uint64_t best_copy_ns(const struct cpu_device *device, const struct copy *copy)
{
    struct tries tries;
    tries_begin(&tries);
    for (bool more = true; more;) {
        uint64_t start_ns = clock_now_ns();
        parallel_run(device->threads, copy_part, copy);
        more = tries_add(&tries, start_ns);
    }
    return tries.best_ns;
}

static void copy_part(const void *arg, int part, int parts)
{
    const struct copy *copy = arg;
    int64_t first, end;
    parallel_share((int64_t)copy->bytes, CPU_ALIGNMENT_BYTES, part, parts, &first, &end);
    memcpy(copy->to + first, copy->from + first, (size_t)(end - first));
}
