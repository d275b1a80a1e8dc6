/* precision: see the header. */
#include "analyse/precision.h"

enum precision precision_for(const struct device *device, enum precision wanted)
{
    if (device_has(device, wanted))
        return wanted;
    if (wanted == PRECISION_F16 && device_has(device, PRECISION_BF16))
        return PRECISION_BF16;
    return PRECISION_F32;
}
