/* vtest_accuracy: recall and precision of a file of answers against true boxes, persons, IoU 0.5.
 * Whoever made the answers: our server, or ONNX Runtime by vtest_ort.py.
 *
 *     vtest_accuracy ANSWERS GT
 *
 * How it counts, and what the files look like: tests/pipeline/person_score.h. */
#include "person_score.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: vtest_accuracy ANSWERS GT\n");
        return 2;
    }
    struct person_score score;
    person_score_read(&score, argv[1], argv[2], SIZE_MAX);
    printf("hits=%zu misses=%zu false_alarms=%zu ignored=%zu failed=%zu\n", score.hits,
           score.misses, score.false_alarms, score.ignored, score.failed);
    printf("frames=%zu answered=%zu dropped=%zu bytes_per_frame=%.1f recall=%.4f precision=%.4f "
           "f1=%.4f\n",
           score.frames, score.answered, score.dropped,
           (double)score.wire_bytes / (double)(score.frames > 0 ? score.frames : 1),
           person_score_recall(&score), person_score_precision(&score), person_score_f1(&score));
    return 0;
}
