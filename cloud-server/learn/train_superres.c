/* train_superres: the task of a restorer: pixels like those of the source to learn, PSNR over all three
 * colours to measure. Before the first step it is bicubic enlarging. */
#include "learn/train_parts.h"
#include "train/loss.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE "source"
#define CHARBONNIER_EPSILON 1e-3f /* as in LapSRN, of pixels in 0..1 */
#define PSNR_MAX_DB 100.0

static int network(const struct train *train, struct compose *c, int pictures, enum net_form form)
{
    const struct net_config config = { .size = train->config->size,
                                       .form = form,
                                       .seed = train->config->seed };
    return net_restorer(c, pictures, &config, train->config->damage.factor);
}

static int loss(const struct train *train, struct compose *c)
{
    int64_t batch = train->config->batch, factor = train->config->damage.factor;
    int64_t height = train->config->crop_height, width = train->config->crop_width;
    int received = compose_input(c, NET_PICTURE, TENSOR_F32,
                                 COMPOSE_SHAPE(batch, 3, height / factor, width / factor));
    int source = compose_input(c, SOURCE, TENSOR_F32, COMPOSE_SHAPE(batch, 3, height, width));
    int restored = network(train, c, received, NET_TRAINED);
    if (c->rc)
        return c->rc;
    return train->config->pixel_loss == PIXEL_L1
               ? loss_l1(c->graph, restored, source, c->err)
               : loss_charbonnier(c->graph, restored, source, CHARBONNIER_EPSILON, c->err);
}

static void fill(const struct train *train, const struct sample_batch *batch)
{
    const struct tensor *received = train_input(train, NET_PICTURE);
    const struct tensor *source = train_input(train, SOURCE);
    memcpy(received->data, batch->received, tensor_bytes(received));
    memcpy(source->data, batch->source, tensor_bytes(source));
}

/* ---- measuring ---- */

/* Of what would be shown: what is beyond black and white is cut off. */
static double psnr_db(const float *restored, const float *source, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        double apart = (double)fminf(fmaxf(restored[i], 0), 1) - (double)source[i];
        sum += apart * apart;
    }
    return sum > 0 ? fmin(PSNR_MAX_DB, -10 * log10(sum / (double)count)) : PSNR_MAX_DB;
}

static int measure_all(const struct train *train, struct plan *plan, struct samples *samples,
                       double *accuracy, struct error *err)
{
    const struct tensor *received = plan_input(plan, 0), *restored = plan_output(plan, 0);
    double sum = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < train->measured.count; i++) {
        struct sample_batch *batch;
        rc = samples_take(samples, &batch, err);
        if (rc < 0)
            break;
        memcpy(received->data, batch->received, tensor_bytes(received));
        rc = plan_run(plan, err);
        if (rc == 0)
            sum += psnr_db(restored->data, batch->source, tensor_bytes(restored) / sizeof(float));
        sample_batch_free(&batch);
    }
    *accuracy = sum / (double)train->measured.count;
    return rc;
}

/* Whole pictures, each once, with the same damage every time. */
static int measure(struct train *train, double *accuracy, struct error *err)
{
    const struct plan_options options = { .precision = train->precision };
    struct samples_config config = train->samples;
    struct samples *samples = NULL;
    struct plan *plan = NULL;
    config.crop_width = config.width;
    config.crop_height = config.height;
    config.batch = config.crops = 1;
    config.augment = (struct samples_augment){ .scale_min = 1, .scale_max = 1 };
    config.seed = 0;
    int rc = device_compile(train->device, train->folded, &options, &plan, err);
    if (rc == 0)
        rc = samples_open(&samples, train->measured.data, train->measured.numbers,
                          train->measured.count, &config, 0, err);
    if (rc == 0)
        rc = measure_all(train, plan, samples, accuracy, err);
    samples_close(&samples);
    plan_free(&plan);
    return rc < 0 ? error_wrap(err, "validation") : 0;
}

const struct train_task_ops train_superres = {
    .network = network,
    .loss = loss,
    .fill = fill,
    .measure = measure,
    .output = NET_RESTORED,
    .accuracy = "psnr_db",
    .begins = true,
};
