/* encode_trial: see the header. The decoder is the one that the server has. */
#include "media/encode_trial.h"
#include "base/clock.h"
#include "media/picture_compare.h"
#include "media/source.h"

#include <assert.h>
#include <stddef.h>

#define CHECK_PICTURES 6u
/* Mean difference of two pictures' luma from which on they are not the same one. Green and black differ by more
 * from a test picture, what a rung of few bits leaves of it by less. That may be a mere grey, which differs by 23 to
 * 26: grey is not found out. */
#define DIFFERENCE_MAX 40.0
/* This picture asks for a keyframe, and a new decoder has to begin with it. */
#define KEYFRAME_AT 3u

struct parts {
    const struct encoder_config *config;
    struct encoder *encoder;
    struct decoder *decoder;
    uint32_t number; /* of the next picture */
};

static int open_decoder(struct parts *parts, struct error *err)
{
    const struct decoder_config config = {
        .codec = (enum video_codec)parts->config->rung.codec,
        .width_max = parts->config->rung.width,
        .height_max = parts->config->rung.height,
        .pictures = 1,
    };
    decoder_close(&parts->decoder);
    return decoder_open(&parts->decoder, &config, err);
}

static int check_back(const struct parts *parts, struct picture *picture,
                      const struct picture *back, struct error *err)
{
    const double difference = picture_difference(picture, back);
    if (difference <= DIFFERENCE_MAX)
        return 0;
    return error_set(err, ERROR_UNSUPPORTED, "encoder",
                     "picture %u comes back as another one (luma differs by %.0f)", parts->number,
                     difference);
}

/* One picture there and back. */
static int pass_one(struct parts *parts, struct encode_trial *trial, struct picture *picture,
                    uint64_t *bytes, bool *keyframe, struct error *err)
{
    struct packet *packet = NULL;
    struct picture *back = NULL;
    const bool asked = parts->number == KEYFRAME_AT;
    const uint64_t begin_ns = clock_now_ns();
    int failed = encoder_encode(parts->encoder, picture, parts->number, asked, &packet, err);
    const uint64_t encoded_ns = clock_now_ns();
    if (failed)
        return failed;
    if (!packet)
        return error_set(err, ERROR_UNSUPPORTED, "encoder", "picture %u was held back",
                         parts->number);
    *keyframe = packet_is_keyframe(packet);
    if (asked && !*keyframe)
        failed = error_set(err, ERROR_UNSUPPORTED, "encoder", "it gives no keyframe when asked");
    else if (asked)
        failed = open_decoder(parts, err);
    const uint64_t opened_ns = clock_now_ns();
    size_t size;
    const uint8_t *data = packet_data(packet, &size);
    if (!failed)
        failed = decoder_decode(parts->decoder, data, size, *keyframe, &back, err);
    trial->encode_ns += encoded_ns - begin_ns;
    trial->decode_ns += clock_now_ns() - opened_ns;
    *bytes += size;
    if (!failed)
        failed = check_back(parts, picture, back, err);
    picture_unref(&back);
    packet_unref(&packet);
    parts->number++;
    return failed;
}

/* A quarter of the bitrate from the next picture on. */
static int try_rate(struct parts *parts, struct encode_trial *trial,
                    struct picture *const *pictures, size_t count, struct error *err)
{
    struct encode_trial unused = { .pictures = 0 };
    struct rung rung = parts->config->rung;
    bool keyframe = false;
    int failed = 0;
    rung.bitrate_kbps = (rung.bitrate_kbps + 3) / 4;
    trial->changes_rate = encoder_set_rung(parts->encoder, &rung, NULL) == 0;
    for (size_t i = 0; trial->changes_rate && i < count && !failed; i++) {
        failed =
            pass_one(parts, &unused, pictures[count - 1 - i], &trial->bytes_after, &keyframe, err);
        trial->changes_rate &= !keyframe;
    }
    return failed;
}

int encode_trial_run(struct encode_trial *trial, const struct encoder_config *config,
                     struct picture *const *pictures, size_t count, struct error *err)
{
    assert(trial && config && pictures && count > 0);
    struct parts parts = { .config = config };
    bool keyframe;
    *trial = (struct encode_trial){ .pictures = 0 };
    int failed = encoder_open(&parts.encoder, config, err);
    if (!failed)
        failed = open_decoder(&parts, err);
    for (; !failed && trial->pictures < count; trial->pictures++)
        failed = pass_one(&parts, trial, pictures[trial->pictures], &trial->bytes, &keyframe, err);
    if (!failed)
        failed = try_rate(&parts, trial, pictures, count, err);
    decoder_close(&parts.decoder);
    encoder_close(&parts.encoder);
    return failed;
}

int encode_trial_check(const struct encoder_config *config, struct error *err)
{
    const struct source_config test = {
        .kind = SOURCE_TEST,
        .width = config->rung.width,
        .height = config->rung.height,
        .fps = 25,
    };
    struct picture *pictures[CHECK_PICTURES] = { NULL };
    struct source *source = NULL;
    struct encode_trial trial;
    uint64_t time_ns;
    int failed = source_open(&source, &test, err);
    for (size_t i = 0; i < CHECK_PICTURES && !failed; i++)
        failed = source_next(source, &pictures[i], &time_ns, err);
    if (!failed)
        failed = encode_trial_run(&trial, config, pictures, CHECK_PICTURES, err);
    for (size_t i = 0; i < CHECK_PICTURES; i++)
        picture_unref(&pictures[i]);
    source_close(&source);
    return failed;
}
