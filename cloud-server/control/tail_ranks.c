/* tail_ranks: tails, see tail_parts.h. A limit goes up from sample to sample, and what lies below it and above
 * it is summed as it goes, in all and for each group. */
#include "control/beta.h"
#include "control/tail_parts.h"
#include <math.h>
#include <stdbool.h>

#define CHANCE 0.05      /* that an interval misses */
#define SHARE_SLACK 1e-9 /* sums of a million weights are off by less, and whole ranks by more */
#define CHANCE_NONE 1e-9 /* from such a rank on there is nothing to look for */

/* Sums over weights and over their squares. */
struct weights {
    double sum, squares;
};

static struct weights weights_plus(struct weights weights, double weight)
{
    return (struct weights){ weights.sum + weight, weights.squares + weight * weight };
}

static struct weights weights_minus(struct weights weights, double weight)
{
    return (struct weights){ weights.sum - weight, weights.squares - weight * weight };
}

/* Samples on either side of a limit: all of them, and those of each group. */
struct sides {
    size_t count, group_counts[TAIL_GROUPS_MAX];
    struct weights below, above;
    struct weights group_below[TAIL_GROUPS_MAX], group_above[TAIL_GROUPS_MAX];
    double spreads[TAIL_GROUPS_MAX], spread; /* of groups, and their sum */
};

/* Squares of how far samples draw the share below away from mean. */
static double squares_around(double mean, struct weights below, struct weights above)
{
    return (1 - mean) * (1 - mean) * below.squares + mean * mean * above.squares;
}

static double spread_of(struct weights below, struct weights above)
{
    return squares_around(below.sum / (below.sum + above.sum), below, above);
}

static void spread_group(struct sides *sides, uint32_t g)
{
    double count = (double)sides->group_counts[g];
    sides->spread -= sides->spreads[g];
    sides->spreads[g] = spread_of(sides->group_below[g], sides->group_above[g]) * count / (count - 1);
    sides->spread += sides->spreads[g];
}

/* At first all samples are above. */
static void sides_start(struct sides *sides, const struct tail_rank *ranks, size_t count)
{
    *sides = (struct sides){ .count = count };
    for (size_t i = 0; i < count; i++) {
        uint32_t g = ranks[i].group;
        sides->group_counts[g]++;
        sides->group_above[g] = weights_plus(sides->group_above[g], ranks[i].weight);
        sides->above = weights_plus(sides->above, ranks[i].weight);
    }
}

static void sides_move(struct sides *sides, const struct tail_rank *rank)
{
    uint32_t g = rank->group;
    sides->below = weights_plus(sides->below, rank->weight);
    sides->above = weights_minus(sides->above, rank->weight);
    sides->group_below[g] = weights_plus(sides->group_below[g], rank->weight);
    sides->group_above[g] = weights_minus(sides->group_above[g], rank->weight);
    spread_group(sides, g);
}

/* What is left of the spread within groups, as a part: 1 where there is one group. */
static double spread_left(const struct sides *sides)
{
    double count = (double)sides->count, spread = spread_of(sides->below, sides->above);
    return spread > 0 ? fmax(sides->spread, 0) * (count - 1) / count / spread : 1;
}

/* The chance that frames below a limit are less than that share of all, by the samples on either side and a
 * frame added to one of them, of weight guard. */
static double chance_below(const struct sides *sides, double guard, bool guard_below, double share)
{
    double below = sides->below.sum + (guard_below ? guard : 0);
    double all = sides->below.sum + sides->above.sum + guard, mean = below / all;
    if (below <= 0)
        return 1;
    double guard_pull = (guard_below ? 1 - mean : mean) * guard;
    double squares = squares_around(mean, sides->below, sides->above);
    double variance = (guard_pull * guard_pull + squares * spread_left(sides)) / (all * all);
    return beta_below(mean, mean * (1 - mean) / variance, share);
}

/* ranks[k]: where the lowest k samples are those below a limit, the chances that the share or more of all
 * frames is below it (they were too few) and that less is (too many). Gives how many ranks were filled:
 * from there on nothing is too few. */
static size_t fill_chances(struct tail_rank *ranks, size_t count, double share)
{
    struct sides sides;
    double guard = tail_guard_weight(ranks, count, share);
    sides_start(&sides, ranks, count);
    for (size_t k = 0; k < count; k++) {
        ranks[k].too_few = 1 - chance_below(&sides, guard, true, share);
        ranks[k].too_many = chance_below(&sides, guard, false, share);
        if (ranks[k].too_many < CHANCE_NONE)
            return k + 1;
        sides_move(&sides, &ranks[k]);
    }
    return count;
}

/* Ranks are counted from 1: below rank k are the lowest k - 1 samples. */
struct rank_pair {
    size_t low, high; /* 0, and more than there are: no such end */
};

static size_t find_high(const struct tail_rank *ranks, size_t filled, size_t from, double chance)
{
    while (from < filled && ranks[from].too_many > chance)
        from++;
    return from;
}

static struct rank_pair choose_ranks(const struct tail_rank *ranks, size_t filled)
{
    struct rank_pair best = { 0, find_high(ranks, filled, 1, CHANCE) };
    size_t high = 1;
    double best_difference = 0;
    for (size_t low = 1; low < filled && ranks[low - 1].too_few <= CHANCE; low++) {
        double few = ranks[low - 1].too_few;
        high = find_high(ranks, filled, high > low ? high : low, CHANCE - few);
        if (high == filled)
            break;
        double difference = fabs(few - ranks[high].too_many);
        size_t between = high - low, best_between = best.high - best.low;
        if (best.low == 0 || between < best_between ||
            (between == best_between && difference < best_difference)) {
            best = (struct rank_pair){ low, high };
            best_difference = difference;
        }
    }
    return best;
}

/* The smallest accuracy up to which the samples weigh that share. */
static double value_at(const struct tail_rank *ranks, size_t count, double share)
{
    double all = 0, sum = 0;
    size_t k = 0;
    for (size_t i = 0; i < count; i++)
        all += ranks[i].weight;
    for (sum = ranks[0].weight; k + 1 < count && sum < share * all * (1 - SHARE_SLACK); k++)
        sum += ranks[k + 1].weight;
    return ranks[k].sample->accuracy;
}

void tail_ranks_figure(struct tail_figure *figure, struct tail_rank *ranks, size_t count, double share)
{
    double value = value_at(ranks, count, share);
    size_t filled = fill_chances(ranks, count, share);
    struct rank_pair pair = choose_ranks(ranks, filled);
    double low = pair.low > 0 ? ranks[pair.low - 1].sample->accuracy : 0;
    double high = pair.high < filled ? ranks[pair.high - 1].sample->accuracy : 1;
    *figure = (struct tail_figure){ true, value, fmin(low, value), fmax(high, value) };
}
