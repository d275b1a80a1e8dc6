/* models_expected: what ONNX Runtime (CPU, graph optimisation off) gives for each model of the
 * test data when input element i is ((i * 1103515245 + 12345) mod 2^31) / 2^31; a second input is all
 * zeros. From the models' own text files. */
#ifndef RUNESPOOR_TESTS_MODELS_EXPECTED_H
#define RUNESPOOR_TESTS_MODELS_EXPECTED_H

#include "tensor/tensor.h"
#include <string.h>

struct expected_output {
    const char *file, *output; /* below TEST_DATA; the value's name */
    struct shape shape;
    double mean, min, max;
    double first[4];
    int64_t middle; /* index of the next three */
    double at_middle[3];
};

static const struct expected_output expected_outputs[] = {
    { "models/espcn_x3.onnx", "output", { 4, { 1, 1, 672, 672 } }, 0.5253186, -0.3414868, 1.415866,
      { 0.04770635, 0.08508395, 0.2123599, 0.4076781 }, 225792, { 0.9040349, 0.8574921, 0.6026249 } },
    { "models/fastestdet.onnx", "758", { 4, { 1, 85, 22, 22 } }, 0.03340225, -2.706331, 8.483093,
      { 0.009380192, 0.009919435, 0.008261144, 0.01051944 }, 20570, { 0.004951230, 0.009189217, 0.01018439 } },
    { "models/fsrcnn_x2.onnx", "NCHW_output:0", { 4, { 1, 1, 96, 128 } }, 0.4904232, 0.03410822, 0.9987904,
      { 0.03410822, 0.05638237, 0.3019420, 0.3182957 }, 6144, { 0.2624168, 0.4237952, 0.7716341 } },
    { "models/lstr_lane.onnx", "pred_logits", { 3, { 1, 7, 2 } }, 0.4707452, -1.144127, 2.814878,
      { 2.814878, -1.066520, 1.364006, -1.144127 }, 7, { -0.5292749, 0.5813301, 0.5705473 } },
    { "models/lstr_lane.onnx", "pred_curves", { 3, { 1, 7, 8 } }, 0.09268935, -3.244031, 1.480857,
      { 0.2264969, 0.9516958, 0.002120268, 0.1085659 }, 28, { -0.005399872, 0.2294574, 0.7517108 } },
    { "models/lstr_lane.onnx", "foo_out_1", { 3, { 1, 7, 2 } }, 0.4821071, -1.381254, 2.813967,
      { 2.813967, -0.9986776, 1.723745, -1.381254 }, 7, { -1.264291, 0.8177679, 0.4310862 } },
    { "models/lstr_lane.onnx", "foo_out_2", { 3, { 1, 7, 8 } }, 0.1093647, -2.840346, 1.436281,
      { 0.2228913, 0.9526461, 0.002659219, 0.1081928 }, 28, { -0.007549305, 0.2322483, 0.6792580 } },
    { "models/lstr_lane.onnx", "weights", { 3, { 1, 240, 240 } }, 0.004166667, 0.0001627607, 0.05839589,
      { 0.0007780350, 0.001510722, 0.001195894, 0.001362586 }, 28800, { 0.0008519640, 0.001273821, 0.001151984 } },
    { "models/mobilenetv2_qdq.onnx", "output", { 2, { 1, 1000 } }, -0.001358542, -6.113438, 9.238084,
      { -2.988792, -0.5434167, -1.358542, -0.5434167 }, 500, { -3.124646, 2.988792, -0.4075625 } },
    { "models/twinlitenet.onnx", "da", { 4, { 1, 2, 360, 640 } }, -0.6901558, -5.533154, 2.263007,
      { 2.200035, 2.189680, 2.203466, 2.192608 }, 230400, { -5.403363, -5.373157, -5.410166 } },
    { "models/twinlitenet.onnx", "ll", { 4, { 1, 2, 360, 640 } }, -3.037821, -9.125645, 2.609165,
      { 1.956303, 1.985392, 2.062966, 2.043540 }, 230400, { -7.648635, -7.638856, -7.990254 } },
    { "models/ultraface_rfb320.onnx", "scores", { 3, { 1, 4420, 2 } }, 0.5000000, 0.0008851949, 0.9991148,
      { 0.9316337, 0.06836626, 0.9377568, 0.06224323 }, 4420, { 0.9441728, 0.05582724, 0.9423511 } },
    { "models/ultraface_rfb320.onnx", "boxes", { 3, { 1, 4420, 4 } }, 0.5001403, -0.2562574, 1.241979,
      { 0.007521240, 0.01131385, 0.02029257, 0.03020387 }, 8840, { 0.3748443, 0.5756887, 0.4436862 } },
    { "models/yolox_nano.onnx", "output", { 3, { 1, 3549, 85 } }, 0.05130552, -2.635719, 3.549804,
      { 0.5539117, 1.572647, 0.3633754, 0.9878027 }, 150832, { 0.0001053512, 0.000001013279, 0.0001732707 } },
    { "own/street_det_512x384.onnx", "output", { 3, { 1, 4032, 11 } }, 0.2529814, -1.825792, 2.315080,
      { 0.4170140, 0.9012453, 0.3811379, 0.5312142 }, 22176, { -0.3393382, -0.2386561, 1.244741 } },
};

/* What the numbers of a quantised output may be off, and their mean; 0 for others. One rounding that
 * goes the other way early on is many at the end: ONNX Runtime with its optimisations is 7 steps from
 * itself without on this input, at the worst of the 1000 outputs (17 on photographs). */
static inline double expected_slack(const char *file, bool mean)
{
    const double step = 0.13585416972637177;
    return strstr(file, "mobilenetv2_qdq") ? (mean ? 0.1 : 8) * step : 0;
}

/* Fills an f32 input. */
static inline void fill_expected_input(float *data, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        data[i] = (float)((double)(((uint64_t)i * 1103515245u + 12345u) & 0x7fffffffu) / 2147483648.0);
}

#endif
