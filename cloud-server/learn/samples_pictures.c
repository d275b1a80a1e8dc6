/* samples_pictures: pictures are decoded once where the cache has room for them. It keeps those that came
 * first: an epoch shows every picture alike, so none is better to keep than another. */
#include "learn/samples_parts.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int decode(struct sample_pictures *pictures, struct sample_view *view, size_t index,
                  struct picture **picture, struct error *err);
static int receive(struct sample_pictures *pictures, struct sample_view *view, size_t index,
                   uint64_t epoch, struct picture *picture, const struct planes *received,
                   struct error *err);
static size_t area(const struct samples_config *config);

int sample_pictures_open(struct sample_pictures *pictures, const struct samples_set *set,
                         const struct samples_config *config, struct error *err)
{
    *pictures = (struct sample_pictures){ .config = config, .bytes_left = config->cache_bytes };
    int failed = pthread_mutex_init(&pictures->lock, NULL);
    if (failed)
        return error_set_errno(err, failed, "samples", "cannot make a lock");
    pictures->set = set; /* from here on there is something to finish */
    pictures->kept = calloc(set->count, sizeof *pictures->kept);
    pictures->videos = calloc(set->source_count, sizeof *pictures->videos);
    if (!pictures->kept || !pictures->videos)
        return error_set(err, ERROR_MEMORY, "samples", "no room for %zu pictures", set->count);
    return sample_videos_open(pictures, err);
}

void sample_pictures_finish(struct sample_pictures *pictures)
{
    if (!pictures->set)
        return;
    for (size_t i = 0; pictures->kept && i < pictures->set->count; i++) {
        picture_unref(&pictures->kept[i].picture);
        free(pictures->kept[i].labels);
        free(pictures->kept[i].received.bytes);
    }
    sample_videos_finish(pictures);
    free(pictures->kept);
    pthread_mutex_destroy(&pictures->lock);
}

int sample_view_open(struct sample_view *view, const struct samples_config *config, struct error *err)
{
    uint32_t factor = config->damage.factor;
    bool drawn = config->damage.drawn_count > 0;
    view->source = (struct planes){ config->width, config->height, malloc(3 * area(config)) };
    view->labels = malloc(area(config));
    if (factor > 0)
        view->received = (struct planes){ config->width / factor, config->height / factor,
                                          malloc(3 * area(config)) };
    if (drawn)
        view->sent.bytes = malloc(3 * area(config)); /* enough for any factor */
    if (!view->source.bytes || !view->labels || (factor > 0 && !view->received.bytes) ||
        (drawn && !view->sent.bytes))
        return error_set(err, ERROR_MEMORY, "samples", "no room for a picture");
    return scaler_create(&view->scaler, err);
}

void sample_view_finish(struct sample_view *view)
{
    scaler_destroy(&view->scaler);
    free(view->source.bytes);
    free(view->received.bytes);
    free(view->sent.bytes);
    free(view->labels);
    for (size_t i = 0; i <= SAMPLES_FACTORS_MAX; i++)
        enlarge_close(&view->enlarge[i]);
}

/* ---- filling a view ---- */

static size_t area(const struct samples_config *config)
{
    return (size_t)config->width * config->height;
}

static int to_planes(struct scaler *scaler, struct picture *picture, const struct planes *planes,
                     struct error *err)
{
    struct picture_view view;
    size_t each = (size_t)planes->width * planes->height;
    uint8_t *const rgb[3] = { planes->bytes, planes->bytes + each, planes->bytes + 2 * each };
    picture_get_view(picture, &view);
    return scaler_to_rgb_planes(scaler, &view, planes->width, planes->height, rgb, planes->width,
                                err);
}

/* Golden labels lie in memory already. */
static bool is_golden(const struct sample_pictures *pictures, size_t index)
{
    return samples_set_source(pictures->set, index)->golden.maps != NULL;
}

/* Keeps the picture and its labels, if there is room. */
static void keep(struct sample_pictures *pictures, size_t index, struct picture *picture,
                 const uint8_t *labels)
{
    const struct samples_config *config = pictures->config;
    struct kept *kept = &pictures->kept[index];
    if (config->once)
        return;
    assert(area(config) > 0);
    bool labelled = config->labelled && !is_golden(pictures, index);
    uint64_t bytes = area(config) * (labelled ? 5 : 3) / 2;
    uint8_t *copy = labelled ? malloc(area(config)) : NULL;
    pthread_mutex_lock(&pictures->lock);
    if (!kept->picture && bytes <= pictures->bytes_left && (copy || !labelled)) {
        kept->picture = picture_ref(picture);
        if (copy)
            memcpy(copy, labels, area(config));
        kept->labels = copy;
        copy = NULL;
        pictures->bytes_left -= bytes;
    }
    pthread_mutex_unlock(&pictures->lock);
    free(copy); /* another thread was faster, or there is no room */
}

/* The picture at its size, the caller's to unref; its labels go into the view. */
static int get_picture(struct sample_view *view, struct sample_pictures *pictures, size_t index,
                       struct picture **picture, struct error *err)
{
    const struct samples_picture *place = &pictures->set->pictures[index];
    const struct sample_video *video = &pictures->videos[place->source];
    const struct samples_config *config = pictures->config;
    struct kept *kept = &pictures->kept[index];
    pthread_mutex_lock(&pictures->lock);
    struct picture *there = video->frames ? video->frames[place->number] : kept->picture;
    *picture = there ? picture_ref(there) : NULL;
    pthread_mutex_unlock(&pictures->lock);
    if (!there)
        return decode(pictures, view, index, picture, err);
    if (kept->labels) /* what is kept stays as it is */
        memcpy(view->labels, kept->labels, area(config));
    else if (config->labelled)
        return samples_set_labels(pictures->set, index, NULL, config->width, config->height,
                                  view->labels, err);
    return 0;
}

int sample_view_fill(struct sample_view *view, struct sample_pictures *pictures, size_t index,
                     uint64_t epoch, struct error *err)
{
    struct picture *picture = NULL;
    const struct samples_damage *damage = &pictures->config->damage;
    int rc = get_picture(view, pictures, index, &picture, err);
    if (rc == 0 && damage->drawn_count == 0)
        rc = to_planes(view->scaler, picture, &view->source, err);
    if (rc == 0 && damage->factor > 0)
        rc = receive(pictures, view, index, epoch, picture, &view->received, err);
    if (rc == 0 && damage->drawn_count > 0)
        rc = receive(pictures, view, index, epoch, picture, &view->source, err);
    picture_unref(&picture);
    return rc < 0 ? error_wrap(err, "%s", samples_set_name(pictures->set, index)) : 0;
}

static int decode(struct sample_pictures *pictures, struct sample_view *view, size_t index,
                  struct picture **picture, struct error *err)
{
    const struct samples_config *config = pictures->config;
    struct picture *decoded = NULL;
    struct samples_window window;
    int rc = samples_set_picture(pictures->set, index, config->width, config->height, &decoded,
                                 &window, err);
    if (rc == 0 && config->labelled)
        rc = samples_set_labels(pictures->set, index, &window, config->width, config->height,
                                view->labels, err);
    if (rc == 0)
        rc = scaler_to_picture(view->scaler, decoded, config->width, config->height, picture, err);
    if (rc == 0)
        keep(pictures, index, *picture, view->labels);
    picture_unref(&decoded);
    return rc;
}

/* ---- what is received ---- */

/* factor: by how much the sides of what was sent are less than those of received; 1: not at all. */
static int take_received(struct sample_view *view, struct picture *got, uint32_t factor,
                         const struct planes *received, struct error *err)
{
    struct enlarge **enlarge = &view->enlarge[factor];
    if (factor == 1)
        return to_planes(view->scaler, got, received, err);
    view->sent.width = received->width / factor;
    view->sent.height = received->height / factor;
    int rc = to_planes(view->scaler, got, &view->sent, err);
    const struct enlarge_sizes sizes = { view->sent.width, view->sent.height, received->width,
                                         received->height };
    if (rc == 0 && !*enlarge)
        rc = enlarge_open(enlarge, &sizes, err);
    return rc < 0 ? rc : enlarge_run(*enlarge, view->sent.bytes, received->bytes, err);
}

/* A picture of a video is sent behind those before it, a still as the end of a pan over itself. */
static int send(struct degrade *degrade, const struct sample_pictures *pictures, size_t index,
                struct picture *picture, uint64_t seed, struct picture **got, struct error *err)
{
    struct picture *clip[DEGRADE_CLIP_FRAMES];
    size_t bytes;
    if (!pictures->videos[pictures->set->pictures[index].source].frames)
        return degrade_pan(degrade, picture, seed, got, &bytes, err);
    size_t count = sample_video_clip(pictures, index, clip);
    return degrade_clip(degrade, clip, count, got, &bytes, err);
}

static int degrade_one(const struct sample_pictures *pictures, size_t index, uint64_t chance,
                       struct picture *picture, struct sample_view *view,
                       const struct planes *received, struct error *err)
{
    const struct samples_config *config = pictures->config;
    const struct sample_video *video = &pictures->videos[pictures->set->pictures[index].source];
    const struct samples_damage *damage = &config->damage;
    struct degrade_config way = { .rung = damage->rung,
                                  .fps = video->frames ? video->fps : damage->fps,
                                  .camera_width = config->width,
                                  .camera_height = config->height };
    struct degrade *degrade = NULL;
    struct picture *got = NULL;
    struct random_state random;
    random_seed(&random, chance);
    double low = damage->bitrate_min_kbps, high = damage->bitrate_max_kbps;
    way.rung.bitrate_kbps = (uint32_t)lround(low * pow(high / low, random_next_unit(&random)));
    uint64_t motion = random_next_u64(&random);
    uint32_t factor =
        damage->drawn_count > 0 ? damage->drawn[random_next_u64(&random) % damage->drawn_count] : 1;
    way.rung.width = received->width / factor;
    way.rung.height = received->height / factor;
    int rc = degrade_open(&degrade, &way, err);
    if (rc == 0)
        rc = send(degrade, pictures, index, picture, motion, &got, err);
    if (rc == 0)
        rc = take_received(view, got, factor, received, err);
    picture_unref(&got);
    degrade_close(&degrade);
    return rc;
}

static bool find_received(struct sample_pictures *pictures, size_t index, uint64_t epoch,
                          const struct planes *to)
{
    struct kept *kept = &pictures->kept[index];
    pthread_mutex_lock(&pictures->lock);
    bool found = kept->received.bytes && kept->epoch == epoch;
    if (found)
        memcpy(to->bytes, kept->received.bytes, 3 * (size_t)to->width * to->height);
    pthread_mutex_unlock(&pictures->lock);
    return found;
}

/* In the place of the last epoch's. */
static void keep_received(struct sample_pictures *pictures, size_t index, uint64_t epoch,
                          const struct planes *from)
{
    struct kept *kept = &pictures->kept[index];
    uint64_t bytes = 3 * (uint64_t)from->width * from->height;
    pthread_mutex_lock(&pictures->lock);
    if (!kept->received.bytes && bytes <= pictures->bytes_left) {
        kept->received = *from;
        kept->received.bytes = malloc(bytes);
        if (kept->received.bytes)
            pictures->bytes_left -= bytes;
    }
    if (kept->received.bytes) {
        memcpy(kept->received.bytes, from->bytes, bytes);
        kept->epoch = epoch;
    }
    pthread_mutex_unlock(&pictures->lock);
}

static int receive(struct sample_pictures *pictures, struct sample_view *view, size_t index,
                   uint64_t epoch, struct picture *picture, const struct planes *received,
                   struct error *err)
{
    if (find_received(pictures, index, epoch, received))
        return 0;
    const struct samples_picture *place = &pictures->set->pictures[index];
    uint64_t chance = samples_chance(pictures->config->seed, CHANCE_DAMAGE, epoch,
                                     (uint64_t)place->source << 32 | place->number);
    int rc = degrade_one(pictures, index, chance, picture, view, received, err);
    if (rc == 0 && pictures->config->crops > 1)
        keep_received(pictures, index, epoch, received);
    return rc;
}
