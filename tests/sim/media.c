/* media: cameras, encoders and decoders in place of those of media/. A packet says which frame it is of and
 * what it was predicted from, so the decoder knows what a real one only suffers from: a hole. */
#include "sim.h"

#include "media/decode.h"
#include "media/encode_rung.h"
#include "media/packet.h"
#include "media/source.h"
#include <libavcodec/packet.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 64u
#define HEIGHT 48u
#define LIVE_FPS 10u
#define MAGIC 0x53494d50u
#define KEYFRAME_BYTES_MAX 30000u
#define FRAME_BYTES_MAX 4000u

struct media_faults media;
uint32_t media_frames_max;

/* What a packet begins with; the rest is filling. */
struct content {
    uint32_t magic;
    bool keyframe, corrupt;
    uint64_t encoder, number, index; /* index: of the packet since its keyframe */
    uint64_t keyframe_number;        /* of the frame that it all was predicted from */
};

/* ---- cameras: recordings that end, and live ones that come and go ---- */

struct source {
    const struct source_config *config;
    struct source_watch *watch; /* of a live one */
    uint64_t next, opened_ns;
    struct picture *picture; /* the same for all */
};

int source_open(struct source **out, const struct source_config *config, struct error *err)
{
    struct source *source = calloc(1, sizeof *source);
    if (!source)
        return error_set(err, ERROR_MEMORY, "source", "no memory");
    source->config = config;
    source->opened_ns = fiber_now_ns();
    if (picture_create(&source->picture, WIDTH, HEIGHT, err) != 0) {
        free(source);
        return -(int)err->code;
    }
    *out = source;
    return 0;
}

static int fail_live(struct source_watch *watch, struct error *err)
{
    watch->cause = (enum source_cause)(sim_random() % SOURCE_CAUSE_COUNT);
    return error_set(err, ERROR_IO, "source", "%s by chance", source_cause_words[watch->cause]);
}

/* The stream's number is what the address ends with. */
static bool is_away(const struct source_config *config)
{
    const char *number = strrchr(config->url, '/') + 1;
    return media.away >> strtoul(number, NULL, 10) & 1;
}

static int hang(uint32_t ms, struct source_watch *watch, enum source_cause cause, struct error *err)
{
    fiber_sleep(ms * SIM_MS);
    watch->cause = cause;
    return error_set(err, ERROR_TIMEOUT, "source", "no picture for %u ms", ms);
}

int source_open_live(struct source **out, const struct source_config *config,
                     struct source_watch *watch, struct error *err)
{
    fiber_sleep(sim_between(0, media.live_fails > 0 ? 1000 : 100) * SIM_MS);
    watch->cause = SOURCE_CAUSE_LOCAL;
    if (is_away(config))
        return hang(config->first_frame_ms, watch, SOURCE_CAUSE_FIRST_FRAME, err);
    if (sim_chance(20 * media.live_fails))
        return fail_live(watch, err);
    int result = source_open(out, config, err);
    if (result == 0)
        (*out)->watch = watch;
    return result;
}

void source_get_info(const struct source *source, struct source_info *info)
{
    *info = (struct source_info){ .width = WIDTH,
                                  .height = HEIGHT,
                                  .display_width = WIDTH,
                                  .display_height = HEIGHT,
                                  .fps = source->watch ? LIVE_FPS : source->config->fps };
    memcpy(info->description, "simulated", sizeof "simulated");
}

int source_next(struct source *source, struct picture **picture, uint64_t *time_ns, struct error *err)
{
    if (!source->watch && media_frames_max > 0 && source->next == media_frames_max)
        return error_set(err, ERROR_END, "source", "the end");
    if (source->watch && is_away(source->config))
        return hang(source->config->stall_ms, source->watch, SOURCE_CAUSE_STALL, err);
    if (media.stall_ms_max > 0 && sim_chance(0.01))
        fiber_sleep(sim_between(1, media.stall_ms_max) * SIM_MS);
    if (source->watch && sim_chance(media.live_fails))
        return fail_live(source->watch, err);
    uint32_t fps = source->watch ? LIVE_FPS : source->config->fps;
    *time_ns = source->next++ * SIM_S / fps;
    if (source->watch && source->opened_ns + *time_ns > fiber_now_ns())
        fiber_sleep(source->opened_ns + *time_ns - fiber_now_ns());
    *picture = picture_ref(source->picture);
    return 0;
}

uint64_t source_skipped(const struct source *source)
{
    (void)source;
    return 0;
}

const struct decoder_choice *source_decoder(const struct source *source)
{
    (void)source;
    return NULL; /* pictures come as pictures */
}

void source_close(struct source **source)
{
    if (!*source)
        return;
    picture_unref(&(*source)->picture);
    free(*source);
    *source = NULL;
}

/* ---- encoders ---- */

struct rung_encoder {
    struct rung rung;
    double fps;
    bool runs;
    uint64_t id, index, keyframe_number;
};

int rung_encoder_create(struct rung_encoder **out, const struct rung_encoder_config *config,
                        const struct rung *rung, struct error *err)
{
    struct rung_encoder *encoder = calloc(1, sizeof *encoder);
    if (!encoder)
        return error_set(err, ERROR_MEMORY, "encoder", "no memory");
    encoder->fps = config->camera_fps;
    encoder->rung = *rung;
    rung_resolve(&encoder->rung, config->camera_width, config->camera_height);
    *out = encoder;
    return 0;
}

bool rung_encoder_set_rung(struct rung_encoder *encoder, const struct rung *rung)
{
    (void)rung; /* the size stays, and nothing else is seen here */
    return encoder->runs;
}

const struct rung *rung_encoder_rung(const struct rung_encoder *encoder)
{
    return &encoder->rung;
}

double rung_encoder_fps(const struct rung_encoder *encoder)
{
    return encoder->fps;
}

int rung_encoder_start(struct rung_encoder *encoder, struct error *err)
{
    (void)err;
    encoder->runs = true;
    encoder->id = sim_random();
    encoder->index = 0;
    return 0;
}

bool rung_encoder_runs(const struct rung_encoder *encoder)
{
    return encoder->runs;
}

void rung_encoder_stop(struct rung_encoder *encoder)
{
    encoder->runs = false;
}

static int make_packet(struct packet **packet, const struct content *content, size_t bytes,
                       struct error *err)
{
    int result = packet_create(packet, err);
    if (result != 0)
        return result;
    struct AVPacket *av = packet_av(*packet);
    av->size = (int)bytes;
    if (packet_lend_memory(*packet, av) != 0) {
        packet_unref(packet);
        return error_set(err, ERROR_MEMORY, "encoder", "no memory for a packet");
    }
    memcpy(av->data, content, sizeof *content);
    av->flags = content->keyframe ? AV_PKT_FLAG_KEY : 0;
    return 0;
}

int rung_encoder_encode(struct rung_encoder *encoder, struct picture *picture, uint64_t number,
                        bool force_idr, struct packet **packet, struct error *err)
{
    (void)picture;
    if (media.encode_us_max > 0)
        fiber_sleep(sim_between(0, media.encode_us_max) * 1000);
    if (sim_chance(media.encoder_fails))
        return error_set(err, ERROR_IO, "encoder", "failed by chance");
    bool keyframe = force_idr || encoder->index == 0 || sim_chance(0.02);
    encoder->index = keyframe ? 0 : encoder->index;
    if (keyframe)
        encoder->keyframe_number = number;
    struct content content = { .magic = MAGIC,
                               .keyframe = keyframe,
                               .corrupt = sim_chance(media.packet_corrupt),
                               .encoder = encoder->id,
                               .number = number,
                               .index = encoder->index++,
                               .keyframe_number = encoder->keyframe_number };
    size_t bytes = sizeof content + sim_between(0, keyframe ? KEYFRAME_BYTES_MAX : FRAME_BYTES_MAX);
    return make_packet(packet, &content, bytes, err);
}

void rung_encoder_destroy(struct rung_encoder **encoder)
{
    free(*encoder);
    *encoder = NULL;
}

/* ---- decoders ---- */

struct decoder {
    struct picture *picture; /* the same for all */
    bool started, wants_keyframe;
    struct content last;
};

int decoder_open(struct decoder **out, const struct decoder_config *config, struct error *err)
{
    (void)config;
    struct decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder)
        return error_set(err, ERROR_MEMORY, "decoder", "no memory");
    if (picture_create(&decoder->picture, WIDTH, HEIGHT, err) != 0) {
        free(decoder);
        return -(int)err->code;
    }
    decoder->wants_keyframe = true;
    *out = decoder;
    return 0;
}

/* What is predicted from something else than was decoded before would be a wrong picture in the best case. */
static void check_prediction(const struct decoder *decoder, const struct content *content)
{
    const struct content *last = &decoder->last;
    SIM_CHECK(decoder->started, "the decoder begins with frame %llu, which is no keyframe",
              (unsigned long long)content->number);
    SIM_CHECK(content->encoder == last->encoder && content->keyframe_number == last->keyframe_number &&
                  content->index == last->index + 1,
              "the decoder gets frame %llu (%llu behind keyframe %llu) after frame %llu (%llu "
              "behind %llu)",
              (unsigned long long)content->number, (unsigned long long)content->index,
              (unsigned long long)content->keyframe_number, (unsigned long long)last->number,
              (unsigned long long)last->index, (unsigned long long)last->keyframe_number);
}

int decoder_decode(struct decoder *decoder, const void *bytes, size_t size, bool keyframe,
                   struct picture **picture, struct error *err)
{
    struct content content;
    if (media.decode_us_max > 0)
        fiber_sleep(sim_between(0, media.decode_us_max) * 1000);
    SIM_CHECK(size >= sizeof content, "a packet of %zu bytes", size);
    memcpy(&content, bytes, sizeof content);
    SIM_CHECK(content.magic == MAGIC && content.keyframe == keyframe,
              "a packet's content is not what was sent");
    if (decoder->wants_keyframe && !keyframe)
        return error_set(err, ERROR_AGAIN, "decoder", "a keyframe is waited for");
    if (!keyframe)
        check_prediction(decoder, &content);
    decoder->started = true;
    decoder->wants_keyframe = content.corrupt;
    decoder->last = content;
    if (content.corrupt)
        return error_set(err, ERROR_FORMAT, "decoder", "corrupt by chance");
    *picture = picture_ref(decoder->picture);
    return 0;
}

void decoder_skip_to_keyframe(struct decoder *decoder)
{
    decoder->wants_keyframe = true;
}

bool decoder_wants_keyframe(const struct decoder *decoder)
{
    return decoder->wants_keyframe;
}

enum decoder_kind decoder_kind(const struct decoder *decoder)
{
    (void)decoder;
    return DECODER_SOFTWARE;
}

uint64_t decoder_pool_empty_count(const struct decoder *decoder)
{
    (void)decoder;
    return 0;
}

struct picture_pool *decoder_pool(const struct decoder *decoder)
{
    (void)decoder;
    return NULL;
}

void decoder_close(struct decoder **decoder)
{
    if (!*decoder)
        return;
    picture_unref(&(*decoder)->picture);
    free(*decoder);
    *decoder = NULL;
}
