/* lanes_quick: functions of cpu/lanes.h at twice the speed where the processor has AVX-512, right to about
 * two units in the last place as well, but not to the same bits on all processors: for inference. */
#ifndef RUNESPOOR_CPU_LANES_QUICK_H
#define RUNESPOOR_CPU_LANES_QUICK_H

#include "cpu/lanes.h"

/* The quick form, or that of lanes_find where there is none. */
lanes_fn *lanes_find_quick(enum pointwise_kind kind);
/* From bf16 to bf16; NULL where there is none. */
typedef void lanes_bf16_fn(const uint16_t *x, uint16_t *to, int64_t count);
lanes_bf16_fn *lanes_find_bf16(enum pointwise_kind kind);

#endif
