/* builtin: cpu is always there. */
#include "builtin.h"
#include "cpu/cpu.h"

const struct device_class *const device_builtin_classes[] = { &cpu_class, NULL };
