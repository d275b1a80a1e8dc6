/* A short encoded clip for tests: a bright square wanders over a dark ground, so that every picture
 * differs from the last and P-frames carry something. */
#ifndef RUNESPOOR_TEST_SERVER_CLIP_H
#define RUNESPOOR_TEST_SERVER_CLIP_H

#include "media/encode.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define CLIP_FPS 25
#define CLIP_PACKETS_MAX 64u

struct clip {
    uint32_t width, height;
    size_t count;
    struct packet *packets[CLIP_PACKETS_MAX];
};

static inline void clip_draw(struct picture *picture, size_t number)
{
    struct picture_view view;
    picture_get_view(picture, &view);
    for (uint32_t y = 0; y < view.height; y++)
        for (uint32_t x = 0; x < view.width; x++) {
            bool inside = (x + 8 * (uint32_t)number) % view.width < 32 && y > 16 && y < 64;
            view.plane[0][y * view.stride[0] + x] = (uint8_t)(inside ? 200 : 45 - y / 16);
        }
    for (int plane = 1; plane < 3; plane++)
        for (uint32_t y = 0; y < (view.height + 1) / 2; y++)
            memset(view.plane[plane] + y * view.stride[plane], 128, (view.width + 1) / 2);
}

/* Keyframes at 0 and at each multiple of key_every (0: only the first). */
static inline void clip_make(struct clip *clip, uint32_t width, uint32_t height, size_t count,
                             size_t key_every)
{
    struct encoder *encoder;
    struct error err = { 0 };
    const struct encoder_config config = {
        .rung = { .width = width,
                  .height = height,
                  .fps = CLIP_FPS,
                  .mode = RATE_QUALITY,
                  .bitrate_kbps = 2000,
                  .vbv_ms = 1000,
                  .quality = 28,
                  .keyframe_s = 60 },
        .fps = CLIP_FPS,
        .threads = 1,
    };

    assert_true(count <= CLIP_PACKETS_MAX);
    *clip = (struct clip){ .width = width, .height = height, .count = count };
    if (encoder_open(&encoder, &config, &err) < 0)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < count; i++) {
        struct picture *picture;
        if (picture_create(&picture, width, height, &err) < 0)
            fail_msg("%s", err.text);
        clip_draw(picture, i);
        if (encoder_encode(encoder, picture, i, key_every > 0 && i % key_every == 0,
                           &clip->packets[i], &err) < 0)
            fail_msg("%s", err.text);
        assert_non_null(clip->packets[i]);
        picture_unref(&picture);
    }
    encoder_close(&encoder);
}

static inline void clip_free(struct clip *clip)
{
    for (size_t i = 0; i < clip->count; i++)
        packet_unref(&clip->packets[i]);
}

#endif
