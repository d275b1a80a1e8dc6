/* libraries: what cuDNN and cuBLASLt do for makers. lib_*.c fill it; on the emulated device there are
 * none, and makers take kernels of their own. */
#ifndef RUNESPOOR_CUDA_LIBRARIES_H
#define RUNESPOOR_CUDA_LIBRARIES_H

#include "cuda/conv.h"
#include "cuda/gpu.h"
#include "cuda/matmul.h"
#include "device.h"
#include "passes/fused.h"

struct cuda_libraries;

int cuda_libraries_open(struct cuda_libraries **libraries, struct gpu *gpu,
                        const struct gpu_facts *facts, struct error *err);
void cuda_libraries_close(struct cuda_libraries **libraries);

/* ---- convolutions: cuDNN ---- */

/* What follows a convolution in the same step, in order. */
struct lib_post {
    struct pointwise function; /* of what has been computed so far, and the operand */
    struct view operand;       /* where it takes one: four dimensions, of 1 or of y's size, channels
                                  second (steps say how they lie) */
};

struct lib_conv_spec {
    struct conv conv; /* without its pointers; bias: whether there is one */
    bool has_bias;
    enum precision precision;
    const struct lib_post *posts;
    size_t post_count;
    uint32_t alignment_bytes; /* all arrays lie at multiples of it, a power of two; 0: 16 */
};

/* A convolution in the way that is fastest on this device, found once by trying (and kept on disk for
 * the next time). Trying has an end: a process that has spent its time on it takes what comes first. */
struct lib_conv;
/* *conv stays NULL, and 0 is given, where the library has nothing for it. */
int lib_conv_make(struct cuda_libraries *libraries, const struct lib_conv_spec *spec,
                  struct lib_conv **conv, struct error *err);

/* What a maker's own kernel does as well. */
struct lib_rival {
    const char *name; /* a word: its choices are kept by it */
    void (*run)(const void *arg, struct gpu *gpu, const struct conv *conv, void *const *operands);
    const void *arg;
};
/* As lib_conv_make, but *conv stays NULL also where the rival is faster. That is found out once by trying,
 * and taken as given when there is no time left for it. */
int lib_conv_make_against(struct cuda_libraries *libraries, const struct lib_conv_spec *spec,
                          const struct lib_rival *rival, struct lib_conv **conv, struct error *err);

/* Two convolutions, one behind the other, that a maker's own kernel does in one pass. */
struct lib_pair {
    struct lib_conv_spec spec[2];
    struct lib_rival alone[2]; /* what each is against when it is done by itself */
    void (*run)(const void *arg, struct gpu *gpu, const struct conv *first,
                void *const *first_operands, const struct conv *second,
                void *const *second_operands);
    const void *arg;
};
/* *in_one: the one pass is faster than the fastest ways of both. Found out and kept as in
 * lib_conv_make_against. */
int lib_conv_race_pair(struct cuda_libraries *libraries, const struct lib_pair *pair, bool *in_one,
                       struct error *err);

uint64_t lib_conv_scratch_bytes(const struct lib_conv *conv);
/* In which it wants the bias. */
enum tensor_type lib_conv_bias_type(const struct lib_conv *conv);
/* "cudnn 23" and the like, with "untried" behind it where there was no time for that; lives as long as
 * conv. */
const char *lib_conv_name(const struct lib_conv *conv);
/* operands: one for each post that takes one. */
int lib_conv_run(const struct lib_conv *conv, struct gpu *gpu, void *x, void *w, void *y,
                 const void *bias, void *const *operands, void *scratch, struct error *err);
void lib_conv_free(struct lib_conv *conv);

/* ---- matrix products: cuBLASLt ---- */

struct lib_matmul;
/* As lib_conv_make. Bias, and Relu behind it, are part of the step (matmul.h says where). */
int lib_matmul_make(struct cuda_libraries *libraries, const struct matmul *spec, bool has_bias,
                    bool relu, enum precision precision, struct lib_matmul **matmul,
                    struct error *err);
uint64_t lib_matmul_scratch_bytes(const struct lib_matmul *matmul);
const char *lib_matmul_name(const struct lib_matmul *matmul);
int lib_matmul_run(const struct lib_matmul *matmul, struct gpu *gpu, const void *a, const void *b,
                   void *c, const float *bias, void *scratch, struct error *err);
void lib_matmul_free(struct lib_matmul *matmul);

#endif
