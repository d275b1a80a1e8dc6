/* tail_rung: see the header. degrade is the way through encoder and decoder, restorer chooses what stands in
 * front of the model, both for the product, too. */
#include "tail_rung.h"

#include "base/clock.h"
#include "config/config.h"
#include "devices/restorer.h"
#include "learn/degrade.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What every frame passes. */
struct way {
    struct degrade *degrade;
    struct model *model;
    struct restorer *restorer;
    struct analysis *analysis;
};

static int send_all(struct tail_rung *rung, struct way *way, struct error *err);

static int open_degrade(const struct tail_rung *rung, struct way *way, struct error *err)
{
    const struct tail_truth *truth = rung->truth;
    struct degrade_config config = { .fps = truth->fps,
                                     .camera_width = truth->width,
                                     .camera_height = truth->height };
    struct config *defaults = NULL;
    int rc = config_load(&defaults, rung_options, &config.rung, NULL, NULL, 0, err);
    config_free(&defaults);
    if (rc < 0)
        return rc;
    config.rung.width = rung->width;
    config.rung.height = rung->height;
    config.rung.bitrate_kbps = rung->bitrate_kbps;
    return degrade_open(&way->degrade, &config, err);
}

/* As a worker does it whose configuration says nothing of restoration. */
static int open_model(const struct tail_rung *rung, struct way *way, struct device *device,
                      struct error *err)
{
    struct order_model *order = calloc(1, sizeof *order);
    if (!order)
        return error_set(err, ERROR_MEMORY, "tail", "no room for an order");
    order->fallback = FALLBACK_AUTO;
    order->network_count = 1;
    snprintf(order->networks[0], sizeof order->networks[0], "%s", POOL_NETWORKS_CARD);
    snprintf(order->folder, sizeof order->folder, "%s", rung->truth->model);
    int rc = model_open(&way->model, order->folder, device, err);
    if (rc == 0)
        rc = restorer_open(&way->restorer, device, err);
    if (rc == 0)
        rc = restorer_add_model(way->restorer, order, model_card(way->model), err);
    free(order);
    return rc;
}

static int take_room(struct tail_rung *rung, struct way *way, struct error *err)
{
    const struct tail_truth *truth = rung->truth;
    rung->count = truth->count * ((TAIL_FRAMES_MIN + truth->count - 1) / truth->count);
    rung->wire_bytes = calloc(rung->count, sizeof *rung->wire_bytes);
    rung->uncertainty = calloc(rung->count, sizeof *rung->uncertainty);
    way->analysis = malloc(sizeof *way->analysis);
    if (!rung->wire_bytes || !rung->uncertainty || !way->analysis)
        return error_set(err, ERROR_MEMORY, "tail", "no room for %zu frames", rung->count);
    int rc = scores_open(&rung->exact, truth->kind, truth->class_count, err);
    for (size_t q = 0; rc == 0 && q < TAIL_QUALITIES; q++)
        rc = scores_open(&rung->seen[q], truth->kind, truth->class_count, err);
    return rc;
}

int tail_rung_open(struct tail_rung *rung, const struct tail_truth *truth, uint32_t width,
                   uint32_t height, uint32_t bitrate_kbps, struct device *device, struct error *err)
{
    struct way way = { 0 };
    const uint64_t begun_ns = clock_now_ns();
    *rung = (struct tail_rung){
        .truth = truth, .width = width, .height = height, .bitrate_kbps = bitrate_kbps
    };
    int rc = take_room(rung, &way, err);
    if (rc == 0)
        rc = open_degrade(rung, &way, err);
    if (rc == 0)
        rc = open_model(rung, &way, device, err);
    if (rc == 0)
        rc = send_all(rung, &way, err);
    rung->elapsed_s = (double)(clock_now_ns() - begun_ns) / 1e9;
    degrade_close(&way.degrade);
    restorer_close(&way.restorer);
    model_close(&way.model);
    free(way.analysis);
    if (rc < 0)
        tail_rung_close(rung);
    return rc;
}

void tail_rung_close(struct tail_rung *rung)
{
    free(rung->wire_bytes);
    free(rung->uncertainty);
    scores_close(&rung->exact);
    for (size_t q = 0; q < TAIL_QUALITIES; q++)
        scores_close(&rung->seen[q]);
    *rung = (struct tail_rung){ 0 };
}

/* The model that a worker would take. */
static struct model *choose_model(struct tail_rung *rung, struct way *way,
                                  const struct picture_view *received)
{
    const struct runner_picture picture = { .view = *received,
                                            .camera = { rung->truth->width, rung->truth->height } };
    const struct restored_plan *plan = restorer_find(way->restorer, &picture, 1);
    const char *name = "nothing";
    if (plan && plan->kind == RESTORE_BICUBIC)
        name = "bicubic";
    else if (plan && plan->network)
        name = plan->network->name;
    snprintf(rung->restored, sizeof rung->restored, "%s", name);
    return plan && plan->model ? plan->model : way->model;
}

static int score(struct tail_rung *rung, size_t frame, const struct tail_answer *answer,
                 struct error *err)
{
    const struct tail_truth *truth = rung->truth;
    const size_t at = frame % truth->count;
    int rc = tail_answer_score(rung->exact, truth, answer, &truth->sources[at], err);
    for (size_t q = 0; rc == 0 && q < TAIL_QUALITIES; q++)
        rc = tail_answer_score(rung->seen[q], truth, answer, &truth->probes[q][at], err);
    return rc;
}

static int answer_frame(struct tail_rung *rung, struct way *way, struct picture *received,
                        size_t frame, struct error *err)
{
    struct tail_answer answer;
    struct picture_view view;
    picture_get_view(received, &view);
    struct model *model = choose_model(rung, way, &view);
    int rc = model_run(model, &view, way->analysis, err);
    if (rc < 0)
        return rc;
    const struct analysis *analysis = way->analysis;
    const double count = (double)rung->count;
    rung->uncertainty[frame] = (double)analysis->uncertainty;
    rung->head_ms += analysis->head_us / 1e3 / count;
    rung->run_ms += (analysis->prepare_us + analysis->infer_us + analysis->head_us) / 1e3 / count;
    rc = tail_answer_take(&answer, rung->truth, model, analysis, &view, err);
    if (rc == 0)
        rc = score(rung, frame, &answer, err);
    tail_answer_finish(&answer);
    return rc;
}

static int send_all(struct tail_rung *rung, struct way *way, struct error *err)
{
    const struct tail_truth *truth = rung->truth;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < rung->count; i++) {
        struct picture *source = NULL, *received = NULL;
        size_t bytes = 0;
        rc = data_picture(truth->data, i % truth->count, &source, err);
        if (rc == 0)
            rc = degrade_picture(way->degrade, source, &received, &bytes, err);
        if (rc == 0)
            rc = answer_frame(rung, way, received, i, err);
        rung->wire_bytes[i] = (double)(bytes + TAIL_PACKET_HEADER_BYTES);
        picture_unref(&received);
        picture_unref(&source);
    }
    return rc;
}
