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

enum { BOXES, SCORES, CLASSES, COUNT, LISTS }; /* of ops/boxes.c */

static int make_head(struct head **head, const struct card *card, struct error *err);
static int take_lists(struct head *head, const struct tensor *const *outputs, size_t output_count,
                      struct error *err);
static const struct nms_box *read_lists(struct head *head, float score, size_t *count);
static void select_boxes(struct head *head, const struct placement *placement, float score,
                         struct analysis *analysis);

int head_open(struct head **head, const struct card *card, const struct tensor *const *outputs,
              size_t output_count, struct error *err)
{
    assert(card->head.kind >= 0 && card->head.kind < HEAD_KIND_COUNT);
    if (output_count == 0 || output_count > HEAD_OUTPUTS_MAX)
        return error_set(err, ERROR_UNSUPPORTED, "head", "%zu outputs, a head reads 1 to %u",
                         output_count, HEAD_OUTPUTS_MAX);
    struct head *fresh = NULL;
    int result = make_head(&fresh, card, err);
    if (result < 0)
        return result;
    fresh->output_count = output_count;
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

int head_open_reduced(struct head **head, const struct card *card,
                      const struct tensor *const *outputs, size_t output_count, struct error *err)
{
    struct head *fresh = NULL;
    int result = make_head(&fresh, card, err);
    if (result < 0)
        return result;
    fresh->reduced = true;
    result = take_lists(fresh, outputs, output_count, err);
    if (result == 0 && fresh->kind->find_areas)
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
    if (!head->reduced) {
        nms_clear(head->nms);
        head->kind->find_boxes(head, score * HEAD_NEAR_SHARE);
    }
    select_boxes(head, placement, score, analysis);
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
    free((*head)->found);
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

static int make_head(struct head **head, const struct card *card, struct error *err)
{
    struct head *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "head", "no room for %zu bytes", sizeof *fresh);
    fresh->kind = head_kinds[card->head.kind];
    fresh->card = card;
    fresh->class_count = (uint32_t)card->classes.count;
    *head = fresh;
    return 0;
}

/* As head_graph_append made them. */
static int take_lists(struct head *head, const struct tensor *const *outputs, size_t output_count,
                      struct error *err)
{
    if (head->kind->find_areas) {
        assert(output_count % 2 == 0 && output_count <= HEAD_REDUCED_MAX);
        head->output_count = output_count / 2;
        for (size_t i = 0; i < head->output_count; i++) {
            head->lists[i] = outputs[2 * i];
            head->outputs[i] = outputs[2 * i + 1];
        }
        return 0;
    }
    assert(output_count == LISTS);
    for (size_t i = 0; i < LISTS; i++)
        head->lists[i] = outputs[i];
    size_t room = (size_t)outputs[SCORES]->shape.dim[1];
    head->found = calloc(room, sizeof *head->found);
    return head->found ? 0 : error_set(err, ERROR_MEMORY, "head", "no room for %zu boxes", room);
}

/* Those of at least this score, which are the first. */
static const struct nms_box *read_lists(struct head *head, float score, size_t *count)
{
    const float *corners = head->lists[BOXES]->data, *scores = head->lists[SCORES]->data;
    const int32_t *classes = head->lists[CLASSES]->data;
    const int32_t listed = *(const int32_t *)head->lists[COUNT]->data;
    for (*count = 0; *count < (size_t)listed && scores[*count] >= score; ++*count, corners += 4)
        head->found[*count] = (struct nms_box){ .x1 = corners[0],
                                                .y1 = corners[1],
                                                .x2 = corners[2],
                                                .y2 = corners[3],
                                                .score = scores[*count],
                                                .class_id = (uint32_t)classes[*count] };
    return head->found;
}

/* What a picture's boxes add up to; head.h has the formulas. */
struct doubt {
    float right, wrong, variance;
};

static void add_doubt(struct doubt *doubt, float score, float threshold)
{
    bool found = score >= threshold;
    float distance = found ? (1 - fminf(score, 1)) / (1 - fminf(threshold, 1)) : score / threshold;
    float odd = distance * distance / 2; /* chance that it is not as it was answered */
    if (!(odd > 0))                      /* nor where the threshold is 1 */
        odd = 0;
    doubt->right += found ? 1 - odd : 0;
    doubt->wrong += odd;
    doubt->variance += odd * (1 - odd);
}

static float measure_doubt(const struct doubt *doubt)
{
    float spread = sqrtf(doubt->variance);
    return (doubt->wrong + spread) / (fmaxf(1, 2 * doubt->right + doubt->wrong) + spread);
}

/* Maps a box back to the picture and clips it. False where nothing is left: it lies in the padding. */
static bool place_box(const struct nms_box *box, const struct placement *placement,
                      struct analysis_object *object)
{
    float width = (float)placement->picture_width, height = (float)placement->picture_height;
    float scale_x = width / (float)placement->inner_width;
    float scale_y = height / (float)placement->inner_height;
    float x1 = fmaxf(box->x1 * scale_x, 0), x2 = fminf(box->x2 * scale_x, width);
    float y1 = fmaxf(box->y1 * scale_y, 0), y2 = fminf(box->y2 * scale_y, height);
    if (x2 <= x1 || y2 <= y1)
        return false;
    *object = (struct analysis_object){ .class_id = box->class_id,
                                        .confidence = fminf(box->score, 1),
                                        .x = x1,
                                        .y = y1,
                                        .width = x2 - x1,
                                        .height = y2 - y1 };
    return true;
}

/* What was found becomes an object, what was nearly found a doubt only. */
static void select_boxes(struct head *head, const struct placement *placement, float score,
                         struct analysis *analysis)
{
    const struct card_head *card = &head->card->head;
    struct doubt doubt = { 0 };
    size_t count;
    const struct nms_box *boxes =
        head->reduced
            ? read_lists(head, score * HEAD_NEAR_SHARE, &count)
            : nms_select(head->nms, (float)card->iou, card->objects_max + HEAD_NEAR_MAX, &count);
    for (size_t i = 0; i < count; i++) {
        struct analysis_object object;
        bool found = boxes[i].score >= score;
        if (!place_box(&boxes[i], placement, &object) ||
            (found && analysis->object_count == card->objects_max))
            continue;
        add_doubt(&doubt, boxes[i].score, score);
        if (found)
            analysis->objects[analysis->object_count++] = object;
    }
    analysis->uncertainty = measure_doubt(&doubt);
}
