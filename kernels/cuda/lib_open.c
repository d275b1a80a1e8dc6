/* lib_open: opens cuDNN and cuBLASLt, and says what is wrong with those that are there. */
#include "cuda/lib_open.h"
#include <stdio.h>
#include <stdlib.h>

#define CUDNN_OLDEST 90000 /* 9.0: its libraries are divided as this is linked */

static int open_cudnn(struct cuda_libraries *libraries, struct error *err);
static int open_blas(struct cuda_libraries *libraries, struct error *err);
static void name_device(struct cuda_libraries *libraries, const struct gpu_facts *facts);

int cuda_libraries_open(struct cuda_libraries **libraries, struct gpu *gpu,
                        const struct gpu_facts *facts, struct error *err)
{
    struct cuda_libraries *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    fresh->gpu = gpu;
    name_device(fresh, facts);
    int rc = open_cudnn(fresh, err);
    if (!rc)
        rc = open_blas(fresh, err);
    if (!rc)
        rc = choices_open(&fresh->choices, NULL, err);
    if (rc)
        cuda_libraries_close(&fresh);
    else
        *libraries = fresh;
    return rc;
}

void cuda_libraries_close(struct cuda_libraries **libraries)
{
    struct cuda_libraries *self = *libraries;
    if (!self)
        return;
    *libraries = NULL;
    choices_close(&self->choices);
    if (self->blas)
        (void)cublasLtDestroy(self->blas);
    if (self->cudnn)
        (void)cudnnDestroy(self->cudnn);
    free(self);
}

static int open_cudnn(struct cuda_libraries *libraries, struct error *err)
{
    size_t version = cudnnGetVersion();
    if (version < CUDNN_OLDEST || version / 10000 != CUDNN_VERSION / 10000)
        return error_set(err, ERROR_UNSUPPORTED, "cuda",
                         "cuDNN is %zu, and this was built with %d; %d.0 or a later %d is needed",
                         version, CUDNN_VERSION, CUDNN_MAJOR, CUDNN_MAJOR);
    cudnnStatus_t status = cudnnCreate(&libraries->cudnn);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnSetStream(libraries->cudnn, gpu_stream(libraries->gpu));
    if (status != CUDNN_STATUS_SUCCESS)
        return error_set(
            err, ERROR_UNSUPPORTED, "cuda",
            "cuDNN %zu cannot be used: %s; its libraries may be of different versions, or "
            "the driver too old for it",
            version, cudnnGetErrorString(status));
    return 0;
}

static int open_blas(struct cuda_libraries *libraries, struct error *err)
{
    size_t version = cublasLtGetVersion();
    if (version / 10000 != CUBLAS_VER_MAJOR)
        return error_set(err, ERROR_UNSUPPORTED, "cuda",
                         "cuBLASLt is %zu, and this was built with %d", version, CUBLAS_VERSION);
    cublasStatus_t status = cublasLtCreate(&libraries->blas);
    if (status != CUBLAS_STATUS_SUCCESS)
        return error_set(err, ERROR_UNSUPPORTED, "cuda", "cuBLASLt %zu cannot be used: %s", version,
                         cublasLtGetStatusString(status));
    return 0;
}

static void name_device(struct cuda_libraries *libraries, const struct gpu_facts *facts)
{
    snprintf(libraries->device, sizeof libraries->device, "%s|%d.%d|driver %d|cudnn %zu|blas %zu",
             facts->name, facts->major, facts->minor, facts->driver, cudnnGetVersion(),
             cublasLtGetVersion());
}
