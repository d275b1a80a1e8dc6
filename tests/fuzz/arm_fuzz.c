/* arm_fuzz: any bytes as the file of an arm, which an evaluation that goes on reads back. What is read must
 * be an arm within the limits that report_arm.h names, and its figures numbers between 0 and 1, or none
 * where no class is present. */
#include "evaluate/report_arm.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text)
{
    assert(strlen(text) <= ARM_TEXT_BYTES_MAX);
}

static void check_share(double value)
{
    assert(isnan(value) || (value >= 0 && value <= 1));
}

static void check_facts(const struct arm *arm)
{
    check_text(arm->recipe);
    check_text(arm->name);
    check_text(arm->codec);
    check_text(arm->rung);
    assert(*arm->name);
    assert(arm->width >= 1 && arm->width <= ARM_SIDE_MAX);
    assert(arm->height >= 1 && arm->height <= ARM_SIDE_MAX);
    assert(arm->stream_bytes <= ARM_STREAM_BYTES_MAX && arm->stream_us <= ARM_STREAM_US_MAX);
    assert(isfinite(arm_kbps(arm)) && arm_kbps(arm) >= 0);
    assert(scores_kind(arm->scores) < SCORE_KIND_COUNT);
    for (uint32_t c = 0; c < scores_class_count(arm->scores); c++)
        check_text(arm->classes[c]);
}

static void check_figures(const struct scores *scores)
{
    struct score_tail_classes tail = { 0 };
    struct error err;
    size_t frames = scores_frame_count(scores), capped;
    double *scratch = calloc(frames, sizeof *scratch), *classes;
    classes = calloc(scores_class_count(scores), sizeof *classes);
    assert(frames > 0 && scratch && classes);
    for (size_t i = 0; i < frames; i++) {
        assert(scores_frame_cost(scores, i)->time_us <= ARM_STREAM_US_MAX);
        check_share(scores_frame_accuracy(scores, i));
    }
    assert(scores_of_classes(scores, NULL, frames, classes) <= scores_class_count(scores));
    for (uint32_t c = 0; c < scores_class_count(scores); c++)
        check_share(classes[c]);
    bool has_tail = scores_choose_tail(scores, &tail, &err) == 0;
    for (int f = 0; f < SCORE_FIGURE_COUNT; f++) {
        const struct score_statistic statistic = { scores, (enum score_figure)f, &tail };
        if (has_tail || f != SCORE_CLASS_TAIL)
            check_share(scores_figure(&statistic, NULL, frames, scratch));
    }
    double psnr = scores_psnr_db(scores, &capped);
    assert(capped <= frames && (isnan(psnr) || (psnr >= 0 && psnr <= SCORE_PSNR_MAX_DB)));
    free(scratch);
    free(classes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    struct arm *arm = NULL;
    struct error err = { 0 };
    int file = memfd_create("arm", MFD_CLOEXEC);
    assert(file >= 0);
    ssize_t written = write(file, data, size);
    assert(written == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (arm_read(&arm, path, NULL, &err) != 0) {
        assert(!arm && err.code != ERROR_NONE);
        assert(strncmp(err.text, path, strlen(path)) == 0); /* says where */
    } else {
        check_facts(arm);
        check_figures(arm->scores);
    }
    arm_close(&arm);
    close(file);
    return 0;
}
