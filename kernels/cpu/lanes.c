/* lanes: one line of a table for each function. gcc compiles each loop for three kinds of x86-64
 * (AVX-512, AVX2, any) and the loader picks one; other compilers and processors have the one form. No
 * form fuses multiplications with additions (C11 without extensions forbids it), so all give the same
 * numbers. */
#include "cpu/lanes.h"
#include "cpu/bfloat.h"
#include <assert.h>
#include <math.h>

/* A sanitizer's hooks cannot be called yet when the loader picks. */
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__) && \
    !defined(__SANITIZE_ADDRESS__)
#define LANES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define LANES
#endif

/* What is written may be what was read, element by element, which gcc must be told: its own check sees
 * only that they overlap. */
#if defined(__clang__)
#define INDEPENDENT
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

#define INLINE static inline __attribute__((always_inline))

INLINE float from_bits(uint32_t bits)
{
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

INLINE uint32_t to_bits(float number)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

/* x = n log 2 + r with |r| <= log(2) / 2. Adding 1.5 * 2^23 rounds to a whole number and leaves it in
 * the low bits; log 2 is in two parts, of which the first has few digits, so that n times it is exact. */
#define LOG2_E 1.44269504f
#define LOG_2_HIGH 0.693359375f
#define LOG_2_LOW -2.12194440e-4f
#define ROUNDER 12582912.0f

struct parts {
    uint32_t n; /* modulo 2^32 */
    float r;
};

INLINE struct parts split(float x)
{
    float rounded = x * LOG2_E + ROUNDER;
    float n = rounded - ROUNDER;
    return (struct parts){ to_bits(rounded) - to_bits(ROUNDER), (x - n * LOG_2_HIGH) - n * LOG_2_LOW };
}

/* exp(r) - 1 by its series; what is left out is below 4e-9 of it. */
INLINE float series(float r)
{
    float sum = 1.0f / 5040;
    sum = sum * r + 1.0f / 720;
    sum = sum * r + 1.0f / 120;
    sum = sum * r + 1.0f / 24;
    sum = sum * r + 1.0f / 6;
    sum = sum * r + 0.5f;
    return sum * r * r + r;
}

/* 2^n for n that a float's exponent holds. */
INLINE float power_of_two(uint32_t n)
{
    return from_bits((n + 127) << 23);
}

/* In two steps, as 2^n itself may not be a number where the product is one. Below -104 all is 0, above
 * 89 infinite. NaN stays. */
INLINE float exponential(float x)
{
    x = x < -104 ? -104 : x;
    x = x > 89 ? 89 : x;
    struct parts parts = split(x);
    uint32_t half = (uint32_t)((int32_t)parts.n >> 1);
    return (1 + series(parts.r)) * power_of_two(half) * power_of_two(parts.n - half);
}

/* exp(x) - 1, exact near 0: for n = 0 it is the series. */
INLINE float exponential_minus_1(float x)
{
    x = x < -30 ? -30 : x;
    x = x > 88 ? 88 : x;
    struct parts parts = split(x);
    float power = power_of_two(parts.n);
    return series(parts.r) * power + (power - 1);
}

/* log((1 + s) / (1 - s)) for s up to 1/3: 2 (s + s^3 / 3 + s^5 / 5 + ...) */
INLINE float area(float s)
{
    float t = s * s, sum = 2.0f / 17;
    sum = sum * t + 2.0f / 15;
    sum = sum * t + 2.0f / 13;
    sum = sum * t + 2.0f / 11;
    sum = sum * t + 2.0f / 9;
    sum = sum * t + 2.0f / 7;
    sum = sum * t + 2.0f / 5;
    sum = sum * t + 2.0f / 3;
    return sum * t * s + 2 * s;
}

/* log(1 + u) for 0 <= u <= 1. */
INLINE float logarithm_plus_1(float u)
{
    return area(u / (2 + u));
}

/* x = 2^n m with m from root(1/2) to root(2). */
INLINE float logarithm(float x)
{
    bool tiny = x < 1.17549435e-38f;
    float scaled = tiny ? x * 8388608.0f : x;
    uint32_t from_root = to_bits(scaled) - 0x3f3504f3u; /* bits of root(1/2) */
    float n = (float)((int32_t)from_root >> 23) - (tiny ? 23.0f : 0);
    float m = from_bits((from_root & 0x7fffffu) + 0x3f3504f3u) - 1;
    float result = n * LOG_2_HIGH + (n * LOG_2_LOW + area(m / (2 + m)));
    result = x == 0 ? -INFINITY : result;
    result = x < 0 ? NAN : result;
    return x == INFINITY || x != x ? x : result;
}

INLINE float sigmoid(float x)
{
    return 1 / (1 + exponential(-x));
}

INLINE float hyperbolic_tangent(float x)
{
    float twice = exponential_minus_1(2 * x);
    return twice / (twice + 2);
}

INLINE float soft_plus(float x)
{
    float size = x < 0 ? -x : x;
    return (x > 0 ? x : 0) + (x != x ? x : logarithm_plus_1(exponential(-size)));
}

INLINE float swish_slope(float x)
{
    float s = sigmoid(x);
    return s * (1 + x * (1 - s));
}

INLINE float within(float x, float low, float high)
{
    x = x < low ? low : x;
    return x > high ? high : x;
}

/* Kind, value of x, y and z, which gradients call d (from above), v and w. a is alpha, b beta. */
#define LANES_TABLE(X)                                                \
    X(RELU, x < 0 ? 0 : x)                                            \
    X(LEAKY_RELU, x < 0 ? a * x : x)                                  \
    X(CLIP, within(x, a, b))                                          \
    X(SIGMOID, sigmoid(x))                                            \
    X(HARD_SIGMOID, within(a *x + b, 0, 1))                           \
    X(SWISH, x *sigmoid(x))                                           \
    X(HARD_SWISH, x *within(x / 6 + 0.5f, 0, 1))                      \
    X(TANH, hyperbolic_tangent(x))                                    \
    X(ELU, x < 0 ? a * exponential_minus_1(x) : x)                    \
    X(EXP, exponential(x))                                            \
    X(LOG, logarithm(x))                                              \
    X(SQRT, sqrtf(x))                                                 \
    X(ABS, fabsf(x))                                                  \
    X(NEG, -x)                                                        \
    X(SOFTPLUS, soft_plus(x))                                         \
    X(IDENTITY, x)                                                    \
    X(ERF, erff(x))                                                   \
    X(RECIPROCAL, 1 / x)                                              \
    X(ADD, x + y)                                                     \
    X(SUB, x - y)                                                     \
    X(MUL, (x * y))                                                   \
    X(DIV, x / y)                                                     \
    X(MAX, y > x || y != y ? y : x)                                   \
    X(MIN, y < x || y != y ? y : x)                                   \
    X(PRELU, x > 0 ? x : x * y)                                       \
    X(POW, powf(x, y))                                                \
    X(RELU_GRAD, v > 0 ? d : 0)                                       \
    X(LEAKY_RELU_GRAD, v > 0 ? d : a * d)                             \
    X(CLIP_GRAD, v >= a && v <= b ? d : 0)                            \
    X(SIGMOID_GRAD, d *v *(1 - v))                                    \
    X(HARD_SIGMOID_GRAD, v > 0 && v < 1 ? a * d : 0)                  \
    X(SWISH_GRAD, d *swish_slope(v))                                  \
    X(HARD_SWISH_GRAD, v <= -3 ? 0 : v >= 3 ? d : d * (v / 3 + 0.5f)) \
    X(TANH_GRAD, d *(1 - v * v))                                      \
    X(ELU_GRAD, v > 0 ? d : d * a * exponential(v))                   \
    X(SQRT_GRAD, d / (2 * v))                                         \
    X(ABS_GRAD, v > 0 ? d : v < 0 ? -d : 0)                           \
    X(SOFTPLUS_GRAD, d *sigmoid(v))                                   \
    X(ERF_GRAD, d *POINTWISE_ERF_SLOPE *exponential(-v *v))           \
    X(RECIPROCAL_GRAD, -d *v *v)                                      \
    X(MAX_GRAD, v > w ? d : v == w ? d / 2 : 0)                       \
    X(MIN_GRAD, v < w ? d : v == w ? d / 2 : 0)                       \
    X(PRELU_GRAD, v > 0 ? d : d * w)                                  \
    X(POW_GRAD, w == 0 ? 0 : d * w * powf(v, w - 1))

/* How many of the arguments are there is known when this is compiled. */
#define LANES_FUNCTION(kind, value)                                                            \
    LANES static void run_##kind(const float *xs, const float *ys, const float *zs, float *to, \
                                 int64_t count, float a, float b)                              \
    {                                                                                          \
        const bool second = INPUTS_##kind > 1, third = INPUTS_##kind > 2;                      \
        (void)a, (void)b;                                                                      \
        INDEPENDENT                                                                            \
        for (int64_t i = 0; i < count; i++) {                                                  \
            const float x = xs[i], y = second ? ys[i] : 0, z = third ? zs[i] : 0;              \
            const float d = x, v = y, w = z;                                                   \
            (void)d, (void)v, (void)w;                                                         \
            to[i] = (value);                                                                   \
        }                                                                                      \
    }
enum {
#define X(kind, name, inputs, post) INPUTS_##kind = inputs,
    POINTWISE_KINDS(X)
#undef X
};
LANES_TABLE(LANES_FUNCTION)

lanes_fn *lanes_find(enum pointwise_kind kind)
{
    static lanes_fn *const functions[] = {
#define X(kind, value) [POINTWISE_##kind] = run_##kind,
        LANES_TABLE(X)
#undef X
    };
    assert(kind < POINTWISE_KIND_COUNT && functions[kind]);
    return functions[kind];
}

LANES void lanes_widen(const uint16_t *from, float *to, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = bfloat_widen(from[i]);
}

LANES void lanes_narrow(const float *from, uint16_t *to, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = bfloat_narrow(from[i]);
}

LANES void lanes_fill(float number, float *to, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] = number;
}
