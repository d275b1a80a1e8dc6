/* number: elements of any type, one at a time. Slow and exact. */
#include "tensor/number.h"
#include <assert.h>
#include <math.h>
#include <string.h>

static uint32_t bits_of(float number);
static float float_of(uint32_t bits);
static double clamp(double x, double low, double high);

bool tensor_type_is_whole(enum tensor_type type)
{
    switch (type) {
    case TENSOR_NONE:
    case TENSOR_F32:
    case TENSOR_F64:
    case TENSOR_F16:
    case TENSOR_BF16:
        return false;
    default:
        return true;
    }
}

int64_t number_load_whole(const struct tensor *tensor, int64_t index)
{
    switch (tensor->type) {
    case TENSOR_I64:
    case TENSOR_U64:
        return ((const int64_t *)tensor->data)[index];
    case TENSOR_I32:
        return ((const int32_t *)tensor->data)[index];
    case TENSOR_U32:
        return ((const uint32_t *)tensor->data)[index];
    case TENSOR_I16:
        return ((const int16_t *)tensor->data)[index];
    case TENSOR_U16:
        return ((const uint16_t *)tensor->data)[index];
    case TENSOR_I8:
        return ((const int8_t *)tensor->data)[index];
    default:
        assert(tensor->type == TENSOR_U8 || tensor->type == TENSOR_BOOL);
        return ((const uint8_t *)tensor->data)[index];
    }
}

void number_store_whole(struct tensor *tensor, int64_t index, int64_t number)
{
    switch (tensor->type) {
    case TENSOR_I64:
    case TENSOR_U64:
        ((int64_t *)tensor->data)[index] = number;
        break;
    case TENSOR_I32:
    case TENSOR_U32:
        ((uint32_t *)tensor->data)[index] = (uint32_t)number;
        break;
    case TENSOR_I16:
    case TENSOR_U16:
        ((uint16_t *)tensor->data)[index] = (uint16_t)number;
        break;
    case TENSOR_BOOL:
        ((uint8_t *)tensor->data)[index] = number != 0;
        break;
    default:
        assert(tensor->type == TENSOR_I8 || tensor->type == TENSOR_U8);
        ((uint8_t *)tensor->data)[index] = (uint8_t)number;
        break;
    }
}

double number_load(const struct tensor *tensor, int64_t index)
{
    switch (tensor->type) {
    case TENSOR_F32:
        return (double)((const float *)tensor->data)[index];
    case TENSOR_F64:
        return ((const double *)tensor->data)[index];
    case TENSOR_F16:
        return (double)float_from_half(((const uint16_t *)tensor->data)[index]);
    case TENSOR_BF16:
        return (double)float_from_bfloat(((const uint16_t *)tensor->data)[index]);
    case TENSOR_U64:
        return (double)((const uint64_t *)tensor->data)[index];
    default:
        return (double)number_load_whole(tensor, index);
    }
}

void number_store(struct tensor *tensor, int64_t index, double number)
{
    switch (tensor->type) {
    case TENSOR_F32:
        ((float *)tensor->data)[index] = (float)number;
        break;
    case TENSOR_F64:
        ((double *)tensor->data)[index] = number;
        break;
    case TENSOR_F16:
        ((uint16_t *)tensor->data)[index] = float_to_half((float)number);
        break;
    case TENSOR_BF16:
        ((uint16_t *)tensor->data)[index] = float_to_bfloat((float)number);
        break;
    case TENSOR_I64: /* the largest double below 2^63 */
        ((int64_t *)tensor->data)[index] = (int64_t)clamp(number, -0x1p63, 0x1.fffffffffffffp62);
        break;
    case TENSOR_U64:
        ((uint64_t *)tensor->data)[index] = (uint64_t)clamp(number, 0, 0x1.fffffffffffffp63);
        break;
    case TENSOR_I32:
        ((int32_t *)tensor->data)[index] = (int32_t)clamp(number, INT32_MIN, INT32_MAX);
        break;
    case TENSOR_U32:
        ((uint32_t *)tensor->data)[index] = (uint32_t)clamp(number, 0, UINT32_MAX);
        break;
    case TENSOR_I16:
        ((int16_t *)tensor->data)[index] = (int16_t)clamp(number, INT16_MIN, INT16_MAX);
        break;
    case TENSOR_U16:
        ((uint16_t *)tensor->data)[index] = (uint16_t)clamp(number, 0, UINT16_MAX);
        break;
    case TENSOR_I8:
        ((int8_t *)tensor->data)[index] = (int8_t)clamp(number, INT8_MIN, INT8_MAX);
        break;
    case TENSOR_U8:
        ((uint8_t *)tensor->data)[index] = (uint8_t)clamp(number, 0, UINT8_MAX);
        break;
    default:
        assert(tensor->type == TENSOR_BOOL);
        ((uint8_t *)tensor->data)[index] = number != 0;
        break;
    }
}

void number_copy(struct tensor *to, int64_t at, const struct tensor *from, int64_t from_at)
{
    size_t bytes = tensor_type_bytes(to->type);
    assert(to->type == from->type);
    memcpy((char *)to->data + (size_t)at * bytes,
           (const char *)from->data + (size_t)from_at * bytes, bytes);
}

float float_from_half(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000u) << 16;
    uint32_t exponent = bits >> 10 & 0x1fu, fraction = bits & 0x3ffu;
    if (exponent == 0) /* zero and what is too small for a leading one */
        return (sign ? -1.0f : 1.0f) * ldexpf((float)fraction, -24);
    if (exponent == 0x1f)
        return float_of(sign | 0x7f800000u | fraction << 13);
    return float_of(sign | (exponent + 112) << 23 | fraction << 13);
}

uint16_t float_to_half(float number)
{
    uint32_t bits = bits_of(number), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u); /* NaN */
    if (rest >= 0x47800000u)               /* 65536 and more */
        return (uint16_t)(sign | 0x7c00u);
    if (rest < 0x38800000u) /* below the smallest with a leading one: in units of 2^-24 */
        return (uint16_t)(sign | (uint32_t)lrintf(ldexpf(float_of(rest), 24)));
    rest -= 112u << 23;
    rest += 0xfffu + (rest >> 13 & 1u); /* may carry into the exponent, up to infinity */
    return (uint16_t)(sign | rest >> 13);
}

float float_from_bfloat(uint16_t bits)
{
    return float_of((uint32_t)bits << 16);
}

uint16_t float_to_bfloat(float number)
{
    uint32_t bits = bits_of(number);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u); /* NaN stays NaN */
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static uint32_t bits_of(float number)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static double clamp(double x, double low, double high)
{
    if (isnan(x))
        return 0;
    return x < low ? low : x > high ? high : x;
}
