/* probe_score: see the header. */
#include "control/probe_score.h"

#include <string.h>

/* Boxes whose classes the answer has, on the camera's pixels; gives their number. to_class may be NULL: the
 * classes are the answer's own. */
static size_t take_boxes(const struct probe_answer *from, uint32_t width, uint32_t height,
                         const uint32_t *to_class, struct score_box boxes[ANALYSIS_OBJECTS_MAX])
{
    const float across = (float)width / (float)from->width;
    const float down = (float)height / (float)from->height;
    size_t count = 0;
    for (uint32_t i = 0; i < from->analysis->object_count; i++) {
        const struct analysis_object *object = &from->analysis->objects[i];
        uint32_t class_id = to_class ? to_class[object->class_id] : object->class_id;
        /* A box that was clipped to nothing says nothing. */
        if (class_id == PROBE_CLASS_NONE || !(object->width > 0) || !(object->height > 0))
            continue;
        boxes[count++] = (struct score_box){ .class_id = class_id,
                                             .score = object->confidence,
                                             .x = object->x * across,
                                             .y = object->y * down,
                                             .width = object->width * across,
                                             .height = object->height * down };
    }
    return count;
}

/* Run lengths of a class, read one after the other: other pixels, the class, other pixels, … What is left
 * at their end is of neither. */
struct run_reader {
    const uint8_t *next, *end;
    bool inside;   /* the present run is of the class */
    uint64_t left; /* pixels of it */
};

static bool next_run(struct run_reader *reader)
{
    if (reader->next == reader->end)
        return false;
    reader->left = 0;
    for (unsigned shift = 0; reader->next < reader->end && shift < 35; shift += 7) {
        uint8_t byte = *reader->next++;
        reader->left |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            break;
    }
    reader->inside = !reader->inside;
    return true;
}

static struct run_reader read_runs(const struct analysis *analysis, const struct analysis_area *area)
{
    struct run_reader reader = { .inside = true }; /* the first run is of other pixels */
    if (area) {
        reader.next = analysis->runs + area->runs_offset;
        reader.end = reader.next + area->runs_bytes;
    }
    if (!next_run(&reader))
        reader = (struct run_reader){ 0 };
    return reader;
}

static void pass(struct run_reader *reader, uint64_t pixels)
{
    reader->left -= pixels;
    while (reader->left == 0 && next_run(reader))
        ;
}

/* Pixels of a class in both, in the answer alone, in the golden one alone. */
static struct score_counts count_pixels(struct run_reader answer, struct run_reader golden)
{
    struct score_counts counts = { 0 };
    pass(&answer, 0);
    pass(&golden, 0);
    while (answer.left > 0 || golden.left > 0) {
        bool found = answer.left > 0 && answer.inside, wanted = golden.left > 0 && golden.inside;
        uint64_t step = answer.left;
        if (step == 0 || (golden.left > 0 && golden.left < step))
            step = golden.left;
        counts.hits += found && wanted ? (uint32_t)step : 0;
        counts.false_alarms += found && !wanted ? (uint32_t)step : 0;
        counts.misses += wanted && !found ? (uint32_t)step : 0;
        if (answer.left > 0)
            pass(&answer, step);
        if (golden.left > 0)
            pass(&golden, step);
    }
    return counts;
}

static const struct analysis_area *find_area(const struct analysis *analysis,
                                             const uint32_t *to_class, uint32_t class_id)
{
    for (uint32_t i = 0; i < analysis->area_count; i++) {
        uint32_t own = analysis->areas[i].class_id;
        if ((to_class ? to_class[own] : own) == class_id)
            return &analysis->areas[i];
    }
    return NULL;
}

static int check_masks(const struct analysis *answer, const struct analysis *golden, struct error *err)
{
    if (answer->mask_width != golden->mask_width || answer->mask_height != golden->mask_height)
        return error_set(err, ERROR_UNSUPPORTED, "probe",
                         "masks of %ux%u cannot be compared with those of %ux%u", answer->mask_width,
                         answer->mask_height, golden->mask_width, golden->mask_height);
    for (int side = 0; side < 2; side++) {
        const struct analysis *analysis = side == 0 ? answer : golden;
        for (uint32_t i = 0; i < analysis->area_count; i++)
            if (analysis->areas[i].runs_bytes == 0)
                return error_set(err, ERROR_UNSUPPORTED, "probe", "an area has no mask");
    }
    return 0;
}

/* Not by scores_add_counts: where a pixel may be of no class or of several, more may be wrong than missed. */
static int score_areas(const struct analysis *answer, const struct analysis *golden,
                       const uint32_t *to_class, uint32_t class_count, struct probe_score *score,
                       struct error *err)
{
    double sum = 0;
    uint32_t present = 0;
    int rc = check_masks(answer, golden, err);
    if (rc < 0)
        return rc;
    for (uint32_t c = 0; c < class_count; c++) {
        struct score_counts *counts = &score->counts[c];
        *counts = count_pixels(read_runs(answer, find_area(answer, NULL, c)),
                               read_runs(golden, find_area(golden, to_class, c)));
        double either = (double)counts->hits + counts->false_alarms + counts->misses;
        sum += either > 0 ? counts->hits / either : 0;
        present += either > 0;
    }
    score->accuracy = present > 0 ? sum / present : 1;
    return 0;
}

static int score_boxes(const struct probe_answer *answer, const struct probe_answer *golden,
                       uint32_t width, uint32_t height, const uint32_t *to_class,
                       uint32_t class_count, struct probe_score *score, struct error *err)
{
    struct score_box found[ANALYSIS_OBJECTS_MAX], wanted[ANALYSIS_OBJECTS_MAX];
    struct scores *scores = NULL;
    size_t found_count = take_boxes(answer, width, height, NULL, found);
    size_t wanted_count = take_boxes(golden, width, height, to_class, wanted);
    int rc = scores_open(&scores, SCORE_BOXES, class_count, err);
    if (rc == 0)
        rc = scores_add_boxes(scores, found, found_count, wanted, wanted_count, NULL, err);
    if (rc == 0) {
        memcpy(score->counts, scores_frame_counts(scores, 0), class_count * sizeof score->counts[0]);
        score->accuracy = scores_frame_accuracy(scores, 0);
    }
    scores_close(&scores);
    return rc;
}

int probe_score(const struct probe_answer *answer, const struct probe_answer *golden,
                uint32_t width, uint32_t height, const uint32_t *to_class, uint32_t class_count,
                struct probe_score *score, struct error *err)
{
    const bool areas = golden->analysis->mask_width > 0;
    if (areas != (answer->analysis->mask_width > 0))
        return error_set(
            err, ERROR_UNSUPPORTED, "probe",
            "boxes cannot be compared with areas: the golden model is of another kind");
    score->kind = areas ? SCORE_LABELS : SCORE_BOXES;
    return areas ? score_areas(answer->analysis, golden->analysis, to_class, class_count, score, err)
                 : score_boxes(answer, golden, width, height, to_class, class_count, score, err);
}
