/* probe_link: what probes cost the frames beside them, on lines of 108 and 500 kbit/s, serial ones and token
 * buckets, and on one that is full. Real daemons in two network namespaces, the same clip with probes and
 * without; ages as the agent measures them, of the frames that were on their way while a probe was, in both
 * runs.
 *
 *   later   a frame's age with probes less that of the same frame without
 *   slice   what a full slice takes on that line: none has to wait for more than one of them
 *   link    probes' part of all that went up the line, by what the runs differ in: headers and
 *           acknowledgements of receipts included, which the agent's share is without
 *
 * Exit status 1 when frames are later than a slice and ALLOWANCE_MS, when bits are above their share, or when
 * a full line is not left to live frames. */
#include "probe_line.h"
#include "probe_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define SLICE_BITS (1200 * 8.0) /* WIRE_SLICE_BYTES_MAX */
/* A slice's TCP and IP headers, and the acknowledgements of receipts that stand before a frame: 15 ms were seen
 * at 108 kbit/s. The rest is for a machine whose processors do other things beside. */
#define ALLOWANCE_MS 30.0
#define HEADER_BYTES_MAX 40
#define SHARE 0.25
#define BUCKET_SHARE 0.1
#define BURST_BYTES 3200u
#define ALIKE \
    0.25 /* of a full line's runs, which are chaotic: which frames are left out depends on each other */

static struct link_seen with, without;

struct ages {
    double with[LINK_FRAMES_MAX], without[LINK_FRAMES_MAX], later[LINK_FRAMES_MAX];
    size_t count;
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Nearest rank; sorts. */
static double quantile(double *values, size_t count, unsigned percent)
{
    qsort(values, count, sizeof *values, compare);
    return count > 0 ? values[(percent * count + 99) / 100 - 1] : 0;
}

/* Frames of both runs; only those beside a probe, or all. */
static void pair_frames(bool beside_probe, struct ages *ages)
{
    size_t j = 0;
    ages->count = 0;
    for (size_t i = 0; i < with.frame_count; i++) {
        const struct link_frame *frame = &with.frames[i];
        while (j < without.frame_count && without.frames[j].number < frame->number)
            j++;
        if (j == without.frame_count || without.frames[j].number != frame->number ||
            (beside_probe && !frame->beside_probe))
            continue;
        ages->with[ages->count] = frame->age_ms;
        ages->without[ages->count] = without.frames[j].age_ms;
        ages->later[ages->count++] = frame->age_ms - without.frames[j].age_ms;
    }
}

static void print_row(const char *name, double *values, size_t count)
{
    print_message("%-8s p50_ms=%.1f p99_ms=%.1f worst_ms=%.1f\n", name, quantile(values, count, 50),
                  quantile(values, count, 99), quantile(values, count, 100));
}

static void run_both(const struct link_plan *plan)
{
    char reason[200];
    struct link_plan none = *plan;
    if (!line_possible(reason, sizeof reason)) {
        fprintf(stderr, "SKIP REASON: probe_link: %s\n", reason);
        skip();
    }
    none.share = 0;
    link_run(plan, &with);
    link_run(&none, &without);
    print_message("%u kbit/s, %u bytes at once, frames at %u kbit/s\n", plan->link_kbps,
                  plan->burst_bytes, plan->live_kbps);
}

static void expect_later_by_a_slice(const struct link_plan *plan)
{
    static struct ages ages;
    double slice_ms = SLICE_BITS / plan->link_kbps;
    run_both(plan);
    pair_frames(true, &ages);
    double part = with.probe_bytes / (with.sent_bytes + with.probe_bytes);
    print_message("probes=%u beside=%zu of %zu frames slice_ms=%.1f share=%.3f link=%.3f\n",
                  with.probes_sent, ages.count, with.frame_count, slice_ms, part,
                  1 - without.link_bytes / with.link_bytes);
    print_row("with", ages.with, ages.count);
    print_row("without", ages.without, ages.count);
    print_row("later", ages.later, ages.count);
    double bound_ms = slice_ms + ALLOWANCE_MS;
    assert_true(with.dropped == 0 && without.dropped == 0);
    assert_true(ages.count >= 100);
    for (unsigned percent = 99; percent <= 100; percent++) {
        assert_true(quantile(ages.later, ages.count, percent) <= bound_ms);
        assert_true(quantile(ages.with, ages.count, percent) <=
                    quantile(ages.without, ages.count, percent) + bound_ms);
    }
    assert_true(with.probe_bytes <=
                plan->share * (with.sent_bytes + with.probe_bytes) + HEADER_BYTES_MAX);
    assert_true(part > plan->share / 2);
}

/* Without a share. */
static const struct link_plan slow = {
    .link_kbps = 108, .live_kbps = 60, .width = 160, .height = 128, .fps = 10, .seconds = 60
};
static const struct link_plan faster = {
    .link_kbps = 500, .live_kbps = 250, .width = 320, .height = 240, .fps = 15, .seconds = 60
};

static void check_serial(struct link_plan plan)
{
    plan.share = SHARE;
    expect_later_by_a_slice(&plan);
}

/* Lets two packets through at once. */
static void check_bucket(struct link_plan plan)
{
    plan.share = BUCKET_SHARE;
    plan.burst_bytes = BURST_BYTES;
    expect_later_by_a_slice(&plan);
}

static void a_line_of_108_kbps(void **state)
{
    (void)state;
    check_serial(slow);
}

static void a_line_of_500_kbps(void **state)
{
    (void)state;
    check_serial(faster);
}

static void a_bucket_of_108_kbps(void **state)
{
    (void)state;
    check_bucket(slow);
}

static void a_bucket_of_500_kbps(void **state)
{
    (void)state;
    check_bucket(faster);
}

static void expect_alike(double a, double b)
{
    assert_true(a <= b * (1 + ALIKE) && b <= a * (1 + ALIKE));
}

static void a_full_line(void **state)
{
    static struct ages ages;
    struct link_plan plan = slow;
    (void)state;
    plan.live_kbps = 150;
    plan.seconds = 30;
    plan.share = SHARE;
    run_both(&plan);
    pair_frames(false, &ages);
    print_message("probes=%u answered=%zu without=%zu of %zu\n", with.probes_sent, with.frame_count,
                  without.frame_count, with.captured);
    print_row("with", ages.with, ages.count);
    print_row("without", ages.without, ages.count);
    assert_true(with.told_full && with.waits);
    assert_int_equal(with.probes_sent, 0);
    expect_alike((double)with.frame_count, (double)without.frame_count);
    expect_alike(quantile(ages.with, ages.count, 50), quantile(ages.without, ages.count, 50));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_of_108_kbps),   cmocka_unit_test(a_line_of_500_kbps),
        cmocka_unit_test(a_bucket_of_108_kbps), cmocka_unit_test(a_bucket_of_500_kbps),
        cmocka_unit_test(a_full_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
