/* tensor: a dense row-major array with a type and a shape. */
#ifndef RUNESPOOR_TENSOR_TENSOR_H
#define RUNESPOOR_TENSOR_TENSOR_H

#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHAPE_RANK_MAX 8
#define TENSOR_BYTES_MAX ((uint64_t)1 << 32)

enum tensor_type {
    TENSOR_NONE,
    TENSOR_F32,
    TENSOR_F64,
    TENSOR_F16,
    TENSOR_BF16,
    TENSOR_I64,
    TENSOR_I32,
    TENSOR_I8,
    TENSOR_U8,
    TENSOR_I16,
    TENSOR_U16,
    TENSOR_U32,
    TENSOR_U64,
    TENSOR_BOOL,
};

struct shape {
    int rank; /* 0: a scalar; -1: not known yet */
    int64_t dim[SHAPE_RANK_MAX];
};

struct tensor {
    enum tensor_type type;
    struct shape shape;
    void *data; /* 64-byte aligned where we allocated it; owned or borrowed as its holder says */
};

size_t tensor_type_bytes(enum tensor_type type);
const char *tensor_type_word(enum tensor_type type);

/* Number of elements; -ERROR_LIMIT when the rank or a dimension is negative (not known yet) or the
 * product, zeros left out, is above TENSOR_BYTES_MAX (one byte each; tensor_create looks at the
 * type too). */
int64_t shape_elements(const struct shape *shape);
bool shape_equal(const struct shape *a, const struct shape *b);
/* "1x3x384x512" into text. */
void shape_format(const struct shape *shape, char *text, size_t text_bytes);
/* NumPy broadcasting; false when the shapes do not go together. */
bool shape_broadcast(const struct shape *a, const struct shape *b, struct shape *out);

/* Allocates zeroed data. */
int tensor_create(struct tensor *tensor, enum tensor_type type, const struct shape *shape,
                  struct error *err);
void tensor_free(struct tensor *tensor); /* frees data, blanks the tensor; takes a blank one */
uint64_t tensor_bytes(const struct tensor *tensor);

#endif
