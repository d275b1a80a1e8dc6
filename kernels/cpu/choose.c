/* choose: the rule, and what it was measured with. oneDNN 2.6.3 on a Zen 4 (AVX-512, two cores), f32,
 * 3x3, processor time of one thread in ms; in brackets Winograd with its input and output rearranged
 * from and to channels-last, which chains of convolutions do not need:
 *
 *     batch  channels    size     direct last  direct blocked  Winograd
 *      1     16 →  16  192x256       2.23          2.69        1.58  (2.11)
 *      1     16 →  16   24x32        0.032         0.030       0.028 (0.032)
 *     16     16 →  16   64x64        2.93          3.48        2.89  (3.41)
 *      4     16 →  32  128x128       5.82          5.20        5.07  (6.03)
 *      1     32 →  32   96x128       2.07          2.01        1.37  (1.66)
 *      1     32 →  32   24x32        0.119         0.117       0.079 (0.085)
 *      1     32 →  32    7x9         0.010         0.009       0.008 (0.010)
 *      1     64 →  64   96x128       7.87          8.05        3.12  (3.85)
 *      1     64 →  64   24x32        0.468         0.463       0.265 (0.277)
 *      1     64 →  64    6x8         0.026         0.026       0.017 (0.019)
 *      1    128 → 128   48x64        7.90          7.73        3.05  (3.42)
 *      1    128 → 128   13x13        0.389         0.384       0.320 (0.326)
 *      1    256 → 256   24x32        7.64          7.65        3.16  (3.37)
 *     16     64 →  64   64x64       41.7          41.1        16.4  (20.8)
 *     16     64 → 256   64x64      173           165          62.8  (71.7)
 *      1     33 →  33   48x64       0.846         1.07        0.601 (0.650)  filled up to 48
 *      1     33 →  64   48x64       1.00          1.44        0.876 (0.972)
 *      1     65 →  65   96x128     10.5          12.8         5.77  (6.79)
 *      1    131 → 131   90x160     45.9          46.4        17.3  (19.5)
 *
 * The gradients gain as much: with 16x64x64x64, towards the input 43.2 against 16.7, towards the
 * weights 51.0 against 22.3. Direct convolutions of other kernels and strides are as fast blocked as
 * channels-last (1x1: 6 to 16 % faster, one channel per group: 22 to 48 %).
 *
 * Norm of the error over norm of the result, against sums in double, N(0,1) activations and weights,
 * 24x32 and 64x64, forward and both gradients: 16 channels up to 5.6e-7, 32 7.9e-7, 64 8.3e-7, 128
 * 1.05e-6, 256 1.07e-6; direct 3.5e-7, 3.9e-7, 4.4e-7, 6.1e-7, 8.7e-7. */
#include "cpu/choose.h"
#include "passes/fused.h"
#include <string.h>

/* Fewer channels gain nothing once something has to be rearranged. */
#define WINOGRAD_CHANNELS_MIN 32
/* Large images are transformed as a whole, for which oneDNN takes 2.3 times what input and output do. */
#define SCRATCH_BYTES_MAX ((size_t)512 << 20)

static bool has_avx512(void);
static bool is_open(const struct window *window, const struct cpu_place *place);
static bool pays(const struct build *build, const struct window *window, int to);
static bool feeds_winograd(const struct build *build, int value);

bool choose_winograd(const struct build *build, const struct window *window)
{
    if (build->arithmetic != TENSOR_F32 || build->splits || !has_avx512() || window->groups != 1)
        return false;
    for (int d = 0; d < 2; d++) {
        int64_t pad_end = window->out[d] + 2 - window->in[d] - window->pad_begin[d];
        if (window->kernel[d] != 3 || window->stride[d] != 1 || window->dilation[d] != 1 ||
            window->pad_begin[d] < 0 || window->pad_begin[d] > 1 || pad_end < 0 || pad_end > 1)
            return false;
    }
    return window->in_channels >= WINOGRAD_CHANNELS_MIN &&
           window->out_channels >= WINOGRAD_CHANNELS_MIN;
}

int choose_convolution(struct build *build, const struct window *window, enum tensor_type type,
                       int from, int to, enum choice *choice, struct error *err)
{
    *choice = CHOICE_LAST;
    if (type != TENSOR_F32 || !has_avx512())
        return 0;
    if (choose_winograd(build, window)) {
        *choice = CHOICE_WINOGRAD;
        return 0;
    }
    if (!layout_can_block(&build_info(build, to)->shape))
        return 0;
    struct cpu_place *place;
    int rc = build_place_any(build, from, &place, err);
    if (rc)
        return rc;
    if (is_open(window, place) ? pays(build, window, to) : place->layout.blocked)
        *choice = CHOICE_BLOCKED;
    return 0;
}

struct layout choice_layout(enum choice choice, enum tensor_type type, const struct shape *shape)
{
    if (choice == CHOICE_LAST)
        return layout_channels_last(type, shape);
    if (layout_can_block(shape))
        return layout_blocked(type, shape);
    return choice == CHOICE_BLOCKED ? layout_dense(type, shape) : layout_channels_last(type, shape);
}

bool choice_md(enum choice choice, const struct layout *layout, dnnl_memory_desc_t *md)
{
    layout_md(layout, md);
    if (choice != CHOICE_WINOGRAD || layout->blocked)
        return false;
    dnnl_memory_desc_init_by_tag(md, md->ndims, md->dims, md->data_type, dnnl_nChw16c);
    return true;
}

int choice_read(struct build *build, enum choice choice, int value, const struct layout *layout,
                struct cpu_place **seen, struct error *err)
{
    const struct shape *shape = &build_info(build, value)->shape;
    dnnl_memory_desc_t md;
    struct cpu_place *place;
    if (shape->rank != layout->shape.rank) {
        struct layout line = layout_channels_last(layout->type, shape);
        int rc = build_want(build, value, &line, &place, err);
        return rc ? rc : build_alias(build, place, 0, layout, seen, err);
    }
    if (!choice_md(choice, layout, &md))
        return build_want(build, value, layout, seen, err);
    int rc = build_place_any(build, value, &place, err);
    if (!rc)
        rc = build_new_opaque(build, &md, seen, err);
    return rc ? rc : build_reorder(build, place, *seen, err);
}

int choice_write(struct build *build, enum choice choice, struct cpu_place *place,
                 struct cpu_place **seen, struct error *err)
{
    dnnl_memory_desc_t md;
    *seen = place;
    return choice_md(choice, &place->layout, &md) ? build_new_opaque(build, &md, seen, err) : 0;
}

int choice_finish(struct build *build, struct cpu_place *seen, struct cpu_place *place,
                  struct error *err)
{
    return seen == place ? 0 : build_reorder(build, seen, place, err);
}

bool choice_fits(dnnl_primitive_desc_t pd)
{
    const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    return !scratch || dnnl_memory_desc_get_size(scratch) <= SCRATCH_BYTES_MAX;
}

dnnl_alg_kind_t choice_algorithm(enum choice choice)
{
    return choice == CHOICE_WINOGRAD ? dnnl_convolution_winograd : dnnl_convolution_direct;
}

/* For inference oneDNN wants Winograd's weights transformed, which takes its reorder long (1 ms for 64x64
 * channels, once if they are constant). For training it takes them as for direct convolutions (7 us)
 * and transforms them as fast as activations. */
dnnl_prop_kind_t choice_purpose(enum choice choice, bool constant_weights)
{
    return choice == CHOICE_WINOGRAD && !constant_weights ? dnnl_forward_training
                                                          : dnnl_forward_inference;
}

/* Only there oneDNN has blocks of 16, and Winograd's method at all. */
static bool has_avx512(void)
{
    unsigned wanted = dnnl_cpu_isa_avx512_core;
    return ((unsigned)dnnl_get_effective_cpu_isa() & wanted) == wanted;
}

/* Nothing needs to be rearranged whether the convolution is blocked or not: channels are one block, or
 * so few that oneDNN takes them row-major. */
static bool is_open(const struct window *window, const struct cpu_place *place)
{
    int64_t channels = place->layout.shape.dim[1];
    struct layout last = layout_channels_last(place->layout.type, &place->layout.shape);
    if (place->layout.shape.rank != 4 || window->groups != 1)
        return false;
    return channels == LAYOUT_BLOCK ? layout_equal(&place->layout, &last)
                                    : channels < LAYOUT_BLOCK && layout_is_dense(&place->layout);
}

/* Row-major input would have to be rearranged for channels-last; the output is open, too, if that is one
 * block. */
static bool pays(const struct build *build, const struct window *window, int to)
{
    bool few = window->in_channels < LAYOUT_BLOCK && window->out_channels == LAYOUT_BLOCK;
    return few || feeds_winograd(build, to);
}

static bool feeds_winograd(const struct build *build, int value)
{
    for (int i = 0; i < build->graph->node_count; i++) {
        const struct node *node = &build->graph->nodes[i];
        if (node->input_count < 2 || node->inputs[0] != value ||
            strcmp(fused_base_name(node->op), "Conv") != 0)
            continue;
        struct window window;
        struct error ignored;
        if (!window_of_conv(node, &build_info(build, value)->shape,
                            &build_info(build, node->inputs[1])->shape, &window, &ignored) &&
            choose_winograd(build, &window))
            return true;
    }
    return false;
}
