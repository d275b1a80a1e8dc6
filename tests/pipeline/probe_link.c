/* probe_link: see the header. */
#include "probe_link.h"

#include "base/clock.h"
#include "harness.h"
#include "probe_line.h"
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define PORT 5570
#define HTTP_PORT 5580
#define CREDITS "16"
#define LOOK_US 20000u
#define LOOKS_MAX 20000u
#define STATE_WAITS 2 /* edge_probe_state */

/* A full slice with its headers: 1,246 to 1,249 bytes with IPv4 and TCP. It may find acknowledgements, reports and
 * heartbeats in the line, but no frame, which has more than 400 bytes here. */
static const struct line_watch slice_packet = { .bytes_min = 1240,
                                                .bytes_max = 1259,
                                                .empty_bytes_max = 400 };

struct look {
    uint64_t wall_us;
    int state; /* of the probe */
};

struct looks {
    struct look look[LOOKS_MAX];
    size_t count;
};

/* ---- a stream ---- */

static void start_server(struct process *server, const struct scratch *scratch)
{
    char address[64], http[64];
    snprintf(address, sizeof address, "listen.address=tcp://" LINE_SERVER ":%d", PORT);
    snprintf(http, sizeof http, "http.address=127.0.0.1:%d", HTTP_PORT);
    server_start(server, scratch,
                 (const char *const[]){
                     address, http, "credits=" CREDITS, "pool.queue_per_stream=" CREDITS,
                     "pool.devices.0.kind=simulated", "pool.devices.0.service_ms=1",
                     "pool.devices.1.kind=simulated", "pool.devices.1.service_ms=1", NULL });
    process_expect(server, "msg=ready\n", 15000);
}

static void start_agent(struct process *agent, const struct scratch *scratch,
                        const struct link_plan *plan)
{
    char texts[7][80];
    snprintf(texts[0], sizeof texts[0], "server.address=tcp://" LINE_SERVER ":%d", PORT);
    snprintf(texts[1], sizeof texts[1], "http.address=127.0.0.1:%d", HTTP_PORT);
    snprintf(texts[2], sizeof texts[2], "cameras.0.source.width=%u", plan->width);
    snprintf(texts[3], sizeof texts[3], "cameras.0.source.height=%u", plan->height);
    snprintf(texts[4], sizeof texts[4], "cameras.0.source.fps=%u", plan->fps);
    snprintf(texts[5], sizeof texts[5], "cameras.0.rung.bitrate_kbps=%u", plan->live_kbps);
    snprintf(texts[6], sizeof texts[6], "probes.share=%g", plan->share);
    agent_start(agent, scratch, "agent",
                (const char *const[]){ "cameras.0.source.kind=test", texts[0], texts[1], texts[2],
                                       texts[3], texts[4], texts[5], texts[6],
                                       "cameras.0.rung.keyframe_s=600", NULL });
    process_expect(agent, "msg=streaming", 30000);
}

/* Looks at the probe's state as often as it can until the time is over. */
static void watch(const struct link_plan *plan, struct looks *looks)
{
    uint64_t end_ns = clock_now_ns() + plan->seconds * CLOCK_NS_PER_S;
    for (looks->count = 0; clock_now_ns() < end_ns && looks->count < LOOKS_MAX; looks->count++) {
        double state = metric_now(HTTP_PORT, "edge_probe_state");
        looks->look[looks->count] = (struct look){ clock_wall_us(), (int)state };
        usleep(LOOK_US);
    }
}

static void read_counts(struct line *line, struct link_seen *seen)
{
    struct line_seen up;
    line_get_seen(line, &up);
    seen->link_bytes = (double)up.bytes;
    seen->slices = (unsigned)up.watched;
    seen->slices_behind = (unsigned)up.watched_behind;
    const char *page = page_get(HTTP_PORT, "/metrics");
    seen->captured = (size_t)metric_sum(page, "edge_frames_captured_total");
    seen->sent_bytes = metric_sum(page, "edge_sent_bytes_total");
    seen->probe_bytes = metric_sum(page, "edge_probe_bytes_total");
    seen->probes_sent =
        (unsigned)metric_sum(page, "edge_probes_total{stream=\"cam\",end=\"sent\"}");
    seen->waits = metric_sum(page, "edge_probe_state") >= STATE_WAITS;
    seen->dropped = metric_sum(page, "edge_frames_dropped_total");
    seen->dropped_no_credit =
        metric_sum(page, "edge_frames_dropped_total{stream=\"cam\",reason=\"no_credit\"}");
    seen->dropped_encoder_late =
        metric_sum(page, "edge_frames_dropped_total{stream=\"cam\",reason=\"encoder_late\"}");
    line_enter(line, SIDE_SERVER);
    page = page_get(HTTP_PORT, "/metrics");
    seen->probes_scored =
        (unsigned)metric_sum(page, "server_probes_total{stream=\"cam\",end=\"scored\"}");
    seen->probes_other = (unsigned)metric_sum(page, "server_probes_total") - seen->probes_scored;
    line_enter(line, SIDE_AGENT);
}

/* "2026-11-22T04:26:01.823Z" in microseconds since 1970. */
static uint64_t read_time(const char *text)
{
    struct tm tm = { .tm_year = 0 };
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    assert_true(rest && *rest == '.');
    return (uint64_t)timegm(&tm) * 1000000 + strtoul(rest + 1, NULL, 10) * 1000;
}

/* Whether a probe was there to be sent at some time between. */
static bool was_beside_probe(const struct looks *looks, uint64_t from_us, uint64_t to_us)
{
    for (size_t i = 0; i < looks->count; i++)
        if (looks->look[i].state >= STATE_WAITS && looks->look[i].wall_us >= from_us &&
            looks->look[i].wall_us <= to_us + 2 * (uint64_t)LOOK_US)
            return true;
    return false;
}

static struct json_object *member(struct json_object *line, const char *key)
{
    struct json_object *value = NULL;
    if (!json_object_object_get_ex(line, key, &value))
        fail_msg("no %s in %s", key, json_object_to_json_string(line));
    return value;
}

static void read_frame(struct json_object *line, const struct looks *looks, struct link_frame *frame)
{
    assert_string_equal(json_object_get_string(member(line, "status")), "ok");
    frame->number = json_object_get_uint64(member(line, "frame"));
    frame->age_ms = json_object_get_double(member(line, "age_ms"));
    uint64_t from_us = read_time(json_object_get_string(member(line, "capture")));
    frame->beside_probe =
        was_beside_probe(looks, from_us, from_us + (uint64_t)(frame->age_ms * 1000));
}

static void read_frames(const char *path, const struct looks *looks, struct link_seen *seen)
{
    char *text = NULL;
    size_t capacity = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (seen->frame_count = 0; getline(&text, &capacity, file) > 0;) {
        struct json_object *line = json_tokener_parse(text);
        assert_true(line && seen->frame_count < LINK_FRAMES_MAX);
        read_frame(line, looks, &seen->frames[seen->frame_count++]);
        json_object_put(line);
    }
    free(text);
    fclose(file);
}

void link_run(const struct link_plan *plan, struct link_seen *seen)
{
    static struct looks looks;
    struct scratch scratch;
    struct line *line;
    struct process server, agent;
    *seen = (struct link_seen){ .captured = 0 };
    scratch_make(&scratch);
    line_open(&line, plan->link_kbps, plan->burst_bytes, slice_packet);
    line_enter(line, SIDE_SERVER);
    start_server(&server, &scratch);
    line_enter(line, SIDE_AGENT);
    start_agent(&agent, &scratch, plan);
    watch(plan, &looks);
    read_counts(line, seen);
    seen->told_full = process_said(&agent, "a probe waits: the uplink has no room");
    process_stop_well(&agent);
    process_stop_well(&server);
    line_close(&line);
    read_frames(scratch_path(&scratch, "agent.jsonl"), &looks, seen);
    scratch_remove(&scratch);
}
