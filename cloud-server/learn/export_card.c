/* export_card: what is said of a model that was trained here. */
#include "learn/export.h"

#include "analyse/card.h"
#include <math.h>

/* Areas from here on are expected. Those of other classes may be twice as large. */
#define SHARE_MIN 0.01

/* As JSON, which is YAML too. */
static void add_quoted(struct text *text, const char *value)
{
    struct text quoted = { 0 };
    json_str(&quoted, NULL, value);
    text->failed |= quoted.failed;
    text_add(text, quoted.data ? quoted.data : "", quoted.size);
    text_finish(&quoted);
}

/* Where labels are no labels but answers. */
static void add_golden(struct text *text, const struct train *train, const struct samples_set *set)
{
    size_t count = train_golden_count(set);
    if (count > 0)
        text_printf(text, " (labels of %zu of them: answers of the golden model %s)", count,
                    train->golden->name);
}

/* What was measured last; a training of no epoch measures nothing. */
static void add_accuracy(struct text *text, const struct train *train)
{
    const struct train_history *history = &train->history;
    const char *separator = "; ";
    for (size_t f = 0; history->count > 0 && f < TRAIN_FIGURES; f++) {
        double figure = history->rows[history->count - 1].figures[f];
        if (!isfinite(figure))
            continue;
        text_printf(text, "%s%s %.3f", separator, train_figure_name(train, f), figure);
        separator = ", ";
    }
    if (*separator == ',')
        text_printf(text, " on %zu pictures of %s", train->measured->count,
                    train->measured == &train->validated ? train->config->validation.pictures
                    : train->learnt_count > 1            ? "the same sets, held back"
                                                         : "the same set, held back");
    if (*separator == ',')
        add_golden(text, train, train->measured);
}

static void add_summary(struct text *text, const struct train *train)
{
    const struct train_config *config = train->config;
    const struct samples_damage *damage = &config->damage;
    if (config->task == TRAIN_SUPERRES)
        text_printf(text, "%s network that restores x%u, from %ux%u sent at %u to %u kbit/s",
                    net_size_words[config->size], damage->factor, train->net_width,
                    train->net_height, damage->bitrate_min_kbps, damage->bitrate_max_kbps);
    else
        text_printf(text, "%s network for %ux%u", net_size_words[config->size], config->width,
                    config->height);
    for (uint32_t i = 0; i < damage->drawn_count; i++)
        text_printf(text, "%s%u",
                    i > 0 ? ", " : " that learnt from pictures sent with sides less by ",
                    damage->drawn[i]);
    if (damage->drawn_count > 0)
        text_printf(text, " at %u to %u kbit/s", damage->bitrate_min_kbps, damage->bitrate_max_kbps);
    if (*config->analytics.model)
        text_printf(text, " for %s", train->analytics.card->name);
    text_printf(text, ", trained on %zu pictures of %s", train->learnt.count, config->data.pictures);
    if (train->learnt_count > 1)
        text_printf(text, " and %zu more set%s", train->learnt_count - 1,
                    train->learnt_count > 2 ? "s" : "");
    add_golden(text, train, &train->learnt);
    text_printf(text, " (licence of the data: %s)",
                *config->model.licence ? config->model.licence : "not given");
    text_printf(text, ", %llu steps of %u, seed %u, program of commit %s",
                (unsigned long long)train->steps, config->batch, config->seed, RUNESPOOR_COMMIT);
    add_accuracy(text, train);
    if (*config->model.note)
        text_printf(text, "; %s", config->model.note);
}

static void add_expectations(struct text *text, const struct train *train,
                             const struct analysis *analysis)
{
    if (!analysis) {
        text_add_str(text, "    - {class: ");
        add_quoted(text, train->class_names[0]);
        text_add_str(text, ", share: 1, tolerance: 1}\n");
    }
    for (uint32_t i = 0; analysis && i < analysis->area_count; i++) {
        const struct analysis_area *area = &analysis->areas[i];
        if ((double)area->share < SHARE_MIN)
            continue;
        text_add_str(text, "    - {class: ");
        add_quoted(text, train->class_names[area->class_id]);
        text_printf(text, ", share: %.4f}\n", (double)area->share);
    }
}

void export_write_card(struct text *text, const struct train *train, const char *sample,
                       const struct analysis *analysis)
{
    const struct train_config *config = train->config;
    struct text summary = { 0 };
    add_summary(&summary, train);
    text->failed |= summary.failed;
    text_printf(text, "# Written by `cloud-server train`; " EXPORT_PAGE " has the recipe.\nname: ");
    add_quoted(text, config->model.name);
    text_add_str(text, "\nfile: ");
    text_printf(text, "%s.onnx\ndescription: ", config->model.name);
    add_quoted(text, summary.failed ? "" : summary.data);
    text_add_str(text, "\nlicence: ");
    add_quoted(text, config->model.licence);
    text_add_str(text, "\nclasses: [");
    for (uint32_t k = 0; k < train->class_count; k++) {
        text_add_str(text, k > 0 ? ", " : "");
        add_quoted(text, train->class_names[k]);
    }
    text_printf(text, "]\n\ninput:\n  width: %u\n  height: %u\n", config->width, config->height);
    text_add_str(text, "  layout: nchw\n  colour: rgb\n  fit: stretch\n  divisor: 255\n\n");
    text_printf(text, "head:\n  kind: segment\n  outputs: [%s]\n\n", train_ops(train)->output);
    text_printf(text, "precision: %s\n\n", precision_word((enum precision)config->precision));
    text_printf(text, "# Found by the network itself.\nsample:\n  picture: %s\n  expect:\n", sample);
    add_expectations(text, train, analysis);
    text_finish(&summary);
}

void export_write_page(struct text *text, const struct train *train)
{
    text_printf(text, "# %s\n\nA ", train->config->model.name);
    add_summary(text, train);
    text_printf(
        text,
        ".\n\nWritten by `cloud-server train`. What it was given, without the names of files "
        "to write:\n\n```yaml\n%s```\n\nHow it went: step, mean loss, rate",
        train->config->recipe);
    for (size_t f = 0; f < TRAIN_FIGURES && train_figure_name(train, f); f++)
        text_printf(text, ", %s", train_figure_name(train, f));
    text_add_str(text, ".\n\n```\n");
    for (size_t i = 0; i < train->history.count; i++) {
        const struct train_row *row = &train->history.rows[i];
        text_printf(text, "%8llu", (unsigned long long)row->step);
        if (isfinite(row->loss))
            text_printf(text, "  %.4f  %.3g", row->loss, row->rate);
        else
            text_add_str(text, "  at first");
        for (size_t f = 0; f < TRAIN_FIGURES; f++)
            if (isfinite(row->figures[f]))
                text_printf(text, "  %.4f", row->figures[f]);
        text_add_str(text, "\n");
    }
    text_add_str(text, "```\n");
}
