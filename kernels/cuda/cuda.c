/* cuda: the device itself. */
#include "cuda/cuda.h"
#include "cuda/libraries.h"
#include "cuda/plan.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GPUS_MAX 64

static int cuda_open(struct device **device, const char *arguments, struct error *err);
static void cuda_get_info(const struct device *device, struct device_info *info);
static void cuda_close(struct device *device);
static int cuda_pin(struct device *device, void *data, uint64_t bytes, struct error *err);
static void cuda_unpin(struct device *device, void *data);
static int read_arguments(const char *arguments, int *number, struct error *err);

__attribute__((visibility("default"))) const struct device_class cuda_class = {
    .kind = "cuda",
    .open = cuda_open,
    .get_info = cuda_get_info,
    .close = cuda_close,
    .pin = cuda_pin,
    .unpin = cuda_unpin,
    .compile = cuda_compile,
    .bind = cuda_plan_bind,
    .run = cuda_plan_run,
    .start = cuda_plan_start,
    .finish = cuda_plan_finish_run,
    .depth = CUDA_PLAN_SLOTS,
    .run_timed = cuda_plan_run_timed,
    .get_states = cuda_plan_get_states,
    .set_states = cuda_plan_set_states,
    .step = cuda_plan_step,
    .print = cuda_plan_print,
    .plan_free = cuda_plan_free,
};

static int cuda_open(struct device **device, const char *arguments, struct error *err)
{
    int number;
    int rc = read_arguments(arguments, &number, err);
    if (rc)
        return rc;
    struct cuda_device *cuda = calloc(1, sizeof *cuda);
    if (!cuda)
        return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    cuda->device.class = &cuda_class;
    rc = gpu_open(&cuda->gpu, number, err);
    if (!rc)
        rc = gpu_get_facts(cuda->gpu, &cuda->facts, err);
    if (!rc)
        rc = cuda_libraries_open(&cuda->libraries, cuda->gpu, &cuda->facts, err);
    if (rc) {
        cuda_close(&cuda->device);
        return rc;
    }
    *device = &cuda->device;
    return 0;
}

static void cuda_get_info(const struct device *device, struct device_info *info)
{
    const struct cuda_device *cuda = (const struct cuda_device *)device;
    *info = (struct device_info){
        .kind = "cuda",
        .threads = (uint32_t)cuda->facts.multiprocessors,
        .bf16 = cuda->facts.bf16,
        .tf32 = cuda->facts.tf32,
        .f16 = true,
    };
    memcpy(info->name, cuda->facts.name, sizeof info->name);
}

static void cuda_close(struct device *device)
{
    struct cuda_device *cuda = (struct cuda_device *)device;
    cuda_libraries_close(&cuda->libraries);
    gpu_close(&cuda->gpu);
    free(cuda);
}

static int cuda_pin(struct device *device, void *data, uint64_t bytes, struct error *err)
{
    return gpu_pin(((struct cuda_device *)device)->gpu, data, bytes, err);
}

static void cuda_unpin(struct device *device, void *data)
{
    gpu_unpin(((struct cuda_device *)device)->gpu, data);
}

static int read_arguments(const char *arguments, int *number, struct error *err)
{
    char *end;
    *number = 0;
    if (!*arguments)
        return 0;
    errno = 0;
    long wanted = strtol(arguments, &end, 10);
    if (end == arguments || *end || errno || wanted < 0 || wanted >= GPUS_MAX)
        return error_set(
            err, ERROR_CONFIG, "device",
            "'cuda:%.40s': the only argument of cuda is a GPU's number, 0 to %d, as in "
            "cuda:0",
            arguments, GPUS_MAX - 1);
    *number = (int)wanted;
    return 0;
}
