/* picture: decoded pictures become a network's input. What the attributes mean is in picture.h. */
#include "ops/picture.h"
#include "ops/families.h"
#include "ops/rules.h"
#include <string.h>

enum { Y, U, V };
enum { ROWS, COLUMNS };

#define GREY 128 /* U and V of no colour */

static int picture_shape(const struct node *node, const struct op_values *values, struct error *err);
static int picture_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);

static const struct op rows[] = {
    /* (y, u, v) or (y, uv) -> picture; u8 of N x H x W and N x h x w (uv: x 2), f32 of N x 3 x size.
     *
     *     size            rows, columns of the output
     *     width           pixels of a row; without it all that the plane has
     *     fit             "stretch", or "letterbox": the longer side fills the output, the other is
     *                     rounded, the picture lies top left and `pad` (grey 0..255) around it
     *     filter          "area": means where a side shrinks, linear where it grows; "linear"
     *     matrix          "bt601", "bt709"
     *     full_range      Y, U and V reach from 0 to 255
     *     colour          order of the channels: "rgb", "bgr"
     *     factor, offset  for R, G, B, whatever the order; 1 and 0 */
    { OP_ROW("picture", 2, 3, 1, OPSET_OWN, OPSET_OWN, picture_shape, picture_reference),
      OP_ATTRIBUTES({ "size", ATTRIBUTE_INTS }, { "width", ATTRIBUTE_INT },
                    { "fit", ATTRIBUTE_STRING }, { "filter", ATTRIBUTE_STRING },
                    { "matrix", ATTRIBUTE_STRING }, { "full_range", ATTRIBUTE_INT },
                    { "colour", ATTRIBUTE_STRING }, { "factor", ATTRIBUTE_FLOATS },
                    { "offset", ATTRIBUTE_FLOATS }, { "pad", ATTRIBUTE_FLOAT }) },
};
const struct op_family picture_family = OP_FAMILY(rows);

/* ---- attributes ---- */

/* One of two words; the first when absent. */
static int choose(const struct node *node, const char *name, const char *no, const char *yes,
                  bool *is_yes, struct error *err)
{
    const char *word = node_string(node, name, no);
    *is_yes = strcmp(word, yes) == 0;
    if (*is_yes || strcmp(word, no) == 0)
        return 0;
    return error_set(err, ERROR_FORMAT, name, "'%.30s'; '%s' or '%s' expected", word, no, yes);
}

/* Three floats for R, G and B, in the order of the output. */
static int read_colours(const struct node *node, const char *name, float fallback, bool bgr,
                        float colours[PICTURE_CHANNELS], struct error *err)
{
    const struct attribute *attribute = node_attribute(node, name);
    if (attribute && attribute->count != PICTURE_CHANNELS)
        return error_set(err, ERROR_FORMAT, name,
                         "%zu numbers; one for each of R, G and B expected", attribute->count);
    for (int c = 0; c < PICTURE_CHANNELS; c++)
        colours[c] = attribute ? attribute->floats[bgr ? PICTURE_CHANNELS - 1 - c : c] : fallback;
    return 0;
}

/* R = Y + 2 (1 - red) V, B = Y + 2 (1 - blue) U, and G what Y = red R + green G + blue B leaves. */
static void set_colours(bool bt709, bool full, bool bgr, struct picture_form *form)
{
    const double red = bt709 ? 0.2126 : 0.299, blue = bt709 ? 0.0722 : 0.114;
    const double green = 1 - red - blue, luma = full ? 1 : 255 / 219.0;
    const double chroma = full ? 1 : 255 / 224.0, u = 2 * (1 - blue), v = 2 * (1 - red);
    const double rgb[PICTURE_CHANNELS][3] = {
        { luma, 0, chroma * v },
        { luma, -chroma * u * blue / green, -chroma * v * red / green },
        { luma, chroma * u, 0 },
    };
    form->black = full ? 0 : 16;
    for (int c = 0; c < PICTURE_CHANNELS; c++)
        for (int k = 0; k < 3; k++)
            form->colour[c][k] = (float)rgb[bgr ? PICTURE_CHANNELS - 1 - c : c][k];
}

static int read_planes(const struct node *node, const struct shape *y, const struct shape *u,
                       const struct shape *v, struct picture_form *form, struct error *err)
{
    int64_t width = node_int(node, "width", y->dim[2]);
    form->batch = y->dim[0];
    form->interleaved = !v;
    for (int d = 0; d < 2; d++) {
        form->plane[d] = y->dim[1 + d];
        form->chroma_plane[d] = u->dim[1 + d];
        form->luma[d] = d == ROWS ? y->dim[1] : width;
        form->chroma[d] = (form->luma[d] + 1) / 2;
        if (form->luma[d] < 1 || form->luma[d] > form->plane[d] ||
            form->plane[d] > PICTURE_PLANE_SIDE_MAX)
            return error_set(err, ERROR_FORMAT, "y", "%lld of %lld, within 1 and %d expected",
                             (long long)form->luma[d], (long long)form->plane[d],
                             PICTURE_PLANE_SIDE_MAX);
        if (form->chroma_plane[d] < form->chroma[d] || form->chroma_plane[d] > PICTURE_PLANE_SIDE_MAX)
            return error_set(err, ERROR_FORMAT, "u", "a side of %lld, at least %lld expected",
                             (long long)form->chroma_plane[d], (long long)form->chroma[d]);
    }
    if (u->dim[0] != form->batch || (v && !shape_equal(u, v)) || (!v && u->dim[3] != 2))
        return error_set(err, ERROR_FORMAT, "u", "its planes are not those of the other inputs");
    return 0;
}

/* As the product's cards have it (cloud-server/analyse/prepare.c). */
static void place(bool letterbox, struct picture_form *form)
{
    const int64_t height = form->luma[ROWS], width = form->luma[COLUMNS];
    const int64_t by_width = form->to[COLUMNS] * height, by_height = form->to[ROWS] * width;
    form->inner[ROWS] = form->to[ROWS];
    form->inner[COLUMNS] = form->to[COLUMNS];
    if (letterbox && by_width <= by_height)
        form->inner[ROWS] = (by_width + width / 2) / width;
    else if (letterbox)
        form->inner[COLUMNS] = (by_height + height / 2) / height;
    for (int d = 0; d < 2; d++)
        if (form->inner[d] < 1)
            form->inner[d] = 1;
}

int picture_resolve(const struct node *node, const struct shape *y, const struct shape *u,
                    const struct shape *v, struct picture_form *form, struct error *err)
{
    const int64_t *size;
    bool letterbox, bt709, bgr, full = node_int(node, "full_range", 0) != 0;
    *form = (struct picture_form){ 0 };
    int rc = read_planes(node, y, u, v, form, err);
    if (rc)
        return rc;
    if (node_ints(node, "size", &size) != 2 || size[0] < 1 || size[1] < 1 ||
        size[0] > PICTURE_PLANE_SIDE_MAX || size[1] > PICTURE_PLANE_SIDE_MAX)
        return error_set(err, ERROR_FORMAT, "size", "rows and columns within 1 and %d expected",
                         PICTURE_PLANE_SIDE_MAX);
    form->to[ROWS] = size[ROWS];
    form->to[COLUMNS] = size[COLUMNS];
    if ((rc = choose(node, "fit", "stretch", "letterbox", &letterbox, err)) ||
        (rc = choose(node, "filter", "area", "linear", &form->linear, err)) ||
        (rc = choose(node, "matrix", "bt601", "bt709", &bt709, err)) ||
        (rc = choose(node, "colour", "rgb", "bgr", &bgr, err)) ||
        (rc = read_colours(node, "factor", 1, bgr, form->factor, err)) ||
        (rc = read_colours(node, "offset", 0, bgr, form->offset, err)))
        return rc;
    place(letterbox, form);
    set_colours(bt709, full, bgr, form);
    for (int c = 0; c < PICTURE_CHANNELS; c++)
        form->pad[c] = node_float(node, "pad", 0) * form->factor[c] + form->offset[c];
    return 0;
}

static int picture_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct picture_form form;
    int chroma_rank = values->in[V] ? 3 : 4;
    int rc = rule_input(values, Y, "y", TYPE(U8), 3, 3, err);
    if (!rc)
        rc = rule_input(values, U, "u", TYPE(U8), chroma_rank, chroma_rank, err);
    if (!rc && values->in[V])
        rc = rule_input(values, V, "v", TYPE(U8), 3, 3, err);
    if (!rc)
        rc = picture_resolve(node, &values->in[Y]->shape, &values->in[U]->shape,
                             values->in[V] ? &values->in[V]->shape : NULL, &form, err);
    if (rc)
        return rc;
    struct shape shape = { 4, { form.batch, PICTURE_CHANNELS, form.to[ROWS], form.to[COLUMNS] } };
    rule_output(values, 0, TENSOR_REAL, &shape);
    return 0;
}

/* ---- values ---- */

/* What samples weigh in position `at` of a side: those from first on, as many as there are positive
 * weights. Weights add up to 1. */
struct reach {
    int64_t side, first, end;
    double begin, width; /* area: what is covered, in samples; width 0: linear */
    double at;           /* linear: in samples, from the centre of the first */
};

static struct reach reach_at(int64_t side, int64_t to, bool linear, int64_t at)
{
    double scale = (double)side / (double)to;
    struct reach reach = { .side = side };
    if (side <= to || linear) {
        reach.at = fmin(fmax(((double)at + 0.5) * scale - 0.5, 0), (double)(side - 1));
        reach.first = (int64_t)floor(reach.at);
        reach.end = (int64_t)ceil(reach.at) + 1;
        return reach;
    }
    reach.begin = (double)at * scale;
    reach.width = scale;
    reach.first = (int64_t)floor(reach.begin);
    reach.end = (int64_t)fmin(ceil(reach.begin + scale), (double)side);
    return reach;
}

static double weight_of(const struct reach *reach, int64_t sample)
{
    if (!(reach->width > 0))
        return 1 - fabs((double)sample - reach->at);
    double begin = fmax((double)sample, reach->begin);
    double end = fmin((double)(sample + 1), reach->begin + reach->width);
    return fmax(end - begin, 0) / reach->width;
}

/* step: from one sample of the plane to the next. */
static double sample_plane(const uint8_t *plane, int64_t row_step, int64_t step,
                           const struct reach reach[2])
{
    double sum = 0;
    for (int64_t y = reach[ROWS].first; y < reach[ROWS].end; y++)
        for (int64_t x = reach[COLUMNS].first; x < reach[COLUMNS].end; x++)
            sum += weight_of(&reach[ROWS], y) * weight_of(&reach[COLUMNS], x) *
                   plane[y * row_step + x * step];
    return sum;
}

/* Y, U and V of a pixel within the picture. */
static void sample_picture(const struct picture_form *form, const struct tensor *const *in,
                           int64_t image, int64_t row, int64_t column, double yuv[3])
{
    const int64_t at[2] = { row, column }, step = form->interleaved ? 2 : 1;
    const int64_t luma_bytes = form->plane[ROWS] * form->plane[COLUMNS];
    const int64_t chroma_row = form->chroma_plane[COLUMNS] * step;
    const int64_t chroma_at = image * form->chroma_plane[ROWS] * chroma_row;
    struct reach luma[2], chroma[2];
    for (int d = 0; d < 2; d++) {
        luma[d] = reach_at(form->luma[d], form->inner[d], form->linear, at[d]);
        chroma[d] = reach_at(form->chroma[d], form->inner[d], form->linear, at[d]);
    }
    const uint8_t *u = (const uint8_t *)in[U]->data + chroma_at;
    const uint8_t *v = in[V] ? (const uint8_t *)in[V]->data + chroma_at : u + 1;
    yuv[Y] = sample_plane((const uint8_t *)in[Y]->data + image * luma_bytes, form->plane[COLUMNS],
                          1, luma);
    yuv[U] = sample_plane(u, chroma_row, step, chroma);
    yuv[V] = sample_plane(v, chroma_row, step, chroma);
}

static double colour_of(const struct picture_form *form, int channel, const double yuv[3])
{
    const float *weight = form->colour[channel];
    double pixel = (double)weight[Y] * (yuv[Y] - (double)form->black) +
                   (double)weight[U] * (yuv[U] - GREY) + (double)weight[V] * (yuv[V] - GREY);
    return fmin(fmax(pixel, 0), 255) * (double)form->factor[channel] + (double)form->offset[channel];
}

static int picture_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    struct picture_form form;
    int rc = picture_resolve(node, &in[Y]->shape, &in[U]->shape, in[V] ? &in[V]->shape : NULL,
                             &form, err);
    if (rc)
        return rc;
    const int64_t pixels = form.to[ROWS] * form.to[COLUMNS];
    for (int64_t i = 0; i < form.batch * pixels; i++) {
        int64_t image = i / pixels, row = i % pixels / form.to[COLUMNS],
                column = i % form.to[COLUMNS];
        real *to = (real *)out[0]->data + image * PICTURE_CHANNELS * pixels + i % pixels;
        bool inside = row < form.inner[ROWS] && column < form.inner[COLUMNS];
        double yuv[3] = { 0 };
        if (inside)
            sample_picture(&form, in, image, row, column, yuv);
        for (int c = 0; c < PICTURE_CHANNELS; c++)
            to[c * pixels] = (real)(inside ? colour_of(&form, c, yuv) : (double)form.pad[c]);
    }
    return 0;
}
