/* probes: see the header. A stream has at most one probe at a time: drawn, encoded, sent slice by slice. */
#include "probes.h"

#include "base/clock.h"
#include "base/log.h"
#include "messages.h"
#include "probe_budget.h"
#include "probe_encoder.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What the first probe is expected to need, a pixel; afterwards it is known. */
#define FIRST_BYTES_PER_PIXEL 0.2
/* Of a camera that has not been seen yet. */
#define FIRST_PIXELS (1280.0 * 720)
/* A probe that waits so long for the link has something to say about it. */
#define FULL_NS (10 * CLOCK_NS_PER_S)
/* With header, encryption and framing it stays below WIRE_SLICE_BYTES_MAX. */
#define SLICE_BYTES 1100u

enum probe_state { PROBE_NONE, PROBE_ENCODING, PROBE_WAITING, PROBE_SLICE_SENT };

/* What becomes of a probe; end_words has the metric's words. */
enum probe_end { PROBE_SENT, PROBE_REFUSED, PROBE_CUT_OFF, PROBE_FAILED, PROBE_END_COUNT };
static const char *const end_words[PROBE_END_COUNT] = {
    [PROBE_SENT] = "sent",
    [PROBE_REFUSED] = "refused",
    [PROBE_CUT_OFF] = "session_ended", /* the link is lost, or the source has ended */
    [PROBE_FAILED] = "encoder_failed",
};

/* A picture that may become a probe when its answer is here. */
struct kept_picture {
    uint64_t frame;
    struct picture *picture;
    struct rung rung;
};

struct probe_stream {
    struct probes *probes;
    const char *name; /* NULL: the part is free */
    struct probe_budget budget;
    struct metric_counter *ended[PROBE_END_COUNT], *bytes;
    struct metric_gauge *state_gauge;

    uint64_t session; /* 0: none */
    uint32_t epoch;   /* counts sessions, so that a picture encoded for an old one is known */
    Runespoor__ProbeOrder order;
    bool in_flight; /* packets were sent that have not arrived, as far as is known */
    uint64_t sent_frame, sent_ns;
    struct kept_picture kept[CREDITS_MAX]; /* oldest first */
    size_t kept_count;

    enum probe_state state;
    uint64_t frame;
    struct packet *packet;
    uint32_t slice;    /* the next one, or the one that was sent */
    uint64_t behind;   /* the last frame sent before that slice */
    size_t sent_bytes; /* of the picture, in slices that have arrived or are on their way */
    size_t wire_bytes; /* of the whole probe so far */
    uint64_t waits_since_ns, pace_ns; /* the next slice may go then */
    bool told;                        /* that it waits */
};

struct probes {
    uv_async_t wake;
    uv_timer_t pace;
    unsigned handles; /* of these two, not closed yet */
    struct probes_config config;
    struct uplink *uplink;
    struct metrics *metrics;
    struct probe_encoder *encoder;
    struct probe_stream *streams;
    size_t stream_count, streams_max; /* parts that were ever in use, and that there are */
    size_t next;                      /* whose turn it is to send a slice */
    size_t pending;                   /* streams with a probe */
};

static void on_encoded(uv_async_t *handle);
static void on_pace(uv_timer_t *timer);
static void begin_probe(struct probe_stream *stream, uint64_t frame, struct picture **picture,
                        const struct rung *rung, double probability);
static void end_probe(struct probe_stream *stream, enum probe_end end);
static void enter(struct probe_stream *stream, enum probe_state state);
static void count_bytes(struct probe_stream *stream, size_t wire_bytes);
static void try_send(struct probes *probes);

static void wake_loop(void *arg)
{
    uv_async_send(&((struct probes *)arg)->wake);
}

static void on_closed(uv_handle_t *handle)
{
    struct probes *probes = handle->data;
    if (--probes->handles > 0)
        return;
    free(probes->streams);
    free(probes);
}

static void close_handles(struct probes *probes)
{
    probes->handles = 2;
    uv_close((uv_handle_t *)&probes->wake, on_closed);
    uv_close((uv_handle_t *)&probes->pace, on_closed);
}

int probes_open(struct probes **out, uv_loop_t *loop, const struct probes_config *config,
                size_t streams_max, struct uplink *uplink, struct metrics *metrics, struct error *err)
{
    struct probes *probes = calloc(1, sizeof *probes);
    struct probe_stream *streams = calloc(streams_max, sizeof *streams);
    if (!probes || !streams) {
        free(probes);
        free(streams);
        return error_set(err, ERROR_MEMORY, "probes", "no memory for %zu streams", streams_max);
    }
    probes->config = *config;
    probes->uplink = uplink;
    probes->metrics = metrics;
    probes->streams = streams;
    probes->streams_max = streams_max;
    int result = uv_async_init(loop, &probes->wake, on_encoded);
    assert(result == 0); /* the loop has its descriptor for this already */
    (void)result;
    uv_timer_init(loop, &probes->pace);
    probes->wake.data = probes->pace.data = probes;
    /* One of a session that is over may still be encoded beside the present one's. */
    int rc = probe_encoder_open(&probes->encoder, 2 * streams_max, wake_loop, probes, err);
    if (rc < 0)
        close_handles(probes);
    else
        *out = probes;
    return rc;
}

void probes_close(struct probes **closed)
{
    struct probes *probes = *closed;
    struct probe_job job;
    if (!probes)
        return;
    *closed = NULL;
    for (size_t i = 0; i < probes->stream_count; i++)
        probe_stream_end(&probes->streams[i]);
    while (probe_encoder_take(probes->encoder, &job))
        packet_unref(&job.packet);
    probe_encoder_close(&probes->encoder);
    close_handles(probes);
}

static void init_metrics(struct probe_stream *stream, struct metrics *metrics)
{
    const struct metric_label label = { "stream", stream->name };
    for (size_t i = 0; i < PROBE_END_COUNT; i++) {
        const struct metric_label labels[] = { label, { "end", end_words[i] } };
        stream->ended[i] = metrics_counter(metrics, "edge_probes_total",
                                           "Probes by what became of them", labels, 2);
    }
    stream->bytes = metrics_counter(metrics, "edge_probe_bytes_total",
                                    "Bytes of probes' messages, header and payload", &label, 1);
    stream->state_gauge = metrics_gauge(
        metrics, "edge_probe_state",
        "0 no probe under way, 1 one is encoded, 2 waits for the link, 3 a slice is on its way",
        &label, 1);
}

/* Streams share the uplink evenly, so each that comes or goes changes the part of the others. */
static void share_uplink(struct probes *probes)
{
    const struct probes_config *config = &probes->config;
    size_t used = 0;
    for (size_t i = 0; i < probes->stream_count; i++)
        used += probes->streams[i].name != NULL;
    for (size_t i = 0; i < probes->stream_count; i++)
        probe_budget_set_config(
            &probes->streams[i].budget,
            &(struct probe_budget_config){
                .share = config->share,
                .unused_share = config->unused_share,
                .uplink_kbps = (double)config->uplink_kbps / (double)(used ? used : 1),
            });
}

void probes_set_config(struct probes *probes, const struct probes_config *config)
{
    probes->config = *config;
    share_uplink(probes);
}

static struct probe_stream *find_free(struct probes *probes)
{
    size_t i = 0;
    while (i < probes->stream_count && probes->streams[i].name)
        i++;
    assert(i < probes->streams_max);
    if (i == probes->stream_count)
        probes->stream_count++;
    return &probes->streams[i];
}

struct probe_stream *probes_add_stream(struct probes *probes, const char *name,
                                       const struct source_info *camera)
{
    struct probe_stream *stream = find_free(probes);
    double pixels = (double)camera->width * camera->height;
    /* The epoch goes on: a picture of the part's last owner may still be with the encoder. */
    *stream = (struct probe_stream){ .probes = probes, .name = name, .epoch = stream->epoch + 1 };
    probe_budget_init(&stream->budget, &(struct probe_budget_config){ .share = 0 },
                      FIRST_BYTES_PER_PIXEL * (pixels > 0 ? pixels : FIRST_PIXELS), random_entropy());
    share_uplink(probes);
    init_metrics(stream, probes->metrics);
    return stream;
}

void probes_remove_stream(struct probe_stream **removed)
{
    struct probe_stream *stream = *removed;
    *removed = NULL;
    if (!stream)
        return;
    probe_stream_end(stream);
    stream->name = NULL;
    share_uplink(stream->probes);
}

/* ---- what a stream says ---- */

static bool wants_probes(const struct probe_stream *stream)
{
    const struct probes_config *config = &stream->probes->config;
    return stream->session != 0 && stream->order != RUNESPOOR__PROBE_ORDER__PROBES_NONE &&
           (config->share > 0 || config->unused_share > 0);
}

bool probe_stream_begin(struct probe_stream *stream, uint64_t session, Runespoor__ProbeOrder order)
{
    stream->session = session;
    stream->order = order;
    stream->epoch++;
    stream->in_flight = false;
    stream->sent_ns = 0;
    return wants_probes(stream);
}

static void drop_kept(struct probe_stream *stream, size_t count)
{
    for (size_t i = 0; i < count; i++)
        picture_unref(&stream->kept[i].picture);
    stream->kept_count -= count;
    memmove(stream->kept, stream->kept + count, stream->kept_count * sizeof stream->kept[0]);
}

void probe_stream_end(struct probe_stream *stream)
{
    if (stream->state != PROBE_NONE)
        end_probe(stream, PROBE_CUT_OFF);
    drop_kept(stream, stream->kept_count);
    stream->session = 0;
    stream->in_flight = false;
}

bool probes_wait(const struct probes *probes)
{
    return probes->pending > 0;
}

void probe_stream_on_sent(struct probe_stream *stream, struct encoded_frame *frame, size_t wire_bytes)
{
    const uint64_t now_ns = clock_now_ns();
    double elapsed_s = stream->sent_ns > 0 ? (double)(now_ns - stream->sent_ns) / 1e9 : 0;
    probe_budget_on_frame(&stream->budget, (double)wire_bytes, elapsed_s);
    stream->in_flight = true;
    stream->sent_frame = frame->number;
    stream->sent_ns = now_ns;
    if (!frame->picture || !wants_probes(stream))
        return;
    if (stream->order == RUNESPOOR__PROBE_ORDER__PROBES_UNCERTAIN) {
        assert(stream->kept_count < CREDITS_MAX); /* a frame in flight has a credit */
        stream->kept[stream->kept_count++] =
            (struct kept_picture){ frame->number, frame->picture, frame->rung };
        frame->picture = NULL;
    } else if (stream->state == PROBE_NONE && probe_budget_draw(&stream->budget, 1)) {
        begin_probe(stream, frame->number, &frame->picture, &frame->rung, 1);
    }
}

static void end_slice(struct probe_stream *stream)
{
    size_t bytes;
    packet_data(stream->packet, &bytes);
    stream->slice++;
    if (stream->sent_bytes == bytes)
        end_probe(stream, PROBE_SENT);
    else
        enter(stream, PROBE_WAITING);
}

/* A slice that was sent before the frame has arrived, too, though its receipt may be lost. */
static void note_arrived(struct probe_stream *stream, uint64_t frame)
{
    if (frame >= stream->sent_frame)
        stream->in_flight = false;
    if (stream->state == PROBE_SLICE_SENT && frame > stream->behind)
        end_slice(stream);
}

/* The picture of an answered frame, if it was kept, may become a probe; those before it cannot any more. */
static void look_at_kept(struct probe_stream *stream, uint64_t frame, double uncertainty)
{
    size_t older = 0;
    while (older < stream->kept_count && stream->kept[older].frame < frame)
        older++;
    drop_kept(stream, older);
    if (stream->kept_count == 0 || stream->kept[0].frame != frame)
        return;
    if (uncertainty >= 0) {
        double relative = probe_budget_relative(&stream->budget, uncertainty);
        if (stream->state == PROBE_NONE && probe_budget_draw(&stream->budget, relative))
            begin_probe(stream, frame, &stream->kept[0].picture, &stream->kept[0].rung, relative);
    }
    drop_kept(stream, 1);
}

void probe_stream_on_answer(struct probe_stream *stream, uint64_t frame, double uncertainty)
{
    note_arrived(stream, frame);
    look_at_kept(stream, frame, uncertainty);
    try_send(stream->probes);
}

void probe_stream_on_receipt(struct probe_stream *stream, const Runespoor__Receipt *receipt)
{
    bool ours = receipt->probe && stream->state != PROBE_NONE && receipt->frame == stream->frame;
    if (!receipt->probe) {
        note_arrived(stream, receipt->frame);
    } else if (ours && receipt->refused[0]) {
        log_debug("probes", "probe refused", LOG_STR("stream", stream->name),
                  LOG_U64("frame", stream->frame), LOG_STR("reason", receipt->refused));
        end_probe(stream, PROBE_REFUSED);
    } else if (ours && stream->state == PROBE_SLICE_SENT && receipt->slice == stream->slice) {
        end_slice(stream);
    }
    try_send(stream->probes);
}

/* ---- the way of a probe ---- */

static void enter(struct probe_stream *stream, enum probe_state state)
{
    if (stream->state == PROBE_NONE)
        stream->probes->pending += state != PROBE_NONE;
    else
        stream->probes->pending -= state == PROBE_NONE;
    stream->state = state;
    stream->waits_since_ns = clock_now_ns();
    metric_gauge_set(stream->state_gauge, state);
}

/* Takes the picture. */
static void begin_probe(struct probe_stream *stream, uint64_t frame, struct picture **picture,
                        const struct rung *rung, double probability)
{
    struct probes *probes = stream->probes;
    const struct probe_job job = {
        .owner = stream,
        .epoch = stream->epoch,
        .frame = frame,
        .quality = probes->config.quality,
        .picture = *picture,
    };
    *picture = NULL;
    stream->frame = frame;
    stream->slice = 0;
    stream->sent_bytes = stream->wire_bytes = 0;
    stream->pace_ns = 0;
    stream->told = false;
    if (!probe_encoder_put(probes->encoder, &job))
        return;
    enter(stream, PROBE_ENCODING);
    count_bytes(stream, messages_send_probe_start(probes->uplink, stream->session, frame, rung,
                                                  probability));
}

static void count_bytes(struct probe_stream *stream, size_t wire_bytes)
{
    stream->wire_bytes += wire_bytes;
    probe_budget_spend(&stream->budget, (double)wire_bytes);
    metric_counter_add(stream->bytes, wire_bytes);
}

static void end_probe(struct probe_stream *stream, enum probe_end end)
{
    packet_unref(&stream->packet);
    metric_counter_add(stream->ended[end], 1);
    if (end == PROBE_SENT)
        probe_budget_on_probe(&stream->budget, (double)stream->wire_bytes);
    enter(stream, PROBE_NONE);
}

static void on_encoded(uv_async_t *handle)
{
    struct probes *probes = handle->data;
    struct probe_job job;
    while (probe_encoder_take(probes->encoder, &job)) {
        struct probe_stream *stream = job.owner;
        bool wanted = stream->state == PROBE_ENCODING && stream->epoch == job.epoch &&
                      stream->frame == job.frame;
        if (wanted && job.packet) {
            stream->packet = job.packet;
            enter(stream, PROBE_WAITING);
            continue;
        }
        packet_unref(&job.packet);
        if (!wanted)
            continue;
        log_warn("probes", "a picture could not be encoded", LOG_STR("stream", stream->name),
                 LOG_CAUSE(&job.err));
        end_probe(stream, PROBE_FAILED);
    }
    try_send(probes);
}

/* The bytes of the stream's next slice; 0: it has none to send now. */
static size_t next_slice(const struct probe_stream *stream, uint64_t now_ns)
{
    size_t bytes;
    if (stream->state != PROBE_WAITING || now_ns < stream->pace_ns)
        return 0;
    packet_data(stream->packet, &bytes);
    bytes -= stream->sent_bytes;
    bytes = bytes < SLICE_BYTES ? bytes : SLICE_BYTES;
    return probe_budget_allows(&stream->budget, (double)bytes) ? bytes : 0;
}

static void send_slice(struct probe_stream *stream, size_t bytes)
{
    struct error err;
    size_t wire_bytes;
    int rc =
        messages_send_slice(stream->probes->uplink, stream->session, stream->frame, stream->slice,
                            stream->packet, stream->sent_bytes, bytes, &wire_bytes, &err);
    if (rc < 0) { /* tried again at the next answer; a lost link ends the probe */
        log_debug("probes", "slice not sent", LOG_CAUSE(&err));
        return;
    }
    stream->sent_bytes += bytes;
    stream->behind = stream->sent_frame;
    count_bytes(stream, wire_bytes);
    stream->pace_ns =
        clock_now_ns() +
        (uint64_t)(probe_budget_pace_s(&stream->budget, (double)wire_bytes) * CLOCK_NS_PER_S);
    enter(stream, PROBE_SLICE_SENT);
}

static void tell_full(struct probe_stream *stream, uint64_t now_ns)
{
    uint64_t since_ns =
        stream->waits_since_ns > stream->pace_ns ? stream->waits_since_ns : stream->pace_ns;
    if (stream->state != PROBE_WAITING || stream->told || now_ns < since_ns + FULL_NS)
        return;
    stream->told = true;
    log_info("probes", "a probe waits: the uplink has no room beside live frames",
             LOG_STR("stream", stream->name), LOG_U64("frame", stream->frame));
}

static void on_pace(uv_timer_t *timer)
{
    try_send(timer->data);
}

/* Tries again when the first of the streams that wait for their pace may send. */
static void set_pace(struct probes *probes, uint64_t now_ns)
{
    uint64_t first_ns = UINT64_MAX;
    for (size_t i = 0; i < probes->stream_count; i++) {
        const struct probe_stream *stream = &probes->streams[i];
        if (stream->state == PROBE_WAITING && stream->pace_ns > now_ns && stream->pace_ns < first_ns)
            first_ns = stream->pace_ns;
    }
    if (first_ns < UINT64_MAX)
        uv_timer_start(&probes->pace, on_pace, (first_ns - now_ns) / CLOCK_NS_PER_MS + 1, 0);
}

/* One slice, where nothing else is on its way and a stream whose turn it is has one. */
static void try_send(struct probes *probes)
{
    const uint64_t now_ns = clock_now_ns();
    bool busy = false;
    if (probes->pending == 0)
        return;
    for (size_t i = 0; i < probes->stream_count; i++)
        busy = busy || probes->streams[i].in_flight || probes->streams[i].state == PROBE_SLICE_SENT;
    for (size_t i = 0; busy && i < probes->stream_count; i++)
        tell_full(&probes->streams[i], now_ns);
    if (busy)
        return; /* what arrives tries again */
    for (size_t i = 0; i < probes->stream_count; i++) {
        struct probe_stream *stream = &probes->streams[(probes->next + i) % probes->stream_count];
        size_t bytes = next_slice(stream, now_ns);
        if (bytes == 0)
            continue;
        probes->next = (probes->next + i + 1) % probes->stream_count;
        send_slice(stream, bytes);
        return;
    }
    set_pace(probes, now_ns);
}
