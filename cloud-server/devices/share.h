/* share: which picture pools the workers have mapped. A worker is told of a pool with the first
 * picture in it, and told to forget it when no stream and no job uses it any more. */
#ifndef RUNESPOOR_DEVICES_SHARE_H
#define RUNESPOOR_DEVICES_SHARE_H

#include "devices/orders.h"
#include <stddef.h>
#include <stdint.h>

/* One picture pool. Its place in the table is its slot in every worker. */
struct shared_memory {
    uint64_t id; /* of the picture pool; 0: this slot is free */
    size_t users;
    uint64_t known; /* bit i: worker i has it mapped */
};

struct share {
    struct shared_memory slots[WORKER_POOLS_MAX];
};

/* The entry of pool id, with one user more; NULL when the table is full. Searches the table: for a
 * stream's first picture and when its pool changes, not for every picture. */
struct shared_memory *share_get(struct share *share, uint64_t id);
uint32_t share_slot(const struct share *share, const struct shared_memory *memory);
/* A worker's process has gone and its mappings with it. */
void share_forget_worker(struct share *share, size_t worker);

#endif
