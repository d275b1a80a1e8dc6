/* hash: FNV-1a of 64 bits, to tell contents apart and to find damage; not against who means harm. */
#ifndef RUNESPOOR_BASE_HASH_H
#define RUNESPOOR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START UINT64_C(0xCBF29CE484222325)

/* Goes on from the hash of what came before, HASH_START at first. */
uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count);

#endif
