/* intervals: the blocks are laid out once; a draw is a list of frame indices made of whole blocks. */
#include "evaluate/intervals.h"
#include "base/random.h"
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#define TAIL_SHARE_INVERSE 40u /* 2.5 % of draws are cut off at each end */

struct block {
    uint32_t first, count;
};

struct draws {
    struct random_state random;
    struct block *blocks; /* to choose from: pieces of clips, or all places in one clip */
    size_t block_count;
    size_t drawn_count; /* blocks in a draw */
    size_t all_frames;
    size_t frames_max; /* a draw is cut at this many */
    uint32_t *frames;  /* of the present draw */
    size_t frame_count;
    double *scratch;
};

static int count_blocks(const struct resampling *resampling, size_t *frames, size_t *pieces,
                        struct error *err);
static int open_draws(struct draws *draws, const struct resampling *resampling, struct error *err);
static void close_draws(struct draws *draws);
static void draw(struct draws *draws);
static int make_interval(double *values, size_t count, double value, struct interval *interval,
                         struct error *err);
static double gain_of(double baseline, double arm);

int resampling_check(const struct resampling *resampling, struct error *err)
{
    size_t frames, pieces;
    return count_blocks(resampling, &frames, &pieces, err);
}

int interval_compare(const struct resampling *resampling, statistic_fn *figure, const void *baseline,
                     const void *arm, struct comparison *comparison, struct error *err)
{
    double differences[INTERVAL_DRAWS], gains[INTERVAL_DRAWS];
    struct draws draws;
    struct comparison made;
    size_t defined = 0;
    int rc = open_draws(&draws, resampling, err);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < INTERVAL_DRAWS; i++) {
        draw(&draws);
        double before = figure(baseline, draws.frames, draws.frame_count, draws.scratch);
        double after = figure(arm, draws.frames, draws.frame_count, draws.scratch);
        if (isnan(before) || isnan(after))
            continue;
        differences[defined] = after - before;
        gains[defined++] = gain_of(before, after);
    }
    double before = figure(baseline, NULL, draws.all_frames, draws.scratch);
    double after = figure(arm, NULL, draws.all_frames, draws.scratch);
    close_draws(&draws);
    rc = make_interval(differences, defined, after - before, &made.difference, err);
    if (rc == 0)
        rc = make_interval(gains, defined, gain_of(before, after), &made.gain, err);
    if (rc == 0)
        *comparison = made;
    return rc;
}

int interval_of(const struct resampling *resampling, statistic_fn *figure, const void *context,
                struct interval *interval, struct error *err)
{
    double values[INTERVAL_DRAWS];
    struct draws draws;
    size_t defined = 0;
    int rc = open_draws(&draws, resampling, err);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < INTERVAL_DRAWS; i++) {
        draw(&draws);
        values[defined] = figure(context, draws.frames, draws.frame_count, draws.scratch);
        if (!isnan(values[defined]))
            defined++;
    }
    double value = figure(context, NULL, draws.all_frames, draws.scratch);
    close_draws(&draws);
    return make_interval(values, defined, value, interval, err);
}

const char *interval_verdict(const struct interval *difference)
{
    return difference->low > 0 ? "better" : difference->high < 0 ? "worse" : "unclear";
}

static size_t pieces_of(size_t clip_frames, size_t block_frames)
{
    return clip_frames / block_frames + (clip_frames % block_frames != 0);
}

/* Blocks that do not overlap, which is what an interval rests on. */
static int count_blocks(const struct resampling *resampling, size_t *frames, size_t *pieces,
                        struct error *err)
{
    assert(resampling->clip_count > 0 && resampling->block_frames > 0);
    size_t block_frames = resampling->block_frames;
    *frames = *pieces = 0;
    for (size_t i = 0; i < resampling->clip_count; i++) {
        size_t clip_frames = resampling->clip_frames[i];
        assert(clip_frames > 0);
        if (clip_frames > INTERVAL_FRAMES_MAX - *frames)
            return error_set(err, ERROR_LIMIT, "interval", "more than %u frames",
                             INTERVAL_FRAMES_MAX);
        *frames += clip_frames;
        *pieces += pieces_of(clip_frames, block_frames);
    }
    size_t apart = resampling->clip_count == 1 ? *frames / block_frames : *pieces;
    if (apart < INTERVAL_BLOCKS_MIN)
        return error_set(err, ERROR_UNSUPPORTED, "interval",
                         "%zu frames make only %zu blocks of %zu frames; %u are needed: take more "
                         "frames or shorter blocks",
                         *frames, apart, block_frames, INTERVAL_BLOCKS_MIN);
    return 0;
}

/* Every place in the one clip where a whole block fits. */
static void lay_moving_blocks(struct draws *draws, size_t block_frames)
{
    for (size_t i = 0; i < draws->block_count; i++)
        draws->blocks[i] = (struct block){ (uint32_t)i, (uint32_t)block_frames };
}

/* Pieces of a clip differ in length by one frame at most. */
static void lay_pieces(struct draws *draws, const struct resampling *resampling)
{
    size_t first = 0, at = 0;
    for (size_t clip = 0; clip < resampling->clip_count; clip++) {
        size_t clip_frames = resampling->clip_frames[clip];
        size_t pieces = pieces_of(clip_frames, resampling->block_frames);
        for (size_t i = 0; i < pieces; i++) {
            size_t from = clip_frames * i / pieces, to = clip_frames * (i + 1) / pieces;
            draws->blocks[at++] = (struct block){ (uint32_t)(first + from), (uint32_t)(to - from) };
        }
        first += clip_frames;
    }
}

static size_t longest_block(const struct resampling *resampling)
{
    size_t longest = 0;
    for (size_t i = 0; i < resampling->clip_count; i++)
        if (resampling->clip_frames[i] > longest)
            longest = resampling->clip_frames[i];
    return longest < resampling->block_frames ? longest : resampling->block_frames;
}

static int open_draws(struct draws *draws, const struct resampling *resampling, struct error *err)
{
    size_t frames, pieces, block_frames = resampling->block_frames;
    int rc = count_blocks(resampling, &frames, &pieces, err);
    if (rc < 0)
        return rc;
    bool moving = resampling->clip_count == 1;
    *draws = (struct draws){ .block_count = moving ? frames - block_frames + 1 : pieces,
                             .drawn_count = pieces,
                             .all_frames = frames };
    /* Pieces are drawn whole: a draw of the longest ones has more frames than there are. */
    draws->frames_max = moving ? frames : pieces * longest_block(resampling);
    assert(draws->block_count > 0 && draws->frames_max > 0);
    draws->blocks = calloc(draws->block_count, sizeof *draws->blocks);
    draws->frames = calloc(draws->frames_max, sizeof *draws->frames);
    draws->scratch = calloc(draws->frames_max, sizeof *draws->scratch);
    if (!draws->blocks || !draws->frames || !draws->scratch) {
        close_draws(draws);
        return error_set(err, ERROR_MEMORY, "interval", "no room for %zu frames", frames);
    }
    if (moving)
        lay_moving_blocks(draws, block_frames);
    else
        lay_pieces(draws, resampling);
    random_seed(&draws->random, resampling->seed);
    return 0;
}

static void close_draws(struct draws *draws)
{
    free(draws->blocks);
    free(draws->frames);
    free(draws->scratch);
}

static void draw(struct draws *draws)
{
    draws->frame_count = 0;
    for (size_t i = 0; i < draws->drawn_count; i++) {
        uint64_t chosen = random_next_u64(&draws->random) % draws->block_count;
        struct block block = draws->blocks[chosen];
        for (uint32_t k = 0; k < block.count && draws->frame_count < draws->frames_max; k++)
            draws->frames[draws->frame_count++] = block.first + k;
    }
}

static double gain_of(double baseline, double arm)
{
    if (baseline > 0)
        return arm / baseline - 1;
    return arm > 0 ? INFINITY : 0;
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static int make_interval(double *values, size_t count, double value, struct interval *interval,
                         struct error *err)
{
    if (isnan(value))
        return error_set(err, ERROR_UNSUPPORTED, "interval",
                         "the figure is not defined over these frames");
    size_t undefined = INTERVAL_DRAWS - count;
    if (undefined * 100 > (size_t)INTERVAL_UNDEFINED_PERCENT_MAX * INTERVAL_DRAWS)
        return error_set(err, ERROR_UNSUPPORTED, "interval",
                         "the figure is not defined in %zu of %u draws, as what it is about is in "
                         "too few blocks",
                         undefined, INTERVAL_DRAWS);
    qsort(values, count, sizeof *values, compare_doubles);
    size_t cut = count / TAIL_SHARE_INVERSE;
    *interval = (struct interval){ value, values[cut], values[count - 1 - cut] };
    return 0;
}
