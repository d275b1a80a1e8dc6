/* tail_figures: see the header. Everything but a tail is a mean of ratios of sums (struct ratios), and
 * one function bounds them all. */
#include "control/tail_figures.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHANCE 0.05 /* that an interval misses */
#define NORMAL_975 1.959963984540054
#define GUARD_SHARES 5   /* the added frame's weight: from this many times the share of a tail */
#define GUARD_PROBES 10u /* and from no fewer */
#define SHARE_SLACK 1e-9 /* sums of a million weights are off by less, and whole ranks by more */
#define CHANCE_NONE 1e-9 /* from such a rank on there is nothing to look for */
/* Beta's skewness is 0.02 where frames * mean * (1 - mean) is so much, and what a normal distribution is
 * off by a hundredth of its deviation. */
#define NORMAL_FROM 1e4
#define FAR_EXPONENT 40.0        /* a chance below e^-40 is none */
#define FRACTION_TERMS_MAX 10000 /* some times the root of the number of frames are needed */
#define FRACTION_TINY 1e-300
#define FRACTION_EXACT 1e-14
#define QUANTILE_STEPS 50
#define NO_PART UINT16_MAX

const char *const tail_figure_words[TAIL_FIGURE_COUNT] = {
#define X(name, word, probes_min, meaning) word,
    TAIL_FIGURES(X)
#undef X
};

static const size_t figure_probes_min[TAIL_FIGURE_COUNT] = {
#define X(name, word, probes_min, meaning) probes_min,
    TAIL_FIGURES(X)
#undef X
};

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
    const struct tail_sample *samples;
    size_t count;
    double guard; /* weight of the frame that is added */
    uint32_t part_count;
    struct part parts[SCORE_CLASSES_MAX];
    uint16_t part_of[SCORE_CLASSES_MAX]; /* of a class; NO_PART: of none */
};

static int check_samples(const struct tail_sample *samples, size_t count, struct error *err);
static int compare_ranks(const void *left, const void *right);
static double guard_weight(const struct tail_rank *ranks, size_t count, double share);
static void make_tail(struct tail_figure *figure, struct tail_rank *ranks, size_t count,
                      unsigned percent);
static void make_ratios(struct tail_figure *figure, struct ratios *ratios);

int tail_sample_check(const struct tail_sample *sample, uint32_t class_count, struct error *err)
{
    assert(class_count <= SCORE_CLASSES_MAX);
    if (!(sample->accuracy >= 0 && sample->accuracy <= 1))
        return error_set(err, ERROR_FORMAT, "accuracy", "%g is outside 0..1", sample->accuracy);
    if (!(sample->weight >= 1 && sample->weight <= TAIL_WEIGHT_MAX))
        return error_set(err, ERROR_FORMAT, "weight", "%g is outside 1..%g", sample->weight,
                         TAIL_WEIGHT_MAX);
    for (size_t i = 0; i < sample->class_count; i++)
        if (sample->classes[i].class_id >= class_count)
            return error_set(err, ERROR_FORMAT, "class", "%u is none of %u classes",
                             sample->classes[i].class_id, class_count);
    return 0;
}

int tail_figures_make(struct tail_figures *figures, enum score_kind kind,
                      const struct tail_sample *samples, size_t count, struct tail_rank *scratch,
                      struct error *err)
{
    struct tail_figures made = { .probes = count };
    int failed = check_samples(samples, count, err);
    if (failed)
        return failed;
    for (size_t i = 0; i < count; i++)
        scratch[i] = (struct tail_rank){ samples[i].accuracy, samples[i].weight, 0, 0 };
    if (count > 0)
        qsort(scratch, count, sizeof *scratch, compare_ranks);
    for (int w = 0; w < TAIL_FIGURE_COUNT; w++) {
        enum tail_which which = (enum tail_which)w;
        struct tail_figure *figure = &made.figure[which];
        if (count < figure_probes_min[which])
            continue;
        if (which == TAIL_TAIL90 || which == TAIL_TAIL99) {
            make_tail(figure, scratch, count, which == TAIL_TAIL90 ? 90 : 99);
            continue;
        }
        struct ratios ratios = { .which = which, .kind = kind, .samples = samples, .count = count };
        ratios.guard = guard_weight(scratch, count, 0.1);
        make_ratios(figure, &ratios);
    }
    *figures = made;
    return 0;
}

static int check_samples(const struct tail_sample *samples, size_t count, struct error *err)
{
    if (count > TAIL_SAMPLES_MAX)
        return error_set(err, ERROR_LIMIT, "tail", "%zu probes; at most %u are looked at", count,
                         TAIL_SAMPLES_MAX);
    for (size_t i = 0; i < count; i++)
        if (tail_sample_check(&samples[i], SCORE_CLASSES_MAX, err) < 0)
            return error_wrap(err, "probe %zu", i);
    return 0;
}

/* Equal accuracies by their weight, so that samples may come in any order. */
static int compare_ranks(const void *left, const void *right)
{
    const struct tail_rank *a = left, *b = right;
    int order = (a->accuracy > b->accuracy) - (a->accuracy < b->accuracy);
    return order ? order : (a->weight > b->weight) - (a->weight < b->weight);
}

/* What a frame weighs on average, of all frames and not of all samples, among the lowest. */
static double guard_weight(const struct tail_rank *ranks, size_t count, double share)
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

/* Beta's distribution, as that of a share known from a number of equal frames */

static double not_zero(double value)
{
    return fabs(value) < FRACTION_TINY ? FRACTION_TINY : value;
}

/* The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method. */
static double beta_fraction(double a, double b, double x)
{
    double upper = 1, lower = 1 / not_zero(1 - (a + b) * x / (a + 1)), value = lower, change = 0;
    for (int m = 1; m < FRACTION_TERMS_MAX && fabs(change - 1) > FRACTION_EXACT; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        lower = 1 / not_zero(1 + even * lower);
        upper = not_zero(1 + even / upper);
        value *= lower * upper;
        lower = 1 / not_zero(1 + odd * lower);
        upper = not_zero(1 + odd / upper);
        change = lower * upper;
        value *= change;
    }
    return value;
}

/* The chance that a share is below x, mean and frames (a weighted number) being what is known of it;
 * sums of the binomial distribution are values of this function. */
static double beta_below(double mean, double frames, double x)
{
    double a = mean * frames, b = (1 - mean) * frames;
    double far = a * log(mean / x) + b * (log1p(-mean) - log1p(-x)); /* Chernoff's exponent */
    int sign;
    if (far > FAR_EXPONENT)
        return x < mean ? 0 : 1;
    double factor = exp(lgamma_r(a + b, &sign) - lgamma_r(a, &sign) - lgamma_r(b, &sign) +
                        a * log(x) + b * log1p(-x));
    if (x * (a + b + 2) < a + 1)
        return factor * beta_fraction(a, b, x) / a;
    return 1 - factor * beta_fraction(b, a, 1 - x) / b;
}

static double beta_quantile(double mean, double variance, bool high)
{
    double frames = mean * (1 - mean) / variance, left = 0, right = 1;
    if (frames * mean * (1 - mean) > NORMAL_FROM)
        return mean + (high ? NORMAL_975 : -NORMAL_975) * sqrt(variance);
    for (int i = 0; i < QUANTILE_STEPS; i++) {
        double middle = (left + right) / 2;
        bool below = beta_below(mean, frames, middle) < (high ? 1 - CHANCE / 2 : CHANCE / 2);
        *(below ? &left : &right) = middle;
    }
    return (left + right) / 2;
}

/* Tails */

/* Sums over weights and over their squares. */
struct weights {
    double sum, squares;
};

static struct weights weights_plus(struct weights weights, double weight)
{
    return (struct weights){ weights.sum + weight, weights.squares + weight * weight };
}

/* The chance that frames below a limit are less than that share of all, by the samples on either side. */
static double chance_below(struct weights below, struct weights above, double share)
{
    if (below.sum <= 0)
        return 1;
    double all = below.sum + above.sum, mean = below.sum / all;
    double variance =
        ((1 - mean) * (1 - mean) * below.squares + mean * mean * above.squares) / (all * all);
    return beta_below(mean, mean * (1 - mean) / variance, share);
}

/* ranks[k]: where the lowest k samples are those below a limit, the chances that the share or more of all
 * frames is below it (they were too few) and that less is (too many). Gives how many ranks were filled:
 * from there on nothing is too few. */
static size_t fill_chances(struct tail_rank *ranks, size_t count, double share)
{
    struct weights below = { 0 }, above = { 0 };
    double guard = guard_weight(ranks, count, share);
    for (size_t k = count; k-- > 0;) { /* at first: sums from there on */
        above = weights_plus(above, ranks[k].weight);
        ranks[k].too_few = above.sum;
        ranks[k].too_many = above.squares;
    }
    for (size_t k = 0; k < count; k++) {
        above = (struct weights){ ranks[k].too_few, ranks[k].too_many };
        ranks[k].too_few = 1 - chance_below(weights_plus(below, guard), above, share);
        ranks[k].too_many = chance_below(below, weights_plus(above, guard), share);
        if (ranks[k].too_many < CHANCE_NONE)
            return k + 1;
        below = weights_plus(below, ranks[k].weight);
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
    return ranks[k].accuracy;
}

static void make_tail(struct tail_figure *figure, struct tail_rank *ranks, size_t count,
                      unsigned percent)
{
    double share = (100 - percent) / 100.0, value = value_at(ranks, count, share);
    size_t filled = fill_chances(ranks, count, share);
    struct rank_pair pair = choose_ranks(ranks, filled);
    double low = pair.low > 0 ? ranks[pair.low - 1].accuracy : 0;
    double high = pair.high < filled ? ranks[pair.high - 1].accuracy : 1;
    *figure = (struct tail_figure){ true, value, fmin(low, value), fmax(high, value) };
}

/* Means of ratios */

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
        const struct tail_sample *sample = &ratios->samples[s];
        for (size_t i = 0; i < terms_of(ratios, sample); i++) {
            struct term term = term_of(ratios, sample, i);
            struct part *part = &ratios->parts[term.part];
            part->right += sample->weight * term.right;
            part->all += sample->weight * term.all;
            part->weight += term.all > 0 ? sample->weight : 0;
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
    return sample->weight * pull / ratios->part_count;
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
    for (size_t s = 0; s < ratios->count; s++) {
        double pull = pull_of(ratios, &ratios->samples[s], added);
        variance += pull * pull;
    }
    return beta_quantile(mean, variance, high);
}

static void make_ratios(struct tail_figure *figure, struct ratios *ratios)
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
