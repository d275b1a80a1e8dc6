/* bench_report: figures of a bench, derived once and printed in either form. */
#include "analyse/bench_report.h"
#include "base/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define MIB ((double)(1 << 20))

struct figures {
    struct device_info info;
    double median_ms, p10_ms, p90_ms, pictures_per_s, gflop, gflop_per_s, share;
    uint64_t weight_bytes, activation_bytes, process_bytes;
};

static void derive(const struct bench_report *report, struct figures *figures);
static void print_table(const struct bench_report *report, const struct figures *figures);
static int print_json(const struct bench_report *report, const struct figures *figures,
                      struct error *err);
static int by_value(const void *a, const void *b);

int bench_report_print(const struct bench_report *report, bool as_json, struct error *err)
{
    struct figures figures;
    bench_sort(report->times_ns, report->runs);
    derive(report, &figures);
    if (as_json)
        return print_json(report, &figures, err);
    print_table(report, &figures);
    return 0;
}

void bench_sort(uint64_t *times_ns, uint32_t runs)
{
    qsort(times_ns, runs, sizeof *times_ns, by_value);
}

uint64_t bench_percentile(const uint64_t *times_ns, uint32_t runs, uint32_t percent)
{
    uint64_t rank = ((uint64_t)runs * percent + 99) / 100;
    return times_ns[rank > 0 ? rank - 1 : 0];
}

static void derive(const struct bench_report *report, struct figures *figures)
{
    uint64_t median_ns = bench_percentile(report->times_ns, report->runs, 50);
    struct rusage usage;
    *figures = (struct figures){
        .median_ms = (double)median_ns / 1e6,
        .p10_ms = (double)bench_percentile(report->times_ns, report->runs, 10) / 1e6,
        .p90_ms = (double)bench_percentile(report->times_ns, report->runs, 90) / 1e6,
        .gflop = (double)plan_flop(report->plan) / 1e9,
    };
    if (median_ns > 0) {
        figures->pictures_per_s = 1e9 * report->pictures / (double)median_ns;
        figures->gflop_per_s = (double)plan_flop(report->plan) / (double)median_ns;
    }
    if (report->peak_gflops > 0)
        figures->share = figures->gflop_per_s / report->peak_gflops;
    device_get_info(report->device, &figures->info);
    plan_memory(report->plan, &figures->activation_bytes, &figures->weight_bytes);
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        figures->process_bytes = (uint64_t)usage.ru_maxrss * 1024;
}

static void print_table(const struct bench_report *report, const struct figures *figures)
{
    printf("model    %s, %s, %u picture%s a run, %.3g GFLOP\n", report->model, report->precision,
           report->pictures, report->pictures == 1 ? "" : "s", figures->gflop);
    printf("device   %s, %s, %u threads\n", figures->info.kind, figures->info.name,
           figures->info.threads);
    printf("time     median %.3f ms, p10 %.3f, p90 %.3f, of %u runs\n", figures->median_ms,
           figures->p10_ms, figures->p90_ms, report->runs);
    printf("speed    %.1f pictures/s, %.1f GFLOP/s", figures->pictures_per_s, figures->gflop_per_s);
    if (report->peak_gflops > 0)
        printf(", %.0f%% of the %.0f that it reaches", 100 * figures->share, report->peak_gflops);
    printf("\nmemory   weights %.1f MiB, activations %.1f MiB; the process had %.1f MiB at most\n",
           (double)figures->weight_bytes / MIB, (double)figures->activation_bytes / MIB,
           (double)figures->process_bytes / MIB);
}

static int print_json(const struct bench_report *report, const struct figures *figures,
                      struct error *err)
{
    struct text text = { 0 };
    json_begin_object(&text, NULL);
    json_str(&text, "model", report->model);
    json_str(&text, "precision", report->precision);
    json_str(&text, "device", figures->info.kind);
    json_str(&text, "processor", figures->info.name);
    json_u64(&text, "threads", figures->info.threads);
    json_u64(&text, "batch", report->pictures);
    json_u64(&text, "runs", report->runs);
    json_f64(&text, "median_ms", figures->median_ms, 4);
    json_f64(&text, "p10_ms", figures->p10_ms, 4);
    json_f64(&text, "p90_ms", figures->p90_ms, 4);
    json_f64(&text, "pictures_per_s", figures->pictures_per_s, 2);
    json_f64(&text, "gflop", figures->gflop, 6);
    json_f64(&text, "gflop_per_s", figures->gflop_per_s, 2);
    if (report->peak_gflops > 0) {
        json_f64(&text, "peak_gflop_per_s", report->peak_gflops, 1);
        json_f64(&text, "share_of_peak", figures->share, 4);
    }
    json_u64(&text, "weight_bytes", figures->weight_bytes);
    json_u64(&text, "activation_bytes", figures->activation_bytes);
    json_u64(&text, "process_bytes_max", figures->process_bytes);
    json_end_object(&text);
    text_add_str(&text, "\n");
    int result = text.failed ? error_set(err, ERROR_MEMORY, "bench", "no room for the result") : 0;
    if (result == 0)
        fputs(text.data, stdout);
    text_finish(&text);
    return result;
}

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}
