/* head: the table of kinds, and what those that find boxes share. */
#include "analyse/head.h"
#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *const head_words[] = {
#define X(name, word, meaning) word,
    HEAD_KINDS(X)
#undef X
        NULL
};

static const struct head_kind *const head_kinds[] = {
#define X(name, word, meaning) &head_##name,
    HEAD_KINDS(X)
#undef X
};

static void select_boxes(struct head *head, const struct placement *placement,
                         struct analysis *analysis);

int head_open(struct head **head, const struct card *card, const struct tensor *const *outputs,
              size_t output_count, struct error *err)
{
    assert(card->head.kind >= 0 && card->head.kind < HEAD_KIND_COUNT);
    if (output_count == 0 || output_count > HEAD_OUTPUTS_MAX)
        return error_set(err, ERROR_UNSUPPORTED, "head", "%zu outputs, a head reads 1 to %u",
                         output_count, HEAD_OUTPUTS_MAX);
    struct head *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "head", "no room for %zu bytes", sizeof *fresh);
    fresh->kind = head_kinds[card->head.kind];
    fresh->card = card;
    fresh->output_count = output_count;
    fresh->class_count = (uint32_t)card->classes.count;

    int result = 0;
    for (size_t i = 0; i < output_count && result == 0; i++) {
        fresh->outputs[i] = outputs[i];
        if (outputs[i]->type != TENSOR_F32)
            result = head_refuse_shape(fresh, i, err, "numbers of type f32, not %s",
                                       tensor_type_word(outputs[i]->type));
    }
    if (result == 0 && fresh->kind->find_boxes)
        result = nms_create(&fresh->nms, err);
    if (result == 0)
        result = fresh->kind->open(fresh, err);
    if (result < 0) {
        head_close(&fresh);
        return result;
    }
    *head = fresh;
    return 0;
}

void head_decode(struct head *head, const struct placement *placement, float score,
                 struct analysis *analysis)
{
    analysis->object_count = 0;
    analysis->area_count = 0;
    analysis->runs_bytes = 0;
    analysis->mask_width = 0;
    analysis->mask_height = 0;
    if (head->kind->find_areas) {
        head->kind->find_areas(head, placement, analysis);
        return;
    }
    nms_clear(head->nms);
    head->kind->find_boxes(head, score);
    select_boxes(head, placement, analysis);
}

void head_label_map(struct head *head, const struct placement *placement, uint32_t width,
                    uint32_t height, uint8_t *map)
{
    assert(head->kind->map_labels && width > 0 && height > 0);
    head->kind->map_labels(head, placement, width, height, map);
}

void head_close(struct head **head)
{
    if (!*head)
        return;
    nms_destroy(&(*head)->nms);
    free((*head)->own);
    free(*head);
    *head = NULL;
}

bool head_finds_areas(int kind)
{
    assert(kind >= 0 && kind < HEAD_KIND_COUNT);
    return head_kinds[kind]->find_areas != NULL;
}

int head_refuse_shape(const struct head *head, size_t output, struct error *err, const char *format,
                      ...)
{
    char shape[64], needs[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(needs, sizeof needs, format, arguments);
    va_end(arguments);
    shape_format(&head->outputs[output]->shape, shape, sizeof shape);
    return error_set(err, ERROR_CONFIG, "head", "output %zu is %s, but \"%s\" needs %s", output,
                     shape, head_words[head->card->head.kind], needs);
}

/* Suppresses, maps back to the picture, clips. What lies in the padding alone goes. */
static void select_boxes(struct head *head, const struct placement *placement,
                         struct analysis *analysis)
{
    size_t count;
    const struct nms_box *boxes =
        nms_select(head->nms, (float)head->card->head.iou, head->card->head.objects_max, &count);
    float width = (float)placement->picture_width, height = (float)placement->picture_height;
    float scale_x = width / (float)placement->inner_width;
    float scale_y = height / (float)placement->inner_height;
    for (size_t i = 0; i < count; i++) {
        float x1 = fmaxf(boxes[i].x1 * scale_x, 0), x2 = fminf(boxes[i].x2 * scale_x, width);
        float y1 = fmaxf(boxes[i].y1 * scale_y, 0), y2 = fminf(boxes[i].y2 * scale_y, height);
        if (x2 <= x1 || y2 <= y1)
            continue;
        analysis->objects[analysis->object_count++] =
            (struct analysis_object){ .class_id = boxes[i].class_id,
                                      .confidence = fminf(boxes[i].score, 1),
                                      .x = x1,
                                      .y = y1,
                                      .width = x2 - x1,
                                      .height = y2 - y1 };
    }
}
