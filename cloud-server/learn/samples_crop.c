/* samples_crop: a window of a picture, mirrored, scaled and recoloured by chance. Without scaling it falls
 * on whole pixels, and what was received is cut at the same place. */
#include "learn/samples_parts.h"

#include <math.h>

/* Strongest changes, at jitter 1. */
#define BRIGHTNESS_MAX 0.2
#define CONTRAST_MAX 0.5
#define SATURATION_MAX 0.7
#define GAIN_MAX 0.2 /* of each colour alone */

static const double grey[3] = { 0.299, 0.587, 0.114 };

/* What becomes of a colour: sums over the old ones, and a constant. */
struct recolour {
    float factor[3][3], shift;
};

/* Where output pixel (x, y) lies in the picture: first + (x + 0.5) * step - 0.5. */
struct cut {
    double x, y, step;
    bool mirrored;
};

/* One of the two neighbours and the weight of the other. */
struct tap {
    uint32_t low, high;
    float share;
};

static double signed_unit(struct random_state *random)
{
    return 2 * random_next_unit(random) - 1;
}

static struct recolour choose_colours(double jitter, struct random_state *random)
{
    struct recolour recolour;
    double contrast = 1 + jitter * CONTRAST_MAX * signed_unit(random);
    double saturation = 1 + jitter * SATURATION_MAX * signed_unit(random);
    double brightness = jitter * BRIGHTNESS_MAX * signed_unit(random);
    for (int to = 0; to < 3; to++) {
        double gain = contrast * (1 + jitter * GAIN_MAX * signed_unit(random));
        for (int from = 0; from < 3; from++)
            recolour.factor[to][from] =
                (float)(gain * ((1 - saturation) * grey[from] + (to == from ? saturation : 0)) / 255);
    }
    recolour.shift = (float)(brightness + 0.5 * (1 - contrast)); /* around the middle grey */
    return recolour;
}

static struct cut choose_cut(const struct samples_config *config, struct random_state *random)
{
    const struct samples_augment *augment = &config->augment;
    uint32_t factor = config->damage.factor;
    double along = random_next_unit(random), across = random_next_unit(random);
    double scale =
        augment->scale_min * pow(augment->scale_max / augment->scale_min, random_next_unit(random));
    struct cut cut = { .step = 1 / scale,
                       .mirrored = augment->flip && random_next_unit(random) < 0.5 };
    /* May be negative: then there is less picture than the crop shows. */
    cut.x = along * (config->width - config->crop_width * cut.step);
    cut.y = across * (config->height - config->crop_height * cut.step);
    if (factor > 0) { /* scale is 1 */
        uint32_t columns = (config->width - config->crop_width) / factor;
        uint32_t rows = (config->height - config->crop_height) / factor;
        cut.x = floor(along * (columns + 1)) * factor;
        cut.y = floor(across * (rows + 1)) * factor;
    }
    return cut;
}

static struct tap tap_at(double at, uint32_t size)
{
    double inside = fmin(fmax(at, 0), size - 1);
    uint32_t low = (uint32_t)inside;
    return (struct tap){ low, low + 1 < size ? low + 1 : low, (float)(inside - low) };
}

static double place(double first, double step, uint32_t pixel)
{
    return first + (pixel + 0.5) * step - 0.5;
}

/* Bilinear; three planes of width x height floats. */
static void cut_planes(const struct planes *from, const struct cut *cut,
                       const struct recolour *recolour, uint32_t width, uint32_t height, float *to)
{
    size_t from_plane = (size_t)from->width * from->height, to_plane = (size_t)width * height;
    for (uint32_t y = 0; y < height; y++) {
        const struct tap row = tap_at(place(cut->y, cut->step, y), from->height);
        const uint8_t *above = from->bytes + (size_t)row.low * from->width;
        const uint8_t *below = from->bytes + (size_t)row.high * from->width;
        for (uint32_t x = 0; x < width; x++) {
            const struct tap column = tap_at(place(cut->x, cut->step, x), from->width);
            float colour[3];
            for (size_t c = 0; c < 3; c++) {
                const uint8_t *a = above + c * from_plane, *b = below + c * from_plane;
                float top = a[column.low] + column.share * (float)(a[column.high] - a[column.low]);
                float bottom = b[column.low] + column.share * (float)(b[column.high] - b[column.low]);
                colour[c] = top + row.share * (bottom - top);
            }
            float *out = to + (size_t)y * width + (cut->mirrored ? width - 1 - x : x);
            for (size_t c = 0; c < 3; c++) {
                const float *factor = recolour->factor[c];
                float value = factor[0] * colour[0] + factor[1] * colour[1] +
                              factor[2] * colour[2] + recolour->shift;
                out[c * to_plane] = fminf(fmaxf(value, 0), 1);
            }
        }
    }
}

/* The nearest pixel; outside of the picture nothing counts. */
static void cut_labels(const uint8_t *from, const struct samples_config *config,
                       const struct cut *cut, int64_t *to)
{
    for (uint32_t y = 0; y < config->crop_height; y++) {
        double row = floor(place(cut->y, cut->step, y) + 0.5);
        for (uint32_t x = 0; x < config->crop_width; x++) {
            double column = floor(place(cut->x, cut->step, x) + 0.5);
            bool inside = row >= 0 && row < config->height && column >= 0 && column < config->width;
            to[(size_t)y * config->crop_width + (cut->mirrored ? config->crop_width - 1 - x : x)] =
                inside ? from[(size_t)row * config->width + (size_t)column] : (int64_t)SAMPLES_IGNORE;
        }
    }
}

void sample_cut(const struct sample_view *view, const struct samples_config *config,
                struct random_state *random, struct sample_batch *batch, uint32_t slot)
{
    struct cut cut = choose_cut(config, random);
    struct recolour recolour = choose_colours(config->augment.jitter, random);
    uint32_t width = config->crop_width, height = config->crop_height;
    size_t pixels = (size_t)width * height;
    cut_planes(&view->source, &cut, &recolour, width, height, batch->source + 3 * pixels * slot);
    if (batch->labels)
        cut_labels(view->labels, config, &cut, batch->labels + pixels * slot);
    uint32_t factor = config->damage.factor;
    if (factor == 0)
        return;
    cut.x /= factor;
    cut.y /= factor;
    cut_planes(&view->received, &cut, &recolour, width / factor, height / factor,
               batch->received + 3 * pixels / factor / factor * slot);
}
