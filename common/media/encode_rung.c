/* encode_rung: see the header. */
#include "media/encode_rung.h"
#include "media/encode_library.h"
#include "media/encode_trial.h"
#include "media/hardware.h"
#include "media/scale.h"

#include <assert.h>
#include <stdlib.h>

#define FPS_ASSUMED 25.0 /* where a camera does not tell */

struct rung_encoder {
    struct rung_encoder_config config;
    struct rung rung; /* sizes resolved */
    bool chosen;      /* choice is for rung */
    struct encoder_choice choice;
    struct scaler *scaler;
    struct encoder *encoder; /* NULL: to be started */
};

/* In auto, the order of trials. */
static const enum encoder_kind hardware[] = { ENCODER_NVENC, ENCODER_QSV, ENCODER_VAAPI,
                                              ENCODER_V4L2M2M };

static void resolve(struct rung_encoder *encoder, const struct rung *rung)
{
    encoder->rung = *rung;
    rung_resolve(&encoder->rung, encoder->config.camera_width, encoder->config.camera_height);
}

int rung_encoder_create(struct rung_encoder **encoder, const struct rung_encoder_config *config,
                        const struct rung *rung, struct error *err)
{
    assert(encoder && config && rung);
    struct rung_encoder *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return error_set(err, ERROR_MEMORY, "encoder", "no room for an encoder");
    int failed = scaler_create(&fresh->scaler, err);
    if (failed) {
        free(fresh);
        return failed;
    }
    fresh->config = *config;
    resolve(fresh, rung);
    *encoder = fresh;
    return 0;
}

/* What is given to the encoder: the rung with the choice in it. */
static struct rung chosen_rung(const struct rung_encoder *encoder)
{
    struct rung rung = encoder->rung;
    rung.encoder = (int)encoder->choice.kind;
    return rung;
}

bool rung_encoder_set_rung(struct rung_encoder *encoder, const struct rung *rung)
{
    const struct rung before = encoder->rung;
    resolve(encoder, rung);
    const struct rung *now = &encoder->rung;
    if (now->codec != before.codec || now->encoder != before.encoder || now->mode != before.mode ||
        now->width != before.width || now->height != before.height)
        encoder->chosen = false;
    const struct rung told = chosen_rung(encoder);
    if (encoder->encoder && (!encoder->chosen || encoder_set_rung(encoder->encoder, &told, NULL) != 0))
        rung_encoder_stop(encoder);
    return rung_encoder_runs(encoder);
}

const struct rung *rung_encoder_rung(const struct rung_encoder *encoder)
{
    return &encoder->rung;
}

double rung_encoder_fps(const struct rung_encoder *encoder)
{
    return rung_sent_fps(encoder->config.camera_fps, encoder->rung.fps);
}

static struct encoder_config encoder_config(const struct rung_encoder *encoder)
{
    return (struct encoder_config){
        .rung = chosen_rung(encoder),
        .fps = rung_encoder_fps(encoder),
        .threads = encoder->config.threads,
    };
}

static void leave_out(struct rung_encoder *encoder, enum encoder_kind kind, struct error *cause)
{
    struct encoder_choice *choice = &encoder->choice;
    struct encoder_left_out *left = &choice->left_out[choice->left_out_count++];
    const char *reason = hardware_explain_failure(cause);
    const bool wanted = encoder->rung.encoder != ENCODER_AUTO || !hardware_reason_is_absence(reason);
    *left = (struct encoder_left_out){ kind, reason, wanted, *cause };
}

/* True when it works; otherwise it is among what was left out. */
static bool try_hardware(struct rung_encoder *encoder, enum encoder_kind kind)
{
    struct error err;
    encoder->choice.kind = kind;
    const struct encoder_config config = encoder_config(encoder);
    if (encode_trial_check(&config, &err) == 0)
        return true;
    leave_out(encoder, kind, &err);
    return false;
}

/* Whether auto takes it where it works: where nothing is lost by that. A bitrate that changes at the price
 * of a keyframe is a loss beside libx264 and none beside libx265 and libaom. */
static bool suits_auto(const struct rung *rung, enum encoder_kind kind)
{
    const enum video_codec codec = (enum video_codec)rung->codec;
    const struct encode_library *library = encode_library_find(codec, kind);
    const struct encode_library *software = encode_library_find(codec, ENCODER_SOFTWARE);
    return library && (library->changes_rate || !software->changes_rate) &&
           (library->holds_quality || rung->mode != RATE_QUALITY);
}

static void choose(struct rung_encoder *encoder)
{
    const struct rung *rung = &encoder->rung;
    encoder->choice = (struct encoder_choice){ .codec = (enum video_codec)rung->codec };
    bool found = false;
    for (size_t i = 0; i < sizeof hardware / sizeof *hardware && !found; i++)
        if (rung->encoder == (int)hardware[i] ||
            (rung->encoder == ENCODER_AUTO && suits_auto(rung, hardware[i])))
            found = try_hardware(encoder, hardware[i]);
    if (!found)
        encoder->choice.kind = ENCODER_SOFTWARE;
    encoder->chosen = true;
    if (encoder->config.chosen)
        encoder->config.chosen(encoder->config.arg, &encoder->choice);
}

int rung_encoder_start(struct rung_encoder *encoder, struct error *err)
{
    rung_encoder_stop(encoder);
    int failed = rung_check(&encoder->rung, err);
    if (failed)
        return failed;
    if (!encoder->chosen)
        choose(encoder);
    const struct encoder_config config = encoder_config(encoder);
    return encoder_open(&encoder->encoder, &config, err);
}

bool rung_encoder_runs(const struct rung_encoder *encoder)
{
    return encoder->encoder != NULL;
}

void rung_encoder_stop(struct rung_encoder *encoder)
{
    encoder_close(&encoder->encoder);
}

static int encode_scaled(struct rung_encoder *encoder, struct picture *scaled, uint64_t number,
                         bool force_idr, struct packet **packet, struct error *err)
{
    int failed = encoder_encode(encoder->encoder, scaled, number, force_idr, packet, err);
    if (!failed && !*packet) /* it was opened so that it holds nothing back */
        return error_set(err, ERROR_UNSUPPORTED, "encoder", "frame %llu was held back",
                         (unsigned long long)number);
    return failed;
}

/* Hardware that worked has failed: the stream goes on in software. */
static int fall_back(struct rung_encoder *encoder, struct error *cause)
{
    const enum encoder_kind kind = encoder->choice.kind;
    encoder->choice.left_out_count = 0;
    leave_out(encoder, kind, cause);
    encoder->choice.left_out[0].wanted = true;
    encoder->choice.kind = ENCODER_SOFTWARE;
    if (encoder->config.chosen)
        encoder->config.chosen(encoder->config.arg, &encoder->choice);
    return rung_encoder_start(encoder, cause);
}

int rung_encoder_encode(struct rung_encoder *encoder, struct picture *picture, uint64_t number,
                        bool force_idr, struct packet **packet, struct error *err)
{
    assert(encoder->encoder);
    const struct rung *rung = &encoder->rung;
    struct picture *scaled = NULL;
    int failed = scaler_to_picture(encoder->scaler, picture, rung->width, rung->height, &scaled, err);
    if (failed)
        return failed;
    failed = encode_scaled(encoder, scaled, number, force_idr, packet, err);
    if (failed && encoder->choice.kind != ENCODER_SOFTWARE) {
        failed = fall_back(encoder, err);
        if (!failed)
            failed = encode_scaled(encoder, scaled, number, force_idr, packet, err);
    }
    picture_unref(&scaled);
    return failed;
}

void rung_encoder_destroy(struct rung_encoder **encoder)
{
    assert(encoder);
    struct rung_encoder *old = *encoder;
    *encoder = NULL;
    if (!old)
        return;
    encoder_close(&old->encoder);
    scaler_destroy(&old->scaler);
    free(old);
}

double rung_sent_fps(double camera_fps, double cap_fps)
{
    double fps = camera_fps > 0 ? camera_fps : FPS_ASSUMED;
    return cap_fps > 0 && cap_fps < fps ? cap_fps : fps;
}
