/* eval_answer: see the header. */
#include "evaluate/eval_answer.h"

size_t eval_answer_boxes(const struct analysis *analysis, const int *of_class,
                         const struct eval_sides *sides, struct score_box boxes[ANALYSIS_OBJECTS_MAX])
{
    float across = (float)sides->to_width / (float)sides->from_width;
    float down = (float)sides->to_height / (float)sides->from_height;
    size_t count = 0;
    for (uint32_t i = 0; i < analysis->object_count; i++) {
        const struct analysis_object *object = &analysis->objects[i];
        int class_id = of_class[object->class_id];
        /* A box that was clipped to nothing says nothing. */
        if (class_id == EVAL_CLASS_NONE || !(object->width > 0) || !(object->height > 0))
            continue;
        boxes[count++] = (struct score_box){ .class_id = (uint32_t)class_id,
                                             .score = object->confidence,
                                             .x = object->x * across,
                                             .y = object->y * down,
                                             .width = object->width * across,
                                             .height = object->height * down };
    }
    return count;
}

void eval_answer_labels(struct model *model, const int *of_class, int other,
                        const struct eval_sides *sides, uint8_t *labels)
{
    model_label_map(model, sides->to_width, sides->to_height, labels);
    eval_relabel(labels, (size_t)sides->to_width * sides->to_height, of_class,
                 model_card(model)->classes.count, other);
}

void eval_relabel(uint8_t *labels, size_t count, const int *of_class, size_t class_count, int other)
{
    uint8_t scored[256];
    for (size_t i = 0; i < sizeof scored; i++) {
        int label = i < class_count && of_class[i] != EVAL_CLASS_NONE ? of_class[i] : other;
        scored[i] = label >= 0 ? (uint8_t)label : EVAL_LABEL_IGNORE;
    }
    for (size_t i = 0; i < count; i++)
        labels[i] = scored[labels[i]];
}
