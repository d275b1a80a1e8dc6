/* forms: checks before the makers. */
#include "cuda/forms.h"
#include "ops/resolve.h"
#include "passes/fused.h"
#include <string.h>

static bool convolution_is_known(struct cuda_build *build, const struct node *node);
static bool pool_is_known(struct cuda_build *build, const struct node *node);
static bool global_pool_is_known(struct cuda_build *build, const struct node *node);
static bool resize_is_known(struct cuda_build *build, const struct node *node);
static bool batch_norm_is_known(struct cuda_build *build, const struct node *node);
static bool layer_norm_is_known(struct cuda_build *build, const struct node *node);

static const struct form {
    const char *op; /* base name for fused ones */
    bool (*is_known)(struct cuda_build *build, const struct node *node);
    const char *lacks;
} forms[] = {
    { "Conv", convolution_is_known, "kernel for it with depth or other types than f32" },
    { "ConvTranspose", convolution_is_known, "kernel for it with depth or other types than f32" },
    { "MaxPool", pool_is_known, "kernel for it with depth, indices or other types than f32" },
    { "AveragePool", pool_is_known, "kernel for it with depth or other types than f32" },
    { "GlobalMaxPool", global_pool_is_known, "kernel for it of other types than f32" },
    { "GlobalAveragePool", global_pool_is_known, "kernel for it of other types than f32" },
    { "Resize", resize_is_known, "kernel for it with antialias, a crop or other types than f32" },
    { "Upsample", resize_is_known, "kernel for it of other types than f32" },
    { "BatchNormalization", batch_norm_is_known, "kernel for it in training or for each place" },
    { "LayerNormalization", layer_norm_is_known, "kernel for its statistics or other scales" },
};

int cuda_check_form(struct cuda_build *build, const struct node *node, struct error *err)
{
    const char *name = fused_base_name(node->op);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (strcmp(forms[i].op, name) == 0 && !forms[i].is_known(build, node))
            return cuda_cannot(build, err, forms[i].lacks);
    return 0;
}

static bool is_f32(struct cuda_build *build, const struct node *node)
{
    return cuda_info(build, node->inputs[0])->type == TENSOR_F32;
}

static bool convolution_is_known(struct cuda_build *build, const struct node *node)
{
    return is_f32(build, node) && cuda_info(build, node->inputs[0])->shape.rank <= 4;
}

static bool pool_is_known(struct cuda_build *build, const struct node *node)
{
    return convolution_is_known(build, node) && (node->output_count < 2 || node->outputs[1] < 0);
}

static bool global_pool_is_known(struct cuda_build *build, const struct node *node)
{
    return is_f32(build, node);
}

static bool resize_is_known(struct cuda_build *build, const struct node *node)
{
    const char *coordinates = node_string(node, "coordinate_transformation_mode", "");
    return is_f32(build, node) && !node_int(node, "antialias", 0) &&
           strcmp(coordinates, "tf_crop_and_resize") != 0;
}

static bool batch_norm_is_known(struct cuda_build *build, const struct node *node)
{
    return is_f32(build, node) && batch_norm_is_plain(node);
}

static bool layer_norm_is_known(struct cuda_build *build, const struct node *node)
{
    bool biased = node->input_count > 2 && node->inputs[2] >= 0;
    return is_f32(build, node) &&
           layer_norm_is_plain(node, &cuda_info(build, node->inputs[0])->shape,
                               &cuda_info(build, node->inputs[1])->shape,
                               biased ? &cuda_info(build, node->inputs[2])->shape : NULL);
}
