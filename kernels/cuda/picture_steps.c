/* picture_steps: what stands before a network. Written as the convolution that reads it wants it. */
#include "cuda/picture.h"
#include "cuda/kernel_step.h"
#include "cuda/makers.h"
#include "ops/picture.h"
#include "passes/fused.h"
#include <stddef.h>
#include <string.h>

_Static_assert(PICTURE_COLOURS == PICTURE_CHANNELS, "one kernel makes all channels");

static cuda_maker make_picture;

static const struct cuda_row rows[] = {
    { "picture", make_picture },
};
const struct cuda_family cuda_picture_family = CUDA_FAMILY(rows);

static struct layout choose_layout(const struct cuda_build *build, int value);
static struct picture from_form(const struct picture_form *form);

static void launch_picture(const void *args, void *stream)
{
    const struct picture *picture = args;
    const int32_t *dim = picture->to.dim;
    picture_each(picture, (int64_t)dim[0] * dim[2] * dim[3], stream);
}

static int make_picture(struct cuda_build *build, const struct node *node, struct error *err)
{
    struct cuda_place *planes[3], *to;
    struct picture_form form;
    const struct shape *v = node->input_count > 2 && node->inputs[2] >= 0
                                ? &cuda_info(build, node->inputs[2])->shape
                                : NULL;
    int rc = picture_resolve(node, &cuda_info(build, node->inputs[0])->shape,
                             &cuda_info(build, node->inputs[1])->shape, v, &form, err);
    for (int i = 0; !rc && i < (v ? 3 : 2); i++)
        rc = cuda_want_dense(build, node->inputs[i], TENSOR_U8, &planes[i], err);
    if (rc)
        return rc;
    struct layout layout = choose_layout(build, node->outputs[0]);
    rc = cuda_output(build, node->outputs[0], &layout, &to, err);
    if (rc)
        return rc;
    struct picture args = from_form(&form);
    args.to = cuda_view(to);
    struct kernel_step step = kernel_begin(launch_picture, &args, sizeof args);
    kernel_read(&step, planes[0], offsetof(struct picture, y));
    kernel_read(&step, planes[1], offsetof(struct picture, u));
    kernel_read_behind(&step, planes[v ? 2 : 1], v ? 0 : 1, offsetof(struct picture, v));
    kernel_write(&step, to, offsetof(struct picture, to.data));
    return kernel_add(build, &step, "picture", err);
}

/* What only convolutions read, as their picture, lies at once as they would have it copied. */
static struct layout choose_layout(const struct cuda_build *build, int value)
{
    const struct graph *graph = build->graph;
    const struct value *info = cuda_info(build, value);
    bool convolved = !info->is_output;
    for (int i = 0; convolved && i < graph->node_count; i++) {
        const struct node *node = &graph->nodes[i];
        for (int k = 0; convolved && k < node->input_count; k++)
            convolved = node->inputs[k] != value ||
                        (k == 0 && strcmp(fused_base_name(node->op), "Conv") == 0);
    }
    return convolved ? layout_channels_last(build->arithmetic, &info->shape)
                     : layout_dense(TENSOR_F32, &info->shape);
}

static struct picture from_form(const struct picture_form *form)
{
    int step = form->interleaved ? 2 : 1;
    struct picture picture = {
        .luma_image = form->plane[0] * form->plane[1],
        .chroma_image = form->chroma_plane[0] * form->chroma_plane[1] * step,
        .luma_row = (int32_t)form->plane[1],
        .chroma_row = (int32_t)form->chroma_plane[1] * step,
        .chroma_column = step,
        .linear = form->linear,
        .black = form->black,
    };
    for (int d = 0; d < 2; d++) {
        picture.luma[d] = (int32_t)form->luma[d];
        picture.chroma[d] = (int32_t)form->chroma[d];
        picture.inner[d] = (int32_t)form->inner[d];
    }
    memcpy(picture.colour, form->colour, sizeof picture.colour);
    memcpy(picture.factor, form->factor, sizeof picture.factor);
    memcpy(picture.offset, form->offset, sizeof picture.offset);
    memcpy(picture.pad, form->pad, sizeof picture.pad);
    return picture;
}
