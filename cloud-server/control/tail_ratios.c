/* tail_ratios: means of ratios of sums, see tail_parts.h; one function bounds them all. */
#include "control/beta.h"
#include "control/tail_parts.h"
#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#define NO_PART UINT16_MAX
#define GUARD_SHARE 0.1 /* of frames: among the lowest of some times as many */

/* Weighted sums of one ratio: right / all. */
struct part {
    double right, all;
    double weight;  /* of the samples that have any of it */
    bool in_golden; /* of a class: it occurs there */
};

/* A figure that is the mean of part_count ratios. */
struct ratios {
    enum tail_which which;
    enum score_kind kind;
    struct tail_rank *ranks; /* by accuracy */
    size_t count;
    double guard; /* weight of the frame that is added */
    uint32_t part_count;
    struct part parts[SCORE_CLASSES_MAX];
    uint16_t part_of[SCORE_CLASSES_MAX]; /* of a class; NO_PART: of none */
};

/* Of one sample, what it adds to a part. */
struct term {
    uint32_t part; /* NO_PART: to none */
    double right, all;
    bool in_golden;
};

static struct term term_of_class(const struct ratios *ratios, const struct tail_class *class)
{
    const struct score_counts *counts = &class->counts;
    double right = ratios->kind == SCORE_BOXES ? 2.0 * counts->hits : counts->hits;
    double wrong = (double)counts->false_alarms + counts->misses;
    return (struct term){ ratios->part_of[class->class_id], right, right + wrong,
                          counts->hits > 0 || counts->misses > 0 };
}

static struct term term_of_sample(const struct ratios *ratios, const struct tail_sample *sample)
{
    struct term term = { 0 };
    if (ratios->which == TAIL_MEAN)
        return (struct term){ 0, sample->accuracy, 1, false };
    for (size_t i = 0; i < sample->class_count; i++) {
        const struct score_counts *counts = &sample->classes[i].counts;
        term.right += counts->hits;
        term.all += (double)counts->hits +
                    (ratios->which == TAIL_PRECISION ? counts->false_alarms : counts->misses);
    }
    return term;
}

static size_t terms_of(const struct ratios *ratios, const struct tail_sample *sample)
{
    return ratios->which == TAIL_CLASS_TAIL ? sample->class_count : 1;
}

static struct term term_of(const struct ratios *ratios, const struct tail_sample *sample, size_t i)
{
    return ratios->which == TAIL_CLASS_TAIL ? term_of_class(ratios, &sample->classes[i])
                                            : term_of_sample(ratios, sample);
}

static void sum_parts(struct ratios *ratios)
{
    for (size_t s = 0; s < ratios->count; s++) {
        const struct tail_sample *sample = ratios->ranks[s].sample;
        const double weight = ratios->ranks[s].weight;
        for (size_t i = 0; i < terms_of(ratios, sample); i++) {
            struct term term = term_of(ratios, sample, i);
            struct part *part = &ratios->parts[term.part];
            part->right += weight * term.right;
            part->all += weight * term.all;
            part->weight += term.all > 0 ? weight : 0;
            part->in_golden |= term.in_golden;
        }
    }
}

/* Keeps the worst quarter of the classes that occur in golden answers, of equal ones the first. */
static void keep_worst(struct ratios *ratios)
{
    struct part kept[SCORE_CLASSES_MAX];
    uint32_t present = 0, count = 0;
    for (uint32_t c = 0; c < SCORE_CLASSES_MAX; c++) {
        ratios->part_of[c] = NO_PART;
        present += ratios->parts[c].in_golden;
    }
    while (count < (present + 3) / 4) {
        uint32_t worst = SCORE_CLASSES_MAX;
        double lowest = INFINITY;
        for (uint32_t c = 0; c < SCORE_CLASSES_MAX; c++) {
            const struct part *part = &ratios->parts[c];
            if (part->in_golden && ratios->part_of[c] == NO_PART && part->right / part->all < lowest) {
                lowest = part->right / part->all;
                worst = c;
            }
        }
        assert(worst < SCORE_CLASSES_MAX); /* more are present than are kept */
        ratios->part_of[worst] = (uint16_t)count;
        kept[count++] = ratios->parts[worst];
    }
    memcpy(ratios->parts, kept, count * sizeof *kept);
    ratios->part_count = count;
}

/* The ratio of a part with a frame of average size added that is wholly right (1) or wrong (0). */
static double ratio_with(const struct ratios *ratios, const struct part *part, double added)
{
    return (part->right / part->all * part->weight + added * ratios->guard) /
           (part->weight + ratios->guard);
}

/* How far a sample draws the figure away from its mean, the added frame being among the others. */
static double pull_of(const struct ratios *ratios, const struct tail_sample *sample, double added)
{
    double pull = 0;
    for (size_t i = 0; i < terms_of(ratios, sample); i++) {
        struct term term = term_of(ratios, sample, i);
        if (term.part == NO_PART)
            continue;
        const struct part *part = &ratios->parts[term.part];
        double all = part->all * (1 + ratios->guard / part->weight);
        pull += (term.right - ratio_with(ratios, part, added) * term.all) / all;
    }
    return pull / ratios->part_count;
}

/* Squares of the samples' weighted pulls, less what groups take off. */
static double spread_of_pulls(const struct ratios *ratios, double added)
{
    struct {
        double count, weight, sum; /* of pulls */
    } all = { 0 }, groups[TAIL_GROUPS_MAX] = { 0 };
    double squares = 0, around = 0, within = 0; /* around the mean of all, of their groups */
    struct tail_rank *ranks = ratios->ranks;
    for (size_t s = 0; s < ratios->count; s++) {
        uint32_t g = ranks[s].group;
        ranks[s].pull = pull_of(ratios, ranks[s].sample, added);
        groups[g].count++;
        groups[g].weight += ranks[s].weight;
        groups[g].sum += ranks[s].weight * ranks[s].pull;
        all.count++;
        all.weight += ranks[s].weight;
        all.sum += ranks[s].weight * ranks[s].pull;
    }
    for (size_t s = 0; s < ratios->count; s++) {
        uint32_t g = ranks[s].group;
        double weight = ranks[s].weight, pull = ranks[s].pull;
        double off = pull - all.sum / all.weight, off_group = pull - groups[g].sum / groups[g].weight;
        squares += weight * weight * pull * pull;
        around += weight * weight * off * off * all.count / (all.count - 1);
        within += weight * weight * off_group * off_group * groups[g].count / (groups[g].count - 1);
    }
    return around > 0 ? squares * within / around : squares;
}

static double bound(const struct ratios *ratios, bool high)
{
    double added = high ? 1 : 0, sum = 0, variance = 0;
    for (uint32_t p = 0; p < ratios->part_count; p++) {
        const struct part *part = &ratios->parts[p];
        double ratio = ratio_with(ratios, part, added);
        double pull =
            (added - ratio) * ratios->guard / (part->weight + ratios->guard) / ratios->part_count;
        sum += ratio;
        variance += pull * pull;
    }
    double mean = sum / ratios->part_count;
    if (mean <= 0 || mean >= 1) /* as wrong, or right, as the added frame */
        return added;
    return beta_quantile(mean, variance + spread_of_pulls(ratios, added), high);
}

static void sum_up(struct tail_figure *figure, struct ratios *ratios)
{
    double sum = 0;
    ratios->part_count = 1;
    for (uint32_t c = 0; c < SCORE_CLASSES_MAX; c++)
        ratios->part_of[c] = (uint16_t)c;
    sum_parts(ratios);
    if (ratios->which == TAIL_CLASS_TAIL)
        keep_worst(ratios);
    if (ratios->part_count == 0 || ratios->parts[0].all <= 0)
        return;
    for (uint32_t p = 0; p < ratios->part_count; p++)
        sum += ratios->parts[p].right / ratios->parts[p].all;
    double value = sum / ratios->part_count;
    double low = fmax(bound(ratios, false), 0), high = fmin(bound(ratios, true), 1);
    *figure = (struct tail_figure){ true, value, fmin(low, value), fmax(high, value) };
}

void tail_ratios_figure(struct tail_figure *figure, enum tail_which which, enum score_kind kind,
                        struct tail_rank *ranks, size_t count)
{
    struct ratios ratios = { .which = which,
                             .kind = kind,
                             .ranks = ranks,
                             .count = count,
                             .guard = tail_guard_weight(ranks, count, GUARD_SHARE) };
    sum_up(figure, &ratios);
}
