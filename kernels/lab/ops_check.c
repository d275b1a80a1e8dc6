/* ops_check: a case on the device with guard bytes around everything that it reads and writes, for all
 * contents in turn on the same plan, so that each run finds another's leftovers in its memory. What
 * bf16x3 may split is compared with doubles: it is off only some ten times as far as floats are. */
#include "graph/reference.h"
#include "lab.h"
#include "lab/derivative.h"
#include "lab/double.h"
#include "lab/ops.h"
#include "ops/gradient.h"

#define GRADIENT_F32_BOUND 1e-5 /* of COMPARE_NORM */
#define TF32_BOUND 1e-3         /* of COMPARE_LARGEST */
#define BF16X3_BOUND 2e-5       /* of the same, forwards and of gradients */
#define SEED 1
#define OUTPUT_GUARD 0xc3

struct check {
    const struct ops_section *section;
    const struct ops_case *c;
    struct device *device;
    struct ops_result *result;
    unsigned failures;
};

/* What a plan reads and writes, in guarded memory. */
struct borders {
    void *inputs[OPS_INPUTS_MAX], *outputs[OPS_INPUTS_MAX];
};

static void check_forward(struct check *check, bool among, enum precision precision);
static bool has_reference(const struct check *check);
static void note_implementation(const struct plan *plan, struct ops_result *result);
static bool has_split(const struct plan *plan);
static int check_contents(struct check *check, struct graph *graph, struct plan *plan, bool among,
                          enum precision precision, struct error *err);
static int check_content(struct check *check, struct graph *graph, struct plan *plan,
                         const char *name, enum precision precision, unsigned content,
                         struct error *err);
static int run_wide(const struct graph *graph, const struct tensor *inputs, struct tensor *expected,
                    struct error *err);
static int widen(const struct tensor *from, struct tensor *to, struct error *err);
static int bind(struct plan *plan, const struct tensor *inputs, struct borders *borders,
                struct error *err);
static int check_borders(const struct plan *plan, const struct tensor *inputs,
                         const struct borders *borders, struct error *err);
static void unbind(struct borders *borders);
static int compare_output(struct check *check, enum precision precision, int index,
                          const struct tensor *got, const struct tensor *expected, struct error *err);
static void check_gradient(struct check *check, bool among);
static int check_gradient_in_parts(struct check *check, struct graph *graph, struct error *err);
static bool may_split(const struct op *op);
static bool has_images(const struct ops_case *c);
static void complain(struct check *check, const char *what, bool among, const struct error *err);
static double larger(double a, double b);

void ops_check(const struct ops_section *section, const struct ops_case *c, struct device *device,
               struct ops_result *result)
{
    struct check check = { section, c, device, result, 0 };
    const struct op *op = ops_row(c);
    bool left_out = c->reference_only && !has_reference(&check);
    result->cases++;
    result->left_out += left_out;
    for (int among = 0; among < 1 + has_images(c); among++) {
        check_forward(&check, among, PRECISION_F32);
        static const enum precision others[] = { PRECISION_BF16, PRECISION_F16, PRECISION_TF32 };
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            if (device_has(device, others[i]))
                check_forward(&check, among, others[i]);
        result->may_split = device_has(device, PRECISION_BF16X3) && may_split(op);
        if (result->may_split)
            check_forward(&check, among, PRECISION_BF16X3);
        if (op && op->gradient && op->gradient != gradient_none && !c->no_gradient && !left_out)
            check_gradient(&check, among);
    }
    result->failures += check.failures > 0;
}

static void check_forward(struct check *check, bool among, enum precision precision)
{
    struct graph *graph = NULL;
    struct plan *plan = NULL;
    struct error err;
    struct plan_options options = { .precision = precision };
    int rc = ops_build(check->c, among, &graph, &err);
    if (!rc)
        rc = device_compile(check->device, graph, &options, &plan, &err);
    if (!rc && !among && precision == PRECISION_F32)
        note_implementation(plan, check->result);
    if (!rc && !among)
        check->result->split_cases += has_split(plan);
    if (!rc)
        rc = check_contents(check, graph, plan, among, precision, &err);
    if (rc && !(rc == -ERROR_UNSUPPORTED && check->c->reference_only && !has_reference(check)))
        complain(check, precision_word(precision), among, &err);
    plan_free(&plan);
    graph_free(&graph);
}

static bool has_reference(const struct check *check)
{
    struct device_info info;
    device_get_info(check->device, &info);
    return strcmp(info.kind, "cpu") == 0;
}

static void note_implementation(const struct plan *plan, struct ops_result *result)
{
    char how[sizeof result->how];
    ops_implementation(plan, how, sizeof how);
    if (strstr(how, "reference"))
        result->by_reference++;
    else if (!*result->how)
        memcpy(result->how, how, sizeof how);
}

/* bf16x3 has a step for each operand that it splits and that is no constant. */
static bool has_split(const struct plan *plan)
{
    const char *how;
    for (size_t i = 0; (how = plan_step(plan, i)); i++)
        if (strcmp(how, "split") == 0)
            return true;
    return false;
}

static int check_contents(struct check *check, struct graph *graph, struct plan *plan, bool among,
                          enum precision precision, struct error *err)
{
    static const char *const names[OPS_CONTENTS] = {
        "zeros", "denormal numbers", "huge numbers", "large numbers", "infinity",
        "NaN",   "coarse numbers",
    };
    if (precision != PRECISION_F32 && precision != PRECISION_BF16X3)
        return check_content(check, graph, plan, "coarse numbers", precision, OPS_COARSE, err);
    /* What is not finite spreads in the convolution before, and the smallest numbers get lost. */
    unsigned contents = check->section->contents & ~check->c->without &
                        (among ? OPS_ZERO | OPS_HUGE | OPS_LARGE : ~0u);
    int rc = check_content(check, graph, plan, "random numbers", precision, 0, err);
    for (unsigned i = 0; !rc && i < OPS_CONTENTS; i++)
        if (contents & 1u << i)
            rc = check_content(check, graph, plan, names[i], precision, 1u << i, err);
    return rc;
}

static int check_content(struct check *check, struct graph *graph, struct plan *plan,
                         const char *name, enum precision precision, unsigned content,
                         struct error *err)
{
    struct tensor inputs[OPS_INPUTS_MAX] = { 0 }, expected[OPS_INPUTS_MAX] = { 0 };
    const struct tensor *list[OPS_INPUTS_MAX];
    struct borders borders = { 0 };
    struct random_state random;
    random_seed(&random, SEED + content);
    int rc = ops_fill(check->c, graph, content, &random, inputs, err);
    for (int i = 0; i < OPS_INPUTS_MAX; i++)
        list[i] = &inputs[i];
    if (!rc)
        rc = precision == PRECISION_BF16X3 ? run_wide(graph, inputs, expected, err)
                                           : graph_run_reference(graph, list, expected, err);
    if (!rc)
        rc = bind(plan, inputs, &borders, err);
    if (!rc)
        rc = plan_run(plan, err);
    for (int i = 0; !rc && i < graph->output_count; i++)
        rc = compare_output(check, precision, i, plan_output(plan, (size_t)i), &expected[i], err);
    if (!rc)
        rc = check_borders(plan, inputs, &borders, err);
    if (rc)
        error_wrap(err, "%s", name);
    unbind(&borders);
    for (int i = 0; i < OPS_INPUTS_MAX; i++) {
        tensor_free(&inputs[i]);
        tensor_free(&expected[i]);
    }
    return rc;
}

/* The graph, whose inputs are all floats, in doubles. */
static int run_wide(const struct graph *graph, const struct tensor *inputs, struct tensor *expected,
                    struct error *err)
{
    struct graph *wide = NULL;
    struct tensor wide_inputs[OPS_INPUTS_MAX] = { 0 };
    const struct tensor *list[OPS_INPUTS_MAX];
    int rc = graph_clone(&wide, graph, err);
    if (!rc)
        rc = graph_to_double(wide, err);
    for (int i = 0; !rc && i < graph->input_count; i++) {
        rc = widen(&inputs[i], &wide_inputs[i], err);
        list[i] = &wide_inputs[i];
    }
    if (!rc)
        rc = graph_run_reference(wide, list, expected, err);
    for (int i = 0; i < OPS_INPUTS_MAX; i++)
        tensor_free(&wide_inputs[i]);
    graph_free(&wide);
    return rc;
}

static int widen(const struct tensor *from, struct tensor *to, struct error *err)
{
    int rc = tensor_create(to, TENSOR_F64, &from->shape, err);
    for (int64_t i = 0, count = shape_elements(&from->shape); !rc && i < count; i++)
        ((double *)to->data)[i] = (double)((const float *)from->data)[i];
    return rc;
}

static int bind(struct plan *plan, const struct tensor *inputs, struct borders *borders,
                struct error *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < plan_input_count(plan); i++) {
        borders->inputs[i] = lab_take(tensor_bytes(&inputs[i]), 0);
        memcpy(borders->inputs[i], inputs[i].data, tensor_bytes(&inputs[i]));
        rc = plan_bind_input(plan, i, borders->inputs[i], err);
    }
    for (size_t i = 0; !rc && i < plan_output_count(plan); i++) {
        size_t bytes = tensor_bytes(plan_output(plan, i));
        borders->outputs[i] = lab_take(bytes, 0);
        memset(borders->outputs[i], LAB_SCRIBBLE, bytes);
        lab_set_guard(borders->outputs[i], bytes, OUTPUT_GUARD);
        rc = plan_bind_output(plan, i, borders->outputs[i], err);
    }
    return rc;
}

static int check_borders(const struct plan *plan, const struct tensor *inputs,
                         const struct borders *borders, struct error *err)
{
    for (size_t i = 0; i < plan_input_count(plan); i++) {
        size_t bytes = tensor_bytes(&inputs[i]);
        if (!lab_is_guarded(borders->inputs[i], bytes) ||
            memcmp(borders->inputs[i], inputs[i].data, bytes) != 0)
            return error_set(err, ERROR_FORMAT, "input", "%zu is written to", i);
    }
    for (size_t i = 0; i < plan_output_count(plan); i++)
        if (!lab_has_guard(borders->outputs[i], tensor_bytes(plan_output(plan, i)), OUTPUT_GUARD))
            return error_set(err, ERROR_FORMAT, "output", "%zu: bytes around it are written to", i);
    return 0;
}

static void unbind(struct borders *borders)
{
    for (int i = 0; i < OPS_INPUTS_MAX; i++) {
        if (borders->inputs[i])
            lab_give(borders->inputs[i]);
        if (borders->outputs[i])
            lab_give(borders->outputs[i]);
    }
}

static int compare_output(struct check *check, enum precision precision, int index,
                          const struct tensor *got, const struct tensor *expected, struct error *err)
{
    const struct ops_section *section = check->section;
    struct ops_result *result = check->result;
    enum compare how = section->how;
    double bound = section->f32_bound, *worst = &result->f32_error;
    if (precision == PRECISION_BF16 || precision == PRECISION_F16)
        how = COMPARE_LARGEST, bound = section->bf16_bound, worst = &result->bf16_error;
    else if (precision == PRECISION_TF32)
        how = COMPARE_LARGEST, bound = larger(bound, TF32_BOUND), worst = &result->tf32_error;
    else if (precision == PRECISION_BF16X3)
        how = COMPARE_NORM, bound = BF16X3_BOUND, worst = &result->bf16x3_error;
    double error = compare_tensors(got, expected, how);
    *worst = larger(*worst, error);
    if (error <= bound)
        return 0;
    return error_set(err, ERROR_FORMAT, "output", "%d is %.3g off, bound %g", index, error, bound);
}

static void check_gradient(struct check *check, bool among)
{
    struct graph *graph = NULL;
    struct tensor inputs[OPS_INPUTS_MAX] = { 0 };
    const struct tensor *list[OPS_INPUTS_MAX];
    struct random_state random;
    struct error err;
    struct derivative derivative = {
        .inputs = list,
        .random = &random,
        .device = check->device,
        .seeded = check->c->seeded,
        .f32_bound = GRADIENT_F32_BOUND,
        .bf16_bound = check->section->gradient_bf16_bound,
    };
    random_seed(&random, SEED);
    for (int i = 0; i < OPS_INPUTS_MAX; i++)
        list[i] = &inputs[i];
    int rc = ops_build(check->c, among, &graph, &err);
    if (!rc)
        rc = ops_fill(check->c, graph, OPS_COARSE, &random, inputs, &err);
    if (!rc)
        rc = derivative_check(graph, &derivative, &err);
    if (!rc && check->result->may_split)
        rc = check_gradient_in_parts(check, graph, &err);
    struct ops_result *result = check->result;
    if (rc)
        complain(check, "gradient", among, &err);
    else
        result->gradient_cases += derivative.compared > 0;
    result->difference_error = larger(result->difference_error, derivative.difference_error);
    result->gradient_error = larger(result->gradient_error, derivative.f32_error);
    for (int i = 0; i < OPS_INPUTS_MAX; i++)
        tensor_free(&inputs[i]);
    graph_free(&graph);
}

/* graph: what derivative_check leaves, whose outputs are the gradients. */
static int check_gradient_in_parts(struct check *check, struct graph *graph, struct error *err)
{
    struct plan *plan = NULL;
    struct plan_options options = { .precision = PRECISION_BF16X3 };
    int rc = device_compile(check->device, graph, &options, &plan, err);
    if (!rc)
        rc = check_content(check, graph, plan, "bf16x3", PRECISION_BF16X3, 0, err);
    plan_free(&plan);
    return rc;
}

/* The ops for which the device has bf16x3 (cpu/split_steps.h). */
static bool may_split(const struct op *op)
{
    static const char *const names[] = {
        "Conv", "ConvTranspose", "conv_grad_input", "conv_grad_weights", "MatMul", "Gemm"
    };
    for (size_t i = 0; op && i < sizeof names / sizeof *names; i++)
        if (strcmp(op->name, names[i]) == 0)
            return true;
    return false;
}

/* Some input is of four dimensions, so that ops_build may put a convolution before it. */
static bool has_images(const struct ops_case *c)
{
    struct graph *plain = NULL, *among = NULL;
    struct error err;
    bool more = ops_build(c, false, &plain, &err) == 0 && ops_build(c, true, &among, &err) == 0 &&
                among->node_count > plain->node_count;
    graph_free(&plain);
    graph_free(&among);
    return more;
}

static void complain(struct check *check, const char *what, bool among, const struct error *err)
{
    const struct ops_case *c = check->c;
    check->failures++;
    printf("ops: %s (%s) %s%s%s: %s\n", c->op, c->inputs, c->attributes ? c->attributes : "",
           among ? ", among convolutions, " : ", ", what, err->text);
}

static double larger(double a, double b)
{
    return b <= a ? a : b; /* NaN is larger */
}

void ops_implementation(const struct plan *plan, char *text, size_t text_bytes)
{
    size_t used = 0;
    const char *how;
    snprintf(text, text_bytes, "%s", plan_step(plan, 0) ? "" : "none needed");
    for (size_t i = 0; (how = plan_step(plan, i)); i++) {
        if (strstr(text, how))
            continue;
        int wrote = snprintf(text + used, text_bytes - used, "%s%s", used ? " + " : "", how);
        used += (size_t)wrote < text_bytes - used ? (size_t)wrote : text_bytes - used - 1;
    }
}
