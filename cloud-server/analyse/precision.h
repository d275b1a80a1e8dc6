/* precision: which arithmetic serves where a device does not have the one that was asked for. */
#ifndef RUNESPOOR_ANALYSE_PRECISION_H
#define RUNESPOOR_ANALYSE_PRECISION_H

#include "device.h"

/* wanted where the device has it; else bf16 in place of f16, where it has that, and f32 in place of all
 * others. */
enum precision precision_for(const struct device *device, enum precision wanted);

#endif
