/* choose: the rule. `make check-kernels` prints what it follows from (lab/convolution.c), here f32, 3x3, in
 * us, one thread of an AMD EPYC (Zen 4, AVX-512 with bf16), oneDNN 2.6.3, 2026-11-21, the best of several
 * runs; "rearranged" is Winograd with input and output from and to channels-last, which chains of
 * convolutions do not need:
 *
 *     batch  channels      size   channels-last   blocked   Winograd   rearranged
 *      1     16 ->  16   192x256       1961         2570       1427       1726
 *     16     16 ->  16     64x64       2640         3439       2521       3076
 *      4     16 ->  32   128x128       5358         5249       4636       5663
 *      1     32 ->  32    96x128       1922         1919       1245       1339
 *      1     32 ->  32       7x9          9.2          8.4        7.6        8.2
 *      1     33 ->  33     48x64        830         1066        584        615
 *      1     64 ->  64    96x128       7772         7767       2862       3453
 *      1     64 ->  64       6x8         25.4         25.0       15.6       16.2
 *      1    128 -> 128     13x13        387          382        320        323
 *      1    256 -> 256     24x32       7428         7507       2377       2611
 *     16     64 ->  64     64x64      41354        41011      16341      20614
 *         towards input               42818        41980      16330      20534
 *         towards weights             48394        49483      21730      27183
 *
 * So Winograd's method it is from 32 channels on, forward and in both gradients, even for one that stands
 * alone; with 16 that mostly loses. A direct convolution is as fast blocked as channels-last (also 1x1 and
 * with one channel per group: 218 against 221 and 48 against 51 with 64 channels, 48x64) and goes as its
 * input lies; only 16 to 16 channels, the same memory in both, are faster channels-last.
 *
 * Processors with AMX multiply twice as many floats in a cycle and gain less. One thread of a Xeon (Sapphire
 * Rapids), 2026-11-22:
 *
 *      1     16 ->  16   192x256       1763         1888       3998       5100
 *      1     32 ->  32    96x128       1657         1734       1547       1911
 *      1     33 ->  33     48x64        665          956        583        695
 *      1     64 ->  64    96x128       6881         7227       4267       5525
 *      1     64 ->  64       6x8         32           29         19         22
 *      1    128 -> 128     13x13        463          478        308        330
 *      1    256 -> 256     24x32       6582         6654       2893       3287
 *
 * There it has to have 64 to compute and none to fill up: towards 32 it does not reach the rate of the direct
 * way whatever it reads (64 and 256 channels: 91% and 76% of the peak), and what has to be filled up is
 * there three times: twinlitenet, of whose time 131 channels at 90x160 are a third, takes 62 ms with
 * Winograd's method for them, 73 without, and 75 or 35 MB.
 *
 * Results near 1 are off by at most 3.1e-6 by Winograd's method, by 2.6e-6 directly and channels-last. */
#include "cpu/choose.h"
#include "passes/fused.h"
#include <string.h>

/* Fewer channels gain nothing once something has to be rearranged. */
#define WINOGRAD_CHANNELS_MIN 32
#define WINOGRAD_OUT_CHANNELS_MIN_AMX 64
/* Images that oneDNN transforms as a whole take 36 numbers for every 16 of input and output. */
#define SCRATCH_BYTES_MAX ((size_t)512 << 20)

static bool has_avx512(void);
static bool has_amx(void);
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
    if (has_amx() &&
        (window->out_channels < WINOGRAD_OUT_CHANNELS_MIN_AMX ||
         window->in_channels % LAYOUT_BLOCK != 0 || window->out_channels % LAYOUT_BLOCK != 0))
        return false;
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

/* For inference oneDNN wants Winograd's weights transformed, which takes its reorder long: with 64 channels,
 * 6x8, a run with new weights takes 505 us, for training 66, as it then takes them as they are and
 * transforms them like activations (directly 32; a batch pays: 16x8x8 takes 301 against 559). */
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

static bool has_amx(void)
{
    unsigned wanted = dnnl_cpu_isa_avx512_core_amx;
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
