/* device_emulated: the op table's program runs what the GPU back end makes, as plain loops in plain
 * memory (cuda/emulate.c). */
#include "cuda/cuda.h"
#include "lab/ops.h"

int ops_open_device(struct device **device, struct error *err)
{
    device_add_class(&cuda_class);
    return device_open(device, "cuda", err);
}
