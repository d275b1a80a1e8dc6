/* window: resolves the attributes of everything that slides a kernel over a picture. */
#include "ops/window.h"
#include <assert.h>
#include <string.h>

#define WINDOW_NUMBER_MAX ((int64_t)1 << 20) /* far above any network; keeps products in 64 bits */

enum auto_pad { PAD_EXPLICIT, PAD_SAME_UPPER, PAD_SAME_LOWER, PAD_VALID };

static int begin_window(const struct node *node, const struct shape *input, struct window *window,
                        struct error *err);
static int read_numbers(const struct node *node, const char *name, int spatial, int64_t min,
                        int64_t numbers[WINDOW_SIDES], struct error *err);
static int read_kernel(const struct node *node, int spatial, const struct shape *weights,
                       struct window *window, struct error *err);
static int read_pads(const struct node *node, int spatial, struct window *window,
                     enum auto_pad *auto_pad, struct error *err);
static void resolve_auto_pad(struct window *window, enum auto_pad auto_pad);
static int resolve_output(struct window *window, bool ceil_mode, struct error *err);
static int resolve_transposed(const struct node *node, int spatial, enum auto_pad auto_pad,
                              struct window *window, struct error *err);
static int64_t kernel_reach(const struct window *window, int i);

int window_of_conv(const struct node *node, const struct shape *input, const struct shape *weights,
                   struct window *window, struct error *err)
{
    enum auto_pad auto_pad;
    int rc = begin_window(node, input, window, err);
    if (rc || (rc = read_kernel(node, input->rank - 2, weights, window, err)) ||
        (rc = read_pads(node, input->rank - 2, window, &auto_pad, err)))
        return rc;
    window->out_channels = weights->dim[0];
    if (window->in_channels % window->groups ||
        weights->dim[1] != window->in_channels / window->groups)
        return error_set(
            err, ERROR_FORMAT, "weights", "%lld channels in %lld groups; the input has %lld",
            (long long)weights->dim[1], (long long)window->groups, (long long)window->in_channels);
    if (window->out_channels < 1 || window->out_channels % window->groups)
        return error_set(err, ERROR_FORMAT, "weights", "%lld filters do not divide into %lld groups",
                         (long long)window->out_channels, (long long)window->groups);
    resolve_auto_pad(window, auto_pad);
    return resolve_output(window, false, err);
}

int window_of_conv_transpose(const struct node *node, const struct shape *input,
                             const struct shape *weights, struct window *window, struct error *err)
{
    enum auto_pad auto_pad;
    int rc = begin_window(node, input, window, err);
    if (rc || (rc = read_kernel(node, input->rank - 2, weights, window, err)) ||
        (rc = read_pads(node, input->rank - 2, window, &auto_pad, err)))
        return rc;
    if (weights->dim[0] != window->in_channels || window->in_channels % window->groups)
        return error_set(err, ERROR_FORMAT, "weights",
                         "%lld filters in %lld groups; the input has %lld channels",
                         (long long)weights->dim[0], (long long)window->groups,
                         (long long)window->in_channels);
    if (weights->dim[1] < 1 || weights->dim[1] > WINDOW_NUMBER_MAX)
        return error_set(err, ERROR_FORMAT, "weights", "%lld channels are outside [1, %lld]",
                         (long long)weights->dim[1], (long long)WINDOW_NUMBER_MAX);
    window->out_channels = weights->dim[1] * window->groups;
    return resolve_transposed(node, input->rank - 2, auto_pad, window, err);
}

int window_of_pool(const struct node *node, const struct shape *input, struct window *window,
                   struct error *err)
{
    enum auto_pad auto_pad;
    int rc = begin_window(node, input, window, err);
    if (rc || (rc = read_kernel(node, input->rank - 2, NULL, window, err)) ||
        (rc = read_pads(node, input->rank - 2, window, &auto_pad, err)))
        return rc;
    window->out_channels = window->in_channels;
    resolve_auto_pad(window, auto_pad);
    for (int i = 0; i < WINDOW_SIDES; i++)
        if (window->pad_begin[i] >= kernel_reach(window, i) ||
            window->pad_end[i] >= kernel_reach(window, i))
            return error_set(err, ERROR_FORMAT, "pads",
                             "not smaller than the kernel: a window could lie outside the input");
    return resolve_output(window, node_int(node, "ceil_mode", 0) != 0, err);
}

struct window_reach window_reach_at(const struct window *w, int i, int64_t position)
{
    struct window_reach reach = { .start = position * w->stride[i] - w->pad_begin[i] };
    for (int64_t k = 0; k < w->kernel[i]; k++) {
        int64_t at = reach.start + k * w->dilation[i];
        if (at < 0)
            reach.first = k + 1;
        if (at < w->in[i])
            reach.end = k + 1;
        if (at < w->in[i] + w->pad_end[i])
            reach.counted = k + 1;
    }
    return reach;
}

void window_output(const struct window *window, int rank, struct shape *shape)
{
    assert(rank >= 3 && rank <= WINDOW_RANK_MAX);
    *shape = (struct shape){ .rank = rank, .dim = { window->batch, window->out_channels } };
    for (int i = 0; i < rank - 2; i++)
        shape->dim[2 + i] = window->out[window_side(rank - 2, i)];
}

int64_t window_in_size(const struct window *window)
{
    return window->in[DEPTH] * window->in[ROWS] * window->in[COLUMNS];
}

int64_t window_out_size(const struct window *window)
{
    return window->out[DEPTH] * window->out[ROWS] * window->out[COLUMNS];
}

int64_t window_kernel_size(const struct window *window)
{
    return window->kernel[DEPTH] * window->kernel[ROWS] * window->kernel[COLUMNS];
}

/* What does not depend on the kernel. */
static int begin_window(const struct node *node, const struct shape *input, struct window *window,
                        struct error *err)
{
    if (input->rank < 3 || input->rank > WINDOW_RANK_MAX)
        return error_set(
            err, ERROR_UNSUPPORTED, "input",
            "%d dimensions; 3 to %d (batch, channels, depth, rows, columns) are supported",
            input->rank, WINDOW_RANK_MAX);
    if (shape_elements(input) <= 0)
        return error_set(err, ERROR_FORMAT, "input", "is empty");
    *window = (struct window){
        .batch = input->dim[0],
        .in_channels = input->dim[1],
        .in = { 1, 1, 1 },
        .stride = { 1, 1, 1 },
        .dilation = { 1, 1, 1 },
        .groups = node_int(node, "group", 1),
    };
    if (window->groups < 1 || window->groups > window->in_channels)
        return error_set(err, ERROR_FORMAT, "group", "%lld is outside [1, %lld]",
                         (long long)window->groups, (long long)window->in_channels);
    for (int i = 0; i < input->rank - 2; i++)
        window->in[window_side(input->rank - 2, i)] = input->dim[2 + i];
    int rc = read_numbers(node, "strides", input->rank - 2, 1, window->stride, err);
    return rc ? rc : read_numbers(node, "dilations", input->rank - 2, 1, window->dilation, err);
}

/* A list of one number for each spatial dimension; numbers stay as they are when it is absent. */
static int read_numbers(const struct node *node, const char *name, int spatial, int64_t min,
                        int64_t numbers[WINDOW_SIDES], struct error *err)
{
    const int64_t *ints;
    size_t count = node_ints(node, name, &ints);
    if (count == 0)
        return 0;
    if (count != (size_t)spatial)
        return error_set(err, ERROR_FORMAT, name, "%zu numbers for %d spatial dimensions", count,
                         spatial);
    for (int i = 0; i < spatial; i++) {
        if (ints[i] < min || ints[i] > WINDOW_NUMBER_MAX)
            return error_set(err, ERROR_FORMAT, name, "%lld is outside [%lld, %lld]",
                             (long long)ints[i], (long long)min, (long long)WINDOW_NUMBER_MAX);
        numbers[window_side(spatial, i)] = ints[i];
    }
    return 0;
}

/* The kernel's size is that of the weights; pooling has none (NULL) and must say it. */
static int read_kernel(const struct node *node, int spatial, const struct shape *weights,
                       struct window *window, struct error *err)
{
    int64_t given[WINDOW_SIDES] = { 1, 1, 1 };
    const int64_t *ints;
    bool is_given = node_ints(node, "kernel_shape", &ints) > 0;
    int rc = read_numbers(node, "kernel_shape", spatial, 1, given, err);
    if (rc)
        return rc;
    if (!weights && !is_given)
        return error_set(err, ERROR_FORMAT, "kernel_shape", "is missing");
    if (weights && weights->rank != spatial + 2)
        return error_set(err, ERROR_FORMAT, "weights", "%d dimensions; the input has %d",
                         weights->rank, spatial + 2);
    memcpy(window->kernel, given, sizeof window->kernel);
    for (int i = 0; weights && i < spatial; i++) {
        int side = window_side(spatial, i);
        window->kernel[side] = weights->dim[2 + i];
        if (window->kernel[side] < 1 || window->kernel[side] > WINDOW_NUMBER_MAX)
            return error_set(err, ERROR_FORMAT, "weights", "%lld is outside [1, %lld]",
                             (long long)window->kernel[side], (long long)WINDOW_NUMBER_MAX);
        if (is_given && window->kernel[side] != given[side])
            return error_set(err, ERROR_FORMAT, "kernel_shape",
                             "%lld does not match the weights, which have %lld",
                             (long long)given[side], (long long)window->kernel[side]);
    }
    return 0;
}

static int read_pads(const struct node *node, int spatial, struct window *window,
                     enum auto_pad *auto_pad, struct error *err)
{
    static const char *const words[] = { "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID" };
    const char *word = node_string(node, "auto_pad", words[PAD_EXPLICIT]);
    *auto_pad = PAD_EXPLICIT;
    while (strcmp(words[*auto_pad], word) != 0)
        if (++*auto_pad > PAD_VALID)
            return error_set(err, ERROR_FORMAT, "auto_pad", "unknown word '%.32s'", word);
    const int64_t *pads;
    size_t count = node_ints(node, "pads", &pads);
    if (*auto_pad != PAD_EXPLICIT || count == 0)
        return 0;
    if (count != 2 * (size_t)spatial)
        return error_set(err, ERROR_FORMAT, "pads", "%zu numbers; %d expected", count, 2 * spatial);
    for (int i = 0; i < 2 * spatial; i++) {
        if (pads[i] < 0 || pads[i] > WINDOW_NUMBER_MAX)
            return error_set(err, ERROR_FORMAT, "pads", "%lld is outside [0, %lld]",
                             (long long)pads[i], (long long)WINDOW_NUMBER_MAX);
        if (i < spatial)
            window->pad_begin[window_side(spatial, i)] = pads[i];
        else
            window->pad_end[window_side(spatial, i - spatial)] = pads[i];
    }
    return 0;
}

static void resolve_auto_pad(struct window *window, enum auto_pad auto_pad)
{
    if (auto_pad != PAD_SAME_UPPER && auto_pad != PAD_SAME_LOWER)
        return;
    for (int i = 0; i < WINDOW_SIDES; i++) {
        int64_t out = (window->in[i] + window->stride[i] - 1) / window->stride[i];
        int64_t total = (out - 1) * window->stride[i] + kernel_reach(window, i) - window->in[i];
        if (total < 0)
            total = 0;
        int64_t less = total / 2, more = total - less;
        window->pad_begin[i] = auto_pad == PAD_SAME_UPPER ? less : more;
        window->pad_end[i] = auto_pad == PAD_SAME_UPPER ? more : less;
    }
}

static int resolve_output(struct window *window, bool ceil_mode, struct error *err)
{
    for (int i = 0; i < WINDOW_SIDES; i++) {
        int64_t room =
            window->in[i] + window->pad_begin[i] + window->pad_end[i] - kernel_reach(window, i);
        if (room < 0)
            return error_set(err, ERROR_FORMAT, "kernel_shape",
                             "the kernel is larger than the padded input");
        window->out[i] = room / window->stride[i] + 1;
        /* One more window, unless it would start in the padding behind the input. */
        if (ceil_mode && room % window->stride[i] &&
            window->out[i] * window->stride[i] < window->in[i] + window->pad_begin[i])
            window->out[i]++;
    }
    return 0;
}

static int resolve_transposed(const struct node *node, int spatial, enum auto_pad auto_pad,
                              struct window *window, struct error *err)
{
    int64_t extra[WINDOW_SIDES] = { 0, 0, 0 }, wanted[WINDOW_SIDES] = { 1, 1, 1 };
    const int64_t *ints;
    int rc = read_numbers(node, "output_padding", spatial, 0, extra, err);
    if (rc || (rc = read_numbers(node, "output_shape", spatial, 1, wanted, err)))
        return rc;
    bool same = auto_pad == PAD_SAME_UPPER || auto_pad == PAD_SAME_LOWER;
    bool given = node_ints(node, "output_shape", &ints) > 0;
    for (int i = 0; i < WINDOW_SIDES; i++) {
        int64_t full = window->stride[i] * (window->in[i] - 1) + extra[i] + kernel_reach(window, i);
        if (!given && !same) {
            window->out[i] = full - window->pad_begin[i] - window->pad_end[i];
        } else {
            window->out[i] = given ? wanted[i] : window->in[i] * window->stride[i];
            int64_t total = full > window->out[i] ? full - window->out[i] : 0;
            int64_t less = total / 2, more = total - less;
            window->pad_begin[i] = auto_pad == PAD_SAME_UPPER ? less : more;
            window->pad_end[i] = auto_pad == PAD_SAME_UPPER ? more : less;
        }
        if (window->out[i] < 1)
            return error_set(err, ERROR_FORMAT, "pads", "nothing is left of the output");
    }
    return 0;
}

/* How many input elements a kernel spans, holes included. */
static int64_t kernel_reach(const struct window *window, int i)
{
    return (window->kernel[i] - 1) * window->dilation[i] + 1;
}
