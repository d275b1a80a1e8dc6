/* device_cuda: the op table's program runs on the first GPU. */
#include "lab/ops.h"

int ops_open_device(struct device **device, struct error *err)
{
    return device_open(device, "cuda", err);
}
