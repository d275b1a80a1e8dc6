/* Enlarging received pictures: every pixel is what the cubic of the server's way `bicubic` (a = -0.75, between
 * the centres of pixels) gives by hand, cut off at black and white; each colour for itself. */
#include "learn/enlarge.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define WIDTH 12u
#define HEIGHT 9u
#define FACTOR_MAX 4u

static double cubic(double d)
{
    const double a = -0.75;
    d = fabs(d);
    if (d <= 1)
        return (a + 2) * d * d * d - (a + 3) * d * d + 1;
    return d < 2 ? a * d * d * d - 5 * a * d * d + 8 * a * d - 4 * a : 0;
}

static double at(const uint8_t *plane, int x, int y)
{
    x = x < 0 ? 0 : x >= (int)WIDTH ? (int)WIDTH - 1 : x;
    y = y < 0 ? 0 : y >= (int)HEIGHT ? (int)HEIGHT - 1 : y;
    return plane[(unsigned)y * WIDTH + (unsigned)x];
}

static double by_hand(const uint8_t *plane, uint32_t factor, uint32_t x, uint32_t y)
{
    double column = (x + 0.5) / factor - 0.5, row = (y + 0.5) / factor - 0.5, sum = 0;
    int left = (int)floor(column), top = (int)floor(row);
    for (int j = top - 1; j <= top + 2; j++)
        for (int i = left - 1; i <= left + 2; i++)
            sum += cubic(column - i) * cubic(row - j) * at(plane, i, j);
    return fmin(fmax(sum, 0), 255);
}

static void pixels_are_those_of_the_cubic(void **state)
{
    (void)state;
    static uint8_t from[3 * WIDTH * HEIGHT], to[3 * WIDTH * HEIGHT * FACTOR_MAX * FACTOR_MAX];
    size_t cut = 0;
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (uint8_t)(i % 7 == 3 ? 255 : i * 37 % 256);
    for (uint32_t factor = 2; factor <= FACTOR_MAX; factor++) {
        const struct enlarge_sizes sizes = { WIDTH, HEIGHT, WIDTH * factor, HEIGHT * factor };
        size_t plane = (size_t)WIDTH * HEIGHT, large = plane * factor * factor;
        struct enlarge *enlarge;
        struct error err;
        assert_int_equal(enlarge_open(&enlarge, &sizes, &err), 0);
        assert_int_equal(enlarge_run(enlarge, from, to, &err), 0);
        for (size_t i = 0; i < 3 * large; i++) {
            const uint32_t x = (uint32_t)(i % (WIDTH * factor)),
                           y = (uint32_t)(i % large / (WIDTH * factor));
            double wanted = by_hand(from + i / large * plane, factor, x, y);
            if (fabs(to[i] - wanted) > 0.51)
                fail_msg("x%u: %zu is %u, not %.2f", factor, i, to[i], wanted);
            cut += to[i] == 0 || to[i] == 255;
        }
        enlarge_close(&enlarge);
        assert_null(enlarge);
    }
    assert_true(cut > 0);
}

static void sizes_are_checked(void **state)
{
    (void)state;
    const struct enlarge_sizes sizes = { 0, HEIGHT, WIDTH, HEIGHT };
    struct enlarge *enlarge = NULL;
    struct error err;
    assert_true(enlarge_open(&enlarge, &sizes, &err) < 0);
    assert_null(enlarge);
    enlarge_close(&enlarge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_are_those_of_the_cubic),
        cmocka_unit_test(sizes_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
