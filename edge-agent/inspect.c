/* inspect: see the header. */
#include "inspect.h"

#include "media/decode_trial.h"
#include "media/encode_rung.h"
#include "media/encode_trial.h"
#include "media/hardware.h"
#include "media/scale.h"
#include "pace.h"
#include <string.h>

#define INSPECT_FRAMES 25u
/* What the box's encoders are tried with: a middling rung. */
#define BOX_WIDTH 640u
#define BOX_HEIGHT 360u
#define BOX_FPS 25u
#define BOX_KBPS 800u
/* Part of the time between two frames that encoding may take, so that the rest of the work fits. */
#define BUSY_MAX 0.9

struct pictures {
    struct picture *items[INSPECT_FRAMES];
    size_t count;
};

static void drop_pictures(struct pictures *pictures)
{
    while (pictures->count > 0)
        picture_unref(&pictures->items[--pictures->count]);
}

/* The source's next pictures at the rung's size, all that will be tried or as many as there are. */
static int take_pictures(struct source *source, const struct rung *rung, struct pictures *pictures,
                         struct error *err)
{
    struct scaler *scaler = NULL;
    int result = scaler_create(&scaler, err);
    while (result == 0 && pictures->count < INSPECT_FRAMES) {
        struct picture *picture = NULL;
        uint64_t time_ns;
        result = source_next(source, &picture, &time_ns, err);
        if (result == 0)
            result = scaler_to_picture(scaler, picture, rung->width, rung->height,
                                       &pictures->items[pictures->count], err);
        pictures->count += result == 0;
        picture_unref(&picture);
    }
    scaler_destroy(&scaler);
    return result == -ERROR_END && pictures->count > 0 ? 0 : result;
}

static double kbps_of(uint64_t bytes, size_t pictures, double fps)
{
    return (double)bytes * 8 * fps / 1000 / (double)pictures;
}

static const char *verdict(double encode_ms, double fps)
{
    return encode_ms * fps < BUSY_MAX * 1000 ? "fine"
                                             : "too slow here: a smaller rung or faster preset";
}

/* ---- the box ---- */

/* The meaning alone where it is known, otherwise all that was said. */
static const char *why_not(struct error *err, const char *place)
{
    hardware_explain_failure(err);
    if (strncmp(err->text, place, strlen(place)) == 0)
        return err->text + strlen(place);
    char *said = strstr(err->text, place);
    if (said && said - err->text > 2 && strncmp(said + strlen(place), "cannot", 6) == 0)
        said[-2] = '\0';
    return err->text;
}

static void print_encoder(const struct rung *rung, const struct pictures *pictures, FILE *out)
{
    const char *library =
        encoder_library_name((enum video_codec)rung->codec, (enum encoder_kind)rung->encoder);
    const struct encoder_config config = { .rung = *rung, .fps = BOX_FPS, .threads = 1 };
    struct encode_trial trial;
    struct error err;
    if (!library) /* nobody makes one */
        return;
    fprintf(out, "%-5s %-9s %-14s %-11s ", video_codec_words[rung->codec],
            encoder_kind_words[rung->encoder], library,
            encoder_device_name((enum encoder_kind)rung->encoder));
    fflush(out); /* the trial takes a while */
    if (encode_trial_run(&trial, &config, pictures->items, pictures->count, &err) != 0) {
        fprintf(out, "%8s %11s %11s %8s %-18s %s\n", "-", "-", "-", "-", "-", why_not(&err, "encoder: "));
        return;
    }
    double encode_ms = (double)trial.encode_ns / 1e6 / trial.pictures;
    fprintf(out, "%8.1f %8.2f ms %8.2f ms %8.0f %-18s %s\n", 1000 / encode_ms, encode_ms,
            (double)trial.decode_ns / 1e6 / trial.pictures,
            kbps_of(trial.bytes, trial.pictures, BOX_FPS),
            trial.changes_rate ? "while it runs" : "by a new encoder", verdict(encode_ms, BOX_FPS));
}

void inspect_encoders(FILE *out)
{
    const struct source_config test = {
        .kind = SOURCE_TEST, .width = BOX_WIDTH, .height = BOX_HEIGHT, .fps = BOX_FPS
    };
    struct rung rung = { .width = BOX_WIDTH,
                         .height = BOX_HEIGHT,
                         .mode = RATE_BITRATE,
                         .bitrate_kbps = BOX_KBPS,
                         .vbv_ms = 500,
                         .preset = RUNG_PRESET_VERYFAST,
                         .keyframe_s = 10 };
    struct pictures pictures = { .count = 0 };
    struct source *source = NULL;
    struct error err;
    if (source_open(&source, &test, &err) != 0 || take_pictures(source, &rung, &pictures, &err) != 0) {
        fprintf(out, "encoders: %s\n", err.text);
    } else {
        fprintf(out, "encoders of this box, tried with %zu test pictures of %ux%u at %u kbit/s\n",
                pictures.count, BOX_WIDTH, BOX_HEIGHT, BOX_KBPS);
        fprintf(out, "%-5s %-9s %-14s %-11s %8s %11s %11s %8s %-18s %s\n", "codec", "encoder",
                "library", "device", "fps", "encode", "decode", "kbit/s", "bitrate changes",
                "verdict");
        for (rung.codec = 0; rung.codec < VIDEO_CODEC_COUNT; rung.codec++)
            for (rung.encoder = 0; rung.encoder < ENCODER_KIND_COUNT; rung.encoder++)
                print_encoder(&rung, &pictures, out);
    }
    drop_pictures(&pictures);
    source_close(&source);
}

static void print_decoder(enum video_codec codec, enum decoder_kind kind, FILE *out)
{
    struct decode_trial trial;
    struct error err;
    fprintf(out, "%-5s %-9s %-11s ", video_codec_words[codec], decoder_kind_words[kind],
            decoder_device_name(kind));
    fflush(out);
    if (decode_trial_run(&trial, codec, kind, &err) != 0) {
        fprintf(out, "%8s %11s  %s\n", "-", "-", why_not(&err, "decoder: "));
        return;
    }
    double decode_ms = (double)trial.decode_ns / 1e6 / trial.pictures;
    fprintf(out, "%8.1f %8.2f ms  fine\n", 1000 / decode_ms, decode_ms);
}

void inspect_decoders(FILE *out)
{
    fprintf(out, "decoders of this box, for the video of cameras, tried with test pictures\n");
    fprintf(out, "%-5s %-9s %-11s %8s %11s  %s\n", "codec", "decoder", "device", "fps", "decode",
            "verdict");
    for (enum video_codec codec = 0; codec < VIDEO_CODEC_COUNT; codec++)
        for (enum decoder_kind kind = 0; kind < DECODER_KIND_COUNT; kind++)
            if (kind != DECODER_AUTO)
                print_decoder(codec, kind, out);
}

/* ---- cameras ---- */

struct camera_trial {
    struct source_info info;
    struct rung rung; /* resolved, with the encoder that the camera would get */
    double fps;       /* that will be sent */
    struct encode_trial trial;
};

static void note_choice(void *arg, const struct encoder_choice *choice)
{
    ((struct rung *)arg)->encoder = (int)choice->kind;
}

/* As the camera's thread would choose. */
static int choose_encoder(const struct camera_config *camera, struct camera_trial *trial,
                          struct error *err)
{
    struct rung_encoder *encoder = NULL;
    const struct rung_encoder_config config = {
        .camera_width = trial->info.display_width,
        .camera_height = trial->info.display_height,
        .camera_fps = trial->info.fps,
        .threads = camera->encode_threads,
        .chosen = note_choice,
        .arg = &trial->rung,
    };
    int result = rung_encoder_create(&encoder, &config, &camera->rung, err);
    if (result == 0) {
        trial->rung = *rung_encoder_rung(encoder);
        trial->fps = rung_encoder_fps(encoder);
        result = rung_encoder_start(encoder, err);
    }
    rung_encoder_destroy(&encoder);
    return result;
}

static int try_camera(const struct camera_config *camera, struct camera_trial *trial,
                      struct error *err)
{
    struct pictures pictures = { .count = 0 };
    struct source *source = NULL;
    int result = source_open(&source, &camera->source, err);
    if (result != 0)
        return result;
    source_get_info(source, &trial->info);
    result = choose_encoder(camera, trial, err);
    if (result == 0)
        result = take_pictures(source, &trial->rung, &pictures, err);
    const struct encoder_config config = {
        .rung = trial->rung,
        .fps = trial->fps,
        .threads = camera->encode_threads,
    };
    if (result == 0)
        result = encode_trial_run(&trial->trial, &config, pictures.items, pictures.count, err);
    drop_pictures(&pictures);
    source_close(&source);
    return result;
}

static void print_camera(const char *name, const struct camera_trial *camera, FILE *out)
{
    const struct encode_trial *trial = &camera->trial;
    const struct rung *rung = &camera->rung;
    char size[32], encoder[32];
    double encode_ms = (double)trial->encode_ns / 1e6 / trial->pictures;
    snprintf(size, sizeof size, "%ux%u", rung->width, rung->height);
    snprintf(encoder, sizeof encoder, "%s %s", video_codec_words[rung->codec],
             encoder_kind_words[rung->encoder]);
    fprintf(out, "%-16s %-32s %-10s %-13s %8.2f ms %8.2f ms %8.0f  %s\n", name,
            camera->info.description, size, encoder, encode_ms,
            (double)trial->decode_ns / 1e6 / trial->pictures,
            kbps_of(trial->bytes, trial->pictures, camera->fps), verdict(encode_ms, camera->fps));
}

size_t inspect_cameras(const struct agent_config *config, FILE *out)
{
    const struct camera_config *cameras = config->cameras.items;
    size_t broken = 0;
    fprintf(out, "%-16s %-32s %-10s %-13s %11s %11s %8s  %s\n", "camera", "source", "rung",
            "encoder", "encode", "decode", "kbit/s", "verdict");
    for (size_t i = 0; i < config->cameras.count; i++) {
        struct camera_trial trial = { .fps = 0 };
        struct error err;
        if (try_camera(&cameras[i], &trial, &err) == 0) {
            print_camera(cameras[i].name, &trial, out);
            continue;
        }
        fprintf(out, "%-16s %s\n", cameras[i].name, err.text);
        broken++;
    }
    return broken;
}
