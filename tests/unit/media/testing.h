/* testing: what the media tests share: made-up moving pictures, and how near two pictures are. */
#ifndef RUNESPOOR_TESTS_MEDIA_TESTING_H
#define RUNESPOOR_TESTS_MEDIA_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "media/decode.h"
#include "media/encode.h"
#include "media/picture.h"

#define assert_ok(call, err)                        \
    do {                                            \
        int testing_rc = (call);                    \
        if (testing_rc != 0)                        \
            fail_msg("%s: %s", #call, (err)->text); \
    } while (0)

/* A texture that slides by `shift`, with a block moving the other way. noise (0..255) is the
 * amplitude of fresh noise from seed: bits that no prediction can save. */
static inline void testing_paint(struct picture *picture, unsigned shift, unsigned noise,
                                 uint64_t seed)
{
    struct picture_view view;
    picture_get_view(picture, &view);
    struct random_state random;
    random_seed(&random, seed);
    for (uint32_t row = 0; row < view.height; row++)
        for (uint32_t column = 0; column < view.width; column++) {
            unsigned x = column + shift * 2;
            unsigned value = 40 + ((x * 3 + row) & 63) + ((x ^ row) & 32);
            if ((column + view.width - shift * 3 % view.width) % view.width < view.width / 6 &&
                row > view.height / 3 && row < view.height / 2)
                value = 200;
            if (noise > 0)
                value += (unsigned)(random_next_u64(&random) % noise);
            view.plane[0][row * view.stride[0] + column] = (uint8_t)(value > 235 ? 235 : value);
        }
    for (int plane = 1; plane < 3; plane++)
        for (uint32_t row = 0; row < (view.height + 1) / 2; row++)
            for (uint32_t column = 0; column < (view.width + 1) / 2; column++)
                view.plane[plane][row * view.stride[plane] + column] =
                    (uint8_t)(96 + ((column + shift + row * (uint32_t)plane) & 63));
}

static inline struct picture *testing_picture(uint32_t width, uint32_t height, unsigned shift,
                                              unsigned noise, uint64_t seed)
{
    struct error err;
    struct picture *picture = NULL;
    assert_ok(picture_create(&picture, width, height, &err), &err);
    testing_paint(picture, shift, noise, seed);
    return picture;
}

/* PSNR over luma and both chroma planes of two I420 views of one size; 99 when equal. */
static inline double testing_psnr(const struct picture_view *a, const struct picture_view *b)
{
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->height, b->height);
    assert_int_equal(a->format, PIXEL_I420);
    assert_int_equal(b->format, PIXEL_I420);
    double squares = 0, count = 0;
    for (int plane = 0; plane < 3; plane++) {
        uint32_t width = plane ? (a->width + 1) / 2 : a->width;
        uint32_t height = plane ? (a->height + 1) / 2 : a->height;
        for (uint32_t row = 0; row < height; row++)
            for (uint32_t column = 0; column < width; column++) {
                double d = a->plane[plane][row * a->stride[plane] + column] -
                           (double)b->plane[plane][row * b->stride[plane] + column];
                squares += d * d;
            }
        count += (double)width * height;
    }
    return squares == 0 ? 99 : 10 * log10(255.0 * 255.0 * count / squares);
}

static inline struct encoder_config testing_encoder_config(uint32_t width, uint32_t height)
{
    return (struct encoder_config){
        .rung = { .width = width,
                  .height = height,
                  .mode = RATE_BITRATE,
                  .bitrate_kbps = 2000,
                  .vbv_ms = 500,
                  .quality = 23,
                  .preset = 0,
                  .keyframe_s = 600 },
        .fps = 25,
        .threads = 1,
    };
}

static inline struct decoder *testing_decoder_of(enum video_codec codec, uint32_t side_max,
                                                 uint32_t pictures)
{
    struct error err;
    struct decoder *decoder = NULL;
    assert_ok(decoder_open(&decoder,
                           &(struct decoder_config){ .codec = codec,
                                                     .width_max = side_max,
                                                     .height_max = side_max,
                                                     .pictures = pictures },
                           &err),
              &err);
    return decoder;
}

static inline struct decoder *testing_decoder(uint32_t side_max, uint32_t pictures)
{
    return testing_decoder_of(VIDEO_H264, side_max, pictures);
}

#endif
