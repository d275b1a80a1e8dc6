/* nvidia_gpu: see the header. */
#include "nvidia_gpu.h"
#include "unit/media/nvidia_double.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LUMA_BYTES ((size_t)NVIDIA_TRIAL_WIDTH * NVIDIA_TRIAL_HEIGHT)
#define TRIAL_BYTES (LUMA_BYTES * 3 / 2)

struct nvidia_box nvidia_box = { .gpu = true, .codec = true };

static struct {
    pthread_once_t once;
    int trial, count; /* files */
    unsigned fails_from;
    atomic_uint begun; /* pictures but for trials' */
} gpu = { .once = PTHREAD_ONCE_INIT };

static int open_named(const char *variable, int flags)
{
    const char *path = getenv(variable);
    return path ? open(path, flags | O_CLOEXEC, 0644) : -1;
}

static void begin(void)
{
    const char *fails_from = getenv(NVIDIA_GPU_FAILS_FROM);
    gpu.trial = open_named(NVIDIA_GPU_TRIAL, O_RDONLY);
    gpu.count = open_named(NVIDIA_GPU_COUNT, O_WRONLY | O_CREAT | O_APPEND);
    gpu.fails_from = fails_from ? (unsigned)strtoul(fails_from, NULL, 10) : UINT_MAX;
}

static bool is_trial(const struct nvidia_picture *picture)
{
    return picture->width == NVIDIA_TRIAL_WIDTH && picture->height >= NVIDIA_TRIAL_HEIGHT &&
           picture->height < NVIDIA_TRIAL_HEIGHT + 16;
}

static bool paint_trial(const struct nvidia_picture *picture)
{
    const size_t half_width = NVIDIA_TRIAL_WIDTH / 2, half_height = NVIDIA_TRIAL_HEIGHT / 2;
    uint8_t *bytes = malloc(TRIAL_BYTES);
    const bool got = bytes && pread(gpu.trial, bytes, TRIAL_BYTES,
                                    (off_t)(picture->number * TRIAL_BYTES)) == (ssize_t)TRIAL_BYTES;
    for (size_t row = 0; got && row < NVIDIA_TRIAL_HEIGHT; row++)
        memcpy(picture->luma + row * picture->pitch, bytes + row * NVIDIA_TRIAL_WIDTH,
               NVIDIA_TRIAL_WIDTH);
    for (size_t row = 0; got && row < half_height; row++)
        for (size_t column = 0; column < NVIDIA_TRIAL_WIDTH; column++)
            picture->chroma[row * picture->pitch + column] =
                bytes[LUMA_BYTES + (column % 2 * half_height + row) * half_width + column / 2];
    free(bytes);
    return got;
}

/* Another grey for each. */
static void paint_grey(const struct nvidia_picture *picture, unsigned number)
{
    for (unsigned row = 0; row < picture->height; row++)
        memset(picture->luma + row * picture->pitch, (int)(40 + number * 3 % 160), picture->width);
    for (unsigned row = 0; row < picture->height / 2; row++)
        memset(picture->chroma + row * picture->pitch, 128, picture->width);
}

bool nvidia_decode(const struct nvidia_picture *picture)
{
    pthread_once(&gpu.once, begin);
    if (is_trial(picture))
        return paint_trial(picture);
    const unsigned number = atomic_fetch_add(&gpu.begun, 1);
    if (number >= gpu.fails_from)
        return false;
    paint_grey(picture, number);
    return write(gpu.count, "", 1) == 1;
}
