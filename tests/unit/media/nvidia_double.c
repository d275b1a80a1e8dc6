/* nvidia_double: see the header. One library under the names of both of the driver's, libcuda and libnvcuvid.
 * It has every entry that libavcodec looks up; those that decoding does not need refuse. */
#include "nvidia_double.h"

#include <ffnvcodec/dynlink_cuda.h>
#include <ffnvcodec/dynlink_nvcuvid.h>
#include <stdlib.h>
#include <string.h>

#define REFUSED ((CUresult)801)
#define INVALID ((CUresult)1)
#define NO_GPU ((CUresult)100)
#define NO_CONTEXT ((CUresult)201)
#define SUCCESS ((CUresult)0)

#define PITCH_BYTES 512u /* rows of a device's memory begin at multiples of it */
#define SURFACES 64u

struct decoder {
    CUVIDDECODECREATEINFO info;
    size_t pitch, bytes; /* of a surface */
    unsigned pictures, mapped;
    uint8_t *surfaces[SURFACES]; /* NULL: not decoded into yet */
};

/* What a thread has made current, innermost last. */
static _Thread_local struct {
    CUcontext contexts[8];
    unsigned depth;
} current;

/* Each is declared by its type in the headers, which declare pointers alone. */
tcuInit cuInit;
tcuDeviceGetCount cuDeviceGetCount;
tcuDeviceGet cuDeviceGet;
tcuDeviceGetAttribute cuDeviceGetAttribute;
tcuGetErrorName cuGetErrorName;
tcuGetErrorString cuGetErrorString;
tcuCtxCreate_v2 cuCtxCreate_v2;
tcuCtxPushCurrent_v2 cuCtxPushCurrent_v2;
tcuCtxPopCurrent_v2 cuCtxPopCurrent_v2;
tcuCtxDestroy_v2 cuCtxDestroy_v2;
tcuMemcpy2D_v2 cuMemcpy2D_v2;
tcuMemcpy2DAsync_v2 cuMemcpy2DAsync_v2;
tcuStreamSynchronize cuStreamSynchronize;
tcuvidGetDecoderCaps cuvidGetDecoderCaps;
tcuvidCreateDecoder cuvidCreateDecoder;
tcuvidDestroyDecoder cuvidDestroyDecoder;
tcuvidDecodePicture cuvidDecodePicture;
tcuvidMapVideoFrame64 cuvidMapVideoFrame64;
tcuvidUnmapVideoFrame64 cuvidUnmapVideoFrame64;

CUresult cuInit(unsigned flags)
{
    (void)flags;
    return nvidia_box.gpu ? SUCCESS : NO_GPU;
}

CUresult cuDeviceGetCount(int *count)
{
    *count = 1;
    return SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int number)
{
    *device = 0;
    return number == 0 ? SUCCESS : NO_GPU;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
    (void)attribute, (void)device;
    *value = PITCH_BYTES; /* only the alignment of textures is asked */
    return SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char **name)
{
    *name = error == NO_GPU ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_OF_THE_DOUBLE";
    return SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char **words)
{
    *words = error == NO_GPU ? "no CUDA-capable device is detected" : "the double fails";
    return SUCCESS;
}

CUresult cuCtxCreate_v2(CUcontext *context, unsigned flags, CUdevice device)
{
    (void)flags, (void)device;
    *context = malloc(1);
    return *context ? cuCtxPushCurrent_v2(*context) : INVALID;
}

CUresult cuCtxPushCurrent_v2(CUcontext context)
{
    if (!context || current.depth == sizeof current.contexts / sizeof *current.contexts)
        return INVALID;
    current.contexts[current.depth++] = context;
    return SUCCESS;
}

CUresult cuCtxPopCurrent_v2(CUcontext *context)
{
    if (current.depth == 0)
        return NO_CONTEXT;
    current.depth--;
    if (context)
        *context = current.contexts[current.depth];
    return SUCCESS;
}

CUresult cuCtxDestroy_v2(CUcontext context)
{
    free(context);
    return SUCCESS;
}

CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D *copy)
{
    const uint8_t *from =
        copy->srcMemoryType == CU_MEMORYTYPE_DEVICE ? (void *)copy->srcDevice : copy->srcHost;
    uint8_t *to =
        copy->dstMemoryType == CU_MEMORYTYPE_DEVICE ? (void *)copy->dstDevice : copy->dstHost;
    if (current.depth == 0)
        return NO_CONTEXT;
    if (copy->WidthInBytes > copy->srcPitch || copy->WidthInBytes > copy->dstPitch)
        return INVALID;
    for (size_t row = 0; row < copy->Height; row++)
        memcpy(to + row * copy->dstPitch, from + row * copy->srcPitch, copy->WidthInBytes);
    return SUCCESS;
}

CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *copy, CUstream stream)
{
    (void)stream;
    return cuMemcpy2D_v2(copy);
}

CUresult cuStreamSynchronize(CUstream stream)
{
    (void)stream;
    return SUCCESS;
}

/* ---- Video ---- */

CUresult cuvidGetDecoderCaps(CUVIDDECODECAPS *caps)
{
    caps->bIsSupported = nvidia_box.codec;
    caps->nOutputFormatMask = 1u << cudaVideoSurfaceFormat_NV12;
    caps->nMinWidth = caps->nMinHeight = 48;
    caps->nMaxWidth = caps->nMaxHeight = 4096;
    caps->nMaxMBCount = 65536;
    return SUCCESS;
}

CUresult cuvidCreateDecoder(CUvideodecoder *decoder, CUVIDDECODECREATEINFO *info)
{
    if (current.depth == 0)
        return NO_CONTEXT;
    if (info->ulNumDecodeSurfaces > SURFACES || info->ulTargetWidth % 2 ||
        info->ulTargetHeight % 2 || info->OutputFormat != cudaVideoSurfaceFormat_NV12)
        return INVALID;
    struct decoder *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return INVALID;
    fresh->info = *info;
    fresh->pitch = (info->ulTargetWidth + PITCH_BYTES - 1) / PITCH_BYTES * PITCH_BYTES;
    fresh->bytes = fresh->pitch * info->ulTargetHeight * 3 / 2;
    *decoder = fresh;
    return SUCCESS;
}

CUresult cuvidDestroyDecoder(CUvideodecoder handle)
{
    struct decoder *decoder = handle;
    for (unsigned i = 0; i < SURFACES; i++)
        free(decoder->surfaces[i]);
    if (decoder->mapped > 0) /* a use after free to come */
        abort();
    free(decoder);
    return SUCCESS;
}

CUresult cuvidDecodePicture(CUvideodecoder handle, CUVIDPICPARAMS *parameters)
{
    struct decoder *decoder = handle;
    const unsigned place = (unsigned)parameters->CurrPicIdx;
    if (current.depth == 0)
        return NO_CONTEXT;
    if (place >= decoder->info.ulNumDecodeSurfaces || parameters->nBitstreamDataLen == 0)
        return INVALID;
    uint8_t **surface = &decoder->surfaces[place];
    if (!*surface)
        *surface = malloc(decoder->bytes);
    if (!*surface)
        return INVALID;
    const struct nvidia_picture picture = {
        .number = decoder->pictures++,
        .width = (unsigned)decoder->info.ulTargetWidth,
        .height = (unsigned)decoder->info.ulTargetHeight,
        .luma = *surface,
        .chroma = *surface + decoder->pitch * decoder->info.ulTargetHeight,
        .pitch = decoder->pitch,
    };
    return nvidia_decode(&picture) ? SUCCESS : INVALID;
}

CUresult cuvidMapVideoFrame64(CUvideodecoder handle, int place, unsigned long long *memory,
                              unsigned *pitch, CUVIDPROCPARAMS *parameters)
{
    struct decoder *decoder = handle;
    (void)parameters;
    if (current.depth == 0)
        return NO_CONTEXT;
    if (place < 0 || (unsigned)place >= SURFACES || !decoder->surfaces[place] ||
        decoder->mapped >= decoder->info.ulNumOutputSurfaces)
        return INVALID;
    decoder->mapped++;
    *memory = (uintptr_t)decoder->surfaces[place];
    *pitch = (unsigned)decoder->pitch;
    return SUCCESS;
}

CUresult cuvidUnmapVideoFrame64(CUvideodecoder handle, unsigned long long memory)
{
    struct decoder *decoder = handle;
    (void)memory;
    if (decoder->mapped == 0)
        return INVALID;
    decoder->mapped--;
    return SUCCESS;
}

/* ---- What is looked up and never called ---- */

#define REFUSING(name)   \
    CUresult name(void); \
    CUresult name(void)  \
    {                    \
        return REFUSED;  \
    }

REFUSING(cuDeviceGetName)
REFUSING(cuDeviceComputeCapability)
REFUSING(cuCtxSetLimit)
REFUSING(cuMemAlloc_v2)
REFUSING(cuMemAllocPitch_v2)
REFUSING(cuMemAllocManaged)
REFUSING(cuMemsetD8Async)
REFUSING(cuMemFree_v2)
REFUSING(cuMemcpy)
REFUSING(cuMemcpyAsync)
REFUSING(cuMemcpyHtoD_v2)
REFUSING(cuMemcpyHtoDAsync_v2)
REFUSING(cuMemcpyDtoH_v2)
REFUSING(cuMemcpyDtoHAsync_v2)
REFUSING(cuMemcpyDtoD_v2)
REFUSING(cuMemcpyDtoDAsync_v2)
REFUSING(cuCtxGetDevice)
REFUSING(cuDevicePrimaryCtxRetain)
REFUSING(cuDevicePrimaryCtxRelease)
REFUSING(cuDevicePrimaryCtxSetFlags)
REFUSING(cuDevicePrimaryCtxGetState)
REFUSING(cuDevicePrimaryCtxReset)
REFUSING(cuStreamCreate)
REFUSING(cuStreamQuery)
REFUSING(cuStreamDestroy_v2)
REFUSING(cuStreamAddCallback)
REFUSING(cuEventCreate)
REFUSING(cuEventDestroy_v2)
REFUSING(cuEventSynchronize)
REFUSING(cuEventQuery)
REFUSING(cuEventRecord)
REFUSING(cuLaunchKernel)
REFUSING(cuLinkCreate)
REFUSING(cuLinkAddData)
REFUSING(cuLinkComplete)
REFUSING(cuLinkDestroy)
REFUSING(cuModuleLoadData)
REFUSING(cuModuleUnload)
REFUSING(cuModuleGetFunction)
REFUSING(cuModuleGetGlobal)
REFUSING(cuTexObjectCreate)
REFUSING(cuTexObjectDestroy)
REFUSING(cuGLGetDevices_v2)
REFUSING(cuGraphicsGLRegisterImage)
REFUSING(cuGraphicsUnregisterResource)
REFUSING(cuGraphicsMapResources)
REFUSING(cuGraphicsUnmapResources)
REFUSING(cuGraphicsSubResourceGetMappedArray)
REFUSING(cuGraphicsResourceGetMappedPointer_v2)
REFUSING(cuArray3DCreate_v2)
REFUSING(cuArrayDestroy)
REFUSING(cuvidGetDecodeStatus)
REFUSING(cuvidReconfigureDecoder)
REFUSING(cuvidCtxLockCreate)
REFUSING(cuvidCtxLockDestroy)
REFUSING(cuvidCtxLock)
REFUSING(cuvidCtxUnlock)
REFUSING(cuvidCreateVideoSource)
REFUSING(cuvidCreateVideoSourceW)
REFUSING(cuvidDestroyVideoSource)
REFUSING(cuvidSetVideoSourceState)
REFUSING(cuvidGetVideoSourceState)
REFUSING(cuvidGetSourceVideoFormat)
REFUSING(cuvidGetSourceAudioFormat)
REFUSING(cuvidCreateVideoParser)
REFUSING(cuvidParseVideoData)
REFUSING(cuvidDestroyVideoParser)
