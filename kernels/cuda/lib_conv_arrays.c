/* lib_conv_arrays: sizes, memory to try a convolution in, and the key that its choice is kept by. */
#include "cuda/lib_conv.h"
#include "cuda/lib_open.h"
#include <inttypes.h>

#define ARRAYS_MAX (5 + FUSED_POSTS_MAX) /* x, w, y, bias, operands, scratch */

static uint64_t view_bytes(const struct view *view);
static void write_numbers(struct text *key, const int32_t *numbers, int count);
static void write_post(struct text *key, const struct lib_post *post);

int64_t lib_conv_elements(const struct conv *conv, int array)
{
    if (array == 0)
        return (int64_t)conv->batch * conv->channels * conv->in[0] * conv->in[1];
    if (array == 1)
        return (int64_t)conv->filters * (conv->channels / conv->groups) * conv->kernel[0] *
               conv->kernel[1];
    return (int64_t)conv->batch * conv->filters * conv->out[0] * conv->out[1];
}

int32_t lib_conv_type(const struct conv *conv, int array)
{
    return array == 0 ? conv->x_type : array == 1 ? conv->w_type : conv->y_type;
}

uint64_t lib_conv_bytes(int64_t elements, int32_t type)
{
    return (uint64_t)elements * tensor_type_bytes((enum tensor_type)type);
}

int lib_conv_lay_out(struct gpu *gpu, const struct lib_conv_spec *spec, uint64_t scratch_bytes,
                     struct lib_conv_arrays *arrays, struct error *err)
{
    const struct conv *conv = &spec->conv;
    int32_t widest = conv->channels > conv->filters ? conv->channels : conv->filters;
    uint64_t bytes[ARRAYS_MAX] = { 0 };
    void **places[ARRAYS_MAX] = { &arrays->array[0], &arrays->array[1], &arrays->array[2],
                                  &arrays->bias, &arrays->scratch };
    int n = 5, operand = 0;
    for (int i = 0; i < 3; i++)
        bytes[i] = lib_conv_bytes(lib_conv_elements(conv, i), lib_conv_type(conv, i));
    bytes[3] = lib_conv_bytes(widest, TENSOR_F32);
    bytes[4] = scratch_bytes;
    for (size_t i = 0; i < spec->post_count; i++)
        if (spec->posts[i].function.operand >= 0) {
            bytes[n] = view_bytes(&spec->posts[i].operand);
            places[n++] = &arrays->operands[operand++];
        }
    *arrays = (struct lib_conv_arrays){ 0 };
    return lib_lay_out(gpu, bytes, places, n, &arrays->memory, err);
}

/* Up to the last element that the view reaches. */
static uint64_t view_bytes(const struct view *view)
{
    int64_t last = 0;
    for (int d = 0; d < view->rank; d++)
        last += (int64_t)(view->dim[d] - 1) * view->step[d];
    return lib_conv_bytes(last + 1, view->type);
}

void lib_conv_write_key(struct text *key, const struct cuda_libraries *libraries,
                        const struct lib_conv_spec *spec)
{
    const struct conv *conv = &spec->conv;
    const int32_t shape[] = { conv->batch, conv->channels, conv->filters, conv->groups };
    const int32_t types[] = { conv->x_type, conv->w_type, conv->y_type };
    text_printf(key, "%s|conv %d %s", libraries->device, conv->way, precision_word(spec->precision));
    write_numbers(key, shape, 4);
    write_numbers(key, conv->in, 2);
    write_numbers(key, conv->out, 2);
    write_numbers(key, conv->kernel, 2);
    write_numbers(key, conv->stride, 2);
    write_numbers(key, conv->dilation, 2);
    write_numbers(key, conv->pad, 2);
    write_numbers(key, conv->pad_end, 2);
    write_numbers(key, types, 3);
    text_printf(key, " %" PRIu32, spec->alignment_bytes);
    if (spec->has_bias)
        text_printf(key, " bias %d", (int)lib_conv_bias_for(conv));
    for (size_t i = 0; i < spec->post_count; i++)
        write_post(key, &spec->posts[i]);
}

static void write_post(struct text *key, const struct lib_post *post)
{
    text_printf(key, "|%s %.9g %.9g", pointwise_name(post->function.kind),
                (double)post->function.alpha, (double)post->function.beta);
    if (post->function.operand < 0)
        return;
    write_numbers(key, &post->operand.type, 1);
    write_numbers(key, post->operand.dim, 4);
    for (int d = 0; d < 4; d++)
        text_printf(key, "%c%" PRId64, d == 0 ? ' ' : ',', post->operand.step[d]);
}

static void write_numbers(struct text *key, const int32_t *numbers, int count)
{
    for (int i = 0; i < count; i++)
        text_printf(key, "%c%" PRId32, i == 0 ? ' ' : ',', numbers[i]);
}
