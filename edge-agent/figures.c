/* figures: see the header. */
#include "figures.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const drop_words[DROP_REASON_COUNT] = {
    [DROP_ENCODER_LATE] = "encoder_late",   [DROP_NO_CREDIT] = "no_credit",
    [DROP_LINK_DOWN] = "link_down",         [DROP_ENCODER_FAILED] = "encoder_failed",
    [DROP_LINK_LOST] = "link_lost",         [DROP_UPLINK_FULL] = "uplink_full",
    [DROP_UNANSWERED] = "unanswered",       [DROP_SERVER_DROPPED] = "server_dropped",
    [DROP_SERVER_FAILED] = "server_failed", [DROP_SPOOL_FULL] = "spool_full",
    [DROP_SPOOL_AGE] = "spool_age",         [DROP_SPOOL_DAMAGED] = "spool_damaged",
    [DROP_SPOOL_FAILED] = "spool_failed",   [DROP_SPOOL_GROUPLESS] = "spool_no_keyframe",
    [DROP_STOPPED] = "stopped",
};

static void init_counters(struct figures *figures, const struct metric_label *stream)
{
    const struct {
        struct metric_counter **counter;
        const char *name, *help;
    } counters[] = {
        { &figures->captured, "edge_frames_captured_total", "Frames that came from the source" },
        { &figures->capped, "edge_frames_capped_total", "Frames left out by the rung's frame rate" },
        { &figures->damaged, "edge_source_damaged_total",
          "Damaged packets and pictures that the source left out" },
        { &figures->sent, "edge_frames_sent_total", "Frames sent" },
        { &figures->sent_bytes, "edge_sent_bytes_total",
          "Bytes of frame messages, header and payload" },
        { &figures->answered, "edge_frames_answered_total", "Frames analysed" },
        { &figures->objects, "edge_objects_total", "Objects in all answers" },
        { &figures->keyframes_asked, "edge_keyframes_asked_total",
          "Keyframes that the server asked for" },
        { &figures->strays, "edge_answers_unexpected_total", "Answers to no frame in flight" },
    };
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        *counters[i].counter =
            metrics_counter(figures->metrics, counters[i].name, counters[i].help, stream, 1);
    for (size_t i = 0; i < DROP_REASON_COUNT; i++) {
        const struct metric_label labels[] = { *stream, { "reason", drop_words[i] } };
        figures->dropped[i] = metrics_counter(figures->metrics, "edge_frames_dropped_total",
                                              "Frames that got no analysis, by reason", labels, 2);
    }
}

static void init_gauges(struct figures *figures, const struct metric_label *stream)
{
    const struct {
        struct metric_gauge **gauge;
        const char *queue;
    } queues[] = {
        { &figures->in_flight, "in_flight" },
        { &figures->outbox, "outbox" },
        { &figures->server_decode_queue, "server_decode" },
        { &figures->server_device_queue, "server_device" },
    };
    for (size_t i = 0; i < sizeof queues / sizeof *queues; i++) {
        const struct metric_label labels[] = { *stream, { "queue", queues[i].queue } };
        *queues[i].gauge = metrics_gauge(figures->metrics, "edge_queue_depth",
                                         "Frames waiting, by queue", labels, 2);
    }
    figures->probes = metrics_gauge(figures->metrics, "edge_probes_in_window",
                                    "Probes that the accuracies rest on", stream, 1);
    figures->state =
        metrics_gauge(figures->metrics, "edge_stream_state",
                      "0 waiting for a session, 1 streaming, 2 ended, 3 source failed", stream, 1);
}

void figures_init(struct figures *figures, struct metrics *metrics, const char *stream)
{
    const struct metric_label label = { "stream", stream };
    *figures = (struct figures){ .metrics = metrics, .stream = stream };
    init_counters(figures, &label);
    init_gauges(figures, &label);
    figures->encode_time = metrics_histogram(metrics, "edge_encode_seconds",
                                             "Time to scale and encode a frame", &label, 1);
    figures->age = metrics_histogram(metrics, "edge_answer_age_seconds",
                                     "Age of a frame when its answer arrives", &label, 1);
}

const char *figures_drop_word(enum drop_reason reason)
{
    return drop_words[reason];
}

void figures_count_drops(struct figures *figures, enum drop_reason reason, uint64_t count)
{
    metric_counter_add(figures->dropped[reason], count);
}

static struct metric_counter *find_class(struct figures *figures, const Runespoor__Object *object)
{
    size_t slot = object->class_id % FIGURES_CLASSES;
    char *name = figures->classes[slot].name;
    if (!figures->classes[slot].objects || strcmp(name, object->class_name) != 0) {
        const struct metric_label label = { "class", object->class_name };
        /* The wire's check has bounded the name. */
        snprintf(name, sizeof figures->classes[slot].name, "%s", object->class_name);
        figures->classes[slot].objects =
            metrics_counter(figures->metrics, "edge_class_objects_total",
                            "Objects of all streams, by class", &label, 1);
    }
    return figures->classes[slot].objects;
}

void figures_count_objects(struct figures *figures, const Runespoor__Answer *answer)
{
    metric_counter_add(figures->objects, answer->n_objects);
    for (size_t i = 0; i < answer->n_objects; i++)
        metric_counter_add(find_class(figures, answer->objects[i]), 1);
}

static struct metric_gauge *tail_gauge(struct figures *figures, const char *name, const char *bound)
{
    const struct metric_label labels[] = { { "stream", figures->stream },
                                           { "figure", name },
                                           { "bound", bound } };
    return metrics_gauge(figures->metrics, "edge_accuracy",
                         "What probes say of the answers' accuracy: value and 95 % interval; NaN: not known",
                         labels, 3);
}

/* Its place in the list, where there is room for a new one. */
static size_t find_tail(struct figures *figures, const char *name)
{
    size_t at = 0;
    while (at < figures->tail_count && strcmp(figures->tails[at].name, name) != 0)
        at++;
    if (at < figures->tail_count || at == WIRE_FIGURES_MAX)
        return at;
    snprintf(figures->tails[at].name, sizeof figures->tails[at].name, "%s", name);
    figures->tails[at].value = tail_gauge(figures, name, "value");
    figures->tails[at].low = tail_gauge(figures, name, "low");
    figures->tails[at].high = tail_gauge(figures, name, "high");
    return figures->tail_count++;
}

static void set_tail(struct figures *figures, size_t at, double value, double low, double high)
{
    metric_gauge_set(figures->tails[at].value, value);
    metric_gauge_set(figures->tails[at].low, low);
    metric_gauge_set(figures->tails[at].high, high);
}

void figures_set_tail(struct figures *figures, const Runespoor__Tail *tail)
{
    for (size_t i = 0; i < figures->tail_count; i++)
        set_tail(figures, i, (double)NAN, (double)NAN, (double)NAN);
    for (size_t i = 0; i < tail->n_figures; i++) {
        const Runespoor__TailFigure *figure = tail->figures[i];
        size_t at = find_tail(figures, figure->name);
        if (at < WIRE_FIGURES_MAX)
            set_tail(figures, at, figure->value, figure->low, figure->high);
    }
    metric_gauge_set(figures->probes, tail->probes);
}

void figures_set_state(struct figures *figures, enum stream_state state)
{
    metric_gauge_set(figures->state, state);
}

void figures_fill_report(const struct figures *figures, struct figures_report *report)
{
    Runespoor__AgentReport *message = &report->message;
    struct metric_snapshot age;
    runespoor__agent_report__init(message);
    message->captured = metric_counter_get(figures->captured);
    message->sent = metric_counter_get(figures->sent);
    message->answered = metric_counter_get(figures->answered);
    message->sent_bytes = metric_counter_get(figures->sent_bytes);
    metric_histogram_get(figures->age, &age);
    message->age_p50_us = (uint32_t)metric_snapshot_quantile_us(&age, 0.5);
    message->age_p99_us = (uint32_t)metric_snapshot_quantile_us(&age, 0.99);
    message->dropped = report->listed;
    for (size_t i = 0; i < DROP_REASON_COUNT; i++) {
        Runespoor__DropCount *drop = &report->drops[message->n_dropped];
        uint64_t count = metric_counter_get(figures->dropped[i]);
        if (count == 0)
            continue;
        runespoor__drop_count__init(drop);
        drop->reason = (char *)drop_words[i];
        drop->count = count;
        report->listed[message->n_dropped++] = drop;
    }
}
