/* DFT, STFT, the windows before them and the mel weights behind, by hand-computed numbers. */
#include "op_check.h"

#define F64(s, ...) LITERAL(TENSOR_F64, double, s, __VA_ARGS__)

static void test_dft(void **state)
{
    (void)state;
    struct tensor line = F32(SHAPE(1, 4, 1), 1, 2, 3, 4);
    CHECK(.op = "DFT", .opset = 20, .in = { line },
          .out = { F32(SHAPE(1, 4, 2), 10, 0, -2, 2, -2, 0, -2, -2) });
    CHECK(.op = "DFT", .opset = 17, .in = { line }, .attributes = { INT("onesided", 1) },
          .out = { F32(SHAPE(1, 3, 2), 10, 0, -2, 2, -2, 0) });
    /* and back */
    CHECK(.op = "DFT", .opset = 20, .in = { F32(SHAPE(1, 4, 2), 10, 0, -2, 2, -2, 0, -2, -2) },
          .attributes = { INT("inverse", 1) },
          .out = { F32(SHAPE(1, 4, 2), 1, 0, 2, 0, 3, 0, 4, 0) });
    /* cut to two numbers, or three of which the last is 0 */
    CHECK(.op = "DFT", .opset = 17, .in = { line, I64(SCALAR, 2) }, .constants = 2,
          .out = { F32(SHAPE(1, 2, 2), 3, 0, -1, 0) });
    const float h = sqrtf(0.75f); /* 1 + 2 (cos - i sin) of a third of a turn */
    CHECK(.op = "DFT", .opset = 20, .in = { F32(SHAPE(2, 1), 1, 2), I64(SCALAR, 3), I64(SCALAR, 0) },
          .constants = 6, .out = { F32(SHAPE(3, 2), 3, 0, 0, -2 * h, 0, 2 * h) });
    /* along the first of two axes; complex numbers */
    CHECK(.op = "DFT", .opset = 19, .in = { F32(SHAPE(2, 2, 2), 1, 1, 2, 0, 3, 0, 4, 5) },
          .attributes = { INT("axis", 0) },
          .out = { F32(SHAPE(2, 2, 2), 4, 1, 6, 5, -2, 1, -2, -5) });
    REFUSED("onesided: only the frequencies", .op = "DFT", .opset = 20,
            .in = { F32(SHAPE(1, 1, 2), 1, 2) }, .attributes = { INT("onesided", 1) });
    REFUSED("axis: the last one", .op = "DFT", .opset = 17, .in = { line },
            .attributes = { INT("axis", 2) });
    REFUSED("dft_length: is computed", .op = "DFT", .opset = 17, .in = { line, I64(SCALAR, 2) });
    REFUSED("dft_length: 0 is outside", .op = "DFT", .opset = 17, .in = { line, I64(SCALAR, 0) },
            .constants = 2);
    REFUSED("not 3 parts", .op = "DFT", .opset = 17, .in = { F32(SHAPE(1, 1, 3), 1, 2, 3) });
}

static void test_stft(void **state)
{
    (void)state;
    struct tensor line = F32(SHAPE(1, 5, 1), 1, 2, 3, 4, 6), two = I64(SCALAR, 2);
    /* frames 1 2 | 3 4 */
    CHECK(.op = "STFT", .opset = 17, .in = { line, two, { 0 }, two }, .constants = 10,
          .out = { F32(SHAPE(1, 2, 2, 2), 3, 0, -1, 0, 7, 0, -1, 0) });
    /* frames of three, weighted: 1 0 3 | 3 0 6, all frequencies of a third of a turn */
    const float h = sqrtf(0.75f);
    CHECK(.op = "STFT", .opset = 17, .in = { line, two, F32(SHAPE(3), 1, 0, 1) }, .constants = 2,
          .attributes = { INT("onesided", 0) },
          .out = { F32(SHAPE(1, 2, 3, 2), 4, 0, -0.5f, 3 * h, -0.5f, -3 * h, 9, 0, 0, 6 * h, 0,
                       -6 * h) });
    /* complex */
    CHECK(.op = "STFT", .opset = 17, .attributes = { INT("onesided", 0) }, .constants = 10,
          .in = { F32(SHAPE(1, 2, 2), 1, 1, 2, 3), two, { 0 }, two },
          .out = { F32(SHAPE(1, 1, 2, 2), 3, 4, -1, -2) });
    REFUSED("frame_length: 0 is outside", .op = "STFT", .opset = 17, .in = { line, two },
            .constants = 2);
    REFUSED("frame_length: 6 of a signal of 5", .op = "STFT", .opset = 17, .constants = 10,
            .in = { line, two, { 0 }, I64(SCALAR, 6) });
    REFUSED("window: 3 numbers for frames of 2", .op = "STFT", .opset = 17, .constants = 10,
            .in = { line, two, F32(SHAPE(3), 1, 1, 1), two });
    REFUSED("frame_step: is computed", .op = "STFT", .opset = 17, .constants = 8,
            .in = { line, two, { 0 }, two });
}

static void test_windows(void **state)
{
    (void)state;
    CHECK(.op = "HannWindow", .opset = 17, .in = { I64(SCALAR, 4) }, .constants = 1,
          .out = { F32(SHAPE(4), 0, 0.5f, 1, 0.5f) });
    CHECK(.op = "HannWindow", .opset = 17, .in = { I32(SCALAR, 3) }, .constants = 1,
          .attributes = { INT("periodic", 0), INT("output_datatype", 11) },
          .out = { F64(SHAPE(3), 0.5 - 0.5 * cos(0), 0.5 - 0.5 * cos(6.283185307179586476925 / 2),
                       0.5 - 0.5 * cos(6.283185307179586476925)) });
    CHECK(.op = "HammingWindow", .opset = 17, .in = { I64(SHAPE(1), 2) }, .constants = 1,
          .out = { F32(SHAPE(2), 4 / 46.0f, 1) });
    CHECK(.op = "BlackmanWindow", .opset = 17, .in = { I64(SCALAR, 4) }, .constants = 1,
          .out = { F32(SHAPE(4), 0, 0.34f, 1, 0.34f) });
    CHECK(.op = "BlackmanWindow", .opset = 17, .in = { I64(SCALAR, 1) }, .constants = 1,
          .attributes = { INT("periodic", 0) }, .out = { F32(SHAPE(1), 1) });
    REFUSED("size: is computed", .op = "HannWindow", .opset = 17, .in = { I64(SCALAR, 4) });
    REFUSED("size: one positive number", .op = "HannWindow", .opset = 17, .in = { I64(SCALAR, 0) },
            .constants = 1);
    REFUSED("output_datatype: 8 is no type", .op = "HannWindow", .opset = 17,
            .in = { I64(SCALAR, 4) }, .constants = 1, .attributes = { INT("output_datatype", 8) });
}

/* Edges at 0, 715 and 1431 of 2146 mel are 0, 621 and 1791 Hz, which 17 / 8000 brings to places 0, 1 and 3. */
static void test_mel(void **state)
{
    (void)state;
    struct tensor bins = I64(SCALAR, 1), length = I64(SCALAR, 16), rate = I64(SCALAR, 8000);
    struct tensor low = F32(SCALAR, 0), high = F32(SCALAR, 4000);
    CHECK(.op = "MelWeightMatrix", .opset = 17, .in = { bins, length, rate, low, high },
          .constants = 31, .out = { F32(SHAPE(9, 1), 0, 1, 0.5f, 0, 0, 0, 0, 0, 0) });
    REFUSED("num_mel_bins: is computed", .op = "MelWeightMatrix", .opset = 17,
            .in = { bins, length, rate, low, high });
    REFUSED("the edges are not within", .op = "MelWeightMatrix", .opset = 17, .constants = 31,
            .in = { bins, length, rate, low, F32(SCALAR, 40000) });
    REFUSED("the edges are not within", .op = "MelWeightMatrix", .opset = 17, .constants = 31,
            .in = { bins, length, I64(SCALAR, 0), low, high });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dft),
        cmocka_unit_test(test_stft),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_mel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
