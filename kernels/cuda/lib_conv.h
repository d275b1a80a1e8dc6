/* lib_conv: a convolution, and what follows it in the same step, as cuDNN's graph of operations. */
#ifndef RUNESPOOR_CUDA_LIB_CONV_H
#define RUNESPOOR_CUDA_LIB_CONV_H

#include "base/text.h"
#include "cuda/lib_bag.h"
#include "cuda/libraries.h"

/* Numbers of the arrays in the graph. */
enum lib_conv_id {
    LIB_CONV_X = 1,
    LIB_CONV_W,
    LIB_CONV_Y,
    LIB_CONV_BIAS,
    LIB_CONV_OPERAND = 16, /* of the first post that takes one; the next has the next number */
    LIB_CONV_NUMBER = 24,  /* the first of struct lib_conv_numbers */
    LIB_CONV_BETWEEN = 32, /* the first of the results that are not stored */
};

/* Numbers in the graph, which are given with each run, from the host. */
#define LIB_CONV_NUMBERS_MAX 8
struct lib_conv_numbers {
    float values[LIB_CONV_NUMBERS_MAX];
    int count;
};

/* Describes the convolution, then the bias, then each post on what came before, in f32, and the last
 * result in the type of the array. NULL where cuDNN has no word for it; the bag is to be emptied then
 * too. */
cudnnBackendDescriptor_t lib_conv_graph(struct lib_bag *bag, cudnnHandle_t handle,
                                        const struct lib_conv_spec *spec,
                                        struct lib_conv_numbers *numbers);
/* The type of the bias in it: that of the arrays where they all have one, as cuDNN's ready-made kernels
 * take no other, and those for an f32 bias are compiled anew for each shape in each process. */
enum tensor_type lib_conv_bias_for(const struct conv *conv);

/* ---- arrays ---- */

/* Of x, w or y: 0, 1, 2. */
int64_t lib_conv_elements(const struct conv *conv, int array);
int32_t lib_conv_type(const struct conv *conv, int array);
uint64_t lib_conv_bytes(int64_t elements, int32_t type);

/* Memory to try a convolution in, one piece that is freed by gpu_free(memory). */
struct lib_conv_arrays {
    void *memory;
    void *array[3]; /* x, w, y */
    void *bias, *operands[FUSED_POSTS_MAX], *scratch;
};
int lib_conv_lay_out(struct gpu *gpu, const struct lib_conv_spec *spec, uint64_t scratch_bytes,
                     struct lib_conv_arrays *arrays, struct error *err);

/* What the choice of a way is kept by. */
void lib_conv_write_key(struct text *key, const struct cuda_libraries *libraries,
                        const struct lib_conv_spec *spec);

#endif
