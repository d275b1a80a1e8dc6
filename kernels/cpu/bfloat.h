/* bfloat: bf16 and floats in loops that compilers make vectors of; tensor/number.h has the same for
 * single numbers. */
#ifndef RUNESPOOR_CPU_BFLOAT_H
#define RUNESPOOR_CPU_BFLOAT_H

#include <stdint.h>
#include <string.h>

static inline float bfloat_widen(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float number;
    memcpy(&number, &wide, sizeof number);
    return number;
}

/* To the nearest, halves to even; NaN stays NaN. */
static inline uint16_t bfloat_narrow(float number)
{
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    return (uint16_t)(number == number ? rounded : bits >> 16 | 0x40u);
}

#endif
