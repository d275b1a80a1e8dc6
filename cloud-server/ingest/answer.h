/* answer: a finished frame as the message of answer.proto, in the camera's own pixels. */
#ifndef RUNESPOOR_INGEST_ANSWER_H
#define RUNESPOOR_INGEST_ANSWER_H

#include "ingest/frame.h"

/* One message and everything it points to; filled again for each frame. Loop thread. */
struct answer_scratch {
    Runespoor__Answer answer;
    Runespoor__Timings timings;
    Runespoor__Object object[ANALYSIS_OBJECTS_MAX];
    Runespoor__Object *object_list[ANALYSIS_OBJECTS_MAX];
    Runespoor__Area area[ANALYSIS_AREAS_MAX];
    Runespoor__Area *area_list[ANALYSIS_AREAS_MAX];
};

/* Name of a class, NULL when unknown; borrowed. */
typedef const char *answer_class_fn(void *arg, uint32_t class_id);

struct answer_origin {
    uint64_t session;
    const char *stream, *model; /* model "" when nothing was analysed */
    bool masks; /* areas with their masks */
    bool late;  /* of a backlog */
    answer_class_fn *class_name;
    void *class_arg;
};

/* The message points into frame and origin, and holds as long as they and scratch stay as they are.
 */
const Runespoor__Answer *answer_fill(struct answer_scratch *scratch, const struct frame *frame,
                                     const struct answer_origin *origin);

#endif
