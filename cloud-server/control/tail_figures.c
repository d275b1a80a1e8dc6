/* tail_figures: see the header. */
#include "control/tail_parts.h"
#include <assert.h>

/* From so many samples in a tail on, on average, groups make its interval narrower: before that their unequal
 * weights cost it its low end. */
#define GROUPED_TAIL_PROBES 6

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

/* Of frames below it; 0: no tail of frames. */
static const double tail_shares[TAIL_FIGURE_COUNT] = { [TAIL_TAIL90] = 0.1, [TAIL_TAIL99] = 0.01 };

static int check_samples(const struct tail_sample *samples, size_t count, struct error *err);

int tail_sample_check(const struct tail_sample *sample, uint32_t class_count, struct error *err)
{
    assert(class_count <= SCORE_CLASSES_MAX);
    if (!(sample->accuracy >= 0 && sample->accuracy <= 1))
        return error_set(err, ERROR_FORMAT, "accuracy", "%g is outside 0..1", sample->accuracy);
    if (!(sample->weight >= 1 && sample->weight <= TAIL_WEIGHT_MAX))
        return error_set(err, ERROR_FORMAT, "weight", "%g is outside 1..%g", sample->weight,
                         TAIL_WEIGHT_MAX);
    if (!(sample->uncertainty_rank >= 0 && sample->uncertainty_rank <= 1))
        return error_set(err, ERROR_FORMAT, "uncertainty_rank", "%g is outside 0..1",
                         sample->uncertainty_rank);
    for (size_t i = 0; i < sample->class_count; i++)
        if (sample->classes[i].class_id >= class_count)
            return error_set(err, ERROR_FORMAT, "class", "%u is none of %u classes",
                             sample->classes[i].class_id, class_count);
    return 0;
}

static void make_figure(struct tail_figures *figures, enum tail_which which, enum score_kind kind,
                        struct tail_rank *ranks)
{
    struct tail_figure *figure = &figures->figure[which];
    if (which == TAIL_TAIL90 || which == TAIL_TAIL99)
        tail_ranks_figure(figure, ranks, figures->probes, tail_shares[which]);
    else
        tail_ratios_figure(figure, which, kind, ranks, figures->probes);
}

/* Whether groups serve a figure of so many samples. */
static bool takes_groups(enum tail_which which, size_t count)
{
    return tail_shares[which] <= 0 || (double)count * tail_shares[which] >= GROUPED_TAIL_PROBES;
}

int tail_figures_make(struct tail_figures *figures, enum score_kind kind,
                      const struct tail_sample *samples, size_t count, struct tail_rank *scratch,
                      struct error *err)
{
    struct tail_figures made = { .probes = count };
    int failed = check_samples(samples, count, err);
    if (failed)
        return failed;
    const size_t groups = tail_groups_count(samples, count);
    for (int grouped = 0; grouped < 2 && count > 0; grouped++) {
        tail_groups_make(scratch, samples, count, grouped ? groups : 1);
        for (int w = 0; w < TAIL_FIGURE_COUNT; w++) {
            enum tail_which which = (enum tail_which)w;
            if (count >= figure_probes_min[which] && takes_groups(which, count) == (grouped > 0))
                make_figure(&made, which, kind, scratch);
        }
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
