/* roi: MaxRoiPool and RoiAlign: parts of feature maps, each brought to one size. */
#include "ops/element.h"
#include "ops/families.h"
#include "ops/rules.h"
#include <string.h>

#define SIDE_MAX 65536 /* of an output, and samples of a bin along one side */

enum { Y, X };

static int max_roi_shape(const struct node *node, const struct op_values *values, struct error *err);
static int max_roi_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err);
static int align_shape(const struct node *node, const struct op_values *values, struct error *err);
static int align_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err);

/* clang-format off */
#define ALIGN_ATTRIBUTES                                                                          \
    { "mode", ATTRIBUTE_STRING }, { "output_height", ATTRIBUTE_INT },                             \
    { "output_width", ATTRIBUTE_INT }, { "sampling_ratio", ATTRIBUTE_INT },                       \
    { "spatial_scale", ATTRIBUTE_FLOAT }
/* clang-format on */

static const struct op rows[] = {
    /* (pictures, regions of R x 5: picture, x1, y1, x2, y2) -> R x C x pooled_shape */
    { OP_ROW("MaxRoiPool", 2, 2, 1, OPSET_MIN, OPSET_MAX, max_roi_shape, max_roi_reference),
      OP_ATTRIBUTES({ "pooled_shape", ATTRIBUTE_INTS }, { "spatial_scale", ATTRIBUTE_FLOAT }) },
    /* (pictures, regions of R x 4: x1, y1, x2, y2, the picture of each) -> R x C x height x width */
    { OP_ROW("RoiAlign", 3, 3, 1, 10, 15, align_shape, align_reference),
      OP_ATTRIBUTES(ALIGN_ATTRIBUTES) },
    { OP_ROW("RoiAlign", 3, 3, 1, 16, OPSET_MAX, align_shape, align_reference),
      OP_ATTRIBUTES(ALIGN_ATTRIBUTES, { "coordinate_transformation_mode", ATTRIBUTE_STRING }) },
};
const struct op_family roi_family = OP_FAMILY(rows);

/* Pictures and regions, then the output: as many as there are regions, of this size. */
static int set_shapes(const struct op_values *values, int64_t columns, const int64_t size[2],
                      struct error *err)
{
    int rc = rule_input(values, 0, "input", TYPES_FLOAT, 4, 4, err);
    if (rc || (rc = rule_input(values, 1, "rois", 1u << values->in[0]->type, 2, 2, err)))
        return rc;
    const struct shape *from = &values->in[0]->shape, *rois = &values->in[1]->shape;
    if (shape_elements(from) <= 0)
        return error_set(err, ERROR_FORMAT, "input", "is empty");
    if (rois->dim[1] != columns)
        return error_set(err, ERROR_FORMAT, "rois", "%lld numbers each; %lld expected",
                         (long long)rois->dim[1], (long long)columns);
    for (int i = 0; i < 2; i++)
        if (size[i] < 1 || size[i] > SIDE_MAX)
            return error_set(err, ERROR_FORMAT, "output size", "%lld is outside [1, %d]",
                             (long long)size[i], SIDE_MAX);
    rule_output(values, 0, values->in[0]->type,
                &(struct shape){ 4, { rois->dim[0], from->dim[1], size[Y], size[X] } });
    return 0;
}

/* The four numbers of a region behind `at`, as x1, y1, x2, y2 in the pictures' elements. */
static int read_region(const struct tensor *rois, int64_t at, double scale, double begin[2],
                       double end[2], struct error *err)
{
    for (int i = 0; i < 2; i++) {
        begin[i] = element_load(rois, at + 1 - i) * scale;
        end[i] = element_load(rois, at + 3 - i) * scale;
        if (!(fabs(begin[i]) < 1e15) || !(fabs(end[i]) < 1e15))
            return error_set(err, ERROR_FORMAT, "rois", "number %lld is out of all range",
                             (long long)at);
    }
    return 0;
}

static int check_picture(int64_t picture, const struct tensor *pictures, struct error *err)
{
    if (picture < 0 || picture >= pictures->shape.dim[0])
        return error_set(err, ERROR_FORMAT, "rois", "there is no picture %lld", (long long)picture);
    return 0;
}

/* ---- MaxRoiPool ---- */

static int max_roi_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    const int64_t *size;
    if (node_ints(node, "pooled_shape", &size) != 2)
        return error_set(err, ERROR_FORMAT, "pooled_shape", "height and width expected");
    return set_shapes(values, 5, size, err);
}

/* Elements of one bin along a side: [begin, end), which may be none. */
struct bin {
    int64_t begin, end;
};

static struct bin bin_at(double begin, double end, int64_t bins, int64_t at, int64_t side)
{
    double first = round(begin), length = fmax(round(end) - first + 1, 1);
    double width = length / (double)bins;
    double from = fmin(fmax(floor((double)at * width) + first, 0), (double)side);
    double to = fmin(fmax(ceil((double)(at + 1) * width) + first, 0), (double)side);
    return (struct bin){ (int64_t)from, (int64_t)to };
}

static double largest_in(const struct tensor *in, int64_t plane, const struct bin bins[2])
{
    double largest = -INFINITY;
    for (int64_t y = bins[Y].begin; y < bins[Y].end; y++)
        for (int64_t x = bins[X].begin; x < bins[X].end; x++)
            largest = fmax(largest, element_load(in, plane + y * in->shape.dim[3] + x));
    bool empty = bins[Y].begin >= bins[Y].end || bins[X].begin >= bins[X].end;
    return empty ? 0 : largest;
}

static int max_roi_reference(const struct node *node, const struct tensor *const *in,
                             struct tensor *const *out, struct error *err)
{
    double scale = (double)node_float(node, "spatial_scale", 1), begin[2], end[2];
    const int64_t *from = in[0]->shape.dim, *size = out[0]->shape.dim + 2;
    for (int64_t r = 0, at = 0; r < in[1]->shape.dim[0]; r++) {
        double number = element_load(in[1], r * 5);
        int64_t picture = number >= 0 && number < (double)from[0] ? (int64_t)number : -1;
        int rc = check_picture(picture, in[0], err);
        if (rc || (rc = read_region(in[1], r * 5 + 1, scale, begin, end, err)))
            return rc;
        for (int64_t i = 0; i < from[1] * size[Y] * size[X]; i++, at++) {
            int64_t plane = picture * from[1] + i / (size[Y] * size[X]);
            struct bin bins[2] = {
                bin_at(begin[Y], end[Y], size[Y], i / size[X] % size[Y], from[2]),
                bin_at(begin[X], end[X], size[X], i % size[X], from[3]),
            };
            element_store(out[0], at, largest_in(in[0], plane * from[2] * from[3], bins));
        }
    }
    return 0;
}

/* ---- RoiAlign ---- */

struct align {
    int64_t size[2], ratio;
    double scale;
    bool half_pixel, max;
};

static int read_align(const struct node *node, struct align *align, struct error *err)
{
    const char *mode = node_string(node, "mode", "avg");
    const char *coordinates =
        node_string(node, "coordinate_transformation_mode",
                    node->op->opset_max < 16 ? "output_half_pixel" : "half_pixel");
    *align = (struct align){
        .size = { node_int(node, "output_height", 1), node_int(node, "output_width", 1) },
        .ratio = node_int(node, "sampling_ratio", 0),
        .scale = (double)node_float(node, "spatial_scale", 1),
        .half_pixel = strcmp(coordinates, "half_pixel") == 0,
        .max = strcmp(mode, "max") == 0,
    };
    if (!align->max && strcmp(mode, "avg") != 0)
        return error_set(err, ERROR_FORMAT, "mode", "unknown word '%.32s'", mode);
    if (!align->half_pixel && strcmp(coordinates, "output_half_pixel") != 0)
        return error_set(err, ERROR_FORMAT, "coordinate_transformation_mode",
                         "unknown word '%.32s'", coordinates);
    if (align->ratio < 0 || align->ratio > SIDE_MAX)
        return error_set(err, ERROR_FORMAT, "sampling_ratio", "%lld is outside [0, %d]",
                         (long long)align->ratio, SIDE_MAX);
    return 0;
}

static int align_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct align align;
    int rc = read_align(node, &align, err);
    if (rc || (rc = set_shapes(values, 4, align.size, err)) ||
        (rc = rule_input(values, 2, "batch_indices", TYPE(I64) | TYPE(I32), 1, 1, err)))
        return rc;
    if (values->in[2]->shape.dim[0] != values->in[1]->shape.dim[0])
        return error_set(err, ERROR_FORMAT, "batch_indices", "%lld numbers for %lld rois",
                         (long long)values->in[2]->shape.dim[0],
                         (long long)values->in[1]->shape.dim[0]);
    return 0;
}

/* Samples of a bin along one side: sample k lies at start + (k + 0.5) * step. Those that the picture
 * has anything for are first … end - 1, so that a region far larger than it costs nothing. */
struct samples {
    double start, step, count;
    int64_t first, end, side;
};

static struct samples samples_of(const struct align *align, double begin, double end, int i,
                                 int64_t bin, int64_t side)
{
    double offset = align->half_pixel ? 0.5 : 0;
    double length = align->half_pixel ? end - begin : fmax(end - begin, 1);
    double width = length / (double)align->size[i];
    struct samples s = { .start = begin - offset + (double)bin * width, .side = side };
    s.count = align->ratio > 0 ? (double)align->ratio : ceil(length / (double)align->size[i]);
    if (!(s.count >= 1))
        return s;
    s.step = width / s.count;
    double low = (-1 - s.start) / s.step - 0.5, high = ((double)side - s.start) / s.step - 0.5;
    if (s.step == 0) /* all on one spot */
        low = 0, high = s.count;
    s.first = (int64_t)fmin(fmax(floor(fmin(low, high)), 0), s.count);
    s.end = (int64_t)fmin(fmax(ceil(fmax(low, high)) + 1, 0), s.count);
    return s;
}

/* The two elements around a sample and their weights; false outside of the picture, of which the
 * first and last elements reach one further. */
static bool neighbours(const struct samples *s, int64_t k, int64_t at[2], double weight[2])
{
    double x = s->start + ((double)k + 0.5) * s->step;
    if (!(x >= -1 && x <= (double)s->side))
        return false;
    x = fmin(fmax(x, 0), (double)(s->side - 1));
    at[0] = (int64_t)x;
    at[1] = at[0] + 1 < s->side ? at[0] + 1 : at[0];
    weight[1] = x - (double)at[0];
    weight[0] = 1 - weight[1];
    return true;
}

/* The largest takes each of the four weighted neighbours for itself, as the standard's own tests do. */
static double sample_bin(const struct align *align, const struct tensor *in, int64_t plane,
                         const struct samples s[2])
{
    double sum = 0, largest = -INFINITY, inside = 0, all = s[Y].count * s[X].count;
    if (!(s[Y].count >= 1) || !(s[X].count >= 1))
        return 0;
    for (int64_t ky = s[Y].first; ky < s[Y].end; ky++)
        for (int64_t kx = s[X].first; kx < s[X].end; kx++) {
            int64_t y[2], x[2];
            double down[2], across[2];
            if (!neighbours(&s[Y], ky, y, down) || !neighbours(&s[X], kx, x, across))
                continue;
            inside++;
            for (int i = 0; i < 4; i++) {
                double part = down[i / 2] * across[i % 2] *
                              element_load(in, plane + y[i / 2] * s[X].side + x[i % 2]);
                sum += part;
                largest = fmax(largest, part);
            }
        }
    if (!align->max)
        return sum / all;
    return inside < all ? fmax(largest, 0) : largest; /* what is outside counts as 0 */
}

static int align_reference(const struct node *node, const struct tensor *const *in,
                           struct tensor *const *out, struct error *err)
{
    struct align align;
    double begin[2], end[2];
    int rc = read_align(node, &align, err);
    const int64_t *from = in[0]->shape.dim, *size = align.size;
    for (int64_t r = 0, at = 0; !rc && r < in[1]->shape.dim[0]; r++) {
        int64_t picture = rule_int_at(in[2], r);
        if ((rc = check_picture(picture, in[0], err)) ||
            (rc = read_region(in[1], r * 4, align.scale, begin, end, err)))
            return rc;
        for (int64_t i = 0; i < from[1] * size[Y] * size[X]; i++, at++) {
            int64_t plane = picture * from[1] + i / (size[Y] * size[X]);
            struct samples samples[2] = {
                samples_of(&align, begin[Y], end[Y], Y, i / size[X] % size[Y], from[2]),
                samples_of(&align, begin[X], end[X], X, i % size[X], from[3]),
            };
            element_store(out[0], at, sample_bin(&align, in[0], plane * from[2] * from[3], samples));
        }
    }
    return rc;
}
