/* eval_report: which arm is compared with which, the files, and the last line. Frontiers and plots:
 * eval_frontier.c. */
#include "evaluate/eval_report.h"
#include "analyse/restore.h"
#include "evaluate/eval_frontier.h"
#include "evaluate/report.h"
#include "base/file.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static void write_title(const struct eval_config *config, char *title, size_t bytes);
static int fill_plan(const struct eval_config *config, const struct eval_arms *arms,
                     const struct eval_frames *frames, struct report_plan *plan, struct error *err);
static void finish_plan(struct report_plan *plan);
static int write_files(const struct eval_config *config, const struct report *report,
                       struct error *err);

int eval_report(const struct eval_config *config, const struct eval_arms *arms,
                const struct eval_frames *frames, const char *truth, struct error *err)
{
    char title[PATH_MAX];
    struct report_plan plan = { .title = title, .reference = truth };
    struct report *report = NULL;
    struct text text = { 0 }, last = { 0 };
    write_title(config, title, sizeof title);
    int failed = fill_plan(config, arms, frames, &plan, err);
    if (!failed)
        failed = report_open(&report, &plan, err);
    if (!failed)
        failed = write_files(config, report, err);
    if (!failed) {
        report_add_table(report, &text);
        text_printf(&last, "eval: arms=%zu reused=%zu frames=%zu baseline=%s", arms->count,
                    arms->reused_count, report->frame_count, config->baseline);
        failed = eval_frontiers(config, arms, report, &text, &last, err);
    }
    if (!failed && (text.failed || last.failed))
        failed = error_set(err, ERROR_MEMORY, "report", "no room for its text");
    if (!failed)
        printf("%s\n%s\n", text.data, last.data);
    report_close(&report);
    finish_plan(&plan);
    text_finish(&text);
    text_finish(&last);
    return failed;
}

/* The bits of stills are not those of a video: whoever reads the report should know. */
static void write_title(const struct eval_config *config, char *title, size_t bytes)
{
    const char *slash = strrchr(config->data.pictures, '/');
    snprintf(title, bytes, "%s%s", slash && slash[1] ? slash + 1 : config->data.pictures,
             config->stills ? " as stills" : "");
}

/* The arm of a rung that the others are compared with; SIZE_MAX: none. */
static size_t baseline_of(const struct eval_config *config, const struct eval_arms *arms, size_t rung)
{
    const struct eval_rung *place = &arms->rungs[rung];
    size_t none = SIZE_MAX;
    for (size_t i = place->first; i < place->first + place->count; i++) {
        const char *name = arms->items[i].restore->name;
        if (arms->items[i].model->name)
            continue; /* tuned models are what is compared */
        if (strcmp(name, config->baseline) == 0)
            return i;
        if (place->full && strcmp(name, "none") == 0)
            none = i;
    }
    return none;
}

/* Of the same bitrate: at full size of the same codec, or at the same size of the first codec. */
static size_t find_rung(const struct eval_config *config, const struct eval_arms *arms,
                        const struct eval_rung *like, bool full)
{
    for (size_t i = 0; i < arms->rung_count; i++) {
        const struct eval_rung *rung = &arms->rungs[i];
        bool same_size =
            rung->rung.width == like->rung.width && rung->rung.height == like->rung.height;
        if (rung->rung.bitrate_kbps == like->rung.bitrate_kbps &&
            rung->codec == (full ? like->codec : config->codec_list[0]) &&
            (full ? rung->full : same_size))
            return i;
    }
    return SIZE_MAX;
}

/* An arm is compared with its rung's baseline; a baseline with that of the first codec at the same rung;
 * one of the first codec with what full size gives at the same bitrate. */
static size_t versus_of(const struct eval_config *config, const struct eval_arms *arms, size_t index)
{
    size_t rung = arms->items[index].rung, baseline = baseline_of(config, arms, rung);
    if (baseline != index)
        return baseline == SIZE_MAX ? index : baseline;
    bool first_codec = arms->rungs[rung].codec == config->codec_list[0];
    size_t other = find_rung(config, arms, &arms->rungs[rung], first_codec);
    baseline = other == SIZE_MAX ? SIZE_MAX : baseline_of(config, arms, other);
    return baseline == SIZE_MAX ? index : baseline;
}

/* Where accuracy suffers most: the baseline of the first codec at the smallest size and bitrate. */
static size_t hardest_baseline(const struct eval_config *config, const struct eval_arms *arms)
{
    size_t hardest = SIZE_MAX;
    uint64_t least_pixels = 0;
    uint32_t least_kbps = 0;
    for (size_t i = 0; i < arms->rung_count; i++) {
        const struct eval_rung *rung = &arms->rungs[i];
        uint64_t pixels = (uint64_t)rung->rung.width * rung->rung.height;
        size_t baseline = baseline_of(config, arms, i);
        if (rung->codec != config->codec_list[0] || baseline == SIZE_MAX)
            continue;
        if (hardest == SIZE_MAX || pixels < least_pixels ||
            (pixels == least_pixels && rung->rung.bitrate_kbps < least_kbps)) {
            hardest = baseline;
            least_pixels = pixels;
            least_kbps = rung->rung.bitrate_kbps;
        }
    }
    return hardest == SIZE_MAX ? 0 : hardest;
}

static int fill_plan(const struct eval_config *config, const struct eval_arms *arms,
                     const struct eval_frames *frames, struct report_plan *plan, struct error *err)
{
    const struct arm **results = calloc(arms->count, sizeof *results);
    size_t *versus = calloc(arms->count, sizeof *versus);
    size_t *clip_frames = calloc(frames->count, sizeof *clip_frames);
    size_t clips = 0, clip = SIZE_MAX;
    plan->arms = results;
    plan->arm_count = arms->count;
    plan->versus = versus;
    plan->resampling = (struct resampling){ .clip_frames = clip_frames,
                                            .block_frames = config->block_frames,
                                            .seed = config->seed };
    if (!results || !versus || !clip_frames)
        return error_set(err, ERROR_MEMORY, "report", "no room for %zu arms", arms->count);
    for (size_t i = 0; i < arms->count; i++) {
        results[i] = arms->items[i].result;
        versus[i] = versus_of(config, arms, i);
    }
    plan->baseline = hardest_baseline(config, arms);
    for (size_t i = 0; i < frames->count; i++) {
        if (!frames->items[i].scored)
            continue;
        clips += frames->items[i].clip != clip;
        clip = frames->items[i].clip;
        clip_frames[clips - 1]++;
    }
    plan->resampling.clip_count = clips;
    return 0;
}

static void finish_plan(struct report_plan *plan)
{
    free((void *)plan->arms);
    free((void *)plan->versus);
    free((void *)plan->resampling.clip_frames);
}

static int write_files(const struct eval_config *config, const struct report *report,
                       struct error *err)
{
    static const struct {
        const char *name;
        void (*add)(const struct report *report, struct text *text);
    } files[] = { { "report.csv", report_add_csv }, { "report.json", report_add_json } };
    struct text text = { 0 };
    int failed = 0;
    for (size_t i = 0; !failed && i < sizeof files / sizeof *files; i++) {
        char path[PATH_MAX];
        text_clear(&text);
        files[i].add(report, &text);
        snprintf(path, sizeof path, "%s/%s", config->out, files[i].name);
        failed = file_write_text(path, &text, err);
    }
    text_finish(&text);
    return failed;
}
