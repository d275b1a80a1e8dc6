/* op_check: one node with literal inputs, attributes and expected outputs, through shape inference and
 * the reference kernel; and once more with all inputs constant, so that folding is tried as well.
 *
 *     check_op(&(struct op_case){ .op = "Relu", .in = { F32(SHAPE(2), -1, 1) },
 *                                 .out = { F32(SHAPE(2), 0, 1) } });
 */
#ifndef RUNESPOOR_TESTS_OP_CHECK_H
#define RUNESPOOR_TESTS_OP_CHECK_H

#include "graph/reference.h"
#include "ops/op.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define CASE_INPUTS 9
#define CASE_OUTPUTS 4
#define CASE_ATTRIBUTES 8
#define CASE_OPSET 13 /* where a case names none */

struct op_case {
    const char *op;
    int opset;
    struct tensor in[CASE_INPUTS]; /* blank: absent */
    unsigned constants;            /* bit i: input i is a constant already in the first run */
    struct attribute attributes[CASE_ATTRIBUTES];
    struct tensor out[CASE_OUTPUTS];
};

#define COUNT_OF(type, ...) (sizeof((const type[]){ __VA_ARGS__ }) / sizeof(type))
#define SHAPE(...)                                                                        \
    ((struct shape){ .rank = (int)COUNT_OF(int64_t, __VA_ARGS__), .dim = { __VA_ARGS__ } })
#define SCALAR ((struct shape){ .rank = 0 })
#define LITERAL(t, c, s, ...)                                                             \
    { .type = (t), .shape = s, .data = (void *)(const c[]){ __VA_ARGS__ } }
#define F32(s, ...) LITERAL(TENSOR_F32, float, s, __VA_ARGS__)
#define I64(s, ...) LITERAL(TENSOR_I64, int64_t, s, __VA_ARGS__)
#define I32(s, ...) LITERAL(TENSOR_I32, int32_t, s, __VA_ARGS__)
#define U8(s, ...) LITERAL(TENSOR_U8, uint8_t, s, __VA_ARGS__)
#define I8(s, ...) LITERAL(TENSOR_I8, int8_t, s, __VA_ARGS__)
#define BOOLS(s, ...) LITERAL(TENSOR_BOOL, uint8_t, s, __VA_ARGS__)

#define INT(n, v) { .name = (char *)(n), .kind = ATTRIBUTE_INT, .i = (v) }
#define FLOAT(n, v) { .name = (char *)(n), .kind = ATTRIBUTE_FLOAT, .f = (v) }
#define STRING(n, v) { .name = (char *)(n), .kind = ATTRIBUTE_STRING, .s = (char *)(v) }
#define INTS(n, ...)                                                                      \
    { .name = (char *)(n), .kind = ATTRIBUTE_INTS,                                        \
      .ints = (int64_t *)(const int64_t[]){ __VA_ARGS__ },                                \
      .count = COUNT_OF(int64_t, __VA_ARGS__) }
#define FLOATS(n, ...)                                                                    \
    { .name = (char *)(n), .kind = ATTRIBUTE_FLOATS,                                      \
      .floats = (float *)(const float[]){ __VA_ARGS__ },                                  \
      .count = COUNT_OF(float, __VA_ARGS__) }

#define STRINGS(n, ...)                                                                   \
    { .name = (char *)(n), .kind = ATTRIBUTE_STRINGS,                                     \
      .strings = (char **)(const char *const[]){ __VA_ARGS__ },                           \
      .count = sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *) }

/* The case as a graph; all inputs constant when asked. */
static inline struct graph *case_graph(const struct op_case *c, bool all_constant)
{
    struct error err = { 0 };
    struct graph *graph = NULL;
    int inputs[CASE_INPUTS], outputs[CASE_OUTPUTS], input_count = 0, output_count = 0;
    assert_int_equal(graph_create(&graph, &err), 0);
    graph->opset = c->opset ? c->opset : CASE_OPSET;
    for (int i = 0; i < CASE_INPUTS; i++) {
        inputs[i] = -1;
        if (c->in[i].type == TENSOR_NONE)
            continue;
        input_count = i + 1;
        if (all_constant || (c->constants & 1u << i)) {
            struct tensor copy;
            assert_int_equal(tensor_create(&copy, c->in[i].type, &c->in[i].shape, &err), 0);
            memcpy(copy.data, c->in[i].data, tensor_bytes(&copy));
            inputs[i] = graph_add_constant(graph, "constant", &copy, &err);
        } else {
            inputs[i] = graph_add_value(graph, "input", c->in[i].type, &c->in[i].shape, &err);
            assert_true(graph_mark_input(graph, inputs[i], &err) >= 0);
        }
        assert_true(inputs[i] >= 0);
    }
    for (int i = 0; i < CASE_OUTPUTS && (i == 0 || c->out[i].type != TENSOR_NONE); i++) {
        outputs[i] = graph_add_value(graph, "output", TENSOR_NONE, NULL, &err);
        assert_true(graph_mark_output(graph, outputs[i], &err) >= 0);
        output_count = i + 1;
    }
    const struct op *op = op_find(c->op, graph->opset);
    if (!op)
        fail_msg("no op %s in opset %d", c->op, graph->opset);
    int node = graph_add_node(graph, op, "node", inputs, input_count, outputs, output_count, &err);
    assert_true(node >= 0);
    for (int i = 0; i < CASE_ATTRIBUTES && c->attributes[i].name; i++)
        assert_true(graph_add_attribute(graph, node, &c->attributes[i], &err) >= 0);
    return graph;
}

static inline void compare_tensors(const char *what, const struct tensor *got,
                                   const struct tensor *wanted)
{
    char got_shape[128], wanted_shape[128];
    shape_format(&got->shape, got_shape, sizeof got_shape);
    shape_format(&wanted->shape, wanted_shape, sizeof wanted_shape);
    if (got->type != wanted->type || !shape_equal(&got->shape, &wanted->shape))
        fail_msg("%s: %s of %s, expected %s of %s", what, got_shape, tensor_type_word(got->type),
                 wanted_shape, tensor_type_word(wanted->type));
    int64_t count = shape_elements(&wanted->shape);
    if (wanted->type != TENSOR_F32) {
        assert_memory_equal(got->data, wanted->data, tensor_bytes(wanted));
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        double a = (double)((const float *)got->data)[i];
        double b = (double)((const float *)wanted->data)[i];
        if (!(fabs(a - b) <= 1e-5 * fmax(1, fabs(b))) && !(isnan(a) && isnan(b)) && a != b)
            fail_msg("%s: element %lld is %.9g, expected %.9g", what, (long long)i, a, b);
    }
}

static inline void run_case(const struct op_case *c, bool all_constant)
{
    struct error err = { 0 };
    struct graph *graph = case_graph(c, all_constant);
    if (graph_infer(graph, NULL, &err))
        fail_msg("%s: %s", c->op, err.text);
    const struct tensor *inputs[CASE_INPUTS];
    struct tensor outputs[CASE_OUTPUTS] = { { 0 } };
    for (int i = 0, next = 0; i < CASE_INPUTS; i++)
        if (c->in[i].type != TENSOR_NONE && !all_constant && !(c->constants & 1u << i))
            inputs[next++] = &c->in[i];
    if (graph_run_reference(graph, inputs, outputs, &err))
        fail_msg("%s: %s", c->op, err.text);
    for (int i = 0; i < graph->output_count; i++) {
        compare_tensors(c->op, &outputs[i], &c->out[i]);
        tensor_free(&outputs[i]);
    }
    graph_free(&graph);
}

static inline void check_op(const struct op_case *c)
{
    run_case(c, false);
    run_case(c, true);
}

/* Inference must fail, with the op's and node's name and these words in the message. */
static inline void check_refused(const struct op_case *c, const char *words)
{
    struct error err = { 0 };
    struct graph *graph = case_graph(c, false);
    assert_true(graph_infer(graph, NULL, &err) < 0);
    graph_free(&graph);
    char place[64];
    snprintf(place, sizeof place, "%s node 'node'", c->op);
    if (!strstr(err.text, words) || !strstr(err.text, place))
        fail_msg("%s: message \"%s\" lacks \"%s\"", c->op, err.text, words);
}

#define CHECK(...) check_op(&(struct op_case){ __VA_ARGS__ })
#define REFUSED(words, ...) check_refused(&(struct op_case){ __VA_ARGS__ }, words)

#endif
