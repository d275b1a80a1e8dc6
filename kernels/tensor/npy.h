/* npy: tensors in NumPy's files, versions 1 to 3. They come from outside: the header is held to the form that
 * NumPy writes, and the data to the size that the header says. */
#ifndef RUNESPOOR_TENSOR_NPY_H
#define RUNESPOOR_TENSOR_NPY_H

#include "tensor/tensor.h"
#include <stddef.h>

/* f32, f64, f16, whole types and bool; little endian, and in C's order. The caller owns the tensor's data. */
int npy_read_file(struct tensor *tensor, const char *path, struct error *err);
int npy_read_bytes(struct tensor *tensor, const void *bytes, size_t size, struct error *err);

/* Version 1, there whole or not at all. NumPy has no bf16, which becomes f32. */
int npy_write_file(const struct tensor *tensor, const char *path, struct error *err);

#endif
