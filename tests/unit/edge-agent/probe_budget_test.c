/* probe_budget: over hours of frames the share is kept to and used, whatever a probe needs and however frames
 * differ; each frame is drawn as often as any other, or in proportion to its relative chance, so that weights
 * make a mean right; what is unused is used where that is allowed; nothing is drawn without a budget, and
 * what was saved while nothing could be sent is bounded; pieces go at the pace of what is saved. */
#include "probe_budget.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#define FPS 15.0
#define PERIOD 150u /* frames from one keyframe to the next */

/* A stream of about kbps, whose keyframes are large. */
static double frame_bytes(uint64_t frame, double kbps)
{
    double mean = kbps * 125 / FPS;
    return frame % PERIOD == 0 ? 8 * mean : mean * (PERIOD - 8.0) / (PERIOD - 1.0);
}

struct totals {
    double live, probe;
    uint64_t probes;
};

/* Frames pass; a probe is sent in pieces as soon as the budget and its pace allow each, and until then there is
 * none other. */
static struct totals stream(struct probe_budget *budget, uint64_t frames, double kbps,
                            double first_need)
{
    struct totals totals = { 0 };
    double left = 0, need = first_need, pace_s = 0;
    for (uint64_t f = 0; f < frames; f++) {
        double bytes = frame_bytes(f, kbps);
        probe_budget_on_frame(budget, bytes, 1 / FPS);
        totals.live += bytes;
        for (double piece = fmin(left, 1100);
             piece > 0 && pace_s < (double)(f + 1) / FPS && probe_budget_allows(budget, piece);
             piece = fmin(left, 1100)) {
            probe_budget_spend(budget, piece);
            totals.probe += piece;
            left -= piece;
            pace_s = fmax(pace_s, (double)f / FPS) + probe_budget_pace_s(budget, piece);
        }
        if (left <= 0 && probe_budget_draw(budget, 1)) {
            left = need;
            probe_budget_on_probe(budget, need);
            need = first_need * (0.6 + 0.8 * ((double)(f % 7) / 6)); /* others need less or more */
            totals.probes++;
        }
    }
    return totals;
}

static void test_the_share_is_kept_and_used(void **state)
{
    (void)state;
    const struct {
        double share, kbps, need, guess;
    } cases[] = {
        { 0.03, 108, 30000, 34000 },
        { 0.03, 1000, 150000, 40000 },
        { 0.1, 30, 12000, 90000 },
        { 0.5, 300, 50000, 50000 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct probe_budget_config config = { .share = cases[i].share };
        struct probe_budget budget;
        probe_budget_init(&budget, &config, cases[i].guess, 3 + i);
        struct totals totals = stream(&budget, 4000000, cases[i].kbps, cases[i].need);
        double share = totals.probe / (totals.live + totals.probe);
        print_message("share %.3f: %.4f, %llu probes\n", cases[i].share, share,
                      (unsigned long long)totals.probes);
        assert_true(share <= cases[i].share + 1e-6);
        assert_true(share > 0.95 * cases[i].share);
    }
}

/* From the first frame on, which is a keyframe eight times as large as most. */
static void test_the_share_is_kept_at_any_time(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        const struct probe_budget_config config = { .share = 0.1 };
        struct probe_budget budget;
        double live = 0, probe = 0;
        probe_budget_init(&budget, &config, 4000, seed);
        for (uint64_t f = 0; f < 3000; f++) {
            probe_budget_on_frame(&budget, frame_bytes(f, 108), 1 / FPS);
            live += frame_bytes(f, 108);
            if (probe_budget_draw(&budget, 1)) {
                probe_budget_spend(&budget, 4000);
                probe_budget_on_probe(&budget, 4000);
                probe += 4000;
            }
            assert_true(probe <= config.share * (live + probe) + 1e-6);
        }
        assert_true(probe > 0.8 * config.share * (live + probe));
    }
}

static void test_what_is_unused_is_used(void **state)
{
    (void)state;
    const struct probe_budget_config none = { .share = 0, .unused_share = 0.5 };
    const struct probe_budget_config half = { .share = 0, .unused_share = 0.5, .uplink_kbps = 208 };
    struct probe_budget budget;
    probe_budget_init(&budget, &none, 20000, 1);
    assert_int_equal(stream(&budget, 100000, 108, 30000).probes, 0); /* what it carries is not known */
    probe_budget_init(&budget, &half, 20000, 1);
    struct totals totals = stream(&budget, 1000000, 108, 30000);
    /* Half of 100 kbit/s; keyframes' frames leave less. */
    double kbps = totals.probe * 8 / 1000 / (1000000 / FPS);
    print_message("unused: %.1f kbit/s\n", kbps);
    assert_true(kbps > 45 && kbps < 60);
}

static void test_every_frame_has_the_same_chance(void **state)
{
    (void)state;
    const struct probe_budget_config config = { .share = 0.2 };
    struct probe_budget budget;
    uint64_t drawn[PERIOD] = { 0 }, all = 0;
    probe_budget_init(&budget, &config, 20000, 11);
    for (uint64_t f = 0; f < 30000000; f++) {
        probe_budget_on_frame(&budget, frame_bytes(f, 200), 1 / FPS);
        if (probe_budget_draw(&budget, 1)) {
            probe_budget_spend(&budget, 20000);
            drawn[f % PERIOD]++;
            all++;
        }
    }
    double wanted = (double)all / PERIOD, chi2 = 0;
    for (uint64_t i = 0; i < PERIOD; i++)
        chi2 += ((double)drawn[i] - wanted) * ((double)drawn[i] - wanted) / wanted;
    print_message("%llu drawn, chi squared %.1f of %u\n", (unsigned long long)all, chi2, PERIOD - 1);
    assert_true(all > 20000);
    assert_true(chi2 < PERIOD - 1 + 5 * sqrt(2 * (PERIOD - 1.0)));
}

/* Frames of which a tenth are bad and look it: weights bring the mean back. */
static void test_weights_make_up_for_chances(void **state)
{
    (void)state;
    const struct probe_budget_config config = { .share = 0.2 };
    struct probe_budget budget;
    double sum = 0, weights = 0, bad = 0, count = 0;
    probe_budget_init(&budget, &config, 20000, 23);
    for (uint64_t f = 0; f < 20000000; f++) {
        bool is_bad = f % 10 == 3;
        double accuracy = is_bad ? 0.2 : 0.9;
        probe_budget_on_frame(&budget, frame_bytes(f, 200), 1 / FPS);
        double relative = probe_budget_relative(&budget, is_bad ? 0.7 : 0.1);
        assert_true(relative >= PROBE_RELATIVE_MIN && relative <= 1);
        if (probe_budget_draw(&budget, relative)) {
            probe_budget_spend(&budget, 20000);
            sum += accuracy / relative;
            weights += 1 / relative;
            bad += is_bad;
            count++;
        }
    }
    print_message("mean %.4f of 0.83, bad %.2f of %g probes\n", sum / weights, bad / count, count);
    assert_true(count > 10000);
    assert_true(fabs(sum / weights - 0.83) < 0.005);
    assert_true(bad / count > 0.25);
}

static void test_nothing_without_a_budget_and_not_too_much_after_a_rest(void **state)
{
    (void)state;
    const struct probe_budget_config none = { 0 }, some = { .share = 0.03 };
    struct probe_budget budget;
    probe_budget_init(&budget, &none, 1000, 1);
    assert_int_equal(stream(&budget, 100000, 500, 1000).probes, 0);
    probe_budget_init(&budget, &some, 10000, 1);
    for (uint64_t f = 0; f < 1000000; f++) /* an hour and more in which none was drawn */
        probe_budget_on_frame(&budget, 1000, 1 / FPS);
    assert_true(budget.saved_bytes <= 40000);
}

/* 1,000 bytes ten times a second save 250 bytes each at a share of a fifth: twice as much may be
 * spent. */
static void test_the_pace_is_twice_what_is_saved(void **state)
{
    (void)state;
    const struct probe_budget_config config = { .share = 0.2 };
    struct probe_budget budget;
    probe_budget_init(&budget, &config, 1000, 1);
    assert_true(probe_budget_pace_s(&budget, 1000) == 60);
    for (unsigned f = 0; f < 100; f++)
        probe_budget_on_frame(&budget, 1000, 0.1);
    assert_true(fabs(probe_budget_pace_s(&budget, 1000) - 0.2) < 1e-9);
    assert_true(fabs(probe_budget_pace_s(&budget, 100) - 0.02) < 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_pace_is_twice_what_is_saved),
        cmocka_unit_test(test_the_share_is_kept_and_used),
        cmocka_unit_test(test_the_share_is_kept_at_any_time),
        cmocka_unit_test(test_what_is_unused_is_used),
        cmocka_unit_test(test_every_frame_has_the_same_chance),
        cmocka_unit_test(test_weights_make_up_for_chances),
        cmocka_unit_test(test_nothing_without_a_budget_and_not_too_much_after_a_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
