/* tail_command: the table, and what is asked for on the command line. */
#include "control/tail_command.h"
#include "control/tail_lines.h"
#include "control/tail_plots.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS_MAX UINT32_MAX /* of flags: all there is */
#define US_PER_S 1000000u
#define CELL_BYTES 80u /* longer texts are cut */
#define COLUMN_GAP 2

const char tail_command_more[] =
    "Finds the probes in files of answer lines (answers.path of cloud-server.yaml), and prints "
    "what "
    "they\n"
    "say of all frames: for each stream a row for each rung, restoration, model and golden model.\n"
    "\n"
    "  mean            mean accuracy of frames: F1 at IoU 0.5 of boxes, mean IoU of label maps\n"
    "  tail90, tail99  the accuracy that 90 % and 99 % of frames reach or exceed\n"
    "  class_tail      mean accuracy over the worst quarter of classes\n"
    "  precision       share of what was found that is there\n"
    "  recall          share of what is there that was found\n"
    "\n"
    "each as VALUE [LOW HIGH], the 95 % interval: known from 30 probes on, tail99 from 300. What "
    "\"is\n"
    "there\" the golden model says, from the frame at source quality. Lines that cannot be read "
    "are "
    "told\n"
    "with file and line, counted and left out. The last line is for scripts.\n"
    "\n"
    "With --svg, FOLDER/STREAM-tail.svg shows the figures over time, at each point those of the "
    "--window\n"
    "before; lines have a gap where the setting changed and where too few probes were in it.\n"
    "FOLDER/STREAM-bitrate.svg shows the bitrate over the same time, and what probes took of it.\n"
    "\n"
    "  cloud-server tail answers.jsonl\n"
    "  cloud-server tail --window 3600 answers.jsonl\n"
    "  cloud-server tail --window 600 --svg plots answers.jsonl.1 answers.jsonl\n";

const struct cli_flag tail_command_flags[] = {
    { .name = "window",
      .value = "SECONDS",
      .help = "only probes of each stream's last so many seconds (all)" },
    { .name = "svg", .value = "FOLDER", .help = "draw figures and bitrate over time there" },
    { .name = "step",
      .value = "SECONDS",
      .help = "time between two points of a plot (a hundredth of all)" },
    { 0 },
};

enum { WORD_COLUMNS = 6, COLUMNS = WORD_COLUMNS + TAIL_FIGURE_COUNT };
static const char *const heads[WORD_COLUMNS] = { "stream", "rung",   "restored",
                                                 "model",  "golden", "probes" };

struct row {
    char cells[COLUMNS][CELL_BYTES];
};

struct table {
    struct row *rows; /* the first holds the heads */
    size_t row_count;
    size_t probe_count;
};

static int run(const struct cli_values *values, struct error *err);
static int read_flags(struct tail_plots_config *config, const struct cli_values *values,
                      struct error *err);
static int read_files(struct tail_lines *lines, const struct cli_values *values, struct error *err);
static int make_table(struct table *table, const struct tail_lines *lines, uint32_t window_s,
                      struct error *err);
static void print_table(const struct table *table);

int tail_command(const struct cli_values *values)
{
    struct error err = { 0 };
    int failed = run(values, &err);
    if (!failed && fflush(stdout) != 0)
        failed = error_set_errno(&err, errno, "standard output", "cannot write");
    if (failed)
        fprintf(stderr, "cloud-server tail: %s\n", err.text);
    return failed ? 1 : 0;
}

static int report(const struct tail_lines *lines, const struct tail_plots_config *config,
                  struct error *err)
{
    struct table table = { 0 };
    int failed = make_table(&table, lines, config->window_s, err);
    if (!failed && table.row_count > 1)
        print_table(&table);
    for (size_t s = 0; !failed && config->folder && s < lines->stream_count; s++)
        failed = tail_plots_draw(&lines->streams[s], config, err);
    if (!failed)
        printf("tail: streams=%zu series=%zu probes=%zu lines=%llu refused=%llu\n",
               lines->stream_count, table.row_count - 1, table.probe_count,
               (unsigned long long)lines->line_count, (unsigned long long)lines->refused_count);
    free(table.rows);
    return failed;
}

static int run(const struct cli_values *values, struct error *err)
{
    struct tail_plots_config config = { 0 };
    struct tail_lines *lines = NULL;
    int failed = read_flags(&config, values, err);
    if (!failed)
        failed = tail_lines_open(&lines, err);
    if (!failed)
        failed = read_files(lines, values, err);
    if (!failed)
        failed = report(lines, &config, err);
    tail_lines_close(&lines);
    return failed;
}

static int read_seconds(const char *text, const char *flag, uint32_t *seconds, struct error *err)
{
    char *end;
    if (!text)
        return 0;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno || *end || *text < '0' || *text > '9' || value < 1 || value > SECONDS_MAX)
        return error_set(err, ERROR_CONFIG, flag, "\"%.60s\" is not a number of seconds, 1 to %u",
                         text, SECONDS_MAX);
    *seconds = (uint32_t)value;
    return 0;
}

static int read_flags(struct tail_plots_config *config, const struct cli_values *values,
                      struct error *err)
{
    config->folder = cli_flag(values, "svg");
    config->window_s = SECONDS_MAX;
    int failed = read_seconds(cli_flag(values, "window"), "--window", &config->window_s, err);
    if (!failed)
        failed = read_seconds(cli_flag(values, "step"), "--step", &config->step_s, err);
    if (!failed && config->step_s > 0 && !config->folder)
        failed = error_set(err, ERROR_CONFIG, "--step", "is for plots: give --svg FOLDER, too");
    return failed;
}

static int read_files(struct tail_lines *lines, const struct cli_values *values, struct error *err)
{
    size_t count;
    const char *const *paths = cli_arguments(values, &count);
    int failed = 0;
    for (size_t i = 0; !failed && i < count; i++)
        failed = tail_lines_read(lines, paths[i], err);
    tail_lines_sort(lines);
    if (!failed && lines->line_count == 0)
        failed = error_set(err, ERROR_UNSUPPORTED, paths[0],
                           "no line of an answer or a probe is in it%s",
                           count > 1 ? ", nor in the others" : "");
    return failed;
}

/* Texts come from outside: what would move the cursor, or was cut inside a character, becomes a question
 * mark. */
static void set_word(struct row *row, size_t column, const char *word)
{
    char *cell = row->cells[column];
    snprintf(cell, CELL_BYTES, "%s", word[0] ? word : "-");
    for (size_t at = 0, size = strlen(cell); at < size;) {
        size_t bytes = text_utf8_bytes(cell + at, size - at);
        if (bytes == 0 || (unsigned char)cell[at] < 0x20 || cell[at] == 0x7f)
            cell[at] = '?';
        at += bytes ? bytes : 1;
    }
}

static void set_row(struct row *row, const struct tail_stream *stream,
                    const struct tail_setting *setting, const struct tail_figures *figures)
{
    char probes[24];
    const char *const words[WORD_COLUMNS] = { stream->name,   setting->rung,   setting->restored,
                                              setting->model, setting->golden, probes };
    snprintf(probes, sizeof probes, "%zu", figures->probes);
    for (size_t i = 0; i < WORD_COLUMNS; i++)
        set_word(row, i, words[i]);
    for (size_t f = 0; f < TAIL_FIGURE_COUNT; f++) {
        const struct tail_figure *figure = &figures->figure[f];
        char *cell = row->cells[WORD_COLUMNS + f];
        if (figure->known)
            snprintf(cell, CELL_BYTES, "%.3f [%.3f %.3f]", figure->value, figure->low, figure->high);
        else
            snprintf(cell, CELL_BYTES, "unknown");
    }
}

/* Of the probes of one setting, in the stream's last window_s seconds. */
static int make_figures(struct tail_figures *figures, const struct tail_stream *stream,
                        size_t setting, uint32_t window_s, struct error *err)
{
    uint64_t reach_us = (uint64_t)window_s * US_PER_S;
    uint64_t oldest_us = stream->last_us > reach_us ? stream->last_us - reach_us : 0;
    struct tail_sample *samples = calloc(stream->probe_count, sizeof *samples);
    struct tail_rank *scratch = calloc(stream->probe_count, sizeof *scratch);
    size_t count = 0;
    int failed = samples && scratch
                     ? 0
                     : error_set(err, ERROR_MEMORY, stream->name, "no room for its probes");
    for (size_t p = 0; !failed && p < stream->probe_count; p++)
        if (stream->probes[p].setting == setting &&
            stream->probes[p].sample.capture_unix_us >= oldest_us)
            samples[count++] = stream->probes[p].sample;
    if (!failed)
        failed =
            tail_figures_make(figures, stream->settings[setting].kind, samples, count, scratch, err);
    free(samples);
    free(scratch);
    return failed;
}

static int add_rows(struct table *table, const struct tail_stream *stream, uint32_t window_s,
                    struct error *err)
{
    for (size_t i = 0; stream->probe_count > 0 && i < stream->setting_count; i++) {
        struct tail_figures figures;
        int failed = make_figures(&figures, stream, i, window_s, err);
        if (failed)
            return failed;
        if (figures.probes == 0)
            continue;
        set_row(&table->rows[table->row_count++], stream, &stream->settings[i], &figures);
        table->probe_count += figures.probes;
    }
    return 0;
}

static int make_table(struct table *table, const struct tail_lines *lines, uint32_t window_s,
                      struct error *err)
{
    size_t rows_max = 1;
    for (size_t s = 0; s < lines->stream_count; s++)
        rows_max += lines->streams[s].setting_count;
    table->rows = calloc(rows_max, sizeof *table->rows);
    if (!table->rows)
        return error_set(err, ERROR_MEMORY, "table", "no room for %zu rows", rows_max);
    for (size_t i = 0; i < COLUMNS; i++)
        set_word(&table->rows[0], i,
                 i < WORD_COLUMNS ? heads[i] : tail_figure_words[i - WORD_COLUMNS]);
    table->row_count = 1;
    for (size_t s = 0; s < lines->stream_count; s++) {
        int failed = add_rows(table, &lines->streams[s], window_s, err);
        if (failed)
            return failed;
    }
    return 0;
}

static int letters_of(const char *text)
{
    int letters = 0;
    for (; *text; text++)
        letters += ((unsigned char)*text & 0xc0) != 0x80;
    return letters;
}

static void print_table(const struct table *table)
{
    int widths[COLUMNS] = { 0 };
    for (size_t r = 0; r < table->row_count; r++)
        for (size_t c = 0; c < COLUMNS; c++) {
            int letters = letters_of(table->rows[r].cells[c]);
            widths[c] = letters > widths[c] ? letters : widths[c];
        }
    for (size_t r = 0; r < table->row_count; r++)
        for (size_t c = 0; c < COLUMNS; c++) {
            const char *cell = table->rows[r].cells[c];
            if (c + 1 < COLUMNS)
                printf("%s%*s", cell, widths[c] - letters_of(cell) + COLUMN_GAP, "");
            else
                printf("%s\n", cell);
        }
}
