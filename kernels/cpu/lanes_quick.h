/* lanes_quick: functions of cpu/lanes.h at twice the speed where the processor has AVX-512, right to about
 * two units in the last place as well, but not to the same bits on all processors: for inference. */
#ifndef RUNESPOOR_CPU_LANES_QUICK_H
#define RUNESPOOR_CPU_LANES_QUICK_H

#include "cpu/lanes.h"

/* The quick form, or that of lanes_find where there is none. */
lanes_fn *lanes_find_quick(enum pointwise_kind kind);
/* To bf16, from that or from floats; NULL where there is none. */
typedef void lanes_narrow_fn(const void *x, uint16_t *to, int64_t count);
lanes_narrow_fn *lanes_find_narrow(enum pointwise_kind kind, bool from_bf16);

#endif
