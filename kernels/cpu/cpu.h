/* cpu: the device that is always there. Convolutions, matrix products and most of the rest are
 * oneDNN's; portable C fills the gaps. */
#ifndef RUNESPOOR_CPU_CPU_H
#define RUNESPOOR_CPU_CPU_H

#include "device.h"

/* "threads=N" is its only argument; all online processors when absent. */
extern const struct device_class cpu_class;

#endif
