/* probe_link: probes on slow lines, by what goes up the line and not by time, so that a busy machine makes
 * no difference; `make bench-probe-link` measures how late frames are. A slice finds nothing in the line but
 * what is small, so a frame waits for one slice at most; bits stay within their share; a full line is left to
 * live frames. Without network namespaces, which take root, every test is skipped. */
#include "probe_link.h"
#include "probe_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define HEADER_BYTES_MAX 40 /* of a slice */
#define IN_FLIGHT_MAX 16u   /* the server's credits */

static struct link_seen seen;

static void run(const struct link_plan *plan)
{
    char reason[200];
    if (!line_possible(reason, sizeof reason)) {
        fprintf(stderr, "SKIP REASON: probe_link: %s\n", reason);
        skip();
    }
    link_run(plan, &seen);
    print_message("%zu of %zu frames, %u probes, %u full slices, %u behind others\n",
                  seen.frame_count, seen.captured, seen.probes_sent, seen.slices, seen.slices_behind);
}

static void slices_find_the_line_empty(void **state)
{
    const struct link_plan plan = { .link_kbps = 108,
                                    .live_kbps = 50,
                                    .width = 160,
                                    .height = 128,
                                    .fps = 10,
                                    .seconds = 20,
                                    .share = 0.3 };
    (void)state;
    run(&plan);
    double all = seen.sent_bytes + seen.probe_bytes;
    assert_true(seen.dropped == seen.dropped_encoder_late); /* of a busy machine */
    assert_true((double)seen.frame_count + IN_FLIGHT_MAX + seen.dropped >= (double)seen.captured);
    assert_true(seen.probes_sent >= 2);
    assert_true(seen.slices >= 5 * seen.probes_sent);
    assert_true(4 * seen.slices_behind <= seen.slices); /* the line's own thread may be late */
    assert_true(seen.probe_bytes <= plan.share * all + HEADER_BYTES_MAX);
    assert_true(seen.probes_scored >= seen.probes_sent - 1);
    assert_int_equal(seen.probes_other, 0);
}

static void a_full_line_is_left_to_frames(void **state)
{
    const struct link_plan plan = { .link_kbps = 108,
                                    .live_kbps = 300,
                                    .width = 160,
                                    .height = 128,
                                    .fps = 10,
                                    .seconds = 14,
                                    .share = 0.3 };
    (void)state;
    run(&plan);
    assert_true(seen.told_full);
    assert_true(seen.waits);
    assert_int_equal(seen.probes_sent, 0);
    assert_true(seen.probe_bytes < 200); /* announced, no more */
    assert_true(seen.dropped_no_credit > 0);
    assert_true(seen.dropped == seen.dropped_no_credit + seen.dropped_encoder_late);
    /* Nothing is kept back: the line was never empty for long. */
    assert_true(seen.link_bytes > 0.9 * plan.link_kbps * 125 * plan.seconds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_find_the_line_empty),
        cmocka_unit_test(a_full_line_is_left_to_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
