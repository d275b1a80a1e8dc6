/* samples_video: pictures of a video come in order only, so all that are needed are taken before the first
 * batch: those of the set and, where pictures are sent, the frames before them. */
#include "learn/samples_parts.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

static int mark_frames(struct sample_pictures *pictures, uint32_t source, struct error *err);
static int check_room(struct sample_pictures *pictures, struct error *err);
static int decode_frames(struct sample_pictures *pictures, struct scaler *scaler, uint32_t source,
                         struct error *err);

int sample_videos_open(struct sample_pictures *pictures, struct error *err)
{
    const uint32_t sources = (uint32_t)pictures->set->source_count;
    struct scaler *scaler = NULL;
    int rc = 0;
    for (uint32_t s = 0; rc == 0 && s < sources; s++)
        rc = mark_frames(pictures, s, err);
    if (rc == 0)
        rc = check_room(pictures, err);
    if (rc == 0)
        rc = scaler_create(&scaler, err);
    for (uint32_t s = 0; rc == 0 && s < sources; s++)
        rc = decode_frames(pictures, scaler, s, err);
    if (scaler)
        scaler_destroy(&scaler);
    return rc;
}

void sample_videos_finish(struct sample_pictures *pictures)
{
    for (size_t s = 0; pictures->videos && s < pictures->set->source_count; s++) {
        struct sample_video *video = &pictures->videos[s];
        for (size_t i = 0; video->frames && i < video->count; i++)
            picture_unref(&video->frames[i]);
        free(video->frames);
        free(video->needed);
    }
    free(pictures->videos);
}

size_t sample_video_clip(const struct sample_pictures *pictures, size_t index,
                         struct picture *clip[DEGRADE_CLIP_FRAMES])
{
    const struct samples_picture *place = &pictures->set->pictures[index];
    const struct sample_video *video = &pictures->videos[place->source];
    size_t before = place->number / video->stride, count = 0;
    assert(video->frames && video->frames[place->number]);
    if (before > DEGRADE_CLIP_FRAMES - 1)
        before = DEGRADE_CLIP_FRAMES - 1;
    for (size_t left = before + 1; left > 0; left--)
        clip[count++] = video->frames[place->number - (left - 1) * video->stride];
    return count;
}

/* A camera sends whole parts of its frames: of a video those that come nearest to the rate wanted. */
static void choose_rate(struct sample_video *video, const struct samples_damage *damage, double fps)
{
    double wanted = damage->rung.fps > 0 ? fmin(damage->fps, damage->rung.fps) : damage->fps;
    video->stride = (uint32_t)fmax(1, round(fps / wanted));
    video->fps = fps / video->stride;
}

/* Only a source that is a video with pictures in the set gets frames. */
static int mark_frames(struct sample_pictures *pictures, uint32_t source, struct error *err)
{
    const struct samples_set *set = pictures->set;
    const struct samples_config *config = pictures->config;
    struct sample_video *video = &pictures->videos[source];
    struct data_info info;
    data_get_info(set->sources[source].data, &info);
    if (!info.is_video)
        return 0;
    const bool sends = config->damage.factor > 0 || config->damage.drawn_count > 0;
    const uint32_t sent = sends ? DEGRADE_CLIP_FRAMES : 1;
    video->count = info.picture_count;
    video->frames = calloc(video->count, sizeof *video->frames);
    video->needed = calloc(video->count, sizeof *video->needed);
    if (!video->frames || !video->needed)
        return error_set(err, ERROR_MEMORY, "samples", "no room for a video");
    video->stride = 1;
    if (sends)
        choose_rate(video, &config->damage, info.fps);
    for (size_t i = 0; i < set->count; i++) {
        const struct samples_picture *picture = &set->pictures[i];
        for (uint64_t k = 0; picture->source == source && k < sent; k++)
            if (picture->number >= k * video->stride)
                video->needed[picture->number - k * video->stride] = true;
    }
    return 0;
}

static int check_room(struct sample_pictures *pictures, struct error *err)
{
    const struct samples_config *config = pictures->config;
    const uint64_t each = (uint64_t)config->width * config->height * 3 / 2;
    uint64_t frames = 0;
    for (size_t s = 0; s < pictures->set->source_count; s++) {
        const struct sample_video *video = &pictures->videos[s];
        for (size_t i = 0; i < video->count; i++)
            frames += video->needed[i];
    }
    if (frames * each > pictures->bytes_left)
        return error_set(err, ERROR_LIMIT, "cache_mib",
                         "too little for the %llu frames of videos that are learnt from or sent "
                         "before those: %llu MiB would do, or fewer of them (every), or a folder "
                         "of pictures",
                         (unsigned long long)frames, (unsigned long long)((frames * each >> 20) + 1));
    pictures->bytes_left -= frames * each;
    return 0;
}

static int decode_frames(struct sample_pictures *pictures, struct scaler *scaler, uint32_t source,
                         struct error *err)
{
    const struct samples_config *config = pictures->config;
    const struct samples_source *from = &pictures->set->sources[source];
    const struct sample_video *video = &pictures->videos[source];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < video->count; i++) {
        struct picture *whole = NULL;
        struct samples_window window;
        if (!video->needed[i])
            continue;
        rc = samples_source_picture(from, i, config->width, config->height, &whole, &window, err);
        if (rc == 0)
            rc = scaler_to_picture(scaler, whole, config->width, config->height, &video->frames[i],
                                   err);
        picture_unref(&whole);
        if (rc < 0)
            error_wrap(err, "%s", data_picture_name(from->data, i));
    }
    return rc;
}
