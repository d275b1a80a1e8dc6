/* bench_report: what `cloud-server model bench` says: a short table, or one JSON object. */
#ifndef RUNESPOOR_ANALYSE_BENCH_REPORT_H
#define RUNESPOOR_ANALYSE_BENCH_REPORT_H

#include "device.h"
#include <stdbool.h>

struct bench_report {
    const char *model;
    const char *precision; /* its word */
    struct device *device;
    const struct plan *plan;
    uint64_t *times_ns; /* of the runs; gets sorted */
    uint32_t runs;
    uint32_t pictures;  /* of each run */
    double peak_gflops; /* 0: not known, or of no meaning for this precision */
};

/* Nearest rank: the smallest time that this share of the runs reached. times_ns is sorted. */
uint64_t bench_percentile(const uint64_t *times_ns, uint32_t runs, uint32_t percent);
void bench_sort(uint64_t *times_ns, uint32_t runs);

int bench_report_print(const struct bench_report *report, bool as_json, struct error *err);

#endif
