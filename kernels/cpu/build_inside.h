/* build_inside: what build.c and build_steps.c share. */
#ifndef RUNESPOOR_CPU_BUILD_INSIDE_H
#define RUNESPOOR_CPU_BUILD_INSIDE_H

#include "cpu/build.h"

int build_out_of_memory(struct error *err);
#ifdef __clang_analyzer__ /* as in base/error.h */
#define build_out_of_memory(err) error_negative(build_out_of_memory(err))
#endif
/* Room for one more behind count of them. */
int build_grow(void **items, int *capacity, int count, size_t item_bytes, struct error *err);
/* Now, not in a step: for constants. */
int build_reorder_now(struct build *build, const dnnl_memory_desc_t *from_md, void *from,
                      const dnnl_memory_desc_t *to_md, void *to, struct error *err);

#endif
