/* Plot: what is written is well-formed XML (checked by a small reader of tags), holds every series
 * where the axes say it must stand, escapes names, and writing fails when the disk is full. */
#include "evaluate/plot.h"
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static char svg[1 << 20];

static int write_into_memory(const struct plot *plot, struct error *err)
{
    memset(svg, 0, sizeof svg);
    FILE *file = fmemopen(svg, sizeof svg - 1, "w");
    assert_non_null(file);
    int rc = plot_write(plot, file, err);
    assert_int_equal(fclose(file), 0);
    return rc;
}

static const char *skip_entity(const char *at)
{
    const char *end = strchr(at, ';');
    assert_non_null(end);
    assert_true(at[1] == '#' && end - at >= 4 && end - at <= 5);
    assert_int_equal(strspn(at + 2, "0123456789"), end - at - 2);
    return end;
}

/* One tag: name, attributes in quotes, nothing else. Gives its end; *closes: an empty element. */
static const char *read_tag(const char *at, char name[16], int *closes)
{
    size_t size = strcspn(at, " />");
    assert_in_range(size, 1, 15);
    memcpy(name, at, size);
    name[size] = '\0';
    for (at += size; *at == ' ';) {
        at++;
        size_t key = strspn(at, "abcdefghijklmnopqrstuvwxyzBLT0123456789-_:");
        assert_true(key > 0);
        assert_memory_equal(at + key, "=\"", 2);
        at += key + 2;
        for (; *at != '"'; at++) {
            assert_true(*at && *at != '<');
            at = *at == '&' ? skip_entity(at) : at;
        }
        at++;
    }
    *closes = *at == '/';
    at += *closes;
    assert_int_equal(*at, '>');
    return at + 1;
}

static void assert_well_formed(void)
{
    static const char prolog[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    char open[8][16];
    int depth = 0, closes;
    assert_memory_equal(svg, prolog, sizeof prolog - 1);
    const char *at = svg + sizeof prolog - 1;
    while (*at) {
        if (*at == '&')
            at = skip_entity(at);
        else if (*at == '<' && at[1] == '/') {
            assert_true(depth > 0);
            size_t size = strlen(open[--depth]);
            assert_memory_equal(at + 2, open[depth], size);
            assert_int_equal(at[2 + size], '>');
            at += 2 + size;
        } else if (*at == '<') {
            assert_true(depth < 8);
            at = read_tag(at + 1, open[depth], &closes) - 1;
            depth += !closes;
        } else {
            assert_true(*at != '>' && ((unsigned char)*at >= 0x20 || *at == '\n'));
            assert_true(depth > 0 || *at == '\n');
        }
        at++;
    }
    assert_int_equal(depth, 0);
}

static size_t count_of(const char *piece)
{
    size_t count = 0;
    for (const char *at = svg; (at = strstr(at, piece)); at += strlen(piece))
        count++;
    return count;
}

static void series_stand_where_the_axes_say(void **state)
{
    (void)state;
    const double x[] = { 10, 100, 1000 }, y[] = { 0, 0.5, 1 };
    const struct plot_series series[] = { { "line", x, y, 3, PLOT_LINE },
                                          { "points", x, y, 3, PLOT_POINTS },
                                          { "both", x, y, 2, PLOT_LINE_AND_POINTS } };
    const struct plot plot = { "title", "kbit/s", "accuracy", true, series, 3 };
    assert_int_equal(write_into_memory(&plot, NULL), 0);
    assert_well_formed();
    /* The area is 620 by 420 from (70, 46): a decade is half of its width. */
    assert_int_equal(count_of("d=\"M70.0 466.0L380.0 256.0L690.0 46.0\""), 1);
    assert_int_equal(count_of("d=\"M70.0 466.0L380.0 256.0\""), 1);
    assert_int_equal(count_of("<path d=\"M690.0 46.0m"), 1); /* marks of the second */
    assert_int_equal(count_of("<path d=\"M380.0 256.0m"), 2);
    static const char *const labels[] = { ">10<",   ">20<",   ">50<",     ">100<",     ">1000<",
                                          ">0<",    ">0.2<",  ">1<",      ">title<",   ">kbit/s<",
                                          ">line<", ">both<", ">points<", ">accuracy<" };
    for (size_t i = 0; i < COUNT(labels); i++)
        assert_int_equal(count_of(labels[i]), 1);
}

static void gaps_break_a_line(void **state)
{
    (void)state;
    const double x[] = { 0, 1, 2, 3, 4 }, y[] = { 0, 1, NAN, 1, INFINITY };
    const struct plot_series series[] = { { "loss", x, y, 5, PLOT_LINE_AND_POINTS } };
    const struct plot plot = { "", "", "", false, series, 1 };
    assert_int_equal(write_into_memory(&plot, NULL), 0);
    assert_well_formed();
    assert_int_equal(count_of("M70.0 466.0L276.7 46.0M690.0 46.0\""), 1);
    assert_null(strstr(svg, "nan"));
    assert_null(strstr(svg, "inf"));
}

static void names_are_escaped(void **state)
{
    (void)state;
    const double x[] = { 1, 2 }, y[] = { 1, 2 };
    char longest[101] = { 0 };
    memset(longest, 'x', sizeof longest - 1);
    const struct plot_series series[] = { { "<a href=\"x\"> & 'b'", x, y, 2, PLOT_LINE },
                                          { "bad\xff\x01\xef\xbf\xbe", x, y, 2, PLOT_LINE },
                                          { "gr\xc3\xbc\xc3\x9f", x, y, 2, PLOT_LINE },
                                          { longest, x, y, 2, PLOT_LINE } };
    const struct plot plot = { "]]> <!-- ", "&amp;", "</svg>", false, series, 4 };
    assert_int_equal(write_into_memory(&plot, NULL), 0);
    assert_well_formed();
    assert_int_equal(count_of("&#60;a href=&#34;x&#34;&#62; &#38; 'b'"), 1);
    assert_int_equal(count_of(">bad\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd<"), 1);
    assert_int_equal(count_of(">gr\xc3\xbc\xc3\x9f<"), 1);
    assert_int_equal(count_of("</svg>"), 1);
    longest[60] = '\0';
    assert_int_equal(count_of(longest), 1);
    assert_int_equal(count_of("xxx\xe2\x80\xa6<"), 1);
}

/* Any range must give a handful of ticks, and no number that is none. */
static void odd_ranges_are_drawn(void **state)
{
    (void)state;
    static const double ranges[][2] = { { 5, 5 },           { 0, 0 },         { -3, -3 },
                                        { -7e-5, 3e-5 },    { 1e9, 1e9 + 1 }, { 0, 1e300 },
                                        { -1e300, 1e-300 }, { 0, 5e-324 },    { 0.61, 0.62 } };
    static const double logs[][2] = { { 35, 650 }, { 100, 130 }, { 7, 7 }, { 1e-300, 1e300 } };
    for (size_t i = 0; i < COUNT(ranges) + COUNT(logs); i++) {
        bool log = i >= COUNT(ranges);
        const double *x = log ? logs[i - COUNT(ranges)] : ranges[i];
        const struct plot_series series = { "s", x, x, 2, PLOT_LINE_AND_POINTS };
        const struct plot plot = { "t", "x", "y", log, &series, 1 };
        assert_int_equal(write_into_memory(&plot, NULL), 0);
        assert_well_formed();
        assert_null(strstr(svg, "nan"));
        assert_null(strstr(svg, "inf"));
        assert_in_range(count_of("text-anchor=\"middle\">"), 3 + 2, 3 + 32); /* 3: labels */
        assert_in_range(count_of("text-anchor=\"end\">"), 2, 12);
    }
}

static void what_cannot_be_drawn_is_refused(void **state)
{
    (void)state;
    struct error err = { 0 };
    const double x[] = { 0, 2 }, y[] = { 1, 2 }, none[] = { NAN, NAN }, far[] = { -1.7e308, 1.7e308 };
    struct plot_series series = { "arm", x, y, 2, PLOT_LINE };
    struct plot plot = { "t", "x", "y", true, &series, 1 };
    assert_int_equal(write_into_memory(&plot, &err), -ERROR_FORMAT);
    assert_non_null(strstr(err.text, "arm: x is 0 on a logarithmic axis"));
    plot.x_log = false;
    series.y = none;
    assert_int_equal(write_into_memory(&plot, &err), -ERROR_UNSUPPORTED);
    series.y = far;
    assert_int_equal(write_into_memory(&plot, &err), -ERROR_LIMIT);
    series.y = y;
    series.count = PLOT_POINTS_MAX + 1u;
    assert_int_equal(write_into_memory(&plot, &err), -ERROR_LIMIT);
    plot.series_count = PLOT_SERIES_MAX + 1u;
    assert_int_equal(write_into_memory(&plot, &err), -ERROR_LIMIT);
    plot.series_count = 0;
    assert_int_equal(write_into_memory(&plot, &err), -ERROR_UNSUPPORTED);
    assert_int_equal(svg[0], '\0');
}

static void files_are_whole_or_not_there(void **state)
{
    (void)state;
    struct error err = { 0 };
    char folder[] = "/tmp/plot_test.XXXXXX", path[64], missing[64];
    const double x[] = { 1, 2 }, y[] = { 1, 2 };
    const struct plot_series series = { "arm", x, y, 2, PLOT_LINE };
    const struct plot plot = { "t", "x", "y", false, &series, 1 };
    struct stat info;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/plot.svg", folder);
    snprintf(missing, sizeof missing, "%s/none/plot.svg", folder);
    assert_int_equal(plot_save(&plot, path, &err), 0);
    assert_int_equal(write_into_memory(&plot, NULL), 0);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, strlen(svg));
    assert_int_equal(info.st_mode & 0777, 0644);
    assert_int_equal(plot_save(&plot, missing, &err), -ERROR_IO);
    assert_non_null(strstr(err.text, missing));
    FILE *full = fopen("/dev/full", "w");
    assert_non_null(full);
    assert_int_equal(plot_write(&plot, full, &err), -ERROR_IO);
    fclose(full);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(series_stand_where_the_axes_say),
        cmocka_unit_test(gaps_break_a_line),
        cmocka_unit_test(names_are_escaped),
        cmocka_unit_test(odd_ranges_are_drawn),
        cmocka_unit_test(what_cannot_be_drawn_is_refused),
        cmocka_unit_test(files_are_whole_or_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
