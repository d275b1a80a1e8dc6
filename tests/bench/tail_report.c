/* tail_report: see the header. */
#include "tail_report.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define WIDTH_MAX 0.15
/* Places of 30, 100, 300 and 1000 in tail_checks. */
#define CHECK_30 0u
#define CHECK_100 7u
#define CHECK_300 13u
#define CHECK_1000 17u
static const size_t printed[] = { CHECK_30, CHECK_100, CHECK_300, CHECK_1000 };
#define PRINTED (sizeof printed / sizeof printed[0])

static const char *const way_words[TAIL_WAYS] = { "random", "uncertain", "plain" };

/* What intervals are to hold. */
struct exact {
    double mean, tail90, tail99;
};

static struct exact find_exact(const struct scores *scores)
{
    const size_t count = scores_frame_count(scores);
    struct exact exact = { 0 };
    double *values = calloc(count, sizeof *values);
    assert(values && count > 0);
    for (size_t i = 0; i < count; i++) {
        values[i] = scores_frame_accuracy(scores, i);
        exact.mean += values[i] / (double)count;
    }
    int rc = score_tail(values, count, 90, &exact.tail90, NULL);
    if (rc == 0)
        rc = score_tail(values, count, 99, &exact.tail99, NULL);
    assert(rc == 0); /* there is a frame, and none is NaN */
    (void)rc;
    free(values);
    return exact;
}

static double exact_figure(const struct exact *exact, enum tail_which which)
{
    return which == TAIL_TAIL90   ? exact->tail90
           : which == TAIL_TAIL99 ? exact->tail99
                                  : exact->mean;
}

static size_t runs_at(size_t check)
{
    return check < TAIL_SHORT_CHECKS ? TAIL_RUNS : TAIL_LONG_RUNS;
}

/* Over the first count runs. */
struct quality {
    double cover, width, off;
};

static struct quality judge(const struct tail_results *results, enum tail_way way, size_t check,
                            size_t count, enum tail_which which, double exact)
{
    struct quality quality = { 0 };
    for (size_t run = 0; run < count; run++) {
        const struct tail_figure *figure = &results->checks[way][run][check].figures.figure[which];
        bool covers = figure->known && figure->low <= exact && exact <= figure->high;
        quality.cover += covers ? 1 / (double)count : 0;
        quality.width += (figure->high - figure->low) / (double)count;
        quality.off += fabs(figure->value - exact) / (double)count;
    }
    return quality;
}

/* ---- truth ---- */

void tail_report_truth(const struct tail_truth *truth, const char *video)
{
    printf("\n== %s, %s: %zu frames of %ux%u, %g a second ==\n", video, truth->model, truth->count,
           truth->width, truth->height, truth->fps);
    for (size_t q = 0; q < TAIL_QUALITIES; q++) {
        double bytes = 0;
        for (size_t i = 0; i < truth->count; i++)
            bytes += truth->probe_bytes[q][i] / (double)truth->count;
        printf(
            "probe of CRF %-3g%s %6.0f bytes; its golden answer against that at the source: %.4f\n",
            tail_qualities[q], q == TAIL_QUALITY_AGENT ? "*" : " ", bytes,
            find_exact(truth->agreement[q]).mean);
    }
}

/* ---- a rung ---- */

static void print_rung(const struct tail_rung *rung)
{
    double bytes = 0;
    for (size_t i = 0; i < rung->count; i++)
        bytes += rung->wire_bytes[i];
    printf("\n%ux%u at %u kbit/s: %.0f sent; restored by %s; %.1f ms a frame, head %.2f; %zu "
           "frames in %.0f s\n",
           rung->width, rung->height, rung->bitrate_kbps,
           bytes * rung->truth->fps / (double)rung->count / 125, rung->restored, rung->run_ms,
           rung->head_ms, rung->count, rung->elapsed_s);
    const struct exact exact = find_exact(rung->exact);
    printf("  %-22s mean %.4f  tail90 %.4f  tail99 %.4f\n", "all frames", exact.mean, exact.tail90,
           exact.tail99);
    for (size_t q = 0; q < TAIL_QUALITIES; q++) {
        const struct exact seen = find_exact(rung->seen[q]);
        printf("  on probes of CRF %-3g%-2s off by %+.4f        %+.4f        %+.4f\n",
               tail_qualities[q], q == TAIL_QUALITY_AGENT ? "*" : "", seen.mean - exact.mean,
               seen.tail90 - exact.tail90, seen.tail99 - exact.tail99);
    }
}

/* exact: at the source; seen: if every frame were a probe. */
static void print_check(const struct tail_results *results, enum tail_way way, size_t check,
                        const struct exact *exact, const struct exact *seen)
{
    const size_t count = runs_at(check);
    double hours = 0;
    for (size_t run = 0; run < count; run++)
        hours += results->checks[way][run][check].hours / (double)count;
    printf("  %-9s %6zu %6.1f", way_words[way], tail_checks[check], hours);
    for (int i = TAIL_MEAN; i <= TAIL_TAIL99; i++) {
        enum tail_which which = (enum tail_which)i;
        const struct quality quality =
            judge(results, way, check, count, which, exact_figure(exact, which));
        const struct quality by_probes =
            judge(results, way, check, count, which, exact_figure(seen, which));
        if (results->checks[way][0][check].figures.figure[which].known)
            printf("   %4.0f %4.0f %6.3f %6.3f", 100 * quality.cover, 100 * by_probes.cover,
                   quality.width, quality.off);
        else
            printf("   %4s %4s %6s %6s", "-", "-", "-", "-");
    }
    printf("\n");
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Medians over runs. */
static void print_patience(const struct tail_results *results, enum tail_way way)
{
    double probes[TAIL_RUNS], hours[TAIL_RUNS];
    for (size_t run = 0; run < TAIL_RUNS; run++) {
        const struct tail_check *checks = results->checks[way][run];
        probes[run] = hours[run] = INFINITY;
        for (size_t c = TAIL_SHORT_CHECKS; c-- > 0;) {
            const struct tail_figure *figure = &checks[c].figures.figure[TAIL_TAIL90];
            if (figure->high - figure->low <= WIDTH_MAX) {
                probes[run] = (double)tail_checks[c];
                hours[run] = checks[c].hours;
            }
        }
    }
    qsort(probes, TAIL_RUNS, sizeof *probes, by_value);
    qsort(hours, TAIL_RUNS, sizeof *hours, by_value);
    printf("  %s: interval of the 90 %% tail at most %.2f wide after %.0f probes, %.1f hours; nine "
           "of ten runs "
           "after %.0f\n",
           way_words[way], WIDTH_MAX, probes[TAIL_RUNS / 2], hours[TAIL_RUNS / 2],
           probes[TAIL_RUNS * 9 / 10]);
}

static double width_at(const struct tail_results *results, enum tail_way way, size_t check)
{
    return judge(results, way, check, runs_at(check), TAIL_TAIL90, 0).width;
}

/* How many probes give intervals of the 90 % tail as wide as so many plain ones: between two checks by the
 * logarithm, below the first one that. */
static double match_probes(const struct tail_results *results, enum tail_way way, size_t check)
{
    const double width = width_at(results, TAIL_PLAIN, check);
    double before = width_at(results, way, 0);
    if (before <= width)
        return (double)tail_checks[0];
    for (size_t c = 1; c < TAIL_CHECKS; c++) {
        double here = width_at(results, way, c);
        if (here <= width) {
            double part = (before - width) / (before - here);
            double low = (double)tail_checks[c - 1], high = (double)tail_checks[c];
            return low * pow(high / low, part);
        }
        before = here;
    }
    return INFINITY;
}

/* Of all bits, in the long runs of all ways. */
static double bits_share(const struct tail_results *results)
{
    double share = 0;
    for (int way = 0; way < TAIL_WAYS; way++)
        for (size_t run = 0; run < TAIL_LONG_RUNS; run++)
            share += results->checks[way][run][CHECK_1000].bits_share / (TAIL_WAYS * TAIL_LONG_RUNS);
    return share;
}

static void sum_up(const struct tail_results *results, const struct exact *exact,
                   struct tail_summary *summary)
{
    const size_t looks = TAIL_PRODUCT_WAYS * PRINTED;
    double cover90 = 0, cover99 = 0;
    for (int way = 0; way < TAIL_PRODUCT_WAYS; way++) {
        for (size_t i = 0; i < PRINTED; i++) {
            cover90 += judge(results, (enum tail_way)way, printed[i], TAIL_LONG_RUNS, TAIL_TAIL90,
                             exact->tail90)
                           .cover /
                       (double)looks;
            if (printed[i] >= CHECK_300)
                cover99 += judge(results, (enum tail_way)way, printed[i], TAIL_LONG_RUNS,
                                 TAIL_TAIL99, exact->tail99)
                               .cover /
                           (2.0 * TAIL_PRODUCT_WAYS);
        }
    }
    summary->rungs++;
    summary->cover90 = fmin(summary->cover90, cover90);
    summary->cover99 = fmin(summary->cover99, cover99);
    summary->bits_share = fmax(summary->bits_share, bits_share(results));
    summary->width90 = fmax(
        summary->width90,
        judge(results, TAIL_UNCERTAIN, CHECK_300, TAIL_LONG_RUNS, TAIL_TAIL90, exact->tail90).width);
    summary->mean_off =
        fmax(summary->mean_off,
             judge(results, TAIL_UNCERTAIN, CHECK_1000, TAIL_LONG_RUNS, TAIL_MEAN, exact->mean).off);
    summary->probes_ratio_sum +=
        match_probes(results, TAIL_UNCERTAIN, CHECK_300) / (double)tail_checks[CHECK_300];
}

void tail_report_rung(const struct tail_results *results, struct tail_summary *summary)
{
    const struct exact exact = find_exact(results->rung->exact);
    const struct exact seen = find_exact(results->rung->seen[TAIL_QUALITY_AGENT]);
    print_rung(results->rung);
    printf("  %-9s %6s %6s   %-23s   %-23s   %-23s\n", "", "", "", "mean", "tail90", "tail99");
    printf("  %-9s %6s %6s", "drawn", "probes", "hours");
    for (int i = TAIL_MEAN; i <= TAIL_TAIL99; i++)
        printf("   %4s %4s %6s %6s", "in %", "(*)", "width", "off");
    printf("\n");
    for (int way = 0; way < TAIL_WAYS; way++)
        for (size_t i = 0; i < PRINTED; i++)
            print_check(results, (enum tail_way)way, printed[i], &exact, &seen);
    for (int way = 0; way < TAIL_WAYS; way++)
        print_patience(results, (enum tail_way)way);
    printf("  as wide as with 100 and 300 plain probes: after %.0f and %.0f random ones, %.0f and "
           "%.0f drawn "
           "by uncertainty\n  %.2f %% of all bits went into probes\n",
           match_probes(results, TAIL_RANDOM, CHECK_100),
           match_probes(results, TAIL_RANDOM, CHECK_300),
           match_probes(results, TAIL_UNCERTAIN, CHECK_100),
           match_probes(results, TAIL_UNCERTAIN, CHECK_300), 100 * bits_share(results));
    if (summary)
        sum_up(results, &exact, summary);
}

void tail_report_summary(const struct tail_summary *summary)
{
    printf("\nmean accuracy off by %.4f at most with 1000 probes\n", summary->mean_off);
    printf("tail: cover90=%.3f width90=%.3f cover99=%.3f probes_ratio=%.2f bits_share=%.4f\n",
           summary->cover90, summary->width90, summary->cover99,
           summary->probes_ratio_sum / (double)summary->rungs, summary->bits_share);
}
