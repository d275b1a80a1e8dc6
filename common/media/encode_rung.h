/* encode_rung: a camera's pictures at a rung: its sizes resolved, an encoder chosen, scaled, encoded. The
 * one way from a picture to a packet: an agent's camera sends what comes out here, and who measures or
 * trains on what a stream loses calls the same. One thread.
 *
 * Hardware is used when it has encoded and decoded a few pictures of the rung's size. What does not, or
 * fails later, is left out for software until codec, encoder, mode or size of the rung are other ones. */
#ifndef RUNESPOOR_MEDIA_ENCODE_RUNG_H
#define RUNESPOOR_MEDIA_ENCODE_RUNG_H

#include "media/encode.h"

/* The encoder in use, and those that would have come before it. */
struct encoder_choice {
    enum video_codec codec;
    enum encoder_kind kind;
    size_t left_out_count;
    struct encoder_left_out {
        enum encoder_kind kind;
        const char *reason; /* a word, static */
        bool wanted;        /* was asked for by name, or is there: leaving it out is a loss */
        struct error cause;
    } left_out[ENCODER_KIND_COUNT];
};

struct rung_encoder_config {
    uint32_t camera_width, camera_height;
    double camera_fps; /* 0: unknown */
    uint32_t threads;
    /* Called by start, and by encode when hardware fails, whenever a choice was made; choice is borrowed for
     * the call. NULL: nobody wants to know. */
    void (*chosen)(void *arg, const struct encoder_choice *choice);
    void *arg;
};

struct rung_encoder;

/* rung as configured: its zeros are resolved here. */
int rung_encoder_create(struct rung_encoder **encoder, const struct rung_encoder_config *config,
                        const struct rung *rung, struct error *err);
/* Another rung from the next picture on. True when the running encoder goes on with it; otherwise
 * there is none any more. */
bool rung_encoder_set_rung(struct rung_encoder *encoder, const struct rung *rung);
/* Sizes resolved; borrowed. */
const struct rung *rung_encoder_rung(const struct rung_encoder *encoder);
/* Pictures a second that rung_encoder_encode expects: the camera's, or the rung's cap where that is
 * lower. Which pictures the cap leaves out is the caller's business. */
double rung_encoder_fps(const struct rung_encoder *encoder);

/* A new encoder for the rung, whose first packet is an IDR; stop lets it go. Tries hardware first where the
 * rung wants it and that has not been done. */
int rung_encoder_start(struct rung_encoder *encoder, struct error *err);
bool rung_encoder_runs(const struct rung_encoder *encoder);
void rung_encoder_stop(struct rung_encoder *encoder);

/* Scales and encodes one picture; start has to come first. Every picture gives a packet, or an error; when
 * hardware fails, that of a new encoder in software, an IDR. number and force_idr: see encoder_encode. */
int rung_encoder_encode(struct rung_encoder *encoder, struct picture *picture, uint64_t number,
                        bool force_idr, struct packet **packet, struct error *err);
void rung_encoder_destroy(struct rung_encoder **encoder); /* sets NULL, takes NULL */

/* Pictures a second of a camera (0: unknown) under a cap (0: none). */
double rung_sent_fps(double camera_fps, double cap_fps);

#endif
