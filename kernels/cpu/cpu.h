/* cpu: the device that is always there. Convolutions, matrix products and most of the rest are
 * oneDNN's; portable C fills the gaps. */
#ifndef RUNESPOOR_CPU_CPU_H
#define RUNESPOOR_CPU_CPU_H

#include "device.h"

/* "threads=N" is its only argument; all online processors when absent.
 *
 * oneDNN's threads are libgomp's, which spin for a millisecond after each step unless the process was
 * started with OMP_WAIT_POLICY=passive in its environment (it is read before main). On processors
 * that have other work too, that setting is worth a factor of ten and more in the slowest frames; on
 * idle ones it costs a few per cent. Whoever starts a process that uses this device should set it.
 *
 * When there are as many threads as processors that the process may use, each but the caller's stays on one
 * (parallel_pin): two of them are then never put on one busy processor while the other is idle. */
extern const struct device_class cpu_class;

#endif
