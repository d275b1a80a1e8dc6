/* layout: oneDNN's descriptions of plain and blocked arrays. */
#include "cpu/layout.h"

bool layout_md(const struct layout *layout, dnnl_memory_desc_t *md)
{
    dnnl_data_type_t type;
    if (!layout_dnnl_type(layout->type, &type))
        return false;
    dnnl_dims_t dims = { 1 }, strides = { 1 };
    for (int d = 0; d < layout->shape.rank; d++) {
        dims[d] = layout->shape.dim[d];
        strides[d] = layout->stride[d];
    }
    int rank = layout->shape.rank ? layout->shape.rank : 1; /* a scalar is one number in a row */
    if (layout->blocked) {
        if (dnnl_memory_desc_init_by_tag(md, rank, dims, type, dnnl_nChw16c))
            return false;
        for (int d = 0; d < rank; d++)
            md->format_desc.blocking.strides[d] = strides[d];
        return true;
    }
    return dnnl_memory_desc_init_by_strides(md, rank, dims, type, strides) == dnnl_success;
}

bool layout_dnnl_type(enum tensor_type type, dnnl_data_type_t *dnnl_type)
{
    switch (type) {
    case TENSOR_F32:
        *dnnl_type = dnnl_f32;
        return true;
    case TENSOR_BF16:
        *dnnl_type = dnnl_bf16;
        return true;
    case TENSOR_I32:
        *dnnl_type = dnnl_s32;
        return true;
    case TENSOR_I8:
        *dnnl_type = dnnl_s8;
        return true;
    case TENSOR_U8:
        *dnnl_type = dnnl_u8;
        return true;
    default:
        return false;
    }
}
