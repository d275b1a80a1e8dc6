/* number: single elements of tensors of any type, for casts and conversions of small things. */
#ifndef RUNESPOOR_TENSOR_NUMBER_H
#define RUNESPOOR_TENSOR_NUMBER_H

#include "tensor/tensor.h"

bool tensor_type_is_whole(enum tensor_type type); /* integers and bool */

/* Whole types through int64_t (a store keeps the low bits; bool is "not 0"). What a u64 holds above INT64_MAX
 * is a negative number here. */
int64_t number_load_whole(const struct tensor *tensor, int64_t index);
void number_store_whole(struct tensor *tensor, int64_t index, int64_t number);
/* Any type through double. A store rounds to the nearest float, and for whole types cuts towards
 * zero and stays within the type's range (NaN gives 0). */
double number_load(const struct tensor *tensor, int64_t index);
void number_store(struct tensor *tensor, int64_t index, double number);
/* One element between tensors of one type, bit by bit. */
void number_copy(struct tensor *to, int64_t at, const struct tensor *from, int64_t from_at);

float float_from_half(uint16_t bits);
uint16_t float_to_half(float number); /* nearest, halves to even */
float float_from_bfloat(uint16_t bits);
uint16_t float_to_bfloat(float number);

#endif
