/* inspect: see the header. */
#include "inspect.h"

#include "base/clock.h"
#include "media/decode.h"
#include "media/scale.h"
#include "pace.h"
#include <string.h>

#define INSPECT_FRAMES 50u

struct trial {
    struct source_info info;
    struct rung rung;
    double fps; /* that will be sent */
    unsigned frames;
    uint64_t encode_ns, decode_ns, bytes;
};

static int encode_and_decode(struct trial *trial, struct picture *picture, struct scaler *scaler,
                             struct encoder *encoder, struct decoder *decoder, struct error *err)
{
    struct picture *scaled = NULL, *decoded = NULL;
    struct packet *packet = NULL;
    uint64_t begin_ns = clock_now_ns();
    int result =
        scaler_to_picture(scaler, picture, trial->rung.width, trial->rung.height, &scaled, err);
    if (result == 0)
        result = encoder_encode(encoder, scaled, trial->frames, false, &packet, err);
    if (result == 0 && !packet)
        result = error_set(err, ERROR_UNSUPPORTED, "encoder", "a frame was held back");
    uint64_t encoded_ns = clock_now_ns();
    if (result == 0) {
        size_t size;
        const uint8_t *bytes = packet_data(packet, &size);
        result = decoder_decode(decoder, bytes, size, packet_is_keyframe(packet), &decoded, err);
        trial->bytes += size;
    }
    trial->encode_ns += encoded_ns - begin_ns;
    trial->decode_ns += clock_now_ns() - encoded_ns;
    trial->frames++;
    picture_unref(&scaled);
    picture_unref(&decoded);
    packet_unref(&packet);
    return result;
}

static int try_camera(const struct camera_config *camera, struct trial *trial, struct error *err)
{
    struct source *source = NULL;
    struct scaler *scaler = NULL;
    struct encoder *encoder = NULL;
    struct decoder *decoder = NULL;
    int result = source_open(&source, &camera->source, err);
    if (result != 0)
        goto out;
    source_get_info(source, &trial->info);
    trial->rung = camera->rung;
    rung_resolve(&trial->rung, trial->info.display_width, trial->info.display_height);
    trial->fps = pace_sent_fps(trial->info.fps, trial->rung.fps);
    const struct encoder_config encoder_config = {
        .rung = trial->rung,
        .fps = trial->fps,
        .threads = camera->encode_threads,
    };
    const struct decoder_config decoder_config = {
        .codec = VIDEO_H264,
        .width_max = trial->rung.width,
        .height_max = trial->rung.height,
        .pictures = 1,
    };
    result = scaler_create(&scaler, err);
    if (result == 0)
        result = encoder_open(&encoder, &encoder_config, err);
    if (result == 0)
        result = decoder_open(&decoder, &decoder_config, err);
    while (result == 0 && trial->frames < INSPECT_FRAMES) {
        struct picture *picture = NULL;
        uint64_t time_ns;
        result = source_next(source, &picture, &time_ns, err);
        if (result == 0)
            result = encode_and_decode(trial, picture, scaler, encoder, decoder, err);
        picture_unref(&picture);
    }
    if (result == -ERROR_END && trial->frames > 0)
        result = 0;
out:
    decoder_close(&decoder);
    encoder_close(&encoder);
    scaler_destroy(&scaler);
    source_close(&source);
    return result;
}

size_t inspect_cameras(const struct agent_config *config, FILE *out)
{
    const struct camera_config *cameras = config->cameras.items;
    size_t broken = 0;
    fprintf(out, "%-16s %-32s %-10s %9s %9s %8s  %s\n", "camera", "source", "rung", "encode",
            "decode", "kbit/s", "verdict");
    for (size_t i = 0; i < config->cameras.count; i++) {
        struct trial trial = { .frames = 0 };
        struct error err;
        if (try_camera(&cameras[i], &trial, &err) != 0) {
            fprintf(out, "%-16s %s\n", cameras[i].name, err.text);
            broken++;
            continue;
        }
        char rung[32];
        double encode_ms = (double)trial.encode_ns / 1e6 / trial.frames;
        double decode_ms = (double)trial.decode_ns / 1e6 / trial.frames;
        snprintf(rung, sizeof rung, "%ux%u", trial.rung.width, trial.rung.height);
        fprintf(out, "%-16s %-32s %-10s %6.2f ms %6.2f ms %8.0f  %s\n", cameras[i].name,
                trial.info.description, rung, encode_ms, decode_ms,
                (double)trial.bytes * 8 * trial.fps / 1000 / trial.frames,
                encode_ms * trial.fps < 900 ? "fine"
                                            : "too slow here: a smaller rung or faster preset");
    }
    return broken;
}
