/* eval_frames: see the header. */
#include "evaluate/eval_frames.h"
#include "media/encode_rung.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* Of every clip, the pictures that keep to the cap's average from its first one on, as an agent's
 * pace does it. */
static void choose(struct eval_frames *frames, const struct data *data, size_t clip_count,
                   uint32_t score_every)
{
    double share = frames->sent_fps / frames->source_fps;
    for (size_t c = 0; c < clip_count; c++) {
        struct data_clip clip;
        data_get_clip(data, c, &clip);
        size_t sent = 0;
        for (size_t i = 0; i < clip.count; i++) {
            /* The small part: 15 of 30 pictures a second are every second one, whatever rounding. */
            if (i > 0 && floor((double)i * share + 1e-9) < (double)sent)
                continue;
            frames->items[frames->count++] =
                (struct eval_frame){ .picture = (uint32_t)(clip.first + i),
                                     .clip = (uint32_t)c,
                                     .starts_clip = sent == 0,
                                     .scored = sent % score_every == 0 };
            sent++;
        }
    }
}

/* Each is sent for itself, so what is not scored need not be. Clips count on as one: theirs may well be of
 * a picture or two. */
static void choose_stills(struct eval_frames *frames, const struct data *data, size_t clip_count,
                          uint32_t score_every)
{
    for (size_t c = 0; c < clip_count; c++) {
        struct data_clip clip;
        data_get_clip(data, c, &clip);
        for (size_t i = clip.first; i < clip.first + clip.count; i++)
            if (i % score_every == 0)
                frames->items[frames->count++] = (struct eval_frame){
                    .picture = (uint32_t)i, .clip = (uint32_t)c, .starts_clip = true, .scored = true
                };
    }
}

int eval_frames_open(struct eval_frames *frames, struct data *data,
                     const struct eval_config *config, struct error *err)
{
    struct data_info info;
    struct picture *first = NULL;
    struct picture_view view;
    data_get_info(data, &info);
    if (info.picture_count == 0)
        return error_set(err, ERROR_CONFIG, "data.pictures", "there is no picture");
    int failed = data_picture(data, 0, &first, err);
    if (failed)
        return failed;
    picture_get_view(first, &view);
    double sent_fps = rung_sent_fps(info.fps, config->fps);
    *frames = (struct eval_frames){ .items = calloc(info.picture_count, sizeof *frames->items),
                                    .source_fps = config->stills ? sent_fps : info.fps,
                                    .sent_fps = sent_fps,
                                    .width = view.width,
                                    .height = view.height };
    picture_unref(&first);
    if (!frames->items)
        return error_set(err, ERROR_MEMORY, "data", "no room for %zu pictures", info.picture_count);
    if (config->stills)
        choose_stills(frames, data, info.clip_count, config->score_every);
    else
        choose(frames, data, info.clip_count, config->score_every);
    return 0;
}

size_t eval_frames_scored(const struct eval_frames *frames)
{
    size_t count = 0;
    for (size_t i = 0; i < frames->count; i++)
        count += frames->items[i].scored;
    return count;
}

int eval_frames_picture(const struct eval_frames *frames, struct data *data, size_t index,
                        struct picture **picture, struct error *err)
{
    struct picture_view view;
    assert(index < frames->count);
    size_t number = frames->items[index].picture;
    int failed = data_picture(data, number, picture, err);
    if (failed)
        return failed;
    picture_get_view(*picture, &view);
    if (view.width == frames->width && view.height == frames->height)
        return 0;
    picture_unref(picture);
    return error_set(
        err, ERROR_UNSUPPORTED, data_picture_name(data, number),
        "is %ux%u, but the first picture is %ux%u: one evaluation needs pictures of one "
        "size",
        view.width, view.height, frames->width, frames->height);
}

void eval_frames_finish(struct eval_frames *frames)
{
    free(frames->items);
    *frames = (struct eval_frames){ 0 };
}
