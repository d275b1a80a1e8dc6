/* Normalisations by hand-computed numbers: of the batch, of layers, groups, axes, lines and neighbours. (Softmax
 * and the plain forms of the others are in ops_maths_test.c.) */
#include "op_check.h"

#define F64(s, ...) LITERAL(TENSOR_F64, double, s, __VA_ARGS__)
#define EXACT FLOAT("epsilon", 0)

static void test_batch(void **state)
{
    (void)state;
    struct tensor x = F32(SHAPE(2, 1, 2), 1, 3, 5, 7), one = F32(SHAPE(1), 1),
                  none = F32(SHAPE(1), 0);
    struct tensor mean = F32(SHAPE(1), 8), variance = F32(SHAPE(1), 15);
    const float d = sqrtf(5); /* mean 4, variance 5 */
    CHECK(.op = "BatchNormalization", .opset = 14, .in = { x, one, none, mean, variance },
          .attributes = { INT("training_mode", 1), EXACT, FLOAT("momentum", 0.75f) },
          .out = { F32(SHAPE(2, 1, 2), -3 / d, -1 / d, 1 / d, 3 / d), F32(SHAPE(1), 7),
                   F32(SHAPE(1), 12.5f) });
    /* before 14 the outputs say it, and the batch's own statistics are two of them */
    CHECK(.op = "BatchNormalization", .opset = 9, .in = { x, F32(SHAPE(1), 2), one, mean, variance },
          .attributes = { EXACT, FLOAT("momentum", 0) },
          .out = { F32(SHAPE(2, 1, 2), 1 - 6 / d, 1 - 2 / d, 1 + 2 / d, 1 + 6 / d),
                   F32(SHAPE(1), 4), F32(SHAPE(1), 5), F32(SHAPE(1), 4) });
    /* numbers for each place of a channel */
    CHECK(.op = "BatchNormalization", .opset = 7,
          .in = { x, F32(SHAPE(1, 2), 1, 10), F32(SHAPE(1, 2), 0, 1), F32(SHAPE(1, 2), 1, 2),
                  F32(SHAPE(1, 2), 1, 4) },
          .attributes = { EXACT, INT("spatial", 0) }, .out = { F32(SHAPE(2, 1, 2), 0, 6, 4, 26) });
    /* doubles */
    CHECK(.op = "BatchNormalization", .opset = 15,
          .in = { F64(SHAPE(1, 1), 3), F64(SHAPE(1), 2), F64(SHAPE(1), 1), F64(SHAPE(1), 1),
                  F64(SHAPE(1), 4) },
          .attributes = { EXACT }, .out = { F64(SHAPE(1, 1), 3) });
    REFUSED("outputs: running statistics", .op = "BatchNormalization", .opset = 14,
            .in = { x, one, none, mean, variance }, .out = { x, one });
    REFUSED("parameters: 2 numbers for 1 channels", .op = "BatchNormalization", .opset = 14,
            .in = { x, F32(SHAPE(2), 1, 1), none, mean, variance });
}

static void test_layer(void **state)
{
    (void)state;
    struct tensor x = F32(SHAPE(2, 2), 1, 3, 2, 10), ones = F32(SHAPE(2), 1, 1);
    CHECK(.op = "LayerNormalization", .opset = 17,
          .in = { x, F32(SHAPE(2), 1, 10), F32(SHAPE(2), 0, 5) }, .attributes = { EXACT },
          .out = { F32(SHAPE(2, 2), -1, 15, -1, 15), F32(SHAPE(2, 1), 2, 6),
                   F32(SHAPE(2, 1), 1, 0.25f) });
    /* mean 4; squares 9 1 4 36 */
    const float d = sqrtf(12.5f);
    CHECK(.op = "LayerNormalization", .opset = 17, .in = { x, F32(SHAPE(2, 2), 1, 1, 1, 2) },
          .attributes = { EXACT, INT("axis", 0) },
          .out = { F32(SHAPE(2, 2), -3 / d, -1 / d, -2 / d, 12 / d), F32(SHAPE(1, 1), 4),
                   F32(SHAPE(1, 1), 1 / d) });
    /* scales that broadcast: one number, and one for each row of what is normalised together */
    CHECK(.op = "LayerNormalization", .opset = 17, .in = { x, F32(SHAPE(1), 3), F32(SCALAR, 1) },
          .attributes = { EXACT }, .out = { F32(SHAPE(2, 2), -2, 4, -2, 4) });
    CHECK(.op = "LayerNormalization", .opset = 17,
          .in = { x, F32(SHAPE(2, 1), d, 10 * d), F32(SHAPE(1, 2), 0, 1) },
          .attributes = { EXACT, INT("axis", -2) }, .out = { F32(SHAPE(2, 2), -3, 0, -20, 61) });
    CHECK(.op = "LayerNormalization", .opset = 17, .attributes = { EXACT },
          .in = { F64(SHAPE(1, 2), 1, 3), F64(SHAPE(2), 1, 1) },
          .out = { F64(SHAPE(1, 2), -1, 1), F32(SHAPE(1, 1), 2), F32(SHAPE(1, 1), 1) });
    REFUSED("scale or bias: its shape does not broadcast", .op = "LayerNormalization", .opset = 17,
            .in = { x, F32(SHAPE(3), 1, 1, 1) });
    REFUSED("scale or bias: shape 1x2x2: 0 to 2", .op = "LayerNormalization", .opset = 17,
            .in = { x, F32(SHAPE(1, 2, 2), 1, 1, 1, 1) });
    REFUSED("axis: 2 is outside", .op = "LayerNormalization", .opset = 17, .in = { x, ones },
            .attributes = { INT("axis", 2) });
    REFUSED("stash_type", .op = "LayerNormalization", .opset = 17, .in = { x, ones },
            .attributes = { INT("stash_type", 7) });
}

static void test_group(void **state)
{
    (void)state;
    /* channels 1 3, 5 7 | 0 0, 2 2: means 4 and 1, deviations sqrt 5 and 1 */
    struct tensor x = F32(SHAPE(1, 4, 2), 1, 3, 5, 7, 0, 0, 2, 2);
    const float d = sqrtf(5);
    CHECK(.op = "GroupNormalization", .opset = 18,
          .in = { x, F32(SHAPE(2), d, 10), F32(SHAPE(2), 0, 1) },
          .attributes = { EXACT, INT("num_groups", 2) },
          .out = { F32(SHAPE(1, 4, 2), -3, -1, 1, 3, -9, -9, 11, 11) });
    CHECK(.op = "GroupNormalization", .opset = 21,
          .in = { x, F32(SHAPE(4), d, 2 * d, 1, 10), F32(SHAPE(4), 0, 0, 1, 2) },
          .attributes = { EXACT, INT("num_groups", 2) },
          .out = { F32(SHAPE(1, 4, 2), -3, -1, 2, 6, 0, 0, 12, 12) });
    /* a group for each channel is an instance; doubles */
    CHECK(.op = "InstanceNormalization", .attributes = { EXACT },
          .in = { F64(SHAPE(1, 2, 2), 1, 3, 5, 9), F64(SHAPE(2), 1, 2), F64(SHAPE(2), 0, 1) },
          .out = { F64(SHAPE(1, 2, 2), -1, 1, -1, 3) });
    REFUSED("num_groups: 3 for 4 channels", .op = "GroupNormalization", .opset = 21,
            .in = { x, F32(SHAPE(4), 1, 1, 1, 1), F32(SHAPE(4), 0, 0, 0, 0) },
            .attributes = { INT("num_groups", 3) });
    REFUSED("num_groups: 0 for 4", .op = "GroupNormalization", .opset = 21,
            .in = { x, F32(SHAPE(4), 1, 1, 1, 1), F32(SHAPE(4), 0, 0, 0, 0) });
    REFUSED("parameters: 2 numbers for 4 channels", .op = "GroupNormalization", .opset = 21,
            .in = { x, F32(SHAPE(2), 1, 1), F32(SHAPE(2), 0, 0) },
            .attributes = { INT("num_groups", 2) });
}

static void test_mean_variance(void **state)
{
    (void)state;
    /* all of each channel over the batch, as is usual */
    CHECK(.op = "MeanVarianceNormalization", .in = { F32(SHAPE(2, 2, 1, 1), 1, 10, 3, 30) },
          .out = { F32(SHAPE(2, 2, 1, 1), -1, -1, 1, 1) });
    CHECK(.op = "MeanVarianceNormalization", .in = { F32(SHAPE(2, 3), 1, 2, 3, 3, 6, 9) },
          .attributes = { INTS("axes", 0) }, .out = { F32(SHAPE(2, 3), -1, -1, -1, 1, 1, 1) });
    CHECK(.op = "MeanVarianceNormalization", .opset = 9, .in = { F32(SHAPE(2, 2), 1, 3, 9, 5) },
          .attributes = { INTS("axes", -1) }, .out = { F32(SHAPE(2, 2), -1, 1, 1, -1) });
    REFUSED("axes: 3 is outside", .op = "MeanVarianceNormalization",
            .in = { F32(SHAPE(1, 1, 2), 1, 3) });
}

static void test_lp(void **state)
{
    (void)state;
    struct tensor x = F32(SHAPE(2, 2), 3, -4, 0, 0);
    CHECK(.op = "LpNormalization", .in = { x }, .out = { F32(SHAPE(2, 2), 0.6f, -0.8f, 0, 0) });
    CHECK(.op = "LpNormalization", .in = { x }, .attributes = { INT("p", 1), INT("axis", 1) },
          .out = { F32(SHAPE(2, 2), 3 / 7.0f, -4 / 7.0f, 0, 0) });
    CHECK(.op = "LpNormalization", .in = { F32(SHAPE(2, 2), 3, 0, 4, -2) },
          .attributes = { INT("axis", 0) }, .out = { F32(SHAPE(2, 2), 0.6f, 0, 0.8f, -1) });
    REFUSED("p: 3 is neither", .op = "LpNormalization", .in = { x }, .attributes = { INT("p", 3) });
}

static void test_lrn(void **state)
{
    (void)state;
    struct tensor x = F32(SHAPE(1, 4, 1), 1, 2, 3, 4);
    const struct attribute square = FLOAT("beta", 1), alpha = FLOAT("alpha", 3);
    /* each over 1 and the squares of itself and of both beside */
    CHECK(.op = "LRN", .in = { x }, .attributes = { INT("size", 3), square, alpha },
          .out = { F32(SHAPE(1, 4, 1), 1 / 6.0f, 2 / 15.0f, 3 / 30.0f, 4 / 26.0f) });
    /* of an even size one more behind */
    CHECK(.op = "LRN", .in = { x }, .attributes = { INT("size", 2), square, FLOAT("alpha", 2) },
          .out = { F32(SHAPE(1, 4, 1), 1 / 6.0f, 2 / 14.0f, 3 / 26.0f, 4 / 17.0f) });
    /* x / (2 + 0.5 x^2)^0.5 */
    CHECK(.op = "LRN", .in = { F32(SHAPE(1, 1), 2) },
          .attributes = { INT("size", 1), FLOAT("beta", 0.5f), FLOAT("alpha", 0.5f),
                          FLOAT("bias", 2) },
          .out = { F32(SHAPE(1, 1), 1) });
    REFUSED("size: 0 is outside", .op = "LRN", .in = { x });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch), cmocka_unit_test(test_layer),
        cmocka_unit_test(test_group), cmocka_unit_test(test_mean_variance),
        cmocka_unit_test(test_lp),    cmocka_unit_test(test_lrn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
