/* backoff: the jitter keeps agents that lost the same server from coming back all at once. */
#include "base/backoff.h"

#include <assert.h>

void backoff_init(struct backoff *backoff, uint32_t first_ms, uint32_t cap_ms, uint64_t seed)
{
    assert(first_ms > 0 && cap_ms >= first_ms);
    backoff->first_ms = first_ms;
    backoff->cap_ms = cap_ms;
    backoff->next_ms = first_ms;
    random_seed(&backoff->random, seed);
}

uint32_t backoff_next_ms(struct backoff *backoff)
{
    uint32_t next = backoff->next_ms;
    uint32_t low = next / 2;
    uint32_t span = next - low + 1;
    uint32_t wait = low + (uint32_t)(random_next_unit(&backoff->random) * span);
    backoff->next_ms = next > backoff->cap_ms / 2 ? backoff->cap_ms : next * 2;
    return wait;
}

void backoff_raise(struct backoff *backoff)
{
    backoff->next_ms = backoff->cap_ms;
}

void backoff_reset(struct backoff *backoff)
{
    backoff->next_ms = backoff->first_ms;
}
