/* emulate: a device of plain memory, for checks on machines without a GPU. What is enqueued runs at
 * once; a recording is enqueued again. Memory is filled with a pattern, as nobody knows what lies in a
 * GPU's. */
#include "base/clock.h"
#include "cuda/libraries.h"
#include <stdlib.h>
#include <string.h>

#define PATTERN 0xb7

struct gpu {
    uint64_t mark_ns[GPU_MARKS];
};

struct gpu_recording {
    int (*enqueue)(void *arg, struct error *err);
    void *arg;
};

int gpu_open(struct gpu **gpu, int number, struct error *err)
{
    if (number > 0)
        return error_set(err, ERROR_CONFIG, "cuda", "there is one emulated device, number 0");
    *gpu = calloc(1, sizeof **gpu);
    return *gpu ? 0 : error_set(err, ERROR_MEMORY, "cuda", "no memory left");
}

void gpu_close(struct gpu **gpu)
{
    free(*gpu);
    *gpu = NULL;
}

int gpu_get_facts(struct gpu *gpu, struct gpu_facts *facts, struct error *err)
{
    (void)gpu;
    (void)err;
    *facts = (struct gpu_facts){
        .name = "emulated GPU",
        .major = 9, /* with everything that there are kernels for */
        .multiprocessors = 2,
        .bf16 = true,
        .tf32 = true,
    };
    return 0;
}

int gpu_allocate(struct gpu *gpu, uint64_t bytes, void **data, struct error *err)
{
    (void)gpu;
    uint64_t whole = (bytes / GPU_ALIGNMENT_BYTES + 1) * GPU_ALIGNMENT_BYTES;
    *data = aligned_alloc(GPU_ALIGNMENT_BYTES, whole);
    if (!*data)
        return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    memset(*data, PATTERN, whole);
    return 0;
}

void gpu_free(struct gpu *gpu, void *data)
{
    (void)gpu;
    free(data);
}

int gpu_allocate_host(struct gpu *gpu, uint64_t bytes, void **data, struct error *err)
{
    return gpu_allocate(gpu, bytes, data, err);
}

void gpu_free_host(struct gpu *gpu, void *data)
{
    gpu_free(gpu, data);
}

int gpu_pin(struct gpu *gpu, void *data, uint64_t bytes, struct error *err)
{
    (void)gpu;
    (void)data;
    (void)bytes;
    (void)err;
    return 0;
}

void gpu_unpin(struct gpu *gpu, void *data)
{
    (void)gpu;
    (void)data;
}

int gpu_copy_in(struct gpu *gpu, void *to, const void *from, uint64_t bytes, struct error *err)
{
    (void)gpu;
    (void)err;
    memcpy(to, from, bytes);
    return 0;
}

int gpu_copy_out(struct gpu *gpu, void *to, const void *from, uint64_t bytes, struct error *err)
{
    return gpu_copy_in(gpu, to, from, bytes, err);
}

int gpu_copy(struct gpu *gpu, void *to, const void *from, uint64_t bytes, struct error *err)
{
    return gpu_copy_in(gpu, to, from, bytes, err);
}

int gpu_clear(struct gpu *gpu, void *to, uint64_t bytes, struct error *err)
{
    (void)gpu;
    (void)err;
    memset(to, 0, bytes);
    return 0;
}

int gpu_signal_create(struct gpu *gpu, struct gpu_signal **signal, struct error *err)
{
    (void)gpu, (void)err;
    *signal = NULL; /* all has run when it has been enqueued */
    return 0;
}

void gpu_signal_free(struct gpu_signal **signal)
{
    (void)signal;
}

int gpu_signal(struct gpu *gpu, enum gpu_lane lane, struct gpu_signal *signal, struct error *err)
{
    (void)lane, (void)signal;
    return gpu_check(gpu, err);
}

int gpu_follow(struct gpu *gpu, enum gpu_lane lane, struct gpu_signal *signal, struct error *err)
{
    (void)lane, (void)signal;
    return gpu_check(gpu, err);
}

int gpu_wait_for(struct gpu *gpu, struct gpu_signal *signal, struct error *err)
{
    (void)signal;
    return gpu_check(gpu, err);
}

int gpu_copy_in_beside(struct gpu *gpu, void *to, const void *from, uint64_t bytes, struct error *err)
{
    return gpu_copy_in(gpu, to, from, bytes, err);
}

int gpu_copy_out_beside(struct gpu *gpu, void *to, const void *from, uint64_t bytes, struct error *err)
{
    return gpu_copy_out(gpu, to, from, bytes, err);
}

int gpu_check(struct gpu *gpu, struct error *err)
{
    (void)gpu;
    (void)err;
    return 0;
}

int gpu_wait(struct gpu *gpu, struct error *err)
{
    return gpu_check(gpu, err);
}

int gpu_record(struct gpu *gpu, int (*enqueue)(void *arg, struct error *err), void *arg,
               struct gpu_recording **recording, struct error *err)
{
    (void)gpu;
    *recording = malloc(sizeof **recording);
    if (!*recording)
        return error_set(err, ERROR_MEMORY, "cuda", "no memory left");
    **recording = (struct gpu_recording){ enqueue, arg };
    return 0;
}

int gpu_replay(struct gpu *gpu, const struct gpu_recording *recording, struct error *err)
{
    (void)gpu;
    return recording->enqueue(recording->arg, err);
}

void gpu_recording_free(struct gpu_recording **recording)
{
    free(*recording);
    *recording = NULL;
}

int gpu_mark(struct gpu *gpu, int mark, struct error *err)
{
    (void)err;
    gpu->mark_ns[mark] = clock_now_ns();
    return 0;
}

int gpu_between_marks(struct gpu *gpu, double *ns, struct error *err)
{
    (void)err;
    *ns = (double)(gpu->mark_ns[1] - gpu->mark_ns[0]);
    return 0;
}

void *gpu_stream(const struct gpu *gpu)
{
    (void)gpu;
    return NULL;
}

int cuda_libraries_open(struct cuda_libraries **libraries, struct gpu *gpu,
                        const struct gpu_facts *facts, struct error *err)
{
    (void)gpu;
    (void)facts;
    (void)err;
    *libraries = NULL;
    return 0;
}

void cuda_libraries_close(struct cuda_libraries **libraries)
{
    (void)libraries;
}

/* Nobody asks for what follows, as there are no libraries. */
int lib_conv_make(struct cuda_libraries *libraries, const struct lib_conv_spec *spec,
                  struct lib_conv **conv, struct error *err)
{
    (void)libraries;
    (void)spec;
    (void)err;
    *conv = NULL;
    return 0;
}

int lib_conv_make_against(struct cuda_libraries *libraries, const struct lib_conv_spec *spec,
                          const struct lib_rival *rival, struct lib_conv **conv, struct error *err)
{
    (void)rival;
    return lib_conv_make(libraries, spec, conv, err);
}

int lib_conv_race_pair(struct cuda_libraries *libraries, const struct lib_pair *pair, bool *in_one,
                       struct error *err)
{
    (void)libraries, (void)pair, (void)err;
    *in_one = true;
    return 0;
}

enum tensor_type lib_conv_bias_type(const struct lib_conv *conv)
{
    (void)conv;
    return TENSOR_F32;
}

uint64_t lib_conv_scratch_bytes(const struct lib_conv *conv)
{
    (void)conv;
    return 0;
}

const char *lib_conv_name(const struct lib_conv *conv)
{
    (void)conv;
    return "none";
}

int lib_conv_run(const struct lib_conv *conv, struct gpu *gpu, void *x, void *w, void *y,
                 const void *bias, void *const *operands, void *scratch, struct error *err)
{
    (void)conv, (void)gpu, (void)x, (void)w, (void)y, (void)bias, (void)operands, (void)scratch;
    return error_set(err, ERROR_UNSUPPORTED, "cuda", "the emulated device has no cuDNN");
}

void lib_conv_free(struct lib_conv *conv)
{
    (void)conv;
}

int lib_matmul_make(struct cuda_libraries *libraries, const struct matmul *spec, bool has_bias,
                    bool relu, enum precision precision, struct lib_matmul **matmul,
                    struct error *err)
{
    (void)libraries, (void)spec, (void)has_bias, (void)relu, (void)precision, (void)err;
    *matmul = NULL;
    return 0;
}

uint64_t lib_matmul_scratch_bytes(const struct lib_matmul *matmul)
{
    (void)matmul;
    return 0;
}

const char *lib_matmul_name(const struct lib_matmul *matmul)
{
    (void)matmul;
    return "none";
}

int lib_matmul_run(const struct lib_matmul *matmul, struct gpu *gpu, const void *a, const void *b,
                   void *c, const float *bias, void *scratch, struct error *err)
{
    (void)matmul, (void)gpu, (void)a, (void)b, (void)c, (void)bias, (void)scratch;
    return error_set(err, ERROR_UNSUPPORTED, "cuda", "the emulated device has no cuBLASLt");
}

void lib_matmul_free(struct lib_matmul *matmul)
{
    (void)matmul;
}
