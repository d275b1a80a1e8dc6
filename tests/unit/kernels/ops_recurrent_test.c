/* RNN, GRU and LSTM against a few lines of NumPy that follow the formulas of the standard, in doubles; each
 * activation against its own formula; and what must be refused. */
#include "op_check.h"

/* 3 steps of 2 pictures with 2 numbers each; 2 units. */
#define STEPS \
    F32(SHAPE(3, 2, 2), 0, -1, 0.75f, -0.25f, -1.25f, 0.5f, -0.5f, 1.25f, 0.25f, -0.75f, 1, 0)
#define LSTM_W                                                                                     \
    F32(SHAPE(1, 8, 2), 1.25f, 0.25f, -0.75f, 1, 0, -1, 0.75f, -0.25f, -1.25f, 0.5f, -0.5f, 1.25f, \
        0.25f, -0.75f, 1, 0)
#define LSTM_R                                                                              \
    F32(SHAPE(1, 8, 2), -0.25f, -1.25f, 0.5f, -0.5f, 1.25f, 0.25f, -0.75f, 1, 0, -1, 0.75f, \
        -0.25f, -1.25f, 0.5f, -0.5f, 1.25f)
#define LSTM_B                                                                                  \
    F32(SHAPE(1, 16), 1, 0, -1, 0.75f, -0.25f, -1.25f, 0.5f, -0.5f, 1.25f, 0.25f, -0.75f, 1, 0, \
        -1, 0.75f, -0.25f)
#define STATE F32(SHAPE(1, 2, 2), -0.5f, 1.25f, 0.25f, -0.75f)
#define CELL F32(SHAPE(1, 2, 2), 0.75f, -0.25f, -1.25f, 0.5f)
#define PEEPHOLES F32(SHAPE(1, 6), -0.75f, 1, 0, -1, 0.75f, -0.25f)
#define GRU_W \
    F32(SHAPE(1, 6, 2), 0.5f, -0.5f, 1.25f, 0.25f, -0.75f, 1, 0, -1, 0.75f, -0.25f, -1.25f, 0.5f)
#define GRU_R \
    F32(SHAPE(1, 6, 2), -1, 0.75f, -0.25f, -1.25f, 0.5f, -0.5f, 1.25f, 0.25f, -0.75f, 1, 0, -1)
#define GRU_B \
    F32(SHAPE(1, 12), 0.25f, -0.75f, 1, 0, -1, 0.75f, -0.25f, -1.25f, 0.5f, -0.5f, 1.25f, 0.25f)
#define RNN_W F32(SHAPE(2, 2, 2), -1.25f, 0.5f, -0.5f, 1.25f, 0.25f, -0.75f, 1, 0)
#define RNN_R F32(SHAPE(2, 2, 2), 0, -1, 0.75f, -0.25f, -1.25f, 0.5f, -0.5f, 1.25f)
#define RNN_B F32(SHAPE(2, 4), 1.25f, 0.25f, -0.75f, 1, 0, -1, 0.75f, -0.25f)

static void test_lstm(void **state)
{
    (void)state;
    CHECK(.op = "LSTM", .in = { STEPS, LSTM_W, LSTM_R },
          .out = { F32(SHAPE(3, 1, 2, 2), 0.198211952f, 0, 0.13923123f, 0.12556521f, 0.0452749547f,
                       -0.141456859f, -0.0310610795f, -0.0529432509f, 0.200104635f, -0.0974660478f,
                       0.0842550422f, 0.119784863f),
                   F32(SHAPE(1, 2, 2), 0.200104635f, -0.0974660478f, 0.0842550422f, 0.119784863f),
                   F32(SHAPE(1, 2, 2), 0.301453121f, -0.179191059f, 0.174770748f, 0.179988634f) });
    CHECK(.op = "LSTM", .in = { STEPS, LSTM_W, LSTM_R, LSTM_B, { 0 }, STATE, CELL, PEEPHOLES },
          .attributes = { INT("hidden_size", 2) },
          .out = { F32(SHAPE(3, 1, 2, 2), 0.145511848f, 0.0974068429f, 0.0933901776f, -0.363463124f,
                       0.0749870032f, -0.538993349f, 0.0154266998f, -0.634633256f, 0.22226078f,
                       -0.199369119f, 0.0955098324f, -0.180935641f),
                   F32(SHAPE(1, 2, 2), 0.22226078f, -0.199369119f, 0.0955098324f, -0.180935641f),
                   F32(SHAPE(1, 2, 2), 1.26239513f, -0.237794198f, 0.923034035f, -0.206882833f) });
    CHECK(.op = "LSTM", .in = { STEPS, LSTM_W, LSTM_R, LSTM_B, { 0 }, STATE, CELL, PEEPHOLES },
          .attributes = { INT("input_forget", 1), FLOAT("clip", 0.5f) },
          .out = { F32(SHAPE(3, 1, 2, 2), 0.204380389f, 0.0117339525f, -0.0687949943f,
                       -0.0525614607f, 0.153840004f, -0.170178347f, 0.0306071521f, -0.192433335f,
                       0.159584173f, -0.208876127f, 0.116278876f, -0.123544782f),
                   F32(SHAPE(1, 2, 2), 0.159584173f, -0.208876127f, 0.116278876f, -0.123544782f),
                   F32(SHAPE(1, 2, 2), 0.450967534f, -0.349087341f, 0.318323608f, -0.201148139f) });
    CHECK(.op = "LSTM", .opset = 7,
          .in = { STEPS, LSTM_W, LSTM_R, LSTM_B, { 0 }, STATE, CELL, PEEPHOLES },
          .attributes = { STRING("direction", "reverse") },
          .out = { F32(SHAPE(3, 1, 2, 2), 0.272211257f, -0.194423133f, 0.122293547f, -0.192029296f,
                       0.0783056867f, -0.538439442f, 0.0158648825f, -0.623489915f, 0.130005713f,
                       0.11308289f, 0.0724288662f, -0.317010248f),
                   F32(SHAPE(1, 2, 2), 0.272211257f, -0.194423133f, 0.122293547f, -0.192029296f),
                   F32(SHAPE(1, 2, 2), 1.33324879f, -0.236475025f, 0.97351933f, -0.222624224f) });
}

/* Behind a sequence's end are zeros, and a backwards one begins at its own end. */
static void test_lengths(void **state)
{
    (void)state;
    CHECK(.op = "LSTM",
          .in = { STEPS, LSTM_W, LSTM_R, LSTM_B, I32(SHAPE(2), 3, 1), STATE, CELL, PEEPHOLES },
          .out = { F32(SHAPE(3, 1, 2, 2), 0.145511848f, 0.0974068429f, 0.0933901776f, -0.363463124f,
                       0.0749870032f, -0.538993349f, 0, 0, 0.22226078f, -0.199369119f, 0, 0),
                   F32(SHAPE(1, 2, 2), 0.22226078f, -0.199369119f, 0.0933901776f, -0.363463124f),
                   F32(SHAPE(1, 2, 2), 1.26239513f, -0.237794198f, 0.500811977f, -0.446141784f) });
    CHECK(.op = "LSTM",
          .in = { STEPS, LSTM_W, LSTM_R, LSTM_B, I32(SHAPE(2), 2, 3), STATE, CELL, PEEPHOLES },
          .attributes = { STRING("direction", "reverse") },
          .out = { F32(SHAPE(3, 1, 2, 2), 0.26731255f, -0.202882863f, 0.122293547f, -0.192029296f,
                       0.0455100186f, -0.145568717f, 0.0158648825f, -0.623489915f, 0, 0,
                       0.0724288662f, -0.317010248f),
                   F32(SHAPE(1, 2, 2), 0.26731255f, -0.202882863f, 0.122293547f, -0.192029296f),
                   F32(SHAPE(1, 2, 2), 1.16213037f, -0.233042936f, 0.97351933f, -0.222624224f) });
    CHECK(.op = "LSTM",
          .in = { STEPS, LSTM_W, LSTM_R, LSTM_B, I32(SHAPE(2), 0, 2), STATE, CELL, PEEPHOLES },
          .out = { F32(SHAPE(3, 1, 2, 2), 0, 0, 0.0933901776f, -0.363463124f, 0, 0, 0.0154266998f,
                       -0.634633256f, 0, 0, 0, 0),
                   F32(SHAPE(1, 2, 2), -0.5f, 1.25f, 0.0154266998f, -0.634633256f),
                   F32(SHAPE(1, 2, 2), 0.75f, -0.25f, 0.32871597f, -0.995436829f) });
}

static void test_gru(void **state)
{
    (void)state;
    CHECK(.op = "GRU", .in = { STEPS, GRU_W, GRU_R },
          .out = {
              F32(SHAPE(3, 1, 2, 2), 0.0924667556f, -0.259791406f, 0.20938395f, -0.231435032f,
                  -0.617920448f, 0.661523216f, -0.505006256f, 0.337127972f, -0.404279929f,
                  -0.250864666f, -0.228168309f, -0.000989277754f),
              F32(SHAPE(1, 2, 2), -0.404279929f, -0.250864666f, -0.228168309f, -0.000989277754f) });
    CHECK(.op = "GRU", .in = { STEPS, GRU_W, GRU_R, GRU_B, { 0 }, STATE },
          .out = { F32(SHAPE(3, 1, 2, 2), -0.327391382f, -0.146433944f, 0.314951097f, -0.170227505f,
                       -0.469380065f, 0.947377483f, -0.409967219f, 0.862519773f, -0.26288858f,
                       -0.082355677f, -0.183338795f, -0.273814991f),
                   F32(SHAPE(1, 2, 2), -0.26288858f, -0.082355677f, -0.183338795f, -0.273814991f) });
    CHECK(.op = "GRU", .opset = 14, .in = { STEPS, GRU_W, GRU_R, GRU_B, { 0 }, STATE },
          .attributes = { INT("linear_before_reset", 1) },
          .out = { F32(SHAPE(3, 1, 2, 2), -0.386941146f, -0.250754102f, 0.0278321002f,
                       -0.241213187f, -0.585850099f, 0.932740434f, -0.46130931f, 0.826760252f,
                       -0.42900568f, -0.171171922f, -0.250890406f, -0.361137126f),
                   F32(SHAPE(1, 2, 2), -0.42900568f, -0.171171922f, -0.250890406f, -0.361137126f) });
}

static void test_both_ways(void **state)
{
    (void)state;
    CHECK(.op = "RNN",
          .in = { STEPS,
                  RNN_W,
                  RNN_R,
                  RNN_B,
                  { 0 },
                  F32(SHAPE(2, 2, 2), -0.25f, -1.25f, 0.5f, -0.5f, 1.25f, 0.25f, -0.75f, 1) },
          .attributes = { STRING("direction", "bidirectional"),
                          STRINGS("activations", "Tanh", "relu") },
          .out = { F32(SHAPE(3, 2, 2, 2), 0.84828364f, 0.124353002f, -0.0624187467f, 0.786618812f,
                       1.421875f, 0, 1.125f, 0, 0.975168451f, 0.995990579f, 0.745781261f,
                       0.992905736f, 0.0625f, 0, 0, 0, -0.8285491f, 0.584900082f, -0.940562711f,
                       0.786088135f, 0, 0, 2.4375f, 1.375f),
                   F32(SHAPE(2, 2, 2), -0.8285491f, 0.584900082f, -0.940562711f, 0.786088135f,
                       1.421875f, 0, 1.125f, 0) });
    CHECK(.op = "RNN", .opset = 14,
          .in = { F32(SHAPE(2, 3, 2), 0, -1, -1.25f, 0.5f, 0.25f, -0.75f, 0.75f, -0.25f, -0.5f,
                      1.25f, 1, 0),
                  RNN_W,
                  RNN_R,
                  RNN_B,
                  { 0 },
                  F32(SHAPE(2, 2, 2), -0.25f, -1.25f, 1.25f, 0.25f, 0.5f, -0.5f, -0.75f, 1) },
          .attributes = { INT("layout", 1), STRING("direction", "bidirectional"),
                          STRINGS("activations", "Tanh", "relu") },
          .out = { F32(SHAPE(2, 3, 2, 2), 0.84828364f, 0.124353002f, 1.421875f, 0, 0.975168451f,
                       0.995990579f, 0.0625f, 0, -0.8285491f, 0.584900082f, 0, 0, -0.0624187467f,
                       0.786618812f, 1.125f, 0, 0.745781261f, 0.992905736f, 0, 0, -0.940562711f,
                       0.786088135f, 2.4375f, 1.375f),
                   F32(SHAPE(2, 2, 2), -0.8285491f, 0.584900082f, 1.421875f, 0, -0.940562711f,
                       0.786088135f, 1.125f, 0) });
}

/* One unit that is given 4 steps as they are. */
static void check_activation(const char *name, const float *expected, size_t numbers)
{
    const float alpha[] = { 0.5f }, beta[] = { 0.25f };
    struct op_case c = {
        .op = "RNN",
        .in = { F32(SHAPE(4, 1, 1), -2, -0.5f, 0.25f, 1.5f), F32(SHAPE(1, 1, 1), 1),
                F32(SHAPE(1, 1, 1), 0) },
        .out = { { .type = TENSOR_F32, .shape = SHAPE(4, 1, 1, 1), .data = (void *)expected },
                 { .type = TENSOR_F32, .shape = SHAPE(1, 1, 1), .data = (void *)(expected + 3) } },
        .attributes = { STRINGS("activations", name) },
    };
    if (numbers > 0)
        c.attributes[1] = (struct attribute){ .name = (char *)"activation_alpha",
                                              .kind = ATTRIBUTE_FLOATS,
                                              .floats = (float *)alpha,
                                              .count = 1 };
    if (numbers > 1)
        c.attributes[2] = (struct attribute){ .name = (char *)"activation_beta",
                                              .kind = ATTRIBUTE_FLOATS,
                                              .floats = (float *)beta,
                                              .count = 1 };
    check_op(&c);
}

static void test_activations(void **state)
{
    (void)state;
    check_activation("Relu", (const float[]){ 0, 0, 0.25f, 1.5f }, 0);
    check_activation("TANH",
                     (const float[]){ -0.96402758f, -0.462117157f, 0.244918662f, 0.905148254f }, 0);
    check_activation("Sigmoid",
                     (const float[]){ 0.119202922f, 0.377540669f, 0.562176501f, 0.817574476f }, 0);
    check_activation("Softsign", (const float[]){ -0.666666667f, -0.333333333f, 0.2f, 0.6f }, 0);
    check_activation("Softplus",
                     (const float[]){ 0.126928011f, 0.474076984f, 0.82593942f, 1.70141328f }, 0);
    check_activation("LeakyRelu", (const float[]){ -1, -0.25f, 0.25f, 1.5f }, 1);
    check_activation("ThresholdedRelu", (const float[]){ 0, 0, 0, 1.5f }, 1);
    check_activation("Elu", (const float[]){ -0.432332358f, -0.19673467f, 0.25f, 1.5f }, 1);
    check_activation("Affine", (const float[]){ -0.75f, 0, 0.375f, 1 }, 2);
    check_activation("ScaledTanh",
                     (const float[]){ -0.231058579f, -0.0621765009f, 0.0312093734f, 0.179178699f },
                     2);
    check_activation("HardSigmoid", (const float[]){ 0, 0, 0.375f, 1 }, 2);
    /* where the lists have nothing for them */
    check_activation("LeakyRelu", (const float[]){ -0.02f, -0.005f, 0.25f, 1.5f }, 0);
    check_activation("ThresholdedRelu", (const float[]){ 0, 0, 0, 1.5f }, 0);
    check_activation("Elu", (const float[]){ -0.864664717f, -0.39346934f, 0.25f, 1.5f }, 0);
    check_activation("HardSigmoid", (const float[]){ 0.1f, 0.4f, 0.55f, 0.8f }, 0);
}

/* Only the last state is wanted: the others are added for the kernel. */
static void test_outputs_left_out(void **state)
{
    (void)state;
    struct error err;
    struct op_case c = { .op = "GRU", .in = { STEPS, GRU_W, GRU_R } };
    const struct tensor *inputs[] = { &c.in[0], &c.in[1], &c.in[2] };
    struct tensor result = { 0 };
    struct graph *graph = case_graph(&c, false);
    int *outputs = graph->nodes[0].outputs;
    graph->nodes[0].outputs = calloc(3, sizeof *outputs);
    assert_non_null(graph->nodes[0].outputs);
    graph->nodes[0].outputs[0] = -1;
    graph->nodes[0].outputs[1] = outputs[0];
    graph->nodes[0].output_count = 2;
    free(outputs);
    assert_int_equal(graph_infer(graph, NULL, &err), 0);
    assert_int_equal(graph_run_reference(graph, inputs, &result, &err), 0);
    const struct tensor expected =
        F32(SHAPE(1, 2, 2), -0.404279929f, -0.250864666f, -0.228168309f, -0.000989277754f);
    compare_tensors("GRU", &result, &expected);
    tensor_free(&result);
    graph_free(&graph);
}

static void test_refusals(void **state)
{
    (void)state;
    REFUSED("X: shape 2: 3 dimensions expected", .op = "RNN",
            .in = { F32(SHAPE(2), 1, 2), RNN_W, RNN_R });
    REFUSED("W: shape 1x8x2; 1x6x2 expected", .op = "GRU", .in = { STEPS, LSTM_W, GRU_R });
    REFUSED("R: shape 1x6x2; 1x8x2 expected", .op = "LSTM", .in = { STEPS, LSTM_W, GRU_R });
    REFUSED("R: shape 1x6x2; 2x6x2 expected", .op = "GRU",
            .in = { STEPS, F32(SHAPE(2, 6, 2), 0), GRU_R },
            .attributes = { STRING("direction", "bidirectional") });
    REFUSED("B: shape 1x16; 1x12 expected", .op = "GRU", .in = { STEPS, GRU_W, GRU_R, LSTM_B });
    REFUSED("sequence_lens: shape 3; 2 expected", .op = "GRU",
            .in = { STEPS, GRU_W, GRU_R, { 0 }, I32(SHAPE(3), 1, 1, 1) });
    REFUSED("sequence_lens: type i64", .op = "GRU",
            .in = { STEPS, GRU_W, GRU_R, { 0 }, I64(SHAPE(2), 1, 1) });
    REFUSED("initial_h: shape 1x1x2; 1x2x2 expected", .op = "GRU",
            .in = { STEPS, GRU_W, GRU_R, { 0 }, { 0 }, F32(SHAPE(1, 1, 2), 0, 0) });
    REFUSED("P: shape 1x4; 1x6 expected", .op = "LSTM",
            .in = { STEPS, LSTM_W, LSTM_R, { 0 }, { 0 }, { 0 }, { 0 }, F32(SHAPE(1, 4), 0, 0, 0, 0) });
    REFUSED("direction: 'up' is not known", .op = "GRU", .in = { STEPS, GRU_W, GRU_R },
            .attributes = { STRING("direction", "up") });
    REFUSED("hidden_size: is 3, but R has 2 columns", .op = "GRU", .in = { STEPS, GRU_W, GRU_R },
            .attributes = { INT("hidden_size", 3) });
    REFUSED("layout: 2; 0 and 1 are known", .op = "GRU", .in = { STEPS, GRU_W, GRU_R },
            .attributes = { INT("layout", 2) });
    REFUSED("activations: 1 names; 2 expected", .op = "GRU", .in = { STEPS, GRU_W, GRU_R },
            .attributes = { STRINGS("activations", "Tanh") });
    REFUSED("activations: 'Sine' is not known", .op = "GRU", .in = { STEPS, GRU_W, GRU_R },
            .attributes = { STRINGS("activations", "Tanh", "Sine") });
    REFUSED("activations: 'Affine' has no alpha or no beta", .op = "GRU",
            .in = { STEPS, GRU_W, GRU_R },
            .attributes = { STRINGS("activations", "Tanh", "Affine") });
}

/* Lengths come with each run. */
static void test_wrong_lengths(void **state)
{
    (void)state;
    for (int32_t length = -1; length < 5; length += 5) {
        struct error err;
        struct op_case c = { .op = "GRU",
                             .in = { STEPS, GRU_W, GRU_R, { 0 }, I32(SHAPE(2), 1, length) } };
        const struct tensor *inputs[] = { &c.in[0], &c.in[1], &c.in[2], &c.in[4] };
        struct tensor result = { 0 };
        struct graph *graph = case_graph(&c, false);
        assert_int_equal(graph_infer(graph, NULL, &err), 0);
        assert_int_equal(graph_run_reference(graph, inputs, &result, &err), -ERROR_FORMAT);
        assert_non_null(strstr(err.text, "of 3 steps"));
        graph_free(&graph);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lstm),        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_gru),         cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_activations), cmocka_unit_test(test_outputs_left_out),
        cmocka_unit_test(test_refusals),    cmocka_unit_test(test_wrong_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
