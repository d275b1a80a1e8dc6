/* device_cpu: the op table's program runs on the processor. */
#include "lab/ops.h"

int ops_open_device(struct device **device, struct error *err)
{
    return device_open(device, "cpu:threads=2", err);
}
