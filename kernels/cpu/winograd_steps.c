/* winograd_steps: the places that a step reads, in a fixed order, with the transformed weights and the
 * scratch memory behind them. Weights that are constant are transformed when the plan is made. */
#include "cpu/winograd_steps.h"
#include <stdlib.h>

#define KERNEL 3
#define CHANNELS_LIMIT 1024 /* of one side; winograd.c has that many zeros */

enum { RUN_IN, RUN_WEIGHTS, RUN_OUT, RUN_SCRATCH, RUN_OPTIONAL };
enum { GRADIENT_IN, GRADIENT_OUT, GRADIENT_WEIGHTS, GRADIENT_SCRATCH, GRADIENT_BIAS };

struct run_state {
    struct winograd w;
    bool turned, relu;
    int bias, added; /* indices of places, -1: none */
};

static int add_transform(struct build *build, const struct winograd *w, struct cpu_place *weights,
                         bool turned, struct cpu_place **transformed, struct error *err);
static int run_transform(const struct cpu_step *step, struct error *err);
static int run_forward(const struct cpu_step *step, struct error *err);
static int run_gradient(const struct cpu_step *step, struct error *err);
static struct run_state *new_state(const struct winograd *w, struct error *err);
static int add_bytes(struct build *build, size_t bytes, struct cpu_place **place, struct error *err);
static uint64_t count_flop(const struct winograd *w);

bool winograd_suits(const struct build *build, const struct window *window, struct winograd *w)
{
    if (build->arithmetic != TENSOR_BF16 || !winograd_available() ||
        (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_amx) == dnnl_cpu_isa_avx512_core_amx)
        return false;
    for (int d = 0; d < 2; d++)
        if (window->kernel[d] != KERNEL || window->stride[d] != 1 || window->dilation[d] != 1 ||
            window->pad_begin[d] < 0 || window->pad_begin[d] >= KERNEL ||
            window->out[d] > window->in[d] + KERNEL - 1) /* padded by KERNEL - 1 on both sides */
            return false;
    if (window->groups != 1 || window->in_channels % WINOGRAD_CHANNELS ||
        window->out_channels % WINOGRAD_CHANNELS || window->in_channels > CHANNELS_LIMIT ||
        window->out_channels > CHANNELS_LIMIT)
        return false;
    *w = (struct winograd){
        .batch = window->batch,
        .rows = window->in[ROWS],
        .columns = window->in[COLUMNS],
        .in = window->in_channels,
        .out = window->out_channels,
        .out_rows = window->out[ROWS],
        .out_columns = window->out[COLUMNS],
        .pad_rows = window->pad_begin[ROWS],
        .pad_columns = window->pad_begin[COLUMNS],
        .threads = build->device->threads,
    };
    return true;
}

struct winograd winograd_turned(const struct winograd *w)
{
    return (struct winograd){
        .batch = w->batch,
        .rows = w->out_rows,
        .columns = w->out_columns,
        .in = w->out,
        .out = w->in,
        .out_rows = w->rows,
        .out_columns = w->columns,
        .pad_rows = KERNEL - 1 - w->pad_rows,
        .pad_columns = KERNEL - 1 - w->pad_columns,
        .threads = w->threads,
    };
}

int winograd_add_step(struct build *build, const struct winograd *w, struct cpu_place *in,
                      struct cpu_place *weights, bool turned, struct cpu_place *bias,
                      struct cpu_place *added, bool relu, struct cpu_place *out, struct error *err)
{
    struct cpu_place *places[RUN_OPTIONAL + 2] = { [RUN_IN] = in, [RUN_OUT] = out };
    int count = RUN_OPTIONAL;
    int rc = add_transform(build, w, weights, turned, &places[RUN_WEIGHTS], err);
    if (!rc)
        rc = add_bytes(build, winograd_scratch_bytes(w), &places[RUN_SCRATCH], err);
    struct run_state *state = rc ? NULL : new_state(w, err);
    if (!state)
        return rc ? rc : -ERROR_MEMORY;
    state->relu = relu;
    state->bias = bias ? count : -1;
    if (bias)
        places[count++] = bias;
    state->added = added ? count : -1;
    if (added)
        places[count++] = added;
    rc = build_c_step(build, "own:winograd", run_forward, state, places, count, err);
    if (!rc)
        build_set_flop(build, count_flop(w));
    return rc;
}

int winograd_add_gradient_step(struct build *build, const struct winograd *w, struct cpu_place *in,
                               struct cpu_place *out_gradient, struct cpu_place *weights_gradient,
                               struct cpu_place *bias_gradient, struct error *err)
{
    struct cpu_place *places[] = { in, out_gradient, weights_gradient, NULL, bias_gradient };
    int rc = add_bytes(build, winograd_gradient_scratch_bytes(w), &places[GRADIENT_SCRATCH], err);
    struct run_state *state = rc ? NULL : new_state(w, err);
    if (!state)
        return rc ? rc : -ERROR_MEMORY;
    state->bias = bias_gradient ? GRADIENT_BIAS : -1;
    rc = build_c_step(build, "own:winograd", run_gradient, state, places,
                      bias_gradient ? GRADIENT_BIAS + 1 : GRADIENT_BIAS, err);
    if (!rc)
        build_set_flop(build, count_flop(w));
    return rc;
}

/* ---- steps ---- */

static int run_forward(const struct cpu_step *step, struct error *err)
{
    const struct run_state *state = step->state;
    (void)err;
    winograd_run(&state->w, step->places[RUN_IN]->data, step->places[RUN_WEIGHTS]->data,
                 state->bias < 0 ? NULL : step->places[state->bias]->data,
                 state->added < 0 ? NULL : step->places[state->added]->data, state->relu,
                 step->places[RUN_OUT]->data, step->places[RUN_SCRATCH]->data);
    return 0;
}

static int run_gradient(const struct cpu_step *step, struct error *err)
{
    const struct run_state *state = step->state;
    (void)err;
    winograd_weight_gradient(&state->w, step->places[GRADIENT_IN]->data,
                             step->places[GRADIENT_OUT]->data, step->places[GRADIENT_WEIGHTS]->data,
                             state->bias < 0 ? NULL : step->places[GRADIENT_BIAS]->data,
                             step->places[GRADIENT_SCRATCH]->data);
    return 0;
}

static int run_transform(const struct cpu_step *step, struct error *err)
{
    const struct run_state *state = step->state;
    (void)err;
    winograd_transform_weights(&state->w, step->places[0]->data, state->turned,
                               step->places[1]->data);
    return 0;
}

static int add_transform(struct build *build, const struct winograd *w, struct cpu_place *weights,
                         bool turned, struct cpu_place **transformed, struct error *err)
{
    size_t bytes = winograd_weights_bytes(w);
    const float *constant = build_constant_data(build, weights);
    if (constant) {
        float *made = cpu_allocate(bytes);
        if (!made)
            return error_set(err, ERROR_MEMORY, "cpu", "no room for %zu bytes of weights", bytes);
        winograd_transform_weights(w, constant, turned, made);
        int rc = build_constant(build, made, (int64_t)(bytes / sizeof *made), transformed, err);
        free(made);
        return rc;
    }
    int rc = add_bytes(build, bytes, transformed, err);
    struct run_state *state = rc ? NULL : new_state(w, err);
    if (!state)
        return rc ? rc : -ERROR_MEMORY;
    state->turned = turned;
    struct cpu_place *places[] = { weights, *transformed };
    return build_c_step(build, "own:winograd weights", run_transform, state, places, 2, err);
}

static struct run_state *new_state(const struct winograd *w, struct error *err)
{
    struct run_state *state = calloc(1, sizeof *state);
    if (state)
        state->w = *w;
    else
        error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    return state;
}

static int add_bytes(struct build *build, size_t bytes, struct cpu_place **place, struct error *err)
{
    dnnl_memory_desc_t md;
    dnnl_dims_t dims = { (dnnl_dim_t)bytes };
    dnnl_memory_desc_init_by_tag(&md, 1, dims, dnnl_u8, dnnl_a);
    return build_new_opaque(build, &md, place, err);
}

/* As everywhere, what the convolution is worth, not what this way of doing it takes. */
static uint64_t count_flop(const struct winograd *w)
{
    return 2 * (uint64_t)(w->batch * w->out_rows * w->out_columns * w->in * w->out * KERNEL * KERNEL);
}
