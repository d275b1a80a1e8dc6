/* report_table: the tables for people. Cells are written one after the other, with a tab behind each
 * and a newline behind the last of a row; then columns are made as wide as their widest cell. */
#include "evaluate/report.h"
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define COLUMNS_MAX (SCORE_CLASSES_MAX + 16u)
#define CELL_BYTES_MAX 64u /* longer names are cut */
#define COLUMN_GAP "  "

static void add_cell(struct text *cells, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Names come from outside: what would move the cursor becomes a question mark. */
static void add_clean(struct text *text, const char *str)
{
    size_t size = strlen(str);
    for (size_t at = 0; at < size;) {
        size_t bytes = text_utf8_bytes(str + at, size - at);
        if (bytes > 0 && (unsigned char)str[at] >= 0x20 && str[at] != 0x7f)
            text_add(text, str + at, bytes);
        else
            text_add(text, "?", 1);
        at += bytes ? bytes : 1;
    }
}

static void add_cell(struct text *cells, const char *format, ...)
{
    char cell[CELL_BYTES_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(cell, sizeof cell, format, args);
    va_end(args);
    add_clean(cells, cell);
    text_add(cells, "\t", 1);
}

/* As "-" where there is no number. */
static void add_number(struct text *cells, double value, int decimals)
{
    if (isnan(value))
        add_cell(cells, "-");
    else
        add_cell(cells, "%.*f", decimals, value);
}

static void end_row(struct text *cells)
{
    text_add(cells, "\n", 1);
}

static size_t letters_of(const char *cell, size_t bytes)
{
    size_t letters = 0;
    for (size_t i = 0; i < bytes; i++)
        letters += ((unsigned char)cell[i] & 0xc0) != 0x80;
    return letters;
}

static void add_spaces(struct text *text, size_t count)
{
    while (count-- > 0)
        text_add(text, " ", 1);
}

/* The first left_count columns are words and stand left, the others are numbers and stand right. */
static void add_aligned(struct text *text, const struct text *cells, size_t left_count)
{
    size_t widths[COLUMNS_MAX] = { 0 };
    for (int pass = 0; pass < 2; pass++) {
        size_t column = 0;
        for (const char *at = cells->data, *end; *at; at = end + 1) {
            if (*at == '\n') {
                text_add_str(text, pass == 1 ? "\n" : "");
                column = 0;
                end = at;
                continue;
            }
            end = strchr(at, '\t');
            size_t bytes = (size_t)(end - at), letters = letters_of(at, bytes);
            if (pass == 0) {
                widths[column] = letters > widths[column] ? letters : widths[column];
            } else {
                bool left = column < left_count, last = end[1] == '\n';
                text_add_str(text, column > 0 ? COLUMN_GAP : "");
                add_spaces(text, left ? 0 : widths[column] - letters);
                text_add(text, at, bytes);
                add_spaces(text, left && !last ? widths[column] - letters : 0);
            }
            column++;
        }
    }
}

static void add_table(struct text *text, struct text *cells, size_t left_count)
{
    if (cells->failed)
        text->failed = true;
    else if (cells->size > 0)
        add_aligned(text, cells, left_count);
    text_clear(cells);
}

static void add_heads(struct text *cells, const char *const *heads, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add_cell(cells, "%s", heads[i]);
    end_row(cells);
}

static void add_figures(const struct report *report, struct text *cells)
{
    static const char *const heads[] = { "arm",     "codec",      "rung",          "worst class",
                                         "size",    "kbit/s",     "mean",          "tail90",
                                         "tail99",  "class tail", "worst quarter", "worst class",
                                         "PSNR dB", "ms" };
    add_heads(cells, heads, sizeof heads / sizeof *heads);
    for (size_t i = 0; i < report->plan.arm_count; i++) {
        const struct arm *arm = report->plan.arms[i];
        const struct report_row *row = &report->rows[i];
        bool has_worst = !isnan(row->figures[SCORE_WORST_CLASS]);
        add_cell(cells, "%s", arm->name);
        add_cell(cells, "%s", arm->codec);
        add_cell(cells, "%s", arm->rung);
        add_cell(cells, "%s", has_worst ? arm->classes[row->worst_class] : "-");
        add_cell(cells, "%" PRIu32 "x%" PRIu32, arm->width, arm->height);
        add_number(cells, row->kbps > 0 ? row->kbps : NAN, 1);
        for (int which = 0; which < SCORE_FIGURE_COUNT; which++)
            add_number(cells, row->figures[which], 4);
        add_number(cells, row->psnr_db, 2);
        add_number(cells, row->time_ms, 2);
        end_row(cells);
    }
}

static void add_classes(const struct report *report, struct text *cells)
{
    add_cell(cells, "arm");
    for (uint32_t c = 0; c < report->class_count; c++)
        add_cell(cells, "%s", report->plan.arms[0]->classes[c]);
    end_row(cells);
    for (size_t i = 0; i < report->plan.arm_count; i++) {
        add_cell(cells, "%s", report->plan.arms[i]->name);
        for (uint32_t c = 0; c < report->class_count; c++)
            add_number(cells, report->rows[i].classes[c], 4);
        end_row(cells);
    }
}

/* What may be said of the difference, and the difference. */
static void add_comparison(struct text *cells, const struct report_row *row, enum score_figure which)
{
    const struct interval *difference = &row->comparisons[which].difference;
    if (row->compared[which])
        add_cell(cells, "%s %+.4f", interval_verdict(difference), difference->value);
    else
        add_cell(cells, "unknown");
}

/* A line for each arm; intervals, gains and the rest of the figures are in the files. */
static void add_comparisons(const struct report *report, struct text *cells)
{
    static const char *const heads[] = { "arm", "against", "mean", "tail90", "tail99", "class tail" };
    static const enum score_figure shown[] = { SCORE_MEAN, SCORE_TAIL90, SCORE_TAIL99,
                                               SCORE_CLASS_TAIL };
    const struct report_plan *plan = &report->plan;
    for (size_t i = 0; i < plan->arm_count; i++) {
        if (plan->versus[i] == i)
            continue;
        if (cells->size == 0)
            add_heads(cells, heads, sizeof heads / sizeof *heads);
        add_cell(cells, "%s", plan->arms[i]->name);
        add_cell(cells, "%s", plan->arms[plan->versus[i]]->name);
        for (size_t k = 0; k < sizeof shown / sizeof *shown; k++)
            add_comparison(cells, &report->rows[i], shown[k]);
        end_row(cells);
    }
}

static void add_notes(const struct report *report, struct text *text)
{
    size_t capped = 0;
    for (size_t i = 0; i < report->plan.arm_count; i++)
        capped += report->rows[i].psnr_capped;
    text_add_str(text, "class tail:");
    for (uint32_t i = 0; i < report->tail.count; i++) {
        text_add_str(text, i > 0 ? ", " : " ");
        add_clean(text, report->plan.arms[0]->classes[report->tail.ids[i]]);
    }
    text_add_str(text, report->tail.count > 0 ? " (worst quarter of " : " none (worst quarter of ");
    add_clean(text, report->plan.arms[report->plan.baseline]->name);
    text_add_str(text, ")\n");
    if (capped > 0)
        text_printf(text, "PSNR: %zu frames equal the source all but exactly, and count as %g dB\n",
                    capped, SCORE_PSNR_MAX_DB);
    if (report->unknown[0])
        text_printf(text, "unknown: %s\n", report->unknown);
}

void report_add_table(const struct report *report, struct text *text)
{
    struct text cells = { 0 };
    add_clean(text, report->plan.title);
    text_printf(text,
                ": %zu frames, %zu clips, %" PRIu32 " classes; reference: ", report->frame_count,
                report->plan.resampling.clip_count, report->class_count);
    add_clean(text, report->plan.reference);
    text_printf(text, "; %s\n\n",
                report->kind == SCORE_LABELS ? "accuracy is IoU" : "accuracy is F1 at IoU 0.5");
    add_figures(report, &cells);
    add_table(text, &cells, 4);
    text_add(text, "\n", 1);
    add_classes(report, &cells);
    add_table(text, &cells, 1);
    text_add(text, "\n", 1);
    add_comparisons(report, &cells);
    bool has_comparisons = cells.size > 0;
    add_table(text, &cells, 2);
    text_add(text, "\n", has_comparisons);
    add_notes(report, text);
    text_finish(&cells);
}
