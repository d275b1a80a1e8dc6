/* plot: everything is drawn into a text first, so that there is one place where writing can fail.
 * Colours are told apart by colour-blind people too, and series also differ in marks and dashes. */
#include "evaluate/plot.h"
#include "base/file.h"
#include "evaluate/plot_axis.h"
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define AREA_LEFT 70.0
#define AREA_TOP 46.0
#define AREA_WIDTH 620.0
#define AREA_HEIGHT 420.0
#define BOTTOM_HEIGHT 56.0
#define LEGEND_GAP 20.0
#define LEGEND_LINE_HEIGHT 18.0
#define LETTER_WIDTH 7.0 /* about, of 12 px sans-serif */
#define LEGEND_LETTERS_MAX 60u

static const char *const colours[] = { "#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                       "#b8860b", "#56b4e9", "#000000", "#7f7f7f" };
static const char *const dashes[] = { "", " stroke-dasharray=\"7 3\"", " stroke-dasharray=\"2 3\"" };
#define COLOUR_COUNT (sizeof colours / sizeof *colours)
#define DASH_COUNT (sizeof dashes / sizeof *dashes)

static int measure(const struct plot *plot, struct axis *x, struct axis *y, struct error *err);
static void draw_plot(struct text *svg, const struct plot *plot, const struct axis *x,
                      const struct axis *y);

static int make_svg(const struct plot *plot, struct text *svg, struct error *err)
{
    struct axis x, y;
    int rc = measure(plot, &x, &y, err);
    if (rc < 0)
        return rc;
    draw_plot(svg, plot, &x, &y);
    return svg->failed ? error_set(err, ERROR_MEMORY, "plot", "no room for its text") : 0;
}

int plot_write(const struct plot *plot, FILE *file, struct error *err)
{
    struct text svg = { 0 };
    int rc = make_svg(plot, &svg, err);
    if (rc == 0 && (fwrite(svg.data, 1, svg.size, file) != svg.size || fflush(file) != 0))
        rc = error_set_errno(err, errno, "plot", "cannot write %zu bytes", svg.size);
    text_finish(&svg);
    return rc;
}

int plot_save(const struct plot *plot, const char *path, struct error *err)
{
    struct text svg = { 0 };
    int rc = make_svg(plot, &svg, err);
    if (rc == 0)
        rc = file_write_text(path, &svg, err);
    text_finish(&svg);
    return rc;
}

/* Also counts what there is to draw. */
static int measure(const struct plot *plot, struct axis *x, struct axis *y, struct error *err)
{
    size_t drawn = 0, given = 0;
    assert(plot->title && plot->x_label && plot->y_label);
    *x = (struct axis){ INFINITY, -INFINITY, plot->x_log };
    *y = (struct axis){ INFINITY, -INFINITY, false };
    if (plot->series_count > PLOT_SERIES_MAX)
        return error_set(err, ERROR_LIMIT, "plot", "%zu series; %u can be told apart",
                         plot->series_count, PLOT_SERIES_MAX);
    for (size_t s = 0; s < plot->series_count; s++) {
        const struct plot_series *series = &plot->series[s];
        if (series->count > PLOT_POINTS_MAX - given)
            return error_set(err, ERROR_LIMIT, "plot", "more than %u points", PLOT_POINTS_MAX);
        given += series->count;
        for (size_t i = 0; i < series->count; i++) {
            if (!isfinite(series->x[i]) || !isfinite(series->y[i]))
                continue;
            if (plot->x_log && series->x[i] <= 0)
                return error_set(err, ERROR_FORMAT, "plot",
                                 "%s: x is %g on a logarithmic axis, at point %zu", series->name,
                                 series->x[i], i);
            x->low = fmin(x->low, series->x[i]);
            x->high = fmax(x->high, series->x[i]);
            y->low = fmin(y->low, series->y[i]);
            y->high = fmax(y->high, series->y[i]);
            drawn++;
        }
    }
    if (drawn == 0)
        return error_set(err, ERROR_UNSUPPORTED, "plot", "there is no point to draw");
    axis_widen(x);
    axis_widen(y);
    if (!isfinite(x->high - x->low) || !isfinite(y->high - y->low))
        return error_set(err, ERROR_LIMIT, "plot", "values lie further apart than a number can say");
    axis_round(y);
    return 0;
}

static double place_x(const struct axis *axis, double value)
{
    return AREA_LEFT + AREA_WIDTH * axis_share(axis, value);
}

static double place_y(const struct axis *axis, double value)
{
    return AREA_TOP + AREA_HEIGHT * (1 - axis_share(axis, value));
}

/* Drawing */

/* What XML cannot hold is replaced by U+FFFD. At most letters_max characters, then an ellipsis. */
static void add_escaped(struct text *svg, const char *str, size_t letters_max)
{
    size_t size = strlen(str);
    for (size_t at = 0, letters = 0; at < size; letters++) {
        if (letters == letters_max) {
            text_add_str(svg, "\xe2\x80\xa6");
            return;
        }
        size_t bytes = text_utf8_bytes(str + at, size - at);
        bool outside = bytes == 3 && (memcmp(str + at, "\xef\xbf\xbe", 3) == 0 ||
                                      memcmp(str + at, "\xef\xbf\xbf", 3) == 0);
        if (bytes == 0 || outside || (unsigned char)str[at] < 0x20)
            text_add_str(svg, "\xef\xbf\xbd");
        else if (strchr("&<>\"", str[at]))
            text_printf(svg, "&#%d;", str[at]);
        else
            text_add(svg, str + at, bytes);
        at += bytes ? bytes : 1;
    }
}

static void add_label(struct text *svg, const char *attributes, const char *label, size_t letters_max)
{
    text_printf(svg, "<text %s>", attributes);
    add_escaped(svg, label, letters_max);
    text_add_str(svg, "</text>\n");
}

static void draw_ticks(struct text *svg, const struct axis *x, const struct axis *y)
{
    double ticks[AXIS_TICKS_MAX], bottom = AREA_TOP + AREA_HEIGHT;
    size_t count = axis_ticks(x, ticks);
    for (size_t i = 0; i < count; i++) {
        double at = place_x(x, ticks[i]);
        text_printf(svg, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"#ddd\"/>\n", at, AREA_TOP, bottom);
        text_printf(svg, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%.6g</text>\n", at,
                    bottom + 18, ticks[i]);
    }
    count = axis_ticks(y, ticks);
    for (size_t i = 0; i < count; i++) {
        double at = place_y(y, ticks[i]);
        text_printf(svg, "<path d=\"M%.1f %.1fh%.1f\" stroke=\"#ddd\"/>\n", AREA_LEFT, at,
                    AREA_WIDTH);
        text_printf(svg, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%.6g</text>\n",
                    AREA_LEFT - 6, at + 4, ticks[i]);
    }
}

static void draw_mark(struct text *svg, size_t series, double x, double y)
{
    static const char *const shapes[] = { "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", "m-3.5 -3.5h7v7h-7z",
                                          "m0 -4.5l4.5 8h-9z", "m0 -5l5 5l-5 5l-5 -5z" };
    text_printf(svg, "<path d=\"M%.1f %.1f%s\" fill=\"%s\"/>\n", x, y, shapes[series % 4],
                colours[series % COLOUR_COUNT]);
}

static void begin_line(struct text *svg, size_t series)
{
    text_printf(svg, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\"%s d=\"",
                colours[series % COLOUR_COUNT], dashes[series / COLOUR_COUNT % DASH_COUNT]);
}

static void draw_series(struct text *svg, const struct plot_series *series, size_t number,
                        const struct axis *x, const struct axis *y)
{
    bool joined = false;
    if (series->style != PLOT_POINTS) {
        begin_line(svg, number);
        for (size_t i = 0; i < series->count; i++) {
            bool finite = isfinite(series->x[i]) && isfinite(series->y[i]);
            if (finite)
                text_printf(svg, "%c%.1f %.1f", joined ? 'L' : 'M', place_x(x, series->x[i]),
                            place_y(y, series->y[i]));
            joined = finite;
        }
        text_add_str(svg, "\"/>\n");
    }
    for (size_t i = 0; i < series->count && series->style != PLOT_LINE; i++)
        if (isfinite(series->x[i]) && isfinite(series->y[i]))
            draw_mark(svg, number, place_x(x, series->x[i]), place_y(y, series->y[i]));
}

static void draw_legend_entry(struct text *svg, const struct plot_series *series, size_t number)
{
    char attributes[64];
    double left = AREA_LEFT + AREA_WIDTH + LEGEND_GAP;
    double at = AREA_TOP + 8 + LEGEND_LINE_HEIGHT * (double)number;
    if (series->style != PLOT_POINTS) {
        begin_line(svg, number);
        text_printf(svg, "M%.1f %.1fh26\"/>\n", left, at);
    }
    if (series->style != PLOT_LINE)
        draw_mark(svg, number, left + 13, at);
    snprintf(attributes, sizeof attributes, "x=\"%.1f\" y=\"%.1f\"", left + 34, at + 4);
    add_label(svg, attributes, series->name, LEGEND_LETTERS_MAX);
}

static double legend_width(const struct plot *plot)
{
    size_t longest = 0;
    for (size_t i = 0; i < plot->series_count; i++) {
        size_t letters = strlen(plot->series[i].name);
        longest = letters > longest ? letters : longest;
    }
    longest = longest < LEGEND_LETTERS_MAX ? longest : LEGEND_LETTERS_MAX + 1;
    return LEGEND_GAP + 34 + LETTER_WIDTH * (double)longest + 10;
}

static void draw_plot(struct text *svg, const struct plot *plot, const struct axis *x,
                      const struct axis *y)
{
    char attributes[128];
    double width = AREA_LEFT + AREA_WIDTH + legend_width(plot);
    double height = AREA_TOP + AREA_HEIGHT + BOTTOM_HEIGHT, middle = AREA_LEFT + AREA_WIDTH / 2;
    text_printf(svg,
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
                "viewBox=\"0 0 %.0f %.0f\" font-family=\"sans-serif\" font-size=\"12\">\n"
                "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
                width, height, width, height);
    snprintf(attributes, sizeof attributes,
             "x=\"%.0f\" y=\"26\" text-anchor=\"middle\" font-size=\"16\"", middle);
    add_label(svg, attributes, plot->title, SIZE_MAX);
    draw_ticks(svg, x, y);
    text_printf(svg, "<path d=\"M%.1f %.1fv%.1fh%.1f\" fill=\"none\" stroke=\"#333\"/>\n",
                AREA_LEFT, AREA_TOP, AREA_HEIGHT, AREA_WIDTH);
    for (size_t i = 0; i < plot->series_count; i++) {
        draw_series(svg, &plot->series[i], i, x, y);
        draw_legend_entry(svg, &plot->series[i], i);
    }
    snprintf(attributes, sizeof attributes, "x=\"%.0f\" y=\"%.0f\" text-anchor=\"middle\"", middle,
             height - 14);
    add_label(svg, attributes, plot->x_label, SIZE_MAX);
    snprintf(attributes, sizeof attributes,
             "transform=\"translate(18 %.0f) rotate(-90)\" text-anchor=\"middle\"",
             AREA_TOP + AREA_HEIGHT / 2);
    add_label(svg, attributes, plot->y_label, SIZE_MAX);
    text_add_str(svg, "</svg>\n");
}
