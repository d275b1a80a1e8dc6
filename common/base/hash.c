/* hash: see the header. */
#include "base/hash.h"

#define PRIME UINT64_C(0x100000001B3)

uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ at[i]) * PRIME;
    return hash;
}
