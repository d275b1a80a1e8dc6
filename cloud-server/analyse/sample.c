/* sample: each expected box takes the best overlapping box of its class that is still free; each
 * expected area that of its class. What is then left over was not expected. */
#include "analyse/sample.h"
#include "analyse/head.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES 256u
#define MISSING_DISTANCE 2.0
#define SURPLUS_DISTANCE 1.0
/* An area that the card does not list may be this large: networks leave specks. */
#define SURPLUS_SHARE_MAX 0.02

/* One comparison, and all so far. */
struct comparison {
    const struct card *card;
    const struct analysis *analysis;
    bool used[ANALYSIS_OBJECTS_MAX]; /* objects, or areas */
    double distance;
    struct text *report;
    struct error *err;
    int result;
};

static void compare_box(struct comparison *all, const struct card_expect *expect);
static void compare_area(struct comparison *all, const struct card_expect *expect);
static void compare_surplus(struct comparison *all);
static void settle(struct comparison *all, bool passes, const char *line);
static double overlap(const struct card_expect *expect, const struct analysis_object *object);

int sample_compare(const struct card *card, const struct analysis *analysis, double *distance,
                   struct text *report, struct error *err)
{
    struct comparison all = { .card = card, .analysis = analysis, .report = report, .err = err };
    const struct card_expect *expect = card->sample.expect.items;
    for (size_t i = 0; i < card->sample.expect.count; i++) {
        if (head_finds_areas(card->head.kind))
            compare_area(&all, &expect[i]);
        else
            compare_box(&all, &expect[i]);
    }
    compare_surplus(&all);
    *distance = all.distance;
    return all.result;
}

static const char *class_name(const struct comparison *all, uint32_t class_id)
{
    return all->card->classes.items[class_id];
}

static void compare_box(struct comparison *all, const struct card_expect *expect)
{
    const struct analysis *analysis = all->analysis;
    const struct analysis_object *found = NULL;
    double best = 0;
    for (uint32_t i = 0; i < analysis->object_count; i++) {
        const struct analysis_object *object = &analysis->objects[i];
        if (all->used[i] || strcmp(class_name(all, object->class_id), expect->class) != 0)
            continue;
        double common = overlap(expect, object);
        if (common > best) {
            best = common;
            found = object;
        }
    }
    char line[LINE_BYTES];
    int used =
        snprintf(line, sizeof line, "%s %.3f expected at %.1f,%.1f to %.1f,%.1f: ", expect->class,
                 expect->confidence, expect->x1, expect->y1, expect->x2, expect->y2);
    if (!found) {
        all->distance += MISSING_DISTANCE;
        snprintf(line + used, sizeof line - (size_t)used, "none found there");
        settle(all, false, line);
        return;
    }
    double off = fabs((double)found->confidence - expect->confidence);
    all->used[found - analysis->objects] = true;
    all->distance += off + 1 - best;
    snprintf(line + used, sizeof line - (size_t)used,
             "found %.3f at %.1f,%.1f to %.1f,%.1f, overlap %.3f", (double)found->confidence,
             (double)found->x, (double)found->y, (double)(found->x + found->width),
             (double)(found->y + found->height), best);
    settle(all, off <= expect->tolerance && best >= expect->iou, line);
}

static void compare_area(struct comparison *all, const struct card_expect *expect)
{
    double share = 0;
    for (uint32_t i = 0; i < all->analysis->area_count; i++) {
        const struct analysis_area *area = &all->analysis->areas[i];
        if (strcmp(class_name(all, area->class_id), expect->class) != 0)
            continue;
        share = (double)area->share;
        all->used[i] = true;
    }
    double off = fabs(share - expect->share);
    char line[LINE_BYTES];
    all->distance += off;
    snprintf(line, sizeof line, "%s expected on a share of %.4f: found %.4f", expect->class,
             expect->share, share);
    settle(all, off <= expect->tolerance, line);
}

static void compare_surplus(struct comparison *all)
{
    char line[LINE_BYTES];
    for (uint32_t i = 0; i < all->analysis->object_count; i++) {
        const struct analysis_object *object = &all->analysis->objects[i];
        if (all->used[i])
            continue;
        all->distance += SURPLUS_DISTANCE;
        snprintf(line, sizeof line, "%s %.3f at %.1f,%.1f to %.1f,%.1f: not expected",
                 class_name(all, object->class_id), (double)object->confidence, (double)object->x,
                 (double)object->y, (double)(object->x + object->width),
                 (double)(object->y + object->height));
        settle(all, false, line);
    }
    for (uint32_t i = 0; i < all->analysis->area_count; i++) {
        const struct analysis_area *area = &all->analysis->areas[i];
        if (all->used[i])
            continue;
        all->distance += (double)area->share;
        snprintf(line, sizeof line, "%s on a share of %.4f: not expected",
                 class_name(all, area->class_id), (double)area->share);
        settle(all, (double)area->share <= SURPLUS_SHARE_MAX, line);
    }
}

static void settle(struct comparison *all, bool passes, const char *line)
{
    if (all->report)
        text_printf(all->report, "  %s  %s\n", passes ? "ok  " : "FAIL", line);
    if (!passes && all->result == 0)
        all->result = error_set(all->err, ERROR_CONFIG, "sample",
                                "%s (compare classes, input and head of the card with the "
                                "model's source)",
                                line);
}

static double overlap(const struct card_expect *expect, const struct analysis_object *object)
{
    double x1 = (double)object->x, x2 = x1 + (double)object->width;
    double y1 = (double)object->y, y2 = y1 + (double)object->height;
    double width = fmin(x2, expect->x2) - fmax(x1, expect->x1);
    double height = fmin(y2, expect->y2) - fmax(y1, expect->y1);
    if (width <= 0 || height <= 0)
        return 0;
    double expected = (expect->x2 - expect->x1) * (expect->y2 - expect->y1);
    return width * height / ((x2 - x1) * (y2 - y1) + expected - width * height);
}
