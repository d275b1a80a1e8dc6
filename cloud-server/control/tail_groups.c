/* tail_groups: see tail_parts.h. */
#include "control/tail_parts.h"
#include <math.h>
#include <stdlib.h>

#define GROUP_PROBES 10u /* at least in a group */
/* Of all frames; no more than a guard against ranks that are all the same. */
#define GROUP_SHARE_MIN 1e-6
#define GUARD_SHARES 5   /* the added frame's weight: from this many times the share of a tail */
#define GUARD_PROBES 10u /* and from no fewer */

static int compare_uncertainties(const void *left, const void *right)
{
    double a = ((const struct tail_rank *)left)->sample->uncertainty_rank;
    double b = ((const struct tail_rank *)right)->sample->uncertainty_rank;
    return (a > b) - (a < b);
}

size_t tail_groups_count(const struct tail_sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (samples[i].uncertainty_rank <= 0)
            return 1;
    size_t groups = count / GROUP_PROBES;
    return groups < 1 ? 1 : groups < TAIL_GROUPS_MAX ? groups : TAIL_GROUPS_MAX;
}

/* How uncertain frames of a group look begins half way from the last sample of the group before. */
static double group_start(const struct tail_rank *ranks, size_t from)
{
    return (ranks[from - 1].sample->uncertainty_rank + ranks[from].sample->uncertainty_rank) / 2;
}

/* Equal accuracies by their weight, equal weights by their group, so that samples may come in any order. */
static int compare_accuracies(const void *left, const void *right)
{
    const struct tail_rank *a = left, *b = right;
    double by = a->sample->accuracy - b->sample->accuracy, by_weight = a->weight - b->weight;
    int order = (by > 0) - (by < 0), order_of_weight = (by_weight > 0) - (by_weight < 0);
    if (order == 0)
        order = order_of_weight;
    return order ? order : (a->group > b->group) - (a->group < b->group);
}

void tail_groups_make(struct tail_rank *ranks, const struct tail_sample *samples, size_t count,
                      size_t groups)
{
    double start = 0;
    for (size_t i = 0; i < count; i++)
        ranks[i] = (struct tail_rank){ .sample = &samples[i] };
    if (groups > 1)
        qsort(ranks, count, sizeof *ranks, compare_uncertainties);
    for (size_t g = 0; g < groups; g++) {
        size_t from = g * count / groups, to = (g + 1) * count / groups;
        double end = g + 1 < groups ? group_start(ranks, to) : 1, sum = 0;
        for (size_t i = from; i < to; i++)
            sum += ranks[i].sample->weight;
        for (size_t i = from; i < to; i++) {
            ranks[i].group = (uint32_t)g;
            ranks[i].weight =
                ranks[i].sample->weight / sum * fmax(end - start, GROUP_SHARE_MIN) * (double)count;
        }
        start = end;
    }
    qsort(ranks, count, sizeof *ranks, compare_accuracies);
}

double tail_guard_weight(const struct tail_rank *ranks, size_t count, double share)
{
    double all = 0, sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++)
        all += ranks[i].weight;
    for (size_t i = 0; i < count && (i < GUARD_PROBES || sum < GUARD_SHARES * share * all); i++) {
        sum += ranks[i].weight;
        squares += ranks[i].weight * ranks[i].weight;
    }
    return squares / sum;
}
