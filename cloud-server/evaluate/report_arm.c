/* report_arm: an arm in memory, and its file written. The order of keys is fixed: the reader
 * (report_arm_read.c) expects them as they stand here. */
#include "evaluate/report_arm.h"
#include "base/file.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int check_facts(const struct arm_facts *facts, struct error *err);

static int copy_text(char **copy, const char *text, struct error *err)
{
    *copy = strdup(text);
    return *copy ? 0 : error_set(err, ERROR_MEMORY, "arm", "no room for \"%.64s\"", text);
}

static int fill_arm(struct arm *arm, const struct arm_facts *facts, struct error *err)
{
    int rc = scores_open(&arm->scores, facts->kind, facts->class_count, err);
    if (rc == 0)
        rc = copy_text(&arm->recipe, facts->recipe, err);
    if (rc == 0)
        rc = copy_text(&arm->name, facts->name, err);
    if (rc == 0)
        rc = copy_text(&arm->codec, facts->codec, err);
    if (rc == 0)
        rc = copy_text(&arm->rung, facts->rung, err);
    if (rc < 0)
        return rc;
    arm->classes = calloc(facts->class_count, sizeof *arm->classes);
    if (!arm->classes)
        return error_set(err, ERROR_MEMORY, "arm", "no room for %" PRIu32 " classes",
                         facts->class_count);
    for (uint32_t c = 0; c < facts->class_count && rc == 0; c++)
        rc = copy_text(&arm->classes[c], facts->classes[c], err);
    return rc;
}

int arm_open(struct arm **arm, const struct arm_facts *facts, struct error *err)
{
    int rc = check_facts(facts, err);
    if (rc < 0)
        return rc;
    struct arm *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "arm", "no room for %zu bytes", sizeof *fresh);
    fresh->width = facts->width;
    fresh->height = facts->height;
    rc = fill_arm(fresh, facts, err);
    if (rc < 0)
        arm_close(&fresh);
    else
        *arm = fresh;
    return rc;
}

void arm_close(struct arm **arm)
{
    struct arm *closed = *arm;
    if (!closed)
        return;
    *arm = NULL;
    for (uint32_t c = 0; closed->classes && c < scores_class_count(closed->scores); c++)
        free(closed->classes[c]);
    free(closed->classes);
    free(closed->recipe);
    free(closed->name);
    free(closed->codec);
    free(closed->rung);
    scores_close(&closed->scores);
    free(closed);
}

double arm_kbps(const struct arm *arm)
{
    return arm->stream_us > 0 ? (double)arm->stream_bytes * 8000 / (double)arm->stream_us : 0;
}

static int check_text(const char *what, const char *text, struct error *err)
{
    size_t size = strlen(text);
    if (size > ARM_TEXT_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, what, "%zu bytes; at most %u are kept", size,
                         ARM_TEXT_BYTES_MAX);
    for (size_t at = 0; at < size;) { /* the file could not hold it as it is */
        size_t bytes = text_utf8_bytes(text + at, size - at);
        if (bytes == 0)
            return error_set(err, ERROR_FORMAT, what, "byte %zu is not UTF-8", at);
        at += bytes;
    }
    return 0;
}

static int check_facts(const struct arm_facts *facts, struct error *err)
{
    if (!facts->name[0])
        return error_set(err, ERROR_FORMAT, "name", "the arm has none");
    if (facts->width == 0 || facts->height == 0 || facts->width > ARM_SIDE_MAX ||
        facts->height > ARM_SIDE_MAX)
        return error_set(err, ERROR_FORMAT, "size", "%" PRIu32 "x%" PRIu32 "; sides are 1 to %u",
                         facts->width, facts->height, ARM_SIDE_MAX);
    int rc = check_text("recipe", facts->recipe, err);
    if (rc == 0)
        rc = check_text("name", facts->name, err);
    if (rc == 0)
        rc = check_text("codec", facts->codec, err);
    if (rc == 0)
        rc = check_text("rung", facts->rung, err);
    for (uint32_t c = 0; c < facts->class_count && c < SCORE_CLASSES_MAX && rc == 0; c++)
        rc = check_text("class", facts->classes[c], err);
    return rc;
}

/* The file */

static void write_frame(struct text *text, const struct scores *scores, size_t frame)
{
    const struct score_cost *cost = scores_frame_cost(scores, frame);
    const struct score_counts *counts = scores_frame_counts(scores, frame);
    json_begin_object(text, NULL);
    json_u64(text, "squared_error", cost->squared_error);
    json_u64(text, "samples", cost->samples);
    json_u64(text, "time_us", cost->time_us);
    json_begin_array(text, "counts");
    for (uint32_t c = 0; c < scores_class_count(scores); c++) {
        json_u64(text, NULL, counts[c].hits);
        json_u64(text, NULL, counts[c].false_alarms);
        json_u64(text, NULL, counts[c].misses);
    }
    json_end_array(text);
    json_end_object(text);
}

static void write_arm(struct text *text, const struct arm *arm)
{
    json_begin_object(text, NULL);
    json_u64(text, "version", ARM_FILE_VERSION);
    json_str(text, "recipe", arm->recipe);
    json_str(text, "name", arm->name);
    json_str(text, "codec", arm->codec);
    json_str(text, "rung", arm->rung);
    json_u64(text, "width", arm->width);
    json_u64(text, "height", arm->height);
    json_u64(text, "stream_bytes", arm->stream_bytes);
    json_u64(text, "stream_us", arm->stream_us);
    json_str(text, "kind", score_kind_words[scores_kind(arm->scores)]);
    json_begin_array(text, "classes");
    for (uint32_t c = 0; c < scores_class_count(arm->scores); c++)
        json_str(text, NULL, arm->classes[c]);
    json_end_array(text);
    json_u64(text, "frame_count", scores_frame_count(arm->scores));
    json_begin_array(text, "frames");
    for (size_t i = 0; i < scores_frame_count(arm->scores); i++) {
        text_add_str(text, i > 0 ? ",\n" : "\n"); /* behind a newline the writer adds no comma */
        write_frame(text, arm->scores, i);
    }
    json_end_array(text);
    json_end_object(text);
    text_add(text, "\n", 1);
}

int arm_write(const struct arm *arm, const char *path, struct error *err)
{
    struct text text = { 0 };
    if (scores_frame_count(arm->scores) == 0)
        return error_set(err, ERROR_UNSUPPORTED, path, "arm %s has no frames to keep", arm->name);
    assert(arm->stream_us <= ARM_STREAM_US_MAX && arm->stream_bytes <= ARM_STREAM_BYTES_MAX);
    write_arm(&text, arm);
    int rc = file_write_text(path, &text, err);
    text_finish(&text);
    return rc;
}
