/* layout: layouts of arrays (tensor/layout.h) in oneDNN's words. */
#ifndef RUNESPOOR_CPU_LAYOUT_H
#define RUNESPOOR_CPU_LAYOUT_H

#include "tensor/layout.h"
#include <oneapi/dnnl/dnnl.h>

/* False for types that oneDNN does not know (i64, f64, bool) and strides that it takes for overlapping. */
bool layout_md(const struct layout *layout, dnnl_memory_desc_t *md);
bool layout_dnnl_type(enum tensor_type type, dnnl_data_type_t *dnnl_type);

#endif
