/* encode_rung: see the header. */
#include "media/encode_rung.h"
#include "media/scale.h"

#include <assert.h>
#include <stdlib.h>

#define FPS_ASSUMED 25.0 /* where a camera does not tell */

struct rung_encoder {
    struct rung_encoder_config config;
    struct rung rung; /* sizes resolved */
    struct scaler *scaler;
    struct encoder *encoder; /* NULL: to be started */
};

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

bool rung_encoder_set_rung(struct rung_encoder *encoder, const struct rung *rung)
{
    resolve(encoder, rung);
    if (encoder->encoder && encoder_set_rung(encoder->encoder, &encoder->rung, NULL) != 0)
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

int rung_encoder_start(struct rung_encoder *encoder, struct error *err)
{
    const struct encoder_config config = {
        .rung = encoder->rung,
        .fps = rung_encoder_fps(encoder),
        .threads = encoder->config.threads,
        .codec = encoder->config.codec,
    };
    rung_encoder_stop(encoder);
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

int rung_encoder_encode(struct rung_encoder *encoder, struct picture *picture, uint64_t number,
                        bool force_idr, struct packet **packet, struct error *err)
{
    assert(encoder->encoder);
    const struct rung *rung = &encoder->rung;
    struct picture *scaled = NULL;
    int failed = scaler_to_picture(encoder->scaler, picture, rung->width, rung->height, &scaled, err);
    if (failed)
        return failed;
    failed = encoder_encode(encoder->encoder, scaled, number, force_idr, packet, err);
    picture_unref(&scaled);
    if (!failed && !*packet) /* it was opened so that it holds nothing back */
        return error_set(err, ERROR_UNSUPPORTED, "encoder", "frame %llu was held back",
                         (unsigned long long)number);
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
