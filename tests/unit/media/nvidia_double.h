/* nvidia_double: a double of NVIDIA's driver, as far as libavcodec decodes with it. Its GPU is this process's
 * memory; what a decoded picture looks like, and what the box has, the test program says. */
#ifndef RUNESPOOR_TESTS_MEDIA_NVIDIA_DOUBLE_H
#define RUNESPOOR_TESTS_MEDIA_NVIDIA_DOUBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A picture that is to be decoded: its place in the device, NV12, all that is coded. */
struct nvidia_picture {
    unsigned number; /* since its decoder was created, in the order of decoding */
    unsigned width, height;
    uint8_t *luma, *chroma;
    size_t pitch;
};

/* What is in the box. */
struct nvidia_box {
    bool gpu, codec; /* there is a GPU; it decodes the codecs */
};

/* The two that the test program has, and gives to what it loads (-rdynamic). The driver's answer: true is
 * success. */
extern struct nvidia_box nvidia_box;
bool nvidia_decode(const struct nvidia_picture *picture);

#endif
