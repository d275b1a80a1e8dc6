/* depthwise: convolutions of bytes with one filter for each channel. Rows of the input become steps in
 * f32 once, with zeros around them, and stay in the cache while the outputs that see them are summed:
 * weights may be anything between -255 and 255 steps, which no instruction for bytes takes, and the sums
 * are exact all the same. */
#include "cpu/parallel.h"
#include "cpu/quantised.h"
#include "ops/quantise.h"
#include <stdlib.h>
#include <string.h>

#define TAPS_MAX 256                      /* 256 products of 255 and 255 are below 2^24 */
#define ROWS_MAX 16                       /* of taps */
#define PART_SUMS_MIN ((int64_t)32 << 10) /* less is not worth a thread */

struct depthwise_state {
    struct window window;
    struct bytes_source source;
    struct bytes_filter filter; /* without its pointers */
    int64_t line;               /* floats of a row of the input, padding included */
    int64_t held;               /* so many rows are held at a time */
    int parts;
};

enum { IN, WEIGHTS, BIAS, SCALES, SCRATCH, OUT, PLACES };

static bool suits(const struct window *window);
static void describe(const struct build *build, const struct quantised_node *read,
                     const struct window *window, struct depthwise_state *state);
static int place_numbers(struct build *build, const struct quantised_node *read,
                         const struct depthwise_state *state, struct cpu_place **places,
                         struct error *err);
static int run_depthwise(const struct cpu_step *step, struct error *err);
static void depthwise_part(const void *arg, int part, int parts);
static void hold_row(const struct depthwise_state *state, const uint8_t *from, float *to);

int quantised_depthwise(struct build *build, const struct node *node,
                        const struct quantised_node *read, const struct window *window,
                        struct error *err)
{
    const struct value *in = build_info(build, node->inputs[QLINEAR_A]);
    const struct value *out = build_info(build, node->outputs[0]);
    struct cpu_place *places[PLACES];
    if (!suits(window))
        return BUILD_DECLINED;
    struct depthwise_state *state = calloc(1, sizeof *state);
    if (!state)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    describe(build, read, window, state);
    struct layout from = layout_channels_last(read->x_type, &in->shape);
    struct layout to = layout_channels_last(read->y_type, &out->shape);
    struct shape scratch = { .rank = 2, .dim = { state->parts, (state->held + 1) * state->line } };
    struct layout floats = layout_dense(TENSOR_F32, &scratch);
    int rc = build_want(build, node->inputs[QLINEAR_A], &from, &places[IN], err);
    if (!rc)
        rc = place_numbers(build, read, state, places, err);
    if (!rc)
        rc = build_new_place(build, &floats, &places[SCRATCH], err);
    if (!rc)
        rc = build_output(build, node->outputs[0], &to, &places[OUT], err);
    if (rc) {
        free(state);
        return rc;
    }
    int64_t sums = shape_elements(&out->shape) * state->filter.rows * state->filter.columns;
    rc = build_c_step(build, "own:depthwise", run_depthwise, state, places, PLACES, err);
    if (!rc)
        build_set_flop(build, 2 * (uint64_t)sums);
    return rc;
}

static bool suits(const struct window *window)
{
    return window->groups == window->in_channels && window->out_channels == window->in_channels &&
           window->kernel[ROWS] <= ROWS_MAX &&
           window->kernel[ROWS] * window->kernel[COLUMNS] <= TAPS_MAX;
}

static void describe(const struct build *build, const struct quantised_node *read,
                     const struct window *window, struct depthwise_state *state)
{
    int64_t pixel = (window->in_channels + BYTES_LANES - 1) / BYTES_LANES * BYTES_LANES;
    int64_t reach = (window->kernel[COLUMNS] - 1) * window->dilation[COLUMNS] + 1;
    int64_t seen = (window->out[COLUMNS] - 1) * window->stride[COLUMNS] + reach;
    int64_t given = window->pad_begin[COLUMNS] + window->in[COLUMNS];
    int64_t sums = window->batch * window->out[ROWS] * window->out[COLUMNS] * pixel;
    state->window = *window;
    state->source = quantised_source(1, read->x_zero, read->x_type);
    state->line = (seen > given ? seen : given) * pixel;
    state->held = (window->kernel[ROWS] - 1) * window->dilation[ROWS] + 1;
    state->parts = parallel_parts(build->device->threads, sums, PART_SUMS_MIN);
    state->filter = (struct bytes_filter){
        .pixel = pixel,
        .channels = window->in_channels,
        .rows = window->kernel[ROWS],
        .columns = window->kernel[COLUMNS],
        .step = window->stride[COLUMNS],
        .spread = window->dilation[COLUMNS],
        .end = quantised_end(read->y_zero, read->low, read->high, read->y_type),
    };
}

/* Weights tap by tap, biases and scales: all with as many zeros behind as lanes need. */
static int place_numbers(struct build *build, const struct quantised_node *read,
                         const struct depthwise_state *state, struct cpu_place **places,
                         struct error *err)
{
    int64_t pixel = state->filter.pixel, taps = state->filter.rows * state->filter.columns;
    float *numbers = calloc((size_t)((taps + 2) * pixel), sizeof *numbers);
    if (!numbers)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    float *bias = numbers + taps * pixel, *scales = bias + pixel;
    for (int64_t c = 0; c < state->filter.channels; c++) {
        for (int64_t t = 0; t < taps; t++)
            numbers[t * pixel + c] = (float)quantised_weight(read, c * taps + t, c);
        bias[c] = (float)quantised_bias(read, c);
        scales[c] = quantised_factor(read, c);
    }
    int rc = build_constant(build, numbers, taps * pixel, &places[WEIGHTS], err);
    if (!rc)
        rc = build_constant(build, bias, pixel, &places[BIAS], err);
    if (!rc)
        rc = build_constant(build, scales, pixel, &places[SCALES], err);
    free(numbers);
    return rc;
}

static int run_depthwise(const struct cpu_step *step, struct error *err)
{
    (void)err;
    parallel_run(((const struct depthwise_state *)step->state)->parts, depthwise_part, step);
    return 0;
}

/* Rows of the output in order; each row of the input is held from its first reader to its last, at its
 * number modulo `held`. Behind these is a row of zeros for what is above and below. */
static void depthwise_part(const void *arg, int part, int parts)
{
    const struct cpu_step *step = arg;
    const struct depthwise_state *state = step->state;
    const struct window *w = &state->window;
    int64_t first, end, held = -1, image = -1;
    float *scratch = (float *)step->places[SCRATCH]->data + part * (state->held + 1) * state->line;
    float *zeros = scratch + state->held * state->line;
    struct bytes_filter filter = state->filter;
    filter.weights = step->places[WEIGHTS]->data;
    filter.bias = step->places[BIAS]->data;
    filter.scales = step->places[SCALES]->data;
    memset(scratch, 0, (size_t)((state->held + 1) * state->line) * sizeof *scratch);
    parallel_share(w->batch * w->out[ROWS], 1, part, parts, &first, &end);
    for (int64_t at = first; at < end; at++) {
        const float *lines[ROWS_MAX];
        int64_t top = at % w->out[ROWS] * w->stride[ROWS] - w->pad_begin[ROWS];
        int64_t last = top + state->held - 1 < w->in[ROWS] ? top + state->held - 1 : w->in[ROWS] - 1;
        if (at / w->out[ROWS] != image)
            held = -1;
        image = at / w->out[ROWS];
        for (held = held < top - 1 ? top - 1 : held; held < last; held++) {
            int64_t row = image * w->in[ROWS] + held + 1;
            hold_row(state,
                     (const uint8_t *)step->places[IN]->data + row * w->in[COLUMNS] * w->in_channels,
                     scratch + (held + 1) % state->held * state->line);
        }
        for (int64_t r = 0; r < w->kernel[ROWS]; r++) {
            int64_t row = top + r * w->dilation[ROWS];
            bool inside = row >= 0 && row < w->in[ROWS];
            lines[r] = inside ? scratch + row % state->held * state->line : zeros;
        }
        bytes_filter_row(&filter, lines,
                         (uint8_t *)step->places[OUT]->data + at * w->out[COLUMNS] * w->out_channels,
                         w->out[COLUMNS]);
    }
}

static void hold_row(const struct depthwise_state *state, const uint8_t *from, float *to)
{
    const struct window *w = &state->window;
    int64_t channels = w->in_channels, pixel = state->filter.pixel;
    const struct bytes_source *source = &state->source;
    to += w->pad_begin[COLUMNS] * pixel;
    if (channels == pixel) {
        bytes_widen(from, to, w->in[COLUMNS] * channels, source->zero, source->flip);
        return;
    }
    for (int64_t x = 0; x < w->in[COLUMNS]; x++)
        bytes_widen(from + x * channels, to + x * pixel, channels, source->zero, source->flip);
}
