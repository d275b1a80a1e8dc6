/* answer: protobuf-c wants arrays of pointers to messages; the scratch keeps them, so that an answer
 * is built without allocating. */
#include "ingest/answer.h"
#include <string.h>

#define CLASS_UNKNOWN "unknown" /* a class that the card does not name */

static const char *const fate_words[] = {
#define X(name, word, status) [FATE_##name] = word,
    FRAME_FATES(X)
#undef X
};

static const Runespoor__AnswerStatus fate_status[] = {
#define X(name, word, status) [FATE_##name] = RUNESPOOR__ANSWER_STATUS__ANSWER_##status,
    FRAME_FATES(X)
#undef X
};

const char *frame_fate_word(enum frame_fate fate)
{
    return fate_words[fate];
}

Runespoor__AnswerStatus frame_fate_status(enum frame_fate fate)
{
    return fate_status[fate];
}

static char *class_name(const struct answer_origin *origin, uint32_t class_id)
{
    const char *name = origin->class_name(origin->class_arg, class_id);
    return (char *)(name ? name : CLASS_UNKNOWN); /* protobuf-c has no const; nobody writes it */
}

static void fill_objects(struct answer_scratch *scratch, const struct frame *frame,
                         const struct answer_origin *origin)
{
    struct picture_view view;

    picture_get_view(frame->picture, &view);
    float scale_x = (float)frame->camera_width / (float)view.width;
    float scale_y = (float)frame->camera_height / (float)view.height;
    for (uint32_t i = 0; i < frame->analysis.object_count; i++) {
        const struct analysis_object *from = &frame->analysis.objects[i];
        Runespoor__Object *to = &scratch->object[i];
        runespoor__object__init(to);
        to->class_id = from->class_id;
        to->class_name = class_name(origin, from->class_id);
        to->confidence = from->confidence;
        to->x = from->x * scale_x;
        to->y = from->y * scale_y;
        to->width = from->width * scale_x;
        to->height = from->height * scale_y;
        scratch->object_list[i] = to;
    }
    scratch->answer.n_objects = frame->analysis.object_count;
    scratch->answer.objects = scratch->object_list;
}

static void fill_areas(struct answer_scratch *scratch, const struct frame *frame,
                       const struct answer_origin *origin)
{
    const struct analysis *analysis = &frame->analysis;

    for (uint32_t i = 0; i < analysis->area_count; i++) {
        const struct analysis_area *from = &analysis->areas[i];
        Runespoor__Area *to = &scratch->area[i];
        runespoor__area__init(to);
        to->class_id = from->class_id;
        to->class_name = class_name(origin, from->class_id);
        to->share = from->share;
        if (origin->masks && from->runs_bytes > 0) {
            to->runs.data = (uint8_t *)analysis->runs + from->runs_offset;
            to->runs.len = from->runs_bytes;
            to->mask_width = analysis->mask_width;
            to->mask_height = analysis->mask_height;
        }
        scratch->area_list[i] = to;
    }
    scratch->answer.n_areas = analysis->area_count;
    scratch->answer.areas = scratch->area_list;
}

static void fill_timings(Runespoor__Timings *timings, const struct frame *frame)
{
    const struct decode_job *job = &frame->job;

    runespoor__timings__init(timings);
    timings->encode_us = frame->encode_us;
    if (job->ended_ns > 0) {
        timings->decode_wait_us = (uint32_t)((job->started_ns - frame->arrived_ns) / 1000);
        timings->decode_us = (uint32_t)((job->ended_ns - job->started_ns) / 1000);
    }
    timings->device_wait_us = frame->device_wait_us;
    timings->prepare_us = frame->analysis.prepare_us;
    timings->infer_us = frame->analysis.infer_us;
    timings->head_us = frame->analysis.head_us;
    timings->server_us = frame->server_us;
}

const Runespoor__Answer *answer_fill(struct answer_scratch *scratch, const struct frame *frame,
                                     const struct answer_origin *origin)
{
    Runespoor__Answer *answer = &scratch->answer;

    runespoor__answer__init(answer);
    answer->session = origin->session;
    answer->stream = (char *)origin->stream;
    answer->frame = frame->number;
    answer->capture_ns = frame->capture_ns;
    answer->capture_unix_us = frame->capture_unix_us;
    answer->status = fate_status[frame->fate];
    answer->reason = (char *)fate_words[frame->fate];
    answer->model = (char *)origin->model;
    answer->restored = (char *)frame->restored;
    answer->width = frame->camera_width;
    answer->height = frame->camera_height;
    answer->wire_bytes = frame->wire_bytes;
    if (frame->fate == FATE_OK)
        answer->uncertainty = frame->analysis.uncertainty;
    answer->late = origin->late;
    answer->timings = &scratch->timings;
    fill_timings(&scratch->timings, frame);
    if (frame->analysis.object_count > 0)
        fill_objects(scratch, frame, origin);
    if (frame->analysis.area_count > 0)
        fill_areas(scratch, frame, origin);
    return answer;
}
