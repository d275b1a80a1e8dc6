/* report_write: the same figures for programs. */
#include "evaluate/report.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

#define DECIMALS 6

/* CSV */

/* In quotes where a comma, quote or line end makes it needful. */
static void add_csv_text(struct text *text, const char *value)
{
    if (!strpbrk(value, ",\"\r\n")) {
        text_add_str(text, value);
        return;
    }
    text_add(text, "\"", 1);
    for (; *value; value++)
        text_add(text, *value == '"' ? "\"\"" : value, *value == '"' ? 2 : 1);
    text_add(text, "\"", 1);
}

/* With the comma before it. */
static void add_csv_number(struct text *text, double value, bool known)
{
    text_add(text, ",", 1);
    if (known && isinf(value))
        text_add_str(text, value > 0 ? "inf" : "-inf");
    else if (known && !isnan(value))
        text_printf(text, "%.*f", DECIMALS, value);
}

static void add_csv_heads(const struct report *report, struct text *text)
{
    text_add_str(text, "arm,codec,rung,width,height,frames,kbps");
    for (int which = 0; which < SCORE_FIGURE_COUNT; which++)
        text_printf(text, ",%s", score_figure_words[which]);
    text_add_str(text, ",worst_class_name,psnr_db,psnr_capped,ms,versus");
    for (int which = 0; which < SCORE_FIGURE_COUNT; which++) {
        const char *word = score_figure_words[which];
        text_printf(text, ",%s_difference,%s_difference_low,%s_difference_high", word, word, word);
        text_printf(text, ",%s_gain,%s_gain_low,%s_gain_high,%s_verdict", word, word, word, word);
    }
    for (uint32_t c = 0; c < report->class_count; c++) {
        text_add(text, ",", 1);
        add_csv_text(text, report->plan.arms[0]->classes[c]);
    }
    text_add(text, "\n", 1);
}

static void add_csv_comparison(struct text *text, const struct comparison *made, bool known)
{
    add_csv_number(text, made->difference.value, known);
    add_csv_number(text, made->difference.low, known);
    add_csv_number(text, made->difference.high, known);
    add_csv_number(text, made->gain.value, known);
    add_csv_number(text, made->gain.low, known);
    add_csv_number(text, made->gain.high, known);
    text_printf(text, ",%s", known ? interval_verdict(&made->difference) : "");
}

static void add_csv_row(const struct report *report, size_t index, struct text *text)
{
    const struct arm *arm = report->plan.arms[index];
    const struct report_row *row = &report->rows[index];
    size_t versus = report->plan.versus[index];
    add_csv_text(text, arm->name);
    text_add(text, ",", 1);
    add_csv_text(text, arm->codec);
    text_add(text, ",", 1);
    add_csv_text(text, arm->rung);
    text_printf(text, ",%" PRIu32 ",%" PRIu32 ",%zu", arm->width, arm->height, report->frame_count);
    add_csv_number(text, row->kbps, row->kbps > 0);
    for (int which = 0; which < SCORE_FIGURE_COUNT; which++)
        add_csv_number(text, row->figures[which], true);
    text_add(text, ",", 1);
    if (!isnan(row->figures[SCORE_WORST_CLASS]))
        add_csv_text(text, arm->classes[row->worst_class]);
    add_csv_number(text, row->psnr_db, true);
    text_printf(text, ",%zu", row->psnr_capped);
    add_csv_number(text, row->time_ms, true);
    text_add(text, ",", 1);
    add_csv_text(text, versus != index ? report->plan.arms[versus]->name : "");
    for (int which = 0; which < SCORE_FIGURE_COUNT; which++)
        add_csv_comparison(text, &row->comparisons[which], row->compared[which]);
    for (uint32_t c = 0; c < report->class_count; c++)
        add_csv_number(text, row->classes[c], true);
    text_add(text, "\n", 1);
}

void report_add_csv(const struct report *report, struct text *text)
{
    add_csv_heads(report, text);
    for (size_t i = 0; i < report->plan.arm_count; i++)
        add_csv_row(report, i, text);
}

/* JSON */

static void add_json_interval(struct text *text, const char *key, const struct interval *interval)
{
    json_begin_object(text, key);
    json_f64(text, "value", interval->value, DECIMALS);
    json_f64(text, "low", interval->low, DECIMALS);
    json_f64(text, "high", interval->high, DECIMALS);
    json_end_object(text);
}

static void add_json_comparisons(const struct report *report, size_t index, struct text *text)
{
    const struct report_row *row = &report->rows[index];
    size_t versus = report->plan.versus[index];
    if (versus == index)
        return;
    json_str(text, "versus", report->plan.arms[versus]->name);
    json_begin_object(text, "comparisons");
    for (int which = 0; which < SCORE_FIGURE_COUNT; which++) {
        if (!row->compared[which])
            continue;
        json_begin_object(text, score_figure_words[which]);
        json_str(text, "verdict", interval_verdict(&row->comparisons[which].difference));
        add_json_interval(text, "difference", &row->comparisons[which].difference);
        add_json_interval(text, "gain", &row->comparisons[which].gain);
        json_end_object(text);
    }
    json_end_object(text);
}

static void add_json_arm(const struct report *report, size_t index, struct text *text)
{
    const struct arm *arm = report->plan.arms[index];
    const struct report_row *row = &report->rows[index];
    json_begin_object(text, NULL);
    json_str(text, "name", arm->name);
    json_str(text, "codec", arm->codec);
    json_str(text, "rung", arm->rung);
    json_u64(text, "width", arm->width);
    json_u64(text, "height", arm->height);
    json_f64(text, "kbps", row->kbps > 0 ? row->kbps : NAN, DECIMALS);
    for (int which = 0; which < SCORE_FIGURE_COUNT; which++)
        json_f64(text, score_figure_words[which], row->figures[which], DECIMALS);
    if (!isnan(row->figures[SCORE_WORST_CLASS]))
        json_str(text, "worst_class_name", arm->classes[row->worst_class]);
    json_f64(text, "psnr_db", row->psnr_db, DECIMALS);
    json_u64(text, "psnr_capped", row->psnr_capped);
    json_f64(text, "ms", row->time_ms, DECIMALS);
    json_begin_array(text, "classes"); /* in the order of the names above; names may repeat */
    for (uint32_t c = 0; c < report->class_count; c++)
        json_f64(text, NULL, row->classes[c], DECIMALS);
    json_end_array(text);
    add_json_comparisons(report, index, text);
    json_end_object(text);
}

void report_add_json(const struct report *report, struct text *text)
{
    const struct report_plan *plan = &report->plan;
    json_begin_object(text, NULL);
    json_str(text, "title", plan->title);
    json_str(text, "reference", plan->reference);
    json_str(text, "kind", score_kind_words[report->kind]);
    json_u64(text, "frames", report->frame_count);
    json_u64(text, "clips", plan->resampling.clip_count);
    json_u64(text, "block_frames", plan->resampling.block_frames);
    json_u64(text, "draws", INTERVAL_DRAWS);
    json_u64(text, "seed", plan->resampling.seed);
    json_begin_array(text, "classes");
    for (uint32_t c = 0; c < report->class_count; c++)
        json_str(text, NULL, plan->arms[0]->classes[c]);
    json_end_array(text);
    json_str(text, "class_tail_of", plan->arms[plan->baseline]->name);
    json_begin_array(text, "class_tail");
    for (uint32_t i = 0; i < report->tail.count; i++)
        json_str(text, NULL, plan->arms[0]->classes[report->tail.ids[i]]);
    json_end_array(text);
    if (report->unknown[0])
        json_str(text, "unknown", report->unknown);
    json_begin_array(text, "arms");
    for (size_t i = 0; i < plan->arm_count; i++)
        add_json_arm(report, i, text);
    json_end_array(text);
    json_end_object(text);
    text_add(text, "\n", 1);
}
