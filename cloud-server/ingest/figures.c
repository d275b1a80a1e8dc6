/* figures: the handles are made once per session; counting is a few relaxed atomic additions. */
#include "ingest/figures.h"
#include "base/clock.h"

void totals_init(struct totals *totals, struct metrics *metrics)
{
    totals->received = metrics_counter(metrics, "server_frames_received_total",
                                       "packets received from all streams", NULL, 0);
    totals->received_bytes = metrics_counter(metrics, "server_received_bytes_total",
                                             "header and payload bytes of all packets", NULL, 0);
    totals->answered = metrics_counter(metrics, "server_frames_answered_total",
                                       "answers given to all streams", NULL, 0);
    for (int fate = FATE_OK + 1; fate < FATE_COUNT; fate++) {
        struct metric_label reason = { "reason", frame_fate_word(fate) };
        totals->dropped[fate] =
            metrics_counter(metrics, "server_frames_dropped_total",
                            "frames of all streams answered without an analysis", &reason, 1);
    }
}

void figures_init(struct figures *figures, struct metrics *metrics, struct totals *totals,
                  const char *stream)
{
    struct metric_label label = { "stream", stream };

    *figures = (struct figures){
        .metrics = metrics, .totals = totals, .stream = stream, .period_start_ns = clock_now_ns()
    };
#define COUNTER(field, name, help) \
    figures->series.field = metrics_counter(metrics, name, help, &label, 1)
#define HISTOGRAM(field, name, help) \
    figures->series.field = metrics_histogram(metrics, name, help, &label, 1)
#define GAUGE(field, name, help) \
    figures->series.field = metrics_gauge(metrics, name, help, &label, 1)
    COUNTER(received, "server_stream_frames_received_total", "packets received");
    COUNTER(received_bytes, "server_stream_received_bytes_total",
            "header and payload bytes of packets");
    COUNTER(lost, "server_stream_packets_lost_total",
            "packets that the agent sent and that never came");
    COUNTER(answered, "server_stream_frames_answered_total", "answers given");
    HISTOGRAM(decode_wait, "server_decode_wait_seconds", "packet in to start of decoding");
    HISTOGRAM(decode, "server_decode_seconds", "decoding");
    HISTOGRAM(device_wait, "server_device_wait_seconds", "picture waiting for a worker");
    HISTOGRAM(prepare, "server_prepare_seconds", "scaling and conversion for the network");
    HISTOGRAM(infer, "server_infer_seconds", "the network");
    HISTOGRAM(head, "server_head_seconds", "boxes or areas from raw output");
    HISTOGRAM(time, "server_time_seconds", "packet in to answer out");
    GAUGE(decode_queue, "server_decode_queue_packets", "packets waiting for the decoder");
    GAUGE(device_queue, "server_device_queue_pictures", "pictures waiting for a worker");
#undef COUNTER
#undef HISTOGRAM
#undef GAUGE
    metric_histogram_get(figures->series.time, &figures->period_start_time);
}

void figures_finish(struct figures *figures)
{
    if (figures->metrics)
        metrics_retire(figures->metrics, "stream", figures->stream);
}

void figures_on_packet(struct figures *figures, uint32_t wire_bytes)
{
    figures->received++;
    figures->received_bytes += wire_bytes;
    metric_counter_add(figures->series.received, 1);
    metric_counter_add(figures->series.received_bytes, wire_bytes);
    metric_counter_add(figures->totals->received, 1);
    metric_counter_add(figures->totals->received_bytes, wire_bytes);
}

void figures_on_loss(struct figures *figures, uint64_t packets)
{
    metric_counter_add(figures->series.lost, packets);
}

void figures_on_decoded(struct figures *figures, const struct frame *frame)
{
    const struct decode_job *job = &frame->job;

    metric_histogram_observe_us(figures->series.decode_wait,
                                (job->started_ns - frame->arrived_ns) / 1000);
    metric_histogram_observe_us(figures->series.decode, (job->ended_ns - job->started_ns) / 1000);
}

void figures_on_analysed(struct figures *figures, const struct frame *frame)
{
    metric_histogram_observe_us(figures->series.device_wait, frame->device_wait_us);
    metric_histogram_observe_us(figures->series.prepare, frame->analysis.prepare_us);
    metric_histogram_observe_us(figures->series.infer, frame->analysis.infer_us);
    metric_histogram_observe_us(figures->series.head, frame->analysis.head_us);
}

void figures_on_answer(struct figures *figures, const struct frame *frame)
{
    const enum frame_fate fate = frame->fate;

    figures->answered++;
    metric_counter_add(figures->series.answered, 1);
    metric_counter_add(figures->totals->answered, 1);
    metric_histogram_observe_us(figures->series.time, frame->server_us);
    if (fate == FATE_OK)
        return;
    figures->dropped[fate]++;
    metric_counter_add(figures->totals->dropped[fate], 1);
    if (!figures->series.dropped[fate]) {
        struct metric_label labels[] = { { "stream", figures->stream },
                                         { "reason", frame_fate_word(fate) } };
        figures->series.dropped[fate] =
            metrics_counter(figures->metrics, "server_stream_frames_dropped_total",
                            "frames answered without an analysis", labels, 2);
    }
    metric_counter_add(figures->series.dropped[fate], 1);
}

static uint32_t clamp_u32(double value)
{
    return value >= UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

void figures_end_period(struct figures *figures, uint64_t now_ns, size_t decode_queue,
                        size_t device_queue)
{
    struct metric_snapshot now, period;
    const double elapsed_ms = (double)(now_ns - figures->period_start_ns) / CLOCK_NS_PER_MS;
    const uint64_t bytes = figures->received_bytes - figures->period_start_bytes;

    metric_histogram_get(figures->series.time, &now);
    period = now;
    metric_snapshot_subtract(&period, &figures->period_start_time);
    figures->server_p50_us = clamp_u32(metric_snapshot_quantile_us(&period, 0.50));
    figures->server_p99_us = clamp_u32(metric_snapshot_quantile_us(&period, 0.99));
    figures->received_kbps = elapsed_ms > 0 ? clamp_u32((double)bytes * 8 / elapsed_ms) : 0;
    figures->decode_queue = (uint32_t)decode_queue;
    figures->device_queue = (uint32_t)device_queue;
    metric_gauge_set(figures->series.decode_queue, (double)decode_queue);
    metric_gauge_set(figures->series.device_queue, (double)device_queue);
    figures->period_start_ns = now_ns;
    figures->period_start_bytes = figures->received_bytes;
    figures->period_start_time = now;
}
