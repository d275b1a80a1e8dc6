/* answers_file: the answers of one stream of boxes, as edge-agent writes them (JSON lines), by frame. */
#ifndef RUNESPOOR_DEMO_ANSWERS_FILE_H
#define RUNESPOOR_DEMO_ANSWERS_FILE_H

#include "analyse/card.h"
#include "evaluate/scores.h"

#define ANSWERS_RESTORED_BYTES 128u

struct answered_frame {
    struct score_box *boxes;
    size_t count;
    uint64_t wire_bytes; /* 0: not answered yet */
};

struct answers {
    struct answered_frame *frames;
    size_t frame_count;
    char restored[ANSWERS_RESTORED_BYTES]; /* what all answers say: "network x4", "bicubic" or "" */
};

/* Takes the file of a stream of frame_count frames, all of which must be answered, in any order. card
 * knows the classes. The error names file and line. */
int answers_read(struct answers *answers, const char *path, const struct card *card,
                 size_t frame_count, struct error *err);
void answers_finish(struct answers *answers); /* all-zero is harmless */

#endif
