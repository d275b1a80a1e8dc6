/* probe_rig: see the header. Failures go through cmocka. */
#include "probe_rig.h"

#include "base/clock.h"
#include "media/encode.h"
#include <json-c/json.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SOURCE_QUALITY 14
#define RECEIPT_MS 10000u
#define LOOK_MS 100u
#define FRAMES_MAX 10000u

/* ---- lines ---- */

/* Answers as they are met: a probe's line comes after its frame's. */
struct answers_met {
    uint64_t frame[FRAMES_MAX];
    char capture[FRAMES_MAX][40];
    size_t count;
};

static struct json_object *member(struct json_object *line, const char *key, enum json_type type)
{
    struct json_object *value;
    if (!json_object_object_get_ex(line, key, &value) || !json_object_is_type(value, type))
        fail_msg("no %s in %s", key, json_object_to_json_string(line));
    return value;
}

static const char *text_of(struct json_object *line, const char *key)
{
    return json_object_get_string(member(line, key, json_type_string));
}

static uint64_t number_of(struct json_object *line, const char *key)
{
    return json_object_get_uint64(member(line, key, json_type_int));
}

static void meet_answer(struct answers_met *met, struct json_object *line)
{
    if (strcmp(text_of(line, "status"), "ok") != 0)
        return;
    double uncertainty = json_object_get_double(member(line, "uncertainty", json_type_double));
    assert_true(uncertainty >= 0 && uncertainty <= 1);
    assert_true(met->count < FRAMES_MAX);
    met->frame[met->count] = number_of(line, "frame");
    snprintf(met->capture[met->count++], sizeof met->capture[0], "%s", text_of(line, "capture"));
}

static void check_answered(const struct answers_met *met, uint64_t frame, const char *capture)
{
    for (size_t i = met->count; i-- > 0;)
        if (met->frame[i] == frame && strcmp(met->capture[i], capture) == 0)
            return;
    fail_msg("no answer to frame %llu, captured at %s, before its probe", (unsigned long long)frame,
             capture);
}

/* Every class has something to tell, and what it tells adds up to the accuracy: the F1 of these boxes. */
static void check_classes(struct json_object *line, double accuracy)
{
    struct json_object *classes = member(line, "classes", json_type_array);
    double hits = 0, wrong = 0;
    for (size_t i = 0; i < json_object_array_length(classes); i++) {
        struct json_object *class = json_object_array_get_idx(classes, i);
        assert_true(text_of(class, "class")[0] != '\0');
        double errors = (double)(number_of(class, "false_alarms") + number_of(class, "misses"));
        assert_true((double)number_of(class, "hits") + errors > 0);
        hits += (double)number_of(class, "hits");
        wrong += errors;
    }
    double f1 = hits + wrong > 0 ? 2 * hits / (2 * hits + wrong) : 1;
    assert_true(fabs(f1 - accuracy) < 1e-5);
}

static void read_probe(struct json_object *line, const struct answers_met *met,
                       struct probe_seen *seen)
{
    seen->frame = number_of(line, "frame");
    seen->wire_bytes = number_of(line, "wire_bytes");
    snprintf(seen->rung, sizeof seen->rung, "%s", text_of(line, "rung"));
    seen->accuracy = json_object_get_double(member(line, "accuracy", json_type_double));
    seen->probability = json_object_get_double(member(line, "probability", json_type_double));
    seen->uncertainty_rank =
        json_object_get_double(member(line, "uncertainty_rank", json_type_double));
    assert_true(seen->uncertainty_rank > 0 && seen->uncertainty_rank <= 1);
    assert_string_equal(text_of(line, "model"), "street_det");
    assert_string_equal(text_of(line, "golden"), "street_det");
    assert_string_equal(text_of(line, "kind"), "boxes");
    check_answered(met, seen->frame, text_of(line, "capture"));
    check_classes(line, seen->accuracy);
}

size_t probes_read(const char *path, const char *stream, struct probe_seen seen[PROBES_MAX])
{
    static struct answers_met met;
    char *text = NULL;
    size_t capacity = 0, count = 0;
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("no %s", path);
    met.count = 0;
    while (getline(&text, &capacity, file) > 0 && strchr(text, '\n')) {
        struct json_object *line = json_tokener_parse(text), *name;
        if (!line)
            fail_msg("%s: not JSON: %s", path, text);
        if (json_object_object_get_ex(line, "stream", &name)) {
            if (strcmp(json_object_get_string(name), stream) == 0)
                meet_answer(&met, line);
        } else if (strcmp(text_of(line, "probe"), stream) == 0) {
            assert_true(count < PROBES_MAX);
            read_probe(line, &met, &seen[count]);
            assert_true(count == 0 || seen[count].frame > seen[count - 1].frame);
            count++;
        }
        json_object_put(line);
    }
    free(text);
    fclose(file);
    return count;
}

size_t probes_count(const char *path, const char *stream)
{
    char *text = NULL, begin[100];
    size_t capacity = 0, count = 0;
    FILE *file = fopen(path, "r");
    snprintf(begin, sizeof begin, "{\"probe\":\"%s\",", stream);
    while (file && getline(&text, &capacity, file) > 0)
        count += strncmp(text, begin, strlen(begin)) == 0 && strchr(text, '\n');
    free(text);
    if (file)
        fclose(file);
    return count;
}

/* ---- figures ---- */

static void read_tail(struct json_object *from, struct tail_seen *tail)
{
    struct json_object *mean;
    tail->probes = (unsigned)number_of(from, "probes");
    snprintf(tail->rung, sizeof tail->rung, "%s", text_of(from, "rung"));
    assert_string_equal(text_of(from, "golden"), "street_det");
    tail->tail99_known = json_object_object_get_ex(from, "tail99", NULL);
    tail->mean_known = json_object_object_get_ex(from, "mean", &mean);
    if (!tail->mean_known)
        return;
    tail->mean = json_object_get_double(member(mean, "value", json_type_double));
    tail->low = json_object_get_double(member(mean, "low", json_type_double));
    tail->high = json_object_get_double(member(mean, "high", json_type_double));
    assert_true(0 <= tail->low && tail->low <= tail->mean && tail->mean <= tail->high);
    assert_true(tail->high <= 1);
}

void tail_get(uint16_t server_port, const char *stream, struct tail_seen *tail)
{
    const char *body = strstr(page_get(server_port, "/api/streams"), "\r\n\r\n");
    struct json_object *page = body ? json_tokener_parse(body + 4) : NULL, *from;
    *tail = (struct tail_seen){ .probes = 0 };
    if (!page)
        return;
    struct json_object *streams = member(page, "streams", json_type_array);
    for (size_t i = 0; i < json_object_array_length(streams); i++) {
        struct json_object *one = json_object_array_get_idx(streams, i);
        if (strcmp(text_of(one, "stream"), stream) == 0 &&
            json_object_object_get_ex(one, "tail", &from))
            read_tail(from, tail);
    }
    json_object_put(page);
}

pid_t worker_pid(const struct process *server, const char *name)
{
    char *line = NULL, word[100];
    size_t capacity = 0;
    long pid = 0;
    FILE *log = fopen(server->log, "r");
    assert_non_null(log);
    snprintf(word, sizeof word, "msg=ready worker=%s pid=", name);
    while (getline(&line, &capacity, log) > 0) {
        const char *at = strstr(line, word);
        pid = at ? strtol(at + strlen(word), NULL, 10) : pid;
    }
    free(line);
    fclose(log);
    if (pid <= 0)
        fail_msg("no worker %s", name);
    return (pid_t)pid;
}

/* ---- a client's probes ---- */

struct packet *probe_encode(uint64_t frame, uint32_t width, uint32_t height)
{
    const struct encoder_config config = {
        .rung = { .width = width,
                  .height = height,
                  .mode = RATE_QUALITY,
                  .quality = SOURCE_QUALITY,
                  .bitrate_kbps = 200000,
                  .vbv_ms = 5000,
                  .preset = RUNG_PRESET_VERYFAST,
                  .keyframe_s = 1 },
        .fps = 1,
        .threads = 1,
    };
    struct encoder *encoder = NULL;
    struct picture *picture = NULL;
    struct packet *packet = NULL;
    struct error err;
    if (encoder_open(&encoder, &config, &err) != 0 ||
        picture_create(&picture, width, height, &err) != 0)
        fail_msg("%s", err.text);
    client_draw(picture, frame);
    if (encoder_encode(encoder, picture, frame, true, &packet, &err) != 0)
        fail_msg("%s", err.text);
    picture_unref(&picture);
    encoder_close(&encoder);
    return packet;
}

void probe_send_start(struct client *client, uint64_t frame, const char *rung)
{
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__ProbeStart start = RUNESPOOR__PROBE_START__INIT;
    start.session = client->session;
    start.frame = frame;
    start.probability = 1;
    start.rung = (char *)(uintptr_t)rung;
    header.kind_case = RUNESPOOR__HEADER__KIND_PROBE_START;
    header.probe_start = &start;
    client_send(client, &header, NULL, 0);
}

void probe_send_slice(struct client *client, uint64_t frame, uint32_t slice, uint32_t bytes,
                      const void *payload, size_t payload_bytes)
{
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__ProbeSlice message = RUNESPOOR__PROBE_SLICE__INIT;
    message.session = client->session;
    message.frame = frame;
    message.slice = slice;
    message.bytes = bytes;
    header.kind_case = RUNESPOOR__HEADER__KIND_PROBE_SLICE;
    header.probe_slice = &message;
    client_send(client, &header, payload, payload_bytes);
}

struct receipt probe_wait_receipt(struct client *client)
{
    struct receipt receipt = { .frame = 0 };
    bool found = false;
    uint64_t deadline_ns = clock_now_ns() + RECEIPT_MS * CLOCK_NS_PER_MS;
    while (!found && clock_now_ns() < deadline_ns) {
        Runespoor__Header *header = client_receive(client, LOOK_MS);
        if (!header)
            continue;
        found = header->kind_case == RUNESPOOR__HEADER__KIND_RECEIPT && header->receipt->probe;
        if (found) {
            receipt.frame = header->receipt->frame;
            receipt.slice = header->receipt->slice;
            snprintf(receipt.refused, sizeof receipt.refused, "%s", header->receipt->refused);
        }
        wire_free(&header);
    }
    if (!found)
        fail_msg("no receipt");
    return receipt;
}

uint32_t probe_slices(size_t size)
{
    return (uint32_t)((size + SLICE_BYTES - 1) / SLICE_BYTES);
}

void probe_send_slices(struct client *client, uint64_t frame, const void *bytes, size_t size,
                       uint32_t first, uint32_t last)
{
    for (uint32_t slice = first; slice < last; slice++) {
        size_t at = (size_t)slice * SLICE_BYTES, left = size - at;
        probe_send_slice(client, frame, slice, (uint32_t)size, (const uint8_t *)bytes + at,
                         left < SLICE_BYTES ? left : SLICE_BYTES);
        struct receipt receipt = probe_wait_receipt(client);
        assert_int_equal(receipt.frame, frame);
        assert_int_equal(receipt.slice, slice);
        assert_string_equal(receipt.refused, "");
    }
}

void probe_send_bye(struct client *client)
{
    Runespoor__Header header = RUNESPOOR__HEADER__INIT;
    Runespoor__Bye bye = RUNESPOOR__BYE__INIT;
    bye.session = client->session;
    bye.reason = (char *)"the test is over";
    header.kind_case = RUNESPOOR__HEADER__KIND_BYE;
    header.bye = &bye;
    client_send(client, &header, NULL, 0);
}
