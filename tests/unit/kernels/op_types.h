/* op_types: literals of the rarer types for op_check.h. Halves and bfloats are written as their bits. */
#ifndef RUNESPOOR_TESTS_OP_TYPES_H
#define RUNESPOOR_TESTS_OP_TYPES_H

#include "op_check.h"

#define F64(s, ...) LITERAL(TENSOR_F64, double, s, __VA_ARGS__)
#define F16(s, ...) LITERAL(TENSOR_F16, uint16_t, s, __VA_ARGS__)
#define BF16(s, ...) LITERAL(TENSOR_BF16, uint16_t, s, __VA_ARGS__)
#define I16(s, ...) LITERAL(TENSOR_I16, int16_t, s, __VA_ARGS__)
#define U16(s, ...) LITERAL(TENSOR_U16, uint16_t, s, __VA_ARGS__)
#define U32(s, ...) LITERAL(TENSOR_U32, uint32_t, s, __VA_ARGS__)
#define U64(s, ...) LITERAL(TENSOR_U64, uint64_t, s, __VA_ARGS__)

#endif
