/* uncertainty_ranks: see the header. */
#include "control/uncertainty_ranks.h"

#include <math.h>

void uncertainty_ranks_init(struct uncertainty_ranks *ranks, uint64_t seed)
{
    random_seed(&ranks->random, seed);
    uncertainty_ranks_clear(ranks);
}

void uncertainty_ranks_clear(struct uncertainty_ranks *ranks)
{
    ranks->count = ranks->next = 0;
}

void uncertainty_ranks_add(struct uncertainty_ranks *ranks, float uncertainty)
{
    ranks->newest[ranks->next] = uncertainty;
    ranks->next = (ranks->next + 1) % UNCERTAINTY_RANKS_ANSWERS;
    ranks->count += ranks->count < UNCERTAINTY_RANKS_ANSWERS;
}

double uncertainty_ranks_of(struct uncertainty_ranks *ranks, float uncertainty)
{
    const double lot = 1 - random_next_unit(&ranks->random); /* above 0 */
    size_t less = 0, equal = 0;
    for (size_t i = 0; i < ranks->count; i++) {
        less += ranks->newest[i] < uncertainty;
        equal += ranks->newest[i] <= uncertainty && ranks->newest[i] >= uncertainty;
    }
    double share = equal > 0 ? ((double)less + lot * (double)equal) / (double)ranks->count : lot;
    return fmax(share, UNCERTAINTY_RANK_MIN);
}
