/* samples: loader i of n makes the batches of steps i, i + n, i + 2 n, … and puts them into a queue of its
 * own, so their order is that of the steps however fast each of them is. */
#include "base/queue.h"
#include "learn/samples_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD 2u /* batches that wait in each loader's queue */

const struct option_spec samples_augment_options[] = {
    OPTION_BOOL(samples_augment, flip, "true", "every other crop is mirrored, left to right"),
    OPTION_F64(samples_augment, scale_min, "0.6", 0.1, 10, "",
               "crops show things at this part of their size at least (segment)"),
    OPTION_F64(samples_augment, scale_max, "1.7", 0.1, 10, "", "and at most"),
    OPTION_F64(samples_augment, jitter, "0.5", 0, 1, "",
               "of brightness, contrast and colours: 0 none, 1 strong"),
    OPTION_END,
};

const struct option_spec samples_damage_options[] = {
    OPTION_STRINGS(
        samples_damage, factors, 0, SAMPLES_FACTORS_MAX,
        "sides of what is sent are less by this, 1 to 4; 1 for the codec's damage alone; superres: "
        "exactly one; segment: one of them by chance, or none, then the source is learnt from"),
    OPTION_U32(samples_damage, bitrate_min_kbps, "50", 8, 200000, "kbit/s",
               "pictures are sent at bitrates from here, all ratios alike,"),
    OPTION_U32(samples_damage, bitrate_max_kbps, "200", 8, 200000, "kbit/s", "to here"),
    OPTION_F64(samples_damage, fps, "15", 0.1, 240, "1/s", "at which they would be sent"),
    OPTION_SECTION(samples_damage, rung, rung_options,
                   "what an agent would be told; size and bitrate follow from the keys above"),
    OPTION_END,
};

struct loader {
    struct samples *samples;
    struct queue *queue;
    struct sample_view view;
    uint64_t step;              /* the next one */
    uint32_t *order;            /* of epoch: numbers of pictures */
    uint64_t epoch;             /* UINT64_MAX: none yet */
    struct sample_batch *spare; /* tells that there is no memory for another */
    pthread_t thread;
    bool runs;
};

struct samples {
    struct samples_config config;
    struct sample_pictures pictures;
    struct loader *loaders;
    uint64_t next; /* step that is taken next */
};

static void *load(void *arg);
static int open_loader(struct samples *samples, struct loader *loader, uint64_t step,
                       struct error *err);
static void drop(void *item);

int samples_open(struct samples **samples, const struct samples_set *set,
                 const struct samples_config *config, uint64_t first_step, struct error *err)
{
    assert(set->count > 0 && config->batch > 0 && config->crops > 0 && config->loaders > 0);
    if ((uint64_t)set->count * config->crops > SAMPLES_EPOCH_MAX)
        return error_set(err, ERROR_LIMIT, "samples", "an epoch has more than %u crops",
                         SAMPLES_EPOCH_MAX);
    struct samples *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "samples", "no room for samples");
    fresh->config = *config;
    fresh->next = first_step;
    fresh->loaders = calloc(config->loaders, sizeof *fresh->loaders);
    int rc = fresh->loaders ? 0 : error_set(err, ERROR_MEMORY, "samples", "no room for loaders");
    if (rc == 0)
        rc = sample_pictures_open(&fresh->pictures, set, &fresh->config, err);
    for (uint32_t i = 0; rc == 0 && i < config->loaders; i++)
        rc = open_loader(fresh, &fresh->loaders[(first_step + i) % config->loaders], first_step + i,
                         err);
    if (rc < 0)
        samples_close(&fresh);
    else
        *samples = fresh;
    return rc;
}

int samples_take(struct samples *samples, struct sample_batch **batch, struct error *err)
{
    void *item = NULL;
    struct loader *loader = &samples->loaders[samples->next % samples->config.loaders];
    enum queue_result result = queue_take(loader->queue, &item, UINT32_MAX);
    assert(result == QUEUE_OK);
    (void)result;
    struct sample_batch *taken = item;
    assert(taken->step == samples->next);
    if (taken->failed) {
        int failed = taken->failed;
        *err = taken->err;
        sample_batch_free(&taken);
        return failed;
    }
    samples->next++;
    *batch = taken;
    return 0;
}

void sample_batch_free(struct sample_batch **batch)
{
    if (!*batch)
        return;
    free((*batch)->source);
    free((*batch)->received);
    free((*batch)->labels);
    free(*batch);
    *batch = NULL;
}

void samples_close(struct samples **samples)
{
    struct samples *old = *samples;
    *samples = NULL;
    if (!old)
        return;
    for (uint32_t i = 0; old->loaders && i < old->config.loaders; i++)
        if (old->loaders[i].queue)
            queue_close(old->loaders[i].queue);
    for (uint32_t i = 0; old->loaders && i < old->config.loaders; i++) {
        if (old->loaders[i].runs)
            pthread_join(old->loaders[i].thread, NULL);
        queue_destroy(&old->loaders[i].queue, drop);
        sample_view_finish(&old->loaders[i].view);
        sample_batch_free(&old->loaders[i].spare);
        free(old->loaders[i].order);
    }
    sample_pictures_finish(&old->pictures);
    free(old->loaders);
    free(old);
}

uint64_t samples_epoch_steps(size_t pictures, const struct samples_config *config)
{
    return ((uint64_t)pictures * config->crops + config->batch - 1) / config->batch;
}

/* Splitmix64, over all that distinguishes one chance from another. */
uint64_t samples_chance(uint64_t seed, enum samples_chance what, uint64_t a, uint64_t b)
{
    const uint64_t words[] = { seed, (uint64_t)what, a, b };
    uint64_t x = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        x += words[i] + UINT64_C(0x9E3779B97F4A7C15);
        x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
        x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
        x ^= x >> 31;
    }
    return x;
}

/* ---- loaders ---- */

static void drop(void *item)
{
    struct sample_batch *batch = item;
    sample_batch_free(&batch);
}

static int open_loader(struct samples *samples, struct loader *loader, uint64_t step,
                       struct error *err)
{
    loader->samples = samples;
    loader->step = step;
    loader->epoch = UINT64_MAX;
    loader->order =
        calloc(samples->pictures.set->count * samples->config.crops, sizeof *loader->order);
    loader->spare = calloc(1, sizeof *loader->spare);
    if (!loader->order || !loader->spare)
        return error_set(err, ERROR_MEMORY, "samples", "no room for the order of an epoch");
    int rc = sample_view_open(&loader->view, &samples->config, err);
    if (rc == 0)
        rc = queue_create(&loader->queue, AHEAD, QUEUE_BLOCK, err);
    if (rc < 0)
        return rc;
    int failed = pthread_create(&loader->thread, NULL, load, loader);
    loader->runs = failed == 0;
    return failed ? error_set_errno(err, failed, "samples", "cannot start a loader") : 0;
}

/* Fisher and Yates. */
static void shuffle(struct loader *loader, uint64_t epoch)
{
    const struct samples *samples = loader->samples;
    size_t count = samples->pictures.set->count * samples->config.crops;
    struct random_state random;
    random_seed(&random, samples_chance(samples->config.seed, CHANCE_ORDER, epoch, 0));
    for (size_t i = 0; i < count; i++)
        loader->order[i] = (uint32_t)(i % samples->pictures.set->count);
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)(random_next_u64(&random) % i);
        uint32_t swapped = loader->order[i - 1];
        loader->order[i - 1] = loader->order[other];
        loader->order[other] = swapped;
    }
    loader->epoch = epoch;
}

static int fill(struct loader *loader, struct sample_batch *batch)
{
    struct samples *samples = loader->samples;
    const struct samples_config *config = &samples->config;
    uint64_t each = samples->pictures.set->count * config->crops;
    for (uint32_t slot = 0; slot < config->batch; slot++) {
        uint64_t number = batch->step * config->batch + slot;
        struct random_state random;
        random_seed(&random, samples_chance(config->seed, CHANCE_CROP, number, 0));
        if (loader->epoch != number / each)
            shuffle(loader, number / each);
        int rc = sample_view_fill(&loader->view, &samples->pictures, loader->order[number % each],
                                  loader->epoch, &batch->err);
        if (rc < 0)
            return rc;
        sample_cut(&loader->view, config, &random, batch, slot);
    }
    return 0;
}

static int no_room(const struct samples_config *config, struct sample_batch *batch)
{
    return error_set(&batch->err, ERROR_MEMORY, "samples", "no room for a batch of %u crops",
                     config->batch);
}

static int take_memory(const struct samples_config *config, struct sample_batch *batch)
{
    size_t pixels = (size_t)config->batch * config->crop_width * config->crop_height;
    size_t shrink = (size_t)config->damage.factor * config->damage.factor;
    batch->source = malloc(3 * pixels * sizeof *batch->source);
    if (shrink > 0)
        batch->received = malloc(3 * pixels / shrink * sizeof *batch->received);
    if (config->labelled)
        batch->labels = malloc(pixels * sizeof *batch->labels);
    if (batch->source && (shrink == 0 || batch->received) && (!config->labelled || batch->labels))
        return 0;
    return no_room(config, batch);
}

/* The spare one, where there is no memory for another: that it fails is the end of this loader, so it is
 * needed once at most. */
static struct sample_batch *begin_batch(struct loader *loader)
{
    const struct samples_config *config = &loader->samples->config;
    struct sample_batch *batch = calloc(1, sizeof *batch);
    if (batch) {
        batch->failed = take_memory(config, batch);
    } else {
        batch = loader->spare;
        loader->spare = NULL;
        batch->failed = no_room(config, batch);
    }
    batch->step = loader->step;
    return batch;
}

/* A batch that could not be made tells why; the training ends with it. */
static void *load(void *arg)
{
    struct loader *loader = arg;
    for (bool failed = false; !failed; loader->step += loader->samples->config.loaders) {
        struct sample_batch *batch = begin_batch(loader);
        if (!batch->failed)
            batch->failed = fill(loader, batch);
        failed = batch->failed != 0;
        if (queue_put(loader->queue, batch, NULL) != QUEUE_OK) {
            sample_batch_free(&batch);
            break;
        }
    }
    return NULL;
}
