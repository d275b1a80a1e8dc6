/* grid: GridSample and AffineGrid: pictures and volumes read where a list of coordinates says.
 * Coordinates are from -1 to 1, x first. */
#include "ops/element.h"
#include "ops/families.h"
#include "ops/rules.h"
#include <string.h>

#define SIDES_MAX 3
#define TAPS_MAX 4
#define CUBIC_A (-0.75)

static int sample_shape(const struct node *node, const struct op_values *values, struct error *err);
static int sample_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err);
static int affine_shape(const struct node *node, const struct op_values *values, struct error *err);
static int affine_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err);

/* clang-format off */
#define SAMPLE_ATTRIBUTES                                                                         \
    OP_ATTRIBUTES({ "align_corners", ATTRIBUTE_INT }, { "mode", ATTRIBUTE_STRING },               \
                  { "padding_mode", ATTRIBUTE_STRING })
/* clang-format on */

static const struct op rows[] = {
    /* Until 19 pictures only, and other words for the modes. */
    { OP_ROW("GridSample", 2, 2, 1, 16, 19, sample_shape, sample_reference), .heavy = true,
      SAMPLE_ATTRIBUTES },
    { OP_ROW("GridSample", 2, 2, 1, 20, OPSET_MAX, sample_shape, sample_reference), .heavy = true,
      SAMPLE_ATTRIBUTES },
    /* (N x 2 x 3 or N x 3 x 4, size of the pictures) -> grid */
    { OP_ROW("AffineGrid", 2, 2, 1, 20, OPSET_MAX, affine_shape, affine_reference),
      OP_ATTRIBUTES({ "align_corners", ATTRIBUTE_INT }) },
};
const struct op_family grid_family = OP_FAMILY(rows);

/* ---- GridSample ---- */

enum mode { NEAREST, LINEAR, CUBIC };
enum padding { ZEROS, BORDER, REFLECTION };

struct sampling {
    enum mode mode;
    enum padding padding;
    bool align_corners;
    int sides; /* spatial dimensions */
};

static int find_word(const struct node *node, const char *name, const char *fallback,
                     const char *const words[3], int *place, struct error *err)
{
    const char *word = node_string(node, name, fallback);
    for (*place = 0; *place < 3; ++*place)
        if (strcmp(words[*place], word) == 0)
            return 0;
    return error_set(err, ERROR_FORMAT, name, "unknown word '%.32s'", word);
}

static int read_sampling(const struct node *node, int rank, struct sampling *sampling,
                         struct error *err)
{
    static const char *const old_modes[] = { "nearest", "bilinear", "bicubic" };
    static const char *const modes[] = { "nearest", "linear", "cubic" };
    static const char *const paddings[] = { "zeros", "border", "reflection" };
    bool old = node->op->opset_max < 20;
    int mode, padding;
    int rc =
        find_word(node, "mode", old ? "bilinear" : "linear", old ? old_modes : modes, &mode, err);
    if (rc || (rc = find_word(node, "padding_mode", "zeros", paddings, &padding, err)))
        return rc;
    *sampling = (struct sampling){ .mode = (enum mode)mode,
                                   .padding = (enum padding)padding,
                                   .align_corners = node_int(node, "align_corners", 0) != 0,
                                   .sides = rank - 2 };
    return 0;
}

static int sample_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    struct sampling sampling;
    int most = node->op->opset_max < 20 ? 4 : 2 + SIDES_MAX;
    int rc = rule_input(values, 0, "input", TYPES_FLOAT | TYPES_WHOLE, 4, most, err);
    int rank = values->in[0]->shape.rank;
    if (rc || (rc = rule_input(values, 1, "grid", TYPES_FLOAT, rank, rank, err)) ||
        (rc = read_sampling(node, rank, &sampling, err)))
        return rc;
    const struct shape *from = &values->in[0]->shape, *grid = &values->in[1]->shape;
    if (shape_elements(from) <= 0)
        return error_set(err, ERROR_FORMAT, "input", "is empty");
    if (grid->dim[0] != from->dim[0] || grid->dim[rank - 1] != rank - 2)
        return error_set(err, ERROR_FORMAT, "grid",
                         "%lld lists of %lld numbers; %lld of %d expected", (long long)grid->dim[0],
                         (long long)grid->dim[rank - 1], (long long)from->dim[0], rank - 2);
    struct shape shape = { rank, { from->dim[0], from->dim[1] } };
    memcpy(shape.dim + 2, grid->dim + 1, (size_t)(rank - 2) * sizeof *shape.dim);
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

/* Thrown back at the ends low and high as often as it takes. */
static double reflect(double x, double low, double high)
{
    double range = high - low;
    if (!isfinite(x) || !(range > 0))
        return low;
    double way = fmod(fabs(x - low), 2 * range);
    return low + (way > range ? 2 * range - way : way);
}

/* The element that position `at` shows; -1: a zero. Positions come from coordinates that were
 * brought near the picture already. */
static int64_t element_at(const struct sampling *sampling, double at, int64_t side)
{
    double last = (double)(side - 1);
    if (at >= 0 && at <= last)
        return (int64_t)at;
    if (sampling->padding == ZEROS || isnan(at))
        return -1;
    if (sampling->padding == BORDER)
        return at > 0 ? side - 1 : 0;
    double edge = sampling->align_corners ? 0 : 0.5;
    return (int64_t)fmin(fmax(reflect(at, -edge, last + edge), 0), last);
}

struct taps {
    int count;
    int64_t index[TAPS_MAX];
    double weight[TAPS_MAX];
};

static double cubic_weight(double distance)
{
    double x = fabs(distance), a = CUBIC_A;
    if (x <= 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
}

static void read_taps(const struct sampling *sampling, double coordinate, int64_t side,
                      struct taps *taps)
{
    static const int counts[] = { [NEAREST] = 1, [LINEAR] = 2, [CUBIC] = 4 };
    double edge = sampling->align_corners ? 0 : 0.5, last = (double)(side - 1);
    double x = (coordinate + 1) / 2 * (last + 2 * edge) - edge;
    if (sampling->padding == BORDER) { /* of a cubic's taps each is brought back for itself */
        double reach = sampling->mode == CUBIC ? TAPS_MAX : 0;
        x = fmin(fmax(x, -reach), last + reach);
    }
    if (sampling->padding == REFLECTION && !(x >= -edge && x <= last + edge))
        x = reflect(x, -edge, last + edge);
    double low = sampling->mode == NEAREST  ? rint(x)
                 : sampling->mode == LINEAR ? floor(x)
                                            : floor(x) - 1;
    taps->count = counts[sampling->mode];
    for (int i = 0; i < taps->count; i++) {
        double distance = x - (low + i);
        taps->index[i] = element_at(sampling, low + i, side);
        taps->weight[i] = sampling->mode == NEAREST  ? 1
                          : sampling->mode == LINEAR ? 1 - fabs(distance)
                                                     : cubic_weight(distance);
    }
}

/* The weighted sum over all sides from `side` on; at: of what lies before. */
static double blend(const struct tensor *in, const struct taps *taps, int side, int sides, int64_t at)
{
    if (side == sides)
        return element_load(in, at);
    double sum = 0;
    int64_t length = in->shape.dim[2 + side];
    for (int i = 0; i < taps[side].count; i++)
        if (taps[side].index[i] >= 0)
            sum += taps[side].weight[i] *
                   blend(in, taps, side + 1, sides, at * length + taps[side].index[i]);
    return sum;
}

static int sample_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err)
{
    struct sampling sampling;
    struct taps taps[SIDES_MAX] = { { 0 } };
    int rc = read_sampling(node, in[0]->shape.rank, &sampling, err);
    if (rc)
        return rc;
    const int64_t *from = in[0]->shape.dim;
    int sides = sampling.sides;
    int64_t places = shape_span(&out[0]->shape, 2, 2 + sides);
    for (int64_t n = 0; n < from[0]; n++)
        for (int64_t i = 0; i < places; i++) {
            for (int side = 0; side < sides; side++)
                read_taps(&sampling, element_load(in[1], (n * places + i) * sides + sides - 1 - side),
                          from[2 + side], &taps[side]);
            for (int64_t c = n * from[1]; c < (n + 1) * from[1]; c++)
                element_store(out[0], c * places + i, blend(in[0], taps, 0, sides, c));
        }
    return 0;
}

/* ---- AffineGrid ---- */

static int affine_shape(const struct node *node, const struct op_values *values, struct error *err)
{
    (void)node;
    int64_t size[RULE_INTS_MAX];
    size_t count = 0;
    int rc = rule_input(values, 0, "theta", TYPES_FLOAT, 3, 3, err);
    if (rc || (rc = rule_input(values, 1, "size", TYPE(I64), 1, 1, err)) ||
        (rc = rule_ints(rule_constant(values, 1), "size", size, &count, err)))
        return rc;
    const struct shape *theta = &values->in[0]->shape;
    int64_t sides = (int64_t)count - 2;
    if (sides < 2 || sides > SIDES_MAX)
        return error_set(err, ERROR_FORMAT, "size", "%zu numbers; 4 or 5 expected", count);
    if (theta->dim[0] != size[0] || theta->dim[1] != sides || theta->dim[2] != sides + 1)
        return error_set(err, ERROR_FORMAT, "theta",
                         "%lldx%lldx%lld; %lldx%lldx%lld goes with the size",
                         (long long)theta->dim[0], (long long)theta->dim[1], (long long)theta->dim[2],
                         (long long)size[0], (long long)sides, (long long)sides + 1);
    struct shape shape = { (int)count, { size[0] } };
    for (int i = 0; i < sides; i++) {
        shape.dim[1 + i] = size[2 + i];
        if (size[2 + i] < 1)
            return error_set(err, ERROR_FORMAT, "size", "%lld is not a size", (long long)size[2 + i]);
    }
    shape.dim[sides + 1] = sides;
    rule_output(values, 0, values->in[0]->type, &shape);
    return 0;
}

/* The middle of one element is in the middle, whatever is aligned. */
static double place_of(int64_t at, int64_t count, bool align_corners)
{
    if (align_corners)
        return count > 1 ? 2 * (double)at / (double)(count - 1) - 1 : 0;
    return (2 * (double)at + 1) / (double)count - 1;
}

static int affine_reference(const struct node *node, const struct tensor *const *in,
                            struct tensor *const *out, struct error *err)
{
    (void)err;
    bool align_corners = node_int(node, "align_corners", 0) != 0;
    const struct shape *to = &out[0]->shape;
    int sides = to->rank - 2;
    int64_t places = shape_span(to, 1, 1 + sides);
    for (int64_t i = 0; i < to->dim[0] * places; i++) {
        double place[SIDES_MAX + 1]; /* x, y, …, 1 */
        int64_t rest = i % places;
        for (int side = 0; side < sides; side++) {
            int64_t count = to->dim[sides - side];
            place[side] = place_of(rest % count, count, align_corners);
            rest /= count;
        }
        place[sides] = 1;
        for (int row = 0; row < sides; row++) {
            double sum = 0;
            for (int k = 0; k <= sides; k++)
                sum += place[k] * element_load(in[0], (i / places * sides + row) * (sides + 1) + k);
            element_store(out[0], i * sides + row, sum);
        }
    }
    return 0;
}
