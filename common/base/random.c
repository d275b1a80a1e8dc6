/* random: xoshiro256** by Blackman and Vigna, seeded by splitmix64 as its authors advise (an
 * all-zero state would stay zero; splitmix64 never gives four zeros in a row). */
#include "base/random.h"

#include "base/clock.h"

#include <sys/random.h>

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

void random_seed(struct random_state *state, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15ull;
        uint64_t mixed = seed;
        mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9ull;
        mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebull;
        state->word[i] = mixed ^ mixed >> 31;
    }
}

uint64_t random_entropy(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = clock_now_ns() ^ clock_wall_us() << 20; /* enough to spread retries apart */
    return seed;
}

uint64_t random_next_u64(struct random_state *state)
{
    uint64_t *s = state->word;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

double random_next_unit(struct random_state *state)
{
    return (double)(random_next_u64(state) >> 11) * 0x1p-53;
}
