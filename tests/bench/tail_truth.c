/* tail_truth: see the header. Probes go through the agent's own encoder and the server's own decoder. */
#include "tail_truth.h"

#include "../../edge-agent/probe_encoder.h"
#include "analyse/head.h"
#include "evaluate/eval_answer.h"
#include "media/decode.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

const double tail_qualities[TAIL_QUALITIES] = { 8, 12, 16, 23 };

/* A way for pictures to become probes and pictures again. */
struct prober {
    struct probe_encoder *encoder;
    struct decoder *decoder;
    uv_sem_t done;
    double quality; /* CRF */
    bool has_sem;
};

static int judge(struct tail_truth *truth, struct model *golden, struct error *err);

static int no_room(struct error *err)
{
    return error_set(err, ERROR_MEMORY, "tail", "no room for the answers to all frames");
}

static int open_data(struct tail_truth *truth, const char *pictures, double fps, struct error *err)
{
    const struct data_config config = { .pictures = (char *)pictures,
                                        .labels = "",
                                        .classes = "",
                                        .ignore = "",
                                        .box_class = "",
                                        .fps = fps };
    struct picture *first = NULL;
    struct picture_view view;
    struct data_info info;
    int rc = data_open(&truth->data, &config, err);
    if (rc == 0)
        rc = data_picture(truth->data, 0, &first, err);
    if (rc < 0)
        return rc;
    picture_get_view(first, &view);
    picture_unref(&first);
    data_get_info(truth->data, &info);
    truth->count = info.picture_count;
    truth->fps = info.fps;
    truth->width = view.width;
    truth->height = view.height;
    return 0;
}

static int take_room(struct tail_truth *truth, const struct card *card, struct error *err)
{
    truth->kind = head_finds_areas(card->head.kind) ? SCORE_LABELS : SCORE_BOXES;
    truth->class_count = (uint32_t)card->classes.count;
    truth->classes = calloc(truth->class_count, sizeof *truth->classes);
    truth->sources = calloc(truth->count, sizeof *truth->sources);
    if (!truth->classes || !truth->sources)
        return no_room(err);
    for (uint32_t c = 0; c < truth->class_count; c++)
        truth->classes[c] = (int)c;
    for (size_t q = 0; q < TAIL_QUALITIES; q++) {
        truth->probes[q] = calloc(truth->count, sizeof *truth->probes[q]);
        truth->probe_bytes[q] = calloc(truth->count, sizeof *truth->probe_bytes[q]);
        if (!truth->probes[q] || !truth->probe_bytes[q])
            return no_room(err);
        int rc = scores_open(&truth->agreement[q], truth->kind, truth->class_count, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int tail_truth_open(struct tail_truth *truth, const char *pictures, double fps, const char *model,
                    struct device *device, struct error *err)
{
    struct model *golden = NULL;
    *truth = (struct tail_truth){ .model = model };
    int rc = open_data(truth, pictures, fps, err);
    if (rc == 0)
        rc = model_open(&golden, model, device, err);
    if (rc == 0)
        rc = take_room(truth, model_card(golden), err);
    if (rc == 0)
        rc = judge(truth, golden, err);
    model_close(&golden);
    if (rc < 0)
        tail_truth_close(truth);
    return rc;
}

void tail_truth_close(struct tail_truth *truth)
{
    for (size_t i = 0; truth->sources && i < truth->count; i++)
        tail_answer_finish(&truth->sources[i]);
    free(truth->sources);
    for (size_t q = 0; q < TAIL_QUALITIES; q++) {
        for (size_t i = 0; truth->probes[q] && i < truth->count; i++)
            tail_answer_finish(&truth->probes[q][i]);
        free(truth->probes[q]);
        free(truth->probe_bytes[q]);
        scores_close(&truth->agreement[q]);
    }
    free(truth->classes);
    data_close(&truth->data);
    *truth = (struct tail_truth){ 0 };
}

/* ---- answers ---- */

int tail_answer_take(struct tail_answer *answer, const struct tail_truth *truth,
                     struct model *model, const struct analysis *analysis,
                     const struct picture_view *picture, struct error *err)
{
    const struct eval_sides sides = { picture->width, picture->height, truth->width, truth->height };
    struct score_box boxes[ANALYSIS_OBJECTS_MAX];
    *answer = (struct tail_answer){ 0 };
    if (truth->kind == SCORE_LABELS) {
        answer->labels = malloc((size_t)truth->width * truth->height);
        if (!answer->labels)
            return no_room(err);
        eval_answer_labels(model, truth->classes, -1, &sides, answer->labels);
        return 0;
    }
    answer->box_count = eval_answer_boxes(analysis, truth->classes, &sides, boxes);
    if (answer->box_count == 0)
        return 0;
    answer->boxes = malloc(answer->box_count * sizeof *boxes);
    if (!answer->boxes)
        return no_room(err);
    memcpy(answer->boxes, boxes, answer->box_count * sizeof *boxes);
    return 0;
}

int tail_answer_score(struct scores *scores, const struct tail_truth *truth,
                      const struct tail_answer *found, const struct tail_answer *wanted,
                      struct error *err)
{
    if (truth->kind == SCORE_LABELS)
        return scores_add_labels(scores, found->labels, wanted->labels,
                                 (size_t)truth->width * truth->height, (int)EVAL_LABEL_IGNORE, NULL,
                                 err);
    return scores_add_boxes(scores, found->boxes, found->box_count, wanted->boxes,
                            wanted->box_count, NULL, err);
}

void tail_answer_finish(struct tail_answer *answer)
{
    free(answer->boxes);
    free(answer->labels);
    *answer = (struct tail_answer){ 0 };
}

/* ---- probes ---- */

static void post(void *arg)
{
    uv_sem_post(arg);
}

static int prober_open(struct prober *prober, double quality, const struct tail_truth *truth,
                       struct error *err)
{
    const struct decoder_config decoder = {
        .codec = VIDEO_H264, .width_max = truth->width, .height_max = truth->height, .pictures = 2
    };
    if (uv_sem_init(&prober->done, 0) != 0)
        return error_set(err, ERROR_MEMORY, "tail", "no semaphore");
    prober->has_sem = true;
    prober->quality = quality;
    int rc = probe_encoder_open(&prober->encoder, 1, post, &prober->done, err);
    return rc < 0 ? rc : decoder_open(&prober->decoder, &decoder, err);
}

static void prober_close(struct prober *prober)
{
    probe_encoder_close(&prober->encoder);
    decoder_close(&prober->decoder);
    if (prober->has_sem)
        uv_sem_destroy(&prober->done);
}

/* Encodes it, beside whatever else goes on; prober_take has to follow. */
static int prober_put(struct prober *prober, struct picture *source, struct error *err)
{
    const struct probe_job job = { .picture = picture_ref(source), .quality = prober->quality };
    if (!probe_encoder_put(prober->encoder, &job))
        return error_set(err, ERROR_MEMORY, "tail", "the probe encoder takes no picture");
    return 0;
}

static int prober_take(struct prober *prober, struct picture **received, uint32_t *bytes,
                       struct error *err)
{
    struct probe_job job;
    size_t size;
    uv_sem_wait(&prober->done);
    bool taken = probe_encoder_take(prober->encoder, &job);
    assert(taken); /* it has said that it is done */
    (void)taken;
    if (!job.packet) {
        *err = job.err;
        return -(int)job.err.code;
    }
    const uint8_t *data = packet_data(job.packet, &size);
    *bytes = (uint32_t)size;
    int rc = decoder_decode(prober->decoder, data, size, true, received, err);
    packet_unref(&job.packet);
    return rc;
}

static int ask(const struct tail_truth *truth, struct model *golden, struct picture *picture,
               struct tail_answer *answer, struct error *err)
{
    static struct analysis analysis; /* large */
    struct picture_view view;
    picture_get_view(picture, &view);
    int rc = model_run(golden, &view, &analysis, err);
    return rc < 0 ? rc : tail_answer_take(answer, truth, golden, &analysis, &view, err);
}

static int judge_probe(struct tail_truth *truth, struct model *golden, struct prober *prober,
                       size_t quality, size_t frame, struct error *err)
{
    struct tail_answer *answer = &truth->probes[quality][frame];
    struct picture *received = NULL;
    int rc = prober_take(prober, &received, &truth->probe_bytes[quality][frame], err);
    if (rc == 0)
        rc = ask(truth, golden, received, answer, err);
    if (rc == 0)
        rc = tail_answer_score(truth->agreement[quality], truth, answer, &truth->sources[frame], err);
    picture_unref(&received);
    return rc;
}

static int judge_frame(struct tail_truth *truth, struct model *golden, struct prober *probers,
                       size_t frame, struct error *err)
{
    struct picture *source = NULL;
    int rc = data_picture(truth->data, frame, &source, err);
    for (size_t q = 0; rc == 0 && q < TAIL_QUALITIES; q++)
        rc = prober_put(&probers[q], source, err);
    if (rc == 0)
        rc = ask(truth, golden, source, &truth->sources[frame], err);
    for (size_t q = 0; rc == 0 && q < TAIL_QUALITIES; q++)
        rc = judge_probe(truth, golden, &probers[q], q, frame, err);
    picture_unref(&source);
    return rc;
}

static int judge(struct tail_truth *truth, struct model *golden, struct error *err)
{
    struct prober probers[TAIL_QUALITIES] = { 0 };
    int rc = 0;
    for (size_t q = 0; rc == 0 && q < TAIL_QUALITIES; q++)
        rc = prober_open(&probers[q], tail_qualities[q], truth, err);
    for (size_t i = 0; rc == 0 && i < truth->count; i++)
        rc = judge_frame(truth, golden, probers, i, err);
    for (size_t q = 0; q < TAIL_QUALITIES; q++)
        prober_close(&probers[q]);
    return rc;
}
