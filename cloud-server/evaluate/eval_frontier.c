/* eval_frontier: see the header. The plots are in eval_plots.c. */
#include "evaluate/eval_frontier.h"
#include "analyse/restore.h"
#include "evaluate/eval_plots.h"
#include "evaluate/frontier.h"
#include "base/file.h"
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIGURE_COUNT 3u
static const enum score_figure figures[FIGURE_COUNT] = { SCORE_MEAN, SCORE_TAIL90, SCORE_TAIL99 };

/* For the bootstrap: two sets of arms, as a figure of frames. */
struct saving {
    const struct eval_arms *arms;
    const struct report *report;
    enum score_figure figure;
    const struct eval_set *ours, *theirs;
    struct frontier_point *points; /* room for all arms */
};

struct outcome {
    bool known, has_interval;
    struct interval saved; /* value alone where there is no interval */
    char why[ERROR_TEXT_BYTES];
};

static size_t make_sets(const struct eval_config *config, const struct eval_arms *arms,
                        struct eval_set sets[EVAL_SETS_MAX]);
static int compare_sets(struct saving *saving, struct outcome *outcome, struct error *err);
static void add_outcome(const struct saving *saving, const struct outcome *outcome,
                        struct text *text, struct text *last, struct text *json);

int eval_frontiers(const struct eval_config *config, const struct eval_arms *arms,
                   const struct report *report, struct text *text, struct text *last,
                   struct error *err)
{
    struct eval_set sets[EVAL_SETS_MAX];
    size_t set_count = make_sets(config, arms, sets);
    struct text json = { 0 };
    char path[PATH_MAX];
    struct saving saving = { .arms = arms,
                             .report = report,
                             .theirs = &sets[0],
                             .points = calloc(arms->count, sizeof *saving.points) };
    int failed = saving.points ? 0 : error_set(err, ERROR_MEMORY, "report", "no room for frontiers");
    json_begin_array(&json, NULL);
    if (!failed && set_count > 1)
        text_printf(text, "\nbits saved against %s, at equal accuracy (95 %%):\n", sets[0].name);
    for (size_t s = 1; !failed && s < set_count; s++)
        for (size_t f = 0; !failed && f < FIGURE_COUNT; f++) {
            struct outcome outcome = { 0 };
            saving.ours = &sets[s];
            saving.figure = figures[f];
            failed = compare_sets(&saving, &outcome, err);
            if (!failed)
                add_outcome(&saving, &outcome, text, last, &json);
        }
    json_end_array(&json);
    text_add_str(&json, "\n");
    snprintf(path, sizeof path, "%s/bits_saved.json", config->out);
    if (!failed)
        failed = file_write_text(path, &json, err);
    if (!failed)
        failed = eval_plots(config, arms, report, sets, set_count, err);
    text_finish(&json);
    free(saving.points);
    return failed;
}

static struct eval_set make_set(enum video_codec codec, const struct eval_model *model,
                                const struct eval_restore *network)
{
    struct eval_set set = { .codec = codec, .model = model, .network = network ? network->name : NULL };
    snprintf(set.name, sizeof set.name, "%s %s%s%s", eval_codec_words[codec],
             model->name ? model->name : "", model->name ? network ? "+" : " " : "",
             network ? network->name : "without restoration");
    return set;
}

/* The first is what all others are measured against: it stays also without arms. */
static void add_set(const struct eval_arms *arms, struct eval_set set, struct eval_set *sets,
                    size_t *count)
{
    bool any = *count == 0;
    for (size_t i = 0; !any && i < arms->count; i++)
        any = eval_set_has(&set, arms, i);
    if (any)
        sets[(*count)++] = set;
}

/* Files of one name are one network. */
static bool is_new_network(const struct eval_config *config, size_t index)
{
    const struct eval_restore *restore = config->restore_list;
    for (size_t i = 0; i < index; i++)
        if (strcmp(restore[i].name, restore[index].name) == 0)
            return false;
    return restore[index].kind == RESTORE_NETWORK;
}

static size_t make_sets(const struct eval_config *config, const struct eval_arms *arms,
                        struct eval_set sets[EVAL_SETS_MAX])
{
    size_t count = 0;
    for (size_t c = 0; c < config->codecs.count; c++)
        for (size_t m = 0; m < arms->models->count; m++) {
            const struct eval_model *model = &arms->models->items[m];
            add_set(arms, make_set(config->codec_list[c], model, NULL), sets, &count);
            for (size_t r = 0; r < config->restore.count; r++)
                if (is_new_network(config, r))
                    add_set(arms, make_set(config->codec_list[c], model, &config->restore_list[r]),
                            sets, &count);
        }
    return count;
}

bool eval_set_has(const struct eval_set *set, const struct eval_arms *arms, size_t arm)
{
    const struct eval_restore *restore = arms->items[arm].restore;
    if (arms->rungs[arms->items[arm].rung].codec != set->codec || arms->items[arm].model != set->model)
        return false;
    return set->network ? strcmp(restore->name, set->network) == 0 : restore->kind != RESTORE_NETWORK;
}

/* The frontier of a set over the frames that a draw has. */
static int make_frontier(const struct saving *saving, const struct eval_set *set,
                         const uint32_t *frames, size_t count, double *scratch,
                         struct frontier *frontier, struct error *err)
{
    size_t point_count = 0;
    for (size_t i = 0; i < saving->arms->count; i++) {
        const struct arm *arm = saving->arms->items[i].result;
        const struct score_statistic statistic = { arm->scores, saving->figure,
                                                   &saving->report->tail };
        if (!eval_set_has(set, saving->arms, i))
            continue;
        double accuracy = scores_figure(&statistic, frames, count, scratch);
        if (!isnan(accuracy))
            saving->points[point_count++] = (struct frontier_point){ arm_kbps(arm), accuracy };
    }
    return frontier_init(frontier, saving->points, point_count, err);
}

static int bits_saved(const struct saving *saving, const uint32_t *frames, size_t count,
                      double *scratch, double *saved, struct error *err)
{
    struct frontier ours = { 0 }, theirs = { 0 };
    int failed = make_frontier(saving, saving->ours, frames, count, scratch, &ours, err);
    if (!failed)
        failed = make_frontier(saving, saving->theirs, frames, count, scratch, &theirs, err);
    if (!failed)
        failed = frontier_bits_saved(&ours, &theirs, saved, err);
    frontier_finish(&ours);
    frontier_finish(&theirs);
    return failed;
}

static double saved_in_draw(const void *context, const uint32_t *frames, size_t count, double *scratch)
{
    double saved;
    return bits_saved(context, frames, count, scratch, &saved, NULL) == 0 ? saved : NAN;
}

/* What cannot be known stays so, with the reason; only want of memory is an error. */
static int compare_sets(struct saving *saving, struct outcome *outcome, struct error *err)
{
    const struct report *report = saving->report;
    struct error cause = { 0 };
    double *scratch = calloc(report->frame_count, sizeof *scratch);
    int failed = scratch ? bits_saved(saving, NULL, report->frame_count, scratch,
                                      &outcome->saved.value, &cause)
                         : error_set(&cause, ERROR_MEMORY, "report", "no room for frontiers");
    free(scratch);
    if (!failed) {
        outcome->known = true;
        failed =
            interval_of(&report->plan.resampling, saved_in_draw, saving, &outcome->saved, &cause);
        outcome->has_interval = !failed;
    }
    if (failed == -ERROR_MEMORY)
        return error_set(err, ERROR_MEMORY, "report", "%s", cause.text);
    memcpy(outcome->why, cause.text, sizeof cause.text);
    return 0;
}

static void add_last(const struct saving *saving, const struct outcome *outcome, struct text *last)
{
    const struct eval_set *set = saving->ours;
    const char *model = set->model->name;
    text_printf(last, " bits_saved_%s_%s", score_figure_words[saving->figure],
                eval_codec_words[set->codec]);
    text_printf(last, "%s%s", model ? "_" : "", model ? model : "");
    text_printf(last, "%s%s=", set->network ? model ? "+" : "_" : "",
                set->network ? set->network : "");
    if (outcome->known)
        text_printf(last, "%.3f", outcome->saved.value);
    else
        text_add_str(last, "unknown");
}

static void add_outcome(const struct saving *saving, const struct outcome *outcome,
                        struct text *text, struct text *last, struct text *json)
{
    const struct interval *saved = &outcome->saved;
    const char *word = score_figure_words[saving->figure];
    bool said = strcmp(outcome->why, saving->report->unknown) == 0; /* below the tables */
    text_printf(text, "  %-40s %-7s ", saving->ours->name, word);
    if (!outcome->known)
        text_printf(text, "unknown: %s\n", outcome->why);
    else if (!outcome->has_interval)
        text_printf(text, "%+.1f %%, interval unknown%s%s\n", 100 * saved->value, said ? "" : ": ",
                    said ? "" : outcome->why);
    else
        text_printf(text, "%+.1f %% (%+.1f .. %+.1f %%)\n", 100 * saved->value, 100 * saved->low,
                    100 * saved->high);
    add_last(saving, outcome, last);
    json_begin_object(json, NULL);
    json_str(json, "ours", saving->ours->name);
    json_str(json, "theirs", saving->theirs->name);
    json_str(json, "figure", word);
    if (outcome->known)
        json_f64(json, "saved", saved->value, 6);
    if (outcome->has_interval) {
        json_f64(json, "low", saved->low, 6);
        json_f64(json, "high", saved->high, 6);
    } else {
        json_str(json, "unknown", outcome->why);
    }
    json_end_object(json);
}
