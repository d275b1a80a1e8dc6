/* unfold: the windows of a convolution of bytes as the rows of a matrix, with the zero point where they are
 * padded. */
#include "cpu/parallel.h"
#include "cpu/quantised.h"
#include "ops/quantise.h"
#include <stdlib.h>
#include <string.h>

#define PART_BYTES_MIN ((int64_t)16 << 10) /* less is not worth a thread */

struct unfold_state {
    struct window window;
    uint8_t zero;
    int parts;
};

static int run_unfold(const struct cpu_step *step, struct error *err);
static void unfold_part(const void *arg, int part, int parts);

int quantised_unfold(struct build *build, const struct node *node, const struct quantised_node *read,
                     const struct window *w, struct cpu_place **in, struct error *err)
{
    struct layout image =
        layout_channels_last(read->x_type, &build_info(build, node->inputs[QLINEAR_A])->shape);
    int64_t rows = w->batch * w->out[ROWS] * w->out[COLUMNS];
    int64_t depth = w->kernel[ROWS] * w->kernel[COLUMNS] * w->in_channels;
    struct layout wide = layout_dense(read->x_type, &(struct shape){ 2, { rows, depth } });
    int rc = build_want(build, node->inputs[QLINEAR_A], &image, in, err);
    if (rc)
        return rc;
    bool as_it_is = w->kernel[ROWS] * w->kernel[COLUMNS] == 1 && w->in[ROWS] == w->out[ROWS] &&
                    w->in[COLUMNS] == w->out[COLUMNS];
    if (as_it_is)
        return build_alias(build, *in, 0, &wide, in, err);
    struct unfold_state *state = calloc(1, sizeof *state);
    if (!state)
        return error_set(err, ERROR_MEMORY, "cpu", "no memory left");
    state->window = *w;
    state->zero = (uint8_t)read->x_zero;
    state->parts = parallel_parts(build->device->threads, rows * depth, PART_BYTES_MIN);
    struct cpu_place *places[] = { *in, NULL };
    rc = build_new_place(build, &wide, &places[1], err);
    if (rc) {
        free(state);
        return rc;
    }
    *in = places[1];
    return build_c_step(build, "own:unfold", run_unfold, state, places, 2, err);
}

static int run_unfold(const struct cpu_step *step, struct error *err)
{
    (void)err;
    parallel_run(((const struct unfold_state *)step->state)->parts, unfold_part, step);
    return 0;
}

/* What one row of taps sees of a row of the input (NULL outside of it), from pixel `first` on. */
static uint8_t *unfold_taps(const struct unfold_state *state, const uint8_t *line, int64_t first,
                            uint8_t *to)
{
    const struct window *w = &state->window;
    size_t pixel = (size_t)w->in_channels;
    bool inside = line && first >= 0 && first + w->kernel[COLUMNS] <= w->in[COLUMNS];
    if (inside && w->dilation[COLUMNS] == 1) {
        memcpy(to, line + (size_t)first * pixel, (size_t)w->kernel[COLUMNS] * pixel);
        return to + (size_t)w->kernel[COLUMNS] * pixel;
    }
    for (int64_t t = 0; t < w->kernel[COLUMNS]; t++, to += pixel) {
        int64_t column = first + t * w->dilation[COLUMNS];
        if (line && column >= 0 && column < w->in[COLUMNS])
            memcpy(to, line + (size_t)column * pixel, pixel);
        else
            memset(to, state->zero, pixel);
    }
    return to;
}

static void unfold_part(const void *arg, int part, int parts)
{
    const struct cpu_step *step = arg;
    const struct unfold_state *state = step->state;
    const struct window *w = &state->window;
    int64_t depth = w->kernel[ROWS] * w->kernel[COLUMNS] * w->in_channels, first, end;
    parallel_share(w->batch * w->out[ROWS], 1, part, parts, &first, &end);
    uint8_t *to = (uint8_t *)step->places[1]->data + first * w->out[COLUMNS] * depth;
    for (int64_t at = first; at < end; at++) {
        const uint8_t *image = (const uint8_t *)step->places[0]->data +
                               at / w->out[ROWS] * w->in[ROWS] * w->in[COLUMNS] * w->in_channels;
        int64_t top = at % w->out[ROWS] * w->stride[ROWS] - w->pad_begin[ROWS];
        for (int64_t x = 0; x < w->out[COLUMNS]; x++)
            for (int64_t r = 0; r < w->kernel[ROWS]; r++) {
                int64_t row = top + r * w->dilation[ROWS];
                bool inside = row >= 0 && row < w->in[ROWS];
                to = unfold_taps(state, inside ? image + row * w->in[COLUMNS] * w->in_channels : NULL,
                                 x * w->stride[COLUMNS] - w->pad_begin[COLUMNS], to);
            }
    }
}
