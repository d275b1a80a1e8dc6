/* Resize and Upsample along one line, by hand-computed numbers: every mode, coordinate transform and
 * way to round, scales and sizes, old and new forms. */
#include "op_check.h"

#define SCALES 4u /* constant inputs by bit: input 2, input 3 */
#define SIZES 8u

static void check_line(float scale, const struct attribute *attributes, const float *expected,
                       int64_t length)
{
    float in[] = { 10, 20, 40, 80 }, scales[] = { scale };
    struct op_case c = {
        .op = "Resize",
        .in = { { .type = TENSOR_F32, .shape = SHAPE(4), .data = in },
                { 0 },
                { .type = TENSOR_F32, .shape = SHAPE(1), .data = scales } },
        .constants = SCALES,
        .out = { { .type = TENSOR_F32, .shape = SHAPE(length), .data = (void *)expected } },
    };
    for (int i = 0; i < CASE_ATTRIBUTES && attributes[i].name; i++)
        c.attributes[i] = attributes[i];
    check_op(&c);
}

#define LINE(scale, attributes, ...)                              \
    check_line(scale, attributes, (const float[]){ __VA_ARGS__ }, \
               (int64_t)COUNT_OF(float, __VA_ARGS__))
#define WITH(...)                             \
    (const struct attribute[CASE_ATTRIBUTES]) \
    {                                         \
        __VA_ARGS__                           \
    }
#define DEFAULTS WITH({ 0 })
#define COORDINATES(word) STRING("coordinate_transformation_mode", word)
#define ROUNDING(word) STRING("nearest_mode", word)
#define LINEAR STRING("mode", "linear")
#define CUBIC STRING("mode", "cubic")

static void test_nearest(void **state)
{
    (void)state;
    /* coordinates -.25 .25 .75 1.25 …: half_pixel, halves down, are the defaults */
    LINE(2, DEFAULTS, 10, 10, 20, 20, 40, 40, 80, 80);
    /* 0 .5 1 1.5 … */
    LINE(2, WITH(COORDINATES("asymmetric")), 10, 10, 20, 20, 40, 40, 80, 80);
    LINE(2, WITH(COORDINATES("asymmetric"), ROUNDING("round_prefer_ceil")), 10, 20, 20, 40, 40, 80,
         80, 80);
    LINE(2, WITH(COORDINATES("asymmetric"), ROUNDING("floor")), 10, 10, 20, 20, 40, 40, 80, 80);
    LINE(2, WITH(COORDINATES("asymmetric"), ROUNDING("ceil")), 10, 20, 20, 40, 40, 80, 80, 80);
    /* .5 2.5 */
    LINE(0.5f, DEFAULTS, 10, 40);
    LINE(0.5f, WITH(ROUNDING("round_prefer_ceil")), 20, 80);
    /* 0 3 */
    LINE(0.5f, WITH(COORDINATES("align_corners")), 10, 80);
    /* one element: the corner, not the middle */
    LINE(0.25f, WITH(COORDINATES("align_corners")), 10);
    LINE(0.25f, WITH(COORDINATES("pytorch_half_pixel")), 10);
    LINE(0.25f, DEFAULTS, 20);
    LINE(1.5f, WITH(COORDINATES("tf_half_pixel_for_nn"), ROUNDING("floor")), 10, 20, 20, 40, 80, 80);
}

static void test_linear(void **state)
{
    (void)state;
    LINE(2, WITH(LINEAR), 10, 12.5f, 17.5f, 25, 35, 50, 70, 80);
    LINE(2, WITH(LINEAR, COORDINATES("asymmetric")), 10, 15, 20, 30, 40, 60, 80, 80);
    LINE(0.5f, WITH(LINEAR), 15, 60);
    LINE(1.75f, WITH(LINEAR, COORDINATES("align_corners")), 10, 15, 20, 30, 40, 60, 80);
    LINE(1, WITH(LINEAR), 10, 20, 40, 80);
}

static void test_cubic(void **state)
{
    (void)state;
    /* at 1.5, with a = -0.75: -0.09375, 0.59375, 0.59375, -0.09375 of 10 20 40 80 */
    const float between = (float)(-0.09375 * (10 + 80) + 0.59375 * (20 + 40));
    /* at 0.5 and 2.5 the outer neighbour is the edge itself */
    const float low = (float)(-0.09375 * (10 + 40) + 0.59375 * (10 + 20));
    const float high = (float)(-0.09375 * (20 + 80) + 0.59375 * (40 + 80));
    LINE(1.75f, WITH(CUBIC, COORDINATES("align_corners")), 10, low, 20, between, 40, high, 80);
    /* or is left out, and the others weigh more: (0.59375, 0.59375, -0.09375) / 1.09375 */
    const float low_alone = (float)((0.59375 * (10 + 20) - 0.09375 * 40) / 1.09375);
    const float high_alone = (float)((0.59375 * (40 + 80) - 0.09375 * 20) / 1.09375);
    LINE(1.75f, WITH(CUBIC, COORDINATES("align_corners"), INT("exclude_outside", 1)), 10, low_alone,
         20, between, 40, high_alone, 80);
    /* a = -0.5: -0.0625 and 0.5625 */
    const float softer = (float)(-0.0625 * (10 + 80) + 0.5625 * (20 + 40));
    const float softer_low = (float)(-0.0625 * (10 + 40) + 0.5625 * (10 + 20));
    const float softer_high = (float)(-0.0625 * (20 + 80) + 0.5625 * (40 + 80));
    LINE(1.75f, WITH(CUBIC, COORDINATES("align_corners"), FLOAT("cubic_coeff_a", -0.5f)), 10,
         softer_low, 20, softer, 40, softer_high, 80);
}

static void test_planes(void **state)
{
    (void)state;
    struct tensor in = F32(SHAPE(1, 1, 2, 2), 1, 2, 3, 4);
    CHECK(.op = "Resize", .in = { in, { 0 }, F32(SHAPE(4), 1, 1, 2, 1) }, .constants = SCALES,
          .out = { F32(SHAPE(1, 1, 4, 2), 1, 2, 1, 2, 3, 4, 3, 4) });
    CHECK(.op = "Resize", .attributes = { STRING("mode", "linear") },
          .in = { in, { 0 }, { 0 }, I64(SHAPE(4), 1, 1, 1, 1) }, .constants = SIZES,
          .out = { F32(SHAPE(1, 1, 1, 1), 2.5f) });
    /* empty scales, as opset 11 needs them before sizes */
    CHECK(.op = "Resize", .opset = 11, .constants = 14,
          .in = { in, F32(SHAPE(0), 0), F32(SHAPE(0), 0), I64(SHAPE(4), 1, 1, 2, 4) },
          .out = { F32(SHAPE(1, 1, 2, 4), 1, 1, 2, 2, 3, 3, 4, 4) });
    CHECK(.op = "Resize", .opset = 18, .attributes = { INTS("axes", 3) }, .constants = SCALES,
          .in = { in, { 0 }, F32(SHAPE(1), 2) },
          .out = { F32(SHAPE(1, 1, 2, 4), 1, 1, 2, 2, 3, 3, 4, 4) });
    /* a size that does not divide: 7 to 8 has a coordinate of exactly 3.5 */
    CHECK(.op = "Resize", .constants = SIZES,
          .attributes = { STRING("coordinate_transformation_mode", "asymmetric"),
                          STRING("nearest_mode", "round_prefer_ceil") },
          .in = { F32(SHAPE(7), 0, 1, 2, 3, 4, 5, 6), { 0 }, { 0 }, I64(SHAPE(1), 8) },
          .out = { F32(SHAPE(8), 0, 1, 2, 3, 4, 4, 5, 6) });
    /* and a scale of 1/3, rounded to float, still divides 1 to 3 and 2 to 6 */
    CHECK(.op = "Resize", .constants = SCALES,
          .attributes = { STRING("coordinate_transformation_mode", "asymmetric"),
                          STRING("nearest_mode", "floor") },
          .in = { F32(SHAPE(9), 0, 1, 2, 3, 4, 5, 6, 7, 8), { 0 }, F32(SHAPE(1), 1 / 3.0f) },
          .out = { F32(SHAPE(3), 0, 3, 6) });
    CHECK(.op = "Upsample", .opset = 7, .in = { in }, .attributes = { FLOATS("scales", 1, 1, 1, 2) },
          .out = { F32(SHAPE(1, 1, 2, 4), 1, 1, 2, 2, 3, 3, 4, 4) });
    CHECK(.op = "Upsample", .opset = 9, .in = { in, F32(SHAPE(4), 1, 1, 2, 1) }, .constants = 2,
          .attributes = { STRING("mode", "linear") },
          .out = { F32(SHAPE(1, 1, 4, 2), 1, 2, 2, 3, 3, 4, 3, 4) });
    /* opset 10 shrinks by the upper neighbour */
    CHECK(.op = "Resize", .opset = 10, .in = { F32(SHAPE(3), 1, 2, 3), F32(SHAPE(1), 0.67f) },
          .constants = 2, .out = { F32(SHAPE(2), 1, 3) });
}

/* Coordinates go from the first to the last element of a part. */
static void test_crop(void **state)
{
    (void)state;
    struct tensor line = F32(SHAPE(5), 0, 10, 20, 30, 40);
    const struct attribute crop = COORDINATES("tf_crop_and_resize");
    /* from 1 to 3 in 5 */
    CHECK(.op = "Resize", .constants = SIZES | 2, .attributes = { crop, LINEAR },
          .in = { line, F32(SHAPE(2), 0.25f, 0.75f), { 0 }, I64(SHAPE(1), 5) },
          .out = { F32(SHAPE(5), 10, 15, 20, 25, 30) });
    /* one element: the middle */
    CHECK(.op = "Resize", .constants = SIZES | 2, .attributes = { crop, LINEAR },
          .in = { line, F32(SHAPE(2), 0.5f, 0.75f), { 0 }, I64(SHAPE(1), 1) },
          .out = { F32(SHAPE(1), 25) });
    /* 0 2 4 6: what is behind the end has a value of its own */
    CHECK(.op = "Resize", .constants = SIZES | 2,
          .attributes = { crop, FLOAT("extrapolation_value", -7), ROUNDING("floor") },
          .in = { line, F32(SHAPE(2), 0, 1.5f), { 0 }, I64(SHAPE(1), 4) },
          .out = { F32(SHAPE(4), 0, 20, 40, -7) });
    /* scales only of the whole */
    CHECK(.op = "Resize", .constants = SCALES | 2, .attributes = { crop, LINEAR },
          .in = { line, F32(SHAPE(2), 0, 1), F32(SHAPE(1), 1.8f) },
          .out = { F32(SHAPE(9), 0, 5, 10, 15, 20, 25, 30, 35, 40) });
    /* both axes, listed backwards: rows 0 to 1, columns 1 to 2 */
    CHECK(.op = "Resize", .opset = 18, .constants = SIZES | 2,
          .attributes = { crop, LINEAR, INTS("axes", 1, 0) },
          .in = { F32(SHAPE(2, 3), 1, 2, 3, 4, 5, 6),
                  F32(SHAPE(4), 0.5f, 0, 1, 1),
                  { 0 },
                  I64(SHAPE(2), 2, 3) },
          .out = { F32(SHAPE(3, 2), 2, 3, 3.5f, 4.5f, 5, 6) });
    /* elements on the input may be the same without the mode, but not those of a part */
    CHECK(.op = "Resize", .constants = SIZES | 2, .attributes = { crop, LINEAR },
          .in = { F32(SHAPE(3), 0, 10, 20), F32(SHAPE(2), 0, 0.5f), { 0 }, I64(SHAPE(1), 3) },
          .out = { F32(SHAPE(3), 0, 5, 10) });
}

static void test_aspect(void **state)
{
    (void)state;
    struct tensor in = F32(SHAPE(2, 4), 1, 2, 3, 4, 5, 6, 7, 8);
    /* 3/2 and 4/4: the smaller is 1, so nothing changes; the larger makes 3 x 6 */
    CHECK(.op = "Resize", .opset = 18, .constants = SIZES,
          .in = { in, { 0 }, { 0 }, I64(SHAPE(2), 3, 4) },
          .attributes = { STRING("keep_aspect_ratio_policy", "not_larger") }, .out = { in });
    CHECK(.op = "Resize", .opset = 18, .constants = SIZES,
          .in = { in, { 0 }, { 0 }, I64(SHAPE(2), 3, 4) },
          .attributes = { STRING("keep_aspect_ratio_policy", "not_smaller") },
          .out = { F32(SHAPE(3, 6), 1, 1, 2, 3, 3, 4, 1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8) });
    /* 4 * 3/8 is 1.5, which is rounded up; 8/3 stays the step: 0.833 and 3.5 */
    CHECK(.op = "Resize", .opset = 18, .constants = SIZES,
          .in = { F32(SHAPE(4, 8), 0, 0, 0, 0, 0, 0, 0, 0, 3, 3, 3, 3, 3, 3, 3, 3, 6, 6, 6, 6, 6, 6,
                      6, 6, 9, 9, 9, 9, 9, 9, 9, 9),
                  { 0 },
                  { 0 },
                  I64(SHAPE(2), 4, 3) },
          .attributes = { STRING("keep_aspect_ratio_policy", "not_larger"), LINEAR },
          .out = { F32(SHAPE(2, 3), 2.5f, 2.5f, 2.5f, 9, 9, 9) });
}

static void test_antialias(void **state)
{
    (void)state;
    struct tensor eight = F32(SHAPE(8), 0, 0, 8, 0, 0, 0, 0, 16), half = F32(SHAPE(1), 0.5f);
    const struct attribute antialias = INT("antialias", 1);
    /* triangles of two elements to both sides, at 0.5 2.5 4.5 6.5: 1 3 3 1 eighths, ends repeated */
    CHECK(.op = "Resize", .opset = 18, .constants = SCALES, .attributes = { antialias, LINEAR },
          .in = { eight, { 0 }, half }, .out = { F32(SHAPE(4), 1, 3, 0, 8) });
    /* left out instead: 3 3 1 sevenths at both ends */
    CHECK(.op = "Resize", .opset = 18, .constants = SCALES,
          .attributes = { antialias, LINEAR, INT("exclude_outside", 1) },
          .in = { eight, { 0 }, half }, .out = { F32(SHAPE(4), 8 / 7.0f, 3, 0, 48 / 7.0f) });
    /* nothing to blur where it grows, nor of the nearest */
    CHECK(.op = "Resize", .opset = 18, .constants = SCALES, .attributes = { antialias, LINEAR },
          .in = { F32(SHAPE(2), 0, 4), { 0 }, F32(SHAPE(1), 2) },
          .out = { F32(SHAPE(4), 0, 1, 3, 4) });
    CHECK(.op = "Resize", .opset = 18, .constants = SCALES, .attributes = { antialias },
          .in = { eight, { 0 }, half }, .out = { F32(SHAPE(4), 0, 8, 0, 0) });
    /* cubic: weights at 0.25 0.75 1.25 1.75 of the kernel, twice, over their sum */
    const double near = (1.25 * 0.25 - 2.25) * 0.25 * 0.25 + 1;
    const double far = (1.25 * 0.75 - 2.25) * 0.75 * 0.75 + 1;
    const double next = ((-0.75 * 1.25 + 3.75) * 1.25 - 6) * 1.25 + 3;
    const double last = ((-0.75 * 1.75 + 3.75) * 1.75 - 6) * 1.75 + 3;
    const float sum = (float)(2 * (near + far + next + last));
    CHECK(.op = "Resize", .opset = 18, .constants = SCALES, .attributes = { antialias, CUBIC },
          .in = { F32(SHAPE(8), 0, 0, 0, 1, 0, 0, 0, 0), { 0 }, half },
          .out = { F32(SHAPE(4), (float)next / sum, (float)near / sum, (float)far / sum,
                       (float)last / sum) });
}

static void test_types(void **state)
{
    (void)state;
    CHECK(.op = "Resize", .constants = SCALES, .in = { U8(SHAPE(2), 7, 9), { 0 }, F32(SHAPE(1), 2) },
          .out = { U8(SHAPE(4), 7, 7, 9, 9) });
    CHECK(.op = "Resize", .constants = SCALES, .attributes = { LINEAR },
          .in = { U8(SHAPE(2), 0, 255), { 0 }, F32(SHAPE(1), 2) },
          .out = { U8(SHAPE(4), 0, 63, 191, 255) }); /* 63.75 and 191.25 are cut */
    CHECK(.op = "Resize", .constants = SCALES, .attributes = { LINEAR },
          .in = { LITERAL(TENSOR_F64, double, SHAPE(2), 0, 4), { 0 }, F32(SHAPE(1), 2) },
          .out = { LITERAL(TENSOR_F64, double, SHAPE(4), 0, 1, 3, 4) });
}

static void test_refused(void **state)
{
    (void)state;
    struct tensor in = F32(SHAPE(2), 1, 2), twice = F32(SHAPE(1), 2);
    REFUSED("neither scales nor sizes", .op = "Resize", .in = { in });
    REFUSED("scales: is computed", .op = "Resize", .in = { in, { 0 }, twice });
    REFUSED("scales: 2 numbers for 1 dimensions", .op = "Resize", .constants = SCALES,
            .in = { in, { 0 }, F32(SHAPE(2), 1, 2) });
    REFUSED("scales: -1 for 2 elements", .op = "Resize", .constants = SCALES,
            .in = { in, { 0 }, F32(SHAPE(1), -1) });
    REFUSED("scales: nan for 2 elements", .op = "Resize", .constants = SCALES,
            .in = { in, { 0 }, F32(SHAPE(1), NAN) });
    REFUSED("scales: 1e+30 for 2 elements", .op = "Resize", .constants = SCALES,
            .in = { in, { 0 }, F32(SHAPE(1), 1e30f) });
    REFUSED("input sizes: 0 is not a size", .op = "Resize", .constants = SIZES,
            .in = { in, { 0 }, { 0 }, I64(SHAPE(1), 0) });
    REFUSED("mode: 'area' is not supported", .op = "Resize", .constants = SCALES,
            .in = { in, { 0 }, twice }, .attributes = { STRING("mode", "area") });
    REFUSED("keep_aspect_ratio_policy: 'fit'", .op = "Resize", .opset = 18, .constants = SIZES,
            .in = { in, { 0 }, { 0 }, I64(SHAPE(1), 3) },
            .attributes = { STRING("keep_aspect_ratio_policy", "fit") });
    const struct attribute crop = COORDINATES("tf_crop_and_resize");
    REFUSED("roi: is missing", .op = "Resize", .constants = SCALES, .in = { in, { 0 }, twice },
            .attributes = { crop });
    REFUSED("roi: is computed", .op = "Resize", .constants = SCALES,
            .in = { in, F32(SHAPE(2), 0, 1), twice }, .attributes = { crop });
    REFUSED("roi: a list of 2 floats", .op = "Resize", .constants = SCALES | 2,
            .in = { in, F32(SHAPE(1), 0), twice }, .attributes = { crop });
    REFUSED("roi: 1e+09 is out of all range", .op = "Resize", .constants = SCALES | 2,
            .in = { in, F32(SHAPE(2), 0, 1e9f), twice }, .attributes = { crop });
    REFUSED("scales: of a part are read in two ways", .op = "Resize", .constants = SCALES | 2,
            .in = { in, F32(SHAPE(2), 0, 0.5f), twice }, .attributes = { crop });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nearest),   cmocka_unit_test(test_linear),
        cmocka_unit_test(test_cubic),     cmocka_unit_test(test_planes),
        cmocka_unit_test(test_crop),      cmocka_unit_test(test_aspect),
        cmocka_unit_test(test_antialias), cmocka_unit_test(test_types),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
