/* encode: pictures to packets, one in, at most one out, no delay; H.264, H.265 or AV1, in software or by
 * what the box has for it. Where the encoder can, bitrate and quality change between frames without a new
 * one. Which encoder a box gets is encode_rung.h's to find out. One thread per encoder. */
#ifndef RUNESPOOR_MEDIA_ENCODE_H
#define RUNESPOOR_MEDIA_ENCODE_H

#include "config/config.h"
#include "media/decode.h" /* enum video_codec */
#include "media/picture.h"
#include <stddef.h>

enum rate_mode { RATE_BITRATE, RATE_QUALITY };

/* Zero is software, so that what never asks for more stays the same on every machine. */
enum encoder_kind {
    ENCODER_SOFTWARE,
    ENCODER_AUTO, /* a wish only: encode_rung.h makes it one of the others */
    ENCODER_NVENC,
    ENCODER_VAAPI,
    ENCODER_QSV,
    ENCODER_V4L2M2M
};
#define ENCODER_KIND_COUNT (ENCODER_V4L2M2M + 1)
extern const char *const encoder_kind_words[]; /* by enum encoder_kind, NULL-ended */

/* A rung: what the sender sends. Part of the agent's config per camera. */
struct rung {
    uint32_t width, height; /* 0: the source's; one of them 0: keeps the aspect */
    double fps;             /* cap; 0: the source's */
    int codec;              /* enum video_codec */
    int encoder;            /* enum encoder_kind */
    int mode;               /* enum rate_mode */
    uint32_t bitrate_kbps;  /* target (bitrate) and VBV maximum (both modes) */
    uint32_t vbv_ms;        /* VBV buffer as time at bitrate_kbps */
    double quality;         /* CRF 0..51, mode quality */
    int preset;          /* x264's, ultrafast (0) .. medium; other codecs: of about that effort */
    uint32_t keyframe_s; /* longest time between IDRs */
};
extern const struct option_spec rung_options[];
#define RUNG_PRESET_VERYFAST 2
#define RUNG_PRESET_MEDIUM 5

struct encoder_config {
    struct rung rung; /* width and height resolved: even, not 0; encoder not ENCODER_AUTO */
    double fps;       /* of the pictures that will come */
    uint32_t threads; /* 1: no slice threads */
};

/* An encoded frame: an access unit in Annex B form (H.264, H.265), or a temporal unit (AV1); a
 * keyframe is an IDR (AV1: a key frame) and carries its parameter sets. Reference-counted; any thread
 * may ref and unref. */
struct packet;
struct packet *packet_ref(struct packet *packet);
/* A packet with a copy of bytes that an encoder made once (size > 0). */
int packet_copy(struct packet **packet, const void *bytes, size_t size, bool keyframe,
                struct error *err);
const uint8_t *packet_data(const struct packet *packet, size_t *size);
bool packet_is_keyframe(const struct packet *packet);
void packet_unref(struct packet **packet);

struct encoder;

int encoder_open(struct encoder **encoder, const struct encoder_config *config, struct error *err);
/* Encodes one picture of the rung's size. The first one settles format, matrix and range; when a
 * later one differs there, the encoder starts anew with an IDR. number: the frame's, for error
 * messages; the rate control sees pictures evenly spaced at config's fps. force_idr asks for an IDR.
 * *packet is NULL when the encoder gives nothing for this picture. */
int encoder_encode(struct encoder *encoder, struct picture *picture, uint64_t number,
                   bool force_idr, struct packet **packet, struct error *err);
/* New bitrate, VBV or quality from the next frame on, without a new encoder and without an IDR.
 * -ERROR_UNSUPPORTED when anything else differs, or when the encoder cannot do that (of all, libx264 and
 * NVENC can): open a new encoder then. */
int encoder_set_rung(struct encoder *encoder, const struct rung *rung, struct error *err);
void encoder_close(struct encoder **encoder);

/* libavcodec's name of an encoder ("hevc_nvenc"), NULL where there is none of this kind; and where that kind
 * encodes, for people: "cpu", "nvidia", "/dev/dri", "/dev/video". */
const char *encoder_library_name(enum video_codec codec, enum encoder_kind kind);
const char *encoder_device_name(enum encoder_kind kind);

/* What cannot be: a codec that the encoder does not make, a quality where only bitrates are held.
 * -ERROR_CONFIG, the key in front: "mode: only …". */
int rung_check(const struct rung *rung, struct error *err);
/* Resolves the zeros of a rung against the camera's size; sizes become even and at least 16. */
void rung_resolve(struct rung *rung, uint32_t camera_width, uint32_t camera_height);

/* A resolved rung in words, as "240x180 15 fps h264 108 kbit/s". */
#define RUNG_WORDS_BYTES 65u
void rung_write_words(const struct rung *rung, char words[RUNG_WORDS_BYTES]);

#endif
