/* builtin: the back ends that are part of a program. A program that cannot have the cpu one (what it
 * stands on is not everywhere) links a list of its own before this module's. */
#ifndef RUNESPOOR_KERNELS_BUILTIN_H
#define RUNESPOOR_KERNELS_BUILTIN_H

#include "device.h"

/* Ends with NULL. */
extern const struct device_class *const device_builtin_classes[];

#endif
