/* degrade: see the header. Nothing of scaling or encoding is decided here: encode_rung does that for
 * the agent, and for us. */
#include "learn/degrade.h"

#include "base/random.h"
#include "media/decode.h"
#include "media/encode_rung.h"
#include "media/scale_window.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define ENCODE_THREADS 1u /* the agent's default; more would cut pictures into slices */

/* Fastest moves from one picture to the next, as parts of the picture. Faster than cameras turn, for
 * a still that moves as a whole is easier to predict than a street. */
#define PAN_ACROSS_MAX (1.0 / 16)
#define PAN_ALONG_MAX (1.0 / 32)
#define PAN_ZOOM_MAX (1.0 / 24)

struct degrade {
    struct degrade_config config;
    struct rung_encoder *encoder;
    struct decoder *decoder;
    struct packet *packet; /* sent last; NULL: none */
    uint64_t number;       /* of the next picture */
};

/* How a camera moves, from one picture to the next. */
struct motion {
    double x, y; /* pixels */
    double zoom; /* factor */
};

static int open_parts(struct degrade *degrade, struct error *err)
{
    const struct degrade_config *config = &degrade->config;
    const struct rung_encoder_config encoder = {
        .camera_width = config->camera_width,
        .camera_height = config->camera_height,
        .camera_fps = config->fps,
        .threads = ENCODE_THREADS,
    };
    int failed = rung_encoder_create(&degrade->encoder, &encoder, &config->rung, err);
    if (!failed)
        failed = rung_encoder_start(degrade->encoder, err); /* says now what is wrong with the rung */
    if (failed)
        return failed;
    const struct decoder_config decoder = {
        .codec = (enum video_codec)config->rung.codec,
        .width_max = degrade_rung(degrade)->width,
        .height_max = degrade_rung(degrade)->height,
        .pictures = DEGRADE_KEPT_MAX,
    };
    return decoder_open(&degrade->decoder, &decoder, err);
}

int degrade_open(struct degrade **degrade, const struct degrade_config *config, struct error *err)
{
    assert(degrade && config);
    if (config->camera_width == 0 || config->camera_height == 0)
        return error_set(err, ERROR_CONFIG, "degrade", "a picture of %ux%u has no pixels",
                         config->camera_width, config->camera_height);
    struct degrade *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "degrade", "no memory");
    fresh->config = *config;
    if (config->rung.encoder == ENCODER_AUTO)
        fresh->config.rung.encoder = ENCODER_SOFTWARE;
    int failed = open_parts(fresh, err);
    if (failed) {
        degrade_close(&fresh);
        return failed;
    }
    *degrade = fresh;
    return 0;
}

const struct rung *degrade_rung(const struct degrade *degrade)
{
    return rung_encoder_rung(degrade->encoder);
}

/* What an agent does with a picture: packet is what it sends. */
static int encode(struct degrade *degrade, struct picture *source, struct error *err)
{
    struct picture_view view;
    picture_get_view(source, &view);
    packet_unref(&degrade->packet);
    if (view.width != degrade->config.camera_width || view.height != degrade->config.camera_height)
        return error_set(err, ERROR_CONFIG, "degrade", "picture %llu is %ux%u where %ux%u was said",
                         (unsigned long long)degrade->number, view.width, view.height,
                         degrade->config.camera_width, degrade->config.camera_height);
    int failed = rung_encoder_runs(degrade->encoder) ? 0 : rung_encoder_start(degrade->encoder, err);
    if (!failed)
        failed = rung_encoder_encode(degrade->encoder, source, degrade->number,
                                     degrade->number == 0, &degrade->packet, err);
    degrade->number += !failed;
    return failed;
}

int degrade_picture(struct degrade *degrade, struct picture *source, struct picture **received,
                    size_t *bytes, struct error *err)
{
    assert(degrade && source && received && bytes);
    int failed = encode(degrade, source, err);
    if (failed)
        return failed;
    const uint8_t *data = packet_data(degrade->packet, bytes);
    return decoder_decode(degrade->decoder, data, *bytes, packet_is_keyframe(degrade->packet),
                          received, err);
}

/* Uniform in (-1, 1). */
static double random_signed(struct random_state *random)
{
    return 2 * random_next_unit(random) - 1;
}

/* Anything from standing still to the fastest, all directions alike. */
static struct motion choose_motion(const struct degrade_config *config, uint64_t seed)
{
    struct random_state random;
    random_seed(&random, seed);
    double strength = random_next_unit(&random);
    double across = random_signed(&random), along = random_signed(&random);
    return (struct motion){
        .x = strength * across * PAN_ACROSS_MAX * config->camera_width,
        .y = strength * along * PAN_ALONG_MAX * config->camera_height,
        .zoom = 1 + strength * random_signed(&random) * PAN_ZOOM_MAX,
    };
}

/* Pictures of a short video. The last one is no keyframe, but where all are. */
static uint32_t clip_frames(const struct degrade *degrade)
{
    double interval = rung_encoder_fps(degrade->encoder) * degrade_rung(degrade)->keyframe_s;
    return interval < DEGRADE_CLIP_FRAMES ? (uint32_t)fmax(1, floor(interval)) : DEGRADE_CLIP_FRAMES;
}

int degrade_pan(struct degrade *degrade, struct picture *still, uint64_t seed,
                struct picture **received, size_t *bytes, struct error *err)
{
    assert(degrade && still && received && bytes);
    const struct motion motion = choose_motion(&degrade->config, seed);
    int failed = 0;
    degrade_restart(degrade);
    const uint32_t before = clip_frames(degrade) - 1;
    double zoom = 1;
    for (uint32_t i = 0; i < before; i++)
        zoom /= motion.zoom;
    for (uint32_t left = before; left > 0 && !failed; left--, zoom *= motion.zoom) {
        const struct window window = { -motion.x * left, -motion.y * left, zoom };
        struct picture *seen = NULL, *unused = NULL;
        size_t unused_bytes;
        failed = scale_window(still, &window, &seen, err);
        if (!failed)
            failed = degrade_picture(degrade, seen, &unused, &unused_bytes, err);
        picture_unref(&unused);
        picture_unref(&seen);
    }
    if (!failed)
        failed = degrade_picture(degrade, still, received, bytes, err);
    degrade_restart(degrade);
    return failed;
}

int degrade_clip(struct degrade *degrade, struct picture *const *pictures, size_t count,
                 struct picture **received, size_t *bytes, struct error *err)
{
    assert(degrade && pictures && count > 0 && received && bytes);
    const size_t most = clip_frames(degrade);
    int failed = 0;
    degrade_restart(degrade);
    for (size_t i = count > most ? count - most : 0; i + 1 < count && !failed; i++) {
        struct picture *unused = NULL;
        failed = degrade_picture(degrade, pictures[i], &unused, bytes, err);
        picture_unref(&unused);
    }
    if (!failed)
        failed = degrade_picture(degrade, pictures[count - 1], received, bytes, err);
    degrade_restart(degrade);
    return failed;
}

const struct packet *degrade_last_packet(const struct degrade *degrade)
{
    return degrade->packet;
}

void degrade_restart(struct degrade *degrade)
{
    rung_encoder_stop(degrade->encoder);
    degrade->number = 0;
}

void degrade_close(struct degrade **degrade)
{
    assert(degrade);
    struct degrade *old = *degrade;
    *degrade = NULL;
    if (!old)
        return;
    packet_unref(&old->packet);
    rung_encoder_destroy(&old->encoder);
    decoder_close(&old->decoder);
    free(old);
}
