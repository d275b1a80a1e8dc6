/* share: a table searched from the start, as it is searched a few times in a stream's life. */
#include "devices/share.h"

struct shared_memory *share_get(struct share *share, uint64_t id)
{
    struct shared_memory *found = NULL;
    for (size_t i = 0; i < WORKER_POOLS_MAX; i++) {
        struct shared_memory *memory = &share->slots[i];
        if (memory->id == id) {
            found = memory;
            break;
        }
        if (memory->id == 0 && !found)
            found = memory;
    }
    if (found) {
        found->id = id;
        found->users++;
    }
    return found;
}

uint32_t share_slot(const struct share *share, const struct shared_memory *memory)
{
    return (uint32_t)(memory - share->slots);
}

void share_forget_worker(struct share *share, size_t worker)
{
    for (size_t i = 0; i < WORKER_POOLS_MAX; i++)
        share->slots[i].known &= ~(UINT64_C(1) << worker);
}
