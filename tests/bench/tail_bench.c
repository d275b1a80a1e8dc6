/* tail_bench: whether what probes say of a stream is true, and what they cost. Every frame of two videos is
 * sent at several rungs and answered once, by the product's own code; then long streams are simulated in which
 * these frames come again and again and some become probes, with the agent's budget and the server's window,
 * and intervals are held against what all frames give. Part of make bench-tail.
 *
 *     tail_bench CAMVID_PICTURES VTEST_VIDEO
 *
 * From the root of the repository, for models/. The last line is explained in tail.sh. */
#include "base/clock.h"
#include "base/log.h"
#include "tail_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CAMVID_FPS 15.0
#define SHARE 0.03 /* of the bits, for probes: the agent's, unless it is configured */
#define RUNGS 3u

struct rung_size {
    uint32_t width, height, bitrate_kbps;
};

/* Rungs at which compression costs something, each with another way of restoring. */
struct set {
    const char *name, *model;
    bool hours;      /* to see how long it takes: not in the last line */
    size_t argument; /* of the program: its pictures */
    struct rung_size rungs[RUNGS];
};

static const struct set sets[] = {
    { "CamVid", "models/street_det", false, 1, { { 480, 360, 110 }, { 240, 180, 110 }, { 160, 120, 60 } } },
    { "CamVid",
      "models/camvid_segment",
      false,
      1,
      { { 480, 360, 110 }, { 240, 180, 110 }, { 120, 90, 60 } } },
    { "vtest.avi",
      "models/street_det",
      false,
      2,
      { { 384, 288, 20 }, { 256, 192, 20 }, { 192, 144, 35 } } },
    { "CamVid",
      "models/street_det",
      true,
      1,
      { { 480, 360, 100 }, { 480, 360, 300 }, { 480, 360, 1000 } } },
};

/* Of the simulation, for all that is printed about it. */
struct effort {
    double hours, seconds;
};

static int simulate(struct tail_results *results, struct effort *effort, struct error *err)
{
    const uint64_t begun_ns = clock_now_ns();
    for (int way = 0; way < TAIL_WAYS; way++)
        for (size_t run = 0; run < TAIL_RUNS; run++) {
            const struct tail_stream stream = { .rung = results->rung,
                                                .quality = TAIL_QUALITY_AGENT,
                                                .share = SHARE,
                                                .uncertain = way == TAIL_UNCERTAIN,
                                                .plain = way == TAIL_PLAIN,
                                                .seed = run + 1 };
            size_t checks = run < TAIL_LONG_RUNS ? TAIL_CHECKS : TAIL_SHORT_CHECKS;
            int rc = tail_simulate(&stream, results->checks[way][run], checks, err);
            if (rc < 0)
                return rc;
            effort->hours += results->checks[way][run][checks - 1].hours;
        }
    effort->seconds += (double)(clock_now_ns() - begun_ns) / 1e9;
    return 0;
}

static int measure_rung(const struct tail_truth *truth, const struct rung_size *size,
                        struct device *device, struct tail_summary *summary, struct effort *effort,
                        struct error *err)
{
    static struct tail_results results; /* large */
    struct tail_rung rung;
    int rc = tail_rung_open(&rung, truth, size->width, size->height, size->bitrate_kbps, device, err);
    if (rc < 0)
        return rc;
    results.rung = &rung;
    rc = simulate(&results, effort, err);
    if (rc == 0)
        tail_report_rung(&results, summary);
    fflush(stdout);
    tail_rung_close(&rung);
    return rc;
}

static int measure_set(const struct set *set, char **argv, struct device *device,
                       struct tail_summary *summary, struct effort *effort, struct error *err)
{
    struct tail_truth truth;
    int rc = tail_truth_open(&truth, argv[set->argument], CAMVID_FPS, set->model, device, err);
    if (rc < 0)
        return rc;
    tail_report_truth(&truth, set->name);
    for (size_t i = 0; rc == 0 && i < RUNGS; i++)
        rc = measure_rung(&truth, &set->rungs[i], device, set->hours ? NULL : summary, effort, err);
    tail_truth_close(&truth);
    return rc;
}

int main(int argc, char **argv)
{
    struct tail_summary summary = TAIL_SUMMARY_START;
    struct effort effort = { 0 };
    struct device *device = NULL;
    struct error err = { 0 };
    if (argc != 3) {
        fprintf(stderr, "usage: %s CAMVID_PICTURES VTEST_VIDEO\n", argv[0]);
        return 2;
    }
    int rc = log_configure("warn", &err);
    if (rc == 0)
        rc = device_open(&device, "cpu", &err);
    for (size_t i = 0; rc == 0 && i < sizeof sets / sizeof sets[0]; i++)
        rc = measure_set(&sets[i], argv, device, &summary, &effort, &err);
    device_close(&device);
    if (rc < 0) {
        fprintf(stderr, "tail_bench: %s\n", err.text);
        return 1;
    }
    printf("\nsimulated: %.0f hours of streams in %.0f s\n", effort.hours, effort.seconds);
    tail_report_summary(&summary);
    return 0;
}
