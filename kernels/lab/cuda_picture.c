/* cuda_picture: decoded 8-bit pictures, 4:2:0 in three planes, become a network's input.
 *
 *   plain       a thread for each number: luma and chroma are read for each channel, weights are floats
 *   per pixel   a thread makes all channels: production */
#include "lab/cuda_lab.h"
#include "lab/cuda_plain_pictures.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>

enum { ROWS, COLUMNS };
enum { Y, U, V };

struct shape_of {
    int32_t batch, luma[2], inner[2], to[2]; /* inner: where the picture comes to lie */
    bool linear, last;                       /* last: f16, channels-last; else f32, row-major */
};

/* BT.601 of 219 and 224 steps, and what networks want to have taken away. */
static const float black = 16;
static const float colour[PICTURE_COLOURS][3] = { { 1.1644f, 0, 1.5960f },
                                                  { 1.1644f, -0.3918f, -0.8130f },
                                                  { 1.1644f, 2.0172f, 0 } };
static const float factor[PICTURE_COLOURS] = { 0.0171f, 0.0175f, 0.0174f };
static const float offset[PICTURE_COLOURS] = { -2.118f, -2.036f, -1.804f };
static const float pad[PICTURE_COLOURS] = { 0.5f, 0.25f, -1 };

static void run_plain(const struct cuda_problem *problem, void *stream);
static void run_per_pixel(const struct cuda_problem *problem, void *stream);
static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content);
static void expect_pixel(const struct shape_of *s, const struct cuda_content *content, int32_t n,
                         int32_t row, int32_t column);

static const struct cuda_lab_step steps[] = {
    { "plain", run_plain, 2e-3, NULL },
    { "per pixel", run_per_pixel, 2e-3, NULL },
};

static const struct cuda_problem problems[] = {
    CUDA_PROBLEM("1 of 18x30, smaller", 1, { 18, 30 }, { 7, 11 }, { 8, 11 }, false, false),
    CUDA_PROBLEM("2 of 21x33, smaller, linear, f16", 2, { 21, 33 }, { 9, 16 }, { 9, 20 }, true, true),
    CUDA_PROBLEM("1 of 9x5, larger", 1, { 9, 5 }, { 16, 13 }, { 17, 14 }, false, false),
    CUDA_PROBLEM("3 of 6x14, as it is, f16", 3, { 6, 14 }, { 6, 14 }, { 6, 14 }, false, true),
    CUDA_REAL_PROBLEM("1 of 1080x1920 to 416x416", 1, { 1080, 1920 }, { 234, 416 }, { 416, 416 },
                      true, true),
    CUDA_REAL_PROBLEM("8 of 1080x1920 to 360x480", 8, { 1080, 1920 }, { 360, 480 }, { 360, 480 },
                      false, true),
    CUDA_REAL_PROBLEM("1 of 540x960, as it is", 1, { 540, 960 }, { 540, 960 }, { 540, 960 }, false,
                      true),
};

const struct cuda_ladder cuda_picture_ladder = {
    "picture", steps, sizeof steps / sizeof *steps, problems, sizeof problems / sizeof *problems,
    fill,
};

static int32_t half(int32_t side)
{
    return (side + 1) / 2;
}

static int64_t pixels_to(const struct shape_of *s)
{
    return (int64_t)s->batch * s->to[ROWS] * s->to[COLUMNS];
}

static struct view see(const struct shape_of *s, void *data)
{
    int64_t pixels = (int64_t)s->to[ROWS] * s->to[COLUMNS], step = s->last ? PICTURE_COLOURS : 1;
    return (struct view){
        .data = data,
        .type = s->last ? TENSOR_F16 : TENSOR_F32,
        .rank = 4,
        .dim = { s->batch, PICTURE_COLOURS, s->to[ROWS], s->to[COLUMNS] },
        .step = { pixels * PICTURE_COLOURS, s->last ? 1 : pixels, s->to[COLUMNS] * step, step },
    };
}

static struct picture describe(const struct cuda_problem *problem)
{
    const struct shape_of *s = problem->shape;
    struct picture picture = {
        .y = problem->in[Y],
        .u = problem->in[U],
        .v = problem->in[V],
        .luma_image = (int64_t)s->luma[ROWS] * s->luma[COLUMNS],
        .chroma_image = (int64_t)half(s->luma[ROWS]) * half(s->luma[COLUMNS]),
        .luma_row = s->luma[COLUMNS],
        .chroma_row = half(s->luma[COLUMNS]),
        .chroma_column = 1,
        .linear = s->linear,
        .black = black,
        .to = see(s, problem->out),
    };
    for (int d = ROWS; d <= COLUMNS; d++) {
        picture.luma[d] = s->luma[d];
        picture.chroma[d] = half(s->luma[d]);
        picture.inner[d] = s->inner[d];
    }
    for (int c = 0; c < PICTURE_COLOURS; c++) {
        for (int k = 0; k < 3; k++)
            picture.colour[c][k] = colour[c][k];
        picture.factor[c] = factor[c];
        picture.offset[c] = offset[c];
        picture.pad[c] = pad[c];
    }
    return picture;
}

static void run_plain(const struct cuda_problem *problem, void *stream)
{
    struct picture picture = describe(problem);
    plain_picture_each(&picture, pixels_to(problem->shape) * PICTURE_COLOURS, stream);
}

static void run_per_pixel(const struct cuda_problem *problem, void *stream)
{
    struct picture picture = describe(problem);
    picture_each(&picture, pixels_to(problem->shape), stream);
}

static void fill(const struct cuda_problem *problem, bool check, struct random_state *random,
                 struct cuda_content *content)
{
    const struct shape_of *s = problem->shape;
    struct picture picture = describe(problem);
    content->out_type = (enum tensor_type)picture.to.type;
    content->out_count = pixels_to(s) * PICTURE_COLOURS;
    content->moved_bytes = cuda_lab_bytes(content->out_type, content->out_count);
    for (int k = Y; k <= V; k++) {
        int64_t image = k == Y ? picture.luma_image : picture.chroma_image;
        content->in_bytes[k] = cuda_lab_bytes(TENSOR_U8, s->batch * image);
        content->in[k] = malloc(content->in_bytes[k]);
        assert(content->in[k]);
        for (size_t i = 0; i < content->in_bytes[k]; i++)
            ((uint8_t *)content->in[k])[i] = (uint8_t)random_next_u64(random);
        content->moved_bytes += content->in_bytes[k];
    }
    if (!check)
        return;
    content->expected = malloc((size_t)content->out_count * sizeof *content->expected);
    assert(content->expected);
    for (int32_t n = 0; n < s->batch; n++)
        for (int32_t row = 0; row < s->to[ROWS]; row++)
            for (int32_t column = 0; column < s->to[COLUMNS]; column++)
                expect_pixel(s, content, n, row, column);
}

/* What sample k of a side weighs in a position. */
static double weigh(int32_t side, int32_t to, bool linear, int32_t at, int32_t k)
{
    double scale = (double)side / to, centre = (at + 0.5) * scale - 0.5;
    if (side <= to || linear)
        return fmax(0, 1 - fabs(fmin(fmax(centre, 0), side - 1) - k));
    return fmax(0, fmin((at + 1) * scale, k + 1) - fmax(at * scale, k)) / scale;
}

static double sample(const struct shape_of *s, const uint8_t *plane, int32_t rows, int32_t columns,
                     int32_t row, int32_t column)
{
    double sum = 0;
    for (int32_t y = 0; y < rows; y++) {
        double down = weigh(rows, s->inner[ROWS], s->linear, row, y);
        for (int32_t x = 0; down > 0 && x < columns; x++)
            sum += down * weigh(columns, s->inner[COLUMNS], s->linear, column, x) *
                   plane[(int64_t)y * columns + x];
    }
    return sum;
}

static void expect_pixel(const struct shape_of *s, const struct cuda_content *content, int32_t n,
                         int32_t row, int32_t column)
{
    struct view to = see(s, NULL);
    bool inside = row < s->inner[ROWS] && column < s->inner[COLUMNS];
    double samples[3] = { 0 };
    for (int k = Y; inside && k <= V; k++) {
        int32_t rows = k == Y ? s->luma[ROWS] : half(s->luma[ROWS]);
        int32_t columns = k == Y ? s->luma[COLUMNS] : half(s->luma[COLUMNS]);
        const uint8_t *plane = (const uint8_t *)content->in[k] + (int64_t)n * rows * columns;
        samples[k] = sample(s, plane, rows, columns, row, column);
    }
    for (int c = 0; c < PICTURE_COLOURS; c++) {
        double number = (double)colour[c][Y] * (samples[Y] - (double)black) +
                        (double)colour[c][U] * (samples[U] - 128) +
                        (double)colour[c][V] * (samples[V] - 128);
        number = fmin(fmax(number, 0), 255) * (double)factor[c] + (double)offset[c];
        content->expected[n * to.step[0] + c * to.step[1] + row * to.step[2] + column * to.step[3]] =
            inside ? (float)number : pad[c];
    }
}
