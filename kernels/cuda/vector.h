/* vector: a few elements that lie behind each other, read and written in one go: 16 bytes of f32, 8 of
 * f16. A thread that takes so many asks memory once, and decides once what to do with them. */
#ifndef RUNESPOOR_CUDA_VECTOR_H
#define RUNESPOOR_CUDA_VECTOR_H

#include "cuda/view.h"

#define VECTOR 4         /* elements */
#define VECTOR_BYTES 16u /* alignment that is enough for floats of any type */

struct vector {
    float at[VECTOR];
};

/* Elements at, … at + VECTOR - 1 of a floating type; `at` is a multiple of VECTOR, and element 0 aligned
 * to VECTOR elements. */
CUDA_FN struct vector vector_load(const void *data, int type, int64_t at)
{
    struct vector vector;
#ifdef __CUDACC__
    if (type == TENSOR_F32) {
        float4 four = *(const float4 *)((const float *)data + at);
        return { { four.x, four.y, four.z, four.w } };
    }
    uint2 bits = *(const uint2 *)((const uint16_t *)data + at);
    uint32_t pairs[2] = { bits.x, bits.y };
    for (int k = 0; k < 2; k++) {
        __half2 halves;
        memcpy(&halves, &pairs[k], sizeof halves);
        bool half = type == TENSOR_F16;
        vector.at[2 * k] = half ? __low2float(halves) : __uint_as_float(pairs[k] << 16);
        vector.at[2 * k + 1] = half ? __high2float(halves) : __uint_as_float(pairs[k] & 0xffff0000u);
    }
#else
    for (int k = 0; k < VECTOR; k++)
        vector.at[k] = element_load(data, type, at + k);
#endif
    return vector;
}

/* As vector_load. */
CUDA_FN void vector_store(void *data, int type, int64_t at, const struct vector *vector)
{
#ifdef __CUDACC__
    const float *from = vector->at;
    if (type == TENSOR_F32) {
        *(float4 *)((float *)data + at) = make_float4(from[0], from[1], from[2], from[3]);
        return;
    }
    uint32_t pairs[2];
    for (int k = 0; k < 2; k++) {
        __half2 halves = __floats2half2_rn(from[2 * k], from[2 * k + 1]);
        __nv_bfloat162 bfloats = __floats2bfloat162_rn(from[2 * k], from[2 * k + 1]);
        if (type == TENSOR_F16)
            memcpy(&pairs[k], &halves, sizeof pairs[k]);
        else
            memcpy(&pairs[k], &bfloats, sizeof pairs[k]);
    }
    *(uint2 *)((uint16_t *)data + at) = make_uint2(pairs[0], pairs[1]);
#else
    for (int k = 0; k < VECTOR; k++)
        element_store(data, type, at + k, vector->at[k]);
#endif
}

#endif
